"""What one film may take: frames and packets by the size of its file, memory by the size of its frames."""

from __future__ import annotations

import os

from av.video.format import VideoFormat

from daemon.config.score import DecodeConfig
from daemon.errors import Kind, VideoError
from daemon.media import filters
from daemon.model import VideoInfo

FREE_FRAMES = 1000
"""Any file may have so many, however small it is."""
KIB = 1024
AHEAD_FRAMES = 3
"""Decoded frames that wait for whoever takes them, so that the decoder's threads have work meanwhile."""
HELD_FRAMES = 4
"""Decoded frames that a decoder and who takes them hold at once, besides one for each thread."""
HELD_PICTURES = 3
"""A picture in the filters, one on its way and one in the scorer."""
MOST_THREADS = 16
"""FFmpeg starts no more by itself."""
WIDEST_BYTES = 8
"""Bytes a pixel of FFmpeg's common formats, at most."""
BLOCK_PIXELS = 128
"""Decoders make room for whole blocks."""


def most_frames(size_bytes: int, config: DecodeConfig) -> int:
    """How many frames, and how many packets, a file of this size may have.

    >>> most_frames(4887, DecodeConfig()), most_frames(10**12, DecodeConfig())
    (1610, 5000000)
    """
    return min(FREE_FRAMES + max(size_bytes, 0) * config.max_frames_per_kib // KIB, config.max_frames)


def refuse_many(count: int, size_bytes: int, config: DecodeConfig) -> None:
    """Raise VideoError(TOO_LARGE) for more frames or packets than a file of this size may have."""
    if count <= most_frames(size_bytes, config):
        return
    if count > config.max_frames:
        raise VideoError(Kind.TOO_LARGE, f"more frames than decode.max_frames = {config.max_frames}")
    raise VideoError(
        Kind.TOO_LARGE,
        f"more than {count - 1} frames in {size_bytes} bytes:"
        f" decode.max_frames_per_kib = {config.max_frames_per_kib} allows no more of a file of this size",
    )


def film_bytes(config: DecodeConfig) -> int:
    """The memory for decoding one film, of those that are decoded side by side."""
    return config.memory_bytes // config.concurrency


def threads_for(info: VideoInfo, config: DecodeConfig) -> int:
    """How many threads may decode the film, 0: as many as FFmpeg takes.

    Raises VideoError(TOO_LARGE) where not even one may.
    """
    allowed = _frames_left(info, config)
    if allowed < 1:
        needed = _picture_bytes(info) + (HELD_FRAMES + 1) * _frame_bytes(info)
        raise VideoError(
            Kind.TOO_LARGE,
            f"frames of {info.width}x{info.height} {info.pix_fmt} take {needed // KIB**2} MiB to be decoded and scored:"
            f" decode.memory_bytes allows {film_bytes(config) // KIB**2} MiB for each film",
        )
    return config.threads if allowed >= (config.threads or _automatic()) else allowed


def ahead_for(info: VideoInfo, config: DecodeConfig) -> int:
    """How many decoded frames may wait for whoever takes them, beside all threads that decode."""
    return max(min(_frames_left(info, config) - (config.threads or _automatic()), AHEAD_FRAMES), 0)


def _frames_left(info: VideoInfo, config: DecodeConfig) -> int:
    """How many frames there is memory for beside what is always held."""
    frame = _frame_bytes(info)
    return (film_bytes(config) - _picture_bytes(info) - HELD_FRAMES * frame) // max(frame, 1)


def _picture_bytes(info: VideoInfo) -> int:
    """All pictures of a film that are held at once."""
    width, height = filters.picture_size(info)
    return HELD_PICTURES * width * height * 3 * filters.bits(info, filters.layout_of(info)) // 8


def _frame_bytes(info: VideoInfo) -> int:
    return info.width * info.height * VideoFormat(info.pix_fmt).padded_bits_per_pixel // 8


def _automatic() -> int:
    """As many as FFmpeg would take."""
    return min((os.cpu_count() or 1) + 1, MOST_THREADS)


def most_pixels(width: int, height: int, config: DecodeConfig) -> int:
    """How large a frame may become in the middle of a film that begins with this size, whatever its format."""
    begun = _whole_blocks(width) * _whole_blocks(height)
    bytes_a_pixel = (HELD_FRAMES + AHEAD_FRAMES + (config.threads or _automatic())) * WIDEST_BYTES + HELD_PICTURES * 6
    return min(config.max_pixels, max(begun, film_bytes(config) // bytes_a_pixel))


def _whole_blocks(side: int) -> int:
    return -(-side // BLOCK_PIXELS) * BLOCK_PIXELS
