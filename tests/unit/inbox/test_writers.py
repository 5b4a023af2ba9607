"""Who has a file open for writing: real files and real processes."""

from __future__ import annotations

import mmap
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.inbox import writers
from daemon.inbox.writers import NOBODY, UNKNOWN, OpenFiles

HOLD = "import sys, os, mmap; f = open(sys.argv[1], 'r+b'); {more}; print('ready', flush=True); sys.stdin.read()"
MAP = "m = mmap.mmap(f.fileno(), 0); f.close()"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.ts"
    path.write_bytes(b"film" * 5000)
    return path


@contextmanager
def held(path: Path, more: str = "pass") -> Iterator[int]:
    """Another process that has the file open for writing."""
    command = [sys.executable, "-c", HOLD.format(more=more), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait()


@pytest.fixture
def no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this process is given no lease on: another user's, or on a file system without leases."""
    monkeypatch.setattr(writers, "lease_is_refused", lambda _: None)


@pytest.mark.parametrize("more", ["pass", MAP], ids=["handle", "mapping"])
@pytest.mark.parametrize("way", ["lease", "sweep"])
def test_a_writer_is_seen_while_it_lasts(film: Path, more: str, way: str, request: pytest.FixtureRequest) -> None:
    if way == "sweep":
        request.getfixturevalue("no_lease")
    with held(film, more) as pid:
        seen = writers.writer(film)
        assert seen.open
        assert f"(process {pid})" in seen.by
    assert not writers.writer(film).open


@pytest.mark.usefixtures("no_lease")
def test_a_writer_under_another_name_is_seen_too(film: Path) -> None:
    other = film.with_name("other.ts")
    other.hardlink_to(film)
    with held(other):
        assert writers.writer(film).open


@pytest.mark.parametrize("refused", [False, None], ids=["lease", "sweep"])
def test_who_reads_does_not_write(film: Path, refused: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if refused is None:
        monkeypatch.setattr(writers, "lease_is_refused", lambda _: None)
    with film.open("rb") as reader, mmap.mmap(reader.fileno(), 0, access=mmap.ACCESS_READ):
        assert not writers.writer(film).open


# Somebody opens the file for writing while the lease is held, which the kernel tells its holder by a signal.
MEANWHILE = """
import fcntl, os, sys, threading
from daemon.inbox import writers
real = fcntl.fcntl
def meanwhile(descriptor, command, argument=0):
    answer = real(descriptor, command, argument)
    if (command, argument) == (fcntl.F_SETLEASE, fcntl.F_RDLCK):
        opener.start()
        while real(descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK:
            pass
    return answer
fcntl.fcntl = meanwhile
opener = threading.Thread(target=lambda: open(sys.argv[1], "ab").close())
descriptor = os.open(sys.argv[1], os.O_RDONLY)
print(writers.lease_is_refused(descriptor))
opener.join()
"""


def test_a_lease_is_given_back_and_the_signal_of_one_that_is_broken_ends_nobody(film: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", MEANWHILE, str(film)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "False\n", "")


def test_on_a_share_nobody_is_never_sure(film: Path) -> None:
    assert writers.writer(film, shared=True) == UNKNOWN
    with held(film):
        assert writers.writer(film, shared=True).open


def test_without_proc_nobody_is_never_sure_and_a_lease_still_tells(
    film: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with held(film):
        assert OpenFiles(proc=tmp_path / "none").writer(film).open
    request.getfixturevalue("no_lease")
    assert OpenFiles(proc=tmp_path / "none").writer(film) == UNKNOWN


@pytest.mark.usefixtures("no_lease")
def test_many_files_cost_one_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []
    handles = writers._Sweep._handles
    monkeypatch.setattr(
        writers._Sweep, "_handles", lambda self, process: swept.append(process) or handles(self, process)
    )
    files = [tmp_path / f"{number}.ts" for number in range(50)]
    for file in files:
        file.write_bytes(b"film")
    looking = OpenFiles()
    with held(files[7]):
        assert [file for file in files if looking.writer(file).open] == [files[7]]
    assert len(swept) == len(set(swept))


def test_where_every_file_gives_a_lease_proc_is_not_touched(film: Path, tmp_path: Path) -> None:
    assert OpenFiles(proc=tmp_path / "no proc").writer(film) == NOBODY


@pytest.fixture
def proc(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(capabilities: str, ids: str) -> Path:
        (tmp_path / "self").mkdir()
        (tmp_path / "self/status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\n")
        (tmp_path / "self/uid_map").write_text(ids)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("capabilities", "ids", "seen"),
    [
        ("0000000000000000", "0 0 4294967295", False),
        ("0000000010000000", "0 0 4294967295", True),
        ("0000000010000000", "0 100000 65536", False),
        ("000001ffefffffff", "0 0 4294967295", False),
    ],
    ids=["nothing", "CAP_LEASE", "in a user namespace", "all but CAP_LEASE"],
)
def test_one_right_shows_the_writers_of_everybodys_files(
    proc: Callable[[str, str], Path], capabilities: str, ids: str, seen: bool
) -> None:
    assert writers.others_are_seen(proc(capabilities, ids)) is seen
