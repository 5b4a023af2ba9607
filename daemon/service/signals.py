"""The signals of the process: INT and TERM stop it, HUP reads the configuration again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from daemon.config.reload import reload
from daemon.config.schema import Config
from daemon.config.service import ServiceConfig
from daemon.errors import StillwatchError
from daemon.logs import setup
from daemon.logs.setup import get
from daemon.runtime import systemd
from daemon.runtime.deadline import GRACE_SECONDS, Deadline

log = get(__name__)


class Stop:
    """INT and TERM: the first asks for an orderly stop within a deadline, the second forces it."""

    def __init__(self, config: ServiceConfig) -> None:
        self.asked = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(config.stop_seconds + GRACE_SECONDS, code=0)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._signalled, number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)
        self._deadline.cancel()

    def _signalled(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            # Committed scores are safe: this is what kill -9 would do, and that loses nothing.
            setup.flush()
            os._exit(128 + number)
        log.info("service.stopping", signal=signal.Signals(number).name)
        systemd.tell("STOPPING=1", "STATUS=stopping")
        self._deadline.start()
        self.asked.set()


@contextmanager
def reload_on_hangup(
    config: Config, read_config: Callable[[], Config] | None, reconfigure: Callable[[Config], None]
) -> Iterator[None]:
    """Reload on HUP while the block runs: what can change is handed to ``reconfigure``.

    ``config`` is what the process runs with; whatever is wrong with the new configuration, the old one stays. Without
    ``read_config`` the signal is ignored.
    """
    current = config

    def signalled() -> None:
        nonlocal current
        if read_config is None:
            return
        try:
            reloaded = reload(current, read_config())
        except StillwatchError as error:
            log.error("service.reload_failed", error=error.sentence)
            return
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            log.exception("service.reload_failed", error=f"the configuration cannot be read: {cause}")
            return
        current = reloaded.config
        reconfigure(current)
        setup.set_level(current.log.level)
        log.info("service.reloaded", changed=list(reloaded.taken), needs_restart=list(reloaded.refused))

    loop = asyncio.get_running_loop()
    # Not the loop's own handlers: taking one away leaves a moment in which the signal kills.
    before = signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(signalled))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
