"""Export in numbers: thousands of picks, the same bytes one by one, an early end, and what it costs."""

from __future__ import annotations

import hashlib
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from daemon.config.output import ExportConfig, OutputConfig
from daemon.export import ffmpeg_arguments
from daemon.export.image_format import ImageFormat
from daemon.model import Method
from tests import corpus, films
from tests.integration.export.test_exporter import Bench

COST_LIMIT = 1.3


@pytest.fixture(scope="module")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")

    def plain(number: int, width: int, height: int) -> NDArray[np.uint8]:
        return films.code(np.full((height, width, 3), number % 200, np.uint8), number)

    arguments = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p")
    return corpus.encode(folder / "long.mp4", *arguments, numbers=range(6000), width=32, height=32, painter=plain)


async def test_five_thousand_picks_from_one_film(long_film: Path, tmp_path: Path, ffmpeg_binary: str) -> None:
    ordinals = np.sort(np.random.default_rng(5).choice(6000, 5000, replace=False)).tolist()
    bench = Bench(long_film, tmp_path / "out", ffmpeg_binary, select_batch=30_000)
    proven, reasons = await bench.prove(tmp_path / "work", *ordinals)
    assert not reasons
    assert sorted(proven) == ordinals
    assert {one.method for one in proven.values()} == {Method.BATCH}
    for ordinal in ordinals[::97]:
        assert films.read_still(proven[ordinal].path) == ordinal


async def test_early_picks_end_the_pass_early(long_film: Path, tmp_path: Path, ffmpeg_binary: str) -> None:
    bench = Bench(long_film, tmp_path / "out", ffmpeg_binary)
    used = []
    for number, ordinals in enumerate([(1, 2), (1, 2), (5998, 5999)]):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        proven, _ = await bench.prove(tmp_path / f"work{number}", *ordinals)
        used.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
        assert len(proven) == 2
    assert used[1] < used[2] * 0.7


@pytest.mark.parametrize(
    "name",
    [
        "bikes.mp4",
        "carphone_distorted.mp4",
        "carphone_pristine.mp4",
        pytest.param("bigbuckbunny.mp4", marks=pytest.mark.slow),
    ],
)
async def test_real_clips_give_the_same_bytes_as_a_batch_and_one_by_one(
    name: str, clips: dict[str, Path], tmp_path: Path, ffmpeg_binary: str
) -> None:
    ordinals = (0, 17, 40, 41)
    bench = Bench(clips[name], tmp_path / "batch", ffmpeg_binary, only=frozenset(ordinals))
    batch = await bench.publish(tmp_path / "w1", *ordinals)
    bench.config = ExportConfig(ffmpeg=ffmpeg_binary, select_batch=1)
    bench.output = OutputConfig(path=tmp_path / "one")
    single = await bench.publish(tmp_path / "w2", *ordinals)
    bench.exact, bench.output = True, OutputConfig(path=tmp_path / "exact")
    exact = await bench.publish(tmp_path / "w3", *ordinals)
    md5 = [[hashlib.md5(still.path.read_bytes()).hexdigest() for still in one] for one in (batch, single, exact)]
    assert md5[0] == md5[1]
    assert [{still.method for still in one} for one in (batch, single, exact)] == [
        {Method.BATCH}, {Method.SINGLE}, {Method.DECODE}
    ]  # fmt: skip
    for one, other in zip(batch, exact, strict=True):
        with Image.open(one.path) as first, Image.open(other.path) as second:
            off = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
        assert off.max() <= 2


@contextmanager
def measured(into: list[tuple[float, float]]) -> Iterator[None]:
    """Adds the block's wall and CPU seconds, children included."""

    def cpu() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in both)

    wall, used = time.monotonic(), cpu()
    yield
    into.append((time.monotonic() - wall, cpu() - used))


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_an_export_costs_little_more_than_a_decode_pass_and_the_encoding(
    clips: dict[str, Path], tmp_path: Path, ffmpeg_binary: str
) -> None:
    film = films.remux(
        clips["bigbuckbunny.mp4"], tmp_path / "film.mp4", "-an", "-t", "60", "-r", "25", "-vf", "scale=1920:1080",
        *corpus.X264[:4], "-pix_fmt", "yuv420p", before=["-stream_loop", "15"],
    )  # fmt: skip
    ordinals = tuple(range(14, 1500, 30))
    bench = Bench(film, tmp_path / "out", ffmpeg_binary, only=frozenset(ordinals))
    await bench.exporter()
    took: dict[str, list[tuple[float, float]]] = {"decode": [], "encode": [], "export": []}
    for number in range(3):
        with measured(took["decode"]):
            plain = [ffmpeg_binary, "-v", "error", "-nostdin", "-i", str(film), "-map", "0:0", "-f", "null", "-"]
            subprocess.run(plain, check=True)
        with measured(took["export"]):
            stills = await bench.publish(tmp_path / f"work{number}", *ordinals)
        assert len(stills) == 50
        raw = b"".join(np.asarray(Image.open(still.path)).tobytes() for still in stills)
        encoder = ffmpeg_arguments.encoder_arguments(ImageFormat("png", 8))
        encode = [ffmpeg_binary, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", "1920x1080"]
        with measured(took["encode"]):
            subprocess.run([*encode, "-i", "-", *encoder, str(tmp_path / "e%d.png")], input=raw, check=True)
    for what, which in (("wall", 0), ("CPU", 1)):
        decode, encoding, export = (min(one[which] for one in took[name]) for name in ("decode", "encode", "export"))
        ratio = export / (decode + encoding)
        print(f"{what}: decode {decode:.2f} s + encode {encoding:.2f} s, export {export:.2f} s: {ratio:.2f}")
    # Neighbours on the machine spoil the wall clock, not the CPU time.
    assert ratio <= COST_LIMIT
