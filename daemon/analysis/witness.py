"""By which figures a frame was judged: what ``gates`` compare, told for one frame while they judge.

The gates stay as they are: beside each comparison they say what is compared, and nobody listens but a ``Witness``
of one frame. So what a person is told is what decided, and not a second calculation of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.model import Shot, ShotKind

Values = NDArray[Any] | float
"""By frame of what is being judged, or the same for all of it."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that a frame was judged by: it speaks against the frame ``below`` (else above) its limit.

    ``reference`` is what comparable frames have, from which the limit follows; None where the limit is a setting.
    """

    name: str
    value: float
    limit: float
    below: bool
    reference: float | None = None

    @property
    def against(self) -> bool:
        """Whether it speaks against the frame."""
        return self.value < self.limit if self.below else self.value > self.limit


@dataclass(frozen=True, slots=True)
class Heard:
    """What one gate said of the frame, by which figures, and the frames that it was compared with (row numbers)."""

    word: str
    refused: bool
    figures: tuple[Figure, ...]
    comparable: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


class Witness:
    """Listens to how the frame in row ``row`` is judged; with None it hears nothing, and costs nothing."""

    def __init__(self, row: int | None = None) -> None:
        self._row = row
        self._at = row
        self._figures: list[Figure] = []
        self.heard: list[Heard] = []

    @property
    def row(self) -> int | None:
        """The row that it listens for."""
        return self._row

    @property
    def at(self) -> int | None:
        """Where the frame is in what is judged now; None where it is not in it."""
        return self._at

    def within(self, places: NDArray[np.int64] | None) -> bool:
        """From now on the rows ``places`` alone are judged (None: all of them); whether the frame is one of them."""
        if places is None or self._row is None:
            self._at = self._row
        else:
            found = np.flatnonzero(places == self._row)
            self._at = int(found[0]) if len(found) else None
        return self._at is not None

    def figure(
        self, name: str, value: Values, limit: Values, *, below: bool = False, reference: Values | None = None
    ) -> None:
        """What is compared next; arrays are by frame of what is judged now."""
        if self._at is None:
            return
        told = None if reference is None else self._of(reference)
        self._figures.append(
            Figure(name, self._of(value), self._of(limit), below, told if told is None or np.isfinite(told) else None)
        )

    def gate(self, word: str, mask: NDArray[np.bool_], comparable: NDArray[np.int64] | None = None) -> None:
        """A gate has spoken: the frames that it refuses, and the rows that the frame was compared with."""
        figures, self._figures = tuple(self._figures), []
        if self._at is not None and (figures or mask[self._at]):
            rows = np.zeros(0, np.int64) if comparable is None else comparable[comparable != self._row]
            self.heard.append(Heard(word, bool(mask[self._at]), figures, rows))

    def _of(self, values: Values) -> float:
        return float(values[self._at]) if isinstance(values, np.ndarray) and values.ndim else float(values)


NOBODY = Witness()
"""Whom nobody asked."""


def away(shots: Sequence[Shot], row: int, count: int) -> tuple[str, int]:
    """What ends the shot that a row is in, the nearer of its two ends, and how many frames away; 0 inside of it."""
    for number, shot in enumerate(shots):
        if not shot.first <= row <= shot.last:
            continue
        if shot.kind is not ShotKind.SHOT:
            return shot.kind.value, 0
        ends = []
        if shot.first > 0:
            ends.append((row - shot.first + 1, number - 1))
        if shot.last < count - 1:
            ends.append((shot.last - row + 1, number + 1))
        if not ends:
            break
        frames, other = min(ends)
        kind = shots[other].kind if 0 <= other < len(shots) else ShotKind.CUT
        return ("cut" if kind is ShotKind.SHOT else kind.value), frames
    return "cut", count
