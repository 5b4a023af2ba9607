"""What daemon/inbox/inotify.py takes from watchdog without a promise: each name, its parameters, its words.

It subclasses private classes. When one of these tests fails after an update of watchdog, inotify.py has to follow
first; only then may the upper bound in pyproject.toml rise.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from watchdog.observers import inotify, inotify_c, polling
from watchdog.observers.api import BaseObserver
from watchdog.utils import BaseThread

ADVICE = f"(watchdog {version('watchdog')}): adapt daemon/inbox/inotify.py before the bound in pyproject.toml is raised"

SIGNATURES: list[tuple[type, str, list[str]]] = [
    (BaseObserver, "schedule", ["self", "event_handler", "path", "recursive", "event_filter", "follow_symlink"]),
    (BaseObserver, "unschedule", ["self", "watch"]),
    (inotify.InotifyObserver, "__init__", ["self", "timeout", "generate_full_events"]),
    (inotify.InotifyEmitter, "__init__", ["self", "event_queue", "watch", "timeout", "event_filter", "inotify_fd"]),
    (inotify.InotifyEmitter, "on_thread_start", ["self"]),
    (inotify.InotifyEmitter, "get_event_mask_from_filter", ["self"]),
    (inotify.InotifyWatchGroup, "_add_all_callbacks", ["self", "path"]),
    (inotify.InotifyWatchGroup, "_add_callback", ["self", "path"]),
    (inotify.InotifyWatchGroup, "on_queue_overflow", ["self"]),
    (polling.PollingObserverVFS, "__init__", ["self", "stat", "listdir", "polling_interval"]),
]
USES: list[tuple[Callable[..., Any], str, str]] = [
    (BaseObserver.schedule, "self._emitter_class(", "the observer makes its emitters by this attribute"),
    (inotify.InotifyEmitter.__init__, "self._inotify_fd", "the emitter holds the reader here"),
    (inotify.InotifyEmitter.on_thread_start, "self._inotify = InotifyWatchGroup(", "the watch group is made here"),
    (inotify.InotifyEmitter.on_thread_stop, "self._inotify", "and is ended by this attribute"),
    (inotify.InotifyWatchGroup._activate, "self._add_all_callbacks(", "the first watches are added by this method"),
]
WORDS = [
    (inotify, "called when the thread is inactive"),
    (inotify, "queue overflowed"),
    (inotify_c, "Callback with id"),
]


def moved(owner: type, name: str, parameters: list[str]) -> str:
    """How a method differs from what is relied on; empty where it doesn't."""
    method = getattr(owner, name, None)
    if method is None:
        return f"{owner.__name__}.{name} is gone {ADVICE}"
    now = list(inspect.signature(method).parameters)
    return "" if now == parameters else f"{owner.__name__}.{name} takes {now}, not {parameters} {ADVICE}"


@pytest.mark.parametrize(("owner", "name", "parameters"), SIGNATURES)
def test_a_method_takes_what_it_took(owner: type, name: str, parameters: list[str]) -> None:
    why = moved(owner, name, parameters)
    assert not why, why


@pytest.mark.parametrize(("method", "text", "meaning"), USES)
def test_a_method_does_what_the_subclass_relies_on(method: Callable[..., Any], text: str, meaning: str) -> None:
    assert text in inspect.getsource(method), f"{method.__qualname__} has no {text!r} any more: {meaning} {ADVICE}"


def test_a_watch_group_is_a_dataclass_with_these_fields_first() -> None:
    fields = [field.name for field in dataclasses.fields(inotify.InotifyWatchGroup) if field.init]
    expected = ["_inotify_fd", "path", "event_mask", "is_recursive", "follow_symlink"]
    assert fields == expected, f"InotifyWatchGroup is made from {fields}, not {expected} {ADVICE}"


def test_the_reader_is_a_thread_so_that_its_death_can_be_seen() -> None:
    assert issubclass(inotify_c.InotifyFD, BaseThread), f"InotifyFD is no thread any more {ADVICE}"


@pytest.mark.parametrize(("module", "words"), WORDS)
def test_the_words_that_are_kept_out_of_the_log_are_still_said(module: Any, words: str) -> None:
    text = inspect.getsource(module) + inspect.getsource(inotify_c)
    assert words in text, f"watchdog does not say {words!r} any more {ADVICE}"


def test_the_check_itself_names_what_has_moved() -> None:
    class Newer:
        def _add_callback(self, path: bytes, mask: int) -> None: ...

    assert moved(Newer, "_add_all_callbacks", ["self", "path"]).startswith("Newer._add_all_callbacks is gone (watchdog")
    assert "takes ['self', 'path', 'mask'], not ['self', 'path']" in moved(Newer, "_add_callback", ["self", "path"])
