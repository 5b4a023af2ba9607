"""Opens and decodes one mutant after the other under limits; run by ``tests.fuzz.__main__``."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import av.logging

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.decode.seek import index_of, sought_frames
from daemon.errors import StillwatchError
from daemon.model import WantedFrame
from daemon.runtime.confine import Limits, allow_cpu, confine
from daemon.runtime.memory import peak_bytes

SOUGHT_EACH, MOST_SOUGHT = 3, 8


def peak_mib() -> int:
    """The most memory since it was last forgotten (proc(5), clear_refs)."""
    return peak_bytes(os.getpid()) // 1024**2


def outcome(path: Path) -> str:
    """How a film that is decoded, and of which some frames are sought, ends: done, or the kind of its error."""
    config = DecodeConfig(threads=2, memory_bytes=512 * 1024**2)
    try:
        info = probe(path, config)
        wanted = [
            WantedFrame(frame.index, frame.pts, frame.time_s, frame.hash)
            for frame in decode_frames(info, config, DecodeReport(), single_thread=True)
            if frame.index % SOUGHT_EACH == 0
        ]
        # As for stills: by seeking, whether or not that pays.
        index = index_of(info, config, DecodeReport())
        for _ in sought_frames(info, config, DecodeReport(), wanted[:MOST_SOUGHT], index):
            pass
    except StillwatchError as error:
        return error.kind.value
    except MemoryError:
        return "memory"
    return "done"


def main() -> None:
    """Answer until there is nothing more to read."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    av.logging.set_level(av.logging.ERROR)
    limits = Limits(**json.loads(sys.stdin.buffer.readline()))
    confine(limits)
    answers.write(b"{}\n")
    while line := sys.stdin.buffer.readline():
        request: dict[str, Any] = json.loads(line)
        allow_cpu(limits.cpu_seconds)
        Path("/proc/self/clear_refs").write_text("5")
        began = time.process_time()
        found = {"kind": outcome(Path(request["path"])), "seconds": time.process_time() - began, "mib": peak_mib()}
        answers.write(json.dumps(found).encode() + b"\n")


if __name__ == "__main__":
    main()
