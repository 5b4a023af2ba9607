"""``stillwatch merge DB...``: films that were scored elsewhere, each into a database of its own, come into this one.

A still's row is taken only with its file: found on the disk, with the bytes that the row says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daemon.config.schema import Config
from daemon.errors import ConfigError, Kind, StoreError
from daemon.export import proof
from daemon.inbox.identity import is_unchanged
from daemon.model import Status
from daemon.store.merge import Merge, Merged, OtherStill, Plan, Step
from daemon.store.other_database import attached
from daemon.store.store import Store

DEEPEST = 4
"""Parts of a still's path below an output folder: a folder of its own, the film's, an older selection's, its name."""
MOST_LINES = 20
"""Films of one kind that are listed by name; --json has all."""


@dataclass(frozen=True, slots=True)
class MissingStill:
    """A still whose row was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class MergedFilm:
    """What became of a film: ``outcome`` is added, completed, beside, known or left; ``id`` is the video's here.

    ``frames`` are new rows, ``scores`` those that were put beside, ``stills`` those whose rows are new.
    """

    id: int | None
    path: str
    outcome: str
    reason: str = ""
    frames: int = 0
    scores: int = 0
    stills: int = 0
    stills_missing: tuple[MissingStill, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all of the film is here."""
        return self.outcome != "left" and not self.stills_missing


@dataclass(slots=True)
class MergedDatabase:
    """What became of a database; ``error`` is why it, or the rest of it, could not be read."""

    database: str
    error: str | None = None
    films: list[MergedFilm] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all of it is here."""
        return self.error is None and all(film.ok for film in self.films)


def path_map(given: Sequence[str]) -> dict[Path, Path]:
    """What ``--path-map FROM=TO`` says. Raises ConfigError.

    >>> path_map(["/scratch/in=/srv/in"])
    {PosixPath('/scratch/in'): PosixPath('/srv/in')}
    """
    found = {}
    for one in given:
        start, equals, end = one.partition("=")
        if not (equals and Path(start).is_absolute() and Path(end).is_absolute()):
            raise ConfigError(f"--path-map {one}: write FROM=TO, two absolute folders")
        found[Path(start)] = Path(end)
    return found


async def merge(
    config: Config, databases: Sequence[Path], paths: Mapping[Path, Path], on_film: Callable[[], object] = lambda: None
) -> list[MergedDatabase]:
    """Bring the films of these databases into the one of the configuration, which is made where there is none.

    A database that cannot be read costs none of the others. Raises StoreError where this one cannot be used.
    """
    store = await Store.open(config.database)
    try:
        return [await _database(store, config.output.path, one, paths, on_film) for one in databases]
    finally:
        await store.close()


async def _database(
    store: Store, output: Path, path: Path, paths: Mapping[Path, Path], on_film: Callable[[], object]
) -> MergedDatabase:
    done = MergedDatabase(str(path))
    try:
        async with attached(store, path):
            merging = Merge(store, paths)
            for film in await merging.films():
                done.films.append(await _film(store, merging, await merging.plan(film), output))
                on_film()
    except StoreError as error:
        if error.kind in (Kind.BUSY, Kind.DISK_FULL):
            # It is this database that cannot be written: nor could the next one be merged.
            raise
        done.error = error.sentence
    # Whoever asks for it deletes the others afterwards.
    await store.make_durable()
    return done


async def _film(store: Store, merging: Merge, plan: Plan, output: Path) -> MergedFilm:
    while True:
        path = str(plan.film.path)
        if plan.step is Step.LEAVE:
            copy = plan.film.record.error_kind == Kind.DUPLICATE
            return MergedFilm(None, path, "known" if copy else "left", plan.reason)
        found, missing = await asyncio.to_thread(_on_disk, await merging.stills(plan), output)
        if (merged := await merging.apply(plan, found)) is not None:
            break
        plan = await merging.plan(plan.film)
    await _one_at_its_path(store, merged.video_id)
    return MergedFilm(
        id=merged.video_id,
        path=path,
        outcome=_outcome(plan, merged),
        frames=merged.frames,
        scores=merged.beside,
        stills=merged.stills,
        # Of a film that is here already, stills that are not to be had are no news.
        stills_missing=tuple(missing) if plan.step is not Step.COMPARE else (),
    )


def _outcome(plan: Plan, merged: Merged) -> str:
    if plan.step is not Step.COMPARE:
        return "added" if plan.step is Step.ADD else "completed"
    return "beside" if merged.beside or merged.stills else "known"


def _on_disk(stills: Sequence[OtherStill], output: Path) -> tuple[dict[tuple[int, int], Path], list[MissingStill]]:
    """Where each still lies with the bytes that it had, and those that do not; older selections' are no loss."""
    found, missing = {}, []
    for still in stills:
        path, reason = _file_of(still, output)
        if path is not None:
            found[still.selection_id, still.rank] = path
        elif still.current:
            missing.append(MissingStill(str(still.path), reason))
    return found, missing


