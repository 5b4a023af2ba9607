"""Where a film comes from, by the tags of its container and of the chosen stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from av.container import InputContainer

from daemon.decode.headers import STREAMS_KEPT, text
from daemon.model import Origin

_CAPTURED = (
    *("com.apple.quicktime.creationdate", "com.apple.proapps.shootingdate", "date_recorded", "creation_time"),
    *("date", "date-eng"),
)
"""The tags of the time of capture, best first: those with the camera's own offset come before UTC."""
_LOCATION = ("com.apple.quicktime.location.iso6709", "location", "location-eng", "xyz", "recording_location")
_MAKER = ("com.apple.quicktime.make", "com.android.manufacturer", "make", "manufacturer", "company_name")
_MODEL = ("com.apple.quicktime.model", "com.android.model", "model", "product_name")
_TITLE = ("title", "com.apple.quicktime.title", "com.apple.quicktime.displayname", "inam")

_TIME = re.compile(
    r"(\d{4})[-:](\d{2})[-:](\d{2})[T ]+(\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?\s*(Z|[+-]\d{2}:?\d{2}|[+-]\d{2})?"
)
_ISO_6709 = re.compile(r"[+-]\d{2,6}(\.\d+)?[+-]\d{3,7}(\.\d+)?([+-]\d+(\.\d+)?)?(CRS[\w:]*)?/?")
_TIMECODE = re.compile(r"\d{2}:\d{2}:\d{2}[:;.]\d{2,3}")
_FIRST_YEAR = 1971
"""Clocks that were never set say 1904 or 1970: a container's zero, not a time."""


def origin_of(container: InputContainer, index: int) -> Origin:
    """The origin by the container's tags, then the chosen stream's, then those of all others."""
    tags = [_lower(container.metadata), _lower(container.streams[index].metadata)]
    for stream in container.streams:
        if stream.index >= STREAMS_KEPT:
            break
        tags.append(_lower(stream.metadata))
    return read(tags)


def read(tags: Sequence[Mapping[str, str]]) -> Origin:
    """The origin by tags with names in lower case; earlier mappings win over later ones, name by name.

    >>> read([{"creation_time": "2024-05-01T10:00:00.000000Z", "model": "X1"}]).captured_at
    '2024-05-01T10:00:00+00:00'
    """
    times = (_time(value) for value in _values(tags, _CAPTURED))
    places = (text(value) for value in _values(tags, _LOCATION))
    codes = (text(value) for value in _values(tags, ("timecode",)))
    return Origin(
        captured_at=next((time for time in times if time), ""),
        location=next((place for place in places if _ISO_6709.fullmatch(place)), ""),
        timecode=next((code for code in codes if _TIMECODE.fullmatch(code)), ""),
        maker=_first(tags, _MAKER),
        model=_first(tags, _MODEL),
        title=_first(tags, _TITLE),
    )


def _lower(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in metadata.items()}


def _values(tags: Sequence[Mapping[str, str]], names: tuple[str, ...]) -> Iterator[str]:
    """The values by rank of the name; ISO 6709 and times are short, so what is long is no such tag."""
    for name in names:
        for group in tags:
            if name in group:
                yield group[name][:200].strip()


def _first(tags: Sequence[Mapping[str, str]], names: tuple[str, ...]) -> str:
    return next((said for value in _values(tags, names) if (said := text(value))), "")


def _time(value: str) -> str:
    """A time as ISO 8601 with its offset, UTC where none is written; empty for what is no time of capture."""
    match = _TIME.fullmatch(value)
    if match is None:
        return ""
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if int(year) < _FIRST_YEAR:
        return ""
    zone = "+00:00" if offset in (None, "Z") else offset if ":" in offset else f"{offset[:3]}:{offset[3:] or '00'}"
    micro = f".{fraction[:6]:0<6}" if fraction else ""
    try:
        moment = datetime.fromisoformat(f"{year}-{month}-{day}T{hour}:{minute}:{second}{micro}{zone}")
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
