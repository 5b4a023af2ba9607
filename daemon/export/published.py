"""A published still that is read again: it lies in a folder that others write to, who may have put anything there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.runtime.reading import path_of
from daemon.runtime.shared_folder import SharedFolder

ROOM_BYTES = 1024 * 1024
"""Photo tools add words to a still; one that is larger by more than that is another picture."""


@contextmanager
def held(still: Path, output: Path) -> Iterator[Path]:
    """A path that leads to the very file, opened once; no link below ``output``, or of the still itself, is followed.

    Raises OSError, also for what is no regular file.
    """
    with _folder(still, output) as folder:
        handle = folder.read_handle(still.name)
        try:
            yield path_of(handle)
        finally:
            os.close(handle)


def content(still: Path, output: Path, size_bytes: int) -> bytes:
    """What is in a still, or in the manifest beside it, that has so many bytes and hardly more.

    Raises OSError as ``held`` does, and EFBIG.
    """
    with _folder(still, output) as folder:
        return folder.read(still.name, size_bytes + ROOM_BYTES)


@contextmanager
def _folder(still: Path, output: Path) -> Iterator[SharedFolder]:
    # One that was published under another setting lies elsewhere.
    top = output if still.is_relative_to(output) else still.parent
    with SharedFolder.open(top) as opened, opened.below(still.parent.relative_to(top)) as folder:
        yield folder
