"""FFmpeg's lines about a damaged film: as many as the file gives are counted, and next to nothing is kept."""

from __future__ import annotations

import logging
import tracemalloc

from daemon.decode.damage import ERRORS, LINE_KEPT, DecodeReport


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
