"""The figures of all frames of a film. Those by cell are nine tenths of them and are looked at some frames at a time:
they lie in a file, so that a film of ten hours takes little more memory than one of an hour.
"""

from __future__ import annotations

import itertools
from copy import copy
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import FIGURES

BY_CELL = ("edges", "luma", "tint")
_OF_CELLS = np.dtype([(name, FIGURES[name]) for name in BY_CELL])
_OF_FRAMES = np.dtype([(name, FIGURES[name]) for name in FIGURES.names or () if name not in BY_CELL])
ROWS = 4096
"""How many frames are looked at at once where their cells are."""
NEAR = 4
"""Rows that are spread over up to so many times their number are read in one piece."""


class FilmFigures:
    """``features.FIGURES`` of a film's frames, which are asked for as an array of them is.

    A column by its name, a frame by its number, and frames by their numbers are arrays; a slice is read only where it
    is asked for one of these in turn. So ``figures[a:b]["edges"]`` reads those frames, and ``figures["edges"]`` all.
    It belongs to one thread at a time.
    """

    def __init__(self, count: int, file: IO[bytes]) -> None:
        """Of so many frames, which are added in order; the file is empty, and kept open by who opened it."""
        self._frames = np.zeros(count, _OF_FRAMES)
        self._file = file
        self._first, self._end, self._known = 0, count, 0

    def add(self, figures: NDArray[np.void]) -> None:
        """The figures of the next frames. All are added before any is asked for.

        Raises OSError where the file cannot be written.
        """
        rows = slice(self._known, self._known + len(figures))
        cells = np.empty(len(figures), _OF_CELLS)
        for whole, names in ((self._frames[rows], _OF_FRAMES.names), (cells, BY_CELL)):
            for name in names or ():
                whole[name] = figures[name]
        self._file.write(cells.tobytes())
        self._known += len(figures)

    def __len__(self) -> int:
        return self._end - self._first

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            if key in BY_CELL:
                return self._cells(self._first, self._end)[key]
            return self._frames[key][self._first : self._end]
        if isinstance(key, slice):
            first, end, step = key.indices(len(self))
            if step != 1:
                return self[np.arange(first, end, step)]
            return self._part(self._first + first, self._first + max(end, first))
        if isinstance(key, int | np.integer):
            at = range(len(self))[int(key)]
            return self[np.array([at])][0]
        rows = np.asarray(key)
        if rows.dtype == np.bool_:
            return self._rows(self._first + np.flatnonzero(rows))
        if len(rows) and not (-len(self) <= int(rows.min()) and int(rows.max()) < len(self)):
            raise IndexError(f"there are {len(self)} frames, and one of those asked for is not among them")
        return self._rows(self._first + np.where(rows < 0, rows + len(self), rows))

    def _part(self, first: int, end: int) -> FilmFigures:
        part = copy(self)
        part._first, part._end = first, end
        return part

    def _rows(self, rows: NDArray[np.int64]) -> NDArray[np.void]:
        found = np.empty(len(rows), FIGURES)
        cells = np.empty(len(rows), _OF_CELLS)
        for places in _pieces(rows):
            wanted = rows[places]
            first = int(wanted.min())
            cells[places] = self._cells(first, int(wanted.max()) + 1)[wanted - first]
        frames = self._frames[rows]
        for part in (frames, cells):
            for name in part.dtype.names or ():
                found[name] = part[name]
        return found

    def _cells(self, first: int, end: int) -> NDArray[np.void]:
        self._file.seek(first * _OF_CELLS.itemsize)
        return np.frombuffer(self._file.read((end - first) * _OF_CELLS.itemsize), _OF_CELLS)


def _pieces(rows: NDArray[np.int64]) -> list[slice]:
    """Rows as few pieces, each of which lies near together."""
    if len(rows) == 0:
        return []
    if int(np.ptp(rows)) < NEAR * len(rows):
        return [slice(0, len(rows))]
    edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    return [slice(first, end) for first, end in itertools.pairwise(edges)]


Records = NDArray[np.void] | FilmFigures
"""``features.FIGURES``: of some frames as an array, of a film as ``FilmFigures``."""
