"""Films are opened in a process that has limits: what passes them ends there, and the next film is opened as ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.config.score import DecodeConfig
from daemon.decode import apart
from daemon.decode.apart import probe_apart
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.runtime import confine
from tests import corpus, films, hostile

DECODE = DecodeConfig()
ROOT = Path(__file__).parents[3]
MEASURED = """
import json, os, resource, sys
from pathlib import Path
from daemon.config.score import DecodeConfig
from daemon.decode.apart import CELLS, probe_apart
from daemon.errors import VideoError
from daemon.runtime.memory import peak_bytes
own = lambda: peak_bytes(os.getpid()) // 1024
config = DecodeConfig(**json.loads(sys.argv[2]))
before = own()
try:
    kind = probe_apart(Path(sys.argv[1]), config).codec
except VideoError as error:
    kind = error.kind.value
CELLS.close()
print(json.dumps([kind, (own() - before) // 1024, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024]))
"""
OF_ITS_OWN_MIB = 160
"""Python, NumPy and FFmpeg's libraries."""


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    apart.CELLS.close()


def measured(film: Path, **settings: int) -> tuple[str, int, int]:
    """The outcome of opening a film, and by how many MiB this process and the one that opens have grown."""
    run = [sys.executable, "-c", MEASURED, str(film), json.dumps(settings)]
    printed = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT, timeout=120)
    kind, own, cell = json.loads(printed.stdout)
    return kind, own, cell


@pytest.mark.parametrize("build", [*hostile.INDEXES, hostile.large_pictures, hostile.parameter_sets])
def test_what_takes_more_memory_than_allowed_is_refused_and_takes_no_more(build: corpus.Build, tmp_path: Path) -> None:
    kind, own, cell = measured(build(tmp_path), open_memory_bytes=200 * 1024**2)
    assert kind in (Kind.TOO_LARGE, Kind.NO_FRAMES)
    assert own < 50
    assert cell < 200 + OF_ITS_OWN_MIB


def test_what_takes_more_computing_than_allowed_is_ended(tmp_path: Path) -> None:
    film = hostile.many_tags(tmp_path)
    began = time.monotonic()
    with pytest.raises(VideoError, match="open_cpu_seconds = 1 s") as caught:
        probe_apart(film, DecodeConfig(open_cpu_seconds=1.0))
    assert caught.value.kind is Kind.TOO_LARGE
    assert time.monotonic() - began < 60


def running(film: Path, stuck_seconds: float, meanwhile: Callable[[int], None]) -> VideoError:
    """The error of opening a film while something is done to the process that opens it."""
    apart.warm(DECODE)
    (cell,) = apart.CELLS._idle
    caught: list[VideoError] = []
    asked = threading.Event()
    tell = cell.tell

    def telling(request: dict[str, Any]) -> None:
        tell(request)
        asked.set()

    # One that is ended while it waits for work is replaced, and costs no film.
    cell.tell = telling  # type: ignore[method-assign]

    def opening() -> None:
        try:
            probe_apart(film, DECODE, stuck_seconds=stuck_seconds)
        except VideoError as error:
            caught.append(error)

    thread = threading.Thread(target=opening)
    thread.start()
    assert asked.wait(60.0)
    meanwhile(cell._process.pid)
    thread.join()
    assert cell._process.returncode is not None, "it was ended and reaped"
    return caught[0]


def test_what_hangs_is_ended(tmp_path: Path) -> None:
    error = running(hostile.many_tags(tmp_path), 0.3, lambda _: None)
    assert error.kind is Kind.STUCK


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGSEGV, Kind.DECODE), (signal.SIGKILL, Kind.OUT_OF_MEMORY)])
def test_a_crash_costs_one_film(number: signal.Signals, kind: Kind, tmp_path: Path) -> None:
    error = running(hostile.many_tags(tmp_path), 60.0, lambda pid: os.kill(pid, number))
    assert error.kind is kind
    assert number.name in error.sentence
    film = films.make(tmp_path / "good.mp4", frames=3)
    assert probe_apart(film, DECODE) == probe(film, DECODE)


@pytest.mark.parametrize("name", ["plain.mp4", "a\nb .mkv", "naïve – 夜.mkv"])
def test_it_finds_what_a_probe_finds(name: str, tmp_path: Path) -> None:
    film = films.make(tmp_path / name, frames=3)
    assert probe_apart(film, DECODE) == probe(film, DECODE)


def test_names_that_are_no_text_and_errors_come_through(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mkv", frames=3).rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9.mkv"))
    assert probe_apart(film, DECODE).path == film
    (tmp_path / "text.mp4").write_text("no film")
    for path in (tmp_path / "text.mp4", tmp_path / "none.mp4", Path("film\0.mp4")):
        with pytest.raises(VideoError) as here:
            probe(path, DECODE)
        with pytest.raises(VideoError) as there:
            probe_apart(path, DECODE)
        assert (there.value.kind, there.value.sentence) == (here.value.kind, here.value.sentence)


def test_one_process_opens_film_after_film_at_little_cost(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=3)
    apart.warm(DECODE)
    (cell,) = apart.CELLS._idle
    here, there = [], []
    for _ in range(15):
        began = time.perf_counter()
        probe(film, DECODE)
        between = time.perf_counter()
        probe_apart(film, DECODE)
        here.append(between - began)
        there.append(time.perf_counter() - between)
    assert apart.CELLS._idle == [cell]
    # Five milliseconds on a quiet machine; the least of both is what the noise of a busy one leaves.
    assert min(there) - min(here) < 0.005


def test_the_process_may_neither_write_nor_reach_out_nor_start_anything(tmp_path: Path) -> None:
    code = f"""
import os, socket, subprocess, sys
from daemon.runtime.confine import Limits, confine
held = open({str(tmp_path / "file")!r}, "wb", buffering=0)
confine(Limits(64 * 1024**2, 1.0))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for attempt in (socket.socket, lambda: os.execv("/bin/true", ["true"]), lambda: held.write(b"x"),
                lambda: os.kill(os.getppid(), 0), lambda: bytearray(80 * 1024**2)):
    try:
        attempt()
        print("done")
    except (OSError, MemoryError) as error:
        print(type(error).__name__)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    said = printed.stdout.split()
    assert said[2] == "OSError"
    assert said[4] == "MemoryError"
    if confine._REFUSED.get(os.uname().machine):
        assert said[:2] + said[3:4] == ["PermissionError"] * 3


def test_a_driver_may_reserve_what_it_never_writes_to_and_the_limit_holds_for_the_rest() -> None:
    """Drivers of devices take terabytes of addresses for themselves (mmap(2), PROT_NONE)."""
    code = """
import ctypes, mmap
from daemon.runtime.confine import Limits, confine
libc = ctypes.CDLL(None)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
def reserved():
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    if libc.mmap(None, 1 << 40, 0, flags, -1, 0) == ctypes.c_void_p(-1).value:
        raise OSError
confine(Limits(64 * 1024**2, 1.0, device=DEVICE))
for attempt in (reserved, lambda: bytearray(16 * 1024**2), lambda: bytearray(80 * 1024**2)):
    try:
        attempt()
        print("done")
    except (OSError, MemoryError) as error:
        print(type(error).__name__)
"""

    def said(device: bool) -> list[str]:
        command = [sys.executable, "-c", code.replace("DEVICE", str(device))]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()

    assert said(True) == ["done", "done", "MemoryError"]
    assert said(False) == ["OSError", "done", "MemoryError"]
