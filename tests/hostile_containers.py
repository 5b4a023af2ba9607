"""Small films whose containers lie about numbers, name other files, or unpack into much more than they are.

None of them is worth a still, and none may cost more than a film of its size: see ``tests.hostile`` for those that the
budgets were made for.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests import films
from tests.headers import box, element, number
from tests.hostile import Change, entries, with_boxes

MOST = 0xFFFFFFFF
_SEGMENT, _INFO, _TRACKS, _TRACK, _CLUSTER = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0x1F43B675


def _film(folder: Path, ending: str = "mp4", frames: int = 3, side: int = 64) -> bytes:
    path = folder / f"small.{ending}"
    films.make(path, frames=frames, width=side, height=side, codec="mjpeg", pix_fmt="yuvj420p")
    return path.read_bytes()


def _picture(width: int = 64, height: int = 64, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(films.texture(1, width, height)).save(file, "JPEG", **options)
    return file.getvalue()


def _mp4(folder: Path, name: str, change: Change, *, frames: int = 3) -> Path:
    path = folder / name
    path.write_bytes(with_boxes(_film(folder, frames=frames), change))
    return path


def _with(kind: bytes, body: bytes) -> Change:
    """The content of every box of a kind."""
    return lambda found, old: body if found == kind else old


def _tables(*changed: bytes) -> Change:
    """Sample tables in place of those of the same kind; new ones behind the others."""

    def change(kind: bytes, body: bytes) -> bytes:
        if kind != b"stbl":
            return body
        new = {table[4:8]: table for table in changed}
        out = b""
        while body:
            (size,) = struct.unpack_from(">I", body)
            out += new.pop(body[4:8], body[:size])
            body = body[size:]
        return out + b"".join(new.values())

    return change


# Numbers


def counts_of_everything(folder: Path) -> Path:
    """Every sample table says that it has 2^32 - 1 entries, and has one."""
    tables = [entries(kind, MOST, 1, 1) for kind in (b"stts", b"ctts", b"stsc", b"stss", b"stco", b"sdtp", b"stps")]
    return _mp4(folder, "counts.mp4", _tables(*tables, entries(b"stsz", 0, MOST, 9)))


def one_run_of_two_thousand_million(folder: Path) -> Path:
    """One entry stands for 2^31 - 1 samples of no bytes and no time."""
    many = 2**31 - 1
    tables = (
        entries(b"stts", 1, many, 0),
        entries(b"stsc", 1, 1, many, 1),
        entries(b"stsz", 0, many),
        entries(b"stco", 1, 48),
    )
    return _mp4(folder, "run.mp4", _tables(*tables))


def edits(folder: Path, count: int = 10_000, frames: int = 100) -> Path:
    """An edit list of many short edits, each of which goes back to the film's beginning."""
    listed = struct.pack(">II", 0, count) + struct.pack(">IiI", 1, 0, 0x10000) * count

    def change(kind: bytes, body: bytes) -> bytes:
        return body + box(b"edts", box(b"elst", listed)) if kind == b"trak" else b"" if kind == b"edts" else body

    return _mp4(folder, "edits.mp4", change, frames=frames)


def edits_without_an_end(folder: Path) -> Path:
    """A list that says to have 2^32 - 1 edits, with times and speeds at their limits."""
    listed = struct.pack(">IIQqI", 0x01000000, MOST, 2**64 - 1, -(2**63), 0) * 2

    def change(kind: bytes, body: bytes) -> bytes:
        return body + box(b"edts", box(b"elst", listed)) if kind == b"trak" else b"" if kind == b"edts" else body

    return _mp4(folder, "limits.mp4", change)


def no_time_at_all(folder: Path) -> Path:
    """A time scale of zero, durations of minus one."""

    def change(kind: bytes, body: bytes) -> bytes:
        if kind in (b"mdhd", b"mvhd"):
            return body[:12] + struct.pack(">Ii", 0, -1) + body[20:]
        return body

    return _mp4(folder, "timeless.mp4", change)


