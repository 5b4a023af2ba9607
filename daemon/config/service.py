"""The sections `database`, `log`, `service` and `notify`: what concerns the daemon itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from daemon.config.section import MIB, Section


class DatabaseConfig(Section):
    """Where every score is kept."""

    path: Path = Field(Path("stillwatch.db"), description="SQLite file")
    commit_seconds: float = Field(
        0.5, gt=0.0, le=10.0, description="scores are committed at most this many seconds apart"
    )
    disk_margin_bytes: int = Field(
        64 * MIB, ge=0, description="free space that scores leave on the disk of the database"
    )
    busy_seconds: float = Field(
        5.0, gt=0.0, le=600.0, description="seconds to wait for another writer; the daemon then pauses and tries again"
    )


class LogConfig(Section):
    """What is logged, and how."""

    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: colours in a terminal, JSON lines elsewhere"
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level shown")
    progress_seconds: float = Field(5.0, ge=0.1, le=3600.0, description="seconds between two video.progress events")


class NotifyConfig(Section):
    """Who is told when a video is finished."""

    command: list[str] = Field(
        [], description="program and arguments, run without a shell; what happened is JSON on its standard input"
    )
    url: SecretStr = Field(SecretStr(""), description="http(s) address that the JSON is posted to; never logged")
    # Not "on": YAML reads that as the word for true.
    when: list[Literal["done", "failed", "rejected", "missing"]] = Field(
        ["done", "failed"], description="which ends are reported: done, failed, rejected, missing"
    )
    timeout_seconds: float = Field(10.0, gt=0.0, le=300.0, description="a delivery that takes longer has failed")
    attempts: int = Field(3, ge=1, le=10, description="number of tries, with a growing pause between them")

    @field_validator("url")
    @classmethod
    def _is_http(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if value.get_secret_value() and (
            parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc
        ):
            raise ValueError("must be an http:// or https:// address without user name and password")
        return value


class ServiceConfig(Section):
    """How the daemon stops, tries again and is watched."""

    stop_seconds: float = Field(8.0, gt=0.0, le=300.0, description="seconds that a stop waits for the work in flight")
    poll_seconds: float = Field(
        1.0, gt=0.0, le=60.0, description="seconds between two looks into the queue for what other commands put there"
    )
    max_attempts: int = Field(
        3, ge=1, le=100, description="a video whose work ended or hung the process this many times is set aside"
    )
    max_retries: int = Field(
        8, ge=0, le=1000, description="number of further tries for a video when the cause may pass by itself"
    )
    retry_seconds: float = Field(
        15.0, gt=0.0, le=3600.0, description="seconds before the first of these tries; twice as long before each next"
    )
    pause_seconds: float = Field(
        5.0, gt=0.0, le=600.0, description="seconds between two tries while a disk is full or the database is held"
    )
    stuck_seconds: float = Field(
        300.0,
        ge=1.0,
        le=86400.0,
        description="a decoder or scorer that gives nothing for this many seconds hangs",
    )
    http: Annotated[str, Field(pattern=r"^$|^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):[0-9]{1,5}$")] = Field(
        "", description="host:port for /metrics, /healthz and /status.json, such as 127.0.0.1:9464; empty: off"
    )
    review: Annotated[str, Field(pattern=r"^$|^/.+$|^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):[0-9]{1,5}$")] = Field(
        "", description="host:port or path of a Unix socket for the review page, such as 127.0.0.1:8420; empty: off"
    )
    umask: Annotated[str, Field(pattern=r"^$|^[0-7]{3}$")] = Field(
        "",
        description="octal, in quotes: what new files and folders grant nobody; empty: nothing to others beside the"
        " shell's umask: 0640 and 0750 as a rule; in a systemd unit what its UMask= says",
    )
