"""From one decoded frame: the hash of its planes and the picture that is scored."""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.filter
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.config.score import DecodeConfig
from daemon.decode.container import error_text
from daemon.decode.deinterlacer import Deinterlacer
from daemon.errors import Kind, VideoError
from daemon.media import filters
from daemon.model import Picture, VideoInfo

if TYPE_CHECKING:
    from daemon.decode.planes import Empty

_ANY_TIME_BASE = Fraction(1, 1000)
"""An encoder requires a time base; frames that are flushed after a read error have none."""

_PACKED = {"rgb24": np.dtype(np.uint8), "rgb48le": np.dtype("<u2")}
"""Formats that are a picture's array, but for what pads their rows."""
_PLAIN_PLANES = re.compile(r"yuvj?4[0-4][0-4]p(9|10|12|14|16)?(le)?")
"""Formats of three planes of whole bytes in the order in which they are hashed."""


def bit_depth(frame: VideoFrame) -> int:
    """Bits of the widest component."""
    return max((component.bits for component in frame.format.components), default=8)


def refuse_large_pictures(frame: VideoFrame, info: VideoInfo, config: DecodeConfig) -> None:
    """Made square, narrow pixels need more room than the decoder's own limit sees. Raises VideoError(TOO_LARGE)."""
    width, height = filters.square_size(frame.width, frame.height, info.sample_aspect)
    if width * height > config.max_pixels:
        raise VideoError(Kind.TOO_LARGE, f"pictures of {width}x{height} exceed decode.max_pixels = {config.max_pixels}")


def layout(raw: VideoFrame) -> filters.Layout:
    """What decides, besides the colours, how a frame is converted."""
    return filters.Layout(raw.width, raw.height, raw.format.name, bit_depth(raw))


def has_plain_planes(frame: VideoFrame) -> bool:
    """Whether its planes are hashed where they lie."""
    return _PLAIN_PLANES.fullmatch(frame.format.name) is not None


class FrameHasher:
    """Hashes frames in the form in which FFmpeg's rawvideo encoder lays out their planes.

    SHA-1 is what ``framehash`` and ``hashlib`` have in common that nobody meets by chance and that processors
    have instructions for; of the others, MD5 and SHA-256 take longer, and CRC-32 and Adler-32 tell too little.
    """

    def __init__(self) -> None:
        self._encoder: Any = None
        self._key: tuple[int, int, str] | None = None

    def sha1(self, raw: VideoFrame) -> str:
        """Hex SHA-1 of the unpadded planes in the frame's own pixel format."""
        digest = hashlib.sha1(usedforsecurity=False)
        if has_plain_planes(raw):
            itemsize = 1 if bit_depth(raw) == 8 else 2
            for plane in raw.planes:
                _add_plane(digest, plane, plane.width * itemsize)
            return digest.hexdigest()
        key = (raw.width, raw.height, raw.format.name)
        if key != self._key:
            self._encoder = av.CodecContext.create("rawvideo", "w")
            self._encoder.width, self._encoder.height, self._encoder.pix_fmt = key
            self._encoder.time_base = _ANY_TIME_BASE
            self._key = key
        for packet in self._encoder.encode(raw):
            digest.update(packet)
        return digest.hexdigest()


def _add_plane(digest: Any, plane: Any, row_bytes: int) -> None:
    """A plane's samples without what pads its rows, from its own memory where nothing does."""
    held = memoryview(plane)
    if plane.line_size == row_bytes:
        digest.update(held[: row_bytes * plane.height])
        return
    rows = np.frombuffer(held, np.uint8, plane.line_size * plane.height).reshape(plane.height, plane.line_size)
    digest.update(np.ascontiguousarray(rows[:, :row_bytes]))


class PictureMaker:
    """Runs frames through the filter chain; a change of size or format rebuilds it."""

    def __init__(self, depth: int | None, keep_hdr: bool, empty: Empty | None = None) -> None:
        self._depth = depth
        self._keep_hdr = keep_hdr
        self._empty = empty
        self._info: VideoInfo | None = None
        self._layout: filters.Layout | None = None
        self._graph: Any = None
        self._deinterlacer = Deinterlacer()

    def make(self, raw: VideoFrame, info: VideoInfo, *, combed: bool = False) -> Picture:
        """The picture of a frame, of one of its fields if it is ``combed``; ``info`` are the properties of its stretch.

        Raises VideoError(DECODE) where its pixel format cannot be converted.
        """
        try:
            return self._convert(self._deinterlacer.progressive(raw) if combed else raw, info)
        except (av.error.FFmpegError, ValueError) as error:
            raise VideoError(
                Kind.DECODE,
                f"frames of pixel format {raw.format.name} cannot be made into pictures: {error_text(error)}",
            ) from error

    def _convert(self, raw: VideoFrame, info: VideoInfo) -> Picture:
        here = layout(raw)
        if here != self._layout or info != self._info:
            self._graph = self._build(raw, info, here)
            self._layout, self._info = here, info
        self._graph.push(raw)
        made = self._graph.pull()
        if self._empty is not None and made.format.name in _PACKED:
            return _in_array(made, self._empty)
        picture: Picture = made.to_ndarray()
        return picture

    def _build(self, raw: VideoFrame, info: VideoInfo, here: filters.Layout) -> Any:
        graph = av.filter.Graph()
        depth = self._depth or filters.bits(info, here)
        last = graph.add_buffer(
            width=raw.width,
            height=raw.height,
            format=raw.format,
            time_base=raw.time_base or info.time_base,
        )
        for name, args in filters.chain(info, here, depth=depth, keep_hdr=self._keep_hdr):
            node = graph.add(name, args) if args else graph.add(name)
            last.link_to(node)
            last = node
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


def _in_array(made: VideoFrame, empty: Empty) -> Picture:
    """A frame in packed RGB as an array that ``empty`` gives."""
    plane = made.planes[0]
    picture: NDArray[Any] = empty((made.height, made.width, 3), _PACKED[made.format.name])
    rows = np.frombuffer(memoryview(plane), np.uint8, plane.line_size * plane.height)
    rows = rows.reshape(plane.height, plane.line_size)[:, : made.width * 3 * picture.itemsize]
    picture.reshape(made.height, -1).view(np.uint8)[...] = rows
    return picture
