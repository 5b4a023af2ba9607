"""Small pictures are enlarged without torch to exactly what torch makes of them."""

from __future__ import annotations

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
@settings(max_examples=60, deadline=None)
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
