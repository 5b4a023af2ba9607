"""The time of day as it is stored and shown."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """The time now, ISO 8601 in UTC to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
