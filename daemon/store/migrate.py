"""Bring a database from an older schema up to date: numbered files of SQL, all of them or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import aiosqlite

from daemon.errors import Kind, StoreError

SCHEMA_VERSION = 5
SCRIPTS = {
    0: "001_initial.sql",
    1: "002_selection.sql",
    2: "003_times.sql",
    3: "004_review.sql",
    4: "005_packet_index.sql",
}
"""The file of SQL in `migrations` that brings a database from the version of the key to the next."""


async def migrate(db: aiosqlite.Connection, path: Path) -> None:
    """Bring the schema up to date, all steps or none, also when several processes open it at once.

    Raises StoreError(DATABASE) for one that is newer than this code.
    """
    if await _version(db) == SCHEMA_VERSION:
        return
    await db.execute("BEGIN IMMEDIATE")
    try:
        version = await _version(db)
        if version > SCHEMA_VERSION:
            raise StoreError(
                Kind.DATABASE,
                f"{path} was written by a newer stillwatch (schema {version}, not {SCHEMA_VERSION}): update this one",
            )
        for step in range(version, SCHEMA_VERSION):
            script = (files("daemon.store") / "migrations" / SCRIPTS[step]).read_text(encoding="utf-8")
            for statement in _statements(script):
                await db.execute(statement)
        await db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        await db.execute("ROLLBACK")
        raise
    await db.execute("COMMIT")


async def _version(db: aiosqlite.Connection) -> int:
    async with db.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    return int(row[0]) if row is not None else 0


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: ``executescript`` would commit in between."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
