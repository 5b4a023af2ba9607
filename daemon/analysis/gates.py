"""Which frames are not chosen, or last, and the word that says why. Pure functions of figures, shots and thresholds.

What is black, burnt or blurred is a question of the film: exposure and sharpness are judged against the frames
around in the same shot, black and white against what is usual in the film. So a film that is dark throughout, or
soft throughout, still has its best frames, and a shot of which a half is spoilt loses that half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.blank import bars, black, flat, snow, washed_out, white
from daemon.analysis.defects import (
    Peers,
    blocks,
    blur,
    blur_for_a_while,
    blur_of_view,
    burnt,
    combed,
    dark,
    line_art,
    much_softer,
    sharpness,
    titled,
)
from daemon.analysis.film_figures import Records
from daemon.analysis.glitches import glitch
from daemon.analysis.leaders import leader
from daemon.analysis.lettering import CARD_SHARE, captioned, drawing, drawn, rest_of_cards, scrawled, titles, written
from daemon.analysis.overlays import faded_over
from daemon.analysis.shot_edges import beside_mixes, transition
from daemon.analysis.steps import stepped
from daemon.analysis.subtitles import subtitled
from daemon.analysis.witness import NOBODY, Witness
from daemon.config.selection import GatesConfig
from daemon.model import Shot

Mask = NDArray[np.bool_]


class Verdict(StrEnum):
    """Why a frame is not chosen, or after all good ones; the words in ``frames.verdict``."""

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
    COMBED = "combed"
    BARS = "bars"
    SNOW = "snow"
    LEADER = "leader"
    GLITCH = "glitch"
    TITLED = "titled"
    SUBTITLED = "subtitled"
    SPARED = "spared"
    TRANSPARENT = "transparent"


ORDER = tuple(Verdict)
"""Verdicts by their number in the arrays that ``judge`` returns."""
SOFT = (Verdict.BURNT, Verdict.DARK, Verdict.BLUR, Verdict.BLOCKS, Verdict.COMBED, Verdict.TITLED, Verdict.SUBTITLED)
"""What is wrong with the picture of something."""
DEFOCUSED = (Verdict.BLUR, Verdict.BLOCKS)
"""What is said of a frame that is out of focus: one that is very soft has little but the coder's grid."""
LETTERED = (Verdict.TITLE, Verdict.TITLED, Verdict.SUBTITLED)
"""What is refused for its lettering is as sharp and as light as its picture should be: a measure for other frames."""
STEPPED = {
    Verdict.BURNT: "light",
    Verdict.DARK: "light",
    Verdict.BLOCKS: "8-pixel grid",
    Verdict.BLUR: "sharpness",
}
"""What a step tells by what, in this order."""
JUNK = (Verdict.TITLE, Verdict.BARS, Verdict.SNOW, Verdict.LEADER)
"""Pictures of nothing."""
LIT_ALIKE, PEER_ALIKE = 0.2, 0.8
"""The correlation of their cells from which frames of a window are compared by exposure, since clipping changes a
picture, and by sharpness."""
LIT_BESIDE, BESIDE_ALIKE = 0.8, 0.97
"""The same for frames beside the window."""
BESIDE_FRAMES, MOST_BESIDE = 500, 40
"""Among how many frames on either side of a window others are taken, and how many."""
MOST_COUNTED_SECONDS = 60.0
"""For how long one frame counts at most, where writing is weighed by how long it is shown."""
CARD_PLAINER = 0.2
"""How much more of a card than of the film's usual frame is one shade: by night all are mostly of one."""
SPARED_SECONDS = 3.0
"""A stretch that is refused whole is spared from this length on."""
DIMMED = 0.75
"""The share of its brightest shade below which a drawing is dark as a whole: fewer lines are as bright."""
SPOILING = (Verdict.DARK, Verdict.BURNT, Verdict.BLUR)
"""What comes and goes little by little, so that frames beside it have some of it."""
LEAST_SPOILT, BESIDE_SPOILT_SECONDS = 3, 0.25
"""So many spoilt frames in a row spoil those within so many seconds before and after."""


