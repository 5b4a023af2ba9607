"""What is kept of a picture to choose by: a tiny colour thumbnail and a few figures, as one short record.

A record depends on its picture alone, never on its neighbours or on what was decoded before, so that it is the
same after a restart. ``measure`` makes records, this module says what is in them and reads them back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VERSION = 3
"""Raised whenever a record's layout or the meaning of a figure changes; records of versions 1 and 2 are still read."""

GRID = (9, 16)
"""Rows and columns of the thumbnail, whatever the picture's shape."""
CELLS = GRID[0] * GRID[1]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue of a thumbnail are of its luma: BT.601."""

RECORD = np.dtype(
    [
        ("version", "u1"),
        ("thumbnail", "u1", (*GRID, 3)),
        ("mean", "<f4"),
        ("contrast", "<f4"),
        ("low", "u1"),
        ("high", "u1"),
        ("dark", "<f4"),
        ("light", "<f4"),
        ("entropy", "<f4"),
        ("plain", "<f4"),
        ("still", "<f4"),
        ("sharp_x", "<f4"),
        ("sharp_y", "<f4"),
        ("blocks", "<f4"),
        ("comb", "<f4"),
        ("floor", "u1"),
        ("peak", "u1"),
        ("text", "u1"),
        ("edges", "u1", (*GRID, 2)),
        ("caption", "u1"),
    ]
)
"""One frame's record. Luma is BT.601's in codes of 0 to 255, whatever the picture's depth.

``thumbnail``: RGB, each cell the mean of its part of the picture. ``mean``, ``contrast``: mean and standard
deviation of luma. ``low``, ``high``: its first and 99th percentile. ``dark``, ``light``: the share of pixels
clipped at black (at most 5) and at white (from 250). ``entropy``: of luma in 32 classes, in bits (0 to 5).
``plain``: the largest share of pixels within five neighbouring codes. ``still``: the share of pixels that
differ from the ones to the right and below by at most one code. ``sharp_x``, ``sharp_y``: mean squared
difference of luma to the right and downwards, over the variance of luma: Tenengrad's idea (Krotkov, "Focusing",
1987) made independent of exposure. ``blocks``: how much larger the steps are at every eighth column than in
between, 1 where there is no grid (after Wang, Bovik, Evans, "Blind measurement of blocking artifacts", 2000).
``comb``: the share of pixels that differ from those above and below, which are alike: the lines of two fields.
``floor``, ``peak``: what the darkest and the brightest thousandth of the pixels have of luma, by which a thin line
is seen. ``text``: how many cells of the thumbnail have lettering in them: many strokes of one shade. ``edges``:
per cell of the thumbnail the mean squared step of luma to the right and downwards, e, as 16 log2(1 + e).
``caption``: how many cells are part of a line of writing: three or more beside each other, with strokes of one shade.
"""

EARLIER = {
    version: np.dtype([(name, RECORD[name]) for name in (RECORD.names or ())[:fields]])
    for version, fields in ((1, 14), (2, 19))
}
"""Records of earlier versions: they lack what comes after."""

Records = NDArray[np.void]


def unpack(blobs: Sequence[bytes | None]) -> Records:
    """Records from their stored form; those that are missing or of an unknown version have ``version`` 0.

    One of an earlier version keeps its version: of what it lacks, ``floor`` and ``peak`` are its percentiles, the rest
    is 0.
    """
    size = RECORD.itemsize
    blank = bytes(size)
    whole = b"".join(blob if blob is not None and len(blob) == size else blank for blob in blobs)
    records = np.frombuffer(whole, RECORD)
    if not (records["version"] == VERSION).all():
        records = records.copy()
        records["version"][records["version"] != VERSION] = 0
        for version, layout in EARLIER.items():
            _read_earlier(blobs, records, version, layout)
    return records


def _read_earlier(blobs: Sequence[bytes | None], records: Records, version: int, layout: np.dtype[np.void]) -> None:
    """Fill in the records of an earlier version."""
    size = layout.itemsize
    places = [at for at, blob in enumerate(blobs) if blob is not None and len(blob) == size and blob[0] == version]
    if not places:
        return
    old = np.frombuffer(b"".join(blobs[at] or b"" for at in places), layout)
    names = layout.names or ()
    for name in names:
        records[name][places] = old[name]
    if "floor" not in names:
        records["floor"][places], records["peak"][places] = old["low"], old["high"]


TINT_GRID = (3, 4)
"""Rows and columns of the cells by which colour is looked at: a coder keeps no more of it."""

FIGURES = np.dtype(
    [
        *((name, RECORD[name]) for name in RECORD.names or () if name != "thumbnail"),
        ("luma", "u1", GRID),
        ("tint", "<i2", (*TINT_GRID, 2)),
        ("bars", "u1"),
    ]
)
"""What ``gates`` look at of a record: its figures, and of its thumbnail the luma, of larger cells what red and blue
have more than green, and whether it is a test card."""


def figures(records: Records) -> NDArray[np.void]:
    """Of records, their ``FIGURES``."""
    found = np.zeros(len(records), FIGURES)
    for name in RECORD.names or ():
        if name != "thumbnail":
            found[name] = records[name]
    rgb = records["thumbnail"]
    found["luma"] = np.rint(rgb @ LUMA)
    rows, columns = (size // part for size, part in zip(GRID, TINT_GRID, strict=True))
    coarse = rgb.reshape(-1, TINT_GRID[0], rows, TINT_GRID[1], columns, 3).mean(axis=(2, 4), dtype=np.float32)
    found["tint"] = np.rint(coarse[..., (0, 2)] - coarse[..., (1, 1)])
    found["bars"] = _bars(rgb) | _grid(records, found["luma"])
    return found


BAR_CODES, BAR_SHARE = 4, 0.75
"""What a cell of a bar differs from the bar's own colour by at most, and how many of the cells are like that."""
GRAY_CODES, LEAST_STEPS = 12, 5
"""What the channels of gray differ by at most, and two gray bars at least; how many such steps there are."""
LEAST_PURE = 4
"""Of the six pure colours, a card has so many, where something else speaks for it."""
EVEN_LIGHT = 0.8
"""The share of the brightest pure colour's light that the darkest one has at least."""
SIDES = (0, 1, 2, 13, 14, 15)
"""Columns of cells beside the circle of a monitor's chart."""
GRID_LINES, GRID_SHARE, GRID_STILL = 110, 0.9, 0.3
"""The edges of cells with lines of a grid, as in a record, which share of the cells beside a chart has them and is the
same on the other side, and the share of pixels that are like the next ones."""
GRID_EDGES, GRID_LIGHT, GRID_GRAY = 24, 10, 16
"""By how much such cells differ from those of the other side, in edges and in codes, and their colours from gray."""


