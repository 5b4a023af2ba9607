import pytest

from daemon.scoring.batch_size import BatchLimit, frames_in_memory, frames_in_time, scaled_size, smoothed

MIB = 2**20


def memory(free: int, **changes: object) -> int:
    arguments = {"overhead": 9.0, "ceiling": 16} | changes
    return frames_in_memory(free, 100, 100, 1, **arguments)  # type: ignore[arg-type]


def test_frames_in_memory_counts_wire_input_and_model() -> None:
    # 30000 samples: 30000 bytes on the wire, 120000 as float32, nine times that in the model.
    assert memory(5 * 1_230_000) == 5
    assert memory(5 * 1_230_000 - 1) == 4
    assert memory(4 * (1_230_000 + 1000), frame_bytes=1000) == 4


def test_sixteen_bit_frames_take_more() -> None:
    free = 100 * 1_230_000
    wide = frames_in_memory(free, 100, 100, 2, overhead=0.0, ceiling=10_000)
    assert wide < frames_in_memory(free, 100, 100, 1, overhead=0.0, ceiling=10_000)


def test_two_buffers_hold_two_batches_on_the_wire() -> None:
    # As above, with 30000 bytes more for the picture in the other buffer.
    assert memory(5 * 1_260_000, buffers=2) == 5
    assert memory(5 * 1_260_000 - 1, buffers=2) == 4


def test_one_by_one_only_the_wire_is_for_all() -> None:
    assert memory(1_200_000 + 5 * 30_000, one_by_one=True) == 5
    assert memory(1_200_000 + 5 * 30_000 - 1, one_by_one=True) == 4
    assert memory(1_201_000 + 5 * 30_000, one_by_one=True, frame_bytes=1000) == 5


def test_reduced_precision_takes_a_smaller_share_for_the_metric_but_not_for_the_picture() -> None:
    # 30000 on the wire, 120000 as float32, 0.6 x 1080000 in the metric.
    assert memory(5 * 798_000, reduced=True) == 5
    assert memory(5 * 798_000 - 1, reduced=True) == 4


# topiq_nr (60 times the float32 picture and 16 MiB), a fifth of what is free left alone, two buffers.
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("sample_bytes", [1, 2])
@pytest.mark.parametrize(
    ("card_gib", "others_gib", "height", "width", "fp32", "fp16"),
    [
        (24, 0.5, 2160, 3840, 3, 5),
        (24, 0.5, 1080, 1920, 13, 21),
        (24, 0.5, 480, 854, 63, 100),
        (24, 20, 1080, 1920, 2, 3),
        (24, 23, 2160, 3840, 1, 1),
        (8, 0.5, 2160, 3840, 1, 1),
        (8, 0.5, 1080, 1920, 4, 6),
        (8, 0.5, 480, 854, 20, 32),
        (8, 6, 480, 854, 5, 8),
        (8, 8, 480, 854, 1, 1),
    ],
)
def test_batches_of_a_network_on_a_card(
    card_gib: float, others_gib: float, height: int, width: int, fp32: int, fp16: int, sample_bytes: int, precision: str
) -> None:
    free = int((card_gib - others_gib) * 2**30)
    reduced = precision == "fp16"
    frames = frames_in_memory(
        free, height, width, sample_bytes, overhead=60.0, ceiling=4096, reserve_share=0.2, frame_bytes=16 * MIB,
        buffers=2, reduced=reduced,
    )  # fmt: skip
    # The wire is a hundredth of it all: sixteen bits cost a frame in a hundred.
    expected = fp16 if reduced else fp32
    assert expected - max(1, expected // 60) * (sample_bytes - 1) <= frames <= expected
    assert frames == expected or sample_bytes == 2
    samples = height * width * 3
    taken = frames * (samples * (2 * sample_bytes + 4 + 4 * 60 * (0.6 if reduced else 1.0)) + 16 * MIB)
    assert taken <= 0.8 * free or frames == 1


def test_the_reserve_is_left_alone() -> None:
    assert memory(10 * 1_230_000, reserve_share=0.5) == 5


@pytest.mark.parametrize("free", [0, 1, -5])
def test_a_single_frame_is_always_tried(free: int) -> None:
    assert memory(free) == 1
    assert memory(free, one_by_one=True) == 1


def test_the_ceiling_holds() -> None:
    assert memory(10**12) == 16
    assert memory(10**12, ceiling=1) == 1


@pytest.mark.parametrize(
    ("seconds", "frames"), [(None, 1), (0.0, 16), (0.01, 16), (0.25, 4), (0.9, 1), (1.1, 1), (60.0, 1)]
)
def test_frames_in_time(seconds: float | None, frames: int) -> None:
    assert frames_in_time(seconds, 1.0, ceiling=16) == frames


def test_a_slow_first_batch_is_forgotten_and_a_hiccup_counts_by_half() -> None:
    assert smoothed(None, 3.0) == 3.0
    assert smoothed(3.0, 0.02) == 0.02
    assert smoothed(0.02, 0.06) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("size", "side", "scaled"),
    [
        ((120, 160), 192, (192, 256)),
        ((160, 120), 192, (256, 192)),
        ((192, 192), 192, (192, 192)),
        ((1080, 1920), 192, (1080, 1920)),
        ((191, 300), 192, (192, 302)),
        ((1, 2), 16, (16, 32)),
    ],
)
def test_scaled_size(size: tuple[int, int], side: int, scaled: tuple[int, int]) -> None:
    assert scaled_size(*size, side) == scaled


def test_out_of_memory_halves_down_to_one_and_is_final_there() -> None:
    state = BatchLimit.start(16)
    sizes = []
    tried = 16
    while (after := state.after_out_of_memory(tried)) is not None:
        state, tried = after, after.limit
        sizes.append(state.limit)
    assert sizes == [8, 4, 2, 1]
    assert state.limit == 1


def test_a_short_batch_that_fails_halves_what_was_tried() -> None:
    after = BatchLimit.start(16).after_out_of_memory(5)
    assert after is not None
    assert after.limit == 2


def test_one_huge_frame_leaves_the_limit_alone() -> None:
    assert BatchLimit.start(16).after_out_of_memory(1) is None


def test_the_limit_grows_back_to_the_ceiling() -> None:
    state = BatchLimit(ceiling=12, limit=2)
    seen = []
    for _ in range(12):
        state = state.after_clean(state.limit, patience=3)
        seen.append(state.limit)
    assert seen == [2, 2, 4, 4, 4, 8, 8, 8, 12, 12, 12, 12]


def test_short_batches_prove_nothing() -> None:
    state = BatchLimit(ceiling=16, limit=8)
    for _ in range(100):
        state = state.after_clean(7, patience=2)
    assert state.limit == 8


def test_trouble_starts_the_count_again() -> None:
    state: BatchLimit | None = BatchLimit(ceiling=16, limit=8).after_clean(8, patience=2)
    assert state is not None
    assert state.clean == 1
    state = state.after_out_of_memory(8)
    assert state == BatchLimit(ceiling=16, limit=4, clean=0)
