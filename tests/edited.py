"""Edited films of known truth, made from real clips: eight shots, half of each spoilt, one shot that comes back.

A film begins with black and a fade, has a title, dissolves, a fade to black in the middle, and ends black. Its
shots are spans of clips, seen whole or through a crop, that look unlike each other. Half of each shot is spoilt,
in one or two runs, by defocus, motion blur, wrong exposure or blocking. Everything follows from the seed.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, RATE = 640, 360, 25
SHOTS = 8
DEFECTS = ("defocus", "motion", "overexposed", "underexposed", "blocking")
CROPS = ((0.0, 0.0, 1.0), (0.0, 0.35, 0.65), (0.35, 0.0, 0.65), (0.35, 0.35, 0.65), (0.0, 0.0, 0.65), (0.25, 0.2, 0.5))
"""Left, top and size of a view, as shares of the picture."""
UNLIKE_CODES = 28.0
"""Two shots differ by at least so much (root mean square of their thumbnails) at every moment."""
LEAD = 30
"""Frames before and after a shot's own, for the transitions."""
SPAN = 90
"""Frames of footage that a shot is made of, at most; it is played to and fro where that is less than the shot."""
MOST_FRAMES = 420
"""Frames of a clip that are looked at."""

Film = list[NDArray[np.uint8]]


@dataclass
class Truth:
    """What every frame of a film is.

    ``kind`` is ``good``, a defect, ``black``, ``title`` or ``transition``; ``shot`` which footage it shows, -1
    for none; ``again`` that it belongs to the second showing of the shot that comes back.
    """

    kind: list[str] = field(default_factory=list)
    shot: list[int] = field(default_factory=list)
    again: list[bool] = field(default_factory=list)

    def add(self, kind: str, shot: int = -1, again: bool = False) -> None:
        self.kind.append(kind)
        self.shot.append(shot)
        self.again.append(again)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> Truth:
        return Truth(**json.loads(path.read_text()))


def pictures(clip: Path) -> Film:
    """The first frames of a clip, as wide as the film."""
    found: Film = []
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            height = round(WIDTH * frame.height / frame.width)
            found.append(frame.reformat(width=WIDTH, height=height, format="rgb24").to_ndarray())
            if len(found) == MOST_FRAMES:
                break
    return found


def seen(picture: NDArray[np.uint8], crop: tuple[float, float, float], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A crop of the film's shape out of a picture, at a size."""
    height, width = picture.shape[:2]
    wide = min(width * crop[2], height * crop[2] * WIDTH / HEIGHT)
    tall = wide * HEIGHT / WIDTH
    left, top = min(width * crop[0], width - wide), min(height * crop[1], height - tall)
    box = (left, top, left + wide, top + tall)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, box))


@dataclass(frozen=True)
class Span:
    """Footage that a shot can be made of."""

    clip: int
    crop: tuple[float, float, float]
    first: int
    frames: int
    thumbnails: NDArray[np.float32]


