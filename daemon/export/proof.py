"""Evidence that an exported image is the frame that was scored."""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daemon.export import metadata
from daemon.export.ffmpeg_arguments import HASHES
from daemon.export.image_file import MOST_BYTES, open_image
from daemon.export.image_format import ImageFormat
from daemon.export.metadata import PNG_SIGNATURE
from daemon.model import Method, Picture
from daemon.runtime.reading import open_regular, read_regular

PNG_TOLERANCE = 2.0
"""Codes of 255: FFmpeg builds may round a conversion differently."""
JPEG_TOLERANCE = 4.0
"""Codes of 255, of means over blocks of 8x8 pixels, which JPEG keeps."""


class ProofError(Exception):
    """The evidence does not hold; the message says which part. ``hopeless``: nor will it for fewer frames."""

    def __init__(self, reason: str, *, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.hopeless = hopeless


class HashError(ProofError):
    """FFmpeg saw other planes than those that were scored; ``frame`` is the first such ordinal."""

    def __init__(self, frame: int, seen: str, scored: str) -> None:
        super().__init__(f"frame {frame} has hash {seen[:12]}, but {scored[:12]} was scored")
        self.frame = frame


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was compared: the hash stored at scoring time and the hash seen at export time."""

    scored_hash: str
    exported_hash: str


@dataclass(frozen=True, slots=True)
class Proven:
    """An image in the work folder that was proven to be its frame.

    ``scaled_from`` is the size that it had when it was proven, if it was scaled since.
    """

    path: Path
    evidence: Evidence
    method: Method
    width: int
    height: int
    scaled_from: tuple[int, int] | None = None


def read_sidecar(path: Path) -> dict[int, str]:
    """Ordinal to hex SHA-1 from a ``framehash`` file whose timestamps are ordinals.

    Lines are ``stream, dts, pts, duration, size, hash``. Raises ProofError for a file that is not one.
    """
    hashes: dict[int, str] = {}
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ProofError("FFmpeg wrote no hashes") from error
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        fields = [field.strip() for field in line.split(",")]
        if len(fields) < 6 or not fields[2].lstrip("-").isdecimal():
            raise ProofError(f"a line of the hash sidecar cannot be read: {line!r}")
        ordinal = int(fields[2])
        if ordinal in hashes:
            raise ProofError(f"frame {ordinal} was written twice")
        hashes[ordinal] = fields[5]
    return hashes


def check_batch(folder: Path, expected: dict[int, str], image: ImageFormat) -> dict[int, Evidence]:
    """The exact set of images and hashes, each hash equal to the stored one.

    ``expected`` maps ordinals to stored hashes. Raises ProofError at the first difference.
    """
    present = {path.name for path in folder.iterdir() if path.suffix == f".{image.suffix}"}
    wanted = {f"{ordinal}.{image.suffix}" for ordinal in expected}
    if present != wanted:
        missing, extra = sorted(wanted - present), sorted(present - wanted)
        raise ProofError(f"not the asked-for set of files: missing {missing[:3]}, unexpected {extra[:3]}")
    seen = read_sidecar(folder / HASHES)
    if set(seen) != set(expected):
        raise ProofError("not the asked-for set of hashes")
    for ordinal, scored in expected.items():
        if seen[ordinal] != scored:
            raise HashError(ordinal, seen[ordinal], scored)
    return {ordinal: Evidence(scored, seen[ordinal]) for ordinal, scored in expected.items()}


def check_image(path: Path, width: int, height: int, image: ImageFormat) -> None:
    """The file decodes to its end and has the expected kind, size and depth. Raises ProofError."""
    kind = "JPEG" if image.suffix == "jpg" else "PNG"
    try:
        with open_image(path) as opened:
            size, actual = opened.size, opened.format
            if actual != "PNG":
                opened.load()
        if actual == "PNG":
            _read_to_the_end(path)
    except (OSError, SyntaxError, ValueError, KeyError, zlib.error, struct.error) as error:
        raise ProofError(f"{path.name} does not decode: {error}") from error
    if actual != kind or size != (width, height):
        raise ProofError(f"{path.name} is a {actual} of {size[0]}x{size[1]}, not a {kind} of {width}x{height}")
    if kind == "PNG":
        depth, colour = png_depth(path)
        if (depth, colour) != (image.depth, 2):
            raise ProofError(f"{path.name} has {depth} bits of colour type {colour}, not RGB of {image.depth} bits")


def _read_to_the_end(path: Path) -> None:
    """Every chunk's checksum, and exactly the lines that the header announces; half the cost of the pixels.

    Raises ValueError, KeyError, zlib.error, struct.error.
    """
    data = memoryview(read_regular(path, MOST_BYTES))
    inflate = zlib.decompressobj()
    at, total, line, height, kind = len(PNG_SIGNATURE), 0, 1, 0, b""
    while kind != b"IEND":
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = bytes(data[at + 4 : at + 8]), data[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", data, at + 8 + length)[0] != zlib.crc32(data[at + 4 : at + 8 + length]):
            raise ValueError(f"the checksum of a {kind!r} chunk is wrong")
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
            line = 1 + (width * samples * depth + 7) // 8
            if interlaced:
                raise ValueError("it is interlaced")
        elif kind == b"IDAT":
            piece = inflate.decompress(body)
            if max(piece[-total % line :: line], default=0) > 4:
                raise ValueError("a line has an unknown filter")
            total += len(piece)
        at += length + 12
    if not inflate.eof or total != line * height or at != len(data):
        raise ValueError("its lines are not all there")


def check_embedded(image: bytes, path: Path) -> None:
    """The file on disk is the image that was checked, byte by byte, but for its facts. Raises ProofError."""
    try:
        same = metadata.remove(read_regular(path, MOST_BYTES)) == image
    except (ValueError, struct.error) as error:
        raise ProofError(f"{path.name} is no image any more: {error}") from error
    if not same:
        raise ProofError(f"{path.name} is not the image that was checked")


def difference(path: Path, picture: Picture) -> str:
    """Why the image is not that picture, or nothing. PNG: no sample is off; JPEG: no block is, on average."""
    with open_image(path) as opened:
        samples: Any = np.asarray(opened if opened.mode == "RGB" else opened.convert("RGB"))
    if samples.dtype == picture.dtype and np.array_equal(samples, picture):
        return ""
    image: Any = samples.astype(np.int16)
    # Pillow reads the high byte of 16-bit samples.
    scored: Any = (picture >> 8 if picture.dtype == np.uint16 else picture).astype(np.int16)
    if image.shape != scored.shape:
        return f"{path.name} is of another size ({image.shape}) than its frame ({scored.shape})"
    if path.suffix == ".png":
        off = float(np.abs(image - scored).max())
        return "" if off <= PNG_TOLERANCE else f"{path.name} is off its frame by {off:g} of 255"
    off = float(np.abs(_blocks(image) - _blocks(scored)).mean())
    return "" if off <= JPEG_TOLERANCE else f"{path.name} is off its frame by {off:.1f} of 255 on average"


def _blocks(picture: Any) -> Any:
    """Means of blocks of 8x8 pixels, what is left over at the edges aside; all of it when it is smaller."""
    height, width = (size - size % 8 for size in picture.shape[:2])
    if not height or not width:
        return picture.mean(axis=(0, 1))
    return picture[:height, :width].reshape(height // 8, 8, width // 8, 8, 3).mean(axis=(1, 3))


def png_depth(path: Path) -> tuple[int, int]:
    """Bits a sample and colour type of a PNG file, from its IHDR chunk."""
    with open_regular(path, MOST_BYTES) as file:
        head = file.read(26)
    if not head.startswith(PNG_SIGNATURE):
        raise ProofError(f"{path.name} is no PNG file")
    if len(head) < 26:
        raise ProofError(f"{path.name} is cut short")
    depth, colour = struct.unpack(">BB", head[24:26])
    return depth, colour


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a still. Raises OSError for what is no regular file of a still's size."""
    with open_regular(path, MOST_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
