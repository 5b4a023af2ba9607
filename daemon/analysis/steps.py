"""Steps inside a shot: from one frame to the next the light, the coder's grid or the sharpness changes at once, while
the same is seen. One side of a step is the worse one, and the frames beside it tell which, better than frames that only
show much the same.

light       frames that are brighter by one gain are burnt where that gain would drive highlights beyond what there is,
            or where it does not explain how grey black is; else nothing is lost by being bright: the others are dark
grid        the side with the stronger grid is the worse one
sharpness   the side with the weaker edges, cell by cell

What is wrong goes on from the step to the next one of its kind, as far as frames are nearer to the worse side of it; of
what is blurred, until most of the loss is made up for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import GRID, LUMA, TINT_GRID, by_cell
from daemon.analysis.film_figures import Records
from daemon.analysis.grid_step import DOUBLED, GROSS_GRID, from_coder
from daemon.analysis.light import EMPTY_CODES, rank_correlation, unexplained
from daemon.model import Shot, ShotKind

Word = Literal["burnt", "dark", "blocks", "blur"]

STANDS_OUT, REACH = 0.4, 2
"""What so many frames before and after a step change by is at most this share of it."""
LIGHT_STEP, GRID_STEP = float(np.log(1.3)), float(np.log(1.35))
"""The least change of the mean of luma, and of the grid, as logarithms."""
OCTAVE = 16.0
"""A cell's edges are in so many parts of an octave."""
SHARP_STEP, LEAST_EDGED, EDGED = 12.0, 8, 40
"""The least loss of the edges of cells, as the median of at least so many that have edges."""
MOST_SOFTER, SAME_LIGHT = 36.0, float(np.log(1.1))
"""Where much moves, a larger loss both ways is another picture, and so is one in which the mean of luma changes by
more: what is clipped has hard edges."""
LITTLE_STEP, LIKE_STEP, LONE_STEP = 5.0, 0.5, 8.0
"""The same where a stretch both begins and ends by it; the smaller of the two is this share of the larger at least; and
where it begins by it alone."""
ONE_WAY, SEEN_ONE_WAY = 12.0, 0.5
"""What is lost one way more than the other, by so much, is a smear: nothing but movement makes it, and frames of much
movement correlate this little."""
RECOVERED = 0.65
"""What was blurred by a step is sharp again once so much of the loss is made up for."""
GRID_OR_BLUR = float(np.log(DOUBLED))
"""What gains so much of a grid, and less sharpness than that, is either blocky or has been blurred before."""
SAME_ORDER, SAME_ORDER_INSIDE, SAME_CURVE, SAME_COLOURS = 0.9, 0.72, 0.2, 0.95
"""The rank correlation of the cells of two frames of which only the light differs, at a cut and where none was found;
or what a rising curve leaves of the brighter one's contrast; or the rank correlation of their colours."""
SAME_SEEN, SAME_SEEN_MOVING, SAME_CODES, SAME_SHARE = 0.95, 0.8, 3.0, 0.1
"""The correlation, less where much may move, or the difference in codes, and as a share of the contrast if that is more
than a code, of two frames in the same light."""
ASIDE = 3
"""Frames on either side of a step by which the light is judged."""
WHITE = 247
"""A cell is clipped white from this code on."""
FITTED_CODES, FITTED_SHARE, LEAST_FITTED = 200, 0.8, 12
"""The gain is found among cells that are no brighter, the darkest share of them, and not by fewer."""
BEYOND_CODES, FAR_BEYOND, TOP = 15.0, 50.0, 225
"""How far the gain would drive highlights beyond what there is, in codes; how far by itself says all where these are
white; and how bright they are at least."""
LIFTED_CODES, LIFTED_GAIN, LIFTED_PLAINLY, BLACK = 10.0, 4.0, 1.5, 16
"""What black is lifted by beyond the gain, in codes, and as a share of the gain: codes of dark frames are rounded; how
many times that by itself says all, where what is lifted was black and the gain holds for highlights, too."""
CLIPPED, SHOWN, FLATTER = 0.08, 4.0, 0.8
"""How much of the brighter frames is clipped, by how many codes the darker ones differ there, and how much less
highlights gain than shadows."""


