"""What pages may cost beside the scoring."""

from __future__ import annotations

import pytest

from daemon.web.budget import BURST_SECONDS, SHARE, Budget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def spent_in(budget: Budget, clock: Clock, seconds: float, cost: float) -> float:
    """What clients that never stop asking spend within some time, each answer for ``cost``."""
    end = clock.now + seconds
    while clock.now < end:
        if pause := budget.wait_seconds():
            clock.now += pause
        else:
            clock.now += cost
            budget.spend(cost)
    return budget.spent_seconds


@pytest.mark.parametrize("cost", [0.005, 0.2, 1.0])
def test_beside_scoring_pages_get_their_share_and_no_more(cost: float) -> None:
    clock = Clock()
    spent = spent_in(Budget(lambda: True, cores=2, monotonic=clock), clock, 1000, cost)
    assert spent <= 1000 * SHARE * 2 + BURST_SECONDS + 2 * cost
    assert spent >= 0.8 * 1000 * SHARE * 2


def test_nobody_waits_while_nothing_is_scored() -> None:
    clock = Clock()
    assert spent_in(Budget(lambda: False, cores=2, monotonic=clock), clock, 100, 0.1) == pytest.approx(100, abs=0.2)


def test_who_looks_at_a_film_does_not_wait() -> None:
    clock = Clock()
    budget = Budget(lambda: True, cores=2, monotonic=clock)
    for _ in range(30):
        assert budget.wait_seconds() == 0
        budget.spend(0.1)
        clock.now += 0.5
