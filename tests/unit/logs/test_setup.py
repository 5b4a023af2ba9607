"""One event, one line: JSON for machines, readable in a terminal, whatever a path contains."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from daemon.logs import setup
from tests.events import check_line

NASTY = '/in/two\nlines\r\u2028 "quoted" caf\udce9 \x1b[31m🎬.mp4'


class Stream(io.TextIOWrapper):
    """A log file in memory: UTF-8."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self._terminal = terminal
        self._file = os.memfd_create("log")
        weakref.finalize(self, os.close, self._file)

    def fileno(self) -> int:
        return self._file

    def isatty(self) -> bool:
        return self._terminal

    @property
    def text(self) -> str:
        setup.flush()
        return os.pread(self._file, 1 << 20, 0).decode("utf-8")

    @property
    def events(self) -> list[dict[str, Any]]:
        assert self.text.endswith("\n")
        return [json.loads(line) for line in self.text.removesuffix("\n").split("\n")]


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Logging is global: put it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    calmed = ("watchdog", "PIL", "matplotlib", "timm", "numba", "asyncio", "aiosqlite", "pyiqa", "huggingface_hub")
    levels = {name: logging.getLogger(name).level for name in calmed}

    yield
    logging.captureWarnings(False)
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def test_an_event_is_one_json_object_with_its_name_level_time_and_facts(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    setup.get("daemon.pipeline.score_video").info("video.queued", video="/in/a.mp4", video_id=3, size_bytes=10)
    (event,) = stream.events
    assert event["timestamp"].endswith("Z")
    del event["timestamp"]
    assert event == {"event": "video.queued", "level": "info", "video": "/in/a.mp4", "video_id": 3, "size_bytes": 10}


def test_facts_bound_once_are_in_every_event(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    bound = setup.get().bind(video="/in/a.mp4", video_id=3)
    bound.info("video.started")
    bound.warning("export.fallback", to="single")
    assert [(one["video_id"], one["level"]) for one in stream.events] == [(3, "info"), (3, "warning")]


def test_a_loggers_name_does_not_matter_to_where_it_writes(stream: Stream) -> None:
    early = setup.get("made.before.configuring")
    setup.configure("json", "info", stream)
    early.info("service.ready")
    assert stream.events[0]["event"] == "service.ready"


@pytest.mark.parametrize("key", ["video", "path", "error"])
def test_a_nasty_path_is_one_json_line_and_reads_back(stream: Stream, key: str) -> None:
    setup.configure("json", "info", stream)
    setup.get().info("video.queued", **{key: NASTY})
    assert stream.text.count("\n") == 1
    assert stream.text.isascii()
    assert stream.events[0][key] == NASTY.replace("\udce9", "\\udce9")


def test_undecodable_bytes_inside_a_list_do_not_break_the_line(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    setup.get().info("service.late", paths=[NASTY])
    assert len(stream.events) == 1


def test_facts_that_json_does_not_know_are_written_as_text(stream: Stream, tmp_path: Any) -> None:
    setup.configure("json", "info", stream)
    setup.get().info("video.queued", video=tmp_path)
    assert str(tmp_path) in stream.events[0]["video"]


def test_a_traceback_is_structured_and_on_the_same_line(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    try:
        raise ValueError(f"no such file: {NASTY}")
    except ValueError:
        setup.get().exception("video.crashed", video=NASTY)
    (event,) = stream.events
    assert event["event"] == "video.crashed"
    (raised,) = event["exception"]
    assert raised["exc_type"] == "ValueError"
    assert raised["frames"][-1]["name"] == "test_a_traceback_is_structured_and_on_the_same_line"


def test_the_cause_of_an_error_is_in_its_traceback(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    try:
        try:
            raise OSError("the share is gone")
        except OSError as cause:
            raise ValueError("cannot be read") from cause
    except ValueError:
        setup.get().exception("video.crashed")
    assert [one["exc_type"] for one in stream.events[0]["exception"]] == ["ValueError", "OSError"]


def test_records_of_libraries_go_through_the_same_renderer(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    logging.getLogger("torch.cuda").warning("two\nlines about %s", NASTY)
    (event,) = stream.events
    assert event["level"] == "warning"
    assert event["logger"] == "torch.cuda"
    assert event["event"].startswith("two\nlines about /in/two\nlines")


def test_a_librarys_traceback_is_structured_too(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    try:
        raise RuntimeError("CUDA error")
    except RuntimeError:
        logging.getLogger("torch").exception("it failed")
    assert stream.events[0]["exception"][0]["exc_type"] == "RuntimeError"


def test_python_warnings_become_events(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # Entering the context put the original function back over the one that logs.
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("an old spelling", stacklevel=1)
        logging.captureWarnings(False)
    (event,) = stream.events
    assert event["logger"] == "py.warnings"
    assert "an old spelling" in event["event"]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_only_the_configured_level_and_above_is_shown(stream: Stream, level: str, shown: list[str]) -> None:
    setup.configure("json", level, stream)
    for one in ("debug", "info", "warning", "error"):
        getattr(setup.get(), one)("event")
    assert [event["level"] for event in stream.events] == shown


def test_chatty_libraries_speak_from_warning_upwards(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    logging.getLogger("watchdog.observers").info("an event")
    logging.getLogger("watchdog.observers").warning("an overflow")
    assert [event["event"] for event in stream.events] == ["an overflow"]


def test_debug_lets_the_libraries_speak(stream: Stream) -> None:
    setup.configure("json", "debug", stream)
    logging.getLogger("watchdog.observers").debug("an event")
    assert [event["event"] for event in stream.events] == ["an event"]


def test_a_record_that_cannot_be_rendered_is_said_and_ends_nothing(stream: Stream) -> None:
    setup.configure("console", "info", stream)
    logging.getLogger("torch").warning("%d frames", "many")
    setup.get().info("service.ready")
    assert "TypeError: %d format" in stream.text
    assert "service.ready" in stream.text.splitlines()[-1]


def test_configuring_again_replaces_the_first_stream(stream: Stream) -> None:
    first = Stream()
    setup.configure("json", "info", first)
    setup.configure("json", "info", stream)
    setup.get().info("service.ready")
    assert first.text == ""
    assert len(stream.events) == 1


def test_the_console_format_says_the_same_for_people(stream: Stream) -> None:
    setup.configure("console", "info", stream)
    setup.get().info("video.queued", video="/in/a.mp4", video_id=3)
    assert stream.text.count("\n") == 1
    assert "video.queued" in stream.text
    assert "video=/in/a.mp4" in stream.text
    assert "video_id=3" in stream.text


def test_the_console_keeps_a_nasty_path_on_one_line_and_harmless(stream: Stream) -> None:
    setup.configure("console", "info", stream)
    setup.get().info("video.queued", video=NASTY)
    assert stream.text.count("\n") == 1
    assert "\r" not in stream.text
    assert "\x1b" not in stream.text


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\x85", "\u202e", "\u2066", "\u2028", "\x07", "\x08"])
def test_the_console_shows_what_a_terminal_would_obey(character: str, stream: Stream) -> None:
    setup.configure("console", "info", stream)
    setup.get().info("video.queued", video=f"/in/a{character}b.mp4", videos=[f"c{character}d"])
    assert character not in stream.text
    assert f"a\\x{ord(character):02x}b" in stream.text
    assert f"c\\x{ord(character):02x}d" in stream.text.replace("\\\\", "\\")


def test_the_console_survives_a_traceback_with_undecodable_bytes() -> None:
    stream = Stream()
    setup.configure("console", "info", stream)
    try:
        raise ValueError(f"cannot be read: {NASTY}")
    except ValueError:
        setup.get().exception("video.crashed")
    assert "video.crashed" in stream.text


@pytest.mark.parametrize(("terminal", "first"), [(True, "\x1b"), (False, "{")])
def test_auto_is_console_with_colours_in_a_terminal_and_json_elsewhere(terminal: bool, first: str) -> None:
    stream = Stream(terminal=terminal)
    setup.configure("auto", "info", stream)
    setup.get().info("service.ready")
    assert stream.text.startswith(first)


@pytest.mark.parametrize(("chosen", "first"), [("json", "{"), ("console", "\x1b")])
def test_a_chosen_format_wins_over_the_terminal(chosen: Literal["json", "console"], first: str) -> None:
    stream = Stream(terminal=True)
    setup.configure(chosen, "info", stream)
    setup.get().info("service.ready")
    assert stream.text.startswith(first)


def test_without_a_stream_it_is_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    setup.configure("json", "info")
    setup.get().info("service.ready")
    setup.flush()
    captured = capfd.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "service.ready"


# A reader that is stuck


@pytest.mark.timeout(60)
@pytest.mark.parametrize("level", ["info", "error"])
def test_a_log_that_nobody_reads_holds_up_nobody_and_says_later_what_is_missing(level: str) -> None:
    reading, writing = os.pipe()
    count = 300
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        setup.configure("json", level, stream)
        for number in range(count):
            setup.get().error("video.failed", video="x" * 30_000, video_id=number, error_kind="decode", error="")
        # As logging does at the end of the process, while it flushes.
        (handler,) = logging.getLogger().handlers
        handler.acquire()
        events = [check_line(reader.readline())]
        while events[-1]["event"] != "log.dropped":
            events.append(check_line(reader.readline()))
        handler.release()
        setup.get().error("service.crashed", error="")
        events.append(check_line(reader.readline()))
    *written, dropped, after = events
    assert [event["video_id"] for event in written] == list(range(len(written)))
    assert (dropped["lines"], dropped["level"]) == (count - len(written), "error")
    assert after["event"] == "service.crashed"


@pytest.mark.timeout(60)
def test_an_end_does_not_wait_forever_for_the_last_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "FLUSH_SECONDS", 0.01)
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading) as reader:
        setup.configure("json", "info", stream)
        for _ in range(10):
            setup.get().info("source.waiting", reason="x" * 30_000)
        setup.flush()
        assert [check_line(reader.readline())["event"] for _ in range(10)] == ["source.waiting"] * 10


# The journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[io.TextIOWrapper]:
    with (tmp_path / "journal").open("w+", encoding="utf-8") as file:
        yield file


def test_in_the_journal_each_line_starts_with_its_priority(
    journal: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = os.fstat(journal.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{look.st_dev}:{look.st_ino}")
    assert setup.configure("auto", "debug", journal)
    logger = setup.get()
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger, level)("service.ready")
    setup.flush()
    journal.seek(0)
    lines = journal.read().splitlines()
    assert [line[:3] for line in lines] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert [json.loads(line[3:])["event"] for line in lines] == ["service.ready"] * 5


@pytest.mark.parametrize("stream_name", ["", "1:2", "nonsense"])
def test_elsewhere_there_is_no_prefix(
    journal: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch, stream_name: str
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream_name)
    setup.configure("auto", "info", journal)
    setup.get().warning("service.ready")
    setup.flush()
    journal.seek(0)
    assert journal.read().startswith("{")


def test_a_stream_without_a_descriptor_is_not_the_journal() -> None:
    assert not setup.in_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


def test_a_line_that_the_journal_would_cut_is_shortened_and_says_so(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    try:
        raise ValueError("x" * 100_000)
    except ValueError:
        setup.get().exception("video.crashed", video="/in/a.mp4", video_id=3, error="é" * 20_000)
    (event,) = stream.events
    assert len(stream.text) <= setup.LINE_BYTES
    assert (event["event"], event["video_id"], event["shortened"]) == ("video.crashed", 3, True)
    assert event["exception"] == [{"exc_type": "ValueError", "exc_value": "x" * 1000}]


def test_a_list_without_end_is_left_out_of_a_line_that_is_too_long(stream: Stream) -> None:
    setup.configure("json", "info", stream)
    setup.get().info("service.late", tasks=["task"] * 20_000, seconds=8.0)
    (event,) = stream.events
    assert (event["seconds"], event["shortened"]) == (8.0, True)
    assert "tasks" not in event


# Prints


def test_prints_of_libraries_become_records_and_standard_output_stays_empty(
    stream: Stream, capfd: pytest.CaptureFixture[str]
) -> None:
    setup.configure("json", "debug", stream)
    with setup.captured_prints(errors=True):
        print("Loading pretrained model\n\nfrom", "/weights")
        print("half a line", end="")
        sys.stderr.write("50%\r\n")
        os.write(1, b"from C\n")
    print("the command's own")
    assert [(event["logger"], event["level"], event["event"]) for event in stream.events] == [
        ("stdout", "debug", "Loading pretrained model"),
        ("stdout", "debug", "from /weights"),
        ("stderr", "warning", "50%"),
    ]
    captured = capfd.readouterr()
    assert captured.out == "the command's own\n"
    assert captured.err == "from C\n"


def test_the_log_comes_before_what_a_command_prints_next(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    flush = setup.flush

    class Terminal(Stream):
        """So slow that it writes only once somebody waits for it."""

        def fileno(self) -> int:
            if threading.current_thread().name == "log":
                asked.wait()
            return super().fileno()

    def waiting() -> None:
        asked.set()
        flush()

    monkeypatch.setattr(setup, "flush", waiting)
    terminal = Terminal()
    setup.configure("json", "info", terminal)
    with setup.captured_prints():
        setup.get().info("service.stopped")
    written = os.fstat(terminal.fileno()).st_size
    asked.set()
    assert written > 0


def test_lines_of_two_threads_do_not_mix(stream: Stream) -> None:
    setup.configure("json", "debug", stream)
    with setup.captured_prints():
        print("one ", end="")
        other = threading.Thread(target=print, args=("two",))
        other.start()
        other.join()
        print("half")
    assert [event["event"] for event in stream.events] == ["two", "one half"]


def test_a_thread_that_dies_is_an_event_with_its_traceback(stream: Stream) -> None:
    setup.configure("json", "info", stream)

    def die() -> None:
        raise ValueError("broken")

    with setup.captured_prints(errors=True):
        thread = threading.Thread(target=die, name="decode-3")
        thread.start()
        thread.join()
    (event,) = stream.events
    assert (event["event"], event["level"], event["thread"]) == ("thread.crashed", "error", "decode-3")
    assert event["exception"][0]["exc_value"] == "broken"
