"""A video's older selections: out of the folder that the current one takes, as many as are kept."""

from __future__ import annotations

import asyncio

from daemon.config.output import OutputConfig
from daemon.export import disk_space
from daemon.export.older_selections import OlderStill, prune, set_apart
from daemon.export.paths import StillFolder, same_folder
from daemon.model import VideoRecord
from daemon.store.store import Store


class OlderSelections:
    """Those of one video and of the content that it has replaced.

    What was exported to a ``folder`` of its own below the output's has its older selections there; None: all others.
    """

    def __init__(self, store: Store, output: OutputConfig, record: VideoRecord, folder: str | None = None) -> None:
        self._folder = folder
        self._store = store
        self._output = output
        self._record = record

    async def folder(self) -> StillFolder:
        """The folder of the video's stills: by its digest where another film of its name has its fingerprint."""
        file = self._record.file
        others = await self._store.videos.same_fingerprint_before(self._record.id)
        output = self._output.path if self._folder is None else self._output.path / self._folder
        template, info = self._output.folder, self._record.info
        alike = any(same_folder(file.path, other, template) for other in others)
        return StillFolder.of(output, file, alike, template, info.origin.captured_at if info is not None else "")

    async def set_apart(self, folder: StillFolder) -> list[OlderStill]:
        """Have every still of an older selection apart, on the disk and then in the database; where they were.

        Raises ExportError when the output disk is full or cannot be written, StoreError.
        """
        rows = await self._store.selections.older_stills(self._record.id, self._folder)
        older = [OlderStill(row.selection_id, row.rank, row.path) for row in rows]
        with disk_space.writing(self._output.path):
            moved = await asyncio.to_thread(set_apart, folder, self._output.path, older)
        if moved:
            await self._store.selections.moved(moved)
        return older

    async def prune(self, folder: StillFolder, current: int) -> None:
        """Keep the newest ones, as many as the settings say, and forget the stills of the others."""
        rows = await self._store.selections.older_stills(self._record.id, self._folder)
        ids = sorted({row.selection_id for row in rows} - {current}, reverse=True)
        keep = self._output.keep_selections
        # Stills of no known selection count as one, the oldest.
        kept = set(ids[:keep]) | ({0} if len(ids) < keep else set())
        await self._store.selections.forget_stills([one for one in ids if one not in kept])
        with disk_space.writing(self._output.path):
            await asyncio.to_thread(prune, folder, self._output.path, kept)
