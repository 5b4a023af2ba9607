"""Measures a picture: the record of ``features``, made while the picture is in hand.

Three neighbouring rows are looked at, at up to 108 places whatever the height, and all of their pixels: cheap
enough to be done for every frame, and steps between neighbouring pixels keep their meaning. All sums are of
whole numbers, so a record is the same on every machine.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import GRID, RECORD, VERSION
from daemon.model import Picture
from daemon.runtime import jit

ROWS_PER_CELL, ROW_SPACING = 12, 3
_TEXT_SPACING = 7
"""The spacing of the rows that the count of strokes in a cell of lettering is meant for."""
_DARK, _LIGHT, _PLAIN_CODES, _PHASES = 5, 250, 5, 8
_RUN = 8192
"""Pixels whose squared steps fit into 32 bits."""
_STILL_CODES, _COMB_CODES = np.int32(1), np.int32(12)
"""A pixel that differs by no more from the next ones is like them; a line that differs by so much from both of its
neighbours, which are alike, is combed."""
_STROKE_CODES, _LEAST_STROKES, _STROKE_SPREAD = 40, 6, 8.0
"""The step at the edge of a stroke, how many of them a cell of lettering has, and how much their shades differ."""
_LINE_STROKES, _LINE_SHADES, _LINE_CELLS = 3, 10.0, 3
"""How many a cell in a line of writing has, how much the shades of neighbouring cells differ, how many cells it has."""
_FIGURES = tuple(name for name in RECORD.names or () if name not in ("version", "thumbnail", "edges"))


def measure(picture: Picture) -> bytes:
    """The record of an RGB picture, uint8 or uint16, of at least one pixel."""
    height, width = picture.shape[:2]
    wanted = rows_looked_at(height)
    rows: NDArray[Any] = np.empty((len(wanted), 3, width), picture.dtype)
    _take_rows(np.ascontiguousarray(picture), wanted, rows)
    return measure_rows(rows, height)


def rows_looked_at(height: int) -> NDArray[np.int32]:
    """The rows of a picture that its record is made of, rising."""
    return _places(height)[0]


def measure_rows(rows: NDArray[np.uint8] | NDArray[np.uint16], height: int) -> bytes:
    """The record of a picture of so many rows, of which ``rows_looked_at`` are here: ``(n, 3, width)`` RGB."""
    record = np.zeros((), RECORD)
    figures = np.zeros(len(_FIGURES))
    thumbnail, edges = np.zeros((*GRID, 3), np.uint8), np.zeros((*GRID, 2), np.uint8)
    shift = np.int32(8 * (rows.dtype.itemsize - 1))
    _, triples, lines = _places(height)
    _measure(rows, triples, lines, shift, thumbnail, edges, figures)
    record["version"] = VERSION
    record["thumbnail"] = thumbnail
    record["edges"] = edges
    for name, figure in zip(_FIGURES, figures, strict=True):
        record[name] = figure
    return record.tobytes()


@lru_cache(maxsize=64)
def _places(height: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The rows that are looked at; per line where its three rows are among those; of each band, how many lines it has
    and how many the count of strokes is meant for."""
    uppers: list[int] = []
    counts = []
    for band in range(GRID[0]):
        top = band * height // GRID[0]
        tall = max((band + 1) * height // GRID[0] - top, 1)
        lines = max(min(tall // ROW_SPACING, ROWS_PER_CELL), min(tall, 2))
        counts.append((lines, max(min(tall // _TEXT_SPACING, ROWS_PER_CELL), min(tall, 2))))
        uppers += [max(min(top + (2 * line + 1) * tall // (2 * lines), height - 3), 0) for line in range(lines)]
    triples = np.minimum(np.array(uppers)[:, None] + np.arange(3), height - 1)
    rows, where = np.unique(triples, return_inverse=True)
    return rows.astype(np.int32), where.reshape(triples.shape).astype(np.int32), np.array(counts, np.int32)


def warm_up() -> None:
    """Compile, or load what was compiled before, for pictures of both depths: seconds, or a part of one."""
    measure(np.zeros((8, 8, 3), np.uint8))
    measure(np.zeros((8, 8, 3), np.uint16))


@jit.part()
def _luma(row: Any, shift: Any, out: Any) -> None:
    """BT.601 in whole 256ths, which fit into 16 bits."""
    reds, greens, blues = row[0], row[1], row[2]
    if shift == 0:
        # Without a shift of so many bits as are only known then, many pixels are taken at once.
        for x in range(out.shape[0]):
            out[x] = _weighted(np.uint16(reds[x]), np.uint16(greens[x]), np.uint16(blues[x]))
    else:
        for x in range(out.shape[0]):
            out[x] = _weighted(np.uint16(reds[x] >> shift), np.uint16(greens[x] >> shift), np.uint16(blues[x] >> shift))


@jit.part()
def _weighted(red: Any, green: Any, blue: Any) -> Any:
    warm = np.uint16(np.uint16(77) * red) + np.uint16(np.uint16(150) * green)
    return np.uint16(warm + np.uint16(np.uint16(29) * blue)) >> np.uint16(8)


@jit.part()
def _steps(here: Any, below: Any, beneath: Any, columns: Any, cells: Any, sums: Any) -> None:
    """Add up how pixels differ from the ones to the right and below, by cell and in all."""
    last = here.shape[0] - 1
    across_cells = cells.shape[0]
    for cell in range(across_cells):
        start = cell * last // across_cells
        end = max((cell + 1) * last // across_cells, min(start + 1, last))
        for begin in range(start, end, _RUN):
            stop = min(begin + _RUN, end)
            one, right_of, under = here[begin:stop], here[begin + 1 : stop + 1], below[begin:stop]
            lowest, column = beneath[begin:stop], columns[begin:stop]
            still, right, down, comb = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
            # Narrowed after each step: numba adds numbers of 32 bits in 64, of which half as many are taken at once.
            for x in range(one.shape[0]):
                own, under_own, lowest_own = np.int32(one[x]), np.int32(under[x]), np.int32(lowest[x])
                across = np.int32(abs(np.int32(np.int32(right_of[x]) - own)))
                along = np.int32(abs(np.int32(under_own - own)))
                column[x] = np.int32(column[x] + across)
                still = np.int32(still + np.int32((across <= _STILL_CODES) & (along <= _STILL_CODES)))
                right = np.int32(right + np.int32(across * across))
                down = np.int32(down + np.int32(along * along))
                least = min(along, np.int32(abs(np.int32(under_own - lowest_own))))
                alike = np.int32(np.int32(2) * np.int32(abs(np.int32(lowest_own - own))))
                comb = np.int32(comb + np.int32((least >= _COMB_CODES) & (alike <= least)))
            cells[cell, 0] += right
            cells[cell, 1] += down
            cells[cell, 2] += stop - begin
            sums[1] += still
            sums[4] += comb
    sums[0] += last


@jit.part()
def _strokes(here: Any, steep: Any, cells: Any) -> None:
    """Add up, by cell, strokes: steep steps up and down again, or down and up, within a letter's width.

    Of each cell: how many bright ones, the sum and the sum of squares of their luma, and the same of the dark ones.
    ``steep`` is room for the places of steps, which are found first, as that takes no branch.
    """
    width, across = here.shape[0], cells.shape[0]
    reach = max(width // 640, 1)
    longest = 24 * reach
    found = 0
    for x in range(width - reach):
        steep[found] = x
        found += int(abs(np.int32(here[x + reach]) - np.int32(here[x])) >= _STROKE_CODES)
    way, since, turned = 0, 0, 0
    for at in range(found):
        x = steep[at]
        turn = 1 if here[x + reach] > here[x] else -1
        if turn == way:
            since = x
            continue
        if way != 0 and x - since <= longest:
            shade = np.int32(here[turned + reach])
            for y in range(turned + 1, x + 1):
                shade = max(shade, np.int32(here[y])) if way > 0 else min(shade, np.int32(here[y]))
            cell, place = min(x * across // width, across - 1), 0 if way > 0 else 3
            cells[cell, place] += 1
            cells[cell, place + 1] += shade
            cells[cell, place + 2] += np.int64(shade) * shade
        way, since, turned = turn, x, x


@jit.part()
def _lettered(cells: Any, least: Any) -> Any:
    """How many cells have at least so many strokes of one shade."""
    found = 0
    for cell in range(cells.shape[0]):
        found += _one_shade(cells, cell, 0, least) or _one_shade(cells, cell, 3, least)
    return found


@jit.part()
def _one_shade(cells: Any, cell: Any, place: Any, least: Any) -> Any:
    """Whether a cell has at least so many strokes, and their shades hardly differ."""
    count = cells[cell, place]
    if count < least:
        return False
    mean = cells[cell, place + 1] / count
    return bool(cells[cell, place + 2] / count - mean * mean <= _STROKE_SPREAD * _STROKE_SPREAD)


@jit.part()
def _written(cells: Any) -> Any:
    """How many cells are part of a line of writing: neighbours with strokes of the same shade."""
    found = 0
    for place in (0, 3):
        length, shade = 0, 0.0
        for cell in range(cells.shape[0] + 1):
            here = cell < cells.shape[0] and _one_shade(cells, cell, place, _LINE_STROKES)
            own = cells[cell, place + 1] / cells[cell, place] if here else 0.0
            if here and length > 0 and abs(own - shade) <= _LINE_SHADES:
                length += 1
            else:
                found += length if length >= _LINE_CELLS else 0
                length = 1 if here else 0
            shade = own
    return found


@jit.part()
def _colours(row: Any, cells: Any, shift: Any) -> None:
    """Add a row's pixels to its row of cells."""
    width, across = row.shape[1], cells.shape[0]
    for cell in range(across):
        left = cell * width // across
        end = max((cell + 1) * width // across, left + 1)
        red, green, blue = np.int32(0), np.int32(0), np.int32(0)
        reds, greens, blues = row[0, left:end], row[1, left:end], row[2, left:end]
        for x in range(end - left):
            red += np.int32(reds[x])
            green += np.int32(greens[x])
            blue += np.int32(blues[x])
        # White is 255 or 65535, which is 257 times as much.
        unit = 1 if shift == 0 else 257
        cells[cell, 0] += red // unit
        cells[cell, 1] += green // unit
        cells[cell, 2] += blue // unit
        cells[cell, 3] += end - left


@jit.part()
def _exposure(counts: Any, figures: Any) -> None:
    """The figures that follow from the histogram of luma."""
    total, first, second = 0, 0, 0
    for code in range(256):
        total += counts[code]
        first += counts[code] * code
        second += counts[code] * code * code
    figures[0] = first / total
    figures[1] = max(second * total - first * first, 0) ** 0.5 / total
    running, window = 0, 0
    low, high = -1, -1
    for code in range(256):
        running += counts[code]
        window += counts[code]
        if code >= _PLAIN_CODES:
            window -= counts[code - _PLAIN_CODES]
        if low < 0 and running * 100 > total:
            low = code
        if high < 0 and running * 100 >= total * 99:
            high = code
        if figures[13] == 0 and running * 1000 > total:
            figures[13] = code + 1
        if figures[14] == 0 and running * 1000 >= total * 999:
            figures[14] = code + 1
        if code == _DARK:
            figures[4] = running / total
        if code == _LIGHT - 1:
            figures[5] = (total - running) / total
        figures[7] = max(figures[7], window / total)
    figures[2], figures[3] = low, high
    figures[13], figures[14] = figures[13] - 1, figures[14] - 1
    for first_code in range(0, 256, 8):
        share = counts[first_code : first_code + 8].sum() / total
        if share > 0:
            figures[6] -= share * np.log2(share)


@jit.part()
def _grid(columns: Any) -> Any:
    """Steps at the strongest of eight column phases over the mean of the others; 1 without any step."""
    phases = np.zeros(_PHASES, np.int64)
    for x in range((columns.shape[0] - 1) // _PHASES * _PHASES):
        phases[x % _PHASES] += columns[x]
    strongest = phases.max()
    return (strongest + 1.0) / ((phases.sum() - strongest) / (_PHASES - 1) + 1.0)


def _take(picture: Any, wanted: Any, rows: Any) -> None:
    width = rows.shape[2]
    for at in range(wanted.shape[0]):
        # Every third number, one channel after the other: both must be plain for many pixels to be taken at once.
        source = picture[wanted[at]].reshape(-1)
        red, green, blue = rows[at, 0], rows[at, 1], rows[at, 2]
        for x in range(width):
            red[x] = source[3 * x]
        for x in range(width):
            green[x] = source[3 * x + 1]
        for x in range(width):
            blue[x] = source[3 * x + 2]


def _measure_all(rows: Any, triples: Any, lines: Any, shift: Any, thumbnail: Any, edges: Any, figures: Any) -> None:
    width = rows.shape[2]
    here, below, beneath = np.empty(width, np.int16), np.empty(width, np.int16), np.empty(width, np.int16)
    columns, steep = np.zeros(width, np.int32), np.empty(width, np.int32)
    counts, sums = np.zeros(256, np.int64), np.zeros(5, np.int64)
    at = 0
    for band in range(thumbnail.shape[0]):
        cells, steps = np.zeros((thumbnail.shape[1], 4), np.int64), np.zeros((thumbnail.shape[1], 3), np.int64)
        strokes = np.zeros((thumbnail.shape[1], 6), np.int64)
        for _ in range(lines[band, 0]):
            upper = rows[triples[at, 0]]
            _luma(upper, shift, here)
            _luma(rows[triples[at, 1]], shift, below)
            _luma(rows[triples[at, 2]], shift, beneath)
            at += 1
            for x in range(0, width, 2):
                counts[here[x]] += 1
            _steps(here, below, beneath, columns, steps, sums)
            _strokes(here, steep, strokes)
            _colours(upper, cells, shift)
        figures[15] += _lettered(strokes, _LEAST_STROKES * lines[band, 0] / lines[band, 1])
        figures[16] += _written(strokes)
        for cell in range(thumbnail.shape[1]):
            for channel in range(3):
                thumbnail[band, cell, channel] = (cells[cell, channel] + cells[cell, 3] // 2) // cells[cell, 3]
            for way in range(2):
                # In sixteenths of an octave: 0 for none, 255 for the steepest.
                mean = steps[cell, way] / max(steps[cell, 2], 1)
                edges[band, cell, way] = min(int(16 * np.log2(1 + mean) + 0.5), 255)
                sums[2 + way] += steps[cell, way]
    _exposure(counts, figures)
    pairs = max(sums[0], 1)
    # A variance below one code is the coder's noise: a flat picture has no sharpness.
    variance = max(figures[1] ** 2, 1.0)
    figures[8] = sums[1] / pairs
    figures[9] = sums[2] / pairs / variance
    figures[10] = sums[3] / pairs / variance
    figures[11] = _grid(columns)
    figures[12] = sums[4] / pairs


_measure = jit.Compiled(_measure_all)
_take_rows = jit.Compiled(_take)
