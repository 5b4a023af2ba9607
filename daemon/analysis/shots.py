"""Where shots begin and end: cuts, fades, dissolves and wipes (see ``wipes``), found in the thumbnails alone.

Cuts are looked for (see ``cuts``) in the thumbnails with their light made even, and where both sides of a cut
show the same but for the light, it is none: a flash, or a camera that sets its exposure.

Fades and dissolves are what they are made as: every frame of one is a linear mix of a frame before and a frame
after it, by a weight that runs from 0 to 1; one end of a fade is empty (Fernando, Canagarajah, Bull, "Fade and
dissolve detection in uncompressed and compressed video sequences", ICIP 1999; Lienhart, "Reliable dissolve
detection", SPIE 4315, 2001). In a pan, the frame in the middle is no mix of the two ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.cuts import REACH, Changes, stand_out
from daemon.analysis.features import CELLS, GRID, LUMA, SKETCH, ViewFinder, sketch
from daemon.analysis.light import EMPTY_CODES, light_alone, same_view
from daemon.analysis.wipes import WipeFinder
from daemon.config.selection import ShotsConfig
from daemon.model import Shot, ShotKind

CHUNK = 256
"""Thumbnails looked at together."""
REACHES = (4, 8, 16, 32, 64)
"""Half the lengths, in frames, of the windows in which mixes are looked for."""
FIRST_MIX = 0.08
"""Weights nearer to 0 or 1 are the pictures themselves."""
STEADY, STEADY_FRAMES, LEAST_STEADY_REACH = 0.15, 6, 8
"""A frame is half of its ends but for this share of their difference, so many are, by windows of this reach."""
STRAIGHT = 0.8
"""How well the weights lie on a line (correlation with time), at least."""
LEAST_RISE = 0.35
"""What the weight gains between the first and the last frame that was found, at least."""
MIDDLE = slice(2, 7)
"""Rows of a thumbnail between which bars above and below a wide picture cannot reach."""
BAR_CODES = 12
"""Bars are no brighter."""
FADE_FRAMES = 100
"""Frames that are looked at on either side of an empty stretch for the fade that leads there."""
RISE = 1.01
"""How much contrast grows from frame to frame, at least, while a picture is faded in."""


class ShotFinder:
    """Takes a film's thumbnails in order and says where its shots are; keeps only what a window needs."""

    def __init__(self, config: ShotsConfig) -> None:
        self._cuts = _Cuts(config)
        self._mixes = _Mixes(config)
        self._wipes = WipeFinder()
        self._count = 0
        self._contrast: list[NDArray[np.float32]] = []
        self._views = ViewFinder()

    def feed(self, thumbnails: NDArray[np.uint8]) -> None:
        """The next frames: RGB, ``(n, 9, 16, 3)``, any n."""
        for start in range(0, len(thumbnails), CHUNK):
            piece = thumbnails[start : start + CHUNK]
            sketches = sketch(piece)
            self._cuts.feed(piece)
            self._mixes.feed(piece, sketches)
            self._wipes.feed(piece)
            self._views.feed(sketches)
            self._contrast.append(_contrast(piece))
            self._count += len(piece)

    def views(self) -> NDArray[np.int64]:
        """Per frame the number of the stretch in which one thing is seen; see ``ViewFinder``."""
        return self._views.found()

    def found(self) -> list[Shot]:
        """Shots and transitions, in order and without gaps; empty for a film without frames."""
        contrast = np.concatenate(self._contrast) if self._contrast else np.zeros(0, np.float32)
        transitions = united([*self._mixes.found(), *self._wipes.found(), *fades(contrast)])
        return assemble(self._count, self._cuts.found(), transitions)


