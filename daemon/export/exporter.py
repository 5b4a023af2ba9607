"""From picks to published, proven stills: the ladder of proof.

Each rung is tried for the frames that the one above could not prove; an image that is not proven is thrown away.

::

    batch             one run of FFmpeg for many frames: its planes have the hashes that were stored by the scoring
      │ a proof fails
      ▼
    single            a run for each frame                  (not when the batch ran out of time)
      │ a proof fails, or two runs fail before any works
      ▼
    reference decode  the decoder that scored the video decodes again with one thread: its planes have the stored
      │               hash, FFmpeg encodes that very picture, and the file is compared with it pixel by pixel
      │ another picture, or none
      ▼
    dropped           reported with the reason, never published

Damaged videos and those of mixed sizes begin with the reference decode.

The hashes are those of the native planes. That FFmpeg also makes the scored picture of them is proven by one still of
each kind of conversion, pixel by pixel against the reference decoder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from daemon.config.output import ExportConfig, OutputConfig
from daemon.export import disk_space, ffmpeg_arguments, proof
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.image_format import image_format
from daemon.export.proof import HashError, ProofError, Proven
from daemon.export.prover import Prover
from daemon.export.publisher import Publisher
from daemon.export.reuse import Published, take
from daemon.export.source import ReferenceDecoder, Source
from daemon.job import VideoJob
from daemon.media import filters
from daemon.model import Frame, Method, Pick, Selection, Still

MOST_FAILED_SINGLES = 2
"""When this many runs for one frame fail before any works, the binary cannot do it, or not with this video."""

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
        self._publisher = Publisher(job, source, image, output.path, capabilities)

    def preflight(self, stills: int) -> None:
        """Refuse before writing when the disk is too full. Raises ExportError(DISK_FULL)."""
        with disk_space.writing(self._output):
            self._output.mkdir(parents=True, exist_ok=True)
        info = self._source.info
        sizes = [filters.picture_size(one.info) for one in info.stretches] or [filters.picture_size(info)]
        width, height = max(sizes, key=lambda size: size[0] * size[1])
        need = disk_space.estimate(
            stills=stills,
            select_batch=self._config.select_batch,
            width=width,
            height=height,
            depth=self._image.depth,
            jpeg=self._image.suffix == "jpg",
        )
        disk_space.require(self._output, need, self._config.disk_margin_bytes)

    async def reuse(self, picks: Sequence[Pick], published: dict[int, Published], place: Path) -> dict[int, Proven]:
        """Of picks that an earlier selection has published, the images that need not be made again."""
        folder = place / "reused"

        def copy() -> dict[int, Proven]:
            folder.mkdir()
            reused: dict[int, Proven] = {}
            for pick in picks:
                old = published.get(pick.frame)
                width, height = filters.picture_size(self._source.info.at(pick.frame))
                path = self._prover.path(folder, pick.frame)
                if old and (evidence := take(old, pick, self._image, width, height, path)):
                    reused[pick.frame] = Proven(path, evidence, old.method, width, height)
            return reused

        with disk_space.writing(self._output):
            return await asyncio.to_thread(copy)

    async def prove(self, picks: Sequence[Pick], place: Path) -> Proofs:
        """Make an image for each pick under ``place``, down the ladder as far as it takes.

        Raises ExportError when the output disk is full or cannot be written.
        """
        expected = {pick.frame: pick.hash for pick in sorted(picks, key=lambda pick: pick.frame)}
        with disk_space.writing(self._output):
            proofs = Proofs() if self._source.exact else await self._cut_all(expected, place)
            left = {ordinal: digest for ordinal, digest in expected.items() if ordinal not in proofs.proven}
            return proofs | await self._decode_again(left, place) if left else proofs

    async def publish(
        self, selection: Selection, proven: dict[int, Proven], dropped: dict[int, str], place: Path
    ) -> list[Still]:
        """Embed the facts, name the files, write the manifest and bring all of it out atomically."""
        return await self._publisher.publish(selection, proven, dropped, place)

    async def _cut_all(self, expected: dict[int, str], place: Path) -> Proofs:
        """The first two rungs, batch by batch, until one shows that FFmpeg cannot be trusted with this video."""
        proofs = Proofs()
        ordinals = list(expected)
        for start in range(0, len(ordinals), self._config.select_batch):
            batch = {ordinal: expected[ordinal] for ordinal in ordinals[start : start + self._config.select_batch]}
            cut = await self._cut(batch, place)
            if not cut.proven:
                return proofs | Proofs(unsteady=cut.unsteady)
            difference, unsteady = await self._compare_conversion(cut.proven)
            proofs |= Proofs(unsteady=cut.unsteady or unsteady)
            if difference:
                self._log.warning("export.fallback", to="decode", frames=len(cut.proven), reason=difference)
                for image in cut.proven.values():
                    await asyncio.to_thread(image.path.unlink)
                return proofs
            proofs |= cut
        return proofs

    async def _cut(self, batch: dict[int, str], place: Path) -> Proofs:
        """One batch, and where it fails its frames one by one."""
        method = Method.BATCH if len(batch) > 1 else Method.SINGLE
        unsteady = False
        try:
            return Proofs(await self._prover.cut(batch, place / f"{method}-{min(batch)}", method, self._config.hwaccel))
        except HashError as error:
            self._log.warning("export.fallback", to="single", frames=len(batch), reason=str(error))
            unsteady = await self._is_unsteady(error.frame, batch[error.frame])
        except ProofError as error:
            to = "decode" if error.hopeless else "single"
            self._log.warning("export.fallback", to=to, frames=len(batch), reason=str(error))
            if error.hopeless:
                return Proofs()
        proven: dict[int, Proven] = {}
        failed = 0
        for ordinal, digest in batch.items():
            folder = place / f"{Method.SINGLE}-{ordinal}"
            try:
                proven |= await self._prover.cut({ordinal: digest}, folder, Method.SINGLE, "none")
            except ProofError as error:
                self._log.warning("export.fallback", to="decode", frames=1, frame=ordinal, reason=str(error))
                failed += 1
                if not proven and failed >= MOST_FAILED_SINGLES:
                    break
        return Proofs(proven, unsteady=unsteady)

    async def _decode_again(self, left: dict[int, str], place: Path) -> Proofs:
        """The third rung: decode with the scoring decoder, check the hash, encode that very frame."""
        folder = place / Method.DECODE
        folder.mkdir(exist_ok=True)
        proven: dict[int, Proven] = {}
        dropped = dict.fromkeys(left, "the frame could not be decoded again")
        unsteady = False
        async with self._decoder.frames(frozenset(left), self._image) as frames:
            async for frame in frames:
                if frame.picture is None or frame.hash != left[frame.index]:
                    unsteady |= frame.picture is not None and self._shows_damage(frame, left[frame.index])
                    dropped[frame.index] = "decoding again gave another picture than the scored one"
                    continue
                try:
                    proven[frame.index] = await self._prover.encode(frame, frame.picture, folder)
                    del dropped[frame.index]
                except ProofError as error:
                    dropped[frame.index] = str(error)
        return Proofs(proven, dropped, unsteady)

    async def _compare_conversion(self, made: dict[int, Proven]) -> tuple[str, bool]:
        """How a picture that FFmpeg made of the right planes differs from the scored one; and whether it is unsteady.

        Asked once for each kind of conversion; of the earliest still, so the decode is short. A flat picture proves
        no conversion.
        """
        conversion = ffmpeg_arguments.conversion(self._capabilities, self._source.info, self._image)
        if conversion in self._conversions:
            return "", False
        ordinal = min(made)
        scored_hash = made[ordinal].evidence.scored_hash
        difference, unsteady = f"frame {ordinal} could not be decoded again", False
        async with self._decoder.frames(frozenset({ordinal}), self._image) as frames:
            async for frame in frames:
                if frame.picture is None:
                    continue
                if frame.hash != scored_hash:
                    unsteady |= self._shows_damage(frame, scored_hash)
                    continue
                difference = await asyncio.to_thread(proof.difference, made[ordinal].path, frame.picture)
                spread = int(frame.picture.max()) - int(frame.picture.min())
                if not difference and spread > np.iinfo(frame.picture.dtype).max // 2:
                    self._conversions.add(conversion)
        return difference, unsteady

    async def _is_unsteady(self, ordinal: int, scored_hash: str) -> bool:
        """Whether the planes that were scored differ from those of a decode with one thread."""
        async with self._decoder.frames(frozenset({ordinal}), self._image) as frames:
            return any([self._shows_damage(frame, scored_hash) async for frame in frames])

    def _shows_damage(self, frame: Frame, scored_hash: str) -> bool:
        """Whether a frame that was decoded again is not the scored one although the file seemed sound."""
        return frame.hash != scored_hash and not self._source.damaged
