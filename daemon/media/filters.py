"""From a decoded frame to the picture that is scored and saved: one filter chain for both.

The same chain text configures PyAV's filter graph (scoring, reference export) and the FFmpeg
command line (batch export), so the saved still is the scored picture. Policy, in one place:

* The container's crop comes first.
* Matrix and range are always explicit. Tags are followed; an untagged YUV file is BT.709 from 1280 columns or above
  576 lines, else BT.601; an untagged range is limited, except for ``yuvj*``, gray and RGB formats, which are full.
* Frames that are woven of two fields are made of one before they come here (``daemon.decode.deinterlacer``).
* Samples of chroma that pixels share are taken to lie where the file says, by default in the middle of the left edge.
* Pixels become square by stretching the shorter side, never by shrinking the longer one.
* The display matrix (quarter turns and mirroring) is applied: pictures are upright.
* Alpha is laid over the film's ground (``daemon.media.alpha``).
* Other primaries and curves of standard dynamic range become BT.709 (``daemon.media.sdr``).
* Sources above 8 bits become 16-bit RGB whose white is exactly 65535.
* PQ and HLG are tone-mapped by ``daemon.media.tonemap``, unless the caller asks for the untouched samples; where
  such a file has no matrix tag, it is BT.2020.
* Colour tags do not travel on through the filters: a still is plain RGB. Untouched HDR samples keep theirs.

Films of an older version of these rules (``daemon.media.rules``) get the chain of that version, word for word.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from daemon.media import alpha, sdr, tonemap
from daemon.media.lut import Filter, table
from daemon.media.rules import CENTRED_CHROMA_RULES, FIRST_RULES
from daemon.model import Colour, VideoInfo

SWS_FLAGS = "accurate_rnd+full_chroma_int+bicubic"
SD_LINES = 576
HD_COLUMNS = 1280
_NO_CURVE = "color_primaries=unknown:color_trc=unknown"

_MATRICES = {
    "bt709": "bt709",
    "bt470bg": "smpte170m",
    "smpte170m": "smpte170m",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}

CHROMA_PLACES = {
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
    "bottomleft": (0.0, 1.0),
    "bottom": (0.5, 1.0),
}
"""Where a sample of chroma lies, along the row and down: from the first of its pixels' centres (0) to the last (1)."""


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


def matrix_name(colour: Colour, height: int, width: int = 0) -> str:
    """swscale's name of the YUV matrix; of untagged files by their size, ``width`` 0 leaving it to the lines alone."""
    tagged = _MATRICES.get(colour.matrix)
    if tagged is not None:
        return tagged
    if tonemap.is_hdr(colour):
        return "bt2020"
    return "smpte170m" if height <= SD_LINES and width < HD_COLUMNS else "bt709"


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
    width, height = square_size(*cropped_size(info, layout_of(info)), info.sample_aspect)
    return (height, width) if info.rotation_degrees in (90, 270) else (width, height)


def bits(info: VideoInfo, layout: Layout) -> int:
    """Bits a sample of the picture as it is scored: 16 for deep and for HDR sources, else 8."""
    return 16 if layout.bit_depth > 8 or tonemap.is_hdr(info.colour) else 8


def cropped_size(info: VideoInfo, layout: Layout) -> tuple[int, int]:
    """Width and height of what the container shows of a frame; all of it where the crop would leave nothing."""
    width = layout.width - info.crop.left - info.crop.right
    height = layout.height - info.crop.top - info.crop.bottom
    return (width, height) if width > 0 and height > 0 else (layout.width, layout.height)


