"""The frames of a video in order: ordinal, time, hash and picture.

Every packet is decoded and the decoder is flushed, so a frame's ordinal is the same for everyone
who decodes the stream. The hash of a frame is taken from FFmpeg's own ``rawvideo`` packing of its
planes, the form that the command line's ``framehash`` sees.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from av.video.frame import VideoFrame

from daemon.config.score import DecodeConfig
from daemon.decode.budget import ahead_for, most_pixels, threads_for
from daemon.decode.combing import is_combed
from daemon.decode.container import opened
from daemon.decode.cutting import SpanFrames, from_key
from daemon.decode.damage import GAPS_KEPT, DamageError, DecodeReport, PictureChangeError
from daemon.decode.film_clock import BestEffort, FilmClock
from daemon.decode.hardware import NO_DEVICE, HardwareError
from daemon.decode.packets import decoded_frames, video_stream
from daemon.decode.picture import FrameHasher, PictureMaker, refuse_large_pictures
from daemon.decode.spans import Begun, Joint, Span, WholeFilmError
from daemon.decode.stretches import Stretches
from daemon.model import Frame, GrayPicture, Picture, VideoInfo
from daemon.runtime.ahead import read_ahead

if TYPE_CHECKING:
    from daemon.decode.gray import GrayMaker, GrayWanted
    from daemon.decode.planes import Empty
    from daemon.decode.rgb import RgbMaker

REORDERED_FRAMES = 32
"""A frame comes out of the decoder at most so many frames after its packet."""


def decode_frames(
    info: VideoInfo,
    config: DecodeConfig,
    report: DecodeReport,
    *,
    single_thread: bool,
    known: Sequence[str] = (),
    wanted: frozenset[int] | None = None,
    depth: int | None = None,
    keep_hdr: bool = False,
    gray: GrayWanted | None = None,
    compiled: bool = False,
    empty: Empty | None = None,
    span: Span | None = None,
    device: str = NO_DEVICE,
) -> Generator[Frame, None, None]:
    """Decode the chosen stream from its beginning and yield its frames in order.

    ``known[n]`` is the stored hash of frame n: where it still holds, ``picture`` is None. With
    ``wanted`` only those ordinals are yielded, and decoding ends after the last. ``depth`` 8 or 16
    overrides the pictures' bits a sample, ``keep_hdr`` leaves PQ and HLG samples untouched. With ``gray``, frames
    have that instead of a picture where their picture is no more than their planes in RGB. ``compiled`` makes such
    pictures by compiled code, which takes a moment to load, in arrays that ``empty`` gives. Raises
    DamageError when ``single_thread`` is False and the file shows a sign of damage; VideoError when
    the file cannot be read at all. With ``wanted``, frames that are missing after a sign of damage
    come from one thread instead of a DamageError.

    With ``span`` only its frames are decoded, with several threads, and one more; ``known`` begins with its first.
    Raises WholeFilmError for all that would be otherwise in a pass over the whole film, damage included.

    With ``device`` that decodes, as long as its frames are those of software; where it fails software goes on, and the
    report says why.
    """

    def one_pass(
        single_thread: bool, wanted: frozenset[int] | None, first: int = 0, device: str = NO_DEVICE
    ) -> Iterator[Frame]:
        pictures = PictureMaker(depth, keep_hdr, empty)
        maker = _maker(pictures, gray, report, empty, compiled=compiled)
        return _one_pass(
            info,
            config,
            report,
            maker,
            single_thread=single_thread,
            known=known,
            wanted=wanted,
            first=first,
            span=span,
            device=device,
        )

    def by_software(wanted: frozenset[int] | None, after: int) -> Iterator[Frame]:
        try:
            for frame in one_pass(False, wanted, after):
                after = frame.index + 1
                yield frame
        except PictureChangeError:
            report.begin()
            yield from one_pass(True, wanted, after)

    with_threads = partial(_by_device, device, partial(one_pass, False, device=device), by_software, report)
    if span is not None:
        try:
            yield from one_pass(False, None, span.first)
        except PictureChangeError as error:
            raise WholeFilmError("the shape of its pictures changes") from error
        except DamageError as damage:
            raise WholeFilmError(f"damage: {damage}") from damage
    elif single_thread:
        yield from one_pass(True, wanted)
    elif wanted is None:
        yield from with_threads(None)
    else:
        missing = set(wanted)
        try:
            for frame in with_threads(wanted):
                missing.discard(frame.index)
                yield frame
        except DamageError:
            yield from one_pass(True, frozenset(missing))


def _by_device(
    device: str,
    by_device: Callable[[frozenset[int] | None], Iterator[Frame]],
    by_software: Callable[[frozenset[int] | None, int], Iterator[Frame]],
    report: DecodeReport,
    wanted: frozenset[int] | None,
) -> Iterator[Frame]:
    """The frames of a pass by a device, if there is one, and where it fails those of software from there on."""
    after = 0
    if device != NO_DEVICE:
        try:
            for frame in by_device(wanted):
                after = frame.index + 1
                yield frame
            return
        except (HardwareError, DamageError, PictureChangeError) as error:
            # What is damaged, and of which shape pictures are, software tells.
            report.begin()
            report.without_device = str(error) or "the shape of its pictures changes"
    yield from by_software(wanted, after)


def _one_pass(
    info: VideoInfo,
    config: DecodeConfig,
    report: DecodeReport,
    maker: _Maker,
    *,
    single_thread: bool,
    known: Sequence[str],
    wanted: frozenset[int] | None,
    first: int,
    span: Span | None,
    device: str,
) -> Iterator[Frame]:
    hasher = FrameHasher()
    times = _Times(info, report)
    stretches = Stretches(info)
    last = max(wanted, default=-1) if wanted is not None else None
    start = 0 if span is None else span.first
    border = None if span is None else _Border(span, report, stretches)
    with ExitStack() as ending:
        container = ending.enter_context(opened(info.path, config))
        stream = video_stream(container, info.stream_index)
        raws = _looking_ahead(
            decoded_frames(
                container,
                stream,
                config,
                report,
                single_thread=single_thread,
                decoder=info.decoder,
                threads=1 if single_thread else threads_for(info, config),
                largest=most_pixels(info.width, info.height, config),
                begin=from_key(container, stream, span) if span is not None and span.first else None,
                device=device,
            ),
            report,
        )
        if not single_thread and (ahead := ahead_for(info, config)):
            raws = read_ahead(raws, ahead, "decoding")
        ending.enter_context(closing(raws))
        for ordinal, (raw, seen) in enumerate(raws, start):
            if last is not None and ordinal > last:
                return
            # Hashing gives the frame another time base.
            base, duration = raw.time_base or info.time_base, raw.duration
            pts, time_s = seen.pts, times.seconds(ordinal, raw, seen)
            as_here = stretches.info_of(ordinal, raw, seen.aspect)
            if border is not None:
                border.require(ordinal, pts)
                if ordinal == border.end:
                    border.meets(ordinal, raw, pts, time_s, base, hasher)
                    return
            report.frames = ordinal + 1
            report.mixed, report.stretches = report.mixed or stretches.mixed, stretches.found
            if ordinal < first or (wanted is not None and ordinal not in wanted):
                continue
            combed = as_here.deinterlace and is_combed(raw, as_here.rules)
            report.combed_frames += combed
            # Which frames are made of one field is not told to FFmpeg's command line.
            report.mixed = report.mixed or combed
            digest = hasher.sha1(raw)
            stored = known[ordinal - start] if ordinal - start < len(known) else ""
            picture, gray = None, None
            if digest != stored:
                if stored and not single_thread:
                    raise DamageError(f"frame {ordinal} differs from the stored one")
                refuse_large_pictures(raw, as_here, config)
                picture, gray = maker.make(raw, as_here, ordinal, combed=combed)
            lasts_s = float(duration * base) if duration > 0 else None
            if border is not None and ordinal == start:
                border.begins(Joint(ordinal, pts, time_s, lasts_s, digest))
            yield Frame(ordinal, pts, time_s, digest, picture, bool(raw.is_corrupt), duration_s=lasts_s, gray=gray)
    if border is not None:
        border.require_all(report.frames)


class _Border:
    """Notes in the report how a span begins and what it meets."""

    def __init__(self, span: Span, report: DecodeReport, stretches: Stretches) -> None:
        self._frames = SpanFrames(span)
        self._report = report
        self._stretches = stretches
        self.end = span.end if span.next_pts is not None else -1
        self.require_all = self._frames.require_all

    def require(self, ordinal: int, pts: int | None) -> None:
        """Raise WholeFilmError for a frame that a pass over the whole film may have otherwise."""
        self._frames.require_next(ordinal, pts)
        if len(self._stretches.found) > 1 and ordinal != self.end:
            raise WholeFilmError(f"frame {ordinal} has pictures of another shape or colour")

    def begins(self, joint: Joint) -> None:
        """With this frame."""
        header = (self._report.header or b"").hex()
        self._report.begun = Begun(joint, self._stretches.shape, header)

    def meets(
        self, ordinal: int, raw: VideoFrame, pts: int | None, time_s: float, base: Fraction, hasher: FrameHasher
    ) -> None:
        """The first frame of the next span."""
        lasts_s = float(raw.duration * base) if raw.duration > 0 else None
        self._report.meets = Joint(ordinal, pts, time_s, lasts_s, hasher.sha1(raw))


class _Maker:
    """Makes of each frame what is asked for: gray where that is enough, else a picture."""

    def __init__(self, pictures: PictureMaker, gray: GrayMaker | None, rgb: RgbMaker | None) -> None:
        self._pictures = pictures
        self._gray = gray
        self._rgb = rgb

    def make(
        self, raw: VideoFrame, info: VideoInfo, ordinal: int, *, combed: bool
    ) -> tuple[Picture | None, GrayPicture | None]:
        if combed:
            return self._pictures.make(raw, info, combed=True), None
        if self._gray is not None and (gray := self._gray.make(raw, info, ordinal)) is not None:
            return None, gray
        return (self._pictures if self._rgb is None else self._rgb).make(raw, info), None


def _maker(
    pictures: PictureMaker, gray: GrayWanted | None, report: DecodeReport, empty: Empty | None, *, compiled: bool
) -> _Maker:
    # Imported here, since they bring the compiler along, which most commands have no need of.
    if gray is not None:
        from daemon.decode.gray import GrayMaker

        return _Maker(pictures, GrayMaker(gray, pictures, report.differs, empty or np.empty), None)
    if compiled:
        from daemon.decode.rgb import RgbMaker

        return _Maker(pictures, None, RgbMaker(pictures, report.differs, empty or np.empty))
    return _Maker(pictures, None, None)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was known when a frame and the one behind it had come: its coded aspect, both pts, how much was missing."""

    aspect: Fraction | None
    pts: int | None
    next_pts: int | None
    hole_s: float


