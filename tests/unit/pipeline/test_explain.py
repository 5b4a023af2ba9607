"""Why a frame has its verdict, as a sentence."""

from __future__ import annotations

from daemon.analysis.gates import Verdict
from daemon.analysis.witness import Heard
from daemon.pipeline.explain import because


def heard(word: Verdict) -> list[Heard]:
    """The gate that refuses has no figure."""
    return [Heard(word, refused=True, figures=())]


def test_what_comes_after_the_good_ones_says_so_and_why() -> None:
    assert because("subtitled", heard(Verdict.SUBTITLED), None) == (
        "a line of letters comes and goes over its picture, so it comes after the good ones"
    )
    assert because("subtitled", heard(Verdict.TITLED), None) == (
        "it is writing on one shade, like all around it, so it comes after the good ones"
    )
    assert because("spared", heard(Verdict.TITLED), None) == (
        "titled like all around it, so it comes after the good ones"
    )


def test_a_subtitle_in_a_shot_with_title_cards_is_told_as_such() -> None:
    assert because("titled", heard(Verdict.SUBTITLED), None) == (
        "a line of letters comes and goes over its picture, in a shot with title cards"
    )


def test_what_was_judged_by_other_settings_says_what_todays_say() -> None:
    assert because("good", heard(Verdict.SUBTITLED), None) == "today's settings say subtitled"
    assert because("subtitled", heard(Verdict.TITLED), None, current=False) == "today's settings say titled"
