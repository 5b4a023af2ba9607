"""``make fuzz``: mutants until the time is over; says how many inputs of which kind there were, and keeps what was found.

A finding is an input that crashes, hangs, ends with an error that is none of ours, or takes more than its bounds. It is
written to the folder of findings with the seed in its name; what is mended becomes a case of its own among the tests.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from PIL import Image

from daemon.cli.verify import verify
from daemon.config import load
from daemon.config.default_file import render_default_file
from daemon.config.score import DecodeConfig
from daemon.errors import StillwatchError
from daemon.export import manifest
from daemon.observe.webhooks import HookError, post
from daemon.runtime.cell import CellEnded, Cells
from tests import films, hostile
from tests.fuzz import mutate
from tests.fuzz.mutate import Mutate
from tests.fuzz.requests import REQUEST, served, status

MEMORY_MIB = 900
"""For one film, with Python and FFmpeg's libraries."""
CPU_SECONDS = 30.0
TEXT_SECONDS = 5.0
CELLS = Cells("tests.fuzz.film_cell")
GREETING = {"memory_bytes": MEMORY_MIB * 1024**2, "cpu_seconds": CPU_SECONDS}


def corpus(folder: Path) -> list[tuple[str, str, bytes, Mutate]]:
    """Small films of every kind of container: name, ending, bytes and how they are mutated."""
    made: list[tuple[str, str, str, Mutate]] = [
        ("boxes", "mp4", "libx264", mutate.boxes),
        ("boxes", "mov", "mjpeg", mutate.boxes),
        ("ebml", "mkv", "libx264", mutate.ebml),
        ("ebml", "webm", "libvpx", mutate.ebml),
        ("riff", "avi", "mpeg4", mutate.riff),
        ("pages", "ogv", "libvpx", mutate.pages),
        ("packets", "ts", "mpeg2video", mutate.packets),
        ("streams", "mpg", "mpeg2video", mutate.streams),
        ("streams", "h264", "libx264", mutate.streams),
        ("chunks", "apng", "apng", mutate.chunks),
        ("streams", "flv", "flv", mutate.streams),
    ]
    found = []
    for kind, ending, codec, how in made:
        pix_fmt = {"mjpeg": "yuvj420p", "apng": "rgb24"}.get(codec, "yuv420p")
        with suppress(ValueError):
            film = films.make(folder / f"film.{ending}", frames=6, width=64, height=48, codec=codec, pix_fmt=pix_fmt)
            found.append((kind, ending, film.read_bytes(), how))
    for build in (*hostile.INDEXES, hostile.many_tags):
        film = build(folder) if build is not hostile.many_tags else hostile.many_tags(folder, 500)
        how = mutate.ebml if film.suffix == ".mkv" else mutate.boxes
        found.append(("hostile", film.suffix[1:], film.read_bytes(), how))
    film = hostile.laced(folder, 3000)
    return [*found, ("hostile", "mkv", film.read_bytes(), mutate.ebml)]


class Findings:
    """What went wrong, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.inputs: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.most_mib = 0
        self.most_seconds = 0.0

    def keep(self, kind: str, seed: int, ending: str, data: bytes, why: str) -> None:
        self.count += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{kind}-{seed}.{ending}"
        path.write_bytes(data)
        print(f"found: {path}: {why}", flush=True)


def film(seed: int, one: tuple[str, str, bytes, Mutate], folder: Path, findings: Findings) -> None:
    kind, ending, data, how = one
    rng = random.Random(seed)
    mutant = how(rng, data)
    if rng.random() < 0.3:
        mutant = mutate.damaged(rng, mutant)
    path = folder / f"mutant.{ending}"
    path.write_bytes(mutant)
    findings.inputs[kind] += 1
    try:
        answer = CELLS.ask(GREETING, {"path": str(path)}, 4 * CPU_SECONDS)
    except CellEnded as ended:
        findings.keep(kind, seed, ending, mutant, "hangs" if ended.late else f"signal {ended.signal}")
        return
    findings.outcomes[answer["kind"]] += 1
    findings.most_mib = max(findings.most_mib, answer["mib"])
    findings.most_seconds = max(findings.most_seconds, answer["seconds"])
    if answer["mib"] > MEMORY_MIB or answer["seconds"] > CPU_SECONDS:
        findings.keep(kind, seed, ending, mutant, json.dumps(answer))


def settings(seed: int, folder: Path, findings: Findings) -> None:
    """A configuration is taken or refused with a sentence, soon."""
    mutant = mutate.text(random.Random(seed), render_default_file().encode())
    path = folder / "config.yaml"
    path.write_bytes(mutant)
    findings.inputs["config"] += 1
    began = time.process_time()
    try:
        load.load(path)
        findings.outcomes["taken"] += 1
    except StillwatchError as error:
        findings.outcomes[error.kind.value] += 1
    except Exception as error:
        findings.keep("config", seed, "yaml", mutant, repr(error)[:200])
    if time.process_time() - began > TEXT_SECONDS:
        findings.keep("config", seed, "yaml", mutant, "takes too long")


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\nLocation: /a\r\n\r\nok"


def hook_answer(seed: int, listening: socket.socket, findings: Findings) -> None:
    """A hook's server may answer what it likes: delivered or a HookError, in time."""
    mutant = mutate.text(random.Random(seed), ANSWER)

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(mutant)

    thread = threading.Thread(target=serve)
    thread.start()
    findings.inputs["hook"] += 1
    began = time.monotonic()
    try:
        post(f"http://127.0.0.1:{listening.getsockname()[1]}/", b"{}", 2.0)
        findings.outcomes["sent"] += 1
    except HookError:
        findings.outcomes["not sent"] += 1
    except Exception as error:
        findings.keep("hook", seed, "txt", mutant, repr(error)[:200])
    thread.join()
    if time.monotonic() - began > TEXT_SECONDS:
        findings.keep("hook", seed, "txt", mutant, "takes too long")


