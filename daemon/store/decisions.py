"""What people have decided about frames, in the order in which they did; nothing else remembers it.

``accept`` and ``reject`` mark frames of one selection, ``pin`` and ``ban`` hold for every later choice, ``reset`` takes
both from a frame, ``note`` is a word about a frame or the film. The newest that was not undone counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiosqlite

from daemon.errors import Kind, StoreError
from daemon.store.columns import CURRENT_SELECTION
from daemon.store.connection import Connection

MOST_NOTE = 2000


class DecisionKind(StrEnum):
    """What was decided; the words in ``decisions.kind``."""

    ACCEPT = "accept"
    REJECT = "reject"
    PIN = "pin"
    BAN = "ban"
    RESET = "reset"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Decided:
    """What holds for a film now, as frames in ascending order.

    ``accepted`` and ``rejected`` mark the newest selection, ``pinned`` are always chosen, ``banned`` never. ``notes``
    are by frame, None for the whole film. ``can_undo`` and ``can_redo`` say whether there is something to take back.
    """

    accepted: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()
    pinned: tuple[int, ...] = ()
    banned: tuple[int, ...] = ()
    notes: tuple[tuple[int | None, str], ...] = ()
    can_undo: bool = False
    can_redo: bool = False

    @property
    def marked(self) -> bool:
        """Whether the newest selection is to be changed."""
        return bool(self.accepted or self.rejected)

    def as_json(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "accepted": list(self.accepted),
            "rejected": list(self.rejected),
            "pinned": list(self.pinned),
            "banned": list(self.banned),
            "notes": [{"frame": frame, "note": note} for frame, note in self.notes],
            "can_undo": self.can_undo,
            "can_redo": self.can_redo,
        }


class Decisions:
    """The table ``decisions``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def decide(self, video_id: int, kind: DecisionKind, frame: int | None, note: str | None = None) -> None:
        """Write a decision; what was undone before can't be done again after it.

        Raises StoreError(NOT_FOUND) for a frame that the film does not have or that has no score to be chosen by, and
        for a note that cannot be kept.
        """
        if note is not None and len(note) > MOST_NOTE:
            raise StoreError(Kind.NOT_FOUND, f"a note has at most {MOST_NOTE} characters: shorten it")
        if note is not None and not _is_text(note):
            raise StoreError(Kind.NOT_FOUND, "a note is text in UTF-8: write it without other bytes")
        async with self._connection.writing() as db:
            if frame is not None:
                await _require_frame(db, video_id, frame, scored=kind in (DecisionKind.ACCEPT, DecisionKind.PIN))
            await db.execute("DELETE FROM decisions WHERE video_id = ? AND undone = 1", (video_id,))
            await db.execute(
                "INSERT INTO decisions (video_id, frame, kind, selection_id, note, decided_at)"
                f" VALUES (?, ?, ?, ({CURRENT_SELECTION} ?), ?, ?)",
                (video_id, frame, kind, video_id, note, self._connection.now()),
            )

    async def undo(self, video_id: int) -> bool:
        """Take the last decision back; False when there is none."""
        return await self._turn(video_id, "MAX", 0, 1)

    async def redo(self, video_id: int) -> bool:
        """Decide again what was last taken back; False when nothing was."""
        return await self._turn(video_id, "MIN", 1, 0)

    async def _turn(self, video_id: int, which: str, now: int, then: int) -> bool:
        async with self._connection.writing() as db:
            cursor = await db.execute(
                f"UPDATE decisions SET undone = ? WHERE id = (SELECT {which}(id) FROM decisions"
                " WHERE video_id = ? AND undone = ?)",
                (then, video_id, now),
            )
            return cursor.rowcount > 0

    async def decided(self, video_id: int) -> Decided:
        """What holds now."""
        async with self._connection.db.execute(
            f"SELECT frame, kind, note, undone, selection_id IS ({CURRENT_SELECTION} ?1)"
            " AS newest FROM decisions WHERE video_id = ?1 ORDER BY id",
            (video_id,),
        ) as cursor:
            rows = list(await cursor.fetchall())
        marks: dict[int, str] = {}
        holds: dict[int, str] = {}
        notes: dict[int | None, str] = {}
        for row in rows:
            if not row["undone"]:
                _apply(row, marks, holds, notes)
        return Decided(
            accepted=_frames(marks, DecisionKind.ACCEPT),
            rejected=_frames(marks, DecisionKind.REJECT),
            pinned=_frames(holds, DecisionKind.PIN),
            banned=_frames(holds, DecisionKind.BAN),
            notes=tuple(sorted(notes.items(), key=lambda one: -1 if one[0] is None else one[0])),
            can_undo=any(not row["undone"] for row in rows),
            can_redo=any(row["undone"] for row in rows),
        )


def _is_text(note: str) -> bool:
    """Whether it can be stored: bytes of a command line that are no text come as halves of characters."""
    try:
        note.encode()
    except UnicodeEncodeError:
        return False
    return True


def _apply(row: Any, marks: dict[int, str], holds: dict[int, str], notes: dict[int | None, str]) -> None:
    frame, kind = row["frame"], row["kind"]
    if kind == DecisionKind.NOTE:
        notes.pop(frame, None)
        if row["note"]:
            notes[frame] = row["note"]
    elif kind == DecisionKind.RESET:
        marks.pop(frame, None)
        holds.pop(frame, None)
    elif kind in (DecisionKind.PIN, DecisionKind.BAN):
        holds[frame] = kind
    elif row["newest"]:
        marks[frame] = kind


def _frames(decided: dict[int, str], kind: DecisionKind) -> tuple[int, ...]:
    return tuple(sorted(frame for frame, one in decided.items() if one == kind))


async def _require_frame(db: aiosqlite.Connection, video_id: int, frame: int, *, scored: bool) -> None:
    async with db.execute("SELECT score FROM frames WHERE video_id = ? AND frame = ?", (video_id, frame)) as cursor:
        row = await cursor.fetchone()
    if row is None:
        raise StoreError(Kind.NOT_FOUND, f"video {video_id} has no frame {frame}: see `stillwatch show {video_id}`")
    if scored and row[0] is None:
        raise StoreError(Kind.NOT_FOUND, f"frame {frame} of video {video_id} has no score: choose one that has")
