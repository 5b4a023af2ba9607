"""What the headers of an open file say: its streams, and where the film comes from."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition

from daemon.config.score import DecodeConfig
from daemon.decode.container import opened, packets_of
from daemon.decode.info_lines import info_lines
from daemon.model import StreamInfo

STREAMS_KEPT = 64
"""Hostile files announce thousands; the first ones are described."""
TEXT_KEPT = 200
"""Characters of a tag that are kept."""
SCAN_BYTES = 64 * 1024 * 1024
"""So much of a file is read to tell its streams apart, where the header has no number of frames."""
LOOKED_AT_BYTES = 1024 * 1024
"""Of a transport stream that gives no frame, to see whether it is scrambled."""
_TS_SYNC, _TS_SCRAMBLED = 0x47, 0x80
_TS_PACKETS = (188, 192, 204)
"""Bytes of a packet: plain, with a time code (M2TS), with error correction."""

_LISTED = re.compile(r"Stream #0:(\d+)\S*: \w+: (\S+)(?: \([^()/]*\))*(?: \((\S+) / 0x[0-9A-Fa-f]+\))?")
_PROGRAMME = re.compile(r"^  Program (\d+)")
_SERVICE = re.compile(r"^ +service_name +: (.*)")


@dataclass(slots=True)
class _Counted:
    packets: int = 0
    size_bytes: int = 0
    first_s: float | None = None
    last_s: float | None = None


def streams_of(container: InputContainer) -> tuple[StreamInfo, ...]:
    """Every stream of a file, up to STREAMS_KEPT, as the header describes it."""
    found = tuple(_stream(stream) for stream in itertools.islice(container.streams, STREAMS_KEPT))
    videos = [stream for stream in found if stream.kind == "video"]
    if all(stream.decodable for stream in videos) and (len(videos) < 2 or "mpegts" not in container.format.name):
        return found
    listed = _listing(container)
    return tuple(
        replace(
            stream,
            codec=stream.codec or listed.get(stream.index, ("", ""))[0],
            programme=listed.get(stream.index, ("", ""))[1],
        )
        for stream in found
    )


def _stream(stream: Any) -> StreamInfo:
    """PyAV gives no codec context for what it has no decoder for; attributes of the context are None then."""
    context = stream.codec_context
    video = stream.type == "video" and context is not None
    duration = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    language = text(stream.language or "")
    return StreamInfo(
        index=stream.index,
        kind=stream.type or "data",
        codec=context.codec.canonical_name if context is not None else "",
        decodable=context is not None,
        width=stream.width if video else 0,
        height=stream.height if video else 0,
        frames=stream.frames or None,
        duration_s=duration if duration is not None else _clock_s(stream.metadata.get("DURATION", "")),
        bit_rate=(context.bit_rate or None) if context is not None else None,
        language="" if language == "und" else language,
        title=text(stream.metadata.get("title", "")),
        disposition=tuple(sorted(str(flag.name) for flag in Disposition if flag & stream.disposition)),
    )


def _clock_s(tag: str) -> float | None:
    """Seconds of Matroska's statistics tag, such as 00:01:30.500000000."""
    parts = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)", tag.strip())
    return int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3]) if parts else None


def text(tag: str) -> str:
    """A tag as it is kept: one line, printable, bounded."""
    line = " ".join(tag[: TEXT_KEPT * 4].split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)[:TEXT_KEPT]


def _listing(container: InputContainer) -> dict[int, tuple[str, str]]:
    """By stream: the codec's name or else its tag, and the programme; FFmpeg tells only in its own listing."""
    listing: Any = container
    # The listing is empty while lines of its level are not logged.
    with info_lines():
        lines = listing.dumps_format().splitlines()
    listed: dict[int, tuple[str, str]] = {}
    programme = ""
    for line in lines:
        if begins := _PROGRAMME.match(line):
            programme = begins[1]
        elif (service := _SERVICE.match(line)) and programme.isdecimal():
            programme = text(f"{programme} {service[1]}")
        elif described := _LISTED.search(line):
            name = described[2].rstrip(",")
            listed[int(described[1])] = (text((described[3] or "") if name == "none" else name), programme)
    return listed


def counted(path: Path, config: DecodeConfig, streams: tuple[StreamInfo, ...]) -> tuple[StreamInfo, ...]:
    """The streams with frames, seconds and bit rates found by reading packets, of the beginning of large files."""
    by_stream: Mapping[int, _Counted] = _packets(path, config)
    # A time that only one of them has says nothing about the others.
    timed = all(one.duration_s is not None for one in streams if one.kind == "video" and one.decodable)
    return tuple(
        _with_count(one, by_stream[one.index], keep_duration=timed) if one.kind == "video" and one.decodable else one
        for one in streams
    )


def _with_count(stream: StreamInfo, found: _Counted, *, keep_duration: bool) -> StreamInfo:
    seconds = None if found.first_s is None or found.last_s is None else found.last_s - found.first_s
    return replace(
        stream,
        frames=found.packets,
        counted=True,
        duration_s=stream.duration_s if keep_duration else seconds,
        bit_rate=round(found.size_bytes * 8 / seconds) if seconds else stream.bit_rate,
    )


def _packets(path: Path, config: DecodeConfig) -> Mapping[int, _Counted]:
    by_stream: dict[int, _Counted] = defaultdict(_Counted)
    read_bytes = 0
    with opened(path, config) as container:
        try:
            for packet in packets_of(container):
                read_bytes += packet.size
                if read_bytes > SCAN_BYTES:
                    break
                if not packet.size:
                    continue
                one = by_stream[packet.stream_index]
                one.packets += 1
                one.size_bytes += packet.size
                time = packet.pts if packet.pts is not None else packet.dts
                if time is not None and packet.time_base:
                    at_s = float(time * packet.time_base)
                    one.first_s = at_s if one.first_s is None else min(one.first_s, at_s)
                    one.last_s = at_s if one.last_s is None else max(one.last_s, at_s)
        except (av.error.FFmpegError, OSError):
            # What cannot be read is said by the decode; here it only ends the count.
            return by_stream
    return by_stream


def is_encrypted(path: Path, config: DecodeConfig, index: int) -> bool:
    """Whether the first packet of a stream is encrypted (Common Encryption, WebM): it decodes to noise."""
    with opened(path, config) as container:
        if not {"mov", "matroska", "webm"} & set(container.format.name.split(",")):
            return False
        try:
            packet = next(container.demux(container.streams[index]), None)
        except (av.error.FFmpegError, OSError):
            return False
        return packet is not None and packet.has_sidedata("encryption_info")


def is_scrambled(path: Path) -> bool:
    """Whether packets of a transport stream are marked as scrambled (ISO 13818-1, ``transport_scrambling_control``)."""
    with path.open("rb") as file:
        beginning = file.read(LOOKED_AT_BYTES)
    for size in _TS_PACKETS:
        for start in range(size):
            marks = beginning[start::size]
            if len(marks) > 8 and marks[:8] == bytes([_TS_SYNC]) * 8:
                return any(
                    mark == _TS_SYNC and flags & _TS_SCRAMBLED
                    for mark, flags in zip(marks, beginning[start + 3 :: size], strict=False)
                )
    return False
