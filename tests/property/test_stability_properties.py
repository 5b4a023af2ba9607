"""Settling under any history of writes, whatever the files' own timestamps claim.

Time is counted in whole ticks, so that every comparison is exact.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from daemon.inbox.stability import StabilityTracker

PATHS = [Path(f"/inbox/{name}.mp4") for name in "abc"]
paths = st.sampled_from(PATHS)


@dataclass(frozen=True)
class FakeLook:
    st_size: int
    st_mtime_ns: int
    st_ino: int = 1
    st_dev: int = 1


class Settling(RuleBasedStateMachine):
    """A disk, a clock and a settler, with a model that knows when each file really stood still."""

    @initialize(settle=st.sampled_from([0, 4, 8, 20]), start=st.integers(-1000, 1000))
    def begin(self, settle: int, start: int) -> None:
        self.settle = settle
        self.now = start
        self.versions = 0
        self.disk: dict[Path, FakeLook] = {}
        self.written_at: dict[Path, int] = {}
        self.noticed_at: dict[Path, int] = {}
        self.tracker = StabilityTracker(settle, self.look)

    def look(self, path: Path) -> FakeLook:
        if path not in self.disk:
            raise FileNotFoundError(errno.ENOENT, "gone")
        return self.disk[path]

    @rule(path=paths, size=st.integers(0, 3), into_the_past=st.booleans())
    def write(self, path: Path, size: int, into_the_past: bool) -> None:
        self.versions += 1
        mtime = -self.versions if into_the_past else self.versions
        self.disk[path] = FakeLook(size, 1_700_000_000_000_000_000 + mtime)
        self.written_at[path] = self.now

    @rule(path=paths)
    def delete(self, path: Path) -> None:
        self.disk.pop(path, None)

    @rule(path=paths)
    def notice(self, path: Path) -> None:
        self.tracker.noticed(path)
        self.noticed_at.setdefault(path, self.now)

    @rule(path=paths)
    def forget(self, path: Path) -> None:
        self.tracker.forget(path)
        self.noticed_at.pop(path, None)

    @rule(ticks=st.integers(0, 30))
    def wait(self, ticks: int) -> None:
        self.now += ticks

    @rule()
    def poll(self) -> None:
        seen_before = {path: path in self.disk for path in self.noticed_at}
        settled = self.tracker.poll(self.now)
        returned = [item.path for item in settled]
        assert len(set(returned)) == len(returned)
        for item in settled:
            assert item.path in self.noticed_at, "returned without being tracked"
            assert seen_before[item.path], "returned though it is gone"
            assert self.now - self.written_at[item.path] >= self.settle, "returned too early"
            assert self.now - self.noticed_at[item.path] >= self.settle, "stood still before it was seen"
            look = self.disk[item.path]
            assert (item.size_bytes, item.mtime_ns) == (look.st_size, look.st_mtime_ns)
            del self.noticed_at[item.path]
        self.drop_what_the_settler_found_gone()
        assert len(self.tracker) == len(self.noticed_at)
        wait = self.tracker.next_due(self.now)
        assert (wait is None) == (not self.noticed_at)
        assert wait is None or wait > 0, "a poll leaves nothing that is due"

    def drop_what_the_settler_found_gone(self) -> None:
        for path in [path for path in self.noticed_at if path not in self.disk]:
            if path not in self.tracker._tracked:
                del self.noticed_at[path]

    @rule()
    def wait_as_long_as_asked(self) -> None:
        wait = self.tracker.next_due(self.now)
        if wait is not None:
            self.now += int(wait)
            self.poll()

    def teardown(self) -> None:
        """Nobody writes any more: everything that is there comes out, once, in bounded time."""
        if not hasattr(self, "settler"):
            return
        expected = {path for path in self.noticed_at if path in self.disk}
        quiet_since = self.now
        returned: list[Path] = []
        while (wait := self.tracker.next_due(self.now)) is not None:
            assert wait == int(wait)
            self.now += int(wait)
            assert self.now <= quiet_since + 2 * self.settle
            returned += [item.path for item in self.tracker.poll(self.now)]
        assert sorted(returned) == sorted(expected)


TestSettling = Settling.TestCase
TestSettling.settings = settings(max_examples=150, stateful_step_count=40)
