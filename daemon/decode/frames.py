"""Video files in, frames out: probing, the decode loop, damage signals. The only ``import av`` of
the hot path.

Every packet is decoded and the decoder is flushed, so a frame's ordinal is the same for everyone
who decodes the stream. The fingerprint of a frame is taken from FFmpeg's own ``rawvideo`` packing
of its planes, the form that the command line's ``framehash`` sees.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from daemon.config.score import DecodeConfig
from daemon.decode.damage import ERRORS, GAPS_KEPT, DamageError, DecodeReport
from daemon.decode.picture import Packer, PictureMaker, bit_depth
from daemon.errors import Kind, VideoError
from daemon.media import filters
from daemon.model import Colour, Frame, Picture, VideoInfo

__all__ = ["DEMUXERS", "DamageError", "DecodeReport", "choose_stream", "frames", "probe", "source_url"]

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,flv,live_flv,asf,ogg,gif,apng,"
    "h264,hevc,vvc,av1,obu,ivf,mjpeg,mjpeg_2000,m4v,vc1,mxf,nut,dv,yuv4mpegpipe,rm,gxf,wtv,h263,h261,dirac,"
    "cavsvideo,avs,avs2,avs3,smk,bink,roq,webp,webp_anim"
)
"""Demuxers that read one file and open no other (no playlists, no concat, no device, no image series)."""

_MATRIX_NAMES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    9: "bt2020nc", 10: "bt2020c",
}  # fmt: skip
_RANGE_NAMES = {1: "limited", 2: "full"}
_TRANSFER_NAMES = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip
_PRIMARIES_NAMES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    9: "bt2020", 11: "smpte431", 12: "smpte432",
}  # fmt: skip


def source_url(path: Path) -> str:
    """The path in a form that no protocol, option or pattern syntax can hijack."""
    return "file:" + os.path.abspath(path)


@contextmanager
def _opened(path: Path, config: DecodeConfig) -> Iterator[InputContainer]:
    options = {
        "format_whitelist": DEMUXERS,
        "protocol_whitelist": "file",
        "max_pixels": str(config.max_pixels),
    }
    if "\0" in str(path):
        raise VideoError(Kind.UNSAFE_NAME, "the name holds a NUL byte: rename the file")
    try:
        container = _open(path, options)
    except FileNotFoundError as error:
        raise VideoError(Kind.MISSING, f"{path} is not there any more") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Some demuxers answer "not permitted" to what they cannot parse.
        if isinstance(error, PermissionError) and not os.access(path, os.R_OK):
            raise VideoError(Kind.UNREADABLE, f"{path} may not be read: give this user read permission") from error
        raise VideoError(
            Kind.NOT_A_VIDEO,
            f"{path.name} is not a video that can be read, or it is cut short: {_reason(error)}",
        ) from error
    with container:
        yield container


def _open(path: Path, options: dict[str, str]) -> InputContainer:
    """Texts in a file may be in any encoding; a row of JPEG pictures is told from a single one by its name."""
    try:
        return av.open(source_url(path), options=options, metadata_errors="replace")
    except av.error.FFmpegError:
        if not _is_row_of_jpegs(path):
            raise
        return av.open(source_url(path), format="mjpeg", options=options, metadata_errors="replace")


def _is_row_of_jpegs(path: Path) -> bool:
    if path.suffix.lower() not in (".mjpeg", ".mjpg"):
        return False
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())


def choose_stream(container: InputContainer) -> VideoStream:
    """The largest video stream that is no cover picture; the first of equals.

    Raises VideoError(NO_VIDEO_STREAM).
    """
    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    streams = [stream for stream in streams if stream.codec_context is not None]
    if not streams:
        raise VideoError(Kind.NO_VIDEO_STREAM, "there is no video stream in the file, only sound or covers")
    return max(streams, key=lambda stream: (stream.width * stream.height, -stream.index))


def probe(path: Path, config: DecodeConfig) -> VideoInfo:
    """Open the file, choose its stream and decode one frame.

    Raises VideoError: NOT_A_VIDEO, NO_VIDEO_STREAM, NO_FRAMES, TOO_LARGE, MISSING, UNREADABLE.
    """
    with _opened(path, config) as container:
        stream = choose_stream(container)
        if stream.width * stream.height > config.max_pixels:
            raise VideoError(
                Kind.TOO_LARGE,
                f"frames of {stream.width}x{stream.height} exceed decode.max_pixels = {config.max_pixels}",
            )
        report = DecodeReport()
        first = next(_decoded(container, stream, config, report, single_thread=True), None)
        if first is None:
            raise _no_frame(report.first_error or "it is empty", config)
        info = _describe(path, container, stream, first)
    _refuse_large(first, info, config)
    return info


def _no_frame(reason: str, config: DecodeConfig) -> VideoError:
    """Opening hides the size of frames above the limit; then only FFmpeg's own line tells."""
    if "exceeds specified max pixel count" in reason:
        size = reason.partition("Picture size ")[2].partition(" ")[0]
        return VideoError(Kind.TOO_LARGE, f"frames of {size} exceed decode.max_pixels = {config.max_pixels}")
    return VideoError(Kind.NO_FRAMES, f"the video stream holds no frame that can be decoded: {reason}")


