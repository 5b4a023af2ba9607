"""``stillwatch pull``: the weights of a metric, or those for faces, fetched ahead of time."""

from __future__ import annotations

from daemon.scoring import catalog, weights


def pull(name: str) -> str:
    """Fetch the weights of a metric; one sentence that says where they are.

    Raises ScorerError when there is no such metric or the weights cannot be had.
    """
    if name == "faces":
        from daemon.scoring.faces import weights as faces

        return faces.pull()
    metric = catalog.find(name)
    if not metric.weights:
        return f"{name} needs no download"
    fetched = weights.require(metric, None)
    if fetched:
        from daemon.scoring.pyiqa_backend.build import build
        from daemon.scoring.pyiqa_backend.device import find_device

        build(metric, find_device("cpu"), online=True, progress=True)
    places = ", ".join(str(catalog.locate(file)) for file in metric.weights)
    return f"the weights of {name} {'are here now' if fetched else 'were here already'}: {places}"
