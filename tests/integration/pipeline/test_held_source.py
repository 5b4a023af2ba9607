"""The file that was admitted is the file that is hashed, decoded and exported, whatever takes its name meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.config.schema import Config
from daemon.errors import Kind, VideoError
from daemon.inbox import held_source, identity
from daemon.inbox.enqueue import enter
from daemon.inbox.held_source import held
from daemon.job import VideoJob
from daemon.model import Status, VideoRecord
from daemon.pipeline import export_video, score_video
from daemon.scan import local
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

FRAMES = 12


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "inbox").mkdir()
    return Config.model_validate(
        {
            "watch": {"path": tmp_path / "inbox"},
            "output": {"path": tmp_path / "stills"},
            "database": {"path": tmp_path / "s.db"},
            "select": {"count": 2, "min_gap_seconds": 0.1},
        }
    )


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.make(tmp_path / "inbox" / "film.mkv", codec="ffv1", frames=FRAMES)


@pytest.fixture
def private(tmp_path: Path, film: Path) -> Path:
    """Somebody's own film outside of the watch folder, as large as the admitted one and of the same time."""
    (tmp_path / "private").mkdir()
    other = films.make(tmp_path / "private" / "own.mkv", codec="ffv1", frames=FRAMES, numbers=range(100, 100 + FRAMES))
    size = max(film.stat().st_size, other.stat().st_size) + 64
    for path in (film, other):
        void = size - path.stat().st_size
        # An EBML element that stands for nothing (RFC 8794, 11.3.2).
        path.write_bytes(path.read_bytes() + b"\xec\x01" + (void - 9).to_bytes(7, "big") + bytes(void - 9))
        os.utime(path, ns=(1_700_000_000_000_000_000, 1_700_000_000_000_000_000))
    assert film.stat().st_size == other.stat().st_size
    return other


def by_a_link(film: Path, private: Path) -> None:
    film.unlink()
    film.symlink_to(private)


def by_links_in_a_row(film: Path, private: Path) -> None:
    film.unlink()
    (film.parent / ".between").symlink_to(private)
    film.symlink_to(film.parent / ".between")


def by_the_file_itself(film: Path, private: Path) -> None:
    private.replace(film)


def by_a_linked_folder(film: Path, private: Path) -> None:
    film.parent.rename(film.parent.with_name("before"))
    private.rename(private.with_name(film.name))
    film.parent.symlink_to(private.parent)


Swap = Callable[[Path, Path], None]
SWAPS = [by_a_link, by_links_in_a_row, by_the_file_itself, by_a_linked_folder]


async def hashes(config: Config, record: VideoRecord) -> list[str]:
    store = await Store.open(config.database)
    try:
        return await store.frames.hashes(record.id)
    finally:
        await store.close()


async def hashes_of(path: Path, tmp_path: Path) -> list[str]:
    """What the frames of a film are, scored elsewhere."""
    config = Config.model_validate(
        {"output": {"path": tmp_path / "other"}, "database": {"path": tmp_path / f"{path.stem}.db"}}
    )
    (record,), _ = await once(config, [path])
    return await hashes(config, record)


