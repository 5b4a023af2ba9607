"""Files that are no videos but want something: to be opened they need other files, the network, or all the memory."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import resource
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from daemon.config.schema import Config
from daemon.config.score import DecodeConfig
from daemon.decode.probe import probe
from daemon.errors import Kind, VideoError
from daemon.export import ffmpeg_arguments, ffmpeg_process
from daemon.export.image_format import ImageFormat
from daemon.model import Status
from daemon.service.foreground import once
from tests import corpus, films
from tests.stub import stub_scorer

__all__ = ["stub_scorer"]

DECODE = DecodeConfig()
IN_OPEN_OR_ACCESS = 0x20 | 0x01
SUFFIXES = (".mp4", ".mkv", ".mov")


class Trap:
    """A real film that nobody may open, and a port that nobody may call."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._watch = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._libc.inotify_add_watch(self._watch, os.fsencode(canary), IN_OPEN_OR_ACCESS) >= 0
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]

    def opened(self) -> bool:
        try:
            return bool(os.read(self._watch, 4096))
        except BlockingIOError:
            return False

    def called(self) -> bool:
        try:
            self._listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self._watch)
        self._listener.close()


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    folder = tmp_path / "secret"
    folder.mkdir()
    trap = Trap(films.make(folder / "canary.ts", frames=5, container="mpegts"))
    yield trap
    trap.close()


def scripts(trap: Trap) -> dict[str, str]:
    """Texts that FFmpeg or some player follows to other places."""
    file, web = trap.canary, f"http://127.0.0.1:{trap.port}/canary.ts"
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    hls = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    period = (
        '<Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
        '<SegmentList><SegmentURL media="{}"/></SegmentList></Representation></AdaptationSet></Period></MPD>'
    )
    mpd = head + '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S">'
    return {
        "hls-file": f"{hls}#EXTINF:0.2,\n{file}\n#EXT-X-ENDLIST\n",
        "hls-file-url": f"{hls}#EXTINF:0.2,\nfile://{file}\n#EXT-X-ENDLIST\n",
        "hls-relative": f"{hls}#EXTINF:0.2,\nsecret/canary.ts\n#EXT-X-ENDLIST\n",
        "hls-web": f"{hls}#EXTINF:0.2,\n{web}\n#EXT-X-ENDLIST\n",
        "hls-key": f'{hls}#EXT-X-KEY:METHOD=AES-128,URI="{web}"\n#EXTINF:0.2,\n{file}\n#EXT-X-ENDLIST\n',
        "hls-map": f'{hls}#EXT-X-MAP:URI="file://{file}"\n#EXTINF:0.2,\n{web}\n#EXT-X-ENDLIST\n',
        "hls-master": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{web}\n",
        "dash-file": mpd + period.format(f"file://{file}", ""),
        "dash-web": mpd + period.format(web, web),
        "concat-file": f"ffconcat version 1.0\nfile '{file}'\n",
        "concat-relative": "ffconcat version 1.0\nfile secret/canary.ts\n",
        "concat-web": f"ffconcat version 1.0\nfile '{web}'\n",
        "smil": f'<smil><head/><body><switch><video src="{web}"/><video src="{file}"/></switch></body></smil>',
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {trap.port} RTP/AVP/TCP 96\n"
        f"a=rtpmap:96 H264/90000\na=control:rtsp://127.0.0.1:{trap.port}/x\n",
        "xspf": f'{head}<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track><location>{web}'
        "</location></track></trackList></playlist>",
        "asx": f'<asx version="3.0"><entry><ref href="{web}"/></entry></asx>',
        "asf-reference": f"[Reference]\r\nRef1={web}\r\nRef2={file}\r\n",
        "rtsp-text": f"RTSPtextrtsp://127.0.0.1:{trap.port}/x\r\n",
        "imf": f'{head}<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>{file}</Id>'
        "</CompositionPlaylist>",
        "avisynth": f'DirectShowSource("{file}")\n',
        "vapoursynth": f"import vapoursynth\nopen({str(file)!r})\n",
        "lavfi": f"movie={file}\n",
    }


def settings(tmp_path: Path, **sections: dict[str, object]) -> Config:
    base: dict[str, dict[str, object]] = {
        "output": {"path": tmp_path / "out"},
        "database": {"path": tmp_path / "db.sqlite"},
    }
    return Config(**{**base, **sections})


