"""``stillwatch scores``: every frame of a film with the scores of every scorer, as CSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, TextIO

from daemon.store.scores import FrameScores, ScoredBy
from daemon.store.store import Store

Form = Literal["csv", "jsonl"]
FRAME_COLUMNS = ("frame", "pts", "time_s", "duration_s", "verdict", "hash")


async def write_scores(store: Store, key: str, form: Form, out: TextIO) -> int:
    """Write a line per frame, the current scorer's numbers first; returns how many. Raises StoreError for no video.

    CSV has two columns for each scorer, ``niqe`` and ``niqe note``; two scorers of one metric are told apart by their
    identities. A line of JSON has them under ``scores`` by identity.
    """
    record = await store.videos.find(key)
    scorers = await store.scores.scorers(record.id)
    write = _csv(scorers, out) if form == "csv" else _json_lines(scorers, out)
    count = 0
    async for row in store.scores.side_by_side(record.id):
        write(row)
        count += 1
    return count


def column_names(scorers: Sequence[ScoredBy]) -> list[str]:
    """What each scorer's numbers are called in the header: the metric, and the identity where that is not enough."""
    metrics = Counter(one.metric for one in scorers)
    return [one.metric if metrics[one.metric] == 1 else f"{one.metric} ({one.scorer})" for one in scorers]


def _csv(scorers: Sequence[ScoredBy], out: TextIO) -> Any:
    writer = csv.writer(out, lineterminator="\n")
    columns = [column for name in column_names(scorers) for column in (name, f"{name} note")]
    writer.writerow([*FRAME_COLUMNS, *columns])

    def write(row: FrameScores) -> None:
        found = [row.outcomes.get(one.scorer) for one in scorers]
        values = [value for one in found for value in ((one.score, one.note) if one is not None else (None, None))]
        writer.writerow([row.frame, row.pts, row.time_s, row.duration_s, row.verdict, row.hash, *values])

    return write


def _json_lines(scorers: Sequence[ScoredBy], out: TextIO) -> Any:
    metrics = {one.scorer: one.metric for one in scorers}

    def write(row: FrameScores) -> None:
        scores = {
            scorer: {"metric": metrics[scorer], "score": row.outcomes[scorer].score, "note": row.outcomes[scorer].note}
            for scorer in metrics
            if scorer in row.outcomes
        }
        values = {name: getattr(row, name) for name in FRAME_COLUMNS}
        out.write(json.dumps({**values, "scores": scores}) + "\n")

    return write