def judge(
    records: Records,
    time_s: NDArray[np.float64],
    scored: Mask,
    shots: Sequence[Shot],
    views: NDArray[np.int64],
    config: GatesConfig,
    transparent: Mask | None = None,
    witness: Witness = NOBODY,
    reserve: Mask | None = None,
) -> NDArray[np.uint8]:
    """Each frame's verdict, as its place in ``ORDER``. The first gate that says no gives the word.

    ``records``, ``time_s`` (seconds), ``scored`` (the metric has a usable score), ``transparent`` (nothing can be
    seen) and ``reserve`` (chosen only where nothing better is) are by frame; ``shots`` cover the frames; ``views``
    number the stretches in which one thing is seen. What is in reserve is no measure for what is not: where frames are
    damaged, what the decoder filled in has sharp edges.
    A ``witness`` is told by which figures its frame is judged; of the windows, only that frame's is then looked at.
    """
    count = len(records)
    verdict = np.zeros(count, np.uint8)
    if count == 0:
        return verdict

    def gate(word: Verdict, mask: Mask, comparable: NDArray[np.int64] | None = None) -> None:
        witness.gate(word, mask, comparable)
        verdict[mask & (verdict == 0)] = ORDER.index(word)

    if transparent is not None:
        gate(Verdict.TRANSPARENT, transparent)
    lined = drawing(records) | scrawled(records)
    gate(Verdict.BLACK, black(records, config, witness) & ~lined)
    gate(Verdict.WHITE, white(records, config, witness) & ~lined)
    gate(Verdict.FLAT, flat(records, config, witness) & ~lined)
    gate(Verdict.UNSCORED, ~scored)
    gate(Verdict.BARS, bars(records))
    gate(Verdict.SNOW, snow(records, config, witness))
    gate(Verdict.LEADER, leader(records, time_s, witness))
    gate(Verdict.GLITCH, glitch(records, time_s, witness))
    gate(Verdict.TRANSITION, transition(time_s, shots, config, witness))
    lines = written(records, shots)
    shown_s = _shown(time_s)
    gate(Verdict.TITLE, titles(records, lines, np.where(verdict == 0, shown_s, 0.0), config, witness))
    # Of what is drawn, lines that come and go are what happens.
    art = drawn(records)
    over = np.zeros(count, np.bool_) if art else subtitled(records, shots)
    reserve = np.zeros(count, np.bool_) if reserve is None else reserve
    # Of damaged frames the letters are gone, too.
    whole = (verdict == 0) & ~reserve
    captions = captioned(records, lines, shots, whole if whole.any() else verdict == 0, _counted(shown_s), witness)
    gate(Verdict.SUBTITLED, over)
    gate(Verdict.TITLED, captions)
    if not art:
        gate(Verdict.TITLED, faded_over(records, time_s, shots, ~reserve))
    cards = np.isin(verdict, [ORDER.index(word) for word in LETTERED])
    gate(Verdict.TITLE, rest_of_cards(records, shots, cards, verdict == 0, config, witness))
    gate(Verdict.BURNT, washed_out(records, witness))
    worse = judge_steps(records, shots, gate, witness, reserve)
    window = windows(time_s, shots, config.window_seconds)
    mixed = beside_mixes(time_s, shots)
    # Beside what is sharp by a subtitle over it, the same picture without would look soft.
    for wanted, among in ((~reserve, ~reserve & ~over), (reserve, ~over)):
        if wanted.any():
            hears = witness if witness.row is None or wanted[witness.row] else NOBODY
            judge_windows(records, time_s, window, views, verdict, mixed, wanted, among, config, hears)
    wider = widened(time_s, shots, verdict)
    for word in SPOILING:
        number = ORDER.index(word)
        if witness.at is not None and (verdict == number).any():
            away_seconds = float(np.abs(time_s[verdict == number] - time_s[witness.at]).min())
            witness.figure("seconds from spoilt frames", away_seconds, BESIDE_SPOILT_SECONDS, below=True)
        gate(word, (wider == number) & (verdict == 0))
    refused, blurred = (np.isin(verdict, [ORDER.index(word) for word in words]) for words in (SOFT, DEFOCUSED))
    # The edges of blocks make a frame look sharper than all others.
    blocky = verdict == ORDER.index(Verdict.BLOCKS)
    softer = much_softer(records, time_s, shots, refused & ~blocky, blurred, SPARED_SECONDS)
    least_plain = max(config.title_plain, float(np.median(records["plain"])) + CARD_PLAINER)
    card = np.zeros(count, np.bool_) if art else records["plain"] >= least_plain
    spare(time_s, shots, verdict, worse | blocky, softer, card)
    return verdict


