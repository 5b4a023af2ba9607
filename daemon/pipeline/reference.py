"""The decoder that scored a video, as the export and the second metric need it: any of its frames, again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from daemon.config.score import DecodeConfig
from daemon.decode.packet_index import PacketIndex
from daemon.decode.seek_plan import Rung, cost
from daemon.decode.stretches import STRETCHES_KEPT
from daemon.errors import Kind, VideoError
from daemon.export.image_format import ImageFormat
from daemon.job import VideoJob
from daemon.model import Frame, VideoInfo, WantedFrame
from daemon.scan.again import Again, Packets, Way
from daemon.scan.apart import Decoding
from daemon.scan.decoded import decoded, found_by
from daemon.store.store import Store


class Indexed(Protocol):
    """Where the index of a film's packets comes from."""

    async def index(self) -> PacketIndex | None:
        """The index; None where there is none, and all frames are found by the pass."""


class FilmPackets:
    """The index that was kept with a film; one that was scored before that is read once, and its index kept."""

    def __init__(self, store: Store, job: VideoJob, config: DecodeConfig) -> None:
        self._store = store
        self._job = job
        self._config = config
        self._index: PacketIndex | None = None

    async def index(self) -> PacketIndex | None:
        """The index; None where it is not known of each frame how it was made into its picture.

        Raises VideoError when the file has to be read and cannot be.
        """
        info = scored_info(self._job)
        stretches = len(info.stretches)
        # Where frames of two fields are made of one, that alone makes a film a mixed one.
        if stretches >= STRETCHES_KEPT or (self._job.record.mixed and not stretches and not info.deinterlace):
            return None
        if self._index is None:
            self._index = await self._stored() or await self._read()
        return self._index

    async def _stored(self) -> PacketIndex | None:
        record = await self._store.frames.packet_index(self._job.record.id)
        try:
            return None if record is None else await asyncio.to_thread(PacketIndex.unpacked, record)
        except ValueError:
            # A damaged one, or of a version that is not known any more: it is made again.
            return None

    async def _read(self) -> PacketIndex:
        job = self._job
        index = await found_by(job, Packets(scored_info(job), self._config))
        await self._store.frames.keep_packet_index(job.record.id, len(index), index.record)
        job.on_progress()
        return index


class PyavReference:
    """A ``ReferenceDecoder`` (see ``daemon.export.source``): PyAV with one thread, in a process of its own.

    It tells the job's progress, and is ended when it hangs. Without ``packets`` every frame takes a pass.
    """

    def __init__(self, job: VideoJob, config: DecodeConfig, packets: Indexed | None = None) -> None:
        self._job = job
        self._config = config
        self._packets = packets

    async def seeking_pays(self, wanted: Sequence[WantedFrame]) -> bool:
        """Whether these frames cost clearly less by seeking than by a pass over the film."""
        index = await self._index()
        return index is not None and cost(index, wanted).seeking_pays

    @asynccontextmanager
    async def sought(self, wanted: Sequence[WantedFrame], image: ImageFormat) -> AsyncIterator[AsyncIterator[Frame]]:
        """Those of the frames that seeking finds, each with its stored hash, as pictures of the image's depth."""
        index = await self._index()
        if index is None:
            raise VideoError(Kind.INTERNAL, "there is no index of packets to seek by")
        decoding = Decoding(self._again(Way.SEEK, wanted, image, index))
        async with decoded(self._job, decoding) as stream:
            yield stream
        rungs = decoding.findings or {}
        found = {rung: rungs.get(rung, 0) for rung in (Rung.KEY, Rung.KEY_BEFORE)}
        self._job.log.info(
            "export.sought",
            key=found[Rung.KEY],
            key_before=found[Rung.KEY_BEFORE],
            missed=len(wanted) - sum(found.values()),
        )

    @asynccontextmanager
    async def frames(
        self, wanted: Sequence[WantedFrame], image: ImageFormat, *, seek: bool = True
    ) -> AsyncIterator[AsyncIterator[Frame]]:
        """The frames as pictures of the image's depth: by seeking where that pays and ``seek`` allows it, or a pass."""
        index = await self._index() if seek else None
        way = Way.PASS if index is None else Way.CHEAPER
        async with decoded(self._job, Decoding(self._again(way, wanted, image, index))) as stream:
            yield stream

    def _again(self, way: Way, wanted: Sequence[WantedFrame], image: ImageFormat, index: PacketIndex | None) -> Again:
        info = scored_info(self._job)
        return Again(info, self._config, way, wanted, index, depth=image.depth, keep_hdr=image.keep_hdr)

    async def _index(self) -> PacketIndex | None:
        return await self._packets.index() if self._packets is not None else None


def scored_info(job: VideoJob) -> VideoInfo:
    """What the probe found. Raises VideoError(INTERNAL) for a video that was never scored."""
    if job.record.info is None:
        raise VideoError(Kind.INTERNAL, "the video was never scored: queue it again with `stillwatch retry`")
    return job.record.info


async def frames_as_scored(
    store: Store, job: VideoJob, config: DecodeConfig, frames: Collection[int]
) -> AsyncGenerator[Frame, None]:
    """Some frames of a scored video with the picture that was scored; one whose hash is another now is left out.

    Only these frames are decoded into pictures. Raises VideoError.
    """
    info = scored_info(job)
    rows = await store.frames.rows(job.record.id, sorted(frames))
    index = await FilmPackets(store, job, config).index()
    wanted = [WantedFrame(row.frame, row.pts, row.time_s, row.hash) for row in rows.values()]
    again = Again(info, config, Way.CHEAPER, wanted, index, single_thread=job.record.damaged)
    async with decoded(job, Decoding(again)) as stream:
        async for frame in stream:
            if frame.picture is not None and frame.index in rows and frame.hash == rows[frame.index].hash:
                yield frame
