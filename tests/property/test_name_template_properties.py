"""Templates of names: what passes the check gives safe names that never clash; what is refused says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from daemon.config.name_template import FOLDER_FIELDS, NAME_FIELDS, checked_folder, checked_name
from daemon.export.file_names import StillName, folder_name, format_name, name_of, parse_name, safe_stem

any_text = st.text(st.characters(exclude_characters="/\0"), max_size=300)
kind_words = st.sampled_from(["_", "-", ". ", "_é", " a", "_", "--"])
words = st.text(max_size=6) | st.sampled_from(["_", "-", ".", "..", "/", "../", " ", "{", "}}", "{rank", "%03d", "\0"])


def templates(fields: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Mostly templates that pass, among them some that do not."""
    field = st.sampled_from(fields).map(lambda name: f"{{{name}}}")
    kind = st.lists(field, min_size=1, max_size=4, unique=True).flatmap(
        lambda found: st.lists(kind_words, min_size=len(found) - 1, max_size=len(found) - 1).map(
            lambda between: "".join(a + b for a, b in zip(found, [*between, ""], strict=True))
        )
    )
    wild = st.lists(st.tuples(words, field | st.just("{nothing}")), min_size=1, max_size=4).map(
        lambda parts: "".join(a + b for a, b in parts)
    )
    return kind | kind | kind | wild


def passes(template: str, check: Callable[[str], str]) -> bool:
    try:
        check(template)
    except ValueError:
        return False
    return True


def stills(stem: str) -> st.SearchStrategy[list[tuple[StillName, int | None]]]:
    """The stills of one selection: ranks and frames are each other's only once."""
    still = st.builds(
        lambda rank, frame, time_s, score, shot: (StillName(stem, rank, frame, time_s, "niqe", score, "png"), shot),
        st.integers(1, 100_000),
        st.integers(0, 10**12),
        st.floats(-1e7, 1e9),
        st.floats(-1e6, 1e6),
        st.none() | st.integers(0, 10**6),
    )
    return st.lists(still, min_size=1, max_size=8, unique_by=(lambda one: one[0].rank, lambda one: one[0].frame))


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(templates(NAME_FIELDS), any_text, st.text("0123456789abcdef", min_size=64, max_size=64), st.data())
def test_names_never_clash_and_never_leave_their_folder(
    template: str, film: str, fingerprint: str, data: st.DataObject
) -> None:
    assume(passes(template, checked_name))
    drawn = data.draw(stills(safe_stem(film)))
    in_time = sorted(drawn, key=lambda one: one[0].frame)
    names = [
        name_of(name, template, number=at, shot=shot, fingerprint=fingerprint, date="2024-05-01T10:00:00+02:00")
        for at, (name, shot) in enumerate(in_time, 1)
    ]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert PurePosixPath(name).name == name
        assert len(name.encode()) <= 250
        assert not name.startswith((".", "-", "~", " "))
        assert not set(name) & set('/\\\0\n\r{}<>:"|?*%')


@settings(max_examples=300, suppress_health_check=[HealthCheck.filter_too_much])
@given(templates(FOLDER_FIELDS), any_text, st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_folder_is_one_name_that_the_fingerprint_is_in(template: str, film: str, fingerprint: str) -> None:
    assume(passes(template, checked_folder))
    name = folder_name(film, fingerprint, template)
    assert PurePosixPath("out", name).parent == PurePosixPath("out")
    assert fingerprint[:8] in name
    assert not name.startswith((".", "-"))
    assert len(name.encode()) <= 250


@given(any_text, st.integers(1, 999), st.integers(0, 10**9))
def test_without_a_template_the_name_is_the_one_that_parses_back(film: str, rank: int, frame: int) -> None:
    name = StillName(safe_stem(film), rank, frame, 1.5, "niqe", 3.25, "jpg")
    made = name_of(name, "", number=1, shot=None, fingerprint="0" * 64, date="")
    assert made == format_name(name)
    assert parse_name(made) == name


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{stem}", "needs {rank}, {n} or {frame}"),
        ("still", "needs {rank}, {n} or {frame}"),
        ("{rank}_{name}", "{name} is no field"),
        ("{rank}_{}", "{} is no field"),
        ("{rank:03d}", "{rank:03d} is no field"),
        ("{rank!r}", "{rank!r} is no field"),
        ("{rank.__class__}", "is no field"),
        ("{rank", "cannot stand in a name"),
        ("{{rank}}", "cannot stand in a name"),
        ("../{rank}", "cannot stand in a name"),
        ("{rank}/{n}", "cannot stand in a name"),
        ("{rank}\\{n}", "cannot stand in a name"),
        ("{rank}\n", "cannot stand in a name"),
        ("%03d{rank}", "cannot stand in a name"),
        (".{rank}", "cannot begin"),
        ("-{rank}", "cannot begin"),
        ("{rank}.", "nor end"),
        ("{rank}{n}", "between two fields"),
        ("{rank}0{n}", "between two fields"),
        ("{stem}_{rank}_" + "x" * 120, "shorten it"),
        ("{stem}_{stem}_{rank}", "shorten it"),
    ],
)
def test_what_cannot_be_a_name_is_refused_with_the_reason(template: str, why: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is compared below
        checked_name(template)
    assert why in str(refused.value)


@pytest.mark.parametrize("template", ["{stem}", "x", "{fingerprint}_{rank}", "{fingerprint}/{stem}", "..{fingerprint}"])
def test_what_cannot_be_a_folder_is_refused(template: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        checked_folder(template)
