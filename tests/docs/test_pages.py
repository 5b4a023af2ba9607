"""The pages hold: links lead somewhere, commands and settings exist, what comes from the code is up to date."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from daemon.analysis.gates import Verdict
from daemon.cli.main import typer_app
from daemon.config.schema import Config
from daemon.errors import Kind
from daemon.model import ShotKind, Status
from tests.docs import generate
from tests.events import EVENTS
from tests.unit.test_architecture import LAYERS

ROOT = generate.ROOT
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *generate.PAGES]
MOST_README_LINES = 150
MOST_PICTURE_BYTES = 300_000

# Programs that a page may name besides our own command, make and Python.
OTHER_PROGRAMS = {
    *("git", "pip", "pipx", "uv", "podman", "docker", "buildah", "sudo", "env", "install", "useradd", "systemctl"),
    *("usermod", "journalctl", "cp", "mkdir", "cd", "chown"),
}


def names(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=names)


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE)


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: str, folder: Path) -> Iterator[str]:
    """Links of a page in this folder that lead nowhere; addresses of other sites are not followed."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        if path and not (folder / path).exists():
            yield target
            continue
        there = (folder / path).read_text(encoding="utf-8") if path and anchor else page
        if anchor and anchor not in anchors(there):
            yield target


def commands(page: str) -> Iterator[list[str]]:
    """The commands of a page's ``sh`` blocks, as words."""
    for block in re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words: list[str] = []
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.commenters = "#"
            for word in [*lexer, "&&"]:
                if set(word) <= set("&|;"):
                    if words:
                        yield words
                    words = []
                else:
                    words.append(word)


def wrong_command(words: list[str]) -> str | None:
    """What is wrong with a command; None when all of it exists."""
    while re.match(r"[A-Z_]+=|(sudo|env)$", words[0]):
        words = words[3:] if words[:2] == ["sudo", "-u"] else words[1:]
    program, rest = Path(words[0]).name, words[1:]
    if program == "stillwatch":
        return _wrong_stillwatch(rest)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        unknown = [target for target in rest if target not in targets and "=" not in target]
        return f"no such target: {unknown}" if unknown else None
    if program.startswith("python"):
        if rest[:1] == ["-m"]:
            return None if importlib.util.find_spec(rest[1]) else f"no such module: {rest[1]}"
        return None if (ROOT / rest[0]).is_file() else f"no such script: {rest[0]}"
    return None if program in OTHER_PROGRAMS else f"an unknown program: {program}"


def _wrong_stillwatch(arguments: list[str]) -> str | None:
    group: Any = typer.main.get_command(typer_app())
    if arguments[0].startswith("-"):
        given, known = arguments, {option for parameter in group.params for option in parameter.opts}
    else:
        if arguments[0] not in group.commands:
            return f"no such command: {arguments[0]}"
        command = group.commands[arguments[0]]
        given, known = arguments[1:], {option for parameter in command.params for option in parameter.opts}
    unknown = [word for word in given if word.startswith("-") and word not in known | {"--help"}]
    return f"no such option: {unknown}" if unknown else None


def unknown_settings(page: str) -> list[str]:
    """Names in code marks that look like settings, and are neither settings nor events."""
    fields = Config.model_fields
    found = re.findall(r"`([a-z]+)\.([a-z_]+)\b(?!\()", page)
    return [
        f"{section}.{key}"
        for section, key in found
        if section in fields
        and key not in getattr(fields[section].annotation, "model_fields", {})
        and f"{section}.{key}" not in EVENTS
        and key not in ("yaml", "py", "md")
    ]


@pytest.mark.parametrize("page", generate.PAGES, ids=names)
def test_what_comes_from_the_code_is_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == generate.rendered(text), f"out of date: run {generate.COMMAND}"


@pytest.mark.parametrize("part", generate.PARTS)
def test_each_generated_part_is_on_one_page(part: str) -> None:
    assert sum(page.read_text(encoding="utf-8").count(f"<!-- generated: {part} -->") for page in PAGES) == 1


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page.read_text(encoding="utf-8"), page.parent)) == []


@pytest.mark.parametrize("page", PAGES[1:], ids=names)
def test_the_readme_leads_to_every_page(page: Path) -> None:
    assert f"]({names(page)})" in README.read_text(encoding="utf-8")


@every_page
def test_commands_exist(page: Path) -> None:
    assert [wrong for words in commands(page.read_text(encoding="utf-8")) if (wrong := wrong_command(words))] == []


@every_page
def test_settings_exist(page: Path) -> None:
    assert unknown_settings(page.read_text(encoding="utf-8")) == []


