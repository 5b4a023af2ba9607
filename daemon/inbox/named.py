"""Files and folders that are named by hand: which videos are meant, and a sentence for each name that means none."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.config.watch import WatchConfig
from daemon.errors import Kind, StillwatchError, VideoError
from daemon.events import FilesLeftAlone
from daemon.inbox.left_alone import LeftAlone
from daemon.inbox.watcher import Watcher

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?=[^/]|/[^/])")


@dataclass(frozen=True, slots=True)
class Named:
    """``files`` to take, ``refused`` names with their errors, and what was left alone in folders."""

    files: tuple[Path, ...]
    refused: tuple[tuple[Path, StillwatchError], ...]
    left_alone: FilesLeftAlone


def named(paths: Iterable[Path], config: WatchConfig) -> Named:
    """The files that are meant: each file itself, and of a folder the videos that the watched folder would take."""
    files: dict[Path, None] = {}
    refused: list[tuple[Path, StillwatchError]] = []
    left, shown = 0, FilesLeftAlone(0, ())
    for given in paths:
        try:
            path = _existing(given)
            if not path.is_dir():
                files[path] = None
                continue
            inside, shown = _inside(path, config)
            left += shown.files
            if not inside:
                raise VideoError(Kind.NOT_FOUND, f"there is no video in the folder {path}{_why(shown)}")
            files.update(dict.fromkeys(inside))
        except StillwatchError as error:
            refused.append((given, error))
    return Named(tuple(files), tuple(refused), FilesLeftAlone(left, shown.newest))


def _inside(folder: Path, config: WatchConfig) -> tuple[list[Path], FilesLeftAlone]:
    """The videos in a folder and what is left alone in it. Raises ConfigError when it cannot be listed."""
    absolute = Path(os.path.abspath(folder))
    config = config.model_copy(update={"path": absolute})
    left_alone = LeftAlone(config)
    return [path for path in Watcher(config, _nothing).scan() if _takes(left_alone, path)], left_alone.told()


def _takes(left_alone: LeftAlone, path: Path) -> bool:
    try:
        look = path.stat()
        return left_alone.judge(path, look.st_size, look.st_mtime_ns)
    except OSError:
        # Whoever takes it says why it cannot be read.
        return True


def _existing(given: Path) -> Path:
    """The path as the disk spells it. Raises VideoError(NOT_FOUND) with the right sentence."""
    if os.path.lexists(given):
        return given
    if address := _ADDRESS.match(str(given)):
        whole = f"{address[1]}://{str(given)[address.end() :].lstrip('/')}"
        raise VideoError(
            Kind.NOT_FOUND, f"{whole} is an address, and only files are taken: download it, then name the file"
        )
    spelled = next(_same_in_other_form(given), None)
    if spelled is None:
        raise VideoError(Kind.NOT_FOUND, f"there is no file or folder {given}: check the name")
    return spelled


def _same_in_other_form(given: Path) -> Iterator[Path]:
    """Names that differ in the Unicode normal form alone: accents as one character or as two."""
    wanted = unicodedata.normalize("NFC", given.name)
    if given.name.isascii() or "\0" in str(given):
        return
    parent = given.parent
    if not parent.is_dir():
        parent = next(_same_in_other_form(parent), parent)
    try:
        paths = sorted(parent.iterdir())
    except OSError:
        return
    yield from (path for path in paths if unicodedata.normalize("NFC", path.name) == wanted)


def _why(left: FilesLeftAlone) -> str:
    if not left.files:
        return ": put one there"
    first = left.newest[-1]
    counted = "1 file is" if left.files == 1 else f"{left.files} files are"
    return f": {counted} left alone, {Path(first.path).name} for one ({first.reason}; {first.key})"


def _nothing(_: Path) -> None:
    """A listing alone reports nothing."""
