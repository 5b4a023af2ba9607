"""``stillwatch bench``: what its two runs of ``once`` are asked for."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon.cli import bench, bench_stages
from daemon.cli.bench_stages import Cost
from daemon.config.schema import Config


class _AskedTwice(Exception):  # noqa: N818 - an end, not a failure
    pass


@pytest.mark.parametrize(("count", "counts"), [(7, [7, 8]), ("auto", ["auto", 11])])
def test_the_second_run_chooses_by_another_count_and_finds_no_stills_that_it_could_take(
    monkeypatch: pytest.MonkeyPatch, count: int | str, counts: list[int | str]
) -> None:
    asked: list[int | str] = []

    def once(_: Path, __: Config, folder: Path, *, count: int | str, **___: object) -> tuple[Cost, int]:
        asked.append(count)
        # What is there already fails.
        (folder / bench_stages.STILLS).mkdir()
        if len(asked) == 2:
            raise _AskedTwice
        return Cost(0.0, 0.0), 0

    monkeypatch.setattr(bench, "probe", lambda *_: SimpleNamespace(stream_index=0))
    monkeypatch.setattr(bench, "find_binary", lambda _: "ffmpeg")
    monkeypatch.setattr(bench_stages, "start", lambda _: Cost(0.0, 0.0))
    monkeypatch.setattr(bench_stages, "ffmpeg_decode", lambda *_: Cost(0.0, 0.0))
    monkeypatch.setattr(bench_stages, "once", once)
    with pytest.raises(_AskedTwice):
        bench.bench(Path("film.mp4"), Config.model_validate({"select": {"count": count}}))
    assert asked == counts
