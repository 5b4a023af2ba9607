"""Who may import whom: read from the imports, so that the layout in docs/architecture.md holds by itself."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "daemon"

MOST_FLAT_MODULES = 6
MOST_INIT_LINES = 20
MOST_LINES = 600
LONG_LINES = 400
MOST_LONG_FILES = 2

STAGES = {"inbox", "decode", "scoring", "analysis", "selection", "export"}

# Lowest first: a wing imports itself and what stands before it. Wings of one row stand side by side.
LAYERS: list[set[str]] = [
    {"errors"},
    {"model"},
    {"events"},
    {"config"},
    {"logs"},
    {"job"},
    {"runtime"},
    {"media"},
    {"store"},
    STAGES,
    {"scan"},
    {"pipeline", "cluster"},
    {"observe"},
    {"web"},
    {"service"},
    {"cli"},
    {"__main__"},
]

# What a wing may not import although it stands above it.
BARRED_WINGS = {
    "runtime": {"config", "store"},
    "media": {"config", "store"},
    **{stage: {"store"} for stage in STAGES - {"inbox"}},
    "selection": {"store", "config", "runtime", "media", "logs"},
}

# Packages that are known in one wing only.
OWNED = {
    "av": {"decode"},
    "torch": {"scoring/pyiqa_backend", "cli/bench_baseline.py"},
    "torchvision": {"scoring/pyiqa_backend"},
    "pyiqa": {"scoring/pyiqa_backend", "cli/bench_baseline.py"},
    "ai_edge_litert": {"scoring/faces"},
    "aiosqlite": {"store"},
    "sqlite3": {"store"},
    "watchdog": {"inbox"},
    "structlog": {"logs"},
    "typer": {"cli"},
    "rich": {"cli"},
    "PIL": {"export"},
    "imageio_ffmpeg": {"export"},
    "prometheus_client": {"observe"},
    "numba": {"runtime", "media"},
    "pydantic": {"config"},
    "pydantic_settings": {"config"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    # Of it only the process that speaks with Ray, and what that sends to other machines.
    "ray": {"cluster/driver.py", "cluster/place.py"},
    "jinja2": {"web"},
}
# Parts of the standard library that are not a wing's business.
BARRED_PACKAGES = {
    "model": {"os", "io", "shutil", "sqlite3", "asyncio"},
    "selection": {"os", "pathlib", "io", "shutil", "asyncio", "random", "time"},
    "analysis": {"os", "pathlib", "io", "shutil", "asyncio", "random", "time"},
    "decode": {"asyncio"},
    "media": {"asyncio"},
    "pipeline": {"signal"},
}
# The sections of the configuration that a stage may be given: its own.
SECTIONS = {
    "store": {"DatabaseConfig"},
    "inbox": {"WatchConfig", "OutputConfig"},
    "decode": {"DecodeConfig"},
    "scoring": {"ScoreConfig"},
    "analysis": {"ShotsConfig", "GatesConfig"},
    "selection": set(),
    "export": {"ExportConfig", "OutputConfig"},
}

# Names in folders that others may write to are made, renamed and removed here only.
SHARED_FOLDERS = "runtime/shared_folder.py"
# Other files that change names on the disk, each with the reason why no stranger can have planted one there.
WRITERS = {
    "cli/bench.py": "in a temporary folder of its own, closed to others",
    "cli/demo.py": "a scratch folder that the user names for a try",
    "cli/gather.py": "makes folders below the one that the user names, and second names that replace nothing",
    "config/default_file.py": "a new file, made exclusively, where the user says",
    "export/exporter.py": "in the work folder, which is held and closed to others",
    "export/manifest.py": "in the work folder, which is held and closed to others",
    "export/prover.py": "in the work folder, which is held and closed to others",
    "export/publisher.py": "in the work folder, which is held and closed to others",
    "export/reuse.py": "in the work folder, which is held and closed to others",
    "export/scaling.py": "in the work folder, which is held and closed to others",
    "inbox/held_source.py": "in a temporary folder of its own, closed to others",
    "runtime/durable.py": "makes the folders that the configuration names",
    "scoring/faces/weights.py": "in the cache of the user",
    "store/connection.py": "makes the folder and the file that database.path names",
    "web/server.py": "removes a socket of its own and binds a new one, where the configuration says",
}
CHANGES = {
    *("unlink", "rmdir", "rmtree", "removedirs", "mkdir", "makedirs", "touch", "symlink_to", "hardlink_to", "symlink"),
    *("write_text", "write_bytes", "copyfile", "copy2", "copytree", "chmod", "mkfifo", "mknod", "chown"),
}
"""Calls of these names change names or files by their path; SharedFolder has none of these names."""
OF_A_LIBRARY = {
    ("os", "remove"),
    ("os", "link"),
    ("os", "rename"),
    ("shutil", "copy"),
    ("shutil", "move"),
    ("os", "replace"),
}
WRITING_MODES = frozenset("wax+")
# Modules that open a stranger's file with FFmpeg's libraries, or decode it.
DECODERS = {
    f"daemon.decode.{name}" for name in ("container", "cutting", "frames", "headers", "packets", "probe", "seek")
}
OPENING = {"daemon.decode.container.opened", "daemon.decode.container"}
# Outside of the decoder's wing: who may have a hand on that, with the reason.
MAY_DECODE = {
    "scan/decode_work.py": "runs in the process that decodes",
    "cli/bench.py": "measures in its own process, and is given the operator's own films",
    "cli/bench_stages.py": "measures in its own process, and is given the operator's own films",
}
# Modules that are the other process: nobody imports them here.
CELL_MODULES = {
    "scan/decode_work.py": {"scan/decode_cell.py"},
    "scan/decode_cell.py": set(),
    "decode/probe_cell.py": set(),
}

FILES = sorted(file for file in PACKAGE.rglob("*.py"))


def wing_of(file: Path, package: Path = PACKAGE) -> str:
    """The folder right under daemon/, or the module's own name where it lies flat."""
    return file.relative_to(package).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Dotted names of every import in a file, at any depth; ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}:{node.lineno} is a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_files(file: Path, package: Path = PACKAGE) -> set[Path]:
    """The files under daemon/ that a file imports, at any depth of its code."""
    found = set()
    for name in imports(file):
        parts = name.split(".")
        if parts[0] != "daemon":
            continue
        for length in (len(parts), len(parts) - 1):
            module = package.joinpath(*parts[1:length]).with_suffix(".py")
            if length > 1 and module.is_file():
                found.add(module)
                break
    return found - {file}


