"""Which metrics can be used, how they must be run, and whether their weights are here.

Answers without importing torch or pyiqa, so that `stillwatch metrics` prints at once.
"""

from __future__ import annotations

import difflib
import functools
import importlib.metadata
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from daemon.errors import Kind, ScorerError
from daemon.scoring.metric_table import METRICS, REFERENCE, REFUSED, Local, Metric

FULL_PACKAGES = ("torch", "torchvision", "pyiqa")
"""What the light install lacks."""
LIGHT_METRIC = "niqe"
"""The one metric that needs none of them."""

__all__ = [
    "FULL_PACKAGES",
    "LIGHT_METRIC",
    "Local",
    "Metric",
    "configs",
    "find",
    "hub_folder",
    "lacking",
    "locate",
    "missing",
    "pyiqa_version",
    "require_full",
    "table",
    "usable",
]


def lacking() -> tuple[str, ...]:
    """The packages of the full install that are not here; none of them is imported to find out."""
    return tuple(name for name in FULL_PACKAGES if importlib.util.find_spec(name) is None)


def require_full(wish: str) -> None:
    """Raise ScorerError when this is a light install; ``wish`` is what cannot be had then, as in the configuration."""
    if absent := lacking():
        raise ScorerError(
            Kind.METRIC,
            f"{wish} needs {', '.join(absent)}, which this light install does not have: install stillwatch with all"
            f" its dependencies (`pip install .`), or use score.metric: {LIGHT_METRIC}",
        )


@functools.cache
def configs() -> Mapping[str, Mapping[str, Any]]:
    """pyiqa's own table of metrics, by name; only that one file of pyiqa is executed.

    Raises ScorerError when pyiqa is not installed, or has moved the table.
    """
    package = importlib.util.find_spec("pyiqa")
    if package is None or not package.submodule_search_locations:
        raise ScorerError(Kind.METRIC, "pyiqa is not installed: install stillwatch with its dependencies")
    file = Path(next(iter(package.submodule_search_locations))) / "default_model_configs.py"
    spec = importlib.util.spec_from_file_location("_pyiqa_default_model_configs", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise ScorerError(Kind.METRIC, f"pyiqa {pyiqa_version()} has no {file.name}: install another version")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Mapping[str, Mapping[str, Any]]", module.DEFAULT_CONFIGS)


def pyiqa_version() -> str:
    """The installed version of pyiqa."""
    return importlib.metadata.version("pyiqa")


def usable() -> tuple[Metric, ...]:
    """Every metric that can score single frames with what is installed, by name."""
    if lacking():
        return (METRICS[LIGHT_METRIC],)
    return tuple(metric for name, metric in METRICS.items() if name in configs())


def table() -> list[dict[str, Any]]:
    """One row per metric, for people and programs: name, direction, least side, weights.

    On a light install those that need more are there too; ``weights`` says so.
    """
    metrics = METRICS.values() if lacking() else usable()
    return [
        {
            "metric": metric.name,
            "lower_better": metric.lower_better,
            "min_side": metric.side,
            "weights": _state(metric),
        }
        for metric in metrics
    ]


def _state(metric: Metric) -> str:
    if metric.name != LIGHT_METRIC and (absent := lacking()):
        return f"needs {', '.join(absent)}: not in the light install"
    if not metric.weights:
        return "none needed" if metric.local is Local.NONE else "shipped"
    return f"not here: `stillwatch pull {metric.name}`" if missing(metric) else "here"


def find(name: str) -> Metric:
    """The metric of that name; ScorerError with the reason, and what to use instead, when there is none."""
    if name == LIGHT_METRIC:
        return METRICS[name]
    if name in REFUSED:
        raise ScorerError(Kind.METRIC, f"{name} {REFUSED[name]}")
    if name in METRICS:
        require_full(name)
    known = {} if lacking() else configs()
    if name in METRICS and name in known:
        return METRICS[name]
    if name not in known:
        raise ScorerError(Kind.METRIC, f"there is no metric {name!r}: {_suggestion(name)}")
    if known[name].get("metric_mode") == "FR":
        raise ScorerError(Kind.METRIC, f"{name} {REFERENCE}")
    raise ScorerError(
        Kind.METRIC,
        f"{name} is new in pyiqa {pyiqa_version()} and has not been checked for single frames:"
        " see `stillwatch metrics` for those that have",
    )


def _suggestion(name: str) -> str:
    names = [metric.name for metric in usable()]
    close = difflib.get_close_matches(name.strip().lower(), names, n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{meant}`stillwatch metrics` lists all"


def missing(metric: Metric, *, local: bool = False) -> tuple[str, ...]:
    """The weights of ``metric`` that are not on this host; with ``local``, beside a local weights file."""
    if local and metric.local is Local.STATE:
        return ()
    return tuple(name for name in metric.weights[int(local) :] if not _is_here(name))


def locate(name: str) -> Path:
    """Where a file or repository of ``Metric.weights`` is kept on this host."""
    if name.startswith("hf:"):
        home = Path(os.environ.get("HF_HOME", _cache_folder() / "huggingface")).expanduser()
        cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub")).expanduser()
        return cache / f"models--{name.removeprefix('hf:').replace('/', '--')}"
    if name.startswith("~"):
        return Path(name).expanduser()
    return hub_folder() / name


def hub_folder() -> Path:
    """torch.hub's folder for weights, from TORCH_HOME and XDG_CACHE_HOME as torch.hub.get_dir has it."""
    return Path(os.environ.get("TORCH_HOME", _cache_folder() / "torch")).expanduser() / "hub"


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()


def _is_here(name: str) -> bool:
    path = locate(name)
    return any(path.glob("snapshots/*/*")) if name.startswith("hf:") else path.is_file()
