"""The sections `shots`, `gates` and `select`: which frames are worth keeping."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator

from daemon.config.section import Section


def _auto_or(value: Any, number: ValidatorFunctionWrapHandler) -> Any:
    return AUTO if value == AUTO else number(value)


AUTO: Literal["auto"] = "auto"
Count = Annotated[int, Field(ge=1, le=100_000), WrapValidator(_auto_or), PlainSerializer(lambda count: count)]
"""A number of stills; may hold AUTO, which ``SelectConfig.limit`` tells apart."""


class ShotsConfig(Section):
    """Where one shot ends and the next begins."""

    adaptive_threshold: float = Field(
        3.0, gt=1.0, description="a cut: this many times the change of the frames around it (PySceneDetect's)"
    )
    min_content: float = Field(
        12.0, gt=0.0, le=255.0, description="and at least this much change, 0 to 255 (PySceneDetect's min_content_val)"
    )
    min_frames: int = Field(8, ge=1, description="a shot has at least this many frames")
    mix_codes: float = Field(
        12.0, gt=0.0, le=255.0, description="a dissolve or fade: its two ends differ by at least this, in codes of 255"
    )
    mix_residual: float = Field(
        0.42,
        gt=0.0,
        lt=1.0,
        description="and the frames between are mixes of them but for this share at most (half if contrast stays)",
    )
    mix_frames: int = Field(5, ge=1, description="and at least this many frames are mixes")
    mix_gap: int = Field(3, ge=1, description="mixes at most this many frames apart belong together")


class GatesConfig(Section):
    """Which frames are never chosen, whatever their score. Codes of luma go from 0 to 255."""

    black_codes: int = Field(
        24,
        ge=0,
        le=255,
        description="black: 99 % of the pixels are darker than this, or than a third of the film's usual",
    )
    white_codes: int = Field(
        224, ge=0, le=255, description="white: 99 % of the pixels are brighter, and than two thirds of the film's usual"
    )
    flat_codes: int = Field(8, ge=0, le=255, description="flat: 98 % of the pixels lie within this many codes")
    title_plain: float = Field(
        0.6,
        gt=0.0,
        le=1.0,
        description="title: this share of the picture is one shade (five codes), with hard edges on it",
    )
    title_still: float = Field(0.8, gt=0.0, le=1.0, description="and this share of the pixels is like its neighbours")
    title_most: float = Field(
        0.25, ge=0.0, le=1.0, description="unless more than this share of the film is like that: slides, drawings"
    )
    window_seconds: float = Field(
        10.0,
        gt=0.0,
        description="exposure and sharpness are compared with the shot's frames within about this many seconds",
    )
    burnt: float = Field(
        0.08,
        gt=0.0,
        le=1.0,
        description="burnt: the share of pixels clipped to white is higher by this than in the shot's best",
    )
    dark: float = Field(
        0.6,
        ge=0.0,
        le=1.0,
        description="dark: mean, contrast and highlights below this share of the shot's",
    )
    blur: float = Field(0.5, ge=0.0, le=1.0, description="blur: sharpness below this share of the shot's best")
    blur_same_view: float = Field(
        0.8, ge=0.0, le=1.0, description="blur: or below this share of the frames around that see the same"
    )
    blocks: float = Field(
        1.25, ge=1.0, description="blocks: the 8-pixel grid is this many times stronger than in the shot's best"
    )
    comb: float = Field(
        0.02, gt=0.0, le=1.0, description="combed: this share of the pixels shows two moments of an interlaced film"
    )
    edge_frames: int = Field(
        2, ge=0, description="transition: this many frames on either side of a cut, fade or dissolve"
    )


class SelectConfig(Section):
    """What is chosen."""

    strategy: Literal["representative", "best", "per-shot", "even", "poster"] = Field(
        "representative",
        description="representative: good, different, all of the film; best: score and gap only; per-shot: one each;"
        " even: one of each equal stretch; poster: the one to stand for the film, its alternatives next",
    )
    every_seconds: float | None = Field(
        None, gt=0.0, description="even: one still per this many seconds, instead of `count` of them; null: by count"
    )
    count: Count = Field(10, description="stills per video; auto: as long as one more shows something new")
    min_gap_seconds: float = Field(1.0, ge=0.0, description="two stills are at least this many seconds apart")
    min_difference: float = Field(
        9.0,
        ge=0.0,
        le=255.0,
        description="two stills differ by at least this, in codes of their thumbnails (root mean square)",
    )
    scene_alike: float = Field(
        0.95,
        gt=0.0,
        le=1.0,
        description="a shot comes back when its moments correlate by at least this with another",
    )
    scene_share: float = Field(0.5, gt=0.0, le=1.0, description="and this share of its moments does")
    across: bool = Field(
        False, description="a picture that another film's stills show already is not given again (not: best, even)"
    )
    faces: Literal["auto", "off"] = Field(
        "auto",
        description="auto: open eyes, faces that look this way, sharp and whole, are preferred where the extra `faces`"
        " is installed and its weights are here (not: best, even); off: faces do not count",
    )
    start: float = Field(0.0, ge=0.0, description="choose from this second on")
    end: float | None = Field(None, ge=0.0, description="and before this one; null: to the end of the film")

    @property
    def limit(self) -> int | None:
        """The number of stills, None for auto."""
        count: Any = self.count
        return None if count == AUTO else int(count)
