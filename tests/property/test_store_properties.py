"""Whatever goes into the store comes out as it was."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.service import DatabaseConfig
from daemon.media.info_text import info_json, info_of
from daemon.model import Colour, FileIdentity, Scored, VideoInfo
from daemon.store.columns import path_of, path_value
from daemon.store.store import Store

INT64 = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(max_size=30)
plain_text = st.text(st.characters(codec="utf-8"), max_size=30)
paths = st.binary(min_size=1, max_size=60).filter(lambda raw: b"\0" not in raw).map(lambda raw: Path(os.fsdecode(raw)))
fractions = st.fractions(min_value=0, max_value=10**9)
hashes = st.text("0123456789abcdef", min_size=40, max_size=40)

rows = st.lists(
    st.builds(
        Scored,
        frame=st.integers(0, 300),
        pts=st.none() | INT64,
        time_s=finite,
        score=finite,
        note=st.none() | plain_text,
        hash=hashes,
    )
    | st.builds(
        Scored,
        frame=st.integers(0, 300),
        pts=st.none() | INT64,
        time_s=finite,
        score=st.none(),
        note=plain_text,
        hash=hashes,
    ),
    max_size=30,
)
infos = st.builds(
    VideoInfo,
    path=st.just(Path("/in/a.mp4")),
    container=text,
    stream_index=st.integers(0, 100),
    codec=plain_text,
    width=st.integers(1, 2**15),
    height=st.integers(1, 2**15),
    pix_fmt=plain_text,
    bit_depth=st.integers(1, 16),
    time_base=fractions,
    frame_rate=st.none() | fractions,
    frames_estimate=st.integers(0, 2**40),
    duration_s=st.none() | finite,
    start_s=finite,
    sample_aspect=fractions,
    rotation_degrees=st.sampled_from([0, 90, 180, 270]),
    flip=st.booleans(),
    colour=st.builds(Colour, matrix=text, range=text, transfer=text, primaries=text),
)


def with_store(work: Callable[[Store], Awaitable[None]]) -> None:
    async def run(folder: str) -> None:
        store = await Store.open(DatabaseConfig(path=Path(folder) / "s.db"))
        try:
            await work(store)
        finally:
            await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(folder))


@settings(max_examples=40)
@given(batches=st.lists(rows, max_size=4))
def test_the_last_row_written_for_each_frame_is_the_one_that_is_there(batches: list[list[Scored]]) -> None:
    expected = {row.frame: row for batch in batches for row in batch}

    async def work(store: Store) -> None:
        video_id = await store.queue.enqueue(FileIdentity(Path("/in/a.mp4"), "f" * 64, 1, 1))
        for batch in batches:
            await store.frames.add(video_id, batch)
        assert await store.frames.rows(video_id, sorted(expected)) == expected
        known = await store.frames.hashes(video_id)
        assert known == [expected[n].hash if n in expected else "" for n in range(max(expected, default=-1) + 1)]
        table = await store.frames.table(video_id)
        in_order = [expected[n] for n in sorted(expected)]
        assert table.frame.tolist() == [row.frame for row in in_order]
        scores = [np.nan if row.score is None else row.score for row in in_order]
        assert np.array_equal(table.score, scores, equal_nan=True)
        assert table.noted.tolist() == [row.note is not None for row in in_order]

    with_store(work)


@settings(max_examples=40)
@given(path=paths, fingerprint=hashes, size=st.integers(0, 2**60), mtime=INT64)
def test_a_file_is_known_by_what_it_was_to_the_byte_and_nanosecond(
    path: Path, fingerprint: str, size: int, mtime: int
) -> None:
    file = FileIdentity(path, fingerprint, size, mtime)

    async def work(store: Store) -> None:
        video_id = await store.queue.enqueue(file)
        assert (await store.videos.get(video_id)).file == file
        assert await store.videos.unknown([(path, size, mtime)]) == []
        assert [one.id for one in await store.videos.at_path(path)] == [video_id]

    with_store(work)


@settings(max_examples=200)
@given(infos)
def test_a_probe_reads_back(info: VideoInfo) -> None:
    assert info_of(info_json(info), info.path) == info


@settings(max_examples=200)
@given(paths)
def test_a_path_reads_back_to_the_byte(path: Path) -> None:
    assert os.fsencode(path_of(path_value(path))) == os.fsencode(path)


def test_no_probe_reads_back_as_none() -> None:
    assert info_of(None, Path("/in/a.mp4")) is None


def test_fractions_are_kept_exactly() -> None:
    assert Fraction(str(Fraction(30000, 1001))) == Fraction(30000, 1001)
