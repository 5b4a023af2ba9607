"""Memory that two processes see, in slots of one size: one process fills them, the other looks at them where they lie.

::

    filler                        memory (memfd)                     taker
    empty, fill ─ arrays in slot n ─ a line that says so ──────────▶ take ─▶ arrays that lie in slot n
                ◀────────────────── the number of slot n ─────────── once the last of them is gone

Larger slots lie in a further region, so that nobody has to wait for those in use; a region before the last one is given
back once nobody uses it. The memory belongs to the taker, who alone can enlarge it; nobody can make it smaller, so that
no reader of it can be hurt by a page that is gone.
"""

from __future__ import annotations

import fcntl
import itertools
import math
import mmap
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

FEWEST_SLOTS = 3
MOST_SLOTS = 1024
MOST_PARTS = 8
MOST_REGIONS = 64
"""Of one film. As each has slots of a quarter more than the one before, no film needs so many."""
KEPT_FREE = 1
"""Where no more slots than this are free, a copy is taken, so that the filler never waits for who uses an array."""
KEPT_BYTES = 32 * 1024 * 1024
"""More memory than this is given back once it is not used."""
LAID = -1
"""Said in the place of a slot's number: there is the region that was asked for."""
_LINE_BYTES = 64
"""Arrays in a slot begin at a line of the processor's cache."""
_TYPES = {"|u1": 1, "<u2": 2}
_MOST_SIDES = 3
_LONGEST_SIDE = 1 << 31

Part = tuple[str, str, list[int], int]
"""An array in a slot: its name, its NumPy type such as ``|u1``, its shape, and where it begins."""


class RingError(Exception):
    """The other side has said something that is no slot, or no array in one."""


