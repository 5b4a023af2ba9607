"""The only structlog configuration: JSON lines for machines, colours for terminals.

Records of stdlib loggers (torch, pyiqa, PyAV, watchdog) go through the same renderer. In the journal
each line starts with its priority (``<4>``, sd-daemon(3)); journald takes that off again, so the
message of an entry is the JSON alone.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.errors import printable
from daemon.logs.writer import LogWriter, past_the_buffer

LINE_BYTES = 40_000
"""Longer lines are shortened: journald cuts at 48 KiB (LineMax=), and half a line is no JSON."""
_SHORT = 1000
FLUSH_SECONDS = 1.0
"""How long an end waits for the last lines: ample for a reader that reads."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Levels and syslog's priorities; below them all is 7, debug."""


def one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Paths with line breaks or undecodable bytes must not break a line-based log."""
    return {key: value if key == "exc_info" else _text(value) for key, value in event.items()}


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_text(item) for item in value]
    if type(value) is dict:
        return {key: _text(item) for key, item in value.items()}
    return value


def for_terminal(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Names are strangers' texts: what would move the cursor, colour or turn the line is shown as its code."""
    return {key: value if key == "exc_info" else _shown(value) for key, value in event.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        # Tracebacks have lines.
        return "\n".join(map(printable, value.split("\n")))
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if type(value) is dict:
        return {_shown(key): _shown(item) for key, item in value.items()}
    return value


def json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """An event as one line of ASCII, at most LINE_BYTES long.

    One that is longer loses the frames of its tracebacks and the ends of its texts, and says so with
    ``shortened``.
    """
    line = json.dumps(event, default=str)
    if len(line) <= LINE_BYTES:
        return line
    short = {key: value[:_SHORT] if isinstance(value, str) else value for key, value in event.items()}
    if isinstance(raised := event.get("exception"), list):
        short["exception"] = [
            {"exc_type": error["exc_type"], "exc_value": error["exc_value"][:_SHORT]} for error in raised[:3]
        ]
    line = json.dumps({**short, "shortened": True}, default=str)
    if len(line) <= LINE_BYTES:
        return line
    return json.dumps({**{k: v for k, v in short.items() if isinstance(v, str | int | float)}, "shortened": True})


def headed(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """When, how bad and what come first, for people who read the raw lines."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


class _Journal(structlog.stdlib.ProcessorFormatter):
    """Puts the priority before each line."""

    def format(self, record: logging.LogRecord) -> str:
        """Called by the handler."""
        priority = next((one for level, one in _PRIORITIES if record.levelno >= level), 7)
        return f"<{priority}>{super().format(record)}"


class _Handler(logging.Handler):
    """Renders a record where it is logged, and leaves the writing to a thread: nobody waits for the log's reader."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._encoding = stream.encoding
        self._writer = LogWriter(past_the_buffer(stream), _tell_dropped)

    def handle(self, record: logging.LogRecord) -> bool:
        """Without the handler's lock: a flush holds it, and what the writer has to tell meanwhile must get through."""
        if passed := bool(self.filter(record)):
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Called by ``handle``."""
        try:
            self._put(self.format(record))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 - as logging calls it
        """Say what is wrong with a record that cannot be rendered."""
        self._put(traceback.format_exc().rstrip())

    def flush(self) -> None:
        """Wait until all is written, FLUSH_SECONDS at most: its reader may be stuck."""
        self._writer.flush(FLUSH_SECONDS)

    def close(self) -> None:
        """Called by logging at the end, after ``flush``."""
        self._writer.close()
        super().close()

    def _put(self, line: str) -> None:
        self._writer.put(f"{line}\n".encode(self._encoding, "backslashreplace"))


def _tell_dropped(lines: int) -> None:
    # An error, so that it is told on every level: lines of every level are missing.
    get().error("log.dropped", lines=lines)


def in_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the stream leads straight to journald: JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    try:
        look = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{look.st_dev}:{look.st_ino}"


def configure(
    log_format: Literal["auto", "json", "console"],
    level: str,
    stream: TextIO | None = None,
) -> bool:
    """Send structlog and stdlib logging to ``stream`` (standard error unless given); whether it is JSON.

    ``auto`` is ``console`` when the stream is a terminal and ``json`` otherwise.
    """
    out = stream if stream is not None else sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        one_line,
    ]
    tail: list[Processor] = (
        [for_terminal, structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
            ),
            one_line,
            headed,
            json_line,
        ]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(out)
    formatter = _Journal if in_journal(out) else structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    root = logging.getLogger()
    for former in root.handlers:
        if isinstance(former, _Handler):
            former.close()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _calm_libraries(level)
    adopt("torch")
    return not console


def set_level(level: str) -> None:
    """Change the level of what ``configure`` has set up."""
    logging.getLogger().setLevel(level.upper())
    _calm_libraries(level)


def flush() -> None:
    """Wait for the lines that are not written yet, within reason; for those who end the process the hard way."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def adopt(library: str) -> None:
    """Send a library's records through our renderer although it installed handlers of its own.

    torch does so when it is imported, so this is called again after that.
    """
    logger = logging.getLogger(library)
    logger.handlers.clear()
    logger.propagate = True


def _calm_libraries(level: str) -> None:
    """Libraries speak from warning upwards; decoders' complaints are counted elsewhere."""
    floor = logging.DEBUG if level == "debug" else logging.WARNING
    for name in (
        "watchdog",
        "PIL",
        "matplotlib",
        "timm",
        "numba",
        "asyncio",
        "aiosqlite",
        "pyiqa",
        "huggingface_hub",
    ):
        logging.getLogger(name).setLevel(floor)
    logging.captureWarnings(True)


def get(name: str = "stillwatch") -> Any:
    """A logger for one module; its methods take an event name and keyword facts."""
    return structlog.stdlib.get_logger(name)


class _Prints(io.TextIOBase):
    """Stands in for a standard stream: each line that is printed becomes a record."""

    encoding = "utf-8"

    def __init__(self, name: str, level: int) -> None:
        self._logger = logging.getLogger(name)
        self._level = level
        self._begun = threading.local()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that are complete, keep the rest for the next write of the same thread."""
        *lines, self._begun.text = (getattr(self._begun, "text", "") + text).split("\n")
        for line in lines:
            if line.strip():
                self._logger.log(self._level, line.strip("\r"))
        return len(text)


@contextmanager
def captured_prints(*, errors: bool = False) -> Iterator[None]:
    """Standard output belongs to the command; what libraries print there meanwhile becomes records.

    Prints are chatter (``debug``, logger ``stdout``); what C code writes to descriptor 1 comes out on
    standard error. With ``errors`` the same is done to ``sys.stderr`` (``warning``, logger
    ``stderr``), and a thread that dies of an exception becomes the event ``thread.crashed``. Without it
    the log is written before what the command prints next, on the same terminal.
    """
    before = sys.stdout, sys.stderr, threading.excepthook
    sys.stdout.flush()
    descriptor = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = _Prints("stdout", logging.DEBUG)
    if errors:
        sys.stderr = _Prints("stderr", logging.WARNING)
        threading.excepthook = _thread_crashed
    try:
        yield
    finally:
        sys.stdout, sys.stderr, threading.excepthook = before
        os.dup2(descriptor, 1)
        os.close(descriptor)
        if not errors:
            flush()


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    name = crash.thread.name if crash.thread is not None else ""
    error = crash.exc_value if crash.exc_value is not None else crash.exc_type()
    get().error("thread.crashed", thread=name, exc_info=error)
