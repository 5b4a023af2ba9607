"""What is chosen of one film: from the stored scores, verdicts and features to picks with their reasons."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon import features, selection
from daemon.config import Config
from daemon.judge import judge, settings
from daemon.logs import get
from daemon.model import Pick, Reason, Scored, Selection, Shot, ShotKind, VideoRecord
from daemon.selection import Choice, Film, Terms
from daemon.selection.moments import moments, samples
from daemon.selection.scenes import scenes
from daemon.store import ScoreTable, Store

log = get(__name__)


def selection_params(config: Config, scorer: str | None) -> dict[str, Any]:
    """What decides a selection, as it is stored: the same parameters give the same picks."""
    judged = {} if config.select.strategy == "best" else {"judged": settings(config)}
    return {**config.select.model_dump(mode="json"), **judged, "scorer": scorer}


class Chooser:
    """Chooses from one scored film, as often as asked; what does not change is read once."""

    def __init__(self, config: Config, store: Store, record: VideoRecord) -> None:
        self._config = config
        self._store = store
        self._record = record
        self._table: ScoreTable | None = None
        self._film: Film | None = None
        self._facts: dict[str, Any] = {}

    async def choose(self, banned: Collection[int] = ()) -> Selection:
        """The picks, best first, none of them in ``banned``, and what stopped it if they are fewer than asked for."""
        config = self._config.select
        if self._table is None:
            await self._prepare()
        table = self._table
        assert table is not None
        inside = self._span(table)
        if banned:
            inside &= ~np.isin(table.frame, np.fromiter(banned, np.int64))
        if self._film is None:
            choice = await asyncio.to_thread(self._best, table, inside)
        else:
            choice = await self._represent(self._film, inside)
        rows = await self._store.rows_of(self._record.id, choice.frames)
        reasons = choice.reasons or (Reason(),) * len(choice.frames)
        picks = tuple(
            _pick(rank, rows[frame], reason)
            for rank, (frame, reason) in enumerate(zip(choice.frames, reasons, strict=True), start=1)
        )
        params = selection_params(self._config, self._record.scorer)
        return Selection(picks, config.limit or 0, choice.shortfall, params, self._facts)

    async def _prepare(self) -> None:
        """Read the film, and judge it where that was not done yet."""
        strategy = self._config.select.strategy
        self._facts = {"strategy": strategy}
        missing = await judge(self._store, self._record, self._config) if strategy != "best" else 0
        self._table = await self._store.score_table(self._record.id)
        if missing:
            self._facts = {
                "strategy": "best",
                "because": f"{missing} of {len(self._table.frame)} frames were scored by a version that kept no"
                " features: chosen by score and gap alone",
            }
            log.warning("video.features_missing", video=str(self._record.file.path), video_id=self._record.id)
        if missing or strategy == "best":
            return
        shots = await self._store.shots(self._record.id)
        self._facts |= {
            "frames": len(self._table.frame),
            "shots": sum(1 for shot in shots if shot.kind is ShotKind.SHOT),
            "verdicts": await self._store.verdicts(self._record.id),
        }
        self._film = _film(self._table, shots, lower_better=bool(self._record.lower_better))

    def _span(self, table: ScoreTable) -> NDArray[np.bool_]:
        config = self._config.select
        end = np.inf if config.end is None else config.end
        return (table.time_s >= config.start) & (table.time_s < end)

    def _best(self, table: ScoreTable, inside: NDArray[np.bool_]) -> Choice:
        config = self._config.select
        return selection.choose(
            frame=table.frame[inside],
            time_s=table.time_s[inside],
            score=table.score[inside],
            usable=~table.noted[inside],
            lower_better=bool(self._record.lower_better),
            count=config.limit or selection.AUTO_MOST,
            min_gap_seconds=config.min_gap_seconds,
        )

    async def _represent(self, whole: Film, inside: NDArray[np.bool_]) -> Choice:
        config = self._config.select
        film = Film(
            whole.frame[inside], whole.time_s[inside], whole.score[inside], whole.good[inside], whole.shot[inside],
            whole.lower_better,
        )  # fmt: skip
        if not film.usable.any():
            return Choice((), self._nothing(len(film.frame)))
        found = await asyncio.to_thread(moments, film)
        places = await asyncio.to_thread(samples, film, found.shot)
        best = await self._sketches(film.frame[found.position])
        views = features.view(await self._sketches(film.frame[places]))
        terms = Terms(config.limit, config.min_gap_seconds, config.min_difference, config.strategy == "per-shot")

        def work() -> Choice:
            scene = scenes(film.shot[places], views, alike=config.scene_alike, share=config.scene_share)
            return selection.represent(film, found, best, scene, terms)

        return await asyncio.to_thread(work)

    async def _sketches(self, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        blobs = await self._store.records_of(self._record.id, frames.tolist())
        return features.sketch(features.unpack(blobs)["thumbnail"])

    def _nothing(self, frames: int) -> str:
        """Why there is no pick at all."""
        if frames == 0:
            return (
                "there is no frame between select.start and select.end"
                if self._facts["frames"]
                else ("the video has no frames")
            )
        verdicts = {word: count for word, count in self._facts["verdicts"].items() if word != "good"}
        told = ", ".join(f"{count} {word}" for word, count in sorted(verdicts.items(), key=lambda one: -one[1]))
        return f"none of the {frames} frames is worth keeping: {told or 'none is good'}"


def _film(table: ScoreTable, shots: list[Shot], *, lower_better: bool) -> Film:
    shot = np.full(len(table.frame), -1, np.int64)
    for number, one in enumerate(shots):
        if one.kind is ShotKind.SHOT:
            shot[one.first : one.last + 1] = number
    return Film(table.frame, table.time_s, table.score, table.good & ~table.noted, shot, lower_better)


def _pick(rank: int, row: Scored, reason: Reason) -> Pick:
    assert row.score is not None
    return Pick(rank, row.frame, row.pts, row.time_s, row.score, row.hash, reason)
