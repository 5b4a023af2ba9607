"""How a source is named to FFmpeg."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from daemon.media.source import source_url


@pytest.mark.parametrize(
    "name",
    ["-y.mp4", "%03d.mp4", "http:evil.mp4", "concat:a|b.mp4", "a'b;c[0:v].mp4", "two\nlines.mp4", "caf\udce9.mp4", "*"],
)
def test_no_name_is_taken_for_an_option_a_protocol_or_a_pattern(name: str) -> None:
    url = source_url(Path("/in") / name)
    assert url == f"file:/in/{name}"
    assert os.fsencode(url)


def test_a_relative_source_is_made_absolute_because_ffmpeg_runs_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_url(Path("-a.mp4")) == f"file:{tmp_path}/-a.mp4"
