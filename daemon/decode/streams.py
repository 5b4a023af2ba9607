"""Which of a file's video streams is its film: a pure decision on what the streams say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.errors import Kind, VideoError
from daemon.model import StreamInfo

AUTO = "auto"

PICTURES = frozenset({"attached_pic", "timed_thumbnails"})
"""Never a film: covers and the pictures of a player's seek bar."""
PARTS = frozenset({"still_image", "dependent"})
"""A film only where there is nothing else: stills and layers or tiles that need another stream."""

PROTECTED_TAGS = frozenset({"drmi", "drms", "drmt", "encv", "enca", "encf", "encm"})
"""Sample entries of protected tracks: ISO/IEC 14496-12 (enc?) and bought films of Apple's store (drm?)."""

LONG_ENOUGH = 0.5
"""A stream with at most this share of the longest one's frames or seconds is no rival of it."""

_LANGUAGES = (
    "alb sqi|arm hye|baq eus|bur mya|chi zho|cze ces|dut nld|fre fra|geo kat|ger deu|gre ell|ice isl|mac mkd|mao mri|"
    "may msa|per fas|rum ron|slo slk|tib bod|wel cym"
)
_SAME_LANGUAGE = {word: pair.split()[1] for pair in _LANGUAGES.split("|") for word in pair.split()}
"""ISO 639-2 has two codes for these languages; the second is that of ISO 639-3."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The absolute index of the chosen stream, and why it is this one, in one sentence."""

    index: int
    reason: str


def rivals(streams: Sequence[StreamInfo]) -> list[StreamInfo]:
    """The video streams that may be the film by what they are for; parts only where there is nothing else."""
    usable = [one for one in streams if one.kind == "video" and one.decodable and not PICTURES & set(one.disposition)]
    return [one for one in usable if not PARTS & set(one.disposition)] or usable


def choose(streams: Sequence[StreamInfo], wanted: str = AUTO) -> Choice:
    """The film among the streams of a file.

    ``wanted`` is ``auto``, an absolute index or a language. A language that no stream has is as ``auto``. Automatic is:
    what it is for, then frames and seconds, then the default flag, area and bit rate; the first of equals.

    Raises VideoError: NO_VIDEO_STREAM, PROTECTED, NO_DECODER.
    """
    if wanted.isdecimal():
        return _by_number(streams, int(wanted))
    candidates = rivals(streams)
    if not candidates:
        raise _none_usable(streams)
    if all("dependent" in one.disposition for one in candidates):
        raise VideoError(
            Kind.NO_VIDEO_STREAM,
            "the file holds a picture in tiles or layers, and no film: convert the picture to JPEG if you need it",
        )
    prefix = ""
    if wanted != AUTO:
        spoken = [one for one in candidates if _language(one.language) == _language(wanted)]
        prefix = f"in {wanted}: " if spoken else f"no stream is in {wanted}: "
        candidates = spoken or candidates
    best, reason = _best(candidates)
    return Choice(best.index, prefix + reason + _others(streams, best))


def _best(candidates: Sequence[StreamInfo]) -> tuple[StreamInfo, str]:
    """The film, and what set it apart from the others."""
    if len(candidates) == 1:
        return candidates[0], "the only one that can be the film"
    left, reason = list(candidates), "the first of equals"
    most_frames = max(one.frames or 0 for one in left)
    longest_s = max(one.duration_s or 0.0 for one in left)
    long = [
        one
        for one in left
        if (one.frames is None or one.frames > most_frames * LONG_ENOUGH or not most_frames)
        and (one.duration_s is None or one.duration_s > longest_s * LONG_ENOUGH or not longest_s)
    ]
    # Frames and seconds may disagree: a slide show beside a short film. Then frames count.
    left = long or [one for one in left if one.frames == most_frames]
    if len(left) == 1:
        return left[0], "it has the most frames"
    default = [one for one in left if "default" in one.disposition]
    if default and len(default) < len(left):
        left, reason = default, "it is marked as the default"
    if len(left) > 1:
        area = max(one.width * one.height for one in left)
        largest = [one for one in left if one.width * one.height == area]
        if len(largest) < len(left):
            left, reason = largest, "its picture is the largest"
    if len(left) > 1:
        rate = max(one.bit_rate or 0 for one in left)
        # Rates of equals differ by what happens to be in the picture.
        richest = [one for one in left if (one.bit_rate or 0) * 2 > rate] if rate else left
        if len(richest) < len(left):
            left, reason = richest, "its bit rate is the highest"
    return min(left, key=lambda one: one.index), reason


def _by_number(streams: Sequence[StreamInfo], index: int) -> Choice:
    asked = next((one for one in streams if one.index == index), None)
    videos = [one for one in streams if one.kind == "video"]
    if asked is None or asked.kind != "video":
        there = "; ".join(described(one) for one in videos) or "none"
        what = "there is no stream" if asked is None else f"{asked.kind}, not video, is stream"
        raise VideoError(
            Kind.NO_VIDEO_STREAM,
            f"{what} {index} in the file: set decode.stream to one of its video streams or to auto ({there})",
        )
    if not asked.decodable:
        raise _none_usable([asked])
    return Choice(index, "decode.stream asks for it" + _others(streams, asked))


def _none_usable(streams: Sequence[StreamInfo]) -> VideoError:
    """Why no stream of the file can be decoded."""
    films = [one for one in streams if one.kind == "video" and not PICTURES & set(one.disposition)]
    if not films:
        return VideoError(Kind.NO_VIDEO_STREAM, "there is no video stream in the file, only sound or covers")
    film = films[0]
    if film.codec in PROTECTED_TAGS:
        return protected(film.index, f"the codec tag {film.codec}")
    return VideoError(
        Kind.NO_DECODER,
        f"there is no decoder in this FFmpeg for stream {film.index}, codec {film.codec or 'unknown'}:"
        " convert it with the program that wrote it",
    )


def protected(index: int, sign: str) -> VideoError:
    """The error for a film that only its keys open."""
    return VideoError(
        Kind.PROTECTED,
        f"the film is protected: stream {index} has {sign} and cannot be decoded without its keys; use a copy without",
    )


def _others(streams: Sequence[StreamInfo], best: StreamInfo) -> str:
    """A word about the other video streams, covers left out."""
    others = [
        one
        for one in streams
        if one.kind == "video" and one.index != best.index and not PICTURES & set(one.disposition)
    ]
    if not others:
        return ""
    shown = "; ".join(described(one) for one in others[:4])
    more = f"; and {len(others) - 4} more" if len(others) > 4 else ""
    return f"; not used: {shown}{more}; decode.stream or --stream takes another one"


def described(stream: StreamInfo) -> str:
    """A stream in a few words, such as ``stream 1 (hevc 1024x768, 5 frames)``."""
    words = [f"{stream.codec or stream.kind} {stream.width}x{stream.height}" if stream.width else stream.codec or "?"]
    if stream.frames is not None:
        words.append(f"{'about ' if stream.counted else ''}{stream.frames} frames")
    elif stream.duration_s is not None:
        words.append(f"{stream.duration_s:.1f} s")
    if stream.language:
        words.append(stream.language)
    if stream.programme:
        words.append(f"programme {stream.programme}")
    words += [word.replace("_", " ") for word in stream.disposition if word in PARTS | PICTURES]
    if not stream.decodable:
        words.append("no decoder")
    return f"stream {stream.index} ({', '.join(words)})"


def _language(code: str) -> str:
    """A language code without region, the same for both codes of ISO 639-2."""
    word = code.lower().partition("-")[0]
    return _SAME_LANGUAGE.get(word, word)
