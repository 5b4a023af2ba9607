"""The rules for pictures have a version: what was scored by older ones is exported and proven by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.decode.probe import probe
from daemon.export import metadata
from daemon.media.rules import FIRST_RULES, PICTURE_RULES
from daemon.service.foreground import once
from daemon.store.store import Store
from tests.integration.decode.test_colour_kinds import KINDS, codes, made, picture_of, to_kind
from tests.stub import stub_scorer
from tests.unit.export.test_metadata import by_pyav

__all__ = ["stub_scorer"]

OLDER = range(FIRST_RULES, PICTURE_RULES)

pytestmark = pytest.mark.usefixtures("stub_scorer")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    arguments, pix_fmt, encoder, suffix = KINDS["display-p3-h264-mp4"]
    return made(tmp_path / f"film.{suffix}", to_kind(arguments), pix_fmt, encoder)


def settings(tmp_path: Path, count: int) -> Config:
    return Config.model_validate(
        {
            "output": {"path": tmp_path / "out"},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": count, "min_gap_seconds": 0},
        }
    )


def use_rules(monkeypatch: pytest.MonkeyPatch, rules: int) -> None:
    monkeypatch.setattr("daemon.scan.local.probe_apart", lambda path, config, **_: probe(path, config, rules))
    monkeypatch.setattr("daemon.pipeline.workers.PICTURE_RULES", rules)


async def scored_by(config: Config, film: Path) -> tuple[str, set[Path]]:
    (record,), _ = await once(config, [film])
    assert record.scorer is not None
    return record.scorer, set(verify.find_stills([config.output.path]))


def unproven(stills: set[Path]) -> list[Any]:
    return [verdict for verdict in verify.verify(sorted(stills), Config().decode) if not verdict.proven]


@pytest.mark.parametrize("rules", OLDER)
async def test_old_stills_are_proven_and_scores_of_two_versions_never_mixed(
    rules: int, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        use_rules(then, rules)
        older, old = await scored_by(settings(tmp_path, 2), film)
        keep = {path: path.read_bytes() for path in old}
    second, new = await scored_by(settings(tmp_path, 2), film)
    assert older != second
    assert older.removesuffix(f"|pictures {rules}") == second.removesuffix(f"|pictures {PICTURE_RULES}")
    for path, content in keep.items():
        copy = tmp_path / "old" / path.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(content)
        assert metadata.read(copy)["rules"] == str(rules)
        assert unproven({copy}) == []
        before = codes(by_pyav(content, "rgb24"))
        assert np.array_equal(before, codes(picture_of(film, int(metadata.read(copy)["frame"]), rules)[0]))
    current = {path for path in new if metadata.read(path)["rules"] == str(PICTURE_RULES)}
    assert len(current) == 2
    assert unproven(current) == []


async def test_a_still_without_a_version_is_one_of_the_first_rules(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_rules(monkeypatch, FIRST_RULES)
    _, (still,) = await scored_by(settings(tmp_path, 1), film)
    bare, facts = metadata.remove(still.read_bytes()), metadata.read(still)
    del facts["rules"]
    alone = tmp_path / "alone.png"
    alone.write_bytes(metadata.embed(bare, facts))
    assert unproven({alone}) == []
    alone.write_bytes(metadata.embed(bare, facts | {"rules": str(FIRST_RULES + 1)}))
    assert "pixels" in unproven({alone})[0].reason


@pytest.mark.parametrize("rules", OLDER)
async def test_an_older_film_is_chosen_from_and_exported_by_its_own_rules(
    rules: int, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daemon.pipeline.reselect import reselect

    with monkeypatch.context() as then:
        use_rules(then, rules)
        await scored_by(settings(tmp_path, 1), film)
    config = settings(tmp_path, 3)
    store = await Store.open(config.database)
    try:
        await reselect(config, store, "1")
    finally:
        await store.close()
    stills = set(verify.find_stills([tmp_path / "out"]))
    assert {metadata.read(path)["rules"] for path in stills} == {str(rules)}
    assert unproven(stills) == []
    folders = {path.parent for path in stills}
    assert len(folders) == 2, "the current selection and the older one"
    for folder in folders:
        assert json.loads((folder / "manifest.json").read_text())["stream"]["rules"] == rules
