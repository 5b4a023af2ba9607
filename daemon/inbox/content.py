"""Whether a file may be a video, by its first 4 KiB: what the signatures of the readable containers say.

A look at the head can only say that a file may be one; the probe decides. Signatures are those of the formats' own
specifications and of FFmpeg's demuxers.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from daemon.runtime.reading import opened

HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Content:
    """``video``: it may be one. ``what`` says what it is else; ``unfinished``: its beginning may not be written yet."""

    video: bool
    what: str = ""
    unfinished: bool = False


VIDEO = Content(True)

_BEGINNINGS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF
    b"GIF87a",
    b"GIF89a",
    b"DKIF",  # IVF
    b"YUV4MPEG2",
    b"nut/multimedia container",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01",  # MXF
    b"\x00\x00\x00\x00\x01\xbc",  # GXF
    b"\xb7\xd8\x00\x20\x37\x49\xda\x11",  # WTV
    b".RMF",
    b"\x1f\x07\x00\x3f",  # DV
    b"\x1f\x07\x00\xbf",
    b"BBCD\x00",  # Dirac
    b"BIK",
    b"KB2",
    b"SMK2",
    b"SMK4",
    b"\x84\x10\xff\xff\xff\xff",  # RoQ
    b"\x00\x0aSMJPEG",
    b"DHAV",
    b"NuppelVideo",
    b"MythTVVideo",
    b"NSVf",
    b"NSVs",
    b"\x12\x00\x0a",  # AV1 open bitstream units
)
BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx", b"moof"})
"""Kinds of boxes that ISO base media and QuickTime files begin with."""
_SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "})
_PICTURE_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif", b"crx ", b"jpx ", b"jp2 ", b"jxl "}
)
_SEQUENCE_BRANDS = frozenset({b"msf1", b"hevc", b"hevx", b"avis", b"isom", b"mp42", b"qt  "})
_OGG_VIDEO = (b"\x80theora", b"BBCD\x00", b"OVP80", b"\x01video", b"fishead")
_START_CODES = re.compile(
    rb"\x00{1,3}\x01("
    rb"[\xba\xb3\xb0\xb5\x0f]"  # MPEG program stream, MPEG-1/2, MPEG-4 visual, VC-1
    rb"|[\x27\x47\x67].|\x09[\x10\x30\x50\x70\x90\xb0\xd0\xf0]|\x06[\x00-\x2f]"  # H.264: SPS, delimiter, SEI
    rb"|\x40\x01|\x42\x01|\x44\x01|\x46\x01|\x4e\x01"  # H.265: VPS, SPS, PPS, delimiter, SEI
    rb"|\x00[\x71\x79\x81\xa1])",  # H.266: VPS, SPS, PPS, delimiter
    re.DOTALL,
)
_MULTIPART = re.compile(
    rb"(?:\r?\n)*--[^\r\n]{1,200}\r?\n(?:[^\r\n]+\r?\n)*?content-type:\s*image/jpe?g", re.IGNORECASE
)
_MOTION_PHOTO = re.compile(rb"(?:MotionPhoto|MicroVideo)(?:=[\"']|>)1")
_MOTION_NAME = re.compile(r"^MVIMG_|\.MP\.jpe?g$", re.IGNORECASE)
"""Phones name their motion photos so; the sign in the picture's own metadata may lie behind the first 4 KiB."""
_NOT_VIDEO = (
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (b"II*\x00", "a picture (TIFF)"),
    (b"MM\x00*", "a picture (TIFF)"),
    (b"BM", "a picture (BMP)"),
    (b"PK\x03\x04", "an archive (ZIP)"),
    (b"7z\xbc\xaf\x27\x1c", "an archive (7z)"),
    (b"Rar!", "an archive (RAR)"),
    (b"\x1f\x8b", "an archive (gzip)"),
    (b"%PDF", "a document (PDF)"),
    (b"ID3", "sound (MP3)"),
    (b"fLaC", "sound (FLAC)"),
    (b"SQLite format 3", "a database"),
)
_TS_PACKETS = (188, 192, 204)
_TS_IN_A_ROW = 5


