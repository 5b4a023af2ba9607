"""Our NIQE beside pyiqa's own, on the images that come with pyiqa and on real footage."""

from __future__ import annotations

import importlib.metadata
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from daemon.scoring import catalog
from daemon.scoring.batch_size import scaled_size
from daemon.scoring.niqe.niqe import FusedNiqe
from daemon.scoring.pyiqa_backend.build import build

pytestmark = pytest.mark.model

# What pyiqa says of the pictures that it carries for this purpose.
CALIBRATION = {"I03": 15.6558, "I04": 3.6549, "I06": 3.2342, "I08": 3.1917, "I19": 9.0727}


@pytest.fixture(scope="module")
def ours() -> Iterator[FusedNiqe]:
    scorer = FusedNiqe.shipped()
    yield scorer
    scorer.close()


@pytest.fixture(scope="module")
def pyiqa_net() -> Any:
    return build(catalog.find("niqe"), torch.device("cpu")).net


def pyiqa_score(net: Any, picture: NDArray[Any]) -> float:
    """pyiqa's own number, nan where it raises."""
    white = 65535.0 if picture.dtype == np.uint16 else 255.0
    planes = torch.from_numpy(picture.astype(np.float32) / np.float32(white)).permute(2, 0, 1)[None].contiguous()
    with torch.inference_mode(), warnings.catch_warnings():
        # It warns before it raises, of too few blocks for a covariance.
        warnings.simplefilter("ignore")
        try:
            return float(net(planes))
        except RuntimeError:
            return float("nan")


def frames(path: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """About ``count`` frames from the whole of a clip, as large as the scorer passes them on."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        step = max(stream.frames // count, 1)
        height, width = scaled_size(stream.height, stream.width, 192)
        for frame in itertools.islice(container.decode(stream), 0, step * count, step):
            scaled = frame.reformat(width=width, height=height, interpolation="BICUBIC")
            yield scaled.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def without_flat_areas(picture: NDArray[np.uint8]) -> bool:
    """Whether no window of 7x7 pixels is one gray."""
    highest = lowest = np.rint(picture @ np.array([0.299, 0.587, 0.114]))
    for axis in (0, 1):
        highest = np.lib.stride_tricks.sliding_window_view(highest, 7, axis=axis).max(axis=-1)
        lowest = np.lib.stride_tricks.sliding_window_view(lowest, 7, axis=axis).min(axis=-1)
    return bool((highest > lowest).all())


def ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return values.argsort().argsort()


def compare(net: Any, ours: FusedNiqe, clips: dict[str, Path], count: int) -> None:
    unflat: list[float] = []
    for name, path in clips.items():
        pictures = list(frames(path, count))
        theirs = np.array([pyiqa_score(net, picture) for picture in pictures])
        scores = np.array(ours.score_all(pictures))
        assert (np.isfinite(theirs) == np.isfinite(scores)).all(), name
        assert len(theirs) >= count * 0.8, name
        difference = abs(scores / theirs - 1)
        assert np.median(difference) <= 0.0005, name
        assert difference.max() <= 0.005, name
        if count >= 50:
            # Of a few frames, two that are all but equal would decide.
            assert np.corrcoef(ranks(theirs), ranks(scores))[0, 1] >= 0.998, name
        unflat += difference[[without_flat_areas(picture) for picture in pictures]].tolist()
    assert unflat
    assert np.median(unflat) <= 0.00005


def calibration() -> dict[str, Path]:
    files = importlib.metadata.files("pyiqa") or []
    return {
        file.stem: Path(str(file.locate()))
        for file in files
        if file.match("dist_dir/*.bmp") and file.stem in CALIBRATION
    }


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_the_calibration_images(ours: FusedNiqe, pyiqa_net: Any, depth: Any) -> None:
    images = calibration()
    assert images.keys() == CALIBRATION.keys()
    for name, path in images.items():
        with Image.open(path) as image:
            picture = np.array(image.convert("RGB"))
        if depth is np.uint16:
            picture = picture.astype(np.uint16) * np.uint16(257)
        score = ours.score(picture)
        assert score == pytest.approx(CALIBRATION[name], abs=0.001), name
        # A gray between two codes rounds otherwise where torch's matrix product is not MKL's compatible one.
        assert score == pytest.approx(pyiqa_score(pyiqa_net, picture), rel=0.002), name


def test_letterbox_and_clipping(ours: FusedNiqe, pyiqa_net: Any, clips: dict[str, Path]) -> None:
    picture = next(frames(clips["bikes.mp4"], 1))
    for bar, value in ((24, 16), (60, 0), (60, 1), (60, 235), (96, 255)):
        boxed = picture.copy()
        boxed[:bar] = boxed[-bar:] = value
        clipped = picture.clip(bar // 2, 255 - bar)
        for other in (boxed, clipped):
            assert ours.score(other) == pytest.approx(pyiqa_score(pyiqa_net, other), rel=0.005), (bar, value)


def test_no_score_where_pyiqa_fails(ours: FusedNiqe, pyiqa_net: Any) -> None:
    for value in (0, 16, 255):
        flat = np.full((192, 288, 3), value, np.uint8)
        assert np.isnan(pyiqa_score(pyiqa_net, flat))
        assert np.isnan(ours.score(flat))


def test_real_footage(ours: FusedNiqe, pyiqa_net: Any, clips: dict[str, Path]) -> None:
    compare(pyiqa_net, ours, clips, 6)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_much_real_footage(ours: FusedNiqe, pyiqa_net: Any, clips: dict[str, Path]) -> None:
    compare(pyiqa_net, ours, clips, 80)
