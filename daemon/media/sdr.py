"""Standard dynamic range in other primaries or curves to BT.709, as FFmpeg filters on 16-bit RGB.

The signal becomes linear light by its curve, is turned to BT.709 primaries, and is encoded with the inverse of
BT.1886's curve, a pure gamma of 2.4: what FFmpeg's ``zscale`` (zimg) does for ``transfer=709``. Curves: ITU-T H.273,
table 3.

BT.601, SMPTE 240M, xvYCC and BT.2020 have BT.709's curve here, as they have it on every screen. Films that name no
primaries keep theirs. RGB samples with the sRGB curve are what a still holds anyway, and stay as they are.
"""

from __future__ import annotations

from daemon.media.lut import Filter, table
from daemon.model import Colour

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

TO_BT709 = {
    "bt470m": (
        (1.486157, -0.403555, -0.082602),
        (-0.025101, 0.954025, 0.071076),
        (-0.027224, -0.044095, 1.071319),
    ),
    "bt470bg": (
        (1.044043, -0.044043, 0.000000),
        (-0.000000, 1.000000, -0.000000),
        (0.000000, 0.011793, 0.988207),
    ),
    "smpte170m": (
        (0.939542, 0.050181, 0.010277),
        (0.017772, 0.965793, 0.016435),
        (-0.001622, -0.004370, 1.005991),
    ),
    "smpte240m": (
        (0.939542, 0.050181, 0.010277),
        (0.017772, 0.965793, 0.016435),
        (-0.001622, -0.004370, 1.005991),
    ),
    "film": (
        (1.346176, -0.339195, -0.006981),
        (-0.047351, 1.066052, -0.018701),
        (-0.021665, -0.061313, 1.082978),
    ),
    "bt2020": (
        (1.660491, -0.587641, -0.072850),
        (-0.124550, 1.132900, -0.008349),
        (-0.018151, -0.100579, 1.118730),
    ),
    "smpte431": (
        (1.157516, -0.154962, -0.002554),
        (-0.041500, 1.045568, -0.004068),
        (-0.018050, -0.078578, 1.096628),
    ),
    "smpte432": (
        (1.224940, -0.224940, 0.000000),
        (-0.042057, 1.042057, -0.000000),
        (-0.019638, -0.078636, 1.098274),
    ),
    "ebu3213": (
        (1.025252, -0.026548, 0.001295),
        (0.019394, 0.948028, 0.032578),
        (-0.001770, -0.001442, 1.003212),
    ),
}
"""Linear RGB of other primaries to that of BT.709, row by row: through CIE XYZ from the chromaticities of ITU-T H.273,
table 2. Where the white is not D65 it is adapted by Bradford's transform: gray stays gray."""


def is_odd(colour: Colour, *, rgb: bool) -> bool:
    """Whether standard dynamic range has to be turned to be BT.709; ``rgb``: the samples are RGB already."""
    return _has_odd_curve(colour, rgb=rgb) or _has_odd_primaries(colour)


def to_bt709(colour: Colour, *, rgb: bool) -> list[Filter]:
    """Signal to light, primaries, BT.709's signal; for rgb48 or gbrap16 frames."""
    gamma = f"pow({_SAMPLE},{GAMMA})"
    light = _CURVES.get(colour.transfer, gamma) if _has_odd_curve(colour, rgb=rgb) else gamma
    filters = [table(f"round(65535*clip({light},0,1))")]
    if _has_odd_primaries(colour):
        filters.append(mixer(colour.primaries))
    return [*filters, table(f"round(65535*pow({_SAMPLE},1/{GAMMA}))")]


def _has_odd_curve(colour: Colour, *, rgb: bool) -> bool:
    return colour.transfer in _CURVES and not (rgb and colour.transfer == "iec61966-2-1")


def _has_odd_primaries(colour: Colour) -> bool:
    return colour.primaries in TO_BT709


def mixer(name: str) -> Filter:
    """Linear RGB of these primaries to that of BT.709."""
    weights = [
        f"{to}{of}={weight:.6f}"
        for to, row in zip("rgb", TO_BT709[name], strict=True)
        for of, weight in zip("rgb", row, strict=True)
    ]
    return "colorchannelmixer", ":".join(weights)
