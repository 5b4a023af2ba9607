"""Export: each still is proven to be its frame, whatever way it was made."""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.config.output import ExportConfig, OutputConfig
from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.errors import ExportError, Kind, VideoError
from daemon.export import ffmpeg_arguments, ffmpeg_process, file_names, metadata, proof
from daemon.export.exporter import Exporter
from daemon.export.image_format import ImageFormat
from daemon.export.paths import StillFolder
from daemon.export.proof import Proven
from daemon.job import VideoJob
from daemon.model import FileIdentity, Frame, Method, Pick, Selection, Still, WantedFrame
from daemon.pipeline.reference import PyavReference
from daemon.runtime.cell import Cells
from daemon.scan import apart
from tests import films
from tests.jobs import scored_job

DECODE = DecodeConfig()


class Redecoded(PyavReference):
    """The reference decoder of the pipeline; keeps which frames it was asked for."""

    def __init__(self, job: VideoJob, asked: list[frozenset[int]]) -> None:
        super().__init__(job, DECODE)
        self._asked = asked

    def frames(
        self, wanted: Sequence[WantedFrame], image: ImageFormat, *, seek: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
        self._asked.append(frozenset(one.frame for one in wanted))
        return super().frames(wanted, image, seek=seek)


class Bench:
    """A film with its frames, and an exporter for it."""

    def __init__(self, film: Path, output: Path, binary: str = "", form: str = "auto", **settings: Any) -> None:
        self.film = film
        self.info = probe(film, DECODE)
        # ``only`` some frames of a long film: the list is as long as it has to be, and made of the first of them.
        only = settings.pop("only", None)
        frames = list(decode_frames(self.info, DECODE, DecodeReport(), single_thread=True, wanted=only))
        self.frames = frames if only is None else [frames[0]] * (max(only) + 1)
        for frame in frames:
            self.frames[frame.index] = frame
        self.output = OutputConfig.model_validate({"path": output, "format": form})
        self.exact = settings.pop("exact", False)
        self.config = ExportConfig(ffmpeg=binary, **settings)
        self.asked: dict[str, ffmpeg_arguments.Capabilities] = {}
        self.redecoded: list[frozenset[int]] = []
        self.conversions: set[str] = set()
        self.stall_seconds = 60.0

    def picks(self, *ordinals: int) -> list[Pick]:
        chosen = ordinals or tuple(range(len(self.frames)))
        return [
            Pick(rank, n, self.frames[n].pts, self.frames[n].time_s, float(n), self.frames[n].hash)
            for rank, n in enumerate(chosen, start=1)
        ]

    async def exporter(self) -> Exporter:
        binary = ffmpeg_process.find_binary(self.config.ffmpeg)
        if binary not in self.asked:
            self.asked[binary] = await ffmpeg_process.probe_binary(binary)
        stat = self.film.stat()
        file = FileIdentity(self.film, "ab" * 32, stat.st_size, stat.st_mtime_ns)
        # A video of mixed sizes goes through the reference decoder, as a damaged one does.
        job = scored_job(file, self.info, mixed=self.exact, stall_seconds=self.stall_seconds)
        decoder = Redecoded(job, self.redecoded)
        return Exporter(job, self.config, self.output, self.asked[binary], decoder, self.conversions)

    async def prove(self, place: Path, *ordinals: int) -> tuple[dict[int, Proven], dict[int, str]]:
        place.mkdir(exist_ok=True)
        proofs = await (await self.exporter()).prove(self.picks(*ordinals), place)
        return proofs.proven, proofs.dropped

    async def publish(self, place: Path, *ordinals: int) -> list[Still]:
        proven, reasons = await self.prove(place, *ordinals)
        assert not reasons
        selection = Selection(tuple(self.picks(*ordinals)), len(ordinals), None, {"count": len(ordinals)})
        exporter = await self.exporter()
        folder = StillFolder(self.output.path / "film")
        return await exporter.publish(await exporter.prepare(selection, proven, {}, place), folder)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return films.make(tmp_path / "film.mp4", frames=40, options={"bf": "3", "g": "15"})


async def test_each_still_shows_the_frame_in_its_name(film: Path, tmp_path: Path, ffmpeg_binary: str) -> None:
    stills = await Bench(film, tmp_path / "out", ffmpeg_binary).publish(tmp_path / "work", 31, 0, 17, 39)
    assert [films.read_still(still.path) for still in stills] == [31, 0, 17, 39]
    for still in stills:
        assert file_names.parse_name(still.path.name).frame == still.frame
        assert still.method is Method.BATCH
        assert hashlib.sha256(still.path.read_bytes()).hexdigest() == still.sha256


async def test_the_saved_picture_is_the_scored_picture(film: Path, tmp_path: Path, ffmpeg_binary: str) -> None:
    from PIL import Image

    bench = Bench(film, tmp_path / "out", ffmpeg_binary)
    for still in await bench.publish(tmp_path / "work", 5, 22):
        with Image.open(still.path) as image:
            assert np.array_equal(np.asarray(image), bench.frames[still.frame].picture)


async def test_batch_and_single_exports_are_the_same_files(film: Path, tmp_path: Path, ffmpeg_binary: str) -> None:
    batch = await Bench(film, tmp_path / "batch", ffmpeg_binary).publish(tmp_path / "w1", 3, 8, 21)
    single = await Bench(film, tmp_path / "single", ffmpeg_binary, select_batch=1).publish(tmp_path / "w2", 3, 8, 21)
    assert {still.method for still in single} == {Method.SINGLE}
    assert [still.sha256 for still in batch] == [still.sha256 for still in single]


async def test_the_reference_path_gives_the_same_pixels(film: Path, tmp_path: Path, ffmpeg_binary: str) -> None:
    batch = await Bench(film, tmp_path / "batch", ffmpeg_binary).publish(tmp_path / "w1", 3, 8)
    exact = await Bench(film, tmp_path / "exact", ffmpeg_binary, exact=True).publish(tmp_path / "w2", 3, 8)
    assert {still.method for still in exact} == {Method.DECODE}
    assert [still.sha256 for still in batch] == [still.sha256 for still in exact]


async def test_many_picks_go_through_a_script_file(tmp_path: Path, ffmpeg_binary: str) -> None:
    film = films.make(tmp_path / "long.mp4", frames=6000, width=32, height=32, options={"preset": "ultrafast"})
    bench = Bench(film, tmp_path / "out", ffmpeg_binary, select_batch=30_000)
    proven, reasons = await bench.prove(tmp_path / "work", *range(0, 6000, 2))
    assert not reasons
    assert len(proven) == 3000
    assert {one.method for one in proven.values()} == {Method.BATCH}


async def test_a_batch_with_a_wrong_hash_falls_back_and_leaves_nothing_unproven(film: Path, tmp_path: Path) -> None:
    bench = Bench(film, tmp_path / "out")
    bench.frames[8] = replace(bench.frames[8], hash="0" * 40)
    proven, reasons = await bench.prove(tmp_path / "work", 3, 8, 21)
    assert {ordinal: one.method for ordinal, one in proven.items()} == {3: Method.SINGLE, 21: Method.SINGLE}
    assert bench.redecoded[-1] == frozenset({8})
    assert "another picture" in reasons[8]
    kept = set((tmp_path / "work").rglob("*.png"))
    assert kept == {one.path for one in proven.values()}


async def test_a_frame_beyond_the_end_is_a_reason_and_not_a_still(film: Path, tmp_path: Path) -> None:
    bench = Bench(film, tmp_path / "out")
    bench.frames.append(replace(bench.frames[-1], index=40))
    proven, reasons = await bench.prove(tmp_path / "work", 3, 40)
    assert list(proven) == [3]
    assert "could not be decoded again" in reasons[40]


async def test_an_ffmpeg_that_lies_about_success_is_found_out(film: Path, tmp_path: Path) -> None:
    liar = tmp_path / "ffmpeg"
    liar.write_text('#!/bin/sh\ncase "$*" in *-version*) echo "ffmpeg version liar";; esac\nexit 0\n')
    liar.chmod(0o755)
    proven, reasons = await Bench(film, tmp_path / "out", str(liar)).prove(tmp_path / "work", 3, 8)
    assert not proven
    assert set(reasons) == {3, 8}


@pytest.mark.parametrize(
    ("script", "kind"),
    [("kill -9 $$", Kind.EXPORT), ('echo "x: Cannot allocate memory" >&2; exit 1', Kind.OUT_OF_MEMORY)],
)
async def test_an_ffmpeg_that_is_ended_says_nothing_of_the_video(
    film: Path, tmp_path: Path, script: str, kind: Kind
) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_text(
        f'#!/bin/sh\ncase "$*" in *-version*|*"-h full"*) echo "ffmpeg version x"; exit 0;; esac\n{script}\n'
    )
    binary.chmod(0o755)
    with pytest.raises(ExportError) as caught:
        await Bench(film, tmp_path / "out", str(binary)).prove(tmp_path / "work", 3, 8)
    assert caught.value.kind is kind
    assert kind.retryable


@pytest.mark.parametrize("exact", [False, True])
async def test_a_picture_that_is_not_the_frames_is_no_still_whoever_made_it(
    film: Path, tmp_path: Path, exact: bool
) -> None:
    """The planes may be right and the picture wrong: every path looks at pixels that the program has written."""
    gray = tmp_path / "gray.py"
    gray.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, subprocess, sys\nfrom PIL import Image\n"
        f"code = subprocess.run([{ffmpeg_process.find_binary('')!r}, *sys.argv[1:]]).returncode\n"
        "for path in pathlib.Path.cwd().glob('*.png'):\n"
        "    with Image.open(path) as made:\n        size = made.size\n"
        "    Image.new('RGB', size, (128, 128, 128)).save(path)\n"
        "sys.exit(code)\n"
    )
    gray.chmod(0o755)
    proven, reasons = await Bench(film, tmp_path / "out", str(gray), exact=exact).prove(tmp_path / "work", 3, 8)
    assert not proven
    assert all("off its frame" in reason for reason in reasons.values())
    assert set(reasons) == {3, 8}


