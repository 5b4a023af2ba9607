from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.scoring.niqe import kernel
from daemon.scoring.niqe.niqe import FusedNiqe, shape_table


def photo(height: int, width: int, seed: int = 7) -> NDArray[np.uint8]:
    """RGB with edges, soft slopes and grain, as a photograph has them; nothing of it is flat or clipped."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 20, (height // 12 + 2, width // 12 + 2, 3))
    fine = np.kron(coarse, np.ones((12, 12, 1)))[:height, :width]
    slope = np.linspace(-30, 30, width)[None, :, None]
    return (120 + fine.clip(-50, 50) + slope + rng.normal(0, 3, fine.shape)).clip(10, 210).astype(np.uint8)


def letterboxed(height: int, width: int, bar: int, value: int) -> NDArray[np.uint8]:
    picture = photo(height, width)
    picture[:bar] = picture[-bar:] = value
    return picture


@pytest.fixture(scope="module")
def niqe() -> Iterator[FusedNiqe]:
    scorer = FusedNiqe.shipped()
    yield scorer
    scorer.close()


# A plain implementation of the formula, in float64 and without any of the kernel's shortcuts.


def plain_map(gray: NDArray[np.float64]) -> NDArray[np.float64]:
    offsets = np.arange(-3, 4)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * (7 / 6) ** 2))
    window = (window / window.sum()).astype(np.float32).astype(np.float64)
    padded = np.pad(gray, 3, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    mean, power = np.einsum("yxij,ij->yx", views, window), np.einsum("yxij,ij->yx", views**2, window)
    deviation = np.sqrt(abs(power - mean**2) + np.finfo(float).eps)
    normal: NDArray[np.float64] = (gray - mean) / (deviation + 1)
    return normal


def plain_fit(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    shapes, ratios, scales, means = shape_table()
    below, above = values[values < 0], values[values > 0]
    left, right = (math.sqrt((side**2).mean()) if side.size else math.nan for side in (below, above))
    skew = left / right
    ratio = abs(values).mean() ** 2 / (values**2).mean() * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    best = 0 if math.isnan(ratio) else int(abs(ratios - ratio).argmin())
    left, right = left * scales[best], right * scales[best]
    return float(shapes[best]), float((right - left) * means[best]), left, right


def plain_block(block: NDArray[np.float64]) -> list[float]:
    shape, _, left, right = plain_fit(block)
    features = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        features += plain_fit(block * np.roll(block, shift, (0, 1)))
    return features


def plain_half(gray: NDArray[np.float64]) -> NDArray[np.float64]:
    taps = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
    for _ in range(2):
        padded = np.pad(gray, ((3, 4), (0, 0)), mode="symmetric")
        gray = np.sum([tap * padded[k : k + gray.shape[0] : 2] for k, tap in enumerate(taps)], axis=0).T
    return gray


def plain_niqe(picture: NDArray[np.uint8]) -> float:
    rows, columns = picture.shape[0] // 96, picture.shape[1] // 96
    gray = np.rint(picture[: rows * 96, : columns * 96] @ np.array([0.299, 0.587, 0.114]))
    features: list[list[float]] = [[] for _ in range(rows * columns)]
    for side, plane in ((96, gray), (48, plain_half(gray))):
        normal = plain_map(plane)
        for index, own in enumerate(features):
            y, x = index // columns * side, index % columns * side
            own += plain_block(normal[y : y + side, x : x + side])
    table = np.array(features)
    with np.load(str(Path(kernel.__file__).with_name("pristine.npz"))) as model:
        offset = model["mu_pris_param"][0] - np.nanmean(table, axis=0)
        covariance = np.cov(table[~np.isnan(table).any(axis=1)], rowvar=False)
        return float(np.sqrt(offset @ np.linalg.pinv((model["cov_pris_param"] + covariance) / 2) @ offset))


@pytest.mark.parametrize(
    "picture",
    [
        photo(192, 288),
        photo(250, 390, seed=3),
        letterboxed(288, 288, 50, 16),
        letterboxed(384, 288, 110, 235),
        photo(590, 600, seed=4),
        letterboxed(768, 864, 50, 16),
        letterboxed(672, 768, 200, 128) // 8,
    ],
    ids=["even", "cropped", "letterbox", "blocks that are flat", "many blocks", "many and letterbox", "few of many"],
)
def test_is_the_formula(niqe: FusedNiqe, picture: NDArray[np.uint8]) -> None:
    assert niqe.score(picture) == pytest.approx(plain_niqe(picture), rel=1e-3)


def test_the_table_rises_and_holds_the_known_shapes() -> None:
    shapes, ratios, _, _ = shape_table()
    assert (np.diff(ratios) > 0).all()
    # Laplace and Gauss: E|x|^2 / E(x^2).
    assert ratios[abs(shapes - 1).argmin()] == pytest.approx(1 / 2, abs=1e-4)
    assert ratios[abs(shapes - 2).argmin()] == pytest.approx(2 / math.pi, abs=1e-4)


def test_gray_is_rounded_to_the_nearest_code() -> None:
    codes = np.random.default_rng(5).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    codes[0, :3] = [(0, 0, 0), (255, 255, 255), (16, 16, 16)]
    gray = np.empty((96, 96), np.uint8)
    kernel.to_gray(codes.reshape(96, -1), np.float32(255), gray)
    thousandths = codes.astype(int) @ np.array([299, 587, 114])
    assert (abs(gray.astype(int) * 1000 - thousandths) <= 500).all()
    assert gray[0, :3].tolist() == [0, 255, 16]


def test_flat_pictures_have_no_score(niqe: FusedNiqe) -> None:
    for value in (0, 1, 16, 128, 255):
        assert math.isnan(niqe.score(np.full((192, 288, 3), value, np.uint8)))


@pytest.mark.parametrize("bar", [20, 96, 130])
def test_flat_areas_do_not_hang_on_rounding(niqe: FusedNiqe, bar: int) -> None:
    """Brighter by a few codes is the same picture to NIQE; noise in the flat areas would be another."""
    # Without colour, which would be rounded to another gray here and there.
    picture = letterboxed(384, 384, bar, 16)[..., :1].repeat(3, axis=2)
    scores = [niqe.score(picture + np.uint8(more)) for more in range(0, 40, 3)]
    assert scores == pytest.approx([scores[0]] * len(scores), rel=1e-3)


def test_flat_areas_count_as_just_below_zero(niqe: FusedNiqe) -> None:
    # Black that is exactly 0 has no sign, any other flat gray has one: the scores differ, by design.
    black, gray = (niqe.score(letterboxed(384, 384, 60, value)) for value in (0, 1))
    assert math.isfinite(black)
    assert black != pytest.approx(gray, rel=1e-3)


def test_one_score_whatever_the_batch_and_the_threads(niqe: FusedNiqe) -> None:
    sizes = [(192, 192), (288, 400), (200, 300)]
    pictures = [photo(*sizes[seed % 3], seed=seed) for seed in range(7)]
    alone = [niqe.score(picture) for picture in pictures]
    for threads in (1, 2, 3):
        several = FusedNiqe.shipped(threads=threads)
        assert several.score_all(pictures) == alone
        assert several.score_all(pictures[::-1]) == alone[::-1]
        assert several.score_all(pictures[:1]) == alone[:1]
        assert several.score_all([]) == []
        several.close()
        several.close()
        assert several.score_all(pictures[:2]) == alone[:2]
    assert len(set(alone)) == len(alone)


def in_longer_rows(picture: NDArray[Any]) -> NDArray[Any]:
    height, width, _ = picture.shape
    plane = np.full((height, 3 * width + 13), 99, picture.dtype)
    rows = plane[:, : 3 * width].reshape(height, width, 3)
    assert rows.base is not None
    rows[:] = picture
    return rows


LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "longer rows": in_longer_rows,
    "columns first": np.asfortranarray,
    "planes": lambda picture: np.ascontiguousarray(picture.transpose(2, 0, 1)).transpose(1, 2, 0),
    "upside down twice": lambda picture: np.ascontiguousarray(picture[::-1])[::-1],
    "part of a larger one": lambda picture: np.pad(picture, ((5, 5), (7, 7), (0, 0)))[5:-5, 7:-7],
    "every second pixel": lambda picture: picture.repeat(2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_strides(niqe: FusedNiqe, layout: str, dtype: Any) -> None:
    picture = photo(200, 300).astype(dtype)
    if dtype is np.uint16:
        picture = picture * np.uint16(257)
    arranged = LAYOUTS[layout](picture)
    assert niqe.score(arranged) == niqe.score(picture)
    arranged.flags.writeable = False
    assert niqe.score(arranged) == niqe.score(picture)


def test_rows_end_where_the_picture_ends(niqe: FusedNiqe) -> None:
    """A decoder's last row may be the end of its memory: the bytes after it are not ours."""
    picture = photo(192, 200)
    memory = np.zeros(192 * 640 - 40, np.uint8)
    rows = np.lib.stride_tricks.as_strided(memory, picture.shape, (640, 3, 1))
    rows[:] = picture
    assert niqe.score(rows) == niqe.score(picture)