def _bars(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether thumbnails ``(n, 9, 16, 3)`` are of a test card: the upper half is the same all the way down, but for a
    label of two rows at most, and has at least four of the six pure colours or grays that fall step by step; or all
    six pure colours are somewhere, each as bright as the others."""
    upper = rgb[:, 1:6].astype(np.int16)
    row = np.sort(upper, axis=1)[:, 2]
    alike = (np.abs(upper - row[:, None]) <= BAR_CODES).all(axis=-1)
    upright = ((alike.sum(axis=1) >= 3).mean(axis=-1) >= 0.9) & (alike.mean(axis=(1, 2)) >= BAR_SHARE)
    high, low = row.max(axis=-1), row.min(axis=-1)
    pure = (high >= 100) & (low <= 0.35 * high)
    # One bit per channel that is near the highest one: red 1, green 2, blue 4, and their sums.
    colour = ((2 * row > high[..., None] + low[..., None]) * np.array([1, 2, 4])).sum(axis=-1)
    kinds = np.stack([(pure & (colour == kind)).any(axis=-1) for kind in range(1, 7)], axis=-1).sum(axis=-1)
    gray, steps = (high - low).max(axis=1) <= GRAY_CODES, np.diff(high.astype(np.int16), axis=1)
    stairs = gray & (steps <= BAR_CODES).all(axis=1) & ((steps <= -GRAY_CODES).sum(axis=1) >= LEAST_STEPS)
    result: NDArray[np.bool_] = (upright & ((kinds >= LEAST_PURE) | stairs)) | _six_colours(rgb)
    return result


def _grid(records: Records, luma: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether there is a gray grid on both sides, the same, as around the circle of a monitor's chart.

    Grain all over the picture has such edges, too; but then no pixel is like the next, and no colours are pure.
    """
    found = np.zeros(len(records), np.bool_)
    lines = stronger(_beside(records["edges"]))
    places = np.flatnonzero((lines >= GRID_LINES).mean(axis=(1, 2)) >= GRID_SHARE)
    if len(places) == 0:
        return found
    some, rgb = records[places], records["thumbnail"][places]
    edges, light, colours = (cells.astype(np.int16) for cells in (lines[places], _beside(luma[places]), _beside(rgb)))
    alike = (np.abs(edges - edges[:, :, ::-1]) <= GRID_EDGES) & (np.abs(light - light[:, :, ::-1]) <= GRID_LIGHT)
    same = (alike & (np.ptp(colours, axis=-1) <= GRID_GRAY)).mean(axis=(1, 2)) >= GRID_SHARE
    pure = (_pure_light(rgb) > 0).sum(axis=-1)
    found[places] = same & ((some["still"] >= GRID_STILL) | (pure >= LEAST_PURE))
    return found


def _beside(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of cells ``(n, 9, 16, ...)`` those beside a chart's circle; its border above and below may be of another kind."""
    return cells[:, 1:-1][:, :, SIDES]


def _six_colours(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each pure colour has a cell, all about as bright: a film may have many colours, but not so."""
    light = _pure_light(rgb)
    result: NDArray[np.bool_] = light.min(axis=-1) >= EVEN_LIGHT * np.maximum(light.max(axis=-1), 1)
    return result


def _pure_light(rgb: NDArray[np.uint8]) -> NDArray[np.int16]:
    """How bright the brightest cell of each of the six pure colours is, 0 where there is none."""
    cells = rgb.reshape(len(rgb), -1, 3).astype(np.int16)
    order = np.sort(cells, axis=-1)
    low, middle, high = order[..., 0], order[..., 1], order[..., 2]
    pure = (high >= 100) & (low <= 0.2 * high) & ((middle <= 0.25 * high) | (middle >= 0.85 * high))
    colour = ((2 * cells > (high + low)[..., None]) * np.array([1, 2, 4])).sum(axis=-1)
    return np.stack([np.where(pure & (colour == kind), high, 0).max(axis=1) for kind in range(1, 7)], axis=-1)


SKETCH = 168
"""Numbers in a sketch: 144 of luma, 24 of colour."""


def sketch(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Thumbnails ``(n, 9, 16, 3)`` as vectors ``(n, 168)`` whose distance says how unlike they look.

    Luma of every cell, and the two colour differences of 3 x 4 larger ones, each plane with the same weight, so
    that the root mean square over all numbers is in codes of 0 to 255.
    """
    rgb = thumbnails.astype(np.float32)
    luma = rgb @ LUMA
    count = len(thumbnails)
    coarse = rgb.reshape(count, 3, 3, 4, 4, 3).mean(axis=(2, 4))
    level = coarse @ LUMA
    blue, red = coarse[..., 2] - level, coarse[..., 0] - level
    planes = (luma.reshape(count, -1), blue.reshape(count, -1), red.reshape(count, -1))
    # A plane's weight is the sum over its numbers; chroma's 12 stand for as many as luma's 144.
    scaled = [plane * np.float32((SKETCH / 3 / plane.shape[1]) ** 0.5) for plane in planes]
    return np.concatenate(scaled, axis=1)


def detail(edges: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Edges ``(n, 9, 16, 2)`` as vectors ``(n, 144)``, in sixteenths of an octave: where there is fine detail."""
    return stronger(edges).reshape(len(edges), -1).astype(np.float32)


def stronger(edges: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of edges ``(..., 2)`` to the right and downwards the larger ones ``(...)``."""
    # Of two numbers, `max` along an axis takes many times as long.
    return np.maximum(edges[..., 0], edges[..., 1])


def differences(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What each of some pictures ``(n, ...)`` differs from the one before, cell by cell ``(n - 1, ...)``."""
    # Of bytes, differences without a sign take a fraction of the time.
    return np.maximum(cells[1:], cells[:-1]) - np.minimum(cells[1:], cells[:-1])


def by_cell(before: np.void, after: np.void) -> bool:
    """Whether the edges of cells are known, as they are from the second version of records on."""
    return min(int(before["version"]), int(after["version"])) >= 2


def lettering(records: Records) -> NDArray[np.float64]:
    """How much lettering each picture has, in cells; one in a line of writing counts twice."""
    found: NDArray[np.float64] = np.where(records["version"] >= 3, 2.0 * records["caption"], records["text"])
    return found


def view(sketches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sketches without their level and contrast, of length 1: the dot product of two is their correlation.

    What is seen stays when only the light changes. A sketch without any contrast becomes zero.
    """
    luma = sketches[:, :CELLS]
    centred = luma - luma.mean(axis=1, keepdims=True)
    rest = sketches[:, CELLS:]
    whole = np.concatenate([centred, rest - rest.mean(axis=1, keepdims=True)], axis=1)
    length = np.linalg.norm(whole, axis=1, keepdims=True)
    empty = length < 2.0 * SKETCH**0.5
    return np.where(empty, 0, whole / np.maximum(length, 1e-6)).astype(np.float32)


class ViewFinder:
    """Divides a film into stretches in which one thing is seen, whatever the light: a still camera gives long ones.

    Every frame of a stretch correlates with its first one by ``SAME`` or more.
    """

    SAME = 0.96

    def __init__(self) -> None:
        self._first = np.zeros(SKETCH, np.float32)
        self._number = -1
        self._numbers: list[NDArray[np.int64]] = []

    def feed(self, sketches: NDArray[np.float32]) -> None:
        """The next frames."""
        views = view(sketches)
        numbers = np.empty(len(views), np.int64)
        at = 0
        while at < len(views):
            other = np.flatnonzero(views[at : at + 256] @ self._first < self.SAME)
            end = at + int(other[0]) if len(other) else min(at + 256, len(views))
            numbers[at:end] = self._number
            if len(other):
                self._number += 1
                self._first = views[end]
                numbers[end] = self._number
                end += 1
            at = end
        self._numbers.append(numbers)

    def found(self) -> NDArray[np.int64]:
        """Per frame the number of its stretch, rising with time."""
        return np.concatenate(self._numbers) if self._numbers else np.zeros(0, np.int64)
