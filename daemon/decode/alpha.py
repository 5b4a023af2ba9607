"""Pictures with transparency: who decodes it, and which ground shows what is to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import av
import numpy as np
from av.video.frame import VideoFrame

from daemon.media.alpha import GROUNDS

MOST_FRAMES = 48
"""Frames at the film's beginning that are looked at for transparency."""
ENOUGH_FRAMES = 8
"""Frames of which something is seen, and something is not, that decide."""
_WIDTH = 160
_OPAQUE = 250
_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these codecs do not read the transparency that Matroska stores beside the pictures."""


def alpha_decoder(codec: str) -> str:
    """The decoder that gives alpha where a track says that it has it; "" where there is none but the usual one."""
    name = _DECODERS.get(codec, "")
    return name if name in av.codecs_available else ""


def ground_of(frames: Iterator[VideoFrame]) -> str:
    """The ground, ``light`` or ``dark``, from which what is opaque differs most in the film's first frames.

    "" where nothing of them is transparent. Frames of which nothing is seen do not count.
    """
    apart = dict.fromkeys(GROUNDS, 0.0)
    transparent, seen = False, 0
    for frame in islice(frames, MOST_FRAMES):
        height = max(round(frame.height * _WIDTH / frame.width), 1)
        picture = frame.reformat(_WIDTH, height, "rgba").to_ndarray().astype(np.float64)
        opacity = picture[..., 3]
        transparent |= bool((opacity < _OPAQUE).any())
        if opacity.max() < 255 - _OPAQUE:
            continue
        light = picture[..., :3].mean(axis=2)
        for ground, gray in GROUNDS.items():
            apart[ground] += float((np.abs(light - gray) * opacity).sum())
        seen += 1
        if transparent and seen >= ENOUGH_FRAMES:
            break
    return max(apart, key=lambda ground: apart[ground]) if transparent else ""
