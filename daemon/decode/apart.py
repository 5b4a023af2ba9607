"""A film is opened first in a process of its own that has limits and can be ended; only what passes is decoded here."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from daemon.config.score import DecodeConfig
from daemon.errors import Kind, VideoError
from daemon.media.info_text import info_of
from daemon.media.rules import PICTURE_RULES
from daemon.model import VideoInfo
from daemon.runtime.cell import CellEnded, Cells
from daemon.runtime.stall import stuck

CELLS = Cells("daemon.decode.probe_cell")
"""Started when the first film is opened, and kept."""
_ENDED_BY_OTHERS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def warm(config: DecodeConfig) -> None:
    """Have a process ready, so that the first film does not wait for it. Raises VideoError."""
    try:
        CELLS.warm(_greeting(config))
    except (OSError, CellEnded) as error:
        raise _none_starts(error) from error


def probe_apart(
    path: Path, config: DecodeConfig, rules: int = PICTURE_RULES, *, stuck_seconds: float = 300.0
) -> VideoInfo:
    """As ``probe``, in a process of its own.

    Raises VideoError: what ``probe`` raises, and TOO_LARGE where opening passes ``decode.open_memory_bytes`` or
    ``decode.open_cpu_seconds``, DECODE where it crashes, STUCK where it gives nothing, OUT_OF_MEMORY where the process
    is ended from outside or none can be started.
    """
    if "\0" in str(path):
        raise VideoError(Kind.UNSAFE_NAME, "the name holds a NUL byte: rename the file")
    path = Path(os.path.abspath(path))
    request = {"path": os.fsencode(path).hex(), "config": config.model_dump(mode="json"), "rules": rules}
    try:
        answer = CELLS.ask(_greeting(config), request, stuck_seconds)
    except OSError as error:
        raise _none_starts(error) from error
    except CellEnded as ended:
        raise _in_words(ended, config) from None
    if "kind" in answer:
        raise VideoError(Kind(answer["kind"]), str(answer["sentence"]))
    try:
        info = info_of(answer["info"], path)
    except (KeyError, TypeError, ValueError) as error:
        raise _in_words(CellEnded(), config) from error
    assert info is not None
    return info


def _greeting(config: DecodeConfig) -> dict[str, float]:
    return {"memory_bytes": config.open_memory_bytes, "cpu_seconds": config.open_cpu_seconds}


def _none_starts(error: Exception) -> VideoError:
    return none_starts("opens films", error)


def none_starts(what_it_does: str, error: Exception) -> VideoError:
    """The error where there is no process for it."""
    return VideoError(
        Kind.OUT_OF_MEMORY, f"the process that {what_it_does} does not start ({error}): free memory or processes"
    )


def _in_words(ended: CellEnded, config: DecodeConfig) -> VideoError:
    if ended.late:
        return stuck("opening the file", ended.seconds)
    return ended_in_words(ended, "opening", f"decode.open_cpu_seconds = {config.open_cpu_seconds:g} s of computing")


def ended_in_words(ended: CellEnded, doing: str, most_seconds: str) -> VideoError:
    """The error where the process that was ``doing`` something with a film has ended."""
    if ended.signal == signal.SIGXCPU:
        return VideoError(Kind.TOO_LARGE, f"{doing} it takes longer than {most_seconds}")
    if ended.signal in _ENDED_BY_OTHERS:
        name = signal.Signals(ended.signal).name
        return VideoError(
            Kind.OUT_OF_MEMORY, f"{doing} it was ended by {name}: see who did it (the kernel's log tells of memory)"
        )
    how = signal.Signals(ended.signal).name if ended.signal else "it gave no answer"
    return VideoError(Kind.DECODE, f"{doing} it crashed the process that does so ({how}): the file is damaged")
