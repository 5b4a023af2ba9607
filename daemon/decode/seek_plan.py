"""Where decoding has to begin for a frame to come out, and whether seeking costs less than a whole pass; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from daemon.decode.packet_index import NO_TIME, PacketIndex
from daemon.model import WantedFrame

SEEK_PACKETS = 8
"""What a seek costs besides decoding, in packets: the demuxer's reading, and the delay of the decoder."""
WORTH_SHARE = 0.7
"""Seeking is taken when it decodes at most this share of the packets that a pass would: a miss costs something more."""


class Rung(StrEnum):
    """What has given a frame (``daemon.decode.seek``); the keys of ``DecodeReport.rungs``."""

    KEY = "key"
    KEY_BEFORE = "key before"
    PASS = "pass"


@dataclass(frozen=True, slots=True)
class Aim:
    """A wanted frame, its packet, and the key packet that decoding begins with. Both are numbers in the index."""

    wanted: WantedFrame
    packet: int
    key: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Packets that are decoded by seeking, ``seeks`` included, and by one pass up to the last frame.

    ``unknown`` frames have no packet in the index: only the pass finds them.
    """

    by_seeking: int
    by_pass: int
    seeks: int
    unknown: int

    @property
    def seeking_pays(self) -> bool:
        """Whether seeking is clearly cheaper. With a frame that needs the pass in any case, the pass does for all."""
        return self.unknown == 0 and self.by_seeking <= WORTH_SHARE * self.by_pass


class Planner:
    """Finds the packets of frames and the key packets to begin with."""

    def __init__(self, index: PacketIndex) -> None:
        times = index.time
        self._order = np.argsort(times, kind="stable")
        self._sorted = times[self._order]
        self._keys = np.flatnonzero(index.key & (times != NO_TIME))
        self._key_times = times[self._keys]

    def packet_of(self, wanted: WantedFrame) -> int | None:
        """The packet of a frame; of several with its pts (a clock that starts anew) the one nearest its ordinal."""
        if wanted.pts is None:
            return None
        first, last = np.searchsorted(self._sorted, [wanted.pts, wanted.pts + 1])
        found = self._order[first:last]
        return int(found[np.abs(found - wanted.frame).argmin()]) if len(found) else None

    def key_before(self, packet: int, pts: int) -> int | None:
        """The last key packet at or before a packet in file order whose own pts is not above the frame's.

        A frame that stands behind a key in the file and is shown before it (a leading picture of an open group) may
        need what was before that key.
        """
        at = int(np.searchsorted(self._keys, packet, side="right")) - 1
        while at >= 0 and self._key_times[at] > pts:
            at -= 1
        return int(self._keys[at]) if at >= 0 else None

    def aims(self, wanted: Sequence[WantedFrame]) -> list[Aim]:
        """What to seek for, in the order of presentation; frames that the index does not know are left out."""
        found = []
        for one in sorted(wanted, key=lambda one: one.frame):
            packet = self.packet_of(one)
            key = None if packet is None or one.pts is None else self.key_before(packet, one.pts)
            if packet is not None and key is not None:
                found.append(Aim(one, packet, key))
        return found


def cost(index: PacketIndex, wanted: Sequence[WantedFrame]) -> Cost:
    """What it costs to get these frames, either way."""
    found = Planner(index).aims(wanted)
    decoded, seeks, fed = 0, 0, -1
    for aim in found:
        if aim.key > fed:
            seeks += 1
            decoded += SEEK_PACKETS + aim.packet - aim.key + 1
        else:
            decoded += max(aim.packet - fed, 0)
        fed = max(fed, aim.packet)
    return Cost(decoded, fed + 1, seeks, len(wanted) - len(found))


def shown_rank(index: PacketIndex, wanted: WantedFrame) -> int | None:
    """How many shown packets have an earlier pts: a sound film's ordinal. None without the frame's pts in the index."""
    if wanted.pts is None or not bool((index.time == wanted.pts).any()):
        return None
    return int(((index.time < wanted.pts) & ~index.discard).sum())