@dataclass(frozen=True, slots=True)
class Step:
    """What changes at once from the frame before ``at`` to that one.

    ``worse`` is the side, -1 before and 1 after; ``value`` is how many times what the better side has the worse one
    has, which is wrong below or above ``limit``.
    """

    at: int
    word: Word
    worse: int
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class WorseFrames:
    """Frames ``first`` to ``last``, which a step says are the worse ones."""

    first: int
    last: int
    step: Step

    @property
    def across(self) -> int:
        """The row of the frame on the better side of the step."""
        return self.step.at - 1 if self.step.worse > 0 else self.step.at


def stepped(records: Records, shots: Sequence[Shot]) -> list[WorseFrames]:
    """The frames of shots that are worse than what lies beyond a step.

    A step may be where a shot begins or ends: a dissolve goes over into frames that are spoilt, or what is left of a
    picture that is clipped is so little that it was taken for another one.
    """
    worse = []
    for place, shot in enumerate(shots):
        if shot.kind is not ShotKind.SHOT or shot.last - shot.first < 2 * REACH:
            continue
        first, last = max(shot.first - ASIDE, 0), min(shot.last + ASIDE, len(records) - 1)
        some = records[first : last + 1]
        series = _Series(some)
        inside = range(shot.first + 1 - first, shot.last + 1 - first)
        found = [step for step in _steps(some, series, inside) if _belongs(step, first, place, shots)]
        found += _softened(some, series, inside, found)
        for kinds in (("burnt", "dark"), ("blocks",), ("blur",)):
            own = [step for step in found if step.word in kinds]
            for step in own:
                # What is sharp in another light, or under another grid, is no measure.
                ends = found if step.word == "blur" else own
                one = _worse_frames(step, ends, series.of(step.word), first)
                clipped = WorseFrames(max(one.first, shot.first), min(one.last, shot.last), one.step)
                worse += [clipped] if clipped.first <= clipped.last else []
    return worse


def _belongs(step: Step, base: int, place: int, shots: Sequence[Shot]) -> bool:
    """Whether a step near a shot is one of it: at a cut, only the light's; beyond it, none."""
    shot, at = shots[place], base + step.at
    if shot.first < at <= shot.last:
        return True
    other = place - 1 if at == shot.first else place + 1
    if at not in (shot.first, shot.last + 1) or not 0 <= other < len(shots):
        return False
    return shots[other].kind is not ShotKind.SHOT or step.word in ("burnt", "dark")


class _Series:
    """Of the frames of a shot, the logarithms of what a step changes, and where they stand out."""

    def __init__(self, records: Records) -> None:
        self.light, self.grid, across, along = (
            np.log(np.maximum(records[name].astype(np.float64), least))
            for name, least in (("mean", 1.0), ("blocks", 1e-6), ("sharp_x", 1e-6), ("sharp_y", 1e-6))
        )
        self.sharp = across + along
        self.lit, self.blocky = _standing_out(self.light, LIGHT_STEP), _standing_out(self.grid, GRID_STEP)
        softer, little = (value / OCTAVE * float(np.log(2)) for value in (SHARP_STEP, LITTLE_STEP))
        self.places = sorted(self.lit | self.blocky | _standing_out(across, softer) | _standing_out(along, softer))
        self.softened = _standing_out(across, little) | _standing_out(along, little)

    def sharper(self, at: int) -> float:
        """How much sharper a frame is than the one before, as a logarithm: the mean of both ways."""
        return float(self.sharp[at] - self.sharp[at - 1]) / 2

    def same_light(self, at: int) -> bool:
        """Whether a frame is about as bright as the one before."""
        return abs(float(self.light[at] - self.light[at - 1])) <= SAME_LIGHT

    def alike(self, at: int) -> float:
        """How much a frame inside of a shot and the one before correlate where only sharpness changes."""
        return SAME_SEEN_MOVING if self.same_light(at) else SAME_SEEN

    def of(self, word: Word) -> NDArray[np.float64]:
        """What tells how long it goes on."""
        return {"burnt": self.light, "dark": self.light, "blocks": self.grid, "blur": self.sharp}[word]


