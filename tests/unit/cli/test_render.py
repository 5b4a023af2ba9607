"""What the commands print is safe to print, whatever a file is called."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.text import Text

from daemon.cli import live, render


def video(path: str) -> dict[str, Any]:
    return {
        "id": 1,
        "frames_decoded": 3,
        "stills": 2,
        "status": "done",
        "path": path,
        "error_kind": None,
        "error": None,
    }


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("/in/plain.mp4", "/in/plain.mp4"),
        ("/in/[bold]x.mp4", "/in/[bold]x.mp4"),
        ("/in/a\x1b[31m.mp4", "/in/a\\x1b[31m.mp4"),
        ("/in/a\nb.mp4", "/in/a\\x0ab.mp4"),
        ("/in/caf\udce9.mp4", "/in/caf\\udce9.mp4"),
    ],
)
def test_a_name_is_one_harmless_line(capsys: pytest.CaptureFixture[str], name: str, printed: str) -> None:
    render.print_list([video(name)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert printed in lines[1]


def test_a_long_path_is_neither_cut_nor_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/in/" + "long-" * 60 + ".mp4"
    render.print_list([video(path)])
    assert path in capsys.readouterr().out


# The state

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def state(**changes: Any) -> dict[str, Any]:
    said = {"frame": 1200, "fps": 184.23, "eta_s": 75.4, "at": (NOW - timedelta(seconds=2)).isoformat()}
    row = {"id": 1, "path": "/in/a.mp4", "status": "scoring", "frames": 1100, "frames_total": 15_000, "progress": said}
    error = {"id": 2, "path": "/in/b.mp4", "status": "failed", "error_kind": "export", "error": "no room"}
    whole = {
        "running": True, "started_at": "2026-01-01T11:00:00.000+00:00", "pid": 7, "version": "1",
        "videos": {"queued": 3, "scoring": 1, "done": 5, "failed": 0}, "working": [row], "errors": [error],
    }  # fmt: skip
    row.update(changes.pop("row", {}))
    return {**whole, **changes}


def text(value: dict[str, Any]) -> list[str]:
    return [Text.from_markup(line).plain for line in render.status_lines(value, NOW)]


def test_the_state_says_who_runs_the_queue_the_frame_the_speed_the_time_to_go_and_the_last_errors() -> None:
    assert text(state()) == [
        "running since 2026-01-01T11:00:00.000+00:00 (process 7)",
        "3 queued, 1 scoring, 5 done",
        "  scoring /in/a.mp4: 1200 of about 15000 frames, 184.2 fps, 0:01:15 to go",
        "  failed /in/b.mp4 (no room)",
    ]


def test_without_a_daemons_word_the_committed_frames_are_shown() -> None:
    shown = text(state(running=False, started_at=None, pid=None, row={"progress": None}))
    assert shown[0] == "not running"
    assert shown[2] == "  scoring /in/a.mp4: 1100 of about 15000 frames"


def test_a_video_that_was_not_heard_of_for_long_is_shown_with_its_age() -> None:
    silent = {"frame": 8, "fps": 0.0, "eta_s": None, "at": (NOW - timedelta(minutes=5)).isoformat()}
    assert text(state(row={"progress": silent, "frames_total": None}))[2].endswith(": 8 frames, last sign 0:05:00 ago")


def test_nothing_yet_is_said_so() -> None:
    assert text(state(videos={"queued": 0}, working=[], errors=[]))[1:] == ["no videos yet"]


def test_elsewhere_than_in_a_terminal_a_state_is_printed_once_until_it_changes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with live.Screen(as_json=False) as screen:
        screen.draw(state(running=False, started_at=None))
        screen.draw(state(running=False, started_at=None))
        screen.draw(state(running=False, started_at=None, errors=[]))
    blocks = capsys.readouterr().out.removesuffix("\n\n").split("\n\n")
    assert [block.count("no room") for block in blocks] == [1, 0]


def test_as_json_each_changed_state_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with live.Screen(as_json=True) as screen:
        for errors in ([], [], [1]):
            screen.draw(state(errors=errors))
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["errors"] for line in lines] == [[], [1]]
