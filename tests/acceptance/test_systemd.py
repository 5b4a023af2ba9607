"""The shipped unit under a real systemd, installed as docs/systemd.md says.

The unit is the shipped file. What its drop-in changes, and why:

* ``WatchdogSec``, ``RestartSec`` shorter, so that nobody waits for minutes; ``RestartSec`` is no part of the hardening.
* ``CPUAffinity``, so that a video takes some seconds on a fast machine too.
* ``STILLWATCH_…`` for a daemon that settles, looks and speaks quickly.

Nothing of the hardening is relaxed.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import yaml

from tests import films
from tests.acceptance import machine as machines
from tests.acceptance.machine import ROOT, SOURCE, UNIT, Journal, Machine, by_daemon, event_of, refusal

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.model,
    pytest.mark.skipif(bool(machines.hindrance()), reason=str(machines.hindrance())),
]

HOME = Path("/var/lib/stillwatch")
DROP_INS = Path("/etc/systemd/system/stillwatch.service.d")
LOOP_FRAMES, LOOPS = 60, 8
LONG_FRAMES = LOOP_FRAMES * LOOPS

TEST_DROP_IN = """
[Service]
WatchdogSec=6
RestartSec=100ms
CPUAffinity=0
Environment=STILLWATCH_WATCH__SETTLE_SECONDS=0.3 STILLWATCH_WATCH__RESCAN_SECONDS=1
Environment=STILLWATCH_LOG__PROGRESS_SECONDS=0.2 STILLWATCH_SELECT__COUNT=3 STILLWATCH_SELECT__MIN_GAP_SECONDS=0.2
Environment=STILLWATCH_SELECT__STRATEGY=best
"""

Videos = dict[str, Path]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted container with this test run's packages in it."""
    booting = Machine(tmp_path_factory.mktemp("systemd"))
    try:
        booting.__enter__()
    except machines.NoMachineError as error:
        pytest.skip(str(error))
    try:
        machines.install_python(booting)
        yield booting
    finally:
        booting.__exit__(None, None, None)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Videos:
    """A short film, and one that takes some seconds: the packets of a made film again and again."""
    folder = tmp_path_factory.mktemp("videos")
    short = films.make(folder / "short.mp4", frames=30)
    once = films.make(folder / "once.mp4", frames=LOOP_FRAMES, width=1280, height=720)
    long = folder / "long.mp4"
    loop = ["-stream_loop", str(LOOPS - 1), "-i", str(once), "-c", "copy", str(long)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *loop], check=True)
    return {"short": short, "long": long}


@pytest.fixture(scope="module")
def journal(machine: Machine) -> Iterator[Journal]:
    with machines.journal(machine) as followed:
        yield followed


@pytest.fixture(scope="module")
def installed(machine: Machine, journal: Journal) -> Machine:
    """The unit, running: what the commands of docs/systemd.md made of it."""
    drop_in(machine, "test.conf", TEST_DROP_IN)
    for command in documented_commands():
        # The packages are there: what pip would fetch is what this test run uses.
        if not command.startswith("python3 -m venv"):
            machine.shell(f"cd {SOURCE}; {command}")
    machine.shell("useradd --groups stillwatch alice; useradd mallory")
    return machine


def documented_commands() -> list[str]:
    block = re.search(r"```sh\n(.*?)```", (ROOT / "docs/systemd.md").read_text(), re.DOTALL)
    assert block is not None
    return block.group(1).splitlines()


def drop_in(machine: Machine, name: str, text: str | None = None) -> None:
    """Put a drop-in beside the unit, the shipped one unless a text is given."""
    folder = machine.path(DROP_INS)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text((ROOT / "systemd" / name).read_text() if text is None else text)


def drop(machine: Machine, video: Path, name: str, inbox: Path = HOME / "inbox") -> None:
    """A member of the group puts a video into the watch folder."""
    shutil.copy(video, machine.path("/tmp"))
    machine.shell(f"chmod a+r /tmp/{video.name}; runuser -u alice -- cp /tmp/{video.name} {inbox}/{name}")


def query(machine: Machine, sql: str) -> list[list[Any]]:
    """Rows of the daemon's database, read inside: SQLite would resolve the path to a file out here."""
    script = (
        "import json, sqlite3, sys; db = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True);"
        "print(json.dumps(db.execute(sys.argv[2]).fetchall()))"
    )
    python = f"{machines.PREFIX}/.venv/bin/python"
    words = ("runuser", "-u", "stillwatch", "--", python, "-c", script, str(HOME / "stillwatch.db"), sql)
    rows: list[list[Any]] = json.loads(machine.run(*words).stdout)
    return rows