def http_request(seed: int, path: Path, findings: Findings) -> None:
    """Whatever is asked, the server answers or closes, in time, and never with an error of its own."""
    mutant = mutate.text(random.Random(seed), REQUEST)
    findings.inputs["http"] += 1
    try:
        code = status(path, mutant)
    except (BrokenPipeError, ConnectionResetError):
        code = 0
    except OSError as error:
        findings.keep("http", seed, "txt", mutant, repr(error))
        return
    findings.outcomes[f"http {code}"] += 1
    if code >= 500:
        findings.keep("http", seed, "txt", mutant, f"answered {code}")


def sidecar(seed: int, folder: Path, findings: Findings) -> None:
    """A manifest beside a still: that is proven or not, with a sentence, soon."""
    rng = random.Random(seed)
    still = folder / "stills" / "film_r01.png"
    still.parent.mkdir(exist_ok=True)
    if not still.exists():
        Image.new("RGB", (16, 16)).save(still)
    entry = {"file": still.name, "sha256": "0" * 64, "frame": 1, "score": 2.5}
    text = json.dumps({"stills": [entry], "source": {"path": "/film.mp4"}}, indent=1)
    mutant = mutate.text(rng, mutate.damaged(rng, text.encode()) if rng.random() < 0.5 else text.encode())
    (still.parent / manifest.NAME).write_bytes(mutant)
    findings.inputs["sidecar"] += 1
    began = time.process_time()
    try:
        for verdict in verify([still], DecodeConfig()):
            findings.outcomes["proven" if verdict.proven else "not proven"] += 1
    except Exception as error:
        findings.keep("sidecar", seed, "json", mutant, repr(error)[:200])
    if time.process_time() - began > TEXT_SECONDS:
        findings.keep("sidecar", seed, "json", mutant, "takes too long")


def main() -> int:
    """0 where nothing was found."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument("--seed", type=int, default=None)
    options.add_argument("--findings", type=Path, default=Path("build/fuzz"))
    given = options.parse_args()
    seed = given.seed if given.seed is not None else time.time_ns() % 10**9
    findings = Findings(given.findings)
    until = time.monotonic() + given.seconds
    with (
        tempfile.TemporaryDirectory() as name,
        socket.create_server(("127.0.0.1", 0)) as listening,
        served(Path(name)) as review,
    ):
        folder = Path(name)
        inputs = corpus(folder)
        turns: list[Callable[[int], None]] = [
            *(lambda seed, one=one: film(seed, one, folder, findings) for one in inputs),
            lambda seed: http_request(seed, review, findings),
            lambda seed: sidecar(seed, folder, findings),
            lambda seed: settings(seed, folder, findings),
            lambda seed: hook_answer(seed, listening, findings),
        ]
        while time.monotonic() < until:
            turns[seed % len(turns)](seed)
            seed += 1
    CELLS.close()
    print(f"{sum(findings.inputs.values())} inputs: {dict(findings.inputs)}; outcomes {dict(findings.outcomes)}")
    print(f"at most {findings.most_mib} MiB and {findings.most_seconds:.1f} s of computing; {findings.count} findings")
    return int(findings.count > 0)


if __name__ == "__main__":
    sys.exit(main())
