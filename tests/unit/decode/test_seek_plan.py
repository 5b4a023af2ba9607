"""Where decoding begins for a frame, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.decode.packet_index import NO_TIME, PacketIndex
from daemon.decode.seek_plan import SEEK_PACKETS, Planner, cost, shown_rank
from daemon.model import WantedFrame


def index(
    pts: list[int | None], keys: set[int], dts: list[int] | None = None, discard: set[int] | None = None
) -> PacketIndex:
    count = len(pts)
    numbers = np.arange(count)
    return PacketIndex(
        pts=np.array([NO_TIME if one is None else one for one in pts], np.int64),
        dts=numbers.astype(np.int64) if dts is None else np.array(dts, np.int64),
        position=(numbers * 100).astype(np.int64),
        size=np.full(count, 100, np.int64),
        key=np.isin(numbers, list(keys)),
        discard=np.isin(numbers, list(discard or set())),
    )


def wanted(frame: int, pts: int | None = None) -> WantedFrame:
    return WantedFrame(frame, pts, 0.0, "h")


def every(step: int, count: int) -> set[int]:
    return set(range(0, count, step))


def test_decoding_begins_with_the_last_key_before_the_frame() -> None:
    planner = Planner(index(list(range(100)), every(20, 100)))
    (aim,) = planner.aims([wanted(57, 57)])
    assert (aim.packet, aim.key) == (57, 40)


def test_a_key_serves_itself() -> None:
    (aim,) = Planner(index(list(range(100)), every(20, 100))).aims([wanted(40, 40)])
    assert (aim.packet, aim.key) == (40, 40)


def test_a_picture_that_leads_a_key_begins_with_the_key_before() -> None:
    """In file order: I0 P3 B1 B2 I6 B4 B5 P9; B4 and B5 refer to P3."""
    planner = Planner(index([0, 3, 1, 2, 6, 4, 5, 9], {0, 4}))
    assert [(aim.wanted.frame, aim.key) for aim in planner.aims([wanted(n, n) for n in (2, 4, 5, 6, 9)])] == [
        (2, 0), (4, 0), (5, 0), (6, 4), (9, 4),
    ]  # fmt: skip


def test_of_two_packets_with_one_pts_the_one_near_the_ordinal_is_meant() -> None:
    """The clock starts anew in a file that was joined of two."""
    planner = Planner(index([*range(50), *range(50)], {0, 50}))
    assert planner.packet_of(wanted(7, 7)) == 7
    assert planner.packet_of(wanted(57, 7)) == 57


def test_a_packet_without_pts_counts_by_its_dts() -> None:
    planner = Planner(index([0, None, None, 3], {0}))
    assert planner.packet_of(wanted(2, 2)) == 2


@pytest.mark.parametrize("pts", [None, 999])
def test_a_frame_without_a_packet_is_left_to_the_pass(pts: int | None) -> None:
    film = index(list(range(100)), every(20, 100))
    assert Planner(film).aims([wanted(5, pts)]) == []
    assert not cost(film, [wanted(5, pts), wanted(90, 90)]).seeking_pays
    assert cost(film, [wanted(5, pts)]).unknown == 1


def test_few_stills_of_a_long_film_are_sought() -> None:
    found = cost(index(list(range(15_000)), every(133, 15_000)), [wanted(n, n) for n in range(700, 15_000, 1_500)])
    assert (found.seeks, found.unknown) == (10, 0)
    assert found.by_seeking < 0.1 * found.by_pass
    assert found.seeking_pays


def test_with_one_key_in_all_the_pass_costs_the_same_and_is_taken() -> None:
    film = index(list(range(1_000)), {0})
    found = cost(film, [wanted(500, 500), wanted(900, 900)])
    assert (found.by_seeking, found.by_pass, found.seeks) == (901 + SEEK_PACKETS, 901, 1)
    assert not found.seeking_pays


def test_many_stills_take_the_pass() -> None:
    assert not cost(
        index(list(range(1_000)), every(50, 1_000)), [wanted(n, n) for n in range(0, 1_000, 20)]
    ).seeking_pays


def test_frames_of_one_group_are_decoded_together() -> None:
    found = cost(index(list(range(1_000)), every(100, 1_000)), [wanted(n, n) for n in (850, 860, 870)])
    assert (found.by_seeking, found.seeks) == (71 + SEEK_PACKETS, 1)


def test_an_early_still_is_no_reason_to_seek() -> None:
    """The pass ends after the last still."""
    assert not cost(index(list(range(10_000)), every(100, 10_000)), [wanted(50, 50)]).seeking_pays


def test_a_file_without_any_packet_leaves_all_to_the_pass() -> None:
    assert not cost(index([], set()), [wanted(0, 0)]).seeking_pays


def test_the_rank_by_pts_is_the_ordinal_of_a_sound_film() -> None:
    film = index([0, 3, 1, 2, 6, 4, 5], {0}, discard={0})
    assert [shown_rank(film, wanted(0, pts)) for pts in (1, 2, 6)] == [0, 1, 5]
    assert shown_rank(film, wanted(0, 77)) is None
    assert shown_rank(film, wanted(0, None)) is None
