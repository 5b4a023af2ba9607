from hypothesis import given
from hypothesis import strategies as st

from daemon.scoring.batch_size import BatchLimit, frames_in_memory, frames_in_time, scaled_size

sides = st.integers(1, 20_000)
ceilings = st.integers(1, 4096)
frees = st.integers(-(2**40), 2**46)


@given(frees, sides, sides, st.sampled_from([1, 2]), st.floats(0, 1000), ceilings, st.floats(0, 1))
def test_memory_answers_lie_between_one_and_the_ceiling(
    free: int, height: int, width: int, sample: int, overhead: float, ceiling: int, reserve: float
) -> None:
    frames = frames_in_memory(free, height, width, sample, overhead=overhead, ceiling=ceiling, reserve_share=reserve)
    assert 1 <= frames <= ceiling
    if frames > 1:
        assert frames * height * width * 3 * (sample + 4) <= free


@given(frees, frees, sides, sides, st.floats(0, 1000), ceilings)
def test_more_memory_never_means_fewer_frames(
    one: int, other: int, height: int, width: int, overhead: float, ceiling: int
) -> None:
    less, more = (
        frames_in_memory(free, height, width, 1, overhead=overhead, ceiling=ceiling) for free in sorted((one, other))
    )
    assert less <= more


@given(frees, sides, sides, st.floats(0, 1000), ceilings)
def test_a_cheaper_way_never_means_fewer_frames(
    free: int, height: int, width: int, overhead: float, ceiling: int
) -> None:
    def frames(**how: int) -> int:
        return frames_in_memory(free, height, width, 1, overhead=overhead, ceiling=ceiling, **how)  # type: ignore[arg-type]

    assert frames(buffers=2) <= frames() <= frames(reduced=True)
    assert frames() <= frames(one_by_one=True)


@given(st.none() | st.floats(0, 1e6), st.floats(1e-3, 60), ceilings)
def test_time_answers_lie_between_one_and_the_ceiling(seconds: float | None, target: float, ceiling: int) -> None:
    frames = frames_in_time(seconds, target, ceiling=ceiling)
    assert 1 <= frames <= ceiling
    if seconds is not None and frames > 1:
        assert frames * seconds <= target * (1 + 1e-9)


@given(sides, sides, st.integers(1, 512))
def test_scaling_reaches_the_side_and_keeps_the_aspect(height: int, width: int, side: int) -> None:
    tall, wide = scaled_size(height, width, side)
    assert tall >= height
    assert wide >= width
    if min(height, width) >= side:
        assert (tall, wide) == (height, width)
    else:
        assert min(tall, wide) == side
        factor = side / min(height, width)
        assert abs(max(tall, wide) - max(height, width) * factor) <= 0.5


@given(ceilings, st.lists(st.booleans(), max_size=200), st.integers(1, 5))
def test_whatever_happens_the_limit_stays_in_bounds_and_recovers(
    ceiling: int, troubles: list[bool], patience: int
) -> None:
    state = BatchLimit.start(ceiling)
    for trouble in troubles:
        after = state.after_out_of_memory(state.limit) if trouble else state.after_clean(state.limit, patience)
        state = after if after is not None else state
        assert 1 <= state.limit <= ceiling
    for _ in range(patience * (ceiling.bit_length() + 1)):
        state = state.after_clean(state.limit, patience)
    assert state.limit == ceiling
