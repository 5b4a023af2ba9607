"""From picks to published, proven stills: the ladder of proof.

Each rung is tried for the frames that the one above could not prove; an image that is not proven is thrown away.

::

    seek              the decoder that scored the video seeks to each frame: its planes have the hash that was stored by
      │               the scoring, FFmpeg encodes that very picture, and the file is compared with it pixel by pixel
      │ not found with that hash, or a pass over the film costs no more
      ▼
    batch             one run of FFmpeg for many frames: its planes have the stored hashes
      │ a proof fails
      ▼
    single            a run for each frame                  (not when the batch ran out of time)
      │ a proof fails, or two runs fail before any works
      ▼
    reference decode  the decoder that scored the video decodes all of it again with one thread; proven as after a seek
      │ another picture, or none
      ▼
    dropped           reported with the reason, never published

Damaged videos and those of mixed sizes leave out ``batch`` and ``single``.

The hashes are those of the native planes. That FFmpeg also makes the scored picture of them is proven by one still of
each kind of conversion, pixel by pixel against the reference decoder.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from daemon.config.output import ExportConfig, OutputConfig
from daemon.export import disk_space, ffmpeg_arguments, proof
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.image_format import image_format
from daemon.export.older_selections import OlderStill
from daemon.export.paths import StillFolder
from daemon.export.proof import HashError, ProofError, Proven
from daemon.export.prover import Prover
from daemon.export.publisher import Publisher, Ready
from daemon.export.reuse import Published, take
from daemon.export.scaling import Scaler, target_size
from daemon.export.source import ReferenceDecoder, Source
from daemon.job import VideoJob
from daemon.media import filters
from daemon.model import Frame, Method, Pick, Selection, Still, WantedFrame
from daemon.runtime.durable import make_synced_folder

MOST_FAILED_SINGLES = 2
"""When this many runs for one frame fail before any works, the binary cannot do it, or not with this video."""

Expected = dict[int, WantedFrame]
"""By ordinal: the frames that are to be made into images."""

ProvenConversions = set[str]
"""Conversions that the binary was seen to do as the scoring does; kept by whoever exports several videos."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """By frame: the images that were proven, and why the others were dropped.

    ``unsteady``: a frame, decoded with one thread, is not the one that was scored although nothing was wrong with the
    file. It is damaged in a way that decoders do not report, and has to be scored with one thread.
    """

    proven: dict[int, Proven] = field(default_factory=dict)
    dropped: dict[int, str] = field(default_factory=dict)
    unsteady: bool = False

    def __or__(self, other: Proofs) -> Proofs:
        return Proofs(self.proven | other.proven, self.dropped | other.dropped, self.unsteady or other.unsteady)


class Exporter:
    """Makes the stills of one video in a work folder and publishes them. Raises VideoError(INTERNAL) if not scored."""

    def __init__(
        self,
        job: VideoJob,
        config: ExportConfig,
        output: OutputConfig,
        capabilities: Capabilities,
        decoder: ReferenceDecoder,
        conversions: ProvenConversions,
    ) -> None:
        self._log = job.log
        self._source = source = Source.of(job.record)
        self._config = config
        self._output = output.path
        self._capabilities = capabilities
        self._decoder = decoder
        self._conversions = conversions
        self._image = image = image_format(output, source.info)
        self._prover = Prover(job, source.info, image, config, output.path, capabilities)
        self._scaler = Scaler(self._prover, image, config, output.path, capabilities)
        self._publisher = Publisher(job, source, image, output, capabilities)

    def preflight(self, stills: int) -> None:
        """Refuse before writing when the disk is too full. Raises ExportError(DISK_FULL)."""
        with disk_space.writing(self._output):
            make_synced_folder(self._output)
        batch = self._config.select_batch
        need = disk_space.of_export(self._source.info, self._image, stills=stills, select_batch=batch)
        disk_space.require(self._output, need, self._config.disk_margin_bytes)

    async def reuse(self, picks: Sequence[Pick], published: dict[int, Published], place: Path) -> dict[int, Proven]:
        """Of picks that an earlier selection has published, the images that need not be made again."""
        folder = place / "reused"

        def copy() -> dict[int, Proven]:
            folder.mkdir()
            reused: dict[int, Proven] = {}
            for pick in picks:
                old = published.get(pick.frame)
                full = filters.picture_size(self._source.info.at(pick.frame))
                size = target_size(*full, self._image.size)
                path = self._prover.path(folder, pick.frame)
                if old and (evidence := take(old, pick, self._image, *size, path)):
                    scaled_from = None if size == full else full
                    reused[pick.frame] = Proven(path, evidence, old.method, *size, scaled_from)
            return reused

        with disk_space.writing(self._output):
            return await asyncio.to_thread(copy)

    async def prove(self, picks: Sequence[Pick], place: Path) -> Proofs:
        """Make an image for each pick under ``place``, down the ladder as far as it takes.

        Raises ExportError when the output disk is full or cannot be written.
        """
        left = {pick.frame: _wanted(pick) for pick in sorted(picks, key=lambda pick: pick.frame)}
        proofs = Proofs()
        rungs = (
            (self._seek, self._decode_again) if self._source.exact else (self._seek, self._cut_all, self._decode_again)
        )
        with disk_space.writing(self._output):
            for rung in rungs:
                if left:
                    proofs |= await rung(left, place)
                    left = {ordinal: wanted for ordinal, wanted in left.items() if ordinal not in proofs.proven}
        return proofs

    async def prepare(
        self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path
    ) -> Ready:
        """Scale if asked to, embed the facts, name the files and write the manifest, all in the work folder."""
        with disk_space.writing(self._output):
            proven = await self._scaler.scale(proven, place)
        return await self._publisher.prepare(selection, proven, dropped, place)

    async def publish(self, ready: Ready, folder: StillFolder, older: Sequence[OlderStill] = ()) -> list[Still]:
        """Bring out what was prepared, all of it at once, into a video's folder. Names of older stills go."""
        return await self._publisher.publish(ready, folder, older)

    async def _seek(self, expected: Expected, place: Path) -> Proofs:
        """The first rung, where it is cheaper than a pass over the film."""
        wanted = list(expected.values())
        if not wanted or not await self._decoder.seeking_pays(wanted):
            return Proofs()
        folder = place / Method.SEEK
        folder.mkdir(exist_ok=True)
        async with self._decoder.sought(wanted, self._image) as frames:
            proven, failed = await self._prover.encode(frames, folder, Method.SEEK)
        for ordinal, reason in failed.items():
            self._log.warning("export.fallback", to="batch", frames=1, frame=ordinal, reason=reason)
        return Proofs(proven)

    async def _cut_all(self, expected: Expected, place: Path) -> Proofs:
        """The two rungs of FFmpeg's own pass, batch by batch, until one shows that it cannot be trusted with it."""
        proofs = Proofs()
        ordinals = list(expected)
        for start in range(0, len(ordinals), self._config.select_batch):
            batch = {ordinal: expected[ordinal] for ordinal in ordinals[start : start + self._config.select_batch]}
            cut = await self._cut(batch, place)
            if not cut.proven:
                return proofs | Proofs(unsteady=cut.unsteady)
            difference, unsteady = await self._compare_conversion(cut.proven, batch[min(cut.proven)])
            proofs |= Proofs(unsteady=cut.unsteady or unsteady)
            if difference:
                self._log.warning("export.fallback", to="decode", frames=len(cut.proven), reason=difference)
                for image in cut.proven.values():
                    await asyncio.to_thread(image.path.unlink)
                return proofs
            proofs |= cut
        return proofs

    async def _cut(self, batch: Expected, place: Path) -> Proofs:
        """One batch, and where it fails its frames one by one."""
        hashes = {ordinal: wanted.hash for ordinal, wanted in batch.items()}
        method = Method.BATCH if len(batch) > 1 else Method.SINGLE
        unsteady = False
        try:
            return Proofs(
                await self._prover.cut(hashes, place / f"{method}-{min(batch)}", method, self._config.hwaccel)
            )
        except HashError as error:
            self._log.warning("export.fallback", to="single", frames=len(batch), reason=str(error))
            unsteady = await self._is_unsteady(batch[error.frame])
        except ProofError as error:
            to = "decode" if error.hopeless else "single"
            self._log.warning("export.fallback", to=to, frames=len(batch), reason=str(error))
            if error.hopeless:
                return Proofs()
        proven: dict[int, Proven] = {}
        failed = 0
        for ordinal, digest in hashes.items():
            folder = place / f"{Method.SINGLE}-{ordinal}"
            try:
                proven |= await self._prover.cut({ordinal: digest}, folder, Method.SINGLE, "none")
            except ProofError as error:
                self._log.warning("export.fallback", to="decode", frames=1, frame=ordinal, reason=str(error))
                failed += 1
                if not proven and failed >= MOST_FAILED_SINGLES:
                    break
        return Proofs(proven, unsteady=unsteady)

    async def _decode_again(self, left: Expected, place: Path) -> Proofs:
        """The last rung: decode with the scoring decoder, check the hash, encode that very frame."""
        folder = place / Method.DECODE
        folder.mkdir(exist_ok=True)
        dropped = dict.fromkeys(left, "the frame could not be decoded again")
        unsteady = False

        async def scored_ones(frames: AsyncIterator[Frame]) -> AsyncIterator[Frame]:
            nonlocal unsteady
            async for frame in frames:
                if frame.picture is not None and frame.hash == left[frame.index].hash:
                    yield frame
                    continue
                unsteady |= frame.picture is not None and self._shows_damage(frame, left[frame.index].hash)
                dropped[frame.index] = "decoding again gave another picture than the scored one"

        async with self._decoder.frames(list(left.values()), self._image, seek=False) as frames:
            proven, failed = await self._prover.encode(scored_ones(frames), folder, Method.DECODE)
        dropped = {ordinal: reason for ordinal, reason in (dropped | failed).items() if ordinal not in proven}
        return Proofs(proven, dropped, unsteady)

    async def _compare_conversion(self, made: dict[int, Proven], wanted: WantedFrame) -> tuple[str, bool]:
        """How a picture that FFmpeg made of the right planes differs from the scored one; and whether it is unsteady.

        Asked once for each kind of conversion; of the earliest still, so the decode is short. A flat picture proves
        no conversion.
        """
        conversion = ffmpeg_arguments.conversion(self._capabilities, self._source.info, self._image)
        if conversion in self._conversions:
            return "", False
        difference, unsteady = f"frame {wanted.frame} could not be decoded again", False
        async with self._decoder.frames([wanted], self._image) as frames:
            async for frame in frames:
                if frame.picture is None:
                    continue
                if frame.hash != wanted.hash:
                    unsteady |= self._shows_damage(frame, wanted.hash)
                    continue
                difference = await asyncio.to_thread(proof.difference, made[wanted.frame].path, frame.picture)
                spread = int(frame.picture.max()) - int(frame.picture.min())
                if not difference and spread > np.iinfo(frame.picture.dtype).max // 2:
                    self._conversions.add(conversion)
        return difference, unsteady

    async def _is_unsteady(self, wanted: WantedFrame) -> bool:
        """Whether the planes that were scored differ from those of a decode with one thread."""
        async with self._decoder.frames([wanted], self._image) as frames:
            return any([self._shows_damage(frame, wanted.hash) async for frame in frames])

    def _shows_damage(self, frame: Frame, scored_hash: str) -> bool:
        """Whether a frame that was decoded again is not the scored one although the file seemed sound."""
        return frame.hash != scored_hash and not self._source.damaged


def _wanted(pick: Pick) -> WantedFrame:
    return WantedFrame(pick.frame, pick.pts, pick.time_s, pick.hash)
