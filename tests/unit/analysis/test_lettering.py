"""What is written over a picture or on a card, and what belongs to the picture."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.analysis import lettering
from daemon.config.selection import GatesConfig
from daemon.model import Shot, ShotKind
from tests.unit.analysis.test_gates import WRITTEN, records
from tests.unit.analysis.test_gates import judge as judged

CARD = {"plain": 0.95, "still": 0.95, "sharp_x": 0.3, "sharp_y": 0.2}


def shots(*lengths: int) -> list[Shot]:
    ends = np.cumsum(lengths)
    return [Shot(ShotKind.SHOT, int(end) - length, int(end) - 1) for length, end in zip(lengths, ends, strict=True)]


def judge(found: np.ndarray, spans: list[Shot] | None = None, broken: np.ndarray | None = None) -> list[str]:
    """Verdicts; what lies beside a cut as if it did not."""
    return judged(found, spans, config={"edge_frames": 0}, reserve=broken)


def test_a_shot_under_a_title_is_titled_where_the_others_have_none() -> None:
    found = records((100, {}), (40, {"caption": 7}), (100, {}))
    assert judge(found, shots(100, 40, 100)) == ["good"] * 100 + ["titled"] * 40 + ["good"] * 100


def test_what_a_fifth_of_the_film_has_throughout_a_shot_belongs_to_what_it_shows() -> None:
    """Toy blocks with letters on them, a shop's sign; a subtitle comes and goes."""
    found = records((60, {}), (40, {"caption": 7}), (60, {}))
    assert set(judge(found, shots(60, 40, 60))) == {"good"}
    found["caption"][60:75] = 0
    verdicts = judge(found, shots(60, 40, 60))
    assert set(verdicts[:70]) == {"good"}
    assert set(verdicts[80:100]) == {"titled"}


def test_a_long_shot_under_a_title_comes_last_instead_of_never() -> None:
    found = records((300, {}), (100, {"caption": 7}), (300, {}))
    assert set(judge(found, shots(300, 100, 300))[300:400]) == {"spared"}


def test_a_card_that_is_a_shot_comes_after_all_others_and_a_picture_under_a_title_as_its_shot_does() -> None:
    """A rating, the names of those who made it; a shot that is under its title throughout is part of the film."""
    card = {"caption": 12, "text": 12, "plain": 0.9, "still": 0.7}
    for plain, night, word in ((0.9, {}, "subtitled"), (0.3, {}, "spared"), (0.65, {"plain": 0.6}, "spared")):
        found = records((300, night), (100, {**card, "plain": plain}), (300, night))
        assert set(judge(found, shots(300, 100, 300))[300:400]) == {word}


def test_writing_counts_by_how_long_it_is_shown() -> None:
    """Slides that are a frame each, between films that a speaker shows."""
    found = records((100, {}), (6, {"caption": 12}), (100, {}))
    at_once = np.arange(206) / 25
    lasting = at_once + np.clip(np.arange(206) - 100, 0, 6) * 40
    spans = shots(206)
    for time_s, word in ((at_once, "titled"), (lasting, "good")):
        verdicts = judged(found, spans, config={"edge_frames": 0}, time_s=time_s)
        assert set(verdicts[100:106]) == {word}
        assert set(verdicts[:90]) == {"good"}


@pytest.mark.parametrize("time_s", [np.arange(700) / 25 + 600.0 * (np.arange(700) > 50), np.zeros(700)])
def test_a_pause_of_the_clock_or_none_at_all_makes_no_title_part_of_the_film(time_s: np.ndarray) -> None:
    found = records((300, {}), (100, {"caption": 7}), (300, {}))
    verdicts = judged(found, shots(300, 100, 300), config={"edge_frames": 0}, time_s=time_s)
    assert "good" not in verdicts[300:400]
    assert set(verdicts[:280] + verdicts[420:]) == {"good"}


def test_lines_on_paper_are_drawn_though_paper_has_grain_but_no_night_and_no_fog() -> None:
    for mean, sharp, drawn in ((230, 0.3, True), (12, 0.3, False), (230, 0.01, False)):
        found = records((50, {"plain": 0.9, "still": 0.4, "mean": mean, "sharp_x": sharp, "sharp_y": sharp / 2}))
        assert lettering.drawn(found) == drawn