def rows_of(machine: Machine, name: str) -> list[list[Any]]:
    return query(
        machine,
        "SELECT frame, pts, score, hash FROM frames f JOIN videos v ON v.id = f.video_id"
        f" WHERE v.path LIKE '%/{name}' ORDER BY frame",
    )


def exposures(machine: Machine) -> dict[str, float]:
    shown = machine.run("systemd-analyze", "security", "--no-pager", "--json=short", UNIT).stdout
    return {one["json_field"]: float(one["exposure"] or 0) for one in json.loads(shown) if one["set"] is not None}


def test_the_readme_has_five_commands_and_they_work(installed: Machine) -> None:
    assert len(documented_commands()) == 5
    assert installed.properties("ActiveState", "SubState", "StatusText") == {
        "ActiveState": "active",
        "SubState": "running",
        "StatusText": "waiting for videos, 0 done",
    }
    assert installed.run("systemctl", "is-enabled", UNIT).stdout == "enabled\n"


def test_the_unit_is_without_fault_and_safe(installed: Machine) -> None:
    verified = installed.run("systemd-analyze", "verify", UNIT)
    assert (verified.stdout, verified.stderr) == ("", "")
    rated = installed.run("systemd-analyze", "security", "--no-pager", UNIT).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", rated)
    assert found is not None
    assert float(found.group(1)) <= 0.5


def test_it_runs_without_rights_network_or_devices(installed: Machine) -> None:
    pid = installed.properties("MainPID")["MainPID"]
    lines = installed.shell(f"cat /proc/{pid}/status").splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    interfaces = installed.shell(f"cat /proc/{pid}/net/dev").splitlines()[2:]
    assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
    devices = installed.shell(f"find /proc/{pid}/root/dev/ -xdev -type c -o -type b").split()
    assert {Path(one).name for one in devices} <= {"full", "null", "ptmx", "random", "tty", "urandom", "zero"}


def test_a_dropped_file_becomes_stills_that_the_group_may_use(
    installed: Machine, journal: Journal, videos: Videos
) -> None:
    drop(installed, videos["short"], "short.mp4")
    assert journal.event("video.done", video=f"{HOME}/inbox/short.mp4")["stills"] == 3
    stills = installed.shell(f"runuser -u alice -- sh -c 'cat {HOME}/stills/*/*.png >/dev/null; ls {HOME}/stills/*/'")
    assert len([name for name in stills.split() if name.endswith(".png")]) == 3
    assert installed.run("runuser", "-u", "mallory", "--", "ls", str(HOME), check=False).returncode != 0
    shown = installed.run(
        "runuser", "-u", "stillwatch", "--", "/opt/stillwatch/.venv/bin/stillwatch", "status", "--json", check=False
    )
    assert shown.returncode == 0, shown.stderr


def test_a_stop_in_mid_video_is_clean_and_the_restart_goes_on(
    installed: Machine, journal: Journal, videos: Videos
) -> None:
    name = "stopped.mp4"
    drop(installed, videos["long"], name)
    journal.event("video.progress", video=f"{HOME}/inbox/{name}")
    installed.run("systemctl", "stop", UNIT)
    assert installed.properties("Result", "ExecMainStatus", "ActiveState") == {
        "Result": "success",
        "ExecMainStatus": "0",
        "ActiveState": "inactive",
    }
    journal.event("service.stopped")
    before = rows_of(installed, name)
    assert 0 < len(before) < LONG_FRAMES
    assert query(installed, f"SELECT status FROM videos WHERE path LIKE '%/{name}'") == [["queued"]]
    installed.run("systemctl", "start", UNIT)
    assert journal.event("video.started", video=f"{HOME}/inbox/{name}")["frames_stored"] == len(before)
    journal.event("video.done", video=f"{HOME}/inbox/{name}")
    after = rows_of(installed, name)
    assert after[: len(before)] == before
    assert [row[0] for row in after] == list(range(LONG_FRAMES))


