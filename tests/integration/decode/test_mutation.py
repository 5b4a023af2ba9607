"""Real clips, cut short and with bytes flipped: each ends with a state and a reason, and no still is unproven."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.errors import Kind
from daemon.model import Status, VideoRecord
from daemon.service.foreground import once
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")

CONTAINERS = {
    "mp4": ("-movflags", "+faststart"),
    "mkv": (),
    "ts": (),
    "avi": (),
    "flv": (),
    "h264": (),
}


def sources(clips: dict[str, Path], folder: Path, frames: int) -> list[Path]:
    """The beginnings of the real clips, copied into several containers without encoding them again."""
    made = []
    for name, clip in sorted(clips.items()):
        for suffix, options in CONTAINERS.items():
            target = folder / f"{Path(name).stem}.{suffix}"
            made.append(films.remux(clip, target, "-an", "-c", "copy", "-frames:v", str(frames), *options))
    return made


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, holed, with bytes flipped, or several of these."""
    changed = bytearray(data)
    way = rng.integers(0, 5)
    if way in (0, 3):
        del changed[int(len(changed) * rng.uniform(0.05, 0.99)) :]
    if way in (1, 3, 4):
        start = rng.choice([0.0, 0.1, 0.5])
        for at in rng.integers(int(len(changed) * start), len(changed), rng.integers(1, 60)):
            changed[at] ^= int(rng.integers(1, 256))
    if way in (2, 4):
        begin = int(len(changed) * rng.uniform(0, 0.9))
        del changed[begin : begin + int(rng.integers(1, 20_000))]
    return bytes(changed)


async def run(
    clips: dict[str, Path], place: Path, *, files: int, frames: int, seed: int, binary: str
) -> tuple[list[VideoRecord], Config]:
    """Mutate, put all of it through the pipeline, and check what holds for every single file."""
    folder = place / "in"
    folder.mkdir()
    originals = [path.read_bytes() for path in sources(clips, folder, frames)]
    suffixes = list(CONTAINERS) * len(clips)
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(files):
        which = int(rng.integers(0, len(originals)))
        paths.append(folder / f"m{number:03d}.{suffixes[which]}")
        paths[-1].write_bytes(mutate(originals[which], rng))
    config = Config.model_validate(
        {
            "output": {"path": place / "out"},
            "database": {"path": place / "db.sqlite"},
            "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0.1},
            "export": {"ffmpeg": binary},
        }
    )
    records, stopped = await once(config, paths)
    assert not stopped
    stills = verify.find_stills([place / "out"])
    refuted = [verdict for verdict in verify.verify(stills, config.decode) if not verdict.proven]
    assert refuted == []
    for record in records:
        assert record.status in (Status.DONE, Status.FAILED, Status.REJECTED), record
        assert record.error_kind != Kind.INTERNAL, record.error
        assert record.status is Status.DONE or record.error, record
    done = [record for record in records if record.status is Status.DONE]
    manifests = list((place / "out").rglob("manifest.json"))
    assert len(manifests) == len(done)
    for manifest in manifests:
        selection = json.loads(manifest.read_text())["selection"]
        there = len(list(manifest.parent.iterdir())) - 1
        assert selection["chosen"] == there
        assert there == 3 or selection["shortfall"]
    counts = Counter(f"{r.status}{' damaged' * r.damaged} {r.error_kind or ''}" for r in records)
    print(dict(counts), "stills", len(stills))
    return records, config


async def test_mutated_clips_end_well(clips: dict[str, Path], tmp_path: Path, ffmpeg_binary: str) -> None:
    small = {name: path for name, path in clips.items() if name != "bigbuckbunny.mp4"}
    seed = 11 if os.path.basename(ffmpeg_binary) == "ffmpeg" else 12  # noqa: PTH119
    records, _ = await run(small, tmp_path, files=14, frames=20, seed=seed, binary=ffmpeg_binary)
    assert {record.status for record in records} >= {Status.DONE}
    assert any(record.damaged for record in records)


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_five_hundred_mutated_clips_end_well(clips: dict[str, Path], tmp_path: Path) -> None:
    for seed, binary in enumerate(films.ffmpeg_binaries(), start=21):
        place = tmp_path / str(seed)
        place.mkdir()
        records, _ = await run(clips, place, files=250, frames=40, seed=seed, binary=binary)
        assert len(records) == 250
