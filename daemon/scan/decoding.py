"""What is to be decoded, as plain data that another process can be given; and what a run has found, on its way back.

What comes back is a stranger's word: whoever controls the decoder controls what it says.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.packet_index import packets_in
from daemon.decode.spans import Joint, Span
from daemon.media.info_text import info_json, info_of
from daemon.model import VideoInfo
from daemon.scan.protocol import Findings
from daemon.scan.rows import findings_of

SCORED_BYTES = 128 * 1024 * 1024
"""Room for frames that are being scored."""
MOST_TEXT = 2000
"""Characters of a sentence, no longer one is kept."""
COUNTS = (
    *("frames", "packets", "unread_bytes", "lost_packets", "frameless_packets", "corrupt_frames", "damaged_frames"),
)
_MOST_COUNT = (1 << 63) - 1
ALL_FRAMES = range(_MOST_COUNT)
"""Of a film, however many it has."""
T_co = TypeVar("T_co", covariant=True)


class Work(Protocol[T_co]):
    """What the process can be asked for: frames, and what was found at their end."""

    @property
    def info(self) -> VideoInfo:
        """The film."""

    @property
    def config(self) -> DecodeConfig:
        """The bounds."""

    @property
    def compiled(self) -> bool:
        """Whether compiled code is needed, which takes a moment to load."""

    @property
    def ordinals(self) -> range | Collection[int]:
        """The frames that may come, each once: those of a range one after the other, others in any order."""

    @property
    def room_bytes(self) -> int:
        """Memory for frames that are on their way or in use."""

    def json(self) -> dict[str, Any]:
        """As ``work_of`` reads it."""

    def found(self, values: dict[str, Any], index: bytes, /) -> T_co:
        """What a run has found, from its JSON and the index of packets, if one was made.

        Raises KeyError, TypeError, ValueError, AttributeError for what is none.
        """


@dataclass(frozen=True, slots=True)
class WithoutFrames:
    """What is asked of a film's packets alone: none of them is decoded."""

    info: VideoInfo
    config: DecodeConfig

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


@dataclass(frozen=True, slots=True)
class Request:
    """Every frame of a film with its features: gray alone where its sides have ``gray_from`` pixels or more.

    ``known`` are stored hashes, as ``decode_frames`` has them; ``strip``: small pictures for the strip too. With
    ``span`` its frames alone.
    """

    info: VideoInfo
    config: DecodeConfig
    single_thread: bool
    known: Sequence[str] = ()
    gray_from: int | None = None
    strip: bool = False
    span: Span | None = None

    @property
    def compiled(self) -> bool:
        """Pictures and features are made by compiled code."""
        return True

    @property
    def ordinals(self) -> range:
        """All frames, or those of the span."""
        return ALL_FRAMES if self.span is None else range(self.span.first, self.span.end)

    @property
    def room_bytes(self) -> int:
        """Room for the frames that one film may have waiting, and for those that are being scored."""
        return ring_bytes(self.config)

    def json(self) -> dict[str, Any]:
        """As ``work_of`` reads it."""
        return {
            **film_json(self.info, self.config),
            "work": "scan",
            "single_thread": self.single_thread,
            "known": list(self.known),
            "gray_from": self.gray_from,
            "strip": self.strip,
            "span": None if self.span is None else asdict(self.span),
        }

    def found(self, values: dict[str, Any], index: bytes) -> Findings:
        """The findings."""
        return findings_from(values, index, self.info, self.config)


def film_json(info: VideoInfo, config: DecodeConfig) -> dict[str, Any]:
    """What every request has, as ``film_of`` reads it."""
    return {
        "path": os.fsencode(info.path).hex(),
        "info": info_json(info),
        "config": config.model_dump(mode="json"),
    }


def film_of(values: dict[str, Any]) -> tuple[VideoInfo, DecodeConfig]:
    """The film and its bounds, taken out of the JSON of a request."""
    info = info_of(values.pop("info"), Path(os.fsdecode(bytes.fromhex(values.pop("path")))))
    assert info is not None
    return info, DecodeConfig.model_validate(values.pop("config"))


def ring_bytes(config: DecodeConfig) -> int:
    """The most memory for frames of a film that are on their way or in use."""
    return config.queue_bytes // config.concurrency + SCORED_BYTES


def findings_json(info: VideoInfo, report: DecodeReport) -> tuple[dict[str, Any], bytes]:
    """As ``findings_from`` reads them, and the index of packets."""
    found = findings_of(report)
    values = {key: getattr(found, key) for key in Findings.__dataclass_fields__ if key not in ("index", "meets")}
    values["stretches"] = info_json(replace(info, stretches=found.stretches))
    return values, found.index


def findings_from(values: dict[str, Any], index: bytes, info: VideoInfo, config: DecodeConfig) -> Findings:
    """The findings from their JSON. Raises KeyError, TypeError, ValueError for what is none."""
    found = dict(values)
    film = info_of(found.pop("stretches"), info.path)
    assert film is not None
    counts = {name: count_of(found.pop(name)) for name in COUNTS}
    meets = found.pop("meets")
    if packets_in(index) != counts["packets"] or counts["packets"] > config.max_frames:
        raise ValueError("it is no index of these packets")
    unread_s, damage, software = float(found.pop("unread_s")), found.pop("damage"), found.pop("without_device")
    if not math.isfinite(unread_s):
        raise ValueError(f"{unread_s} seconds")
    return Findings(
        stretches=film.stretches,
        index=index,
        damaged_spans=tuple((count_of(first), count_of(last)) for first, last in found.pop("damaged_spans")),
        unlike_chain=tuple(text_of(layout) for layout in found.pop("unlike_chain")),
        damage=None if damage is None else text_of(damage),
        without_device=None if software is None else text_of(software),
        unread_s=unread_s,
        damaged=found.pop("damaged") is True,
        mixed=found.pop("mixed") is True,
        meets=None if meets is None else joint_from(meets),
        **counts,
        **found,
    )


def joint_from(values: dict[str, Any]) -> Joint:
    """The frame at which two spans meet, from its JSON. Raises KeyError, TypeError, ValueError for what is none."""
    pts, lasts_s = values["pts"], values["duration_s"]
    times = [float(values["time_s"]), *([] if lasts_s is None else [float(lasts_s)])]
    if not all(map(math.isfinite, times)):
        raise ValueError("it is no time")
    return Joint(
        count_of(values["frame"]),
        None if pts is None else ticks_of(pts),
        times[0],
        None if lasts_s is None else times[1],
        text_of(values["hash"]),
    )


def count_of(value: Any) -> int:
    """A number of things. Raises ValueError for what is none."""
    if type(value) is not int or not 0 <= value <= _MOST_COUNT:
        raise ValueError(f"{value!r:.40} is no number of anything")
    return value


def ticks_of(value: Any) -> int:
    """A time in a time base. Raises ValueError for what FFmpeg and SQLite cannot hold."""
    if type(value) is not int or not -_MOST_COUNT - 1 <= value <= _MOST_COUNT:
        raise ValueError(f"{value!r:.40} is no time")
    return value


def text_of(value: Any) -> str:
    """A sentence of bounded length. Raises ValueError for what is none."""
    if not isinstance(value, str):
        raise ValueError("it is no text")
    return value[:MOST_TEXT]
