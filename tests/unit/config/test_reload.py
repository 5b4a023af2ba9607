"""Which settings a running daemon takes over, and which wait for a new start."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from daemon.config.reload import LIVE, reload
from daemon.config.schema import Config
from daemon.errors import ConfigError
from daemon.service.signals import reload_on_hangup


def wanted(**sections: dict[str, Any]) -> Config:
    return Config.model_validate(sections)


def test_what_can_change_is_taken_and_the_rest_is_named() -> None:
    found = reload(Config(), wanted(select={"count": 3}, decode={"concurrency": 4}, log={"level": "debug"}))
    assert (found.taken, found.refused) == (("select.count", "log.level"), ("decode.concurrency",))
    assert (found.config.select.count, found.config.log.level) == (3, "debug")
    assert found.config.decode.concurrency == Config().decode.concurrency


def test_nothing_changed_is_nothing_taken() -> None:
    found = reload(Config(), Config())
    assert (found.config, found.taken, found.refused) == (Config(), (), ())


def test_a_second_reload_still_names_what_waits() -> None:
    first = reload(Config(), wanted(score={"metric": "piqe"}, select={"count": 3}))
    second = reload(first.config, wanted(score={"metric": "piqe"}, select={"count": 3}))
    assert (second.taken, second.refused) == ((), ("score.metric",))


@pytest.mark.parametrize("name", LIVE)
def test_every_live_key_is_a_setting(name: str) -> None:
    section, _, key = name.partition(".")
    assert section in Config.model_fields
    if key:
        assert key in type(getattr(Config(), section)).model_fields


# The signal


class Running:
    """Takes over configurations as the workers do."""

    def __init__(self) -> None:
        self.config = Config()

    def reconfigure(self, config: Config) -> None:
        self.config = config


@pytest.fixture(autouse=True)
def hangups() -> Iterator[list[int]]:
    """Those that nobody else takes: they would end the tests."""
    heard: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGHUP, before)


async def hang_up(answer: Callable[[], Config], workers: Running) -> list[Any]:
    """Send HUP; what the daemon then says."""
    read = asyncio.Event()

    def read_config() -> Config:
        read.set()
        return answer()

    with (
        structlog.testing.capture_logs() as events,
        reload_on_hangup(workers.config, read_config, workers.reconfigure),
    ):
        os.kill(os.getpid(), signal.SIGHUP)
        await read.wait()
    return events


def fails(error: Exception) -> Callable[[], Config]:
    def answer() -> Config:
        raise error

    return answer


async def test_hup_takes_over_the_configuration_as_it_is_now(hangups: list[int]) -> None:
    workers = Running()
    (event,) = await hang_up(lambda: wanted(select={"count": 3}), workers)
    assert (event["event"], event["changed"]) == ("service.reloaded", ["select.count"])
    assert workers.config.select.count == 3
    assert hangups == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConfigError("select.count = 0: too few"), "select.count = 0: too few"),
        (RecursionError("too deep"), "the configuration cannot be read: RecursionError: too deep"),
        (PermissionError(13, "no"), "the configuration cannot be read: PermissionError: [Errno 13] no"),
    ],
)
async def test_whatever_is_wrong_with_the_configuration_the_old_one_stays(error: Exception, sentence: str) -> None:
    workers = Running()
    (event,) = await hang_up(fails(error), workers)
    assert (event["event"], event["error"]) == ("service.reload_failed", sentence)
    assert event.get("exc_info", False) is not isinstance(error, ConfigError)
    assert workers.config == Config()


async def test_before_and_after_hup_is_somebody_elses(hangups: list[int]) -> None:
    await hang_up(Config, Running())
    os.kill(os.getpid(), signal.SIGHUP)
    assert hangups == [signal.SIGHUP]
