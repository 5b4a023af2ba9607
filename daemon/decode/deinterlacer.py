"""A frame of two fields becomes one of a single moment: from that frame alone, whatever stands before and after it."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import av.filter
from av.video.frame import VideoFrame

_ANY_TIME_BASE = Fraction(1, 1000)


class Deinterlacer:
    """FFmpeg's ``estdif``: the lines of one field are found again along the edges of the other.

    It looks at one frame only, and so gives the same picture wherever a decode begins.
    """

    def __init__(self) -> None:
        self._key: tuple[int, int, str] | None = None
        self._graph: Any = None

    def progressive(self, raw: VideoFrame) -> VideoFrame:
        """The frame made of its first field; ``raw`` itself where the filter does not know its pixel format."""
        key = (raw.width, raw.height, raw.format.name)
        if key != self._key:
            self._graph, self._key = self._build(raw), key
        # The filter gives a frame when it is given the next one; the last one of before comes first.
        self._graph.push(raw)
        with suppress(av.error.BlockingIOError):
            self._graph.pull()
        self._graph.push(raw)
        found: VideoFrame = self._graph.pull()
        return found if found.format.name == raw.format.name else raw

    def _build(self, raw: VideoFrame) -> Any:
        graph = av.filter.Graph()
        source = graph.add_buffer(width=raw.width, height=raw.height, format=raw.format, time_base=_ANY_TIME_BASE)
        # Each frame was found to be combed, whether it is marked as interlaced or not.
        filtered = graph.add("estdif", "mode=frame:parity=auto:deint=all")
        # The filter keeps the last frame that it was given; the decoder is to have its buffer back before.
        copied = graph.add("copy")
        source.link_to(copied)
        copied.link_to(filtered)
        filtered.link_to(graph.add("buffersink"))
        graph.configure()
        return graph
