"""One video's way through the stages, the second half: select, export, prove, publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from daemon import decode, export, selection
from daemon.config import Config, SelectConfig
from daemon.decode import DecodeReport
from daemon.errors import ExportError, Kind, VideoError
from daemon.export import workshop
from daemon.export.commands import Capabilities
from daemon.logs import get
from daemon.model import Pick, Scored, Selection, Still, VideoRecord
from daemon.pipeline import unchanged
from daemon.store import ScoreTable, Store

log = get(__name__)

MAX_DROPPED = 50
"""So many picks that cannot be proven mean that the source is not what was scored."""


class Finalizer:
    """Takes scored videos to their published stills."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store

    async def finish(self, record: VideoRecord, capabilities: Capabilities, after: str | None = None) -> list[Still]:
        """Select, export, prove and publish the stills of a scored video; marks it done.

        ``after``, move or delete, becomes due for the source if there is a still.
        Raises ExportError, VideoError.
        """
        unchanged(record.file)
        source = _source(record)
        exporter = export.Exporter(
            source,
            self._config.export,
            self._config.output,
            decode.DEMUXERS,
            capabilities,
            lambda wanted, image: decode.frames(
                source.info,
                self._config.decode,
                DecodeReport(),
                single_thread=source.damaged,
                wanted=wanted,
                depth=image.depth,
                keep_hdr=image.keep_hdr,
            ),
        )
        table = await self._store.score_table(record.id)
        exporter.preflight(min(self._config.select.count, len(table.frame)))
        with workshop.workshop(self._config.output.path, record.id) as place:
            chosen, proven, dropped = await self._prove(record, exporter, table, place)
            stills = await exporter.publish(chosen, proven, dropped, place)
        unchanged(record.file)
        await self._store.finish(record.id, chosen, stills, after if stills else None)
        log.info(
            "video.done",
            video=str(record.file.path),
            video_id=record.id,
            stills=len(stills),
            shortfall=chosen.shortfall,
        )
        return stills

    async def _prove(
        self, record: VideoRecord, exporter: export.Exporter, table: ScoreTable, place: Path
    ) -> tuple[Selection, dict[int, export.Proven], dict[int, str]]:
        """Choose and prove; a pick that cannot be proven makes room for the next best."""
        proven: dict[int, export.Proven] = {}
        dropped: dict[int, str] = {}
        while True:
            chosen = await self._choose(record, table, dropped)
            log.info(
                "video.selected",
                video=str(record.file.path),
                video_id=record.id,
                requested=chosen.requested,
                chosen=len(chosen.picks),
                shortfall=chosen.shortfall,
            )
            missing = [pick for pick in chosen.picks if pick.frame not in proven]
            made, reasons = await exporter.prove(missing, place) if missing else ({}, {})
            proven |= made
            dropped |= reasons
            if not reasons:
                return chosen, proven, dropped
            if len(dropped) > MAX_DROPPED or (not proven and len(dropped) >= len(missing) > 3):
                raise ExportError(
                    Kind.UNPROVEN,
                    f"{len(dropped)} chosen frames could not be proven to be the scored ones, first:"
                    f" {next(iter(dropped.values()))}; check whether the file was changed, then retry",
                )

    async def _choose(self, record: VideoRecord, table: ScoreTable, banned: dict[int, str]) -> Selection:
        config = self._config.select
        usable = ~table.noted
        if banned:
            usable &= ~np.isin(table.frame, np.fromiter(banned, np.int64))
        choice = selection.choose(
            frame=table.frame,
            time_s=table.time_s,
            score=table.score,
            usable=usable,
            lower_better=bool(record.lower_better),
            count=config.count,
            min_gap_seconds=config.min_gap_seconds,
        )
        rows = await self._store.rows_of(record.id, choice.frames)
        picks = tuple(_pick(rank, rows[frame]) for rank, frame in enumerate(choice.frames, start=1))
        return Selection(picks, config.count, choice.shortfall, selection_params(config, record.scorer))


def selection_params(config: SelectConfig, scorer: str | None) -> dict[str, Any]:
    """What decides a selection, as it is stored: the same parameters give the same picks."""
    return {**config.model_dump(mode="json"), "scorer": scorer}


def _pick(rank: int, row: Scored) -> Pick:
    assert row.score is not None
    return Pick(rank, row.frame, row.pts, row.time_s, row.score, row.hash)


def _source(record: VideoRecord) -> export.Source:
    if record.info is None or record.metric is None or record.lower_better is None or record.scorer is None:
        raise VideoError(Kind.INTERNAL, "the video was never scored: queue it again with `stillwatch retry`")
    return export.Source(
        video_id=record.id,
        file=record.file,
        info=record.info,
        metric=record.metric,
        lower_better=record.lower_better,
        scorer=record.scorer,
        damaged=record.damaged,
        exact=record.damaged or record.mixed,
    )
