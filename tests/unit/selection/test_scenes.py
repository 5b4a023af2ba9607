"""Which shots show the same, against the definition said plainly."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.selection.scenes import same_throughout, scenes

ALIKE = 0.95


def said_plainly(shot: NDArray[np.int64], views: NDArray[np.float32], share: float) -> dict[int, int]:
    """Shot by shot: whether enough moments of one are seen in the other, and what hangs together by that."""
    names = [int(name) for name in np.unique(shot)]

    def seen(at: int, other: int) -> bool:
        return any(
            float(views[at] @ views[place]) >= ALIKE
            and same_throughout(views[at : at + 1], views[place : place + 1])[0]
            for place in np.flatnonzero(shot == other)
        )

    scene = {name: name for name in names}
    for one in names:
        own = np.flatnonzero(shot == one)
        for other in names:
            if one != other and sum(seen(int(at), other) for at in own) >= share * len(own):
                first, second = sorted((scene[one], scene[other]))
                scene = {name: first if held == second else held for name, held in scene.items()}
    return scene


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    kinds=st.integers(1, 5),
    noise=st.sampled_from([0.02, 0.15, 0.22]),
    share=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_shots_belong_together_as_the_definition_says(
    seed: int, sizes: list[int], kinds: int, noise: float, share: float
) -> None:
    """Some noise leaves moments of one kind alike, some parts them, some does either."""
    rng = np.random.default_rng(seed)
    shot = np.repeat(np.arange(len(sizes)) * 3, sizes)
    of_kind = rng.normal(size=(kinds, 60))
    views = of_kind[rng.integers(0, kinds, len(shot))] + noise * rng.normal(size=(len(shot), 60))
    views = (views / np.linalg.norm(views, axis=1, keepdims=True)).astype(np.float32)
    assert scenes(shot, views, alike=ALIKE, share=share) == said_plainly(shot, views, share)


def test_a_shot_of_many_moments_counts_each_of_them_once_for_each_other_shot() -> None:
    """More moments than are looked at together; half of those of the first are seen in the second, often."""
    rng = np.random.default_rng(1)
    a, b = np.linalg.qr(rng.normal(size=(60, 2)))[0].T.astype(np.float32)
    shot = np.repeat([0, 1], [400, 300])
    views = np.concatenate([np.repeat([a], 200, axis=0), np.repeat([b], 200, axis=0), np.repeat([a], 300, axis=0)])
    assert scenes(shot[:400], views[:400], alike=ALIKE, share=0.5) == {0: 0}
    assert scenes(shot, views, alike=ALIKE, share=0.5) == {0: 0, 1: 0}
    # Seen the other way, all of the second are in the first.
    views[400:550] = -a
    assert scenes(shot, views, alike=ALIKE, share=0.51) == {0: 0, 1: 1}