@pytest.mark.parametrize("swap", SWAPS)
async def test_what_takes_the_name_once_it_was_hashed_is_not_decoded(
    config: Config, film: Path, private: Path, swap: Swap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, theirs = await hashes_of(film, tmp_path), await hashes_of(private, tmp_path)
    assert not set(good) & set(theirs)

    async def then_swap(*arguments: Any, **options: Any) -> Any:
        found = await identity.content_of(*arguments, **options)
        swap(film, private)
        return found

    monkeypatch.setattr(local, "content_of", then_swap)
    (record,), _ = await once(config, [film])
    assert await hashes(config, record) in (good, [])
    # Nor is it what the stills are cut from.
    assert record.status is not Status.DONE
    assert not list(config.output.path.rglob("*.png"))


@pytest.mark.parametrize("swap", SWAPS)
async def test_what_takes_the_name_during_the_export_is_not_cut(
    config: Config, film: Path, private: Path, swap: Swap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selector = export_video.FrameSelector

    class ThenSwap(selector):  # type: ignore[misc, valid-type]
        async def select(self, *arguments: Any) -> Any:
            if film.resolve() == film and private.exists():
                swap(film, private)
            return await super().select(*arguments)

    monkeypatch.setattr(export_video, "FrameSelector", ThenSwap)
    (record,), _ = await once(config, [film])
    assert film.is_symlink() or not private.exists(), "it was swapped"
    assert record.status is Status.DONE
    shown = [films.read_still(still) for still in config.output.path.rglob("*.png")]
    assert shown
    assert set(shown) <= set(range(FRAMES))


@pytest.mark.parametrize("swap", [by_a_link, by_links_in_a_row])
async def test_other_content_behind_a_link_is_not_taken_instead(
    config: Config, film: Path, private: Path, swap: Swap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that leads out is refused when a file is admitted, so also when it takes an admitted file's place."""
    begin = score_video.VideoScorer.score

    async def swapped_first(self: Any, *arguments: Any) -> Any:
        if private.exists() and not film.is_symlink():
            swap(film, private)
        return await begin(self, *arguments)

    monkeypatch.setattr(score_video.VideoScorer, "score", swapped_first)
    (record,), _ = await once(config, [film])
    assert record.status in (Status.REJECTED, Status.MISSING)
    store = await Store.open(config.database)
    try:
        async with store.db.execute("SELECT fingerprint FROM videos UNION SELECT hash FROM decoded_frames") as rows:
            assert [row[0] for row in await rows.fetchall()] == [record.file.fingerprint]
    finally:
        await store.close()


async def test_nothing_is_left_in_the_folder_for_temporary_files(
    config: Config, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    (record,), _ = await once(config, [film])
    assert record.status is Status.DONE
    assert list((tmp_path / "tmp").iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_a_start_tidies_up_what_killed_runs_left_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True)
    left = tmp_path / f"stillwatch-held-{ended.stdout.strip()}-abcd1234"
    left.mkdir()
    (left / "film.mp4").symlink_to("/proc/1/fd/9")
    others = [tmp_path / "stillwatch-held-1-abcd1234", tmp_path / "stillwatch-held-notes"]
    for folder in others:
        folder.mkdir()
    assert held_source.clean() == 1
    assert sorted(tmp_path.iterdir()) == others


async def test_who_tidies_up_temporary_files_meanwhile_spoils_nothing(config: Config, film: Path) -> None:
    store = await Store.open(config.database)
    try:
        job = VideoJob.of(await enter(store, identity.fingerprint(film), copies=False), 60.0)
        before = len(list(Path("/proc/self/fd").iterdir()))
        async with held(job, config.watch) as with_source:
            assert with_source.reading is not None
            shutil.rmtree(with_source.reading.parent)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        await store.close()


async def test_what_is_opened_after_nobody_waits_for_it_is_closed(
    config: Config, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, closed, opening = threading.Event(), threading.Event(), held_source._open
    close = held_source._Held.close

    def hangs(*arguments: Any) -> Any:
        goes_on.wait(60.0)
        return opening(*arguments)

    monkeypatch.setattr(held_source, "_open", hangs)
    monkeypatch.setattr(held_source._Held, "close", lambda self: (close(self), closed.set()))
    store = await Store.open(config.database)
    try:
        record = await enter(store, identity.fingerprint(film), copies=False)
        with pytest.raises(VideoError, match="opening the file") as caught:
            async with held(VideoJob.of(record, 0.5), config.watch):
                pass
        assert caught.value.kind is Kind.STUCK
        goes_on.set()
        assert await asyncio.to_thread(closed.wait, 30.0)
    finally:
        goes_on.set()
        await store.close()


async def test_an_error_of_the_open_file_names_the_film(
    config: Config, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, calls = identity._digest, []

    def breaks(*arguments: Any) -> str:
        calls.append(arguments)
        if len(calls) > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return digest(*arguments)

    monkeypatch.setattr(identity, "_digest", breaks)
    (record,), _ = await once(config, [film])
    assert record.error is not None
    assert record.error.startswith(f"{film} cannot be read (Input/output error)")