async def test_the_trap_works(trap: Trap, tmp_path: Path) -> None:
    """What the whitelists hold off: a bare FFmpeg follows a playlist."""
    script = tmp_path / "list.ffconcat"
    script.write_text(scripts(trap)["concat-file"])
    bare = [films.ffmpeg_binaries()[-1], "-v", "quiet", "-safe", "0", "-i", str(script), "-f", "null", "-"]
    assert not trap.opened()
    subprocess.run(bare, check=True)
    assert trap.opened()
    assert not trap.called()
    web = [films.ffmpeg_binaries()[-1], "-v", "quiet", "-rw_timeout", "200000", "-i", f"http://127.0.0.1:{trap.port}/x"]
    child = subprocess.Popen(web)
    await asyncio.sleep(0.15)
    child.kill()
    child.wait()
    assert trap.called()


@pytest.mark.usefixtures("stub_scorer")
async def test_playlists_and_scripts_are_rejected_and_open_nothing(trap: Trap, tmp_path: Path) -> None:
    paths = []
    for name, text in scripts(trap).items():
        for suffix in (*SUFFIXES, "." + name.split("-")[0]):
            paths.append(tmp_path / f"{name}{suffix}")
            paths[-1].write_text(text + f"# {suffix}\n")
    records, _ = await once(settings(tmp_path), paths)
    assert {record.status for record in records} == {Status.REJECTED}
    assert {record.error_kind for record in records} == {Kind.NOT_A_VIDEO}
    assert all(record.error for record in records)
    assert not trap.opened()
    assert not trap.called()
    assert list((tmp_path / "out").iterdir()) == []


async def test_the_export_s_command_line_opens_nothing_either(trap: Trap, tmp_path: Path, ffmpeg_binary: str) -> None:
    info = probe(trap.canary, DECODE)
    assert trap.opened()
    capabilities = await ffmpeg_process.probe_binary(ffmpeg_binary)
    for name, text in scripts(trap).items():
        path = tmp_path / f"{name}.mp4"
        path.write_text(text)
        hostile = replace(info, path=path)
        image = ImageFormat("png", 8)
        arguments, _ = ffmpeg_arguments.export_arguments(capabilities, hostile, [0], image, hwaccel="none")
        ended = await ffmpeg_process.run(capabilities, arguments, tmp_path, 30.0)
        assert ended.code != 0, name
        assert not trap.opened(), name
        assert not trap.called(), name


def boxed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def with_outside_data(data: bytes, target: Path) -> bytes:
    """A QuickTime file whose track says that its samples are in another file (an alias record)."""
    name = os.fsencode(target)
    alias = bytes(10) + b"\x04disk" + bytes(23) + bytes(12) + b"\x09canary.ts" + bytes(54) + bytes(16)
    alias += struct.pack(">HH", 1, 2) + bytes(16) + struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2)
    alias += struct.pack(">Hh", 0xFFFF, 0)
    dref = boxed(b"dref", struct.pack(">II", 0, 1) + boxed(b"alis", bytes(4) + alias))

    def walk(part: bytes) -> bytes:
        out = b""
        while part:
            (size,) = struct.unpack_from(">I", part)
            kind, body = part[4:8], part[8:size]
            if kind == b"dref":
                out += dref
            elif kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                out += boxed(kind, walk(body))
            else:
                out += part[:size]
            part = part[size:]
        return out

    return walk(data)


@pytest.mark.usefixtures("stub_scorer")
async def test_a_movie_whose_data_lie_in_another_file_opens_nothing(trap: Trap, tmp_path: Path) -> None:
    film = films.make(tmp_path / "plain.mov", frames=5)
    paths = []
    for suffix in SUFFIXES:
        paths.append(tmp_path / f"outside{suffix}")
        paths[-1].write_bytes(with_outside_data(film.read_bytes(), trap.canary) + boxed(b"free", suffix.encode()))
    # What an FFmpeg does that was told to follow them.
    bare = [films.ffmpeg_binaries()[-1], "-v", "quiet", "-enable_drefs", "1", "-i", str(paths[0]), "-f", "null", "-"]
    subprocess.run(bare, check=False)
    assert trap.opened()
    records, _ = await once(settings(tmp_path), paths)
    assert not trap.opened()
    assert {record.status for record in records} == {Status.REJECTED}


@pytest.mark.usefixtures("stub_scorer")
async def test_a_pattern_in_a_name_is_only_a_name(trap: Trap, tmp_path: Path) -> None:
    """What a pattern would reach lies beside it; none of it is read."""
    image = tmp_path / "one.png"
    Image.new("RGB", (64, 64), "red").save(image)
    for beside in ("shot001.png", "shot001.mp4", "a.png"):
        (tmp_path / beside).symlink_to(trap.canary)
    paths = [tmp_path / name for name in ("shot%03d.png", "shot%03d.mp4", "*.png")]
    for path in paths:
        path.write_bytes(image.read_bytes() + path.name.encode())
    records, _ = await once(settings(tmp_path), paths)
    assert {record.status for record in records} == {Status.REJECTED}
    assert not trap.opened()


