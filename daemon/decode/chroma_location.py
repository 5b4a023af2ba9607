"""Where a frame's chroma samples lie between its pixels, by FFmpeg's names: ``left``, ``center``, ``topleft`` ..."""

from __future__ import annotations

import re
from fractions import Fraction

import av.error
import av.filter
from av.video.frame import VideoFrame

from daemon.decode.info_lines import info_lines
from daemon.media import filters

_SAID = re.compile(r"\bcl:(\w+)")
_SIDE = 16


def chroma_location(raw: VideoFrame) -> str:
    """``unknown`` where the file says nothing, or where every pixel has its own colour.

    PyAV has no attribute for it; FFmpeg's filter ``showinfo`` tells.
    """
    if not filters.shares_chroma(raw.format.name):
        return "unknown"
    graph = av.filter.Graph()
    # The frame's own times are of no matter here.
    nodes = [
        graph.add_buffer(width=raw.width, height=raw.height, format=raw.format, time_base=raw.time_base or Fraction(1))
    ]
    width, height = min(raw.width, _SIDE), min(raw.height, _SIDE)
    nodes += [graph.add("crop", f"w={width}:h={height}:x=0:y=0"), graph.add("showinfo"), graph.add("buffersink")]
    try:
        graph.link_nodes(*nodes).configure()
        with info_lines() as lines:
            graph.push(raw)
            graph.pull()
    except (av.error.FFmpegError, ValueError):
        # A format that filters do not take; making the picture says so.
        return "unknown"
    said = [match[1] for _, _, line in lines if (match := _SAID.search(line))]
    return said[0] if said and said[0] in filters.CHROMA_PLACES else "unknown"
