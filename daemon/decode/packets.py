"""Every packet of a stream through its decoder, and each sign of damage noted on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from daemon.config.score import DecodeConfig
from daemon.decode.container import error_text
from daemon.decode.damage import ERRORS, DamageError, DecodeReport


def decoded_frames(
    container: InputContainer,
    stream: VideoStream,
    config: DecodeConfig,
    report: DecodeReport,
    *,
    single_thread: bool,
) -> Iterator[VideoFrame]:
    """All frames of the stream, the flushed ones included; signs of damage go to ``report``.

    With ``single_thread`` False the first sign of damage raises DamageError.
    """
    context = stream.codec_context
    # Without `unaligned` a crop on the left is rounded away, but not by the command line of FFmpeg 9.
    context.options = {"max_pixels": str(config.max_pixels), "flags": "+unaligned"}
    stream.thread_type = "NONE" if single_thread else "AUTO"
    context.thread_count = 1 if single_thread else config.threads
    with ERRORS.watching(any_thread=not single_thread) as lines:
        signs = _DamageSigns(lines, report, stop_at_first=not single_thread)
        try:
            for packet in _packets(container, stream, signs):
                for frame in _decode(context, packet, signs):
                    if frame.is_corrupt:
                        report.corrupt_frames += 1
                        signs.note("a frame is marked corrupt")
                    yield frame
                signs.note_new_lines()
        finally:
            if not single_thread:
                # Worker threads that log need the GIL; once drained, they log nothing
                # while the context is freed with the GIL held.
                with suppress(av.error.FFmpegError, EOFError):
                    context.decode(None)


class _DamageSigns:
    """Signs of damage in one pass, each together with the first line that FFmpeg has logged since the last."""

    def __init__(self, lines: list[str], report: DecodeReport, *, stop_at_first: bool) -> None:
        self._lines = lines
        self._seen = 0
        self.report = report
        self._stop_at_first = stop_at_first

    def note(self, reason: str) -> None:
        if len(self._lines) > self._seen:
            line = self._lines[self._seen]
            reason = f"{reason}: {line}" if reason else line
            self._seen = len(self._lines)
        self.report.note(reason)
        if self._stop_at_first:
            raise DamageError(reason)

    def note_new_lines(self) -> None:
        """Lines of FFmpeg that came with no other sign are one themselves."""
        if len(self._lines) > self._seen:
            self.note("")


def _packets(container: InputContainer, stream: VideoStream, signs: _DamageSigns) -> Iterator[Packet[Any] | None]:
    """Every packet and, at the end or after a read error, the empty one that flushes."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError) as error:
            signs.note(f"reading stopped: {error_text(error)}")
            yield None
            return
        yield packet


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
