"""Rows of an attached database become rows of this one, a film at a time and each in one transaction.

A film is known by its content. What becomes of one that both have says ``step_for``; ``other`` is the schema that
``other_database`` attaches.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiosqlite

from daemon.errors import Kind
from daemon.model import Status, VideoRecord
from daemon.store.columns import path_of, path_value
from daemon.store.connection import Connection, as_store_error
from daemon.store.mapping import record

COPIED = ("decoded_frames", "feature_blocks", "shots", "strip_pictures", "packet_index")
"""Tables with one film's rows that are taken as they are; the others with references are taken below."""


class Step(StrEnum):
    """What becomes of a film of the other database."""

    ADD = "add"
    COMPLETE = "complete"
    """It is here, but further there: its rows take the place of those here."""
    COMPARE = "compare"
    """It is here as far or further: what is here stays, other scorers' scores and stills that are new come beside."""
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class OtherFilm:
    """A film of the other database; ``path`` is what it is called here, ``scored`` whether every frame is in."""

    record: VideoRecord
    path: Path
    scored: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with a film: with the row ``here`` of this database, and why where it is left."""

    film: OtherFilm
    step: Step
    here: VideoRecord | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OtherStill:
    """A still of the other database that has no row here; ``current``: it is of the film's current selection there."""

    selection_id: int
    rank: int
    path: Path
    sha256: str
    current: bool


@dataclass(frozen=True, slots=True)
class Merged:
    """What was written: the film's id here, frames, scores beside those that were here, and stills."""

    video_id: int
    frames: int = 0
    beside: int = 0
    stills: int = 0


def step_for(there: VideoRecord, scored: bool, here: VideoRecord | None, here_scored: bool) -> tuple[Step, str]:
    """What becomes of a film, and why where it is left: done beats scored beats ended with an error, and here stays."""
    if there.error_kind == Kind.DUPLICATE:
        return Step.LEAVE, "a copy: the film itself is merged"
    if there.file.fingerprint == "":
        return Step.LEAVE, f"its file could not be read there: {there.error}"
    if _progress(there, scored) == 0:
        return Step.LEAVE, f"it is {there.status} there: let that come to its end, then merge again"
    if here is None:
        return Step.ADD, ""
    if here.status in (Status.SCORING, Status.EXPORTING):
        return Step.LEAVE, f"it is worked on here as video {here.id}: merge again once it is done"
    # What has only failed elsewhere may succeed here.
    further = scored and _progress(there, scored) > _progress(here, here_scored)
    return (Step.COMPLETE if further else Step.COMPARE), ""


def _progress(film: VideoRecord, scored: bool) -> int:
    if film.status is Status.DONE or (film.status is Status.REPLACED and scored):
        return 3
    if scored:
        return 2
    return 1 if film.status.final else 0


def status_here(plan: Plan) -> Status:
    """The state of a film once its rows are here: what was scored but has no stills is exported here."""
    status, here = plan.film.record.status, plan.here
    if here is not None and here.status is Status.REPLACED:
        return Status.REPLACED
    if status is Status.DONE or (here is None and status.final):
        return status
    return Status.SCORED


