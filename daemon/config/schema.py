"""The configuration as a whole: frozen models with bounds and descriptions, read once at the start."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from daemon.config.output import ExportConfig, OutputConfig
from daemon.config.score import DecodeConfig, ScoreConfig
from daemon.config.selection import GatesConfig, SelectConfig, ShotsConfig
from daemon.config.service import DatabaseConfig, LogConfig, NotifyConfig, ServiceConfig
from daemon.config.watch import WatchConfig

ENV_PREFIX = "STILLWATCH_"


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


def section_model(name: str) -> type[BaseModel]:
    """The model of one section, by its name in the file."""
    model: Any = Config.model_fields[name].annotation
    return cast("type[BaseModel]", model)
