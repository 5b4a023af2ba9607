"""From picks to published, proven stills.

Picks are cut out of the source in batches, one FFmpeg decode pass each, and proven by the hash
sidecar. A batch that fails its proof is thrown away and its frames go one by one; a frame that
fails again is decoded with PyAV, encoded from that very frame and compared with it. What still cannot be
proven is reported and never published.

The hashes are those of the native planes. That the binary also makes the scored picture of them is
proven by one still of each kind of conversion, pixel by pixel against the reference decoder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daemon.config.output import ExportConfig, OutputConfig
from daemon.errors import ExportError, Kind
from daemon.export import (
    disk_space,
    ffmpeg_arguments,
    ffmpeg_process,
    file_names,
    manifest,
    metadata,
    proof,
    work_folder,
)
from daemon.export.ffmpeg_arguments import Capabilities, ImageFormat
from daemon.export.proof import Evidence, HashError, ProofError
from daemon.export.reuse import Published, take
from daemon.logs.setup import get
from daemon.media import filters
from daemon.model import FileIdentity, Frame, Method, Pick, Picture, Selection, Still, VideoInfo
from daemon.runtime.stall import reading

log = get(__name__)

CHECK_THREADS = min(4, os.cpu_count() or 1)
"""Images of a batch that are decoded at once to be checked."""

_ALIKE: set[str] = set()
"""Conversions that a binary was seen to do as the scoring does; a flat picture proves none."""

MOST_FAILED_SINGLES = 2
"""So many runs for one frame each that fail before any works: the binary cannot do it, or not with this video."""

Redecode = Callable[[frozenset[int], ImageFormat], Iterator[Frame]]
"""Ordinals to those frames, decoded with one thread, which is deterministic, as pictures of a format."""


@dataclass(frozen=True, slots=True)
class Source:
    """The video that stills are cut from, and who scored it.

    ``exact`` says that only the decoder that scored it can be trusted with it (damage, mixed sizes).
    """

    video_id: int
    file: FileIdentity
    info: VideoInfo
    metric: str
    lower_better: bool
    scorer: str
    damaged: bool
    exact: bool


@dataclass(frozen=True, slots=True)
class Proven:
    """An image in the workshop that was proven to be its frame."""

    path: Path
    evidence: Evidence
    method: Method
    width: int
    height: int


def image_format(output: OutputConfig, info: VideoInfo) -> ImageFormat:
    """What a still of this source is written as."""
    if output.format == "jpeg":
        return ImageFormat("jpg", 8, output.jpeg_quality)
    if output.format == "png8":
        return ImageFormat("png", 8)
    depth = filters.bits(info, filters.layout_of(info))
    return ImageFormat("png", depth, keep_hdr=output.hdr == "keep")


class Exporter:
    """Makes the stills of one video in a workshop and publishes them.

    ``redecode`` is the reference decoder; it runs on a thread of its own, ``decoded`` says how far it is, and it is
    given up when it hangs for ``stuck_seconds``. ``on_progress`` is called whenever something was made, proven or
    decoded.

    ``unsteady`` is set when a frame, decoded with one thread, is not the one that was scored although nothing was
    wrong with the file: it is damaged in a way that decoders do not tell, and has to be scored with one thread.
    """

    def __init__(
        self,
        source: Source,
        config: ExportConfig,
        output: OutputConfig,
        demuxers: str,
        capabilities: Capabilities,
        redecode: Redecode,
        on_progress: Callable[[], None] = lambda: None,
        decoded: Callable[[], int] = lambda: 0,
        stuck_seconds: float = 300.0,
    ) -> None:
        self.unsteady = False
        self._decoded = decoded
        self._stuck_seconds = stuck_seconds
        self._got_on = on_progress
        self._source = source
        self._config = config
        self._output = output
        self._demuxers = demuxers
        self._capabilities = capabilities
        self._redecode = redecode
        self._image = image_format(output, source.info)
        self._size = filters.picture_size(source.info)
        self._log = log.bind(video=str(source.file.path), video_id=source.video_id)

    def preflight(self, stills: int) -> None:
        """Refuse before writing when the disk is too full. Raises ExportError(DISK_FULL)."""
        with disk_space.writing(self._output.path):
            self._output.path.mkdir(parents=True, exist_ok=True)
        width, height = self._size
        need = disk_space.estimate(
            stills=stills,
            select_batch=self._config.select_batch,
            width=width,
            height=height,
            depth=self._image.depth,
            jpeg=self._image.suffix == "jpg",
        )
        disk_space.require(self._output.path, need, self._config.disk_margin_bytes)

    async def reuse(self, picks: Sequence[Pick], published: dict[int, Published], place: Path) -> dict[int, Proven]:
        """Of picks that an earlier selection has published, the images that need not be made again."""
        folder = place / "reused"
        with disk_space.writing(self._output.path):
            folder.mkdir()

        def work() -> dict[int, Proven]:
            found: dict[int, Proven] = {}
            for pick in picks:
                old = published.get(pick.frame)
                path = self._file(folder, pick.frame)
                if old and (evidence := take(old, pick, self._image, *self._size, path)):
                    found[pick.frame] = Proven(path, evidence, old.method, *self._size)
            return found

        return await asyncio.to_thread(work)

    async def prove(self, picks: Sequence[Pick], place: Path) -> tuple[dict[int, Proven], dict[int, str]]:
        """Make an image per pick under ``place``; returns the proven ones and the reasons of the rest.

        Raises ExportError when the output disk is full or cannot be written.
        """
        with disk_space.writing(self._output.path):
            return await self._prove(picks, place)

    async def _prove(self, picks: Sequence[Pick], place: Path) -> tuple[dict[int, Proven], dict[int, str]]:
        expected = {pick.frame: pick.hash for pick in sorted(picks, key=lambda pick: pick.frame)}
        proven: dict[int, Proven] = {}
        reasons: dict[int, str] = {}
        if not self._source.exact:
            ordinals = list(expected)
            for start in range(0, len(ordinals), self._config.select_batch):
                part = {ordinal: expected[ordinal] for ordinal in ordinals[start : start + self._config.select_batch]}
                made = await self._batch(part, place)
                if not made or not await self._converts_alike(made):
                    break
                proven |= made
        left = {ordinal: digest for ordinal, digest in expected.items() if ordinal not in proven}
        if left:
            made, reasons = await self._reference(left, place)
            proven |= made
        return proven, reasons

    async def _batch(self, expected: dict[int, str], place: Path) -> dict[int, Proven]:
        method = Method.BATCH if len(expected) > 1 else Method.SINGLE
        try:
            return await self._pass(expected, place, method, self._config.hwaccel)
        except HashError as error:
            self._log.warning("export.fallback", to="single", frames=len(expected), reason=str(error))
            await self._check_steady(error.frame, expected[error.frame])
        except ProofError as error:
            to = "decode" if error.hopeless else "single"
            self._log.warning("export.fallback", to=to, frames=len(expected), reason=str(error))
            if error.hopeless:
                return {}
        proven: dict[int, Proven] = {}
        failed = 0
        for ordinal, digest in expected.items():
            try:
                proven |= await self._pass({ordinal: digest}, place, Method.SINGLE, "none")
            except ProofError as error:
                self._log.warning("export.fallback", to="decode", frames=1, frame=ordinal, reason=str(error))
                failed += 1
                if not proven and failed >= MOST_FAILED_SINGLES:
                    break
        return proven

    def _reading(self, wanted: frozenset[int]) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
        """The frames from the reference decoder. Raises VideoError(STUCK)."""
        return reading(
            self._redecode(wanted, self._image),
            name=f"decode-again-{self._source.video_id}",
            seconds=self._stuck_seconds,
            what="the decoder",
            progress=self._decoded,
            on_progress=self._got_on,
        )

    async def _check_steady(self, ordinal: int, digest: str) -> None:
        """Whether the planes that were scored are those of a decode with one thread."""
        async with self._reading(frozenset({ordinal})) as decoded:
            async for frame in decoded:
                self._judge_steady(frame, digest)

    def _judge_steady(self, frame: Frame, digest: str) -> bool:
        """Whether the frame is the scored one; where it is not, and the file seemed sound, it is unsteady."""
        same = frame.hash == digest
        if not same and not self._source.damaged:
            self.unsteady = True
        return same

    async def _converts_alike(self, made: dict[int, Proven]) -> bool:
        """Whether this binary makes the same picture of the same planes as the scoring did.

        Asked once for each kind of conversion; of the earliest still, so the decode is short.
        """
        kind = ffmpeg_arguments.conversion(self._capabilities, self._source.info, self._image)
        if kind in _ALIKE:
            return True
        ordinal = min(made)
        reason = f"frame {ordinal} could not be decoded again"
        async with self._reading(frozenset({ordinal})) as decoded:
            async for frame in decoded:
                if frame.picture is None or not self._judge_steady(frame, made[ordinal].evidence.scored_hash):
                    continue
                reason = await asyncio.to_thread(proof.difference, made[ordinal].path, frame.picture)
                spread = int(frame.picture.max()) - int(frame.picture.min())
                if not reason and spread > np.iinfo(frame.picture.dtype).max // 2:
                    _ALIKE.add(kind)
        if reason:
            self._log.warning("export.fallback", to="decode", frames=len(made), reason=reason)
            for one in made.values():
                await asyncio.to_thread(one.path.unlink)
        return not reason

    async def _pass(self, expected: dict[int, str], place: Path, method: Method, hwaccel: str) -> dict[int, Proven]:
        """One FFmpeg run and its proof; a failed run leaves no file behind."""
        ordinals = list(expected)
        folder = place / f"{method}-{ordinals[0]}"
        folder.mkdir()
        arguments, graph = ffmpeg_arguments.export_arguments(
            self._capabilities, self._source.info, ordinals, self._image, self._demuxers, hwaccel=hwaccel
        )
        await asyncio.to_thread((folder / ffmpeg_arguments.SCRIPT).write_text, graph)
        try:
            ended = await ffmpeg_process.run(self._capabilities, arguments, folder, self._config.timeout_seconds)
            if ended.code != 0:
                disk_space.refuse_full(self._output.path, ended.message)
                if len(expected) == 1:
                    ffmpeg_process.refuse_ended(ended)
                reason = f"ffmpeg ended with code {ended.code}: {ended.message[-300:] or 'no message'}"
                raise ProofError(reason, hopeless=ended.timed_out)
            evidence = await asyncio.to_thread(self._check, folder, expected)
        except ProofError:
            await asyncio.to_thread(_empty, folder)
            raise
        self._got_on()
        self._log.info("export.batch", frames=len(expected), method=method.value)
        return {o: Proven(self._file(folder, o), e, method, *self._size) for o, e in evidence.items()}

    def _file(self, folder: Path, ordinal: int) -> Path:
        return folder / f"{ordinal}.{self._image.suffix}"

    def _check(self, folder: Path, expected: dict[int, str]) -> dict[int, Evidence]:
        evidence = proof.check_batch(folder, expected, self._image)
        with ThreadPoolExecutor(CHECK_THREADS, thread_name_prefix="check") as pool:
            files = [self._file(folder, ordinal) for ordinal in expected]
            for _ in pool.map(lambda file: proof.check_image(file, *self._size, self._image), files):
                pass
        return evidence

    async def _reference(self, left: dict[int, str], place: Path) -> tuple[dict[int, Proven], dict[int, str]]:
        """Decode again with the scoring decoder, check the hash, encode from that very frame."""
        folder = place / Method.DECODE
        folder.mkdir(exist_ok=True)
        proven: dict[int, Proven] = {}
        reasons = dict.fromkeys(left, "the frame could not be decoded again")
        async with self._reading(frozenset(left)) as decoded:
            async for frame in decoded:
                if frame.picture is None or not self._judge_steady(frame, left[frame.index]):
                    reasons[frame.index] = "decoding again gave another picture than the scored one"
                    continue
                try:
                    proven[frame.index] = await self._encode(frame, frame.picture, folder)
                    del reasons[frame.index]
                    self._got_on()
                except ProofError as error:
                    reasons[frame.index] = str(error)
        return proven, reasons

    async def _encode(self, frame: Frame, pixels: Picture, folder: Path) -> Proven:
        height, width = pixels.shape[:2]
        path = self._file(folder, frame.index)
        arguments = ffmpeg_arguments.encode_arguments(self._image, width, height, path.name)
        ended = await ffmpeg_process.run(
            self._capabilities, arguments, folder, self._config.timeout_seconds, pixels.tobytes()
        )
        if ended.code != 0:
            disk_space.refuse_full(self._output.path, ended.message)
            ffmpeg_process.refuse_ended(ended)
            # The frame was there: what failed is the program, not the proof.
            raise ExportError(Kind.EXPORT, f"FFmpeg could not encode frame {frame.index}: {ended.message[-300:]}")
        await asyncio.to_thread(proof.check_image, path, width, height, self._image)
        if difference := await asyncio.to_thread(proof.difference, path, pixels):
            raise ProofError(difference)
        return Proven(path, Evidence(frame.hash, frame.hash), Method.DECODE, width, height)

    async def publish(
        self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path
    ) -> list[Still]:
        """Embed the facts, name the files, write the manifest and bring all of it out atomically."""
        with disk_space.writing(self._output.path):
            return await asyncio.to_thread(self._publish, selection, proven, dropped, place)

    def _publish(
        self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path
    ) -> list[Still]:
        source = self._source
        folder = self._output.path / file_names.folder_name(source.file.path.stem, source.file.fingerprint)
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
            selection=selection,
            stills=[(still, pick, proven[pick.frame].evidence) for still, pick in stills],
            dropped=dropped,
            image=self._image,
            capabilities=self._capabilities,
        )
        manifest.write(ready, content)
        folder.parent.mkdir(parents=True, exist_ok=True)
        work_folder.publish(ready, folder, manifest.NAME)
        self._log.info("export.verified", stills=len(stills), folder=str(folder))
        return [replace(still, path=folder / still.path.name) for still, _ in stills]

    def _finish(self, pick: Pick, made: Proven, ready: Path) -> Still:
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
        facts = manifest.facts(source.file, source.info, pick, source.metric, source.scorer, self._image)
        image = made.path.read_bytes()
        target.write_bytes(metadata.embed(image, facts))
        proof.check_embedded(image, target)
        made.path.unlink()
        return Still(
            rank=pick.rank,
            frame=pick.frame,
            time_s=pick.time_s,
            score=pick.score,
            path=target,
            width=made.width,
            height=made.height,
            bytes=target.stat().st_size,
            sha256=proof.sha256_of(target),
            method=made.method,
            reason=pick.reason,
            image=self._image.name,
        )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