def _looking_ahead(
    raws: Generator[VideoFrame, None, None], report: DecodeReport
) -> Generator[tuple[VideoFrame, _Seen], None, None]:
    """Each frame with what was seen of it and of the next one."""
    held: tuple[VideoFrame, Fraction | None, int | None] | None = None
    best = BestEffort()
    with closing(raws):
        for raw in raws:
            pts = best.pts(raw.pts, raw.dts)
            if held is not None:
                yield held[0], _Seen(held[1], held[2], pts, report.hole_s)
            held = raw, report.coded_aspect, pts
        if held is not None:
            yield held[0], _Seen(held[1], held[2], None, report.hole_s)


class _Times:
    """The film's clock, fed with what a pass reports; gaps and jumps are reported back."""

    def __init__(self, info: VideoInfo, report: DecodeReport) -> None:
        self._clock = FilmClock(info)
        self._report = report
        self._hole_s = 0.0
        self._hole_at = -REORDERED_FRAMES

    def seconds(self, ordinal: int, raw: VideoFrame, seen: _Seen) -> float:
        """The film's time of a frame."""
        report = self._report
        if seen.hole_s != self._hole_s:
            self._hole_s, self._hole_at = seen.hole_s, ordinal
        after_hole = ordinal - self._hole_at < REORDERED_FRAMES
        time_s = self._clock.seconds(
            seen.pts, raw.time_base, raw.duration, after_hole=after_hole, next_pts=seen.next_pts
        )
        missing = self._clock.missing_s
        if missing > self._clock.nominal_s / 2 and ordinal > 0:
            report.missing_s += missing
            if len(report.gaps) < GAPS_KEPT:
                report.gaps.append((ordinal, round(missing, 3)))
        report.clock_jumps = self._clock.jumps
        return time_s
