"""One way of making images at a time, each with its proof: a run of FFmpeg, or one frame that was decoded again."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
        says nothing of the video: no room, no memory, killed.
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
                    ffmpeg_process.refuse_ended(run)
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

    async def encode(self, frame: Frame, picture: Picture, folder: Path) -> Proven:
        """Write the picture of a frame that was decoded again, and compare the file with it.

        Raises ProofError when they differ and ExportError when FFmpeg cannot encode it.
        """
        height, width = picture.shape[:2]
        path = self.path(folder, frame.index)
        arguments = ffmpeg_arguments.encode_arguments(self._image, width, height, path.name)
        run = await ffmpeg_process.run(
            self._capabilities, arguments, folder, self._config.timeout_seconds, picture.tobytes()
        )
        if run.code != 0:
            disk_space.refuse_full(self._output, run.message)
            ffmpeg_process.refuse_ended(run)
            # The frame was there: what failed is the program, not the proof.
            raise ExportError(Kind.EXPORT, f"FFmpeg could not encode frame {frame.index}: {run.message[-300:]}")
        await asyncio.to_thread(proof.check_image, path, width, height, self._image)
        if difference := await asyncio.to_thread(proof.difference, path, picture):
            raise ProofError(difference)
        self._on_progress()
        return Proven(path, Evidence(frame.hash, frame.hash), Method.DECODE, width, height)

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


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
