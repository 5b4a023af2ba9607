"""Every packet of a stream through its decoder, and each sign of damage noted on the way."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from daemon.config.score import DecodeConfig
from daemon.decode.blank import BlankBytes
from daemon.decode.budget import refuse_many
from daemon.decode.container import error_text, packets_of
from daemon.decode.damage import ERRORS, DamageError, DecodeReport, Lines, PictureChangeError
from daemon.decode.hardware import NO_DEVICE, HardwareError, beside
from daemon.decode.holes_in_time import HolesInTime
from daemon.decode.sequence_header import sequence_header
from daemon.decode.silent_holes import SilentHoles
from daemon.errors import Kind, VideoError

ASKED_AGAIN = 64
"""Errors in a row, without a packet between them, after which a reading ends whatever the file."""
BYTES_PER_ANSWER = 4096
"""The least that a demuxer looks at before it says once more that it has found nothing."""
HELD_PACKETS = 4
"""A demuxer may hold back so many packets of before a hole until it has found what follows."""
CLOSING_BYTES = 128
"""A multipart stream may end with the line that would begin another part; its demuxer takes that for damage."""
MARKED = "the container marks a packet as corrupt"
_PASSING = (av.error.BlockingIOError, av.error.InvalidDataError)
"""Errors that say something of a place in the file and nothing of the disk under it."""


def nothing_of(_: Packet[Any]) -> None:
    """Look at a packet and do nothing."""


def decoded_frames(
    container: InputContainer,
    stream: VideoStream,
    config: DecodeConfig,
    report: DecodeReport,
    *,
    single_thread: bool,
    decoder: str = "",
    threads: int = 0,
    largest: int = 0,
    begin: Iterator[Packet[Any]] | None = None,
    device: str = NO_DEVICE,
) -> Generator[VideoFrame, None, None]:
    """All frames of the stream, the flushed ones included; signs of damage go to ``report``.

    ``begin`` are its packets from a key packet on, else all are decoded.

    ``decoder`` is the name of FFmpeg's decoder where it is not the codec's usual one; ``threads`` and ``largest``
    (pixels of a frame) 0: as configured.
    ``device`` may decode in place of software, as ``daemon.decode.hardware`` has it. Raises VideoError(TOO_LARGE) for
    more frames or packets than a file of this size may have, HardwareError.

    With ``single_thread`` False the first sign of damage raises DamageError, and a change of the sample aspect
    PictureChangeError.
    """
    context = opened_by(decoder, stream) if decoder else stream.codec_context
    # Without `unaligned` a crop on the left is rounded away, but not by the command line of FFmpeg 9.
    context.options = {"max_pixels": str(largest or config.max_pixels), "flags": "+unaligned"}
    context.thread_type = "NONE" if single_thread else "AUTO"
    context.thread_count = 1 if single_thread else (threads or config.threads)
    context.copy_opaque = single_thread
    context = beside(context, device, stream)
    with ERRORS.watching(any_thread=not single_thread) as lines:
        signs = _DamageSigns(lines, report, stop_at_first=not single_thread)
        aspects = _CodedAspects(may_change=single_thread)
        marks, blank, holes = _CorruptMarks(), BlankBytes(stream), HolesInTime(signs.any_before)
        first_header: bytes | None = None
        frames_given = 0
        try:
            for packet in PacketReader(container, stream, signs, config, begin):
                if damaged := marks.found_before(packet):
                    signs.note_packets(MARKED, damaged)
                if packet is not None and packet.size:
                    report.packets += not packet.is_discard
                    report.index.add(packet)
                    if packet.is_keyframe and not single_thread:
                        # What the decoder says of its shape comes late when it has threads.
                        header = sequence_header(context.name, memoryview(packet)) or first_header
                        if header != first_header is not None:
                            raise PictureChangeError
                        report.header = first_header = header
                    if single_thread:
                        packet.opaque = PacketNumber(report.references.packet(packet.pts, key=packet.is_keyframe))
                    signs.note_blank(blank.of(packet))
                frames = _emptied(context, signs) if holes.before(packet) else []
                frames += _decode(context, packet, signs)
                if frames or single_thread:
                    aspects.look(context, report.references.packets)
                for frame in frames:
                    if frame.is_corrupt:
                        report.corrupt_frames += 1
                        signs.note("a frame is marked corrupt", of_packet=False)
                    number = frame.opaque if single_thread and isinstance(frame.opaque, int) else None
                    report.coded_aspect = aspects.of(number)
                    if single_thread:
                        intra = frame.pict_type == PictureType.I
                        report.references.frame(number, intra=intra, corrupt=frame.is_corrupt)
                    frames_given += 1
                    yield frame
                refuse_many(frames_given, container.size, config)
                signs.note_new_lines()
        finally:
            if not single_thread:
                # Worker threads that log need the GIL; once drained, they log nothing
                # while the context is freed with the GIL held.
                with suppress(av.error.FFmpegError, EOFError, HardwareError):
                    context.decode(None)


class PacketNumber(int):
    """An object of its own for each packet: PyAV tells them apart by their identity, which small integers share."""


class _CorruptMarks:
    """Packets that a demuxer marks: what was sent of them did not come whole, by the counters of a transport stream.

    Many a decoder, FFmpeg's of HEVC for one, shows something all the same and says nothing. A mark is on the packet or,
    where FFmpeg's parser cuts the stream into pictures, on the one before. Where files were joined the counters jump
    too, at the end of a part: only the last packet before a key packet is in doubt then, and is believed. A stream
    most of whose packets are marked never had counters to go by.
    """

    def __init__(self) -> None:
        self._last: list[tuple[bool, bool]] = []
        self._marked = self._given = 0

    def found_before(self, packet: Packet[Any] | None) -> int:
        """How many of the packets given last are damaged, now that the next is known; None at the end of the file."""
        if packet is not None and not packet.size:
            packet = None
        found = 0
        if packet is None:
            found = len(self._last) if any(marked for marked, _ in self._last) else 0
        elif len(self._last) == 2 and self._last[0][0]:
            joined = packet.is_keyframe and not self._last[1][1]
            found = 0 if joined else 2
        if packet is not None:
            self._given += 1
            self._marked += packet.is_corrupt
            self._last = [*self._last[-1:], (bool(packet.is_corrupt), bool(packet.is_keyframe))]
        return found if self._marked <= self._given / 2 else 0


class _CodedAspects:
    """The sample aspect that the stream gives its frames. The decoder says it of the last packet that it was given."""

    def __init__(self, *, may_change: bool) -> None:
        self._may_change = may_change
        self._from: list[int] = []
        self._aspects: list[Fraction] = []

    def look(self, context: Any, packets: int) -> None:
        """After a packet was given: the last of so many. Raises PictureChangeError where that is not to happen."""
        aspect = context.sample_aspect_ratio or Fraction(1)
        if self._aspects and self._aspects[-1] == aspect:
            return
        if self._aspects and not self._may_change:
            raise PictureChangeError
        self._from.append(packets - 1)
        self._aspects.append(aspect)

    def of(self, packet: int | None) -> Fraction | None:
        """The aspect of the frame in a packet; that of the first where it is not known in which it was."""
        if packet is None:
            return self._aspects[0] if self._aspects else None
        return self._aspects[max(bisect_right(self._from, packet) - 1, 0)]


def opened_by(decoder: str, stream: VideoStream) -> Any:
    """A codec context of the named decoder for the stream."""
    context: Any = av.CodecContext.create(decoder, "r")
    context.extradata = stream.codec_context.extradata
    return context


def video_stream(container: InputContainer, index: int) -> VideoStream:
    """The stream that a probe has chosen. Raises VideoError(CHANGED) where it is no video any more."""
    stream = container.streams[index]
    if not isinstance(stream, VideoStream):
        raise VideoError(Kind.CHANGED, f"stream {index} is no video any more: the file was changed")
    return stream


def index_packets(
    container: InputContainer,
    stream: VideoStream,
    config: DecodeConfig,
    report: DecodeReport,
    look: Callable[[Packet[Any]], None] = nothing_of,
) -> None:
    """Note where every packet of the stream lies in ``report.index``, without decoding one.

    ``look`` is given each. Signs of damage that packets show go to ``report``.
    """
    marks, blank = _CorruptMarks(), BlankBytes(stream)
    with ERRORS.watching(any_thread=False) as lines:
        signs = _DamageSigns(lines, report, stop_at_first=False)
        for packet in PacketReader(container, stream, signs, config):
            if damaged := marks.found_before(packet):
                signs.note_packets(MARKED, damaged)
            if packet is not None and packet.size:
                report.packets += not packet.is_discard
                report.index.add(packet)
                signs.note_blank(blank.of(packet))
                look(packet)


class _DamageSigns:
    """Signs of damage in one pass, each together with the first line that FFmpeg has logged since the last."""

    def __init__(self, lines: Lines, report: DecodeReport, *, stop_at_first: bool) -> None:
        self._lines = lines
        self.report = report
        self._stop_at_first = stop_at_first

    def note(self, reason: str, *, of_packet: bool = True) -> None:
        """Count a sign; ``of_packet``: it belongs to the packet that is being decoded."""
        line = self._lines.take()
        if line is not None:
            reason = f"{reason}: {line}" if reason else line
        self.report.note(reason)
        if of_packet:
            self.report.references.damage()
        if self._stop_at_first:
            raise DamageError(reason)

    def note_packets(self, reason: str, last: int) -> None:
        """Count a sign that belongs to so many of the packets that were given last."""
        self.report.references.damage(last)
        self.note(reason, of_packet=False)

    def note_blank(self, blank_bytes: int) -> None:
        """Count what is blank in the packet given last, if anything, as a sign."""
        if blank_bytes:
            self.report.unread_bytes += blank_bytes
            self.note(f"a packet holds {blank_bytes} bytes that no picture has")

    def any_before(self) -> bool:
        """Whether there was a sign so far; one of which the demuxer just told lies before the packet in hand."""
        self.note_new_lines(of_packet=False)
        return self.report.damaged

    def note_new_lines(self, *, of_packet: bool = True) -> None:
        """Lines of FFmpeg that came with no other sign are one themselves."""
        if self._lines.first is not None:
            self.note("", of_packet=of_packet)


class PacketReader:
    """Every packet of a stream and, at the end of the file, the empty one that flushes.

    A demuxer that finds nothing for long, or that stumbles over a damaged place, is asked again: it goes on behind it.
    It is given up when it answers with errors alone, more often than a file of this size can give cause for. Raises
    VideoError(TOO_LARGE) when it gives more packets than a file of this size may have.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        signs: _DamageSigns,
        config: DecodeConfig,
        begin: Iterator[Packet[Any]] | None = None,
    ) -> None:
        self._begin = begin
        self._config = config
        self._container = container
        self._stream = stream
        self._signs = signs
        self._size = max(int(container.size), 0)
        self._silent = SilentHoles(container)
        self._end: int | None = None
        self._last_dts: int | None = None
        self._step = 0
        self._behind_hole = 0
        self._hole_bytes = 0
        self._hole_s = 0.0

    def __iter__(self) -> Iterator[Packet[Any] | None]:
        allowed = ASKED_AGAIN + self._size // BYTES_PER_ANSWER
        packets = self._begin or packets_of(self._container, self._stream)
        errors = given = 0
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                if not errors:
                    self._look_behind()
                break
            except (av.error.FFmpegError, OSError) as error:
                if not errors and self._at_closing_line():
                    yield None
                    return
                errors += 1
                most = allowed if isinstance(error, _PASSING) else ASKED_AGAIN
                if errors == 1 or errors == most:
                    self._signs.note(f"reading {'stopped' if errors == most else 'stumbled'}: {error_text(error)}")
                if errors >= most:
                    self._count_end()
                    yield None
                    return
                packets = packets_of(self._container, self._stream)
                continue
            if errors and packet.size:
                self._behind_hole, self._hole_bytes, self._hole_s, errors = HELD_PACKETS, 0, 0.0, 0
            elif errors:
                self._count_end()
            if self._behind_hole:
                self._behind_hole -= 1
                self._count_hole(packet)
            elif packet.size:
                self._look_before(packet)
            self._follow(packet)
            given += 1
            refuse_many(given, self._size, self._config)
            yield packet

    def _follow(self, packet: Packet[Any]) -> None:
        if packet.pos is not None and packet.pos >= 0:
            self._end = packet.pos + packet.size
        if packet.dts is not None:
            self._last_dts, self._step = packet.dts, packet.duration or 0

    def _count_hole(self, packet: Packet[Any]) -> None:
        """The largest gap between the packets that follow an error is the hole: the first may lie before it."""
        report = self._signs.report
        if packet.pos is not None and self._end is not None:
            found = max(packet.pos - self._end, self._hole_bytes)
            report.unread_bytes += found - self._hole_bytes
            self._hole_bytes = found
        if packet.dts is not None and self._last_dts is not None:
            missing = packet.dts - self._last_dts - self._step
            seconds = max(float(missing * (self._stream.time_base or 0)), self._hole_s)
            report.hole_s += seconds - self._hole_s
            self._hole_s = seconds

    def _look_before(self, packet: Packet[Any]) -> None:
        """What no packet was made of and no error told of, between this packet and the last."""
        if hole := self._silent.bytes_before(packet):
            self._signs.report.unread_bytes += hole
            self._signs.note(f"{hole} bytes before a packet are not what the format has there", of_packet=False)

    def _look_behind(self) -> None:
        """Files that were joined or cut may go on where their demuxer sees an end."""
        if behind := self._silent.bytes_behind(damaged=self._signs.report.damaged):
            self._signs.report.unread_bytes += behind
            reason = f"the last {behind} bytes of the file hold nothing that is read of this stream"
            self._signs.note(reason, of_packet=False)

    def _at_closing_line(self) -> bool:
        multipart = self._container.format.name == "mpjpeg"
        return multipart and self._end is not None and self._size - self._end <= CLOSING_BYTES

    def _count_end(self) -> None:
        if self._end is not None:
            self._signs.report.unread_bytes += max(self._size - self._end, 0)


def _emptied(context: Any, signs: _DamageSigns) -> list[VideoFrame]:
    frames = _decode(context, None, signs)
    context.flush_buffers()
    return frames


def _decode(context: Any, packet: Packet[Any] | None, signs: _DamageSigns) -> list[VideoFrame]:
    try:
        frames: list[VideoFrame] = context.decode(packet)
    except EOFError:
        return []
    except av.error.FFmpegError as error:
        signs.report.lost_packets += 1
        signs.note(f"a packet cannot be decoded: {error_text(error)}")
        return []
    return frames
