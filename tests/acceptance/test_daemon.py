"""The daemon as its users have it: files in, stills out, signals, restarts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from daemon.export.file_names import parse_name
from tests import films
from tests.acceptance.harness import Daemon, cli, frame_rows, query, stills, write_config

LONG_FRAMES = 300
"""Of `films.noise`."""

pytestmark = pytest.mark.model


def test_files_are_taken_once_however_they_arrive(tmp_path: Path) -> None:
    config = write_config(tmp_path, watch={"settle_seconds": 4.0})
    inbox = tmp_path / "inbox"
    made = [films.make(tmp_path / f"film{n}.mp4", frames=12 + n, numbers=range(n, 12 + 2 * n)) for n in range(4)]
    shutil.copy(made[0], inbox / "before.mp4")
    with Daemon(config).ready() as daemon:
        shutil.copy(made[1], inbox / "copied.mp4")
        made[2].rename(inbox / "moved.mp4")
        data = made[3].read_bytes()
        with (inbox / "bursts.mp4").open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            threading.Event().wait(3.0)  # a writer that pauses: the pause is what is tested
            file.write(data[len(data) // 2 :])
        done = [daemon.event("video.done")["video"] for _ in range(4)]
        assert sorted(Path(one).name for one in done) == ["before.mp4", "bursts.mp4", "copied.mp4", "moved.mp4"]
        assert daemon.stop() == 0
    assert query(tmp_path, "SELECT COUNT(*), SUM(status = 'done'), SUM(attempts) FROM videos") == [(4, 4, 0)]
    assert [event["event"] for event in daemon.events].count("video.queued") == 4
    assert daemon.noise == []


def test_every_bad_input_ends_with_a_reason_and_the_good_file_is_done(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    inbox = tmp_path / "inbox"
    good = films.make(tmp_path / "good.mp4", frames=12)
    (inbox / "text.mp4").write_text("not a video\n" * 50)
    (inbox / "empty.mp4").touch()
    (inbox / "cut.mp4").write_bytes(good.read_bytes()[:3000])
    (inbox / "folder.mp4").mkdir()
    (inbox / "playlist.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.mp4\n")
    (inbox / "concat.mkv").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (inbox / "link.mp4").symlink_to(good)
    os.mkfifo(inbox / "pipe.mp4")
    shutil.copy(good, inbox / "good.mp4")
    with Daemon(config).ready() as daemon:
        daemon.event("video.done", "good.mp4")
        seen = {Path(event["video"]).name for event in daemon.events if event["event"] == "video.rejected"}
        while len(seen) < 8:
            seen.add(Path(daemon.event("video.rejected")["video"]).name)
        assert daemon.stop() == 0
    rows = dict(query(tmp_path, "SELECT path, status || ' ' || COALESCE(error_kind, '') FROM videos"))
    assert {Path(path).name: state for path, state in rows.items()} == {
        "text.mp4": "rejected not_a_video",
        "empty.mp4": "rejected empty",
        "cut.mp4": "rejected not_a_video",
        "folder.mp4": "rejected not_a_file",
        "playlist.mp4": "rejected not_a_video",
        "concat.mkv": "rejected not_a_video",
        "link.mp4": "rejected outside_folder",
        "pipe.mp4": "rejected not_a_file",
        "good.mp4": "done ",
    }
    for (error,) in query(tmp_path, "SELECT error FROM videos WHERE error IS NOT NULL"):
        assert "\n" not in error


def test_a_stop_in_mid_video_is_quick_and_the_restart_scores_nothing_twice(tmp_path: Path) -> None:
    film = films.noise(tmp_path / "film.mp4")
    whole = tmp_path / "whole"
    parts = tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
        write_config(folder, log={"progress_seconds": 0.1})
        shutil.copy(film, folder / "inbox" / "film.mp4")
        os.utime(folder / "inbox" / "film.mp4", (1, 1))
    with Daemon(whole / "config.yaml").ready() as daemon:
        daemon.event("video.done")
        assert daemon.stop() == 0
    with Daemon(parts / "config.yaml").ready() as daemon:
        daemon.wait_for(lambda event: event["event"] == "video.progress" and event["frame"] >= 10)
        assert daemon.stop(seconds=10.0) == 0
    before = frame_rows(parts)
    assert 0 < len(before) < LONG_FRAMES
    assert query(parts, "SELECT status, attempts FROM videos") == [("queued", 0)]
    with Daemon(parts / "config.yaml").ready() as daemon:
        assert daemon.event("video.started")["frames_stored"] == len(before)
        daemon.event("video.done")
        assert daemon.stop() == 0
    assert frame_rows(parts)[: len(before)] == before
    assert frame_rows(parts) == frame_rows(whole)
    assert {n for n in stills(parts) if n.endswith(".png")} == {n for n in stills(whole) if n.endswith(".png")}


def test_a_kill_loses_nothing_and_leaves_no_temporary(tmp_path: Path) -> None:
    config = write_config(tmp_path, log={"progress_seconds": 0.1})
    films.noise(tmp_path / "film.mp4").rename(tmp_path / "inbox" / "film.mp4")
    with Daemon(config).ready() as daemon:
        daemon.wait_for(lambda event: event["event"] == "video.progress" and event["frame"] >= 10)
        daemon.stop(signal.SIGKILL)
    before = frame_rows(tmp_path)
    work = tmp_path / "stills" / ".stillwatch-work" / "999999999-1"
    work.mkdir(parents=True)
    with Daemon(config).ready() as daemon:
        daemon.event("video.done")
        assert daemon.stop() == 0
    assert frame_rows(tmp_path)[: len(before)] == before
    assert [row[1] for row in frame_rows(tmp_path)] == list(range(LONG_FRAMES))
    assert not (tmp_path / "stills" / ".stillwatch-work").exists()


def test_a_second_daemon_on_the_same_database_is_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with Daemon(config).ready() as daemon:
        second = cli("run", "--config", str(config))
        assert (second.returncode, second.stderr.count("\n")) == (1, 1)
        assert "another stillwatch" in second.stderr
        assert daemon.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("select: {count: 0}", ("select.count", "0", "greater than or equal to 1")),
        ("selekt: {}", ("selekt", "not a known key")),
        ("score: {metric: fid}", ("fid",)),
        ("score: {metric: no-such-metric}", ("no-such-metric",)),
        ("watch: [", ("not valid YAML",)),
    ],
)
def test_a_bad_configuration_stops_the_start_with_one_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(text)
    ended = cli("run", "--config", str(config), cwd=tmp_path)
    assert ended.returncode in (1, 2)
    assert ended.stderr.strip().count("\n") == 0
    for word in words:
        assert word in ended.stderr


def test_once_prints_stills_whose_names_parse_back(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    film = films.make(tmp_path / "film.mp4", frames=30)
    ended = cli("once", str(film), "--config", str(config))
    assert ended.returncode == 0, ended.stderr
    found = [name for name in stills(tmp_path) if name.endswith(".png")]
    assert len(found) == 3
    for name in found:
        assert films.read_still(tmp_path / "stills" / name) == parse_name(Path(name).name).frame
    again = cli("once", str(film), "--config", str(config), "--json")
    assert again.returncode == 0
    assert query(tmp_path, "SELECT COUNT(*) FROM selections") == [(1,)]
    assert cli("once", str(tmp_path / "gone.mp4"), "--config", str(config)).returncode == 1
    assert cli("once").returncode == 2


def test_once_writes_the_stills_again_when_they_are_wanted_otherwise(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    film = films.make(tmp_path / "film.mp4", frames=30)
    assert cli("once", str(film), "--config", str(config)).returncode == 0
    rows = frame_rows(tmp_path)
    for output in ({"format": "jpeg"}, {"path": str(tmp_path / "elsewhere"), "format": "jpeg"}):
        config = write_config(tmp_path, output=output)
        assert cli("once", str(film), "--config", str(config)).returncode == 0
    assert frame_rows(tmp_path) == rows
    for place in ("stills", "elsewhere"):
        found = list((tmp_path / place).rglob("*.jpg"))
        assert sorted(films.read_still(path) for path in found) == sorted(parse_name(path.name).frame for path in found)
        assert len(found) == 3
    assert query(tmp_path, "SELECT COUNT(*) FROM selections") == [(3,)]


def test_flat_frames_have_a_note_instead_of_a_score_and_are_never_stills(tmp_path: Path) -> None:
    def painter(number: int, width: int, height: int) -> films.NDArray[films.np.uint8]:
        if number < 20 or 30 <= number < 33:
            return films.np.full((height, width, 3), 0 if number < 20 else 255, films.np.uint8)
        return films.texture(number, width, height)

    config = write_config(tmp_path)
    film = films.make(tmp_path / "film.mp4", frames=50, painter=painter)
    assert cli("once", str(film), "--config", str(config)).returncode == 0
    noted = query(tmp_path, "SELECT frame FROM frames WHERE score IS NULL AND note = 'flat' ORDER BY frame")
    assert [row[0] for row in noted] == [*range(20), 30, 31, 32]
    chosen = {row[0] for row in query(tmp_path, "SELECT frame FROM stills")}
    assert chosen
    assert chosen.isdisjoint({row[0] for row in noted})


def test_choosing_again_scores_nothing_and_keeps_the_old_selection(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    film = films.make(tmp_path / "film.mp4", frames=50)
    assert cli("once", str(film), "--config", str(config)).returncode == 0
    rows = frame_rows(tmp_path)
    ended = cli("select", "film.mp4", "--count", "5", "--config", str(config))
    assert ended.returncode == 0, ended.stderr
    assert frame_rows(tmp_path) == rows
    assert query(tmp_path, "SELECT requested, chosen FROM selections ORDER BY id") == [(3, 3), (5, 5)]
    for (path,) in query(tmp_path, "SELECT path FROM stills"):
        assert Path(path).is_file()


def test_retry_queues_what_failed(tmp_path: Path) -> None:
    config = write_config(tmp_path, export={"ffmpeg": ""})
    bad = tmp_path / "bad.mp4"
    bad.write_text("text\n" * 100)
    assert cli("once", str(bad), "--config", str(config)).returncode == 1
    assert "1 queued" in cli("retry", "bad.mp4", "--config", str(config)).stdout
    assert query(tmp_path, "SELECT status FROM videos") == [("queued",)]


@pytest.fixture(scope="module")
def one_film_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose database knows one film that is done."""
    folder = tmp_path_factory.mktemp("done")
    config = write_config(folder)
    film = films.make(folder / "film.mp4", frames=12)
    assert cli("once", str(film), "--config", str(config)).returncode == 0
    return config


