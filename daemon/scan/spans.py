"""A film in spans, asked of the process that decodes: where it may be cut, and how each span begins and ends."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

from daemon.config.score import DecodeConfig
from daemon.decode.packet_index import packets_in
from daemon.decode.spans import Begun, Cut, Span
from daemon.model import VideoInfo
from daemon.scan.decoding import count_of, film_json, joint_from, text_of

_NUMBERS = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True)
class Cutting:
    """No frames: where a film may be cut into spans of about so many seconds."""

    info: VideoInfo
    config: DecodeConfig
    seconds: float

    @property
    def compiled(self) -> bool:
        """There are no pictures."""
        return False

    @property
    def ordinals(self) -> Collection[int]:
        """None at all."""
        return ()

    @property
    def room_bytes(self) -> int:
        """The index alone comes that way."""
        return 0

    def json(self) -> dict[str, Any]:
        """As ``daemon.scan.decode_work`` reads it."""
        return {**film_json(self.info, self.config), "work": "cut", "seconds": self.seconds}

    def found(self, values: dict[str, Any], index: bytes) -> Cut:
        """The spans, one behind the other through the whole film."""
        spans = tuple(map(_span_from, values["spans"]))
        ends = [0, *(span.end for span in spans)]
        if [span.first for span in spans] != ends[:-1] or ends != sorted(set(ends)):
            raise ValueError("the spans do not follow each other")
        if [span.next_pts for span in spans] != [*(span.pts for span in spans[1:]), None]:
            raise ValueError("the spans do not meet")
        if ends[-1] != packets_in(index) or ends[-1] > self.config.max_frames:
            raise ValueError("it is no index of these packets")
        return Cut(spans, count_of(values["packets"]), index)


def cut_json(cut: Cut) -> dict[str, Any]:
    """As ``Cutting.found`` reads it, without the index."""
    return {"spans": [asdict(span) for span in cut.spans], "packets": cut.packets}


def _span_from(values: dict[str, Any]) -> Span:
    span = Span(**values)
    numbers = [*asdict(replace(span, next_pts=0)).values(), 0 if span.next_pts is None else span.next_pts]
    if any(type(number) is not int or number not in _NUMBERS for number in numbers):
        raise ValueError("it is no span")
    return span


def begun_from(values: dict[str, Any]) -> Begun:
    """How a span begins, from its JSON. Raises KeyError, TypeError, ValueError for what is none."""
    return Begun(joint_from(values["joint"]), text_of(values["shape"]), text_of(values["header"]))