@dataclass(frozen=True, slots=True)
class Region:
    """``slots`` of ``slot_bytes`` each, from ``begin`` on; their numbers go on from ``first``."""

    begin: int
    first: int
    slots: int
    slot_bytes: int

    @classmethod
    def after(cls, last: Region | None, slot_bytes: int, ring_bytes: int) -> Region:
        """The region for slots of at least this size, behind the last one."""
        least = 1 if last is None else last.slot_bytes * 5 // 4
        whole = _rounded(max(slot_bytes, least), mmap.PAGESIZE)
        slots = min(max(ring_bytes // whole, FEWEST_SLOTS), MOST_SLOTS)
        if last is None:
            return cls(0, 0, slots, whole)
        return cls(last.end, last.first + last.slots, slots, whole)

    @property
    def end(self) -> int:
        """Where it ends, in bytes."""
        return self.begin + self.slots * self.slot_bytes


class Taker:
    """The side that owns the memory; ``handle`` is the open file that the other side needs."""

    def __init__(self) -> None:
        self.handle = os.memfd_create("stillwatch-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(self.handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._region: Region | None = None
        self._held: mmap.mmap | None = None
        self._regions = 0
        self._filled = True
        self._left: list[Region] = []
        self._old: list[Region] = []
        self._used: set[int] = set()
        self._leases: dict[int, Region] = {}
        self._tickets = itertools.count()
        self._ended = True
        # The last array in a slot is gone on any thread, also in the middle of what is done here.
        self._giving_back = threading.RLock()

    @property
    def in_use(self) -> bool:
        """Whether somebody still has an array that lies in the memory."""
        with self._giving_back:
            return bool(self._leases)

    def begin(self) -> None:
        """Have no slots at first."""
        self._region = self._held = None
        self._regions, self._filled = 0, True
        self._left, self._old = [], []
        self._ended = False

    def end(self) -> None:
        """No more is taken: memory is given back as soon as nobody uses it."""
        with self._giving_back:
            self._ended = True
            self._give_back()

    def _give_back(self) -> None:
        """What is not needed any more: regions before the last one, and once there is an end, all of them."""
        unused = [region for region in self._old if not self._is_used(region)]
        self._old = [region for region in self._old if region not in unused]
        for region in unused:
            self._remove(region.begin, region.end)
        if self._ended and not self._leases:
            last, self._region, self._held = self._region, None, None
            if last is not None and last.end > KEPT_BYTES:
                self._remove(0, last.end)

    def _is_used(self, region: Region) -> bool:
        return any(used is region for used in list(self._leases.values()))

    def _remove(self, begin: int, end: int) -> None:
        if self.handle >= 0:
            with mmap.mmap(self.handle, end - begin, offset=begin) as part:
                part.madvise(mmap.MADV_REMOVE)

    def lay(self, slot_bytes: int, ring_bytes: int) -> None:
        """Have a region for slots of at least this size.

        Raises OSError; RingError where the last region was not used, or there were so many that no film needs them:
        whoever fills them could have all memory.
        """
        if not self._filled or self._regions == MOST_REGIONS:
            raise RingError("it asks for memory again and again")
        self._regions, self._filled = self._regions + 1, False
        if self._region is not None:
            self._left.append(self._region)
        self._region = region = Region.after(self._region, slot_bytes, ring_bytes)
        if os.fstat(self.handle).st_size < region.end:
            os.ftruncate(self.handle, region.end)
        self._held = mmap.mmap(self.handle, region.slots * region.slot_bytes, offset=region.begin)

    def take(self, slot: Any, parts: Any, release: Callable[[int], object]) -> dict[str, NDArray[Any]]:
        """The arrays in a slot, which is released when the last of them is gone; at once where few are free.

        Raises RingError for what cannot be in it. ``release`` may be called on any thread.
        """
        region = self._region
        if region is None or type(slot) is not int or not 0 <= (at := slot - region.first) < region.slots:
            raise RingError("there is no such slot")
        if slot in self._used or not isinstance(parts, list) or len(parts) > MOST_PARTS:
            raise RingError("the slot is in use")
        assert self._held is not None
        block = np.frombuffer(self._held, np.uint8, region.slot_bytes, at * region.slot_bytes)
        arrays: dict[str, NDArray[Any]] = {}
        end = 0
        for name, kind, shape, begin in sorted(map(_as_part, parts), key=lambda part: part[3]):
            size = math.prod(shape) * _TYPES[kind]
            if (size and begin < end) or begin + size > region.slot_bytes or name in arrays:
                raise RingError(f"an array of {shape} does not lie in a slot of {region.slot_bytes} bytes by itself")
            end = max(end, begin + size)
            arrays[name] = block[begin : begin + size].view(kind).reshape(shape)
        self._filled = True
        if self._left:
            # Until a slot of the new region came, the other side might copy from the one before.
            with self._giving_back:
                self._old += self._left
                self._left = []
                self._give_back()
        if len(self._used) >= region.slots - KEPT_FREE:
            arrays = {name: array.copy() for name, array in arrays.items()}
            release(slot)
            return arrays
        lease = next(self._tickets)
        self._used.add(slot)
        self._leases[lease] = region

        def gone() -> None:
            # First, as it may be filled again at once; the lease last, as until then the other side has not been told.
            self._used.discard(slot)
            release(slot)
            with self._giving_back:
                del self._leases[lease]
                if self._ended or self._old:
                    self._give_back()

        # Whatever is made of a block by slicing keeps the block.
        weakref.finalize(block, gone).atexit = False
        return arrays

    def close(self) -> None:
        """Give it back; arrays that are still in use stay good."""
        self._region = self._held = None
        handle, self.handle = self.handle, -1
        os.close(handle)


class Filler:
    """The side that fills slots. ``freed`` gives the numbers of those that have become free; it waits for one if told.

    ``ask_for`` has a region laid for slots of so many bytes.
    """

    def __init__(
        self, handle: int, ring_bytes: int, ask_for: Callable[[int], object], freed: Callable[[bool], Iterable[int]]
    ) -> None:
        self._handle = handle
        self._ring_bytes = ring_bytes
        self._ask_for = ask_for
        self._freed = freed
        self._region: Region | None = None
        self._held: mmap.mmap | None = None
        self._free: list[int] = []
        self._slot = -1
        self._block: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._at = 0

    def empty(self, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
        """A new array, in the slot that is filled next where there is room: there it need not be copied."""
        size = math.prod(shape) * np.dtype(kind).itemsize
        if self._region is None or self._at + size > self._region.slot_bytes:
            return np.empty(shape, kind)
        self._hold_slot()
        begin, self._at = self._at, _rounded(self._at + size, _LINE_BYTES)
        return self._block[begin : begin + size].view(kind).reshape(shape)

    def fill(self, arrays: dict[str, NDArray[Any]]) -> tuple[int, list[Part]]:
        """The slot that the arrays are in from now on, and how they lie there."""
        room = sum(_rounded(array.nbytes, _LINE_BYTES) for array in arrays.values())
        apart = {name: array for name, array in arrays.items() if self._begin_of(array) is None}
        lacking = sum(_rounded(array.nbytes, _LINE_BYTES) for array in apart.values())
        if len(apart) == len(arrays):
            self._at = 0
        if self._region is None or self._at + lacking > self._region.slot_bytes:
            # As a whole into a larger one.
            self._enlarge(room)
            apart = arrays
        self._hold_slot()
        parts: list[Part] = []
        for name, array in arrays.items():
            begin = None if name in apart else self._begin_of(array)
            if begin is None:
                begin, self._at = self._at, _rounded(self._at + array.nbytes, _LINE_BYTES)
                self._block[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
            parts.append((name, array.dtype.str, list(array.shape), begin))
        slot, self._slot = self._slot, -1
        self._at = 0
        return slot, parts

    def _begin_of(self, array: NDArray[Any]) -> int | None:
        """Where in the slot an array lies that ``empty`` has made."""
        if self._slot < 0 or not array.flags.c_contiguous:
            return None
        begin = int(array.ctypes.data - self._block.ctypes.data)
        return begin if 0 <= begin <= len(self._block) - max(array.nbytes, 1) else None

    def _hold_slot(self) -> None:
        """Have a free slot; the one that was used last, which may still be in the processor's cache."""
        if self._slot >= 0:
            return
        assert self._region is not None
        assert self._held is not None
        while True:
            # Those of regions before this one are not used again.
            self._free += [slot for slot in self._freed(not self._free) if slot >= self._region.first]
            if self._free:
                break
        self._slot = self._free.pop()
        begin = (self._slot - self._region.first) * self._region.slot_bytes
        self._block = np.frombuffer(self._held, np.uint8, self._region.slot_bytes, begin)

    def _enlarge(self, room: int) -> None:
        self._ask_for(room)
        self._region = region = Region.after(self._region, room, self._ring_bytes)
        self._held = mmap.mmap(self._handle, region.slots * region.slot_bytes, offset=region.begin)
        self._free = list(range(region.first + region.slots - 1, region.first - 1, -1))
        self._slot, self._at = -1, 0


def _rounded(size: int, whole: int) -> int:
    return -(-size // whole) * whole


def _as_part(part: Any) -> Part:
    match part:
        case [str(name), str(kind), [*shape], int(begin)] if kind in _TYPES and len(shape) <= _MOST_SIDES:
            sides = all(type(side) is int and 0 <= side < _LONGEST_SIDE for side in shape)
            if sides and type(begin) is int and begin >= 0 and begin % 2 == 0:
                return name, kind, shape, begin
    raise RingError("this is no array")
