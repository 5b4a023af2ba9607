"""FFmpeg's lines about a damaged film: as many as the file gives are counted, and next to nothing is kept."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import av.logging
import pytest

from daemon.decode.damage import ERRORS, LINE_KEPT, DecodeReport, ErrorLines
from daemon.decode.info_lines import info_lines


def test_of_any_number_of_lines_the_first_is_kept_and_no_more_of_it_than_a_line() -> None:
    with ERRORS.watching(any_thread=False) as lines:
        tracemalloc.start()
        for number in range(20_000):
            # Other handlers of the logger may keep what they get.
            ERRORS.emit(logging.LogRecord("libav", logging.ERROR, "", 0, "%06d %s", (number, "x" * 2000), None))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert lines.count == 20_000
    first = lines.take()
    assert first is not None
    assert (first[:8], len(first)) == ("000000 x", LINE_KEPT)
    assert lines.take() is None
    assert most < 1_000_000


def test_of_any_number_of_signs_of_damage_the_first_is_kept() -> None:
    report = DecodeReport()
    tracemalloc.start()
    for number in range(20_000):
        report.note(f"{number} " + "x" * 400)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.errors == 20_000
    assert str(report.first_error).startswith("0 x")
    assert most < 1_000_000


@pytest.fixture
def unset_level() -> Iterator[None]:
    """FFmpeg's log as it is in a new process; afterwards as it was."""
    level, handlers = av.logging.get_level(), list(logging.getLogger("libav").handlers)
    av.logging.set_level(None)
    yield
    av.logging.set_level(level)
    logging.getLogger("libav").handlers[:] = handlers


def test_lines_of_errors_are_heard_though_others_are_asked_for_while_the_first_decode_begins(unset_level: None) -> None:
    def first_decode() -> None:
        with ErrorLines().watching(any_thread=False):
            pass

    with ThreadPoolExecutor(1) as threads:
        with info_lines():
            begun = threads.submit(first_decode)
            # It either waits, or is done at once.
            wait([begun], timeout=0.2)
        begun.result(10)
    assert av.logging.get_level() == av.logging.ERROR
