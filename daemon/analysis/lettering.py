"""What is written: title cards, and lettering that is laid over a picture. Pure functions of figures.

A film of slides, of drawings, or of a screen is made of such pictures: what is usual in a film is no title.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.film_figures import ROWS, Records
from daemon.analysis.witness import NOBODY, Witness
from daemon.config.selection import GatesConfig
from daemon.model import Shot

Mask = NDArray[np.bool_]
Seconds = NDArray[np.float64]

CARD_TEXT = 8
"""Cells with lettering of a title card that is not plain."""
HARD = 0.05
"""The mean squared step over the variance where edges are hard."""
FILMED_PLAIN, PRINT_PLAIN, PRINT_HARD, PRINT_STILL = 0.5, 0.85, 0.2, 0.7
"""A film is no drawing where usually less of it is one shade; the share and the edges of a card with small print, and
how smooth one is at least that is full of it: a coder leaves noise around letters."""
DRAWN_CODES, DRAWN_STILL = 40, 0.9
"""Codes between the darkest and the brightest thousandth, and the share of pixels that are like their neighbours."""
EDGED = 40
"""A cell's edges from which there is something in it, as ``features`` has them."""
CENTRED_CELLS, CENTRED_MOST = 1, 0.6
"""How many cells the margins of a row of a card differ by, and which share of the cells a card fills at most."""
BARE_PLAIN, BARE_FILLED, BARE_MOST, BARE_SAME = 0.87, 0.25, 0.5, 0.05
"""The share of one shade and of the cells with anything in them of some words on an empty ground; which share of a film
these are at most, as a film of slides has such, too, unless they are as full as one another but for so much."""
ONE_LEAST = 0.25
"""The share of a film that looks drawn for one such card alone."""
BLUE_CODES, BLUE_EVEN = 60, 8
"""What blue is above green everywhere, and how far the median part of the picture is from the median, in codes."""
SCREEN_PLAIN = 0.75
"""The share of one shade of a blue screen on which a recorder says what it does, however noisy the tape is."""
PAGE_PLAIN, PAGE_STILL = 0.6, 0.85
"""The share of one shade, and of pixels that are like their neighbours, of a page or slide."""
LINE, LONG_LINE = 3, 5
"""Cells in a line of writing from which it may be one, and from which it is one."""
AROUND, OFTEN = 8, 0.35
"""Frames on either side of which so many have a line of writing where one lies over the picture."""
DRAWN_USUALLY = 0.86
"""What is usual of that share in a film of drawings, slides or a screen; a locked camera has less."""
PAPER_MEAN = 160
"""How bright the ground is of drawings on paper, whose grain is not smooth: a street by night has one shade, too."""
CAPTIONED_MOST, DRAWN_MOST = 0.5, 0.35
"""Where more of a film has lines of writing, they belong to it: a game, a screen; lines that are drawn."""
LONG_SHARE = 0.2
"""Titles over pictures are a smaller share of a film."""
CARD_SHARE, CARDS_SEEN = 0.2, 16
"""The share of a shot that is refused for its writing where the like of it is, too; how many of these are looked at."""
MOST_LEFT = 0.1
"""Of such a shot, plain pictures that look otherwise are no more than it beginning or ending, up to this share."""
SAME_CODES, SAME_DETAIL = 6.0, 24.0
"""What two pictures of one card differ by at most, root mean square over the cells: in luma, and in detail as
``features.detail`` has it."""
STANDS_OUT = 32.0
"""By how much, two octaves, the edges of what is laid over a picture are stronger than those of the picture."""
COME_AND_GO = 0.75
"""Where more of a shot has lines of writing, they are there throughout."""


def drawing(records: Records) -> Mask:
    """Thin lines or lettering on a ground of one shade: a thousandth of the picture is enough to be seen."""
    return inked(records) & (records["still"] >= DRAWN_STILL)


def inked(records: Records) -> Mask:
    """Something is plainly darker or brighter than the rest, be it a thousandth of the picture."""
    spread = records["peak"].astype(np.int64) - records["floor"]
    mask: Mask = (records["version"] >= 2) & (spread >= DRAWN_CODES)
    return mask


def has_letters(records: Records) -> Mask:
    """A cell with lettering, or some cells in a line of writing."""
    mask: Mask = (records["text"] >= 1) | (records["caption"] >= LINE)
    return mask


