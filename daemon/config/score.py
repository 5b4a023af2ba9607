"""The sections `decode` and `score`: from the file to the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from daemon.config.section import MIB, Section


class DecodeConfig(Section):
    """How videos are decoded."""

    queue_bytes: int = Field(
        256 * MIB, ge=MIB, description="bytes of decoded pictures that may wait for the scorer, of all videos together"
    )
    threads: int = Field(0, ge=0, le=64, description="decoder threads per video, 0: one per core")
    hwaccel: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = Field(
        "none",
        description="none | auto | cuda | vaapi | ...: hardware decoding for scores, where it has software's bits",
    )
    concurrency: int = Field(1, ge=1, le=64, description="videos that are decoded and scored side by side")
    stream: Annotated[
        str, Field(pattern=r"^(auto|\d{1,4}|[a-zA-Z]{2,3}(-[a-zA-Z0-9-]{1,20})?)$", coerce_numbers_to_str=True)
    ] = Field(
        "auto",
        description="which video stream: auto | its number as `stillwatch show` lists it | a language such as deu",
    )
    deinterlace: Literal["auto", "off"] = Field(
        "auto",
        description="auto: frames of two fields, marked or seen as such, are made of one; off: pictures keep both",
    )
    max_pixels: int = Field(134_217_728, ge=4096, description="frames with more pixels (width x height) are refused")
    memory_bytes: int = Field(
        1536 * MIB,
        ge=64 * MIB,
        description="memory for decoding, of all videos together: fewer threads, and too large frames refused",
    )
    max_frames: int = Field(5_000_000, ge=1, description="a film with more frames is refused")
    max_frames_per_kib: int = Field(
        128, ge=1, le=1_000_000, description="and one with more for each KiB of its file, beyond the first 1000"
    )
    work_seconds: float = Field(
        604_800.0, ge=1.0, description="and one whose decoding and scoring takes more seconds at one go"
    )
    open_memory_bytes: int = Field(
        768 * MIB, ge=64 * MIB, description="a film whose opening takes more memory is refused"
    )
    open_cpu_seconds: float = Field(
        20.0, ge=1.0, le=3600.0, description="and one whose opening takes more seconds of computing"
    )


class RefineConfig(Section):
    """A second metric that scores a shortlist."""

    metric: str = Field(
        "", description="empty: none; auto: topiq_nr, else musiq, where the weights are here; or a metric's name"
    )
    share: float = Field(0.05, gt=0.0, le=1.0, description="share of the frames that it scores")


class ScoreConfig(Section):
    """The metric and how it runs."""

    metric: str = Field("niqe", description="a per-image no-reference metric; see `stillwatch metrics`")
    implementation: Literal["auto", "fused", "pyiqa"] = Field(
        "auto", description="niqe on the CPU: fused is our own fast code; auto takes it where it can"
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda|cuda:\d+)$")] = Field(
        "auto", description="auto | cpu | cuda | cuda:N"
    )
    precision: Literal["auto", "fp32", "amp"] = Field(
        "auto",
        description="auto: bf16 (CPU) or fp16 (CUDA) where a self-check keeps the ranking; amp: unchecked; fp32",
    )
    max_batch: int = Field(16, ge=1, le=4096, description="frames scored at once, at most")
    weights: Path | None = Field(None, description="local weights file instead of pyiqa's download cache")
    batch_seconds: float = Field(
        1.0, gt=0.0, le=60.0, description="a batch is kept small enough to take about this many seconds"
    )
    refine: RefineConfig = Field(
        RefineConfig(),
        description="a second, slower metric scores this share of the frames, the best by the first, and orders them",
    )
