"""The line that ``systemctl status`` shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daemon.observe.status_line import compose


def row(name: str, status: str = "scoring", frames: int | None = 0, total: int = 100) -> dict[str, Any]:
    return {"path": f"/in/{name}", "status": status, "frames": frames, "info": json.dumps({"frames_estimate": total})}


@pytest.mark.parametrize(
    ("working", "counts", "line"),
    [
        ([], {}, "waiting for videos, 0 done"),
        ([], {"done": 12, "failed": 1}, "waiting for videos, 12 done"),
        ([row("a.mp4", frames=43)], {"queued": 2}, "scoring a.mp4 43 %, 2 queued"),
        ([row("a.mp4", frames=None)], {}, "scoring a.mp4 0 %"),
        ([row("a.mp4", frames=43, total=0)], {}, "scoring a.mp4"),
        ([row("a.mp4", frames=130)], {}, "scoring a.mp4 100 %"),
        ([row("a.mp4", "exporting", 100), row("b.mp4", frames=7)], {}, "exporting a.mp4, scoring b.mp4 7 %"),
        (
            [row(f"{n}.mp4") for n in range(5)],
            {"queued": 1},
            "scoring 0.mp4 0 %, scoring 1.mp4 0 %, 3 more in work, 1 queued",
        ),
        ([], {"queued": 3}, "3 queued"),
    ],
)
def test_it_says_what_is_in_work_and_what_waits(
    working: list[dict[str, Any]], counts: dict[str, int], line: str
) -> None:
    assert compose(working, counts) == line


def test_a_video_that_was_never_opened_has_no_percentage() -> None:
    assert compose([{"path": "a.mp4", "status": "scoring", "frames": None, "info": None}], {}) == "scoring a.mp4"


@pytest.mark.parametrize("name", ["a\nREADY=1.mp4", "a\udcffREADY=1.mp4", "a\x1bREADY=1.mp4"])
def test_a_name_cannot_break_out_of_the_line(name: str) -> None:
    assert compose([row(name, frames=1)], {}) == "scoring a?READY=1.mp4 1 %"
