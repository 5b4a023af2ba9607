"""Fingerprints and refusals on real files."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import Kind, VideoError
from daemon.inbox.identity import BLOCK_BYTES, fingerprint, identify, refuse_outside
from daemon.inbox.stability import StabilityTracker


def refused(path: Path) -> VideoError:
    with pytest.raises(VideoError) as caught:
        fingerprint(path)
    assert str(path) in caught.value.sentence
    assert caught.value.sentence.count("\n") == 0
    return caught.value


def expected(content: bytes) -> str:
    """The definition again, written without any of the code's helpers."""
    mib = 1 << 20
    size = len(content)
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    if size <= 3 * mib:
        digest.update(content)
    else:
        middle = (size - mib) // 2
        digest.update(content[:mib])
        digest.update(content[middle : middle + mib])
        digest.update(content[-mib:])
    return digest.hexdigest()


@pytest.mark.parametrize("size", [1, BLOCK_BYTES, 3 * BLOCK_BYTES, 3 * BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 12345])
def test_fingerprint(tmp_path: Path, size: int) -> None:
    content = (hashlib.sha512(str(size).encode()).digest() * (size // 64 + 1))[:size]
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(content)
    os.utime(clip, ns=(1, 1_234_567_890_123_456_789))
    identity = fingerprint(clip)
    assert identity.path == clip
    assert identity.fingerprint == expected(content)
    assert (identity.size_bytes, identity.mtime_ns) == (size, 1_234_567_890_123_456_789)


def test_a_known_value_that_must_never_change(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"stillwatch")
    assert fingerprint(clip).fingerprint == (hashlib.sha256(b"\x0a\x00\x00\x00\x00\x00\x00\x00stillwatch").hexdigest())


def test_a_copy_under_another_name_is_the_same_and_other_content_is_not(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one.mp4", "two.mkv", "three.mp4"))
    one.write_bytes(bytes(4 * BLOCK_BYTES))
    two.write_bytes(bytes(4 * BLOCK_BYTES))
    three.write_bytes(bytes(4 * BLOCK_BYTES - 1) + b"\x01")
    assert fingerprint(one).fingerprint == fingerprint(two).fingerprint != fingerprint(three).fingerprint


def test_a_huge_file_is_read_in_no_time(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with clip.open("wb") as file:
        file.truncate(1 << 40)
    assert fingerprint(clip).size_bytes == 1 << 40


def test_a_link_has_the_identity_of_its_target(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"abc")
    link = tmp_path / "link.mp4"
    link.symlink_to(clip)
    assert fingerprint(link).fingerprint == fingerprint(clip).fingerprint
    assert fingerprint(link).path == link


def test_odd_names(tmp_path: Path) -> None:
    for name in [b"caf\xe9.mp4", b"a\nb.mp4", b"-i %d 'x'.mp4"]:
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(b"abc")
        assert fingerprint(path).size_bytes == 3


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "what"),
    [(os.mkfifo, "a named pipe"), (os.mkdir, "a folder"), (make_socket, "a socket")],
    ids=["fifo", "folder", "socket"],
)
def test_what_is_no_file_is_refused_without_blocking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Any], None], what: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name may not be long
    make(Path("clip.mp4"))
    error = refused(Path("clip.mp4"))
    assert error.kind is Kind.NOT_A_FILE
    assert what in error.sentence


def test_a_device_is_refused_even_through_a_link(tmp_path: Path) -> None:
    link = tmp_path / "clip.mp4"
    link.symlink_to("/dev/zero")
    assert refused(link).kind is Kind.NOT_A_FILE


def test_a_pipe_that_takes_the_files_place_at_the_last_moment_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"abc")
    real_open = os.open

    def open_late(path: Path, flags: int) -> int:
        clip.unlink()
        os.mkfifo(clip)
        return real_open(path, flags)

    monkeypatch.setattr(os, "open", open_late)
    assert refused(clip).kind is Kind.NOT_A_FILE


def test_empty_and_missing(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert refused(empty).kind is Kind.EMPTY
    assert refused(tmp_path / "none.mp4").kind is Kind.MISSING
    assert refused(empty / "below.mp4").kind is Kind.MISSING
    dangling = tmp_path / "dangling.mp4"
    dangling.symlink_to("none.mp4")
    assert refused(dangling).kind is Kind.MISSING
    circle = tmp_path / "circle.mp4"
    circle.symlink_to("circle.mp4")
    assert refused(circle).kind is Kind.NOT_A_FILE


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "permission"),
        (BlockingIOError(errno.EAGAIN, "try again"), "another program"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, text: str) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"abc")

    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(os, "open", fail)
    answer = refused(clip)
    assert answer.kind is Kind.UNREADABLE
    assert answer.kind.retryable
    assert text in answer.sentence


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"abc")
    clip.chmod(0)
    assert refused(clip).kind is Kind.UNREADABLE


