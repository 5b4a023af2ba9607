"""What the colours of a frame are: by its own tags, else by the codec's and the container's, else by its kind."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

from av.video.frame import VideoFrame

from daemon.decode.chroma_location import chroma_location
from daemon.decode.side_data import side_data
from daemon.decode.track_header import DolbyVision
from daemon.media import filters, tonemap
from daemon.media.rules import CENTRED_CHROMA_RULES, FIRST_RULES
from daemon.model import Colour

_MATRIX_NAMES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    9: "bt2020nc", 10: "bt2020c",
}  # fmt: skip
_RANGE_NAMES = {1: "limited", 2: "full"}
_TRANSFER_NAMES = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip
_PRIMARIES_NAMES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m",
    9: "bt2020", 11: "smpte431", 12: "smpte432",
}  # fmt: skip
_LATER_TRANSFER_NAMES = {9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 17: "smpte428"}
_LATER_PRIMARIES_NAMES = {8: "film", 10: "smpte428", 22: "ebu3213"}
"""Names that the first rules did not know."""

_BASE_LAYERS = {
    1: Colour("bt2020nc", "limited", tonemap.PQ, "bt2020"),
    2: Colour("bt709", "limited", "bt709", "bt709"),
    4: Colour("bt2020nc", "limited", tonemap.HLG, "bt2020"),
    6: Colour("bt2020nc", "limited", tonemap.PQ, "bt2020"),
}
"""Dolby Vision: what a base layer is that has no tags, by its compatibility."""
_NO_BASE_LAYER = (5, 10, 20)
"""Profiles whose pictures may be of use to nobody but a Dolby Vision player."""
DOLBY_VISION_LOST = (
    "the colours of this film cannot be made: it is Dolby Vision profile {profile}, whose pictures only a Dolby Vision"
    " player can read; its stills show the wrong colours"
)
_UNMADE_MATRICES = {
    8: "YCgCo", 10: "BT.2020 of constant luminance", 11: "YDzDx", 13: "of constant luminance", 14: "ICtCp",
    15: "IPT", 16: "YCgCo-R", 17: "YCgCo-R",
}  # fmt: skip
"""Ways to RGB (ITU-T H.273, table 4) that FFmpeg's scaler does not know."""
MATRIX_LOST = (
    "the colours of this film cannot be made: its matrix is {matrix}, which FFmpeg's scaler cannot convert; its stills"
    " show the wrong colours"
)


def told_by(tagged: Any, rules: int) -> Colour:
    """What a frame, or a stream's ``codec_context`` says of its colours.

    Before anything is decoded, the context has what the container says.
    """
    later = rules > FIRST_RULES
    transfers = _TRANSFER_NAMES | (_LATER_TRANSFER_NAMES if later else {})
    primaries = _PRIMARIES_NAMES | (_LATER_PRIMARIES_NAMES if later else {})
    return Colour(
        matrix=_MATRIX_NAMES.get(int(tagged.colorspace or 0) if tagged.colorspace is not None else 2, "unknown"),
        range=_RANGE_NAMES.get(int(tagged.color_range or 0), "unknown"),
        transfer=transfers.get(int(tagged.color_trc or 2), "unknown"),
        primaries=primaries.get(int(tagged.color_primaries or 2), "unknown"),
    )


def colour_of(
    frame: VideoFrame, container: Colour, rules: int, *, deep: bool, dolby_vision: DolbyVision | None = None
) -> Colour:
    """The colours of a frame, part by part by whoever is believed first and says something.

    ``container`` is what the container says; ``deep``: more than 8 bits a sample. Deep frames without a curve, but
    with the colour volume of the display that they were mastered on, are PQ.
    """
    own = told_by(frame, rules)
    if rules <= FIRST_RULES:
        return own
    if own.matrix == "gbr" and not filters.is_rgb(frame.format.name):
        own = replace(own, matrix="unknown")
    colour = _either(own, container)
    if dolby_vision is not None:
        colour = _either(colour, _BASE_LAYERS.get(dolby_vision.compatibility, Colour()))
    if colour.transfer == "unknown" and deep and _side_data(frame, "MASTERING_DISPLAY_METADATA") is not None:
        colour = _either(colour, replace(_BASE_LAYERS[1], range="unknown"))
    if rules <= CENTRED_CHROMA_RULES:
        return colour
    return replace(colour, chroma_location=chroma_location(frame))


def colours_lost(frame: VideoFrame, dolby_vision: DolbyVision | None) -> str:
    """The sentence for films whose colours cannot be made, else nothing."""
    profile = None
    if dolby_vision is not None:
        if dolby_vision.profile in _NO_BASE_LAYER and dolby_vision.compatibility == 0:
            profile = dolby_vision.profile
    elif is_profile_5(bytes(_side_data(frame, "DOVI_METADATA") or b"")):
        profile = 5
    if profile is not None:
        return DOLBY_VISION_LOST.format(profile=profile)
    matrix = _UNMADE_MATRICES.get(int(frame.colorspace or 0))
    return "" if matrix is None or filters.is_rgb(frame.format.name) else MATRIX_LOST.format(matrix=matrix)


def _either(first: Colour, second: Colour) -> Colour:
    def part(one: str, other: str) -> str:
        return other if one == "unknown" else one

    return Colour(
        part(first.matrix, second.matrix),
        part(first.range, second.range),
        part(first.transfer, second.transfer),
        part(first.primaries, second.primaries),
    )


def is_profile_5(content: bytes) -> bool:
    """By the header of a frame's own metadata, where no container has a record: RPU profile 0, full range.

    The structures are ``AVDOVIMetadata`` and ``AVDOVIRpuDataHeader`` of libavutil/dovi_meta.h; FFmpeg guesses likewise
    (``ff_dovi_guess_profile_hevc``).
    """
    if len(content) < struct.calcsize("N"):
        return False
    (header,) = struct.unpack_from("N", content)
    if header + 11 > len(content):
        return False
    return bool(content[header + 4] == 0 and content[header + 10] == 1)


def _side_data(frame: VideoFrame, name: str) -> Any:
    try:
        return side_data(frame, name)
    except ValueError:
        # PyAV does not know every kind of side data, and then gives none of it.
        return None
