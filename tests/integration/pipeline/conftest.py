"""What tests of the pipeline are given, unless they have a configuration of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.schema import Config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Three stills by score from a short film, everything below the test's folder."""
    return Config.model_validate(
        {
            "output": {"path": tmp_path / "stills"},
            "database": {"path": tmp_path / "s.db", "commit_seconds": 0.05},
            "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0.1},
        }
    )