def append(clip: Path) -> None:
    with clip.open("ab") as file:
        file.write(b"more")


def rewrite(clip: Path) -> None:
    clip.write_bytes(bytes(clip.stat().st_size))
    os.utime(clip, ns=(0, clip.stat().st_mtime_ns + 1))


def truncate(clip: Path) -> None:
    os.truncate(clip, 10)


def replace(clip: Path) -> None:
    other = clip.with_suffix(".new")
    other.write_bytes(clip.read_bytes())
    os.utime(other, ns=(0, clip.stat().st_mtime_ns))
    other.replace(clip)


@pytest.mark.parametrize("change", [append, rewrite, truncate, replace])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(5 * BLOCK_BYTES))
    real_pread = os.pread
    reads: list[int] = []

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        data = real_pread(descriptor, length, offset)
        reads.append(offset)
        if len(reads) == 2:
            change(clip)
        return data

    monkeypatch.setattr(os, "pread", pread)
    assert refused(clip).kind is Kind.CHANGED


def test_a_file_that_goes_away_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"abc")
    real_pread = os.pread

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        clip.unlink()
        return real_pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    assert refused(clip).kind is Kind.MISSING


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"abc")
    folder = tmp_path / "folder.mp4"
    folder.mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    fingerprint(clip)
    refused(folder)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def _sparse(path: Path, *written: tuple[int, int], size: int) -> Path:
    """A file of this size in which only these stretches, (offset, length) in bytes, were written."""
    with path.open("wb") as file:
        for offset, length in written:
            file.seek(offset)
            file.write(b"x" * length)
        file.truncate(size)
    return path


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "written",
    [[], [(0, 4096)], [(0, 8 * 1024**2), (9 << 40, 4096)], [(at * 65536, 4096) for at in range(2000)]],
    ids=["nothing", "a beginning", "two ends", "many stretches"],
)
def test_a_file_that_is_little_but_holes_is_not_read_to_its_end(written: list[tuple[int, int]], tmp_path: Path) -> None:
    clip = _sparse(tmp_path / "clip.mkv", *written, size=10 << 40)
    with pytest.raises(VideoError, match="holes that nobody has written") as caught:
        identify(clip)
    assert caught.value.kind is Kind.EMPTY
    assert str(clip) in str(caught.value)


def test_some_holes_are_no_matter(tmp_path: Path) -> None:
    few = _sparse(tmp_path / "few.mkv", (0, 1024**2), size=200 * 1024**2)
    plain = tmp_path / "plain.mkv"
    plain.write_bytes(few.read_bytes())
    assert identify(few).digest == identify(plain).digest


def test_links_that_leave_the_folder(tmp_path: Path) -> None:
    inbox, outside = tmp_path / "inbox", tmp_path / "inbox-2"
    inbox.mkdir()
    outside.mkdir()
    (outside / "out.mp4").write_bytes(b"abc")
    (inbox / "in.mp4").write_bytes(b"abc")
    (inbox / "good.mp4").symlink_to("in.mp4")
    (inbox / "bad.mp4").symlink_to("../inbox-2/out.mp4")
    (inbox / "chain.mp4").symlink_to("bad.mp4")
    (inbox / "folder").symlink_to(outside)
    (inbox / "circle.mp4").symlink_to("circle.mp4")
    (inbox / "gone.mp4").symlink_to("/nowhere/x.mp4")
    (tmp_path / "alias").symlink_to(inbox)

    for name in ["in.mp4", "good.mp4", "circle.mp4", "not-there.mp4"]:
        refuse_outside(inbox / name, inbox, False)
        refuse_outside(tmp_path / "alias" / name, tmp_path / "alias", False)
    for name in ["bad.mp4", "chain.mp4", "folder/out.mp4", "gone.mp4"]:
        with pytest.raises(VideoError, match=r"watch\.follow_outside") as caught:
            refuse_outside(inbox / name, inbox, False)
        assert caught.value.kind is Kind.OUTSIDE_FOLDER
        refuse_outside(inbox / name, inbox, True)


def test_a_growing_file_settles_after_its_last_write(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    settle = 0.2
    tracker = StabilityTracker(settle)
    tracker.noticed(clip)
    settled = []
    writes = 0
    while (wait := tracker.next_due(time.monotonic())) is not None:
        if writes < 6:
            with clip.open("ab") as file:
                file.write(b"x" * 1000)
            writes += 1
            written_at = time.monotonic()
        threading.Event().wait(wait)
        settled += tracker.poll(time.monotonic())
    assert [(item.path, item.size_bytes) for item in settled] == [(clip, 6_000)]
    assert time.monotonic() - written_at >= settle
    assert fingerprint(clip).size_bytes == 6_000
