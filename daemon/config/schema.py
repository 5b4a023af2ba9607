"""The configuration as a whole: frozen models with bounds and descriptions, read once at the start."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from daemon.config.cluster import ClusterConfig
from daemon.config.output import ExportConfig, OutputConfig
from daemon.config.score import DecodeConfig, ScoreConfig
from daemon.config.selection import GatesConfig, SelectConfig, ShotsConfig
from daemon.config.service import DatabaseConfig, LogConfig, NotifyConfig, ServiceConfig
from daemon.config.watch import WatchConfig

ENV_PREFIX = "STILLWATCH_"


class Config(BaseModel):
    """Every section with its defaults; built by ``load``."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

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
    cluster: ClusterConfig = ClusterConfig()


def section_model(name: str) -> type[BaseModel]:
    """The model of one section, by its name in the file."""
    model: Any = Config.model_fields[name].annotation
    return cast("type[BaseModel]", model)
