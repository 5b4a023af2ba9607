"""File and folder names of every sort: processed, and the still's name is safe and leads back to the source."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.export import file_names
from daemon.model import Status
from daemon.service.foreground import once
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

NAMES = [
    b"-dash.mp4", b"--help.mp4", b"%03d.mp4", b"%s%n.mp4", b"a:b.mp4", b"it's.mp4", b'so "it" is.mp4', b"line\nbreak.mp4",
    "🎬.mp4".encode(), b"caf\xe9 \xff\xfe.mp4", b"x" * 251 + b".mp4", "ü".encode() * 125 + b".mp4", b" space .mp4",
    b"tab\tbell\a.mp4", b"back\\slash.mp4", b"$(touch x);`ls`.mp4", b"[in]split,scale.mp4", b"...mp4", b"no suffix",
]  # fmt: skip


@pytest.mark.usefixtures("stub_scorer")
@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_any_name_is_processed_and_its_stills_are_proven(tmp_path: Path, form: str) -> None:
    paths = []
    for number, raw in enumerate(NAMES):
        # The folder has the odd name as well.
        folder = tmp_path / "in" / os.fsdecode(raw)
        folder.mkdir(parents=True)
        plain = films.make(tmp_path / "plain.mp4", numbers=range(number, number + 4), width=96, height=64)
        paths.append(plain.rename(folder / os.fsdecode(raw)))
    config = Config.model_validate(
        {
            "output": {"path": tmp_path / "100%d out", "format": form},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": 2, "min_gap_seconds": 0},
        }
    )
    records, _ = await once(config, paths)
    assert [(record.file.path, record.status) for record in records] == [(path, Status.DONE) for path in paths]

    stills = verify.find_stills([config.output.path])
    assert len(stills) == 2 * len(NAMES)
    verdicts = list(verify.verify(stills, config.decode))
    assert [verdict.reason for verdict in verdicts] == [""] * len(stills)
    for still in stills:
        parsed = file_names.parse_name(still.name)
        assert file_names.format_name(parsed) == still.name
        assert still.name.isprintable()
        assert not set(still.name + still.parent.name) & set("\n\t\"'`$%:*?<>|\\/;()[], ")
        assert not still.name.startswith((".", "-"))
        assert len(os.fsencode(still.name)) <= 255
        source = json.loads((still.parent / "manifest.json").read_text())["source"]["path"]
        assert films.read_still(still) == parsed.frame + paths.index(Path(source))
