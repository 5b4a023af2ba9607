"""Whether two pictures show the same, and only the light has changed: by the order of their values, and their edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import LUMA

EMPTY_CODES = 3.0
"""A thumbnail whose cells spread less is empty: one side of a fade."""
SAME_VIEW = 0.65
"""The rank correlation of two pictures from which only the light has changed, of what clipping leaves possible."""
LIGHT_EXPLAINS, UNEXPLAINED, UNEXPLAINED_CONTRAST, LEAST_SEEN = 0.4, 18.0, 0.3, 40
"""What light leaves unexplained, as a share of a change, in codes, and as a share of the contrast: the largest holds.
Defects of a coder or a lens stay below it. Fewer values than the last say nothing."""
CURVE_STEPS = 24
"""The rising curve by which light changes values has so many steps at most."""
SAME_EDGES, STEP_CODES, LEAST_STEPS = 0.5, 2.0, 8
"""The rank correlation of the steps between neighbouring cells, of those above so many codes; fewer say nothing."""
CLIPPED = 8
"""Values of a thumbnail so near to black or white say nothing of what is seen there."""


def same_view(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Per pair of thumbnails ``(n, 9, 16, 3)``, whether both show the same but for the light.

    Exposure changes a picture by a rising curve: the order of its values stays (Spearman's rank correlation).
    Values that are clipped are left out; where that is too many, they count as equal. Two empty pictures are
    the same.
    """
    result = np.zeros(len(one), np.bool_)
    for row, (first, second) in enumerate(zip(one, other, strict=True)):
        if first.std() < EMPTY_CODES or second.std() < EMPTY_CODES:
            result[row] = first.std() < EMPTY_CODES and second.std() < EMPTY_CODES
            continue
        seen = _unclipped(first) & _unclipped(second)
        if 4 * seen.sum() >= 3 * seen.size:
            result[row] = rank_correlation(first[seen], second[seen]) >= SAME_VIEW
        else:
            result[row] = rank_correlation(first.ravel(), second.ravel()) >= SAME_VIEW
    return result


def light_alone(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Whether a change of light explains how two thumbnails ``(9, 16, 3)`` of the same view differ.

    Light changes all cells of one value alike, and keeps what rises and falls where it is. Where a person is
    exchanged before the same wall, most cells keep their value, and the others change as they like.
    """
    first, second = one.astype(np.float32), other.astype(np.float32)
    seen = _unclipped(first) & _unclipped(second)
    if seen.sum() < LEAST_SEEN:
        return True
    before, after = first[seen], second[seen]
    change = float(np.sqrt(((after - before) ** 2).mean()))
    least = max(UNEXPLAINED, UNEXPLAINED_CONTRAST * float(first.std()), LIGHT_EXPLAINS * change)
    return unexplained(before, after) <= least and _same_edges(first, second, np.asarray(seen.all(axis=-1)))


def _unclipped(values: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (values > CLIPPED) & (values < 255 - CLIPPED)
    return found


def unexplained(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """How far values are from the rising curve that fits them best, in steps; root mean square.

    By pooling adjacent violators (Ayer and others, "An empirical distribution function", 1955).
    """
    order = np.argsort(before, kind="stable")
    pools: list[NDArray[np.float32]] = []
    for pool in np.array_split(after[order], min(CURVE_STEPS, len(order))):
        while pools and pools[-1].mean() > pool.mean():
            pool = np.concatenate([pools.pop(), pool])
        pools.append(pool)
    return float(np.sqrt(sum(((pool - pool.mean()) ** 2).sum() for pool in pools) / len(order)))


def _same_edges(one: NDArray[np.float32], other: NDArray[np.float32], seen: NDArray[np.bool_]) -> bool:
    """Whether two thumbnails rise and fall at the same places, among cells that are ``seen`` (9, 16) in both."""
    steps = [
        np.concatenate([np.diff(luma, axis=0).ravel(), np.diff(luma, axis=1).ravel()])
        for luma in (one @ LUMA, other @ LUMA)
    ]
    told = (np.abs(steps[0]) > STEP_CODES) | (np.abs(steps[1]) > STEP_CODES)
    told &= np.concatenate([(seen[1:] & seen[:-1]).ravel(), (seen[:, 1:] & seen[:, :-1]).ravel()])
    if told.sum() < LEAST_STEPS:
        return True
    before, after = (np.rint(step[told]).astype(np.int64) + 255 for step in steps)
    return _correlation(_ranks(before), _ranks(after)) >= SAME_EDGES


def rank_correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Spearman's, of values that are equal beyond ``CLIPPED``, over the most that it can be with so many equal ones;
    0 where all of either are."""
    clipped = [np.clip(values, CLIPPED, 255 - CLIPPED).astype(np.int64) for values in (one, other)]
    first, second = _ranks(clipped[0]), _ranks(clipped[1])
    most = _correlation(np.sort(first), np.sort(second))
    return _correlation(first, second) / most if most > 0 else 0.0


def _ranks(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each whole number's place in their order, from 0; equal ones share the mean of theirs."""
    counts = np.bincount(codes)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts + 1) / 2)[codes]
    return ranks


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's; 0 where either is constant."""
    first, second = one - one.mean(), other - other.mean()
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float(first @ second) / size if size > 0 else 0.0
