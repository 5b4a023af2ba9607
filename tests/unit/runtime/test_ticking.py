"""What is done again and again beside other work ends with that work."""

from __future__ import annotations

import threading

import pytest

from daemon.runtime.ticking import ticking

PATIENCE_SECONDS = 30.0


def test_it_is_done_again_and_again_in_a_thread_of_that_name_until_the_block_ends() -> None:
    names: list[str] = []
    often = threading.Event()

    def work() -> None:
        names.append(threading.current_thread().name)
        if len(names) == 3:
            often.set()

    with ticking(0.001, work, "clock"):
        assert often.wait(PATIENCE_SECONDS)
    done = len(names)
    assert set(names) == {"clock"}
    assert "clock" not in [thread.name for thread in threading.enumerate()]
    assert len(names) == done


def test_a_block_that_fails_ends_it_too() -> None:
    with pytest.raises(KeyError), ticking(0.001, lambda: None, "clock"):
        raise KeyError
    assert "clock" not in [thread.name for thread in threading.enumerate()]


def test_a_long_pause_holds_nobody_up_at_the_end() -> None:
    with ticking(3600.0, lambda: None, "clock"):
        pass
