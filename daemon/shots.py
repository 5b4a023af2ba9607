"""Where shots begin and end: cuts, fades and dissolves, found in the thumbnails alone. The only scenedetect.

Cuts come from PySceneDetect's AdaptiveDetector: a cut stands out from its neighbourhood, so fast movement is no
cut. It sees the thumbnails with their light made even, and where both sides of a cut show the same but for the
light, it is none: a flash, or a camera that sets its exposure.

Fades and dissolves are what they are made as: every frame of one is a linear mix of a frame before and a frame
after it, by a weight that runs from 0 to 1; one end of a fade is empty (Fernando, Canagarajah, Bull, "Fade and
dissolve detection in uncompressed and compressed video sequences", ICIP 1999; Lienhart, "Reliable dissolve
detection", SPIE 4315, 2001). In a pan, the frame in the middle is no mix of the two ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.config import ShotsConfig
from daemon.features import GRID, SKETCH, sketch
from daemon.model import Shot, ShotKind

CHUNK = 4096
"""Thumbnails looked at together."""
REACHES = (4, 8, 16, 32, 64)
"""Half the lengths, in frames, of the windows in which mixes are looked for."""
SAME_VIEW = 0.65
"""The rank correlation of two pictures from which only the light has changed."""
FEWEST_CELLS = 40
"""Cells of two thumbnails that must not be clipped, so that they can be compared."""
FIRST_MIX = 0.08
"""Weights nearer to 0 or 1 are the pictures themselves."""
STRAIGHT = 0.8
"""How well the weights lie on a line (correlation with time), at least."""
LEAST_RISE = 0.35
"""What the weight gains between the first and the last frame that was found, at least."""
EMPTY_CODES = 3.0
"""A thumbnail whose cells spread less is one side of a fade."""
_CELLS = GRID[0] * GRID[1]
_LUMA_SCALE = float(np.sqrt(SKETCH / 3 / _CELLS))
"""What ``features.sketch`` multiplies luma by."""


class ShotFinder:
    """Takes a film's thumbnails in order and says where its shots are; keeps only what a window needs."""

    def __init__(self, config: ShotsConfig) -> None:
        self._cuts = _Cuts(config)
        self._mixes = _Mixes(config)
        self._count = 0

    def feed(self, thumbnails: NDArray[np.uint8]) -> None:
        """The next frames: RGB, ``(n, 9, 16, 3)``, any n."""
        for start in range(0, len(thumbnails), CHUNK):
            piece = thumbnails[start : start + CHUNK]
            sketches = sketch(piece)
            self._cuts.feed(piece, sketches)
            self._mixes.feed(sketches)
            self._count += len(piece)

    def found(self) -> list[Shot]:
        """Shots and transitions, in order and without gaps; empty for a film without frames."""
        return assemble(self._count, self._cuts.found(), self._mixes.found())


def assemble(count: int, cuts: list[int], transitions: list[Shot]) -> list[Shot]:
    """Put together frames 0 to ``count - 1``: transitions as they are, cuts between them divide the rest.

    >>> [(s.kind.value, s.first, s.last) for s in assemble(9, [2], [Shot(ShotKind.FADE, 5, 6)])]
    [('shot', 0, 1), ('shot', 2, 4), ('fade', 5, 6), ('shot', 7, 8)]
    """
    spans: list[Shot] = []
    start = 0

    def shots_up_to(end: int) -> None:
        edges = [start, *(cut for cut in cuts if start < cut < end), end]
        pairs = itertools.pairwise(edges)
        spans.extend(Shot(ShotKind.SHOT, first, after - 1) for first, after in pairs if after > first)

    for one in transitions:
        shots_up_to(one.first)
        spans.append(one)
        start = one.last + 1
    shots_up_to(count)
    return spans


