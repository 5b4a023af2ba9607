"""A scored film keeps where its packets lie; its stills, second opinions and proofs come from frames that are sought."""

from __future__ import annotations

import asyncio
import resource
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from daemon.cli import verify
from daemon.config.output import ExportConfig
from daemon.config.schema import Config
from daemon.decode.damage import DecodeReport
from daemon.decode.packet_index import PacketIndex
from daemon.decode.seek import index_of
from daemon.export import ffmpeg_process, metadata
from daemon.export.exporter import Exporter
from daemon.model import FileIdentity, Method, Status
from daemon.pipeline.reference import FilmPackets, PyavReference
from daemon.pipeline.reselect import reselect
from daemon.scan import apart
from daemon.scan.again import Again, Way
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import corpus, films
from tests.integration.decode.test_seek import KINDS
from tests.integration.export.test_exporter import DECODE, Bench
from tests.jobs import scored_job
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

FRAMES = 240


def config_in(folder: Path, *, count: int = 2, **more: Any) -> Config:
    output = {"path": folder / "out", **more.pop("output", {})}
    return Config.model_validate(
        {
            "output": output,
            "database": {"path": folder / "db.sqlite"},
            "select": {"strategy": "best", "count": count, "min_gap_seconds": 1.0, "start": 4.0},
            "export": {"disk_margin_bytes": 0},
            **more,
        }
    )


def film_in(folder: Path, name: str = "film.mp4", **more: Any) -> Path:
    return films.make(folder / name, frames=FRAMES, options={"bf": "2", "g": "12"}, **more)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(config_in(tmp_path).database)
    yield opened
    await opened.close()


def pixels(folder: Path) -> dict[str, bytes]:
    """By the frame's number: the images, without the facts that they carry."""
    stills = verify.find_stills([folder])
    return {metadata.read(still)["frame"]: metadata.remove(still.read_bytes()) for still in stills}


def samples(folder: Path) -> dict[str, tuple[str, tuple[int, int], bytes]]:
    """By the frame's number: what the images hold, sample by sample."""
    found = {}
    for still in verify.find_stills([folder]):
        with Image.open(still) as image:
            found[metadata.read(still)["frame"]] = (image.mode, image.size, image.tobytes())
    return found


