"""Devices that decode by software and then do what devices do: the same, another layout, other planes, an early end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

Change = Callable[[int, VideoFrame], VideoFrame]


class Device:
    """A decoder whose ``n``-th frame is what ``change`` makes of software's; it is asked by ``decode`` alone."""

    def __init__(self, codec: str, change: Change, *, late: int = 0) -> None:
        self._context: Any = av.CodecContext.create(codec, "r")
        self._change = change
        self._late: list[VideoFrame] = []
        self._lateness = late
        self.given = 0

    def __setattr__(self, name: str, value: Any) -> None:
        # What is set before decoding is meant for the decoder.
        own = name.startswith("_") or name == "given"
        object.__setattr__(self, name, value) if own else setattr(self._context, name, value)

    @property
    def sample_aspect_ratio(self) -> Any:
        return self._context.sample_aspect_ratio

    def decode(self, packet: Any) -> list[VideoFrame]:
        flushed = packet is None or not packet.size
        self._late += self._context.decode(packet)
        ready = len(self._late) if flushed else max(len(self._late) - self._lateness, 0)
        frames = [self._change(self.given + at, frame) for at, frame in enumerate(self._late[:ready])]
        del self._late[:ready]
        self.given += len(frames)
        return frames


def equal(_: int, frame: VideoFrame) -> VideoFrame:
    return frame


def made(frame: VideoFrame, **how: Any) -> VideoFrame:
    other = frame.reformat(**how)
    other.color_range = frame.color_range
    return other


def semiplanar(_: int, frame: VideoFrame) -> VideoFrame:
    """As devices lay frames out."""
    return made(frame, format="nv12" if frame.format.name == "yuv420p" else "p010le")


def eight_bits(_: int, frame: VideoFrame) -> VideoFrame:
    return made(frame, format="nv12")


def changed(frame: VideoFrame) -> VideoFrame:
    """One sample is one code off."""
    other = made(made(frame, format="nv12"), format="yuv420p")
    samples = np.frombuffer(memoryview(other.planes[0]), np.uint8)
    samples[0] ^= 1
    return other


def unequal_from(first: int) -> Change:
    return lambda number, frame: changed(frame) if number >= first else frame


def another_time(number: int, frame: VideoFrame) -> VideoFrame:
    if number == 3:
        frame.pts = (frame.pts or 0) + 1
    return frame


def dies_at(last: int) -> Change:
    def change(number: int, frame: VideoFrame) -> VideoFrame:
        if number >= last:
            raise av.error.ExternalError(-542398533, "Generic error in an external library")
        return frame

    return change


def another_size_at(first: int) -> Change:
    return lambda number, frame: made(frame, width=160) if number >= first else frame


KINDS: dict[str, Change] = {
    "equal": equal,
    "semiplanar": semiplanar,
    "unequal": unequal_from(3),
    "unequal_later": unequal_from(60),
    "dies": dies_at(60),
}
"""By the name that stands in ``decode.hwaccel``."""


def open_by_name(device: str, stream: Any) -> Device:
    """In place of ``daemon.decode.hardware.open_device``."""
    return Device(stream.codec_context.codec.name, KINDS[device])
