"""Videos whose name says nothing of their content, raw streams and rows of pictures: read, and exported as proven."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image

from daemon.cli import verify
from daemon.config.schema import Config
from daemon.config.score import DecodeConfig
from daemon.decode.damage import DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.inbox import content
from daemon.service.foreground import once
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p")
MPEG2 = ("-c:v", "mpeg2video", "-pix_fmt", "yuv420p")
MJPEG = ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "3")

FORMS = {
    "MOV001.MOD": (*MPEG2, "-f", "vob"),
    "clip.m2t": (*X264, "-f", "mpegts"),
    "camera.m2ts.bak": (*X264, "-f", "mpegts", "-mpegts_m2ts_mode", "1"),
    "PXL.MP": (*X264, "-f", "mp4"),
    "film.divx": ("-c:v", "mpeg4", "-f", "avi"),
    "GS01.360": (*X265, "-f", "mp4"),
    "DJI.LRF": (*X264, "-f", "mov"),
    "burst.heics": (*X265, "-tag:v", "hvc1", "-brand", "hevc", "-f", "mp4"),
    "film.mk3d": (*X264, "-f", "matroska"),
    "noext": (*X264, "-f", "matroska"),
    "raw264": (*X264, "-f", "h264"),
    "raw265": (*X265, "-f", "hevc"),
    "rawmpeg2": (*MPEG2, "-f", "mpeg2video"),
    "rawmpeg4": ("-c:v", "mpeg4", "-f", "m4v"),
    "frames.y4m.old": ("-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p"),
    "camera.stream": (*MJPEG, "-f", "mpjpeg"),
    "camera.mjpg": (*MJPEG, "-f", "mpjpeg"),
    "pictures": (*MJPEG, "-f", "mjpeg"),
}


def made(path: Path, *options: str, frames: int = 12) -> Path:
    source = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-frames:v", str(frames))
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *source, *options, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return path


@pytest.mark.usefixtures("stub_scorer")
@pytest.mark.parametrize("name", FORMS)
async def test_every_frame_is_read_and_stills_are_proven(tmp_path: Path, name: str) -> None:
    film = made(tmp_path / name, *FORMS[name])
    config = Config.model_validate(
        {
            "output": {"path": tmp_path / "out"},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": 2, "min_gap_seconds": 0},
        }
    )
    (record,), _ = await once(config, [film])
    assert (record.status.value, record.error, record.frames_decoded) == ("done", None, 12)
    verdicts = list(verify.verify(verify.find_stills([tmp_path / "out"]), config.decode))
    assert [verdict.reason for verdict in verdicts] == ["", ""]


@pytest.mark.parametrize("name", [name for name in FORMS if name != "pictures"])
def test_its_first_4_kib_tell_that_it_may_be_a_video(tmp_path: Path, name: str) -> None:
    assert content.look(made(tmp_path / name, *FORMS[name])).video


@pytest.mark.usefixtures("stub_scorer")
@pytest.mark.parametrize(("name", "form"), [("PXL_1.MP.jpg", "mp4"), ("MVIMG_2, a.jpg", "mov"), ("IMG.jpg", "3gp")])
async def test_the_film_of_a_motion_photo_is_read_and_proven(tmp_path: Path, name: str, form: str) -> None:
    photo = made(tmp_path / "photo.jpg", *MJPEG, "-f", "mjpeg", frames=1).read_bytes()
    sign = b'<x:xmpmeta GCamera:MotionPhoto="1"/>'
    app1 = b"\xff\xe1" + (len(sign) + 2).to_bytes(2, "big") + sign
    film = made(tmp_path / f"film.{form}", *X264, "-f", form).read_bytes()
    path = tmp_path / name
    path.write_bytes(photo[:2] + app1 + photo[2:] + film)
    assert content.look(path).video
    config = Config.model_validate(
        {
            "output": {"path": tmp_path / "out"},
            "database": {"path": tmp_path / "db.sqlite"},
            "select": {"strategy": "best", "count": 2, "min_gap_seconds": 0},
        }
    )
    (record,), _ = await once(config, [path])
    assert (record.status.value, record.error, record.frames_decoded) == ("done", None, 12)
    assert record.info is not None
    assert record.info.offset_bytes == path.stat().st_size - len(film)
    verdicts = list(verify.verify(verify.find_stills([tmp_path / "out"]), config.decode))
    assert [verdict.reason for verdict in verdicts] == ["", ""]


def test_a_photo_with_another_picture_behind_it_is_no_film(tmp_path: Path) -> None:
    """Phones append a gain map or a preview."""
    photo = made(tmp_path / "photo.jpg", *MJPEG, "-f", "mjpeg", frames=1)
    photo.write_bytes(photo.read_bytes() * 2)
    with pytest.raises(VideoError) as caught:
        probe(photo, DecodeConfig())
    assert caught.value.kind is Kind.NOT_A_VIDEO


def test_a_multipart_stream_that_ends_within_a_picture_keeps_the_others(tmp_path: Path) -> None:
    film = made(tmp_path / "camera.mjpeg", *MJPEG, "-f", "mpjpeg")
    film.write_bytes(film.read_bytes()[:-1500])
    info = probe(film, DecodeConfig())
    frames = list(decode_frames(info, DecodeConfig(), DecodeReport(), single_thread=True))
    assert len(frames) >= 11


def test_the_last_line_of_a_multipart_stream_is_no_damage(tmp_path: Path) -> None:
    film = made(tmp_path / "camera.mjpeg", *MJPEG, "-f", "mpjpeg")
    assert film.read_bytes().rstrip().endswith(b"--ffmpeg")
    report = DecodeReport()
    frames = list(decode_frames(probe(film, DecodeConfig()), DecodeConfig(), report, single_thread=False))
    assert (len(frames), report.summary()) == (12, None)


@pytest.mark.parametrize("name", ["picture.mp4", "sound.mkv", "photo.ts"])
def test_what_is_no_video_is_refused_in_plain_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "sound.mkv":
        sound = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", "-f", "mp3"]
        subprocess.run([*sound, str(path)], check=True)
    else:
        Image.new("RGB", (64, 48), "green").save(path, "PNG" if name == "picture.mp4" else "JPEG")
    with pytest.raises(VideoError) as caught:
        probe(path, DecodeConfig())
    assert caught.value.kind is Kind.NOT_A_VIDEO
    assert "argument" not in str(caught.value).lower()
    assert "a single picture, sound alone" in str(caught.value)


def test_an_animated_webp_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sticker.webp"
    pictures = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40)
    with pytest.raises(VideoError) as caught:
        probe(path, DecodeConfig())
    assert caught.value.kind is Kind.NO_DECODER
    assert "an animated WebP" in str(caught.value)
