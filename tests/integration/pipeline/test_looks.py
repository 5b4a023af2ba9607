"""What a film's frames look like, from the store or as it was kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daemon.pipeline.looks import FilmLooks
from daemon.store.frames import Frames
from daemon.store.store import Store
from tests.integration.pipeline.test_select_frames import config_in, edited_film, scored, store

__all__ = ["store"]


async def test_frames_that_were_kept_are_not_read_again_and_others_are(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await scored(store, config_in(tmp_path), edited_film(tmp_path / "film.mp4"))
    looks = FilmLooks(store, record.id)
    every = np.arange(190)
    stored = await looks.records(every)
    read: list[int] = []
    from_store = Frames.features_of

    async def noted(frames: Frames, video_id: int, wanted: list[int]) -> list[bytes | None]:
        read.extend(wanted)
        return await from_store(frames, video_id, wanted)

    monkeypatch.setattr(Frames, "features_of", noted)
    looks.keep(every[50:150:2], stored[50:150:2])
    for frames in (every[60:100:2], every[::-1], every[:0], every[[189, 0, 52, 51]]):
        read.clear()
        assert (await looks.records(frames)).tobytes() == stored[frames].tobytes()
        assert read == [frame for frame in frames if not (50 <= frame < 150 and frame % 2 == 0)]
