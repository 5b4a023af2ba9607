"""Mutants for fuzzing are of use only where readers get as far as what was changed."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import pytest

from tests import films
from tests.fuzz import mutate


def test_the_checksum_of_a_page_is_that_of_ogg(tmp_path: Path) -> None:
    data = films.make(tmp_path / "film.ogv", frames=3, width=64, height=48, codec="libvpx").read_bytes()
    parts = [b"OggS" + part for part in data.split(b"OggS")[1:]]
    assert len(parts) > 2
    assert [mutate._summed(part) for part in parts] == parts
    other = mutate._summed(parts[0][:-1] + b"\x55")
    assert other[22:26] != parts[0][22:26]


@pytest.mark.parametrize("seed", range(20))
def test_the_sizes_of_boxes_around_a_changed_one_follow(seed: int, tmp_path: Path) -> None:
    data = films.make(
        tmp_path / "film.mp4", frames=3, width=64, height=48, codec="mjpeg", pix_fmt="yuvj420p"
    ).read_bytes()
    assert b"".join(mutate._boxes(data)) == data
    mutant = mutate.boxes(random.Random(seed), data)
    assert b"".join(mutate._boxes(mutant)) == mutant


@pytest.mark.parametrize("seed", range(20))
def test_elements_outside_of_the_changed_one_stay(seed: int, tmp_path: Path) -> None:
    data = films.make(tmp_path / "film.mkv", frames=3, width=64, height=48).read_bytes()
    mutant = mutate.ebml(random.Random(seed), data)
    _, _, end = mutate._element(mutant)
    assert mutant[:4] == data[:4]
    assert mutate._element(mutant[end:])[0] == 0x18538067


def test_chunks_have_their_checksums(tmp_path: Path) -> None:
    data = films.make(tmp_path / "film.apng", frames=3, width=64, height=48, codec="apng", pix_fmt="rgb24").read_bytes()
    for seed in range(10):
        rest = mutate.chunks(random.Random(seed), data)[8:]
        while rest:
            (size,) = struct.unpack_from(">I", rest)
            assert zlib.crc32(rest[4 : 8 + size]) == struct.unpack_from(">I", rest, 8 + size)[0]
            rest = rest[12 + size :]
