"""Where a stream's packets lie in its file: noted while the film is scored, kept with it, and read again to seek by.

Stored form: a byte that is the version, then chunks. A chunk is the number of its packets and the length of what
follows (two little-endian 32-bit integers), and under zlib the columns ``flags``, ``dts``, ``pts``, ``size`` and
``position``, each a byte that says how wide its integers are, and the integers. ``dts`` are differences from packet to
packet, ``pts`` from the packet's own ``dts``, ``position`` from the end of the packet before: nearly all of them small
or alike.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from av.packet import Packet
from numpy.typing import NDArray

NO_TIME = -(1 << 63)
"""Stands in a column of times for a packet that has none."""
CHUNK_PACKETS = 1 << 16
"""So many packets are packed together, which bounds what a film of many hours holds in memory."""
VERSION = 1

_KEY, _DISCARD, _HAS_PTS, _HAS_DTS = 1, 2, 4, 8
_HEAD = struct.Struct("<II")
_COLUMNS, _WIDEST = 5, 8


@dataclass(frozen=True, slots=True, eq=False)
class PacketIndex:
    """The packets of one stream in file order, one row each; empty packets are left out.

    ``pts`` and ``dts`` int64 in the stream's time base or NO_TIME, ``position`` int64 in bytes or -1, ``size`` int64 in
    bytes, ``key`` bool: decoding may begin here, ``discard`` bool: the file says that its frame is not to be shown.
    ``record`` is the stored form.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    position: NDArray[np.int64]
    size: NDArray[np.int64]
    key: NDArray[np.bool_]
    discard: NDArray[np.bool_]
    record: bytes = b""

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def time(self) -> NDArray[np.int64]:
        """The pts of each packet, or its dts where it has none (AVI)."""
        return np.where(self.pts == NO_TIME, self.dts, self.pts)

    @property
    def earliest(self) -> NDArray[np.int64]:
        """The smaller of pts and dts of each packet; NO_TIME where it has neither."""
        return np.where(self.dts == NO_TIME, self.pts, np.minimum(self.time, self.dts))

    @classmethod
    def unpacked(cls, blob: bytes) -> Self:
        """The index from its stored form. Raises ValueError for what is none."""
        if blob[:1] != bytes([VERSION]):
            raise ValueError("not an index of packets of this version")
        parts, at = [], 1
        try:
            while at < len(blob):
                count, length = _HEAD.unpack_from(blob, at)
                at += _HEAD.size
                if count > CHUNK_PACKETS:
                    raise ValueError("the index of packets is damaged")
                unpacking = zlib.decompressobj()
                # No chunk is larger, whatever it says.
                body = unpacking.decompress(blob[at : at + length], _COLUMNS * (1 + _WIDEST * count) + 1)
                if not unpacking.eof:
                    raise ValueError("the index of packets is damaged")
                parts.append(_unpacked_chunk(body, count))
                at += length
        except (struct.error, zlib.error, IndexError) as error:
            raise ValueError(f"the index of packets is damaged: {error}") from error
        flags, pts, dts, position, size = (
            np.concatenate([part[column] for part in parts] or [np.zeros(0, np.int64)]) for column in range(_COLUMNS)
        )
        return cls(pts, dts, position, size, (flags & _KEY).astype(bool), (flags & _DISCARD).astype(bool), blob)


def packets_in(record: bytes) -> int:
    """How many packets a stored form says that it has. Raises ValueError for what is none."""
    if record[:1] != bytes([VERSION]):
        raise ValueError("not an index of packets of this version")
    packets, at = 0, 1
    while at < len(record):
        if at + _HEAD.size > len(record):
            raise ValueError("the index of packets is damaged")
        count, length = _HEAD.unpack_from(record, at)
        packets += count
        at += _HEAD.size + length
    return packets


class PacketIndexBuilder:
    """Takes the packets one by one as they are read, and packs them."""

    def __init__(self) -> None:
        self._packed = [bytes([VERSION])]
        self._packets = 0
        self._clear()

    def _clear(self) -> None:
        self._flags = bytearray()
        self._pts, self._dts, self._position, self._size = array("q"), array("q"), array("q"), array("q")

    def add(self, packet: Packet[Any]) -> None:
        """Note the next packet of the stream; an empty one is no packet."""
        if not packet.size:
            return
        pts, dts, position = packet.pts, packet.dts, packet.pos
        self._flags.append(
            _KEY * packet.is_keyframe
            | _DISCARD * packet.is_discard
            | _HAS_PTS * (pts is not None)
            | _HAS_DTS * (dts is not None)
        )
        self._pts.append(0 if pts is None else pts)
        self._dts.append(0 if dts is None else dts)
        self._position.append(-1 if position is None else position)
        self._size.append(packet.size)
        if len(self._flags) == CHUNK_PACKETS:
            self._pack()

    @property
    def packets(self) -> int:
        """How many packets were noted."""
        return self._packets + len(self._flags)

    def packed(self) -> bytes:
        """The stored form of all packets until now."""
        self._pack()
        return b"".join(self._packed)

    def built(self) -> PacketIndex:
        """The index of all packets until now."""
        return PacketIndex.unpacked(self.packed())

    def _pack(self) -> None:
        count = len(self._flags)
        if not count:
            return
        flags = np.frombuffer(bytes(self._flags), np.uint8).astype(np.int64)
        pts, dts, position, size = (
            np.array(column, np.int64) for column in (self._pts, self._dts, self._position, self._size)
        )
        # Nothing is stored for a missing time: its difference is 0.
        dts = _filled(dts, (flags & _HAS_DTS) != 0)
        ends = np.concatenate([np.zeros(1, np.int64), (position + size)[:-1]])
        columns = (
            flags,
            np.diff(dts, prepend=0),
            np.where((flags & _HAS_PTS) != 0, pts - dts, 0),
            size,
            position - ends,
        )
        body = zlib.compress(b"".join(_narrow(column) for column in columns), 6)
        self._packed += [_HEAD.pack(count, len(body)), body]
        self._packets += count
        self._clear()


def _filled(values: NDArray[np.int64], there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Each missing value is the one before it; 0 at the beginning."""
    last = np.maximum.accumulate(np.where(there, np.arange(len(values)), -1))
    return np.where(last >= 0, values[last], 0)


def _narrow(column: NDArray[np.int64]) -> bytes:
    """The width in bytes, then the integers as narrow as they all fit."""
    least, most = int(column.min()), int(column.max())
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return bytes([np.dtype(kind).itemsize]) + column.astype(f"<i{np.dtype(kind).itemsize}").tobytes()
    return b"\x08" + column.astype("<i8").tobytes()


def _unpacked_chunk(body: bytes, count: int) -> tuple[NDArray[np.int64], ...]:
    columns, at = [], 0
    for _ in range(_COLUMNS):
        width = body[at]
        if width not in (1, 2, 4, 8) or at + 1 + width * count > len(body):
            raise ValueError("the index of packets is damaged")
        columns.append(np.frombuffer(body, f"<i{width}", count, at + 1).astype(np.int64))
        at += 1 + width * count
    flags, dts_steps, pts_ahead, size, gaps = columns
    dts = np.cumsum(dts_steps)
    # position[n] = gap[n] + position[n - 1] + size[n - 1]
    position = np.cumsum(gaps) + np.cumsum(size) - size
    pts = np.where((flags & _HAS_PTS) != 0, dts + pts_ahead, NO_TIME)
    return flags, pts, np.where((flags & _HAS_DTS) != 0, dts, NO_TIME), position, size