def _shown(time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """How long each frame is shown; the last as long as the others usually are."""
    gaps = np.maximum(np.diff(time_s), 0.0)
    return np.append(gaps, float(np.median(gaps)) if len(gaps) else 1.0)


def _counted(shown_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each frame counts by how long it is shown: where a recording paused, no more than a slide does."""
    seconds = np.minimum(shown_s, MOST_COUNTED_SECONDS)
    return seconds if seconds.any() else np.ones_like(seconds)


def judge_steps(
    records: Records,
    shots: Sequence[Shot],
    gate: Callable[..., None],
    witness: Witness = NOBODY,
    reserve: Mask | None = None,
) -> Mask:
    """Refuse by ``gate`` what a step says is worse than what lies beyond it, and say which frames these are.

    What is in ``reserve`` beyond a step says nothing of what is not. Of what is drawn with lines, a step is a line more
    or less; what is only smooth is drawn or filmed, and may get darker or brighter; in a film that is not drawn, it is
    a wall or a sky.
    """
    worse, lines = stepped(records, shots), line_art(records)
    smooth, whole = drawing(records) & drawn(records), np.zeros(len(records), np.bool_)
    for word, told in STEPPED.items():
        filmed = ~lines if told == "light" else ~(lines | smooth)
        own = [some for some in worse if some.step.word == word]
        mask = np.zeros(len(records), np.bool_)
        for some in own:
            # What is dark, clipped or made of blocks is as smooth as a drawing: its better side tells.
            part = slice(some.first, some.last + 1)
            refused = filmed[part] | filmed[some.across]
            if word is Verdict.DARK:
                refused |= records["peak"][part] <= DIMMED * records["peak"][some.across]
            if reserve is not None and reserve[some.across]:
                refused &= reserve[part]
            mask[part] |= refused
        at = witness.at if witness.at is not None and mask[witness.at] else None
        here = next((one for one in own if at is not None and one.first <= at <= one.last), None)
        if here is not None:
            value, limit = here.step.value, here.step.limit
            witness.figure(f"{told}, times that across a step", value, limit, below=value < limit)
        gate(word, mask, None if here is None else np.array([here.across]))
        whole |= mask
    return whole


def judge_windows(
    records: Records,
    time_s: NDArray[np.float64],
    window: NDArray[np.int64],
    views: NDArray[np.int64],
    verdict: NDArray[np.uint8],
    mixed: Mask,
    wanted: Mask,
    among: Mask,
    config: GatesConfig,
    witness: Witness = NOBODY,
) -> None:
    """Judge exposure, blocks and sharpness, window by window, each frame against those it can be compared with.

    Verdicts are found of those ``wanted``, which are compared with those ``among``; those ``mixed`` may have some of
    another picture in them.
    """
    sharp, judged = sharpness(records), (verdict == 0) & wanted
    usable = ((verdict == 0) | np.isin(verdict, [ORDER.index(word) for word in LETTERED])) & among
    order = np.argsort(window, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(window[order]) > 0))
    for places in np.split(order, starts[1:]):
        places = places[usable[places]]
        if len(places) == 0 or (not witness.within(places) and witness.row is not None):
            continue
        own = len(places)
        places = np.concatenate([places, _beside(places, time_s, usable, config.window_seconds)])
        some, words = records[places], np.zeros(len(places), np.uint8)

        def gate(
            word: Verdict,
            mask: Mask,
            peers: Peers | None = None,
            words: NDArray[np.uint8] = words,
            own: int = own,
            places: NDArray[np.int64] = places,
        ) -> None:
            at = witness.at
            witness.gate(word, mask, None if peers is None or at is None else places[peers.of(at, words == 0)])
            words[:own][mask[:own] & (words[:own] == 0)] = ORDER.index(word)

        lit, like = Peers(some, LIT_ALIKE, LIT_BESIDE, own), Peers(some, PEER_ALIKE, BESIDE_ALIKE, own)
        # Dark ones first: beside them, highlights that are clipped as they should be would look burnt.
        gate(Verdict.DARK, dark(some, lit, words == 0, config, witness), lit)
        gate(Verdict.BURNT, burnt(some, lit, words == 0, config, witness), lit)
        # Blocks next: among them neither lettering nor lines are seen.
        gate(Verdict.BLOCKS, blocks(some, like, words == 0, config, witness), like)
        gate(Verdict.TITLED, titled(some, like, words == 0, witness), like)
        gate(Verdict.COMBED, combed(some, like, words == 0, config, witness), like)
        filmed = ~line_art(some)
        clear = (words == 0) | (words == ORDER.index(Verdict.TITLED))
        gate(Verdict.BLUR, filmed & blur(some, sharp[places], like, clear, config.blur, witness), like)
        soft = blur_for_a_while(some, sharp[places], time_s[places], words == 0, own, witness)
        gate(Verdict.BLUR, filmed & soft)
        # Where the same is seen, sharpness differs by blur alone, and a small loss tells.
        inside = np.arange(len(places)) < own
        for view in np.unique(views[places[:own]]):
            same = inside & filmed & (words == 0) & (views[places] == view)
            softer = blur_of_view(some, same, mixed[places], config.blur_same_view, witness)
            witness.gate(Verdict.BLUR, softer, places[same])
            words[softer & (words == 0)] = ORDER.index(Verdict.BLUR)
        verdict[places[:own]] = np.where(judged[places[:own]], words[:own], verdict[places[:own]])
    witness.within(None)


def _beside(places: NDArray[np.int64], time_s: NDArray[np.float64], usable: Mask, seconds: float) -> NDArray[np.int64]:
    """Some frames before and after a window, of other shots too: what they show may be the same."""
    found = []
    for edge, way in ((int(places.min()), -1), (int(places.max()), 1)):
        there = edge + way * np.arange(1, BESIDE_FRAMES + 1)
        there = there[(there >= 0) & (there < len(usable))]
        there = there[usable[there] & (np.abs(time_s[there] - time_s[edge]) <= seconds)]
        found.append(there[np.linspace(0, len(there) - 1, min(len(there), MOST_BESIDE)).round().astype(np.int64)])
    return np.concatenate(found)


def widened(time_s: NDArray[np.float64], shots: Sequence[Shot], verdict: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The verdicts, with what is right beside a stretch of spoilt frames refused, too: focus and exposure return little
    by little.

    A shot that would lose more than half of its good frames by this keeps them.
    """
    found = verdict.copy()
    kinds = [ORDER.index(word) for word in SPOILING]
    for shot in shots:
        part, times = verdict[shot.first : shot.last + 1], time_s[shot.first : shot.last + 1]
        wider = part.copy()
        spoilt = np.isin(part, kinds)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], spoilt, [False]]).astype(np.int8))).reshape(-1, 2)
        for first, after in edges.tolist():
            if after - first < LEAST_SPOILT:
                continue
            for way, word in ((range(first - 1, -1, -1), part[first]), (range(after, len(part)), part[after - 1])):
                for at in way:
                    if part[at] or abs(times[at] - times[first if at < first else after - 1]) > BESIDE_SPOILT_SECONDS:
                        break
                    wider[at] = word
        if 2 * (wider == 0).sum() >= (part == 0).sum():
            found[shot.first : shot.last + 1] = wider
    return found


