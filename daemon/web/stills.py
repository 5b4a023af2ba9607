"""The stills of a film as people are shown them: with their reasons, and reduced for a card."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

from daemon.export import published
from daemon.export.jpeg import reduced
from daemon.model import VideoRecord
from daemon.store.store import Store
from daemon.web import shown


async def stills_of(store: Store, record: VideoRecord) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The stills of a film's current selection by rank, with their reasons as sentences; and that selection."""
    newest = await store.queries.current_selection(record.id)
    if newest is None:
        return [], None
    stills = [
        {
            **still,
            "time": shown.clock(still["time_s"]),
            "file": shown.shown_name(Path(still["path"]).name),
            "size": shown.size(still["bytes"]),
            "why": shown.why_chosen(json.loads(still["reason"]) if still["reason"] else None),
        }
        for still in await store.queries.stills(newest["id"])
    ]
    return stills, {**newest, "params": json.loads(newest["params"])}


def small_still(path: Path, output: Path, longest: int, most_pixels: int) -> bytes:
    """A published still as a small JPEG. Raises OSError, SyntaxError, ValueError for what else may be in its place."""
    with published.held(path, output) as still:
        return reduced(still, longest, most_pixels)


class Cards:
    """Stills reduced for cards: a large one takes half a second, so the last ones are kept."""

    PIXELS = 640
    KEPT = 200

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int, int], bytes] = OrderedDict()

    async def get(self, path: Path, output: Path, most_pixels: int) -> tuple[bytes, str]:
        """A still below ``output`` as a small JPEG, and a tag that changes with the file.

        Raises OSError, SyntaxError, ValueError for what else may be in its place.
        """
        stat = await asyncio.to_thread(path.lstat)
        key = (path, stat.st_mtime_ns, stat.st_size)
        picture = self._kept.pop(key, None)
        if picture is None:
            picture = await asyncio.to_thread(small_still, path, output, self.PIXELS, most_pixels)
        self._kept[key] = picture
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return picture, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
