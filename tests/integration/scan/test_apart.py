"""Films are decoded in a process of their own: the same frames, and what happens to that process is the film's alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.model import Frame
from daemon.runtime.cell import Cells
from daemon.scan import apart
from daemon.scan.apart import Decoding
from daemon.scan.decode_work import scanned
from daemon.scan.decoding import Request
from daemon.scan.rows import findings_of
from tests import corpus, films

CONFIG = DecodeConfig()
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cells() -> Iterator[Cells]:
    made = Cells("daemon.scan.decode_cell", ring=True, arenas=apart.ARENAS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def odd_cells() -> Iterator[Cells]:
    made = Cells("tests.odd_decode_cell", ring=True, arenas=apart.ARENAS)
    yield made
    made.close()


def request(film: Path, config: DecodeConfig = CONFIG, **how: Any) -> Request:
    return Request(probe(film, config), config, **{"single_thread": False, **how})


def facts(frame: Frame) -> list[Any]:
    """All that a frame has, its arrays as bytes."""
    gray = frame.gray
    parts = [frame.picture] if gray is None else [gray.gray, gray.rows, gray.small]
    said = [None if part is None else (part.shape, part.dtype.str, part.tobytes()) for part in parts]
    first = [frame.index, frame.pts, frame.time_s, frame.hash, frame.corrupt, frame.features, frame.duration_s]
    return [*first, gray is not None and gray.flat, *said]


def mp4(folder: Path) -> Path:
    return films.make(folder / "film.mp4", frames=40)


def deep(folder: Path) -> Path:
    return corpus.encode(folder / "deep.mkv", *corpus.X264, "-pix_fmt", "yuv420p10le")


def stretched(folder: Path) -> Path:
    return corpus.encode(folder / "stretched.mkv", *corpus.X264, "-vf", "setsar=4/3")


def growing(folder: Path) -> Path:
    """Pictures that need larger slots from the middle on."""
    parts = [
        films.make(folder / f"{side}.h264", frames=12, width=side, height=side, options={"bf": "0"}, container="h264")
        for side in (96, 320, 160)
    ]
    film = folder / "growing.h264"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    return film


@pytest.mark.parametrize("build", [mp4, deep, stretched, growing])
@pytest.mark.parametrize("gray_from", [None, 64], ids=["pictures", "gray"])
def test_frames_and_findings_are_those_of_decoding_here(
    build: Callable[[Path], Path], gray_from: int | None, tmp_path: Path, cells: Cells
) -> None:
    asked = request(build(tmp_path), single_thread=True, gray_from=gray_from, strip=True)
    report, decoding = DecodeReport(), Decoding(asked, cells)
    here = [facts(frame) for frame in scanned(asked, report)]
    assert len(here) > 8
    assert [facts(frame) for frame in decoding.frames()] == here
    assert decoding.findings == findings_of(report)


def test_what_is_stored_already_has_no_picture(tmp_path: Path, cells: Cells) -> None:
    film = mp4(tmp_path)
    known = [frame.hash for frame in scanned(request(film), DecodeReport())]
    frames = list(Decoding(request(film, known=known[:30]), cells).frames())
    assert [frame.picture is None for frame in frames] == [True] * 30 + [False] * 10


def test_damage_is_said_and_found_as_here(tmp_path: Path, cells: Cells) -> None:
    film = mp4(tmp_path)
    data = bytearray(film.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
    film.write_bytes(data)
    asked = request(film)
    # Which of its threads says it first is chance.
    with pytest.raises(DamageError, match=r"NAL|MB"):
        list(Decoding(asked, cells).frames())
    alone, report = request(film, single_thread=True), DecodeReport()
    decoding = Decoding(alone, cells)
    assert [facts(frame) for frame in decoding.frames()] == [facts(frame) for frame in scanned(alone, report)]
    assert decoding.findings == findings_of(report)
    assert report.damaged


def test_frames_that_are_kept_stay_as_they_are_and_hold_nobody_up(tmp_path: Path, cells: Cells) -> None:
    """More frames than the ring has slots, none of them let go."""
    small = DecodeConfig(queue_bytes=1024**2)
    film = films.make(tmp_path / "film.mkv", frames=30, width=2400, height=1500, codec="mjpeg", pix_fmt="yuvj420p")
    asked = request(film, small)
    kept = list(Decoding(asked, cells).frames())
    assert [facts(frame) for frame in kept] == [facts(frame) for frame in scanned(asked, DecodeReport())]
    # The next film gets no memory that is still looked at.
    list(Decoding(request(mp4(tmp_path), small), cells).frames())
    assert [facts(frame) for frame in kept] == [facts(frame) for frame in scanned(asked, DecodeReport())]


def test_the_process_is_kept_for_the_next_film(tmp_path: Path, cells: Cells) -> None:
    pids = set()
    for _ in range(3):
        decoding = Decoding(request(mp4(tmp_path)), cells)
        decoding.open()
        assert decoding._cell is not None
        pids.add(decoding._cell.pid)
        assert sum(1 for _ in decoding.frames()) == 40
    assert len(pids) == 1


def odd(folder: Path, name: str, cells: Cells, **settings: Any) -> Decoding:
    film = films.make(folder / f"{name}.mkv", frames=30, codec="mjpeg", pix_fmt="yuvj420p")
    return Decoding(request(film, DecodeConfig(**settings)), cells)


def test_computing_without_end_is_ended(tmp_path: Path, odd_cells: Cells) -> None:
    with pytest.raises(VideoError, match=r"decode\.work_seconds = 1") as caught:
        list(odd(tmp_path, "computes", odd_cells, work_seconds=1.0).frames())
    assert caught.value.kind is Kind.TOO_LARGE


def test_who_is_told_to_stop_ends_at_once_whatever_the_decoder_does(tmp_path: Path, odd_cells: Cells) -> None:
    decoding = odd(tmp_path, "hangs", odd_cells)
    decoding.open()
    cell = decoding._cell
    assert cell is not None
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.extend(frame.index for frame in decoding.frames()))
    thread.start()
    while len(seen) < 5:
        thread.join(0.01)
    decoding.stop()
    thread.join(30.0)
    assert not thread.is_alive()
    assert not cell.alive()
    decoding.stop()


def test_a_run_that_was_stopped_before_it_began_gives_its_process_back(tmp_path: Path, cells: Cells) -> None:
    decoding = Decoding(request(mp4(tmp_path)), cells)
    decoding.open()
    cell = decoding._cell
    decoding.stop()
    assert list(decoding.frames()) == []
    assert cell is not None
    assert cells.take(cell.greeting) is cell
    cells.give(cell)


IDLE = "print(apart.CELLS._idle[0].pid, flush=True)"
IN_MID_FILM = (
    "run = apart.Decoding(Request(probe(Path(sys.argv[1]), config), config, False)); frames = run.frames();"
    "next(frames); print(run._cell.pid, flush=True)"
)


@pytest.mark.parametrize("doing", [IDLE, IN_MID_FILM], ids=["idle", "in mid-film"])
def test_the_process_ends_with_the_one_that_has_started_it(tmp_path: Path, doing: str) -> None:
    """Also where that had no time to say so."""
    code = (
        "import os, signal, sys; from pathlib import Path; from daemon.config.score import DecodeConfig;"
        "from daemon.decode.probe import probe; from daemon.scan import apart; from daemon.scan.decoding import Request;"
        f"config = DecodeConfig(); apart.warm(config); {doing}; os.kill(os.getpid(), signal.SIGKILL)"
    )
    film = films.make(tmp_path / "film.mp4", frames=200)
    printed = subprocess.run(
        [sys.executable, "-c", code, film],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
    )
    assert printed.returncode == -signal.SIGKILL
    pid = int(printed.stdout)
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        threading.Event().wait(0.05)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("it is still there")


COMPILED = """
import sys
from pathlib import Path
import numpy as np
from daemon.analysis import measure
from daemon.config.score import DecodeConfig
from daemon.decode import combing, gray, planes_kernel, rgb
from daemon.decode.damage import DecodeReport
from daemon.decode.probe import probe
from daemon.runtime.jit import Compiled
from daemon.scan.decode_work import scanned
from daemon.scan.decoding import Request
for part in (measure, combing, gray, rgb):
    part.warm_up()
