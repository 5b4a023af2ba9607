"""Parts of a file that its demuxer passes over without a word: seen by what the format says must lie there.

A block that was never written, or was overwritten, leaves no packet behind in AVI and ASF; for what packets themselves
hold of such, see ``daemon.decode.blank``. Of files that were put together, or are cut short, FFmpeg may read the first
part and see an end.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet

from daemon.runtime.reading import opened

GAP_BYTES = 16 * 1024
"""A shorter gap between two packets of an AVI file is not looked into."""
MOST_CHUNKS = 4096
"""Of more chunks or boxes than this in one place nothing is said."""
JOINED_BYTES = 64 * 1024 * 1024
"""How much of what follows the last packet is searched for the beginning of another file."""
SILENT_SHARE = 0.25
SILENT_BYTES = 16 * 1024
"""A longer end of a file that holds nothing but packets, of which no packet of the stream comes, is unread."""

_STREAMED = ("flv", "live_flv", "asf", "mpegts", "mpegtsraw", "mpeg")
"""Demuxers of files that hold nothing but packets from beginning to end."""
_SEALED = ("yuv4mpegpipe",)
"""Those whose last packet is the end of the file."""
_MAGIC_BYTES = {"apng": 8, "rm": 4, "nut": 24}
"""How many bytes each file of these formats begins with alike."""
_FOURCC = re.compile(rb"[0-9A-Za-z ]{4}")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_PACKET_SIZE_AT = 92
_ASF_HEADER_BYTES = 64 * 1024
_ASF_PACKET = b"\x82\0\0"
"""Error correction data of two bytes, which are zero: how every packet begins (Advanced Systems Format, 5.2.1)."""
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
"""The largest page (RFC 3533)."""


class SilentHoles:
    """Follows the packets of one stream in the order of the file."""

    def __init__(self, container: InputContainer) -> None:
        self._format = container.format.name
        self._size = max(int(container.size), 0)
        self._path = Path(container.name[5:]) if container.name.startswith("file:") else None
        self._end = 0
        self._last_pos: int | None = None
        self._packet_size: int | None = None

    def bytes_before(self, packet: Packet[Any]) -> int:
        """How many bytes between the packet given last and this one are not what the format has there."""
        pos, before, end = packet.pos, self._last_pos, self._end
        if pos is None or pos < 0:
            return 0
        self._last_pos, self._end = max(pos, before or 0), max(pos + packet.size, end)
        if before is None or pos <= before:
            return 0
        if self._format == "avi" and pos - end > GAP_BYTES:
            return self._looked_at(lambda file: _between_chunks(file, end, pos))
        if self._format == "asf":
            return self._looked_at(lambda file: self._between_asf_packets(file, before, pos))
        return 0

    def bytes_behind(self, *, damaged: bool) -> int:
        """How many bytes behind the last packet belong to it, or to the next, and were not read."""
        behind = self._size - self._end
        if not self._end or behind <= 0:
            return 0
        # What follows the packets of a sound file of another kind may be its index, or sound.
        if (self._format in _STREAMED or damaged) and behind > max(SILENT_BYTES, SILENT_SHARE * self._size):
            return behind
        if self._format in _SEALED:
            return behind
        if self._format == "ogg":
            return self._looked_at(lambda file: _cut_page(file, self._size))
        if "mov" in self._format:
            return self._looked_at(lambda file: _behind_second_file(file, self._end, self._size))
        return self._looked_at(self._behind_same_beginning)

    def _looked_at(self, look: Callable[[int], int]) -> int:
        """What ``look`` finds in the file; nothing where it lies at its place no longer, which FFmpeg does not mind."""
        if self._path is None:
            return 0
        with suppress(FileNotFoundError), opened(self._path) as file:
            return look(file)
        return 0

    def _between_asf_packets(self, file: int, before: int, pos: int) -> int:
        if self._packet_size is None:
            # A file whose first packet has no error correction is left alone.
            self._packet_size = _asf_packet_size(file) if os.pread(file, 3, before) == _ASF_PACKET else 0
        step = self._packet_size
        places = range(before + step, pos + 1, step) if step else ()
        return sum(step for at in places if os.pread(file, 3, at) != _ASF_PACKET)

    def _behind_same_beginning(self, file: int) -> int:
        magic = os.pread(file, _MAGIC_BYTES.get(self._format, 0), 0)
        if not magic:
            return 0
        found = os.pread(file, min(self._size - self._end, JOINED_BYTES), self._end).find(magic)
        return self._size - self._end - found if found >= 0 else 0


def _between_chunks(file: int, end: int, pos: int) -> int:
    """AVI: the chunks between two packets follow each other, whatever they hold; lists are gone into."""
    at, target = end + end % 2, pos - 8
    for _ in range(MOST_CHUNKS):
        if at >= target:
            # Writers that leave out the byte that makes sizes even are off by one.
            return 0 if at <= target + 1 else target - end
        head = os.pread(file, 8, at)
        if not _FOURCC.fullmatch(head[:4]) and _FOURCC.fullmatch(os.pread(file, 4, at - 1)):
            at -= 1
            continue
        if not _FOURCC.fullmatch(head[:4]):
            return target - at
        size = int.from_bytes(head[4:], "little")
        at += 12 if head[:4] in (b"LIST", b"RIFF") else 8 + size + size % 2
    return 0


def _asf_packet_size(file: int) -> int:
    """Of packets that are all of one size, else 0 (File Properties Object, 3.2)."""
    header = os.pread(file, _ASF_HEADER_BYTES, 0)
    at = header.find(_ASF_PROPERTIES)
    sizes = header[at + _ASF_PACKET_SIZE_AT : at + _ASF_PACKET_SIZE_AT + 8]
    least, most = int.from_bytes(sizes[:4], "little"), int.from_bytes(sizes[4:], "little")
    return least if at >= 0 and least == most else 0


def _cut_page(file: int, size: int) -> int:
    """Ogg: what there is of a last page that is longer than the file."""
    tail = os.pread(file, _OGG_PAGE_BYTES, max(size - _OGG_PAGE_BYTES, 0))
    at = tail.rfind(b"OggS")
    if at < 0:
        return 0
    page = tail[at:]
    segments = page[26] if len(page) > 26 else 255
    whole = len(page) >= 27 + segments and len(page) >= 27 + segments + sum(page[27 : 27 + segments])
    return 0 if whole else len(page)


def _behind_second_file(file: int, end: int, size: int) -> int:
    """ISO base media: a file has one ``ftyp``; another one behind all that was read begins another file."""
    at = 0
    for _ in range(MOST_CHUNKS):
        head = os.pread(file, 16, at)
        if len(head) < 8:
            return 0
        if at >= end and head[4:8] == b"ftyp":
            return size - at
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            return 0
        at += length
    return 0
