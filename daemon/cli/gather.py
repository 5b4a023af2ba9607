"""``stillwatch gather OUT``: one set of pictures from the stills of many films, in the form of Hugging Face's datasets.

::

    OUT/
      metadata.csv                       a line per picture; file_name is relative to OUT
      3f9a12cd00aa11bb/f000431.png       a folder per film, by its fingerprint

``datasets`` takes every folder and file whose name has ``test``, ``dev`` or ``val`` in it for a split and then reads no
``metadata.csv``: so films' names are in the column ``video`` alone, and the split is a column.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np

from daemon.errors import Kind, StillwatchError
from daemon.export import metadata, proof
from daemon.export.file_names import folder_name
from daemon.export.image_file import MOST_BYTES
from daemon.export.tags import tags_of
from daemon.model import Pick, VideoRecord
from daemon.pipeline.given_pictures import looks_of, some_of
from daemon.runtime.reading import read_regular
from daemon.runtime.shared_folder import SharedFolder
from daemon.selection.across import DETAIL_DIFFERENCE, nearest
from daemon.store.queries import StillRow
from daemon.store.store import Store

METADATA = "metadata.csv"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of ``metadata.csv``. ``video`` is the film's name with its fingerprint, ``sha256`` that of the picture.

    ``metric`` is what ``score`` is of; '' in the lines of sets that were begun before there was this column.
    """

    file_name: str
    video: str
    shot: str
    frame: str
    time_s: str
    score: str
    rank: str
    sha256: str
    split: str
    metric: str = ""


COLUMNS = tuple(one.name for one in fields(Row))


@dataclass(frozen=True, slots=True)
class Gathering:
    """How a set is made: ``test_share`` is the share of films whose split is test, ``min_difference`` as in ``select``.

    With ``whole``, pictures keep the path of their film and their place, and are hard links where that is possible.
    """

    test_share: float
    whole: bool
    min_difference: float


@dataclass(slots=True)
class Gathered:
    """What was done: numbers of pictures, and those that were left out, each with the reason."""

    added: int = 0
    already: int = 0
    left_out: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Candidate:
    record: VideoRecord
    still: StillRow
    of: int
    row: Row

    @property
    def path(self) -> Path:
        return Path(self.still["path"])


async def gather(store: Store, out: Path, keys: Sequence[str], how: Gathering) -> Gathered:
    """Add the current stills of these films, all that are done without any, to the set in ``out``.

    What is in the set already stays as it is. Raises StoreError for an unknown film, StillwatchError where ``out``
    holds something else or cannot be written.
    """
    rows = _read(out)
    held = {(row.video, row.frame) for row in rows}
    candidates = [one for record in await _films(store, keys) for one in await _stills(store, record, how)]
    there = [one for one in candidates if (one.row.video, one.row.frame) in held]
    fresh = [one for one in candidates if (one.row.video, one.row.frame) not in held]
    gathered = Gathered(already=len(there))
    doubles = await _doubles(store, there, fresh, how.min_difference)
    try:
        _take(out, fresh, doubles, how, rows, gathered)
    except OSError as error:
        raise StillwatchError(
            Kind.EXPORT, f"{out} cannot be written ({error.strerror}): make room or name another folder, then go on"
        ) from error
    return gathered


def _take(
    out: Path,
    fresh: Sequence[_Candidate],
    doubles: Mapping[tuple[int, int], str],
    how: Gathering,
    rows: list[Row],
    gathered: Gathered,
) -> None:
    """Bring them in but for the doubles, and list them, also when that ends early. Raises OSError."""
    try:
        for candidate in fresh:
            reason = doubles.get((candidate.record.id, candidate.still["frame"])) or _add(out, candidate, how, rows)
            if reason:
                gathered.left_out.append({"still": candidate.still["path"], "reason": reason})
            else:
                gathered.added += 1
    finally:
        if gathered.added:
            _write(out, rows)


def side_of(digest: str, test_share: float) -> str:
    """``test`` or ``train``, by the film's content alone: the same on every machine and in every run."""
    drawn = int.from_bytes(hashlib.sha256(digest.encode()).digest()[:8]) / 2**64
    return "test" if drawn < test_share else "train"


async def _films(store: Store, keys: Sequence[str]) -> list[VideoRecord]:
    if keys:
        found = {record.id: record for record in [await store.videos.find(key) for key in keys]}
        return [found[one] for one in sorted(found)]
    done = [row["id"] for row in await store.queries.videos(-1) if row["status"] == "done"]
    return [await store.videos.get(one) for one in sorted(done)]


async def _stills(store: Store, record: VideoRecord, how: Gathering) -> list[_Candidate]:
    """The stills of the film's current selection."""
    selection = await store.queries.current_selection(record.id)
    if selection is None or record.info is None:
        return []
    stills = await store.queries.stills(selection["id"])
    video = folder_name(record.file.path.stem, record.file.fingerprint)
    split = side_of(record.file.digest or record.file.fingerprint, how.test_share)
    found = []
    for still in stills:
        facts = _facts(Path(still["path"]))
        row = Row(
            file_name=f"{record.file.fingerprint[:16]}/f{still['frame']:06d}{Path(still['path']).suffix}",
            video=video,
            shot=facts.get("shot", ""),
            frame=str(still["frame"]),
            time_s=f"{still['time_s']:.6f}",
            score=repr(still["score"]),
            rank=str(still["rank"]),
            sha256="",
            split=split,
            metric=facts.get("metric", record.metric or ""),
        )
        found.append(_Candidate(record, still, len(stills), row))
    return found


