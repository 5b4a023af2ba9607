"""``stillwatch verify``: prove stills again, from nothing but the files and their source.

A still is proven when its file is the one that was published (SHA-256 in the manifest, if there is
one), its source is the file that was scored (digest; of older stills the fingerprint), the
frame decoded from it has the hash in the still's metadata, with one thread or with several, and the picture made of
that frame is the picture in the still.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from daemon.config.score import DecodeConfig
from daemon.decode.apart import probe_apart
from daemon.decode.seek_plan import cost, shown_rank
from daemon.errors import Kind, StillwatchError
from daemon.export import manifest, metadata, proof
from daemon.export.image_file import open_image
from daemon.export.paths import MANIFEST_BYTES
from daemon.export.scaling import scaled
from daemon.inbox import identity
from daemon.media.rules import FIRST_RULES, PICTURE_RULES
from daemon.model import Frame, VideoInfo, WantedFrame
from daemon.runtime.reading import read_regular
from daemon.scan.again import Again, Packets, Way
from daemon.scan.apart import Decoding, UnexpectedError
from daemon.scan.decoding import count_of, ticks_of
from daemon.store.queries import DoneSource

SUFFIXES = (".png", ".jpg")
QUIET_SECONDS = 300.0
"""A decoder that gives nothing for so long hangs."""
DEPTHS = (8, 16)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one still is proven; ``reason`` is empty when it is.

    ``source_replaced``: nothing speaks against the still, but other content has taken its source's place.
    """

    still: Path
    proven: bool
    reason: str
    source_replaced: bool = False


@dataclass(frozen=True, slots=True)
class _Origin:
    """The film that stills are of, and how its frames were made into pictures: one pass proves all that share it."""

    source: Path | None
    fingerprint: str
    digest: str
    keep_hdr: bool
    depth: int
    stream: str
    rules: int
    deinterlace: Literal["auto", "off"]


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a still says about itself."""

    still: Path
    origin: _Origin
    frame: int
    pts: int | None
    hash: str
    scaled: bool


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What the database knows of a source: its path now, when ``watch.after`` deleted it, whether it was replaced."""

    path: Path
    deleted_at: str | None = None
    replaced: bool = False


class _Refuted(Exception):  # noqa: N818 - a verdict, not a failure
    pass


def exit_code(verdicts: Collection[Verdict]) -> int:
    """0 when some stills are proven and of all others the source was replaced, 1 otherwise."""
    told = all(one.proven or one.source_replaced for one in verdicts)
    return 0 if told and any(one.proven for one in verdicts) else 1


def find_stills(paths: Iterable[Path]) -> list[Path]:
    """The stills among files and, recursively, folders. Raises StillwatchError for a path that is not there."""
    stills: list[Path] = []
    for path in paths:
        if path.is_dir():
            visible = (file for file in sorted(path.rglob("*")) if not any(p.startswith(".") for p in file.parts[1:]))
            stills += [file for file in visible if file.suffix in SUFFIXES and file.is_file()]
        elif path.is_file():
            stills.append(path)
        else:
            raise StillwatchError(Kind.NOT_FOUND, f"{path} is not there")
    return stills


def whereabouts(rows: Iterable[DoneSource]) -> dict[str, Whereabouts]:
    """By digest and by fingerprint, which older stills have alone."""
    known: dict[str, Whereabouts] = {}
    for row in rows:
        place = Whereabouts(
            Path(row["path"]), row["at"] if row["state"] == "deleted" else None, row["status"] == "replaced"
        )
        known |= {key: place for key in (row["fingerprint"], row["digest"]) if key}
    return known


