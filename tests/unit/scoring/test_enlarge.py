"""Small pictures are enlarged without torch to exactly what torch makes of them."""

from __future__ import annotations

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.model import Picture
from daemon.scoring.niqe.enlarge import enlarge

torch = pytest.importorskip("torch", reason="torch is what it is compared with")


def by_torch(picture: Picture, rows: int, columns: int) -> np.ndarray:
    planes = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / float(np.iinfo(picture.dtype).max)
    enlarged = torch.nn.functional.interpolate(planes, size=(rows, columns), mode="bicubic", align_corners=False)
    samples = enlarged.clamp_(0.0, 1.0).mul_(65535.0).round_()[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray(samples.astype(np.uint16))


@pytest.mark.skipif(
    "AVX" not in torch.backends.cpu.get_cpu_capability(), reason="torch fuses multiply and add only where the CPU does"
)
@settings(max_examples=60)
@given(
    height=st.integers(1, 191),
    width=st.integers(1, 260),
    rows=st.integers(192, 230),
    factor=st.floats(1.0, 5.0),
    deep=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_it_is_torch_bit_for_bit(height: int, width: int, rows: int, factor: float, deep: bool, seed: int) -> None:
    kind = np.uint16 if deep else np.uint8
    picture = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (height, width, 3), kind, endpoint=True)
    columns = round(width * factor)
    assert np.array_equal(enlarge(picture, rows, columns), by_torch(picture, rows, columns))


def test_a_plain_picture_stays_plain() -> None:
    assert (enlarge(np.full((5, 7, 3), 255, np.uint8), 192, 300) == 65535).all()


def test_the_numbers_are_the_same_on_every_machine() -> None:
    random = np.random.default_rng(1)
    deep = random.integers(0, 65536, (41, 95, 3), np.uint16)
    shallow = random.integers(0, 256, (95, 33, 3), np.uint8)
    digest = hashlib.sha256(enlarge(deep, 96, 222).tobytes() + enlarge(shallow, 276, 96).tobytes()).hexdigest()
    assert digest == "3f9b94255b6c4313b79d38cc0f6528e182a7e151549b19ac10ae554dd7620f6f"


def test_a_large_strip_takes_little_more_memory_than_its_picture() -> None:
    picture = np.zeros((8000, 40, 3), np.uint8)
    tracemalloc.start()
    enlarged = enlarge(picture, 19200, 96)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * enlarged.nbytes
