"""Where a film may be cut so that its spans, each decoded by itself, give the frames of one pass; and how one begins.

A film is cut only where nothing that a pass carries from frame to frame could matter: at a key packet that resets the
decoder, behind all frames before it, in a film whose times go on without a break. Then a frame's ordinal is its
packet's number, and its time follows from its pts alone. What the packets cannot tell (hidden frames, a decoder that
orders otherwise) shows when the spans are decoded: each counts its frames, and has to meet the next one's first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import av
import numpy as np
from av.codec.codec import Properties
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from daemon.config.score import DecodeConfig
from daemon.decode.container import opened, packets_of
from daemon.decode.damage import DecodeReport
from daemon.decode.film_clock import JOINED_CONTAINERS, JUMP_SECONDS
from daemon.decode.key_unit import RESETTING, resets
from daemon.decode.packet_index import NO_TIME, PacketIndex
from daemon.decode.packets import index_packets, video_stream
from daemon.decode.spans import Cut, Span, WholeFilmError
from daemon.model import VideoInfo

EARLIER_S = 1.0
"""A seek that has landed behind its packet is tried again from so much earlier."""
SHORTEST_SHARE = 0.5
"""The last span is at least this share of the others; what would be shorter belongs to the one before."""


def cut_film(info: VideoInfo, config: DecodeConfig, report: DecodeReport, seconds: float) -> Cut:
    """Read every packet, decode none, and cut into spans of about so many seconds.

    Raises WholeFilmError; VideoError when the file cannot be read.
    """
    if info.decoder:
        raise WholeFilmError(f"it is decoded by {info.decoder}")
    if info.codec not in RESETTING and not _intra_only(info.codec):
        raise WholeFilmError(f"of {info.codec} it is not known that it begins anew at a key frame")
    anew: list[bool] = []
    with opened(info.path, config) as container:
        stream = video_stream(container, info.stream_index)
        extradata = stream.codec_context.extradata or b""

        def look(packet: Packet[Any]) -> None:
            anew.append(bool(packet.is_keyframe) and resets(info.codec, extradata, memoryview(packet)))

        index_packets(container, stream, config, report, look)
    if report.damaged:
        raise WholeFilmError(f"damage: {report.first_error}")
    joined = bool(JOINED_CONTAINERS.intersection(info.container.split(",")))
    longest_gap = int(JUMP_SECONDS / info.time_base) if joined else None
    spans = spans_of(report.index.built(), np.array(anew, bool), seconds / float(info.time_base), longest_gap)
    return Cut(spans, report.packets, report.index.packed())


def spans_of(index: PacketIndex, anew: NDArray[np.bool_], length: float, longest_gap: int | None) -> tuple[Span, ...]:
    """The spans of about ``length`` ticks of the packets. ``anew[n]``: packet n resets the decoder. Pure.

    Raises WholeFilmError, also where there would be only one.
    """
    pts = index.pts
    _require_one_clock(index, longest_gap)
    # The latest time of the packets before each, and the earliest of those from each on.
    before = np.concatenate([[np.iinfo(np.int64).min], np.maximum.accumulate(pts)[:-1]])
    after = np.minimum.accumulate(pts[::-1])[::-1]
    closed = (before < pts) & (pts == after)
    may_begin = np.flatnonzero(index.key & anew & closed)
    if not len(may_begin) or may_begin[0] != 0:
        raise WholeFilmError("it does not begin with a key frame that resets its decoder")
    if index.key.sum() == 1:
        raise WholeFilmError("it has no key frames but the first")
    if len(may_begin) == 1:
        raise WholeFilmError(
            "none of its key frames resets its decoder: its groups of pictures are open, or refreshed bit by bit"
        )
    starts, last = [0], int(pts.max())
    for at in map(int, may_begin):
        if pts[at] - pts[starts[-1]] >= length and last - pts[at] >= length * SHORTEST_SHARE:
            starts.append(at)
    if len(starts) == 1:
        raise WholeFilmError("it has no key frame that resets its decoder where it would be cut")
    ends = [*starts[1:], len(index)]
    return tuple(
        Span(
            first=start,
            end=end,
            pts=int(pts[start]),
            next_pts=int(pts[end]) if end < len(index) else None,
            seek=int(index.earliest[start]),
            position=int(index.position[start]),
            size_bytes=int(index.size[start]),
        )
        for start, end in zip(starts, ends, strict=True)
    )


def _require_one_clock(index: PacketIndex, longest_gap: int | None) -> None:
    """Raise WholeFilmError where a frame's time would depend on more than its pts."""
    if not len(index):
        raise WholeFilmError("it has no packets")
    if index.discard.any():
        raise WholeFilmError("an edit list hides frames of it")
    if (index.pts == NO_TIME).any():
        raise WholeFilmError("there are packets without a time of presentation")
    dts = index.dts[index.dts != NO_TIME]
    if (np.diff(dts) < 0).any() or (np.diff(index.pts[index.key]) < 0).any():
        raise WholeFilmError("its clock starts anew")
    steps = np.diff(np.sort(index.pts))
    if (steps == 0).any():
        raise WholeFilmError("several of its packets have the same time")
    if longest_gap is not None and (steps > longest_gap).any():
        raise WholeFilmError("its clock jumps")


def _intra_only(codec: str) -> bool:
    try:
        return bool(Properties(av.Codec(codec, "r").properties) & Properties.INTRA_ONLY)
    except (av.codec.codec.UnknownCodecError, ValueError):
        return False


def from_key(container: InputContainer, stream: VideoStream, span: Span) -> Iterator[Packet[Any]]:
    """The packets of the file from the first of a span on. Raises WholeFilmError where no seek leads there."""
    earlier = span.seek - int(EARLIER_S / (stream.time_base or 1))
    for offset, by_byte in ((span.seek, False), (earlier, False), (span.position, True)):
        if by_byte and offset < 0:
            continue
        try:
            container.seek(offset, stream=stream, unsupported_byte_offset=by_byte)
            packets = packets_of(container, stream)
            if (first := _landed(packets, span)) is not None:
                return chain([first], packets)
        except (av.error.FFmpegError, OSError):
            # Some demuxers cannot seek this way: the next one is tried.
            continue
    raise WholeFilmError(f"no seek leads to its frame {span.first}")


def _landed(packets: Iterator[Packet[Any]], span: Span) -> Packet[Any] | None:
    """The span's first packet, those before it read over; None where the seek has landed behind it."""
    for packet in packets:
        if packet.pts == span.pts and packet.size == span.size_bytes:
            return packet
        if packet.is_keyframe and packet.pts is not None and packet.pts > span.pts:
            return None
    return None


class SpanFrames:
    """Looks at the frames of a span as they come: whether they are its own, all of them, and of one shape."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._last: int | None = None

    def require_next(self, ordinal: int, pts: int | None) -> None:
        """Raise WholeFilmError for a frame that is not the one that the packets have promised."""
        span, last = self._span, self._last
        self._last = pts
        wanted = {span.first: span.pts, span.end: span.next_pts}
        if pts is None or (last is not None and pts <= last) or pts != wanted.get(ordinal, pts):
            raise WholeFilmError(f"frame {ordinal} comes with the time {pts}, which its packets do not say")
        if ordinal < span.end and span.next_pts is not None and pts >= span.next_pts:
            raise WholeFilmError(f"fewer frames than packets come before frame {span.end}")

    def require_all(self, frames: int) -> None:
        """Raise WholeFilmError where the file has ended before the span."""
        if frames != self._span.end:
            raise WholeFilmError(f"{frames} frames come of {self._span.end} packets")
