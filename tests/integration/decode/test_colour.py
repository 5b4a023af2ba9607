"""Colour against a float reference: what is scored and what is saved, through both FFmpegs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.config.output import ExportConfig, OutputConfig
from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.export import ffmpeg_process
from daemon.export.exporter import Exporter
from daemon.model import FileIdentity, Method, Pick, Picture
from daemon.pipeline.reference import PyavReference
from tests.jobs import scored_job

DECODE = DecodeConfig()
PATCH = 16
WEIGHTS = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}
MATRIX_TAGS = {"smpte170m": 6, "bt709": 1, "bt2020nc": 9}
PQ, HLG = 16, 18

COLOURS = np.array(
    [
        *[(level / 15,) * 3 for level in range(16)],
        *[(r, g, b) for r in (0, 0.5, 1) for g in (0, 0.5, 1) for b in (0, 0.5, 1)],
        (0.80, 0.60, 0.50), (0.25, 0.16, 0.12), (0.10, 0.35, 0.20), (0.90, 0.85, 0.10), (0.02, 0.03, 0.05),
    ]
)  # fmt: skip
"""A gray ramp, the corners and middles of the RGB cube, skin, leaves, a dark shade."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A film of flat patches. ``matrix`` and ``full`` are what it holds; ``tags`` is what it says."""

    pix_fmt: str
    bits: int
    matrix: str = "bt709"
    full: bool = False
    tagged: bool = True
    lines: int = 96
    transfer: int = 2

    @property
    def name(self) -> str:
        said = "tagged" if self.tagged else f"untagged-{self.lines}"
        return f"{self.pix_fmt}-{self.matrix}-{'full' if self.full else 'limited'}-{said}-{self.transfer}"


def codes_of(sheet: Sheet) -> NDArray[np.int64]:
    """The integer samples of each colour, one row per colour: Y, Cb, Cr, or G, B, R, or gray."""
    top = (1 << sheet.bits) - 1
    if sheet.pix_fmt.startswith("gbr"):
        return np.round(COLOURS[:, [1, 2, 0]] * top).astype(np.int64)
    kr, kb = WEIGHTS[sheet.matrix]
    red, green, blue = COLOURS.T
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = np.stack([(blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)], axis=1)
    if sheet.pix_fmt.startswith("gray"):
        luma, chroma = COLOURS.mean(axis=1), chroma[:, :0]
    scale = 1 << (sheet.bits - 8)
    low, span, chroma_span = (0, top, top) if sheet.full else (16 * scale, 219 * scale, 224 * scale)
    coded = np.concatenate([low + span * luma[:, None], 128 * scale + chroma_span * chroma], axis=1)
    return np.clip(np.round(coded), 0, top).astype(np.int64)


def reference(sheet: Sheet) -> NDArray[np.float64]:
    """RGB 0..1 of those samples, in floats."""
    codes = codes_of(sheet).astype(float)
    top = (1 << sheet.bits) - 1
    if sheet.pix_fmt.startswith("gbr"):
        return codes[:, [2, 0, 1]] / top
    scale = 1 << (sheet.bits - 8)
    low, span, chroma_span = (0, top, top) if sheet.full else (16 * scale, 219 * scale, 224 * scale)
    luma = (codes[:, 0] - low) / span
    if sheet.pix_fmt.startswith("gray"):
        return np.clip(np.repeat(luma[:, None], 3, axis=1), 0, 1)
    kr, kb = WEIGHTS[sheet.matrix]
    cb, cr = (codes[:, 1:].T - 128 * scale) / chroma_span
    red, blue = luma + (2 - 2 * kr) * cr, luma + (2 - 2 * kb) * cb
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=1), 0, 1)


