"""Films whose containers lie, point elsewhere or unpack without end: a sentence each, within the budget, and on it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from daemon.config.schema import Config
from daemon.decode import apart as opening
from daemon.model import Status
from daemon.runtime.memory import peak_bytes
from daemon.runtime.ticking import ticking
from daemon.scan import apart
from daemon.service.foreground import once
from tests import corpus, films, hostile_containers
from tests.integration.decode.test_hostile import Trap, trap
from tests.stub import stub_scorer

__all__ = ["stub_scorer", "trap"]

pytestmark = [pytest.mark.usefixtures("stub_scorer"), pytest.mark.timeout(240)]

ENDS = (Status.DONE, Status.REJECTED, Status.FAILED)
OPEN_MIB, MEMORY_MIB = 256, 512
OF_ITS_OWN_MIB = 400
"""Python, FFmpeg's libraries, compiled code, and the memory that frames come through."""


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    opening.CELLS.close()
    apart.close()


def settings(tmp_path: Path) -> Config:
    values: dict[str, Any] = {
        "output": {"path": tmp_path / "out"},
        "database": {"path": tmp_path / "db.sqlite"},
        "select": {"strategy": "best", "count": 1},
        "decode": {
            "open_memory_bytes": OPEN_MIB * 1024**2,
            "memory_bytes": MEMORY_MIB * 1024**2,
            "open_cpu_seconds": 4.0,
            "work_seconds": 60.0,
        },
    }
    return Config.model_validate(values)


@contextmanager
def largest_child() -> Iterator[list[int]]:
    """The most memory any process below this one has held so far, in MiB, as the list's only entry.

    Until it has begun its own program a process shows its parent's memory, and its parent's command.
    """
    peak, own = [0], psutil.Process().cmdline()

    def look() -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if child.cmdline() != own:
                    peak[0] = max(peak[0], peak_bytes(child.pid) // 1024**2)

    with ticking(0.01, look, "looking"):
        yield peak


BUILDS = (*hostile_containers.LYING, *hostile_containers.UNPACKING, *hostile_containers.CROWDED)
LONG = (hostile_containers.packed_packets, hostile_containers.programmes, hostile_containers.scans)


@pytest.mark.parametrize("build", [pytest.param(one, marks=pytest.mark.slow) if one in LONG else one for one in BUILDS])
async def test_it_comes_to_an_end_with_a_sentence_and_the_next_film_is_done(
    build: corpus.Build, tmp_path: Path
) -> None:
    film, good = build(tmp_path), films.make(tmp_path / "good.mp4", frames=12)
    with largest_child() as largest:
        (bad, done), _ = await once(settings(tmp_path), [film, good])
    assert done.status is Status.DONE
    assert bad.status in ENDS
    assert (bad.status is Status.DONE) == (bad.error is None), bad.error
    assert "unexpected" not in (bad.error or "")
    assert "out of memory" not in (bad.error or "")
    assert 0 < largest[0] < OPEN_MIB + MEMORY_MIB + OF_ITS_OWN_MIB


@pytest.mark.parametrize("points", hostile_containers.POINTING)
async def test_what_a_container_names_is_not_opened(
    points: Callable[[Path], corpus.Build], trap: Trap, tmp_path: Path
) -> None:
    (bad,), _ = await once(settings(tmp_path), [points(trap.canary)(tmp_path)])
    assert bad.status in ENDS
    assert not trap.opened()
    assert not trap.called()
