"""``once --stream`` and what ``show`` says of streams: through the whole pipeline."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from daemon.cli import verify
from daemon.cli.render import print_detail
from daemon.config.load import changed
from daemon.config.schema import Config
from daemon.observe.reports import detail
from daemon.service.foreground import once
from daemon.store.store import Store
from tests import films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")


def two_films(folder: Path) -> Path:
    """Ten frames of 192x108, then four of 96x54 in German."""
    main = films.make(folder / "main.mp4", frames=10)
    other = films.make(folder / "other.mp4", frames=4, width=96, height=54)
    tags = ["-metadata:s:v:1", "language=deu", "-disposition:v:0", "default", "-disposition:v:1", "0"]
    return films.remux(main, folder / "both.mkv", "-i", str(other), "-map", "0:v", "-map", "1:v", "-c", "copy", *tags)


def configured(folder: Path) -> Config:
    return Config.model_validate(
        {
            "output": {"path": folder / "out"},
            "database": {"path": folder / "db.sqlite"},
            "select": {"strategy": "best", "count": 2, "min_gap_seconds": 0},
        }
    )


async def shown(config: Config) -> dict[str, object]:
    store = await Store.open(config.database)
    try:
        return await detail(store, "both.mkv")
    finally:
        await store.close()


async def test_another_stream_is_scored_anew_and_both_streams_stills_are_proven(tmp_path: Path) -> None:
    config, path = configured(tmp_path), two_films(tmp_path)
    (first,), _ = await once(config, [path])
    assert first.info is not None
    assert (first.info.stream_index, first.frames_decoded) == (0, 10)
    kept = [still.rename(still.with_name(f"first-{still.name}")) for still in verify.find_stills([tmp_path / "out"])]
    (second,), _ = await once(changed(config, "decode", {"stream": "1"}), [path])
    assert second.info is not None
    assert (second.id, second.info.stream_index, second.frames_decoded, second.damaged) == (first.id, 1, 4, False)
    assert second.status.value == "done"
    verdicts = list(verify.verify(verify.find_stills([tmp_path / "out"]), config.decode))
    assert [verdict.reason for verdict in verdicts] == [""] * len(verdicts)
    assert len(verdicts) >= 2
    assert kept
    (back,), _ = await once(config, [path])
    assert back.frames_decoded == 10


async def test_show_lists_every_stream_and_says_why_this_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path)
    await once(config, [two_films(tmp_path)])
    print_detail(await shown(config))
    said = capsys.readouterr().out
    assert "stream 0 is used: it has the most frames; not used: stream 1 (h264 96x54" in said
    assert "stream 1: video, h264, 96x54, about 4 frames" in said
    assert "deu" in said
    (manifest,) = (tmp_path / "out").rglob("manifest.json")
    assert json.loads(manifest.read_text())["stream"]["reason"].startswith("it has the most frames")


async def test_manifest_and_show_say_where_a_film_comes_from_and_when_each_still_was_captured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = films.make(tmp_path / "plain.mp4", frames=30)
    tags = ["-c", "copy", "-metadata", "creation_time=2024-05-01T10:00:00Z", "-metadata", "title=A walk"]
    film = films.remux(plain, tmp_path / "both.mkv", *tags)
    config = configured(tmp_path)
    await once(config, [film])
    (path,) = (tmp_path / "out").rglob("manifest.json")
    manifest = json.loads(path.read_text())
    assert manifest["source"]["origin"]["captured_at"] == "2024-05-01T10:00:00+00:00"
    start = datetime.fromisoformat("2024-05-01T10:00:00+00:00")
    for still in manifest["stills"]:
        after = datetime.fromisoformat(still["captured_at"]) - start
        assert after.total_seconds() == pytest.approx(still["time_s"], abs=0.001)
    print_detail(await shown(config))
    assert "captured at 2024-05-01T10:00:00+00:00, title A walk" in capsys.readouterr().out
