"""Pictures of nothing, by their own figures and what is usual in the film: black, white, one shade, bars, snow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.film_figures import ROWS, Records
from daemon.analysis.lettering import DRAWN_STILL, drawing, drawn, has_letters, inked
from daemon.analysis.witness import NOBODY, Witness
from daemon.config.selection import GatesConfig

Mask = NDArray[np.bool_]

WASHED_LIGHT, WASHED_MEAN, WASHED_MOST = 0.6, 230.0, 0.2
"""The share of pixels that is clipped white, the mean of luma, and the share of a film that is like that at most."""
SNOW_SHARP, TAPE_ACROSS, TAPE_ALONG = 1.0, 0.6, 1.5
"""The mean squared step between neighbours over the variance; 2 where they are independent. A tape has half as many
columns, and neighbours in a row go together."""
LINED_PLAIN = 0.85
"""The share of one shade from which such steps are those of thin lines on it, where these are plain to see."""
COARSE_STILL = 0.4
"""Which share of the pixels is like the next ones at most."""
ALL_OVER, LEAST_LIGHT, EVEN_LIGHT = 40.0, 0.7, 12.0
"""What the edges of all cells but the tenth that is farthest off lie within, in sixteenths of an octave, and how far
cells are at least and at most from the mean of their row, in codes: of noise that a tape or a coder has smeared."""
NEXT_ALIKE = 0.4
"""How much cells go with those of the next frame, as a correlation: sand stays where it is, noise does not."""


def black(records: Records, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """Nothing brighter than ``black_codes``, nor than a third of the film's usual highlights."""
    high = records["high"].astype(np.float64)
    usual = float(np.median(high[high > config.flat_codes])) if (high > config.flat_codes).any() else 255.0
    limit = min(config.black_codes, usual / 3)
    witness.figure("highlights", high, limit, below=True, reference=usual)
    mask: Mask = high <= limit
    return mask


def white(records: Records, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """Nothing darker than ``white_codes``, nor within a third of the film's usual distance from white."""
    depth = 255.0 - records["low"].astype(np.float64)
    usual = float(np.median(depth[depth > config.flat_codes])) if (depth > config.flat_codes).any() else 255.0
    limit = min(255 - config.white_codes, usual / 3)
    witness.figure("shadows below white", depth, limit, below=True, reference=usual)
    mask: Mask = depth <= limit
    return mask


def flat(records: Records, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """Hardly any difference between the darkest and the brightest pixels."""
    spread = records["high"].astype(np.int64) - records["low"]
    witness.figure("codes from shadows to highlights", spread, config.flat_codes, below=True)
    mask: Mask = spread <= config.flat_codes
    return mask


def snow(records: Records, config: GatesConfig, witness: Witness = NOBODY) -> Mask:
    """A picture whose neighbouring pixels have nothing to do with each other, or whose cells are all alike and have
    nothing to do with those of the frames beside it."""
    step = np.minimum(records["sharp_x"], records["sharp_y"])
    witness.figure("step between neighbours over variance", step, SNOW_SHARP)
    lines = (records["plain"] >= LINED_PLAIN) & (inked(records) | (records["still"] >= DRAWN_STILL))
    tape = np.minimum(records["sharp_x"] / TAPE_ACROSS, records["sharp_y"] / TAPE_ALONG)
    witness.figure("the same beside that of a tape's noise", tape, 1.0)
    mask: Mask = ((step >= SNOW_SHARP) | (tape >= 1.0)) & ~lines
    for start in range(0, len(records), ROWS):
        part = records[max(start - 1, 0) : start + ROWS + 1]
        found = _restless(part, config)
        first = start - max(start - 1, 0)
        mask[start : start + ROWS] |= found[first : first + len(mask[start : start + ROWS])]
    # Noise does not stop for a frame.
    mask[1:-1] |= mask[:-2] & mask[2:]
    return mask


def _restless(records: Records, config: GatesConfig) -> Mask:
    """Frames that are alike all over, but not with the one before or the one after."""
    mask = np.zeros(len(records), np.bool_)
    spread = records["high"].astype(np.int64) - records["low"]
    places = np.flatnonzero((records["still"] <= COARSE_STILL) & (spread > config.flat_codes))
    if len(places) == 0 or len(records) < 2:
        return mask
    edges = np.sort(records[places]["edges"].max(axis=-1).reshape(len(places), -1), axis=1)
    off = edges.shape[1] // 20
    luma = records["luma"].astype(np.float32)
    # A bar that rolls through, as mains hum makes it, is the same along a row.
    luma = (luma - luma.mean(axis=2, keepdims=True)).reshape(len(luma), -1)
    size = np.sqrt(np.einsum("ij,ij->i", luma, luma))
    alike = np.einsum("ij,ij->i", luma[1:], luma[:-1]) / np.maximum(size[1:] * size[:-1], 1e-6)
    least = np.minimum(np.append(alike, 1.0), np.append(1.0, alike))
    light = size[places] / luma.shape[1] ** 0.5
    even = (light >= LEAST_LIGHT) & (light <= EVEN_LIGHT)
    within = edges[:, -1 - off].astype(np.float64) - edges[:, off] <= ALL_OVER
    mask[places] = even & within & (least[places] <= NEXT_ALIKE)
    return mask


def bars(records: Records) -> Mask:
    """Test cards, as ``features.figures`` tells them from a whole record: bars, pure colours, a chart on a grid."""
    mask: Mask = records["bars"].astype(np.bool_)
    return mask


def washed_out(records: Records, witness: Witness = NOBODY) -> Mask:
    """Most of it clipped white, in a film that is not like that: its shot may have nothing to compare it with."""
    witness.figure("share clipped to white", records["light"], WASHED_LIGHT)
    witness.figure("mean of luma", records["mean"], WASHED_MEAN)
    most = (records["light"] >= WASHED_LIGHT) & (records["mean"] >= WASHED_MEAN)
    # A page is white, too; a film of drawings is full of such pictures.
    page = drawing(records) & (drawn(records) | has_letters(records))
    mask: Mask = most & ~page
    return mask if most.mean() <= WASHED_MOST else np.zeros(len(records), np.bool_)
