"""From a decoded frame to the picture that is scored and saved: one filter chain for both.

The same chain text configures PyAV's filter graph (scoring, reference export) and the FFmpeg
command line (batch export), so the saved still is the scored picture. Policy, in one place:

* Matrix and range are always explicit. Tags of the file's first frame are followed; an untagged YUV file is
  BT.601 up to 576 lines and BT.709 above; an untagged range is limited, except for ``yuvj*``,
  gray and RGB formats, which are full range.
* Interlaced frames are not deinterlaced: a frame is what the decoder gives, fields and all.
* Pixels become square by stretching the shorter side, never by shrinking the longer one.
* The display matrix (quarter turns and mirroring) is applied: pictures are upright.
* Alpha is dropped.
* Sources above 8 bits become 16-bit RGB whose white is exactly 65535.
* PQ and HLG are tone-mapped by ``daemon.media.tonemap``, unless the caller asks for the untouched samples; where
  such a file has no matrix tag, it is BT.2020.
* Colour tags do not travel on: a still is plain RGB. Untouched HDR samples keep theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from daemon.media import tonemap
from daemon.model import Colour, VideoInfo

Filter = tuple[str, str]
"""A filter's name and its arguments in FFmpeg's syntax."""

SWS_FLAGS = "accurate_rnd+full_chroma_int+bicubic"
SD_LINES = 576

_MATRICES = {
    "bt709": "bt709",
    "bt470bg": "smpte170m",
    "smpte170m": "smpte170m",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The native frame format as far as the conversion depends on it. Sizes in pixels."""

    width: int
    height: int
    pix_fmt: str
    bit_depth: int


def layout_of(info: VideoInfo) -> Layout:
    """The layout of the stream's first frame; the one the whole file has unless it is mixed."""
    return Layout(info.width, info.height, info.pix_fmt, info.bit_depth)


def is_rgb(pix_fmt: str) -> bool:
    """RGB, BGR, GBR and palette formats need no matrix."""
    return pix_fmt.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal"))


def is_gray(pix_fmt: str) -> bool:
    """Luma-only formats."""
    return pix_fmt.startswith(("gray", "ya8", "ya16", "mono"))


def matrix_name(colour: Colour, height: int) -> str:
    """swscale's name of the YUV matrix; untagged files by their number of lines."""
    tagged = _MATRICES.get(colour.matrix)
    if tagged is not None:
        return tagged
    if tonemap.is_hdr(colour):
        return "bt2020"
    return "smpte170m" if height <= SD_LINES else "bt709"


def is_full_range(colour: Colour, pix_fmt: str) -> bool:
    """Whether black is 0 rather than 16 (of 255)."""
    if is_rgb(pix_fmt) or pix_fmt.startswith("yuvj"):
        return True
    if colour.range == "unknown":
        return is_gray(pix_fmt)
    return colour.range == "full"


def square_size(width: int, height: int, sample_aspect: Fraction) -> tuple[int, int]:
    """Width and height with square pixels, before any turn.

    >>> square_size(720, 576, Fraction(16, 15))
    (768, 576)
    >>> square_size(720, 480, Fraction(8, 9))
    (720, 540)
    """
    if sample_aspect <= 0 or sample_aspect == 1:
        return width, height
    if sample_aspect > 1:
        return round(width * sample_aspect), height
    return width, round(height / sample_aspect)


def picture_size(info: VideoInfo) -> tuple[int, int]:
    """Width and height of the finished picture: square pixels, upright."""
    width, height = square_size(info.width, info.height, info.sample_aspect)
    return (height, width) if info.rotation_degrees in (90, 270) else (width, height)


def bits(info: VideoInfo, layout: Layout) -> int:
    """Bits a sample of the picture as it is scored: 16 for deep and for HDR sources, else 8."""
    return 16 if layout.bit_depth > 8 or tonemap.is_hdr(info.colour) else 8


