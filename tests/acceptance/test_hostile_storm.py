"""A storm with enemies in it: hostile films, kills, full disks and planted links, and every good film done once."""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests import films, hostile
from tests.acceptance.harness import Daemon, cli, query, write_config
from tests.acceptance.test_faults import fill, small_disk
from tests.acceptance.test_storm import gray
from tests.fuzz.__main__ import corpus

MIB = 1024 * 1024
LINK_SECONDS = 30.0
FULL_SECONDS = 10.0
LINK_STAYS_SECONDS = 3.0
"""A link in the place of a folder that is needed stops the work, and the operator removes it."""
KILLS = 4
TEXTURED = 8
"""Of so many good films one has something to show."""
HOSTILE_SHARE = 0.05
ENDS = "('done', 'failed', 'rejected', 'missing')"
OURS = "(path LIKE '%/good0%' OR path LIKE '%/bad-%')"
"""No link that somebody has planted."""


def good(inbox: Path, made: Path, numbers: range) -> None:
    """Films that differ in bytes that nobody reads."""
    flat = films.make(made / "flat.mkv", frames=3, width=64, height=64, painter=gray).read_bytes()
    textured = films.make(made / "textured.mkv", frames=8, width=96, height=96).read_bytes()
    for number in numbers:
        clip = flat if number % TEXTURED else textured
        (inbox / f"good{number:05}.mkv").write_bytes(clip + number.to_bytes(4, "big"))


def bad(inbox: Path, made: Path, count: int) -> None:
    """One of each kind that asks for much, and mutants of all containers."""
    kinds: list[Callable[[Path], Path]] = [
        *hostile.INDEXES,
        *hostile.FRAMES_OF_NOTHING,
        hostile.parameter_sets,
        hostile.large_pictures,
        hostile.many_tags,
    ]
    for number, build in enumerate(kinds[:count]):
        film = build(made)
        shutil.copy(film, inbox / f"bad-kind{number}{film.suffix}")
    mutants = corpus(made)
    for seed in range(max(count - len(kinds), 0)):
        name, suffix, data, mutate = mutants[seed % len(mutants)]
        changed = mutate(random.Random(seed), data)
        (inbox / f"bad-{name}{seed}.{suffix}").write_bytes(changed + seed.to_bytes(4, "big"))


