"""What would be chosen of a film, at once and without exporting anything."""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Any

from daemon.config.schema import Config
from daemon.export import disk_space
from daemon.export.image_format import image_format
from daemon.export.scaling import target_size
from daemon.job import VideoJob
from daemon.media import filters
from daemon.model import VideoRecord
from daemon.pipeline import portraits
from daemon.pipeline.refine import Refiner
from daemon.pipeline.select_frames import FrameSelector
from daemon.pipeline.wishes import wishes_now
from daemon.scoring.second_opinion import second_metric
from daemon.store.store import Store
from daemon.web import shown

KEPT_SELECTORS = 2


class Previews:
    """What would be chosen: films that were asked about last stay read."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], FrameSelector] = OrderedDict()
        self._lock = asyncio.Lock()

    async def prepare(self, store: Store, config: Config, record: VideoRecord) -> None:
        """Read of a film what a preview needs, so that the first one is as quick as the next."""
        await self.choose(store, config, record, anew=True)

    async def choose(self, store: Store, config: Config, record: VideoRecord, *, anew: bool) -> dict[str, Any]:
        """Frames and reasons, why there are fewer than asked for, and the bytes that an export needs and has."""
        # The second metric would have to score, and faces to be looked at: the preview goes without them.
        refined = bool(second_metric(config.score.refine.metric)) or portraits.wanted(config)
        select = config.select.model_copy(update={"faces": "off"})
        score = config.score.model_copy(update={"refine": config.score.refine.model_copy(update={"metric": ""})})
        config = config.model_copy(update={"score": score, "select": select})
        wishes = await wishes_now(store, record, config.select.min_gap_seconds, anew=anew)
        async with self._lock:
            version = await store.review.version(record.id)
            key = (record.id, config.select.strategy == "best", *version)
            base = self._kept.get(key)
            if base is None:
                job = VideoJob.of(record, config.service.stuck_seconds)
                base = FrameSelector(config, store, job, Refiner(config, store), wishes)
                await base.keep_looks()
            selector = base.asked(config, wishes)
            selection = await selector.select()
            self._kept[key] = selector
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_SELECTORS:
                self._kept.popitem(last=False)
        picks = [
            {"frame": one.frame, "time": shown.clock(one.time_s), "score": round(one.score, 4), "rank": one.rank}
            for one in selection.picks
        ]
        return {
            "picks": picks,
            "shortfall": selection.shortfall,
            "refined": refined,
            **await asyncio.to_thread(_room, config, record, len(picks)),
        }


def _room(config: Config, record: VideoRecord, stills: int) -> dict[str, Any]:
    if record.info is None:
        return {}
    width, height = target_size(*filters.picture_size(record.info), config.output.size)
    image, batch = image_format(config.output, record.info), config.export.select_batch
    stays = disk_space.estimate(
        stills=stills, select_batch=batch, width=width, height=height, depth=image.depth, jpeg=image.suffix == "jpg"
    ).final_bytes
    need = disk_space.of_export(record.info, image, stills=stills, select_batch=batch)
    folder = next((one for one in (config.output.path, *config.output.path.parents) if one.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    fits = disk_space.has_room(free, need, config.export.disk_margin_bytes)
    return {"need": shown.size(stays), "free": shown.size(free), "fits": fits}
