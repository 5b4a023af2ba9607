"""From the times that a file writes to the times of the film: one clock that never runs backwards."""

from __future__ import annotations

from fractions import Fraction

from daemon.model import VideoInfo

JOINED_CONTAINERS = frozenset({"mpegts", "mpegtsraw", "mpeg", "mpegvideo"})
"""Streams that may be joined by writing one behind the other: their clock may jump ahead as well."""
JUMP_SECONDS = 10.0
"""A gap of such a stream that is longer, and many times what frames last in it, is a jump of its clock. FFmpeg takes
the same ten seconds (``-dts_delta_threshold``)."""
JUMP_TIMES = 20
WRAP_TICKS = 1 << 33
"""MPEG's clock has 33 bits."""
EPSILON_S = 1e-9
STUMBLE_SECONDS = 0.2
"""A clock that goes back by less has not started anew: a frame is out of order."""
GLITCH_FRAMES = 16
"""Damaged files give frames out of order; a clock that has started anew does not come back within so many frames."""


class BestEffort:
    """The pts of a frame; where those of a file are more often wrong than its dts, or missing, the dts.

    FFmpeg's command line does the same (``guess_correct_pts`` in libavcodec/decode.c): AVI, for one, has only dts.
    """

    def __init__(self) -> None:
        self._last_pts = self._last_dts = -WRAP_TICKS * WRAP_TICKS
        self._faulty_pts = self._faulty_dts = 0

    def pts(self, pts: int | None, dts: int | None) -> int | None:
        """What to take for the next frame's pts; None where the file says nothing."""
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        if pts is not None and (self._faulty_pts <= self._faulty_dts or dts is None):
            return pts
        return dts


class FilmClock:
    """Seconds since the film's beginning, frame by frame.

    The running offset is what the clock of the film is ahead of the file's::

        file's own   0.00 0.04 ... 9.96 | 0.00 0.04 ...     the second part starts anew
        offset       0                  | 10.00
        film         0.00 0.04 ... 9.96 | 10.00 10.04 ...
    """

    def __init__(self, info: VideoInfo) -> None:
        self._time_base = info.time_base
        self._offset_s = -info.start_s
        self.nominal_s = float(1 / info.frame_rate) if info.frame_rate else 0.04
        self._joined = bool(JOINED_CONTAINERS.intersection(info.container.split(",")))
        self._longest_s = 0.0
        self._step_s = self.nominal_s
        self._last_s: float | None = None
        self._last_pts_s = 0.0
        self._before: tuple[float, int] | None = None
        self._frames = 0
        self.jumps = 0
        self.missing_s = 0.0

    def seconds(
        self,
        pts: int | None,
        time_base: Fraction | None,
        duration: int | None = None,
        *,
        after_hole: bool = False,
        next_pts: int | None = None,
    ) -> float:
        """The time of the next frame in the order of presentation.

        ``pts`` and ``duration`` are the file's own, in ``time_base``; a frame without a pts follows the one before.
        ``after_hole``: data is missing before it, so a gap is a real one. ``next_pts`` is the next frame's: where that
        is back at the old clock, this frame's own is wrong. Afterwards ``missing_s`` says how many
        seconds lie between what the frame before lasts and this one.
        """
        base = time_base or self._time_base
        last = self._last_s
        if pts is None:
            time_s = -self.nominal_s + self._step_s if last is None else last + self._step_s
            self._last_pts_s += self._step_s
        else:
            own_s = float(pts * base)
            next_s = None if next_pts is None else float(next_pts * base)
            if last is None:
                # FFmpeg may guess a start that lies behind the first frame, of VVC in TS for one.
                self._offset_s = max(self._offset_s, -own_s)
                time_s = own_s + self._offset_s
            else:
                time_s = self._next(own_s, next_s, base, last, after_hole)
            self._last_pts_s = own_s
        if last is not None and time_s > last:
            self._longest_s = max(self._longest_s, time_s - last)
        self.missing_s = 0.0 if last is None else time_s - last - self._step_s
        self._step_s = float(duration * base) if duration and duration > 0 else self.nominal_s
        self._last_s = time_s
        self._frames += 1
        return time_s

    def _next(self, own_s: float, next_s: float | None, base: Fraction, last: float, after_hole: bool) -> float:
        time_s = own_s + self._offset_s
        ahead = time_s - last
        if self._before is not None:
            offset_s, since = self._before
            if self._frames - since > GLITCH_FRAMES:
                self._before = None
            elif ahead > 1.5 * self._step_s and own_s + offset_s >= last - EPSILON_S:
                # Some frames were out of order; the clock goes on as before.
                self._offset_s, self._before = offset_s, None
                return own_s + offset_s
        usual = max(self._longest_s, self.nominal_s, self._step_s)
        far = ahead > max(JUMP_SECONDS, JUMP_TIMES * usual)
        if far and next_s is not None and last - EPSILON_S <= next_s + self._offset_s < time_s:
            return last + self._step_s
        jumped = self._joined and not after_hole and far
        if ahead >= -EPSILON_S and not jumped:
            return time_s
        if -min(STUMBLE_SECONDS, self._frames * self.nominal_s / 2) < ahead < 0:
            return last
        wrapped = (own_s - self._last_pts_s) % float(WRAP_TICKS * base)
        step = wrapped if self._joined and 0 < wrapped <= JUMP_SECONDS else self._step_s
        if self._before is None and not jumped:
            self._before = self._offset_s, self._frames
        self._offset_s = last + step - own_s
        self.jumps += 1
        return last + step
