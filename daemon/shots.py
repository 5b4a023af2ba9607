"""Where shots begin and end: cuts, fades and dissolves, found in the thumbnails alone. The only scenedetect.

Cuts come from PySceneDetect's AdaptiveDetector (a cut stands out from its neighbourhood, so fast movement is no
cut), fades through black from its ThresholdDetector. Where the view on both sides is the same but for the light,
it is no cut: a flash, or a camera that sets its exposure.

Fades and dissolves are what they are made as: every frame of one is a linear mix of a frame before and a frame
after it, by a weight that runs from 0 to 1 (Fernando, Canagarajah, Bull, "Fade and dissolve detection in
uncompressed and compressed video sequences", ICIP 1999; Lienhart, "Reliable dissolve detection", SPIE 4315,
2001). In a pan, the frame in the middle is no mix of the two ends.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.config import ShotsConfig
from daemon.features import SKETCH, sketch, view
from daemon.model import Shot, ShotKind

CHUNK = 4096
"""Thumbnails looked at together."""
REACHES = (4, 8, 16, 32)
"""Half the lengths, in frames, of the windows in which mixes are looked for."""
AROUND = 3
"""Frames before and after a cut whose mean views are compared."""
SAME_VIEW = 0.9
"""The correlation of two views from which only the light has changed."""
EMPTY_CODES = 4.0
"""A thumbnail whose cells spread less is one side of a fade."""


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
    """PySceneDetect's detectors, and the check that it is the view that changes."""

    def __init__(self, config: ShotsConfig) -> None:
        from scenedetect.common import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector, ThresholdDetector

        self._timecode: Any = FrameTimecode
        self._adaptive = AdaptiveDetector(
            adaptive_threshold=config.adaptive_threshold,
            min_content_val=config.min_content,
            min_scene_len=config.min_frames,
        )
        self._threshold = ThresholdDetector(min_scene_len=config.min_frames)
        self._frame = 0
        self._waiting: list[int] = []
        self._kept = np.zeros((0, SKETCH), np.float32)
        self._found: list[int] = []

    def feed(self, thumbnails: NDArray[np.uint8], sketches: NDArray[np.float32]) -> None:
        for picture in np.ascontiguousarray(thumbnails[..., ::-1]):
            at = self._timecode(self._frame, fps=25.0)
            for detector in (self._adaptive, self._threshold):
                self._waiting += [int(cut.frame_num) for cut in detector.process_frame(at, picture)]
            self._frame += 1
        self._kept = np.concatenate([self._kept[-(CHUNK + 2 * AROUND) :], sketches])
        self._check(self._frame - AROUND)

    def found(self) -> list[int]:
        self._check(self._frame)
        return sorted(set(self._found))

    def _check(self, until: int) -> None:
        base = self._frame - len(self._kept)
        for cut in [one for one in self._waiting if one <= until]:
            before = self._kept[max(cut - AROUND - base, 0) : max(cut - base, 0)]
            after = self._kept[max(cut - base, 0) : cut - base + AROUND]
            if len(before) == 0 or len(after) == 0 or not _same_view(before, after):
                self._found.append(cut)
        self._waiting = [one for one in self._waiting if one > until]


def _same_view(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    ends = view(np.stack([before.mean(axis=0), after.mean(axis=0)]))
    return float(ends[0] @ ends[1]) >= SAME_VIEW


class _Mixes:
    """Frames that are linear mixes of what is before and after them."""

    def __init__(self, config: ShotsConfig) -> None:
        self._config = config
        self._kept = np.zeros((0, SKETCH), np.float32)
        self._base = 0
        self._next = 0
        self._weights: list[tuple[int, float, bool]] = []

    def feed(self, sketches: NDArray[np.float32]) -> None:
        reach = REACHES[-1]
        self._kept = np.concatenate([self._kept, sketches])
        self._look(self._base + len(self._kept) - reach)
        keep_from = max(self._next - reach, self._base)
        self._kept = self._kept[keep_from - self._base :]
        self._base = keep_from

    def found(self) -> list[Shot]:
        self._look(self._base + len(self._kept))
        return _spans(self._weights, self._next, self._config)

    def _look(self, until: int) -> None:
        """Judge the frames from ``_next`` to ``until``; windows that leave the film look at its end instead."""
        if until <= self._next:
            return
        frames = np.arange(self._next, until) - self._base
        last = len(self._kept) - 1
        middle = self._kept[frames]
        best = np.full(len(frames), np.nan)
        empty = np.zeros(len(frames), np.bool_)
        for reach in REACHES:
            before = self._kept[np.maximum(frames - reach, 0)]
            after = self._kept[np.minimum(frames + reach, last)]
            weight, mixed, fade = _mix(before, middle, after, self._config)
            new = mixed & np.isnan(best)
            best[new] = weight[new]
            empty |= mixed & fade
        for at in np.flatnonzero(~np.isnan(best)):
            self._weights.append((int(frames[at]) + self._base, float(best[at]), bool(empty[at])))
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
    alike = (view(before) * view(after)).sum(axis=1)
    empty = (before[:, :144].std(axis=1) < EMPTY_CODES) | (after[:, :144].std(axis=1) < EMPTY_CODES)
    mixed = (
        (length >= config.mix_codes)
        & (residual <= config.mix_residual)
        & (weight > 0.08)
        & (weight < 0.92)
        & ((alike < config.mix_alike) | empty)
    )
    return weight.astype(np.float64), mixed, empty


def _spans(weights: list[tuple[int, float, bool]], count: int, config: ShotsConfig) -> list[Shot]:
    """Runs of mixed frames, with two more on either side: the first and last mixes hardly show."""
    spans: list[Shot] = []
    run: list[tuple[int, float, bool]] = []
    for one in [*weights, None]:
        if one is not None and (not run or one[0] - run[-1][0] <= config.mix_gap):
            run.append(one)
            continue
        if len(run) >= config.mix_frames:
            fades = sum(1 for _, _, empty in run if empty)
            kind = ShotKind.FADE if 2 * fades >= len(run) else ShotKind.DISSOLVE
            first = max(run[0][0] - 2, spans[-1].last + 1 if spans else 0)
            spans.append(Shot(kind, first, min(run[-1][0] + 2, count - 1)))
        run = [one] if one is not None else []
    return spans
