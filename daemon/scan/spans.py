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
        if [span.next_pts for span in spans] != [*(span.pts for span in spans[1:]), None]:
            raise ValueError("the spans do not meet")
        if ends[-1] != packets_in(index) or ends[-1] > self.config.max_frames:
            raise ValueError("it is no index of these packets")
        return Cut(spans, count_of(values["packets"]), index)


def cut_json(cut: Cut) -> dict[str, Any]:
    """As ``Cutting.found`` reads it, without the index."""
    return {"spans": [asdict(span) for span in cut.spans], "packets": cut.packets}


def _span_from(values: dict[str, Any]) -> Span:
    """A span from its JSON. Raises KeyError, TypeError, ValueError for what is none."""
    span = Span(**values)
    for count in (span.first, span.end, span.size_bytes, *(() if span.position == -1 else (span.position,))):
        count_of(count)
    for ticks in (span.pts, span.seek, span.position, *(() if span.next_pts is None else (span.next_pts,))):
        ticks_of(ticks)
    return span


def begun_from(values: dict[str, Any]) -> Begun:
    """How a span begins, from its JSON. Raises KeyError, TypeError, ValueError for what is none."""
    return Begun(joint_from(values["joint"]), text_of(values["shape"]), text_of(values["header"]))
