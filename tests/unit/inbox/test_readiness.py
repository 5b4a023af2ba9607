"""When a settled file is finished: the policy, and what waits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from daemon.config.watch import WatchConfig
from daemon.events import Event, FilesWaiting
from daemon.inbox import readiness
from daemon.inbox.identity import mtime_ns
from daemon.inbox.readiness import Looked, Readiness, Signs, reason_to_wait
from daemon.inbox.wholeness import NOTHING, WHOLE, Says, Wholeness
from daemon.inbox.writers import NOBODY, UNKNOWN, OpenFiles, Writer

UNFINISHED = Wholeness(Says.UNFINISHED, "its end is not written yet (no moov)")
SOMEBODY = Writer(open=True, sure=True, by="cp (process 7)")


class Seen(OpenFiles):
    """What is seen of the writers, as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.says: dict[str, Writer] = {}

    def writer(self, path: Path) -> Writer:
        return self.says.get(path.name, NOBODY)


class Folder:
    """A watch folder under the eyes of a Readiness; ``settle`` does what the tracker does."""

    def __init__(self, path: Path, **keys: Any) -> None:
        self.path = path
        self.seen = Seen()
        self.told: list[Event] = []
        config = WatchConfig.model_validate({"path": path, "settle_seconds": 5, **keys})
        self.readiness = Readiness(config, listener=self.told.append, open_files=lambda _: self.seen)

    def put(self, name: str, content: bytes) -> Path:
        (self.path / name).write_bytes(content)
        return self.path / name

    def settle(self, path: Path, now: float) -> bool:
        look = path.stat()
        return bool(self.readiness.ready([(path, look.st_size, mtime_ns(look))], now))

    def later(self, now: float) -> tuple[list[Looked], list[Path]]:
        return self.readiness.again(now)

    @property
    def reasons(self) -> dict[str, str]:
        return {Path(one.path).name: one.reason for one in self.readiness.told().newest}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("signs", "still_s", "waits"),
    [
        (Signs(NOBODY), 5, False),
        (Signs(NOBODY, WHOLE), 5, False),
        (Signs(UNKNOWN, WHOLE), 5, False),
        (Signs(UNKNOWN, NOTHING), 59, True),
        (Signs(UNKNOWN, NOTHING), 60, False),
        (Signs(NOBODY, UNFINISHED), 59, True),
        (Signs(NOBODY, UNFINISHED), 60, False),
        (Signs(NOBODY, WHOLE, beside="film.mp4.part"), 59, True),
        (Signs(NOBODY, WHOLE, beside="film.mp4.part"), 60, False),
        (Signs(SOMEBODY, WHOLE), 86400, True),
        (Signs(NOBODY, WHOLE, marker="film.mp4.done"), 86400, True),
    ],
)
def test_a_writer_and_a_marker_are_waited_for_without_end_every_other_sign_for_a_while(
    signs: Signs, still_s: float, waits: bool
) -> None:
    assert bool(reason_to_wait(signs, still_s, 60)) is waits


def test_an_open_file_is_ready_once_it_is_closed(folder: Folder) -> None:
    film = folder.put("film.ts", b"\x47" * 188)
    folder.seen.says["film.ts"] = SOMEBODY
    assert not folder.settle(film, 10)
    assert folder.reasons == {"film.ts": "cp (process 7) has it open for writing"}
    assert folder.readiness.waits(film)
    assert folder.later(900) == ([], [])
    del folder.seen.says["film.ts"]
    finished, changed = folder.later(1000)
    assert ([path for path, _, _ in finished], changed) == ([film], [])
    assert folder.reasons == {}
    assert folder.readiness.next_due(1000) is None


