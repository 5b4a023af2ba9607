"""Which frames are never chosen, and the word that says why. Pure functions of figures, shots and thresholds.

What is black, burnt or blurred is a question of the film: exposure and sharpness are judged against the frames
around in the same shot, black and white against what is usual in the film. So a film that is dark throughout, or
soft throughout, still has its best frames, and a shot of which a half is spoilt loses that half.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from daemon.config.choice import GatesConfig
from daemon.model import Shot, ShotKind

Records = NDArray[np.void]
"""``features.RECORD``; the thumbnails are not looked at."""
Mask = NDArray[np.bool_]


class Verdict(StrEnum):
    """Why a frame is never chosen; the words in ``frames.verdict``."""

    GOOD = "good"
    UNSCORED = "unscored"
    BLACK = "black"
    WHITE = "white"
    FLAT = "flat"
    TITLE = "title"
    TRANSITION = "transition"
    BURNT = "burnt"
    DARK = "dark"
    BLUR = "blur"
    BLOCKS = "blocks"


ORDER = tuple(Verdict)
"""Verdicts by their number in the arrays that ``judge`` returns."""


def judge(
    records: Records,
    time_s: NDArray[np.float64],
    scored: Mask,
    shots: Sequence[Shot],
    views: NDArray[np.int64],
    config: GatesConfig,
) -> NDArray[np.uint8]:
    """Each frame's verdict, as its place in ``ORDER``. The first gate that says no gives the word.

    ``records``, ``time_s`` (seconds) and ``scored`` (the metric has a usable score) are by frame; ``shots``
    cover the frames; ``views`` number the stretches in which one thing is seen.
    """
    count = len(records)
    verdict = np.zeros(count, np.uint8)
    if count == 0:
        return verdict

    def gate(word: Verdict, mask: Mask) -> None:
        verdict[mask & (verdict == 0)] = ORDER.index(word)

    gate(Verdict.BLACK, black(records, config))
    gate(Verdict.WHITE, white(records, config))
    gate(Verdict.FLAT, flat(records, config))
    gate(Verdict.UNSCORED, ~scored)
    gate(Verdict.TRANSITION, transition(count, shots, config))
    titles = title(records, config) & (verdict == 0)
    # A film of slides or of drawings is made of such pictures.
    if titles.sum() <= (verdict == 0).sum() / 2:
        gate(Verdict.TITLE, titles)
    window = windows(time_s, shots, config.window_seconds)
    # Dark ones first: beside them, highlights that are clipped as they should be would look burnt.
    gate(Verdict.DARK, dark(records, window, verdict == 0, config))
    gate(Verdict.BURNT, burnt(records, window, verdict == 0, config))
    gate(Verdict.BLOCKS, blocks(records, window, verdict == 0, config))
    gate(Verdict.BLUR, blur(records, window, verdict == 0, config.blur))
    # Where the same is seen, sharpness differs by blur alone, and a small loss tells.
    _, sights = np.unique(np.stack([window, views]), axis=1, return_inverse=True)
    gate(Verdict.BLUR, blur(records, sights.ravel(), verdict == 0, config.blur_same_view))
    return verdict


def black(records: Records, config: GatesConfig) -> Mask:
    """Nothing brighter than ``black_codes``, nor than a third of the film's usual highlights."""
    high = records["high"].astype(np.float64)
    usual = float(np.median(high[high > config.flat_codes])) if (high > config.flat_codes).any() else 255.0
    mask: Mask = high <= min(config.black_codes, usual / 3)
    return mask


def white(records: Records, config: GatesConfig) -> Mask:
    """Nothing darker than ``white_codes``, nor within a third of the film's usual distance from white."""
    depth = 255.0 - records["low"].astype(np.float64)
    usual = float(np.median(depth[depth > config.flat_codes])) if (depth > config.flat_codes).any() else 255.0
    mask: Mask = depth <= min(255 - config.white_codes, usual / 3)
    return mask


def flat(records: Records, config: GatesConfig) -> Mask:
    """Hardly any difference between the darkest and the brightest pixels."""
    mask: Mask = records["high"].astype(np.int64) - records["low"] <= config.flat_codes
    return mask