def _file_of(still: OtherStill, output: Path) -> tuple[Path | None, str]:
    reason = "it is not there"
    for path in _places(still.path, output):
        try:
            if proof.sha256_of(path) == still.sha256:
                return path, ""
            reason = f"{path} has other bytes than the still had"
        except FileNotFoundError:
            continue
        except OSError as error:
            reason = f"{path} cannot be read: {error.strerror or error}"
    return None, reason


def _places(path: Path, output: Path) -> Iterator[Path]:
    """Where a still may lie: below the output folder first, since folders of stills are copied there."""
    if path.is_relative_to(output):
        yield path
    for depth in range(2, DEEPEST + 1):
        if (tail := output.joinpath(*path.parts[-depth:])) != path:
            yield tail
    if not path.is_relative_to(output):
        yield path


async def _one_at_its_path(store: Store, video_id: int) -> None:
    """Of films that were at the same path, the one that is there now replaces the others; nobody, if none is there."""
    path = (await store.videos.get(video_id)).file.path
    rows = [row for row in await store.videos.at_path(path) if row.status is not Status.REPLACED]
    if len({(row.file.fingerprint, row.file.digest) for row in rows}) < 2:
        return
    there = next((row for row in rows if row.file.fingerprint and is_unchanged(row.file)), None)
    if there is not None:
        await store.queue.replaced(there.id, there.file)


def sentences(done: Sequence[MergedDatabase]) -> Iterator[str]:
    """What was done, in lines for people."""
    for database in done:
        if database.error is not None:
            yield f"{database.database}: {database.error}"
        if database.films or database.error is None:
            yield f"{database.database}: {_counts(database.films)}"
        left = [f"  left: {film.path}: {film.reason}" for film in database.films if film.outcome == "left"]
        without = [_without_stills(film) for film in database.films if film.stills_missing]
        for lines in (left, without):
            yield from lines[:MOST_LINES]
            if len(lines) > MOST_LINES:
                yield f"  and {len(lines) - MOST_LINES} more: see --json"


def _counts(films: Sequence[MergedFilm]) -> str:
    """How many films went which way.

    >>> _counts([MergedFilm(1, "a", "added"), MergedFilm(2, "b", "known"), MergedFilm(3, "c", "known")])
    '3 films: 1 added, 2 known'
    >>> _counts([MergedFilm(2, "b", "known")])
    '1 film: nothing new'
    """
    kinds = ("added", "completed", "beside", "known", "left")
    count = {kind: sum(film.outcome == kind for film in films) for kind in kinds}
    said = ", ".join(f"{number} {kind}" for kind, number in count.items() if number)
    if count["known"] == len(films):
        said = "nothing new"
    return f"{len(films)} film{'' if len(films) == 1 else 's'}: {said}"


def _without_stills(film: MergedFilm) -> str:
    first = film.stills_missing[0]
    count = len(film.stills_missing)
    more = f", and {count - 1} more" if count > 1 else ""
    return (
        f"  {film.path}: without {first.path}{more}: {first.reason}; copy the stills below output.path and merge again,"
        f" or `stillwatch select {film.id}` exports them anew"
    )