HEAVY = {"torch", "torchvision", "pyiqa", "numba", "av", "cv2"}
ONLY_FOR_WORK = {"numpy", "structlog", "rich.progress", "prometheus_client", "pydantic_settings"}


def test_a_film_that_is_known_under_another_name_is_told_as_that_and_not_as_refused(one_film_done: Path) -> None:
    (film,) = json.loads(cli("list", "--config", str(one_film_done), "--json").stdout)
    copy = one_film_done.parent / "another name.mp4"
    shutil.copyfile(film["path"], copy)
    option = ("--config", str(one_film_done))
    told = cli("once", str(copy), *option)
    folder = Path(json.loads(cli("show", "1", *option, "--json").stdout)["selections"][0]["stills"][0]["path"]).parent
    assert told.returncode == 0
    assert told.stdout.splitlines() == [
        f"another name.mp4: known already: the same film as {film['path']} (video 1, done); its stills are in {folder}"
    ]
    assert "duplicate" in cli("list", *option).stdout
    assert "rejected" not in cli("list", *option).stdout
    (said,) = json.loads(cli("once", str(copy), *option, "--json").stdout)
    assert (said["status"], said["error_kind"], said["ok"]) == ("rejected", "duplicate", True)
    assert said["known_as"] == {"id": 1, "video": film["path"], "status": "done", "folder": str(folder)}


