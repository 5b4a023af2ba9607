"""Which frames count as damaged when one is: in pictures, a line for the packets, one for the frames."""

from __future__ import annotations

import pytest

from daemon.decode.references import References


def spans(packets: str) -> list[int]:
    """Ordinals of the damaged frames. Packets in the order of decoding: type, number shown, ``k`` key, ``x`` damaged."""
    references = References()
    shown = {}
    for word in packets.split():
        kind, number = word[0], int(word[1:].rstrip("kx"))
        packet = references.packet(number, key="k" in word)
        shown[number] = packet, kind == "I"
        if "x" in word:
            references.damage()
    for number in sorted(shown):
        packet, intra = shown[number]
        references.frame(packet, intra=intra, corrupt=False)
    return [ordinal for first, last in references.spans() for ordinal in range(first, last + 1)]


@pytest.mark.parametrize(
    ("packets", "damaged"),
    [
        ("I0k P1 P2 P3 I4k P5", []),
        ("I0k P1 P2x P3 I4k P5", [2, 3]),
        ("I0kx P1 I2k P3", [0, 1]),
        ("I0k P3x B1 B2 I4k P7", [1, 2, 3]),
        ("I0k P3x B1 B2 I6k B4 B5 P9 B7 B8", [1, 2, 3, 4, 5]),
        ("I0k P1x I2 P3 I4k", [1, 2, 3]),
    ],
    ids=["sound", "to the next key", "a key itself", "shown before", "what leads a key", "an I picture is no key"],
)
def test_damage_runs_on_to_the_next_key_frame(packets: str, damaged: list[int]) -> None:
    assert spans(packets) == damaged


def test_with_intra_refresh_a_whole_round_must_pass() -> None:
    assert spans("I0k P1 P2x P3k P4 P5 P6k P7 P8") == [2, 3, 4, 5]


def test_damage_in_the_round_begins_it_anew() -> None:
    assert spans("I0k P1x P2k P3x P4k P5 P6k P7") == [1, 2, 3, 4, 5]


def test_a_frame_that_is_marked_corrupt_damages_what_follows() -> None:
    references = References()
    for number in range(4):
        references.frame(references.packet(number, key=number == 0), intra=number == 0, corrupt=number == 2)
    assert references.spans() == ((2, 3),)


def test_frames_of_unknown_packets_are_taken_as_they_are() -> None:
    references = References()
    references.packet(0, key=True)
    references.damage()
    references.frame(None, intra=True, corrupt=False)
    assert references.spans() == ()
