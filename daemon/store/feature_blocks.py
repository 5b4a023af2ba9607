"""Features as they are stored: the records of 32 neighbouring frames in one compressed block.

Neighbours look alike. So each record is stored as its difference from the one before, byte by byte, and the bytes of
one place follow each other: long runs of small numbers, which zlib makes a third of their size. Nothing is lost.

::

    byte 0      1: this layout
    byte 1      0: records as they are;  1: all of one size, as differences, place by place
    bytes 2-5   little endian: bit n is set where the block's frame n has a record
    then, zlib: kind 0: the lengths, two bytes each, then the records;  kind 1: the length once, then the differences
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from itertools import accumulate

FRAMES = 32
"""Frames of a block; fewer where a film ends."""

_LAYOUT, _AS_THEY_ARE, _DIFFERENCES = 1, 0, 1
_HEAD = 6
_LEVEL = 1


def pack(records: Mapping[int, bytes]) -> bytes:
    """A block from the records by their place in it, 0 to 31; at least one.

    >>> unpack(pack({0: b"abc", 31: b"abd"}))
    {0: b'abc', 31: b'abd'}
    """
    places = sorted(records)
    parts = [records[place] for place in places]
    sizes = {len(part) for part in parts}
    present = sum(1 << place for place in places).to_bytes(4, "little")
    if len(sizes) == 1 and 0 not in sizes:
        import numpy as np

        size = sizes.pop()
        rows = np.frombuffer(b"".join(parts), np.uint8).reshape(len(parts), size)
        # Differences of uint8 wrap around, and so does their sum.
        steps = np.diff(rows, axis=0, prepend=np.zeros((1, size), np.uint8))
        return (
            bytes((_LAYOUT, _DIFFERENCES))
            + present
            + zlib.compress(size.to_bytes(2, "little") + steps.T.tobytes(), _LEVEL)
        )
    lengths = b"".join(len(part).to_bytes(2, "little") for part in parts)
    return bytes((_LAYOUT, _AS_THEY_ARE)) + present + zlib.compress(lengths + b"".join(parts), _LEVEL)


def unpack(block: bytes, only: Collection[int] = range(FRAMES)) -> dict[int, bytes]:
    """The records of ``only`` these places, by their place. Raises ValueError for what ``pack`` has not made."""
    if len(block) < _HEAD or block[0] != _LAYOUT or block[1] not in (_AS_THEY_ARE, _DIFFERENCES):
        raise ValueError("the features are in a form that is not known")
    present = int.from_bytes(block[2:_HEAD], "little")
    places = [place for place in range(FRAMES) if present >> place & 1]
    wanted = [(at, place) for at, place in enumerate(places) if place in only]
    if not wanted:
        return {}
    try:
        content = zlib.decompress(block[_HEAD:])
    except zlib.error as error:
        raise ValueError(f"the features are damaged: {error}") from error
    if block[1] == _DIFFERENCES:
        return _summed(content, len(places), wanted)
    lengths = [int.from_bytes(content[2 * at : 2 * at + 2], "little") for at in range(len(places))]
    ends = [*accumulate(lengths, initial=2 * len(places))]
    return {place: content[ends[at] : ends[at + 1]] for at, place in wanted}


def _summed(content: bytes, count: int, wanted: list[tuple[int, int]]) -> dict[int, bytes]:
    """The wanted of ``count`` records by their place, from the differences."""
    import numpy as np

    size = int.from_bytes(content[:2], "little")
    steps = np.frombuffer(content, np.uint8, offset=2).reshape(size, count)
    rows = steps.T[: wanted[-1][0] + 1].copy()
    records, summed, record = {}, 0, np.zeros(size, np.uint8)
    for at, place in wanted:
        # Row by row: twice as quick as a sum along either axis of so small a table.
        record += rows[at] if at == summed else np.add.reduce(rows[summed : at + 1], axis=0, dtype=np.uint8)
        records[place], summed = record.tobytes(), at + 1
    return records