async def whole_pass(config: Config, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same film with nothing to seek by."""

    async def nothing(_: FilmPackets) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(FilmPackets, "index", nothing)
        await once(config, [film])


@pytest.mark.parametrize(
    ("name", "form", "film"),
    [
        ("film.mp4", "png", {}),
        ("film.mp4", "jpeg", {}),
        ("film.ts", "png", {}),
        ("deep.mkv", "png", {"codec": "libx265", "pix_fmt": "yuv420p10le"}),
    ],
)
async def test_stills_by_seeking_are_the_files_of_the_whole_pass(
    name: str, form: str, film: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film_in(tmp_path, name, **film)
    for folder in ("sought", "passed"):
        (tmp_path / folder).mkdir()
    sought, passed = (config_in(tmp_path / folder, output={"format": form}) for folder in ("sought", "passed"))
    await once(sought, [path])
    await whole_pass(passed, path, monkeypatch)
    assert pixels(tmp_path / "sought") == pixels(tmp_path / "passed")
    for config, method in ((sought, Method.SEEK), (passed, Method.BATCH)):
        store = await Store.open(config.database)
        (selection,) = await store.queries.selections(1)
        assert {still["method"] for still in await store.queries.stills(selection["id"])} == {method}
        await store.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
async def test_stills_of_every_kind_of_film_are_bit_for_bit_those_of_the_whole_pass(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = KINDS[name].build(tmp_path)
    select = {"strategy": "best", "count": 2, "min_gap_seconds": 1.0, "start": 2.0}
    sought, passed = (config_in(tmp_path / place, select=select) for place in ("sought", "passed"))
    (record,), _ = await once(sought, [path])
    assert record.status is Status.DONE
    await whole_pass(passed, path, monkeypatch)
    proven = samples(tmp_path / "sought")
    assert proven
    # FFmpeg itself notes the shape of the pixels in what it cuts from some films, so the files may be others.
    assert proven == samples(tmp_path / "passed")
    store = await Store.open(sought.database)
    (selection,) = await store.queries.selections(1)
    methods = [still["method"] for still in await store.queries.stills(selection["id"])]
    await store.close()
    print(f"{name}: {', '.join(methods)}")
    if name in ("no-pts", "one-key"):
        assert Method.SEEK not in methods


async def test_an_index_is_kept_with_every_scored_film(tmp_path: Path, store: Store) -> None:
    await once(config_in(tmp_path), [film_in(tmp_path)])
    record = await store.frames.packet_index(1)
    assert record is not None
    assert len(record) < 8 * FRAMES
    assert len(PacketIndex.unpacked(record)) == FRAMES
    async with store.db.execute("SELECT packets FROM packet_index") as cursor:
        assert [tuple(row) for row in await cursor.fetchall()] == [(FRAMES,)]


@pytest.mark.parametrize("old", ["DELETE FROM packet_index", "UPDATE packet_index SET record = x'0909'"])
async def test_a_film_without_a_usable_index_is_read_once(old: str, tmp_path: Path, store: Store) -> None:
    await once(config_in(tmp_path), [film_in(tmp_path)])
    before = await store.frames.packet_index(1)
    async with store.writing() as db:
        await db.execute(old)
    await reselect(config_in(tmp_path, count=3), store, "1")
    assert await store.frames.packet_index(1) == before
    newest = (await store.queries.selections(1))[-1]
    assert {still["method"] for still in await store.queries.stills(newest["id"])} == {Method.SEEK}


async def test_the_index_goes_with_its_film(tmp_path: Path, store: Store) -> None:
    await once(config_in(tmp_path), [film_in(tmp_path)])
    async with store.writing() as db:
        await db.execute("DELETE FROM videos")
    assert await store.frames.packet_index(1) is None


async def test_several_stills_are_encoded_in_one_run(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await once(config_in(tmp_path, count=1), [film_in(tmp_path)])
    runs: list[list[str]] = []
    real = ffmpeg_process.run

    async def counted(capabilities: Any, arguments: list[str], *rest: Any) -> Any:
        runs.append(arguments)
        return await real(capabilities, arguments, *rest)

    monkeypatch.setattr(ffmpeg_process, "run", counted)
    await reselect(config_in(tmp_path, count=4), store, "1")
    assert len(runs) == 1
    assert "pipe:0" in runs[0]
    assert len(pixels(tmp_path / "out")) == 4


async def test_an_ffmpeg_that_cannot_encode_from_a_pipe_cuts_the_stills_itself(tmp_path: Path, store: Store) -> None:
    binary = tmp_path / "ffmpeg"
    real = ffmpeg_process.find_binary("")
    binary.write_text(f'#!/bin/sh\ncase "$*" in *pipe:0*) exit 1;; esac\nexec "{real}" "$@"\n')
    binary.chmod(0o755)
    config = config_in(tmp_path, export={"ffmpeg": str(binary), "disk_margin_bytes": 0})
    await once(config, [film_in(tmp_path)])
    (selection,) = await store.queries.selections(1)
    assert [still["method"] for still in await store.queries.stills(selection["id"])] == [Method.BATCH] * 2


async def test_stills_are_verified_by_seeking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path)
    await once(config, [film_in(tmp_path)])
    ways: list[Way] = []
    real = verify.Decoding

    def noted(work: Any, **how: Any) -> Any:
        ways.extend([work.way] if isinstance(work, Again) else [])
        return real(work, **how)

    monkeypatch.setattr(verify, "Decoding", noted)
    verdicts = list(verify.verify(verify.find_stills([tmp_path / "out"]), config.decode))
    assert [verdict.reason for verdict in verdicts] == ["", ""]
    assert ways == [Way.SEEK]


async def test_a_still_with_a_true_picture_and_a_false_number_is_found_out(tmp_path: Path) -> None:
    """By its pts alone it would be found; which frame it is, only counting says."""
    config = config_in(tmp_path)
    await once(config, [film_in(tmp_path)])
    still = verify.find_stills([tmp_path / "out"])[0]
    facts = metadata.read(still)
    facts["frame"] = str(int(facts["frame"]) - 1)
    with Image.open(still) as image:
        bare = np.asarray(image)
    copy = tmp_path / "copy.png"
    Image.fromarray(bare).save(copy)
    copy.write_bytes(metadata.embed(copy.read_bytes(), facts))
    (verdict,) = verify.verify([copy], config.decode)
    assert "has hash" in verdict.reason


def repeated(folder: Path, minutes: int) -> Path:
    """A film of so many minutes, 426x240 at 25 frames per second: the packets of one minute again and again."""
    minute = corpus.lavfi(
        folder / "minute.mp4", "testsrc2=size=426x240:rate=25:duration=60,noise=alls=10:allf=t",
        "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "133", "-crf", "28", "-pix_fmt", "yuv420p",
    )  # fmt: skip
    return films.remux(minute, folder / "film.mp4", "-c", "copy", before=("-stream_loop", str(minutes - 1)))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("minutes", "most"), [(10, 0.2), (60, 0.05)])
async def test_ten_stills_cost_a_small_part_of_a_pass(
    minutes: int, most: float, tmp_path: Path, ffmpeg_binary: str
) -> None:
    """CPU time, children included; the pass is FFmpeg's plain decoding. A process that decodes is kept ready."""
    await asyncio.to_thread(apart.warm_again, DECODE)
    path = repeated(tmp_path, minutes)
    frames = minutes * 1_500
    ordinals = range(frames // 15, frames, frames * 14 // 150)
    bench = Bench(path, tmp_path / "out", ffmpeg_binary, only=frozenset(ordinals))
    index = index_of(bench.info, DECODE, DecodeReport())

    class Kept:
        async def index(self) -> PacketIndex:
            return index

    job = scored_job(FileIdentity(path, "ab" * 32, 1, 1), bench.info)
    exporter = Exporter(
        job, ExportConfig(), bench.output, await ffmpeg_process.probe_binary(ffmpeg_binary),
        PyavReference(job, DECODE, Kept()), set(),
    )  # fmt: skip
    used: dict[str, list[float]] = {"pass": [], "seek": []}
    for number in range(2):
        (tmp_path / f"work{number}").mkdir()
        before = cpu_seconds()
        plain = [ffmpeg_binary, "-v", "error", "-nostdin", "-i", str(path), "-map", "0:0", "-f", "null", "-"]
        await asyncio.to_thread(subprocess.run, plain, check=True)
        between = cpu_seconds()
        proofs = await exporter.prove(bench.picks(*ordinals), tmp_path / f"work{number}")
        used["pass"].append(between - before)
        used["seek"].append(cpu_seconds() - between)
        assert {one.method for one in proofs.proven.values()} == {Method.SEEK}
        assert len(proofs.proven) == 10
    share = min(used["seek"]) / min(used["pass"])
    print(f"pass {min(used['pass']):.2f} s, ten stills {min(used['seek']):.2f} s: {share:.3f}")
    assert share <= most


def cpu_seconds() -> float:
    """Of this process, of children that have ended, and of those that wait for the next film."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    waiting = (child.cpu_times() for child in psutil.Process().children(recursive=True))
    return sum(one.ru_utime + one.ru_stime for one in both) + sum(one.user + one.system for one in waiting)
