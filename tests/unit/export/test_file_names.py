"""The names of stills: the documented shape, read back, and safe for every source name."""

from __future__ import annotations

import dataclasses

import pytest

from daemon.export.file_names import STEM_BYTES, StillName, folder_name, format_name, parse_name, safe_stem
from daemon.scoring import catalog

NAME = StillName("clip", 1, 431, 17.958, "niqe", 3.2147, "png")


def test_the_name_is_the_documented_one() -> None:
    assert format_name(NAME) == "clip_r01_f000431_t000017.958_niqe3.2147.png"


def test_a_name_reads_back() -> None:
    assert parse_name(format_name(NAME)) == NAME


@pytest.mark.parametrize("metric", sorted(catalog.configs()))
@pytest.mark.parametrize("score", [3.2147, -0.5, 0.0, 12345.6789])
def test_every_metric_that_pyiqa_has_reads_back(metric: str, score: float) -> None:
    name = dataclasses.replace(NAME, metric=metric, score=score)
    assert parse_name(format_name(name)) == name


@pytest.mark.parametrize("metric", ["clipiqa+_rn50_512", "m-", "x1.2345", "9", "a=1", "a.b", "x-1.5000"])
@pytest.mark.parametrize("score", [7.25, -7.25])
def test_a_metric_that_looks_like_part_of_a_score_reads_back(metric: str, score: float) -> None:
    read = parse_name(format_name(dataclasses.replace(NAME, metric=metric, score=score)))
    assert read.score == score
    assert read.metric == metric.replace("=", "_")


@pytest.mark.parametrize(
    "change",
    [
        {"rank": 100},
        {"rank": 100_000},
        {"frame": 123_456_789_012},
        {"frame": 0},
        {"time_s": 0.0},
        {"time_s": -0.04},
        {"time_s": -123456.789},
        {"time_s": 12_345_678.125},
        {"score": -3.0},
        {"suffix": "jpg"},
        {"stem": "a_r01_f000001_t000000.000_niqe1.0000.png"},
        {"stem": "_r01"},
        {"stem": "日本語"},
    ],
    ids=str,
)
def test_unusual_values_read_back(change: dict[str, object]) -> None:
    name = dataclasses.replace(NAME, **change)  # type: ignore[arg-type]
    assert parse_name(format_name(name)) == name


def test_a_time_that_rounds_to_zero_has_no_sign() -> None:
    assert "_t000000.000_" in format_name(dataclasses.replace(NAME, time_s=-0.0001))


def test_names_sort_by_rank() -> None:
    names = [format_name(dataclasses.replace(NAME, rank=rank, score=100.0 - rank)) for rank in range(1, 12)]
    assert sorted(names) == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        "manifest.json",
        "clip.png",
        "clip_r01_f000431_t000017.958_niqe3.2147.gif",
        "clip_r01_f000431_t000017.958_niqe3.2147.png.part",
        "clip_r01_f000431_t000017.958_niqe3.2147.png\n",
        "clip_r1_f000431_t000017.958_niqe3.2147.png",
        "clip_r01_f431_t000017.958_niqe3.2147.png",
        "clip_r01_f000431_t17.958_niqe3.2147.png",
        "clip_r01_f000431_t000017.958_niqe3.21.png",
        "clip_r01_f000431_t000017.958_niqenan.png",
        "clip_r01_f000431_t000017.958_3.2147.png",
        "_r01_f000431_t000017.958_niqe3.2147.png",
        "clip_r\u0660\u0661_f000431_t000017.958_niqe3.2147.png",
        "clip_r01_f\u0660\u0660\u0660431_t000017.958_niqe\u0663.2147.png",
    ],
)
def test_any_other_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a still"):
        parse_name(text)


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("clip", "clip"),
        ("My Holiday", "My_Holiday"),
        ("a.b-c_d", "a.b-c_d"),
        ("-rf", "rf"),
        ("--help", "help"),
        (".hidden", "hidden"),
        ("...", "video"),
        ("", "video"),
        ("_", "video"),
        ("%03d", "03d"),
        ("a%03db", "a_03db"),
        ("a'b\"c`d", "a_b_c_d"),
        ("a\nb\r\tc", "a_b_c"),
        ("a/b\\c", "a_b_c"),
        ("a:b*c?d<e>f|g", "a_b_c_d_e_f_g"),
        ("$(rm -rf ~)", "rm_-rf"),
        ("🎬", "video"),
        ("🎬 take 2", "take_2"),
        ("caf\udce9", "caf"),
        ("\udcff\udcfe", "video"),
        ("cafe\u0301", "caf\u00e9"),
        ("日本語", "日本語"),
        ("a\u202egnp", "a_gnp"),
        ("x\0y", "x_y"),
        ("trailing. ", "trailing"),
    ],
)
def test_a_stem_keeps_letters_and_digits_and_nothing_dangerous(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


@pytest.mark.parametrize("letter", ["x", "é", "語", "\U0001d4b3"])
def test_a_long_stem_is_cut_at_a_whole_character(letter: str) -> None:
    stem = safe_stem(letter * 300)
    assert STEM_BYTES - 4 < len(stem.encode()) <= STEM_BYTES
    assert set(stem) == {letter}


def test_a_folder_is_named_by_stem_and_fingerprint() -> None:
    assert folder_name("My clip", "0123456789abcdef") == "My_clip-01234567"