def verify(
    stills: Sequence[Path],
    config: DecodeConfig,
    known: Mapping[str, Whereabouts] | None = None,
    films: Sequence[Path] = (),
) -> Iterator[Verdict]:
    """Prove each still; every source is decoded once, as far as its last still, or where its stills are.

    A source is looked for among ``films``, where ``known`` has it, by digest or fingerprint, and where its stills say
    that it was.
    """
    claims: dict[_Origin, list[_Claim]] = defaultdict(list)
    for still in stills:
        try:
            claim = _read(still)
        except _Refuted as refuted:
            yield Verdict(still, False, str(refuted))
            continue
        claims[claim.origin].append(claim)
    contents = _Contents()
    for origin, group in claims.items():
        place = (known or {}).get(origin.digest or origin.fingerprint)
        places = [*films, *_places(origin.source, place)]
        unchanged = next((path for path in places if contents.holds(path, origin)), None)
        if unchanged is None and place is not None and place.deleted_at is not None:
            reason = f"{place.path} was deleted {place.deleted_at}, after its stills were published (watch.after)"
            yield from (Verdict(claim.still, False, reason) for claim in group)
            continue
        if unchanged is None and place is not None and place.replaced:
            reason = f"{place.path} is not the file that was scored: other content has taken its place"
            yield from (Verdict(claim.still, False, reason, source_replaced=True) for claim in group)
            continue
        source = unchanged or origin.source
        if source is None:
            reason = "the still does not say where its film is, and the database does not know: name it with --film"
            yield from (Verdict(claim.still, False, reason) for claim in group)
            continue
        # The stream that the stills were made of, whichever would be chosen now.
        same_stream = config.model_copy(update={"stream": origin.stream, "deinterlace": origin.deinterlace})
        yield from _against_source(source, contents, origin, group, same_stream)


def _places(source: Path | None, place: Whereabouts | None) -> list[Path]:
    return [path for path in (place.path if place is not None else None, source) if path is not None]


class _Contents:
    """What is in files, each read at most once."""

    def __init__(self) -> None:
        self._digests: dict[Path, str | None] = {}

    def require(self, path: Path, origin: _Origin) -> None:
        """Raise StillwatchError when a file does not hold this content; without a digest three blocks have to do."""
        if not origin.digest:
            same = identity.fingerprint(path).fingerprint == origin.fingerprint
        else:
            if path not in self._digests:
                self._digests[path] = identity.identify(path).digest
            same = self._digests[path] == origin.digest
        if not same:
            raise StillwatchError(Kind.CHANGED, f"{path} is not the file that was scored")

    def holds(self, path: Path, origin: _Origin) -> bool:
        try:
            self.require(path, origin)
        except StillwatchError:
            return False
        return True


def _read(still: Path) -> _Claim:
    """The still's own word, and whether the file is as it was published."""
    try:
        facts = metadata.read(still)
        depth = proof.png_depth(still)[0] if still.suffix == ".png" else 8
        published = _published_sha256(still)
        changed = published is not None and published != proof.sha256_of(still)
    except _Refuted:
        raise
    except Exception as error:
        # Whatever a stranger's file makes of a parser: it is one line, and the others are looked at.
        raise _Refuted(f"the image cannot be read: {error or type(error).__name__}") from error
    if changed:
        raise _Refuted("the file was changed after it was published")
    try:
        if depth not in DEPTHS or not FIRST_RULES <= int(facts.get("rules", FIRST_RULES)) <= PICTURE_RULES:
            raise ValueError
        origin = _Origin(
            source=manifest.source_of(facts),
            fingerprint=facts["fingerprint"],
            digest=facts.get("digest", ""),
            keep_hdr=facts.get("picture") == "hdr",
            depth=depth,
            # A number or a language, as the setting has it: the process that opens the film takes nothing else.
            stream=DecodeConfig(stream=facts["stream"]).stream,
            rules=int(facts.get("rules", FIRST_RULES)),
            deinterlace="auto" if facts.get("deinterlace") == "auto" else "off",
        )
        return _Claim(
            still=still,
            origin=origin,
            frame=count_of(int(facts["frame"])),
            pts=ticks_of(int(facts["pts"])) if facts.get("pts") else None,
            hash=facts["hash"],
            scaled="scaled_from" in facts,
        )
    except (KeyError, ValueError) as error:
        raise _Refuted("the image carries no facts of stillwatch") from error


