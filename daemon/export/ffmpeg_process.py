"""The FFmpeg binary: found, asked what it can do, run with limits."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.errors import ExportError, Kind
from daemon.export.ffmpeg_arguments import Capabilities

STDERR_BYTES = 16_384
MEMORY_BYTES = 16 * 1024**3
"""Address space of one run; a decoder that wants more is stopped by the kernel."""


REAP_SECONDS = 5.0
"""How long a killed run is waited for; a child of a wrapper may hold its pipes for longer."""
_MEMORY_WORDS = ("Cannot allocate memory", "Out of memory")
_BANNER = re.compile(r"^ffmpeg version (.*?)(?: Copyright|$)", re.MULTILINE)
_KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Run:
    """How an FFmpeg run ended; ``message`` is the end of what it said, on one line.

    ``code`` is negative where a signal ended it, and ``timed_out`` where that was us.
    """

    code: int
    message: str
    timed_out: bool = False


def refuse_killed(run: Run) -> None:
    """Raise ExportError where somebody killed it."""
    if not run.timed_out and -run.code in _KILLS:
        name = signal.Signals(-run.code).name
        raise ExportError(Kind.EXPORT, f"FFmpeg was ended by {name}: see who did it (the kernel's log tells of memory)")


def refuse_ended(run: Run) -> None:
    """Raise ExportError where a run says nothing of its pictures: somebody killed it, or memory ran out."""
    refuse_killed(run)
    if not run.timed_out and run.code != 0 and any(words in run.message for words in _MEMORY_WORDS):
        raise ExportError(Kind.OUT_OF_MEMORY, "FFmpeg ran out of memory: free some, or lower export.select_batch")


def find_binary(configured: str) -> str:
    """The configured binary, the one on PATH, or the one that came with imageio-ffmpeg.

    Raises ExportError(FFMPEG_MISSING).
    """
    if configured:
        path = shutil.which(configured)
        if path is None:
            raise ExportError(
                Kind.FFMPEG_MISSING, f"export.ffmpeg = {configured!r} is no program: correct it or leave it empty"
            )
        return path
    on_path = shutil.which("ffmpeg")
    if on_path is not None:
        return on_path
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise ExportError(
            Kind.FFMPEG_MISSING, "there is no ffmpeg: install it, or set export.ffmpeg to its path"
        ) from error


async def probe_binary(binary: str) -> Capabilities:
    """Ask the binary what it understands; nothing is guessed from its version.

    Raises ExportError(FFMPEG_MISSING) when it cannot be run.
    """
    # One run where the binary knows such an option; starting some of them takes longer than all they do then.
    script = "-/filter_complex"
    help_text, said = await _ask(binary, script, os.devnull, "-h", "full")
    if "nrecognized option" in said or "Option not found" in said:
        script = "-filter_complex_script"
        help_text, said = await _ask(binary, "-h", "full")
    version = next(iter(_BANNER.findall(f"{said}\n{help_text}")), "")
    return Capabilities(
        binary=binary,
        version=version,
        apply_cropping=_has_codec_cropping(help_text),
        script_option=script,
    )


def _has_codec_cropping(help_text: str) -> bool:
    """The command line's own per-file option, not the decoder option of the same name."""
    return any(line.lstrip().startswith("-apply_cropping[") for line in help_text.splitlines())


async def _ask(binary: str, *arguments: str) -> tuple[str, str]:
    """What it prints, and what it says on its standard error."""
    try:
        process = await asyncio.create_subprocess_exec(
            binary,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ExportError(Kind.FFMPEG_MISSING, f"{binary} cannot be run: {error}") from error
    try:
        out, err = await asyncio.wait_for(process.communicate(), 20.0)
    except TimeoutError as error:
        raise ExportError(Kind.FFMPEG_MISSING, f"{binary} cannot be run: it does not answer") from error
    finally:
        await _reap(process)
    return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


async def run(
    capabilities: Capabilities,
    arguments: list[str],
    folder: Path,
    timeout_seconds: float,
    data: Sequence[memoryview] | None = None,
) -> Run:
    """Run FFmpeg in ``folder``, with ``data`` on its standard input; always reaped, also when cancelled."""
    return await _run([capabilities.binary, *arguments], folder, timeout_seconds, data)


async def _run(command: list[str], folder: Path, timeout_seconds: float, data: Sequence[memoryview] | None) -> Run:
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdin=pipe if data is not None else null,
            stdout=null,
            stderr=pipe,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "HOME": str(folder)},
            # A group of its own: a signal from the terminal is not meant for it, and a wrapper's child ends with it.
            start_new_session=True,
        )
    except OSError as error:
        raise ExportError(Kind.FFMPEG_MISSING, f"{command[0]} cannot be run: {error}") from error
    try:
        _limit(process.pid)
        async with asyncio.timeout(timeout_seconds):
            message, _ = await asyncio.gather(_tail(process.stderr), _feed(process.stdin, data))
            code = await process.wait()
    except TimeoutError:
        return Run(-1, f"stopped after {timeout_seconds:g} s (export.timeout_seconds)", timed_out=True)
    finally:
        await _reap(process)
    return Run(code, message)


async def _reap(process: asyncio.subprocess.Process) -> None:
    """End what is still running, with all its children."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(REAP_SECONDS):
            await process.wait()


def _limit(pid: int) -> None:
    try:
        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
    except (ProcessLookupError, PermissionError):
        # It has already ended, or a sandbox forbids the call: the timeout still holds.
        return


async def _tail(stream: asyncio.StreamReader | None) -> str:
    kept = b""
    while stream is not None and (chunk := await stream.read(4096)):
        kept = (kept + chunk)[-STDERR_BYTES:]
    return " ".join(kept.decode("utf-8", "replace").split())


async def _feed(stream: asyncio.StreamWriter | None, data: Sequence[memoryview] | None) -> None:
    if stream is None or data is None:
        return
    try:
        for piece in data:
            stream.write(piece)
            await stream.drain()
    except (BrokenPipeError, ConnectionResetError):
        # FFmpeg gave up on its input; its exit code and message say why.
        return
    finally:
        stream.close()