def no_signal(frames: int, good: int = 200, height: int = 2) -> np.ndarray:
    """A film with some words that drift over an empty ground, at its end; of ever more lines up to ``height``."""
    found = records((good, {}), (frames, {**CARD, "plain": 0.98, "caption": 5, "edges": 0}))
    found["edges"][good:] = 0
    for at in range(frames):
        lines = slice(1, 1 + max(height * (at + 1) // frames, 1) if height > 2 else 3)
        found["edges"][good + at, lines, 1 + at * 6 // frames :][:, :7] = 150
    return found


def test_some_words_on_an_empty_ground_are_no_picture_wherever_they_drift() -> None:
    """No signal, for a third of the film."""
    assert judge(no_signal(100), shots(200, 100)) == ["good"] * 200 + ["title"] * 100


def test_one_such_card_is_none_though_it_is_most_of_the_film() -> None:
    assert judge(no_signal(160, good=60), shots(60, 160)) == ["good"] * 60 + ["title"] * 160


def test_of_a_film_that_has_different_ones_for_the_most_part_they_are_what_it_shows() -> None:
    """But for what stands in the middle, as a card does."""
    verdicts = judge(no_signal(160, good=140, height=5), shots(140, 160))
    assert verdicts[140:200] == ["good"] * 60


def test_a_blue_screen_is_no_picture_though_a_tape_is_noisy() -> None:
    found = records((200, {}), (100, {"plain": 0.89, "still": 0.58, "edges": 34, "caption": 8, "sharp_x": 0.3}))
    found["tint"][200:, :, :, 1] = 120
    assert judge(found, shots(200, 100)) == ["good"] * 200 + ["title"] * 100
    found["plain"][200:], found["edges"][200:, :4] = 0.8, 90
    assert judge(found, shots(200, 100)) == ["good"] * 200 + ["title"] * 100
    found["caption"][200:] = 0
    assert set(judge(found, shots(200, 100))) == {"good"}, "a bird in a blue sky"
    found["caption"][200:], found["tint"][200:, 1:, :, 1] = 8, 0
    assert set(judge(found, shots(200, 100))) == {"good"}


def test_a_page_has_more_on_its_ground_than_some_words() -> None:
    found = no_signal(100)
    found["edges"][200:, 2:7, 2:11] = 150
    assert set(judge(found, shots(200, 100))) == {"good"}


@pytest.mark.parametrize("cells", [4, 20, 60])
def test_writing_that_stands_out_no_more_than_the_picture_is_part_of_it(cells: int) -> None:
    """Blocks with letters on a mat with lines: all of it has edges like those of writing."""
    found = records((200, {}), (40, {"caption": cells, "text": cells}))
    found["edges"][200:] = 135
    found["edges"][200:].reshape(40, -1, 2)[:, :cells] = 160
    assert set(judge(found, shots(200, 40))) == {"good"}
    found["edges"][200:].reshape(40, -1, 2)[:, :cells] = 190
    assert judge(found, shots(200, 40)) == ["good"] * 200 + ["titled"] * 40


def test_whether_writing_stands_out_is_told_by_most_of_the_frames_around() -> None:
    """A hand that passes by takes the lines of the mat away for a moment."""
    found = records((200, {}), (40, {"caption": 20, "edges": 135}))
    found["edges"][200:].reshape(40, -1, 2)[:, :20] = 150
    found["edges"][215:220].reshape(5, -1, 2)[:, 20:] = 40
    assert set(judge(found, shots(200, 40))) == {"good"}
    found["edges"][200:215].reshape(15, -1, 2)[:, 20:] = 40
    found["edges"][220:236].reshape(16, -1, 2)[:, 20:] = 40
    assert set(judge(found, shots(200, 40))[200:]) == {"titled"}


def test_a_line_of_writing_that_is_seen_in_some_frames_lies_over_those_between_too() -> None:
    found = records((200, {}), (40, {}))
    found["caption"][200::2] = 3
    found["edges"][200:].reshape(40, -1, 2)[:, :3] = WRITTEN
    assert set(judge(found, shots(200, 40))[200:]) == {"titled"}


def test_a_slate_full_of_writing_is_a_card_though_its_coder_leaves_noise_around_the_letters() -> None:
    slate = {"plain": 0.86, "still": 0.79, "sharp_x": 0.25, "text": 27, "caption": 42}
    assert set(judge(records((200, {}), (40, slate)), shots(200, 40))[200:]) == {"title"}
    for other in ({"still": 0.69}, {"text": 7}, {"caption": 0}, {"sharp_x": 0.19}, {"plain": 0.84}):
        assert "title" not in judge(records((200, {}), (40, slate | other)), shots(200, 40)), other


def test_damaged_frames_say_nothing_of_how_much_of_a_film_has_lettering() -> None:
    """The mark of who made it is over all that is whole; of what the decoder filled in it is gone."""
    found = records((35, {"caption": 6}), (30, {}), (35, {"caption": 6}), (100, {}))
    some, broken = shots(35, 30, 35, 100), np.arange(200) >= 100
    assert judge(found, some)[:35] == ["titled"] * 35
    assert judge(found, some, broken)[:100] == ["good"] * 100


def test_one_frame_with_something_like_a_line_of_writing_is_not_titled() -> None:
    found = records((100, {}))
    found["caption"][50] = 3
    assert set(judge(found)) == {"good"}


def test_what_a_film_has_throughout_belongs_to_it() -> None:
    found = records((30, {}), (70, {"caption": 7}))
    assert set(judge(found, shots(30, 70))) == {"good"}


def test_small_print_is_a_card_in_a_film_that_is_not_drawn() -> None:
    print_ = {"plain": 0.94, "still": 0.9, "sharp_x": 0.6, "sharp_y": 0.4, "text": 0}
    assert set(judge(records((100, {}), (20, print_)), shots(100, 20))[100:]) == {"title"}
    drawn = {"plain": 0.9, "still": 0.92, "sharp_x": 0.4, "sharp_y": 0.4}
    assert "title" not in judge(records((100, drawn), (20, print_)), shots(100, 20))


def test_of_a_drawn_film_a_card_is_one_where_the_writing_is_centred() -> None:
    found = records((100, {**CARD, "caption": 6}), (20, {**CARD, "caption": 6}))
    found["edges"] = 0
    found["edges"][:, 2:7, 1:9] = 80
    found["edges"][100:] = 0
    found["edges"][100:, 4:6, 4:12] = 80
    found["edges"][100:, 6, 6:10] = 80
    assert judge(found, shots(100, 20)) == ["good"] * 100 + ["title"] * 20


def test_all_of_a_deck_of_centred_slides_is_kept() -> None:
    found = records((120, {**CARD, "text": 9}))
    found["edges"] = 0
    found["edges"][:, 3:6, 3:13] = 80
    assert set(judge(found)) == {"good"}


def test_an_empty_picture_is_not_centred() -> None:
    found = records((3, {"edges": 0}))
    assert not lettering.centred(found).any()
    assert not lettering.titles(found, np.zeros(3, bool), np.ones(3, bool), GatesConfig()).any()


def logo(count: int, written: int) -> np.ndarray:
    """A film of pictures, and a card at its end of which the writing is seen in some frames only."""
    card = {"plain": 0.88, "still": 0.9, "sharp_x": 0.08, "sharp_y": 0.16, "edges": 0}
    found = records((200, {}), (count, card))
    found["edges"][200:, 4, 6:10] = 90
    found["caption"][200 : 200 + written] = 7
    return found


def test_what_shows_the_same_as_a_card_of_its_shot_is_a_card() -> None:
    assert set(judge(logo(60, 20), shots(200, 60))[200:]) == {"title"}
    assert set(judge(logo(60, 0), shots(200, 60))[200:]) == {"good"}
    assert "title" not in judge(logo(60, 6), shots(200, 60))[215:]


def test_a_plain_picture_beside_a_card_is_one_of_its_own() -> None:
    found = logo(60, 20)
    found["edges"][230:] = 0
    found["edges"][230:, 2:5, 2:5] = 90
    assert set(judge(found, shots(200, 60))[230:]) == {"good"}
    found["edges"][230:] = 85
    found["plain"][230:] = 0.1
    assert set(judge(found, shots(200, 60))[230:]) == {"good"}


def test_the_first_frames_of_a_card_go_with_it() -> None:
    found = logo(60, 20)
    found["edges"][257:] = 0
    assert set(judge(found, shots(200, 60))[200:]) == {"title"}


def test_writing_in_a_shot_of_cards_is_not_spared() -> None:
    found = records((300, {}), (200, CARD), (100, {"caption": 7}))
    found["caption"][300:360] = 7
    verdicts = judge(found, shots(300, 300))
    assert set(verdicts[300:]) == {"title", "titled"}
    found[300:500] = found[0]
    assert "spared" in judge(found, shots(300, 300))[510:]
