"""What people want of a choice: frames that are always in it, and frames that never are.

::

    newest selection   [ 12  40  77  95 ]        marks: 40 rejected, 81 accepted        holds: 5 pinned, 12 banned
                           │                                                              (for every later choice)
    asked as it is     [  5  44  77  95  81 ]    44 is the best other frame of 40's moment
    asked anew         5 and 81 are in, 12 and 40 are out, the rest is chosen
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.model import Reason, ShotKind, VideoRecord
from daemon.selection.alternatives import SAME_MOMENT_SECONDS, alternatives
from daemon.store.decisions import Decided
from daemon.store.store import Store


@dataclass(frozen=True, slots=True)
class Wishes:
    """``pinned`` frames are always chosen, ``banned`` never; ``only``: nothing but the pinned ones is.

    ``reasons`` are those for which pinned frames were chosen before.
    """

    pinned: tuple[int, ...] = ()
    banned: frozenset[int] = frozenset()
    only: bool = False
    reasons: Mapping[int, Reason] = field(default_factory=dict)

    def params(self) -> dict[str, Any]:
        """What is stored with a selection; empty where nothing is wished for."""
        pinned = {"pinned": sorted(self.pinned)} if self.pinned else {}
        banned = {"banned": sorted(self.banned)} if self.banned else {}
        return {**pinned, **banned}


@dataclass(frozen=True, slots=True)
class Draft:
    """The newest selection with its marks applied: ``frames`` by rank, and by rejected frame what takes its place."""

    frames: tuple[int, ...] = ()
    instead: dict[int, int | None] = field(default_factory=dict)
    reasons: Mapping[int, Reason] = field(default_factory=dict)


def holds(decided: Decided) -> Wishes:
    """Pins and bans alone: what a choice of the daemon honours."""
    return Wishes(decided.pinned, frozenset(decided.banned) - set(decided.pinned))


def asked_anew(decided: Decided) -> Wishes:
    """For a choice with other parameters: the marks of the newest selection hold as well."""
    pinned = tuple(sorted({*decided.pinned, *decided.accepted} - {*decided.rejected}))
    return Wishes(pinned, frozenset({*decided.banned, *decided.rejected}) - set(pinned))


async def draft(
    store: Store,
    video_id: int,
    decided: Decided,
    min_gap_seconds: float,
    lower_better: bool,
    scorer: str | None = None,
) -> Draft:
    """The newest selection as its marks, pins and bans want it; ``scorer`` None: by the current scores."""
    current = await store.queries.current_selection(video_id)
    rows = await store.queries.stills(current["id"]) if current else []
    stills = [row["frame"] for row in rows]
    reasons = {row["frame"]: Reason(**json.loads(row["reason"])) for row in rows if row["reason"]}
    out = {*decided.rejected, *decided.banned} - {*decided.pinned}
    gone = [frame for frame in stills if frame in out]
    kept = [frame for frame in stills if frame not in out]
    added = [frame for frame in sorted({*decided.accepted, *decided.pinned}) if frame not in kept and frame not in out]
    instead: dict[int, int | None] = dict.fromkeys(gone)
    if gone:
        moments = await _Moments.read(store, video_id, lower_better, min_gap_seconds, scorer)
        for frame in gone:
            taken = [one for one in [*kept, *added, *instead.values()] if one is not None]
            instead[frame] = moments.next_best(frame, added, taken, out)
    order = [instead.get(frame, frame) for frame in stills]
    frames = dict.fromkeys([*(frame for frame in order if frame is not None), *added])
    return Draft(tuple(frames), instead, reasons)


@dataclass(frozen=True, slots=True)
class _Moments:
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    usable: NDArray[np.bool_]
    shot: NDArray[np.int64]
    lower_better: bool
    gap: float

    @classmethod
    async def read(cls, store: Store, video_id: int, lower_better: bool, gap: float, scorer: str | None) -> _Moments:
        table = await store.frames.table(video_id, scorer)
        shot = np.zeros(len(table.frame), np.int64)
        for number, one in enumerate(await store.analysis.shots(video_id)):
            if one.kind is ShotKind.SHOT:
                shot[one.first : one.last + 1] = number
        judged = bool(await store.analysis.verdicts(video_id))
        usable = ~table.noted & ((table.good | table.spared) if judged else True)
        return cls(table.frame, table.time_s, table.score, usable, shot, lower_better, gap)

    def next_best(self, frame: int, added: Sequence[int], taken: Sequence[int], out: set[int]) -> int | None:
        """What takes a frame's place: one that was accepted in its moment, else the best that is far enough away."""
        at = int(np.searchsorted(self.frame, frame))
        if at >= len(self.frame) or int(self.frame[at]) != frame:
            return None
        for other in added:
            place = int(np.searchsorted(self.frame, other))
            near = abs(self.time_s[place] - self.time_s[at]) <= SAME_MOMENT_SECONDS
            if near and self.shot[place] == self.shot[at]:
                return other
        inside = self.usable & (self.shot == self.shot[at]) & ~np.isin(self.frame, list(out))
        for other in taken:
            inside &= np.abs(self.time_s - self.time_s[int(np.searchsorted(self.frame, other))]) >= self.gap - 1e-9
        found = alternatives(self.time_s, self.score, inside, at, lower_better=self.lower_better, count=1)
        return int(self.frame[found[0]]) if found else None


async def wishes_now(store: Store, record: VideoRecord, min_gap_seconds: float, *, anew: bool) -> Wishes:
    """What is wished of the next choice: ``anew`` with other parameters, else the newest selection as it is marked."""
    decided = await store.decisions.decided(record.id)
    if anew or not decided.marked:
        return asked_anew(decided)
    made = await draft(store, record.id, decided, min_gap_seconds, bool(record.lower_better), record.scorer)
    return Wishes(
        made.frames, frozenset({*decided.banned, *decided.rejected}) - set(made.frames), only=True, reasons=made.reasons
    )
