"""Kinds and sentences: what a user reads and what decides a video's state."""

from __future__ import annotations

import pytest

from daemon import errors
from daemon.errors import ConfigError, ExportError, Kind, ScorerError, StillwatchError, StoreError, VideoError

REJECTS = {
    "not_a_file",
    "empty",
    "not_a_video",
    "no_video_stream",
    "protected",
    "no_decoder",
    "no_frames",
    "too_large",
    "unsafe_name",
    "outside_folder",
    "duplicate",
}
RETRYABLE = {
    *("unreadable", "out_of_memory", "disk_full", "no_room", "away", "ffmpeg_missing", "export", "busy", "worker_lost"),
}


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_rejects_when_the_file_itself_is_refused(kind: Kind) -> None:
    assert kind.rejects == (kind.value in REJECTS)


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_is_retryable_when_its_cause_may_pass(kind: Kind) -> None:
    assert kind.retryable == (kind.value in RETRYABLE)


def test_no_refusal_is_worth_a_retry() -> None:
    assert not [kind for kind in Kind if kind.rejects and kind.retryable]


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_is_one_lower_case_word_for_the_database(kind: Kind) -> None:
    assert kind.value == kind.name.lower()
    assert str(kind) == kind.value


@pytest.mark.parametrize("error", [VideoError, ScorerError, ExportError, StoreError])
def test_every_error_has_one_root_a_kind_and_its_sentence(error: type[StillwatchError]) -> None:
    raised = error(Kind.INTERNAL, "the disk is full: make room")
    assert isinstance(raised, StillwatchError)
    assert raised.kind is Kind.INTERNAL
    assert str(raised) == raised.sentence == "the disk is full: make room"


def test_a_configuration_error_knows_its_kind() -> None:
    assert ConfigError("select.count = 0").kind is Kind.CONFIG


def test_a_sentence_is_one_line_whatever_a_path_contains() -> None:
    error = VideoError(Kind.UNREADABLE, "a path\nwith a break\r\n\tand a tab")
    assert error.sentence == "a path with a break and a tab"


def test_every_error_class_of_the_module_has_the_one_root() -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert len(classes) >= 6
    assert all(issubclass(one, StillwatchError) for one in classes)
