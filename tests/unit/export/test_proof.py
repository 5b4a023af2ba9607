"""The evidence: the exact set of files and hashes, and images that decode to their end."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daemon.export.ffmpeg_arguments import HASHES
from daemon.export.image_format import ImageFormat
from daemon.export.metadata import PNG_SIGNATURE
from daemon.export.proof import Evidence, ProofError, check_batch, check_image, png_depth, read_sidecar, sha256_of

PNG = ImageFormat("png", 8)
JPEG = ImageFormat("jpg", 8)
A, B = "a" * 40, "b" * 40
HEADER = "#format: frame checksums\n#version: 2\n#hash: SHA160\n#stream#, dts, pts, duration, size, hash\n"


def sidecar(folder: Path, *lines: tuple[int, str]) -> Path:
    path = folder / HASHES
    text = "".join(f"0, {number:10}, {number:10},        1,   460800, {digest}\n" for number, digest in lines)
    path.write_text(HEADER + text, encoding="ascii")
    return path


def encoded(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> bytes:
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(), mode).save(buffer, kind)
    return buffer.getvalue()


def header_only(width: int, height: int, depth: int, colour: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# The sidecar


def test_the_sidecar_maps_ordinals_to_hashes(tmp_path: Path) -> None:
    assert read_sidecar(sidecar(tmp_path, (4, A), (90_000, B))) == {4: A, 90_000: B}


def test_a_sidecar_without_frames_is_empty(tmp_path: Path) -> None:
    assert read_sidecar(sidecar(tmp_path)) == {}


def test_a_missing_sidecar_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match="no hashes"):
        read_sidecar(tmp_path / HASHES)


@pytest.mark.parametrize(
    "line", ["nonsense", "0, 1, NOPTS, 1, 460800, " + A, "0, 1, 1, 1, 460800", "0, 1, 1.5, 1, 1, " + A]
)
def test_a_line_that_cannot_be_read_is_no_proof(tmp_path: Path, line: str) -> None:
    (tmp_path / HASHES).write_text(HEADER + line + "\n", encoding="ascii")
    with pytest.raises(ProofError, match="cannot be read"):
        read_sidecar(tmp_path / HASHES)


def test_a_sidecar_that_is_not_text_is_no_proof(tmp_path: Path) -> None:
    (tmp_path / HASHES).write_bytes(b"\xff\x00\xfe")
    with pytest.raises(ProofError):
        read_sidecar(tmp_path / HASHES)


def test_two_hashes_for_one_frame_are_no_proof(tmp_path: Path) -> None:
    (tmp_path / "4.png").touch()
    sidecar(tmp_path, (4, B), (4, A))
    with pytest.raises(ProofError):
        check_batch(tmp_path, {4: A}, PNG)


# The batch


def test_a_batch_is_proven_by_its_files_and_hashes(tmp_path: Path) -> None:
    for name in ("4.png", "9.png", "graph.txt"):
        (tmp_path / name).touch()
    sidecar(tmp_path, (4, A), (9, B))
    assert check_batch(tmp_path, {9: B, 4: A}, PNG) == {4: Evidence(A, A), 9: Evidence(B, B)}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "missing ['4.png', '9.png']"),
        (["4.png"], "missing ['9.png']"),
        (["4.png", "9.png", "10.png"], "unexpected ['10.png']"),
        (["4.png", "8.png"], "unexpected ['8.png']"),
        (["4.jpg", "9.jpg"], "missing ['4.png', '9.png']"),
    ],
)
def test_any_other_set_of_files_is_no_proof(tmp_path: Path, files: list[str], said: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    sidecar(tmp_path, (4, A), (9, B))
    with pytest.raises(ProofError) as caught:
        check_batch(tmp_path, {4: A, 9: B}, PNG)
    assert said in str(caught.value)


@pytest.mark.parametrize("lines", [[], [(4, A)], [(4, A), (9, B), (10, A)], [(4, A), (8, B)]])
def test_any_other_set_of_hashes_is_no_proof(tmp_path: Path, lines: list[tuple[int, str]]) -> None:
    for name in ("4.png", "9.png"):
        (tmp_path / name).touch()
    sidecar(tmp_path, *lines)
    with pytest.raises(ProofError, match="set of hashes"):
        check_batch(tmp_path, {4: A, 9: B}, PNG)


def test_a_frame_with_another_hash_is_no_proof_and_is_named(tmp_path: Path) -> None:
    for name in ("4.png", "9.png"):
        (tmp_path / name).touch()
    sidecar(tmp_path, (4, A), (9, A))
    with pytest.raises(ProofError, match=f"frame 9 has hash {A[:12]}, but {B[:12]} was scored"):
        check_batch(tmp_path, {4: A, 9: B}, PNG)


# The image


def test_a_whole_image_of_the_right_kind_passes(tmp_path: Path) -> None:
    png, jpg = tmp_path / "4.png", tmp_path / "4.jpg"
    png.write_bytes(encoded("PNG"))
    jpg.write_bytes(encoded("JPEG"))
    check_image(png, 32, 24, PNG)
    check_image(jpg, 32, 24, JPEG)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_image_is_no_proof(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "4.img"
    whole = encoded(kind)
    for length in (0, 10, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:length])
        with pytest.raises(ProofError, match=r"4\.img does not decode"):
            check_image(path, 32, 24, PNG if kind == "PNG" else JPEG)


def test_an_image_with_one_flipped_bit_is_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "4.png"
    damaged = bytearray(encoded())
    damaged[damaged.index(b"IDAT") + 1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ProofError):
        check_image(path, 32, 24, PNG)


def test_a_missing_image_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(ProofError):
        check_image(tmp_path / "4.png", 32, 24, PNG)


@pytest.mark.parametrize(("width", "height"), [(24, 32), (32, 25), (31, 24)])
def test_another_size_is_no_proof(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "4.png"
    path.write_bytes(encoded())
    with pytest.raises(ProofError, match=f"32x24, not a PNG of {width}x{height}"):
        check_image(path, width, height, PNG)


def test_another_kind_is_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "4.png"
    path.write_bytes(encoded("JPEG"))
    with pytest.raises(ProofError, match="is a JPEG"):
        check_image(path, 32, 24, PNG)


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_other_channels_are_no_proof(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "4.png"
    path.write_bytes(encoded(mode=mode))
    with pytest.raises(ProofError, match="not RGB of 8 bits"):
        check_image(path, 32, 24, PNG)


def test_another_depth_is_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "4.png"
    path.write_bytes(encoded())
    with pytest.raises(ProofError, match="not RGB of 16 bits"):
        check_image(path, 32, 24, ImageFormat("png", 16))


def test_a_huge_picture_gets_a_verdict_not_pillows_bomb_alarm(tmp_path: Path) -> None:
    # 89 million pixels set off Pillow's warning, 179 million its error; decode.max_pixels allows such sizes.
    for width, height in ((12_000, 10_000), (20_000, 10_000)):
        path = tmp_path / "4.png"
        path.write_bytes(header_only(width, height, 8, 2))
        with pytest.raises(ProofError, match="does not decode"):
            check_image(path, width, height, PNG)


@pytest.mark.parametrize(("depth", "colour"), [(8, 2), (16, 2), (8, 6), (1, 0)])
def test_depth_and_colour_are_read_from_the_header(tmp_path: Path, depth: int, colour: int) -> None:
    path = tmp_path / "4.png"
    path.write_bytes(header_only(4, 4, depth, colour))
    assert png_depth(path) == (depth, colour)


def test_the_depth_of_something_else_is_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "4.png"
    path.write_bytes(b"GIF89a")
    with pytest.raises(ProofError):
        png_depth(path)


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "4.png"
    path.write_bytes(b"still" * 100_000)
    assert sha256_of(path) == hashlib.sha256(b"still" * 100_000).hexdigest()
