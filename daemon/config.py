"""The configuration: frozen models with bounds and descriptions, read once at the start.

``config.yaml`` is generated from these models (``python -m daemon.config``), so the shipped file
cannot drift from the code.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from daemon.config_choice import GatesConfig as GatesConfig
from daemon.config_choice import RefineConfig as RefineConfig
from daemon.config_choice import Section as _Section
from daemon.config_choice import SelectConfig as SelectConfig
from daemon.config_choice import ShotsConfig as ShotsConfig
from daemon.config_service import LogConfig as LogConfig
from daemon.config_service import NotifyConfig as NotifyConfig
from daemon.config_service import ServiceConfig as ServiceConfig
from daemon.errors import ConfigError

ENV_PREFIX = "STILLWATCH_"
ENV_FILE_VARIABLE = "STILLWATCH_CONFIG"
HOOK_VARIABLES = tuple(f"{ENV_PREFIX}{name}" for name in ("EVENT", "VIDEO", "VIDEO_ID", "STATUS"))
"""Set for ``notify.command``, which may well run ``stillwatch`` itself."""
SEARCH_PATH = (Path("config.yaml"), Path("/etc/stillwatch/config.yaml"))

MIB = 1024 * 1024

VIDEO_EXTENSIONS = [
    *("mp4", "m4v", "m4s", "mov", "qt", "mkv", "webm", "avi", "mpg", "mpeg", "mpe", "m2v", "mp2v", "vob"),
    *("ts", "m2ts", "mts", "mxf", "wmv", "asf", "flv", "f4v", "ogv", "ogg", "ogm", "3gp", "3g2", "gif"),
    *("apng", "mjpeg", "mjpg", "mj2", "h264", "264", "avc", "h265", "265", "hevc", "vvc", "266", "av1"),
    *("ivf", "obu", "y4m", "nut", "dv", "rm", "rmvb", "wtv", "gxf", "insv", "lrv"),
]

EXCLUDED_NAMES = [
    ".*",
    "~*",
    "*~",
    "*.part",
    "*.partial",
    "*.tmp",
    "*.temp",
    "*.crdownload",
    "*.download",
    "*.opdownload",
    "*.filepart",
    "*.!qB",
    "*.aria2",
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
]


class WatchConfig(_Section):
    """Where videos arrive and when one is taken."""

    path: Path = Field(Path("inbox"), description="folder to watch")
    recursive: bool = Field(True, description="watch its subfolders too")
    mode: Literal["auto", "native", "polling"] = Field(
        "auto",
        description="native: kernel events; polling: for network shares; auto: by file system",
    )
    settle_seconds: float = Field(
        5.0,
        ge=0.0,
        le=3600.0,
        description="a file is taken when size and mtime stood still for so many seconds",
    )
    rescan_seconds: float = Field(
        60.0,
        ge=0.1,
        le=86400.0,
        description="list the folder every so many seconds, whatever the events said",
    )
    extensions: list[str] = Field(VIDEO_EXTENSIONS, description="names that are taken for videos, by their ending")
    exclude: list[str] = Field(EXCLUDED_NAMES, description="file and folder names that are left alone (shell patterns)")
    copies: bool = Field(False, description="score a copy under another name too, instead of noting it as a duplicate")
    follow_outside: bool = Field(False, description="take symbolic links that lead out of the folder")
    after: Literal["keep", "move", "delete"] = Field(
        "keep", description="what becomes of a video in the folder once its stills are proven and published"
    )
    after_path: Path | None = Field(None, description="folder that watch.after: move moves to, outside of watch.path")


class OutputConfig(_Section):
    """Where stills go and what they are."""

    path: Path = Field(Path("stills"), description="folder for the stills, one subfolder per video")
    format: Literal["auto", "png", "png8", "jpeg"] = Field(
        "auto",
        description="auto and png: PNG, 16-bit from sources above 8 bits; png8: always 8-bit; jpeg",
    )
    hdr: Literal["tonemap", "keep"] = Field(
        "tonemap", description="PQ and HLG sources: SDR stills, or keep the 16-bit samples (auto and png only)"
    )
    jpeg_quality: int = Field(2, ge=1, le=31, description="FFmpeg's -q:v for jpeg, 1 is the best")


class DatabaseConfig(_Section):
    """Where every score is kept."""

    path: Path = Field(Path("stillwatch.db"), description="SQLite file")
    commit_seconds: float = Field(
        0.5, gt=0.0, le=10.0, description="scores are committed at most so many seconds apart"
    )
    busy_seconds: float = Field(
        5.0, gt=0.0, le=600.0, description="wait so long for another writer; the daemon then pauses and tries again"
    )


class DecodeConfig(_Section):
    """How videos are decoded."""

    queue_bytes: int = Field(
        256 * MIB, ge=MIB, description="bytes of decoded pictures that may wait for the scorer, of all videos together"
    )
    threads: int = Field(0, ge=0, le=64, description="decoder threads per video, 0: one per core")
    concurrency: int = Field(1, ge=1, le=64, description="videos that are decoded and scored side by side")
    max_pixels: int = Field(134_217_728, ge=4096, description="frames with more pixels (width x height) are refused")


class ScoreConfig(_Section):
    """The metric and how it runs."""

    metric: str = Field("niqe", description="a per-image no-reference metric; see `stillwatch metrics`")
    implementation: Literal["auto", "fused", "pyiqa"] = Field(
        "auto", description="niqe on the CPU: fused is our own fast code; auto takes it where it can"
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda|cuda:\d+)$")] = Field(
        "auto", description="auto | cpu | cuda | cuda:N"
    )
    precision: Literal["auto", "fp32", "amp"] = Field(
        "auto",
        description="auto: bf16 (CPU) or fp16 (CUDA) where a self-check keeps the ranking; amp: unchecked; fp32",
    )
    max_batch: int = Field(16, ge=1, le=4096, description="frames scored at once, at most")
    weights: Path | None = Field(None, description="local weights file instead of pyiqa's download cache")
    batch_seconds: float = Field(
        1.0, gt=0.0, le=60.0, description="a batch is kept small enough to take about so many seconds"
    )
    refine: RefineConfig = Field(
        RefineConfig(),
        description="a second, slower metric scores this share of the frames, the best by the first, and orders them",
    )


class ExportConfig(_Section):
    """How stills are cut out of the source."""

    ffmpeg: str = Field(
        "", description="ffmpeg binary; empty: the one on PATH, else the one that came with the install"
    )
    select_batch: int = Field(50, ge=1, le=30_000, description="stills that one FFmpeg run exports")
    hwaccel: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = Field(
        "none", description="none | auto | cuda | vaapi | ...: hardware decoding for the export"
    )
    disk_margin_bytes: int = Field(512 * MIB, ge=0, description="free space that an export leaves on the output disk")
    timeout_seconds: float = Field(3600.0, gt=0.0, description="an FFmpeg run that takes longer is stopped")


class Config(BaseSettings):
    """Every section with its defaults; built by ``load``."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        validate_default=True,
    )

    watch: WatchConfig = WatchConfig()
    output: OutputConfig = OutputConfig()
    database: DatabaseConfig = DatabaseConfig()
    decode: DecodeConfig = DecodeConfig()
    score: ScoreConfig = ScoreConfig()
    shots: ShotsConfig = ShotsConfig()
    gates: GatesConfig = GatesConfig()
    select: SelectConfig = SelectConfig()
    export: ExportConfig = ExportConfig()
    log: LogConfig = LogConfig()
    service: ServiceConfig = ServiceConfig()
    notify: NotifyConfig = NotifyConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file; nothing else is read."""
        return env_settings, init_settings


_PATH_KEYS = (
    ("watch", "path"),
    ("watch", "after_path"),
    ("output", "path"),
    ("database", "path"),
    ("score", "weights"),
)


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
        config = Config(**from_file)
    except ValidationError as error:
        raise ConfigError(_explain(error, file)) from error
    except SettingsError as error:
        raise ConfigError(f'the environment: {error}; lists are written as JSON: ["mp4", "mkv"]') from error
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
        values = yaml.safe_load(text)
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


def _refuse_unknown_environment() -> None:
    for name in os.environ:
        if not name.startswith(ENV_PREFIX) or name in (ENV_FILE_VARIABLE, *HOOK_VARIABLES):
            continue
        section, separator, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        key = key.partition("__")[0]
        if section not in Config.model_fields or (separator and key not in _section(section).model_fields):
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
        known = _section(section).model_fields if len(first["loc"]) > 1 else Config.model_fields
        return f"{where}: {key} is not a known key; known are {', '.join(sorted(known))}"
    message = first["msg"][0].lower() + first["msg"][1:]
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    shown = "(not shown)" if key == "notify.url" else repr(first["input"])
    return f"{where}: {key} = {shown}: {message}{more}"


def _section(name: str) -> type[BaseModel]:
    model: Any = Config.model_fields[name].annotation
    return cast("type[BaseModel]", model)


def render_default_file() -> str:
    """The text of the shipped ``config.yaml``: every key with its default, unit and meaning."""
    lines = [
        "# Every key with its default. Each is also an environment variable STILLWATCH_<SECTION>__<KEY>,",
        "# for instance STILLWATCH_SELECT__COUNT=20. Relative paths start at this file's own folder.",
    ]
    for section in Config.model_fields:
        model = _section(section)
        lines += ["", f"# {(model.__doc__ or '').strip()}", f"{section}:"]
        for key, info in model.model_fields.items():
            default = str(info.default) if isinstance(info.default, Path) else info.default
            default = default.get_secret_value() if isinstance(default, SecretStr) else default
            default = default.model_dump() if isinstance(default, BaseModel) else default
            text = (
                yaml.safe_dump(default, default_flow_style=True, width=10_000, allow_unicode=True)
                .removesuffix("...\n")
                .strip()
            )
            lines.append(f"  # {info.description}")
            lines.append(f"  {key}: {text}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(render_default_file(), end="")