def state_of(tree: Path) -> list[tuple[str, int, int, str]]:
    """Every file below a folder: its name, mode, time and content."""
    return [
        (
            str(path.relative_to(tree)),
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted([tree, *tree.rglob("*")])
    ]


def canary(tree: Path) -> Path:
    for name in ("manifest.json", "work-1/frame.png", "good00000.mkv", "letters/mine.txt"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode() * 100)
    return tree


@contextmanager
def planted(folders: list[Path], tree: Path) -> Iterator[list[Path]]:
    """Somebody of the group who plants links to a private tree, two a minute."""
    over, links = threading.Event(), list[Path]()
    names = [".stillwatch-work", "manifest.json", ".stillwatch-work/000", "good.mkv", ".part", "stills.json"]

    def plant() -> None:
        number = 0
        while True:
            link = folders[number % len(folders)] / names[number % len(names)]
            with suppress(OSError):
                link.symlink_to(tree if number % 2 else tree / "good00000.mkv")
                links.append(link)
            over.wait(LINK_STAYS_SECONDS)
            if link.is_symlink():
                link.unlink()
            number += 1
            if over.wait(LINK_SECONDS - LINK_STAYS_SECONDS):
                return

    thread = threading.Thread(target=plant)
    thread.start()
    try:
        yield links
    finally:
        over.set()
        thread.join()


def tree_bytes(pid: int) -> int:
    """What a process and all below it hold, shared pages counted once."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_full_info().pss
    return total


def ended(folder: Path) -> int:
    with suppress(sqlite3.OperationalError):
        return int(query(folder, f"SELECT COUNT(*) FROM videos WHERE status IN {ENDS} AND {OURS}")[0][0])
    return 0


def run_storm(tmp_path: Path, count: int, seconds: float) -> dict[str, float]:
    enemies = round(count * HOSTILE_SHARE)
    config = write_config(
        tmp_path,
        log={"level": "warning"},
        select={"count": 1},
        decode={"open_cpu_seconds": 4.0, "max_frames_per_kib": 16},
        service={"pause_seconds": 0.5, "retry_seconds": 0.3, "max_retries": 12},
        database={"path": "database/stillwatch.db"},
    )
    tree, inbox, out, made = canary(tmp_path / "private"), tmp_path / "inbox", tmp_path / "stills", tmp_path / "made"
    database = tmp_path / "database"
    made.mkdir()
    before, most, kills = state_of(tree), 0, 0
    began = time.monotonic()
    with ExitStack() as stack:
        fillers = [
            stack.enter_context(small_disk(disk, size)) for disk, size in ((out, 96 * MIB), (database, 160 * MIB))
        ]
        stack.enter_context(planted([out, inbox], tree))
        good(inbox, made, range(count - enemies))
        bad(inbox, made, enemies)
        kills_at = [count * (one + 1) // (KILLS + 2) for one in range(KILLS)]
        # By turns the disk of the stills and that of the database, each of them twice.
        fills_at = [count * part // 8 for part in (2, 3, 6, 7)]
        full: Path | None = None
        filled = 0
        daemon = stack.enter_context(Daemon(config))
        freed_at = 0.0
        while (done := ended(database)) < count:
            now = time.monotonic()
            assert now < began + seconds, f"{done} of {count}: {daemon.tail()}"
            most = max(most, tree_bytes(daemon.process.pid))
            if full is None and fills_at and done >= fills_at[0]:
                fills_at.pop(0)
                full = fillers[filled % 2]
                filled += 1
                fill(full)
                freed_at = now + FULL_SECONDS
            if full is not None and now > freed_at:
                full.unlink()
                full = None
            if kills_at and done >= kills_at[0]:
                kills_at.pop(0)
                kills += 1
                daemon.process.kill()
                daemon.process.wait()
                daemon = stack.enter_context(Daemon(config))
            assert daemon.process.poll() is None, daemon.tail()
            time.sleep(0.5)
        # Before the disk goes.
        rows = query(database, f"SELECT path, status, error FROM videos WHERE {OURS}")
        checked = cli("verify", str(out), "--config", str(config), cwd=tmp_path, seconds=seconds)
        assert daemon.stop() == 0
        stills = query(database, "SELECT v.path, COUNT(*) FROM stills s JOIN videos v ON v.id = s.video_id GROUP BY 1")
        rows_of_good = query(
            database,
            "SELECT COUNT(*) FROM frames f JOIN videos v ON v.id = f.video_id WHERE v.path LIKE '%/good0%'",
        )
    status = {Path(path).name: (status, error) for path, status, error in rows}
    assert len(rows) == len(status) == count
    assert {name: state for name, state in status.items() if name.startswith("good") and state[0] != "done"} == {}
    textured = {f"good{number:05}.mkv" for number in range(0, count - enemies, TEXTURED)}
    assert {Path(path).name for path, _ in stills if "good0" in path} == textured
    assert all(found == 1 for path, found in stills if "good0" in path)
    assert rows_of_good == [(3 * (count - enemies - len(textured)) + 8 * len(textured),)]
    assert filled == len(fillers) * 2
    assert checked.returncode == 0, checked.stdout[-2000:] + checked.stderr[-2000:]
    assert state_of(tree) == before
    assert most < 1536 * MIB
    return {"seconds": time.monotonic() - began, "most_mib": most / MIB, "kills": kills, "stills": len(stills)}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_films_of_which_one_in_twenty_is_an_enemy(tmp_path: Path) -> None:
    print(run_storm(tmp_path, 2000, seconds=3000.0))
