"""One way of making images at a time, each with its proof: a run of FFmpeg, or frames that were decoded again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from daemon.config.output import ExportConfig
from daemon.errors import ExportError, Kind
from daemon.export import disk_space, ffmpeg_arguments, ffmpeg_process, proof
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.image_format import ImageFormat
from daemon.export.proof import Evidence, ProofError, Proven
from daemon.job import VideoJob
from daemon.media import filters
from daemon.model import Frame, Method, Picture, VideoInfo

CHECK_THREADS = min(4, os.cpu_count() or 1)
"""Images of a batch that are decoded at once to be checked."""

ENCODE_BYTES = 64 * 1024 * 1024
"""Pictures that one run of FFmpeg encodes: they wait in memory until their files are compared with them."""


class Prover:
    """Makes images of one video's frames in a work folder and gives those that it has proven."""

    def __init__(
        self,
        job: VideoJob,
        info: VideoInfo,
        image: ImageFormat,
        config: ExportConfig,
        output: Path,
        capabilities: Capabilities,
    ) -> None:
        self._log = job.log
        self._on_progress = job.on_progress
        self._info = info
        self._image = image
        self._config = config
        self._output = output
        self._capabilities = capabilities
        self._width, self._height = filters.picture_size(info)

    async def cut(self, expected: dict[int, str], folder: Path, method: Method, hwaccel: str) -> dict[int, Proven]:
        """Cut frames out of the source in one run of FFmpeg; ``expected`` are ordinals with the scored hashes.

        Raises ProofError when a frame is not proven, and then leaves no file behind. Raises ExportError when the run
        says nothing of the video: no room, killed.
        """
        await asyncio.to_thread(folder.mkdir)
        arguments, graph = ffmpeg_arguments.export_arguments(
            self._capabilities, self._info, list(expected), self._image, hwaccel=hwaccel
        )
        await asyncio.to_thread((folder / ffmpeg_arguments.SCRIPT).write_text, graph)
        try:
            run = await ffmpeg_process.run(self._capabilities, arguments, folder, self._config.timeout_seconds)
            if run.code != 0:
                disk_space.refuse_full(self._output, run.message)
                if len(expected) == 1:
                    # Want of memory may be the film's doing, and then the other ways do without.
                    ffmpeg_process.refuse_killed(run)
                reason = f"ffmpeg ended with code {run.code}: {run.message[-300:] or 'no message'}"
                raise ProofError(reason, hopeless=run.timed_out)
            evidence = await asyncio.to_thread(self._check, folder, expected)
        except ProofError:
            await asyncio.to_thread(_remove, folder)
            raise
        self._on_progress()
        self._log.info("export.batch", frames=len(expected), method=method.value)
        return {
            ordinal: Proven(self.path(folder, ordinal), hashes, method, self._width, self._height)
            for ordinal, hashes in evidence.items()
        }

    async def encode(
        self, frames: AsyncIterator[Frame], folder: Path, method: Method
    ) -> tuple[dict[int, Proven], dict[int, str]]:
        """Write the pictures of frames that were decoded again, in few runs, and compare each file with its picture.

        Returns the proven images, and by frame why others are not. Raises ExportError when FFmpeg cannot encode them
        and ``method`` is the last that there is.
        """
        proven: dict[int, Proven] = {}
        failed: dict[int, str] = {}
        async for batch in _batches(frames):
            made, unproven = await self._encode_batch(batch, folder, method)
            proven |= made
            failed |= unproven
        if proven:
            self._log.info("export.batch", frames=len(proven), method=method.value)
        return proven, failed

    async def _encode_batch(
        self, batch: Sequence[Frame], folder: Path, method: Method
    ) -> tuple[dict[int, Proven], dict[int, str]]:
        """Pictures of one size in one run; each by itself where that run fails."""
        place = folder / f"encode-{batch[0].index}-{len(batch)}"
        await asyncio.to_thread(place.mkdir)
        pictures = [np.ascontiguousarray(frame.picture) for frame in batch]
        height, width = pictures[0].shape[:2]
        arguments = ffmpeg_arguments.encode_arguments(self._image, width, height)
        run = await ffmpeg_process.run(
            self._capabilities,
            arguments,
            place,
            self._config.timeout_seconds,
            [picture.data.cast("B") for picture in pictures],
        )
        if run.code != 0:
            disk_space.refuse_full(self._output, run.message)
            if len(batch) > 1:
                return await self._encode_singly(batch, folder, method)
            ffmpeg_process.refuse_ended(run)
            reason = f"FFmpeg could not encode frame {batch[0].index}: {run.message[-300:]}"
            if method is Method.SEEK:
                return {}, {batch[0].index: reason}
            # The frame was there: what failed is the program, not the proof.
            raise ExportError(Kind.EXPORT, reason)
        reasons = await asyncio.to_thread(self._compare, place, pictures)
        self._on_progress()
        proven: dict[int, Proven] = {}
        failed: dict[int, str] = {}
        for number, (frame, reason) in enumerate(zip(batch, reasons, strict=True)):
            if reason:
                failed[frame.index] = reason
                continue
            path = self.path(folder, frame.index)
            await asyncio.to_thread(self.path(place, number).rename, path)
            proven[frame.index] = Proven(path, Evidence(frame.hash, frame.hash), method, width, height)
        return proven, failed

    async def _encode_singly(
        self, batch: Sequence[Frame], folder: Path, method: Method
    ) -> tuple[dict[int, Proven], dict[int, str]]:
        proven: dict[int, Proven] = {}
        failed: dict[int, str] = {}
        for frame in batch:
            made, unproven = await self._encode_batch([frame], folder, method)
            proven |= made
            failed |= unproven
        return proven, failed

    def _compare(self, place: Path, pictures: Sequence[Picture]) -> list[str]:
        """Why each file is not its picture, or nothing."""

        def one(number: int) -> str:
            height, width = pictures[number].shape[:2]
            path = self.path(place, number)
            try:
                proof.check_image(path, width, height, self._image)
            except ProofError as error:
                return str(error)
            return proof.difference(path, pictures[number])

        with ThreadPoolExecutor(CHECK_THREADS, thread_name_prefix="check") as pool:
            return list(pool.map(one, range(len(pictures))))

    def path(self, folder: Path, ordinal: int) -> Path:
        """Where the image of a frame is written."""
        return folder / f"{ordinal}.{self._image.suffix}"

    def _check(self, folder: Path, expected: dict[int, str]) -> dict[int, Evidence]:
        evidence = proof.check_batch(folder, expected, self._image)
        with ThreadPoolExecutor(CHECK_THREADS, thread_name_prefix="check") as pool:
            files = [self.path(folder, ordinal) for ordinal in expected]
            for _ in pool.map(lambda file: proof.check_image(file, self._width, self._height, self._image), files):
                pass
        return evidence


async def _batches(frames: AsyncIterator[Frame]) -> AsyncIterator[list[Frame]]:
    """Frames with pictures of one size, as many as ENCODE_BYTES hold, at least one."""
    batch: list[Frame] = []
    held = 0
    async for frame in frames:
        picture = frame.picture
        if picture is None:
            continue
        first = batch[0].picture if batch else None
        if first is not None and (held + picture.nbytes > ENCODE_BYTES or picture.shape != first.shape):
            yield batch
            batch, held = [], 0
        batch.append(frame)
        held += picture.nbytes
    if batch:
        yield batch


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
