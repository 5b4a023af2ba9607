"""Which stream of a file is used, and what is known of it before it is decoded: its ``VideoInfo``."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from daemon.config.score import DecodeConfig
from daemon.decode.alpha import FIRST_FRAMES, alpha_decoder, ground_of, later_frames
from daemon.decode.budget import threads_for
from daemon.decode.colour import colour_of, colours_lost, told_by
from daemon.decode.container import appended_film, opened
from daemon.decode.damage import DecodeReport
from daemon.decode.headers import counted, is_encrypted, is_scrambled, streams_of, text
from daemon.decode.origin import origin_of
from daemon.decode.packets import decoded_frames, opened_by
from daemon.decode.picture import bit_depth, refuse_large_pictures
from daemon.decode.side_data import side_data
from daemon.decode.streams import choose, protected, rivals
from daemon.decode.track_header import TrackHeader, track_header
from daemon.errors import Kind, VideoError
from daemon.media.alpha import has_alpha
from daemon.media.rules import FIRST_RULES, PICTURE_RULES
from daemon.model import StreamInfo, VideoInfo

_ORIENTATIONS = {
    (1, 0, 0, 1): (0, False),
    (0, 1, -1, 0): (90, False),
    (-1, 0, 0, -1): (180, False),
    (0, -1, 1, 0): (270, False),
    (-1, 0, 0, 1): (0, True),
    (0, -1, -1, 0): (90, True),
    (1, 0, 0, -1): (180, True),
    (0, 1, 1, 0): (270, True),
}
"""Cells a, b, c, d of a display matrix to clockwise degrees and a horizontal mirror before them."""


def probe(path: Path, config: DecodeConfig, rules: int = PICTURE_RULES) -> VideoInfo:
    """Open the file, choose its stream and decode one frame; ``rules`` is the version of those for pictures.

    Raises VideoError: NOT_A_VIDEO, NO_VIDEO_STREAM, PROTECTED, NO_DECODER, NO_FRAMES, TOO_LARGE, MISSING, UNREADABLE,
    UNSAFE_NAME.
    """
    with opened(path, config) as container:
        streams = _named(path, container, streams_of(container))
        if len(rivals(streams)) > 1 and any(one.frames is None for one in rivals(streams)):
            streams = counted(path, config, streams)
        choice = choose(streams, config.stream)
        if is_encrypted(path, config, choice.index):
            raise protected(choice.index, "encrypted samples")
        stream = container.streams[choice.index]
        assert isinstance(stream, VideoStream)
        if stream.width * stream.height > config.max_pixels:
            raise _too_large(f"{stream.width}x{stream.height}", config)
        told = told_by(stream.codec_context, rules)
        header = _header(path, container, stream, rules)
        decoder = alpha_decoder(stream.codec_context.name) if header.alpha else ""
        report = DecodeReport()
        frames = decoded_frames(container, stream, config, report, single_thread=True, decoder=decoder)
        first = next(frames, None)
        if first is None:
            if "mpegts" in container.format.name and is_scrambled(path):
                raise protected(choice.index, "scrambled packets")
            raise _no_frame(report.first_error or "it is empty", config)
        vision, deep = header.dolby_vision, bit_depth(first) > 8
        info = replace(
            _describe(path, container, stream, first),
            colour=colour_of(first, told, rules, deep=deep, dolby_vision=vision),
            rules=rules,
            crop=header.crop,
            decoder=decoder,
            deinterlace=rules > FIRST_RULES and config.deinterlace == "auto",
            colours_lost="" if rules == FIRST_RULES else colours_lost(first, vision),
        )
        origin = origin_of(container, choice.index)
        refuse_large_pictures(first, info, config)
        threads_for(info, config)
        if rules > FIRST_RULES and has_alpha(info.pix_fmt):
            ground = ground_of(islice(chain([first], frames), FIRST_FRAMES)) or _later_ground(path, config, info)
            info = replace(info, ground=ground)
    return replace(
        info,
        streams=streams,
        offset_bytes=appended_film(path),
        stream_asked=config.stream,
        stream_reason=choice.reason,
        origin=origin,
    )


def _later_ground(path: Path, config: DecodeConfig, info: VideoInfo) -> str:
    """The ground of a film that is opaque where it begins, and may turn transparent."""
    with opened(path, config) as container:
        stream = container.streams[info.stream_index]
        assert isinstance(stream, VideoStream)
        context = opened_by(info.decoder, stream) if info.decoder else stream.codec_context
        return ground_of(later_frames(container, stream, context))


def _no_frame(reason: str, config: DecodeConfig) -> VideoError:
    """Opening hides the size of frames above the limit; then only FFmpeg's own line tells."""
    if "exceeds specified max pixel count" in reason:
        return _too_large(reason.partition("Picture size ")[2].partition(" ")[0], config)
    return VideoError(Kind.NO_FRAMES, f"the video stream holds no frame that can be decoded: {reason}")


def _too_large(size: str, config: DecodeConfig) -> VideoError:
    return VideoError(Kind.TOO_LARGE, f"frames of {size} exceed decode.max_pixels = {config.max_pixels}")


def _describe(path: Path, container: InputContainer, stream: VideoStream, first: VideoFrame) -> VideoInfo:
    rotation, flip = orientation(first)
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
        sample_aspect=plausible_aspect(stream.sample_aspect_ratio),
        rotation_degrees=rotation,
        flip=flip,
    )


def _header(path: Path, container: InputContainer, stream: VideoStream, rules: int) -> TrackHeader:
    """What the container says of the stream; the first rules did not ask for it."""
    films = [one.index for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
    if rules == FIRST_RULES or stream.index not in films:
        return TrackHeader()
    return track_header(path, container.format.name, stream.id, films.index(stream.index))


def _named(path: Path, container: InputContainer, streams: tuple[StreamInfo, ...]) -> tuple[StreamInfo, ...]:
    """The streams, with Matroska's own name of a codec that FFmpeg does not know."""
    if "matroska" not in container.format.name or all(one.codec for one in streams):
        return streams
    tracks = [one.index for one in streams if one.kind == "video" and "attached_pic" not in one.disposition]
    found = {
        index: text(track_header(path, container.format.name, 0, place).codec) for place, index in enumerate(tracks)
    }
    return tuple(replace(one, codec=one.codec or found.get(one.index, "")) for one in streams)


def plausible_aspect(aspect: Fraction | None) -> Fraction:
    """Ratios beyond 10:1 are broken metadata, not anamorphic lenses."""
    if aspect is None or not Fraction(1, 10) <= aspect <= 10:
        return Fraction(1)
    return Fraction(aspect)


def orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Clockwise quarter turns after a horizontal mirror, from the display matrix.

    The matrix maps (x, y) to (a x + c y, b x + d y) in 16.16 fixed point (libavutil/display.h).
    """
    try:
        matrix = side_data(frame, "DISPLAYMATRIX")
    except ValueError:
        # PyAV does not know every kind of side data, EXIF for one, and then gives none of it.
        return -round(frame.rotation / 90) * 90 % 360, False
    if matrix is None:
        return 0, False
    cells = np.frombuffer(matrix, dtype=np.int32).astype(np.float64)[[0, 1, 3, 4]]
    # A matrix may scale as well.
    a, b, c, d = (int(cell) for cell in np.round(cells / max(float(np.abs(cells).max()), 1.0)))
    return _ORIENTATIONS.get((a, b, c, d), (0, False))