def look(path: Path) -> Content:
    """What the first HEAD_BYTES of a regular file say. Never blocks on a pipe. Raises OSError."""
    with opened(path) as descriptor:
        head = os.read(descriptor, HEAD_BYTES)
    if head.startswith(b"\xff\xd8\xff") and _MOTION_NAME.search(path.name):
        return VIDEO
    return content_of(head)


def content_of(head: bytes) -> Content:
    """What a file's first bytes say.

    >>> content_of(b"\\x1a\\x45\\xdf\\xa3....").video, content_of(b"Dear diary").what
    (True, 'text')
    """
    if not head:
        return Content(False, "empty", unfinished=True)
    if not head.strip(b"\0"):
        return Content(False, "nothing but zeros at its beginning", unfinished=True)
    if head.startswith(_BEGINNINGS) or _START_CODES.match(head) or _MULTIPART.match(head) or _transport_stream(head):
        return VIDEO
    return _riff(head) or _boxes(head) or _ogg(head) or _pictures(head) or _other(head)


def _riff(head: bytes) -> Content | None:
    if not head.startswith((b"RIFF", b"RIFX", b"LIST")):
        return None
    kind = head[8:12]
    if kind in (b"AVI ", b"AVIX", b"AMV ") or head.startswith(b"RIFX"):
        return VIDEO
    return Content(False, "a picture (WebP)" if kind == b"WEBP" else "sound (WAV)" if kind == b"WAVE" else "RIFF data")


def _boxes(head: bytes) -> Content | None:
    """ISO base media and QuickTime."""
    if head[4:8] == b"jP  ":
        return VIDEO if b"mjp2" in head[:64] else Content(False, "a picture (JPEG 2000)")
    if head[4:8] == b"JXL ":
        return Content(False, "a picture (JPEG XL)")
    if head[4:8] not in BOXES:
        return None
    if head[4:8] != b"ftyp":
        return VIDEO
    end = min(max(int.from_bytes(head[:4], "big"), 16), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if head[8:12] in _SOUND_BRANDS:
        return Content(False, "sound (M4A)")
    if brands & _PICTURE_BRANDS and not brands & _SEQUENCE_BRANDS:
        return Content(False, f"a picture ({head[8:12].decode('ascii', 'replace').strip()})")
    return VIDEO


def _ogg(head: bytes) -> Content | None:
    if not head.startswith(b"OggS"):
        return None
    return VIDEO if any(sign in head for sign in _OGG_VIDEO) else Content(False, "sound (Ogg)")


def _pictures(head: bytes) -> Content | None:
    if head.startswith(b"\x89PNG") and b"acTL" in head:
        return VIDEO
    if head.startswith(b"\xff\xd8\xff") and _MOTION_PHOTO.search(head):
        return VIDEO
    # Small pictures in a row, from a network camera.
    if head.startswith(b"\xff\xd8\xff") and head.count(b"\xff\xd9\xff\xd8\xff") >= 2:
        return VIDEO
    return None


def _transport_stream(head: bytes) -> bool:
    """Sync bytes at a fixed distance; a recording may begin within a packet, a packet with a time stamp."""
    for size in _TS_PACKETS:
        for start in range(min(size, len(head))):
            syncs = head[start::size]
            if len(syncs) >= _TS_IN_A_ROW and syncs == b"\x47" * len(syncs):
                return True
    return False


def _other(head: bytes) -> Content:
    for beginning, what in _NOT_VIDEO:
        if head.startswith(beginning):
            return Content(False, what)
    # A character may be cut at the end of the head.
    text = head[:-3] if len(head) == HEAD_BYTES else head
    control = set(text) & (set(range(32)) - {9, 10, 12, 13, 27})
    return Content(False, "data without a video's signature" if control else "text")