def _steps(records: Records, series: _Series, inside: range) -> Iterator[Step]:
    """The steps of a shot, by their places in it; of the light and of what else is wrong at one place, the light.

    At places ``inside`` of the shot no cut was found: that the same is seen needs less proof where it moves.
    """
    for at in series.places:
        before, after = records[at - 1], records[at]
        if at in series.lit:
            if _same_order(before, after, SAME_ORDER_INSIDE if at in inside else SAME_ORDER):
                yield _lit(records, at, float(series.light[at] - series.light[at - 1]))
            continue
        rise = float(series.grid[at] - series.grid[at - 1])
        gross = at in series.blocky and at in inside and abs(rise) >= np.log(GROSS_GRID)
        alike = SAME_SEEN_MOVING if gross else SAME_SEEN
        if at in series.blocky and _same_seen(before, after, alike) and from_coder(records, at):
            yield Step(at, "blocks", 1 if rise > 0 else -1, float(np.exp(abs(rise))), float(np.exp(GRID_STEP)))
            continue
        across, along = _losses(before, after)
        loss = max(across or 0.0, along or 0.0, key=abs)
        if abs(rise) >= GRID_OR_BLUR and loss * rise < 0 and abs(series.sharper(at)) < abs(rise):
            continue
        if at in inside and abs(loss) <= MOST_SOFTER:
            alike = min(alike, series.alike(at))
        if at in inside and _smeared(across, along) and series.same_light(at):
            alike = SEEN_ONE_WAY
        if abs(loss) >= SHARP_STEP and _same_seen(before, after, alike):
            times = [float(2.0 ** (-value / OCTAVE)) for value in (abs(loss), SHARP_STEP)]
            yield Step(at, "blur", 1 if loss > 0 else -1, *times)


def _softened(records: Records, series: _Series, inside: range, known: Sequence[Step]) -> Iterator[Step]:
    """Where a stretch inside of a shot begins that is a little softer, and where it ends, both at once; and where what
    is plainly softer begins without such an end.

    A coder's pictures grow sharper at once, too, every so many frames, but softer little by little.
    """
    places = sorted(place for place in series.softened if place in inside and place not in series.lit)
    taken = {step.at for step in known}
    edges = [
        (at, _loss(records[at - 1], records[at]))
        for at in places
        if at not in taken and _same_seen(records[at - 1], records[at], series.alike(at))
    ]

    def softer(at: int, worse: int, loss: float, least: float) -> Step:
        return Step(at, "blur", worse, *(float(2.0 ** (-value / OCTAVE)) for value in (loss, least)))

    pairs = set(itertools.pairwise(edges))
    # A little less or more between two that are plain matters to neither.
    plain = itertools.pairwise([one for one in edges if abs(one[1]) >= LITTLE_STEP])
    pairs |= {pair for pair in plain if min(abs(loss) for _, loss in pair) >= LONE_STEP}
    paired = set()
    for (at, loss), (end, gain) in sorted(pairs):
        if loss < LITTLE_STEP or -gain < LITTLE_STEP or any(at < other < end for other in taken):
            continue
        if min(loss, -gain) >= LIKE_STEP * max(loss, -gain):
            yield softer(at, 1, loss, LITTLE_STEP)
            yield softer(end, -1, -gain, LITTLE_STEP)
            paired |= {at, end}
    yield from (softer(at, 1, loss, LONE_STEP) for at, loss in edges if loss >= LONE_STEP and at not in paired)


