"""The database, one part for each table or use; nothing outside this folder knows SQL.

Scores are committed in groups; every other write commits at once, together with the scores before it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import aiosqlite

from daemon.runtime.clock import utc_now
from daemon.store.analysis import Analysis
from daemon.store.connection import Connection
from daemon.store.decisions import Decisions
from daemon.store.frames import Frames, ScoreTable
from daemon.store.migrate import SCHEMA_VERSION
from daemon.store.queries import Queries
from daemon.store.queue import LONGEST_RETRY_SECONDS, Queue
from daemon.store.review import Review
from daemon.store.room import Room
from daemon.store.scores import Scores
from daemon.store.selections import PastSelection, Selections
from daemon.store.sources import Sources
from daemon.store.strips import Strips
from daemon.store.videos import Videos

__all__ = ["LONGEST_RETRY_SECONDS", "SCHEMA_VERSION", "PastSelection", "ScoreTable", "Store"]


class Store(Connection):
    """An open database and its parts. Made by ``open``; must be closed."""

    def __init__(
        self, connection: aiosqlite.Connection, path: Path, commit_seconds: float, clock: Callable[[], str] = utc_now
    ) -> None:
        super().__init__(connection, path, commit_seconds, clock)
        self.videos = Videos(self)
        self.queue = Queue(self)
        self.frames = Frames(self)
        self.scores = Scores(self)
        self.analysis = Analysis(self)
        self.selections = Selections(self)
        self.sources = Sources(self)
        self.queries = Queries(self)
        self.review = Review(self)
        self.strips = Strips(self)
        self.decisions = Decisions(self)
        self.room = Room(self, path)
