"""The same pipeline in the foreground, for files that are named by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from daemon.config.output import OutputConfig
from daemon.config.preset_over import for_film
from daemon.config.schema import Config
from daemon.errors import Kind, VideoError
from daemon.events import Listener, ignore
from daemon.export import work_folder
from daemon.export.image_format import image_format
from daemon.export.paths import is_apart
from daemon.inbox import held_source, identity
from daemon.inbox.enqueue import enter, refuse
from daemon.model import FileIdentity, Status, VideoRecord
from daemon.pipeline.select_frames import selection_params
from daemon.pipeline.wishes import holds
from daemon.pipeline.workers import Workers, running_workers
from daemon.runtime.durable import make_synced_folder
from daemon.runtime.lock import only_one
from daemon.runtime.tasks import wind_down
from daemon.service.scanning import elsewhere
from daemon.service.signals import Stop
from daemon.store.store import PastSelection, Store

_HOPELESS = (Status.FAILED, Status.REJECTED, Status.MISSING)


async def once(config: Config, paths: Sequence[Path], listener: Listener = ignore) -> tuple[list[VideoRecord], bool]:
    """Take files through the same pipeline in the foreground, in order.

    Returns their rows as they stand at the end, and whether a signal stopped it early. Files that are
    done with the same settings are not done again.
    """
    # Whoever waits in the foreground is told what is wrong instead of waiting for it to pass.
    config = config.model_copy(update={"service": config.service.model_copy(update={"max_retries": 0})})
    with only_one(config.database.path), Stop(config.service) as stop:
        make_synced_folder(config.output.path)
        await asyncio.to_thread(lambda: work_folder.clean(config.output.path) + held_source.clean())
        store = await Store.open(config.database)
        try:
            await store.queue.recover(config.service.max_attempts)
            ids = [(await _submit(store, path, copies=config.watch.copies)).id for path in paths]
            if any([(await store.videos.get(video_id)).status not in _HOPELESS for video_id in ids]):
                await _work_off(config, store, ids, listener, stop)
            return [await store.videos.get(video_id) for video_id in ids], stop.asked.is_set()
        finally:
            await store.close()


async def _submit(store: Store, path: Path, *, copies: bool) -> VideoRecord:
    """Admit a file that was named by hand: no settling, and what failed before is tried again."""
    absolute = Path(os.path.abspath(path))
    try:
        file = await asyncio.to_thread(identity.fingerprint, absolute)
        record = await enter(store, file, copies=copies)
    except VideoError as error:
        return await refuse(store, FileIdentity(absolute, "", 0, 0), error)
    if record.status in (Status.FAILED, Status.REJECTED) and record.error_kind != Kind.DUPLICATE:
        await store.queue.requeue([record.id])
    return await store.videos.get(record.id)


async def _work_off(config: Config, store: Store, ids: Sequence[int], listener: Listener, stop: Stop) -> None:
    async with running_workers(config, store, listener, ids, elsewhere=elsewhere(config, listener)) as workers:
        for video_id in ids:
            await _reopen(config, store, workers, await store.videos.get(video_id))
        tasks = workers.start()
        asked = asyncio.create_task(stop.asked.wait())
        try:
            while not await _all_final(store, ids):
                workers.changed.clear()
                changed = asyncio.create_task(workers.changed.wait())
                done, _ = await asyncio.wait([*tasks, asked, changed], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if done - {changed}:
                    break
        finally:
            asked.cancel()
            workers.stop()
            await wind_down(tasks, config.service.stop_seconds)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


async def _reopen(config: Config, store: Store, workers: Workers, record: VideoRecord) -> None:
    """A video that is done goes through again only as far as the settings have changed."""
    if record.status is not Status.DONE:
        return
    asked = record.info.stream_asked if record.info is not None else None
    if record.scorer != workers.scorer_identity or asked != config.decode.stream:
        await store.queue.set_status(record.id, Status.QUEUED)
        return
    config = for_film(config, record.file.path)
    latest = await store.selections.latest(record.id)
    held = holds(await store.decisions.decided(record.id))
    if (
        latest is None
        or latest.params != selection_params(config, workers.scorer_identity, held)
        or not await asyncio.to_thread(_as_wanted, config.output, record, latest)
    ):
        await store.queue.set_status(record.id, Status.SCORED)


def _as_wanted(output: OutputConfig, record: VideoRecord, latest: PastSelection) -> bool:
    """Whether its stills are all there, where and as they would be written now."""
    if record.info is None:
        return False
    wanted = image_format(output, record.info).name
    return all(image == wanted for image in latest.images) and all(
        path.is_relative_to(output.path) and path.is_file() and not is_apart(path) for path in latest.paths
    )


async def _all_final(store: Store, ids: Sequence[int]) -> bool:
    return all([(await store.videos.get(video_id)).status.final for video_id in ids])