def _worse_frames(step: Step, own: Sequence[Step], values: NDArray[np.float64], base: int) -> WorseFrames:
    """From a step to the next one, of ``own``, or to where two frames are nearer to its better side by ``values``; of
    what is blurred, to where these are ``RECOVERED``.

    Where both steps say that what lies between them is worse, all of it is.
    """
    edges = [0, *sorted({one.at for one in own}), len(values)]
    place = edges.index(step.at, 1)
    other = edges[place + step.worse]
    closed = any(one.at == other and one.word == step.word and one.worse == -step.worse for one in own)
    part = values[step.at : edges[place + 1]] if step.worse > 0 else values[edges[place - 1] : step.at][::-1]
    bad, good = (float(values[step.at + way]) for way in ((0, -1) if step.worse > 0 else (-1, 0)))
    least = bad + (RECOVERED if step.word == "blur" else 0.5) * (good - bad)
    better = (part - least) * (bad - good) <= 0
    out = np.flatnonzero(better[:-1] & better[1:])
    length = max(int(out[0]) if len(out) and not closed else len(part), 1)
    first = step.at if step.worse > 0 else step.at - length
    return WorseFrames(
        base + first, base + first + length - 1, Step(base + step.at, step.word, step.worse, step.value, step.limit)
    )


def _standing_out(values: NDArray[np.float64], least: float) -> set[int]:
    """Places where ``values`` change by at least so much, and by far more than around."""
    change = np.abs(np.diff(values, prepend=values[0]))
    padded = np.pad(change, REACH)
    ways = [way for way in range(-REACH, REACH + 1) if way]
    around = np.max([padded[REACH + way : len(padded) - REACH + way] for way in ways], axis=0)
    return set(np.flatnonzero((change >= least) & (around <= STANDS_OUT * change)).tolist())


def _same_order(before: np.void, after: np.void, least: float) -> bool:
    """Whether two frames show the same, in whatever light: the order of their cells is the same, or that of red, green
    and blue in large ones, since luma is in any order where colours are clipped; or a rising curve leads from the
    darker one's cells to the brighter one's, many of which may be clipped."""
    if rank_correlation(before["luma"].ravel(), after["luma"].ravel()) >= least:
        return True
    first, second = (
        np.rint(_channels(np.array([one], one.dtype))).clip(0, 255).astype(np.uint8) for one in (before, after)
    )
    if rank_correlation(first.ravel(), second.ravel()) >= SAME_COLOURS:
        return True
    dark, bright = sorted((before, after), key=lambda one: float(one["mean"]))
    x, y = (one["luma"].astype(np.float32).ravel() for one in (dark, bright))
    return float(y.std()) >= EMPTY_CODES and unexplained(x, y) <= SAME_CURVE * float(y.std())


def _same_seen(before: np.void, after: np.void, least: float) -> bool:
    """Whether two frames show the same, in the same light."""
    one, other = (side["luma"].astype(np.float64).ravel() for side in (before, after))
    if np.abs(one - other).mean() <= min(SAME_CODES, max(SAME_SHARE * max(one.std(), other.std()), 1.0)):
        return True
    return bool(one.std() > 0 and other.std() > 0 and np.corrcoef(one, other)[0, 1] >= least)


def _lit(records: Records, at: int, change: float) -> Step:
    bright = 1 if change > 0 else -1
    if _burnt(records[max(at - ASIDE, 0) : at], records[at : at + ASIDE]):
        return Step(at, "burnt", bright, float(np.exp(abs(change))), float(np.exp(LIGHT_STEP)))
    return Step(at, "dark", -bright, float(np.exp(-abs(change))), float(np.exp(-LIGHT_STEP)))