def title(records: Records, config: GatesConfig) -> Mask:
    """Mostly one shade, smooth, with hard edges where there is anything: text or a logo on a plain ground."""
    hard = np.maximum(records["sharp_x"], records["sharp_y"]) > 0.05
    mask: Mask = (records["plain"] >= config.title_plain) & (records["still"] >= config.title_still) & hard
    return mask


def transition(count: int, shots: Sequence[Shot], config: GatesConfig) -> Mask:
    """Frames of fades and dissolves, and those next to them or to a cut; the film's own ends are no cut.

    A shot keeps at least its middle half.
    """
    mask = np.zeros(count, np.bool_)
    for shot in shots:
        if shot.kind is not ShotKind.SHOT:
            mask[shot.first : shot.last + 1] = True
            continue
        edge = min(config.edge_frames, (shot.last - shot.first + 1) // 4)
        if shot.first > 0:
            mask[shot.first : shot.first + edge] = True
        if shot.last < count - 1:
            mask[shot.last + 1 - edge : shot.last + 1] = True
    return mask


def windows(time_s: NDArray[np.float64], shots: Sequence[Shot], seconds: float) -> NDArray[np.int64]:
    """The number of each frame's window: shots cut into equal parts of at most ``seconds``."""
    window = np.zeros(len(time_s), np.int64)
    first = 0
    for shot in shots:
        times = time_s[shot.first : shot.last + 1]
        if len(times) == 0:
            continue
        # In a damaged file times may run backwards, or far away.
        start = float(times.min())
        length = float(times.max()) - start
        parts = min(max(int(np.ceil(length / seconds)), 1), len(times))
        within = np.minimum((times - start) * (parts / max(length, 1e-9)), parts - 1)
        window[shot.first : shot.last + 1] = first + within.astype(np.int64)
        first += parts
    return window


def typical(values: NDArray[np.floating], window: NDArray[np.int64], among: Mask, share: float) -> NDArray[np.float64]:
    """Per frame, the value that ``share`` of its window's frames ``among`` do not exceed; NaN without any."""
    places = np.flatnonzero(among)
    order = places[np.lexsort((values[places], window[places]))]
    groups, first, size = np.unique(window[order], return_index=True, return_counts=True)
    reference = np.full(int(window.max()) + 1, np.nan)
    reference[groups] = values[order[first + np.floor((size - 1) * share).astype(np.int64)]]
    return reference[window]


def burnt(records: Records, window: NDArray[np.int64], among: Mask, config: GatesConfig) -> Mask:
    """More is clipped white than in the frames of the shot where least is; less will do if it is much brighter."""
    light, mean = records["light"].astype(np.float64), records["mean"].astype(np.float64)
    more = light - typical(light, window, among, 0.1)
    brighter = config.dark * mean > typical(mean, window, among, 0.35)
    return (more > config.burnt) | (brighter & (more > config.burnt / 4))


def dark(records: Records, window: NDArray[np.int64], among: Mask, config: GatesConfig) -> Mask:
    """Darker, with less contrast and with darker highlights than the well exposed frames of the shot.

    Frames that are mostly clipped white are no measure for others, where there are any else.
    """
    measure = among & (records["light"] <= 2 * config.burnt)
    mask = np.ones(len(records), np.bool_)
    for name in ("mean", "contrast", "high"):
        values = records[name].astype(np.float64)
        reference = typical(values, window, measure, 0.65)
        reference = np.where(np.isnan(reference), typical(values, window, among, 0.65), reference)
        mask &= values < config.dark * reference
    return mask


def blocks(records: Records, window: NDArray[np.int64], among: Mask, config: GatesConfig) -> Mask:
    """The coder's grid shows more than in the frames of the shot where it shows least."""
    return records["blocks"] > config.blocks * typical(records["blocks"], window, among, 0.2)


def blur(records: Records, window: NDArray[np.int64], among: Mask, least: float) -> Mask:
    """Edges across or along are softer than in the sharp frames: defocus takes both, movement one."""
    across, along = records["sharp_x"], records["sharp_y"]
    return (across < least * typical(across, window, among, 0.8)) | (along < least * typical(along, window, among, 0.8))
