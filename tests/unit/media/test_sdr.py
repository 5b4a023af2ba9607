"""Other primaries to BT.709: the constants are what the chromaticities give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.media import sdr
from daemon.model import Colour

D65, C, DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
CHROMATICITIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),
    "bt470m": ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), C),
    "bt470bg": ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    "smpte170m": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    "smpte240m": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    "film": ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), C),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    "smpte431": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), DCI),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
    "ebu3213": ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),
}
"""Red, green, blue and white as CIE x, y (ITU-T H.273, table 2)."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_xyz(name: str) -> NDArray[np.float64]:
    *colours, white = CHROMATICITIES[name]
    columns = np.stack([xyz(*one) for one in colours], axis=1)
    return np.asarray(columns * np.linalg.solve(columns, xyz(*white)))


def adapted(name: str) -> NDArray[np.float64]:
    scale = (BRADFORD @ xyz(*D65)) / (BRADFORD @ xyz(*CHROMATICITIES[name][3]))
    return np.asarray(np.linalg.solve(BRADFORD, scale[:, None] * BRADFORD))


@pytest.mark.parametrize("name", sdr.TO_BT709)
def test_the_matrix_follows_from_the_chromaticities(name: str) -> None:
    expected = np.linalg.solve(to_xyz("bt709"), adapted(name) @ to_xyz(name))
    assert np.abs(np.array(sdr.TO_BT709[name]) - expected).max() < 1e-6


@pytest.mark.parametrize("name", sdr.TO_BT709)
def test_gray_stays_gray(name: str) -> None:
    assert np.abs(np.array(sdr.TO_BT709[name]).sum(axis=1) - 1).max() < 2e-4


@pytest.mark.parametrize(
    ("colour", "rgb", "odd"),
    [
        (Colour(), False, False),
        (Colour("bt709", "limited", "bt709", "bt709"), False, False),
        (Colour("smpte170m", "limited", "smpte170m", "unknown"), False, False),
        (Colour(transfer="bt2020-10"), False, False),
        (Colour(primaries="bt2020"), False, True),
        (Colour(transfer="gamma22"), False, True),
        (Colour(transfer="iec61966-2-1"), False, True),
        (Colour(transfer="iec61966-2-1"), True, False),
        (Colour(transfer="iec61966-2-1", primaries="smpte432"), True, True),
    ],
)
def test_only_what_is_not_like_bt709_is_turned(colour: Colour, rgb: bool, odd: bool) -> None:
    assert sdr.is_odd(colour, rgb=rgb) is odd
