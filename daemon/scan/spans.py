"""A film in spans, asked of the process that decodes: where it may be cut, and how each span begins and ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from daemon.decode.packet_index import packets_in
from daemon.decode.spans import Begun, Cut, Span
from daemon.scan.decoding import WithoutFrames, count_of, film_json, joint_from, text_of, ticks_of


@dataclass(frozen=True, slots=True)
class Cutting(WithoutFrames):
    """Where a film may be cut into spans of about so many seconds."""

    seconds: float

    def json(self) -> dict[str, Any]:
        """As ``daemon.scan.decode_work`` reads it."""
        return {**film_json(self.info, self.config), "work": "cut", "seconds": self.seconds}

    def found(self, values: dict[str, Any], index: bytes) -> Cut:
        """The spans, one behind the other through the whole film."""
        spans = tuple(map(_span_from, values["spans"]))
        ends = [0, *(span.end for span in spans)]
        if [span.first for span in spans] != ends[:-1] or ends != sorted(set(ends)):
            raise ValueError("the spans do not follow each other")
        if ends[-1] != packets_in(index) or ends[-1] > self.config.max_frames:
            raise ValueError("it is no index of these packets")
        return Cut(spans, count_of(values["packets"]), index)


def cut_json(cut: Cut) -> dict[str, Any]:
    """As ``Cutting.found`` reads it, without the index."""
    return {"spans": [asdict(span) for span in cut.spans], "packets": cut.packets}


def _span_from(values: dict[str, Any]) -> Span:
    """A span from its JSON. Raises KeyError, TypeError, ValueError for what is none."""
    next_pts, position = values["next_pts"], values["position"]
    return Span(
        first=count_of(values["first"]),
        end=count_of(values["end"]),
        pts=ticks_of(values["pts"]),
        next_pts=None if next_pts is None else ticks_of(next_pts),
        seek=ticks_of(values["seek"]),
        position=-1 if position == -1 else count_of(position),
        size_bytes=count_of(values["size_bytes"]),
    )


def begun_from(values: dict[str, Any]) -> Begun:
    """How a span begins, from its JSON. Raises KeyError, TypeError, ValueError for what is none."""
    return Begun(joint_from(values["joint"]), text_of(values["shape"]), text_of(values["header"]))
