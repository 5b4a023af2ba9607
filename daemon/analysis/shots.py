"""Where shots begin and end: cuts, fades, dissolves and wipes (see ``wipes``), found in the thumbnails,
and dissolves in the edges of cells, too.

Cuts are looked for (see ``cuts``) in the thumbnails with their light made even, and where both sides of a cut
show the same but for the light, it is none: a flash, or a camera that sets its exposure.

Fades and dissolves are frames that are a mix of what is before and after them (see ``mixes``).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.cuts import REACH, Changes, stand_out
from daemon.analysis.features import GRID, LUMA, ViewFinder, sketch
from daemon.analysis.light import EMPTY_CODES, light_alone, same_view
from daemon.analysis.mixes import MIDDLE, MixFinder, barred, energy
from daemon.analysis.wipes import WipeFinder
from daemon.config.selection import ShotsConfig
from daemon.model import Shot, ShotKind

CHUNK = 256
"""Thumbnails looked at together."""
FADE_FRAMES = 100
"""Frames that are looked at on either side of an empty stretch for the fade that leads there."""
LONGEST_SECONDS = 20.0
"""What takes longer is no transition: dusk, seen by a camera that takes a picture now and then."""
RISE = 1.01
"""How much contrast grows from frame to frame, at least, while a picture is faded in."""


class ShotFinder:
    """Takes a film's thumbnails in order and says where its shots are; keeps only what a window needs."""

    def __init__(self, config: ShotsConfig) -> None:
        self._cuts = _Cuts(config)
        self._mixes = MixFinder(config)
        self._wipes = WipeFinder()
        self._count = 0
        self._contrast: list[NDArray[np.float32]] = []
        self._views = ViewFinder()

    def feed(self, thumbnails: NDArray[np.uint8], edges: NDArray[np.uint8] | None = None) -> None:
        """The next frames: RGB, ``(n, 9, 16, 3)``, any n, and their edges by cell, ``(n, 9, 16, 2)``, where they are
        known."""
        for start in range(0, len(thumbnails), CHUNK):
            piece = thumbnails[start : start + CHUNK]
            sketches = sketch(piece)
            self._cuts.feed(piece)
            fine = np.zeros((*piece.shape[:3], 2), np.uint8) if edges is None else edges[start : start + CHUNK]
            self._mixes.feed(piece, sketches, energy(fine))
            self._wipes.feed(piece)
            self._views.feed(sketches)
            self._contrast.append(_contrast(piece))
            self._count += len(piece)

    def views(self) -> NDArray[np.int64]:
        """Per frame the number of the stretch in which one thing is seen; see ``ViewFinder``."""
        return self._views.found()

    def found(self, time_s: NDArray[np.float64]) -> list[Shot]:
        """Shots and transitions, in order and without gaps, of frames at these times; empty for a film without."""
        contrast = np.concatenate(self._contrast) if self._contrast else np.zeros(0, np.float32)
        transitions = united([*self._mixes.found(), *self._wipes.found(), *fades(contrast)])
        brief = [transition for transition in transitions if _usual_seconds(time_s, transition) <= LONGEST_SECONDS]
        return assemble(self._count, self._cuts.found(), brief)


def _usual_seconds(time_s: NDArray[np.float64], transition: Shot) -> float:
    """How long a transition takes, if none of its frames were held: a slide is, before it dissolves."""
    gaps = np.abs(np.diff(time_s[transition.first : transition.last + 1]))
    return float(np.median(gaps)) * len(gaps) if len(gaps) else 0.0