def _barred(luma: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether the first and last rows of ``(n, 9, 16)`` are black: bars above and below."""
    found: NDArray[np.bool_] = luma[:, (0, -1)].max(axis=(1, 2)) <= BAR_CODES
    return found


def _contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much the values of each thumbnail spread, in codes; between the bars, where there are any."""
    whole = thumbnails.reshape(len(thumbnails), -1).std(axis=1, dtype=np.float32)
    inner = thumbnails[:, MIDDLE].reshape(len(thumbnails), -1).std(axis=1, dtype=np.float32)
    found: NDArray[np.float32] = np.where(_barred(thumbnails.max(axis=-1)), inner, whole)
    return found


def fades(contrast: NDArray[np.float32]) -> list[Shot]:
    """Fades out of and into empty stretches: from where contrast is nothing to where it stops rising.

    ``contrast`` is the spread of the values of each frame's thumbnail, in codes. This finds fades that are too
    near to something else for a window around them.
    """
    empty = contrast < EMPTY_CODES
    edges = np.flatnonzero(np.diff(empty))
    found = []
    for edge in edges:
        # Walk away from the empty side, forwards or backwards.
        way = contrast[edge + 1 :][:FADE_FRAMES] if empty[edge] else contrast[: edge + 1][::-1][:FADE_FRAMES]
        # Over two frames, as a coder may repeat one.
        rising = np.append(way[2:] > RISE * way[:-2], False)
        steps = int(np.argmin(rising)) if len(rising) > 2 else 0
        if steps < 3:
            continue
        first, last = (edge + 1, edge + 1 + steps) if empty[edge] else (edge - steps, edge)
        found.append(Shot(ShotKind.FADE, int(first), int(last)))
    return found


def united(transitions: list[Shot]) -> list[Shot]:
    """Transitions in order, those that overlap made one; it is a fade if any of them is.

    >>> [(s.first, s.last) for s in united([Shot(ShotKind.FADE, 5, 9), Shot(ShotKind.DISSOLVE, 1, 6)])]
    [(1, 9)]
    """
    whole: list[Shot] = []
    for one in sorted(transitions, key=lambda shot: shot.first):
        if whole and one.first <= whole[-1].last:
            before = whole.pop()
            kind = ShotKind.FADE if ShotKind.FADE in (one.kind, before.kind) else ShotKind.DISSOLVE
            one = Shot(kind, before.first, max(before.last, one.last))
        whole.append(one)
    return whole


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
    """Changes that stand out, and the check that it is the view that changes."""

    def __init__(self, config: ShotsConfig) -> None:
        self._config = config
        self._changes = Changes()
        self._last = np.zeros((0, *GRID, 3), np.uint8)
        self._last_changes = np.zeros(0)
        self._count = 0
        self._found: list[int] = []

    def feed(self, thumbnails: NDArray[np.uint8]) -> None:
        # A change is judged once what comes after it is known.
        known = np.concatenate([self._last, thumbnails])
        changes = np.append(self._last_changes, self._changes.feed(_even(thumbnails)))
        config = self._config
        base = self._count - len(self._last)
        for at in stand_out(changes, adaptive_threshold=config.adaptive_threshold, min_content=config.min_content):
            # Every cut is kept here: a step in exposure must not keep the cut beside it out.
            alike = same_view(known[at - 1 : at], known[at : at + 1])[0]
            if not (alike and light_alone(known[at - 1], known[at])):
                self._found.append(base + int(at))
        self._count += len(thumbnails)
        self._last, self._last_changes = known[-2 * REACH :], changes[-2 * REACH :]

    def found(self) -> list[int]:
        """The first frame of every shot but the first."""
        kept: list[int] = []
        for cut in self._found:
            if not kept or cut - kept[-1] >= self._config.min_frames:
                kept.append(cut)
        return kept


def _even(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The thumbnails with the same mean and contrast of luma, so that a step in exposure is no change."""
    rgb = thumbnails.astype(np.float32)
    luma = rgb @ LUMA
    mean = luma.mean(axis=(1, 2))[:, None, None, None]
    contrast = np.maximum(luma.std(axis=(1, 2)), 4.0)[:, None, None, None]
    even: NDArray[np.uint8] = np.clip(128 + (rgb - mean) * (50 / contrast), 0, 255).astype(np.uint8)
    return even


@dataclass(frozen=True, slots=True)
class _Mixed:
    """A frame that is a mix: by each of ``REACHES`` its weight, NaN where it is none, and whether it lies exactly
    between two frames of the same mix; whether one end is empty."""

    frame: int
    weights: NDArray[np.float64]
    steady: NDArray[np.bool_]
    empty: bool


class _Mixes:
    """Frames that are linear mixes of what is before and after them."""

    def __init__(self, config: ShotsConfig) -> None:
        self._config = config
        self._thumbnails = np.zeros((0, *GRID, 3), np.uint8)
        self._sketches = np.zeros((0, SKETCH), np.float32)
        self._base = 0
        self._next = 0
        self._mixed: list[_Mixed] = []

    def feed(self, thumbnails: NDArray[np.uint8], sketches: NDArray[np.float32]) -> None:
        reach = REACHES[-1]
        self._thumbnails = np.concatenate([self._thumbnails, thumbnails])
        self._sketches = np.concatenate([self._sketches, sketches])
        self._look(self._base + len(self._sketches) - reach)
        past = max(self._next - reach - self._base, 0)
        self._thumbnails, self._sketches = self._thumbnails[past:], self._sketches[past:]
        self._base += past

    def found(self) -> list[Shot]:
        self._look(self._base + len(self._sketches))
        return _spans(self._mixed, self._next, self._config)

    def _look(self, until: int) -> None:
        """Judge the frames from ``_next`` to ``until``; windows that leave the film look at its end instead."""
        if until <= self._next:
            return
        frames = np.arange(self._next, until) - self._base
        last = len(self._sketches) - 1
        weights = np.full((len(frames), len(REACHES)), np.nan)
        empty = np.zeros(len(frames), np.bool_)
        steady = np.zeros((len(frames), len(REACHES)), np.bool_)
        for column, reach in enumerate(REACHES):
            before, after = np.maximum(frames - reach, 0), np.minimum(frames + reach, last)
            weight, residual, mixed, fade = _mix(
                self._sketches[before], self._sketches[frames], self._sketches[after], self._config
            )
            doubtful = np.flatnonzero(mixed & ~fade)
            mixed[doubtful] = ~same_view(self._thumbnails[before[doubtful]], self._thumbnails[after[doubtful]])
            weights[mixed, column] = weight[mixed]
            if reach >= LEAST_STEADY_REACH:
                # Half of an empty picture is one that is darker throughout.
                steady[:, column] = mixed & ~fade & (np.abs(weight - 0.5) < 0.2) & (residual <= STEADY)
            empty |= mixed & fade
        for at in np.flatnonzero(~np.isnan(weights).all(axis=1)):
            self._mixed.append(_Mixed(int(frames[at]) + self._base, weights[at], steady[at], bool(empty[at])))
        self._next = until


def _mix(
    before: NDArray[np.float32], middle: NDArray[np.float32], after: NDArray[np.float32], config: ShotsConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Per row: the weight of ``after`` in ``middle``, what is left beside the mix as a share of the difference of
    the ends, whether it is a mix, whether one of the ends is empty."""
    way = after - before
    length = np.sqrt((way * way).mean(axis=1))
    off = middle - before
    weight = (off * way).mean(axis=1) / np.maximum(length**2, 1e-6)
    rest = off - weight[:, None] * way
    residual = np.sqrt((rest * rest).mean(axis=1)) / np.maximum(length, 1e-6)
    scale = float(np.sqrt(SKETCH / 3 / CELLS))  # what ``sketch`` multiplies luma by
    spread = [one[:, :CELLS].std(axis=1) / scale for one in (before, middle, after)]
    # Where bars are above and below a wide picture, a white one has contrast, too.
    luma = [one[:, :CELLS].reshape(-1, *GRID) / scale for one in (before, after)]
    inner = [np.where(_barred(own), own[:, MIDDLE].std(axis=(1, 2)), own.std(axis=(1, 2))) for own in luma]
    empty = (inner[0] < EMPTY_CODES) | (inner[1] < EMPTY_CODES)
    # Two pictures that have nothing to do with each other lose contrast when they are mixed.
    share = np.clip(weight, 0.0, 1.0)
    kept = spread[1] / np.maximum((1 - share) * spread[0] + share * spread[2], 1e-6)
    dip = kept <= (1 + np.sqrt((1 - share) ** 2 + share**2)) / 2
    allowed = np.where(dip, config.mix_residual, config.mix_residual / 2)
    inside = (weight > FIRST_MIX) & (weight < 1 - FIRST_MIX)
    mixed = (length >= config.mix_codes) & (residual <= allowed) & inside
    return weight.astype(np.float64), residual.astype(np.float64), mixed, empty


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

    Where a window lies within the transition, every frame is half of its ends: that many in a row are one too,
    and it reaches as far as their windows. Each window is asked by itself: one may be too short to see the
    rise, another reach into something else.
    """
    frames = np.array([one.frame for one in run])
    table = np.array([one.weights for one in run])
    fade = 2 * sum(one.empty for one in run) >= len(run)
    kind = ShotKind.FADE if fade else ShotKind.DISSOLVE
    found = _steady_span(run, kind, count)
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
        more = int(np.ceil(2 * FIRST_MIX * (times[-1] - times[0]))) + 2
        found = Shot(kind, max(int(times[0]) - more, 0), min(int(times[-1]) + more, count - 1))
    return found


def _steady_span(run: list[_Mixed], kind: ShotKind, count: int) -> Shot | None:
    """The longest stretch of frames that are half of their ends, with its windows; None where it is short."""
    found: Shot | None = None
    for column, reach in enumerate(REACHES):
        frames = np.array([one.frame for one in run if one.steady[column]], np.int64)
        pieces = np.split(frames, np.flatnonzero(np.diff(frames) > 2) + 1)
        longest = max(pieces, key=len)
        if len(longest) < STEADY_FRAMES:
            continue
        first, last = max(int(longest[0]) - reach, 0), min(int(longest[-1]) + reach, count - 1)
        if found is None or last - first > found.last - found.first:
            found = Shot(kind, first, last)
    return found
