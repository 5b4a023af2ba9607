"""From a decoded frame to its row."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from daemon.decode.damage import DecodeReport
from daemon.media import alpha
from daemon.model import Frame, Outcome, Scored
from daemon.scan.protocol import Findings


def measured(frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    """The frames with their features; ends the decoding when it is closed."""
    # It brings the compiler along, and where rows are written nothing is measured.
    from daemon.analysis.measure import measure, measure_rows

    with closing(frames):
        for frame in frames:
            if frame.picture is not None:
                yield replace(frame, features=measure(frame.picture))
            elif frame.gray is not None:
                features = measure_rows(frame.gray.rows, frame.gray.gray.shape[0])
                # Nobody else looks at them.
                yield replace(frame, features=features, gray=replace(frame.gray, rows=frame.gray.rows[:0]))
            else:
                yield frame


def scored_row(frame: Frame, outcome: Outcome, ground: str) -> Scored:
    """The row of a frame that was scored; ``ground`` is what its alpha was laid over."""
    note = "corrupt" if frame.corrupt and outcome.note is None else outcome.note
    if ground and frame.picture is not None and alpha.nothing_seen(frame.picture, ground):
        note = alpha.NOTE
    return Scored(
        frame.index, frame.pts, frame.time_s, outcome.score, note, frame.hash, frame.features, frame.duration_s
    )


def findings_of(report: DecodeReport) -> Findings:
    """What is kept of the report of a pass that came to its end."""
    return Findings(
        frames=report.frames,
        damaged=report.damaged,
        mixed=report.mixed,
        damage=report.summary(),
        stretches=report.stretches,
        damaged_spans=report.damaged_spans,
        packets=report.index.packets,
        index=report.index.packed(),
        unread_bytes=report.unread_bytes,
        unread_s=report.unread_s,
        lost_packets=report.lost_packets,
        frameless_packets=report.frameless_packets,
        corrupt_frames=report.corrupt_frames,
        damaged_frames=report.damaged_frames,
        unlike_chain=tuple(report.unlike_chain),
        without_device=report.without_device,
    )
