"""Packed features come out as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.store.feature_blocks import FRAMES, pack, unpack

places = st.integers(0, FRAMES - 1)
of_one_size = st.integers(1, 900).flatmap(
    lambda size: st.dictionaries(places, st.binary(min_size=size, max_size=size), min_size=1)
)
of_any_size = st.dictionaries(places, st.binary(max_size=900), min_size=1)


@given(of_one_size | of_any_size)
def test_every_record_comes_out_at_its_place(records: dict[int, bytes]) -> None:
    assert unpack(pack(records)) == records


@given(of_one_size | of_any_size, st.sets(places))
def test_of_some_places_it_is_what_the_whole_block_has_there(records: dict[int, bytes], only: set[int]) -> None:
    assert unpack(pack(records), only) == {place: record for place, record in records.items() if place in only}


@given(st.binary(max_size=100))
def test_what_is_no_block_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="the features are"):
        unpack(b"\x02" + content)
