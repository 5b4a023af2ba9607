"""The clips that ``stillwatch bench`` makes where it is given no film."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

MADE = (
    ("720p-h264-8", 1280, 720, 20, "yuv420p", "libx264", ("-preset", "veryfast", "-crf", "26")),
    ("1080p-h264-8", 1920, 1080, 20, "yuv420p", "libx264", ("-preset", "veryfast", "-crf", "26")),
    (
        "1080p-hevc-10",
        1920,
        1080,
        10,
        "yuv420p10le",
        "libx265",
        ("-preset", "ultrafast", "-x265-params", "log-level=1"),
    ),
    ("1080p-av1-8", 1920, 1080, 10, "yuv420p", "libsvtav1", ("-preset", "12", "-crf", "45")),
    ("4k-h264-8", 3840, 2160, 5, "yuv420p", "libx264", ("-preset", "veryfast", "-crf", "26")),
    ("4k-hevc-10", 3840, 2160, 5, "yuv420p10le", "libx265", ("-preset", "ultrafast", "-x265-params", "log-level=1")),
)
"""Name, size in pixels, seconds at 30 frames a second, pixel format, encoder and its settings."""


def made(binary: str, folder: Path) -> Iterator[Path]:
    """One clip after the other, each removed by whoever takes it; those that this FFmpeg cannot encode are left out."""
    known = subprocess.run(
        [binary, "-nostdin", "-hide_banner", "-encoders"],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    ).stdout.split()
    for name, width, height, seconds, pix_fmt, encoder, settings in MADE:
        if encoder not in known:
            continue
        clip = folder / f"{name}.mp4"
        # Moving test pictures with noise cost a decoder about what hand-held footage does.
        source = f"testsrc2=size={width}x{height}:rate=30:duration={seconds},noise=alls=12:allf=t"
        command = [binary, "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", source, "-c:v", encoder]
        command += [*settings, "-pix_fmt", pix_fmt, "-y", str(clip)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield clip
