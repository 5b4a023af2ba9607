"""Every kind of film and every damage: each still is proven, and shows the number of the frame it claims to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from daemon.cli import verify
from daemon.config.output import ExportConfig, OutputConfig
from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.errors import VideoError
from daemon.export import ffmpeg_process
from daemon.export.exporter import Exporter
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.paths import StillFolder
from daemon.inbox import identity
from daemon.model import FileIdentity, Frame, Method, Pick, Selection, Still, VideoInfo
from daemon.pipeline.reference import PyavReference
from tests import films
from tests.corpus import Case
from tests.corpus_cases import CASES, SLOW
from tests.jobs import scored_job

DECODE = DecodeConfig()


@dataclass(frozen=True, slots=True)
class Film:
    """A film of the corpus as the pipeline sees it after scoring."""

    file: FileIdentity
    info: VideoInfo
    frames: list[Frame]
    report: DecodeReport


def score(path: Path) -> Film:
    """Decode as ``Pipeline.score`` does: threads first, on a sign of damage again with one."""
    info = probe(path, DECODE)
    rows: dict[int, Frame] = {}
    report = DecodeReport()
    try:
        for frame in decode_frames(info, DECODE, report, single_thread=False):
            rows[frame.index] = frame
    except DamageError:
        known = [frame.hash for frame in rows.values()]
        report = DecodeReport()
        for frame in decode_frames(info, DECODE, report, single_thread=True, known=known):
            if frame.picture is not None:
                rows[frame.index] = frame
    return Film(identity.fingerprint(path), info, [rows[at] for at in range(report.frames)], report)


def plain(film: Film) -> Iterator[NDArray[np.uint8]]:
    """The frames by PyAV alone, one thread, without any of our code."""
    with av.open(str(film.file.path)) as container:
        stream = container.streams[film.info.stream_index]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                # Nothing more can be read; what the decoder holds is still to come.
                yield from (frame.to_ndarray(format="rgb24") for frame in stream.codec_context.decode(None))
                return
            if packet is None:
                return
            try:
                decoded = stream.decode(packet)
            except av.error.FFmpegError:
                continue
            for frame in decoded:
                yield frame.to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"": tmp_path_factory.mktemp("corpus")}


@pytest.fixture(scope="module")
def scored() -> dict[str, Film]:
    return {}


@pytest.fixture(scope="module")
def asked() -> dict[str, Capabilities]:
    return {}


def film_of(case: Case, built: dict[str, Path]) -> Path:
    """Each film is made once."""
    if case.name not in built:
        folder = built[""] / case.name
        folder.mkdir()
        built[case.name] = case.build(folder)
    return built[case.name]


async def stills_of(film: Film, place: Path, capabilities: Capabilities) -> tuple[list[Still], dict[int, str]]:
    """Every frame as a still, by the path that the pipeline takes."""
    job = scored_job(film.file, film.info, damaged=film.report.damaged, mixed=film.report.mixed)
    output = OutputConfig(path=place / "out")
    exporter = Exporter(job, ExportConfig(), output, capabilities, PyavReference(job, DECODE), set())
    picks = [Pick(f.index + 1, f.index, f.pts, f.time_s, 1.0, f.hash) for f in film.frames]
    if film.report.damaged or film.report.mixed:
        # One FFmpeg is started for each of them.
        picks = picks[:: max(1, len(picks) // 4)]
    (place / "work").mkdir()
    proofs = await exporter.prove(picks, place / "work")
    kept = tuple(pick for pick in picks if pick.frame in proofs.proven)
    selection = Selection(kept, len(picks), None, {"count": len(picks)})
    ready = await exporter.prepare(selection, proofs.proven, proofs.dropped, place / "work")
    return await exporter.publish(ready, StillFolder.of(output.path, film.file)), proofs.dropped


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.name in SLOW else []) for case in CASES],
)
async def test_every_still_is_proven_and_shows_its_own_number(
    case: Case,
    tmp_path: Path,
    ffmpeg_binary: str,
    built: dict[str, Path],
    scored: dict[str, Film],
    asked: dict[str, Capabilities],
) -> None:
    path = film_of(case, built)
    if case.rejected:
        with pytest.raises(VideoError) as caught:
            score(path)
        assert caught.value.kind in case.rejected
        return
    if case.name not in scored:
        scored[case.name] = score(path)
    film = scored[case.name]
    if ffmpeg_binary not in asked:
        asked[ffmpeg_binary] = await ffmpeg_process.probe_binary(ffmpeg_binary)

    stills, reasons = await stills_of(film, tmp_path, asked[ffmpeg_binary])

    assert film.frames
    assert not reasons
    step = max(1, len(film.frames) // 4) if film.report.damaged or film.report.mixed else 1
    assert [still.frame for still in stills] == list(range(0, len(film.frames), step))
    assert [verdict.reason for verdict in verify.verify([still.path for still in stills], DECODE)] == [""] * len(stills)
    if case.loses:
        shown = [films.read_bars(picture) for picture in plain(film)]
        assert len(shown) == len(film.frames)
        for still in stills:
            with Image.open(still.path) as image:
                bars = films.read_bars(np.asarray(image.convert("RGB")))
            assert np.abs(bars - shown[still.frame]).max() < 25, f"frame {still.frame}"
    else:
        assert len(film.frames) == case.frames
        assert [films.read_still(still.path) - case.first for still in stills] == [still.frame for still in stills]
    assert case.mixed or {(still.width, still.height) for still in stills} == {case.size}
    assert film.report.mixed == case.mixed
    assert not case.transfer or film.info.colour.transfer == case.transfer
    assert case.damaged is None or film.report.damaged == case.damaged
    name = "path" if ffmpeg_binary.endswith("/ffmpeg") else "bundled"
    by_decode = film.report.damaged or case.mixed or name in case.by_decode
    quick = Method.BATCH if len(stills) > 1 else Method.SINGLE
    assert {still.method for still in stills} == {Method.DECODE if by_decode else quick}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["bigbuckbunny.mp4", "bikes.mp4", "carphone_distorted.mp4", "carphone_pristine.mp4"])
async def test_every_frame_of_a_real_clip_is_proven(
    name: str, clips: dict[str, Path], tmp_path: Path, ffmpeg_binary: str
) -> None:
    film = score(clips[name])
    stills, reasons = await stills_of(film, tmp_path, await ffmpeg_process.probe_binary(ffmpeg_binary))
    assert not reasons
    assert [still.frame for still in stills] == list(range(len(film.frames)))
    assert {still.method for still in stills} == {Method.BATCH}
    assert [verdict.reason for verdict in verify.verify([still.path for still in stills], DECODE)] == [""] * len(stills)


def test_the_corpus_is_as_large_as_it_says() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert set(names) >= SLOW
    assert len(set(names) - SLOW) >= 60