def chain(info: VideoInfo, layout: Layout, *, depth: int, keep_hdr: bool = False) -> tuple[Filter, ...]:
    """The filters that turn a decoded frame into packed RGB of ``depth`` 8 or 16 bits a sample.

    ``keep_hdr`` leaves PQ and HLG samples as they are.
    """
    hdr = tonemap.is_hdr(info.colour)
    rgb = is_rgb(layout.pix_fmt)
    ground = info.ground if alpha.has_alpha(layout.pix_fmt) else ""
    odd = not hdr and info.rules > FIRST_RULES and sdr.is_odd(info.colour, rgb=rgb)
    # swscale is not exact from 8 bits of RGB with alpha to 16.
    odd = odd and not (ground and rgb and layout.bit_depth <= 8)
    working = 16 if odd else bits(info, layout)
    packed, planar = ("rgb48le", "gbrp16le") if working == 16 else ("rgb24", "gbrp")
    if ground:
        packed, planar = ("rgba64le", "gbrap16le") if working == 16 else ("rgba", "gbrap")
    coarse, fine = _crop(info, layout)
    filters = [*coarse, *_plain_input(info, layout, odd=odd, keep_hdr=keep_hdr), *_scale(info, layout, fine, planar)]
    # swscale has vector code for planes only: three times as fast as packed, and the same bits. From RGB it is exact
    # in packed formats, and alpha can be laid over a ground in planes.
    direct = not rgb and not is_gray(layout.pix_fmt)
    steps = {(True, False): (planar, packed), (False, False): (packed,), (True, True): (planar,)}
    filters += [("format", step) for step in steps.get((direct, bool(ground)), (packed, planar))]
    filters += _levels(info.colour, layout, working)
    if hdr and not keep_hdr:
        filters += tonemap.tone_filters(info.colour, info.rules)
    elif odd:
        filters += sdr.to_bt709(info.colour, rgb=rgb)
    if ground:
        filters += alpha.over_ground(ground, working, _alpha_white(layout, working))
        filters.append(("format", "rgb48le" if working == 16 else "rgb24"))
    if working == 16 and depth == 8:
        # The step to 8 bits cuts the low byte or rounds it: 64 stays what was meant either way.
        filters.append(table("round(val/257)*256+64"))
    filters += _upright(info)
    filters.append(("format", "rgb48le" if depth == 16 else "rgb24"))
    if not (hdr and keep_hdr):
        filters.append(("setparams", _NO_CURVE))
    return tuple(filters)


def is_plain(info: VideoInfo, layout: Layout) -> bool:
    """Whether the picture of a YUV frame is its planes in RGB with exact black and white, and nothing else."""
    if is_rgb(layout.pix_fmt) or is_gray(layout.pix_fmt) or tonemap.is_hdr(info.colour):
        return False
    if square_size(layout.width, layout.height, info.sample_aspect) != (layout.width, layout.height):
        return False
    depth = bits(info, layout)
    planar, packed = ("gbrp16le", "rgb48le") if depth == 16 else ("gbrp", "rgb24")
    plain = [
        *_plain_input(info, layout, odd=False, keep_hdr=False),
        *_scale(info, layout, [], planar),
        ("format", planar),
        ("format", packed),
    ]
    plain += [*_levels(info.colour, layout, depth), ("format", packed), ("setparams", _NO_CURVE)]
    return chain(info, layout, depth=depth) == tuple(plain)


def chroma_place(info: VideoInfo, pix_fmt: str) -> tuple[float, float]:
    """The place of shared chroma by the rules of the film, as in ``CHROMA_PLACES``."""
    if info.rules <= CENTRED_CHROMA_RULES:
        return CHROMA_PLACES["center"]
    along, down = CHROMA_PLACES.get(info.colour.chroma_location, CHROMA_PLACES["left"])
    # swscale has no such place in other formats, and nobody writes them so.
    return (along, down) if down == 0 or _is_420(pix_fmt) else (along, 0.5)


def _is_420(pix_fmt: str) -> bool:
    return "420" in pix_fmt or pix_fmt.startswith(("nv12", "nv21", "p010", "p012", "p016"))


def shares_chroma(pix_fmt: str) -> bool:
    """Whether several pixels share a sample of chroma."""
    return _chroma_grid(pix_fmt) > 1


def matrix_of(info: VideoInfo, layout: Layout) -> str:
    """swscale's name of the matrix by which a YUV frame becomes RGB."""
    return matrix_name(info.colour, layout.height, layout.width if info.rules > FIRST_RULES else 0)


def to_text(filters: tuple[Filter, ...]) -> str:
    """The chain as the command line wants it."""
    return ",".join(f"{name}={args}" if args else name for name, args in filters)


