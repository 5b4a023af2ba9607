"""What becomes of an admitted file, by the content that is known already."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from daemon.errors import Kind
from daemon.inbox.duplicates import Arrival, arrival_of
from daemon.model import FileIdentity, Status, VideoRecord
from tests.jobs import video_record

HERE = FileIdentity(Path("/in/new.mp4"), "f" * 64, 100, 1)


def known(
    number: int,
    path: str = "/in/old.mp4",
    status: Status = Status.DONE,
    error_kind: Kind | None = None,
) -> VideoRecord:
    file = FileIdentity(Path(path), "f" * 64, 100, 1)
    return video_record(id=number, file=file, status=status, error_kind=error_kind)


def verdict(records: Iterable[VideoRecord], *, there: bool = True, copies: bool = False) -> tuple[Arrival, int | None]:
    found, record = arrival_of(HERE, list(records), lambda _: there, copies=copies)
    return found, None if record is None else record.id


def test_unknown_content_is_new() -> None:
    assert verdict([]) == (Arrival.NEW, None)


@pytest.mark.parametrize("status", Status)
def test_known_content_at_its_own_path_is_the_same_video_in_any_state(status: Status) -> None:
    assert verdict([known(1, "/in/new.mp4", status)]) == (Arrival.SAME, 1)


def test_the_row_of_this_path_wins_over_older_ones_elsewhere() -> None:
    assert verdict([known(1), known(2, "/in/new.mp4")], there=False) == (Arrival.SAME, 2)


def test_known_content_whose_file_is_gone_has_moved_here() -> None:
    assert verdict([known(1)], there=False) == (Arrival.MOVED, 1)


def test_a_copy_of_a_known_video_is_a_duplicate_of_the_oldest() -> None:
    assert verdict([known(1), known(2, "/in/other.mp4")]) == (Arrival.DUPLICATE, 1)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SCORING, Status.SCORED, Status.EXPORTING, Status.DONE])
def test_a_copy_of_a_video_in_work_or_done_is_a_duplicate(status: Status) -> None:
    assert verdict([known(1, status=status)]) == (Arrival.DUPLICATE, 1)


@pytest.mark.parametrize("status", [Status.FAILED, Status.REJECTED])
def test_a_copy_of_a_file_that_failed_gets_its_own_chance(status: Status) -> None:
    assert verdict([known(1, status=status, error_kind=Kind.DECODE)]) == (Arrival.NEW, None)


def test_a_duplicates_own_row_is_no_original() -> None:
    copy = known(2, "/in/copy.mp4", Status.REJECTED, Kind.DUPLICATE)
    assert verdict([copy]) == (Arrival.NEW, None)
    assert verdict([copy], there=False) == (Arrival.NEW, None)
    assert verdict([known(1), copy]) == (Arrival.DUPLICATE, 1)


def test_a_duplicate_takes_the_place_of_an_original_that_was_lost_before_its_turn() -> None:
    own = known(2, str(HERE.path), Status.REJECTED, Kind.DUPLICATE)
    assert verdict([known(1), own]) == (Arrival.SAME, 2)
    assert verdict([known(1, status=Status.MISSING), own], there=False) == (Arrival.MOVED, 2)
    assert verdict([known(1, status=Status.DONE), own], there=False) == (Arrival.MOVED, 1)


def test_a_failed_original_does_not_hide_a_good_one() -> None:
    assert verdict([known(1, status=Status.FAILED, error_kind=Kind.DECODE), known(2)]) == (Arrival.DUPLICATE, 2)


def test_only_the_rows_that_matter_are_looked_for_on_disk() -> None:
    looked: list[int] = []

    def still_there(record: VideoRecord) -> bool:
        looked.append(record.id)
        return True

    arrival_of(HERE, [known(1), known(2, "/in/copy.mp4", Status.REJECTED, Kind.DUPLICATE)], still_there)
    assert looked == [1]


def test_copies_that_are_welcome_are_new_unless_their_stills_would_have_the_same_names() -> None:
    assert verdict([known(1)], copies=True) == (Arrival.NEW, None)
    assert verdict([known(1, "/in/sub/new.mkv")], copies=True) == (Arrival.DUPLICATE, 1)
    assert verdict([known(1), known(2, "/in/sub/new.mp4")], copies=True) == (Arrival.DUPLICATE, 2)
    assert verdict([known(1), known(2, str(HERE.path))], copies=True) == (Arrival.SAME, 2)
    assert verdict([known(1)], copies=True, there=False) == (Arrival.MOVED, 1)