def scrawled(records: Records) -> Mask:
    """Writing on a ground of one shade that is not as smooth as a drawing's: chalk on a board, as a coder leaves it."""
    return inked(records) & (records["plain"] >= BARE_PLAIN) & has_letters(records)


def page(records: Records) -> Mask:
    """Mostly one shade, smooth, with writing on it: how much of it is white says nothing of the light."""
    mask: Mask = (records["version"] >= 2) & (records["plain"] >= PAGE_PLAIN) & (records["still"] >= PAGE_STILL)
    return mask & has_letters(records)


def titles(
    records: Records,
    lines: Mask,
    seconds: NDArray[np.float64],
    config: GatesConfig,
    witness: Witness = NOBODY,
) -> Mask:
    """Title cards, unless a film is made of the like; of a drawn film those that are set as cards are.

    A few words on an empty ground say nothing wherever they stand: no signal, nothing loaded. ``seconds`` is how long
    each frame is shown, 0 for those that do not count: a slide may be one frame.
    """
    found = title(records, lines, config, witness)
    empty = _empty(records, found | blue(records), seconds)
    found &= ~empty
    most = config.title_most * seconds.sum()
    if drawn(records) or seconds[found].sum() > most:
        found &= centred(records)
    few = seconds[found].sum() <= most
    mask: Mask = empty | found & few
    return mask


def _empty(records: Records, cards: Mask, seconds: NDArray[np.float64]) -> Mask:
    """Which of these ``cards`` are some words, or none, on an empty ground, in a film that is not made of such.

    One card that makes most of a film up is none of its pictures either.
    """
    bare = cards & (records["plain"] >= BARE_PLAIN)
    screen = blue(records) & has_letters(records) & (records["plain"] >= SCREEN_PLAIN)
    empty = bare | screen
    if not empty.any() or empty.all() or float(np.median(records["still"][~empty])) >= DRAWN_USUALLY:
        return np.zeros_like(empty)
    share = filled_share(records)
    empty &= screen | (share <= BARE_FILLED)
    own, lasting = share[empty & (seconds > 0)], seconds[empty].sum() / max(seconds.sum(), 1e-9)
    if not drawn(records) and lasting <= BARE_MOST:
        return empty
    one = len(own) > 0 and lasting >= ONE_LEAST and float(np.ptp(np.percentile(own, [5, 95]))) <= BARE_SAME
    return empty if one else np.zeros_like(empty)


def blue(records: Records) -> Mask:
    """All of the ground is blue, as recorders and screens have it where they get no picture."""
    mask = np.zeros(len(records), np.bool_)
    for start in range(0, len(records), ROWS):
        part = records[start : start + ROWS]["tint"][..., 1]
        tint = part.reshape(len(part), -1).astype(np.int16)
        even = np.median(np.abs(tint - np.median(tint, axis=1, keepdims=True)), axis=1) <= BLUE_EVEN
        mask[start : start + ROWS] = (tint.min(axis=1) >= BLUE_CODES) & even
    return mask


def filled_share(records: Records) -> NDArray[np.float64]:
    """The share of the cells that have something in them."""
    found = np.empty(len(records))
    for start in range(0, len(records), ROWS):
        found[start : start + ROWS] = (records[start : start + ROWS]["edges"].max(axis=-1) >= EDGED).mean(axis=(1, 2))
    return found


def drawn(records: Records) -> bool:
    """Whether the pictures of a film usually are smooth, as drawings, slides and screens are, or lines on paper."""
    if float(np.median(records["still"])) >= DRAWN_USUALLY:
        return True
    if float(np.median(records["plain"])) < BARE_PLAIN or float(np.median(records["mean"])) < PAPER_MEAN:
        return False
    return float(np.median(np.maximum(records["sharp_x"], records["sharp_y"]))) >= HARD