def _refuse_large(raw: VideoFrame, info: VideoInfo, config: DecodeConfig) -> None:
    """Made square, narrow pixels need more room than the decoder's own limit sees."""
    width, height = filters.square_size(raw.width, raw.height, info.sample_aspect)
    if width * height > config.max_pixels:
        raise VideoError(Kind.TOO_LARGE, f"pictures of {width}x{height} exceed decode.max_pixels = {config.max_pixels}")


def _describe(path: Path, container: InputContainer, stream: VideoStream, first: VideoFrame) -> VideoInfo:
    rotation, flip = _orientation(first)
    rate = stream.average_rate or stream.guessed_rate
    time_base = stream.time_base or Fraction(1, 1000)
    duration = float(stream.duration * time_base) if stream.duration else None
    if duration is None and container.duration:
        duration = container.duration / 1_000_000
    return VideoInfo(
        path=path,
        container=container.format.name,
        stream_index=stream.index,
        codec=stream.codec_context.name,
        width=first.width,
        height=first.height,
        pix_fmt=first.format.name,
        bit_depth=bit_depth(first),
        time_base=time_base,
        frame_rate=Fraction(rate) if rate else None,
        frames_estimate=stream.frames or (round(duration * rate) if duration and rate else 0),
        duration_s=duration,
        start_s=container.start_time / 1_000_000 if container.start_time is not None else 0.0,
        sample_aspect=_sane_aspect(stream.sample_aspect_ratio),
        rotation_degrees=rotation,
        flip=flip,
        colour=_colour(first),
    )


def _sane_aspect(aspect: Fraction | None) -> Fraction:
    """Ratios beyond 10:1 are broken metadata, not anamorphic lenses."""
    if aspect is None or not Fraction(1, 10) <= aspect <= 10:
        return Fraction(1)
    return Fraction(aspect)


def _colour(frame: VideoFrame) -> Colour:
    return Colour(
        matrix=_MATRIX_NAMES.get(int(frame.colorspace), "unknown"),
        range=_RANGE_NAMES.get(int(frame.color_range), "unknown"),
        transfer=_TRANSFER_NAMES.get(int(frame.color_trc), "unknown"),
        primaries=_PRIMARIES_NAMES.get(int(frame.color_primaries), "unknown"),
    )


