"""Pictures with transparency: who decodes it, and which ground shows what is to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from daemon.decode.container import packets_of
from daemon.decode.damage import ERRORS
from daemon.media.alpha import GROUNDS

FIRST_FRAMES = 48
"""Frames at the film's beginning that are looked at for transparency."""
PLACES = 32
"""Places in the rest of the film at which one frame is looked at, where the first ones are opaque."""
LATER_FRAMES = 1000
"""Frames of the rest that are looked at where there is no seeking: animated pictures, which are small."""
FRAMES_A_PLACE = 256
"""Frames that are decoded from a key frame on to get to a place."""
SILENT_PACKETS = 64
ENOUGH_FRAMES = 8
"""Frames of which something is seen, and something is not, that decide."""
_MOST_WIDTH = 1280
_OPAQUE = 250
_UNSOUGHT = ("gif", "apng")
_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these codecs do not read the transparency that Matroska stores beside the pictures."""


def alpha_decoder(codec: str) -> str:
    """The decoder that gives alpha where a track says that it has it; "" where there is none but the usual one."""
    name = _DECODERS.get(codec, "")
    return name if name in av.codecs_available else ""


def later_frames(container: InputContainer, stream: VideoStream, context: Any) -> Iterator[VideoFrame]:
    """Frames from all over a film, for which ``container`` was opened anew; damaged places are passed."""
    length = stream.duration or int((container.duration or 0) / 1_000_000 / (stream.time_base or 1))
    with ERRORS.watching(any_thread=False):
        if not length or container.format.name in _UNSOUGHT:
            yield from islice(_decoded(container, stream, context), LATER_FRAMES)
            return
        for place in range(1, PLACES):
            with suppress(av.error.FFmpegError, OSError):
                pts = (stream.start_time or 0) + length * place // PLACES
                container.seek(pts, stream=stream)
                context.flush_buffers()
                after_key = islice(_decoded(container, stream, context), FRAMES_A_PLACE)
                yield from islice((frame for frame in after_key if frame.pts is None or frame.pts >= pts), 1)


def _decoded(container: InputContainer, stream: VideoStream, context: Any) -> Iterator[VideoFrame]:
    silent = 0
    for packet in packets_of(container, stream):
        frames: list[VideoFrame] = []
        with suppress(av.error.FFmpegError, EOFError):
            frames = context.decode(packet)
        yield from frames
        silent = 0 if frames else silent + 1
        if silent > SILENT_PACKETS:
            return


def ground_of(frames: Iterator[VideoFrame]) -> str:
    """The ground, ``light`` or ``dark``, from which what is opaque differs most in these frames.

    "" where nothing of them is transparent. Frames of which nothing is seen do not count.
    """
    apart = dict.fromkeys(GROUNDS, 0.0)
    transparent, seen = False, 0
    for frame in frames:
        width = min(frame.width, _MOST_WIDTH)
        height = max(round(frame.height * width / frame.width), 1)
        # Not mixed: what is under a transparent pixel is any colour, and would get into thin lines beside it.
        picture = frame.reformat(width, height, "rgba", interpolation=Interpolation.POINT).to_ndarray()
        opacity = picture[..., 3]
        transparent |= bool((opacity < _OPAQUE).any())
        if opacity.max() < 255 - _OPAQUE:
            continue
        seen_at = opacity > 0
        light, weight = picture[seen_at][:, :3].mean(axis=1), opacity[seen_at].astype(np.float64)
        for ground, gray in GROUNDS.items():
            apart[ground] += float((np.abs(light - gray) * weight).sum())
        seen += 1
        if transparent and seen >= ENOUGH_FRAMES:
            break
    return max(apart, key=lambda ground: apart[ground]) if transparent else ""