@every_page
def test_files_of_the_source_exist(page: Path) -> None:
    named = re.findall(r"`((?:daemon|tests|docs|systemd)/[\w./-]*)`", page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_folders_in_the_drawing_of_the_tree_are_those_of_the_source() -> None:
    tree = re.findall(r"^ {6,8}(\w+)/ ", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    folders = [file.parent for file in (ROOT / "daemon").rglob("__init__.py")][1:]
    assert sorted(tree) == sorted(folder.name for folder in folders if folder != ROOT / "daemon")


def test_the_drawing_of_the_layers_is_what_the_test_of_the_architecture_holds() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    drawn = re.search(r"^## Who may import whom$.*?\n\n((?: {4}[^\n]+\n)+)", text, re.DOTALL | re.MULTILINE)
    assert drawn is not None
    rows = [set(re.sub(r" {3,}the stages", "", row).split()) for row in drawn[1].splitlines()]
    there = {path.stem for path in (ROOT / "daemon").iterdir()} - {"__main__"}
    assert rows[::-1] == [wings & there for wings in LAYERS if wings & there]


def test_the_readme_is_short_and_its_picture_is_small_and_says_whose_it_is() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_README_LINES
    (picture, beside) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)\n+(.*)", text)[0]
    assert (ROOT / picture).stat().st_size <= MOST_PICTURE_BYTES
    assert "Blender Foundation" in beside
    assert "CC BY 3.0" in beside
    with Image.open(ROOT / picture) as image:
        assert image.width > image.height


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: str(kind.value))
def test_troubleshooting_says_what_to_do_about_each_kind_of_error(kind: Kind) -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {kind.value}\n\n(.+?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert section is not None
    assert section[1].startswith("*Retried.*") == (kind.retryable and kind is not Kind.BUSY and not _waited(kind))
    assert section[1].startswith("*Waited for.*") == _waited(kind)


def _waited(kind: Kind) -> bool:
    return kind in (Kind.DISK_FULL, Kind.AWAY, Kind.BUSY)


@pytest.mark.parametrize("check", ["folder", "disk", "inotify", "ffmpeg", "metric", "device"])
def test_troubleshooting_has_what_doctor_can_say(check: str) -> None:
    assert check in generate.doctor()


def test_every_word_of_the_database_is_explained() -> None:
    choosing = (ROOT / "docs/choosing.md").read_text(encoding="utf-8")
    assert [verdict.value for verdict in Verdict if f"| `{verdict.value}`" not in _one_per_row(choosing)] == []
    assert [kind.value for kind in ShotKind if kind.value not in choosing] == []
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert [status.value for status in Status if status.value not in operations] == []


def _one_per_row(table: str) -> str:
    """A table in which rows for several words are rows for each of them."""
    return re.sub(r"^(\| `\w+`), (`\w+`) ", r"\1 |\n| \2 ", table, flags=re.MULTILINE)


def test_every_prometheus_metric_is_explained() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "daemon/observe").glob("*.py"))
    found = set(re.findall(r'"(stillwatch_[a-z_]+)"', source))
    operations = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    assert len(found) >= 7
    assert [metric for metric in found if f"`{metric}" not in operations] == []


def test_the_glossary_has_each_term_once() -> None:
    terms = re.findall(r"^\| ([^|]+?) \| ", (ROOT / "docs/glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    terms = [term for term in terms if term not in ("term", "---")]
    assert len(terms) > 40
    assert len(terms) == len(set(terms))


# The checks themselves: each finds what it is there for.


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A place: here\n")
    page = "# Top\n[a](other.md) [b](other.md#a-place-here) [c](#top) [d](https://example.org)\n"
    assert list(broken_links(page, tmp_path)) == []
    page += "[e](gone.md) [f](other.md#gone) [g](#gone)\n"
    assert list(broken_links(page, tmp_path)) == ["gone.md", "other.md#gone", "#gone"]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("stillwatch select a.mp4 --count 5  # again", None),
        ("sudo -u stillwatch env A=b /opt/x/bin/stillwatch status", None),
        ("make demo && make run", None),
        ("stillwatch chose a.mp4", "no such command: chose"),
        ("make demo && stillwatch select a.mp4 --number 5", "no such option: ['--number']"),
        ("make dmeo", "no such target: ['dmeo']"),
        ("python3 -m no_such_module", "no such module: no_such_module"),
        ("yum install stillwatch", "an unknown program: yum"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, wrong: str | None) -> None:
    found = [found for words in commands(f"```sh\n{line}\n```\n") if (found := wrong_command(words))]
    assert found == ([wrong] if wrong else [])


def test_a_setting_that_does_not_exist_is_found() -> None:
    assert unknown_settings("`select.count: 3` and `watch.started`") == []
    assert unknown_settings("`select.number`") == ["select.number"]


def test_a_sentence_is_found_with_what_varies_left_out() -> None:
    said = generate.sentences()
    assert "* there is no video stream in the file, only sound or covers\n" in said
    assert "* ... is empty (0 bytes): copy the video again\n" in said
