"""What commands print of files: their names are strangers' texts, and what a terminal would obey is shown as its code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.cli import render
from daemon.cli.commands import share
from daemon.cli.gather import Gathered
from daemon.config.schema import Config

NASTY = "caf\udce9 \x1b[31m\u202e"


@pytest.fixture(autouse=True)
def without_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The answer of the store, to be set by a test."""
    answer: dict[str, Any] = {}
    monkeypatch.setattr(share, "load", lambda _: Config())
    monkeypatch.setattr(share, "with_store", lambda *_: answer["is"])
    return answer


@pytest.mark.parametrize("command", [share.sheet, share.report])
def test_the_file_that_was_written(
    without_files: dict[str, Any], capsys: pytest.CaptureFixture[str], command: Any
) -> None:
    without_files["is"] = Path(f"{NASTY}.png")
    command("1")
    assert capsys.readouterr().out == "caf\\udce9 \\x1b[31m\\x202e.png\n"


def test_pictures_that_were_left_out(without_files: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    without_files["is"] = Gathered(left_out=[{"still": f"/s/{NASTY}.png", "reason": f"{NASTY} shows the same"}])
    share.gather(Path("set"))
    first, last = capsys.readouterr().out.splitlines()
    assert first == ("/s/caf\\udce9 \\x1b[31m\\x202e.png is left out: caf\\udce9 \\x1b[31m\\x202e shows the same")
    assert last == "set: 0 added, 0 were there, 1 left out"


def test_stills_that_are_not_proven(capsys: pytest.CaptureFixture[str]) -> None:
    still = {"still": f"/s/{NASTY}.png", "proven": False, "source_replaced": False, "reason": f"{NASTY} is not there"}
    render.print_verdicts([still, {**still, "source_replaced": True}])
    shown = "caf\\udce9 \\x1b[31m\\x202e"
    assert capsys.readouterr().out.splitlines() == [
        f"not proven /s/{shown}.png: {shown} is not there",
        f"source replaced /s/{shown}.png: {shown} is not there",
        "0 of 2 stills proven, the source of 1 was replaced",
    ]
