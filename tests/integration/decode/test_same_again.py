"""A damaged frame shows what was in the decoder's buffer before: it must be the same in every pass all the same."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.model import VideoInfo
from tests import corpus, films

DECODE = DecodeConfig()
CUT = (3, 4, 6, 7, 9, 11, 12)
"""Packets of which only the first third is there."""
KINDS = {
    "mjpeg in avi": ("film.avi", "-c:v", "mjpeg", "-q:v", "2"),
    "mjpeg in mov": ("film.mov", "-c:v", "mjpeg", "-q:v", "2"),
    "ljpeg in avi": ("film.avi", "-c:v", "ljpeg"),
    "ffv1 in mkv": ("film.mkv", "-c:v", "ffv1"),
}


def woven(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """Two fields of different moments."""
    picture = films.texture(number, width, height).copy()
    picture[1::2] = np.roll(picture[1::2], 9, axis=1)
    return picture


def cut_short(folder: Path, name: str, *arguments: str, painter: films.Painter = films.texture) -> Path:
    whole = corpus.encode(folder / f"whole-{name}", *arguments, height=112, numbers=range(16), painter=painter)
    with av.open(str(whole)) as source, av.open(str(folder / name), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            data = bytes(packet)
            if not data:
                continue
            one = Packet(data[: len(data) // 3] if number in CUT else data)
            one.pts, one.dts, one.time_base, one.stream = packet.pts, packet.dts, packet.time_base, stream
            one.is_keyframe = packet.is_keyframe
            target.mux(one)
    return folder / name


def hashes(info: VideoInfo, wanted: frozenset[int] | None = None, *, collect_every: int = 0) -> dict[int, str]:
    """One pass, with the garbage collected after every so many frames."""
    found = {}
    for frame in decode_frames(info, DECODE, DecodeReport(), single_thread=True, wanted=wanted):
        found[frame.index] = frame.hash
        if collect_every and frame.index % collect_every == collect_every - 1:
            gc.collect()
    return found


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    # What was imported is not looked at again and again: it takes longer than the films.
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize(("kind", "painter"), [*((kind, films.texture) for kind in KINDS), ("mjpeg in mov", woven)])
def test_every_pass_gives_the_same_frames(
    kind: str, painter: films.Painter, tmp_path: Path, no_collector: None
) -> None:
    """Whatever is looked at on the way, and whenever the garbage is collected."""
    info = probe(cut_short(tmp_path, *KINDS[kind], painter=painter), DECODE)
    scored = hashes(info)
    assert len(scored) >= 6
    for every in (1, 3, 4):
        assert hashes(info, collect_every=every) == scored
    for wanted in ({5}, {0, 3}, {0, max(scored)}, scored.keys() - {2}):
        assert hashes(info, frozenset(wanted)) == {at: scored[at] for at in wanted}


def test_no_frame_waits_for_the_garbage_collector(tmp_path: Path, no_collector: None) -> None:
    """It would hold the decoder's buffer, and the memory of a picture for each frame."""
    info = probe(corpus.encode(tmp_path / "film.mp4", *corpus.X264), DECODE)
    # What other tests have left is none of this decoder's.
    before = frames_alive()
    hashes(info)
    assert not [one for one in frames_alive() if not any(one is known for known in before)]


def frames_alive() -> list[VideoFrame]:
    # By type: some objects, as torch's deprecated ones, warn when they are asked for their class.
    return [one for one in gc.get_objects() if type(one) is VideoFrame]
