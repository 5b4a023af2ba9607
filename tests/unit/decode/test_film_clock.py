"""The film's time where the file's own clock starts anew, jumps, wraps around, or stumbles."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from daemon.decode.film_clock import WRAP_TICKS, BestEffort, FilmClock
from daemon.model import VideoInfo

TS = Fraction(1, 90_000)


def clock(container: str = "mpegts", rate: int | None = 25, start_s: float = 0.0) -> FilmClock:
    info = VideoInfo(
        path=Path("film"), container=container, stream_index=0, codec="h264", width=64, height=64, pix_fmt="yuv420p",
        bit_depth=8, time_base=TS, frame_rate=Fraction(rate) if rate else None, frames_estimate=0, duration_s=None,
        start_s=start_s,
    )  # fmt: skip
    return FilmClock(info)


def times(one: FilmClock, pts: list[int | None], **options: bool) -> list[float]:
    return [round(one.seconds(value, TS, 3600, **options), 6) for value in pts]


def test_times_are_counted_from_the_start_of_the_container() -> None:
    assert times(clock(start_s=1.4), [126_000, 129_600, 133_200]) == [0.0, 0.04, 0.08]


def test_no_film_begins_before_its_first_frame() -> None:
    """Whatever start the container is said to have."""
    assert times(clock(start_s=2.2), [144_000, 147_600, 151_200]) == [0.0, 0.04, 0.08]
    assert times(clock(container="matroska,webm"), [-45_000, -41_400, 0]) == [0.0, 0.04, 0.5]


def test_a_film_may_begin_after_its_sound() -> None:
    assert times(clock(), [270_000, 273_600]) == [3.0, 3.04]


def test_a_clock_that_starts_anew_goes_on_where_it_was() -> None:
    one = clock()
    assert times(one, [0, 3600, 7200, 0, 3600]) == [0.0, 0.04, 0.08, 0.12, 0.16]
    assert one.jumps == 1


def test_and_so_does_one_of_a_third_part() -> None:
    got = times(clock(), [1_800_000, 1_803_600, 0, 3600, 1_800_000, 1_803_600])
    assert got == [20.0, 20.04, 20.08, 20.12, 20.16, 20.2]


def test_a_jump_of_hours_in_a_joined_stream_takes_no_time() -> None:
    assert times(clock(), [0, 3600, 5 * 3600 * 90_000, 5 * 3600 * 90_000 + 3600]) == [0.0, 0.04, 0.08, 0.12]


def test_but_what_is_missing_after_a_hole_does() -> None:
    assert times(clock(), [0, 3600, 1_800_000], after_hole=True) == [0.0, 0.04, 20.0]


@pytest.mark.parametrize("container", ["matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "gif"])
def test_frames_far_apart_are_a_slow_film_and_no_jump(container: str) -> None:
    assert times(clock(container), [0, 5_400_000, 10_800_000]) == [0.0, 60.0, 120.0]


def test_a_slow_transport_stream_is_one_too() -> None:
    slow = clock(rate=None)
    minute = 60 * 90_000
    slow.nominal_s = 60.0
    assert [slow.seconds(n * minute, TS, minute) for n in range(3)] == [0.0, 60.0, 120.0]


def test_a_clock_of_33_bits_that_wraps_around_goes_on_exactly() -> None:
    start = WRAP_TICKS - 7_200
    got = times(clock(start_s=start / 90_000), [start, start + 3600, 5_000, 8_600])
    assert got == pytest.approx([0.0, 0.04, 12_200 / 90_000, 15_800 / 90_000], abs=1e-6)


def test_frames_out_of_order_do_not_set_the_clock() -> None:
    got = times(clock(), [0, 3600, 300_000, 7200, 303_600, 10_800, 307_200, 310_800])
    assert got == sorted(got)
    assert got[-2:] == pytest.approx([307_200 / 90_000, 310_800 / 90_000], abs=1e-6)


def test_a_small_step_back_is_a_frame_out_of_order() -> None:
    got = times(clock(), [0, 3600, 7200, 10_800, 14_400, 10_800, 18_000, 21_600])
    assert got == [0.0, 0.04, 0.08, 0.12, 0.16, 0.16, 0.2, 0.24]


@pytest.mark.parametrize("container", ["mpegts", "matroska,webm"])
def test_a_single_time_that_is_wrong_moves_nothing(container: str) -> None:
    one = clock(container)
    pts = [0, 3600, 5 * 3600 * 90_000, 10_800, 14_400]
    got = [one.seconds(own, TS, 3600, next_pts=after) for own, after in zip(pts, [*pts[1:], None], strict=True)]
    assert got == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16])


def test_a_frame_without_a_time_follows_the_one_before() -> None:
    assert times(clock(), [None, None, 7200, None, 14_400]) == [0.0, 0.04, 0.08, 0.12, 0.16]


def test_where_pts_are_wrong_more_often_than_dts_these_are_taken() -> None:
    best = BestEffort()
    assert [best.pts(pts, dts) for pts, dts in [(1, 2), (3, 3), (4, 4), (2, 5), (6, 6), (5, 7)]] == [1, 3, 4, 5, 6, 7]
    assert [BestEffort().pts(pts, dts) for pts, dts in [(None, 3), (3, None), (None, None)]] == [3, 3, None]


def test_what_lies_between_two_frames_beyond_the_duration_is_missing() -> None:
    one = clock()
    times(one, [0, 3600])
    assert one.missing_s == pytest.approx(0.0)
    times(one, [93_600])
    assert one.missing_s == pytest.approx(0.96)
