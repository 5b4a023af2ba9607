"""``manifest.json`` and the facts that are embedded in every still."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from daemon import __version__
from daemon.export.ffmpeg_arguments import Capabilities
from daemon.export.image_format import ImageFormat
from daemon.export.paths import MANIFEST
from daemon.export.proof import Proven
from daemon.export.xmp import is_xml_text
from daemon.media import tonemap
from daemon.model import FileIdentity, Pick, Selection, Still, VideoInfo

NAME = MANIFEST


def facts(
    file: FileIdentity,
    info: VideoInfo,
    pick: Pick,
    metric: str,
    scorer: str,
    image: ImageFormat,
    scaled_from: tuple[int, int] | None = None,
    number: int = 1,
) -> dict[str, str]:
    """What a still says about itself. The same for every way of making it, so equal stills are equal files.

    ``number`` is its place among the stills in time, from 1.

    ``source_uri`` is there for names that no XML can hold: bytes that are not UTF-8, control characters.
    """
    return {
        "software": f"stillwatch {__version__}",
        "source": str(file.path),
        **({} if is_xml_text(str(file.path)) else {"source_uri": file.path.as_uri()}),
        "fingerprint": file.fingerprint,
        **({"digest": file.digest} if file.digest is not None else {}),
        "stream": str(info.stream_index),
        "frame": str(pick.frame),
        "pts": "" if pick.pts is None else str(pick.pts),
        "time_base": str(info.time_base),
        "time_s": f"{pick.time_s:.6f}",
        "rank": str(pick.rank),
        "n": str(number),
        **({} if pick.reason.shot is None else {"shot": str(pick.reason.shot)}),
        "metric": metric,
        "score": repr(pick.score),
        "scorer": scorer,
        "hash": pick.hash,
        "picture": "hdr" if image.keep_hdr and tonemap.is_hdr(info.at(pick.frame).colour) else "sdr",
        "rules": str(info.rules),
        "deinterlace": "auto" if info.deinterlace else "off",
        **({"colours": info.colours_lost} if info.colours_lost else {}),
        **({"scaled_from": f"{scaled_from[0]}x{scaled_from[1]}"} if scaled_from else {}),
    }


def source_of(facts: dict[str, str]) -> Path | None:
    """The path that a still's facts name; None where they name none, as in sets that are handed on."""
    if "source_uri" in facts:
        return Path(os.fsdecode(unquote_to_bytes(facts["source_uri"].removeprefix("file://"))))
    return Path(facts["source"]) if "source" in facts else None


def document(
    *,
    file: FileIdentity,
    info: VideoInfo,
    metric: str,
    lower_better: bool,
    scorer: str,
    damaged: bool,
    damage: str | None,
    selection: Selection,
    stills: list[tuple[Still, Pick, Proven]],
    dropped: dict[int, str],
    image: ImageFormat,
    capabilities: Capabilities,
) -> dict[str, Any]:
    """The manifest: where everything came from, and per still the evidence that it is the frame."""
    return {
        "stillwatch": __version__,
        "ffmpeg": capabilities.version,
        "source": {
            "path": str(file.path),
            "fingerprint": file.fingerprint,
            "digest": file.digest,
            "size_bytes": file.size_bytes,
            "mtime_ns": file.mtime_ns,
            "damaged": damaged,
            "damage": damage,
            "origin": asdict(info.origin),
        },
        "stream": {
            "index": info.stream_index,
            "reason": info.stream_reason,
            "container": info.container,
            "codec": info.codec,
            "time_base": str(info.time_base),
            "frame_rate": None if info.frame_rate is None else str(info.frame_rate),
            **_made_by(info),
            "stretches": [{"first": one.first, **_made_by(one.info)} for one in info.stretches],
            "size_note": info.size_note or None,
            "ground": info.ground or None,
            "rules": info.rules,
            "deinterlace": "auto" if info.deinterlace else "off",
            "colours_lost": info.colours_lost or None,
        },
        "score": {"metric": metric, "lower_better": lower_better, "scorer": scorer},
        "selection": {
            **selection.params,
            "requested": selection.requested,
            "chosen": len(stills),
            "shortfall": selection.shortfall,
            "reasons": selection.reasons,
            "dropped": [{"frame": frame, "reason": reason} for frame, reason in sorted(dropped.items())],
        },
        "stills": [
            {
                "rank": still.rank,
                "file": still.path.name,
                "frame": still.frame,
                "pts": pick.pts,
                "time_s": still.time_s,
                "captured_at": info.origin.captured_after(still.time_s),
                "score": still.score,
                "width": still.width,
                "height": still.height,
                "scaled_from": made.scaled_from,
                "bits": image.depth,
                "bytes": still.bytes,
                "sha256": still.sha256,
                "method": still.method,
                "reason": asdict(pick.reason),
                "evidence": {
                    "algorithm": "sha1 of the unpadded planes in pix_fmt",
                    "scored": made.evidence.scored_hash,
                    "exported": made.evidence.exported_hash,
                },
            }
            for still, pick, made in stills
        ],
    }


def _made_by(info: VideoInfo) -> dict[str, Any]:
    """What decides how frames become pictures."""
    return {
        "width": info.width,
        "height": info.height,
        "pix_fmt": info.pix_fmt,
        "bit_depth": info.bit_depth,
        "sample_aspect": str(info.sample_aspect),
        "rotation_degrees": info.rotation_degrees,
        "flip": info.flip,
        "crop": asdict(info.crop),
        "colour": {
            "matrix": info.colour.matrix,
            "range": info.colour.range,
            "transfer": info.colour.transfer,
            "primaries": info.colour.primaries,
            "chroma_location": info.colour.chroma_location,
        },
    }


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write the manifest into a folder that is not yet published."""
    path = folder / NAME
    path.write_text(json.dumps(content, indent=2, ensure_ascii=True) + "\n", encoding="ascii")
    return path
