"""The watcher on real folders, with kernel events and with polling.

Every wait has an end; "nothing was reported" is asserted by a later file that was.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
import structlog

from daemon.config.watch import WatchConfig
from daemon.errors import Kind, StillwatchError
from daemon.inbox import inotify, watch_mode
from daemon.inbox.watcher import Watcher
from tests.kernel import small_event_queue, watched

WAIT_SECONDS = 10.0
MODES = ["native", "polling"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


class Found:
    """Collects what the watcher reports and waits for a given path."""

    def __init__(self, watcher: Watcher, reports: Queue[Path]) -> None:
        self.watcher = watcher
        self.reports = reports
        self.seen: list[Path] = []

    def wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while path not in self.seen:
            try:
                self.seen.append(self.reports.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                pytest.fail(f"{path} was not reported, only {self.seen}")

    def start_over(self) -> None:
        """Drop what was reported so far; a marker file closes the books."""
        marker = self.watcher._config.path / f"marker{len(self.seen)}.mp4"
        marker.touch()
        self.wait_for(marker)
        self.seen.clear()


def config(inbox: Path, **changes: object) -> WatchConfig:
    values: dict[str, Any] = {"path": inbox, "settle_seconds": 0.1, "rescan_seconds": 0.1, **changes}
    return WatchConfig(**values)


@contextmanager
def watching(inbox: Path, **changes: object) -> Iterator[Found]:
    reports: Queue[Path] = Queue()
    watcher = Watcher(config(inbox, **changes), reports.put)
    watcher.start()
    try:
        assert watcher.alive
        yield Found(watcher, reports)
    finally:
        assert watcher.stop(WAIT_SECONDS)
        assert not watcher.alive


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)


def scanned(inbox: Path, **changes: object) -> list[str]:
    watcher = Watcher(config(inbox, **changes), lambda _: None)
    return [str(path.relative_to(inbox)) for path in watcher.scan()]


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- events ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_copied_in(inbox: Path, elsewhere: Path, mode: str) -> None:
    source = put(elsewhere / "clip.mp4")
    with watching(inbox, mode=mode) as found:
        assert found.watcher.mode == mode
        found.wait_for(Path(shutil.copy(source, inbox)))


@pytest.mark.parametrize("mode", MODES)
def test_moved_in(inbox: Path, elsewhere: Path, mode: str) -> None:
    source = put(elsewhere / "clip.mp4")
    with watching(inbox, mode=mode) as found:
        source.rename(inbox / "clip.mp4")
        found.wait_for(inbox / "clip.mp4")


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_that_is_moved_in_is_walked(inbox: Path, elsewhere: Path, mode: str) -> None:
    put(elsewhere / "day/cam/one.mp4")
    put(elsewhere / "day/two.mp4")
    put(elsewhere / "day/.hidden/three.mp4")
    with watching(inbox, mode=mode) as found:
        (elsewhere / "day").rename(inbox / "day")
        found.wait_for(inbox / "day/cam/one.mp4")
        found.wait_for(inbox / "day/two.mp4")
        put(inbox / "day/cam/later.mp4")
        found.wait_for(inbox / "day/cam/later.mp4")
        assert inbox / "day/.hidden/three.mp4" not in found.seen


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_that_is_copied_in_is_watched_at_once(inbox: Path, elsewhere: Path, mode: str) -> None:
    names = [f"{a}/{b}/clip{c}.mp4" for a in "abc" for b in "de" for c in range(3)]
    for name in names:
        put(elsewhere / "tree" / name)
    with watching(inbox, mode=mode) as found:
        shutil.copytree(elsewhere / "tree", inbox / "tree")
        for name in names:
            found.wait_for(inbox / "tree" / name)


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_that_is_renamed_out_of_the_excluded_names(inbox: Path, mode: str) -> None:
    put(inbox / "upload.part/clip.mp4")
    with watching(inbox, mode=mode) as found:
        found.start_over()
        (inbox / "upload.part").rename(inbox / "upload")
        found.wait_for(inbox / "upload/clip.mp4")


@pytest.mark.parametrize("mode", MODES)
def test_renamed_from_part(inbox: Path, mode: str) -> None:
    with watching(inbox, mode=mode) as found:
        part = put(inbox / "clip.mp4.part")
        part.rename(inbox / "clip.mp4")
        found.wait_for(inbox / "clip.mp4")
        assert part not in found.seen


@pytest.mark.parametrize("mode", MODES)
def test_written_in_bursts_is_reported_when_created_and_after_the_last_write(inbox: Path, mode: str) -> None:
    clip = inbox / "clip.mp4"
    with watching(inbox, mode=mode) as found:
        with clip.open("wb", buffering=0) as file:
            for _ in range(5):
                file.write(bytes(1000))
            found.wait_for(clip)
            found.start_over()
            file.write(bytes(1000))
        found.wait_for(clip)
        found.start_over()
        with clip.open("ab") as file:
            file.write(bytes(1000))
        found.wait_for(clip)


@pytest.mark.parametrize("mode", MODES)
def test_deleting_reports_nothing_and_ends_nothing(inbox: Path, mode: str) -> None:
    clip = put(inbox / "day/clip.mp4")
    with watching(inbox, mode=mode) as found:
        found.start_over()
        clip.unlink()
        clip.parent.rmdir()
        found.start_over()
        assert clip not in found.seen
        assert found.watcher.alive


@pytest.mark.parametrize("mode", MODES)
def test_what_is_excluded_is_not_reported(inbox: Path, mode: str) -> None:
    with watching(inbox, mode=mode) as found:
        for name in [".hidden.mp4", "@eaDir/clip.mp4", "clip.mp4.crdownload"]:
            put(inbox / name)
        put(inbox / "last.mp4")
        found.wait_for(inbox / "last.mp4")
        assert set(found.seen) == {inbox / "last.mp4"}


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_with_a_videos_name_is_reported_and_walked(inbox: Path, elsewhere: Path, mode: str) -> None:
    put(elsewhere / "disc.mp4/clip.mp4")
    with watching(inbox, mode=mode) as found:
        (elsewhere / "disc.mp4").rename(inbox / "disc.mp4")
        found.wait_for(inbox / "disc.mp4")
        found.wait_for(inbox / "disc.mp4/clip.mp4")


@pytest.mark.parametrize("mode", MODES)
def test_without_recursion(inbox: Path, mode: str) -> None:
    (inbox / "day").mkdir()
    with watching(inbox, mode=mode, recursive=False) as found:
        put(inbox / "day/clip.mp4")
        put(inbox / "new/clip.mp4")
        put(inbox / "last.mp4")
        found.wait_for(inbox / "last.mp4")
        assert set(found.seen) == {inbox / "last.mp4"}


@pytest.mark.parametrize("mode", MODES)
def test_the_watch_folder_may_be_a_link_and_keeps_its_spelling(tmp_path: Path, inbox: Path, mode: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(inbox)
    with watching(link, mode=mode) as found:
        put(inbox / "day/clip.mp4")
        found.wait_for(link / "day/clip.mp4")


@pytest.mark.parametrize("mode", MODES)
def test_a_circle_of_links_does_not_hold_up_the_watch(inbox: Path, mode: str) -> None:
    (inbox / "day").mkdir()
    (inbox / "day/up").symlink_to(inbox)
    (inbox / "day/again.mp4").symlink_to(inbox)
    with watching(inbox, mode=mode, follow_outside=True) as found:
        put(inbox / "day/clip.mp4")
        found.wait_for(inbox / "day/clip.mp4")
        put(inbox / "last.mp4")
        found.wait_for(inbox / "last.mp4")
        assert all(len(path.relative_to(inbox).parts) <= 2 for path in found.seen)


@pytest.mark.parametrize("mode", MODES)
def test_a_linked_folder_is_walked_only_when_asked_for(inbox: Path, elsewhere: Path, mode: str) -> None:
    put(elsewhere / "clip.mp4")
    with watching(inbox, mode=mode) as found:
        (inbox / "link").symlink_to(elsewhere)
        found.start_over()
    if mode == "native":
        with watching(inbox, mode=mode, follow_outside=True) as found:
            (inbox / "other").symlink_to(elsewhere)
            found.wait_for(inbox / "other/clip.mp4")


def test_names_that_are_no_text(inbox: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \n%d.mp4")
    with watching(inbox, mode="native") as found:
        put(inbox / name)
        found.wait_for(inbox / name)


def test_an_error_of_the_listener_does_not_end_the_watch(inbox: Path) -> None:
    reports: Queue[Path] = Queue()

    def found(path: Path) -> None:
        if path.name == "bad.mp4":
            raise RuntimeError("the loop is closed")
        reports.put(path)

    watcher = Watcher(config(inbox, mode="native"), found)
    watcher.start()
    try:
        put(inbox / "bad.mp4")
        put(inbox / "good.mp4")
        assert reports.get(timeout=WAIT_SECONDS) == inbox / "good.mp4"
        assert watcher.alive
    finally:
        assert watcher.stop(WAIT_SECONDS)


# --- life ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_that_vanishes_ends_the_watch_and_a_new_start_mends_it(inbox: Path, mode: str) -> None:
    reports: Queue[Path] = Queue()
    watcher = Watcher(config(inbox, mode=mode), reports.put)
    watcher.start()
    inbox.rmdir()
    wait_until(lambda: not watcher.alive)
    assert watcher.stop(WAIT_SECONDS)
    with pytest.raises(StillwatchError, match="does not exist"):
        watcher.start()
    inbox.mkdir()
    watcher.start()
    try:
        put(inbox / "clip.mp4")
        assert reports.get(timeout=WAIT_SECONDS) == inbox / "clip.mp4"
    finally:
        assert watcher.stop(WAIT_SECONDS)


def test_a_folder_that_is_swapped_for_another_ends_a_native_watch(tmp_path: Path, inbox: Path) -> None:
    watcher = Watcher(config(inbox, mode="native"), lambda _: None)
    watcher.start()
    inbox.rename(tmp_path / "old")
    assert not watcher.alive
    inbox.mkdir()
    assert not watcher.alive
    assert watcher.stop(WAIT_SECONDS)


@pytest.mark.parametrize("mode", MODES)
def test_a_folder_that_cannot_be_watched_is_a_configuration_error(tmp_path: Path, mode: str) -> None:
    file = put(tmp_path / "file")
    for path, text in [(tmp_path / "none", "does not exist"), (file, "is not a folder")]:
        watcher = Watcher(config(path, mode=mode), lambda _: None)
        with pytest.raises(StillwatchError, match=text) as start:
            watcher.start()
        with pytest.raises(StillwatchError, match=text) as scan:
            list(watcher.scan())
        assert start.value.kind is scan.value.kind is Kind.CONFIG
        assert not watcher.alive
        assert watcher.stop(0.0)


def test_starting_twice_is_a_mistake(inbox: Path) -> None:
    with watching(inbox) as found, pytest.raises(RuntimeError, match="stop it first"):
        found.watcher.start()


def test_auto_follows_the_file_system(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_mode, "_mounts", lambda: [("/", "ext4")])
    with watching(inbox, mode="auto") as found:
        assert found.watcher.mode == "native"
    monkeypatch.setattr(watch_mode, "_mounts", lambda: [("/", "ext4"), (str(inbox), "nfs4")])
    with watching(inbox, mode="auto") as found:
        assert found.watcher.mode == "polling"
    with watching(inbox, mode="native") as found:
        assert found.watcher.mode == "native"


def test_the_real_mount_table_is_read(inbox: Path) -> None:
    mounts = watch_mode._mounts()
    assert watch_mode.file_system(Path("/proc/self"), mounts) == "proc"
    assert watch_mode.file_system(inbox, mounts)


@pytest.mark.parametrize(
    ("code", "sysctl"),
    [(errno.ENOSPC, "fs.inotify.max_user_watches"), (errno.EMFILE, "fs.inotify.max_user_instances")],
)
def test_without_kernel_watches_left_it_polls_and_says_so(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, code: int, sysctl: str
) -> None:
    def limit(*_: object) -> None:
        raise OSError(code, "inotify limit reached")

    # The check comes last: everything that the native start had built must be gone again.
    monkeypatch.setattr(inotify, "require_spare_watch", limit)
    with structlog.testing.capture_logs() as events, watching(inbox, mode="auto") as found:
        assert found.watcher.mode == "polling"
        assert not [thread for thread in threading.enumerate() if "Inotify" in type(thread).__name__]
        put(inbox / "clip.mp4")
        found.wait_for(inbox / "clip.mp4")
    warnings = [event for event in events if event["log_level"] == "warning"]
    assert [event["event"] for event in warnings] == ["watch.limit"]
    assert sysctl in warnings[0]["fix"]


def test_without_an_inotify_instance_it_polls(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(inotify, "FolderObserver", refuse)
    with watching(inbox, mode="native") as found:
        assert found.watcher.mode == "polling"


def test_any_other_failure_of_the_start_is_an_error(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(inotify, "require_spare_watch", fail)
    watcher = Watcher(config(inbox, mode="native"), lambda _: None)
    with pytest.raises(StillwatchError, match="input/output error"):
        watcher.start()
    assert not watcher.alive


def test_a_stop_that_takes_too_long_is_given_up(inbox: Path) -> None:
    entered, release = threading.Event(), threading.Event()

    def found(_: Path) -> None:
        entered.set()
        release.wait(WAIT_SECONDS)

    watcher = Watcher(config(inbox, mode="native"), found)
    watcher.start()
    threads = list(watcher._threads)
    put(inbox / "clip.mp4")
    assert entered.wait(WAIT_SECONDS)
    assert not watcher.stop(0.05)
    release.set()
    for thread in [*threads, *(thread for thread in threading.enumerate() if thread.name == "watch-stop")]:
        thread.join(WAIT_SECONDS)


def test_what_is_left_alone_is_not_watched_at_all(inbox: Path, elsewhere: Path) -> None:
    """A folder of a NAS or of a version control may hold more folders than the kernel has watches."""
    for folder in ("a/b", "a/@eaDir/b", ".hidden/b"):
        (inbox / folder).mkdir(parents=True)
    put(elsewhere / "later/c/@eaDir/x")
    with watching(inbox, mode="native") as found:
        shutil.move(elsewhere / "later", inbox)
        found.wait_for(put(inbox / "later/c/clip.mp4"))
        (inbox / "a/@eaDir").rename(inbox / "a/photos")
        found.wait_for(put(inbox / "a/photos/b/clip.mp4"))
        folders = {path for path in inbox.rglob("*") if path.is_dir()}
        excluded = {".hidden", ".hidden/b", "later/c/@eaDir"}
        assert watched(folders) == folders - {inbox / name for name in excluded}


def test_lost_events_are_told(inbox: Path) -> None:
    lost = threading.Event()
    with small_event_queue(4):
        watcher = Watcher(config(inbox, mode="native"), lambda _: None, lost.set)
        watcher.start()
        try:
            deadline = time.monotonic() + WAIT_SECONDS
            while not lost.is_set():
                assert time.monotonic() < deadline
                subprocess.run(["touch", *(str(inbox / f"{number}.mp4") for number in range(2000))], check=True)
            assert watcher.alive
        finally:
            assert watcher.stop(WAIT_SECONDS)


# --- the walk --------------------------------------------------------------------------------------


def test_scan_finds_everything_that_is_accepted_in_order(inbox: Path) -> None:
    for name in ["b.mp4", "a.MKV", "day/2.mov", "day/1.mov", "day/night/x.ts", "z.mp4/inner.mp4", "noext"]:
        put(inbox / name)
    for name in [".git/x.mp4", "x.mp4.part", "@eaDir/y.mp4", "upload.part/y.mp4"]:
        put(inbox / name)
    assert scanned(inbox) == [
        *("a.MKV", "b.mp4", "noext", "z.mp4"),
        *("day/1.mov", "day/2.mov", "day/night/x.ts", "z.mp4/inner.mp4"),
    ]
    assert scanned(inbox, recursive=False) == ["a.MKV", "b.mp4", "noext", "z.mp4"]


def test_scan_reports_special_files_for_admission_to_refuse(inbox: Path) -> None:
    os.mkfifo(inbox / "pipe.mp4")
    assert scanned(inbox) == ["pipe.mp4"]


def test_scan_and_links(inbox: Path, elsewhere: Path) -> None:
    put(elsewhere / "out.mp4")
    put(inbox / "day/in.mp4")
    (inbox / "a-link.mp4").symlink_to(inbox / "day/in.mp4")
    (inbox / "b-link.mp4").symlink_to(elsewhere / "out.mp4")
    (inbox / "c-dangling.mp4").symlink_to("nowhere")
    (inbox / "d-circle.mp4").symlink_to("d-circle.mp4")
    (inbox / "a-folder").symlink_to(elsewhere)
    (inbox / "a-inside").symlink_to(inbox / "day")
    (inbox / "a-self").symlink_to(inbox)
    (elsewhere / "back").symlink_to(inbox)
    files = ["a-link.mp4", "b-link.mp4", "c-dangling.mp4", "d-circle.mp4", "day/in.mp4"]
    assert scanned(inbox) == files
    assert scanned(inbox, follow_outside=True) == [*files, "a-folder/out.mp4"]


def test_scan_skips_a_folder_that_cannot_be_listed_with_one_warning(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox / "closed/clip.mp4")
    put(inbox / "open/clip.mp4")
    watcher = Watcher(config(inbox), lambda _: None)
    scandir = os.scandir

    def refuse(folder: Any) -> Any:
        if str(folder).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with structlog.testing.capture_logs() as events:
        assert [path.parent.name for path in watcher.scan()] == ["open"]
        assert [path.parent.name for path in watcher.scan()] == ["open"]
    assert [event["event"] for event in events] == ["watch.unreadable"]
    monkeypatch.undo()
    assert len(list(watcher.scan())) == 2


def test_scan_says_when_the_share_fails(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StillwatchError, match="Stale file handle"):
        scanned(inbox)


def test_scan_passes_over_what_is_left_alone_and_reports_no_folder_by_another_ending(inbox: Path) -> None:
    for name in ["film.divx", "notes.txt", "day.d/film.mp4"]:
        put(inbox / name)
    os.mkfifo(inbox / "pipe.dat")
    watcher = Watcher(config(inbox), lambda _: None, left_alone=lambda path: path.endswith(".txt"))
    assert [path.name for path in watcher.scan()] == ["film.divx", "film.mp4"]


def test_scan_of_many_files(inbox: Path) -> None:
    for number in range(2000):
        (inbox / f"{number:05d}.mp4").touch()
    assert len(scanned(inbox)) == 2000