def spans(clips: Sequence[Film], length: int) -> list[Span]:
    """Every span without a cut in it, by clip and crop, a third of its length apart."""
    found = []
    for number, film in enumerate(clips):
        for crop in CROPS:
            small = np.stack([seen(one, crop, (16, 9)) for one in film]).astype(np.float32)
            steps = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2, 3))
            cuts = [0, *(np.flatnonzero(steps > 14) + 1).tolist(), len(film)]
            for start, end in itertools.pairwise(cuts):
                for first in range(start + 1, end - 1, max(length // 3, 1)):
                    frames = min(length, end - 1 - first)
                    if frames >= 16 and small[first : first + frames].std(axis=(1, 2)).mean() > 18:
                        found.append(Span(number, crop, first, frames, small[first : first + frames : 6]))
    return found


def unlike(one: Span, other: Span) -> float:
    """The least difference between any two of their moments, root mean square in codes."""
    gaps = one.thumbnails[:, None] - other.thumbnails[None]
    return float(np.sqrt((gaps**2).mean(axis=(2, 3, 4))).min())


def choose(candidates: Sequence[Span], rng: np.random.Generator) -> list[Span]:
    """Eight spans that look unlike each other, drawn at random. Raises ValueError when there are not so many."""
    for _ in range(50):
        chosen: list[Span] = []
        for at in rng.permutation(len(candidates)):
            if all(unlike(candidates[at], one) >= UNLIKE_CODES for one in chosen):
                chosen.append(candidates[at])
            if len(chosen) == SHOTS:
                return chosen
    raise ValueError(f"these clips do not hold {SHOTS} shots that look unlike each other")


def spoil(picture: NDArray[np.uint8], defect: str, strength: float) -> NDArray[np.uint8]:
    """A picture with a defect; ``strength`` from 0 (plain to see) to 1 (gross)."""
    if defect == "defocus":
        blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(2.2 + 2.5 * strength))
        return np.asarray(blurred)
    if defect == "motion":
        length = 11 + 2 * round(6 * strength)
        sums = np.zeros(picture.shape, np.float32)
        for shift in range(-(length // 2), length // 2 + 1):
            sums += np.roll(picture, shift, axis=1)
        return (sums / length).astype(np.uint8)
    if defect == "overexposed":
        return np.clip(picture * np.float32(1.8 + 0.8 * strength) + 20, 0, 255).astype(np.uint8)
    if defect == "underexposed":
        return (picture * np.float32(0.4 - 0.2 * strength)).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "JPEG", quality=round(9 - 5 * strength))
    return np.asarray(Image.open(data).convert("RGB"))


def _shot(film: Film, span: Span, frames: int) -> Film:
    """The span's pictures, forwards and backwards until there are enough."""
    there = list(range(span.first, span.first + span.frames))
    order = (there + there[-2:0:-1]) * (frames // span.frames + 2)
    made = {at: seen(film[at], span.crop, (WIDTH, HEIGHT)) for at in set(order[:frames])}
    return [made[at] for at in order[:frames]]


def _spoilt(shot: Film, rng: np.random.Generator) -> tuple[Film, list[str]]:
    """Half of a shot spoilt, in one run or two."""
    total = len(shot)
    kinds = ["good"] * total
    runs = int(rng.integers(1, 3))
    for run in range(runs):
        size = total // 2 // runs
        room = total // runs
        first = run * room + int(rng.integers(0, room - size + 1))
        defect = str(rng.choice(DEFECTS))
        kinds[first : first + size] = [defect] * size
    strength = float(rng.random())
    done = [one if kind == "good" else spoil(one, kind, strength) for one, kind in zip(shot, kinds, strict=True)]
    return done, kinds


def _title(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Words on a plain or softly shaded ground."""
    style = int(rng.integers(0, 4))
    ground, ink = (((0, 0, 0), (235, 235, 235)), ((240, 240, 240), (20, 20, 20)), ((20, 40, 90), (240, 220, 120)),
                   ((90, 15, 20), (250, 250, 250)))[style]  # fmt: skip
    card = Image.new("RGB", (WIDTH, HEIGHT), ground)
    draw = ImageDraw.Draw(card)
    draw.text((WIDTH // 2, HEIGHT // 2 - 20), "A Day in the Life", fill=ink, anchor="mm", font_size=56)
    draw.text((WIDTH // 2, HEIGHT // 2 + 50), "a film of many shots", fill=ink, anchor="mm", font_size=28)
    return np.asarray(card)


def make(path: Path, clips: Sequence[Film], seed: int, candidates: Sequence[Span] | None = None) -> Truth:
    """Write a film and return what its frames are."""
    rng = np.random.default_rng(seed)
    chosen = choose(candidates if candidates is not None else spans(clips, SPAN), rng)
    order = [*range(SHOTS)]
    back = int(rng.integers(0, SHOTS - 3))
    order.insert(int(rng.integers(back + 2, SHOTS)), back)
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frames: Film = []
    truth = Truth()
    _hold(frames, truth, "black", black, 15)
    links = ["cut", "dissolve", "cut", "dissolve", "fade", "title", "dissolve", "cut"]
    rng.shuffle(links)
    shown: set[int] = set()
    tail = [black] * LEAD
    for place, number in enumerate(order):
        span = chosen[number]
        shot = _shot(clips[span.clip], span, int(rng.integers(70, 120)) + 2 * LEAD)
        body, kinds = _spoilt(shot[LEAD:-LEAD], rng)
        length = int(rng.integers(10, LEAD))
        head = shot[LEAD - length : LEAD]
        link = "fade" if place == 0 else links[place - 1]
        if link == "dissolve":
            _mix(frames, truth, tail, head)
        elif link == "fade":
            if place:
                _mix(frames, truth, tail[:length], [black] * length)
            _hold(frames, truth, "black", black, 6)
            _mix(frames, truth, [black] * length, head)
        elif link == "title":
            _hold(frames, truth, "title", _title(rng), 40)
        for one, kind in zip(body, kinds, strict=True):
            frames.append(one)
            truth.add(kind, number, number in shown)
        shown.add(number)
        tail = shot[-LEAD:]
    _mix(frames, truth, tail[:20], [black] * 20)
    _hold(frames, truth, "black", black, 15)
    _write(path, frames)
    return truth


def _mix(frames: Film, truth: Truth, before: Film, after: Film) -> None:
    """Frames that lead from one moving picture to another, as many as ``after`` has."""
    for step, (one, other) in enumerate(zip(before, after, strict=False), start=1):
        share = np.float32(step / (len(after) + 1))
        frames.append((one * (1 - share) + other * share).astype(np.uint8))
        truth.add("transition")


def _hold(frames: Film, truth: Truth, kind: str, picture: NDArray[np.uint8], length: int) -> None:
    frames += [picture] * length
    for _ in range(length):
        truth.add(kind)


def _write(path: Path, frames: Film) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
