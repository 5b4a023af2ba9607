"""A film that takes more than it may ends with a sentence and gives back what it took; the others go on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.config.schema import Config
from daemon.config.score import DecodeConfig
from daemon.config.service import DatabaseConfig
from daemon.decode import budget
from daemon.decode.probe import probe
from daemon.errors import Kind, StoreError, VideoError
from daemon.inbox import identity
from daemon.model import Scored, Status
from daemon.pipeline.film_budget import FilmBudget
from daemon.service.foreground import once
from daemon.store.room import FRAME_BYTES
from daemon.store.store import Store
from tests import corpus, films, hostile
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

ROOT = Path(__file__).parents[3]
TABLES = ("decoded_frames", "frame_scores", "feature_blocks", "strip_pictures")


def settings(tmp_path: Path, **sections: Any) -> Config:
    base = {"output": {"path": tmp_path / "out"}, "database": {"path": tmp_path / "db.sqlite"}}
    return Config.model_validate({**base, **sections})


async def rows_left(config: Config, video_id: int) -> dict[str, int]:
    store = await Store.open(config.database)
    try:
        counts = {}
        for table in TABLES:
            async with store.db.execute(f"SELECT COUNT(*) FROM {table} WHERE video_id = ?", (video_id,)) as cursor:
                ((counts[table],),) = await cursor.fetchall()
        return counts
    finally:
        await store.close()


@pytest.mark.usefixtures("stub_scorer")
@pytest.mark.parametrize("build", hostile.FRAMES_OF_NOTHING)
async def test_more_frames_than_the_file_has_bytes_for(build: corpus.Build, tmp_path: Path) -> None:
    config = settings(tmp_path)
    film, good = build(tmp_path), films.make(tmp_path / "good.mp4", frames=30)
    (bad, done), _ = await once(config, [film, good])
    assert (bad.status, bad.error_kind) == (Status.REJECTED, Kind.TOO_LARGE), bad.error
    assert "decode.max_frames_per_kib" in (bad.error or "")
    assert done.status is Status.DONE
    assert set((await rows_left(config, bad.id)).values()) == {0}
    assert config.database.path.stat().st_size < 24 * 1024**2


@pytest.mark.usefixtures("stub_scorer")
@pytest.mark.parametrize(
    ("setting", "value"), [("max_frames", 20), ("work_seconds", 1.0), ("memory_bytes", 64 * 1024**2)]
)
async def test_each_bound_has_its_sentence(setting: str, value: float, tmp_path: Path) -> None:
    large = setting == "memory_bytes"
    film = corpus.lavfi(
        tmp_path / "film.mkv",
        f"color=gray:s={'4000x3000' if large else '64x64'}:d={0.1 if large else 400}:r=25",
        "-c:v",
        "mjpeg",
    )
    config = settings(tmp_path, decode={setting: value})
    (record,), _ = await once(config, [film])
    assert (record.status, record.error_kind) == (Status.REJECTED, Kind.TOO_LARGE), record.error
    assert f"decode.{setting}" in (record.error or "")
    assert set((await rows_left(config, record.id)).values()) == {0}


def test_large_frames_get_fewer_threads(tmp_path: Path) -> None:
    film = corpus.lavfi(tmp_path / "film.mkv", "color=gray:s=4000x3000:d=0.1", "-c:v", "mjpeg", "-pix_fmt", "yuvj444p")
    info = probe(film, DecodeConfig())
    frame, picture = 36_000_000, 36_000_000
    for threads in (1, 3, 8):
        memory = picture * 3 + frame * (4 + threads) + 1000
        assert budget.threads_for(info, DecodeConfig(memory_bytes=memory, threads=8)) == threads
        assert budget.threads_for(info, DecodeConfig(memory_bytes=2 * memory, threads=8, concurrency=2)) == threads
        assert budget.ahead_for(info, DecodeConfig(memory_bytes=memory, threads=8)) == 0, "threads come first"
    for ahead in (1, 2, 3):
        memory = picture * 3 + frame * (4 + 8 + ahead) + 1000
        assert budget.ahead_for(info, DecodeConfig(memory_bytes=memory, threads=8)) == ahead
    assert budget.threads_for(info, DecodeConfig(memory_bytes=2**34)) == 0, "as many as FFmpeg takes"
    assert budget.ahead_for(info, DecodeConfig(memory_bytes=2**34)) == budget.AHEAD_FRAMES
    with pytest.raises(VideoError, match=r"decode\.memory_bytes"):
        budget.threads_for(info, DecodeConfig(memory_bytes=picture * 3 + frame * 5 - 1000))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "db"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.usefixtures("stub_scorer")
async def test_a_film_that_fills_the_disk_of_the_database_makes_room_for_the_next(
    small_disk: Path, tmp_path: Path
) -> None:
    config = settings(
        tmp_path,
        database={"path": small_disk / "db.sqlite", "disk_margin_bytes": 6 * 1024**2},
        decode={"max_frames_per_kib": 100_000},
    )
    film, good = hostile.smallest_pictures(tmp_path), films.make(tmp_path / "good.mp4", frames=30)
    (large, done), _ = await once(config, [film, good])
    assert (large.status, large.error_kind) == (Status.FAILED, Kind.NO_ROOM), large.error
    assert done.status is Status.DONE
    assert set((await rows_left(config, large.id)).values()) == {0}


class Disk:
    free = 0

    async def free_bytes(self) -> int:
        return self.free


async def test_the_film_whose_rows_fill_the_disk_goes_and_any_other_waits() -> None:
    disk, now = Disk(), [0.0]
    config = Config.model_validate({"database": {"disk_margin_bytes": 1_000_000}})
    film = FilmBudget(config, disk, lambda: now[0])
    disk.free = 1_000_000
    await film.require(10**6)
    disk.free = 0
    await film.require(10**6)  # looked at a moment ago
    now[0] = 1.0
    with pytest.raises(VideoError, match=r"database\.disk_margin_bytes") as own:
        await film.require(1_000_000 // FRAME_BYTES + 1)
    now[0] = 2.0
    with pytest.raises(StoreError) as others:
        await film.require(1_000_000 // FRAME_BYTES - 1)
    assert (own.value.kind, others.value.kind) == (Kind.NO_ROOM, Kind.DISK_FULL)
    assert Kind.NO_ROOM.retryable


async def test_a_film_whose_scoring_takes_too_long_by_the_clock_goes() -> None:
    """However little its decoder computes, which has a limit of its own."""
    disk, now = Disk(), [0.0]
    disk.free = 10**15
    film = FilmBudget(Config.model_validate({"decode": {"work_seconds": 60.0}}), disk, lambda: now[0])
    now[0] = 60.0
    await film.require(1)
    now[0] = 60.1
    with pytest.raises(VideoError, match=r"decode\.work_seconds = 60 to be scored") as caught:
        await film.require(1)
    assert caught.value.kind is Kind.TOO_LARGE


async def test_what_is_given_back_is_room_for_others(tmp_path: Path) -> None:
    store = await Store.open(DatabaseConfig(path=tmp_path / "db.sqlite"))
    try:
        ids = []
        for name in ("one.mp4", "two.mp4"):
            ids.append(await store.queue.enqueue(identity.fingerprint(films.make(tmp_path / name, frames=3))))
            rows = [Scored(n, n, n / 25, 1.0, None, f"{n:040x}", bytes(400)) for n in range(45_000)]
            await store.frames.add(ids[-1], rows)
        await store.flush()
        before = await store.room.free_bytes()
        assert await store.room.give_back(ids[0]) == 45_000
        assert await store.frames.decoded(ids[0]) == []
        assert len(await store.frames.decoded(ids[1])) == 45_000
        assert await store.room.free_bytes() > before - 64 * 1024**2
        async with store.db.execute("PRAGMA freelist_count") as cursor:
            ((pages,),) = await cursor.fetchall()
        assert pages > 500
    finally:
        await store.close()


DAMAGED = """
import asyncio, gc, json, sys, time
from pathlib import Path
from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.runtime.stream import ThreadStream
gc.disable()
config = DecodeConfig(threads=4)

