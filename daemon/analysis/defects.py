"""What is wrong with the picture of something: exposure, combing, the coder's grid, blur, lettering over it.

Each frame is judged against its peers, those frames of a window that show much the same; some against all within
some seconds. Pure functions of figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.film_figures import ROWS, Records
from daemon.analysis.lettering import drawing, inked, page, standing_out
from daemon.analysis.witness import NOBODY, Witness
from daemon.config.selection import GatesConfig
from daemon.model import Shot

Mask = NDArray[np.bool_]

LINE_SHARP = 0.2
"""The mean squared step over the variance from which there are lines: what is dark or soft has less."""
DRAWN_PLAIN, EMPTY_PLAIN = 0.6, 0.85
"""The share of one shade in a drawing, and in one with so many lines that its pixels are not like their neighbours."""
MOST_PEERS = 160
"""Frames of a window that others are compared with."""
TITLED_TEXT = 6
"""Cells with lettering of what lies over a picture, beside twice the picture's own."""
BRIGHT_MEAN = 175.0
"""Brighter frames are no measure of what is dark."""
DARK_WORDS = {"mean": "mean of luma", "contrast": "contrast", "high": "highlights"}
"""What a dark frame has less of, and what it is called."""
FIELDS_DOWN = 1.07
"""Lines of two fields make a picture so many times sharper downwards, beside across."""
GROSS_BLOCKS = 2.0
"""A grid so many times stronger than in frames that are not quite out of focus is no matter of focus."""
LIKE_FOCUS, GROSS_FOCUS = 0.4, 0.2
"""Frames with the first share of another's sharpness are in like focus; gross blocks need no more than the second."""
AWHILE_SECONDS, AWHILE_LEAST = 2.0, 0.35
"""Within so many seconds, a frame has at least this share of the sharpness of the sharp ones, whatever they show."""
MUCH_SOFTER = 0.4
"""The share of the sharpness of other refused frames below which a blurred one is worse than these."""
IN_PART = 1.15
"""What is lost in the sharpest part of a picture may be so much less than what is lost in all of it."""
SHARP_WORDS = ("sharpness across", "sharpness down")
AWHILE_PARTS = ("", ", sharpest quarter", ", hardest edges")
AWHILE_WORDS = tuple(words + part for part in AWHILE_PARTS for words in SHARP_WORDS)
TOLD, LEAST_TOLD = 40, 8
"""A cell's edges from which a loss of sharpness can be told, as ``features`` has them, and such cells, at least."""
KEPT = 75
"""Per cent of the cells, by the one of which it is told whether the sharpest quarter is as it usually is: what is
blurred is so nearly everywhere."""
SHARPEST = 8
"""How many cells are as sharp as those that tell whether something is sharp at all: fewer may be some letters."""


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

    def of(self, place: int, among: Mask) -> NDArray[np.int64]:
        """The places of those frames ``among`` the window's that one frame is compared with."""
        found: NDArray[np.int64] = self._columns[self._like[place] & among[self._columns]]
        return found

    def typical(
        self,
        values: NDArray[np.floating],
        among: Mask,
        share: float,
        at_least: NDArray[np.float64] | None = None,
        part: float = LIKE_FOCUS,
    ) -> NDArray[np.float64]:
        """Per frame, the value that ``share`` of its peers ``among`` do not exceed; NaN without any.

        With ``at_least``, only peers count that have this ``part`` of what the frame has of it.
        """
        own = values[self._columns]
        order = np.argsort(own, kind="stable")
        like = self._like[:, order] & among[self._columns[order]]
        if at_least is not None:
            like &= at_least[self._columns[order]] >= part * at_least[:, None]
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
    sharpest = np.empty((len(records), 2), np.uint8)
    for start in range(0, len(records), ROWS):
        part = slice(start, start + ROWS)
        edges = records[part]["edges"]
        cells = edges.reshape(len(edges), -1, 2)
        place = cells.shape[1] * 3 // 4
        for way in range(2):
            sharpest[part, way] = np.partition(cells[..., way], place, axis=1)[:, place]
    variance = np.maximum(records["contrast"].astype(np.float64) ** 2, 1.0)
    found: NDArray[np.float64] = (2.0 ** (sharpest / 16.0) - 1) / variance[:, None]
    return found


