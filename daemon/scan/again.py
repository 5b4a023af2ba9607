"""Scored frames that are decoded a second time, and packets that are read: requests to the process that decodes."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from daemon.config.score import DecodeConfig
from daemon.decode.packet_index import PacketIndex, packets_in
from daemon.decode.seek_plan import Rung
from daemon.model import VideoInfo, WantedFrame
from daemon.scan.decoding import ALL_FRAMES, WithoutFrames, count_of, film_json

ROOM_BYTES = 64 * 1024 * 1024
"""Room for frames that are encoded or scored; of larger ones copies are taken."""


class Way(StrEnum):
    """How frames are looked for: by seeking alone, by what costs less, or by decoding from the beginning."""

    SEEK = "seek"
    CHEAPER = "cheaper"
    PASS = "pass"


@dataclass(frozen=True, slots=True)
class Again:
    """Frames of a film that was scored, as ``daemon.decode.seek`` and ``decode_frames`` give them.

    ``wanted`` None: all of them, by a pass. ``index`` is needed for seeking; ``known`` are hashes, as ``decode_frames``
    has them.
    """

    info: VideoInfo
    config: DecodeConfig
    way: Way
    wanted: Sequence[WantedFrame] | None
    index: PacketIndex | None = None
    single_thread: bool = True
    depth: int | None = None
    keep_hdr: bool = False
    known: Sequence[str] = ()

    @property
    def compiled(self) -> bool:
        """The filter chain makes these pictures."""
        return False

    @property
    def ordinals(self) -> range | Collection[int]:
        """The wanted frames."""
        return ALL_FRAMES if self.wanted is None else frozenset(one.frame for one in self.wanted)

    @property
    def room_bytes(self) -> int:
        """Few frames are in use at once."""
        return ROOM_BYTES

    def json(self) -> dict[str, Any]:
        """As ``daemon.scan.decode_work`` reads it."""
        return {
            **film_json(self.info, self.config),
            "work": "again",
            "way": self.way,
            "wanted": None if self.wanted is None else [asdict(one) for one in self.wanted],
            "index": None if self.index is None else base64.b64encode(self.index.record).decode("ascii"),
            "single_thread": self.single_thread,
            "depth": self.depth,
            "keep_hdr": self.keep_hdr,
            "known": list(self.known),
        }

    def found(self, values: dict[str, Any], _: bytes) -> dict[Rung, int]:
        """How many frames each rung has given."""
        return {rung: count_of(values["rungs"].get(rung, 0)) for rung in Rung}


@dataclass(frozen=True, slots=True)
class Packets(WithoutFrames):
    """Where the packets of a film lie."""

    def json(self) -> dict[str, Any]:
        """As ``daemon.scan.decode_work`` reads it."""
        return {**film_json(self.info, self.config), "work": "packets"}

    def found(self, _: dict[str, Any], index: bytes) -> PacketIndex:
        """The index."""
        if packets_in(index) > self.config.max_frames:
            raise ValueError("more packets than a film may have")
        return PacketIndex.unpacked(index)