def _published_sha256(still: Path) -> str | None:
    """The digest in the manifest's entry of a still; None without a manifest or when an older selection made it."""
    try:
        content = json.loads(read_regular(still.parent / manifest.NAME, MANIFEST_BYTES))
        entries = {entry["file"]: entry for entry in content["stills"]}
        return str(entries[still.name]["sha256"]) if still.name in entries else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _Refuted(f"the manifest beside it cannot be read: {error!r}") from error


def _against_source(
    source: Path, contents: _Contents, origin: _Origin, group: Sequence[_Claim], config: DecodeConfig
) -> Iterator[Verdict]:
    reasons_of: dict[int, list[str]] = {}
    by_frame: dict[int, list[_Claim]] = defaultdict(list)
    for claim in group:
        by_frame[claim.frame].append(claim)
    reason = "the source has no such frame any more"
    try:
        contents.require(source, origin)
        info = probe_apart(source, config, origin.rules)
        # With damage that no decoder reports, one thread and several give different pictures. A frame that is sought
        # is made into a picture as the first one is: where a film changes in the middle, only the pass is right.
        last = partial(_passed, single_thread=False)
        for decode in (_sought, partial(_passed, single_thread=True), last):
            claimed = [by_frame[at][0] for at in sorted(by_frame) if any(reasons_of.get(at, [reason]))]
            found = decode(info, config, claimed, depth=origin.depth, keep_hdr=origin.keep_hdr) if claimed else ()
            for frame in found:
                reasons = [_compare(claim, frame) for claim in by_frame[frame.index]]
                if not any(reasons) or decode is not last or frame.index not in reasons_of:
                    reasons_of[frame.index] = reasons
    except StillwatchError as error:
        reason = error.sentence
    except UnexpectedError as error:
        reason = f"decoding its source met an unexpected {error}: please report it"
    for ordinal, claims in by_frame.items():
        reasons = reasons_of.get(ordinal, [reason] * len(claims))
        for claim, why in zip(claims, reasons, strict=True):
            yield Verdict(claim.still, not why, why)


def _sought(
    info: VideoInfo, config: DecodeConfig, claims: Sequence[_Claim], *, depth: int, keep_hdr: bool
) -> Iterator[Frame]:
    """The frames of these claims by seeking; none where a pass is cheaper, or only counting tells the ordinals."""
    reading = Decoding(Packets(info, config), quiet_seconds=QUIET_SECONDS)
    yield from reading.frames()
    index = reading.findings
    assert index is not None
    wanted = _wanted(claims)
    if cost(index, wanted).seeking_pays and all(shown_rank(index, one) == one.frame for one in wanted):
        yield from _decoded(Again(info, config, Way.SEEK, wanted, index, depth=depth, keep_hdr=keep_hdr))


def _passed(
    info: VideoInfo,
    config: DecodeConfig,
    claims: Sequence[_Claim],
    *,
    single_thread: bool,
    depth: int,
    keep_hdr: bool,
) -> Iterator[Frame]:
    """The frames of these claims by decoding from the file's beginning."""
    return _decoded(Again(info, config, Way.PASS, _wanted(claims), None, single_thread, depth=depth, keep_hdr=keep_hdr))


def _wanted(claims: Sequence[_Claim]) -> list[WantedFrame]:
    return [WantedFrame(claim.frame, claim.pts, 0.0, claim.hash) for claim in claims]


def _decoded(again: Again) -> Iterator[Frame]:
    return Decoding(again, quiet_seconds=QUIET_SECONDS).frames()


def _compare(claim: _Claim, frame: Frame) -> str:
    """Why the frame is not the still, or nothing."""
    if frame.hash != claim.hash:
        return f"frame {frame.index} of the source has hash {frame.hash[:12]}, the still was made of {claim.hash[:12]}"
    if frame.picture is None:
        return "the frame could not be turned into a picture"
    picture = frame.picture
    try:
        if claim.scaled:
            with open_image(claim.still) as still:
                size = still.size
            picture = scaled(picture, *size)
        off = proof.difference(claim.still, picture)
    except (OSError, SyntaxError, ValueError) as error:
        # It was well when its facts were read.
        return f"the image cannot be read: {error}"
    return f"the pixels are not those of its frame: {off}" if off else ""
