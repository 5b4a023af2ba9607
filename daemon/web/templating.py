"""The templates, in which whatever is filled in is escaped."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from daemon.web import shown


def environment() -> Environment:
    """The templates of this package with their filters."""
    made = Environment(
        loader=PackageLoader("daemon.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["size"] = shown.size
    made.filters["clock"] = shown.clock
    made.filters["counted"] = shown.counted
    made.globals["verdict_words"] = shown.VERDICTS
    return made