def layer_of(wing: str) -> int:
    return next((number for number, wings in enumerate(LAYERS) if wing in wings), -1)


def wrong_import(wing: str, known: str) -> str:
    """Why ``wing`` may not import ``known``; empty where it may."""
    if known in BARRED_WINGS.get(wing, set()):
        return f"{wing} may not import {known}"
    if layer_of(known) > layer_of(wing):
        return f"{wing} stands below {known}"
    if layer_of(known) == layer_of(wing) and known != wing:
        return f"{wing} and {known} stand side by side"
    return ""


def circles(graph: dict[Path, set[Path]]) -> list[list[Path]]:
    """Files that import each other in a circle (Tarjan's strongly connected components of more than one)."""
    index: dict[Path, int] = {}
    low: dict[Path, int] = {}
    stack: list[Path] = []
    found: list[list[Path]] = []

    def visit(file: Path) -> None:
        index[file] = low[file] = len(index)
        stack.append(file)
        for known in graph.get(file, set()):
            if known not in index:
                visit(known)
                low[file] = min(low[file], low[known])
            elif known in stack:
                low[file] = min(low[file], index[known])
        if low[file] == index[file]:
            at = stack.index(file)
            component = stack[at:]
            del stack[at:]
            if len(component) > 1:
                found.append(component)

    for file in graph:
        if file not in index:
            visit(file)
    return found


def wrong_init(text: str) -> str:
    """What is wrong with an ``__init__.py``: too long, or it defines something."""
    if len(text.splitlines()) > MOST_INIT_LINES:
        return f"longer than {MOST_INIT_LINES} lines"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    defined = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return f"defines {', '.join(defined)}" if defined else ""


