"""``stillwatch report``: a film's report as one HTML file."""

from __future__ import annotations

from pathlib import Path

from daemon.cli.sheet import write_new
from daemon.store.store import Store
from daemon.web.report import report
from daemon.web.templating import environment


async def write_report(store: Store, key: str, out: Path | None, output: Path) -> Path:
    """Write it to ``out``; the path. The stills are below ``output``. Raises StillwatchError."""
    record = await store.videos.find(key)
    target = out or Path(f"{record.file.path.stem}-report.html")
    text = await report(store, record, environment(), output)
    return write_new(target, text.encode("utf-8", "backslashreplace"))
