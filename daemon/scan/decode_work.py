"""What is done with a film in the process that decodes: the one place where containers of strangers are opened.

``daemon.scan.decode_cell`` alone has an interest in it.
"""

from __future__ import annotations

import base64
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict
from typing import Any

from daemon.decode.cutting import cut_film
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.packet_index import PacketIndex
from daemon.decode.planes import Empty
from daemon.decode.seek import frames_again, index_of, sought_frames
from daemon.decode.spans import Span
from daemon.media.strip_step import in_strip
from daemon.model import Frame, WantedFrame
from daemon.scan.again import Again, Packets, Way
from daemon.scan.decoding import Request, film_of, findings_json
from daemon.scan.rows import measured
from daemon.scan.spans import Cutting, cut_json

AnyWork = Request | Again | Packets | Cutting


def work_of(values: dict[str, Any]) -> AnyWork:
    """A request from its JSON."""
    rest = dict(values)
    info, config = film_of(rest)
    match rest.pop("work"):
        case "scan":
            span = rest.pop("span")
            return Request(info, config, span=None if span is None else Span(**span), **rest)
        case "cut":
            return Cutting(info, config, **rest)
        case "packets":
            return Packets(info, config)
    wanted, index, way = rest.pop("wanted"), rest.pop("index"), Way(rest.pop("way"))
    return Again(
        info,
        config,
        way,
        None if wanted is None else [WantedFrame(**one) for one in wanted],
        None if index is None else PacketIndex.unpacked(base64.b64decode(index)),
        **rest,
    )


def frames_of(work: AnyWork, report: DecodeReport, empty: Empty | None = None) -> Generator[Frame, None, None]:
    """Decode; pictures are made in what ``empty`` gives where that can be. Raises what decoding raises."""
    match work:
        case Request():
            yield from scanned(work, report, empty)
        case Again():
            yield from decoded_again(work, report, empty)
        case Packets():
            index_of(work.info, work.config, report)
        case Cutting():
            report.cut = cut_film(work.info, work.config, report, work.seconds)


def found_by(work: AnyWork, report: DecodeReport) -> tuple[dict[str, Any], bytes]:
    """What a run to the end has found, and its index of packets if one was made."""
    match work:
        case Request():
            values, index = findings_json(work.info, report)
            return {**values, "meets": None if report.meets is None else asdict(report.meets)}, index
        case Cutting():
            assert report.cut is not None
            return cut_json(report.cut), report.cut.index
        case Again():
            return {"rungs": report.rungs}, b""
    return {}, report.index.packed()


def scanned(request: Request, report: DecodeReport, empty: Empty | None = None) -> Generator[Frame, None, None]:
    """Every frame, measured."""
    # By compiled code, which frames that are decoded a second time have no need of.
    from daemon.analysis.measure import rows_looked_at
    from daemon.decode.gray import GrayWanted

    small = in_strip if request.strip else _of_none
    frames = decode_frames(
        request.info,
        request.config,
        report,
        single_thread=request.single_thread,
        known=request.known,
        gray=None if request.gray_from is None else GrayWanted(request.gray_from, rows_looked_at, small),
        compiled=True,
        empty=empty,
        span=request.span,
        device=request.config.hwaccel,
    )
    with closing(measured(frames)) as found:
        yield from found


def decoded_again(work: Again, report: DecodeReport, empty: Empty | None) -> Generator[Frame, None, None]:
    """The wanted frames."""
    info, config, wanted = work.info, work.config, work.wanted or ()
    how: dict[str, Any] = {"depth": work.depth, "keep_hdr": work.keep_hdr, "empty": empty}
    if work.way is Way.SEEK:
        assert work.index is not None
        frames = sought_frames(info, config, report, wanted, work.index, **how)
    elif work.way is Way.CHEAPER:
        frames = frames_again(info, config, report, wanted, work.index, single_thread=work.single_thread, **how)
    else:
        only = None if work.wanted is None else frozenset(one.frame for one in work.wanted)
        frames = decode_frames(
            info, config, report, single_thread=work.single_thread, known=work.known, wanted=only, **how
        )
    with closing(frames) as found:
        yield from found


def _of_none(_: int) -> bool:
    return False
