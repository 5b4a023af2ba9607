"""What the first 4 KiB of a file say: by the formats' own signatures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.inbox.content import HEAD_BYTES, content_of


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def ftyp(*brands: bytes) -> bytes:
    return box(b"ftyp", brands[0] + b"\0\0\0\0" + b"".join(brands[1:]))


TS = (b"\x47\x40\x00\x10" + b"\xff" * 184) * 21

VIDEOS = {
    "mp4": ftyp(b"isom", b"iso2", b"mp41"),
    "quicktime without ftyp": box(b"wide", b"") + box(b"mdat", b"x"),
    "moov first": box(b"moov", b"x" * 50),
    "3gp": ftyp(b"3gp4", b"3gp4"),
    "animated avif": ftyp(b"avis", b"avif", b"avis", b"msf1"),
    "heic sequence": ftyp(b"hevc", b"heic", b"hevc", b"msf1"),
    "matroska": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81",
    "avi": b"RIFF\x10\x00\x00\x00AVI LIST",
    "ts": TS[:HEAD_BYTES],
    "ts from within a packet": TS[100:4100],
    "m2ts": (b"\0\0\0\0" + TS[:188]) * 20,
    "program stream": b"\0\0\1\xba\x44\0\4\0",
    "mpeg-2 video": b"\0\0\1\xb3\x2d\x02\x40",
    "h264": b"\0\0\0\1\x67\x64\0\x1f",
    "h264 after a delimiter": b"\0\0\0\1\x09\xf0\0\0\0\1\x67",
    "h265": b"\0\0\0\1\x40\1\x0c\1",
    "ogg theora": b"OggS\0\2" + b"\0" * 22 + b"\x80theora",
    "multipart jpeg": b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 9\r\n\r\n\xff\xd8\xff",
    "multipart jpeg, length first": b"\r\n--b\r\nContent-Length: 9\r\ncontent-type: image/jpeg\r\n\r\n",
    "small jpegs in a row": (b"\xff\xd8\xff" + b"x" * 700 + b"\xff\xd9") * 5,
    "gif": b"GIF89a....",
    "apng": b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0" * 17 + b"\0\0\0\x08acTL",
    "mxf": b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d",
    "y4m": b"YUV4MPEG2 W64 H64",
}
OTHERS = {
    "a picture (JPEG)": b"\xff\xd8\xff\xe0" + b"x" * 4092,
    "a picture (PNG)": b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR",
    "a picture (heic)": ftyp(b"heic", b"mif1", b"heic"),
    "a picture (avif)": ftyp(b"avif", b"avif", b"mif1", b"miaf"),
    "a picture (crx)": ftyp(b"crx ", b"crx "),
    "a picture (WebP)": b"RIFF\x10\0\0\0WEBPVP8 ",
    "sound (WAV)": b"RIFF\x10\0\0\0WAVEfmt ",
    "sound (M4A)": ftyp(b"M4A ", b"M4A ", b"isom"),
    "sound (Ogg)": b"OggS\0\2" + b"\0" * 22 + b"\x01vorbis",
    "an archive (ZIP)": b"PK\3\4....",
    "text": "1\n00:00:01,000 --> 00:00:02,000\nGrüße\n".encode(),
    "data without a video's signature": bytes(range(200)),
    "empty": b"",
    "nothing but zeros at its beginning": b"\0" * HEAD_BYTES,
}


@pytest.mark.parametrize("head", VIDEOS.values(), ids=VIDEOS.keys())
def test_what_may_be_a_video(head: bytes) -> None:
    assert content_of(head).video


@pytest.mark.parametrize(("what", "head"), OTHERS.items(), ids=OTHERS.keys())
def test_what_is_something_else_is_named(what: str, head: bytes) -> None:
    found = content_of(head)
    assert (found.video, found.what) == (False, what)


def test_a_beginning_that_may_not_be_written_yet_is_looked_at_again() -> None:
    assert content_of(b"").unfinished
    assert content_of(b"\0" * 100).unfinished
    assert not content_of(b"text").unfinished


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_an_answer(head: bytes) -> None:
    found = content_of(head)
    assert found.video != bool(found.what)