def _burnt(before: Records, after: Records) -> bool:
    """Whether of some frames on either side of a step of the light the brighter ones are the wrong ones."""
    dark, bright = sorted((before, after), key=lambda some: float(some["mean"].mean()))

    def of(some: Records, name: str) -> float:
        return float(np.median(some[name]))

    white = (bright["luma"] >= WHITE).all(axis=0)
    if white.mean() >= CLIPPED and dark["luma"][:, white].mean(axis=0).std() >= SHOWN:
        return True
    # Of one strong colour, luma is not white where the colour is clipped.
    shown: NDArray[np.float64] = _channels(dark).mean(axis=0)
    full: NDArray[np.bool_] = np.min(_channels(bright), axis=0) >= WHITE
    if any(shown[full[:, way], way].std() >= SHOWN for way in np.flatnonzero(full.sum(axis=0) > 1)):
        return True
    clipped = of(bright, "light") - of(dark, "light")
    # Cells in their order: what moves has no say.
    x, y = (np.sort(one["luma"].reshape(len(one), -1).astype(np.float64)).mean(axis=0) for one in (dark, bright))
    told = (y < FITTED_CODES) & (np.arange(len(y)) < FITTED_SHARE * len(y))
    if told.sum() < LEAST_FITTED or np.ptp(x[told]) < 1:
        steep = (of(bright, "low") + 1) / (of(dark, "low") + 1)
        return clipped >= CLIPPED and of(bright, "high") / max(of(dark, "high"), 1.0) < FLATTER * steep
    gain, lift = (float(value) for value in np.polyfit(x[told], y[told], 1))
    top = of(bright, "high")
    over = gain * of(dark, "high") + lift - top
    beyond = over >= BEYOND_CODES and top >= TOP
    lifted = min(lift, *(of(bright, name) - gain * of(dark, name) for name in ("low", "floor")))
    if beyond and (clipped >= CLIPPED / 4 or lifted >= LIFTED_CODES / 2):
        return True
    if over >= FAR_BEYOND and top >= WHITE:
        return True
    lifted /= max(LIFTED_CODES, LIFTED_GAIN * gain)
    if lifted >= LIFTED_PLAINLY and of(dark, "low") <= BLACK and over >= -BEYOND_CODES:
        return True
    return lifted >= 1 and (beyond or top < TOP)


def _channels(some: Records) -> NDArray[np.float64]:
    """Red, green and blue of large cells in codes ``(n, 12, 3)``, as ``features.figures`` has them by luma and tint."""
    rows, columns = (size // part for size, part in zip(GRID, TINT_GRID, strict=True))
    parts = some["luma"].reshape(len(some), TINT_GRID[0], rows, TINT_GRID[1], columns)
    red, blue = (some["tint"][..., way].astype(np.float64) for way in range(2))
    green = parts.mean(axis=(2, 4)) - LUMA[0] * red - LUMA[2] * blue
    return np.stack([green + red, green, green + blue], axis=-1).reshape(len(some), -1, 3)


def _loss(before: np.void, after: np.void) -> float:
    """How much weaker edges are after than before, across or along, whichever is more; below 0 if they are stronger."""
    return max((loss or 0.0 for loss in _losses(before, after)), key=abs)


def _losses(before: np.void, after: np.void) -> tuple[float | None, float | None]:
    """How much weaker edges across and along are after than before; None where too few cells have any."""
    if not by_cell(before, after):
        ratios = (max(float(before[name]), 1e-6) / max(float(after[name]), 1e-6) for name in ("sharp_x", "sharp_y"))
        across, along = (OCTAVE * float(np.log2(ratio)) for ratio in ratios)
        return across, along
    clear = (before["luma"] < WHITE) & (after["luma"] < WHITE)
    losses: list[float | None] = [None, None]
    for way in range(2):
        one, other = (side["edges"][..., way].astype(np.float64) for side in (before, after))
        told = (np.maximum(one, other) >= EDGED) & clear
        if told.sum() >= LEAST_EDGED:
            losses[way] = float(np.median(one[told] - other[told]))
    return losses[0], losses[1]


def _smeared(across: float | None, along: float | None) -> bool:
    """Whether what is lost, or regained, is so one way: the other way no more than where much moves, and not turned
    round."""
    if across is None or along is None:
        return False
    less, more = sorted((across, along), key=abs)
    same_way = less if more > 0 else -less
    return abs(more - less) >= ONE_WAY and -LITTLE_STEP <= same_way <= MOST_SOFTER
