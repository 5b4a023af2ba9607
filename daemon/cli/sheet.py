"""``stillwatch sheet``: a film's contact sheet as an image."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from daemon.errors import ConfigError, Kind, VideoError
from daemon.runtime.shared_folder import SharedFolder
from daemon.store.store import Store
from daemon.web.sheet import contact_sheet


async def write_sheet(store: Store, key: str, out: Path | None, columns: int, rows: int) -> Path:
    """Draw it and write it to ``out``, a PNG or JPEG by its ending; the path. Raises StillwatchError."""
    record = await store.videos.find(key)
    target = out or Path(f"{record.file.path.stem}-sheet.png")
    kind: Literal["PNG", "JPEG"] = "PNG" if target.suffix.lower() == ".png" else "JPEG"
    if target.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ConfigError(f"--out = {target}: the sheet is a .png or a .jpg")
    content = await contact_sheet(store, record, columns=columns, rows=rows, kind=kind)
    return write_new(target, content)


def write_new(target: Path, content: bytes) -> Path:
    """Write a file, whole or not at all. Raises VideoError where it cannot be written."""
    try:
        with SharedFolder.open(target.parent) as folder:
            folder.write(target.name, content)
    except OSError as error:
        raise VideoError(Kind.EXPORT, f"{target} cannot be written: {error.strerror}; choose another --out") from error
    return target
