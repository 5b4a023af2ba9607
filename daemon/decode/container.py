"""Opens a video file, with FFmpeg held to local files and to demuxers that read a single one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from daemon.config.score import DecodeConfig
from daemon.errors import Kind, VideoError
from daemon.media.source import DEMUXERS, protocols, source_url

_SEQUENCE_BYTES = 4 * 1024 * 1024
_SEQUENCE_JOINTS = 3
_JPEG = b"\xff\xd8\xff"
_FTYP = re.compile(rb"\0\0[\0\x01].ftyp(?:isom|iso\d|mp4\d|qt  |avc1|hvc1|M4V |3gp\d|MSNV)", re.DOTALL)
_BOX_BYTES = 16
_BLOCK_BYTES = 1024 * 1024
_PHOTO_BYTES = 64 * 1024 * 1024
"""The picture of a motion photo is smaller than this."""


@contextmanager
def opened(path: Path, config: DecodeConfig) -> Iterator[InputContainer]:
    """The container of a file, closed at the end of the block.

    Raises VideoError: UNSAFE_NAME, MISSING, UNREADABLE, NOT_A_VIDEO, NO_DECODER, OUT_OF_MEMORY.
    """
    options = {
        "format_whitelist": DEMUXERS,
        "max_pixels": str(config.max_pixels),
    }
    if "\0" in str(path):
        raise VideoError(Kind.UNSAFE_NAME, "the name holds a NUL byte: rename the file")
    try:
        container = _open(path, options)
    except FileNotFoundError as error:
        raise VideoError(Kind.MISSING, f"{path} is not there any more") from error
    except MemoryError as error:
        raise VideoError(Kind.OUT_OF_MEMORY, f"memory ran out when {path.name} was opened: free some") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        # Some demuxers answer "not permitted" to what they cannot parse.
        if isinstance(error, PermissionError) and not os.access(path, os.R_OK):
            raise VideoError(Kind.UNREADABLE, f"{path} may not be read: give this user read permission") from error
        if _is_animated_webp(path):
            raise VideoError(
                Kind.NO_DECODER,
                f"{path.name} is an animated WebP, which this FFmpeg cannot read: make a GIF, APNG or MP4 of it",
            ) from error
        if isinstance(error, av.error.ArgumentError):
            # FFmpeg's answer to a format that is not asked for; its words, "invalid argument", help nobody.
            raise VideoError(
                Kind.NOT_A_VIDEO,
                f"{path.name} is no video: a single picture, sound alone, a playlist, or a format for no films",
            ) from error
        raise VideoError(
            Kind.NOT_A_VIDEO,
            f"{path.name} is not a video that can be read, or it is cut short: {error_text(error)}",
        ) from error
    with container:
        yield container


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """The packets of these streams, or of all, and then an empty one for each, which flushes its decoder.

    Where streams have appeared on the way, as in a recording whose programme has changed, PyAV ends with an IndexError
    or does not, by what lies in memory: the packets of the streams that it knows have all come by then.
    """
    with suppress(IndexError):
        yield from container.demux(*streams)


def error_text(error: BaseException) -> str:
    """What FFmpeg says about an error, in one line."""
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split())


def _open(path: Path, options: dict[str, str]) -> InputContainer:
    """Metadata may be in any encoding. FFmpeg takes a sequence of JPEG pictures for a single one, unless told."""
    try:
        offset_bytes = appended_film(path)
        options = {**options, "protocol_whitelist": protocols(offset_bytes)}
        return av.open(source_url(path, offset_bytes), options=options, metadata_errors="replace")
    except av.error.FFmpegError:
        if not _is_jpeg_sequence(path):
            raise
        return av.open(
            source_url(path),
            format="mjpeg",
            options={**options, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )


def appended_film(path: Path) -> int:
    """Where the film of a motion photo begins: a JPEG picture with an MP4 file behind it. 0 for any other file.

    Raises OSError.
    """
    with path.open("rb") as file:
        block = file.read(3)
        if block != _JPEG:
            return 0
        at = 0
        while at < _PHOTO_BYTES and (more := file.read(_BLOCK_BYTES)):
            block += more
            if found := _FTYP.search(block):
                return at + found.start()
            # A box may lie across two blocks.
            at += max(len(block) - _BOX_BYTES, 0)
            block = block[-_BOX_BYTES:]
    return 0


def _is_jpeg_sequence(path: Path) -> bool:
    """By its ending, or by several pictures back to back; a photo may have one or two appended, such as a gain map."""
    with path.open("rb") as file:
        head = file.read(3)
        if head != _JPEG:
            return False
        if path.suffix.lower() in (".mjpeg", ".mjpg"):
            return True
        return file.read(_SEQUENCE_BYTES).count(b"\xff\xd9\xff\xd8\xff") >= _SEQUENCE_JOINTS


def _is_animated_webp(path: Path) -> bool:
    """By its extended header (https://developers.google.com/speed/webp/docs/riff_container): the bit ``A``."""
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return len(head) == 21 and head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)
