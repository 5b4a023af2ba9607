"""Stills that an earlier selection proved and published, taken again instead of being cut out again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from daemon.export import metadata, proof
from daemon.export.image_file import MOST_BYTES
from daemon.export.image_format import ImageFormat
from daemon.export.proof import Evidence, ProofError
from daemon.model import Method, Pick
from daemon.runtime.reading import read_regular


@dataclass(frozen=True, slots=True)
class Published:
    """A row of ``stills`` of an earlier selection; ``image`` is how it was written."""

    frame: int
    path: Path
    sha256: str
    image: str | None
    method: Method


def take(old: Published, pick: Pick, image: ImageFormat, width: int, height: int, target: Path) -> Evidence | None:
    """Copy the bare image of an earlier still to ``target``; its evidence, or None where it will not do.

    It does when the file is byte for byte the one that was published, says that it is this very frame, and was
    written the way that is wanted now.
    """
    if old.image != image.name:
        return None
    try:
        content = read_regular(old.path, MOST_BYTES)
        if hashlib.sha256(content).hexdigest() != old.sha256:
            return None
        # Our own copy: another file may have the name by now.
        target.write_bytes(content)
        facts = metadata.read(target)
        if facts.get("hash") != pick.hash or facts.get("frame") != str(pick.frame):
            target.unlink()
            return None
        target.write_bytes(metadata.remove(content))
        proof.check_image(target, width, height, image)
    except (OSError, SyntaxError, ValueError, ProofError):
        # Cutting it out again mends whatever this was.
        target.unlink(missing_ok=True)
        return None
    return Evidence(pick.hash, facts["hash"])
