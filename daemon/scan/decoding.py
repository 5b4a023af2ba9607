"""What is to be decoded, as plain data that another process can be given; and what a run has found, on its way back."""

from __future__ import annotations

import base64
import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daemon.analysis.measure import rows_looked_at
from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.gray import GrayWanted
from daemon.decode.planes import Empty
from daemon.media.info_text import info_json, info_of
from daemon.media.strip_step import in_strip
from daemon.model import Frame, VideoInfo
from daemon.scan.protocol import Findings
from daemon.scan.rows import findings_of, measured

SCORED_BYTES = 128 * 1024 * 1024
"""Room for frames that are being scored."""


@dataclass(frozen=True, slots=True)
class Request:
    """Every frame of a film with its features: gray alone where its sides have ``gray_from`` pixels or more.

    ``known`` are stored hashes, as ``decode_frames`` has them; ``strip``: small pictures for the strip too.
    """

    info: VideoInfo
    config: DecodeConfig
    single_thread: bool
    known: Sequence[str] = ()
    gray_from: int | None = None
    strip: bool = False

    def frames(self, report: DecodeReport, empty: Empty | None = None) -> Generator[Frame, None, None]:
        """Decode here; pictures are made in what ``empty`` gives where that can be. Raises what decoding raises."""
        small = in_strip if self.strip else _of_none
        frames = decode_frames(
            self.info,
            self.config,
            report,
            single_thread=self.single_thread,
            known=self.known,
            gray=None if self.gray_from is None else GrayWanted(self.gray_from, rows_looked_at, small),
            compiled=True,
            empty=empty,
        )
        return measured(frames)

    def json(self) -> dict[str, Any]:
        """As ``request_of`` reads it."""
        return {
            "path": os.fsencode(self.info.path).hex(),
            "info": info_json(self.info),
            "config": self.config.model_dump(mode="json"),
            "single_thread": self.single_thread,
            "known": list(self.known),
            "gray_from": self.gray_from,
            "strip": self.strip,
        }


def request_of(values: dict[str, Any]) -> Request:
    """The request from its JSON."""
    rest = dict(values)
    info = info_of(rest.pop("info"), Path(os.fsdecode(bytes.fromhex(rest.pop("path")))))
    assert info is not None
    return Request(info, DecodeConfig.model_validate(rest.pop("config")), **rest)


def ring_bytes(config: DecodeConfig) -> int:
    """Room for the frames that one film may have waiting, and for those that are being scored."""
    return config.queue_bytes // config.concurrency + SCORED_BYTES


def findings_json(info: VideoInfo, report: DecodeReport) -> dict[str, Any]:
    """As ``findings_from`` reads them."""
    found = findings_of(report)
    values = {key: getattr(found, key) for key in Findings.__dataclass_fields__}
    values["stretches"] = info_json(replace(info, stretches=found.stretches))
    values["index"] = base64.b64encode(found.index).decode("ascii")
    return values


def findings_from(values: dict[str, Any], info: VideoInfo) -> Findings:
    """The findings from their JSON. Raises KeyError, TypeError, ValueError for what is none."""
    found = dict(values)
    film = info_of(found.pop("stretches"), info.path)
    assert film is not None
    return Findings(
        stretches=film.stretches,
        index=base64.b64decode(found.pop("index")),
        damaged_spans=tuple((int(first), int(last)) for first, last in found.pop("damaged_spans")),
        unlike_chain=tuple(map(str, found.pop("unlike_chain"))),
        **found,
    )


def _of_none(_: int) -> bool:
    return False
