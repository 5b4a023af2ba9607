"""Primaries of standard dynamic range: the filters' answer against FFmpeg's ``zscale`` (zimg), colour by colour."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.media import filters, sdr
from daemon.model import Colour

SIDE = 64
PRIMARIES = sorted(sdr.TO_BT709)
ZIMG_NAMES = {"ebu3213": "jedec-p22"}


def through(binary: str, chain: str, picture: NDArray[np.uint16]) -> NDArray[np.float64]:
    """RGB of 16 bits through a filter chain."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb48le"]
    command = [binary, "-v", "error", *raw, "-s", f"{SIDE}x{SIDE}", "-i", "-", "-vf", chain, *raw, "-"]
    ended = subprocess.run(command, input=picture.tobytes(), capture_output=True, check=False)
    said = ended.stderr.decode(errors="replace")[-200:]
    if "No such filter: 'zscale'" in said:
        pytest.skip("this FFmpeg has no zscale")
    assert ended.returncode == 0, said
    return np.frombuffer(ended.stdout, "<u2").reshape(SIDE, SIDE, 3).astype(np.float64) / 257


def by_zimg(binary: str, primaries: str, picture: NDArray[np.uint16]) -> NDArray[np.float64]:
    source = f"rin=full:min=gbr:tin=709:pin={ZIMG_NAMES.get(primaries, primaries)}"
    return through(binary, f"format=gbrp16le,zscale={source}:r=full:m=gbr:t=709:p=709,format=gbrp16le", picture)


@pytest.mark.parametrize("primaries", PRIMARIES)
def test_a_random_colour_is_what_zimg_makes_of_it(primaries: str, ffmpeg_binary: str) -> None:
    colours = np.random.default_rng(1).integers(0, 65536, (SIDE, SIDE, 3)).astype(np.uint16)
    chain = filters.to_text(tuple(sdr.to_bt709(Colour("gbr", "full", "bt709", primaries), rgb=True)))
    ours = through(ffmpeg_binary, chain, colours)
    gray = np.full_like(colours, 128 * 257)

    assert np.abs(through(ffmpeg_binary, chain, gray) - 128).max() < 0.1
    if np.abs(by_zimg(ffmpeg_binary, primaries, gray) - 128).max() > 1:
        pytest.skip("this zimg does not adapt the white: gray does not stay gray")
    apart = np.abs(ours - by_zimg(ffmpeg_binary, primaries, colours))
    assert apart.mean() < 0.05
    # Linear light of 16 bits is coarse near black.
    assert apart.max() < 4
