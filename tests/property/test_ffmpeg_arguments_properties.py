"""The select expression is true exactly on the asked-for frames, for every set of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from daemon.export.ffmpeg_arguments import select_expression

ordinal_sets = st.sets(st.integers(0, 10**9), min_size=1, max_size=80).map(sorted)
dense_sets = st.sets(st.integers(0, 60), min_size=1).map(sorted)
_TOKEN = re.compile(r"if|lt|eq|n|\d+|[(),]")


@dataclass
class Evaluator:
    """As much of FFmpeg's expression language as the tree needs: if, lt, eq, n and numbers."""

    text: str
    n: int
    at: int = 0
    depth: int = 0
    deepest: int = 0

    def run(self) -> bool:
        result = self._term()
        assert self.at == len(self.text), "there is something behind the expression"
        return bool(result)

    def _next(self, *allowed: str) -> str:
        found = _TOKEN.match(self.text, self.at)
        assert found, f"not in the language: {self.text[self.at : self.at + 20]!r}"
        self.at = found.end()
        assert not allowed or found[0] in allowed
        return found[0]

    def _term(self) -> int:
        token = self._next()
        if token == "n":
            return self.n
        if token.isdecimal():
            return int(token)
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        values = [self._term() if self._next("(") else 0]
        while self._next(",", ")") == ",":
            values.append(self._term())
        self.depth -= 1
        if token == "if":
            condition, yes, no = values
            return yes if condition else no
        left, right = values
        return int(left < right if token == "lt" else left == right)


@given(ordinals=ordinal_sets | dense_sets, others=st.lists(st.integers(0, 10**9), max_size=20))
def test_it_is_true_exactly_on_the_set(ordinals: list[int], others: list[int]) -> None:
    expression = select_expression(ordinals)
    wanted = set(ordinals)
    near = {ordinal + step for ordinal in ordinals for step in (-1, 0, 1)}
    for n in near | set(others) | {0, 61}:
        assert Evaluator(expression, n).run() == (n in wanted), n


@given(ordinals=ordinal_sets)
def test_its_depth_grows_with_the_logarithm_of_the_count(ordinals: list[int]) -> None:
    evaluator = Evaluator(select_expression(ordinals), 0)
    evaluator.run()
    assert evaluator.deepest <= math.ceil(math.log2(len(ordinals))) + 1
