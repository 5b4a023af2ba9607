"""Decoding: every frame once, in order, with the hash that FFmpeg's framehash gives."""

from __future__ import annotations

import hashlib
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from daemon.config.score import DecodeConfig
from daemon.decode.damage import DamageError, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.model import Frame
from tests import films

CONFIG = DecodeConfig()


def all_frames(path: Path, *, single_thread: bool = False, known: list[str] | None = None) -> list[Frame]:
    info = probe(path, CONFIG)
    return list(decode_frames(info, CONFIG, DecodeReport(), single_thread=single_thread, known=known or ()))


def framehash(path: Path, index: int = 0) -> list[str]:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-nostdin",
        "-loglevel",
        "error",
        "-noautorotate",
        "-reinit_filter",
        "0",
    ]
    command += ["-i", str(path), "-map", f"0:{index}", "-fps_mode", "passthrough", "-c:v", "rawvideo"]
    command += ["-f", "framehash", "-hash", "SHA160", "-"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.rsplit(",", 1)[1].strip() for line in printed.splitlines() if not line.startswith("#")]


def test_every_frame_comes_once_and_in_order(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=40, options={"bf": "3", "g": "12"})
    frames = all_frames(film)
    assert [frame.index for frame in frames] == list(range(40))
    assert [films.read_code(frame.picture) for frame in frames if frame.picture is not None] == list(range(40))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv420p", "mp4"),
        ("libx264", "yuv444p", "mkv"),
        ("ffv1", "yuv422p10le", "mkv"),
        ("ffv1", "gray", "mkv"),
        ("ffv1", "gray16le", "mkv"),
        ("ffv1", "bgr0", "mkv"),
        ("ffv1", "yuva420p", "mkv"),
        ("gif", "rgb8", "gif"),
        ("mjpeg", "yuvj420p", "avi"),
    ],
)
def test_the_hash_is_what_the_command_line_sees(tmp_path: Path, codec: str, pix_fmt: str, suffix: str) -> None:
    film = (
        films.make(tmp_path / f"film.{suffix}", frames=6, codec=codec, pix_fmt=pix_fmt, width=101, height=67 + 1)
        if pix_fmt not in ("yuv420p", "yuvj420p", "yuva420p")
        else films.make(tmp_path / f"film.{suffix}", frames=6, codec=codec, pix_fmt=pix_fmt, width=102, height=68)
    )
    assert [frame.hash for frame in all_frames(film)] == framehash(film)


def test_an_8_bit_hash_is_the_sha1_of_the_unpadded_planes(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=2, width=98, height=50)
    with av.open(str(film)) as container:
        first = next(container.decode(video=0))
        planes = b"".join(
            np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width].tobytes()
            for plane in first.planes
        )
    assert all_frames(film)[0].hash == hashlib.sha1(planes).hexdigest()


def test_8_bit_sources_travel_as_uint8_and_deeper_ones_as_uint16(tmp_path: Path) -> None:
    shallow = all_frames(films.make(tmp_path / "a.mp4", frames=1))[0].picture
    deep = all_frames(films.make(tmp_path / "b.mkv", frames=1, codec="ffv1", pix_fmt="yuv420p10le"))[0].picture
    assert shallow is not None
    assert deep is not None
    assert (shallow.dtype, deep.dtype) == (np.uint8, np.uint16)
    assert len(np.unique(deep)) > 300


def test_times_follow_the_pts_of_a_variable_rate_film(tmp_path: Path) -> None:
    pts = [0, 40, 45, 300, 1000]
    film = films.make(tmp_path / "vfr.mkv", frames=5, pts=pts, time_base=Fraction(1, 1000))
    assert [round(frame.time_s, 3) for frame in all_frames(film)] == [0.0, 0.04, 0.045, 0.3, 1.0]


def test_the_largest_stream_that_is_no_cover_is_chosen(tmp_path: Path) -> None:
    small = films.make(tmp_path / "small.mp4", frames=3, width=64, height=48)
    large = films.make(tmp_path / "large.mp4", frames=3, width=192, height=108)
    both = films.remux(small, tmp_path / "both.mkv", "-i", str(large), "-map", "0:v", "-map", "1:v", "-c", "copy")
    assert probe(both, CONFIG).stream_index == 1


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=3)
    cover = tmp_path / "cover.png"
    from PIL import Image

    Image.new("RGB", (640, 480), "red").save(cover)
    covered = films.remux(
        film, tmp_path / "covered.mp4",
        "-i", str(cover), "-map", "1", "-map", "0", "-c", "copy", "-disposition:v:0", "attached_pic",
    )  # fmt: skip
    info = probe(covered, CONFIG)
    assert (info.width, info.codec) == (192, "h264")


