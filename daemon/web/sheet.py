"""A film's contact sheet: what is drawn, from the pictures of its strip."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from typing import Literal

import numpy as np

from daemon.analysis import features
from daemon.errors import Kind, StoreError, VideoError
from daemon.export.contact_sheet import Cell, draw
from daemon.export.jpeg import enlarged
from daemon.media import filters
from daemon.model import VideoRecord
from daemon.store.review import FilmColumns
from daemon.store.store import Store
from daemon.web import shown

STRIP_PIXELS = 160
MOST_CELLS = 2000


async def contact_sheet(
    store: Store, record: VideoRecord, *, columns: int, rows: int, kind: Literal["PNG", "JPEG"]
) -> bytes:
    """Frames evenly through the film, the stills among them with a frame around. Raises StoreError, VideoError."""
    table = await columns_of(store, record)
    current = await store.queries.current_selection(record.id)
    stills = {one["frame"] for one in await store.queries.stills(current["id"])} if current else set()
    cells = [
        await _cell(store, record, table, at, stills)
        for at in places(table, stills, min(max(columns, 1) * max(rows, 1), MOST_CELLS))
    ]
    found = [cell for cell in cells if cell is not None]
    try:
        return await asyncio.to_thread(
            draw, shown.shown_name(record.file.path.name), facts_line(record, len(stills)), found, columns, kind
        )
    except ValueError as error:
        raise VideoError(Kind.TOO_LARGE, str(error)) from error


async def columns_of(store: Store, record: VideoRecord) -> FilmColumns:
    """The film's frames as columns. Raises StoreError(NOT_FOUND) where there are none."""
    table = await store.review.columns(record.id)
    if len(table.frame) == 0:
        raise StoreError(Kind.NOT_FOUND, f"video {record.id} has no frames yet: wait until it is scored")
    return table


def places(table: FilmColumns, stills: set[int], count: int) -> list[int]:
    """Rows for the cells, at most ``count``: the stills, and frames evenly through what lies between them."""
    last = len(table.frame) - 1
    taken = sorted({int(row) for row in np.searchsorted(table.frame, sorted(stills)) if row <= last})
    fixed = sorted({0, *taken, last})
    if len(fixed) > count:
        few = taken or fixed
        return [few[int(at)] for at in np.linspace(0, len(few) - 1, min(count, len(few))).round()]
    # One more always into the stretch whose frames are farthest apart.
    stretches: list[tuple[float, int, int, int]] = [
        (first - after, first, after, 1) for first, after in itertools.pairwise(fixed)
    ]
    heapq.heapify(stretches)
    for _ in range(count - len(fixed)):
        if not stretches or stretches[0][0] >= -1:
            break
        _, first, after, parts = stretches[0]
        heapq.heapreplace(stretches, ((first - after) / (parts + 1), first, after, parts + 1))
    between = (np.linspace(first, after, parts + 1) for _, first, after, parts in stretches)
    return sorted({*fixed, *(int(row) for part in between for row in part.round())})


async def _cell(store: Store, record: VideoRecord, table: FilmColumns, at: int, stills: set[int]) -> Cell | None:
    frame = int(table.frame[at])
    picture = await small_picture(store, record, frame)
    if picture is None:
        return None
    score = float(table.score[at])
    told = "" if math.isnan(score) else f"  {score:.2f}"
    return Cell(picture, f"{shown.clock(float(table.time_s[at]))[:-2]}{told}", frame in stills)


async def small_picture(store: Store, record: VideoRecord, frame: int) -> bytes | None:
    """The picture of the strip that is nearest to a frame; where there is no strip, the frame's tiny thumbnail."""
    found = await store.strips.nearest(record.id, frame)
    if found is not None:
        return found[1]
    (blob,) = await store.frames.features_of(record.id, [frame])
    records = features.unpack([blob])
    if records["version"][0] == 0:
        return None
    width, height = _strip_size(record)
    return await asyncio.to_thread(enlarged, records["thumbnail"][0], width, height)


def _strip_size(record: VideoRecord) -> tuple[int, int]:
    if record.info is None:
        return STRIP_PIXELS, STRIP_PIXELS * 9 // 16
    width, height = filters.picture_size(record.info)
    scale = STRIP_PIXELS / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def upright(record: VideoRecord) -> bool:
    """Whether the film's pictures are higher than wide."""
    width, height = _strip_size(record)
    return height > width


def facts_line(record: VideoRecord, stills: int) -> str:
    """What the film is, in a line."""
    info = record.info
    parts = []
    if info is not None:
        width, height = filters.picture_size(info)
        parts.append(f"{width} x {height}  {info.codec}")
        if info.duration_s is not None:
            parts.append(shown.clock(info.duration_s))
    better = "lower" if record.lower_better else "higher"
    frames = shown.counted(record.frames_decoded or 0, "frame")
    parts += [frames, f"{record.metric}, {better} is better", shown.counted(stills, "still")]
    return "   ".join(parts)