class Merge:
    """The films of the attached database, and how each comes into this one. ``path_here`` maps the other's paths."""

    def __init__(self, connection: Connection, path_here: Mapping[Path, Path] | None = None) -> None:
        self._connection = connection
        self._map = path_here or {}

    def path_here(self, path: Path) -> Path:
        """What a path of the other database is called here: the longest beginning that is mapped decides."""
        for start in sorted(self._map, key=lambda one: len(one.parts), reverse=True):
            if path.is_relative_to(start):
                return self._map[start] / path.relative_to(start)
        return path

    async def films(self) -> list[OtherFilm]:
        """Every film of the other database; what replaced another one comes before it."""
        order = "status = 'replaced', iif(status = 'replaced', -id, id)"
        rows = await self._rows(f"SELECT * FROM other.videos ORDER BY {order}")
        return [self._film(row) for row in rows]

    async def plan(self, film: OtherFilm) -> Plan:
        """What is to be done with a film as both databases are now."""
        here, scored = await self._here(film)
        step, reason = step_for(film.record, film.scored, here, scored)
        return Plan(film, step, here, reason)

    async def stills(self, plan: Plan) -> list[OtherStill]:
        """The stills there that have no row here; of a film that is only compared those of selections known here."""
        known = {} if plan.here is None else await self._known_selections(plan.film, plan.here.id)
        rows = await self._rows(
            "SELECT s.*, (SELECT MAX(id) FROM other.selections c WHERE c.video_id = s.video_id"
            " AND json_extract(c.params, '$.folder') IS NULL) AS current"
            " FROM other.stills s WHERE video_id = ? ORDER BY selection_id, rank",
            plan.film.record.id,
        )
        have = {
            (row[0], row[1])
            for here in known.values()
            for row in await self._rows("SELECT selection_id, rank FROM stills WHERE selection_id = ?", here)
        }
        return [
            OtherStill(
                selection_id=row["selection_id"],
                rank=row["rank"],
                path=self.path_here(path_of(row["path"])),
                sha256=row["sha256"],
                current=row["selection_id"] == row["current"],
            )
            for row in rows
            if (known.get(row["selection_id"]), row["rank"]) not in have
            and (row["selection_id"] in known or plan.step is not Step.COMPARE)
        ]

    async def apply(self, plan: Plan, stills: Mapping[tuple[int, int], Path]) -> Merged | None:
        """Do it, all or nothing; None where it does not hold any more: plan again.

        ``stills`` are the files of those that are taken, by selection and rank there. Raises StoreError.
        """
        if plan.step is Step.COMPARE and not stills and not await self._has_more_scores(plan):
            return Merged(plan.here.id if plan.here is not None else 0)
        async with self._connection.writing() as db:
            if await self.plan(plan.film) != plan:
                return None
            return await self._write(db, plan, stills)

    async def _write(self, db: aiosqlite.Connection, plan: Plan, stills: Mapping[tuple[int, int], Path]) -> Merged:
        there, frames, beside = plan.film.record.id, 0, 0
        if plan.step is Step.COMPARE and plan.here is not None:
            here = plan.here.id
            await _put_scorers(db, there)
            beside = await _put_scores(db, there, here, compared=True)
        else:
            here = await self._put_video(db, plan)
            await _put_scorers(db, there)
            for table in COPIED:
                count = await _copy(db, table, there, here)
                frames = count if table == "decoded_frames" else frames
            await _put_scores(db, there, here, compared=False)
            await self._put_source(db, there, here)
            await self._put_selections(db, plan, here)
        return Merged(here, frames, beside, await self._put_stills(db, plan, here, stills))

    async def _put_video(self, db: aiosqlite.Connection, plan: Plan) -> int:
        """The film's own row: a new one, or in place of what the one here says."""
        film, status = plan.film.record, status_here(plan)
        own: dict[str, Any] = {"status": status, "attempts": 0, "retries": 0, "retry_at": None, "inode": None}
        if status is not film.status:
            own |= {"error_kind": None, "error": None, "finished_at": None}
        if plan.here is None:
            own |= {"path": path_value(plan.film.path), "replaced_by": await self._successor(film)}
            if own["replaced_by"] is not None:
                own["error"] = f"other content took its place: video {own['replaced_by']}"
            return await _put_row(db, "videos", film.id, own)
        here = plan.here
        own["replaced_by"] = here.replaced_by
        if status is Status.REPLACED:
            own |= {"error_kind": here.error_kind, "error": here.error}
        file = here.file
        if here.status is Status.MISSING:
            file = replace(film.file, path=plan.film.path, inode=None)
        own |= {
            "path": path_value(file.path), "size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns,
            "inode": file.inode, "digest": film.file.digest or here.file.digest,
        }  # fmt: skip
        await db.execute(
            # Scores of pictures that are others there are of no frame that there is.
            "DELETE FROM frame_scores WHERE video_id = ?2 AND scorer_id IN (SELECT id FROM scorers) AND frame NOT IN"
            " (SELECT h.frame FROM decoded_frames h JOIN other.decoded_frames t ON t.video_id = ?1"
            " AND t.frame = h.frame AND t.hash = h.hash WHERE h.video_id = ?2)",
            (film.id, here.id),
        )
        for table in COPIED:
            await db.execute(f"DELETE FROM {table} WHERE video_id = ?", (here.id,))
        columns = await _columns(db, "videos")
        await db.execute(
            f"UPDATE videos SET ({', '.join(columns)}) ="
            f" (SELECT {_with(columns, own)} FROM other.videos WHERE id = :there) WHERE id = :here",
            {**own, "there": film.id, "here": here.id},
        )
        return here.id

    async def _successor(self, film: VideoRecord) -> int | None:
        """The video here whose content took the film's place."""
        if film.replaced_by is None:
            return None
        rows = await self._rows("SELECT * FROM other.videos WHERE id = ?", film.replaced_by)
        found = [await self._here(self._film(row)) for row in rows]
        return next((here.id for here, _ in found if here is not None), None)

    def _film(self, row: sqlite3.Row) -> OtherFilm:
        film = record(row)
        return OtherFilm(film, self.path_here(film.file.path), row["scored_at"] is not None)

    async def _here(self, film: OtherFilm) -> tuple[VideoRecord | None, bool]:
        """The row of the film's content here, the one of its path first; not one that is another row's there."""
        rows = await self._rows(
            "SELECT * FROM videos WHERE fingerprint = ?1 AND fingerprint != '' AND COALESCE(digest = ?2, 1)"
            " AND error_kind IS NOT 'duplicate' ORDER BY path != ?3, id",
            film.record.file.fingerprint, film.record.file.digest, path_value(film.path),
        )  # fmt: skip
        others = await self._rows(
            "SELECT path FROM other.videos WHERE fingerprint = ? AND digest IS ? AND id != ?"
            " AND error_kind IS NOT 'duplicate'",
            film.record.file.fingerprint, film.record.file.digest, film.record.id,
        )  # fmt: skip
        taken = {self.path_here(path_of(row[0])) for row in others}
        for row in rows:
            path = path_of(row["path"])
            if path == film.path or path not in taken:
                return record(row), row["scored_at"] is not None
        return None, False

    async def _has_more_scores(self, plan: Plan) -> bool:
        """Whether a scorer there has something to say of frames that show the same here, and has not said it here."""
        query = (
            f"SELECT 1 {_SCORES_OF_SAME_PICTURES} AND NOT EXISTS (SELECT 1 FROM frame_scores n, scorers m"
            " WHERE m.identity = o.identity AND n.video_id = ?2 AND n.scorer_id = m.id AND n.frame = s.frame) LIMIT 1"
        )
        return plan.here is not None and bool(await self._rows(query, plan.film.record.id, plan.here.id))

    async def _known_selections(self, film: OtherFilm, here: int) -> dict[int, int]:
        """The film's selections there by id, and which of the video's here each of them is."""
        rows = await self._rows(
            "SELECT t.id, MIN(h.id) FROM other.selections t JOIN selections h ON h.video_id = ?"
            " AND h.created_at = t.created_at AND h.params = t.params WHERE t.video_id = ? GROUP BY t.id",
            here, film.record.id,
        )  # fmt: skip
        return {row[0]: row[1] for row in rows}

    async def _put_selections(self, db: aiosqlite.Connection, plan: Plan, here: int) -> None:
        """What was chosen, in its order, and what people decided about it; not what is here already."""
        there, known = plan.film.record.id, await self._known_selections(plan.film, here)
        for row in await self._rows("SELECT id FROM other.selections WHERE video_id = ? ORDER BY id", there):
            if row["id"] not in known:
                known[row["id"]] = await _put_row(db, "selections", row["id"], {"video_id": here})
        for row in await self._rows(
            "SELECT id, selection_id FROM other.decisions t WHERE video_id = ?"
            " AND NOT EXISTS (SELECT 1 FROM decisions h WHERE h.video_id = ? AND h.kind = t.kind"
            " AND h.frame IS t.frame AND h.decided_at = t.decided_at)"
            " ORDER BY id",
            there, here,
        ):  # fmt: skip
            await _put_row(
                db, "decisions", row["id"], {"video_id": here, "selection_id": known.get(row["selection_id"])}
            )

    async def _put_stills(
        self, db: aiosqlite.Connection, plan: Plan, here: int, stills: Mapping[tuple[int, int], Path]
    ) -> int:
        known, columns = await self._known_selections(plan.film, here), await _columns(db, "stills")
        for (selection, rank), path in stills.items():
            own = {"selection_id": known[selection], "video_id": here, "path": path_value(path)}
            await db.execute(
                f"INSERT INTO stills ({', '.join(columns)}) SELECT {_with(columns, own)} FROM other.stills"
                " WHERE selection_id = :there AND rank = :at",
                {**own, "there": selection, "at": rank},
            )
        return len(stills)

    async def _put_source(self, db: aiosqlite.Connection, there: int, here: int) -> None:
        """What was done with the source; what was only due there is not due here."""
        for row in await self._rows("SELECT * FROM other.sources WHERE video_id = ? AND state != 'due'", there):
            target = None if row["target"] is None else path_value(self.path_here(path_of(row["target"])))
            await db.execute(
                "INSERT OR IGNORE INTO sources (video_id, action, state, target, reason, at) VALUES (?, ?, ?, ?, ?, ?)",
                (here, row["action"], row["state"], target, row["reason"], row["at"]),
            )

    async def _rows(self, query: str, *arguments: Any) -> list[Any]:
        with as_store_error():
            async with self._connection.db.execute(query, arguments) as cursor:
                return list(await cursor.fetchall())