made = [one for part in (measure, combing, planes_kernel) for one in vars(part).values() if isinstance(one, Compiled)]
before = [len(one._run.signatures) for one in made]
config = DecodeConfig()
for film in map(Path, sys.argv[1:]):
    for gray_from in (None, 32):
        asked = Request(probe(film, config), config, True, gray_from=gray_from, strip=True)
        for _ in scanned(asked, DecodeReport(), np.empty):
            pass
after = [len(one._run.signatures) for one in made]
assert all(before) and before == after, (before, after)
"""


def test_nothing_is_compiled_once_a_film_is_there(tmp_path: Path) -> None:
    """Its process may write no file, so that it would be compiled for every film."""
    odd_size = films.make(tmp_path / "odd.mkv", frames=3, width=130, height=98)
    run = [sys.executable, "-c", COMPILED, *map(str, [mp4(tmp_path), deep(tmp_path), stretched(tmp_path), odd_size])]
    subprocess.run(run, check=True, cwd=ROOT)


def test_arrays_lie_in_the_ring(tmp_path: Path, cells: Cells) -> None:
    """As long as there is room, nothing is copied on this side."""
    for frame in Decoding(request(mp4(tmp_path)), cells).frames():
        assert frame.picture is not None
        assert isinstance(frame.picture.base, np.ndarray)
        assert not isinstance(frame.picture.base.base, np.ndarray)