def test_a_rotated_film_gives_upright_pictures(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=3)
    turned = films.remux(film, tmp_path / "turned.mp4", "-c", "copy", before=["-display_rotation", "90"])
    picture = all_frames(turned)[0].picture
    assert picture is not None
    assert picture.shape == (192, 108, 3)


def test_known_frames_carry_no_picture(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=10)
    hashes = [frame.hash for frame in all_frames(film)]
    again = all_frames(film, known=hashes[:6])
    assert [frame.picture is None for frame in again] == [True] * 6 + [False] * 4


def test_a_stored_frame_that_differs_is_a_sign_of_damage(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=4)
    with pytest.raises(DamageError):
        all_frames(film, known=["0" * 40])


def test_wanted_frames_end_the_decode_early(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=50)
    info, report = probe(film, CONFIG), DecodeReport()
    found = list(decode_frames(info, CONFIG, report, single_thread=True, wanted=frozenset({3, 7})))
    assert [frame.index for frame in found] == [3, 7]
    assert report.frames < 50


def test_damage_stops_the_threads_and_the_single_thread_keeps_what_decodes(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.ts", frames=60, container="mpegts", options={"g": "10"})
    data = bytearray(film.read_bytes())
    rng = np.random.default_rng(3)
    for at in rng.integers(len(data) // 3, len(data), 200):
        data[at] ^= 0x55
    broken = tmp_path / "broken.ts"
    broken.write_bytes(data)
    with pytest.raises(DamageError):
        all_frames(broken)
    info, report = probe(broken, CONFIG), DecodeReport()
    first = [f.hash for f in decode_frames(info, CONFIG, report, single_thread=True)]
    assert report.damaged
    assert report.first_error
    assert len(first) > 20
    assert first == [f.hash for f in decode_frames(info, CONFIG, DecodeReport(), single_thread=True)]


def test_streams_that_appear_on_the_way_do_not_end_the_reading(tmp_path: Path) -> None:
    """As in a recording whose programme changes for a while: neither its beginning nor its end shows them."""
    film = films.make(tmp_path / "a.ts", frames=70, width=960, height=540, container="mpegts", options={"qp": "1"})
    sounds = [word for _ in range(6) for word in ("-f", "lavfi", "-i", "sine=duration=1")]
    maps = [word for number in range(7) for word in ("-map", str(number))]
    other = films.remux(film, tmp_path / "b.ts", *sounds, *maps, "-c:v", "copy", "-c:a", "mp2", "-shortest")
    path = tmp_path / "film.ts"
    path.write_bytes(film.read_bytes() + other.read_bytes() + film.read_bytes())
    with av.open(str(path)) as container:
        assert len(container.streams) == 1
    with av.open(str(other)) as container:
        alone = sum(packet.size > 0 for packet in container.demux(video=0))
    assert len(all_frames(path)) == 70 + alone + 70


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"only text\n" * 100, Kind.NOT_A_VIDEO),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n", Kind.NOT_A_VIDEO),
        (b"ffconcat version 1.0\nfile other.mp4\n", Kind.NOT_A_VIDEO),
        (b"\0" * 4096, Kind.NOT_A_VIDEO),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, kind: Kind) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        probe(path, CONFIG)
    assert caught.value.kind is kind


def test_a_film_without_its_index_is_refused(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=20)
    path = tmp_path / "cut.mp4"
    path.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with pytest.raises(VideoError) as caught:
        probe(path, CONFIG)
    assert caught.value.kind is Kind.NOT_A_VIDEO


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(VideoError) as caught:
        probe(path, CONFIG)
    assert caught.value.kind is Kind.NO_VIDEO_STREAM


def test_frames_larger_than_the_limit_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    film = films.make(tmp_path / "film.mp4", frames=2)
    with pytest.raises(VideoError) as caught:
        probe(film, DecodeConfig(max_pixels=4096))
    assert caught.value.kind is Kind.TOO_LARGE


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(VideoError) as caught:
        probe(tmp_path / "gone.mp4", CONFIG)
    assert caught.value.kind is Kind.MISSING


def test_a_change_of_size_in_mid_stream_is_followed_and_noted(tmp_path: Path) -> None:
    parts = [
        films.make(tmp_path / f"{width}.h264", frames=5, container="h264", width=width, height=width // 2)
        for width in (192, 128)
    ]
    film = tmp_path / "mixed.h264"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    info, report = probe(film, CONFIG), DecodeReport()
    shapes = [
        f.picture.shape[1] for f in decode_frames(info, CONFIG, report, single_thread=True) if f.picture is not None
    ]
    assert shapes == [192] * 5 + [128] * 5
    assert report.mixed
