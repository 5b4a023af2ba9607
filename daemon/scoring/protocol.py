"""What every scorer offers to the pipeline, whatever computes the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from daemon.media.scorable import Scorable
from daemon.model import Outcome

PendingResult = Callable[[], list[Outcome]]
"""What ``Scorer.submit`` gives: call it once, on the scorer's thread, for the outcomes."""


class Scorer(Protocol):
    """Gives every picture the number of one metric. Used from one thread only.

    ``identity`` names everything that changes a number: scores with different identities are never ranked
    together. ``lower_better`` is the metric's direction, ``device`` where it runs (``cpu``, ``cuda:0``).
    """

    @property
    def identity(self) -> str:
        """Metric, implementation, weights, scoring size and precision in one stable, readable line."""

    @property
    def metric(self) -> str:
        """The metric's name, as in the configuration."""

    @property
    def lower_better(self) -> bool:
        """True when a lower score is a better picture."""

    @property
    def device(self) -> str:
        """Where it runs: ``cpu`` or ``cuda:N``."""

    @property
    def gray_from(self) -> int | None:
        """The least side in pixels from which on it takes ``GrayPicture`` too; None where it needs RGB."""

    def batch_size(self, height: int, width: int, itemsize: int) -> int:
        """Pictures to pass to the next ``score``, at least 1: what memory, time and the settings allow.

        ``height`` and ``width`` in pixels, ``itemsize`` in bytes per sample (1 or 2).
        """

    def submit(self, pictures: Sequence[Scorable]) -> PendingResult:
        """Start what the device can do by itself and return at once; the result waits for the outcomes.

        Submit the next pictures before asking for the result, and a GPU copies them while it computes. On a CPU
        nothing is done before it is asked for, and ``pictures`` stay as they are until then. Errors are
        those of ``score``, here or from the result. A result that is never asked for does no harm.
        """

    def score(self, pictures: Sequence[Scorable]) -> list[Outcome]:
        """``submit`` and its result at once: one outcome per picture, in their order.

        Sizes and depths may be mixed. Pictures are RGB, ``(height, width, 3)``, uint8 or uint16, or gray. A picture
        that cannot be scored gets None and a note (``flat``, ``nan``, ``error: …``). Raises VideoError when a single
        picture does not fit into memory, and ScorerError when the metric or the device has stopped working.
        """

    def close(self) -> None:
        """Free the model and the buffers; a second call does nothing."""