def changes_names(text: str) -> list[str]:
    """Calls that make, change or remove a name on the disk by its path: ``line: name``."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        modes = [one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        opens = name == "open" and any(len(mode) <= 3 and WRITING_MODES & set(mode) for mode in modes)
        flags = name == "open" and "O_CREAT" in ast.unparse(node)
        # Of a string it has two arguments, of a dataclass keywords, of a SharedFolder three.
        moves = name in ("rename", "replace") and len(node.args) == 1 and not node.keywords and owner != "self"
        if opens or flags or moves or name in CHANGES or (owner, name) in OF_A_LIBRARY:
            found.append(f"{node.lineno}: {name}")
    return found


def decodes(names: Iterable[str]) -> list[str]:
    """Of imported names those of modules that open or decode a film, and these themselves."""
    return [name for name in names if name in DECODERS or name.rpartition(".")[0] in DECODERS]


def ids(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def test_the_files_are_found() -> None:
    assert len(FILES) > 80


def test_few_modules_lie_flat() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_FLAT_MODULES


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "__init__.py"], ids=ids)
def test_imports_run_one_way(file: Path) -> None:
    wing = wing_of(file)
    assert layer_of(wing) >= 0, f"no layer knows {wing}"
    known = {wing_of(other) for other in imported_files(file)}
    assert [why for other in sorted(known) if (why := wrong_import(wing, other))] == []


def test_no_circle_between_files() -> None:
    found = circles({file: imported_files(file) for file in FILES})
    assert [[ids(file) for file in circle] for circle in found] == []


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=ids)
def test_a_package_file_is_short_and_defines_nothing(file: Path) -> None:
    assert wrong_init(file.read_text(encoding="utf-8")) == ""


def test_the_package_itself_imports_nothing() -> None:
    assert list(imports(PACKAGE / "__init__.py")) == []


def test_no_file_is_too_long_and_few_are_long() -> None:
    lines = {ids(file): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
    long = {name: count for name, count in lines.items() if count > LONG_LINES}
    assert len(long) <= MOST_LONG_FILES, f"over {LONG_LINES} lines: {long}"


@pytest.mark.parametrize("package", OWNED)
def test_a_package_is_known_in_its_own_wing_only(package: str) -> None:
    known_in = {ids(file) for file in FILES for name in imports(file) if name.split(".")[0] == package}
    assert [name for name in known_in if not any(f"{name}/".startswith(f"{owner}/") for owner in OWNED[package])] == []


@pytest.mark.parametrize("file", [file for file in FILES if wing_of(file) != "decode"], ids=ids)
def test_films_are_opened_in_processes_of_their_own_only(file: Path) -> None:
    if ids(file) not in MAY_DECODE:
        assert decodes(imports(file)) == []


def test_what_opens_films_is_known_to_do_so() -> None:
    opening = {
        f"daemon.decode.{file.stem}"
        for file in FILES
        if wing_of(file) == "decode" and any(name in OPENING for name in imports(file))
    }
    assert len(opening) > 3
    assert opening - DECODERS == set()


def test_nobody_may_decode_without_need() -> None:
    assert [name for name in MAY_DECODE if not decodes(imports(PACKAGE / name))] == []


@pytest.mark.parametrize("module", CELL_MODULES)
def test_what_runs_in_another_process_is_known_there_only(module: str) -> None:
    known_in = {ids(file) for file in FILES if PACKAGE / module in imported_files(file)}
    assert known_in == CELL_MODULES[module]


@pytest.mark.parametrize("wing", BARRED_PACKAGES)
def test_a_wing_leaves_alone_what_is_not_its_business(wing: str) -> None:
    files = [file for file in FILES if wing_of(file) == wing]
    assert files
    known = {name.split(".")[0] for file in files for name in imports(file)}
    assert known & BARRED_PACKAGES[wing] == set()


@pytest.mark.parametrize("wing", sorted(SECTIONS))
def test_a_stage_gets_only_its_own_section_of_the_configuration(wing: str) -> None:
    files = [file for file in FILES if wing_of(file) == wing]
    taken = {name.split(".")[-1] for file in files for name in imports(file) if name.startswith("daemon.config.")}
    assert {name for name in taken if name.endswith("Config")} <= SECTIONS[wing]


@pytest.mark.parametrize(
    "module", ["daemon.cli.main", "daemon.store.store", "daemon.cli.render", "daemon.scoring.catalog"]
)
def test_what_scores_nothing_does_not_import_torch(module: str) -> None:
    heavy = "{'torch', 'torchvision', 'pyiqa', 'timm'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_names_on_the_disk_are_changed_by_their_owner_only(file: Path) -> None:
    if ids(file) != SHARED_FOLDERS and ids(file) not in WRITERS:
        assert changes_names(file.read_text(encoding="utf-8")) == []


def test_no_writer_is_excepted_without_need() -> None:
    needless = [name for name in WRITERS if not changes_names((PACKAGE / name).read_text(encoding="utf-8"))]
    assert needless == []


def test_the_daemon_itself_never_imports_ray() -> None:
    """Not even with a cluster: Ray ends the process whose cluster it has lost."""
    code = "import sys, daemon.service.scanning, daemon.cluster.open_cluster, daemon.cluster.worker; print('ray' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    assert found.stdout.strip() == "False"


def test_a_daemon_without_a_cluster_does_not_load_its_wing() -> None:
    code = "import sys, daemon.service.daemon, daemon.service.foreground; print('daemon.cluster' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    assert found.stdout.strip() == "False"


class TestTheRulesThemselves:
    """Each rule, broken on purpose: it says so."""

    def test_a_stage_that_imports_a_stage(self) -> None:
        assert wrong_import("decode", "export") == "decode and export stand side by side"

    def test_a_stage_that_imports_the_store(self) -> None:
        assert wrong_import("export", "store") == "export may not import store"
        assert wrong_import("inbox", "store") == ""

    def test_an_import_upwards(self) -> None:
        assert wrong_import("runtime", "pipeline") == "runtime stands below pipeline"
        assert wrong_import("pipeline", "cluster") == "pipeline and cluster stand side by side"
        assert wrong_import("web", "observe") == ""

    def test_a_circle_through_an_import_inside_a_function(self, tmp_path: Path) -> None:
        package = tmp_path / "daemon"
        (package / "store").mkdir(parents=True)
        (package / "store" / "a.py").write_text("from daemon.store.b import thing\n")
        (package / "store" / "b.py").write_text("def thing():\n    from daemon.store import a\n    return a\n")
        graph = {file: imported_files(file, package) for file in package.rglob("*.py")}
        assert [sorted(file.name for file in circle) for circle in circles(graph)] == [["a.py", "b.py"]]

    def test_a_package_file_that_defines_something(self) -> None:
        assert wrong_init('"""Docs."""\n\ndef helper() -> None: ...\n') == "defines helper"
        assert wrong_init("#\n" * (MOST_INIT_LINES + 1)) == f"longer than {MOST_INIT_LINES} lines"
        assert wrong_init('"""Docs."""\n') == ""

    @pytest.mark.parametrize(
        "code",
        [
            "path.unlink()",
            "(folder / name).rename(other)",
            "path.open('w')",
            "open(path, 'ab')",
            "open(path, mode='x')",
            "os.open(path, os.O_WRONLY | os.O_CREAT)",
            "shutil.rmtree(path, ignore_errors=True)",
            "await asyncio.to_thread(lambda: path.mkdir())",
            "path.replace(target)",
            "os.symlink(a, b)",
        ],
    )
    def test_a_name_that_is_changed_by_its_path(self, code: str) -> None:
        assert len(changes_names(code)) == 1

    @pytest.mark.parametrize("code", ["path.open('rb')", "text.replace('a', 'b')", "folder.rename(a, folder, b)"])
    def test_what_changes_no_name_by_its_path(self, code: str) -> None:
        assert changes_names(code) == []

    @pytest.mark.parametrize(
        "code",
        [
            "from daemon.decode.container import opened",
            "from daemon.decode.seek import index_of as read",
            "from daemon.decode.cutting import cut_film",
            "import daemon.decode.seek",
            "def late():\n    from daemon.decode import frames",
        ],
    )
    def test_a_film_that_is_opened_here(self, tmp_path: Path, code: str) -> None:
        file = tmp_path / "a.py"
        file.write_text(code)
        assert len(decodes(imports(file))) == 1

    def test_an_unknown_wing(self) -> None:
        assert layer_of("helpers") == -1
