"""What the commands print is safe to print, whatever a file is called."""

from __future__ import annotations

from typing import Any

import pytest

from daemon import show


def video(path: str) -> dict[str, Any]:
    return {"id": 1, "frames_decoded": 3, "stills": 2, "status": "done", "path": path, "error": None}


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
    show.print_list([video(name)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert printed in lines[1]


def test_a_long_path_is_neither_cut_nor_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/in/" + "long-" * 60 + ".mp4"
    show.print_list([video(path)])
    assert path in capsys.readouterr().out
