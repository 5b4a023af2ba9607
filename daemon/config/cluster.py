"""The section `cluster`: who scores where one machine is not enough."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator

from daemon.config.section import Section


class ClusterConfig(Section):
    """Decoding and scoring on other machines, by Ray; see docs/cluster.md."""

    address: Annotated[str, Field(pattern=r"^$|^auto$|^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$")] = Field(
        "",
        description="host:port of the cluster's head, or auto: the cluster that this machine belongs to; empty: films"
        " are scored here",
    )
    videos: int = Field(4, ge=1, le=4096, description="films that are scored there at once")
    num_cpus: float = Field(2.0, gt=0.0, le=1024.0, description="cores that are reserved and used for each of them")
    num_gpus: float = Field(0.0, ge=0.0, le=64.0, description="GPUs, or a share of one, for each of them")
    span_seconds: float = Field(
        0.0,
        ge=0.0,
        le=86400.0,
        description="a film of at least twice so many seconds is scored in spans of about this length, on several"
        " workers at once; 0: films are scored whole",
    )
    path_map: dict[str, str] = Field(
        {}, description="what folders are called on the workers, such as {/srv/films: /mnt/films}; empty: the same"
    )
    max_retries: int = Field(
        8, ge=0, le=1000, description="number of further tries for a film whose worker was lost without progress"
    )
    tolerance: float = Field(
        0.0,
        ge=0.0,
        le=0.01,
        description="how far a worker's score of the calibration picture may be from the one here, as a share of it",
    )
    if_gone: Literal["wait", "here"] = Field(
        "wait", description="while the cluster does not answer: wait for it | score here until it is back"
    )
    gone_seconds: float = Field(
        60.0, gt=0.0, le=86400.0, description="the cluster counts as gone when it has not answered for so long"
    )

    @field_validator("path_map")
    @classmethod
    def _are_absolute(cls, value: dict[str, str]) -> dict[str, str]:
        for folder in (*value, *value.values()):
            if not PurePosixPath(folder).is_absolute():
                raise ValueError(f"folders must be named from the root: {folder!r} is not")
        return value