def fastest_clock(folder: Path) -> Path:
    """2^32 - 1 ticks a second and a tick a frame."""

    def change(kind: bytes, body: bytes) -> bytes:
        return body[:12] + struct.pack(">II", MOST, 3) + body[20:] if kind == b"mdhd" else body

    path = _mp4(folder, "fastest.mp4", change)
    path.write_bytes(with_boxes(path.read_bytes(), _tables(entries(b"stts", 1, 3, 1))))
    return path


def longest_frames(folder: Path) -> Path:
    """Three frames of 2^31 - 1 seconds each."""

    def change(kind: bytes, body: bytes) -> bytes:
        return body[:12] + struct.pack(">II", 1, MOST) + body[20:] if kind == b"mdhd" else body

    path = _mp4(folder, "longest.mp4", change)
    path.write_bytes(with_boxes(path.read_bytes(), _tables(entries(b"stts", 1, 3, 2**31 - 1))))
    return path


def _matroska(
    path: Path, *parts: bytes, duration: bytes = b"", scale: int = 1_000_000, track: bytes = b"", frames: int = 3
) -> Path:
    """A film of JPEG pictures by hand; ``parts`` stand before its clusters."""
    head = element(0x1A45DFA3, element(0x4282, b"matroska") + number(0x4287, 4) + number(0x4285, 2))
    video = element(0xE0, number(0xB0, 64) + number(0xBA, 64))
    described = number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 1) + element(0x86, b"V_MJPEG") + video + track
    info = element(0x2AD7B1, scale.to_bytes(8, "big")) + duration
    blocks = b"".join(
        element(0xA3, b"\x81" + struct.pack(">h", at * 40) + b"\x80" + _picture()) for at in range(frames)
    )
    segment = element(_INFO, info) + element(_TRACKS, element(_TRACK, described)) + b"".join(parts)
    path.write_bytes(head + element(_SEGMENT, segment + element(_CLUSTER, number(0xE7, 0) + blocks)))
    return path


def duration_that_is_no_number(folder: Path) -> Path:
    return _matroska(folder / "nan.mkv", duration=element(0x4489, struct.pack(">d", float("nan"))))


def duration_without_end(folder: Path) -> Path:
    return _matroska(folder / "infinite.mkv", duration=element(0x4489, struct.pack(">d", float("-inf"))))


def no_time_scale(folder: Path) -> Path:
    return _matroska(folder / "scale0.mkv", scale=0)


def largest_time_scale(folder: Path) -> Path:
    return _matroska(folder / "scale.mkv", scale=2**63, duration=element(0x4489, struct.pack(">d", 1e300)))


def rate_of(folder: Path, name: str, rate: str) -> Path:
    path = folder / f"{name}.y4m"
    path.write_bytes(
        f"YUV4MPEG2 W16 H16 F{rate} Cmono\n".encode() + b"".join(b"FRAME\n" + bytes([n]) * 256 for n in range(9))
    )
    return path


def two_thousand_million_a_second(folder: Path) -> Path:
    return rate_of(folder, "fast", "2147483647:1")


def a_frame_in_68_years(folder: Path) -> Path:
    return rate_of(folder, "slow", "1:2147483647")


def no_rate(folder: Path) -> Path:
    return rate_of(folder, "none", "0:0")


def a_header_without_end(folder: Path) -> Path:
    path = folder / "header.y4m"
    path.write_bytes(b"YUV4MPEG2 W16 H16 " + b"X" * 3_000_000)
    return path


def flash_numbers(folder: Path) -> Path:
    """Metadata of FLV: a duration that is no number, an endless rate, an array of 2^32 - 1 and objects in objects."""

    def named(name: bytes, value: bytes) -> bytes:
        return struct.pack(">H", len(name)) + name + value

    real = [
        named(name, b"\0" + struct.pack(">d", value))
        for name, value in (
            (b"duration", float("nan")),
            (b"framerate", float("inf")),
            (b"width", 1e300),
            (b"filesize", -1.0),
        )
    ]
    nested = named(b"deep", b"\3" + (named(b"x", b"\3")) * 20_000)
    content = b"\2" + named(b"onMetaData", b"\x08" + struct.pack(">I", MOST) + b"".join(real) + nested)
    film = films.make(folder / "numbers.flv", frames=3, width=64, height=64, codec="flv").read_bytes()
    tag = b"\x12" + len(content).to_bytes(3, "big") + bytes(7) + content
    path = folder / "numbers.flv"
    path.write_bytes(film[:13] + tag + struct.pack(">I", len(tag)) + film[13:])
    return path


