"""Fades and dissolves: frames that are linear mixes of what is before and after them.

Every frame of one is a mix of a frame before and a frame after it, by a weight that runs from 0 to 1; one end of a fade
is empty (Fernando, Canagarajah, Bull, "Fade and dissolve detection in uncompressed and compressed video sequences",
ICIP 1999; Lienhart, "Reliable dissolve detection", SPIE 4315, 2001). In a pan, the frame in the middle is no mix of the
two ends. Where both pictures move, neither is it in a dissolve: but its details are weak, all over the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import CELLS, GRID, SKETCH
from daemon.analysis.light import EMPTY_CODES, same_view
from daemon.config.selection import ShotsConfig
from daemon.model import Shot, ShotKind

REACHES = (4, 8, 16, 32, 64)
"""Half the lengths, in frames, of the windows in which mixes are looked for."""
JUMP_CODES, JUMP_TIMES, JUMP_REACH = 6.0, 2.5, 2
"""What changes from one frame to the next by so many codes, and so many times as much as in the frames around, is no
part of a mix: windows end there."""
DETAIL_STEP = 0.75
"""So does what changes the detail of the median cell by so many octaves at once."""
MOVING = 0.5
"""What may be left of a mix of pictures that move, where its detail is as weak as a mix's."""
LEAST_DETAIL, LEAST_DETAILED = 8.0, 24
"""Cells tell of detail from this energy on, and so many are needed."""
DIP, DIPPED, DIP_MOST = 0.6, 0.8, 0.1
"""How much of the dip of a mix there is at least, in the median cell; and in which share of the cells how much."""
FIRST_MIX = 0.08
"""Weights nearer to 0 or 1 are the pictures themselves."""
STEADY, STEADY_FRAMES, LEAST_STEADY_REACH = 0.15, 6, 8
"""A frame is half of its ends but for this share of their difference, so many are, by windows of this reach."""
STRAIGHT = 0.8
"""How well the weights lie on a line (correlation with time), at least."""
LEAST_RISE, LITTLE_RISE = 0.3, 0.15
"""What the weight gains between the first and the last frame that was found, at least; and where detail and a straight
line leave no doubt."""
FEW_DIPS, MANY_DIPS, VERY_STRAIGHT = 4, 8, 0.95
"""So many frames with the weak detail of a mix are needed for that; with so many, the weights have at least this
correlation with time, and nearer to 1 the fewer there are."""
FALL = 0.08
"""A weight that falls by so much from one frame to the next is that of another mix."""
MIDDLE = slice(2, 7)
"""Rows of a thumbnail between which bars above and below a wide picture cannot reach."""
BAR_CODES = 12
"""Bars are no brighter."""


