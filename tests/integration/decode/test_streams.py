"""Which stream of a file is its film: by real files of each kind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from daemon.config.schema import Config
from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.model import VideoInfo

CONFIG = DecodeConfig()
KEYS = ("76a6c65c5ea762046bd749a2e632ccbb", "a7e61c373e219033c21091fa607bf3b8")
H264 = ("-c:v", "libx264", "-preset", "ultrafast")


def ffmpeg(*arguments: str | Path) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def film(path: Path, frames: int, width: int = 192, height: int = 108, *encoder: str) -> Path:
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r=25", "-frames:v", str(frames), *(encoder or H264), path)
    return path


def together(target: Path, first: Path, second: Path, *options: str) -> Path:
    ffmpeg("-i", first, "-i", second, "-map", "0:v", "-map", "1:v", "-c", "copy", *options, target)
    return target


def frames_of(path: Path, config: DecodeConfig = CONFIG) -> tuple[VideoInfo, int]:
    info = probe(path, config)
    return info, sum(1 for _ in decode_frames(info, config, DecodeReport(), single_thread=True))


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "ts"])
def test_a_larger_track_of_few_frames_is_not_the_film(tmp_path: Path, container: str) -> None:
    """Motion photos of some phones; MKV and TS say no number of frames, so packets are counted."""
    main, burst = film(tmp_path / "main.mp4", 45), film(tmp_path / "burst.mp4", 3, 512, 384)
    both = together(tmp_path / f"both.{container}", main, burst, "-disposition:v:0", "default", "-disposition:v:1", "0")
    info, frames = frames_of(both)
    assert (info.stream_index, frames, info.width) == (0, 45, 192)
    assert "stream 1 (h264 512x384" in info.stream_reason


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_short_preview_before_the_film_is_not_the_film_though_it_is_the_default(
    tmp_path: Path, container: str
) -> None:
    preview, main = film(tmp_path / "preview.mp4", 10), film(tmp_path / "main.mp4", 40)
    both = together(
        tmp_path / f"both.{container}", preview, main, "-disposition:v:0", "default", "-disposition:v:1", "0"
    )
    info, frames = frames_of(both)
    assert (info.stream_index, frames) == (1, 40)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_of_two_as_long_the_default_one_is_the_film(tmp_path: Path, container: str) -> None:
    small, large = film(tmp_path / "small.mp4", 20), film(tmp_path / "large.mp4", 20, 320, 240)
    both = together(
        tmp_path / f"both.{container}", small, large, "-disposition:v:0", "default", "-disposition:v:1", "0"
    )
    info = probe(both, CONFIG)
    assert info.stream_index == 0
    assert "it is marked as the default" in info.stream_reason


def test_of_two_angles_alike_the_one_of_much_higher_bit_rate_is_the_film(tmp_path: Path) -> None:
    proxy = film(tmp_path / "proxy.mp4", 20, 192, 108, *H264, "-qp", "50")
    main = film(tmp_path / "main.mp4", 20, 192, 108, *H264, "-qp", "10")
    info = probe(together(tmp_path / "angles.ts", proxy, main), CONFIG)
    assert info.stream_index == 1
    assert "bit rate" in info.stream_reason


def test_a_still_picture_of_higher_resolution_beside_the_film_is_not_the_film(tmp_path: Path) -> None:
    still = film(tmp_path / "still.mp4", 1, 640, 480)
    main = film(tmp_path / "main.mp4", 30)
    for target in ("both.mp4", "both.mkv"):
        info, frames = frames_of(together(tmp_path / target, still, main))
        assert (info.stream_index, frames) == (1, 30)


def test_an_animation_is_taken_before_its_still_item(tmp_path: Path) -> None:
    """AVIF sequences carry a picture for programs that show no film."""
    moving = film(tmp_path / "moving.avif", 6, 64, 64, "-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime")
    info, frames = frames_of(moving)
    assert frames == 6
    assert len(info.streams) == 2


def test_a_sequence_of_heic_pictures_is_a_film(tmp_path: Path) -> None:
    """As phones write bursts: the track is one of pictures, not of video."""
    hevc = ("-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1", "-brand", "hevc")
    path = film(tmp_path / "burst.mp4", 12, 64, 64, *hevc)
    handler = b"hdlr" + bytes(8)
    content = path.read_bytes()
    assert content.count(handler + b"vide") == 1
    burst = tmp_path / "burst.heic"
    burst.write_bytes(content.replace(handler + b"vide", handler + b"pict"))
    info, frames = frames_of(burst)
    assert (info.codec, frames) == ("hevc", 12)


def test_of_two_programmes_one_is_taken_and_the_other_named(tmp_path: Path) -> None:
    first, second = film(tmp_path / "a.mp4", 20), film(tmp_path / "b.mp4", 20, 320, 240)
    both = together(tmp_path / "both.ts", first, second, "-program", "title=News:st=0", "-program", "title=Film:st=1")
    info = probe(both, CONFIG)
    assert info.stream_index == 1
    assert "programme 1 News" in info.stream_reason


def test_a_stream_can_be_asked_for_by_number_or_language(tmp_path: Path) -> None:
    tags = ("-metadata:s:v:0", "language=eng", "-metadata:s:v:1", "language=ger")
    both = together(tmp_path / "both.mkv", film(tmp_path / "a.mp4", 20), film(tmp_path / "b.mp4", 10), *tags)
    indices = {
        wanted: probe(both, DecodeConfig(stream=wanted)).stream_index for wanted in ("auto", "1", "deu", "ger", "fra")
    }
    assert indices == {"auto": 0, "1": 1, "deu": 1, "ger": 1, "fra": 0}
    assert probe(both, DecodeConfig(stream="fra")).stream_reason.startswith("no stream is in fra")
    assert DecodeConfig.model_validate({"stream": 1}).stream == "1"
    with pytest.raises(VideoError, match=r"there is no stream 7 in the file.*stream 0 .h264") as caught:
        probe(both, DecodeConfig(stream="7"))
    assert caught.value.kind is Kind.NO_VIDEO_STREAM


def test_sound_is_no_video_stream(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64", "-f", "lavfi", "-i", "sine", "-t", "1", *H264, path)
    with pytest.raises(VideoError, match="audio, not video, is stream 1"):
        probe(path, DecodeConfig(stream="1"))
    assert [stream.kind for stream in probe(path, CONFIG).streams] == ["video", "audio"]


def test_the_tag_of_bought_films_is_named(tmp_path: Path) -> None:
    path = film(tmp_path / "film.m4v", 5)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"drmi"))
    with pytest.raises(VideoError, match="protected: stream 0 has the codec tag drmi") as caught:
        probe(path, CONFIG)
    assert caught.value.kind is Kind.PROTECTED


def test_common_encryption_without_keys_is_protected(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    keys = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", KEYS[0], "-encryption_kid", KEYS[1])
    film(path, 10, 192, 108, *H264, *keys)
    fragmented = tmp_path / "fragmented.mp4"
    film(fragmented, 10, 192, 108, *H264, *keys, "-movflags", "frag_keyframe+empty_moov+default_base_moof")
    for one in (path, fragmented):
        with pytest.raises(VideoError, match="protected: stream 0 has encrypted samples") as caught:
            probe(one, CONFIG)
        assert caught.value.kind is Kind.PROTECTED


@pytest.mark.parametrize(("container", "tag"), [("avi", b"H264"), ("mov", b"avc1")])
def test_a_codec_that_nobody_decodes_is_named(tmp_path: Path, container: str, tag: bytes) -> None:
    path = film(tmp_path / f"film.{container}", 5)
    path.write_bytes(path.read_bytes().replace(tag, b"QZ9Z"))
    with pytest.raises(VideoError, match="no decoder in this FFmpeg for stream 0, codec QZ9Z") as caught:
        probe(path, CONFIG)
    assert caught.value.kind is Kind.NO_DECODER


def test_a_codec_of_matroska_that_nobody_knows_is_named(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", 5)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/QZ9"))
    with pytest.raises(VideoError, match="no decoder in this FFmpeg for stream 0, codec V_MPEG9/ISO/QZ9:") as caught:
        probe(path, CONFIG)
    assert caught.value.kind is Kind.NO_DECODER


@pytest.mark.parametrize(("name", "size", "pid"), [("film.ts", 188, 0x100), ("film.m2ts", 192, 0x1011)])
def test_a_scrambled_broadcast_is_protected(tmp_path: Path, name: str, size: int, pid: int) -> None:
    path = film(tmp_path / name, 30, 192, 108, *H264)
    content = bytearray(path.read_bytes())
    noise = np.random.default_rng(1)
    for at in range(size - 188, len(content), size):
        if int.from_bytes(content[at + 1 : at + 3], "big") & 0x1FFF == pid:
            start = at + 5 + content[at + 4] if content[at + 3] & 0x20 else at + 4
            content[at + 3] |= 0x80
            content[start : at + 188] = noise.bytes(max(at + 188 - start, 0))
    path.write_bytes(content)
    with pytest.raises(VideoError, match="protected: stream 0 has scrambled packets") as caught:
        probe(path, CONFIG)
    assert caught.value.kind is Kind.PROTECTED


def test_a_stream_that_nobody_decodes_gives_way_and_is_named(tmp_path: Path) -> None:
    path = together(tmp_path / "film.avi", film(tmp_path / "a.avi", 9), film(tmp_path / "b.mp4", 5))
    content = path.read_bytes()
    at = content.index(b"H264")
    path.write_bytes(content[:at] + b"QZ9Z" + content[at + 4 :].replace(b"H264", b"QZ9Z", 1))
    info = probe(path, CONFIG)
    assert info.stream_index == 1
    assert "QZ9Z" in info.stream_reason


def test_the_configuration_refuses_what_is_neither_number_nor_language() -> None:
    for wanted in ("best", "-1", "1.5", ""):
        with pytest.raises(ValueError, match="stream"):
            Config.model_validate({"decode": {"stream": wanted}})
