"""Which metric gives the second opinion where that is left to the program, and what it is worth.

Imports neither torch nor pyiqa.
"""

from __future__ import annotations

from daemon.scoring import catalog
from daemon.scoring.metric_table import METRICS

AUTO = "auto"
PREFERRED = ("topiq_nr", "musiq")
"""The better first; each is used only where its weights are here."""
AGREEMENT = {"niqe": "0.38 and 0.45", "topiq_nr": "0.93 and 0.81", "musiq": "0.87 and 0.79"}
"""Published rank correlations (Spearman) with people's marks on KonIQ-10k and CLIVE."""


def second_metric(setting: str) -> str:
    """The metric that ``score.refine.metric`` means here; empty where there is none."""
    if setting != AUTO:
        return setting
    return next((name for name in PREFERRED if name in usable()), "")


def usable() -> tuple[str, ...]:
    """The preferred metrics that can score here and now, the better first."""
    if catalog.lacking():
        return ()
    return tuple(name for name in PREFERRED if name in catalog.configs() and not catalog.missing(METRICS[name]))


def told(setting: str) -> str:
    """One sentence on the second opinion: which it is, or what one would gain, and how."""
    best = PREFERRED[0]
    gain = f"agreement with people on two test sets: {best} {AGREEMENT[best]}, niqe {AGREEMENT['niqe']}"
    if absent := catalog.lacking():
        return f"none: it needs {', '.join(absent)}, which the light install does not have; {gain}"
    here = usable()
    how = f"the weights of {here[0]} are here" if here else f"weights are not here: `stillwatch pull {best}`"
    if setting == AUTO:
        return f"{here[0]} scores the shortlist" if here else f"none, as {how}; {gain}"
    if setting:
        return f"{setting} scores the shortlist"
    return f"none; score.refine.metric: auto would use {best} on the shortlist, {how}; {gain}"
