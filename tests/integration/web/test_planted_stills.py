"""Stills lie in a folder that others write to: the pages show the still that was published, and nothing in its place."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from daemon.runtime.memory import peak_bytes
from daemon.store.store import Store
from tests.hostile_containers import many_scans
from tests.integration.web.client import Client

SECRET = b"\x89PNG\r\n\x1a\n a private file"


def link(still: Path, private: Path) -> None:
    still.symlink_to(private)


def linked_folder(still: Path, private: Path) -> None:
    folder = still.parent
    folder.rename(folder.with_name("before"))
    (private.parent / "there").mkdir()
    private.rename(private.parent / "there" / still.name)
    folder.symlink_to(private.parent / "there")


def pipe(still: Path, private: Path) -> None:
    os.mkfifo(still)


def device(still: Path, private: Path) -> None:
    still.symlink_to("/dev/zero")


def folder(still: Path, private: Path) -> None:
    still.mkdir()


def hole(still: Path, private: Path) -> None:
    """As large as a file may be, and nothing on the disk."""
    with still.open("wb") as file:
        file.truncate(1 << 42)


PLANTED: list[Callable[[Path, Path], None]] = [link, linked_folder, pipe, device, folder, hole]


@pytest.mark.parametrize("plant", PLANTED)
async def test_what_stands_in_a_stills_place_is_not_shown(
    client: Client, film: int, store: Store, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    stills = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    first, second = (Path(one["path"]) for one in stills[:2])
    (tmp_path / "private").mkdir()
    private = tmp_path / "private" / "own.png"
    private.write_bytes(SECRET)
    first.unlink()
    plant(first, private)
    for address in (f"/films/{film}/stills/1", f"/films/{film}/previews/1.jpg"):
        answer = await client.get(address)
        assert answer.status == 404
        assert b"private" not in answer.body
    if plant is not linked_folder:
        assert (await client.get(f"/films/{film}/stills/2")).body == second.read_bytes()
    page = await client.get(f"/films/{film}/report.html")
    assert b"a private file" not in page.body
    # None at all where all of them lie behind a link.
    assert b"a private file" not in (await client.get(f"/films/{film}/stills.zip")).body


async def test_a_link_in_place_of_the_manifest_is_not_taken_along(
    client: Client, film: int, store: Store, tmp_path: Path
) -> None:
    stills = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    private = tmp_path / "own"
    private.write_bytes(SECRET)
    manifest = Path(stills[0]["path"]).with_name("manifest.json")
    manifest.unlink(missing_ok=True)
    manifest.symlink_to(private)
    answer = await client.get(f"/films/{film}/stills.zip")
    assert answer.status == 200
    assert b"a private file" not in answer.body


def many_pixels(still: Path) -> None:
    """A quarter of a milliard of one colour."""
    Image.new("L", (16_000, 16_000)).save(still, "PNG")


def many_passes(still: Path) -> None:
    still.write_bytes(many_scans(2048, 20_000))


def as_large_as_can_be_said(still: Path) -> None:
    data = bytearray(still.read_bytes() if still.exists() else b"")
    at = data.index(b"IHDR") + 4
    data[at : at + 8] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    still.write_bytes(data)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("bomb", [many_pixels, many_passes, as_large_as_can_be_said])
async def test_a_picture_that_takes_much_to_be_reduced_is_not(
    client: Client, film: int, store: Store, bomb: Callable[[Path], None]
) -> None:
    stills = await store.queries.stills((await store.queries.selections(film))[-1]["id"])
    bomb(Path(stills[0]["path"]))
    before = _peak_mib()
    assert (await client.get(f"/films/{film}/previews/1.jpg")).status == 404
    assert _peak_mib() < before + 50
    assert (await client.get(f"/films/{film}/previews/2.jpg")).status == 200


def _peak_mib() -> int:
    return peak_bytes(os.getpid()) // 1024**2
