"""One video's way through the stages, the second half: select, export, prove, publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from daemon.config.schema import Config
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.errors import ExportError, Kind, VideoError
from daemon.events import Heartbeat, Listener, ignore
from daemon.export import exporter as export
from daemon.export import work_folder
from daemon.export.ffmpeg_arguments import Capabilities, ImageFormat
from daemon.export.reuse import Published
from daemon.inbox.identity import require_unchanged
from daemon.logs.setup import get
from daemon.media.source import DEMUXERS
from daemon.model import Frame, Method, Selection, Status, Still, VideoRecord
from daemon.pipeline.select_frames import Chooser
from daemon.store.store import Store

log = get(__name__)

MAX_DROPPED = 50
"""So many picks that cannot be proven mean that the source is not what was scored."""


class Finalizer:
    """Takes scored videos to their published stills."""

    def __init__(self, config: Config, store: Store, listener: Listener = ignore) -> None:
        self._config = config
        self._store = store
        self._listener = listener

    async def finish(
        self, record: VideoRecord, capabilities: Capabilities, after: str | None = None
    ) -> list[Still] | None:
        """Select, export, prove and publish the stills of a scored video; marks it done.

        ``after``, move or delete, becomes due for the source if there is a still. None when the film turned out to
        be damaged: it is queued again, to be scored with one thread. Raises ExportError, VideoError.
        """
        await require_unchanged(record.file, self._config.service.stuck_seconds)

        def on_progress() -> None:
            self._listener(Heartbeat(record.id, Status.EXPORTING))

        exporter = self._exporter(record, capabilities, on_progress)
        chooser = Chooser(self._config, self._store, record, on_progress)
        first = await chooser.choose()
        exporter.preflight(len(first.picks))
        with work_folder.workshop(self._config.output.path, record.id) as place:
            chosen, proven, dropped = await self._prove(record, exporter, chooser, first, place)
            if exporter.unsteady:
                await self._score_again(record)
                return None
            # What is published is proven by its hashes; a source that has changed by now is taken anew anyway.
            await require_unchanged(record.file, self._config.service.stuck_seconds)
            stills = await exporter.publish(chosen, proven, dropped, place)
        await self._store.finish(record.id, chosen, stills, after if stills else None)
        log.info(
            "video.done",
            video=str(record.file.path),
            video_id=record.id,
            stills=len(stills),
            shortfall=chosen.shortfall,
        )
        return stills

    def _exporter(
        self, record: VideoRecord, capabilities: Capabilities, on_progress: Callable[[], None]
    ) -> export.Exporter:
        source = _source(record)
        reports: list[DecodeReport] = []

        def redecode(wanted: frozenset[int], image: ImageFormat) -> Iterator[Frame]:
            reports.append(DecodeReport())
            return decode_frames(
                source.info,
                self._config.decode,
                reports[-1],
                single_thread=True,
                wanted=wanted,
                depth=image.depth,
                keep_hdr=image.keep_hdr,
            )

        return export.Exporter(
            source,
            self._config.export,
            self._config.output,
            DEMUXERS,
            capabilities,
            redecode,
            on_progress,
            lambda: sum(report.frames for report in reports),
            self._config.service.stuck_seconds,
        )

    async def _score_again(self, record: VideoRecord) -> None:
        await self._store.score_again(record.id)
        log.warning(
            "video.damaged",
            video=str(record.file.path),
            video_id=record.id,
            reason="decoding again gave other pictures than those that were scored",
            action="scoring again with one thread",
        )

    async def _prove(
        self, record: VideoRecord, exporter: export.Exporter, chooser: Chooser, chosen: Selection, place: Path
    ) -> tuple[Selection, dict[int, export.Proven], dict[int, str]]:
        """Choose and prove; a pick that cannot be proven makes room for the next best."""
        published = {row["frame"]: _published(row) for row in await self._store.published(record.id)}
        proven = await exporter.reuse(chosen.picks, published, place)
        dropped: dict[int, str] = {}
        while True:
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
            if not reasons or exporter.unsteady:
                return chosen, proven, dropped
            if len(dropped) > MAX_DROPPED or (not proven and len(dropped) >= len(missing) > 3):
                raise _unproven(dropped)
            chosen = await chooser.choose(dropped)
            if not chosen.picks:
                raise _unproven(dropped)


def _unproven(dropped: dict[int, str]) -> ExportError:
    what = "the chosen frame" if len(dropped) == 1 else f"{len(dropped)} chosen frames"
    return ExportError(
        Kind.UNPROVEN,
        f"{what} could not be proven to be what was scored, first: {next(iter(dropped.values()))};"
        " check whether the file was changed, then retry",
    )


def _published(row: dict[str, Any]) -> Published:
    return Published(row["frame"], row["path"], row["sha256"], row["image"], Method(row["method"]))


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
