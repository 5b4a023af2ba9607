"""Names parse back, and every source name becomes a safe one."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.export.file_names import STEM_BYTES, StillName, folder_name, format_name, parse_name, safe_stem
from daemon.scoring import catalog

METRICS = sorted(catalog.configs())

# Everything that a file name can hold, undecodable bytes (lone surrogates) included.
any_text = st.text(st.characters(exclude_characters="/\0"), max_size=300)
stems = any_text.map(safe_stem)
metrics = st.sampled_from(METRICS) | st.from_regex(r"[A-Za-z0-9+._-]{1,24}", fullmatch=True)
names = st.builds(
    StillName,
    stem=stems,
    rank=st.integers(1, 100_000),
    frame=st.integers(0, 10**12),
    time_s=st.floats(-1e7, 1e9).map(lambda x: round(x, 3)),
    metric=metrics,
    score=st.floats(-1e6, 1e6).map(lambda x: round(x, 4)),
    suffix=st.sampled_from(["png", "jpg"]),
)


@settings(max_examples=300)
@given(names)
def test_a_name_reads_back(name: StillName) -> None:
    assert parse_name(format_name(name)) == name


@settings(max_examples=300)
@given(names)
def test_a_whole_name_fits_every_file_system_and_is_one_safe_component(name: StillName) -> None:
    text = format_name(name)
    assert len(text.encode("utf-8")) <= 255
    assert not set(text) & set("/\\\0\n\r%*?:<>|\"'` $")
    assert not text.startswith((".", "-"))


@settings(max_examples=300)
@given(any_text)
def test_a_stem_is_always_safe(name: str) -> None:
    stem = safe_stem(name)
    assert stem
    assert len(stem.encode("utf-8")) <= STEM_BYTES
    assert not stem.startswith((".", "-", "_"))
    assert all(c.isalnum() or c in "-_." for c in stem)
    assert not re.search("__", stem)
    assert unicodedata.is_normalized("NFC", stem)
    assert safe_stem(stem) == stem


@given(any_text)
def test_a_folder_name_fits_every_file_system(name: str) -> None:
    assert len(folder_name(name, "0" * 64).encode("utf-8")) <= 255


@settings(max_examples=300)
@given(st.text(max_size=60) | st.from_regex(r"\w+_r\d+_f\d+_t-?\d+\.\d+_\w+=?-?\d+\.\d+\.(png|jpg)", fullmatch=True))
@example("clip_r01_f000431_t000017.958_a:b3.2147.png")
@example("clip_r01_f000431_t000017.958_a/b3.2147.png")
@example("clip_r001_f000000431_t000000017.958_niqe=3.2147.png")
def test_what_parses_is_what_would_be_written(text: str) -> None:
    try:
        name = parse_name(text)
    except ValueError:
        return
    assert parse_name(format_name(name)) == name


def test_pyiqas_table_is_not_empty() -> None:
    if len(METRICS) < 50:
        pytest.fail("the list of pyiqa's metrics was not found")