# What points elsewhere


def reference_movie(target: Path) -> Callable[[Path], Path]:
    """QuickTime's own playlist: a movie that is a list of others."""

    def build(folder: Path) -> Path:
        name = str(target).encode() + b"\0"
        reference = box(b"rdrf", struct.pack(">I4sI", 0, b"url ", len(name)) + name)
        alias = box(b"rdrf", struct.pack(">I4sI", 0, b"alis", len(name)) + name)
        path = folder / "list.mov"
        path.write_bytes(
            box(b"ftyp", b"qt  \0\0\0\0qt  ")
            + box(b"moov", box(b"rmra", box(b"rmda", reference) + box(b"rmda", alias)))
        )
        return path

    return build


def data_at_an_address(target: Path) -> Callable[[Path], Path]:
    """A track whose samples lie at a ``file:`` address."""

    def build(folder: Path) -> Path:
        address = box(b"url ", bytes(4) + f"file://{target}".encode() + b"\0")

        def change(kind: bytes, body: bytes) -> bytes:
            if kind != b"minf":
                return body
            at = body.index(b"dref") - 4
            (size,) = struct.unpack_from(">I", body, at)
            dinf = at - 8
            new = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1) + address))
            return body[:dinf] + new + body[at + size :]

        return _mp4(folder, "address.mp4", change)

    return build


def linked_segments(target: Path) -> Callable[[Path], Path]:
    """Matroska that says what comes before and after it, and chapters that lie in other files."""

    def build(folder: Path) -> Path:
        name = str(target).encode()
        chapter = element(0xB6, number(0x73C4, 1) + number(0x91, 0) + element(0x6E67, b"\1" * 16))
        chapters = element(0x1043A770, element(0x45B9, number(0x45DD, 1) + chapter * 2000))
        links = element(_INFO, element(0x3C83AB, name) + element(0x3E83BB, name) + element(0x3EB923, b"\1" * 16))
        attachment = element(
            0x61A7,
            element(0x466E, name)
            + element(0x4660, b"application/x-ffmpeg")
            + element(0x465C, name)
            + number(0x46AE, 7),
        )
        return _matroska(folder / "linked.mkv", links, chapters, element(0x1941A469, attachment * 300))

    return build


def playlist_in_subtitles(target: Path) -> Callable[[Path], Path]:
    """AVI whose subtitle stream is a playlist, which once was opened like any file."""

    def build(folder: Path) -> Path:
        text = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://" + str(target).encode() + b"\n#EXT-X-ENDLIST\n"
        packet = b"GAB2\0" + struct.pack("<HI", 2, 0) + struct.pack("<HI", 4, len(text)) + text
        film = films.make(
            folder / "subtitles.avi", frames=3, width=64, height=64, codec="mjpeg", pix_fmt="yuvj420p"
        ).read_bytes()

        def chunk(kind: bytes, body: bytes) -> bytes:
            return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

        stream = chunk(
            b"LIST",
            b"strl" + chunk(b"strh", b"txts" + bytes(16) + struct.pack("<II", 1, 25) + bytes(28)) + chunk(b"strf", b""),
        )
        at = film.index(b"LIST", 12 + 1)
        head_end = 20 + struct.unpack_from("<I", film, 16)[0]
        head = film[24:head_end] + stream
        movie = film.index(b"movi") - 8
        size = struct.unpack_from("<I", film, movie + 4)[0]
        body = film[movie + 12 : movie + 8 + size]
        assert at > 0
        content = b"AVI " + chunk(b"LIST", b"hdrl" + head) + chunk(b"LIST", b"movi" + chunk(b"01tx", packet) + body)
        path = folder / "subtitles.avi"
        path.write_bytes(chunk(b"RIFF", content))
        return path

    return build