def chain(info: VideoInfo, layout: Layout, *, depth: int, keep_hdr: bool = False) -> tuple[Filter, ...]:
    """The filters that turn a decoded frame into packed RGB of ``depth`` 8 or 16 bits a sample.

    ``keep_hdr`` leaves PQ and HLG samples as they are.
    """
    working = bits(info, layout)
    hdr = tonemap.is_hdr(info.colour)
    filters = _plain_input(layout)
    filters.append(_scale(info, layout))
    if not is_rgb(layout.pix_fmt) and not is_gray(layout.pix_fmt):
        # swscale has vector code for planes only: three times as fast as packed, and the same bits.
        filters.append(("format", "gbrp16le" if working == 16 else "gbrp"))
    filters.append(("format", "rgb48le" if working == 16 else "rgb24"))
    filters += _levels(info.colour, layout, working)
    if hdr and not keep_hdr:
        filters += tonemap.tone_filters(info.colour)
    if working == 16 and depth == 8:
        # The step to 8 bits cuts the low byte or rounds it: 64 stays what was meant either way.
        filters.append(_table("round(val/257)*256+64"))
    filters += _upright(info)
    filters.append(("format", "rgb48le" if depth == 16 else "rgb24"))
    if not (hdr and keep_hdr):
        filters.append(("setparams", "color_primaries=unknown:color_trc=unknown"))
    return tuple(filters)


def to_text(filters: tuple[Filter, ...]) -> str:
    """The chain as the command line wants it."""
    return ",".join(f"{name}={args}" if args else name for name, args in filters)


def _plain_input(layout: Layout) -> list[Filter]:
    """What swscale of some versions trips over is taken out of its way.

    It reads big-endian RGB of 15 and 16 bits as if it were little-endian, and refuses matrix tags that it does
    not know although the matrix is given.
    """
    if layout.pix_fmt.endswith(("555be", "565be")):
        return [("format", layout.pix_fmt.removesuffix("be") + "le")]
    return [] if is_rgb(layout.pix_fmt) else [("setparams", "colorspace=unknown")]


def _scale(info: VideoInfo, layout: Layout) -> Filter:
    width, height = square_size(layout.width, layout.height, info.sample_aspect)
    args = [f"w={width}", f"h={height}", f"flags={SWS_FLAGS}", "out_range=pc"]
    if not is_rgb(layout.pix_fmt):
        matrix = matrix_name(info.colour, layout.height)
        # Gray is widened by `_levels`: some builds expand it when told that it is limited, some do not.
        full = is_gray(layout.pix_fmt) or is_full_range(info.colour, layout.pix_fmt)
        args += [f"in_color_matrix={matrix}", f"in_range={'pc' if full else 'tv'}"]
    return "scale", ":".join(args)


def _levels(colour: Colour, layout: Layout, working: int) -> list[Filter]:
    """A table that makes black and white exact; empty where swscale's own answer is.

    swscale widens samples by shifting: full-range white of b bits becomes (2^b - 1) << (16 - b), and
    limited white 255 << 8, instead of 65535. Gray reaches it as full range, so limited gray is expanded here.
    """
    full = is_full_range(colour, layout.pix_fmt)
    if working == 8:
        if not is_gray(layout.pix_fmt) or full:
            return []
        return [_table("clip(round((val-16)*255/219),0,255)")]
    low, high = 0, 65535
    if is_gray(layout.pix_fmt) and not full:
        low, high = 16 << 8, 235 << 8
    elif not is_rgb(layout.pix_fmt):
        # Floating-point samples have 32 bits, and come out as 16.
        depth = min(layout.bit_depth, 16)
        high = ((1 << depth) - 1) << (16 - depth) if full else 255 << 8
    if (low, high) == (0, 65535):
        return []
    return [_table(f"clip(round((val-{low})*65535/{high - low}),0,65535)")]


def _table(expression: str) -> Filter:
    quoted = f"'{expression}'"
    return "lutrgb", f"r={quoted}:g={quoted}:b={quoted}"


def _upright(info: VideoInfo) -> list[Filter]:
    turns: dict[int, list[Filter]] = {
        0: [],
        90: [("transpose", "clock")],
        180: [("hflip", ""), ("vflip", "")],
        270: [("transpose", "cclock")],
    }
    return ([("hflip", "")] if info.flip else []) + turns[info.rotation_degrees]