@pytest.mark.usefixtures("stub_scorer")
async def test_a_protocol_in_a_name_is_only_a_name(trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("concat:secret|x.mp4", "subfile,,start,0,end,9,,:x.mp4", "pipe:0", "http:x.mp4", "data:x.mp4", "fd:0")
    paths = [
        films.make(Path("./film.mp4"), numbers=range(number, number + 3)).rename(name)
        for number, name in enumerate(names)
    ]
    gone = [Path(f"concat:{trap.canary}|x.mp4"), Path(f"http://127.0.0.1:{trap.port}/canary.ts")]
    records, _ = await once(settings(tmp_path), [*paths, *gone])
    assert [record.status for record in records[: len(paths)]] == [Status.DONE] * len(paths), [r.error for r in records]
    assert {record.error_kind for record in records[len(paths) :]} == {Kind.MISSING}
    assert not trap.opened()
    assert not trap.called()


def test_a_nul_in_a_name_is_refused() -> None:
    with pytest.raises(VideoError) as caught:
        probe(Path("film.mp4\0.txt"), DECODE)
    assert caught.value.kind is Kind.UNSAFE_NAME


SIDE = 16_200


def png_bomb(folder: Path) -> Path:
    """A small film whose one PNG says that it is 16,200 pixels wide and high; the container says 64."""
    film = corpus.encode(folder / "bomb.mkv", "-c:v", "png", "-pix_fmt", "rgb24", numbers=[1], width=64, height=64)
    data = film.read_bytes()
    at = data.index(b"IHDR")
    header = b"IHDR" + struct.pack(">II", SIDE, SIDE) + data[at + 12 : at + 17]
    film.write_bytes(data[:at] + header + struct.pack(">I", zlib.crc32(header)) + data[at + 21 :])
    return film


def honest_bomb(folder: Path) -> Path:
    """Really as large as it says: cheap to store, dear to decode."""
    return corpus.lavfi(folder / "bomb.mkv", f"color=gray:s={SIDE}x{SIDE}:d=0.04", "-pix_fmt", "gray", "-c:v", "png")


def wide_bomb(folder: Path) -> Path:
    """Small frames with pixels so narrow that they grow when they are made square."""
    return corpus.encode(folder / "bomb.mkv", *corpus.X264, "-vf", "scale=4000:3000,setsar=1/10", numbers=[1])


@pytest.mark.parametrize(("bomb", "limit"), [(png_bomb, None), (honest_bomb, None), (wide_bomb, 16_000_000)])
def test_a_frame_that_is_too_large_costs_no_memory(bomb: corpus.Build, limit: int | None, tmp_path: Path) -> None:
    film = bomb(tmp_path)
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom daemon.decode.probe import probe\n"
        "from daemon.config.score import DecodeConfig\nfrom daemon.errors import VideoError\n"
        "from daemon.runtime.memory import peak_bytes\n"
        "config = DecodeConfig(**({'max_pixels': int(sys.argv[2])} if sys.argv[2] else {}))\n"
        "before = peak_bytes(os.getpid())\n"
        "try:\n    probe(Path(sys.argv[1]), config)\n    print('taken')\n"
        "except VideoError as error:\n    print(error.kind.value)\n"
        "print((peak_bytes(os.getpid()) - before) // 1024**2)\n"
    )
    run = [sys.executable, "-c", code, str(film), str(limit or "")]
    printed = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    kind, grown = printed.stdout.split()
    assert kind == Kind.TOO_LARGE
    assert int(grown) < 150


async def test_the_ffmpeg_child_runs_with_limits(tmp_path: Path) -> None:
    child = tmp_path / "ffmpeg"
    child.write_text("#!/bin/sh\nsleep 0.2\ncat /proc/$$/limits >&2\n")
    child.chmod(0o755)
    capabilities = ffmpeg_arguments.Capabilities(
        str(child), "1", apply_cropping=False, script_option="-/filter_complex"
    )
    ended = await ffmpeg_process.run(capabilities, [], tmp_path, 20.0)
    limits = dict(re.findall(r"Max (address space|core file size|cpu time) +(\S+)", ended.message))
    assert limits["address space"] == str(ffmpeg_process.MEMORY_BYTES)
    assert limits["core file size"] == "0"
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != ffmpeg_process.MEMORY_BYTES
