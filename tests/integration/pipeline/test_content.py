"""What a film is: every byte of its file. Files that are filled in place, replaced, put back, alike in three blocks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.errors import VideoError
from daemon.inbox.again import again
from daemon.inbox.identity import BLOCK_BYTES, fingerprint
from daemon.model import Status
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films
from tests.filled_in_place import blocks_alone
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

FRAMES = 60


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A film of more than three blocks, so that most of it lies between them."""
    options: dict[str, Any] = {"codec": "ffv1", "width": 480, "height": 272, "frames": FRAMES}
    content = films.make(tmp_path_factory.mktemp("films") / "whole.mkv", **options).read_bytes()
    assert len(content) > 4 * BLOCK_BYTES
    return content


def one_hole(content: bytes) -> bytes:
    """One piece of a torrent is missing."""
    start = BLOCK_BYTES + 4096
    return content[:start] + bytes(65_536) + content[start + 65_536 :]


def one_byte(content: bytes) -> bytes:
    """A single byte is another, between the blocks."""
    at = len(content) * 2 // 7
    return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1 :]


UNFINISHED = pytest.mark.parametrize("unfinished", [blocks_alone, one_hole, one_byte])


def fill(path: Path, content: bytes) -> None:
    """Write over a file in place: the same size and inode."""
    with path.open("r+b") as file:
        file.write(content)


@pytest.fixture
def looked(config: Config) -> Callable[[], Any]:
    """The rows of ``videos`` as (id, status, replaced_by, frames, damaged)."""

    async def look() -> list[tuple[Any, ...]]:
        store = await Store.open(config.database)
        try:
            rows = [await store.videos.get(one["id"]) for one in reversed(await store.queries.videos(100))]
            return [(row.id, row.status, row.replaced_by, row.frames_decoded, row.damaged) for row in rows]
        finally:
            await store.close()

    return look


def unproven(config: Config, path: Path) -> set[str]:
    return {one.reason for one in verify.verify(verify.find_stills([path]), config.decode) if not one.proven}


@UNFINISHED
async def test_a_file_that_was_filled_in_place_is_scored_again(
    tmp_path: Path, config: Config, whole: bytes, looked: Any, unfinished: Callable[[bytes], bytes]
) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(unfinished(whole))
    before = film.stat()
    (first,), _ = await once(config, [film])
    assert (first.status, first.damaged) == (Status.DONE, True)
    fill(film, whole)
    assert (film.stat().st_ino, film.stat().st_size) == (before.st_ino, before.st_size)
    assert fingerprint(film).fingerprint == first.file.fingerprint
    (second,), _ = await once(config, [film])
    assert await looked() == [
        (first.id, Status.REPLACED, second.id, first.frames_decoded, True),
        (second.id, Status.DONE, None, FRAMES, False),
    ]
    store = await Store.open(config.database)
    try:
        newest = (await store.queries.selections(second.id))[-1]
        paths = [Path(one["path"]) for one in await store.queries.stills(newest["id"])]
        assert len(await store.frames.hashes(first.id)) == first.frames_decoded
    finally:
        await store.close()
    assert [one for one in verify.verify(paths, config.decode) if not one.proven] == []


@pytest.mark.parametrize("other", [one_hole, one_byte])
async def test_two_films_that_are_alike_in_three_blocks_are_two(
    tmp_path: Path, config: Config, whole: bytes, looked: Any, other: Callable[[bytes], bytes]
) -> None:
    paths = [tmp_path / "one.mkv", tmp_path / "two.mkv"]
    paths[0].write_bytes(whole)
    paths[1].write_bytes(other(whole))
    records, _ = await once(config, paths)
    assert [record.status for record in records] == [Status.DONE, Status.DONE]
    assert records[0].file.fingerprint == records[1].file.fingerprint
    assert records[0].file.digest != records[1].file.digest
    # The same bytes are the same film still.
    (tmp_path / "copy.mkv").write_bytes(whole)
    (copy,), _ = await once(config, [tmp_path / "copy.mkv"])
    assert copy.error_kind == "duplicate"
    assert unproven(config, config.output.path) == set()


async def test_verify_says_of_content_that_was_replaced_what_once_says(
    tmp_path: Path, config: Config, whole: bytes
) -> None:
    """The times are as they were: only the bytes tell."""
    film = tmp_path / "film.mkv"
    film.write_bytes(whole)
    look = film.stat()
    await once(config, [film])
    fill(film, one_byte(whole))
    os.utime(film, ns=(look.st_atime_ns, look.st_mtime_ns))
    assert unproven(config, config.output.path) == {f"{film} is not the file that was scored"}
    (second,), _ = await once(config, [film])
    assert second.id == 2
    fill(film, whole)
    os.utime(film, ns=(look.st_atime_ns, look.st_mtime_ns))
    (third,), _ = await once(config, [film])
    assert (third.id, third.status) == (1, Status.DONE)


async def test_content_that_was_replaced_and_is_put_back_goes_on_where_it_was(
    tmp_path: Path, config: Config, whole: bytes, looked: Any
) -> None:
    film, other = tmp_path / "film.mkv", one_hole(whole)
    film.write_bytes(whole)
    await once(config, [film])
    film.write_bytes(other)
    await once(config, [film])
    film.write_bytes(whole)
    (record,), _ = await once(config, [film])
    assert (record.id, record.status) == (1, Status.DONE)
    assert [row[:3] for row in await looked()] == [(1, Status.DONE, None), (2, Status.REPLACED, 1)]
    elsewhere = tmp_path / "elsewhere.mkv"
    elsewhere.write_bytes(other)
    (moved,), _ = await once(config, [elsewhere])
    assert (moved.id, moved.status, moved.file.path) == (2, Status.DONE, elsewhere)
    assert [row[1] for row in await looked()] == [Status.DONE, Status.DONE]


async def test_retry_reads_a_film_again_that_is_done_whatever_its_times_say(
    tmp_path: Path, config: Config, whole: bytes, looked: Any
) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(blocks_alone(whole))
    look = film.stat()
    (first,), _ = await once(config, [film])
    fill(film, whole)
    os.utime(film, ns=(look.st_atime_ns, look.st_mtime_ns))
    store = await Store.open(config.database)
    try:
        # As an earlier version left it: its digest is not known, so nothing tells that there is more now.
        await store.db.execute("UPDATE videos SET digest = NULL")
        assert await again(store, [str(film)], failed=False) == 1
    finally:
        await store.close()
    await once(config, [film])
    assert await looked() == [(first.id, Status.DONE, None, FRAMES, False)]


async def test_retry_of_what_is_not_there_any_more_leaves_it_as_it_is(
    tmp_path: Path, config: Config, whole: bytes, looked: Any
) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(whole)
    await once(config, [film])
    film.write_bytes(one_hole(whole))
    await once(config, [film])
    film.unlink()
    store = await Store.open(config.database)
    try:
        with pytest.raises(VideoError, match="video 1 was replaced by video 2"):
            await again(store, ["1"], failed=False)
        with pytest.raises(VideoError, match="is not there any more"):
            await again(store, ["film.mkv"], failed=False)
    finally:
        await store.close()
    assert [row[1] for row in await looked()] == [Status.REPLACED, Status.DONE]