POINTING = (reference_movie, data_at_an_address, linked_segments, playlist_in_subtitles)


# What unpacks into more than it is


def packed_header(folder: Path) -> Path:
    """A compressed ``moov`` of a megabyte that says to be 2 GiB."""
    packed = zlib.compress(bytes(1 << 28), 1)
    moov = box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 1 << 31) + packed)))
    path = folder / "packed.mov"
    path.write_bytes(box(b"ftyp", b"qt  \0\0\0\0qt  ") + moov)
    return path


def packed_packets(folder: Path, count: int = 3000) -> Path:
    """Each packet of some kilobytes is ten megabytes once it is unpacked, and no picture."""
    packed = zlib.compress(bytes(9_000_000), 9)
    encoding = element(
        0x6D80,
        element(0x6240, number(0x5031, 0) + number(0x5032, 1) + number(0x5033, 0) + element(0x5034, number(0x4254, 0))),
    )
    path = _matroska(folder / "unpack.mkv", track=encoding)
    block = element(0xA3, b"\x81\0\0\x80" + packed)
    path.write_bytes(path.read_bytes() + element(_CLUSTER, number(0xE7, 0) + block * count))
    return path


def larger_in_the_middle(folder: Path) -> Path:
    """Small pictures, and behind them one that says to have 64,000 x 64,000."""
    picture = bytearray(_picture())
    at = picture.index(b"\xff\xc0")
    picture[at + 5 : at + 9] = struct.pack(">HH", 64_000, 64_000)
    path = folder / "grows.mjpeg"
    path.write_bytes(_picture() * 4 + bytes(picture) + _picture() * 4)
    return path


def just_small_enough_in_the_middle(folder: Path, side: int = 11_500) -> Path:
    """Small pictures, and between them one of one shade that is just below ``max_pixels``."""
    file = io.BytesIO()
    Image.new("L", (side, side), 90).save(file, "JPEG", quality=5)
    path = folder / "jump.mjpeg"
    path.write_bytes((_picture() * 3 + file.getvalue()) * 12)
    return path


def scans(folder: Path, count: int = 3000, side: int = 2048) -> Path:
    """A picture of many passes, each of which goes over all of it and costs a few bytes."""
    path = folder / "scans.mjpeg"
    path.write_bytes((many_scans(side, count) + _picture()) * 3)
    return path