def _facts(still: Path) -> dict[str, str]:
    """What a still says; nothing where it cannot be read, which ``_add`` says."""
    try:
        return metadata.read_head(still)
    except OSError:
        return {}


async def _doubles(
    store: Store, there: Sequence[_Candidate], fresh: Sequence[_Candidate], limit: float
) -> dict[tuple[int, int], str]:
    """By film and frame: which picture of another film shows the same. The first that is taken stays."""
    frames: dict[int, list[int]] = {}
    for one in [*there, *fresh]:
        frames.setdefault(one.record.id, []).append(one.still["frame"])
    given = await looks_of(store, frames)
    keys = list(zip(given.video_id.tolist(), given.frame.tolist(), strict=True))
    places = {key: at for at, key in enumerate(keys)}
    taken = [places[key] for one in there if (key := (one.record.id, one.still["frame"])) in places]
    names = {one.record.id: one.row.video for one in [*there, *fresh]}
    doubles: dict[tuple[int, int], str] = {}
    for candidate in fresh:
        key = (candidate.record.id, candidate.still["frame"])
        at = places.get(key)
        if at is None:
            continue
        others = np.array([one for one in taken if keys[one][0] != key[0]], np.int64)
        details = given.detail[at : at + 1].astype(np.float32) if given.detailed[at] else None
        distance, place = nearest(
            given.sketch[at : at + 1].astype(np.float32), details, some_of(given, others), DETAIL_DIFFERENCE, limit
        )
        if distance[0] < limit:
            like = keys[int(others[int(place[0])])]
            doubles[key] = f"{names[like[0]]}, frame {like[1]}, shows the same"
        else:
            taken.append(at)
    return doubles


def _add(out: Path, candidate: _Candidate, how: Gathering, rows: list[Row]) -> str:
    """Bring one picture into the set; why not, or nothing."""
    source, target = candidate.path, out / candidate.row.file_name
    try:
        # Once: another file may have the name at a second look.
        data = read_regular(source, MOST_BYTES)
    except OSError as error:
        return f"the still cannot be read ({error.strerror})"
    if hashlib.sha256(data).hexdigest() != candidate.still["sha256"]:
        return "the still was changed after it was published"
    content = data if how.whole else _handed_on(data, source, candidate)
    if target.exists():
        # One that is the same was brought in by a run that was killed before it wrote the list.
        if proof.sha256_of(target) != hashlib.sha256(content).hexdigest():
            return f"{target} is there already and is not of this set"
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (how.whole and _linked(source, target, candidate.still["sha256"])):
            with SharedFolder.open(target.parent) as folder:
                folder.write(target.name, content)
    rows.append(replace(candidate.row, sha256=hashlib.sha256(content).hexdigest()))
    return ""


def _linked(source: Path, target: Path, digest: str) -> bool:
    """Whether the set has a second name of the still now; no link is followed, and no other file taken."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    if not target.is_symlink() and proof.sha256_of(target) == digest:
        return True
    target.unlink()
    return False


def _handed_on(data: bytes, source: Path, candidate: _Candidate) -> bytes:
    """The picture without the path of its film and without its place."""
    facts = {name: value for name, value in metadata.read(source).items() if name not in ("source", "source_uri")}
    record, still = candidate.record, candidate.still
    assert record.info is not None
    pick = Pick(still["rank"], still["frame"], None, still["time_s"], still["score"], facts.get("hash", ""))
    tags = tags_of(
        record.file,
        record.info,
        pick,
        metric=facts.get("metric", record.metric or ""),
        lower_better=bool(record.lower_better),
        of=candidate.of,
        gps=False,
    )
    return metadata.replace(data, facts, tags)


def _read(out: Path) -> list[Row]:
    """The lines of a set; none where there is no set yet."""
    file = out / METADATA
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            reader = csv.DictReader(opened)
            rows = [Row(**{name: row[name] for name in COLUMNS if name != "metric" or name in row}) for row in reader]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise StillwatchError(
            Kind.CONFIG, f"{file} is not a list that gather wrote: name another folder ({type(error).__name__})"
        ) from error
    return rows


def _write(out: Path, rows: Sequence[Row]) -> None:
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in sorted(rows, key=lambda row: row.file_name))
    with SharedFolder.open(out) as folder:
        folder.write(METADATA, written.getvalue().encode("utf-8"))


def sentences(gathered: Gathered, out: Path) -> list[str]:
    """What is said of it at the end, doubles and others that were left out by name."""
    lines = [f"{one['still']} is left out: {one['reason']}" for one in gathered.left_out]
    return [*lines, f"{out}: {gathered.added} added, {gathered.already} were there, {len(lines)} left out"]