async def test_many_frames_that_ffmpeg_cannot_cut_cost_no_run_each(film: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    binary = tmp_path / "ffmpeg"
    real = ffmpeg_process.find_binary("")
    binary.write_text(f'#!/bin/sh\ncase "$*" in *select=*) echo run >> "{runs}"; exit 1;; esac\nexec "{real}" "$@"\n')
    binary.chmod(0o755)
    proven, reasons = await Bench(film, tmp_path / "out", str(binary), select_batch=10).prove(tmp_path / "work")
    assert not reasons
    assert {one.method for one in proven.values()} == {Method.DECODE}
    assert len(runs.read_text().splitlines()) <= 3


async def test_a_frame_that_one_thread_does_not_decode_again_makes_the_film_unsteady(
    film: Path, tmp_path: Path
) -> None:
    bench = Bench(film, tmp_path / "out")
    exporter = await bench.exporter()
    (tmp_path / "sound").mkdir()
    assert not (await exporter.prove(bench.picks(3, 8), tmp_path / "sound")).unsteady
    bench.frames[8] = replace(bench.frames[8], hash="0" * 40)
    (tmp_path / "odd").mkdir()
    assert (await exporter.prove(bench.picks(3, 8), tmp_path / "odd")).unsteady


async def test_a_reference_decoder_that_hangs_is_given_up(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "AGAIN", Cells("tests.odd_decode_cell", ring=True, arenas=apart.ARENAS))
    monkeypatch.setattr(apart, "CELLS", Cells("tests.odd_decode_cell", ring=True, arenas=apart.ARENAS))
    odd = tmp_path / f"again-hangs{film.suffix}"
    shutil.copy(film, odd)
    bench = Bench(odd, tmp_path / "out", exact=True)
    bench.stall_seconds = 0.2
    exporter = await bench.exporter()
    (tmp_path / "work").mkdir()
    with pytest.raises(VideoError) as caught:
        await exporter.prove(bench.picks(3), tmp_path / "work")
    assert caught.value.kind is Kind.STUCK


async def test_a_child_of_a_wrapper_ends_with_it(tmp_path: Path) -> None:
    """Without ``exec`` the wrapper's child would hold the pipes for ten minutes."""
    wrapper = tmp_path / "ffmpeg"
    wrapper.write_text(f'#!/bin/sh\nsleep 600 & echo $! > "{tmp_path}/child"\nwait\n')
    wrapper.chmod(0o755)
    capabilities = ffmpeg_arguments.Capabilities(
        str(wrapper), "slow", apply_cropping=False, script_option="-/filter_complex"
    )
    started = time.monotonic()
    ended = await ffmpeg_process.run(capabilities, [], tmp_path, 0.5)
    assert ended.timed_out
    assert time.monotonic() - started < ffmpeg_process.REAP_SECONDS
    # The kernel ends it a moment after its parent; once somebody has waited for it there is nothing left to open.
    with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(int((tmp_path / "child").read_text()))) as child:
        assert select.select([child], [], [], ffmpeg_process.REAP_SECONDS)[0], "it goes on"