class _Cuts:
    """PySceneDetect's detector, and the check that it is the view that changes."""

    def __init__(self, config: ShotsConfig) -> None:
        from scenedetect.common import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector

        self._timecode: Any = FrameTimecode
        self._detector = AdaptiveDetector(
            adaptive_threshold=config.adaptive_threshold,
            min_content_val=config.min_content,
            # Checked below: a step in exposure must not keep the cut beside it out.
            min_scene_len=1,
        )
        self._shortest = config.min_frames
        self._frame = 0
        self._last = np.zeros((0, SKETCH), np.float32)
        self._found: list[int] = []

    def feed(self, thumbnails: NDArray[np.uint8], sketches: NDArray[np.float32]) -> None:
        # The detector speaks of a frame some frames later.
        known = np.concatenate([self._last, sketches])
        base = self._frame - len(self._last)
        for picture in np.ascontiguousarray(_even(thumbnails)[..., ::-1]):
            for cut in self._detector.process_frame(self._timecode(self._frame, fps=25.0), picture):
                at = int(cut.frame_num) - base
                if at > 0 and not same_view(known[at - 1 : at], known[at : at + 1])[0]:
                    self._found.append(int(cut.frame_num))
            self._frame += 1
        self._last = known[-16:]

    def found(self) -> list[int]:
        """The first frame of every shot but the first."""
        kept: list[int] = []
        for cut in self._found:
            if not kept or cut - kept[-1] >= self._shortest:
                kept.append(cut)
        return kept


