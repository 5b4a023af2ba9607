"""Merging again changes nothing, and the order of merging makes no difference to what is known of a film.

But for one thing: of a film that two scorers have done, the current scorer is that of whoever came first.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.cli.merge import MergedDatabase, merge
from daemon.config.schema import Config
from daemon.errors import Kind, VideoError
from daemon.model import FileIdentity, Scored, Selection, Status, VideoInfo, VideoRecord
from daemon.store.merge import Step, step_for
from daemon.store.store import Store

INFO = VideoInfo(Path("/in/a.mp4"), "mov", 0, "h264", 64, 48, "yuv420p", 8, Fraction(1, 25), Fraction(25), 0, None, 0.0)
FRAMES = 6


@dataclass(frozen=True, slots=True)
class Film:
    """How far a film of some content has come, by whose scores."""

    content: int
    scorer: str
    state: Status


films = st.builds(
    Film,
    content=st.integers(0, 3),
    scorer=st.sampled_from(["one|1", "two|1"]),
    state=st.sampled_from([Status.QUEUED, Status.FAILED, Status.SCORED, Status.DONE]),
)
libraries = st.lists(films, max_size=4, unique_by=lambda film: film.content)


async def fill(path: Path, library: Sequence[Film]) -> Path:
    """A database that has these films, in this order."""
    store = await Store.open(Config.model_validate({"database": {"path": path}}).database)
    try:
        for film in library:
            digest = f"{film.content + 1:064x}"
            file = FileIdentity(Path(f"/in/{film.content}.mp4"), digest, 1, 1, digest)
            video_id = await store.queue.enqueue(file)
            if film.state is Status.QUEUED:
                continue
            await store.frames.begin_scoring(video_id, INFO, film.scorer[:3], True, film.scorer)
            # One that failed has come half the way.
            count = FRAMES // 2 if film.state is Status.FAILED else FRAMES
            score = len(film.scorer) + film.content + (film.scorer == "two|1")
            await store.frames.add(
                video_id,
                [Scored(n, n, n / 25, score + n / 10, None, f"{film.content:02x}{n:038x}", b"f") for n in range(count)],
            )
            if film.state is Status.FAILED:
                await store.queue.fail(video_id, Status.FAILED, VideoError(Kind.DECODE, "it cannot be decoded"))
                continue
            await store.frames.end_scoring(
                video_id, frames_decoded=FRAMES, damaged=False, mixed=False, damage=None, packets=1, packet_index=b"p"
            )
            if film.state is Status.DONE:
                await store.selections.finish(video_id, Selection((), 0, None, {"scorer": film.scorer}), [])
    finally:
        await store.close()
    return path


def known(path: Path) -> dict[str, Any]:
    """What is known of the films, whoever was first."""
    db = sqlite3.connect(path)
    try:
        return {
            "states": set(db.execute("SELECT digest, status, frames_decoded FROM videos")),
            "frames": set(
                db.execute("SELECT v.digest, f.frame, f.hash FROM decoded_frames f JOIN videos v ON v.id = f.video_id")
            ),
            "scores": set(
                db.execute(
                    "SELECT v.digest, s.scorer, s.frame, s.score FROM scores s JOIN videos v ON v.id = s.video_id"
                )
            ),
        }
    finally:
        db.close()


def dump(path: Path) -> list[str]:
    """Every row."""
    db = sqlite3.connect(path)
    try:
        return list(db.iterdump())
    finally:
        db.close()


async def merged(path: Path, *databases: Path) -> list[MergedDatabase]:
    config = Config.model_validate({"database": {"path": path}, "output": {"path": path.parent / "out"}})
    return await merge(config, databases, {})


@settings(max_examples=25)
@given(libraries, libraries)
def test_merged_again_nothing_changes_and_everything_is_known(here: list[Film], there: list[Film]) -> None:
    async def run(folder: Path) -> None:
        target, other = await fill(folder / "here.db", here), await fill(folder / "there.db", there)
        await merged(target, other)
        before = dump(target)
        (again,) = await merged(target, other)
        assert again.error is None
        assert {film.outcome for film in again.films} <= {"known", "left"}
        assert dump(target) == before

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@settings(max_examples=25)
@given(libraries, libraries, libraries)
def test_the_order_makes_no_difference_to_what_is_known(one: list[Film], two: list[Film], three: list[Film]) -> None:
    async def run(folder: Path) -> None:
        databases = [await fill(folder / f"{n}.db", library) for n, library in enumerate((one, two, three))]
        await merged(folder / "forth.db", *databases)
        await merged(folder / "back.db", *reversed(databases))
        assert known(folder / "forth.db") == known(folder / "back.db")

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


def row(status: Status, error_kind: str | None = None) -> VideoRecord:
    file = FileIdentity(Path("/in/a.mp4"), "f" * 64, 1, 1)
    return VideoRecord(7, file, status, "niqe", True, "n", None, 1, 1, False, False, error_kind, None, 0)


states = st.sampled_from(list(Status))


@given(states, st.booleans(), states, st.booleans())
def test_no_film_takes_the_place_of_one_that_is_as_far(
    there: Status, scored: bool, here: Status, here_scored: bool
) -> None:
    step, reason = step_for(row(there), scored, row(here), here_scored)
    assert bool(reason) == (step is Step.LEAVE)
    if here in (Status.SCORING, Status.EXPORTING):
        assert step is Step.LEAVE
    if step is Step.COMPLETE:
        assert scored or there is Status.DONE
        back, _ = step_for(row(here), here_scored, row(there), scored)
        assert back is not Step.COMPLETE
    if (there, scored) == (here, here_scored):
        assert step is not Step.COMPLETE