_SCORES = "FROM other.frame_scores s JOIN other.scorers o ON o.id = s.scorer_id"
_SCORES_OF_SAME_PICTURES = (
    f"{_SCORES} CROSS JOIN other.decoded_frames t ON t.video_id = s.video_id AND t.frame = s.frame"
    " CROSS JOIN decoded_frames h ON h.video_id = ?2 AND h.frame = s.frame AND h.hash = t.hash WHERE s.video_id = ?1"
)


async def _put_scorers(db: aiosqlite.Connection, there: int) -> None:
    """Who has scored the film there."""
    await db.execute(
        "INSERT INTO scorers (identity, metric, lower_better)"
        " SELECT identity, metric, lower_better FROM other.scorers o"
        " WHERE EXISTS (SELECT 1 FROM other.frame_scores WHERE video_id = ? AND scorer_id = o.id) ORDER BY o.id"
        " ON CONFLICT (identity) DO UPDATE SET metric = COALESCE(metric, excluded.metric),"
        " lower_better = COALESCE(lower_better, excluded.lower_better)",
        (there,),
    )


async def _put_scores(db: aiosqlite.Connection, there: int, here: int, *, compared: bool) -> int:
    """Every scorer's numbers; ``compared``: only of frames that show the same here, beside those that are here."""
    what = _SCORES_OF_SAME_PICTURES if compared else f"{_SCORES} WHERE s.video_id = ?1"
    cursor = await db.execute(
        f"INSERT OR {'IGNORE' if compared else 'REPLACE'} INTO frame_scores (video_id, scorer_id, frame, score, note)"
        f" SELECT ?2, (SELECT m.id FROM scorers m WHERE m.identity = o.identity), s.frame, s.score, s.note {what}",
        (there, here),
    )
    return cursor.rowcount


async def _copy(db: aiosqlite.Connection, table: str, there: int, here: int) -> int:
    """A film's rows of one table; how many."""
    columns = await _columns(db, table)
    cursor = await db.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {_with(columns, ['video_id'])} FROM other.{table}"
        " WHERE video_id = :there",
        {"video_id": here, "there": there},
    )
    return cursor.rowcount


async def _put_row(db: aiosqlite.Connection, table: str, there: int, own: Mapping[str, Any]) -> int:
    """A row under a new id, with ``own`` in place of its columns of these names; the id."""
    columns = await _columns(db, table)
    cursor = await db.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {_with(columns, own)} FROM other.{table} WHERE id = :there",
        {**own, "there": there},
    )
    return int(cursor.lastrowid or 0)


async def _columns(db: aiosqlite.Connection, table: str) -> list[str]:
    """The columns of a table but for its id."""
    async with db.execute("SELECT name FROM pragma_table_info(?, 'main') WHERE name != 'id'", (table,)) as cursor:
        return [row[0] for row in await cursor.fetchall()]


def _with(columns: Iterable[str], own: Iterable[str]) -> str:
    """Columns as a SELECT has them, parameters in place of those that are given."""
    return ", ".join(f":{column}" if column in set(own) else column for column in columns)
