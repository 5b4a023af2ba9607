"""What a frame carries beside its planes: display matrix, colour volume, Dolby Vision."""

from __future__ import annotations

from typing import Any

from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame


def side_data(frame: VideoFrame, name: str) -> Any:
    """The bytes of one kind, by the name of ``av.sidedata.sidedata.Type``; None where the frame has none.

    Raises ValueError where the frame has a kind that PyAV does not know: it then gives none of them.

    Not by ``frame.side_data``: the frame keeps that, and it keeps the frame. Only the garbage collector frees the two,
    some time later, and with them the decoder's buffer. A damaged picture shows what was in its buffer before, so the
    same frame would not be the same in the next pass.
    """
    container: Any = SideDataContainer
    return container(frame).get(name)


def kinds(frame: VideoFrame) -> tuple[str, ...]:
    """Which kinds a frame has, by name."""
    container: Any = SideDataContainer
    try:
        return tuple(sorted(one.type.name for one in container(frame)))
    except ValueError as error:
        return (str(error),)
