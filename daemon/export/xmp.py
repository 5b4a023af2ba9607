"""XMP packets (ISO 16684-1): what photo tools read of a still, and the still's own facts in a namespace of ours."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from daemon.export.tags import Place, Tags

NAMESPACE = "urn:stillwatch:still/1.0/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_SPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "stillwatch": NAMESPACE,
}
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold (2.2), lone surrogates among it."""
MOST_BYTES = 60_000
"""A packet has to fit into one segment of a JPEG."""


def is_xml_text(text: str) -> bool:
    """Whether every character of a text can stand in XML."""
    return _NOT_XML.search(text) is None


def packet(facts: dict[str, str], tags: Tags) -> bytes:
    """A packet with the facts as ``stillwatch:<name>``; what XML cannot hold becomes U+FFFD. UTF-8.

    Raises ValueError when it is too long for a JPEG.
    """
    fields = [
        *_shown(tags),
        *(f"<stillwatch:{name}>{_text(value)}</stillwatch:{name}>" for name, value in facts.items()),
    ]
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in _SPACES.items())
    written = "\n".join(
        [
            _BEGIN,
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">',
            f'<rdf:Description rdf:about="" {spaces}>',
            *fields,
            "</rdf:Description></rdf:RDF></x:xmpmeta>",
            '<?xpacket end="r"?>',
        ]
    ).encode("utf-8")
    if len(written) > MOST_BYTES:
        raise ValueError(f"the facts of a still take {len(written)} bytes, more than {MOST_BYTES}")
    return written


def read_facts(content: bytes) -> dict[str, str]:
    """The facts in a packet; empty where there are none, or where it is no XMP."""
    if NAMESPACE.encode() not in content or b"<!DOCTYPE" in content or len(content) > 2 * MOST_BYTES:
        return {}
    try:
        root = ElementTree.fromstring(content.decode("utf-8").strip("\0 \n\ufeff"))
    except (ElementTree.ParseError, UnicodeDecodeError):
        return {}
    facts: dict[str, str] = {}
    own = f"{{{NAMESPACE}}}"
    for described in root.iter(f"{{{_RDF}}}Description"):
        # Tools that write the packet anew may turn elements into attributes.
        facts |= {name.removeprefix(own): value for name, value in described.items() if name.startswith(own)}
        facts |= {one.tag.removeprefix(own): one.text or "" for one in described if one.tag.startswith(own)}
    return facts


def _shown(tags: Tags) -> list[str]:
    fields = []
    for name, text in (("dc:title", tags.title), ("dc:description", tags.description)):
        if text:
            fields.append(f'<{name}><rdf:Alt><rdf:li xml:lang="x-default">{_text(text)}</rdf:li></rdf:Alt></{name}>')
    plain = {
        "xmp:Rating": str(tags.rating or ""),
        "xmp:CreatorTool": "stillwatch",
        "xmp:CreateDate": tags.captured_at,
        "exif:DateTimeOriginal": tags.captured_at,
        "photoshop:DateCreated": tags.captured_at,
        "tiff:Make": tags.maker,
        "tiff:Model": tags.model,
        **({} if tags.place is None else _gps(tags.place)),
    }
    return fields + [f"<{name}>{_text(value)}</{name}>" for name, value in plain.items() if value]


def _gps(place: Place) -> dict[str, str]:
    def written(value: float, plus: str, minus: str) -> str:
        degrees, minutes = divmod(abs(value) * 60, 60)
        return f"{int(degrees)},{minutes:.6f}{minus if value < 0 else plus}"

    fields = {
        "exif:GPSLatitude": written(place.latitude, "N", "S"),
        "exif:GPSLongitude": written(place.longitude, "E", "W"),
    }
    if place.altitude_m is not None:
        fields["exif:GPSAltitudeRef"] = "1" if place.altitude_m < 0 else "0"
        fields["exif:GPSAltitude"] = f"{round(abs(place.altitude_m) * 100)}/100"
    return fields


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", value), {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})
