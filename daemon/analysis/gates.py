"""Which frames are never chosen, and the word that says why. Pure functions of figures, shots and thresholds.

What is black, burnt or blurred is a question of the film: exposure and sharpness are judged against the frames
around in the same shot, black and white against what is usual in the film. So a film that is dark throughout, or
soft throughout, still has its best frames, and a shot of which a half is spoilt loses that half.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.lettering import captioned, drawing, titles, written
from daemon.config.choice import GatesConfig
from daemon.model import Shot, ShotKind

Records = NDArray[np.void]
"""``features.FIGURES``."""
Mask = NDArray[np.bool_]


class Verdict(StrEnum):
    """Why a frame is never chosen; the words in ``frames.verdict``."""

    GOOD = "good"
    UNSCORED = "unscored"
    BLACK = "black"
    WHITE = "white"
    FLAT = "flat"
    TITLE = "title"
    TRANSITION = "transition"
    BURNT = "burnt"
    DARK = "dark"
    BLUR = "blur"
    BLOCKS = "blocks"
    COMBED = "combed"
    BARS = "bars"
    SNOW = "snow"
    TITLED = "titled"
    SPARED = "spared"
    TRANSPARENT = "transparent"


ORDER = tuple(Verdict)
"""Verdicts by their number in the arrays that ``judge`` returns."""
SOFT = (Verdict.BURNT, Verdict.DARK, Verdict.BLUR, Verdict.BLOCKS, Verdict.COMBED, Verdict.TITLED)
"""What is wrong with the picture of something."""
JUNK = (Verdict.TITLE, Verdict.BARS, Verdict.SNOW)
"""Pictures of nothing."""
TITLED_TEXT = 6
"""Cells with lettering of what lies over a picture, beside twice the picture's own."""
BRIGHT_MEAN = 175.0
"""Brighter frames are no measure of what is dark."""
WASHED_LIGHT, WASHED_MEAN, WASHED_MOST = 0.6, 230.0, 0.2
"""The share of pixels that is clipped white, the mean of luma, and the share of a film that is like that at most."""
MOST_PEERS, LIT_ALIKE, PEER_ALIKE = 160, 0.2, 0.8
BESIDE_FRAMES = 500
MOST_BESIDE, LIT_BESIDE, BESIDE_ALIKE = 40, 0.6, 0.97
"""Frames of a window that others are compared with, and the correlation of their cells from which they can be: by
exposure, since clipping changes a picture, and by sharpness."""
SPARED_SECONDS = 3.0
"""A stretch that is refused whole is spared from this length on."""
LEAST_FRAMES = 5
"""No shot beside a fade or dissolve is shorter."""
EDGE_SECONDS = 0.2
"""Frames farther apart are no blend of what is on either side of a cut."""
LEAST_SPOILT, BESIDE_SPOILT_SECONDS = 3, 0.25
"""So many spoilt frames in a row spoil those within so many seconds before and after."""
SNOW_SHARP = 1.0
"""The mean squared step between neighbours over the variance; 2 where they are independent."""
LIKE_FOCUS = 0.4
"""Frames with this share of another's sharpness are in like focus."""
AWHILE_SECONDS, AWHILE_LEAST = 2.0, 0.35
"""Within so many seconds, a frame has at least this share of the sharpness of the sharp ones, whatever they show."""
IN_PART = 1.15
"""What is lost in the sharpest part of a picture may be so much less than what is lost in all of it."""
TOLD, LEAST_TOLD = 40, 8
"""A cell's edges from which a loss of sharpness can be told, as ``features`` has them, and such cells, at least."""


def judge(
    records: Records,
    time_s: NDArray[np.float64],
    scored: Mask,
    shots: Sequence[Shot],
    views: NDArray[np.int64],
    config: GatesConfig,
    transparent: Mask | None = None,
) -> NDArray[np.uint8]:
    """Each frame's verdict, as its place in ``ORDER``. The first gate that says no gives the word.

    ``records``, ``time_s`` (seconds), ``scored`` (the metric has a usable score) and ``transparent`` (nothing can be
    seen) are by frame; ``shots`` cover the frames; ``views`` number the stretches in which one thing is seen.
    """
    count = len(records)
    verdict = np.zeros(count, np.uint8)
    if count == 0:
        return verdict

    def gate(word: Verdict, mask: Mask) -> None:
        verdict[mask & (verdict == 0)] = ORDER.index(word)

    if transparent is not None:
        gate(Verdict.TRANSPARENT, transparent)
    drawn = drawing(records)
    gate(Verdict.BLACK, black(records, config) & ~drawn)
    gate(Verdict.WHITE, white(records, config) & ~drawn)
    gate(Verdict.FLAT, flat(records, config) & ~drawn)
    gate(Verdict.UNSCORED, ~scored)
    gate(Verdict.BARS, bars(records))
    gate(Verdict.SNOW, snow(records))
    gate(Verdict.TRANSITION, transition(time_s, shots, config))
    lines = written(records, shots)
    gate(Verdict.TITLE, titles(records, lines, verdict == 0, config))
    gate(Verdict.TITLED, captioned(records, lines, verdict == 0))
    gate(Verdict.BURNT, washed_out(records))
    window = windows(time_s, shots, config.window_seconds)
    defects(records, time_s, window, views, verdict, config)
    widen(time_s, shots, verdict)
    spare(time_s, shots, verdict)
    return verdict