def make(folder: Path, sheet: Sheet) -> Path:
    """Two frames of patches, losslessly, with planes written sample by sample."""
    columns = 8
    width, height = columns * PATCH, max(sheet.lines, -(-len(COLOURS) // columns) * PATCH)
    codes = codes_of(sheet)
    path = folder / f"{sheet.name}.{'avi' if sheet.pix_fmt == 'gbrp' else 'mkv'}"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("magicyuv" if sheet.pix_fmt == "gbrp" else "ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, sheet.pix_fmt
        context = stream.codec_context
        if sheet.tagged and not sheet.pix_fmt.startswith("gbr"):
            context.colorspace = MATRIX_TAGS[sheet.matrix]
        if sheet.tagged:
            context.color_range = 2 if sheet.full else 1
        context.color_trc = sheet.transfer
        for pts in range(2):
            frame = av.VideoFrame(width, height, sheet.pix_fmt)
            for number, plane in enumerate(frame.planes):
                step_x, step_y = width // plane.width, height // plane.height
                samples = np.zeros((plane.height, plane.width), np.uint8 if sheet.bits == 8 else np.uint16)
                for at, row in enumerate(codes):
                    y, x = divmod(at, columns)
                    samples[
                        y * PATCH // step_y : (y + 1) * PATCH // step_y, x * PATCH // step_x : (x + 1) * PATCH // step_x
                    ] = row[number]
                padded = np.zeros((plane.height, plane.line_size // samples.itemsize), samples.dtype)
                padded[:, : plane.width] = samples
                plane.update(padded)
            frame.pts = pts
            if sheet.tagged:
                frame.color_range = 2 if sheet.full else 1
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def read_image(path: Path) -> Picture:
    """A still with all its bits: Pillow knows only 8 of them."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.to_ndarray(format="rgb48le" if "48" in frame.format.name else "rgb24")


def patches(picture: NDArray[Any], spread: int = 1) -> NDArray[np.float64]:
    """The mean of the middle of each patch, 0..1."""
    top = np.iinfo(picture.dtype).max
    found = []
    for at in range(len(COLOURS)):
        y, x = divmod(at, 8)
        inner = picture[y * PATCH + 6 : y * PATCH + 10, x * PATCH + 6 : x * PATCH + 10]
        assert np.ptp(inner.reshape(-1, 3), axis=0).max() <= top * spread / 255
        found.append(inner.reshape(-1, 3).mean(axis=0) / top)
    return np.array(found)


async def through(
    path: Path, place: Path, binary: str, form: str = "auto", hdr: str = "tonemap"
) -> tuple[Picture, Picture]:
    """Frame 1 as it is scored and as the command line saves it."""
    info = probe(path, DECODE)
    frame = list(decode_frames(info, DECODE, DecodeReport(), single_thread=False))[1]

    file = FileIdentity(path, "ab" * 32, path.stat().st_size, path.stat().st_mtime_ns)
    job = scored_job(file, info)
    output = OutputConfig.model_validate({"path": place / "out", "format": form, "hdr": hdr})
    capabilities = await ffmpeg_process.probe_binary(binary)
    exporter = Exporter(job, ExportConfig(), output, capabilities, PyavReference(job, DECODE), set())
    place.mkdir()
    proven = (await exporter.prove([Pick(1, 1, frame.pts, frame.time_s, 1.0, frame.hash)], place)).proven
    assert proven[1].method is Method.SINGLE
    assert frame.picture is not None
    return frame.picture, read_image(proven[1].path)


SHEETS = [
    *[
        Sheet(f"yuv{sub}p{'' if bits == 8 else f'{bits}le'}", bits, matrix, full)
        for sub, bits in (("420", 8), ("444", 10))
        for matrix in WEIGHTS
        for full in (False, True)
    ],
    *[Sheet("yuv420p", 8, matrix, tagged=False, lines=lines) for matrix, lines in (("smpte170m", 576), ("bt709", 578))],
    *[Sheet("yuv420p10le", 10, matrix, tagged=False, lines=lines) for matrix, lines in (("smpte170m", 480), ("bt709", 720))],
    Sheet("yuv444p", 8), Sheet("yuv422p10le", 10), Sheet("yuv422p12le", 12), Sheet("yuv444p12le", 12, full=True),
    Sheet("yuv444p16le", 16), Sheet("yuv444p16le", 16, full=True), Sheet("yuv444p14le", 14, "bt2020nc"),
    Sheet("gray", 8), Sheet("gray", 8, full=True), Sheet("gray", 8, full=True, tagged=False),
    Sheet("gray10le", 10), Sheet("gray10le", 10, full=True), Sheet("gray12le", 12), Sheet("gray16le", 16),
    Sheet("gray16le", 16, full=True, tagged=False),
    Sheet("gbrp", 8, full=True), Sheet("gbrp10le", 10, full=True, tagged=False), Sheet("gbrp12le", 12, full=True),
    Sheet("gbrp16le", 16, full=True),
]  # fmt: skip


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
async def test_patches_are_at_most_one_code_off_the_float_reference(
    sheet: Sheet, tmp_path: Path, ffmpeg_binary: str
) -> None:
    scored, saved = await through(make(tmp_path, sheet), tmp_path / "work", ffmpeg_binary)
    assert scored.dtype == saved.dtype == (np.uint8 if sheet.bits == 8 else np.uint16)
    expected = reference(sheet)
    for picture in (scored, saved):
        assert np.abs(patches(picture) - expected).max() * 255 <= 1.0
        assert (patches(picture)[15] == 1).all()
        assert (patches(picture)[0] == 0).all()


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("bits", [8, 10])
async def test_a_jpeg_is_at_most_six_codes_off(matrix: str, bits: int, tmp_path: Path, ffmpeg_binary: str) -> None:
    sheet = Sheet("yuv420p" if bits == 8 else "yuv420p10le", bits, matrix)
    _, saved = await through(make(tmp_path, sheet), tmp_path / "work", ffmpeg_binary, form="jpeg")
    assert np.abs(patches(saved, spread=12) - reference(sheet)).max() * 255 <= 6.0


async def test_a_deep_source_as_png8_is_at_most_one_code_off(tmp_path: Path, ffmpeg_binary: str) -> None:
    sheet = Sheet("yuv420p10le", 10, "bt2020nc")
    _, saved = await through(make(tmp_path, sheet), tmp_path / "work", ffmpeg_binary, form="png8")
    assert saved.dtype == np.uint8
    assert np.abs(patches(saved) - reference(sheet)).max() * 255 <= 1.0


HDR_SHEETS = [
    Sheet("yuv420p10le", 10, "bt2020nc", transfer=PQ),
    Sheet("yuv420p10le", 10, "bt2020nc", transfer=HLG),
    Sheet("yuv444p12le", 12, "bt2020nc", full=True, transfer=PQ),
    Sheet("yuv420p", 8, "bt2020nc", transfer=HLG),
    Sheet("yuv420p10le", 10, "bt2020nc", tagged=False, transfer=PQ),
]


@pytest.mark.parametrize("sheet", HDR_SHEETS, ids=lambda sheet: sheet.name)
async def test_an_hdr_ramp_stays_a_gray_ramp_in_scoring_and_in_the_still(
    sheet: Sheet, tmp_path: Path, ffmpeg_binary: str
) -> None:
    scored, saved = await through(make(tmp_path, sheet), tmp_path / "work", ffmpeg_binary)
    for picture in (scored, saved):
        ramp = patches(picture)[:16]
        assert picture.dtype == np.uint16
        assert np.ptp(ramp, axis=1).max() * 255 <= 1.0
        assert (np.diff(ramp[:, 1]) >= 0).all()
        assert np.diff(ramp[:, 1])[ramp[1:, 1] < 1].min() > 0
        assert ramp[0, 1] == 0
        assert ramp[15, 1] == 1
    assert np.abs(patches(saved) - patches(scored)).max() * 255 <= 1.0


@pytest.mark.parametrize("sheet", HDR_SHEETS, ids=lambda sheet: sheet.name)
async def test_untouched_hdr_samples_on_request(sheet: Sheet, tmp_path: Path, ffmpeg_binary: str) -> None:
    _, saved = await through(make(tmp_path, sheet), tmp_path / "work", ffmpeg_binary, hdr="keep")
    assert saved.dtype == np.uint16
    assert np.abs(patches(saved) - reference(sheet)).max() * 255 <= 1.0
    assert (patches(saved)[15] == 1).all()


async def test_a_binary_that_converts_otherwise_is_found_out(tmp_path: Path, ffmpeg_binary: str) -> None:
    """A wrapper that takes the file for full range: the planes are right, the picture is not."""
    liar = tmp_path / "ffmpeg"
    liar.write_text(
        "#!/usr/bin/env python3\nimport os, sys\n"
        f'os.execv({ffmpeg_binary!r}, ["ffmpeg", *[a.replace("in_range=tv", "in_range=pc") for a in sys.argv[1:]]])\n'
    )
    liar.chmod(0o755)
    for form in ("auto", "jpeg"):
        with pytest.raises(AssertionError, match=r"Method\.DECODE"):
            await through(make(tmp_path, Sheet("yuv420p", 8)), tmp_path / form, str(liar), form=form)
