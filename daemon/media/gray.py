"""The gray that a metric looks at: the Y of YIQ, rounded to 0-255, as pyiqa computes it with torch.

One piece of compiled code for the scorer, which has RGB, and the decoder, which has planes: their bits are the same.
Compiled callers are kept on disk by the time of their own file: a change here needs one in ``decode/planes_kernel.py``
and ``scoring/niqe/kernel.py``, or it is not seen where they were compiled before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.model import Picture
from daemon.runtime import jit

_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
_ROUNDER = np.float32(2**23 + 2**22)


def _fma_code(_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once, for three numbers of one type."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, b, c), generate


_fma: Any = jit.intrinsic(_fma_code)


@jit.part()
def _share(value: Any, white: Any, inverse: Any) -> Any:
    """``value / white`` to the last bit of float32, without the division; ``inverse`` is ``1 / white``."""
    guess = value * inverse
    return _fma(_fma(-guess, white, value), inverse, guess)


@jit.part()
def gray_of(red: Any, green: Any, blue: Any, white: Any, inverse: Any) -> Any:
    """Gray, uint8, of one colour. ``white`` is the brightest code as float32, ``inverse`` is ``1 / white``."""
    r = _share(np.float32(red), white, inverse)
    g = _share(np.float32(green), white, inverse)
    b = _share(np.float32(blue), white, inverse)
    # Each step is rounded by itself, as torch does with MKL told to be compatible (see open_scorer).
    luma = ((r * _RED + g * _GREEN) + b * _BLUE) * np.float32(255)
    # Adding this rounds to the nearest whole number, ties to even.
    return np.uint8(np.int32((luma + _ROUNDER) - _ROUNDER))


def gray_of_picture(picture: Picture) -> NDArray[np.uint8]:
    """The gray of a picture, ``(height, width)``, slowly."""
    white = np.float32(np.iinfo(picture.dtype).max)
    red, green, blue = (picture[..., channel].astype(np.float32) / white for channel in range(3))
    gray: NDArray[np.uint8] = np.rint(((red * _RED + green * _GREEN) + blue * _BLUE) * np.float32(255)).astype(np.uint8)
    return gray
