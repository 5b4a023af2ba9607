"""Reads the configuration: the file, the environment, and sentences for what is wrong in them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from daemon.config.schema import ENV_PREFIX, Config, section_model
from daemon.errors import ConfigError

ENV_FILE_VARIABLE = "STILLWATCH_CONFIG"


HOOK_VARIABLES = tuple(f"{ENV_PREFIX}{name}" for name in ("EVENT", "VIDEO", "VIDEO_ID", "STATUS"))
"""Set for ``notify.command``, which may well run ``stillwatch`` itself."""


SEARCH_PATH = (Path("config.yaml"), Path("/etc/stillwatch/config.yaml"))


_PATH_KEYS = (
    ("watch", "path"),
    ("watch", "after_path"),
    ("output", "path"),
    ("database", "path"),
    ("score", "weights"),
)


_BOOL = "tag:yaml.org,2002:bool"


class _Yaml(yaml.SafeLoader):
    """The safe loader with YAML 1.2's booleans, true and false: ``off`` is a word, as in ``select.faces``."""


_Yaml.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != _BOOL]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Yaml.add_implicit_resolver(_BOOL, re.compile(r"(?i:true|false)$"), list("tTfF"))


def from_yaml(text: str) -> Any:
    """What a text in YAML holds, read as configurations are. Raises anything for one that is no YAML."""
    return yaml.load(text, _Yaml)


def find_file(explicit: Path | None, environ: dict[str, str] | None = None) -> Path | None:
    """The configuration file to read: ``--config``, STILLWATCH_CONFIG, ./config.yaml, /etc, or none."""
    environ = dict(os.environ) if environ is None else environ
    named = explicit or (Path(environ[ENV_FILE_VARIABLE]) if environ.get(ENV_FILE_VARIABLE) else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(f"the configuration file {named} does not exist: name another with --config")
        return named
    return next((path for path in SEARCH_PATH if path.is_file()), None)


def load(explicit: Path | None = None) -> Config:
    """Read the file and the environment into a checked Config with absolute paths.

    Raises ConfigError with one line that names the key, the value and what is allowed.
    """
    file = find_file(explicit)
    values = _read(file) if file is not None else {}
    _refuse_unknown_environment()
    try:
        from_file = _anchored(values, file.resolve().parent if file else Path.cwd())
        config = _with_environment(from_file) if _settings_in_environment() else Config(**from_file)
    except ValidationError as error:
        raise ConfigError(_explain(error, file)) from error
    return _absolute(config)


def changed(config: Config, section: str, changes: dict[str, Any]) -> Config:
    """The configuration with some keys of a section changed, checked as in the file. Raises ConfigError."""
    part: BaseModel = getattr(config, section)
    try:
        wanted = type(part).model_validate({**part.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"][0].lower() + first["msg"][1:]
        raise ConfigError(f"{section}.{first['loc'][0]} = {first['input']!r}: {message}") from error
    return config.model_copy(update={section: wanted})


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    try:
        values = from_yaml(text)
    except Exception as error:  # a value that does not fit its tag raises anything
        line, problem = _fault(error, text)
        where = f"{file}, line {line}" if line else str(file)
        raise ConfigError(f"{where}: not valid YAML: {' '.join(problem.split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file} must hold sections such as `watch:`, not a {type(values).__name__}")
    return {str(key): {} if value is None else value for key, value in values.items()}


def _fault(error: Exception, text: str) -> tuple[int, str]:
    """The line of a text that is no YAML, 0 where that is unknown, and what is wrong with it."""
    match error:
        case yaml.MarkedYAMLError(problem_mark=yaml.Mark() as mark):
            begun = error.context_mark
            since = f" (line {begun.line + 1})" if begun is not None and begun.line != mark.line else ""
            context = f"{error.context}{since}, " if error.context else ""
            return mark.line + 1, f"{context}{error.problem}"
        case yaml.reader.ReaderError():
            return text.count("\n", 0, error.position) + 1, f"{text[error.position]!r}: {error.reason}"
        case RecursionError():
            return 0, "nested too deeply"
        case ValueError():
            return 0, str(error)
    return 0, f"{type(error).__name__}: {error}"


def _anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relative paths in a file start at the file's own folder."""
    anchored = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    for section, key in _PATH_KEYS:
        part = anchored.get(section)
        if isinstance(part, dict) and isinstance(part.get(key), str):
            part[key] = str(folder / Path(part[key]).expanduser())
    return anchored


def _absolute(config: Config) -> Config:
    """Defaults and paths from the environment start at the working folder."""
    updates: dict[str, Any] = {}
    for section, key in _PATH_KEYS:
        part: BaseModel = updates.get(section, getattr(config, section))
        path = getattr(part, key)
        if path is not None:
            updates[section] = part.model_copy(update={key: Path(os.path.abspath(path.expanduser()))})
    return config.model_copy(update=updates)


def _with_environment(from_file: dict[str, Any]) -> Config:
    from pydantic_settings import SettingsError

    from daemon.config.environment import ConfigWithEnvironment

    try:
        return ConfigWithEnvironment(**from_file)
    except SettingsError as error:
        raise ConfigError(f'the environment: {error}; lists are written as JSON: ["mp4", "mkv"]') from error


def _settings_in_environment() -> list[str]:
    """The variables that may be settings, in any case of letters."""
    others = (ENV_FILE_VARIABLE, *HOOK_VARIABLES)
    return [name for name in os.environ if name.upper().startswith(ENV_PREFIX) and name not in others]


def _refuse_unknown_environment() -> None:
    for name in _settings_in_environment():
        if not name.startswith(ENV_PREFIX):
            continue
        section, separator, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        key = key.partition("__")[0]
        if section not in Config.model_fields or (separator and key not in section_model(section).model_fields):
            raise ConfigError(f"{name} names no setting: see config.yaml for the sections and keys")


def _explain(error: ValidationError, file: Path | None) -> str:
    """One line for the first problem: key, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    variable = ENV_PREFIX + "__".join(str(part) for part in first["loc"][:2]).upper()
    named = next((name for name in os.environ if name.upper() == variable), None)
    where = named or (str(file) if file is not None else "the configuration")
    if first["type"] == "extra_forbidden":
        section = str(first["loc"][0])
        known = section_model(section).model_fields if len(first["loc"]) > 1 else Config.model_fields
        return f"{where}: {key} is not a known key; known are {', '.join(sorted(known))}"
    message = first["msg"][0].lower() + first["msg"][1:]
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    shown = "(not shown)" if key == "notify.url" else repr(first["input"])
    return f"{where}: {key} = {shown}: {message}{more}"
