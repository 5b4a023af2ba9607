"""The hidden working folder beside the stills, and the atomic way out of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePath

from daemon.export import disk_space
from daemon.runtime.leftovers import remove_leftovers
from daemon.runtime.shared_folder import SharedFolder, token

FOLDER = ".stillwatch-work"
MOST_TRIES = 10
_OURS = re.compile(r"(?P<pid>\d{1,10})-\d{1,20}(-[0-9a-f]{16})?")
"""The form of our own names in it: process, video and, since 0.2, a random part."""


@contextmanager
def fresh(output: Path, video_id: int) -> Iterator[Path]:
    """A fresh folder on the output's file system, gone afterwards whatever happens.

    Its path is bound to the folder itself, which nobody else may look into: no name that others plant is on the way.
    Raises ExportError when the output folder cannot be written: DISK_FULL, or EXPORT.
    """
    name = f"{os.getpid()}-{video_id}-{token()}"
    with ExitStack() as stack:
        with disk_space.writing(output):
            root = stack.enter_context(_root_with(output, name))
        try:
            with root.below(PurePath(name)) as place:
                yield place.held
        finally:
            root.remove_tree(name)
            # The disk may be away.
            with suppress(OSError), SharedFolder.open(output) as top:
                top.remove_if_empty(FOLDER)


@contextmanager
def _root_with(output: Path, name: str) -> Iterator[SharedFolder]:
    """The hidden folder, of this user and closed to all others, with a new folder in it."""
    with ExitStack() as stack:
        for left in reversed(range(MOST_TRIES)):
            try:
                root = stack.enter_context(_root(output))
                root.make(name)
                break
            except FileNotFoundError:
                # Whoever ended with the last folder in it may just have removed it.
                stack.close()
                if not left:
                    raise
        yield root


@contextmanager
def _root(output: Path) -> Iterator[SharedFolder]:
    with SharedFolder.open(output, make=True) as top, top.below(PurePath(FOLDER), make=True, mode=0o700) as root:
        if root.status().st_uid != os.geteuid():
            raise OSError(errno.ELOOP, "another user's folder stands where ours belongs", str(root.path))
        root.keep_to_owner()
        yield root


def clean(output: Path) -> int:
    """Remove what killed runs left; folders of living processes stay. Returns how many were removed.

    Only what ``remove_leftovers`` takes for ours is touched, in a hidden folder that is this user's as well.
    """
    if not output.is_dir():
        return 0
    with SharedFolder.open(output) as top:
        if not top.is_our_folder(FOLDER):
            return 0
        with top.below(PurePath(FOLDER)) as root:
            if root.status().st_uid != os.geteuid():
                return 0
            removed = remove_leftovers(root, _OURS)
        top.remove_if_empty(FOLDER)
    return removed


def publish(made: Path, folder: Path, last: str, output: Path) -> None:
    """Bring finished files to their folder below ``output``: in one rename if it is new, else file by file.

    ``last`` names the file that is renamed after all others. Everything is on disk before it shows. Raises
    OSError(ELOOP) where a link or a file stands in the folder's place.
    """
    with (
        SharedFolder.open(output, make=True) as top,
        SharedFolder.open(made) as ready,
        top.below(folder.parent.relative_to(output), make=True) as parent,
    ):
        names = sorted(ready.names(), key=lambda name: (name == last, name))
        for name in names:
            ready.sync_file(name)
        ready.sync()
        if parent.look(folder.name) is None:
            with SharedFolder.open(made.parent) as place:
                place.rename(made.name, parent, folder.name)
        else:
            with parent.below(PurePath(folder.name)) as target:
                for name in names:
                    ready.rename(name, target, name)
                target.sync()
        parent.sync()
