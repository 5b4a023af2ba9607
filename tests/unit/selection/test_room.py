from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daemon.selection.room import leaves_out, most_apart

TENTHS = st.lists(st.integers(0, 60), max_size=9, unique=True).map(lambda found: [n / 10 for n in sorted(found)])


def are_apart(times_s: list[float], gap_s: float) -> bool:
    return all(abs(one - other) >= gap_s - 1e-9 for one, other in combinations(times_s, 2))


@given(TENTHS, TENTHS, st.sampled_from([0.0, 0.3, 1.0, 2.5]), st.integers(0, 9))
def test_it_is_the_size_of_the_largest_set_that_is_apart(
    times_s: list[float], taken_s: list[float], gap_s: float, enough: int
) -> None:
    free = [time for time in times_s if all(abs(time - one) >= gap_s - 1e-9 for one in taken_s)]
    most = max(
        size for size in range(len(free) + 1) if any(are_apart(list(some), gap_s) for some in combinations(free, size))
    )
    assert most_apart(np.array(times_s), taken_s, gap_s, enough) == min(most, enough)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.3, 1.0, 2.5]),
)
def test_a_moment_costs_the_scenes_that_cannot_be_shown_beside_it(
    moments: list[tuple[int, int, int]], gap_s: float
) -> None:
    time_s, bonus = np.array([time / 10 for time, _, _ in moments]), np.array([float(one) for _, _, one in moments])
    _, scene = np.unique([number for _, number, _ in moments], return_inverse=True)
    found = leaves_out(time_s, scene, bonus, gap_s)
    for at, cost in enumerate(found):
        hidden = [
            bonus[scene == other].max()
            for other in range(scene.max() + 1)
            if other != scene[at] and (np.abs(time_s[scene == other] - time_s[at]) < gap_s - 1e-8).all()
        ]
        assert np.isclose(cost, sum(hidden))
