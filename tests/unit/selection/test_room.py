from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daemon.selection.room import most_apart

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