def now(most=0):
    # Threads that have given their last are about to end.
    until = time.monotonic() + 10
    while True:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        memory, threads = int(status["VmRSS"].split()[0]) // 1024, int(status["Threads"])
        if threads <= most or time.monotonic() > until:
            return memory, threads
        time.sleep(0.01)

async def read(film):
    frames = decode_frames(probe(film, config), config, DecodeReport(), single_thread=False)
    stream = ThreadStream(frames, name="decode", what="it", stall_seconds=60, capacity_bytes=1, nbytes=lambda f: 1)
    async with stream:
        async for frame in stream:
            del frame
    raise AssertionError("no sign of damage")

def one(film):
    try:
        asyncio.run(read(film))
    except DamageError as error:
        # Kept, as a log or a cause keeps it.
        return error

kept = [one(Path(sys.argv[1]))]
first = now(1)
kept += [one(Path(sys.argv[1])) for _ in range(11)]
print(json.dumps([first, now(first[1])]))
"""


def test_damaged_films_in_a_row_keep_no_decoder(tmp_path: Path) -> None:
    film = corpus.encode(tmp_path / "film.mkv", *corpus.X264, numbers=range(8), width=1920, height=1080)
    data = bytearray(film.read_bytes())
    data[len(data) * 2 // 3 : len(data) * 2 // 3 + 4000] = bytes(4000)
    film.write_bytes(data)
    run = [sys.executable, "-c", DAMAGED, str(film)]
    printed = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT, timeout=200)
    (first_mib, first_threads), (mib, threads) = json.loads(printed.stdout)
    assert threads <= first_threads
    assert mib < first_mib + 60