def title(records: Records, lines: Mask, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """Lettering on a smooth ground: mostly one shade with hard edges where there is anything, or much of it.

    A drawing is as plain and smooth, but has no lettering, however hard its edges: in a film that is not drawn, it is a
    card with small print. What was measured before lettering was is judged without.
    """
    edge = np.maximum(records["sharp_x"], records["sharp_y"])
    lettered = (records["text"] >= 1) | lines | (records["version"] < 2)
    smooth = records["still"] >= config.title_still
    plain = records["plain"] >= config.title_plain
    card = smooth & ((records["text"] >= CARD_TEXT) | lines)
    witness.figure("share of one shade", records["plain"], config.title_plain)
    witness.figure("share of pixels like their neighbours", records["still"], config.title_still)
    witness.figure("cells with lettering", records["text"], CARD_TEXT)
    witness.figure("cells in a line of writing", records["caption"], LINE)
    mask: Mask = plain & smooth & (edge > HARD) & lettered | card
    if np.median(records["plain"]) < FILMED_PLAIN and not drawn(records):
        full = (records["text"] >= CARD_TEXT) & lines & (records["still"] >= PRINT_STILL)
        mask |= (records["plain"] >= PRINT_PLAIN) & (smooth | full) & (edge > PRINT_HARD)
    return mask


def written(records: Records, shots: Sequence[Shot]) -> Mask:
    """Whether lines of writing are in a picture: many, or some in a good part of the frames around it in its shot."""
    line = records["caption"] >= LINE
    mask: Mask = records["caption"] >= LONG_LINE
    for shot in shots:
        part = slice(shot.first, shot.last + 1)
        mask[part] |= _around(line[part]) >= OFTEN * _around(np.ones_like(line[part]))
    return mask


def _around(part: Mask) -> NDArray[np.float64]:
    """How many of the frames around each one of a shot are in a mask."""
    found: NDArray[np.float64] = np.convolve(part.astype(np.float64), np.ones(min(2 * AROUND + 1, len(part))), "same")
    return found


def standing_out(records: Records, cells: NDArray[np.integer], among: Mask, witness: Witness = NOBODY) -> Mask:
    """Of ``among``, where the edges of so many ``cells`` with writing are plainly stronger than those around.

    Writing that is laid over a picture is there to be read. Blocks with letters on a mat with lines, a wall of bricks
    or a fence are as sharp in the rest of the picture, and their strokes are part of it.
    """
    mask = np.array(among, np.bool_)
    told = np.flatnonzero(among & (records["version"] >= 2) & (cells > 0))
    for start in range(0, len(told), ROWS):
        rows = told[start : start + ROWS]
        mask[rows] = _stronger_by(records[rows], cells[rows]) >= STANDS_OUT
    if witness.at is not None and among[witness.at]:
        at = slice(witness.at, witness.at + 1)
        by = float(_stronger_by(records[at], cells[at])[0])
        witness.figure("edges of the writing above those around, sixteenths of an octave", by, STANDS_OUT)
    return mask


def _stronger_by(records: Records, cells: NDArray[np.integer]) -> NDArray[np.int64]:
    """By how much the weakest edges of the so many strongest ``cells`` are above the median of the others."""
    edges = np.sort(records["edges"].max(axis=-1).reshape(len(records), -1), axis=1)[:, ::-1].astype(np.int64)
    last, own = edges.shape[1] - 1, np.arange(len(records))
    written = np.clip(cells.astype(np.int64), 1, last)
    found: NDArray[np.int64] = edges[own, written - 1] - edges[own, (written + last) // 2]
    return found


def centred(records: Records) -> Mask:
    """What there is stands in rows with equal margins on both sides, as on a card, and leaves much of it empty."""
    mask = np.zeros(len(records), np.bool_)
    # Some at a time: of all frames of a long film at once they would take more memory than all else.
    for start in range(0, len(records), ROWS):
        filled = records[start : start + ROWS]["edges"].max(axis=-1) >= EDGED
        rows = filled.any(axis=2)
        left, right = filled.argmax(axis=2), filled[:, :, ::-1].argmax(axis=2)
        even = ((np.abs(left - right) <= CENTRED_CELLS) | ~rows).all(axis=1)
        share = filled.mean(axis=(1, 2))
        mask[start : start + ROWS] = even & (share > 0) & (share <= CENTRED_MOST)
    return mask


def laid_over(records: Records, lines: Mask, shots: Sequence[Shot], witness: Witness = NOBODY) -> Mask:
    """Whether the writing stands out in most of those frames around in a shot that have lines of it."""
    out = standing_out(records, records["caption"], lines, witness)
    mask = np.zeros(len(records), np.bool_)
    for shot in shots if lines.any() else ():
        part = slice(shot.first, shot.last + 1)
        mask[part] = 2 * _around(out[part]) > _around(lines[part])
    return mask


def lasting(lines: Mask, shots: Sequence[Shot], seconds: Seconds) -> Mask:
    """Shots that are a good part of the film and have lines of writing throughout: these are part of what they show."""
    mask, least = np.zeros(len(lines), np.bool_), LONG_SHARE * seconds.sum()
    for shot in shots:
        part = slice(shot.first, shot.last + 1)
        long = seconds[part].sum() >= least
        mask[part] = long and seconds[part][lines[part]].sum() >= COME_AND_GO * seconds[part].sum()
    return mask


def captioned(
    records: Records,
    lines: Mask,
    shots: Sequence[Shot],
    among: Mask,
    seconds: Seconds,
    witness: Witness = NOBODY,
) -> Mask:
    """Where lines of writing lie over the picture, in a film that does not have them throughout.

    Subtitles come and go over the same picture: of such shots, the frames without any are left. ``seconds`` is how long
    each frame is shown: a slide may be one frame.
    """
    witness.figure("cells in a line of writing", records["caption"], LINE)
    most = DRAWN_MOST if drawn(records) else CAPTIONED_MOST
    if seconds[lines & among].sum() <= most * seconds[among].sum():
        if drawn(records):
            return lines
        return lines & ~lasting(lines, shots, seconds) & laid_over(records, lines, shots, witness)
    mask = np.zeros(len(records), np.bool_)
    for shot in shots if not drawn(records) else ():
        part = slice(shot.first, shot.last + 1)
        if seconds[part][lines[part]].sum() <= COME_AND_GO * seconds[part].sum():
            mask[part] = lines[part]
    return mask


def rest_of_cards(
    records: Records, shots: Sequence[Shot], refused: Mask, among: Mask, config: GatesConfig, witness: Witness = NOBODY
) -> Mask:
    """Of ``among``, what is plain and shows the same as pictures of its shot that are ``refused`` for their writing.

    A logo that grows, a card that the coder redraws: now and then its writing is not seen as such, and those frames are
    a card all the same. They are the only ones of their shot that are left, so that they would be chosen for certain.
    """
    mask = np.zeros(len(records), np.bool_)
    share = np.zeros(len(records))
    card = among & (records["plain"] >= config.title_plain) & (records["still"] >= config.title_still)
    for shot in shots:
        rows = np.arange(shot.first, shot.last + 1)
        cards, rest = rows[refused[rows]], rows[card[rows]]
        share[rows] = len(cards) / max(len(cards) + among[rows].sum(), 1)
        if len(rest) == 0 or len(cards) == 0 or share[shot.first] < CARD_SHARE:
            continue
        seen = records[cards[np.linspace(0, len(cards) - 1, min(len(cards), CARDS_SEEN)).round().astype(np.int64)]]
        for start in range(0, len(rest), ROWS):
            part = rest[start : start + ROWS]
            mask[part] = _same_card(records[part], seen)
        left = card[rows] & ~mask[rows]
        if left.sum() <= MOST_LEFT * len(rows):
            mask[rows] |= left
    witness.figure("share of its shot refused for writing", share, CARD_SHARE)
    return mask


def _same_card(records: Records, cards: Records) -> Mask:
    """Which records show the same as any of the cards."""
    mask = np.zeros(len(records), np.bool_)
    luma, detail = _cells(records)
    for card_luma, card_detail in zip(*_cells(cards), strict=True):
        left = np.flatnonzero(~mask)
        if len(left) == 0:
            break
        alike = left[_size(luma[left] - card_luma) <= SAME_CODES]
        mask[alike[_size(detail[alike] - card_detail) <= SAME_DETAIL]] = True
    return mask


def _cells(records: Records) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Luma and detail of each cell, as ``features.detail`` has it, one row for each record."""
    edges = records["edges"].reshape(len(records), -1, 2)
    detail = np.maximum(edges[..., 0], edges[..., 1]).astype(np.float32)
    return records["luma"].reshape(len(records), -1).astype(np.float32), detail


def _size(off: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square of each row."""
    found: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", off, off) / np.float32(max(off.shape[1], 1)))
    return found