def test_a_loop_that_stands_still_is_killed_and_comes_back(
    installed: Machine, journal: Journal, videos: Videos
) -> None:
    name = "hung.mp4"
    # Other bytes, so that it is no duplicate of the film that was stopped.
    other = videos["long"].with_name(name)
    other.write_bytes(videos["long"].read_bytes() + b"\0\0\0\x10free" + bytes(8))
    drop(installed, other, name)
    for _ in range(5):
        # Rows are committed every half a second, progress is told every fifth of one.
        journal.event("video.progress", video=f"{HOME}/inbox/{name}")
    pid = installed.properties("MainPID")["MainPID"]
    installed.shell(f"kill -STOP {pid}")
    before = rows_of(installed, name)
    assert 0 < len(before) < LONG_FRAMES
    journal.systemd("Watchdog timeout")
    journal.systemd("Failed with result 'watchdog'")
    assert journal.event("service.ready")["resumed"] == 1
    assert journal.event("video.started", video=f"{HOME}/inbox/{name}")["frames_stored"] == len(before)
    journal.event("video.done", video=f"{HOME}/inbox/{name}")
    done = query(installed, "SELECT COUNT(*) FROM videos WHERE status = 'done'")[0][0]
    status = f"waiting for videos, {done} done"
    installed.until(lambda: installed.properties("StatusText") == {"StatusText": status}, status)
    now = installed.properties("MainPID", "NRestarts", "ActiveState")
    assert now["MainPID"] != pid
    assert (now["NRestarts"], now["ActiveState"]) == ("1", "active")
    after = rows_of(installed, name)
    assert after[: len(before)] == before
    assert [row[0] for row in after] == list(range(LONG_FRAMES))


def test_torch_and_the_bundled_ffmpeg_live_with_the_filter_too(
    installed: Machine, journal: Journal, videos: Videos
) -> None:
    bundled = f"{machines.PACKAGES}/imageio_ffmpeg/binaries/{Path(imageio_ffmpeg.get_ffmpeg_exe()).name}"
    settings = f"STILLWATCH_SCORE__IMPLEMENTATION=pyiqa STILLWATCH_EXPORT__FFMPEG={bundled}"
    drop_in(installed, "torch.conf", f"[Service]\nEnvironment={settings}\n")
    try:
        installed.run("systemctl", "daemon-reload")
        installed.run("systemctl", "restart", UNIT)
        assert "pyiqa" in journal.event("scorer.ready")["scorer"]
        film = films.make(videos["short"].with_name("torch.mp4"), frames=30, numbers=range(300, 330))
        drop(installed, film, "torch.mp4")
        assert journal.event("video.done", video=f"{HOME}/inbox/torch.mp4")["stills"] == 3
    finally:
        installed.path(DROP_INS / "torch.conf").unlink()
        installed.run("systemctl", "daemon-reload")


def test_a_wrong_configuration_is_not_tried_again(installed: Machine, journal: Journal) -> None:
    settings = installed.path(machines.CONFIG)
    good = settings.read_text()
    try:
        settings.write_text(good + "score: {max_batch: 0}\n")
        assert installed.run("systemctl", "restart", UNIT, check=False).returncode != 0
        assert installed.properties("Result", "ExecMainStatus", "SubState") == {
            "Result": "exit-code",
            "ExecMainStatus": "2",
            "SubState": "failed",
        }
    finally:
        settings.write_text(good)
        installed.run("systemctl", "restart", UNIT)


@pytest.mark.parametrize(
    ("name", "opened", "settings"),
    [
        ("gpu.conf", {"PrivateDevices"}, {"DevicePolicy": "closed", "DeviceAllow": "char-nvidia* rw"}),
        (
            "network.conf",
            {"PrivateNetwork", "IPAddressDeny", "RestrictAddressFamilies_AF_INET_INET6"},
            {"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX"},
        ),
        (
            "writers.conf",
            {"CapabilityBoundingSet_CAP_LEASE", "AmbientCapabilities", "PrivateUsers"},
            {"CapabilityBoundingSet": "cap_lease", "AmbientCapabilities": "cap_lease", "PrivateUsers": "no"},
        ),
    ],
)
def test_a_drop_in_opens_what_it_says_and_nothing_else(
    installed: Machine, name: str, opened: set[str], settings: dict[str, str]
) -> None:
    before = exposures(installed)
    drop_in(installed, name)
    try:
        installed.run("systemctl", "daemon-reload")
        verified = installed.run("systemd-analyze", "verify", UNIT)
        assert (verified.stdout, verified.stderr) == ("", "")
        after = exposures(installed)
        assert {one for one in after if after[one] > before.get(one, 0)} == opened
        assert installed.properties(*settings) == settings
    finally:
        installed.path(DROP_INS / name).unlink()
        installed.run("systemctl", "daemon-reload")


