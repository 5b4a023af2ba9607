"""The sections `output` and `export`: what stills are and how they are cut out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from daemon.config.name_template import checked_folder, checked_name
from daemon.config.section import MIB, Section


class OutputConfig(Section):
    """Where stills go and what they are."""

    path: Path = Field(Path("stills"), description="folder for the stills, one subfolder per video")
    name: str = Field(
        "",
        description="name of a still without its ending, of {stem} {rank} {n} {frame} {time_ms} {score} {shot}"
        " {fingerprint} {date}, where {n} counts in time; empty: as docs/pictures.md has it",
    )
    folder: str = Field(
        "{stem}-{fingerprint}", description="name of a film's folder, of {stem}, {fingerprint} and {date}"
    )
    format: Literal["auto", "png", "png8", "jpeg"] = Field(
        "auto",
        description="auto and png: PNG, 16-bit from sources above 8 bits; png8: always 8-bit; jpeg",
    )
    keep_selections: int = Field(
        5, ge=0, le=100_000, description="older selections of a video that are kept beside the current one"
    )
    hdr: Literal["tonemap", "keep"] = Field(
        "tonemap", description="PQ and HLG sources: SDR stills, or keep the 16-bit samples (auto and png only)"
    )
    size: int = Field(
        0, ge=0, le=65_535, description="longest side in pixels: larger stills are scaled once proven; 0: never"
    )
    gps: bool = Field(False, description="stills say where the film was shot, if it does")
    jpeg_quality: int = Field(2, ge=1, le=31, description="FFmpeg's -q:v for jpeg, 1 is the best")

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, template: str) -> str:
        return template and checked_name(template)

    @field_validator("folder")
    @classmethod
    def _folder_is_safe(cls, template: str) -> str:
        return checked_folder(template)


class ExportConfig(Section):
    """How stills are cut out of the source."""

    ffmpeg: str = Field(
        "", description="ffmpeg binary; empty: the one on PATH, else the one that came with the install"
    )
    select_batch: int = Field(50, ge=1, le=30_000, description="stills that one FFmpeg run exports")
    hwaccel: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = Field(
        "none", description="none | auto | cuda | vaapi | ...: hardware decoding for the export"
    )
    disk_margin_bytes: int = Field(512 * MIB, ge=0, description="free space that an export leaves on the output disk")
    timeout_seconds: float = Field(3600.0, gt=0.0, description="an FFmpeg run that takes longer is stopped")
