"""Who may know whom: read from the imports, so that the shape in the design holds by itself."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "daemon"
MAX_LINES = 400

# A room is a module or subpackage right under daemon/. Each layer knows only those before it.
LAYERS: dict[str, set[str]] = {
    layer: set(rooms.split())
    for layer, rooms in {
        "ground": "errors model",
        "base": "config config_choice config_service logs log_writer bridge picture tone notify news"
        " heartbeat compiled features measure hang folders",
        "stages": "watch observer admit decode damage frames batching score store shots cuts gates selection export",
        "pipeline": "scoring pipeline judge choosing refine finalize intake patience workers"
        " board metrics web hooks after headline",
        "commands": "deadline reload service attendants facts once reselect show doctor demo verify bench",
        "entry": "cli __main__",
    }.items()
}
# Rooms of these layers may not even know their neighbours, but for the parts that a room was split into.
APART = {"ground", "base", "stages"}
NEIGHBOURS = {("score", "batching"), ("picture", "tone"), ("decode", "damage"), ("decode", "frames")} | {
    ("watch", "observer"),
    ("shots", "cuts"),
    ("hang", "bridge"),
    ("config", "config_choice"),
    ("config", "config_service"),
    ("config_service", "config_choice"),
    ("logs", "log_writer"),
    ("measure", "compiled"),
    ("measure", "features"),
}

# Packages that are known in one room only.
OWNED = {
    "av": {"decode", "damage", "frames"},
    "torch": {"score"},
    "torchvision": {"score"},
    "pyiqa": {"score"},
    "aiosqlite": {"store"},
    "sqlite3": {"store"},
    "watchdog": {"watch", "observer"},
    "structlog": {"logs"},
    "typer": {"cli"},
    "rich": {"show", "demo"},
    "PIL": {"export"},
    "imageio_ffmpeg": {"export"},
    "prometheus_client": {"metrics"},
    "numba": {"compiled", "measure", "score"},
    "pydantic": {"config", "config_choice", "config_service"},
    "pydantic_settings": {"config"},
}
# What a room may not know, from the design's table of rooms.
BARRED = {
    "model": {"os", "io", "shutil", "sqlite3", "asyncio"},
    "selection": {"os", "pathlib", "io", "shutil", "asyncio", "random", "time"},
    "batching": {"os", "pathlib", "asyncio", "time"},
    "decode": {"asyncio"},
    "admit": {"asyncio"},
    "bridge": {"numpy"},
    "pipeline": {"signal"},
    "picture": {"os", "numpy", "asyncio"},
}

FILES = sorted(PACKAGE.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Dotted names of every import in a file, at any depth; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}:{node.lineno} is a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(room: str) -> str:
    return next((layer for layer, rooms in LAYERS.items() if room in rooms), f"no layer knows {room}")


def rooms_known_by(file: Path) -> set[str]:
    """Rooms under daemon/ that a file imports; the package's own version is nobody's secret."""
    names = [name.split(".") for name in imports(file) if name.split(".")[0] == "daemon"]
    return {parts[1] for parts in names if len(parts) > 1 and parts[1] != "__version__"}


def ids(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def test_the_files_are_found() -> None:
    assert len(FILES) > 20


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_every_file_lies_in_a_known_room(file: Path) -> None:
    assert room_of(file) in set().union(*LAYERS.values()) | {"__init__"}


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) != "__init__"], ids=ids)
def test_imports_run_one_way(file: Path) -> None:
    room = room_of(file)
    order = list(LAYERS)
    for known in rooms_known_by(file) - {room}:
        here, there = order.index(layer_of(room)), order.index(layer_of(known))
        assert there <= here, f"{room} ({layer_of(room)}) may not know {known} ({layer_of(known)})"
        if here == there and layer_of(room) in APART:
            assert (room, known) in NEIGHBOURS, f"{room} and {known} are both {layer_of(room)} and stay apart"


def test_the_package_itself_imports_nothing() -> None:
    assert list(imports(PACKAGE / "__init__.py")) == []


def test_errors_know_nobody() -> None:
    assert rooms_known_by(PACKAGE / "errors.py") == set()


@pytest.mark.parametrize("package", OWNED)
def test_a_package_is_known_in_its_own_room_only(package: str) -> None:
    known_in = {room_of(file) for file in FILES for name in imports(file) if name.split(".")[0] == package}
    assert known_in <= OWNED[package]


@pytest.mark.parametrize("room", BARRED)
def test_a_room_leaves_alone_what_is_not_its_business(room: str) -> None:
    files = [file for file in FILES if room_of(file) == room]
    assert files
    known = {name.split(".")[0] for file in files for name in imports(file)}
    assert known & BARRED[room] == set()


@pytest.mark.parametrize("room", sorted(LAYERS["stages"]))
def test_a_stage_gets_only_its_own_section_of_the_configuration(room: str) -> None:
    own = {"export": {"ExportConfig", "OutputConfig"}, "store": {"DatabaseConfig"}}.get(
        room, {f"{room.capitalize()}Config"}
    )
    files = [file for file in FILES if room_of(file) == room]
    taken = {name.removeprefix("daemon.config.") for file in files for name in imports(file) if "daemon.config" in name}
    assert {name for name in taken if name.endswith("Config")} <= own


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_a_file_fits_in_a_head(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("module", ["daemon.cli", "daemon.store", "daemon.show", "daemon.score.catalog"])
def test_what_scores_nothing_does_not_import_torch(module: str) -> None:
    heavy = "{'torch', 'torchvision', 'pyiqa', 'timm'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert found.stdout.strip() == "[]"
