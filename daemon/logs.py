"""The only structlog configuration: JSON lines for machines, colours for terminals.

Records of stdlib loggers (torch, pyiqa, PyAV, watchdog) go through the same renderer.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


def one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Paths with line breaks or undecodable bytes must not break a line-based log."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return event


def headed(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """When, how bad and what come first, for people who read the raw lines."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def configure(
    log_format: Literal["auto", "json", "console"],
    level: str,
    stream: TextIO | None = None,
) -> None:
    """Send structlog and stdlib logging to ``stream`` (standard error unless given).

    ``auto`` is ``console`` when the stream is a terminal and ``json`` otherwise.
    """
    out = stream if stream is not None else sys.stderr
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        one_line,
    ]
    tail: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
            ),
            headed,
            structlog.processors.JSONRenderer(sort_keys=False, ensure_ascii=True),
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
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    _calm_libraries(level)
    adopt("torch")


def set_level(level: str) -> None:
    """Change the level of what ``configure`` has set up."""
    logging.getLogger().setLevel(level.upper())
    _calm_libraries(level)


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
