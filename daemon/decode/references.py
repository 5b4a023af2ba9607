"""Which frames show damage: those that are damaged themselves, and those that were predicted from them.

Packets stand in the order of decoding, frames in the order of presentation. Damage runs on from packet to packet
until a picture needs nothing of what came before::

    decoding order   I0 P3 B1 B2 P6x B4 B5 I9 B7 B8 P12      x: damaged
    damaged                      ^   ^  ^     ^  ^           B7 and B8 lead I9: they also refer to P6

* A key packet whose picture is an I picture ends it, but pictures that are decoded later and shown earlier (open
  groups of pictures) may refer to what was before.
* A key packet with another picture is a recovery point (intra refresh): its picture is whole after one round, so
  the next recovery point ends the damage.
"""

from __future__ import annotations

from array import array

NO_PTS = -(1 << 63)

Spans = tuple[tuple[int, int], ...]
"""Runs of ordinals, the first and the last of each."""


class References:
    """Notes packets, frames and damage of one pass with one thread; tells which frames count as damaged."""

    def __init__(self) -> None:
        self._pts = array("q")
        self._key = bytearray()
        self._damaged = bytearray()
        self._intra = bytearray()
        self._packet_of = array("q")

    @property
    def packets(self) -> int:
        """How many packets were noted."""
        return len(self._pts)

    def packet(self, pts: int | None, *, key: bool) -> int:
        """Note the next packet in the order of decoding; returns its number."""
        self._pts.append(NO_PTS if pts is None else pts)
        self._key.append(key)
        self._damaged.append(False)
        self._intra.append(False)
        return len(self._pts) - 1

    def frame(self, packet: int | None, *, intra: bool, corrupt: bool) -> None:
        """Note the next frame in the order of presentation, and the packet it came in where that is known."""
        self._packet_of.append(-1 if packet is None else packet)
        if packet is not None:
            self._intra[packet] = intra
            self._damaged[packet] |= corrupt

    def damage(self, last: int = 1) -> None:
        """Something is wrong with the packets that were noted last, or with what should have come before them."""
        for number in range(max(len(self._damaged) - last, 0), len(self._damaged)):
            self._damaged[number] = True

    def spans(self) -> Spans:
        """The frames that count as damaged, as runs of ordinals."""
        dirty = self._dirty_packets()
        spans: list[tuple[int, int]] = []
        for ordinal, packet in enumerate(self._packet_of):
            if packet < 0 or not dirty[packet]:
                continue
            if spans and spans[-1][1] == ordinal - 1:
                spans[-1] = (spans[-1][0], ordinal)
            else:
                spans.append((ordinal, ordinal))
        return tuple(spans)

    def _dirty_packets(self) -> bytearray:
        dirty = bytearray(len(self._pts))
        running = refreshing = False
        leads_before = NO_PTS
        for number, pts in enumerate(self._pts):
            if self._damaged[number]:
                running, refreshing = True, False
            elif self._key[number] and running:
                if self._intra[number]:
                    running, refreshing, leads_before = False, False, pts
                elif refreshing:
                    running = refreshing = False
                else:
                    refreshing = True
            elif self._key[number] and self._intra[number]:
                leads_before = NO_PTS
            dirty[number] = running or pts < leads_before
        return dirty