@contextlib.contextmanager
def as_its_example_says(machine: Machine, name: str, group: str, **settings: Any) -> Iterator[None]:
    """A drop-in is in force, with the folders and the settings of its comment; those of ``output`` are added to."""
    lines = [line.removeprefix("#   ") for line in (ROOT / "systemd" / name).read_text().splitlines()]
    file = machine.path(machines.CONFIG)
    good = file.read_text()
    said = yaml.safe_load("\n".join(line for line in lines if line.startswith(("watch:", "output:"))))
    said["output"].update(settings)
    file.write_text(yaml.safe_dump({**said, "database": {"path": f"{HOME}/stillwatch.db"}}))
    drop_in(machine, name)
    try:
        machine.shell("\n".join(line for line in lines if line.startswith(("groupadd", "install"))))
        machine.shell(f"usermod --append --groups {group} alice; systemctl daemon-reload")
        verified = machine.run("systemd-analyze", "verify", UNIT)
        assert (verified.stdout, verified.stderr) == ("", "")
        machine.run("systemctl", "restart", UNIT)
        yield
    finally:
        machine.path(DROP_INS / name).unlink()
        file.write_text(good)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", UNIT)


def test_a_watch_folder_under_srv_works_as_the_example_says(
    installed: Machine, journal: Journal, videos: Videos
) -> None:
    with as_its_example_says(installed, "srv.conf", "videos"):
        inbox = Path("/srv/videos/inbox")
        first = films.make(videos["short"].with_name("srv.mp4"), frames=20, numbers=range(100, 120))
        drop(installed, first, "srv.mp4", inbox)
        journal.event("video.done", video=f"{inbox}/srv.mp4")
        assert installed.shell("runuser -u mallory -- sh -c 'cat /srv/videos/stills/*/*.png | wc -c'").strip() != "0"
        # A share that is mounted while the unit runs.
        installed.shell(f"mount -t tmpfs -o mode=2775,gid=videos tmpfs {inbox}")
        second = films.make(videos["short"].with_name("share.mp4"), frames=20, numbers=range(200, 220))
        drop(installed, second, "share.mp4", inbox)
        journal.event("video.done", video=f"{inbox}/share.mp4")
        installed.shell(f"umount --lazy {inbox}")


def test_pictures_lie_beside_the_films_as_the_example_says(
    installed: Machine, journal: Journal, videos: Videos
) -> None:
    with as_its_example_says(installed, "beside.conf", "films", path=f"{HOME}/stills"):
        film = films.make(videos["short"].with_name("beside.mp4"), frames=20, numbers=range(300, 320))
        drop(installed, film, "beside.mp4", Path("/srv/films"))
        journal.event("video.done", video="/srv/films/beside.mp4")
        size = installed.shell("runuser -u mallory -- sh -c 'cat /srv/films/beside-poster.jpg | wc -c'").strip()
        assert int(size) > 0


@contextlib.contextmanager
def recorded(machine: Machine, video: Path, name: str) -> Iterator[None]:
    """A member of the group records: half of a film, then nothing until /tmp/go is there, then the other half."""
    shutil.copy(video, machine.path("/tmp") / "recorded")
    half = video.stat().st_size // 2 // 188 * 188
    halves = (
        f"head -c {half} /tmp/recorded; until test -e /tmp/go; do sleep 0.1; done; tail -c +{half + 1} /tmp/recorded"
    )
    words = ("runuser", "-u", "alice", "--", "sh", "-c", f"({halves}) > {HOME}/inbox/{name}")
    recorder = subprocess.Popen(machine.command(*words), start_new_session=True)
    try:
        yield
        assert recorder.wait(machines.PATIENCE_SECONDS) == 0
    finally:
        recorder.kill()
        recorder.wait()
        machine.shell("rm -f /tmp/go")


def writers_are_seen(machine: Machine) -> bool:
    """What the running daemon says of it, which is what `doctor` goes by."""
    said: bool = json.loads(machine.path(HOME / "stillwatch.db.progress").read_text())["waiting"]["writers_seen"]
    return said


