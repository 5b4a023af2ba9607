"""What is chosen of one film: from the stored scores, verdicts and features to picks with their reasons."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.features import view
from daemon.config.schema import Config
from daemon.config.selection import SelectConfig
from daemon.job import VideoJob
from daemon.model import Pick, Reason, Scored, Selection, Shot, ShotKind
from daemon.pipeline import portraits
from daemon.pipeline.analyse_video import judge, settings
from daemon.pipeline.calm_sharp_frames import with_calm_and_sharp
from daemon.pipeline.film import film_of, percentile, without_damaged
from daemon.pipeline.given_pictures import GivenPictures, Repeats
from daemon.pipeline.looks import FilmLooks
from daemon.pipeline.refine import Refiner, lower_better
from daemon.pipeline.wishes import Wishes, holds
from daemon.runtime.memory import release_freed
from daemon.scoring.faces import weights
from daemon.scoring.second_opinion import second_metric
from daemon.selection.across import least_detail_difference, nearest
from daemon.selection.best import Choice, choose
from daemon.selection.even import choose_evenly
from daemon.selection.likeness import gain
from daemon.selection.moments import MOMENT_SECONDS, MOST_MOMENTS, Moments, samples, shortlist, with_room
from daemon.selection.quality import Film
from daemon.selection.representative import AUTO_MOST, represent
from daemon.selection.scenes import scenes
from daemon.selection.terms import Terms
from daemon.store.store import Store


def selection_params(config: Config, scorer: str | None, wishes: Wishes = Wishes()) -> dict[str, Any]:  # noqa: B008
    """What decides a selection, as it is stored: the same parameters give the same picks."""
    judged = {} if config.select.strategy == "best" else {"judged": settings(config)}
    refine = config.score.refine
    second = second_metric(refine.metric)
    refined = {"refine": {**refine.model_dump(mode="json"), "metric": second}} if second else {}
    # What is off is left out: choices that were made before it was there stay what is asked for.
    off = {"faces"} if config.select.across else {"faces", "across"}
    faces = {"faces": weights.identity()} if portraits.wanted(config) else {}
    return {
        **config.select.model_dump(mode="json", exclude=off),
        **judged,
        **refined,
        **faces,
        "scorer": scorer,
        **wishes.params(),
    }


@dataclass(frozen=True, slots=True)
class _Seen:
    """The moments of a film, what their frames look like, the scene of each shot, and how much neighbours differ.

    ``moment_seconds`` is how long the moments are at most; ``looked`` are those whose faces were looked at.
    """

    moments: Moments
    sketches: NDArray[np.float32]
    details: NDArray[np.float32] | None
    lettering: NDArray[np.float64] | None
    scene: dict[int, int]
    noise: tuple[float, float]
    moment_seconds: float
    kept: dict[str, Any] = field(default_factory=dict)
    looked: frozenset[int] = frozenset()


class FrameSelector:
    """Chooses from one scored film, as often as asked; what does not change is read once.

    ``wishes`` are frames that are always or never chosen; None: those that hold for every choice. ``given`` are the
    stills of all films, as they are known from the choice before; ``faces`` looks at frames.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        job: VideoJob,
        refiner: Refiner,
        wishes: Wishes | None = None,
        given: GivenPictures | None = None,
        faces: portraits.Faces | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._job = job
        self._record = job.record
        self._refiner = refiner
        self._wishes = wishes
        self._given = given if given is not None else GivenPictures(store)
        self._portraits = portraits.Portraits(faces or portraits.Faces(store), job, config.decode)
        self._looks = FilmLooks(store, job.record.id)
        self._film: Film | None = None
        self._kept: tuple[Any, _Seen] | None = None
        self._scene: dict[tuple[float, float], dict[int, int]] = {}
        self._noise: tuple[float, float] | None = None
        self._judged = False
        self._in_span = 0
        self._about_film: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}

    async def select(self, banned: Collection[int] = ()) -> Selection:
        """The picks, best first, none of them in ``banned``, and what stopped it if they are fewer than asked for."""
        config = self._config.select
        if self._film is None:
            await self._prepare()
        film = self._film
        assert film is not None
        # What was said of the choice before is not said of this one.
        self._facts = {**self._about_film}
        wishes = self._wishes or Wishes()
        pinned = await self._pinned(film, [frame for frame in wishes.pinned if frame not in banned])
        asked = _less(config, len(pinned), only=wishes.only)
        banned = {*banned, *wishes.banned}
        end = np.inf if config.end is None else config.end
        inside = (film.time_s >= config.start) & (film.time_s < end)
        self._in_span = int(inside.sum())
        if banned:
            inside &= ~np.isin(film.frame, np.fromiter(banned, np.int64))
        for pick in pinned:
            inside &= np.abs(film.time_s - pick.time_s) >= max(config.min_gap_seconds - 1e-9, 1e-9)
        film = film.where(inside)
        if asked is not None and config.strategy != "even":  # which takes one frame of each stretch, whatever it is
            film, left_out = without_damaged(film)
            self._facts |= left_out
        film, refined = await self._refined(film)
        if asked is None:
            choice = Choice((), None)
        elif config.strategy == "even":
            choice = await asyncio.to_thread(self._evenly, film, asked)
        else:
            choice = (
                await self._represent(film, asked) if self._judged else await asyncio.to_thread(self._best, film, asked)
            )
        rows = await self._store.frames.rows(self._record.id, choice.frames, self._record.scorer)
        reasons = choice.reasons or (Reason(),) * len(choice.frames)
        picks = tuple(
            _pick(rank, rows[frame], replace(reason, refined=refined.get(frame)))
            for rank, (frame, reason) in enumerate(zip(choice.frames, reasons, strict=True), start=len(pinned) + 1)
        )
        picks = pinned + picks
        params = selection_params(self._config, self._record.scorer, wishes)
        by_time = config.strategy == "even" and config.every_seconds is not None
        return Selection(
            picks, 0 if by_time else config.limit or 0, None if wishes.only else choice.shortfall, params, self._facts
        )

    def asked(self, config: Config, wishes: Wishes) -> FrameSelector:
        """The same film, asked for with other settings of ``select`` and other wishes: what was read is kept."""
        other = copy(self)
        other._config, other._wishes, other._about_film = config, wishes, {**self._about_film}
        if other._judged and config.select.strategy != "best":
            other._about_film["strategy"] = config.select.strategy
        elif config.select.strategy != self._config.select.strategy:
            other._film = None
        return other

    async def keep_looks(self) -> None:
        """Read what all frames look like, for who asks again and again."""
        if self._film is None:
            await self._prepare()
        assert self._film is not None
        if self._judged:
            await self._looks.keep_all(self._film.frame)

    async def _pinned(self, film: Film, frames: Collection[int]) -> tuple[Pick, ...]:
        """Frames that are in whatever else is chosen, in the order in which they were asked for."""
        rows = await self._store.frames.rows(self._record.id, list(frames), self._record.scorer)
        scored = [rows[frame] for frame in frames if frame in rows and rows[frame].score is not None]
        known = self._wishes.reasons if self._wishes is not None else {}
        if scored:
            self._facts["pinned"] = [row.frame for row in scored]
        return tuple(
            _pick(rank, row, known.get(row.frame) or self._place(film, row)) for rank, row in enumerate(scored, start=1)
        )

    def _place(self, film: Film, row: Scored) -> Reason:
        """Where a pinned frame stands in its shot."""
        at = int(np.searchsorted(film.frame, row.frame))
        if not self._judged or film.shot[at] < 0:
            return Reason()
        return Reason(shot=int(film.shot[at]), percentile=percentile(film, at, film.shot == film.shot[at]))

    async def _refined(self, film: Film) -> tuple[Film, dict[int, float]]:
        """With a second metric: the shortlist alone, ordered by that metric's scores; and these by frame."""
        wanted = self._config.score.refine
        metric = second_metric(wanted.metric)
        if not metric or not film.usable.any():
            return film, {}
        places = await asyncio.to_thread(shortlist, film, wanted.share)
        frames = film.frame[places].tolist()
        outcomes = await self._refiner.refine(self._job, frames)
        scores = {frame: one.score for frame, one in outcomes.items() if one.score is not None}
        score = np.full(len(film.frame), np.nan)
        score[places] = [scores.get(frame, np.nan) for frame in frames]
        self._facts = {**self._facts, "refined": {"metric": metric, "frames": len(scores)}}
        return replace(film, score=score, lower_better=lower_better(self._config)), scores

    async def _prepare(self) -> None:
        """Read the film, and judge it where that was not done yet."""
        if self._wishes is None:
            self._wishes = holds(await self._store.decisions.decided(self._record.id))
        strategy = self._config.select.strategy
        self._about_film = {"strategy": strategy}
        missing = await judge(self._store, self._job, self._config)
        table = await self._store.frames.table(self._record.id, self._record.scorer)
        self._about_film["frames"] = len(table.frame)
        self._judged = strategy != "best" and not missing
        shots: list[Shot] = []
        if missing and strategy != "best":
            because = f"{missing} of {len(table.frame)} frames were scored by a version that kept no features"
            self._about_film |= {"strategy": "best", "because": f"{because}: chosen by score and gap alone"}
            self._job.log.warning("video.features_missing")
        if self._judged:
            shots = await self._store.analysis.shots(self._record.id)
            self._about_film |= {
                "shots": sum(1 for shot in shots if shot.kind is ShotKind.SHOT),
                "verdicts": await self._store.analysis.verdicts(self._record.id),
            }
        film = film_of(table, shots if self._judged else None, lower_better=bool(self._record.lower_better))
        del table
        self._film = await with_calm_and_sharp(self._looks, film) if self._judged else film
        await asyncio.to_thread(release_freed)

    def _best(self, film: Film, config: SelectConfig) -> Choice:
        return choose(
            frame=film.frame,
            time_s=film.time_s,
            score=film.score,
            usable=film.good,
            lower_better=film.lower_better,
            count=config.limit or AUTO_MOST,
            min_gap_seconds=config.min_gap_seconds,
        )

    def _evenly(self, film: Film, config: SelectConfig) -> Choice:
        choice, bad = choose_evenly(film, count=config.limit or AUTO_MOST, every_seconds=config.every_seconds)
        if bad:
            told = f"{bad} of the {len(choice.frames)} stretches have no good frame: the best of each was taken"
            self._facts["because"] = told
        return choice

    async def _represent(self, film: Film, config: SelectConfig) -> Choice:
        if not film.usable.any():
            return Choice((), self._nothing(len(film.frame)))
        seen = await self._seen(film, config)
        if seen.moment_seconds < MOMENT_SECONDS:
            self._facts["moment_seconds"] = round(seen.moment_seconds, 3)
        terms = Terms(
            config.limit,
            config.min_gap_seconds,
            config.min_difference,
            config.strategy == "per-shot",
            *seen.noise,
            poster=config.strategy == "poster",
        )
        if portraits.wanted(self._config):
            seen = await self._with_faces(film, seen, terms)
        choice, repeats = await self._chosen(film, seen, terms)
        if seen.looked:
            self._facts["faces"] = self._portraits.told(choice.frames)
        if repeats is not None:
            out = repeats.left_out(gain(seen.sketches), choice.difference)
            self._facts["across"] = await self._given.told(repeats, out, film.frame[seen.moments.position])
            if len(out):
                films = len(np.unique(repeats.given.video_id[repeats.place[out]]))
                self._job.log.info("video.repeated", moments=len(out), films=films, stills=len(repeats.given))
        if choice.difference is not None and choice.difference < config.min_difference:
            self._facts["min_difference"] = round(choice.difference, 2)
        return choice

    async def _chosen(self, film: Film, seen: _Seen, terms: Terms) -> tuple[Choice, Repeats | None]:
        """The choice among what is seen, and, where that matters, what other films gave of it."""
        repeats = await self._repeats(seen, terms) if self._config.select.across else None
        choice = await asyncio.to_thread(
            represent,
            film,
            seen.moments,
            seen.sketches,
            seen.scene,
            terms,
            seen.details,
            seen.lettering,
            seen.kept,
            None if repeats is None else repeats.distance,
        )
        return choice, repeats

    async def _with_faces(self, film: Film, seen: _Seen, terms: Terms) -> _Seen:
        """The same, but of the moments that are chosen, and of some more, the frames with the best faces."""
        count = None if terms.count is None else max(terms.count * 3 // 2, portraits.SHORTLIST)
        asked = replace(terms, count=count)
        for _ in range(portraits.ROUNDS):
            choice, _repeats = await self._chosen(film, seen, asked)
            places = np.flatnonzero(np.isin(film.frame[seen.moments.position], choice.frames))
            new = np.setdiff1d(places, list(seen.looked))
            if len(new) == 0:
                break
            found = await self._portraits.preferred(film, seen.moments, places, new, terms.min_gap_seconds)
            best, details, lettering = await self._looks.of(film.frame[found.position])
            seen = replace(
                seen,
                moments=found,
                sketches=best,
                details=details,
                lettering=lettering,
                kept={},
                looked=seen.looked | set(new.tolist()),
            )
            asked = terms
        return replace(seen, moments=portraits.as_looked_at(seen.moments, seen.looked))

    async def _repeats(self, seen: _Seen, terms: Terms) -> Repeats:
        """How far the best frame of each moment is from what other films gave."""
        given = await self._given.by_others(self._record.id)
        least, limit = least_detail_difference(terms.detail_noise), terms.min_difference
        return Repeats(given, *await asyncio.to_thread(nearest, seen.sketches, seen.details, given, least, limit))

    async def _seen(self, film: Film, config: SelectConfig) -> _Seen:
        """What is seen in the film; kept, as who asks again mostly asks of the same frames."""
        asked = (config.limit, config.min_gap_seconds if config.limit else 0.0)
        key = (_digest(film), config.scene_alike, config.scene_share, asked)
        if self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        found, moment_seconds = await asyncio.to_thread(with_room, film, *asked)
        if self._kept is not None and self._kept[0][:-1] == key[:-1] and self._kept[1].moments.same(found):
            self._kept = (key, replace(self._kept[1], moment_seconds=moment_seconds))
            return self._kept[1]
        # Moments are found, and then scenes, with many arrays as long as the film that are free again.
        await asyncio.to_thread(release_freed)
        best, details, lettering = await self._looks.of(film.frame[found.position])
        scene = await self._scenes(config, found, best)
        if self._noise is None:
            assert self._film is not None
            self._noise = await self._looks.noise(self._film)
        seen = _Seen(found, best, details, lettering, scene, self._noise, moment_seconds)
        self._kept = (key, seen)
        await asyncio.to_thread(release_freed)
        return seen

    async def _scenes(self, config: SelectConfig, found: Moments, sketches: NDArray[np.float32]) -> dict[int, int]:
        """The scene of each shot: whichever part of the film is chosen from, it is the same.

        Of a film with more shots than moments are kept, it is that of the shots that have one, by their moments.
        """
        film = self._film
        assert film is not None
        alike, share = key = (config.scene_alike, config.scene_share)
        shots = np.flatnonzero(np.bincount(film.shot[film.usable]))
        if len(shots) > MOST_MOMENTS:
            return await asyncio.to_thread(scenes, found.shot, view(sketches), alike=alike, share=share)
        if key not in self._scene:
            places = await asyncio.to_thread(samples, film, shots)
            views = await self._looks.views(film.frame[places])
            self._scene[key] = await asyncio.to_thread(scenes, film.shot[places], views, alike=alike, share=share)
        return self._scene[key]

    def _nothing(self, frames: int) -> str:
        """Why there is no pick at all."""
        if not self._facts["frames"]:
            return "the video has no frames"
        if not self._in_span:
            return "there is no frame between select.start and select.end"
        if frames == 0:
            return "every frame is banned, or less than select.min_gap_seconds away from a pinned one"
        verdicts = {word: count for word, count in self._facts["verdicts"].items() if word != "good"}
        told = ", ".join(f"{count} {word}" for word, count in sorted(verdicts.items(), key=lambda one: -one[1]))
        return f"none of the {frames} frames is worth keeping: {told or 'none is good'}"


def _digest(film: Film) -> bytes:
    """By which frames and scores are known again: of a long film they are many bytes to keep."""
    found = hashlib.blake2b(film.frame.data)
    found.update(film.score.data)
    return found.digest()


def _less(config: SelectConfig, pinned: int, *, only: bool) -> SelectConfig | None:
    """What is asked for beside the pinned frames; None where they are all."""
    if only or (config.limit is not None and config.limit <= pinned):
        return None
    return config if config.limit is None else config.model_copy(update={"count": config.limit - pinned})


def _pick(rank: int, row: Scored, reason: Reason) -> Pick:
    assert row.score is not None
    return Pick(rank, row.frame, row.pts, row.time_s, row.score, row.hash, reason)
