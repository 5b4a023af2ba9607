"""Pictures of nothing, by their own figures and what is usual in the film: black, white, one shade, bars, snow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.film_figures import Records
from daemon.analysis.lettering import LINE, drawing, drawn
from daemon.analysis.witness import NOBODY, Witness
from daemon.config.selection import GatesConfig

Mask = NDArray[np.bool_]

WASHED_LIGHT, WASHED_MEAN, WASHED_MOST = 0.6, 230.0, 0.2
"""The share of pixels that is clipped white, the mean of luma, and the share of a film that is like that at most."""
SNOW_SHARP = 1.0
"""The mean squared step between neighbours over the variance; 2 where they are independent."""


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


def snow(records: Records, witness: Witness = NOBODY) -> Mask:
    """A picture whose neighbouring pixels have nothing to do with each other."""
    step = np.minimum(records["sharp_x"], records["sharp_y"])
    witness.figure("step between neighbours over variance", step, SNOW_SHARP)
    mask: Mask = step >= SNOW_SHARP
    return mask


def bars(records: Records) -> Mask:
    """Upright bars of a test card: hardly a step downwards, plain colours."""
    mask: Mask = records["bars"].astype(np.bool_)
    return mask


def washed_out(records: Records, witness: Witness = NOBODY) -> Mask:
    """Most of it clipped white, in a film that is not like that: its shot may have nothing to compare it with."""
    witness.figure("share clipped to white", records["light"], WASHED_LIGHT)
    witness.figure("mean of luma", records["mean"], WASHED_MEAN)
    most = (records["light"] >= WASHED_LIGHT) & (records["mean"] >= WASHED_MEAN)
    # A page is white, too; a film of drawings is full of such pictures.
    page = drawing(records) & (drawn(records) | (records["text"] >= 1) | (records["caption"] >= LINE))
    mask: Mask = most & ~page
    return mask if most.mean() <= WASHED_MOST else np.zeros(len(records), np.bool_)
