"""``stillwatch accept``, ``reject``, ``pin``, ``ban``, ``reset``, ``note``, ``undo``, ``redo``: what people decide."""

from __future__ import annotations

from typing import Any

from daemon.config.schema import Config
from daemon.errors import Kind, StoreError
from daemon.pipeline.wishes import draft
from daemon.store.decisions import Decided, DecisionKind
from daemon.store.store import Store

WORDS = {
    DecisionKind.ACCEPT: "accepted: it stays in the selection",
    DecisionKind.REJECT: "rejected",
    DecisionKind.PIN: "pinned: every later choice has it",
    DecisionKind.BAN: "banned: no later choice has it",
    DecisionKind.RESET: "is as if nothing had been decided about it",
}


async def decide(config: Config, store: Store, key: str, kind: str, frame: int | None, note: str | None = None) -> str:
    """Write a decision about a video; what it does, in a sentence. Raises StoreError."""
    record = await store.videos.find(key)
    await store.decisions.decide(record.id, DecisionKind(kind), frame, note)
    if kind == DecisionKind.NOTE:
        return f"noted{'' if note else ': the note is gone'}"
    sentence = f"frame {frame} {WORDS[DecisionKind(kind)]}"
    decided = await store.decisions.decided(record.id)
    if kind == DecisionKind.REJECT and frame is not None:
        made = await draft(store, record.id, decided, config.select.min_gap_seconds, bool(record.lower_better))
        other = made.instead.get(frame)
        if other is not None:
            sentence += f": frame {other} takes its place"
        elif frame in made.instead:
            sentence += ": nothing in its moment can take its place"
    return f"{sentence}; `stillwatch select {record.id}` exports the stills anew"


async def turn(store: Store, key: str, *, undo: bool) -> str:
    """Take the last decision about a video back, or decide it again. Raises StoreError(NOT_FOUND) if there is none."""
    record = await store.videos.find(key)
    done = await (store.decisions.undo(record.id) if undo else store.decisions.redo(record.id))
    if not done:
        raise StoreError(Kind.NOT_FOUND, f"there is nothing to {'undo' if undo else 'redo'} for video {record.id}")
    return f"now: {state_line(await store.decisions.decided(record.id))}"


def state_line(decided: Decided) -> str:
    """What holds now, in a line.

    >>> state_line(Decided(rejected=(4, 9), pinned=(7,)))
    'rejected 4, 9; pinned 7'
    """
    groups: dict[str, Any] = {
        "accepted": decided.accepted,
        "rejected": decided.rejected,
        "pinned": decided.pinned,
        "banned": decided.banned,
    }
    parts = [f"{word} {', '.join(map(str, frames))}" for word, frames in groups.items() if frames]
    return "; ".join(parts) or "no frame is accepted, rejected, pinned or banned"