@pytest.mark.parametrize("opened", [False, True], ids=["shipped", "writers.conf"])
def test_a_recording_that_pauses_is_never_deleted_before_its_end(
    installed: Machine, journal: Journal, videos: Videos, opened: bool
) -> None:
    film = videos["short"].with_name(f"cam{opened:d}.ts")
    source = films.make(film.with_suffix(".mp4"), frames=30, numbers=range(400 + 50 * opened, 430 + 50 * opened))
    copy = ["-i", str(source), "-c", "copy", str(film)]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *copy], check=True)
    # Longer than the recorder's pause, also on a busy machine.
    settings = "STILLWATCH_WATCH__AFTER=delete STILLWATCH_WATCH__UNFINISHED_SECONDS=12"
    drop_in(installed, "after.conf", f"[Service]\nEnvironment={settings}\n")
    if opened:
        drop_in(installed, "writers.conf")
    path = f"{HOME}/inbox/{film.name}"
    try:
        installed.run("systemctl", "daemon-reload")
        installed.run("systemctl", "restart", UNIT)
        journal.event("service.ready")
        with recorded(installed, film, film.name):
            waiting = journal.event("watch.waiting", names=[film.name])
            assert ("has it open for writing" in waiting["reason"]) is opened
            assert waiting["reason"].startswith("who writes to it cannot be seen") is not opened
            installed.path("/tmp/go").touch()
        assert writers_are_seen(installed) is opened
        journal.event("video.queued", video=path)
        assert journal.event("video.scored", video=path)["frames"] == 30
        journal.event("source.deleted", video=path)
        assert installed.run("test", "-e", path, check=False).returncode == 1
    finally:
        for name in ("after.conf", "writers.conf"):
            installed.path(DROP_INS / name).unlink(missing_ok=True)
        installed.run("systemctl", "daemon-reload")
        installed.run("systemctl", "restart", UNIT)


def test_every_line_in_the_journal_is_an_event_of_the_contract(installed: Machine, journal: Journal) -> None:
    installed.run("systemctl", "stop", UNIT)
    journal.event("service.stopped")
    known = set(re.findall(r"^\| `([a-z_]+\.\w+)` \|", (ROOT / "docs/events.md").read_text(), re.MULTILINE))
    events = [event for entry in journal.entries if (event := event_of(entry)) is not None]
    assert {"service.ready", "video.queued", "video.progress", "video.done"} <= {event["event"] for event in events}
    for event in events:
        assert event["event"] in known, event
        assert {"timestamp", "level", "event"} <= set(event)
        if event["event"].startswith("video."):
            assert {"video", "video_id"} <= set(event), event
        if event["event"] == "video.progress":
            assert {"frame", "frames_total", "fps", "eta_s", "queue_bytes", "batch"} <= set(event)
    assert all(
        f"{machines.CONFIG}: score.max_batch = 0" in line for entry in journal.entries if (line := refusal(entry))
    )
    assert all(entry["SYSLOG_IDENTIFIER"] == "stillwatch" for entry in journal.entries if by_daemon(entry))


ASK = (
    "import socket, sys; kind, *address = sys.argv[1:];"
    " one = socket.socket(socket.AF_UNIX if kind == 'unix' else socket.AF_INET);"
    " one.connect(address[0] if kind == 'unix' else (address[0], int(address[1])));"
    " one.sendall(b'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n');"
    " print(one.recv(12).decode())"
)


def ask(machine: Machine, user: str, *address: str) -> str:
    """The status line's beginning that a user gets from the review page, or why there is none."""
    python = f"{machines.PREFIX}/.venv/bin/python"
    answer = machine.run("runuser", "-u", user, "--", python, "-c", ASK, *address, check=False)
    return str(answer.stdout).strip() or str(answer.stderr).strip().splitlines()[-1]


def test_the_review_page_on_a_socket_as_shipped_and_on_tcp_by_a_drop_in(installed: Machine, journal: Journal) -> None:
    socket = f"{HOME}/review.sock"
    try:
        drop_in(installed, "review.conf", f"[Service]\nEnvironment=STILLWATCH_SERVICE__REVIEW={socket}\n")
        installed.shell(f"systemctl daemon-reload; systemctl restart {UNIT}")
        assert journal.event("review.started")["address"] == socket
        assert ask(installed, "alice", "unix", socket) == "HTTP/1.1 200"
        assert "PermissionError" in ask(installed, "mallory", "unix", socket)
        tcp = (
            "[Service]\nEnvironment=STILLWATCH_SERVICE__REVIEW=127.0.0.1:8421\nPrivateNetwork=no\n"
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX\nIPAddressDeny=any\nIPAddressAllow=localhost\n"
        )
        drop_in(installed, "review.conf", tcp)
        installed.shell(f"systemctl daemon-reload; systemctl restart {UNIT}")
        assert journal.event("review.started")["address"].startswith("http://127.0.0.1:8421/?token=")
        # Whoever has no token sees nothing, on this machine too.
        assert ask(installed, "alice", "inet", "127.0.0.1", "8421") == "HTTP/1.1 403"
    finally:
        installed.path(DROP_INS / "review.conf").unlink()
        installed.shell(f"systemctl daemon-reload; systemctl restart {UNIT}")
