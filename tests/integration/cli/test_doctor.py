"""What ``stillwatch doctor`` says of a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daemon.cli import doctor
from daemon.config.schema import Config
from daemon.inbox import watch_mode


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's limits as files that a test may write."""
    folder = tmp_path / "inotify"
    folder.mkdir()
    for name, value in (("watches", 65536), ("instances", 128)):
        (folder / f"max_user_{name}").write_text(f"{value}\n")
    (folder / "max_queued_events").write_text("16384\n")
    monkeypatch.setattr(doctor, "_INOTIFY", folder)
    monkeypatch.setattr(watch_mode, "_mounts", lambda: [("/", "ext4")])
    return folder


def inotify(config: Config) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in doctor._inotify(config)}


def config(inbox: Path, **changes: object) -> Config:
    for folder in ("a/b", "a/@eaDir/c"):
        (inbox / folder).mkdir(parents=True)
    return Config.model_validate({"watch": {"path": inbox, **changes}})


def test_the_kernels_limits_are_held_against_the_folder(tmp_path: Path, limits: Path) -> None:
    checks = inotify(config(tmp_path / "inbox"))
    assert [one["ok"] for one in checks.values()] == [True, True, True]
    assert checks["inotify watches"]["found"].startswith("3 folders")


@pytest.mark.parametrize(
    ("name", "few", "check"),
    [
        ("max_user_watches", 100, "inotify watches"),
        ("max_user_instances", 1, "inotify instances"),
        ("max_queued_events", 16, "inotify events"),
    ],
)
def test_a_limit_that_is_too_low_comes_with_its_fix(
    tmp_path: Path, limits: Path, name: str, few: int, check: str
) -> None:
    (limits / name).write_text(f"{few}\n")
    checks = inotify(config(tmp_path / "inbox"))
    assert [one for one, found in checks.items() if not found["ok"]] == [check]
    assert f"sysctl fs.inotify.{name}=" in checks[check]["fix"]


@pytest.mark.parametrize("mode", ["polling", "auto"])
def test_a_folder_that_is_polled_needs_none(
    tmp_path: Path, limits: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(watch_mode, "_mounts", lambda: [("/", "nfs4")])
    (limits / "max_user_watches").write_text("1\n")
    (only,) = inotify(config(tmp_path / "inbox", mode=mode)).values()
    assert only["ok"]
    assert "polled" in only["found"]
