"""Which frames to keep: pure functions, scores, verdicts and sketches in, picks and reasons out."""

from daemon.selection.best import Choice, choose, ranked
from daemon.selection.quality import Film
from daemon.selection.representative import AUTO_MOST, Terms, represent

__all__ = ["AUTO_MOST", "Choice", "Film", "Terms", "choose", "ranked", "represent"]
