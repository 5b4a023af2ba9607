"""What a still tells the tools that people use: words, stars, time of capture, camera, title, place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from PIL import Image

from daemon.model import FileIdentity, Origin, Pick, VideoInfo

BEST, GOOD, CHOSEN = 5, 4, 3
_PART = r"([+-])(\d{%d,%d})(\.\d+)?"
_PLACE = re.compile(_PART % (2, 6) + _PART % (3, 7) + r"(?:([+-]\d+(?:\.\d+)?))?(?:CRS[\w:]*)?/?")

_DESCRIPTION, _MAKE, _MODEL, _SOFTWARE, _DATE_TIME, _RATING = 0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x4746
_EXIF, _GPS = 0x8769, 0x8825
_ORIGINAL, _DIGITIZED, _SUBSECONDS, _OFFSETS = 0x9003, 0x9004, (0x9290, 0x9291, 0x9292), (0x9010, 0x9011, 0x9012)


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees north and east, and metres above the sea where they are known."""

    latitude: float
    longitude: float
    altitude_m: float | None = None


@dataclass(frozen=True, slots=True)
class Tags:
    """``captured_at`` is ISO 8601 with its offset; "" and None: nothing is said. ``rating`` is 1 to 5, 0 for none."""

    description: str = ""
    title: str = ""
    rating: int = 0
    captured_at: str = ""
    maker: str = ""
    model: str = ""
    place: Place | None = None


def tags_of(
    file: FileIdentity, info: VideoInfo, pick: Pick, *, metric: str, lower_better: bool, of: int, gps: bool
) -> Tags:
    """The tags of one of ``of`` stills; the place only where ``gps`` asks for it."""
    origin = info.origin
    name = file.path.name.encode("utf-8", "replace").decode("utf-8")
    better = "lower" if lower_better else "higher"
    return Tags(
        description=f"{name} at {clock(pick.time_s)}, frame {pick.frame}: still {pick.rank} of {of},"
        f" {metric} {pick.score:.4f} ({better} is better)",
        title=origin.title or file.path.stem.encode("utf-8", "replace").decode("utf-8"),
        rating=stars(pick.rank, of),
        captured_at=origin.captured_after(pick.time_s) or "",
        maker=origin.maker,
        model=origin.model,
        place=place_of(origin) if gps else None,
    )


def stars(rank: int, of: int) -> int:
    """Five for rank 1, four for the best third of ``of`` stills, three for all others."""
    return BEST if rank == 1 else GOOD if rank <= -(-of // 3) else CHOSEN


def clock(time_s: float) -> str:
    """A time of a film as people write it.

    >>> clock(3677.9584)
    '1:01:17.958'
    """
    sign, thousandths = "-" if time_s < 0 else "", round(abs(time_s) * 1000)
    seconds, left = divmod(thousandths, 1000)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{left:03d}"


def place_of(origin: Origin) -> Place | None:
    """The place of ISO 6709 in degrees, degrees and minutes, or with seconds; None for what is no place on Earth.

    >>> place_of(Origin(location="+4851.5-00217.4+035/"))
    Place(latitude=48.858333, longitude=-2.29, altitude_m=35.0)
    """
    match = _PLACE.fullmatch(origin.location)
    if match is None:
        return None
    latitude = _degrees(match[1], match[2], match[3] or "", 2)
    longitude = _degrees(match[4], match[5], match[6] or "", 3)
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return Place(latitude, longitude, float(match[7]) if match[7] else None)


def exif(tags: Tags) -> bytes:
    """An EXIF block, without the ``Exif`` that a JPEG has before it (CIPA DC-008); texts are UTF-8."""
    image = Image.Exif()
    texts = {_DESCRIPTION: tags.description, _MAKE: tags.maker, _MODEL: tags.model, _SOFTWARE: "stillwatch"}
    for tag, text in texts.items():
        if text:
            image[tag] = text.replace("\0", " ").encode("utf-8", "replace")
    if tags.rating:
        image[_RATING] = tags.rating
    if tags.captured_at:
        moment = datetime.fromisoformat(tags.captured_at)
        written = f"{moment:%Y:%m:%d %H:%M:%S}".rjust(19, "0")
        image[_DATE_TIME] = written
        inner = image.get_ifd(_EXIF)
        inner |= {_ORIGINAL: written, _DIGITIZED: written}
        inner |= dict.fromkeys(_OFFSETS, moment.isoformat()[-6:])
        inner |= dict.fromkeys(_SUBSECONDS, f"{moment.microsecond // 1000:03d}")
    if tags.place is not None:
        image.get_ifd(_GPS).update(_gps(tags.place))
    return image.tobytes().removeprefix(b"Exif\0\0")


def _degrees(sign: str, digits: str, fraction: str, width: int) -> float | None:
    """``DD.D``, ``DDMM.M`` or ``DDMMSS.S`` with ``width`` digits of degrees, to a tenth of a metre."""
    rest = digits[width:]
    if len(rest) not in (0, 2, 4):
        return None
    parts = [digits[:width], *(rest[at : at + 2] for at in range(0, len(rest), 2))]
    values = [*map(float, parts[:-1]), float(parts[-1] + fraction)]
    if any(value >= 60 for value in values[1:]):
        return None
    degrees: float = sum(value / 60.0**power for power, value in enumerate(values))
    return round(-degrees if sign == "-" else degrees, 6)


def _gps(place: Place) -> dict[int, object]:
    def parts(value: float) -> tuple[Fraction, Fraction, Fraction]:
        millis = round(abs(value) * 3_600_000)
        return Fraction(millis // 3_600_000), Fraction(millis // 60_000 % 60), Fraction(millis % 60_000, 1000)

    tags: dict[int, object] = {
        0: b"\2\3\0\0",
        1: "S" if place.latitude < 0 else "N",
        2: parts(place.latitude),
        3: "W" if place.longitude < 0 else "E",
        4: parts(place.longitude),
    }
    if place.altitude_m is not None:
        tags |= {5: b"\1" if place.altitude_m < 0 else b"\0", 6: Fraction(round(abs(place.altitude_m) * 100), 100)}
    return tags