async def test_a_missing_ffmpeg_is_one_clear_error(film: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        await Bench(film, tmp_path / "out", "no-such-ffmpeg").prove(tmp_path / "work", 3)
    assert caught.value.kind is Kind.FFMPEG_MISSING


async def test_a_hanging_ffmpeg_is_stopped(film: Path, tmp_path: Path) -> None:
    slow = tmp_path / "ffmpeg"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    capabilities = ffmpeg_arguments.Capabilities(
        str(slow), "slow", apply_cropping=False, script_option="-/filter_complex"
    )
    ended = await ffmpeg_process.run(capabilities, [], tmp_path, 0.2)
    assert (ended.code, "timeout_seconds" in ended.message) == (-1, True)


async def test_hardware_decoding_that_fails_falls_back_to_the_cpu(film: Path, tmp_path: Path) -> None:
    proven, reasons = await Bench(film, tmp_path / "out", hwaccel="cuda").prove(tmp_path / "work", 3, 8)
    assert not reasons
    assert set(proven) == {3, 8}


async def test_a_full_disk_is_refused_before_anything_is_written(film: Path, tmp_path: Path) -> None:
    exporter = await Bench(film, tmp_path / "out", disk_margin_bytes=1 << 60).exporter()
    with pytest.raises(ExportError) as caught:
        exporter.preflight(3)
    assert caught.value.kind is Kind.DISK_FULL
    assert list((tmp_path / "out").iterdir()) == []


async def test_the_manifest_and_the_image_carry_the_evidence(film: Path, tmp_path: Path) -> None:
    bench = Bench(film, tmp_path / "out")
    (still,) = await bench.publish(tmp_path / "work", 12)
    manifest = json.loads((still.path.parent / "manifest.json").read_text())
    entry = manifest["stills"][0]
    assert (entry["file"], entry["frame"], entry["sha256"]) == (still.path.name, 12, still.sha256)
    assert entry["evidence"]["scored"] == entry["evidence"]["exported"] == bench.frames[12].hash
    facts = metadata.read(still.path)
    assert (facts["frame"], facts["rank"], facts["hash"]) == ("12", "1", bench.frames[12].hash)
    assert facts["source"] == str(film)


@pytest.mark.parametrize(("setting", "depth"), [("auto", 16), ("png8", 8)])
async def test_deep_sources_give_the_asked_for_depth(
    tmp_path: Path, ffmpeg_binary: str, setting: str, depth: int
) -> None:
    film = films.make(tmp_path / "deep.mkv", frames=4, codec="ffv1", pix_fmt="yuv420p10le")
    bench = Bench(film, tmp_path / "out", ffmpeg_binary, form=setting)
    for still in await bench.publish(tmp_path / "work", 1, 3):
        assert proof.png_depth(still.path) == (depth, 2)
        assert films.read_still(still.path) == still.frame


async def test_jpeg_stills_on_request(film: Path, tmp_path: Path, ffmpeg_binary: str) -> None:
    bench = Bench(film, tmp_path / "out", ffmpeg_binary, form="jpeg")
    for still in await bench.publish(tmp_path / "work", 1, 30):
        assert still.path.suffix == ".jpg"
        assert films.read_still(still.path) == still.frame
        assert metadata.read(still.path)["frame"] == str(still.frame)


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "%03d.mp4", "a:b.mp4", 'it\'s "so".mp4', "line\nbreak.mp4", "🎬.mp4", "x" * 251 + ".mp4"]
)
async def test_odd_names_are_processed_and_the_stills_are_safe(film: Path, tmp_path: Path, name: str) -> None:
    odd = film.rename(tmp_path / name)
    (still,) = await Bench(odd, tmp_path / "out").publish(tmp_path / "work", 7)
    assert films.read_still(still.path) == 7
    assert set(still.path.name) & set("\n\"':%*?/") == set()
    assert json.loads((still.path.parent / "manifest.json").read_text())["source"]["path"] == str(odd)


async def test_a_percent_sign_in_the_output_folder_is_only_a_percent_sign(film: Path, tmp_path: Path) -> None:
    (still,) = await Bench(film, tmp_path / "100%d").publish(tmp_path / "w%03d", 7)
    assert films.read_still(still.path) == 7
