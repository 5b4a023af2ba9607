"""Small files that ask for much: memory or time to be opened, room for their frames."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests import corpus, films
from tests.headers import box, element, number

MANY = 40_000_000
"""Samples; each takes 24 bytes or more in FFmpeg's index, and none in the file."""

_HOLDERS = (b"moov", b"trak", b"mdia", b"minf")
Change = Callable[[bytes, bytes], bytes]


def with_boxes(data: bytes, change: Change) -> bytes:
    """An MP4 file with the content of each box replaced by what ``change`` makes of it; sample tables are one box."""
    out = b""
    while len(data) >= 8:
        (size,) = struct.unpack_from(">I", data)
        kind, body = data[4:8], data[8:size]
        out += box(kind, change(kind, with_boxes(body, change) if kind in _HOLDERS else body))
        data = data[size:]
    return out


def entries(kind: bytes, *numbers: int) -> bytes:
    """A box of version 0 with these numbers."""
    return box(kind, struct.pack(f">I{len(numbers)}I", 0, *numbers))


def _film(folder: Path, name: str) -> Path:
    return films.make(folder / name, frames=3, width=64, height=64, codec="mjpeg", pix_fmt="yuvj420p")


def _with_tables(film: Path, *tables: bytes) -> Path:
    """The film with other tables behind its sample description."""

    def change(kind: bytes, body: bytes) -> bytes:
        if kind != b"stbl":
            return body
        (size,) = struct.unpack_from(">I", body)
        return body[:size] + b"".join(tables)

    film.write_bytes(with_boxes(film.read_bytes(), change))
    return film


def one_size_for_all(folder: Path) -> Path:
    """Two tracks' worth of samples in one: all of one size and duration, in chunks of one table entry."""
    times, chunks = entries(b"stts", 1, MANY, 1), entries(b"stsc", 1, 1, MANY, 1)
    return _with_tables(_film(folder, "sizes.mov"), times, chunks, entries(b"stsz", 4, MANY), entries(b"stco", 1, 48))


def one_offset_for_all(folder: Path) -> Path:
    """Composition offsets besides, which are kept for every sample too; 64-bit chunk offsets."""
    times, shown = entries(b"stts", 1, MANY, 1), entries(b"ctts", 1, MANY, 1)
    chunks = entries(b"stsc", 1, 1, MANY, 1)
    tables = (times, shown, chunks, entries(b"stsz", 4, MANY), entries(b"co64", 1, 0, 48))
    return _with_tables(_film(folder, "offsets.mp4"), *tables)


def fragment_of_defaults(folder: Path) -> Path:
    """A fragment whose run of samples has all from defaults: any number of them takes 20 bytes."""
    film = _film(folder, "fragment.mp4")
    extends = box(b"mvex", entries(b"trex", 1, 1, 1, 1, 0))
    data = with_boxes(film.read_bytes(), lambda kind, body: body + extends * (kind == b"moov"))
    run = box(b"trun", struct.pack(">II", 0, MANY))
    track = box(b"traf", box(b"tfhd", struct.pack(">II", 0x020000, 1)) + run)
    film.write_bytes(data + box(b"moof", entries(b"mfhd", 1) + track) + box(b"mdat", bytes(64)))
    return film


INDEXES = (one_size_for_all, one_offset_for_all, fragment_of_defaults)


def large_pictures(folder: Path) -> Path:
    """Just below ``max_pixels``, of eight bytes a pixel, and all of one colour: some hundred kilobytes."""
    return corpus.lavfi(folder / "large.mkv", "color=gray:s=11000x11000:d=0.04", "-pix_fmt", "rgba64be", "-c:v", "png")


def many_tags(folder: Path, count: int = 40_000) -> Path:
    """Matroska tags; FFmpeg looks through all that it has for each."""
    tags = b"".join(element(0x67C8, element(0x45A3, b"T%x" % n) + element(0x4487, b"v")) for n in range(count))
    film = laced(folder, 3, before=element(0x1254C367, element(0x7373, element(0x63C0, b"") + tags)))
    return film.rename(folder / "tags.mkv")


def laced(
    folder: Path, frames: int, *, header: bool = True, lace: int = 255, before: bytes = b"", sizes: bool = False
) -> Path:
    """A film of one picture, its bytes stripped off every frame and the frames laced, some hundred to a block."""
    film = _film(folder, "picture.mp4")
    data = film.read_bytes()
    picture = data[data.index(b"\xff\xd8") : data.index(b"\xff\xd9") + 2]
    stripped = picture[:-1] if header else b""
    rest = picture[len(stripped) :]
    compression = element(0x5034, number(0x4254, 3) + element(0x4255, stripped))
    encoding = element(0x6D80, element(0x6240, number(0x5031, 0) + number(0x5032, 1) + number(0x5033, 0) + compression))
    video = element(0xE0, number(0xB0, 64) + number(0xBA, 64))
    track = number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 1) + element(0x86, b"V_MJPEG") + video
    track += number(0x23E383, 40_000_000) + encoding * header
    blocks = b""
    for at in range(0, frames, lace):
        held = min(lace, frames - at)
        # The flags' lacing: fixed size 4, Xiph 2; then the number of frames less one.
        kind, table = (0x02, bytes([len(rest)]) * (held - 1)) if sizes else (0x04, b"")
        block = b"\x81" + struct.pack(">h", 0) + bytes([kind, held - 1]) + table + rest * held
        held_in = element(0xA0, element(0xA1, block)) if sizes else element(0xA3, block)
        blocks += element(0x1F43B675, number(0xE7, at * 40) + held_in)
    head = element(0x1A45DFA3, element(0x4282, b"matroska") + number(0x4287, 4) + number(0x4285, 2))
    info = element(0x1549A966, number(0x2AD7B1, 1_000_000))
    target = folder / "laced.mkv"
    target.write_bytes(head + element(0x18538067, info + element(0x1654AE6B, element(0xAE, track)) + before + blocks))
    return target


def parameter_sets(folder: Path, count: int = 300_000) -> Path:
    """H.264 whose first packet holds the same picture parameter set again and again."""
    film = films.make(folder / "sets.h264", frames=5, width=64, height=64, options={"bf": "0"}, container="h264")
    data = film.read_bytes()
    pps = next(unit for unit in data.split(b"\x00\x00\x01") if unit and unit[0] & 31 == 8).rstrip(b"\0")
    at = data.index(b"\x00\x00\x01" + pps)
    film.write_bytes(data[:at] + (b"\x00\x00\x01" + pps) * count + data[at:])
    return film


def laced_with_sizes(folder: Path) -> Path:
    """Two bytes a frame, in block groups whose laces say the size of each."""
    return laced(folder, 102_000, sizes=True)


def smallest_pictures(folder: Path, frames: int = 100_000) -> Path:
    """Raw pictures of one pixel, of seven bytes with their heads: no compression, no trick."""
    film = folder / "pixels.y4m"
    film.write_bytes(b"YUV4MPEG2 W1 H1 F25:1 Cmono\n" + b"FRAME\n\x80" * frames)
    return film


def laced_pictures(folder: Path) -> Path:
    """One byte a frame."""
    return laced(folder, 102_000)


FRAMES_OF_NOTHING = (laced_pictures, laced_with_sizes, smallest_pictures)
