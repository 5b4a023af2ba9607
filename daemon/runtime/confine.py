"""What a process takes from itself before it reads a stranger's file: memory, time, files, the network, programs."""

from __future__ import annotations

import ctypes
import platform
import resource
import struct
from dataclasses import dataclass
from pathlib import Path

OPEN_FILES = 64
DEVICE_FILES = 512
"""A driver opens its device many times."""
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
"""seccomp(2): SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EPERM, SECCOMP_RET_KILL_PROCESS."""
_X32 = 0x40000000
_REFUSED = {
    # socket, connect, sendto, sendmsg, bind, execve, execveat, ptrace, kill, process_vm_writev, io_uring_setup
    "x86_64": (0xC000003E, (41, 42, 44, 46, 49, 59, 322, 101, 62, 311, 425)),
    "aarch64": (0xC00000B7, (198, 203, 206, 211, 200, 221, 281, 117, 129, 271, 425)),
}
"""AUDIT_ARCH_* of linux/audit.h, and numbers of arch/x86/entry/syscalls and asm-generic/unistd.h."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``memory_bytes`` beyond what is taken already, ``cpu_seconds`` for each piece of work.

    Of address space; with ``device``, whose driver takes far more of that than it ever uses, of memory of its own that
    can be written to.
    """

    memory_bytes: int
    cpu_seconds: float
    device: bool = False


def taken_bytes(*, device: bool = False) -> int:
    """The address space of this process, or what of it counts with a ``device`` (proc(5), statm: size, data)."""
    return int(Path("/proc/self/statm").read_bytes().split()[5 if device else 0]) * resource.getpagesize()


def confine(limits: Limits) -> None:
    """For good: no more memory than that, nothing written, no core, few files; no network and no program where the
    kernel allows to give them up. Raises OSError, ValueError."""
    memory = taken_bytes(device=limits.device) + limits.memory_bytes
    for kind, most in (
        (resource.RLIMIT_DATA if limits.device else resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, DEVICE_FILES if limits.device else OPEN_FILES),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    refuse_network()


def allow_cpu(seconds: float) -> None:
    """From now on this many seconds of computing, rounded up; then the kernel ends the process (SIGXCPU)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def refuse_network() -> bool:
    """Let the kernel refuse sockets and new programs to this process; False where it can't be asked for (seccomp(2)).

    One wall more: what may not be reached is also named to FFmpeg, by its lists of protocols and demuxers.
    """
    known = _REFUSED.get(platform.machine())
    if known is None:
        return False
    arch, numbers = known
    # Jumps count the lines that follow: after the comparisons stand "allow" and then "refuse".
    after = len(numbers)
    code = [
        (_LOAD_WORD, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, 0),
        (_JUMP_AT_LEAST, after + 1, 0, _X32),
        *((_JUMP_EQUAL, after - at, 0, number) for at, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    packed = b"".join(struct.pack("=HBBI", *line) for line in code)
    held = ctypes.create_string_buffer(packed, len(packed))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = Program(len(code), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)