def _crop(info: VideoInfo, layout: Layout) -> tuple[list[Filter], list[Filter]]:
    """The container's crop, and what is left of it to do once there is a colour for each pixel.

    Chroma is shared by several pixels: cut between them, it would be off by a part of one, and FFmpeg's filter makes
    halves of samples of 16 bits.
    """
    width, height = cropped_size(info, layout)
    if (width, height) == (layout.width, layout.height):
        return [], []
    grid = _chroma_grid(layout.pix_fmt)
    left, top = info.crop.left - info.crop.left % grid, info.crop.top - info.crop.top % grid
    right = min(-(-(info.crop.left + width) // grid) * grid, layout.width)
    bottom = min(-(-(info.crop.top + height) // grid) * grid, layout.height)
    coarse = ("crop", f"w={right - left}:h={bottom - top}:x={left}:y={top}:exact=1")
    if (right - left, bottom - top) == (width, height):
        return [coarse], []
    return [coarse], [("crop", f"w={width}:h={height}:x={info.crop.left - left}:y={info.crop.top - top}:exact=1")]


def _chroma_grid(pix_fmt: str) -> int:
    """How many pixels in a row or column share a sample of chroma, at the most."""
    if is_rgb(pix_fmt) or is_gray(pix_fmt) or "444" in pix_fmt:
        return 1
    return 4 if "410" in pix_fmt or "411" in pix_fmt else 2


def _alpha_white(layout: Layout, working: int) -> int:
    """What swscale makes of an opaque sample: it widens by shifting, but RGB exactly."""
    if working == 8:
        return 255
    if is_rgb(layout.pix_fmt):
        return 65535
    depth = min(layout.bit_depth, 16)
    return ((1 << depth) - 1) << (16 - depth)


def _plain_input(info: VideoInfo, layout: Layout, *, odd: bool, keep_hdr: bool) -> list[Filter]:
    """What swscale of some versions trips over is taken out of its way.

    It reads big-endian RGB of 15 and 16 bits as if it were little-endian, and refuses matrix tags that it does
    not know although the matrix is given, and ``odd`` curves and primaries although it is not to change them: 0, too,
    which some frames say whatever the container does.
    """
    if layout.pix_fmt.endswith(("555be", "565be")):
        return [("format", layout.pix_fmt.removesuffix("be") + "le")]
    unknown = [] if is_rgb(layout.pix_fmt) else ["colorspace=unknown"]
    if odd or (info.rules > CENTRED_CHROMA_RULES and not keep_hdr):
        unknown.append(_NO_CURVE)
    return [("setparams", ":".join(unknown))] if unknown else []


def _scale(info: VideoInfo, layout: Layout, crop: list[Filter], planar: str) -> list[Filter]:
    """To RGB and to square pixels; at once, unless there is a ``crop`` to do in between."""
    width, height = square_size(*cropped_size(info, layout), info.sample_aspect)
    size = f"w={width}:h={height}"
    args = ["w=iw:h=ih" if crop else size, f"flags={SWS_FLAGS}", "out_range=pc"]
    if not is_rgb(layout.pix_fmt):
        # Gray is widened by `_levels`: some builds expand it when told that it is limited, some do not.
        full = is_gray(layout.pix_fmt) or is_full_range(info.colour, layout.pix_fmt)
        args += [f"in_color_matrix={matrix_of(info, layout)}", f"in_range={'pc' if full else 'tv'}"]
        args += _place_of_chroma(info, layout)
    scale = ("scale", ":".join(args))
    if not crop:
        return [scale]
    return [scale, ("format", planar), *crop, ("scale", f"{size}:flags={SWS_FLAGS}")]


def _place_of_chroma(info: VideoInfo, layout: Layout) -> list[str]:
    """Nothing where chroma lies in the middle: that is what swscale takes for granted."""
    if not shares_chroma(layout.pix_fmt):
        return []
    along, down = chroma_place(info, layout.pix_fmt)
    args = ["in_h_chr_pos=0"] if along == 0 else []
    if down != 0.5:
        args.append(f"in_v_chr_pos={round(256 * down)}")
    return args


def _levels(colour: Colour, layout: Layout, working: int) -> list[Filter]:
    """A table that makes black and white exact; empty where swscale's own answer is.

    swscale widens samples by shifting: full-range white of b bits becomes (2^b - 1) << (16 - b), and
    limited white 255 << 8, instead of 65535. Gray reaches it as full range, so limited gray is expanded here.
    """
    full = is_full_range(colour, layout.pix_fmt)
    if working == 8:
        if not is_gray(layout.pix_fmt) or full:
            return []
        return [table("clip(round((val-16)*255/219),0,255)")]
    low, high = 0, 65535
    if is_gray(layout.pix_fmt) and not full:
        low, high = 16 << 8, 235 << 8
    elif not is_rgb(layout.pix_fmt):
        # Floating-point samples have 32 bits, and come out as 16.
        depth = min(layout.bit_depth, 16)
        high = ((1 << depth) - 1) << (16 - depth) if full else 255 << 8
    if (low, high) == (0, 65535):
        return []
    return [table(f"clip(round((val-{low})*65535/{high - low}),0,65535)")]


def _upright(info: VideoInfo) -> list[Filter]:
    turns: dict[int, list[Filter]] = {
        0: [],
        90: [("transpose", "clock")],
        180: [("hflip", ""), ("vflip", "")],
        270: [("transpose", "cclock")],
    }
    return ([("hflip", "")] if info.flip else []) + turns[info.rotation_degrees]
