"""Evidence that an exported image is the frame that was scored."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from daemon.export.commands import HASHES, ImageFormat
from daemon.export.embed import PNG_SIGNATURE

# The pictures that are opened here are our own, and decode.max_pixels bounds them.
Image.MAX_IMAGE_PIXELS = None


class ProofError(Exception):
    """The evidence does not hold; the message says which part."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was compared: the hash stored at scoring time and the hash seen at export time."""

    scored_hash: str
    exported_hash: str


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
    found = {path.name for path in folder.iterdir() if path.suffix == f".{image.suffix}"}
    wanted = {f"{ordinal}.{image.suffix}" for ordinal in expected}
    if found != wanted:
        missing, extra = sorted(wanted - found), sorted(found - wanted)
        raise ProofError(f"not the asked-for set of files: missing {missing[:3]}, unexpected {extra[:3]}")
    seen = read_sidecar(folder / HASHES)
    if set(seen) != set(expected):
        raise ProofError("not the asked-for set of hashes")
    for ordinal, scored in expected.items():
        if seen[ordinal] != scored:
            raise ProofError(f"frame {ordinal} has hash {seen[ordinal][:12]}, but {scored[:12]} was scored")
    return {ordinal: Evidence(scored, seen[ordinal]) for ordinal, scored in expected.items()}


def check_image(path: Path, width: int, height: int, image: ImageFormat) -> None:
    """The file decodes to its end and has the expected kind, size and depth. Raises ProofError."""
    kind = "JPEG" if image.suffix == "jpg" else "PNG"
    try:
        with Image.open(path) as opened:
            size, found_kind = opened.size, opened.format
            opened.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise ProofError(f"{path.name} does not decode: {error}") from error
    if found_kind != kind or size != (width, height):
        raise ProofError(f"{path.name} is a {found_kind} of {size[0]}x{size[1]}, not a {kind} of {width}x{height}")
    if not _ends_well(path, kind):
        raise ProofError(f"{path.name} is cut off at its end")
    if kind == "PNG":
        depth, colour = png_depth(path)
        if (depth, colour) != (image.depth, 2):
            raise ProofError(f"{path.name} has {depth} bits of colour type {colour}, not RGB of {image.depth} bits")


def _ends_well(path: Path, kind: str) -> bool:
    """Pillow does not look at what follows the last pixel."""
    end = b"\0\0\0\0IEND\xaeB`\x82" if kind == "PNG" else b"\xff\xd9"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(end)))
        return file.read() == end


def png_depth(path: Path) -> tuple[int, int]:
    """Bits a sample and colour type of a PNG file, from its IHDR chunk."""
    with path.open("rb") as file:
        head = file.read(26)
    if not head.startswith(PNG_SIGNATURE):
        raise ProofError(f"{path.name} is no PNG file")
    depth, colour = struct.unpack(">BB", head[24:26])
    return depth, colour


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
