"""Frames from a hardware decoder, for as long as they are bit for bit those of the software decoder.

::

    packets ──┬─▶ software ──▶ frames, given on until so many are known to be equal
              └─▶ device ────▶ the same frames, compared; from then on these are given

A device whose first frames are other ones, that cannot be opened or that ends in mid-film raises HardwareError: whoever
decodes starts over by software. That a device gives other planes later on is seen by nobody here; the proof of a still
decodes by software and compares its hash.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any

import av
import numpy as np
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from daemon.decode.container import error_text
from daemon.decode.damage import ERRORS
from daemon.decode.picture import FrameHasher, has_plain_planes
from daemon.decode.side_data import kinds
from daemon.media.scorable import FLAT_CODES

NO_DEVICE = "none"
CHECKED_FRAMES = 32
"""Frames that are compared, flat ones not counted: more than any codec reorders, so that pictures of every kind are
among them, those that are predicted from both sides too."""
MOST_APART = 128
"""Frames that one decoder may be ahead of the other: both reorder, and the software decoder has threads."""
_PLANAR = {
    "nv12": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p210le": "yuv422p10le",
    "p410le": "yuv444p10le",
}
"""What devices give and what software gives: the same samples in another order, or shifted. All else is another picture
even where the first frames do not show it, such as 8 bits of 10."""
_FACTS = ("width", "height", "pts", "dts", "time_base", "duration", "is_corrupt", "interlaced_frame", "rotation")
_COLOURS = ("color_range", "colorspace", "color_primaries", "color_trc")


class HardwareError(Exception):
    """The device does not decode this film as the software decoder does: why, in a sentence."""


def open_device(device: str, stream: VideoStream) -> Any:
    """A decoder of FFmpeg on a device, whose frames come to the memory of this process.

    Raises HardwareError where there is no such device, or none for this codec.
    """
    reasons = []
    for kind in hwdevices_available() if device == "auto" else [device]:
        with ERRORS.watching(any_thread=False) as lines:
            try:
                accelerator = HWAccel(device_type=kind, allow_software_fallback=True)
                context: Any = av.CodecContext.create(stream.codec_context.codec.name, "r", hwaccel=accelerator)
            except (av.error.FFmpegError, OSError, ValueError, NotImplementedError) as error:
                reasons.append(f"{kind}: {lines.take() or error_text(error)}")
                continue
        if context.is_hwaccel:
            return context
        reasons.append(f"{kind}: no decoder for {stream.codec_context.name}")
    raise HardwareError("; ".join(reasons) or "this build of FFmpeg knows no device")


def beside(software: Any, device: str, stream: VideoStream) -> Any:
    """A decoder on the device, beside that by software at first, which it is where no device is asked for.

    Raises HardwareError.
    """
    if device == NO_DEVICE:
        return software
    if software is not stream.codec_context:
        raise HardwareError(f"{software.name} is no decoder that a device has")
    context = open_device(device, stream)
    context.extradata = stream.codec_context.extradata
    context.options = software.options
    # What the container says of the colours.
    for name in _COLOURS:
        setattr(context, name, getattr(software, name))
    context.thread_count = 1
    return DeviceDecoder(software, context)


class DeviceDecoder:
    """As a codec context: packets in, frames out, in order. Its frames are those of software in any case."""

    def __init__(self, software: Any, device: Any) -> None:
        self._software: Any = software
        self._device = device
        self._hasher = FrameHasher()
        self._layout: tuple[Any, ...] | None = None
        self._of_device: deque[VideoFrame] = deque()
        self._of_software: deque[VideoFrame] = deque()
        self._compared = self._telling = 0
        self._given_already = 0
        self.name: str = software.name

    @property
    def sample_aspect_ratio(self) -> Any:
        """Of the packets given last."""
        return (self._software or self._device).sample_aspect_ratio

    def decode(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        """The frames that are ready. Raises HardwareError where the device fails or differs, EOFError at the end."""
        if self._software is None:
            return self._behind_those_given(self._decoded(packet))
        frames: list[VideoFrame] = self._software.decode(packet)
        self._of_software += frames
        with suppress(EOFError):
            self._of_device += self._decoded(packet)
        while self._of_device and self._of_software and self._telling < CHECKED_FRAMES:
            self._compare(self._of_software.popleft(), self._of_device.popleft())
        if max(len(self._of_device), len(self._of_software)) > MOST_APART:
            raise HardwareError(f"it is {MOST_APART} frames away from the software decoder")
        if self._telling >= CHECKED_FRAMES:
            return frames + self._without_software()
        return frames

    def _decoded(self, packet: Packet[Any] | None) -> list[VideoFrame]:
        try:
            frames = [_planar(frame) for frame in self._device.decode(packet)]
        except EOFError:
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise HardwareError(f"it gives no more frames after some {self._compared}: {error_text(error)}") from error
        for frame in frames:
            layout = (frame.format.name, frame.width, frame.height)
            if self._layout not in (None, layout):
                raise HardwareError("its frames have another shape than those that were compared")
            self._layout = layout
        return frames

    def _compare(self, wanted: VideoFrame, found: VideoFrame) -> None:
        if not has_plain_planes(wanted):
            raise HardwareError(f"frames of {wanted.format.name} are left to software")
        for name in ("pixel format", "side data", *_FACTS, *_COLOURS):
            ours, theirs = _fact(wanted, name), _fact(found, name)
            if ours != theirs:
                raise HardwareError(f"frame {self._compared}: its {name} is {theirs}, that of software {ours}")
        if self._hasher.sha1(wanted) != self._hasher.sha1(found):
            raise HardwareError(f"frame {self._compared}: its planes are not those of software")
        self._compared += 1
        self._telling += _tells(wanted)

    def _without_software(self) -> list[VideoFrame]:
        """From here on. What one of the two has given and the other has not is given once."""
        self._given_already = len(self._of_software)
        self._of_software.clear()
        software, self._software = self._software, None
        # As in every pass: its threads say nothing any more once it is drained.
        with suppress(av.error.FFmpegError, EOFError):
            software.decode(None)
        ahead = list(self._of_device)
        self._of_device.clear()
        return ahead

    def _behind_those_given(self, frames: list[VideoFrame]) -> list[VideoFrame]:
        skipped = min(self._given_already, len(frames))
        self._given_already -= skipped
        self._compared += len(frames)
        return frames[skipped:]


def _planar(frame: VideoFrame) -> VideoFrame:
    """The frame with one plane for each component, as software has them; its samples are what they were."""
    planar = _PLANAR.get(frame.format.name)
    if planar is None:
        return frame
    return frame.reformat(format=planar)


def _fact(frame: VideoFrame, name: str) -> Any:
    if name == "pixel format":
        return frame.format.name
    return kinds(frame) if name == "side data" else getattr(frame, name)


def _tells(frame: VideoFrame) -> bool:
    """Whether a frame shows anything: of a black one all decoders give the same."""
    plane, bits = frame.planes[0], int(frame.format.components[0].bits)
    samples = np.frombuffer(memoryview(plane), np.uint8 if bits <= 8 else np.uint16)
    rows = samples.reshape(plane.height, -1)[:, : frame.width]
    return int(rows.max()) - int(rows.min()) > FLAT_CODES << (bits - 8)
