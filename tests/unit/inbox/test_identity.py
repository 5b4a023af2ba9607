"""Which file it is, and whether it still is the one that was admitted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.errors import Kind, VideoError
from daemon.inbox.identity import BLOCK_BYTES, _blocks, check_unchanged, fingerprint, is_unchanged, refuse_outside
from daemon.model import FileIdentity


@pytest.fixture
def file(tmp_path: Path) -> FileIdentity:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"film")
    return FileIdentity(path, "f" * 64, 4, path.stat().st_mtime_ns)


def test_the_file_that_was_admitted_passes(file: FileIdentity) -> None:
    check_unchanged(file)
    assert is_unchanged(file)


def test_a_file_that_went_away_is_missing(file: FileIdentity) -> None:
    file.path.unlink()
    with pytest.raises(VideoError) as caught:
        check_unchanged(file)
    assert not is_unchanged(file)
    assert caught.value.kind is Kind.MISSING


def test_a_file_that_grew_was_changed(file: FileIdentity) -> None:
    with file.path.open("ab") as more:
        more.write(b"!")
    os.utime(file.path, ns=(file.mtime_ns, file.mtime_ns))
    with pytest.raises(VideoError) as caught:
        check_unchanged(file)
    assert not is_unchanged(file)
    assert caught.value.kind is Kind.CHANGED


def test_a_file_that_was_written_again_was_changed_even_by_a_nanosecond(file: FileIdentity) -> None:
    os.utime(file.path, ns=(file.mtime_ns, file.mtime_ns + 1))
    with pytest.raises(VideoError) as caught:
        check_unchanged(file)
    assert not is_unchanged(file)
    assert caught.value.kind is Kind.CHANGED


def test_a_file_that_cannot_be_looked_at_is_unreadable_with_the_reason(
    file: FileIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> os.stat_result:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "stat", broken)
    with pytest.raises(VideoError, match="Input/output error") as caught:
        check_unchanged(file)
    assert not is_unchanged(file)
    assert caught.value.kind is Kind.UNREADABLE


@pytest.mark.parametrize(
    ("size", "blocks"),
    [
        (1, [(0, 1)]),
        (3 * BLOCK_BYTES, [(0, 3 * BLOCK_BYTES)]),
        (
            3 * BLOCK_BYTES + 1,
            [(0, BLOCK_BYTES), (BLOCK_BYTES, BLOCK_BYTES), (2 * BLOCK_BYTES + 1, BLOCK_BYTES)],
        ),
        (
            9 * BLOCK_BYTES,
            [(0, BLOCK_BYTES), (4 * BLOCK_BYTES, BLOCK_BYTES), (8 * BLOCK_BYTES, BLOCK_BYTES)],
        ),
    ],
)
def test_blocks(size: int, blocks: list[tuple[int, int]]) -> None:
    assert _blocks(size) == blocks


def test_a_name_with_nul_is_refused_before_the_disk_is_asked() -> None:
    path = Path("/inbox/a\0b.mp4")
    with pytest.raises(VideoError, match="rename the file") as one:
        fingerprint(path)
    with pytest.raises(VideoError) as two:
        refuse_outside(path, Path("/inbox"), False)
    assert one.value.kind is two.value.kind is Kind.UNSAFE_NAME