def _contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much the values of each thumbnail spread, in codes; between the bars, where there are any."""
    whole = thumbnails.reshape(len(thumbnails), -1).std(axis=1, dtype=np.float32)
    inner = thumbnails[:, MIDDLE].reshape(len(thumbnails), -1).std(axis=1, dtype=np.float32)
    found: NDArray[np.float32] = np.where(barred(thumbnails.max(axis=-1)), inner, whole)
    return found


def fades(contrast: NDArray[np.float32]) -> list[Shot]:
    """Fades out of and into empty stretches: from where contrast is nothing to where it stops rising.

    ``contrast`` is the spread of the values of each frame's thumbnail, in codes. This finds fades that are too
    near to something else for a window around them.
    """
    empty = contrast < EMPTY_CODES
    edges = np.flatnonzero(np.diff(empty))
    found = []
    for edge in edges:
        # Walk away from the empty side, forwards or backwards.
        way = contrast[edge + 1 :][:FADE_FRAMES] if empty[edge] else contrast[: edge + 1][::-1][:FADE_FRAMES]
        # Over two frames, as a coder may repeat one.
        rising = np.append(way[2:] > RISE * way[:-2], False)
        steps = int(np.argmin(rising)) if len(rising) > 2 else 0
        if steps < 3:
            continue
        first, last = (edge + 1, edge + 1 + steps) if empty[edge] else (edge - steps, edge)
        found.append(Shot(ShotKind.FADE, int(first), int(last)))
    return found


def united(transitions: list[Shot]) -> list[Shot]:
    """Transitions in order, those that overlap made one; it is a fade if any of them is.

    >>> [(s.first, s.last) for s in united([Shot(ShotKind.FADE, 5, 9), Shot(ShotKind.DISSOLVE, 1, 6)])]
    [(1, 9)]
    """
    whole: list[Shot] = []
    for one in sorted(transitions, key=lambda shot: shot.first):
        if whole and one.first <= whole[-1].last:
            before = whole.pop()
            kind = ShotKind.FADE if ShotKind.FADE in (one.kind, before.kind) else ShotKind.DISSOLVE
            one = Shot(kind, before.first, max(before.last, one.last))
        whole.append(one)
    return whole


def assemble(count: int, cuts: list[int], transitions: list[Shot]) -> list[Shot]:
    """Put together frames 0 to ``count - 1``: transitions as they are, cuts between them divide the rest.

    >>> [(s.kind.value, s.first, s.last) for s in assemble(9, [2], [Shot(ShotKind.FADE, 5, 6)])]
    [('shot', 0, 1), ('shot', 2, 4), ('fade', 5, 6), ('shot', 7, 8)]
    """
    spans: list[Shot] = []
    start = 0

    def shots_up_to(end: int) -> None:
        edges = [start, *(cut for cut in cuts if start < cut < end), end]
        pairs = itertools.pairwise(edges)
        spans.extend(Shot(ShotKind.SHOT, first, after - 1) for first, after in pairs if after > first)

    for one in transitions:
        shots_up_to(one.first)
        spans.append(one)
        start = one.last + 1
    shots_up_to(count)
    return spans


class _Cuts:
    """Changes that stand out, and the check that it is the view that changes."""

    def __init__(self, config: ShotsConfig) -> None:
        self._config = config
        self._changes = Changes()
        self._last = np.zeros((0, *GRID, 3), np.uint8)
        self._last_changes = np.zeros(0)
        self._count = 0
        self._found: list[int] = []

    def feed(self, thumbnails: NDArray[np.uint8]) -> None:
        # A change is judged once what comes after it is known.
        known = np.concatenate([self._last, thumbnails])
        changes = np.append(self._last_changes, self._changes.feed(_even(thumbnails)))
        config = self._config
        base = self._count - len(self._last)
        for at in stand_out(changes, adaptive_threshold=config.adaptive_threshold, min_content=config.min_content):
            # Every cut is kept here: a step in exposure must not keep the cut beside it out.
            alike = same_view(known[at - 1 : at], known[at : at + 1])[0]
            if not (alike and light_alone(known[at - 1], known[at])):
                self._found.append(base + int(at))
        self._count += len(thumbnails)
        self._last, self._last_changes = known[-2 * REACH :], changes[-2 * REACH :]

    def found(self) -> list[int]:
        """The first frame of every shot but the first."""
        kept: list[int] = []
        for cut in self._found:
            if not kept or cut - kept[-1] >= self._config.min_frames:
                kept.append(cut)
        return kept


def _even(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The thumbnails with the same mean and contrast of luma, so that a step in exposure is no change."""
    rgb = thumbnails.astype(np.float32)
    luma = rgb @ LUMA
    mean = luma.mean(axis=(1, 2))[:, None, None, None]
    contrast = np.maximum(luma.std(axis=(1, 2)), 4.0)[:, None, None, None]
    even: NDArray[np.uint8] = np.clip(128 + (rgb - mean) * (50 / contrast), 0, 255).astype(np.uint8)
    return even
