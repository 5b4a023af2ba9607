"""Which settings a running daemon takes over, and which wait for a new start."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.config import Config
from daemon.reload import LIVE, reload


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
