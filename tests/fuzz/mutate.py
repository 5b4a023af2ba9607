"""Mutants that stay well-formed enough to be read: whole boxes, elements, chunks, pages and packets change."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable

Pieces = list[bytes]
TS_BYTES = 188
HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf", b"edts", b"udta", b"dinf")
MASTERS = (0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675, 0xA0, 0x1254C367, 0x7373, 0x67C8, 0x6D80, 0x6240)
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 40_000_000)


def changed(rng: random.Random, pieces: Pieces) -> Pieces:
    """Some of the pieces dropped, doubled, moved or damaged."""
    pieces = list(pieces)
    for _ in range(rng.randint(1, 3)):
        if not pieces:
            break
        at = rng.randrange(len(pieces))
        what = rng.randrange(5)
        if what == 0:
            del pieces[at]
        elif what == 1:
            pieces[at:at] = [pieces[at]] * rng.choice((1, 2, 50))
        elif what == 2:
            pieces.insert(rng.randrange(len(pieces)), pieces.pop(at))
        else:
            pieces[at] = damaged(rng, pieces[at])
    return pieces


def damaged(rng: random.Random, piece: bytes) -> bytes:
    """Numbers in it become others, of the kind at which programs go wrong."""
    data = bytearray(piece)
    for _ in range(rng.randint(1, 4)):
        width = min(rng.choice((1, 2, 4, 8)), len(data))
        if not width:
            break
        at = rng.randrange(len(data) - width + 1)
        number = rng.choice((*NUMBERS, rng.getrandbits(32))) & ((1 << 8 * width) - 1)
        data[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
    return bytes(data)


def _boxes(data: bytes) -> Pieces:
    found = []
    while len(data) >= 8:
        size = min(max(struct.unpack_from(">I", data)[0], 8), len(data))
        found.append(data[:size])
        data = data[size:]
    return [*found, data] if data else found


def boxes(rng: random.Random, data: bytes, depth: int = 0) -> bytes:
    """ISO/IEC 14496-12: a box is changed at any depth, and the sizes of those around it follow."""
    pieces = _boxes(data)
    inner = [at for at, piece in enumerate(pieces) if piece[4:8] in HOLDERS]
    if inner and (depth == 0 or rng.random() < 0.7):
        at = rng.choice(inner)
        body = boxes(rng, pieces[at][8:], depth + 1)
        pieces[at] = struct.pack(">I", len(body) + 8) + pieces[at][4:8] + body
    else:
        pieces = changed(rng, pieces)
    return b"".join(pieces)


def _element(data: bytes) -> tuple[int, int, int]:
    """The code of the element at the beginning, where its content begins, and where it ends."""
    wide = 9 - data[0].bit_length()
    code = int.from_bytes(data[:wide], "big")
    long = 9 - data[wide].bit_length() if len(data) > wide else 1
    size = int.from_bytes(data[wide : wide + long], "big") & ((1 << 7 * long) - 1)
    unknown = size == (1 << 7 * long) - 1
    return code, wide + long, len(data) if unknown else min(wide + long + size, len(data))


def ebml(rng: random.Random, data: bytes, depth: int = 0) -> bytes:
    """Matroska: an element is changed at any depth, and the sizes of those around it follow."""
    pieces, inner, rest = [], [], data
    while rest and rest[0]:
        code, content, end = _element(rest)
        if code in MASTERS:
            inner.append((len(pieces), code, content))
        pieces.append(rest[: max(end, 1)])
        rest = rest[max(end, 1) :]
    if inner and (depth == 0 or rng.random() < 0.7):
        at, code, content = rng.choice(inner)
        body = ebml(rng, pieces[at][content:], depth + 1)
        head = code.to_bytes((code.bit_length() + 7) // 8, "big")
        pieces[at] = head + (len(body) | 1 << 56).to_bytes(8, "big") + body
    else:
        pieces = changed(rng, pieces)
    return b"".join(pieces) + rest


def riff(rng: random.Random, data: bytes) -> bytes:
    """AVI: chunks of the header and of the films."""
    pieces, rest = [data[:12]], data[12:]
    while len(rest) >= 8:
        size = struct.unpack_from("<I", rest)[0]
        # Lists are gone into by taking their heads for pieces of their own.
        end = 12 if rest[:4] == b"LIST" else min(8 + size + size % 2, len(rest))
        pieces.append(rest[:end])
        rest = rest[end:]
    return b"".join(changed(rng, [*pieces, rest]))


def pages(rng: random.Random, data: bytes) -> bytes:
    """Ogg: pages, with the checksum that a changed one needs."""
    parts = [b"OggS" + part for part in data.split(b"OggS")[1:]]
    return b"".join(_summed(part) for part in changed(rng, parts))


def _summed(page: bytes) -> bytes:
    if len(page) < 27 or page[:4] != b"OggS":
        return page
    blank = page[:22] + bytes(4) + page[26:]
    crc = 0
    for byte in blank:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return page[:22] + struct.pack("<I", crc) + page[26:]


def packets(rng: random.Random, data: bytes) -> bytes:
    """MPEG-TS: packets, among them the tables and the heads of the elementary streams."""
    return b"".join(changed(rng, [data[at : at + TS_BYTES] for at in range(0, len(data), TS_BYTES)]))


def streams(rng: random.Random, data: bytes) -> bytes:
    """MPEG-PS and raw streams: from start code to start code."""
    first, *rest = data.split(b"\x00\x00\x01")
    return first + b"".join(b"\x00\x00\x01" + part for part in changed(rng, rest))


def chunks(rng: random.Random, data: bytes) -> bytes:
    """APNG: chunks with right checksums."""
    pieces, rest = [], data[8:]
    while len(rest) >= 12:
        end = 12 + struct.unpack_from(">I", rest)[0]
        pieces.append(rest[4 : end - 4])
        rest = rest[end:]
    out = [
        struct.pack(">I", max(len(one) - 4, 0)) + one + struct.pack(">I", zlib.crc32(one))
        for one in changed(rng, pieces)
    ]
    return data[:8] + b"".join(out)


def text(rng: random.Random, data: bytes) -> bytes:
    """Lines, and words in them."""
    lines = changed(rng, data.splitlines(keepends=True))
    if rng.random() < 0.3:
        lines.insert(
            rng.randrange(len(lines) + 1),
            rng.choice((b"[" * 2000, b"{" * 2000, b"\xff\xfe\n", b"a: *b\n", b"&a [*a]\n", b"9" * 5000)),
        )
    return b"".join(lines)


Mutate = Callable[[random.Random, bytes], bytes]
