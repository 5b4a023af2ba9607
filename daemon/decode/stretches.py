"""What a frame's picture is made by, frame by frame: a film's shape and colours may change in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from av.video.frame import VideoFrame

from daemon.decode.colour import colour_of
from daemon.decode.picture import bit_depth
from daemon.decode.probe import orientation, plausible_aspect
from daemon.media.rules import CENTRED_CHROMA_RULES, FIRST_RULES
from daemon.model import Colour, Stretch, VideoInfo

SMALLER = 0.9
"""A stretch is small when its frames have less than this share of the pixels of the best size."""
LEAST_SHARE = 0.1
"""The best size is the largest that so much of the film has."""
SAME_ASPECT = 0.05
"""How far the shapes of one picture at two sizes may differ."""
STRETCHES_KEPT = 1_000
_SILENT = (2, 0, 2, 2)
"""Matrix, range, curve and primaries of frames that say nothing, in FFmpeg's numbers."""
_HELD_FRAMES = 64
"""No decoder keeps so many frames back."""


class Stretches:
    """The runs of frames that are made into pictures in the same way."""

    def __init__(self, info: VideoInfo) -> None:
        self._base = replace(info, stretches=(), size_note="", best=None)
        self._key: tuple[object, ...] | None = None
        self._info = self._base
        self._first_aspect: Fraction | None = None
        self._first_tags: tuple[int, ...] | None = None
        self._tags: tuple[int, ...] = ()
        self._held = 0
        self._found: list[Stretch] = []
        self._tuple: tuple[Stretch, ...] | None = None
        self.mixed = False

    @property
    def found(self) -> tuple[Stretch, ...]:
        """Where each stretch begins, and what is different in it from the film's first frame."""
        if self._tuple is None or len(self._tuple) != len(self._found):
            self._tuple = tuple(self._found)
        return self._tuple

    @property
    def shape(self) -> str:
        """All that the pictures of the last frame's stretch are made by, in words that compare."""
        return repr(self._key)

    def info_of(self, ordinal: int, raw: VideoFrame, coded_aspect: Fraction | None) -> VideoInfo:
        """The film's properties as they are for this frame. ``coded_aspect`` is the sample aspect in the stream.

        What a container says of all frames (aspect, tags) holds for as long as the stream says what it said first. By
        the first rules for pictures all but the layout is that of the first frame.
        """
        tags = self._tags_of(raw)
        key = (raw.width, raw.height, raw.format.name, tags, orientation(raw), coded_aspect)
        if key == self._key:
            return self._info
        if self._key is None:
            self._first_aspect, self._first_tags = coded_aspect, tags
        self._key = key
        rotation, flip = orientation(raw)
        info = replace(
            self._base,
            width=raw.width,
            height=raw.height,
            pix_fmt=raw.format.name,
            bit_depth=bit_depth(raw),
        )
        by_first_rules = self._base.rules == FIRST_RULES
        if not by_first_rules:
            info = replace(info, rotation_degrees=rotation, flip=flip)
        if not by_first_rules and coded_aspect != self._first_aspect:
            info = replace(info, sample_aspect=plausible_aspect(coded_aspect))
        if not by_first_rules and tags != self._first_tags:
            info = replace(info, colour=colour_of(raw, Colour(), info.rules, deep=info.bit_depth > 8))
        self._info = info
        self.mixed = self.mixed or info != self._base
        if len(self._found) < STRETCHES_KEPT:
            self._found.append(Stretch(ordinal, info))
        return info

    def _tags_of(self, raw: VideoFrame) -> tuple[int, ...]:
        """A frame's colour tags.

        FFmpeg gives those that a new part of the stream begins with to frames before it too, where they had none and
        their decoder still kept them back. So silence holds until a key frame.
        """
        tags = (int(raw.colorspace), int(raw.color_range), int(raw.color_trc), int(raw.color_primaries))
        begins = bool(self._tags) and any(
            before == silent != now for before, now, silent in zip(self._tags, tags, _SILENT, strict=True)
        )
        if begins and self._base.rules > CENTRED_CHROMA_RULES and not raw.key_frame and self._held < _HELD_FRAMES:
            self._held += 1
            return self._tags
        self._tags, self._held = tags, 0
        return tags


def best_size(info: VideoInfo, stretches: Sequence[Stretch], frames: int) -> tuple[VideoInfo, list[tuple[int, int]]]:
    """A film that changes its size is judged at its best one.

    Returns ``info`` with the stretches, the largest size that a good part of the film has, and a sentence where it
    begins smaller or turns smaller for a while; and the frames of the same picture at a smaller size.
    """
    if len(stretches) < 2:
        return info, []
    ends = [stretch.first for stretch in stretches[1:]] + [frames]
    spans = [(stretch, stretch.first, end - 1) for stretch, end in zip(stretches, ends, strict=True)]
    counts: dict[tuple[int, int], int] = {}
    for stretch, first, last in spans:
        size = stretch.info.width, stretch.info.height
        counts[size] = counts.get(size, 0) + last - first + 1
    usual = [size for size, count in counts.items() if count >= LEAST_SHARE * frames]
    width, height = max(usual or counts, key=lambda size: size[0] * size[1])
    best = next(stretch.info for stretch in stretches if (stretch.info.width, stretch.info.height) == (width, height))
    small = [(first, last) for stretch, first, last in spans if _is_smaller(stretch.info, best)]
    held = sum(last - first + 1 for first, last in small)
    found = replace(info, stretches=tuple(stretches), best=(width, height))
    if not small or held > frames / 2:
        return found, []
    least = min((one.info for one in stretches if _is_smaller(one.info, best)), key=lambda one: one.width * one.height)
    begins = "begins" if small[0][0] == 0 else "turns"
    note = f"it {begins} as small as {least.width}x{least.height} ({held} frames) and is judged at {width}x{height}"
    return replace(found, size_note=note), small


def _is_smaller(one: VideoInfo, best: VideoInfo) -> bool:
    shape = one.width * one.sample_aspect / one.height
    other = best.width * best.sample_aspect / best.height
    alike = abs(float(shape / other) - 1) <= SAME_ASPECT
    return alike and one.width * one.height < SMALLER * best.width * best.height
