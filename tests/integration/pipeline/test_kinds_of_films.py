"""What is chosen from films of a kind: test pictures, subtitles, thin lines, few frames, transparency; several of each."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from daemon.config.score import ScoreConfig
from daemon.model import Selection
from daemon.scoring.open_scorer import open_scorer
from daemon.scoring.protocol import Scorer
from daemon.store.store import Store
from tests.integration.pipeline.test_select_frames import config_in, noisy, painted, scene, scored, selector, store

__all__ = ["store"]

WIDTH, HEIGHT = 256, 144


async def chosen(
    store: Store, folder: Path, film: Path, scorer: Scorer | None = None, **select: Any
) -> tuple[Selection, dict[int, str], list[str]]:
    """What is chosen of a film, and the verdict of every frame; sorted verdicts of what is chosen."""
    config = config_in(folder, **{"min_gap_seconds": 0.2, **select})
    record = await scored(store, config, film, scorer)
    selection = await selector(store, config, record).select()
    rows = await store.frames.table(record.id)
    words = dict(
        zip(rows.frame.tolist(), np.where(rows.good, "good", np.where(rows.spared, "spared", "bad")), strict=True)
    )
    return selection, words, sorted(words[pick.frame] for pick in selection.picks)


def programme(seed: int, count: int = 40) -> list[Any]:
    """A slow pan over soft patches with fine detail on them."""
    rng = np.random.default_rng(seed)
    wide = (2 * WIDTH, HEIGHT)
    layers = [Image.fromarray(rng.integers(10, 110, (*size, 3), dtype=np.uint8)) for size in ((5, 18), (50, 180))]
    picture = sum(np.asarray(one.resize(wide, Image.Resampling.BICUBIC)).astype(int) for one in layers)
    return [noisy(np.clip(picture[:, n : n + WIDTH], 0, 255), n) for n in range(count)]


def bars(count: int, level: int = 191, lower: bool = False) -> list[Any]:
    """Upright bars of the seven colours; with another row below, if ``lower``."""
    colours = np.array([(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)])
    picture = np.repeat(colours * level, -(-WIDTH // 7), axis=0)[None, :WIDTH].repeat(HEIGHT, axis=0).astype(np.uint8)
    if lower:
        picture[HEIGHT * 3 // 4 :] = picture[HEIGHT * 3 // 4 :, ::-1] // 3
    return [noisy(picture, n) for n in range(count)]


def snow(count: int, colour: bool) -> list[Any]:
    rng = np.random.default_rng(4)
    shape = (HEIGHT, WIDTH, 3 if colour else 1)
    return [np.broadcast_to(rng.integers(0, 256, shape), (HEIGHT, WIDTH, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize(
    "junk",
    [bars(40), bars(40, level=255, lower=True), snow(40, colour=False), snow(40, colour=True)],
    ids=["bars", "full bars over others", "grey snow", "coloured snow"],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_no_still_of_a_test_picture_while_there_is_a_programme(
    tmp_path: Path, store: Store, junk: list[Any], after: bool
) -> None:
    shown = programme(1) + programme(2)
    film = painted(tmp_path / "film.mkv", shown + junk if after else junk + shown)
    selection, _, _ = await chosen(store, tmp_path, film, count=6)
    first = 0 if after else len(junk)
    assert len(selection.picks) == 6
    assert all(first <= pick.frame < first + len(shown) for pick in selection.picks)


def subtitled(picture: Any, ink: str, top: bool, words: str) -> Any:
    image = Image.fromarray(picture).resize((640, 360), Image.Resampling.BICUBIC)
    place = (320, 40 if top else 320)
    ImageDraw.Draw(image).text(place, words, fill=ink, anchor="mm", font_size=26, stroke_width=1, stroke_fill="black")
    return np.asarray(image)


@pytest.mark.parametrize(
    ("ink", "top", "share", "least_plain"),
    # NIQE scores whole blocks of 96 pixels and leaves out the rows below them. What is written above lies in them, and
    # raises the score; with an outline over a picture that is not dark, it is not known to be writing.
    [("white", False, 0.5, 3), ("yellow", False, 0.5, 3), ("white", True, 0.3, 2)],
    ids=["white", "yellow", "above"],
)
async def test_frames_without_subtitles_are_no_less_sharp(
    tmp_path: Path, store: Store, ink: str, top: bool, share: float, least_plain: int
) -> None:
    pictures = programme(1, 100) + programme(2, 100)
    with_text = [n % 50 < 50 * share for n in range(len(pictures))]
    film = painted(
        tmp_path / "film.mkv",
        [
            subtitled(one, ink, top, "Who was that?  Nobody." if text else "")
            for one, text in zip(pictures, with_text, strict=True)
        ],
    )
    # The stub's score is the spread of a picture, which lettering raises.
    with closing(open_scorer(ScoreConfig(device="cpu"))) as niqe:
        selection, words, _ = await chosen(store, tmp_path, film, niqe, count=6)
    plain = Counter(words[n] for n, text in enumerate(with_text) if not text)
    assert plain["good"] >= 0.8 * sum(plain.values()), selection.reasons
    assert len(selection.picks) == 6
    assert sum(not with_text[pick.frame] for pick in selection.picks) >= least_plain


def drawn(ground: str, ink: str, count: int) -> list[Any]:
    """Thin lines on one shade; a line more in every frame."""
    found = []
    for frame in range(count):
        image = Image.new("RGB", (WIDTH, HEIGHT), ground)
        draw = ImageDraw.Draw(image)
        for line in range(2 + frame // 8):
            draw.line([(20, 20 + 12 * line), (60 + 25 * (line % 7), 24 + 11 * line)], fill=ink)
        found.append(np.asarray(image))
    return found


@pytest.mark.parametrize(
    ("ground", "ink", "most_bad"),
    # Sixteen frames are taken for blocks of the coder: fewer than 0.9 of their pixels are like their neighbours.
    [("black", "#30d050", 16), ("#101830", "white", 8), ("white", "#404040", 0)],
    ids=["green", "blue", "pencil"],
)
async def test_thin_lines_on_one_shade_give_stills(
    tmp_path: Path, store: Store, ground: str, ink: str, most_bad: int
) -> None:
    film = painted(tmp_path / "film.mkv", drawn(ground, ink, 80))
    selection, words, _ = await chosen(store, tmp_path, film, count=3)
    assert len(selection.picks) == 3
    assert Counter(words.values())["bad"] <= most_bad, selection.reasons


@pytest.mark.parametrize("seconds", [[5] * 12, [1, 60, 3, 20, 2, 40, 5, 30], [0.5, 900, 10, 10]], ids=str)
async def test_pictures_that_are_shown_long_are_moments_each(
    tmp_path: Path, store: Store, seconds: list[float]
) -> None:
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"crf": "12", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        starts = np.concatenate([[0], np.cumsum(seconds)])
        for number, start in enumerate(starts[:-1]):
            frame = av.VideoFrame.from_ndarray(scene(20 + number), format="rgb24").reformat(format="yuv420p")
            frame.pts = round(10 * start)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    selection, _, _ = await chosen(store, tmp_path, film, count=len(seconds), min_gap_seconds=0.2)
    assert sorted(pick.frame for pick in selection.picks) == list(range(len(seconds)))
    stands_for = {pick.frame: pick.reason.seconds for pick in selection.picks}
    assert all(abs((stands_for[n] or 0) - seconds[n]) <= 0.2 for n in range(len(seconds) - 1))


@pytest.mark.parametrize(
    ("ground", "ink"), [((0, 0, 0, 0), "black"), ((255, 255, 255, 0), "white"), ((0, 0, 0, 0), "#808080")], ids=str
)
async def test_lettering_on_nothing_gives_a_still(
    tmp_path: Path, store: Store, ground: tuple[int, ...], ink: str
) -> None:
    film = tmp_path / "film.mov"
    with av.open(str(film), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgba"
        for number in range(30):
            image = Image.new("RGBA", (WIDTH, HEIGHT), ground)
            ImageDraw.Draw(image).text((30 + number, 70), "A title", fill=ink, font_size=40)
            frame = av.VideoFrame.from_ndarray(np.asarray(image), format="rgba")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    selection, _, _ = await chosen(store, tmp_path, film, count=1)
    assert len(selection.picks) == 1
