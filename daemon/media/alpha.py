"""Pictures with transparency: the ground they are laid over, as FFmpeg filters."""

from __future__ import annotations

from daemon.media.lut import Filter
from daemon.model import Picture

NOTE = "transparent"
"""The note and the verdict of a frame of which nothing can be seen."""

LIGHT, DARK = 216, 40
"""The two grounds, codes of 255: grays on which black, white and colours are all seen."""
GROUNDS = {"light": LIGHT, "dark": DARK}


def has_alpha(pix_fmt: str) -> bool:
    """Whether frames of this format say how opaque each pixel is."""
    return pix_fmt.startswith(("yuva", "ya8", "ya16", "rgba", "bgra", "argb", "abgr", "gbrap", "ayuv", "vuya", "pal8"))


def over_ground(ground: str, bits: int, alpha_white: int) -> list[Filter]:
    """Lay straight alpha over a gray; for gbrap (``bits`` 8) or gbrap16 (16) frames. ``alpha_white`` is opaque.

    Each sample becomes gray + (sample - gray) x alpha. FFmpeg's ``premultiply`` is faster, but its versions differ.
    What follows must ask for packed RGB: from gbrap16 to gbrp16 swscale 5.1 is wrong everywhere, and swscale 8 and 9
    leave the second half of each slice's last row black.
    """
    top, unit = (65535, 257) if bits == 16 else (255, 1)
    gray = GROUNDS[ground] * unit
    laid = ":".join(
        f"{channel}='floor({gray}+({channel}(X,Y)-{gray})*min(alpha(X,Y)/{alpha_white},1)+0.5)'" for channel in "rgb"
    )
    return [("geq", f"{laid}:a={top}:i=n")]


def nothing_seen(picture: Picture, ground: str) -> bool:
    """Whether a picture, RGB, is its ground and nothing else, but for rounding."""
    unit = 257 if picture.dtype.itemsize == 2 else 1
    gray = GROUNDS[ground] * unit
    return int(picture.min()) >= gray - unit and int(picture.max()) <= gray + unit
