"""What an arriving file is to the videos that are known: a new one, a known one, a moved one or a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from daemon.errors import Kind
from daemon.model import FileIdentity, Status, VideoRecord


class Arrival(StrEnum):
    """What a file is, given the rows that have its content."""

    NEW = "new"
    SAME = "same"
    MOVED = "moved"
    DUPLICATE = "duplicate"


def arrival_of(
    file: FileIdentity,
    same_content: Sequence[VideoRecord],
    still_there: Callable[[VideoRecord], bool],
    *,
    copies: bool = False,
) -> tuple[Arrival, VideoRecord | None]:
    """Decide by content: known here, moved here, a copy of one that is known, or new.

    ``same_content`` are the rows with the file's content, oldest first; ``still_there`` says whether a row's own file
    is where the row says, which one that was replaced is not. A copy of a file that failed or was refused is new, and
    with ``copies`` every copy whose name, without the suffix, is another: stills of the same name would collide.
    """
    own = next((record for record in same_content if record.file.path == file.path), None)
    if own is not None and own.error_kind != Kind.DUPLICATE:
        return Arrival.SAME, own
    originals = [record for record in same_content if record.error_kind != Kind.DUPLICATE]
    for record in originals:
        if record.status is Status.REPLACED or not still_there(record):
            # A copy that was noted as one takes the place of an original that was lost before its turn.
            return Arrival.MOVED, own if own is not None and record.status is Status.MISSING else record
    if own is not None:
        return Arrival.SAME, own
    for record in originals:
        welcome = copies and record.file.path.stem != file.path.stem
        if record.status not in (Status.FAILED, Status.REJECTED) and not welcome:
            return Arrival.DUPLICATE, record
    return Arrival.NEW, None