def _orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Clockwise quarter turns after a horizontal mirror, from the display matrix.

    The matrix maps (x, y) to (a x + c y, b x + d y) in 16.16 fixed point (libavutil/display.h).
    """
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # PyAV does not know every kind of side data, EXIF for one, and then gives none of it.
        return -round(frame.rotation / 90) * 90 % 360, False
    if matrix is None:
        return 0, False
    cells = np.frombuffer(matrix, dtype=np.int32).astype(np.float64)[[0, 1, 3, 4]]
    # A matrix may scale as well.
    a, b, c, d = (int(cell) for cell in np.round(cells / max(float(np.abs(cells).max()), 1.0)))
    turns = {
        (1, 0, 0, 1): (0, False),
        (0, 1, -1, 0): (90, False),
        (-1, 0, 0, -1): (180, False),
        (0, -1, 1, 0): (270, False),
        (-1, 0, 0, 1): (0, True),
        (0, -1, -1, 0): (90, True),
        (1, 0, 0, -1): (180, True),
        (0, 1, 1, 0): (270, True),
    }
    return turns.get((a, b, c, d), (0, False))


def frames(
    info: VideoInfo,
    config: DecodeConfig,
    report: DecodeReport,
    *,
    single_thread: bool,
    known: Sequence[str] = (),
    wanted: frozenset[int] | None = None,
    depth: int | None = None,
    keep_hdr: bool = False,
) -> Generator[Frame, None, None]:
    """Decode the chosen stream from its beginning and yield its frames in order.

    ``known[n]`` is the stored hash of frame n: where it still holds, ``picture`` is None. With
    ``wanted`` only those ordinals are yielded, and decoding ends after the last. ``depth`` 8 or 16
    overrides the pictures' bits a sample, ``keep_hdr`` leaves PQ and HLG samples untouched. Raises
    DamageError when ``single_thread`` is False and the file shows a sign of damage; VideoError when
    the file cannot be read at all. With ``wanted``, frames that are missing after a sign of damage
    come from one thread instead of a DamageError.
    """

    def run(single: bool, some: frozenset[int] | None) -> Iterator[Frame]:
        return _frames(info, config, report, single, known, some, depth, keep_hdr)

    if single_thread or wanted is None:
        yield from run(single_thread, wanted)
        return
    left = set(wanted)
    try:
        for frame in run(False, wanted):
            left.discard(frame.index)
            yield frame
    except DamageError:
        yield from run(True, frozenset(left))


def _frames(
    info: VideoInfo,
    config: DecodeConfig,
    report: DecodeReport,
    single_thread: bool,
    known: Sequence[str],
    wanted: frozenset[int] | None,
    depth: int | None,
    keep_hdr: bool,
) -> Iterator[Frame]:
    """One pass, as ``frames`` describes it."""
    maker = PictureMaker(info, depth, keep_hdr)
    packer = Packer()
    clock = _Clock(info, report)
    last = max(wanted, default=-1) if wanted is not None else None
    with _opened(info.path, config) as container:
        stream = container.streams[info.stream_index]
        if not isinstance(stream, VideoStream):
            raise VideoError(Kind.CHANGED, f"stream {info.stream_index} is no video any more: the file was changed")
        for ordinal, raw in enumerate(_decoded(container, stream, config, report, single_thread=single_thread)):
            if last is not None and ordinal > last:
                return
            report.frames = ordinal + 1
            time_s = clock.seconds(raw.pts)
            maker.watch(raw)
            report.mixed = maker.mixed
            if wanted is not None and ordinal not in wanted:
                continue
            digest = packer.sha1(raw)
            kept = ordinal < len(known) and known[ordinal] == digest
            if not kept and not single_thread and ordinal < len(known) and known[ordinal]:
                raise DamageError(f"frame {ordinal} differs from the stored one")
            made = None
            if not kept:
                _refuse_large(raw, info, config)
                made = _picture(maker, raw)
            yield Frame(ordinal, raw.pts, time_s, digest, made, bool(raw.is_corrupt))


def _picture(maker: PictureMaker, raw: VideoFrame) -> Picture:
    try:
        return maker.make(raw)
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(
            Kind.DECODE, f"frames of pixel format {raw.format.name} cannot be made into pictures: {_reason(error)}"
        ) from error


def _decoded(
    container: InputContainer,
    stream: VideoStream,
    config: DecodeConfig,
    report: DecodeReport,
    *,
    single_thread: bool,
) -> Iterator[VideoFrame]:
    context = stream.codec_context
    # Without `unaligned` a crop on the left is rounded away, but not by the command line of FFmpeg 9.
    context.options = {"max_pixels": str(config.max_pixels), "flags": "+unaligned"}
    stream.thread_type = "NONE" if single_thread else "AUTO"
    context.thread_count = 1 if single_thread else config.threads

    with ERRORS.watching(any_thread=not single_thread) as lines:
        seen = 0

        def damage(reason: str) -> None:
            nonlocal seen
            if len(lines) > seen:
                reason = f"{reason}: {lines[seen]}" if reason else lines[seen]
                seen = len(lines)
            report.note(reason)
            if not single_thread:
                raise DamageError(reason)

        try:
            for packet in _packets(container, stream, damage):
                for raw in _decode_packet(context, packet, report, damage):
                    if raw.is_corrupt:
                        report.corrupt_frames += 1
                        damage("a frame is marked corrupt")
                    yield raw
                if len(lines) > seen:
                    damage("")
        finally:
            if not single_thread:
                # Worker threads that log need the GIL; drained, they have nothing left to say
                # when the context is freed with the GIL held.
                with suppress(av.error.FFmpegError, EOFError):
                    context.decode(None)


def _packets(container: InputContainer, stream: VideoStream, damage: Any) -> Iterator[Any]:
    """Every packet and, at the end or after a read error, the empty one that flushes."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError) as error:
            damage(f"reading stopped: {_reason(error)}")
            yield None
            return
        yield packet


def _decode_packet(context: Any, packet: Any, report: DecodeReport, damage: Any) -> list[VideoFrame]:
    try:
        decoded: list[VideoFrame] = context.decode(packet)
    except (av.error.FFmpegError, EOFError) as error:
        if isinstance(error, EOFError):
            return []
        report.lost_packets += 1
        damage(f"a packet cannot be decoded: {_reason(error)}")
        return []
    return decoded


class _Clock:
    """Seconds since the container's start; a missing pts follows the frame before. Notes where time is missing."""

    def __init__(self, info: VideoInfo, report: DecodeReport) -> None:
        self._report = report
        self._time_base = info.time_base
        self._start = info.start_s
        self._step = float(1 / info.frame_rate) if info.frame_rate else 0.04
        self._last = -self._step

    def seconds(self, pts: int | None) -> float:
        before = self._last
        self._last = float(pts * self._time_base) - self._start if pts is not None else before + self._step
        missing = self._last - before - self._step
        if missing > self._step / 2 and self._report.frames > 1 and len(self._report.gaps) < GAPS_KEPT:
            self._report.gaps.append((self._report.frames - 1, round(missing, 3)))
        return self._last
