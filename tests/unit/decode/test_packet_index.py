"""The index of packets: what goes in comes out, small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.decode import packet_index
from daemon.decode.packet_index import NO_TIME, PacketIndex, PacketIndexBuilder

COLUMNS = ("pts", "dts", "position", "size", "key", "discard")
TIMES = st.none() | st.integers(NO_TIME + 1, -NO_TIME - 1)


@dataclass
class Written:
    """A packet as PyAV shows it."""

    pts: int | None
    dts: int | None
    pos: int | None
    size: int
    is_keyframe: bool = False
    is_discard: bool = False


def built(packets: list[Written]) -> PacketIndexBuilder:
    builder = PacketIndexBuilder()
    for packet in packets:
        builder.add(packet)  # type: ignore[arg-type]
    return builder


def rows(index: PacketIndex) -> list[tuple[object, ...]]:
    return list(zip(*(getattr(index, column).tolist() for column in COLUMNS), strict=True))


def row(packet: Written) -> tuple[object, ...]:
    times = (NO_TIME if time is None else time for time in (packet.pts, packet.dts))
    return (*times, -1 if packet.pos is None else packet.pos, packet.size, packet.is_keyframe, packet.is_discard)


@given(
    st.lists(
        st.builds(
            Written,
            TIMES,
            TIMES,
            st.none() | st.integers(0, 1 << 60),
            st.integers(1, 1 << 31),
            st.booleans(),
            st.booleans(),
        )
    )
)
def test_every_packet_comes_back_as_it_was(packets: list[Written]) -> None:
    assert rows(PacketIndex.unpacked(built(packets).packed())) == [row(packet) for packet in packets]


def test_a_long_film_is_packed_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_index, "CHUNK_PACKETS", 10)
    packets = [Written(n * 512, n * 512 - 1024, 48 + n * 700, 700, n % 9 == 0) for n in range(95)]
    builder = built(packets)
    assert builder.packets == 95
    assert rows(builder.built()) == [row(packet) for packet in packets]


def test_empty_packets_are_none() -> None:
    assert len(built([Written(None, None, None, 0)]).built()) == 0


def test_an_ordinary_film_takes_few_bytes_a_packet() -> None:
    sizes = np.random.default_rng(1).integers(300, 30_000, 15_000)
    starts = 48 + np.cumsum(sizes) - sizes
    order = [0, 3, 1, 2]
    packets = [
        Written((n - n % 4 + order[n % 4]) * 512, n * 512 - 1024, int(start), int(size), n % 133 == 0)
        for n, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]
    assert len(built(packets).packed()) < 3 * len(packets)


@pytest.mark.parametrize("damage", [b"", b"\x09", b"\x01\x05", b"\x01\x01\x00\x00\x00\x04\x00\x00\x00abcd"])
def test_what_is_no_index_is_a_value_error(damage: bytes) -> None:
    with pytest.raises(ValueError, match="index of packets"):
        PacketIndex.unpacked(damage)


def test_a_damaged_index_is_a_value_error() -> None:
    whole = built([Written(n, n, n * 10, 10) for n in range(50)]).packed()
    with pytest.raises(ValueError, match="index of packets"):
        PacketIndex.unpacked(whole[:-3])
