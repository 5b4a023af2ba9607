"""One video's way through the stages, the second half: select, export, prove, publish."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.config.schema import Config
from daemon.errors import ExportError, Kind
from daemon.export import beside, work_folder
from daemon.export.exporter import Exporter, Proofs, ProvenConversions
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.reuse import Published
from daemon.inbox.held_source import held
from daemon.inbox.identity import require_unchanged
from daemon.job import VideoJob
from daemon.model import Selection, Still
from daemon.pipeline.given_pictures import GivenPictures
from daemon.pipeline.older_selections import OlderSelections
from daemon.pipeline.portraits import Faces
from daemon.pipeline.reference import FilmPackets, PyavReference
from daemon.pipeline.refine import Refiner
from daemon.pipeline.select_frames import FrameSelector
from daemon.pipeline.wishes import Wishes
from daemon.store.selections import PublishedStill
from daemon.store.store import Store

MAX_DROPPED = 50
"""When more picks than this cannot be proven, the source is not what was scored."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The video is done; ``stills`` were published."""

    stills: tuple[Still, ...]


@dataclass(frozen=True, slots=True)
class ScoreAgain:
    """The video turned out to be damaged and was queued again, to be scored with one thread."""


class VideoExporter:
    """Takes scored videos to their published stills."""

    def __init__(self, config: Config, store: Store, capabilities: Capabilities) -> None:
        self._config = config
        self._store = store
        self._capabilities = capabilities
        self._refiner = Refiner(config, store)
        self._given = GivenPictures(store)
        self._faces = Faces(store)
        self._conversions: ProvenConversions = set()

    async def close(self) -> None:
        """Free what was kept open for the next video."""
        await self._refiner.close()
        self._faces.close()

    def reconfigure(self, config: Config) -> None:
        """Export the next video with these settings."""
        self._config = config

    async def export(
        self,
        job: VideoJob,
        after: str | None = None,
        wishes: Wishes | None = None,
        folder: str | None = None,
        config: Config | None = None,
    ) -> Exported | ScoreAgain:
        """Select, export, prove and publish the stills of a scored video; marks it done.

        ``after``, move or delete, becomes due for the source if there is a still. ``wishes`` are frames that are always
        or never chosen; None: the pins and bans that hold. ``folder`` is a folder of its own below the output's: the
        current selection then stays what it is. ``config``: other settings than the usual ones, for this film alone.
        Raises ExportError, VideoError, ScorerError.
        """
        async with held(job, self._config.watch) as with_source:
            return await self._export(with_source, after, wishes, folder, config or self._config)

    async def _export(
        self, job: VideoJob, after: str | None, wishes: Wishes | None, folder: str | None, config: Config
    ) -> Exported | ScoreAgain:
        record = job.record
        decoder = PyavReference(job, config.decode, FilmPackets(self._store, job, config.decode))
        exporter = Exporter(job, config.export, config.output, self._capabilities, decoder, self._conversions)
        selector = FrameSelector(config, self._store, job, self._refiner, wishes, self._given, self._faces)
        first = await selector.select()
        exporter.preflight(len(first.picks))
        with work_folder.fresh(config.output.path, record.id) as place:
            selection, proofs = await self._prove(job, exporter, selector, first, place)
            if proofs.unsteady:
                await self._score_again(job)
                return ScoreAgain()
            # What is published is proven by its hashes; a source that has changed by now is taken anew anyway.
            await require_unchanged(record.file, job.stall_seconds)
            if folder is not None:
                selection = replace(selection, params={**selection.params, "folder": folder})
            ready = await exporter.prepare(selection, proofs.proven, proofs.dropped, place)
            older = OlderSelections(self._store, config.output, record, folder)
            stills_folder = await older.folder()
            stills = await exporter.publish(ready, stills_folder, await older.set_apart(stills_folder))
        current = await self._store.selections.finish(record.id, selection, stills, after if stills else None)
        await older.prune(stills_folder, current)
        if folder is None:
            await self._beside(job, config, stills)
        job.log.info("video.done", stills=len(stills), shortfall=selection.shortfall)
        return Exported(tuple(stills))

    async def _beside(self, job: VideoJob, config: Config, stills: list[Still]) -> None:
        """The pictures beside the film; where they cannot be made, that is said and nothing else."""
        file, templates = job.record.file, config.output.beside
        if not templates:
            return
        try:
            taken = await asyncio.to_thread(
                beside.renew, file.path, file.fingerprint, templates, stills, config.watch.bounds(file.path)
            )
        except OSError as error:
            job.log.warning("export.not_beside", reason=f"{file.path.parent}: {error.strerror or error}")
            return
        if taken:
            job.log.warning("export.not_beside", reason=f"there is another file of the name {', '.join(taken)}")

    async def _score_again(self, job: VideoJob) -> None:
        await self._store.queue.score_again(job.record.id)
        job.log.warning(
            "video.damaged",
            reason="decoding again gave other pictures than those that were scored",
            action="scoring again with one thread",
        )

    async def _prove(
        self, job: VideoJob, exporter: Exporter, selector: FrameSelector, selection: Selection, place: Path
    ) -> tuple[Selection, Proofs]:
        """Prove the picks; one that cannot be proven makes room for the next best."""
        published = {row.frame: _published(row) for row in await self._store.selections.published(job.record.id)}
        proofs = Proofs(await exporter.reuse(selection.picks, published, place))
        while True:
            job.log.info(
                "video.selected",
                requested=selection.requested,
                chosen=len(selection.picks),
                shortfall=selection.shortfall,
            )
            missing = [pick for pick in selection.picks if pick.frame not in proofs.proven]
            made = await exporter.prove(missing, place)
            proofs |= made
            if not made.dropped or proofs.unsteady:
                return selection, proofs
            dropped = proofs.dropped
            if len(dropped) > MAX_DROPPED or (not proofs.proven and len(dropped) >= len(missing) > 3):
                raise _unproven(dropped)
            selection = await selector.select(dropped)
            if not selection.picks:
                raise _unproven(dropped)


def _unproven(dropped: dict[int, str]) -> ExportError:
    what = "the chosen frame" if len(dropped) == 1 else f"{len(dropped)} chosen frames"
    return ExportError(
        Kind.UNPROVEN,
        f"{what} could not be proven to be what was scored, first: {next(iter(dropped.values()))};"
        " check whether the file was changed, then retry",
    )


def _published(row: PublishedStill) -> Published:
    return Published(row.frame, row.path, row.sha256, row.image, row.method)