@pytest.mark.parametrize(
    ("command", "left_out"),
    [
        (["status"], HEAVY | ONLY_FOR_WORK),
        (["list"], HEAVY | ONLY_FOR_WORK),
        (["show", "1"], HEAVY | ONLY_FOR_WORK),
        (["metrics"], HEAVY),
        (["--help"], HEAVY | ONLY_FOR_WORK | {"pydantic", "asyncio", "rich"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_looking_is_quick_and_never_imports_torch(one_film_done: Path, command: list[str], left_out: set[str]) -> None:
    option = [] if command in (["metrics"], ["--help"]) else ["--config", str(one_film_done)]
    script = (
        "import sys; sys.argv[0] = 'stillwatch'; from daemon.cli.main import typer_app\n"
        f"try: typer_app()(standalone_mode=False)\nfinally: assert not {left_out} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command, *option], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if command != ["--help"]:
        json.loads(cli(*command, *option, "--json").stdout)


def test_completion_knows_the_commands() -> None:
    words = {"_STILLWATCH_COMPLETE": "complete_bash", "COMP_WORDS": "stillwatch st", "COMP_CWORD": "1"}
    script = "import sys; sys.argv = ['stillwatch']; from daemon.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **words}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["status"]
    # Typer asks which shell has started it: here one that waits for its end, as a person's does.
    command = f"{shlex.quote(sys.executable)} -P -m daemon --show-completion; exit $?"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    shown = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "COMPREPLY" in shown.stdout
