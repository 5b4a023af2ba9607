"""Films that are scored on a cluster: the same rows and stills as here, whatever becomes of the workers.

The cluster is one of this process; ``tests/cluster`` does the same with Ray.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from daemon.cluster.messages import Started
from daemon.config.schema import Config
from daemon.config.score import ScoreConfig
from daemon.errors import ConfigError, Kind, StillwatchError
from daemon.events import ClusterSeen, Event
from daemon.model import Status
from daemon.scan.protocol import Rows
from daemon.service.foreground import once
from tests import films
from tests.integration.cluster.fake_link import FakeCluster, FakeLink
from tests.stub import StubScorer, stub_scorer

__all__ = ["stub_scorer"]

FRAMES = 150


pytestmark = pytest.mark.usefixtures("stub_scorer")


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()

    def opened(config: ScoreConfig, threads: int = 0) -> StubScorer:
        return StubScorer()

    monkeypatch.setattr("daemon.cluster.worker.open_scorer", opened)
    monkeypatch.setattr("daemon.cluster.worker.CHUNK_ROWS", 16)
    # A worker has a process of its own to log in.
    monkeypatch.setattr("daemon.cluster.worker.setup.configure", lambda *_: None)
    monkeypatch.setattr("daemon.cluster.open_cluster.require_ray", lambda _: None)
    monkeypatch.setattr("daemon.cluster.open_cluster.RayLink.connect", lambda _: fake.connect())
    return fake


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [
        films.make(folder / f"{name}.mkv", frames=FRAMES, width=width)
        for name, width in (("a", 192), ("b", 208), ("c", 224))
    ]


def config(folder: Path, **cluster: Any) -> Config:
    folder.mkdir(exist_ok=True)
    return Config.model_validate(
        {
            "output": {"path": folder / "stills"},
            "database": {"path": folder / "s.db", "commit_seconds": 0.05, "disk_margin_bytes": 0},
            "export": {"disk_margin_bytes": 0},
            "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0.1},
            "service": {"poll_seconds": 0.05, "pause_seconds": 0.05, "retry_seconds": 0.01},
            "cluster": {"address": "head:6379", "videos": 2, "gone_seconds": 0.3, **cluster},
        }
    )


def here(folder: Path) -> Config:
    return config(folder, address="")


def results(config: Config) -> tuple[list[Any], dict[str, bytes]]:
    """Every stored frame, and every still."""
    with sqlite3.connect(config.database.path) as db:
        rows = db.execute(
            "SELECT v.path, f.frame, f.pts, f.time_s, f.score, f.note, f.hash, d.verdict, d.duration_s FROM frames f"
            " JOIN videos v ON v.id = f.video_id JOIN decoded_frames d ON d.video_id = v.id AND d.frame = f.frame"
            " ORDER BY 1, 2"
        ).fetchall()
        rows += db.execute(
            "SELECT v.path, v.status, v.frames_decoded, v.frames_scored, v.damaged, v.damage, v.info, v.digest, p.record"
            " FROM videos v LEFT JOIN packet_index p ON p.video_id = v.id ORDER BY 1"
        ).fetchall()
        rows += db.execute("SELECT block, packed FROM feature_blocks ORDER BY video_id, block").fetchall()
        rows += db.execute("SELECT frame, score, method FROM stills ORDER BY video_id, rank").fetchall()
    db.close()
    root = config.output.path
    return rows, {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*.png"))}


async def test_rows_choices_and_stills_are_those_of_a_run_here(
    cluster: FakeCluster, made: list[Path], tmp_path: Path
) -> None:
    await once(here(tmp_path / "here"), made)
    records, _ = await once(config(tmp_path / "there"), made)
    assert [record.status for record in records] == [Status.DONE] * 3
    assert results(config(tmp_path / "there")) == results(here(tmp_path / "here"))
    assert cluster.connections == 1
    assert cluster.largest < 100_000, "Ray would store it"


def test_a_chunk_of_the_largest_size_stays_below_what_ray_would_store() -> None:
    import pickle

    from daemon.analysis.features import RECORD
    from daemon.cluster.worker import CHUNK_ROWS
    from daemon.model import Scored

    rows = tuple(
        Scored(
            frame, frame * 512, frame / 25, frame * 1.1, "corrupt", f"{frame:040x}", os.urandom(RECORD.itemsize), 0.04
        )
        for frame in range(1_000_000, 1_000_000 + CHUNK_ROWS)
    )
    assert len(pickle.dumps(Rows(0, 96, rows), 5)) < 100_000


async def test_a_film_goes_on_from_its_last_stored_frame_when_its_machine_is_gone(
    cluster: FakeCluster, made: list[Path], tmp_path: Path
) -> None:
    await once(here(tmp_path / "here"), made[:1])
    seen: list[Rows] = []

    async def lose_once(machine: str, item: Any) -> Any:
        if isinstance(item, Rows):
            seen.append(item)
            if len(seen) == 3 or (len(seen) > 3 and item.end > 100 and len(cluster.machines) == 2):
                await cluster.take_away(machine)
        return item

    cluster.machines["three"] = cluster.machines["two"].__class__("three", "three", 2.0, 0.0)
    cluster.on_item = lose_once
    with capture_logs() as logs:
        # Each time it has got further than the time before.
        (record,), _ = await once(config(tmp_path / "there", max_retries=1), made[:1])
    assert record.status is Status.DONE
    assert len(cluster.machines) == 1, "two machines were lost"
    assert results(config(tmp_path / "there")) == results(here(tmp_path / "here"))
    postponed = [log for log in logs if log["event"] == "video.postponed"]
    assert [log["error_kind"] for log in postponed] == [Kind.WORKER_LOST] * 2
    assert "its machine left the cluster" in postponed[0]["error"]
    # Two batches of 16 had come when the third was lost; they may not all have been committed.
    again = [rows.scored[0].frame for rows in seen[3:] if rows.scored]
    assert again[0] >= 16


async def test_a_hopeless_film_is_set_aside_and_holds_nobody(
    cluster: FakeCluster, made: list[Path], tmp_path: Path
) -> None:
    lost: list[str] = []

    def crash(machine: str, item: Any) -> Any:
        from daemon.cluster.messages import WorkerLostError

        if isinstance(item, Rows) and item.end <= 32 and item.scored and item.scored[0].hash in bad:
            lost.append(machine)
            raise WorkerLostError("its process ended: signal 11", crashed=True)
        return item

    await once(here(tmp_path / "here"), made)
    bad = {row[6].hex() if isinstance(row[6], bytes) else row[6] for row in results(here(tmp_path / "here"))[0][:10]}
    cluster.on_item = crash
    settings = config(tmp_path / "there")
    (first, *others), _ = await once(settings, made)
    assert [record.status for record in others] == [Status.DONE, Status.DONE]
    assert (first.status, first.error_kind) == (Status.FAILED, Kind.WORKER_CRASHED)
    assert "signal 11" in str(first.error)
    assert len(lost) == settings.service.max_attempts


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (
            lambda hello: {**hello, "versions": {**hello["versions"], "stillwatch": "0.0.9"}},
            "stillwatch is 0.0.9 there",
        ),
        (lambda hello: {**hello, "versions": {**hello["versions"], "libavcodec": "59.1.1"}}, "libavcodec is 59.1.1"),
        (lambda hello: {**hello, "missing": "No module named 'daemon'"}, "No module named 'daemon'"),
    ],
)
async def test_a_worker_that_differs_is_refused_by_name_and_another_takes_the_film(
    cluster: FakeCluster, made: list[Path], tmp_path: Path, spoil: Callable[[Any], Any], named: str
) -> None:
    cluster.hello["one"] = spoil
    used: set[str] = set()
    cluster.on_item = lambda machine, item: used.add(machine) or item
    with capture_logs() as logs:
        records, _ = await once(config(tmp_path / "there"), made[:2])
    assert [record.status for record in records] == [Status.DONE] * 2
    assert used == {"two"}
    (refused,) = [log for log in logs if log["event"] == "cluster.worker_refused"]
    assert refused["worker"] == "one"
    assert named in refused["reason"]


@pytest.mark.parametrize(("tolerance", "status"), [(0.0, None), (0.01, Status.DONE)])
async def test_other_digits_of_another_processor_are_refused_unless_they_are_tolerated(
    cluster: FakeCluster,
    made: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tolerance: float,
    status: Any,
) -> None:
    class Other(StubScorer):
        def score(self, pictures: Any) -> Any:
            return [outcome.__class__(outcome.score * (1 + 1e-9)) for outcome in super().score(pictures)]

    monkeypatch.setattr("daemon.cluster.worker.open_scorer", lambda *_: Other())
    settings = config(tmp_path / "there", tolerance=tolerance)
    if status is not None:
        (record,), _ = await once(settings, made[:1])
        assert record.status is status
        return
    with pytest.raises(StillwatchError, match=r"no machine of it can be used.*another kind of processor") as caught:
        await once(settings, made[:1])
    assert caught.value.kind is Kind.AWAY


async def test_another_scorer_is_refused(
    cluster: FakeCluster, made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Older(StubScorer):
        identity = "stub|0"

    monkeypatch.setattr("daemon.cluster.worker.open_scorer", lambda *_: Older())
    with pytest.raises(StillwatchError, match=r"its scorer is stub\|0, here it is stub\|1"):
        await once(config(tmp_path / "there"), made[:1])


async def test_a_machine_that_does_not_see_the_file_is_refused(
    cluster: FakeCluster, made: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(StillwatchError, match=r"it does not see .*mount the folder there, or set cluster\.path_map"):
        await once(config(tmp_path / "there", path_map={str(made[0].parent): "/nowhere"}), made[:1])


async def test_folders_may_have_other_names_there(cluster: FakeCluster, made: list[Path], tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.symlink_to(made[0].parent)
    opened: list[str] = []
    original = cluster.connect

    async def noted() -> Any:
        link = await original()
        stream = link.stream

        def watched(worker: str, method: str, *arguments: Any) -> Any:
            if method == "open":
                opened.append(str(arguments[0].file.path))
            return stream(worker, method, *arguments)

        link.stream = watched  # type: ignore[method-assign]
        return link

    cluster.connect = noted  # type: ignore[method-assign]
    settings = config(tmp_path / "there", path_map={str(made[0].parent): str(mounted)})
    (record,), _ = await once(settings, made[:1])
    assert record.status is Status.DONE
    assert record.file.path == made[0]
    assert opened == [str(mounted / made[0].name)]


async def test_content_that_changed_after_its_admission_is_found_there_and_taken_anew(
    cluster: FakeCluster, made: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same size and time, other bytes: only reading all of it tells."""
    film = tmp_path / "film.mkv"
    shutil.copy(made[0], film)
    look = film.stat()
    changed = bytearray(film.read_bytes())
    changed[len(changed) // 2] ^= 1

    def swap(hello: Any) -> Any:
        film.write_bytes(changed)
        os.utime(film, ns=(look.st_atime_ns, look.st_mtime_ns))
        return hello

    cluster.hello["one"] = swap
    (record,), _ = await once(config(tmp_path / "there"), [film])
    assert record.status is Status.REPLACED
    with sqlite3.connect(config(tmp_path / "there").database.path) as db:
        assert db.execute("SELECT COUNT(*) FROM videos").fetchone() == (2,)
    db.close()


async def test_a_cluster_that_is_gone_is_waited_for_and_then_said(
    cluster: FakeCluster, made: list[Path], tmp_path: Path
) -> None:
    cluster.up = False
    with capture_logs() as logs, pytest.raises(StillwatchError, match="head:6379 cannot be used: nobody answers"):
        await once(config(tmp_path / "there"), made[:1])
    assert [log["error"] for log in logs if log["event"] == "cluster.lost"] == ["nobody answers there"]


async def test_films_are_scored_here_while_the_cluster_is_gone_if_that_is_wished(
    cluster: FakeCluster, made: list[Path], tmp_path: Path
) -> None:
    cluster.up = False
    await once(here(tmp_path / "here"), made)
    with capture_logs() as logs:
        records, _ = await once(config(tmp_path / "there", if_gone="here"), made)
    assert [record.status for record in records] == [Status.DONE] * 3
    assert results(config(tmp_path / "there")) == results(here(tmp_path / "here"))
    assert len([log for log in logs if log["event"] == "cluster.scored_here"]) == 1


async def test_a_connection_that_is_lost_in_mid_film_is_made_again(
    cluster: FakeCluster, made: list[Path], tmp_path: Path
) -> None:
    await once(here(tmp_path / "here"), made)
    parts: list[str] = []

    def lose(machine: str, item: Any) -> Any:
        parts.append(machine)
        if len(parts) == 5:
            cluster.connections += 1
        return item

    cluster.on_item = lose
    records, _ = await once(config(tmp_path / "there"), made)
    assert [record.status for record in records] == [Status.DONE] * 3
    assert results(config(tmp_path / "there")) == results(here(tmp_path / "here"))
    assert cluster.connections == 3


async def test_what_each_worker_does_is_told(cluster: FakeCluster, made: list[Path], tmp_path: Path) -> None:
    told: list[ClusterSeen] = []
    one_waits = asyncio.Event()
    start = FakeLink.start

    def listen(event: Event) -> None:
        if isinstance(event, ClusterSeen):
            told.append(event)
            if event.waiting:
                one_waits.set()

    async def start_late(link: FakeLink, avoid: Collection[str]) -> tuple[Started, dict[str, Any]]:
        await asyncio.wait_for(one_waits.wait(), 60.0)
        return await start(link, avoid)

    from daemon.cluster import open_cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(open_cluster, "SEEN_SECONDS", 0.01)
        patch.setattr(FakeLink, "start", start_late)
        await once(config(tmp_path / "there"), made, listen)
    working = [one for seen in told for one in seen.workers if one.video_id is not None]
    assert {one.worker for one in working} == {"one", "two"}
    assert any(one.fps > 0 for one in working)
    assert one_waits.is_set(), "a film waits until a worker is ready"
    idle = [one for seen in told for one in seen.workers if one.video_id is None]
    assert any(one.memory_bytes > 10_000_000 for one in idle)


def test_without_ray_an_address_stops_the_start_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    from daemon.cluster import link

    monkeypatch.setattr(link, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"needs Ray, which is not installed: `pip install '\.\[cluster\]'`"):
        link.require_ray("head:6379")


def test_without_a_token_it_is_said_where_one_is_looked_for(tmp_path: Path) -> None:
    from daemon.cluster.link import require_token

    with pytest.raises(Exception, match=r"there is no token for it.*/\.ray/auth_token, or RAY_AUTH_TOKEN"):
        require_token({"HOME": str(tmp_path)})
    (tmp_path / "token").write_text("abc")
    require_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")})
    require_token({"RAY_AUTH_TOKEN": "abc"})


@pytest.mark.parametrize("address", ["ray://head:10001", "http://head", "head", "head:123456"])
def test_addresses_that_are_none(address: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cluster\.address"):
        config(tmp_path, address=address)
