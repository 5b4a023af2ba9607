"""Standard dynamic range in other primaries or curves to BT.709, as FFmpeg filters on 16-bit RGB.

The signal becomes linear light by its curve, is turned to BT.709 primaries, and is encoded with the inverse of
BT.1886's curve, a pure gamma of 2.4: what FFmpeg's ``zscale`` (zimg) does for ``transfer=709``. Curves: ITU-T H.273,
table 3. Primaries: table 2; where their white is not D65 it is adapted by Bradford's transform: gray stays gray.

BT.601, SMPTE 240M, xvYCC and BT.2020 have BT.709's curve here, as they have it on every screen. Films that name no
primaries keep theirs. RGB samples with the sRGB curve are what a still holds anyway, and stay as they are.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from daemon.model import Colour

Filter = tuple[str, str]

GAMMA = 2.4
"""BT.1886: how a screen turns a BT.709 signal into light."""

_SAMPLE = "val/65535"
_CURVES = {
    "gamma22": f"pow({_SAMPLE},2.2)",
    "gamma28": f"pow({_SAMPLE},2.8)",
    "linear": _SAMPLE,
    "log100": f"pow(10,2*({_SAMPLE}-1))",
    "log316": f"pow(10,2.5*({_SAMPLE}-1))",
    "iec61966-2-1": f"if(lte({_SAMPLE},0.04045),({_SAMPLE})/12.92,pow(({_SAMPLE}+0.055)/1.055,2.4))",
}
"""Signal to light, both 0 to 1, of what is not treated like BT.709."""

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_PRIMARIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    "bt470m": ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    "bt470bg": ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    "smpte170m": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    "smpte240m": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    "film": ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    "smpte431": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    "ebu3213": ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""Red, green, blue and white as CIE x, y."""
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def is_odd(colour: Colour, *, rgb: bool) -> bool:
    """Whether standard dynamic range has to be turned to be BT.709; ``rgb``: the samples are RGB already."""
    return _has_odd_curve(colour, rgb=rgb) or _has_odd_primaries(colour)


def to_bt709(colour: Colour, *, rgb: bool) -> list[Filter]:
    """Signal to light, primaries, BT.709's signal; for rgb48 or gbrap16 frames."""
    gamma = f"pow({_SAMPLE},{GAMMA})"
    light = _CURVES.get(colour.transfer, gamma) if _has_odd_curve(colour, rgb=rgb) else gamma
    filters = [_table(f"round(65535*clip({light},0,1))")]
    if _has_odd_primaries(colour):
        filters.append(mixer(colour.primaries))
    return [*filters, _table(f"round(65535*pow({_SAMPLE},1/{GAMMA}))")]


@cache
def primaries_matrix(name: str) -> NDArray[np.float64]:
    """Linear RGB of these primaries to that of BT.709, shape (3, 3)."""
    return np.asarray(np.linalg.solve(_to_xyz("bt709"), _adapted(name) @ _to_xyz(name)), np.float64)


def _has_odd_curve(colour: Colour, *, rgb: bool) -> bool:
    return colour.transfer in _CURVES and not (rgb and colour.transfer == "iec61966-2-1")


def _has_odd_primaries(colour: Colour) -> bool:
    return colour.primaries in _PRIMARIES and colour.primaries != "bt709"


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _to_xyz(name: str) -> NDArray[np.float64]:
    *colours, white = _PRIMARIES[name]
    columns = np.stack([_xyz(*one) for one in colours], axis=1)
    return np.asarray(columns * np.linalg.solve(columns, _xyz(*white)), np.float64)


def _adapted(name: str) -> NDArray[np.float64]:
    """XYZ under the primaries' white to XYZ under D65 (http://www.brucelindbloom.com, chromatic adaptation)."""
    white = _PRIMARIES[name][3]
    scale = (_BRADFORD @ _xyz(*_D65)) / (_BRADFORD @ _xyz(*white))
    return np.asarray(np.linalg.solve(_BRADFORD, scale[:, None] * _BRADFORD), np.float64)


def mixer(name: str) -> Filter:
    """Linear RGB of these primaries to that of BT.709."""
    matrix = primaries_matrix(name)
    weights = [f"{'rgb'[row]}{'rgb'[column]}={matrix[row, column]:.6f}" for row in range(3) for column in range(3)]
    return "colorchannelmixer", ":".join(weights)


def _table(expression: str) -> Filter:
    quoted = f"'{expression}'"
    return "lutrgb", f"r={quoted}:g={quoted}:b={quoted}"