def defects(
    records: Records,
    time_s: NDArray[np.float64],
    window: NDArray[np.int64],
    views: NDArray[np.int64],
    verdict: NDArray[np.uint8],
    config: GatesConfig,
) -> None:
    """Judge exposure, blocks and sharpness, window by window, each frame against those it can be compared with."""
    sharp, usable = sharpness(records), verdict == 0
    order = np.argsort(window, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(window[order]) > 0))
    for places in np.split(order, starts[1:]):
        places = places[usable[places]]
        if len(places) == 0:
            continue
        own = len(places)
        places = np.concatenate([places, _beside(places, time_s, usable, config.window_seconds)])
        some, words = records[places], np.zeros(len(places), np.uint8)

        def gate(word: Verdict, mask: Mask, words: NDArray[np.uint8] = words, own: int = own) -> None:
            words[:own][mask[:own] & (words[:own] == 0)] = ORDER.index(word)

        lit, like = Peers(some, LIT_ALIKE, LIT_BESIDE, own), Peers(some, PEER_ALIKE, BESIDE_ALIKE, own)
        # Dark ones first: beside them, highlights that are clipped as they should be would look burnt.
        gate(Verdict.DARK, dark(some, lit, words == 0, config))
        gate(Verdict.BURNT, burnt(some, lit, words == 0, config))
        gate(Verdict.TITLED, titled(some, like, words == 0, config))
        gate(Verdict.COMBED, combed(some, like, words == 0, config))
        gate(Verdict.BLOCKS, blocks(some, like, words == 0, config))
        gate(Verdict.BLUR, blur(some, sharp[places], like, words == 0, config.blur))
        gate(Verdict.BLUR, blur_for_a_while(some, sharp[places], time_s[places], words == 0, own))
        # Where the same is seen, sharpness differs by blur alone, and a small loss tells.
        inside = np.arange(len(places)) < own
        for view in np.unique(views[places[:own]]):
            same = inside & (words == 0) & (views[places] == view)
            gate(Verdict.BLUR, blur_of_view(some, same, config.blur_same_view))
        verdict[places[:own]] = words[:own]


def _beside(places: NDArray[np.int64], time_s: NDArray[np.float64], usable: Mask, seconds: float) -> NDArray[np.int64]:
    """Some frames before and after a window, of other shots too: what they show may be the same."""
    found = []
    for edge, way in ((int(places.min()), -1), (int(places.max()), 1)):
        there = edge + way * np.arange(1, BESIDE_FRAMES + 1)
        there = there[(there >= 0) & (there < len(usable))]
        there = there[usable[there] & (np.abs(time_s[there] - time_s[edge]) <= seconds)]
        found.append(there[np.linspace(0, len(there) - 1, min(len(there), MOST_BESIDE)).round().astype(np.int64)])
    return np.concatenate(found)


