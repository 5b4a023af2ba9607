"""What pip was told on this machine, and the files and folders that it names: a fresh machine needs both."""

from __future__ import annotations

import subprocess
import sys
from ast import literal_eval
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

SYSTEM_FILE = Path("/etc/pip.conf")
_LEFT_OUT = {"cache-dir", "target", "prefix", "root", "user", "require-virtualenv", "no-index-cache"}
"""Settings about this machine's own folders, which mean nothing elsewhere."""


@dataclass(frozen=True, slots=True)
class PipSettings:
    """pip's settings by option (``find-links``), each with one or several words, environment before files."""

    options: dict[str, str]

    @classmethod
    def read(cls) -> PipSettings:
        """What ``pip config list`` says; a setting of a single command (``install.…``) counts for all.

        Variables that pip reads without a setting, such as ``REQUESTS_CA_BUNDLE``, are not among them.
        """
        command = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return cls(parse(listed))

    def as_file(self) -> str:
        """The text of a pip.conf with these settings."""
        return "\n".join(["[global]", *(f"{option} = {words}" for option, words in self.options.items())]) + "\n"

    def as_arguments(self) -> list[str]:
        """The same as options of ``pip install``, for a build that takes them as an argument."""
        repeated = {"find-links", "extra-index-url", "constraint", "trusted-host"}
        switches = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        arguments: list[str] = []
        for option, words in self.options.items():
            if option in repeated:
                arguments += [f"--{option}={word}" for word in words.split()]
            elif words.lower() in switches and option != "default-timeout":
                arguments += [f"--{option}"] if switches[words.lower()] else []
            else:
                arguments.append(f"--{option.removeprefix('default-')}={words}")
        return arguments

    def paths(self) -> list[Path]:
        """Every file and folder of this machine that the settings name."""
        words = [word for value in self.options.values() for word in value.split()]
        named = [Path(unquote(urlsplit(word).path)) if word.startswith("file:") else Path(word) for word in words]
        existing = {_root_of(path) for path in named if path.is_absolute() and path.exists()}
        return sorted(path for path in existing if not any(parent in existing for parent in path.parents))


def _root_of(path: Path) -> Path:
    """An index is a folder of links to its neighbours: take the whole. Anything else is taken as it is."""
    return path.parent if path.is_dir() and path.name == "simple" else path


def parse(listed: str) -> dict[str, str]:
    """Settings from the lines of ``pip config list``; those of the environment win over those of files.

    >>> parse("global.find-links='/a b'\\n:env:.find-links='/c'\\nglobal.cache-dir='/d'")
    {'find-links': '/c'}
    """
    found: dict[str, str] = {}
    for from_environment in (False, True):
        for line in listed.splitlines():
            name, separator, value = line.partition("=")
            if not separator or name.startswith(":env:") is not from_environment:
                continue
            option = name.rpartition(".")[2]
            if option not in _LEFT_OUT:
                found[option] = " ".join(str(literal_eval(value)).split())
    return found
