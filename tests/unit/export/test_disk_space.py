"""The disk preflight: an upper bound, and a refusal that says what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from daemon.errors import ExportError, Kind
from daemon.export import disk_space
from daemon.export.disk_space import Need, estimate, require

MIB = 1024 * 1024


def full_hd(**changes: object) -> Need:
    values: dict[str, object] = {
        "stills": 10,
        "select_batch": 50,
        "width": 1920,
        "height": 1080,
        "depth": 8,
        "jpeg": False,
    }
    return estimate(**(values | changes))  # type: ignore[arg-type]


def noise(width: int, height: int, codec: str, pix_fmt: str, options: dict[str, str]) -> int:
    """Bytes of a picture that cannot be compressed, from FFmpeg's encoder."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.time_base = width, height, pix_fmt, 1
    context.options = options
    picture = np.random.default_rng(2).integers(0, 256, (height, width, 3), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
    frame.pts = 0
    return sum(packet.size for packet in [*context.encode(frame), *context.encode(None)])


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The free bytes of every disk, in a box of one."""
    box = [0]
    monkeypatch.setattr(disk_space.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**12, 0, box[0]))  # type: ignore[attr-defined]
    return box


def test_a_png_may_be_as_large_as_its_raw_samples() -> None:
    assert full_hd(stills=1).final_bytes >= 1920 * 1080 * 3
    assert full_hd(stills=1, depth=16).final_bytes >= 1920 * 1080 * 6


@pytest.mark.parametrize(("width", "height"), [(64, 64), (640, 480), (1280, 720)])
def test_no_png_is_larger_than_the_estimate(width: int, height: int) -> None:
    size = noise(width, height, "png", "rgb24", {"compression_level": "1", "pred": "up"})
    assert size <= full_hd(stills=1, width=width, height=height).final_bytes


def test_jpegs_need_less_than_pngs() -> None:
    assert full_hd(jpeg=True).final_bytes < full_hd().final_bytes


def test_every_still_is_counted() -> None:
    assert full_hd(stills=20).final_bytes == 2 * full_hd(stills=10).final_bytes
    assert full_hd(stills=0) == Need(0, 0)


@pytest.mark.parametrize(("stills", "batch", "at_once"), [(100, 50, 50), (10, 50, 10), (100, 1, 1)])
def test_the_worst_moment_holds_one_batch_twice(stills: int, batch: int, at_once: int) -> None:
    one = full_hd(stills=1, select_batch=1).final_bytes
    need = full_hd(stills=stills, select_batch=batch)
    assert need == Need(final_bytes=stills * one, temporary_bytes=at_once * one)


def test_exactly_enough_room_is_enough(tmp_path: Path, free: list[int]) -> None:
    free[0] = 60 * MIB
    require(tmp_path, Need(30 * MIB, 20 * MIB), 10 * MIB)


def test_a_byte_too_little_is_refused_with_all_the_numbers(tmp_path: Path, free: list[int]) -> None:
    free[0] = 60 * MIB - 1
    with pytest.raises(ExportError) as caught:
        require(tmp_path, Need(30 * MIB, 20 * MIB), 10 * MIB)
    assert caught.value.kind is Kind.DISK_FULL
    assert caught.value.kind.retryable
    for part in ("30 MiB", "20 MiB", "10 MiB", "60 MiB free", "export.disk_margin_bytes", str(tmp_path)):
        assert part in caught.value.sentence


def test_the_real_disk_is_asked(tmp_path: Path) -> None:
    require(tmp_path, Need(0, 0), 0)
    with pytest.raises(ExportError):
        require(tmp_path, Need(10**18, 0), 0)
