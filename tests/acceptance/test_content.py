"""What a film is, under a running daemon: files that are filled in place, recordings that pause, films that change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.inbox.identity import BLOCK_BYTES
from tests import films
from tests.acceptance.harness import Daemon, cli, query, write_config
from tests.filled_in_place import blocks_alone

pytestmark = pytest.mark.model

FRAMES = 60
ROWS = "SELECT id, status, replaced_by, frames_decoded, damaged FROM videos ORDER BY id"


def one_piece_missing(content: bytes) -> bytes:
    """A torrent of pieces of 256 KiB, one of which has not come yet."""
    start = BLOCK_BYTES + 100_000
    return content[:start] + bytes(1 << 18) + content[start + (1 << 18) :]


def folders(folder: Path) -> dict[str, int]:
    """Of each folder below the stills' how many stills it has."""
    found: dict[str, int] = {}
    for path in (folder / "stills").rglob("*.png"):
        name = str(path.parent.relative_to(folder / "stills"))
        found[name] = found.get(name, 0) + 1
    return found


@pytest.mark.parametrize("unfinished", [blocks_alone, one_piece_missing])
def test_a_file_that_is_filled_in_place_after_it_was_scored_is_scored_again(
    tmp_path: Path, unfinished: Callable[[bytes], bytes]
) -> None:
    """Size, inode and three blocks are the same throughout."""
    film = films.make(
        tmp_path / "whole.mp4", frames=FRAMES, width=960, height=540, options={"qp": "1", "g": "15"},
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    whole = film.read_bytes()
    assert len(whole) > 4 * BLOCK_BYTES
    config = write_config(tmp_path, watch={"ready": "settled"})
    path = tmp_path / "inbox" / "film.mp4"
    path.write_bytes(unfinished(whole))
    with Daemon(config).ready() as daemon:
        daemon.event("video.done", "film.mp4")
        with path.open("r+b") as file:
            file.write(whole)
        daemon.event("video.replaced", "film.mp4")
        daemon.event("video.done", "film.mp4")
        assert daemon.stop() == 0
    (first, second) = query(tmp_path, ROWS)
    assert first[:3] == (1, "replaced", 2)
    assert first[4] == 1
    assert second == (2, "done", None, FRAMES, 0)
    assert query(tmp_path, "SELECT COUNT(*) FROM scores WHERE video_id = 1") == [(first[3],)]
    (current,) = [name for name in folders(tmp_path) if "/" not in name]
    assert folders(tmp_path) == {current: 3, f"{current}/selections/1": 3}
    proven = cli("verify", "--config", str(config), *map(str, (tmp_path / "stills" / current).glob("*.png")))
    assert proven.returncode == 0, proven.stdout
    # All of the folder: what cannot be proven any more is said, and is no failure by itself.
    everything = cli("verify", "--config", str(config), str(tmp_path / "stills"))
    assert everything.returncode == 0, everything.stdout
    assert everything.stdout.count("source replaced") == 3
    assert "3 of 6 stills proven, the source of 3 was replaced" in everything.stdout
    older = cli("verify", "--config", str(config), str(tmp_path / "stills" / current / "selections"))
    assert older.returncode == 1, "nothing was proven"
    assert "replaced" in cli("list", "--config", str(config)).stdout


@pytest.mark.parametrize("name", ["cam1.ts", "cam2.mkv"])
def test_a_recording_that_pauses_ends_as_one_current_video_and_one_folder(tmp_path: Path, name: str) -> None:
    film = films.make(tmp_path / f"whole{Path(name).suffix}", frames=FRAMES, codec="mpeg2video", options={"g": "6"})
    whole = film.read_bytes()
    config = write_config(tmp_path, watch={"ready": "settled"})
    path = tmp_path / "inbox" / name
    with Daemon(config).ready() as daemon:
        for part in (1, 2, 3):
            with path.open("ab") as file:
                file.write(whole[path.stat().st_size : len(whole) * part // 3 // 188 * 188 if part < 3 else len(whole)])
            daemon.event("video.done", name)
        assert daemon.stop() == 0
    rows = query(tmp_path, ROWS)
    assert [row[:3] for row in rows] == [(1, "replaced", 2), (2, "replaced", 3), (3, "done", None)]
    assert rows[2][3] == FRAMES
    (current,) = [one.name for one in (tmp_path / "stills").iterdir()]
    found = folders(tmp_path)
    assert found.pop(current) == 3
    assert set(found) == {f"{current}/selections/1", f"{current}/selections/2"}
    shown = cli("show", "--config", str(config), "1").stdout
    assert "replaced (other content took its place: video 2)" in shown