def test_sixteen_bits_of_the_same_brightness_score_the_same(niqe: FusedNiqe) -> None:
    picture = photo(192, 288)
    assert niqe.score(picture.astype(np.uint16) * np.uint16(257)) == niqe.score(picture)


def test_what_fills_no_block_does_not_count(niqe: FusedNiqe) -> None:
    picture = photo(250, 390)
    assert niqe.score(picture) == niqe.score(picture[:192, :384])
    for side in (192, 193, 287):
        assert math.isfinite(niqe.score(photo(side, side)))


def test_one_block_is_enough_and_less_is_not(niqe: FusedNiqe) -> None:
    assert math.isfinite(niqe.score(photo(96, 96)))
    assert math.isnan(niqe.score(photo(95, 400)))
    assert math.isnan(niqe.score(photo(400, 95)))


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((192, 192), np.uint8), np.zeros((192, 192, 4), np.uint8), np.zeros((192, 192, 3), np.float32)],
)
def test_refuses_what_is_not_a_picture(wrong: NDArray[Any]) -> None:
    several = FusedNiqe.shipped(threads=2)
    good = photo(192, 192)
    with pytest.raises(ValueError, match="not RGB"):
        several.score_all([good, good, wrong, good])
    assert several.score_all([good]) == [several.score(good)]
    several.close()


def test_refuses_a_model_of_another_metric() -> None:
    with pytest.raises(ValueError, match="36 features"):
        FusedNiqe(np.zeros(18), np.eye(18))
    with pytest.raises(ValueError, match="threads"):
        FusedNiqe.shipped(threads=0)


def test_a_model_without_an_inverse_gives_no_score() -> None:
    assert math.isnan(FusedNiqe(np.zeros(36), np.zeros((36, 36))).score(photo(96, 96)))
