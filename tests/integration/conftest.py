"""What tests of several folders are given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from structlog.typing import EventDict


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """The events that are logged during the test."""
    with structlog.testing.capture_logs() as events:
        yield events