def many_scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose scans say over and over that nothing is there."""
    file = io.BytesIO()
    Image.new("L", (side, side), 90).save(file, "JPEG", progressive=True, quality=1)
    data = file.getvalue()
    first = data.index(b"\xff\xda")
    end = data.index(b"\xff\xda", first + 2)
    # Coefficients 1 to 5, of which runs of 32,767 blocks say with one code that there is nothing.
    huffman = b"\xff\xc4" + struct.pack(">H", 20) + b"\x10" + bytes([1]) + bytes(15) + b"\xe0"
    blocks = (side // 8) ** 2
    bits = ("0" + format(32767 - 16384, "014b")) * (-(-blocks // 32767))
    bits += "1" * (-len(bits) % 8)
    body = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 5, 0) + body
    return data[:end] + huffman + scan * count + b"\xff\xd9"


def canvas(folder: Path, side: int = 9000, count: int = 900) -> Path:
    """A GIF whose frames are one pixel, each on a canvas of 81 million."""
    frame = b"\x21\xf9\x04\0\1\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    path = folder / "canvas.gif"
    path.write_bytes(
        b"GIF89a"
        + struct.pack("<HHBBB", side, side, 0x80, 0, 0)
        + bytes([0, 0, 0, 255, 255, 255])
        + frame * count
        + b"\x3b"
    )
    return path


def largest_canvas(folder: Path) -> Path:
    return canvas(folder, 65_535, 20)


# What has many parts


def tracks(folder: Path, count: int = 60_000) -> Path:
    """An MP4 of so many tracks of no samples."""
    data = _film(folder)

    def change(kind: bytes, body: bytes) -> bytes:
        if kind != b"moov":
            return body
        at = body.index(b"trak") - 4
        (size,) = struct.unpack_from(">I", body, at)
        return body + box(b"trak", b"") * count + body[at : at + size] * 2000

    path = folder / "tracks.mp4"
    path.write_bytes(with_boxes(data, change))
    return path


def matroska_tracks(folder: Path, count: int = 60_000) -> Path:
    described = element(_TRACK, number(0xD7, 1) + number(0x73C5, 1) + number(0x83, 1) + element(0x86, b"V_MJPEG"))
    return _matroska(folder / "tracks.mkv", element(_TRACKS, described * count))


def programmes(folder: Path) -> Path:
    """A transport stream that announces thousands of programmes of many streams each."""

    def packet(pid: int, section: bytes, counter: int) -> bytes:
        head = struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10 | counter & 15)
        return (head + b"\0" + section).ljust(188, b"\xff")

    def section(table: int, number: int, body: bytes) -> bytes:
        content = struct.pack(">BHHBBB", table, 0xB000 | len(body) + 9, number, 0xC1, 0, 0) + body
        return content + struct.pack(">I", _crc(content))

    out = b""
    for first in range(1, 8000, 40):
        listed = b"".join(struct.pack(">HH", n, 0xE000 | (n & 0x1FFF)) for n in range(first, first + 40))
        out += packet(0, section(0, first, listed), first)
    for n in range(32, 2000):
        streams = b"".join(struct.pack(">BHH", 0x1B, 0xE000 | ((n + k) & 0x1FFF), 0xF000) for k in range(32))
        out += packet(n, section(2, n, struct.pack(">HH", 0xE000 | n, 0xF000) + streams), n)
    path = folder / "programmes.ts"
    path.write_bytes(out)
    return path


def _crc(data: bytes) -> int:
    """ISO 13818-1, annex A."""
    value = MOST
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7 if value & 0x80000000 else value << 1) & MOST
    return value


def extradata(folder: Path, size: int = 60_000_000) -> Path:
    """A codec whose description is larger than most films."""
    private = element(0x63A2, b"\0\0\0\1\x67\x42\0\x0a" * (size // 8))
    path = _matroska(folder / "extradata.mkv", track=private)
    data = path.read_bytes().replace(b"V_MJPEG", b"V_MPEG4/ISO/AVC"[:7])
    path.write_bytes(data)
    return path


def boxes_in_boxes(folder: Path, depth: int = 200_000) -> Path:
    """One box in the other."""
    names = (b"meta", b"trak", b"udta")
    out = struct.pack(">I4s", depth * 8 + 8, b"moov")
    out += b"".join(struct.pack(">I4s", (depth - level) * 8 + 8, names[level % 3]) for level in range(1, depth))
    path = folder / "nested.mp4"
    path.write_bytes(box(b"ftyp", b"isom\0\0\0\0isom") + out + bytes(8))
    return path


def elements_in_elements(folder: Path, depth: int = 100_000) -> Path:
    """Tags of tags of tags, of sizes that nobody knows."""
    tags = (
        b"\x12\x54\xc3\x67\x01" + b"\xff" * 7 + b"\x73\x73\x01" + b"\xff" * 7 + (b"\x67\xc8\x01" + b"\xff" * 7) * depth
    )
    return _matroska(folder / "nested.mkv", tags)


LYING = (
    counts_of_everything,
    one_run_of_two_thousand_million,
    edits,
    edits_without_an_end,
    no_time_at_all,
    fastest_clock,
    longest_frames,
    duration_that_is_no_number,
    duration_without_end,
    no_time_scale,
    largest_time_scale,
    two_thousand_million_a_second,
    a_frame_in_68_years,
    no_rate,
    a_header_without_end,
    flash_numbers,
)
UNPACKING = (
    packed_header,
    packed_packets,
    larger_in_the_middle,
    just_small_enough_in_the_middle,
    scans,
    canvas,
    largest_canvas,
)
CROWDED = (tracks, matroska_tracks, programmes, extradata, boxes_in_boxes, elements_in_elements)
