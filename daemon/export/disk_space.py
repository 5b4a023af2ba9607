"""The disk preflight: what an export needs, and a refusal before anything is written."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import ExportError, Kind
from daemon.export.image_format import ImageFormat
from daemon.media import filters
from daemon.model import VideoInfo

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("No space left on device", "Disk quota exceeded")
_HEADER_BYTES = 8192
_JPEG_BYTES_PER_PIXEL = 3.0
_PNG_FRAMING = 1.005
"""FFmpeg writes chunks of 4 KiB with 12 bytes around each; stored deflate blocks add 5 bytes in 32 KiB."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that stay, and bytes that are there at the worst moment beside them."""

    final_bytes: int
    temporary_bytes: int


def estimate(*, stills: int, select_batch: int, width: int, height: int, depth: int, jpeg: bool) -> Need:
    """An upper bound: a PNG's raw samples, one filter byte a line, and what frames them.

    The worst moment is the last batch: its raw images exist once more while facts are embedded.

    >>> estimate(stills=100, select_batch=50, width=1920, height=1080, depth=8, jpeg=False).temporary_bytes
    313058800
    """
    pixels = width * height
    still_bytes = (
        round(pixels * _JPEG_BYTES_PER_PIXEL) if jpeg else round(pixels * 3 * depth / 8 * _PNG_FRAMING) + height
    )
    still_bytes += _HEADER_BYTES
    return Need(final_bytes=stills * still_bytes, temporary_bytes=min(stills, select_batch) * still_bytes)


def of_export(info: VideoInfo, image: ImageFormat, *, stills: int, select_batch: int) -> Need:
    """What an export of a film needs: its stills are made in full size, also where they are scaled then."""
    sizes = [filters.picture_size(one.info) for one in info.stretches] or [filters.picture_size(info)]
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    jpeg = image.suffix == "jpg"
    return estimate(stills=stills, select_batch=select_batch, width=width, height=height, depth=image.depth, jpeg=jpeg)


def has_room(free_bytes: int, need: Need, margin_bytes: int) -> bool:
    """Whether an export may begin."""
    return free_bytes >= need.final_bytes + need.temporary_bytes + margin_bytes


def require(folder: Path, need: Need, margin_bytes: int) -> None:
    """Raise ExportError(DISK_FULL) when the output disk has not enough room."""
    free = shutil.disk_usage(folder).free
    if not has_room(free, need, margin_bytes):
        raise ExportError(
            Kind.DISK_FULL,
            f"the stills may need {_mib(need.final_bytes)}, {_mib(need.temporary_bytes)} more for a while and a margin"
            f" of {_mib(margin_bytes)} (export.disk_margin_bytes), but {folder} has {_mib(free)} free: make room there",
        )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the system says while something is written below ``folder``, as an ExportError with the fix."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(folder) from error
        if error.errno == errno.ELOOP:
            raise ExportError(Kind.EXPORT, f"{error.filename}: {error.strerror}; remove what is there") from error
        raise ExportError(
            Kind.EXPORT, f"{folder} cannot be written: {error.strerror or error}; give this user write permission"
        ) from error


def refuse_full(folder: Path, message: str) -> None:
    """Raise ExportError(DISK_FULL) when the end of FFmpeg's output says so."""
    if any(words in message for words in _FULL_WORDS):
        raise _full(folder)


def _full(folder: Path) -> ExportError:
    return ExportError(Kind.DISK_FULL, f"the disk of {folder} is full, or a quota is: make room there")


def _mib(count: int) -> str:
    return f"{count / 1024**2:.0f} MiB"
