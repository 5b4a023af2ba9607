"""What runs in the process that opens films: one probe after the other, each under its limits.

Started by ``daemon.decode.apart`` as ``python -m daemon.decode.probe_cell``. The first line that it reads are its
limits, each further one is a film; each answer is a line: what was found, or the kind of an error and its sentence.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

from daemon.config.score import DecodeConfig
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.media.info_text import info_json
from daemon.runtime import garbage
from daemon.runtime.confine import Limits, allow_cpu, confine, taken_bytes

WORN_BYTES = 64 * 1024 * 1024
"""A process that keeps so much more after its films is let go, since that much is missing for the next."""
NO_MEMORY = "Cannot allocate memory"
"""strerror(ENOMEM), as FFmpeg says it."""


def answer(request: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """What is known of the film of a request, or why it is not taken."""
    config = DecodeConfig.model_validate(request["config"])
    try:
        info = probe(Path(os.fsdecode(bytes.fromhex(request["path"]))), config, request["rules"])
    except VideoError as error:
        if error.kind is Kind.OUT_OF_MEMORY or NO_MEMORY in error.sentence:
            return _too_much(limits)
        return {"kind": error.kind.value, "sentence": error.sentence}
    except MemoryError:
        return _too_much(limits)
    return {"info": info_json(info)}


def _too_much(limits: Limits) -> dict[str, Any]:
    sentence = f"opening it takes more memory than decode.open_memory_bytes = {limits.memory_bytes}"
    return {"kind": Kind.TOO_LARGE.value, "sentence": sentence}


def main(read: Callable[[], bytes], write: Callable[[bytes], object]) -> None:
    """Answer until there is nothing more to read."""
    # FFmpeg's lines go nowhere: what it says of a film is said again when that is decoded.
    av.logging.set_level(av.logging.ERROR)
    limits = Limits(**json.loads(read()))
    garbage.loaded()
    confine(limits)
    began = taken_bytes()
    write(b'{"ready": true}\n')
    while line := read():
        allow_cpu(limits.cpu_seconds)
        found = answer(json.loads(line), limits)
        found["worn"] = taken_bytes() > began + WORN_BYTES
        write(json.dumps(found).encode("ascii") + b"\n")


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    # What a library prints must not look like an answer.
    os.dup2(2, 1)
    main(sys.stdin.buffer.readline, answers.write)
