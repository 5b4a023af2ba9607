"""The log's contract: the schema, the code and docs/events.md name the same events with the same facts."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.events import COMMON, EVENTS, FACTS, MEANINGS, SCHEMA, check_line, facts

ROOT = Path(__file__).parents[3]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
LOGGERS = re.compile(r"^(self\._)?((job\.)?log|bound)$|^setup\.get\((__name__)?\)$|^get\((__name__)?\)$")
BOUND = re.compile(r"^self\._log$|^bound$|^(self\._)?job\.log$")


def calls() -> Iterator[tuple[list[str], set[str], bool]]:
    """Every call of a logger under daemon/: the event's possible names, its facts, whether facts are bound before."""
    for file in sorted((ROOT / "daemon").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            logger = ast.unparse(node.func.value)
            if node.func.attr not in LEVELS or not LOGGERS.match(logger) or not node.args:
                continue
            given = {keyword.arg for keyword in node.keywords if keyword.arg} - {"exc_info"}
            yield names(node.args[0]), given, bool(BOUND.match(logger))


def names(argument: ast.expr) -> list[str]:
    """The event names that an argument can have."""
    if isinstance(argument, ast.Constant):
        return [argument.value]
    if isinstance(argument, ast.IfExp):
        return names(argument.body) + names(argument.orelse)
    if isinstance(argument, ast.JoinedStr):
        pattern = "".join(re.escape(p.value) if isinstance(p, ast.Constant) else "[a-z]+" for p in argument.values)
        return [event for event in EVENTS if re.fullmatch(pattern, event) and "error_kind" in facts(event)]
    raise AssertionError(f"an event whose name cannot be read: {ast.unparse(argument)}")


def table() -> dict[str, str]:
    """The tables of events in the docs: name and facts."""
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.*?) \| .*? \|$", (ROOT / "docs/events.md").read_text(), re.MULTILINE)
    return {event: column for event, column in rows if event in EVENTS or "." in event}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert not set(FACTS) & {*COMMON, "event", "logger"}
    assert set(FACTS) == {fact for event in EVENTS for fact in facts(event)}


def test_the_code_says_what_the_schema_lists_and_nothing_else() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for events, given, bound in calls():
        for event in events:
            assert event in EVENTS, f"{event} is not in the contract: tests/events.py, docs/events.md and CHANGELOG.md"
            have = given | ({"video", "video_id"} if bound else set())
            always = {fact for fact, needed in facts(event).items() if needed}
            assert always <= have <= set(facts(event)), f"{event} is logged with {sorted(have)}"
            said[event] |= have
    assert set(said) == set(EVENTS)
    assert {event: set(facts(event)) for event in EVENTS} == said


@pytest.mark.parametrize("event", EVENTS)
def test_the_docs_list_an_event_with_its_facts(event: str) -> None:
    assert re.findall(r"`([a-z_]+\??)`", table().get(event, "the event is missing")) == EVENTS[event].split()


def test_the_docs_list_no_other_event_and_say_what_each_means() -> None:
    assert set(table()) == set(EVENTS) == set(MEANINGS)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("Traceback (most recent call last):", "not JSON"),
        ('{"event": "service.stopped", "level": "info"}', "timestamp"),
        ('{"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": "no.such"}', "no.such"),
        ('{"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": "service.stopping"}', "signal"),
        (
            '{"timestamp": "2026-01-01T00:00:00.000000Z", "level": "info", "event": "service.stopped", "url": ""}',
            "'url' was unexpected",
        ),
    ],
)
def test_a_line_that_breaks_the_contract_is_found(line: str, wrong: str) -> None:
    with pytest.raises(AssertionError, match=wrong):
        check_line(line)
