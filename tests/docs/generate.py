"""The parts of ``docs/`` that come from the code: commands, log events, error sentences, what doctor says.

``python -m tests.docs.generate`` writes them into their pages, between ``<!-- generated: name -->`` and
``<!-- end -->``. A test says when a page is out of date.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from daemon.cli.main import typer_app
from daemon.errors import Kind
from tests.events import EVENTS, MEANINGS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
DOCTOR = next((ROOT / "daemon").rglob("doctor.py"))
COMMAND = ".venv/bin/python -m tests.docs.generate"

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SUBJECTS = {
    "service": "The daemon",
    "scorer": "The scorer",
    "video": "A video",
    "decode": "Decoding",
    "export": "Exporting",
    "watch": "The watch folder",
    "source": "What becomes of a source",
    "notify": "Hooks",
    "web": "The HTTP pages",
    "cluster": "The cluster",
    "log": "The log",
}


def rendered(page: str) -> str:
    """A page with its generated parts as they should be. An unknown name is a KeyError."""
    return _PART.sub(lambda found: found[1] + PARTS[found[2]]() + found[3], page)


def events() -> str:
    """A table of log events for each subject, in the order of the contract."""
    groups: dict[str, list[str]] = defaultdict(list)
    for event, facts in EVENTS.items():
        subject = event.partition(".")[0]
        groups[subject if subject in _SUBJECTS else "other"].append(
            f"| `{event}` | {', '.join(f'`{fact}`' for fact in facts.split())} | {MEANINGS[event]} |"
        )
    return "".join(
        f"\n## {_SUBJECTS.get(subject, 'Others')}\n\n" + _table(("event", "facts", "says"), groups[subject])
        for subject in (*_SUBJECTS, "other")
        if groups[subject]
    )


def commands() -> str:
    """Every command with its arguments and options, from the command line's own definition."""
    group: Any = typer.main.get_command(typer_app())
    own = [f"| `{_spelling(parameter)}` | {_meaning(parameter)} |" for parameter in group.params]
    text = "\n" + _table(("option before any command", "meaning"), own)
    return text + "".join(_command(name, group.commands[name]) for name in group.commands)


def _command(name: str, command: Any) -> str:
    usage = " ".join(piece for piece in (_usage(parameter) for parameter in command.params) if piece)
    text = f"\n## {name}\n\n    stillwatch {name} {usage}".rstrip() + f"\n\n{_one_line(command.help or '')}\n"
    rows = [f"| `{_spelling(parameter)}` | {_meaning(parameter)} |" for parameter in command.params]
    return text + ("\n" + _table(("argument or option", "meaning"), rows) if rows else "")


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return ""
    name = parameter.metavar or parameter.name.upper()
    dots = "..." if parameter.nargs == -1 and not name.endswith("...") else ""
    return f"{name}{dots}" if parameter.required else f"[{name}{dots}]"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name != "option":
        return str(parameter.metavar or parameter.name.upper())
    opts = sorted(parameter.opts, key=len, reverse=True)
    value = "" if parameter.is_flag else f" {parameter.metavar or opts[0].lstrip('-').upper().replace('-', '_')}"
    return ", ".join(opts) + value


def _meaning(parameter: Any) -> str:
    shown = parameter.default if isinstance(parameter.default, int | float | str | Path) else None
    default = f" (default: `{shown}`)" if shown is not None and not isinstance(shown, bool) else ""
    return _cell(parameter.help or "") + default


def sentences() -> str:
    """What errors say, by kind; a value in a sentence is shown as three dots."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "daemon").rglob("*.py")):
        for kind, sentence in _raised(ast.parse(file.read_text(encoding="utf-8"))):
            if re.search(r"[a-z]{3}", sentence):
                found[kind].add(sentence)
    return "".join(
        f"\n**{kind.value}**\n\n" + "".join(f"* {_plain(sentence)}\n" for sentence in sorted(found[kind.value]))
        for kind in Kind
        if found[kind.value]
    )


def _raised(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Each ``Kind.X`` that a sentence follows in a call or a tuple, and each ConfigError's sentence."""
    for node, variables in _with_variables(module):
        values = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
        for kind, said in pairwise(values):
            if isinstance(kind, ast.Attribute) and ast.unparse(kind.value) == "Kind":
                for sentence in texts(said, variables):
                    yield Kind[kind.attr].value, sentence
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ConfigError" and len(values) == 1:
            for sentence in texts(values[0], variables):
                yield Kind.CONFIG.value, sentence


def doctor() -> str:
    """What ``stillwatch doctor`` can say: check, what it found, the fix."""
    rows = []
    for call, variables in _with_variables(ast.parse(DOCTOR.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "_result":
            said = [texts(call.args[place], variables) if place < len(call.args) else [""] for place in (0, 2, 3)]
            check, found, fix = (_cell(_plain(" / ".join(alternatives))) for alternatives in said)
            rows.append(f"| {check.replace('...', 'a folder')} | {found} | {fix} |")
    return _table(("check", "found", "fix"), rows)


Variables = dict[str, list[str]]
"""What a function's variables may hold, of those that are given texts."""


def _with_variables(module: ast.Module) -> Iterator[tuple[ast.AST, Variables]]:
    """The nodes of every function in the order of the source, each with the function's variables."""
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in sorted(functions, key=lambda function: function.lineno):
        variables: Variables = defaultdict(list)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                variables[node.targets[0].id] += texts(node.value, {})
        nodes = [node for node in ast.walk(function) if isinstance(node, ast.Call | ast.Tuple)]
        for node in sorted(nodes, key=lambda node: node.lineno):
            yield node, variables


def texts(expression: ast.expr, variables: Variables) -> list[str]:
    """The texts that an expression may have, with three dots for what is known only when it runs."""
    match expression:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(texts(part, {})[0] for part in parts)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [one + other for one in texts(left, variables) for other in texts(right, variables)]
        case ast.IfExp(body=body, orelse=orelse):
            return texts(body, variables) + texts(orelse, variables)
        case ast.Name(id=name) if variables.get(name):
            return variables[name]
    return ["..."]


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    head = list(head)
    return f"| {' | '.join(head)} |\n|{' --- |' * len(head)}\n" + "".join(f"{row}\n" for row in rows)


def _plain(sentence: str) -> str:
    """A sentence as it is printed, where Markdown would take signs of it for its own."""
    return re.sub(r"([*<>])", r"\\\1", _one_line(sentence))


def _cell(sentence: str) -> str:
    return _one_line(sentence).replace("|", "\\|")


def _one_line(sentence: str) -> str:
    return " ".join(sentence.split())


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "doctor": doctor,
    "events": events,
    "sentences": sentences,
}


def main() -> None:
    """Write the pages anew."""
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        if (after := rendered(before)) != before:
            page.write_text(after, encoding="utf-8")
            print(f"written: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