def test_what_changes_while_it_waits_has_to_settle_anew_and_its_stillness_begins_again(folder: Folder) -> None:
    film = folder.put("film.mp4", b"\0\0\0\x10ftypisom\0\0\0\0")
    assert not folder.settle(film, 5)
    folder.put("film.mp4", b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08free")
    assert folder.later(50) == ([], [film])
    assert not folder.settle(film, 60)
    assert folder.later(100) == ([], [])
    finished, _ = folder.later(60 + 3600)
    assert [path for path, _, _ in finished] == [film]


def test_who_went_on_after_a_pause_is_waited_for_three_times_as_long(folder: Folder) -> None:
    """Writers cannot be seen and a transport stream says nothing: only its growth tells."""
    film = folder.put("cam.ts", b"\x47" * 188)
    folder.seen.says["cam.ts"] = UNKNOWN
    assert not folder.settle(film, 5)
    folder.put("cam.ts", b"\x47" * 376)
    assert folder.later(50) == ([], [film])
    assert not folder.settle(film, 55)
    # It had stood still for 50 s.
    assert folder.later(55 + 140) == ([], [])
    finished, _ = folder.later(55 + 146)
    assert [path for path, _, _ in finished] == [film]


def test_a_download_beside_counts_while_it_grows_or_is_open(folder: Folder) -> None:
    film, part = folder.put("film.ts", b"\x47" * 188), folder.put("film.ts.part", b"1")
    assert not folder.settle(film, 5)
    assert folder.reasons == {"film.ts": "film.ts.part is beside it, as during a download"}
    folder.put("film.ts.part", b"12")
    os.utime(part, ns=(1, 1))
    assert folder.later(61) == ([], [])
    folder.seen.says["film.ts.part"] = SOMEBODY
    assert folder.later(10_000) == ([], [])
    # Its writer has died and left it behind.
    del folder.seen.says["film.ts.part"]
    assert [path for path, _, _ in folder.later(20_000)[0]] == [film]


def test_by_settled_nothing_else_is_asked(tmp_path: Path) -> None:
    folder = Folder(tmp_path, ready="settled")
    film = folder.put("film.mp4", b"\0\0\0\x10ftypisom\0\0\0\0")
    folder.seen.says["film.mp4"] = SOMEBODY
    assert folder.settle(film, 5)


@pytest.mark.parametrize(("pattern", "name"), [("{name}.done", "film.ts.done"), ("{stem}.ok", "film.ok")])
def test_a_marker_is_waited_for(tmp_path: Path, pattern: str, name: str) -> None:
    folder = Folder(tmp_path, ready="marker", marker=pattern)
    film = folder.put("film.ts", b"\x47" * 188)
    assert not folder.settle(film, 5)
    assert folder.reasons == {"film.ts": f"its marker {name} is not there"}
    assert folder.later(90_000) == ([], [])
    folder.put(name, b"")
    assert [path for path, _, _ in folder.later(90_010)[0]] == [film]


@pytest.mark.parametrize("pattern", ["done", "{name}", "../{name}.done", "{stem"])
def test_a_marker_has_a_name_that_belongs_to_its_video(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match="must be a name with"):
        WatchConfig.model_validate({"path": tmp_path, "marker": pattern})


def test_what_is_gone_waits_no_more(folder: Folder) -> None:
    film = folder.put("film.ts", b"\x47" * 188)
    folder.seen.says["film.ts"] = SOMEBODY
    assert not folder.settle(film, 5)
    film.unlink()
    assert folder.later(100) == ([], [])
    assert not folder.readiness.waits(film)


def test_it_is_said_once_for_each_reason(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []

    class Log:
        def info(self, event: str, **facts: Any) -> None:
            said.append({"event": event, **facts})

    monkeypatch.setattr(readiness, "log", Log())
    films = [folder.put(f"{number:02}.ts", b"\x47" * 188) for number in range(30)]
    for film in films:
        folder.seen.says[film.name] = SOMEBODY
        assert not folder.settle(film, 5)
    folder.readiness.say()
    folder.later(100)
    folder.readiness.say()
    assert [(one["event"], one["files"], len(one["names"])) for one in said] == [("watch.waiting", 30, 20)]
    assert isinstance(folder.told[-1], FilesWaiting)
    assert (folder.told[-1].files, len(folder.told[-1].newest)) == (30, 20)


def test_many_that_wait_are_looked_at_less_often(folder: Folder) -> None:
    for number in range(1500):
        film = folder.put(f"{number}.ts", b"\x47")
        folder.seen.says[film.name] = SOMEBODY
        folder.settle(film, 0)
    assert folder.readiness.next_due(0) == 5
    folder.later(5)
    one = folder.path / "last.ts"
    one.write_bytes(b"\x47")
    folder.seen.says["last.ts"] = SOMEBODY
    folder.settle(one, 5)
    assert folder.readiness._every_s() == 5
    assert readiness._FILES_A_SECOND * 5 > 1500
