"""``verify``: what is proven, and what is found out."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.errors import StillwatchError
from daemon.export import manifest, metadata, proof, still_colour
from daemon.export.image_format import ImageFormat
from daemon.export.proof import ProofError
from daemon.runtime.cell import Cells
from daemon.scan import apart
from daemon.service.foreground import once
from tests import corpus, films
from tests.older_stills import older_form
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

pytestmark = pytest.mark.usefixtures("stub_scorer")


async def published(tmp_path: Path, *, name: str = "film", **output: str) -> list[Path]:
    """Three stills of a film, best first."""
    film = films.make(tmp_path / f"{name}.mp4", frames=12, options={"bf": "2", "g": "6"})
    config = Config.model_validate(
        {
            "output": {"path": tmp_path / "out", **output},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": 3, "min_gap_seconds": 0},
        }
    )
    await once(config, [film])
    return verify.find_stills([tmp_path / "out"])


def reasons(*paths: Path) -> list[str]:
    return [verdict.reason for verdict in verify.verify(verify.find_stills(paths), Config().decode)]


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_stills_are_proven_file_by_file_and_folder_by_folder(tmp_path: Path, form: str) -> None:
    stills = await published(tmp_path, format=form)
    assert reasons(tmp_path / "out") == ["", "", ""]
    assert reasons(stills[1]) == [""]


async def test_a_still_away_from_its_manifest_is_proven_by_itself(tmp_path: Path) -> None:
    still = shutil.copy((await published(tmp_path))[0], tmp_path / "copy.png")
    assert reasons(Path(still)) == [""]


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_stills_of_earlier_versions_are_proven(tmp_path: Path, form: str) -> None:
    still = (await published(tmp_path, format=form))[0]
    (still.parent / manifest.NAME).unlink()
    data = still.read_bytes()
    still.write_bytes(older_form(metadata.remove(data), metadata.read(still)))
    assert b"urn:stillwatch" in data
    assert b"urn:stillwatch" not in still.read_bytes()
    assert reasons(still) == [""]


def facts_of(still: Path, **changes: str) -> dict[str, str]:
    return {**metadata.read(still), **changes}


def with_pixels(still: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Other pixels under the same facts."""
    facts = metadata.read(still)
    with Image.open(still) as image:
        pixels = change(np.asarray(image).copy())
    Image.fromarray(pixels).save(still, quality=97)
    still.write_bytes(metadata.embed(still.read_bytes(), facts))


