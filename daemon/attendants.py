"""What runs beside the pipeline and never holds it up: the board that ``status`` reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from daemon.board import Board
from daemon.config import Config
from daemon.logs import get
from daemon.news import News

log = get(__name__)


class Attendants:
    """Everyone that is told the news."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def tell(self, news: News) -> None:
        """Pass it on; an Observer."""
        self._board.tell(news)


@asynccontextmanager
async def attended(config: Config) -> AsyncIterator[Attendants]:
    """Attendants at work for as long as the context lasts; at its end each gets a short time to finish."""
    board = Board(config.database.path)
    tasks = [_start(board.run(), "board")]
    try:
        yield Attendants(board)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        board.take_down()


def _start(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[None]) -> None:
    """An attendant that dies is missed by nobody, so its death is said."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("attendant.crashed", task=task.get_name(), exc_info=error)
