"""The last step of an export: metadata into the images, names, the manifest, and all of it out at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.config.output import OutputConfig
from daemon.export import disk_space, file_names, manifest, metadata, older_selections, proof, tags, work_folder
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.image_format import ImageFormat
from daemon.export.older_selections import OlderStill
from daemon.export.paths import StillFolder
from daemon.export.proof import Proven
from daemon.export.source import Source
from daemon.export.still_colour import still_colour
from daemon.job import VideoJob
from daemon.model import Pick, Selection, Still


@dataclass(frozen=True, slots=True)
class Ready:
    """Finished stills and their manifest in the work folder ``place``."""

    place: Path
    stills: tuple[Still, ...]


class Publisher:
    """Brings the proven images of a video to its folder below ``output``."""

    def __init__(
        self,
        job: VideoJob,
        source: Source,
        image: ImageFormat,
        output: OutputConfig,
        capabilities: Capabilities,
    ) -> None:
        self._log = job.log
        self._source = source
        self._image = image
        self._output = output
        self._capabilities = capabilities

    async def prepare(
        self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path
    ) -> Ready:
        """Finish the picks, each of which is in ``proven``, and their manifest; ``place`` is the work folder.

        Raises ExportError when the output disk is full or cannot be written.
        """
        with disk_space.writing(self._output.path):
            return await asyncio.to_thread(self._prepare, selection, proven, dropped, place)

    async def publish(self, ready: Ready, folder: StillFolder, older: Sequence[OlderStill] = ()) -> list[Still]:
        """Bring out what was prepared; the names of ``older`` stills, which lie apart, are taken away.

        Raises ExportError when the output disk is full or cannot be written.
        """
        with disk_space.writing(self._output.path):
            return await asyncio.to_thread(self._publish, ready, folder, older)

    def _publish(self, ready: Ready, folder: StillFolder, older: Sequence[OlderStill]) -> list[Still]:
        older_selections.clear(folder, self._output.path, older, {still.path.name for still in ready.stills})
        work_folder.publish(ready.place, folder.path, manifest.NAME, self._output.path)
        self._log.info("export.verified", stills=len(ready.stills), folder=str(folder.path))
        return [replace(still, path=folder.still(still.path.name)) for still in ready.stills]

    def _prepare(self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path) -> Ready:
        source = self._source
        ready = place / "ready"
        ready.mkdir()
        numbers = {frame: at for at, frame in enumerate(sorted(pick.frame for pick in selection.picks), 1)}
        stills = [(self._finish(pick, numbers, proven[pick.frame], ready), pick) for pick in selection.picks]
        content = manifest.document(
            file=source.file,
            info=source.info,
            metric=source.metric,
            lower_better=source.lower_better,
            scorer=source.scorer,
            damaged=source.damaged,
            damage=source.damage,
            selection=selection,
            stills=[(still, pick, proven[pick.frame]) for still, pick in stills],
            dropped=dropped,
            image=self._image,
            capabilities=self._capabilities,
        )
        manifest.write(ready, content)
        return Ready(ready, tuple(still for still, _ in stills))

    def _finish(self, pick: Pick, numbers: dict[int, int], image: Proven, ready: Path) -> Still:
        """``numbers``: by frame, the place of each still in time."""
        source = self._source
        name = file_names.StillName(
            stem=file_names.safe_stem(source.file.path.stem),
            rank=pick.rank,
            frame=pick.frame,
            time_s=pick.time_s,
            metric=source.metric,
            score=pick.score,
            suffix=self._image.suffix,
        )
        target = ready / file_names.name_of(
            name,
            self._output.name,
            number=numbers[pick.frame],
            shot=pick.reason.shot,
            fingerprint=source.file.fingerprint,
            date=source.info.origin.captured_after(pick.time_s) or "",
        )
        facts = manifest.facts(
            source.file,
            source.info,
            pick,
            source.metric,
            source.scorer,
            self._image,
            image.scaled_from,
            numbers[pick.frame],
        )
        shown = tags.tags_of(
            source.file,
            source.info,
            pick,
            metric=source.metric,
            lower_better=source.lower_better,
            of=len(numbers),
            gps=self._output.gps,
        )
        content = image.path.read_bytes()
        colour = still_colour(source.info.at(pick.frame), self._image)
        target.write_bytes(metadata.embed(content, facts, colour, shown))
        proof.check_embedded(content, target)
        image.path.unlink()
        return Still(
            rank=pick.rank,
            frame=pick.frame,
            time_s=pick.time_s,
            score=pick.score,
            path=target,
            width=image.width,
            height=image.height,
            bytes=target.stat().st_size,
            sha256=proof.sha256_of(target),
            method=image.method,
            reason=pick.reason,
            image=self._image.name,
        )