def spare(
    time_s: NDArray[np.float64],
    shots: Sequence[Shot],
    verdict: NDArray[np.uint8],
    worse: Mask,
    softer: Mask,
    card: Mask,
) -> None:
    """Of a long stretch of a shot that is refused whole for its looks, all frames; of a film of junk alone, the junk.

    They come after the good ones, but a part of a film is not left out for a fault that it has throughout. Frames that
    are ``worse`` than others beside them stay refused, while there are any else, and so do those that are ``softer``.
    What has a subtitle comes after the good ones as it is, and a glitch stays one, but ends no stretch. What is written
    in a shot with title cards belongs to these, and writing on a ground of one shade, a ``card`` in a film that is not
    drawn, comes as late as a subtitle: a rating, the names of those who made it.
    """
    titled, subtitled = ORDER.index(Verdict.TITLED), ORDER.index(Verdict.SUBTITLED)
    kept = [subtitled, ORDER.index(Verdict.GLITCH)]
    soft = np.isin(verdict, [ORDER.index(word) for word in (*SOFT, Verdict.GLITCH)])
    for shot in shots:
        part = soft[shot.first : shot.last + 1]
        own = verdict[shot.first : shot.last + 1]
        if (own == ORDER.index(Verdict.TITLE)).mean() >= CARD_SHARE:
            own[own == subtitled] = titled
            part &= own != titled
        edges = np.flatnonzero(np.diff(np.concatenate([[False], part, [False]]).astype(np.int8))).reshape(-1, 2)
        for first, after in (edges + shot.first).tolist():
            if abs(time_s[after - 1] - time_s[first]) >= SPARED_SECONDS:
                stretch = first + np.flatnonzero(~np.isin(verdict[first:after], kept))
                clear = stretch[~softer[stretch]]
                better = clear[~worse[clear]]
                chosen = better if len(better) else clear if len(clear) else stretch
                on_card = (verdict[chosen] == titled) & card[chosen]
                verdict[chosen] = np.where(on_card, subtitled, ORDER.index(Verdict.SPARED))
    if not np.isin(verdict, (0, ORDER.index(Verdict.SPARED), subtitled)).any():
        verdict[np.isin(verdict, [ORDER.index(word) for word in JUNK])] = ORDER.index(Verdict.SPARED)


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