def nudge(pixels: np.ndarray) -> np.ndarray:
    pixels[40, 50] ^= 0x10
    return pixels


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("png", nudge),
        ("png", lambda pixels: pixels[:, ::-1]),
        ("png", lambda pixels: pixels[1:]),
        ("jpeg", lambda pixels: pixels[:, ::-1]),
        ("jpeg", lambda pixels: (pixels * 0.86 + 16).astype(np.uint8)),
    ],
)
async def test_other_pixels_under_the_same_facts_are_found_out(
    tmp_path: Path, form: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    stills = await published(tmp_path, format=form)
    with_pixels(stills[0], change)
    assert "changed after it was published" in reasons(stills[0])[0]
    (stills[0].parent / manifest.NAME).unlink()
    assert "the pixels are not those of its frame" in reasons(stills[0])[0]
    assert reasons(stills[1]) == [""]


async def test_a_still_that_claims_another_frame_is_found_out(tmp_path: Path) -> None:
    stills = await published(tmp_path)
    (stills[0].parent / manifest.NAME).unlink()
    other = str((int(metadata.read(stills[0])["frame"]) + 1) % 12)
    facts = facts_of(stills[0], frame=other)
    with Image.open(stills[0]) as image:
        Image.fromarray(np.asarray(image)).save(stills[0])
    stills[0].write_bytes(metadata.embed(stills[0].read_bytes(), facts))
    assert "has hash" in reasons(stills[0])[0]


async def test_a_frame_beyond_the_end_is_found_out(tmp_path: Path) -> None:
    stills = await published(tmp_path)
    facts = facts_of(stills[0], frame="999")
    Image.new("RGB", (192, 108)).save(tmp_path / "x.png")
    (tmp_path / "x.png").write_bytes(metadata.embed((tmp_path / "x.png").read_bytes(), facts))
    assert "no such frame" in reasons(tmp_path / "x.png")[0]


async def test_a_source_that_was_changed_or_went_away_proves_nothing(tmp_path: Path) -> None:
    stills = await published(tmp_path)
    film = tmp_path / "film.mp4"
    film.write_bytes(film.read_bytes() + b"\0")
    assert all("is not the file that was scored" in reason for reason in reasons(*stills))
    film.unlink()
    assert all("is not there any more" in reason for reason in reasons(*stills))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
async def test_what_is_no_image_is_a_verdict_and_no_crash(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    assert "cannot be read" in reasons(tmp_path / "x.png")[0]


async def test_an_image_of_someone_else_carries_no_facts(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    assert "carries no facts" in reasons(tmp_path / "x.png")[0]


async def test_a_broken_manifest_is_a_verdict(tmp_path: Path) -> None:
    stills = await published(tmp_path)
    (stills[0].parent / manifest.NAME).write_text(json.dumps({"stills": 5}))
    assert "manifest" in reasons(stills[0])[0]


def test_a_path_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(StillwatchError):
        verify.find_stills([tmp_path / "gone"])


@pytest.mark.parametrize("form", ["png", "jpeg"])
async def test_a_still_that_is_cut_short_is_a_verdict_and_no_crash(tmp_path: Path, form: str) -> None:
    stills = await published(tmp_path, format=form)
    (stills[0].parent / manifest.NAME).unlink()
    data = stills[0].read_bytes()
    stills[0].write_bytes(data[: len(data) * 2 // 3])
    assert reasons(stills[0])[0]
    assert reasons(stills[1]) == [""]


async def test_a_jpeg_that_is_named_png_is_a_verdict_and_no_crash(tmp_path: Path) -> None:
    still = (await published(tmp_path, format="jpeg"))[0]
    named = still.rename(tmp_path / "x.png")
    assert reasons(named)[0]


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", "png"), ("JPEG", "jpg")])
def test_taking_the_facts_out_gives_the_image_back(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(films.texture(3, 64, 48)).save(path, kind)
    plain = path.read_bytes()
    embedded = metadata.embed(plain, {"source": "a\nb", "hash": "IDAT"})
    assert metadata.remove(embedded) == plain
    path.write_bytes(embedded)
    proof.check_embedded(plain, path)
    path.write_bytes(embedded[:-1])
    with pytest.raises(ProofError):
        proof.check_embedded(plain, path)
    path.write_bytes(b"")
    with pytest.raises(ProofError):
        proof.check_embedded(plain, path)


@pytest.mark.parametrize("deep", [False, True])
def test_a_png_is_read_to_its_end(tmp_path: Path, deep: bool) -> None:
    """Every single flipped byte and every cut is found."""
    path = corpus.encode(
        tmp_path / "x.png", "-pix_fmt", "rgb48be" if deep else "rgb24", "-pred", "up", "-update", "1",
        numbers=[5], width=32, height=16,
    )  # fmt: skip
    form = ImageFormat("png", 16 if deep else 8)
    proof.check_image(path, 32, 16, form)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x21]) + whole[at + 1 :])
        with pytest.raises(ProofError):
            proof.check_image(path, 32, 16, form)
        path.write_bytes(whole[:at])
        with pytest.raises(ProofError):
            proof.check_image(path, 32, 16, form)


# What strangers put among the stills


def png_of(width: int, height: int) -> bytes:
    """A PNG that announces so many pixels and holds none."""
    header = still_colour.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return metadata.PNG_SIGNATURE + header + still_colour.chunk(b"IDAT", b"") + still_colour.chunk(b"IEND", b"")


def deep_jpeg() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "[" * 20_000
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def image(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, kind)
    return file.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n(PROBE) (w) file closefile\nshowpage\n"
FILES: dict[str, Callable[[Path], object]] = {
    "a program for Ghostscript": lambda path: path.write_bytes(EPS),
    "an EPS that Pillow made": lambda path: path.write_bytes(image("EPS")),
    "a GIF": lambda path: path.write_bytes(image("GIF")),
    "a TIFF": lambda path: path.write_bytes(image("TIFF")),
    "a WebP": lambda path: path.write_bytes(image("WEBP")),
    "60000 x 60000": lambda path: path.write_bytes(png_of(60_000, 60_000)),
    "most that a PNG can say": lambda path: path.write_bytes(png_of(2**31 - 1, 2**31 - 1)),
    "no pixels": lambda path: path.write_bytes(png_of(0, 0)),
    "a signature alone": lambda path: path.write_bytes(metadata.PNG_SIGNATURE),
    "a JPEG with deep JSON": lambda path: path.write_bytes(deep_jpeg()),
    "a link to zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "nothing": lambda path: path.touch(),
}
REFUSED_FOR = {
    **dict.fromkeys(["a program for Ghostscript", "an EPS that Pillow made"], "neither a PNG nor a JPEG"),
    **dict.fromkeys(["a GIF", "a TIFF", "a WebP"], "neither a PNG nor a JPEG"),
    **dict.fromkeys(["60000 x 60000", "most that a PNG can say"], "pixels, more than"),
    **dict.fromkeys(["a link to zeros without end", "a pipe"], "is not a regular file"),
}
MANIFESTS: dict[str, Callable[[Path], object]] = {
    "no digest": lambda path: path.write_text(json.dumps({"stills": [{"file": "a.png"}]})),
    "deep": lambda path: path.write_text("[" * 200_000),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("7"),
    "stills that are none": lambda path: path.write_text(json.dumps({"stills": {"file": "a.png"}})),
    "a pipe": os.mkfifo,
    "a link to zeros without end": lambda path: path.symlink_to("/dev/zero"),
    # Sound but for its size.
    "too large": lambda path: path.write_text(json.dumps({"stills": []}).ljust(verify.MANIFEST_BYTES + 1)),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00\x80"),
}


def test_no_bad_file_ends_or_hangs_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each on the list by name, as a shell would give it; a run in a process of its own, which can be ended."""
    paths = []
    for number, make in enumerate(FILES.values()):
        paths.append(tmp_path / f"{number}.png")
        make(paths[-1])
    code = (
        "import sys, json; from pathlib import Path; from daemon.cli import verify; from daemon.config.schema import Config;"
        "print(json.dumps([one.reason for one in verify.verify([Path(a) for a in sys.argv[1:]], Config().decode)]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, timeout=90, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    said = dict(zip(FILES, json.loads(ended.stdout), strict=True))
    assert all(said.values()), said
    assert {name for name, reason in said.items() if "cannot be read" not in reason} <= {"a JPEG with deep JSON"}
    # By what no decoder was asked for.
    assert {name: said[name] for name, why in REFUSED_FOR.items() if why not in said[name]} == {}


@pytest.mark.parametrize("name", MANIFESTS)
async def test_no_bad_manifest_ends_or_hangs_a_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad").mkdir()
    MANIFESTS[name](tmp_path / "bad" / "manifest.json")
    Image.new("RGB", (16, 16)).save(tmp_path / "bad" / "a.png")
    async with asyncio.timeout(30):
        (verdict,) = await asyncio.to_thread(lambda: list(verify.verify([tmp_path / "bad" / "a.png"], Config().decode)))
    assert "manifest beside it cannot be read" in verdict.reason


async def test_sound_stills_among_bad_ones_are_proven(tmp_path: Path) -> None:
    stills = await published(tmp_path)
    for number, make in enumerate(FILES.values()):
        make(tmp_path / "out" / f"{number}.png")
    said = {one.still: one.reason for one in verify.verify(verify.find_stills([tmp_path / "out"]), Config().decode)}
    assert [said[still] for still in stills] == ["", "", ""]
    assert all(reason for still, reason in said.items() if still not in stills)


@pytest.mark.parametrize(
    "facts",
    [
        {"rules": "99"},
        {"rules": "x"},
        {"frame": "-"},
        {"stream": ""},
        {"stream": "-1"},
        {"stream": f"1{'0' * 30}"},
        {"stream": "x" * 20_000},
        {"frame": "-1"},
        {"frame": f"1{'0' * 30}"},
        {"pts": f"1{'0' * 30}"},
        {"pts": f"-1{'0' * 30}"},
        {"source": "/dev/zero"},
    ],
    ids=str,
)
async def test_facts_that_nobody_wrote_are_a_verdict(tmp_path: Path, facts: dict[str, str]) -> None:
    still = (await published(tmp_path))[0]
    changed = tmp_path / "changed.png"
    changed.write_bytes(metadata.embed(metadata.remove(still.read_bytes()), facts_of(still, **facts)))
    assert all(reasons(changed))
    assert reasons(still) == [""]


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ("proven", 0),
        ("proven replaced", 0),
        ("replaced", 1),
        ("proven refuted", 1),
        ("proven replaced refuted", 1),
        ("", 1),
    ],
)
def test_only_what_was_replaced_does_not_fail_while_others_are_proven(verdicts: str, code: int) -> None:
    of = {
        "proven": verify.Verdict(Path("a.png"), True, ""),
        "replaced": verify.Verdict(Path("b.png"), False, "other content", source_replaced=True),
        "refuted": verify.Verdict(Path("c.png"), False, "the pixels are not those of its frame"),
    }
    assert verify.exit_code([of[word] for word in verdicts.split()]) == code


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("again-crashes", "crashed the process that does so (SIGSEGV)"),
        ("again-hungry", "decode.memory_bytes"),
        ("again-hangs", "the decoder gave nothing for 10 s"),
        ("again-lies", "no frame"),
        ("again-fails", "RuntimeError: a mistake"),
        ("packets-crashes", "crashed the process that does so (SIGSEGV)"),
        ("packets-hangs", "the decoder gave nothing for 10 s"),
    ],
)
async def test_a_decoder_that_ends_costs_the_stills_of_its_film_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    for folder, film_name in (("bad", name), ("good", "good")):
        (tmp_path / folder).mkdir()
        await published(tmp_path / folder, name=film_name)
    # Long enough for a good film on a busy machine.
    monkeypatch.setattr(verify, "QUIET_SECONDS", 10.0)
    for pool in ("CELLS", "AGAIN"):
        monkeypatch.setattr(apart, pool, Cells("tests.odd_decode_cell", ring=True, arenas=apart.ARENAS))
    stills = verify.find_stills([tmp_path / "bad", tmp_path / "good"])
    verdicts = list(verify.verify(stills, Config().decode))
    good = [one.reason for one in verdicts if one.still.is_relative_to(tmp_path / "good")]
    bad = [one.reason for one in verdicts if one.still.is_relative_to(tmp_path / "bad")]
    assert good == [""] * 3
    assert [says in reason for reason in bad] == [True] * 3, bad
