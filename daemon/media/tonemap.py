"""HDR to SDR: one fixed curve for scoring and for stills, as FFmpeg filters on 16-bit RGB.

PQ (SMPTE ST 2084) and HLG (ITU-R BT.2100) signals become light in nits, are rolled off per channel by the
Hermite spline of ITU-R BT.2390 (section "Hermite spline based EETF") from a 1000 nit grade to the
203 nit reference white of ITU-R BT.2408, turned from BT.2020 to BT.709 primaries (BT.2087) and encoded with
the sRGB curve (IEC 61966-2-1). No metadata is read: mastering data that is missing or wrong changes nothing.
"""

from __future__ import annotations

from daemon.media import sdr
from daemon.media.lut import Filter, table
from daemon.media.rules import FIRST_RULES
from daemon.model import Colour

PQ, HLG = "smpte2084", "arib-std-b67"
PEAK_NITS = 1000.0
WHITE_NITS = 203.0
HLG_SYSTEM_GAMMA = 1.2

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_BT2020_TO_BT709 = (
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)


def is_hdr(colour: Colour) -> bool:
    """Whether the samples are PQ or HLG coded."""
    return colour.transfer in (PQ, HLG)


def pq_encode(nits: float) -> float:
    """Light to PQ signal 0..1 (SMPTE ST 2084).

    >>> round(pq_encode(10000.0), 3), round(pq_encode(203.0), 3)
    (1.0, 0.581)
    """
    y: float = (nits / 10_000) ** _M1
    value: float = ((_C1 + _C2 * y) / (1 + _C3 * y)) ** _M2
    return value


def tone_filters(colour: Colour, rules: int = FIRST_RULES) -> list[Filter]:
    """Signal to linear SDR light, primaries, sRGB encoding; for rgb48 or gbrap16 frames.

    The first rules turned no primaries but BT.2020's.
    """
    signal = "val/65535" if colour.transfer == PQ else _hlg_as_pq()
    linear = f"st(0,{signal});{_roll_off()};round(65535*clip({_pq_nits('ld(4)')}/{WHITE_NITS},0,1))"
    filters = [table(linear)]
    if colour.primaries in ("bt2020", "unknown"):
        filters.append(_primaries())
    elif rules > FIRST_RULES and sdr.is_odd(Colour(primaries=colour.primaries), rgb=True):
        filters.append(sdr.mixer(colour.primaries))
    linear_sample = "val/65535"
    encoded = f"if(lte({linear_sample},0.0031308),12.92*{linear_sample},1.055*pow({linear_sample},1/2.4)-0.055)"
    return [*filters, table(f"round(65535*{encoded})")]


def _roll_off() -> str:
    """The PQ signal in variable 0 to the rolled-off PQ signal in variable 4."""
    peak = pq_encode(PEAK_NITS)
    target = pq_encode(WHITE_NITS) / peak
    knee = 1.5 * target - 0.5
    t = "ld(2)"
    spline = f"(2*{t}^3-3*{t}^2+1)*{knee:.9f}+({t}^3-2*{t}^2+{t})*{1 - knee:.9f}+(3*{t}^2-2*{t}^3)*{target:.9f}"
    return (
        f"st(1,min(ld(0)/{peak:.9f},1));st(2,max(ld(1)-{knee:.9f},0)/{1 - knee:.9f});"
        f"st(4,{peak:.9f}*if(lt(ld(1),{knee:.9f}),ld(1),{spline}))"
    )


def _pq_nits(signal: str) -> str:
    root = f"pow({signal},{1 / _M2:.12f})"
    return f"10000*pow(max({root}-{_C1},0)/({_C2}-{_C3}*{root}),{1 / _M1:.12f})"


def _hlg_as_pq() -> str:
    """HLG signal to scene light, system gamma per channel, nits, PQ signal."""
    x = "val/65535"
    scene = f"if(lte({x},0.5),({x})^2/3,(exp(({x}-{_C})/{_A})+{_B})/12)"
    y = f"pow({PEAK_NITS / 10_000}*pow({scene},{HLG_SYSTEM_GAMMA}),{_M1:.12f})"
    return f"pow(({_C1}+{_C2}*{y})/(1+{_C3}*{y}),{_M2})"


def _primaries() -> Filter:
    names = "rgb"
    weights = [
        f"{names[row]}{names[column]}={_BT2020_TO_BT709[row][column]}" for row in range(3) for column in range(3)
    ]
    return "colorchannelmixer", ":".join(weights)