def _even(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The thumbnails with the same mean and contrast of luma, so that a step in exposure is no change."""
    rgb = thumbnails.astype(np.float32)
    luma = rgb @ np.array([0.299, 0.587, 0.114], np.float32)
    mean = luma.mean(axis=(1, 2))[:, None, None, None]
    contrast = np.maximum(luma.std(axis=(1, 2)), 4.0)[:, None, None, None]
    return np.clip(128 + (rgb - mean) * (50 / contrast), 0, 255).astype(np.uint8)


def same_view(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Per row of sketches, whether both show the same but for the light.

    Exposure changes a picture by a rising curve: the order of its cells by brightness stays, where they are not
    clipped (Spearman's rank correlation). Two empty pictures are the same.
    """
    result = np.zeros(len(one), np.bool_)
    low, high = 6 * _LUMA_SCALE, 244 * _LUMA_SCALE
    for row, (first, second) in enumerate(zip(one[:, :_CELLS], other[:, :_CELLS], strict=True)):
        if first.std() < EMPTY_CODES * _LUMA_SCALE and second.std() < EMPTY_CODES * _LUMA_SCALE:
            result[row] = True
            continue
        seen = (first > low) & (first < high) & (second > low) & (second < high)
        if seen.sum() < FEWEST_CELLS:
            continue
        ranks = [np.argsort(np.argsort(cells[seen], kind="stable"), kind="stable") for cells in (first, second)]
        result[row] = np.corrcoef(ranks[0], ranks[1])[0, 1] >= SAME_VIEW
    return result


@dataclass(frozen=True, slots=True)
class _Mixed:
    """A frame that is a mix: its weight by each of ``REACHES``, NaN where it is none; whether one end is empty."""

    frame: int
    weights: NDArray[np.float64]
    empty: bool


class _Mixes:
    """Frames that are linear mixes of what is before and after them."""

    def __init__(self, config: ShotsConfig) -> None:
        self._config = config
        self._kept = np.zeros((0, SKETCH), np.float32)
        self._base = 0
        self._next = 0
        self._mixed: list[_Mixed] = []

    def feed(self, sketches: NDArray[np.float32]) -> None:
        reach = REACHES[-1]
        self._kept = np.concatenate([self._kept, sketches])
        self._look(self._base + len(self._kept) - reach)
        keep_from = max(self._next - reach, self._base)
        self._kept = self._kept[keep_from - self._base :]
        self._base = keep_from

    def found(self) -> list[Shot]:
        self._look(self._base + len(self._kept))
        return _spans(self._mixed, self._next, self._config)

    def _look(self, until: int) -> None:
        """Judge the frames from ``_next`` to ``until``; windows that leave the film look at its end instead."""
        if until <= self._next:
            return
        frames = np.arange(self._next, until) - self._base
        last = len(self._kept) - 1
        middle = self._kept[frames]
        weights = np.full((len(frames), len(REACHES)), np.nan)
        empty = np.zeros(len(frames), np.bool_)
        for column, reach in enumerate(REACHES):
            before = self._kept[np.maximum(frames - reach, 0)]
            after = self._kept[np.minimum(frames + reach, last)]
            weight, mixed, fade = _mix(before, middle, after, self._config)
            weights[mixed, column] = weight[mixed]
            empty |= mixed & fade
        for at in np.flatnonzero(~np.isnan(weights).all(axis=1)):
            self._mixed.append(_Mixed(int(frames[at]) + self._base, weights[at], bool(empty[at])))
        self._next = until


def _mix(
    before: NDArray[np.float32], middle: NDArray[np.float32], after: NDArray[np.float32], config: ShotsConfig
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Per row: the weight of ``after`` in ``middle``, whether it is a mix, whether one of the ends is empty."""
    way = after - before
    length = np.sqrt((way * way).mean(axis=1))
    off = middle - before
    weight = (off * way).mean(axis=1) / np.maximum(length**2, 1e-6)
    rest = off - weight[:, None] * way
    residual = np.sqrt((rest * rest).mean(axis=1)) / np.maximum(length, 1e-6)
    spread = [one[:, :_CELLS].std(axis=1) for one in (before, middle, after)]
    limit = EMPTY_CODES * _LUMA_SCALE
    empty = (spread[0] < limit) | (spread[2] < limit)
    # Two pictures that have nothing to do with each other lose contrast when they are mixed.
    share = np.clip(weight, 0.0, 1.0)
    kept = spread[1] / np.maximum((1 - share) * spread[0] + share * spread[2], 1e-6)
    dip = kept <= (1 + np.sqrt((1 - share) ** 2 + share**2)) / 2
    allowed = np.where(dip, config.mix_residual, config.mix_residual / 2)
    inside = (weight > FIRST_MIX) & (weight < 1 - FIRST_MIX)
    mixed = (length >= config.mix_codes) & (residual <= allowed) & inside
    doubtful = np.flatnonzero(mixed & ~empty)
    mixed[doubtful] = ~same_view(before[doubtful], after[doubtful])
    return weight.astype(np.float64), mixed, empty


def _spans(mixed: list[_Mixed], count: int, config: ShotsConfig) -> list[Shot]:
    """Runs of mixed frames, from where their weight is 0 to where it is 1."""
    spans: list[Shot] = []
    run: list[_Mixed] = []
    for one in [*mixed, None]:
        if one is not None and (not run or one.frame - run[-1].frame <= config.mix_gap):
            run.append(one)
            continue
        span = _span(run, count, config)
        if span is not None:
            first = max(span.first, spans[-1].last + 1 if spans else 0)
            spans += [Shot(span.kind, first, span.last)] if first <= span.last else []
        run = [one] if one is not None else []
    return spans


def _span(run: list[_Mixed], count: int, config: ShotsConfig) -> Shot | None:
    """The transition that a run of mixes belongs to; None where their weight does not rise from end to end.

    Each window is asked by itself: one may be too short to see the rise, another reach into something else.
    """
    frames = np.array([one.frame for one in run])
    table = np.array([one.weights for one in run])
    found: Shot | None = None
    best = 0
    for weights in table.T if len(run) else ():
        seen = ~np.isnan(weights)
        if seen.sum() < config.mix_frames:
            continue
        times, values = frames[seen], weights[seen]
        slope, _ = np.polyfit(times - times[0], values, 1)
        straight = np.corrcoef(times, values)[0, 1] if values.std() > 0 else 0.0
        if slope * (times[-1] - times[0]) < LEAST_RISE or straight < STRAIGHT or seen.sum() <= best:
            continue
        best = int(seen.sum())
        # What is left of the way at both ends hardly shows.
        more = int(np.ceil(2 * FIRST_MIX * (times[-1] - times[0]))) + 1
        fade = 2 * sum(one.empty for one in run) >= len(run)
        first, last = max(int(times[0]) - more, 0), min(int(times[-1]) + more, count - 1)
        found = Shot(ShotKind.FADE if fade else ShotKind.DISSOLVE, first, last)
    return found