def focus(records: Records) -> NDArray[np.float64]:
    """What frames in like focus have alike: blur hides the grid, the lettering and the lines that sharp frames have."""
    found: NDArray[np.float64] = (records["sharp_x"] + records["sharp_y"]).astype(np.float64)
    return found


def dark(records: Records, like: Peers, among: Mask, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """Darker, with less contrast and with darker highlights than the well exposed frames of the shot.

    Frames that are clipped or very bright are no measure for others, where there are any else.
    """
    measure = among & (records["light"] <= 2 * config.burnt) & (records["mean"] <= BRIGHT_MEAN)
    mask = ~line_art(records)
    for name in DARK_WORDS:
        values = records[name].astype(np.float64)
        reference = like.typical(values, measure, 0.65)
        reference = np.where(np.isnan(reference), like.typical(values, among, 0.65), reference)
        witness.figure(DARK_WORDS[name], values, config.dark * reference, below=True, reference=reference)
        mask &= values < config.dark * reference
    return mask


def burnt(records: Records, like: Peers, among: Mask, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """More is clipped white than in the frames of the shot where least is; less will do if it is much brighter."""
    light, mean = records["light"].astype(np.float64), records["mean"].astype(np.float64)
    least, usual = like.typical(light, among, 0.1), like.typical(mean, among, 0.35)
    more = light - least
    brighter = config.dark * mean > usual
    witness.figure(
        "share clipped to white", light, least + np.where(brighter, config.burnt / 4, config.burnt), reference=least
    )
    witness.figure("mean of luma", mean, usual / max(config.dark, 1e-6), reference=usual)
    return ~page(records) & ((more > config.burnt) | (brighter & (more > config.burnt / 4)))


def titled(records: Records, like: Peers, among: Mask, witness: Witness = NOBODY) -> Mask:
    """Lettering lies over a picture that is there without it, too; what is drawn or written is the picture itself."""
    text = records["text"].astype(np.float64)
    least = like.typical(text, among, 0.2, focus(records))
    witness.figure("cells with lettering", text, 2 * least + TITLED_TEXT, reference=least)
    found = ~line_art(records) & (text >= 2 * least + TITLED_TEXT)
    return found & standing_out(records, records["text"], found, witness)


def combed(records: Records, like: Peers, among: Mask, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """The two fields of a frame show different moments, plainly more than in the frames where they do least.

    Lines that come of it are sharp downwards alone; a wire grid or a far town, of which blur left little in other
    frames, is so across, too.
    """
    comb, sharp = records["comb"].astype(np.float64), focus(records)
    least = like.typical(comb, among, 0.1, sharp)
    witness.figure("share of pixels of two moments", comb, np.fmax(2 * least, config.comb), reference=least)
    # Level lines of one pixel are combed, too.
    found = ~line_art(records) & (comb > config.comb) & (comb > 2 * least)
    down = records["sharp_y"].astype(np.float64) / np.maximum(records["sharp_x"], 1e-9)
    usual = like.typical(down, among & ~found, 0.5, sharp)
    witness.figure("sharpness down over across", down, FIELDS_DOWN * usual, reference=usual)
    mask: Mask = found & ~(down < FIELDS_DOWN * usual)
    return mask


def blocks(records: Records, like: Peers, among: Mask, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """The coder's grid shows more than in the frames of the shot where it shows least; a drawing has none.

    Frames that are softer are no measure: blur hides the grid that the sharp ones have.
    """
    sharp = focus(records)
    least = like.typical(records["blocks"], among, 0.2, sharp)
    witness.figure("strength of the 8-pixel grid", records["blocks"], config.blocks * least, reference=least)
    drawn = drawing(records) & (records["plain"] >= DRAWN_PLAIN)
    # The edges of gross blocks make a frame look sharper than all others.
    gross = records["blocks"] > GROSS_BLOCKS * like.typical(records["blocks"], among, 0.2, sharp, GROSS_FOCUS)
    return ~drawn & ((records["blocks"] > config.blocks * least) | gross)


def blur(
    records: Records, sharp: NDArray[np.float64], like: Peers, among: Mask, least: float, witness: Witness = NOBODY
) -> Mask:
    """Edges across or along are softer than in the sharp frames: defocus takes both, movement one.

    Both in all of the picture and in its sharpest quarter: lettering that is gone takes from the one alone. And in most
    cells beside what these usually have: where there is little else with edges, it takes from both.
    """
    mask = np.zeros(len(sharp), np.bool_)
    levels = levels_of(records)
    for way, name in enumerate(("sharp_x", "sharp_y")):
        whole, part = records[name].astype(np.float64), sharp[:, way]
        of_whole, of_part = like.typical(whole, among, 0.8), like.typical(part, among, 0.8)
        witness.figure(SHARP_WORDS[way], whole, least * of_whole, below=True, reference=of_whole)
        limit = IN_PART * least * of_part
        witness.figure(f"{SHARP_WORDS[way]}, sharpest quarter", part, limit, below=True, reference=of_part)
        found = (whole < least * of_whole) & (part < limit)
        if levels is not None and found.any():
            level = levels[:, way]
            usual = like.typical(level, among, 0.8)
            found &= ~(level >= usual + 16 * np.log2(IN_PART * least))
        mask |= found
    return mask


def levels_of(records: Records) -> NDArray[np.float32] | None:
    """Per frame and way, what three quarters of the cells have at most above what is usual there, over the variance, in
    sixteenths of an octave: neither letters over some cells change it, nor what has moved. None where too few cells
    have edges."""
    if (records["version"] < 2).any():
        return None
    cells = records["edges"].reshape(len(records), -1, 2).astype(np.float32)
    usual = _high(cells)
    found = np.zeros((len(records), 2), np.float32)
    for way in range(2):
        told = usual[:, way] >= TOLD
        if told.sum() < LEAST_TOLD:
            return None
        found[:, way] = np.percentile(cells[:, told, way] - usual[told, way], KEPT, axis=1)
    found -= _log_variance(records)[:, None]
    return found


def _log_variance(records: Records) -> NDArray[np.float32]:
    """Of luma, in sixteenths of an octave, as ``edges`` are."""
    found: NDArray[np.float32] = 16 * np.log2(np.maximum(records["contrast"].astype(np.float32) ** 2, 1.0))
    return found


def blur_for_a_while(
    records: Records,
    sharp: NDArray[np.float64],
    time_s: NDArray[np.float64],
    among: Mask,
    own: int,
    witness: Witness = NOBODY,
) -> Mask:
    """Much softer both ways than the first ``own`` frames within some seconds, whatever these show: focus that hunts
    while the camera moves has no sharp picture of the same view beside it.

    And so are its hardest edges: what shows less beside foil or leaves has fewer, and they are as hard. Of these, the
    steps themselves are compared, not what they are of the picture's variance: a wall takes nothing from the edge of
    a shoulder before it.
    """
    mask = np.zeros(len(records), np.bool_)
    places = np.flatnonzero(among[:own])
    if len(places) < 2:
        return mask
    times = time_s[places]
    start = float(times.min())
    soft = np.ones(len(places), np.bool_)
    part = ((times - start) / (AWHILE_SECONDS / 2)).astype(np.int64)
    some = records[places]
    values = [some["sharp_x"], some["sharp_y"], *sharp[places].T]
    if (some["version"] >= 2).all():
        values += list(2.0 ** (_hardest(some["edges"].reshape(len(some), -1, 2)).T / 16.0) - 1.0)
    for number in np.unique(part):
        own_part = part == number
        near = np.abs(times - start - (number + 0.5) * AWHILE_SECONDS / 2) <= AWHILE_SECONDS
        asked = own_part & (places == (-1 if witness.at is None else witness.at))
        for value, name in zip(values, AWHILE_WORDS[: len(values)], strict=True):
            usual = _high(value[near])
            soft[own_part] &= value[own_part] < AWHILE_LEAST * usual
            if asked.any():
                told = f"{name}, beside some seconds"
                limit = AWHILE_LEAST * float(usual)
                witness.figure(told, float(value[asked][0]), limit, below=True, reference=float(usual))
    mask[places] = soft
    return mask


def _hardest(cells: NDArray[Any]) -> NDArray[Any]:
    """What the ``SHARPEST`` cells have of edges at least, across and along, as ``features`` has them; by frame."""
    place = cells.shape[1] - SHARPEST
    found: NDArray[Any] = np.partition(cells, place, axis=1)[:, place]
    return found


def blur_of_view(records: Records, among: Mask, mixed: Mask, least: float, witness: Witness = NOBODY) -> Mask:
    """Softer than the sharp frames ``among``, which see the same, also cell by cell: what is laid over says little.

    And also in their sharpest cells: somebody who steps back has fewer of these, and they are as sharp. Of what is
    ``mixed`` with another picture, these may be the other's.
    """
    mask = np.zeros(len(records), np.bool_)
    places = np.flatnonzero(among)
    if len(places) < 2:
        return mask
    some = records[places]
    # Sixteenths of an octave; in cells without edges there is nothing to lose.
    cells = some["edges"].reshape(len(places), -1, 2).astype(np.float32)
    variance, by_cell = _log_variance(some), bool((some["version"] >= 2).all())
    usual, hardest = _high(cells), _hardest(cells)
    for way, name in enumerate(("sharp_x", "sharp_y")):
        usual_sharp = _high(some[name])
        softer = some[name] < least * usual_sharp
        told = usual[:, way] >= TOLD
        if by_cell and told.sum() >= LEAST_TOLD:
            level = np.median(cells[:, told, way] - usual[told, way], axis=1) - variance
            softer &= level < _high(level) + 16 * np.log2(IN_PART * least)
        if by_cell:
            sharpest = hardest[:, way] - variance
            softer &= (sharpest < _high(sharpest) + 16 * np.log2(least)) | mixed[places]
        if witness.at is not None and among[witness.at]:
            witness.figure(
                f"{SHARP_WORDS[way]}, same view",
                float(records[name][witness.at]),
                least * usual_sharp,
                below=True,
                reference=float(usual_sharp),
            )
        mask[places] |= softer
    return mask


def line_art(records: Records) -> Mask:
    """Lines on an empty ground: how many there are says nothing of the light, nor their direction of the coder."""
    hard = np.maximum(records["sharp_x"], records["sharp_y"]) >= LINE_SHARP
    empty = inked(records) & hard & (records["plain"] >= EMPTY_PLAIN)
    mask: Mask = empty | (drawing(records) & (records["plain"] >= DRAWN_PLAIN))
    return mask


def _high(values: NDArray[np.floating]) -> Any:
    """What four fifths do not exceed, along the first axis."""
    place = int((len(values) - 1) * 0.8)
    return np.partition(values, place, axis=0)[place]


def much_softer(
    records: Records, time_s: NDArray[np.float64], shots: Sequence[Shot], refused: Mask, blurred: Mask, seconds: float
) -> Mask:
    """Those ``blurred`` that are much softer than others of their shot that are ``refused``, too, within some seconds.

    Where focus was lost for a while, the frames before and after show the same, and are less bad.
    """
    sharp = np.where(refused, sharpness(records).min(axis=1), 0.0)
    mask = np.zeros(len(records), np.bool_)
    for shot in shots if blurred.any() else ():
        part = slice(shot.first, shot.last + 1)
        if not blurred[part].any():
            continue
        times = time_s[part]
        stretch = np.clip((times - times.min()) / seconds, 0, len(times)).astype(np.int64)
        best = np.zeros(int(stretch.max()) + 3)
        np.maximum.at(best, stretch + 1, sharp[part])
        around = np.maximum(np.maximum(best[stretch], best[stretch + 1]), best[stretch + 2])
        mask[part] = blurred[part] & (sharp[part] < MUCH_SOFTER * around)
    return mask
