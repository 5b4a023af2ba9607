"""What a still is written as: file type, bits a sample, quality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from daemon.config.output import OutputConfig
from daemon.media import filters
from daemon.media.rules import FIRST_RULES
from daemon.model import VideoInfo

Suffix = Literal["png", "jpg"]


@dataclass(frozen=True, slots=True)
class ImageFormat:
    """How a still is written. ``depth`` is bits a sample; ``jpeg_quality`` is FFmpeg's ``-q:v``.

    ``keep_hdr`` leaves PQ and HLG samples untouched. ``size`` is the longest side in pixels (0: as the frame is), to
    which a still is scaled once it is proven. ``rules`` is the version of the rules for pictures,
    ``deinterlace`` whether frames of two fields are made of one.
    """

    suffix: Suffix
    depth: int
    jpeg_quality: int = 2
    keep_hdr: bool = False
    rules: int = FIRST_RULES
    deinterlace: bool = False
    size: int = 0

    @property
    def name(self) -> str:
        """Everything that decides the file of a picture, in a word or two."""
        kind = f"jpg q{self.jpeg_quality}" if self.suffix == "jpg" else f"png{self.depth}"
        kind += " hdr" if self.keep_hdr else ""
        kind += f" size {self.size}" if self.size else ""
        if self.rules == FIRST_RULES:
            return kind
        return f"{kind} rules {self.rules}{'' if self.deinterlace else ' interlaced'}"


def image_format(output: OutputConfig, info: VideoInfo) -> ImageFormat:
    """The format of this video's stills: as configured, and as deep as the source where that is left open."""
    png8 = ImageFormat("png", 8, rules=info.rules, deinterlace=info.deinterlace, size=output.size)
    if output.format == "jpeg":
        return replace(png8, suffix="jpg", jpeg_quality=output.jpeg_quality)
    if output.format == "png8":
        return png8
    stretches = [stretch.info for stretch in info.stretches] or [info]
    depth = max(filters.bits(one, filters.layout_of(one)) for one in stretches)
    return replace(png8, depth=depth, keep_hdr=output.hdr == "keep")