class Peers:
    """Which frames of a window each of its frames can be compared with: they show much the same, in whatever light."""

    def __init__(self, records: Records, alike: float, beside: float, own: int) -> None:
        """Of ``records`` the first ``own`` are the window's; ``alike`` holds for these, ``beside`` for the others."""
        count = len(records)
        inside = np.linspace(0, own - 1, min(own, MOST_PEERS)).round().astype(np.int64)
        self._columns = np.concatenate([inside, np.arange(own, count)])
        luma = records["luma"].reshape(count, -1).astype(np.float32)
        luma = luma - luma.mean(axis=1, keepdims=True)
        length = np.linalg.norm(luma, axis=1, keepdims=True)
        seen = luma / np.maximum(length, 1e-6)
        least = np.where(self._columns < own, alike, beside)
        self._like: Mask = seen @ seen[self._columns].T >= least
        # An empty picture is like all others.
        empty = length[:, 0] < 1.0
        self._like[empty] = True
        self._like[:, empty[self._columns]] = True
        self._like[:, len(inside) :] &= ~empty[:, None] & ~empty[self._columns[len(inside) :]]

    def typical(
        self, values: NDArray[np.floating], among: Mask, share: float, at_least: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Per frame, the value that ``share`` of its peers ``among`` do not exceed; NaN without any.

        With ``at_least``, only peers count that have ``LIKE_FOCUS`` of what the frame has of it.
        """
        own = values[self._columns]
        order = np.argsort(own, kind="stable")
        like = self._like[:, order] & among[self._columns[order]]
        if at_least is not None:
            like &= at_least[self._columns[order]] >= LIKE_FOCUS * at_least[:, None]
        table = np.cumsum(like, axis=1, dtype=np.int32)
        total = table[:, -1]
        wanted = np.floor((total - 1) * share)
        found = own[order][np.argmax(table > wanted[:, None], axis=1)].astype(np.float64)
        return np.where(total > 0, found, np.nan)


def sharpness(records: Records) -> NDArray[np.float64]:
    """Per frame, how sharp it is across and along: the steps in its sharpest quarter, over the variance of luma.

    The sharpest cell would be lettering that is laid over a picture; the mean says little of a small subject.
    """
    if (records["version"] < 2).any():
        return np.stack([records["sharp_x"], records["sharp_y"]], axis=1).astype(np.float64)
    cells = records["edges"].reshape(len(records), -1, 2)
    place = cells.shape[1] * 3 // 4
    sharpest = np.stack([np.partition(cells[..., way], place, axis=1)[:, place] for way in range(2)], axis=1)
    variance = np.maximum(records["contrast"].astype(np.float64) ** 2, 1.0)
    found: NDArray[np.float64] = (2.0 ** (sharpest / 16.0) - 1) / variance[:, None]
    return found


def snow(records: Records) -> Mask:
    """A picture whose neighbouring pixels have nothing to do with each other."""
    mask: Mask = np.minimum(records["sharp_x"], records["sharp_y"]) >= SNOW_SHARP
    return mask


def bars(records: Records) -> Mask:
    """Upright bars of a test card: hardly a step downwards, plain colours."""
    mask: Mask = records["bars"].astype(np.bool_)
    return mask


def widen(time_s: NDArray[np.float64], shots: Sequence[Shot], verdict: NDArray[np.uint8]) -> None:
    """Refuse what is right beside a stretch of spoilt frames, too: focus and exposure return little by little.

    A shot that would lose more than half of its good frames by this keeps them.
    """
    kinds = [ORDER.index(word) for word in (Verdict.DARK, Verdict.BURNT, Verdict.BLUR)]
    for shot in shots:
        part, times = verdict[shot.first : shot.last + 1], time_s[shot.first : shot.last + 1]
        wider = part.copy()
        spoilt = np.isin(part, kinds)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], spoilt, [False]]).astype(np.int8))).reshape(-1, 2)
        for first, after in edges.tolist():
            if after - first < LEAST_SPOILT:
                continue
            for way, word in ((range(first - 1, -1, -1), part[first]), (range(after, len(part)), part[after - 1])):
                for at in way:
                    if part[at] or abs(times[at] - times[first if at < first else after - 1]) > BESIDE_SPOILT_SECONDS:
                        break
                    wider[at] = word
        if 2 * (wider == 0).sum() >= (part == 0).sum():
            verdict[shot.first : shot.last + 1] = wider


def spare(time_s: NDArray[np.float64], shots: Sequence[Shot], verdict: NDArray[np.uint8]) -> None:
    """Of a long stretch of a shot that is refused whole for its looks, all frames; of a film of junk alone, the junk.

    They come after the good ones, but a part of a film is not left out for a fault that it has throughout.
    """
    soft = np.isin(verdict, [ORDER.index(word) for word in SOFT])
    for shot in shots:
        part = soft[shot.first : shot.last + 1]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], part, [False]]).astype(np.int8))).reshape(-1, 2)
        for first, after in (edges + shot.first).tolist():
            if abs(time_s[after - 1] - time_s[first]) >= SPARED_SECONDS:
                verdict[first:after] = ORDER.index(Verdict.SPARED)
    if not np.isin(verdict, (0, ORDER.index(Verdict.SPARED))).any():
        verdict[np.isin(verdict, [ORDER.index(word) for word in JUNK])] = ORDER.index(Verdict.SPARED)


def black(records: Records, config: GatesConfig) -> Mask:
    """Nothing brighter than ``black_codes``, nor than a third of the film's usual highlights."""
    high = records["high"].astype(np.float64)
    usual = float(np.median(high[high > config.flat_codes])) if (high > config.flat_codes).any() else 255.0
    mask: Mask = high <= min(config.black_codes, usual / 3)
    return mask


def white(records: Records, config: GatesConfig) -> Mask:
    """Nothing darker than ``white_codes``, nor within a third of the film's usual distance from white."""
    depth = 255.0 - records["low"].astype(np.float64)
    usual = float(np.median(depth[depth > config.flat_codes])) if (depth > config.flat_codes).any() else 255.0
    mask: Mask = depth <= min(255 - config.white_codes, usual / 3)
    return mask


def flat(records: Records, config: GatesConfig) -> Mask:
    """Hardly any difference between the darkest and the brightest pixels."""
    mask: Mask = records["high"].astype(np.int64) - records["low"] <= config.flat_codes
    return mask


def transition(time_s: NDArray[np.float64], shots: Sequence[Shot], config: GatesConfig) -> Mask:
    """Frames of fades and dissolves, and those next to them or to a cut; the film's own ends are no cut.

    A shot keeps at least its middle half, and all of its frames where they are far apart, as those of a slide show.
    What lies beside a transition and is shorter than any shot belongs to it.
    """
    count = len(time_s)
    mask = np.zeros(count, np.bool_)
    for shot in shots:
        if shot.kind is not ShotKind.SHOT:
            mask[shot.first : shot.last + 1] = True
            continue
        seconds = abs(float(time_s[shot.last] - time_s[shot.first])) / max(shot.last - shot.first, 1)
        edge = min(config.edge_frames, (shot.last - shot.first + 1) // 4) if seconds <= EDGE_SECONDS else 0
        if seconds <= EDGE_SECONDS and shot.last - shot.first + 1 < LEAST_FRAMES and _beside_mix(shot, shots):
            mask[shot.first : shot.last + 1] = True
        if shot.first > 0:
            mask[shot.first : shot.first + edge] = True
        if shot.last < count - 1:
            mask[shot.last + 1 - edge : shot.last + 1] = True
    return mask


def _beside_mix(shot: Shot, shots: Sequence[Shot]) -> bool:
    """Whether a fade or dissolve ends or begins beside a shot."""
    return any(
        one.kind is not ShotKind.SHOT and (one.last == shot.first - 1 or one.first == shot.last + 1) for one in shots
    )


def windows(time_s: NDArray[np.float64], shots: Sequence[Shot], seconds: float) -> NDArray[np.int64]:
    """The number of each frame's window: shots cut into equal parts of at most ``seconds``."""
    window = np.zeros(len(time_s), np.int64)
    first = 0
    for shot in shots:
        times = time_s[shot.first : shot.last + 1]
        if len(times) == 0:
            continue
        # In a damaged file times may run backwards, or far away.
        start = float(times.min())
        length = float(times.max()) - start
        parts = min(max(int(np.ceil(length / seconds)), 1), len(times))
        within = np.minimum((times - start) * (parts / max(length, 1e-9)), parts - 1)
        window[shot.first : shot.last + 1] = first + within.astype(np.int64)
        first += parts
    return window


def burnt(records: Records, like: Peers, among: Mask, config: GatesConfig) -> Mask:
    """More is clipped white than in the frames of the shot where least is; less will do if it is much brighter."""
    light, mean = records["light"].astype(np.float64), records["mean"].astype(np.float64)
    more = light - like.typical(light, among, 0.1)
    brighter = config.dark * mean > like.typical(mean, among, 0.35)
    return (more > config.burnt) | (brighter & (more > config.burnt / 4))


def washed_out(records: Records) -> Mask:
    """Most of it clipped white, in a film that is not like that: its shot may have nothing to compare it with."""
    most = (records["light"] >= WASHED_LIGHT) & (records["mean"] >= WASHED_MEAN)
    mask: Mask = most & ~drawing(records)
    return mask if most.mean() <= WASHED_MOST else np.zeros(len(records), np.bool_)


def dark(records: Records, like: Peers, among: Mask, config: GatesConfig) -> Mask:
    """Darker, with less contrast and with darker highlights than the well exposed frames of the shot.

    Frames that are clipped or very bright are no measure for others, where there are any else.
    """
    measure = among & (records["light"] <= 2 * config.burnt) & (records["mean"] <= BRIGHT_MEAN)
    mask = ~_written(records, config)
    for name in ("mean", "contrast", "high"):
        values = records[name].astype(np.float64)
        reference = like.typical(values, measure, 0.65)
        reference = np.where(np.isnan(reference), like.typical(values, among, 0.65), reference)
        mask &= values < config.dark * reference
    return mask


def _written(records: Records, config: GatesConfig) -> Mask:
    """Lines on an empty ground: how many there are says nothing of the light, nor their direction of the coder."""
    mask: Mask = drawing(records) & (records["plain"] >= config.title_plain)
    return mask


def titled(records: Records, like: Peers, among: Mask, config: GatesConfig) -> Mask:
    """Lettering lies over a picture that is there without it, too; what is drawn or written is the picture itself."""
    text = records["text"].astype(np.float64)
    return ~_written(records, config) & (text >= 2 * like.typical(text, among, 0.2) + TITLED_TEXT)


def combed(records: Records, like: Peers, among: Mask, config: GatesConfig) -> Mask:
    """The two fields of a frame show different moments, plainly more than in the frames where they do least."""
    comb = records["comb"].astype(np.float64)
    least = like.typical(comb, among, 0.1)
    # Level lines of one pixel are combed, too.
    return ~_written(records, config) & (comb > config.comb) & (comb > 2 * least)


def blocks(records: Records, like: Peers, among: Mask, config: GatesConfig) -> Mask:
    """The coder's grid shows more than in the frames of the shot where it shows least; a drawing has none.

    Frames that are softer are no measure: blur hides the grid that the sharp ones have.
    """
    focus = (records["sharp_x"] + records["sharp_y"]).astype(np.float64)
    return ~_written(records, config) & (records["blocks"] > config.blocks * like.typical(records["blocks"], among, 0.2, focus))


def blur(records: Records, sharp: NDArray[np.float64], like: Peers, among: Mask, least: float) -> Mask:
    """Edges across or along are softer than in the sharp frames: defocus takes both, movement one.

    Both in all of the picture and in its sharpest quarter: lettering that is gone takes from the one alone.
    """
    mask = np.zeros(len(sharp), np.bool_)
    for way, name in enumerate(("sharp_x", "sharp_y")):
        whole, part = records[name].astype(np.float64), sharp[:, way]
        softer = whole < least * like.typical(whole, among, 0.8)
        mask |= softer & (part < IN_PART * least * like.typical(part, among, 0.8))
    return mask


def blur_for_a_while(
    records: Records, sharp: NDArray[np.float64], time_s: NDArray[np.float64], among: Mask, own: int
) -> Mask:
    """Much softer both ways than the first ``own`` frames within some seconds, whatever these show: focus that hunts
    while the camera moves has no sharp picture of the same view beside it."""
    mask = np.zeros(len(records), np.bool_)
    places = np.flatnonzero(among[:own])
    if len(places) < 2:
        return mask
    times = time_s[places]
    start = float(times.min())
    soft = np.ones(len(places), np.bool_)
    part = ((times - start) / (AWHILE_SECONDS / 2)).astype(np.int64)
    values = [records["sharp_x"][places], records["sharp_y"][places], sharp[places, 0], sharp[places, 1]]
    for number in np.unique(part):
        own_part = part == number
        near = np.abs(times - start - (number + 0.5) * AWHILE_SECONDS / 2) <= AWHILE_SECONDS
        for value in values:
            soft[own_part] &= value[own_part] < AWHILE_LEAST * _high(value[near])
    mask[places] = soft
    return mask


def blur_of_view(records: Records, among: Mask, least: float) -> Mask:
    """Softer than the sharp frames ``among``, which see the same, also cell by cell: what is laid over says little."""
    mask = np.zeros(len(records), np.bool_)
    places = np.flatnonzero(among)
    if len(places) < 2:
        return mask
    some = records[places]
    # Sixteenths of an octave; in cells without edges there is nothing to lose.
    cells = some["edges"].reshape(len(places), -1, 2).astype(np.float32)
    variance = 16 * np.log2(np.maximum(some["contrast"].astype(np.float32) ** 2, 1.0))
    usual = _high(cells)
    for way, name in enumerate(("sharp_x", "sharp_y")):
        softer = some[name] < least * _high(some[name])
        told = usual[:, way] >= TOLD
        if (some["version"] >= 2).all() and told.sum() >= LEAST_TOLD:
            level = np.median(cells[:, told, way], axis=1) - variance
            softer &= level < _high(level) + 16 * np.log2(IN_PART * least)
        mask[places] |= softer
    return mask


def _high(values: NDArray[np.floating]) -> Any:
    """What four fifths do not exceed, along the first axis."""
    place = int((len(values) - 1) * 0.8)
    return np.partition(values, place, axis=0)[place]