def barred(luma: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether the first and last rows of ``(n, 9, 16)`` are black: bars above and below."""
    found: NDArray[np.bool_] = luma[:, (0, -1)].max(axis=(1, 2)) <= BAR_CODES
    return found


def _piece(edges: NDArray[np.int64], frame: int) -> tuple[int, int]:
    """The first frame, and the one after the last, of the stretch without a jump that a frame is in."""
    place = int(np.searchsorted(edges, frame, side="right"))
    return int(edges[place - 1]), int(edges[place])


@dataclass(frozen=True, slots=True)
class _Mixed:
    """A frame that is a mix: by each of ``REACHES`` its weight, NaN where it is none, whether its detail says so, and
    whether it lies exactly between two frames of the same mix; whether one end is empty."""

    frame: int
    weights: NDArray[np.float64]
    dipping: NDArray[np.bool_]
    steady: NDArray[np.bool_]
    empty: bool


class MixFinder:
    """Frames that are linear mixes of what is before and after them."""

    def __init__(self, config: ShotsConfig) -> None:
        self._config = config
        self._thumbnails = np.zeros((0, *GRID, 3), np.uint8)
        self._sketches = np.zeros((0, SKETCH), np.float32)
        self._energy = np.zeros((0, CELLS), np.float32)
        self._base = 0
        self._next = 0
        self._mixed: list[_Mixed] = []
        self._jumps: list[int] = []

    def feed(self, thumbnails: NDArray[np.uint8], sketches: NDArray[np.float32], fine: NDArray[np.float32]) -> None:
        """The next frames: thumbnails ``(n, 9, 16, 3)``, their sketches ``(n, 168)`` and ``energy`` ``(n, 144)``."""
        reach = REACHES[-1] + JUMP_REACH
        self._thumbnails = np.concatenate([self._thumbnails, thumbnails])
        self._sketches = np.concatenate([self._sketches, sketches])
        self._energy = np.concatenate([self._energy, fine])
        self._look(self._base + len(self._sketches) - reach)
        past = max(self._next - reach - self._base, 0)
        self._thumbnails, self._sketches = self._thumbnails[past:], self._sketches[past:]
        self._energy = self._energy[past:]
        self._base += past

    def found(self) -> list[Shot]:
        """The fades and dissolves, in order."""
        self._look(self._base + len(self._sketches))
        return _spans(self._mixed, self._jumps, self._next, self._config)

    def _look(self, until: int) -> None:
        """Judge the frames from ``_next`` to ``until``; windows that leave the film look at its end instead."""
        if until <= self._next:
            return
        frames = np.arange(self._next, until) - self._base
        last = len(self._sketches) - 1
        jumps = _jumps(self._sketches)
        self._jumps += [int(at) + self._base for at in jumps if frames[0] <= at <= frames[-1]]
        # A window ends where something changes at once, as it does where the film ends.
        earliest, latest = _window(frames, jumps, last)
        # And where detail does, as far as a mix is told by detail.
        steps = np.union1d(jumps, _steps_of_detail(self._energy))
        inner_earliest, inner_latest = _window(frames, steps, last)
        weights = np.full((len(frames), len(REACHES)), np.nan)
        empty = np.zeros(len(frames), np.bool_)
        dipping, steady = (np.zeros((len(frames), len(REACHES)), np.bool_) for _ in range(2))
        for column, reach in enumerate(REACHES):
            before, after = np.maximum(frames - reach, earliest), np.minimum(frames + reach, latest)
            weight, residual, mixed, fade, length = _mix(
                self._sketches[before], self._sketches[frames], self._sketches[after], self._config
            )
            inner_before = np.maximum(frames - reach, inner_earliest)
            inner_after = np.minimum(frames + reach, inner_latest)
            other = np.flatnonzero((inner_before > before) | (inner_after < after))
            sure, inner_weight = self._dipping(frames, inner_before, inner_after, other, weight, residual, fade, length)
            doubtful = np.setdiff1d(np.flatnonzero(mixed & ~fade), sure)
            mixed[doubtful] = ~same_view(self._thumbnails[before[doubtful]], self._thumbnails[after[doubtful]])
            mixed[sure] = dipping[sure, column] = True
            weight = np.where(np.isin(np.arange(len(frames)), sure), inner_weight, weight)
            weights[mixed, column] = weight[mixed]
            if reach >= LEAST_STEADY_REACH:
                # Half of an empty picture is one that is darker throughout.
                steady[:, column] = mixed & ~fade & (np.abs(weight - 0.5) < 0.2) & (residual <= STEADY)
            empty |= mixed & fade
        for at in np.flatnonzero(~np.isnan(weights).all(axis=1)):
            frame = int(frames[at]) + self._base
            self._mixed.append(_Mixed(frame, weights[at], dipping[at], steady[at], bool(empty[at])))
        self._next = until

    def _dipping(
        self,
        frames: NDArray[np.int64],
        before: NDArray[np.int64],
        after: NDArray[np.int64],
        other: NDArray[np.int64],
        weight: NDArray[np.float64],
        residual: NDArray[np.float64],
        fade: NDArray[np.bool_],
        length: NDArray[np.float32],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which frames are mixes by their detail, held against that of ``before`` and ``after``; and their weights.

        What ``_mix`` says is given, but for the rows ``other``, whose windows are not those that it was asked of.
        """
        weight, residual, fade, length = weight.copy(), residual.copy(), fade.copy(), length.copy()
        if len(other):
            weight[other], residual[other], _, fade[other], length[other] = _mix(
                self._sketches[before[other]], self._sketches[frames[other]], self._sketches[after[other]], self._config
            )
        inside = (weight > FIRST_MIX) & (weight < 1 - FIRST_MIX) & (length >= self._config.mix_codes)
        likely = np.flatnonzero(inside & (residual <= MOVING) & ~fade)
        dips = _dips(
            self._energy[before[likely]], self._energy[frames[likely]], self._energy[after[likely]], weight[likely]
        )
        return likely[dips], weight


def _window(
    frames: NDArray[np.int64], jumps: NDArray[np.int64], last: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and last frame of the stretch without a jump that each frame is in."""
    edges = np.concatenate([[0], jumps, [last + 1]])
    place = np.searchsorted(edges, frames, side="right")
    return edges[place - 1], edges[place] - 1


def _mix(
    before: NDArray[np.float32], middle: NDArray[np.float32], after: NDArray[np.float32], config: ShotsConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.float32]]:
    """Per row: the weight of ``after`` in ``middle``, what is left beside the mix as a share of the difference of
    the ends, whether it is a mix, whether one of the ends is empty, and that difference in codes."""
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
    inner = [np.where(barred(own), own[:, MIDDLE].std(axis=(1, 2)), own.std(axis=(1, 2))) for own in luma]
    empty = (inner[0] < EMPTY_CODES) | (inner[1] < EMPTY_CODES)
    # Two pictures that have nothing to do with each other lose contrast when they are mixed.
    share = np.clip(weight, 0.0, 1.0)
    kept = spread[1] / np.maximum((1 - share) * spread[0] + share * spread[2], 1e-6)
    dip = kept <= (1 + np.sqrt((1 - share) ** 2 + share**2)) / 2
    allowed = np.where(dip, config.mix_residual, config.mix_residual / 2)
    inside = (weight > FIRST_MIX) & (weight < 1 - FIRST_MIX)
    mixed = (length >= config.mix_codes) & (residual <= allowed) & inside
    return weight.astype(np.float64), residual.astype(np.float64), mixed, empty, length


def energy(edges: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The mean squared step between neighbouring pixels, both ways together, by cell: ``(n, 144)``."""
    mean: NDArray[np.float32] = (2.0 ** (edges.astype(np.float32) / 16) - 1).sum(axis=-1).reshape(len(edges), -1)
    return mean


def _dips(
    before: NDArray[np.float32], middle: NDArray[np.float32], after: NDArray[np.float32], weight: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Per row: whether fine detail is as weak as in a mix, all over the picture.

    Details of two pictures have nothing to do with each other: of their energy, a mix has the squares of the weights;
    what moves or is panned over keeps it all.
    """
    share = np.clip(weight, 0.0, 1.0)[:, None]
    plain = (1 - share) * before + share * after
    mixed = (1 - share) ** 2 * before + share**2 * after
    told = plain >= LEAST_DETAIL
    enough = told.sum(axis=1) >= LEAST_DETAILED
    expected = np.where(told, np.log2(np.maximum(mixed, 0.1) / np.maximum(plain, 0.1)), np.nan)
    found = np.where(told, np.log2(np.maximum(middle, 0.1) / np.maximum(plain, 0.1)), np.nan)
    dips = np.zeros(len(weight), np.bool_)
    if enough.any():
        most = np.nanpercentile(found[enough], 100 * DIPPED, axis=1)
        middle_of = np.nanmedian(expected[enough], axis=1)
        dips[enough] = (np.nanmedian(found[enough], axis=1) <= DIP * middle_of) & (most <= DIP_MOST * middle_of)
    return dips


def _jumps(sketches: NDArray[np.float32]) -> NDArray[np.int64]:
    """Places where a sketch differs from the one before by far more than its neighbours do: cuts, steps in exposure."""
    change = np.zeros(len(sketches))
    change[1:] = np.sqrt(((sketches[1:] - sketches[:-1]) ** 2).mean(axis=1))
    return _standing_out(change, JUMP_CODES)


def _steps_of_detail(fine: NDArray[np.float32]) -> NDArray[np.int64]:
    """Places where detail gains or loses at once all over the picture, far more than around: blur that is cut
    in, which no mix has."""
    octaves = np.log2(np.maximum(fine, LEAST_DETAIL / 8))
    change = np.zeros(len(fine))
    told = np.maximum(fine[1:], fine[:-1]) >= LEAST_DETAIL
    enough = np.flatnonzero(told.sum(axis=1) >= LEAST_DETAILED)
    steps = np.where(told[enough], octaves[enough + 1] - octaves[enough], np.nan)
    change[enough + 1] = np.abs(np.nanmedian(steps, axis=1)) if len(enough) else 0.0
    return _standing_out(change, DETAIL_STEP)


def _standing_out(change: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    padded = np.pad(change, JUMP_REACH)
    ways = [way for way in range(-JUMP_REACH, JUMP_REACH + 1) if way]
    around = np.max([padded[JUMP_REACH + way : len(padded) - JUMP_REACH + way] for way in ways], axis=0)
    found: NDArray[np.int64] = np.flatnonzero((change >= least) & (change >= JUMP_TIMES * around))
    return found


def _spans(mixed: list[_Mixed], jumps: list[int], count: int, config: ShotsConfig) -> list[Shot]:
    """Runs of mixed frames, from where their weight is 0 to where it is 1; none goes on over a jump."""
    spans: list[Shot] = []
    run: list[_Mixed] = []
    edges = np.array([0, *jumps, count])
    for one in [*mixed, None]:
        near = one is not None and (not run or one.frame - run[-1].frame <= config.mix_gap)
        if one is not None and near and not (run and _piece(edges, run[-1].frame) != _piece(edges, one.frame)):
            run.append(one)
            continue
        span = _span(run, count, config)
        if span is not None:
            first, after = _piece(edges, run[0].frame)
            span = Shot(span.kind, max(span.first, first), min(span.last, after - 1))
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
    for column, weights in enumerate(table.T if len(run) else ()):
        seen = np.flatnonzero(~np.isnan(weights))
        for piece in np.split(seen, np.flatnonzero(np.diff(weights[seen]) < -FALL) + 1):
            if len(piece) < config.mix_frames or len(piece) <= best:
                continue
            dips = sum(bool(run[at].dipping[column]) for at in piece)
            if not _rises(frames[piece], weights[piece], dips):
                continue
            best = len(piece)
            first, last = int(frames[piece[0]]), int(frames[piece[-1]])
            # What is left of the way at both ends hardly shows.
            more = int(np.ceil(2 * FIRST_MIX * (last - first))) + 2
            found = Shot(kind, max(first - more, 0), min(last + more, count - 1))
    return found


def _rises(frames: NDArray[np.int64], weights: NDArray[np.float64], dips: int) -> bool:
    """Whether the weights of frames rise along a line; ``dips`` of these have the weak detail of a mix."""
    slope, _ = np.polyfit(frames - frames[0], weights, 1)
    rise = float(slope) * int(frames[-1] - frames[0])
    straight = float(np.corrcoef(frames, weights)[0, 1]) if weights.std() > 0 else 0.0
    very = max(1 - (1 - VERY_STRAIGHT) * dips / MANY_DIPS, VERY_STRAIGHT)
    sure = dips >= FEW_DIPS and straight >= very
    return straight >= STRAIGHT and rise >= (LITTLE_RISE if sure else LEAST_RISE)


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
