"""Where time is missing before a key frame of a damaged file, its decoder begins anew.

Nothing behind such a hole refers to what was before, and FFmpeg's decoder of HEVC (versions 8 and 9) may wait for what
was lost and have no room for what follows: it gives no frame any more to the end of the film.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from av.packet import Packet

HOLE_SECONDS = 1.0
"""No group of pictures reaches over so much: what leads the key frame was lost with what it refers to."""


class HolesInTime:
    """Tells, packet by packet, before which a decoder is emptied."""

    def __init__(self, damaged: Callable[[], bool]) -> None:
        """``damaged`` is asked of a key packet behind a hole: whether the file was damaged before it."""
        self._damaged = damaged
        self._last_s: float | None = None

    def before(self, packet: Packet[Any] | None) -> bool:
        """Whether there is such a hole before this packet, the next one; None ends the film."""
        if packet is None or packet.pts is None or packet.time_base is None:
            return False
        last_s, self._last_s = self._last_s, float(packet.pts * packet.time_base)
        hole = last_s is not None and self._last_s > last_s + HOLE_SECONDS
        return hole and packet.is_keyframe and self._damaged()
