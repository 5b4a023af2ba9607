"""Which names in the watch folder are looked at and taken; no file is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.watch import WatchConfig
from daemon.inbox.path_filter import PathFilter

INBOX = Path("/srv/inbox")


def config(**changes: object) -> WatchConfig:
    return WatchConfig.model_validate({"path": INBOX, **changes})


def accepts(path: Path, config: WatchConfig) -> bool:
    """Whether a path is looked at and has a video's ending."""
    names = PathFilter(config)
    return names.reaches(path) and names.lists_ending(path.name)


@pytest.mark.parametrize(
    "name",
    [
        "clip.mp4",
        "CLIP.MP4",
        "Clip.MoV",
        "two words.mkv",
        "a.b.c.webm",
        "day/cam 1/clip.ts",
        "ünï-\udcff.avi",
        "line\nbreak.mp4",
        "%d.mp4",
        "-rf.mp4",
        "folder.mp4/clip.mp4",
    ],
)
def test_accepted(name: str) -> None:
    assert accepts(INBOX / name, config())


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        "mp4",
        "clipmp4",
        "clip.mp4.part",
        "clip.mp4.crdownload",
        "clip.mp4~",
        ".clip.mp4",
        ".mp4",
        "~clip.mp4",
        ".hidden/clip.mp4",
        "@eaDir/clip.mp4",
        "day/@eaDir/clip.mp4/SYNOVIDEO.mp4",
        "day/upload.part/clip.mp4",
        "lost+found/clip.mp4",
        "clip.mp4 ",
    ],
)
def test_left_alone(name: str) -> None:
    assert not accepts(INBOX / name, config())


@pytest.mark.parametrize(
    "path", ["/srv/inbox", "/srv/inbox2/clip.mp4", "/srv/clip.mp4", "clip.mp4", "/srv/inbox/../clip.mp4"]
)
def test_only_below_the_folder(path: str) -> None:
    assert not accepts(Path(path), config())


def test_the_names_above_the_watch_folder_do_not_count() -> None:
    hidden = WatchConfig(path=Path("/home/me/.cache/in.part"))
    assert accepts(Path("/home/me/.cache/in.part/clip.mp4"), hidden)


def test_without_recursion_subfolders_are_left_alone() -> None:
    flat = config(recursive=False)
    assert accepts(INBOX / "clip.mp4", flat)
    assert not accepts(INBOX / "day/clip.mp4", flat)
    assert not PathFilter(flat).descends(INBOX / "day")
    assert PathFilter(flat).descends(INBOX)


@pytest.mark.parametrize("spelled", ["xyz", ".xyz", "XYZ"])
def test_extensions_may_be_spelled_either_way(spelled: str) -> None:
    only = config(extensions=[spelled])
    assert accepts(INBOX / "clip.xYz", only)
    assert not accepts(INBOX / "clip.mp4", only)


def test_nothing_is_taken_without_extensions_and_everything_without_exclusions() -> None:
    assert not accepts(INBOX / "clip.mp4", config(extensions=[]))
    assert not accepts(INBOX / "clip.", config(extensions=[""]))
    assert accepts(INBOX / ".trash/~clip.mp4", config(exclude=[]))


def test_own_patterns() -> None:
    own = config(exclude=["raw_[0-9]*", "?.mp4"])
    assert not accepts(INBOX / "raw_1/clip.mp4", own)
    assert not accepts(INBOX / "a.mp4", own)
    assert accepts(INBOX / "raw_x/clip.mp4", own)
    assert accepts(INBOX / "RAW_1/clip.mp4", own)
    assert accepts(INBOX / "prefix raw_1.mp4", own)


def test_descends() -> None:
    names = PathFilter(config())
    assert names.descends(INBOX)
    assert names.descends(INBOX / "a/b")
    assert not names.descends(INBOX / "a/.b")
    assert not names.descends(INBOX / "a.part/b")
    assert not names.descends(Path("/srv"))
