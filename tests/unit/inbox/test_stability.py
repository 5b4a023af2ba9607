"""Settling with a clock and a disk made of numbers; nothing here touches a file."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from daemon.inbox.stability import Settled, StabilityTracker

SETTLE = 4.0
CLIP = Path("/inbox/clip.mp4")


@dataclass(frozen=True)
class FakeLook:
    st_size: int = 100
    st_mtime_ns: int = 1_000
    st_ino: int = 7
    st_dev: int = 1


class FakeDisk:
    def __init__(self) -> None:
        self.files: dict[Path, FakeLook | OSError] = {}
        self.looks = 0

    def look(self, path: Path) -> FakeLook:
        self.looks += 1
        answer = self.files.get(path, FileNotFoundError(errno.ENOENT, "gone"))
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture
def disk() -> FakeDisk:
    disk = FakeDisk()
    disk.files[CLIP] = FakeLook()
    return disk


@pytest.fixture
def tracker(disk: FakeDisk) -> StabilityTracker:
    return StabilityTracker(SETTLE, disk.look)


def poll_until_idle(tracker: StabilityTracker, now: float, limit: float) -> tuple[list[Settled], float]:
    """Poll exactly when asked to, as the service does, until nothing is tracked."""
    settled: list[Settled] = []
    while (wait := tracker.next_due(now)) is not None and now + wait <= limit:
        now += wait
        settled += tracker.poll(now)
    return settled, now


def test_a_still_file_is_returned_when_its_time_is_up_and_not_before(tracker: StabilityTracker) -> None:
    tracker.noticed(CLIP)
    assert tracker.next_due(50.0) == 0.0
    assert tracker.poll(50.0) == []
    assert tracker.poll(50.0 + SETTLE - 0.001) == []
    assert tracker.poll(50.0 + SETTLE) == [Settled(CLIP, 100, 1_000)]
    assert tracker.next_due(60.0) is None
    assert len(tracker) == 0


def test_it_is_returned_once_and_tracked_again_when_noticed_again(tracker: StabilityTracker) -> None:
    tracker.noticed(CLIP)
    first, now = poll_until_idle(tracker, 0.0, 100.0)
    assert [item.path for item in first] == [CLIP]
    assert tracker.poll(now + 100.0) == []
    tracker.noticed(CLIP)
    again, later = poll_until_idle(tracker, now, 100.0)
    assert [item.path for item in again] == [CLIP]
    assert later == now + SETTLE


def test_a_storm_of_notices_is_one_job_and_does_not_delay_it(tracker: StabilityTracker) -> None:
    for tenth in range(10 * int(SETTLE)):
        tracker.noticed(CLIP)
        assert tracker.poll(tenth / 10) == []
    tracker.noticed(CLIP)
    assert [item.path for item in tracker.poll(SETTLE)] == [CLIP]


@pytest.mark.parametrize(
    "change",
    [
        {"st_size": 101},
        {"st_mtime_ns": 1_001},
        {"st_mtime_ns": 999},
        {"st_mtime_ns": 4_102_444_800_000_000_000},
        {"st_ino": 8},
        {"st_dev": 2},
    ],
    ids=["size", "mtime", "mtime back", "mtime in the future", "replaced", "remounted"],
)
def test_any_change_starts_the_wait_again(tracker: StabilityTracker, disk: FakeDisk, change: dict[str, int]) -> None:
    tracker.noticed(CLIP)
    tracker.poll(0.0)
    disk.files[CLIP] = replace(FakeLook(), **change)
    assert tracker.poll(SETTLE) == []
    assert tracker.poll(2 * SETTLE - 0.001) == []
    assert [item.path for item in tracker.poll(2 * SETTLE)] == [CLIP]


def test_an_mtime_in_the_future_that_stays_does_not_matter(tracker: StabilityTracker, disk: FakeDisk) -> None:
    disk.files[CLIP] = FakeLook(st_mtime_ns=4_102_444_800_000_000_000)
    tracker.noticed(CLIP)
    settled, now = poll_until_idle(tracker, 0.0, 100.0)
    assert (settled[0].mtime_ns, now) == (4_102_444_800_000_000_000, SETTLE)


def test_a_file_that_grows_stays_tracked_for_ever(tracker: StabilityTracker, disk: FakeDisk) -> None:
    tracker.noticed(CLIP)
    now = 0.0
    for size in range(10_000):
        disk.files[CLIP] = FakeLook(st_size=size)
        wait = tracker.next_due(now)
        assert wait is not None
        now += wait
        assert tracker.poll(now) == []
    settled, end = poll_until_idle(tracker, now, now + 100.0)
    assert [item.size_bytes for item in settled] == [9_999]
    assert end == now + SETTLE


def test_a_copy_that_ends_early_is_not_held_for_two_whole_periods(tracker: StabilityTracker, disk: FakeDisk) -> None:
    tracker.noticed(CLIP)
    tracker.poll(0.0)
    disk.files[CLIP] = FakeLook(st_size=200)
    _, now = poll_until_idle(tracker, 0.0, 100.0)
    assert now == 1.25 * SETTLE


def test_a_file_of_zero_bytes_is_returned_too(tracker: StabilityTracker, disk: FakeDisk) -> None:
    disk.files[CLIP] = FakeLook(st_size=0)
    tracker.noticed(CLIP)
    settled, _ = poll_until_idle(tracker, 0.0, 100.0)
    assert settled == [Settled(CLIP, 0, 1_000)]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOTDIR])
def test_a_vanished_path_is_dropped(tracker: StabilityTracker, disk: FakeDisk, code: int) -> None:
    tracker.noticed(CLIP)
    tracker.poll(0.0)
    disk.files[CLIP] = OSError(code, "gone")
    assert tracker.poll(SETTLE) == []
    assert tracker.next_due(SETTLE) is None


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.ELOOP])
def test_a_path_that_may_not_be_looked_at_is_returned_for_admission_to_explain(
    tracker: StabilityTracker, disk: FakeDisk, code: int
) -> None:
    disk.files[CLIP] = OSError(code, "no")
    tracker.noticed(CLIP)
    settled, now = poll_until_idle(tracker, 0.0, 100.0)
    assert settled == [Settled(CLIP, None, None)]
    assert now == SETTLE


def test_a_share_that_is_away_is_waited_for_and_counts_as_no_stillness(
    tracker: StabilityTracker, disk: FakeDisk
) -> None:
    tracker.noticed(CLIP)
    tracker.poll(0.0)
    disk.files[CLIP] = OSError(errno.ESTALE, "stale")
    settled, now = poll_until_idle(tracker, 0.0, 1_000.0)
    assert settled == []
    assert len(tracker) == 1
    disk.files[CLIP] = FakeLook()
    assert tracker.poll(now + SETTLE) == []
    settled, end = poll_until_idle(tracker, now + SETTLE, now + 100.0)
    assert len(settled) == 1
    assert end == now + 2 * SETTLE


def test_a_share_that_is_away_is_not_hammered_without_a_settling_time(disk: FakeDisk) -> None:
    disk.files[CLIP] = OSError(errno.EIO, "broken")
    tracker = StabilityTracker(0.0, disk.look)
    tracker.noticed(CLIP)
    tracker.poll(0.0)
    assert tracker.next_due(0.0) == 1.0


def test_without_a_settling_time_the_first_look_is_enough(disk: FakeDisk) -> None:
    tracker = StabilityTracker(0.0, disk.look)
    tracker.noticed(CLIP)
    assert [item.path for item in tracker.poll(5.0)] == [CLIP]


def test_a_forgotten_path_is_not_looked_at(tracker: StabilityTracker, disk: FakeDisk) -> None:
    tracker.noticed(CLIP)
    tracker.forget(CLIP)
    tracker.forget(Path("/inbox/never-seen.mp4"))
    assert tracker.next_due(0.0) is None
    assert tracker.poll(0.0) == []
    assert disk.looks == 0


def test_forgetting_during_the_look_wins() -> None:
    def look(path: Path) -> FakeLook:
        own.forget(path)
        return FakeLook()

    own = StabilityTracker(0.0, look)
    own.noticed(CLIP)
    assert own.poll(0.0) == []
    assert len(own) == 0


def test_forgotten_and_noticed_again_starts_from_the_beginning(tracker: StabilityTracker) -> None:
    tracker.noticed(CLIP)
    tracker.poll(0.0)
    tracker.forget(CLIP)
    tracker.noticed(CLIP)
    assert tracker.poll(SETTLE) == []
    assert len(tracker.poll(2 * SETTLE)) == 1


def test_on_a_slow_share_stillness_counts_from_the_look_and_not_from_the_poll(disk: FakeDisk) -> None:
    clock = [0.0]

    def slow_look(path: Path) -> FakeLook:
        clock[0] += 10 * SETTLE
        return disk.look(path)

    tracker = StabilityTracker(SETTLE, slow_look, lambda: clock[0])
    tracker.noticed(CLIP)
    assert tracker.poll(clock[0]) == []
    assert tracker.poll(clock[0]) == []
    settled, _ = poll_until_idle(tracker, clock[0], 1_000.0)
    assert [item.path for item in settled] == [CLIP]

    instant = StabilityTracker(0.0, slow_look, lambda: clock[0])
    instant.noticed(CLIP)
    assert len(instant.poll(clock[0])) == 1


def test_paths_are_returned_in_the_order_they_were_noticed(tracker: StabilityTracker, disk: FakeDisk) -> None:
    paths = [Path(f"/inbox/{name}.mp4") for name in "qwertz"]
    for path in paths:
        disk.files[path] = FakeLook()
        tracker.noticed(path)
    settled, _ = poll_until_idle(tracker, 0.0, 100.0)
    assert [item.path for item in settled] == paths


def test_ten_thousand_still_files_cost_three_looks_each(tracker: StabilityTracker, disk: FakeDisk) -> None:
    paths = [Path(f"/inbox/{number}.mp4") for number in range(10_000)]
    for path in paths:
        disk.files[path] = FakeLook()
        tracker.noticed(path)
    tracker.poll(0.0)
    assert disk.looks == len(paths)
    tracker.poll(0.5)
    assert disk.looks == len(paths)
    settled, _ = poll_until_idle(tracker, 0.5, 100.0)
    assert len(settled) == len(paths)
    assert disk.looks == 3 * len(paths)
