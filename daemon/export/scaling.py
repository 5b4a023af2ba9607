"""Stills of another size than their frames: proven first, then read back, scaled, written and compared once more."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from daemon.config.output import ExportConfig
from daemon.errors import ExportError, Kind
from daemon.export import disk_space, ffmpeg_arguments, ffmpeg_process
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.image_format import ImageFormat
from daemon.export.proof import Proven
from daemon.export.prover import Prover
from daemon.model import Frame, Picture

FILTER = Image.Resampling.LANCZOS


def target_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """Width and height with no side longer than ``longest`` pixels; 0: as they are.

    >>> target_size(1920, 1080, 640), target_size(1080, 1920, 640), target_size(320, 240, 640), target_size(9000, 2, 90)
    ((640, 360), (360, 640), (320, 240), (90, 1))
    """
    most = max(width, height)
    if not longest or most <= longest:
        return width, height
    return max(1, round(width * longest / most)), max(1, round(height * longest / most))


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """A picture of 8 or 16 bits a sample in another size, by a Lanczos filter; the same wherever it is asked for."""
    if picture.dtype == np.uint8:
        return np.asarray(Image.fromarray(picture).resize((width, height), FILTER), np.uint8)
    # Pillow has no colours of 16 bits: one at a time, in float32, which holds them exactly.
    planes = [
        np.asarray(Image.fromarray(picture[..., colour].astype(np.float32)).resize((width, height), FILTER))
        for colour in range(picture.shape[2])
    ]
    return np.stack(planes, axis=-1).round().clip(0, np.iinfo(np.uint16).max).astype(np.uint16)


class Scaler:
    """Scales proven images of one video as its format says."""

    def __init__(
        self, prover: Prover, image: ImageFormat, config: ExportConfig, output: Path, capabilities: Capabilities
    ) -> None:
        self._prover = prover
        self._image = image
        self._config = config
        self._output = output
        self._capabilities = capabilities

    async def scale(self, proven: dict[int, Proven], place: Path) -> dict[int, Proven]:
        """All of them, those that are larger than ``size`` scaled. Raises ExportError."""
        larger = {frame: one for frame, one in proven.items() if self._target(one) != (one.width, one.height)}
        if not larger:
            return proven
        folder = place / "scaled"
        await asyncio.to_thread(folder.mkdir)
        some = next(iter(larger.values()))
        made, failed = await self._prover.encode(self._pictures(larger, folder), folder, some.method)
        if failed:
            frame, reason = next(iter(failed.items()))
            raise ExportError(Kind.UNPROVEN, f"the scaled still of frame {frame} is not its picture ({reason}): retry")
        return {**proven, **{frame: _instead(larger[frame], one) for frame, one in made.items()}}

    def _target(self, one: Proven) -> tuple[int, int]:
        return target_size(one.width, one.height, self._image.size)

    async def _pictures(self, larger: dict[int, Proven], folder: Path) -> AsyncIterator[Frame]:
        for frame, one in sorted(larger.items()):
            picture = await self._read(one, folder)
            small = await asyncio.to_thread(scaled, picture, *self._target(one))
            yield Frame(frame, None, 0.0, one.evidence.exported_hash, small)

    async def _read(self, one: Proven, folder: Path) -> Picture:
        raw = folder / "picture.raw"
        arguments = ffmpeg_arguments.read_arguments(self._image, os.path.relpath(one.path, folder), raw.name)
        run = await ffmpeg_process.run(self._capabilities, arguments, folder, self._config.timeout_seconds)
        if run.code != 0:
            disk_space.refuse_full(self._output, run.message)
            ffmpeg_process.refuse_ended(run)
            raise ExportError(Kind.EXPORT, f"FFmpeg could not read {one.path.name} to scale it: {run.message[-300:]}")
        data = await asyncio.to_thread(raw.read_bytes)
        await asyncio.to_thread(raw.unlink)
        shape = (one.height, one.width, 3)
        if self._image.depth == 16:
            return np.frombuffer(data, "<u2").astype(np.uint16).reshape(shape)
        return np.frombuffer(data, np.uint8).reshape(shape)


def _instead(large: Proven, small: Proven) -> Proven:
    large.path.unlink()
    return replace(
        large, path=small.path, width=small.width, height=small.height, scaled_from=(large.width, large.height)
    )
