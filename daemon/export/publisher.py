"""The last step of an export: metadata into the images, names, the manifest, and all of it out at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from daemon.export import disk_space, file_names, manifest, metadata, proof, work_folder
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.image_format import ImageFormat
from daemon.export.proof import Proven
from daemon.export.source import Source
from daemon.export.still_colour import still_colour
from daemon.job import VideoJob
from daemon.model import Pick, Selection, Still


class Publisher:
    """Brings the proven images of a video to its folder below ``output``, in ``folder`` there if there is one."""

    def __init__(
        self,
        job: VideoJob,
        source: Source,
        image: ImageFormat,
        output: Path,
        capabilities: Capabilities,
        folder: str | None = None,
    ) -> None:
        self._folder = folder
        self._log = job.log
        self._source = source
        self._image = image
        self._output = output
        self._capabilities = capabilities

    async def publish(
        self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path
    ) -> list[Still]:
        """Publish the picks, each of which is in ``proven``; ``place`` is the work folder they lie in.

        Raises ExportError when the output disk is full or cannot be written; then nothing is published.
        """
        with disk_space.writing(self._output):
            return await asyncio.to_thread(self._publish, selection, proven, dropped, place)

    def _publish(
        self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path
    ) -> list[Still]:
        source = self._source
        output = self._output if self._folder is None else self._output / self._folder
        folder = output / file_names.folder_name(source.file.path.stem, source.file.fingerprint)
        ready = place / "ready"
        ready.mkdir()
        stills = [(self._finish(pick, proven[pick.frame], ready), pick) for pick in selection.picks]
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
        folder.parent.mkdir(parents=True, exist_ok=True)
        work_folder.publish(ready, folder, manifest.NAME)
        self._log.info("export.verified", stills=len(stills), folder=str(folder))
        return [replace(still, path=folder / still.path.name) for still, _ in stills]

    def _finish(self, pick: Pick, image: Proven, ready: Path) -> Still:
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
        target = ready / file_names.format_name(name)
        facts = manifest.facts(
            source.file, source.info, pick, source.metric, source.scorer, self._image, image.scaled_from
        )
        content = image.path.read_bytes()
        target.write_bytes(metadata.embed(content, facts, still_colour(source.info.at(pick.frame), self._image)))
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
