"""What a film can be taken away as: contact sheet and report."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from daemon.export import file_names
from daemon.model import VideoRecord
from daemon.web import context
from daemon.web.context import film_of, number
from daemon.web.report import report
from daemon.web.sheet import contact_sheet

COLUMNS, ROWS, MOST = 6, 8, 40


async def sheet(request: Request) -> Response:
    """The contact sheet; ``columns`` and ``rows`` are its grid."""
    record = await film_of(request)
    columns = min(max(number(request, "columns", COLUMNS), 1), MOST)
    rows = min(max(number(request, "rows", ROWS), 1), MOST)
    content = await contact_sheet(context.of(request).store, record, columns=columns, rows=rows, kind="PNG")
    return Response(content, media_type="image/png", headers=_named(record, "sheet.png"))


async def report_file(request: Request) -> Response:
    """The report, to be kept: shown here it would be under the pages' policy."""
    record = await film_of(request)
    here = context.of(request)
    text = await report(here.store, record, here.templates, here.config.output.path)
    content = text.encode("utf-8", "backslashreplace")
    return Response(content, media_type="text/html", headers=_named(record, "report.html"))


def _named(record: VideoRecord, ending: str) -> dict[str, str]:
    name = f"{file_names.safe_stem(record.file.path.stem)}-{ending}"
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
