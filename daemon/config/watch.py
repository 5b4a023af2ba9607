"""The section `watch`: where videos arrive and when one is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from daemon.config.preset import checked
from daemon.config.section import Section

VIDEO_EXTENSIONS = [
    *("mp4", "m4v", "m4s", "mov", "qt", "mkv", "webm", "avi", "mpg", "mpeg", "mpe", "m2v", "mp2v", "vob"),
    *("ts", "m2ts", "mts", "mxf", "wmv", "asf", "flv", "f4v", "ogv", "ogg", "ogm", "3gp", "3g2", "gif"),
    *("apng", "mjpeg", "mjpg", "mj2", "h264", "264", "avc", "h265", "265", "hevc", "vvc", "266", "av1"),
    *("ivf", "obu", "y4m", "nut", "dv", "rm", "rmvb", "wtv", "gxf", "insv", "lrv"),
]


EXCLUDED_NAMES = [
    ".*",
    "~*",
    "*~",
    "*.part",
    "*.partial",
    "*.tmp",
    "*.temp",
    "*.crdownload",
    "*.download",
    "*.opdownload",
    "*.filepart",
    "*.!qB",
    "*.aria2",
    "*.ytdl",
    "*.part-Frag*",
    "*.!ut",
    "*.bc!",
    "*.!bt",
    "*.az!",
    "*.!sync",
    "*.fdmdownload",
    "*_.gstmp",
    "*.mp4_part",
    "_UNPACK_*",
    "unmanic_file_conversion-*",
    "tdarr-workDir*",
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
]

IN_PROGRESS_NAMES = [
    "*.temp",
    "*.tmp",
    "*.part",
    "*.partial",
    "*.inprogress",
    "*.f[0-9][0-9]",
    "*.f[0-9][0-9][0-9]",
    "*.f[0-9][0-9]-*",
    "*.f[0-9][0-9][0-9]-*",
    "*.fhls-*",
    "*.fdash-*",
    "*.fhttp-*",
    "*-TdarrCacheFile-*",
    "*-WORKING-[0-9]*-[0-9]*",
]
"""yt-dlp's single formats and its merge, VidCoder, scripts around FFmpeg; Tdarr's and Unmanic's caches."""

UNFINISHED_FACTOR = 12.0


class WatchConfig(Section):
    """Where videos arrive and when one is taken."""

    path: Path = Field(Path("inbox"), description="folder to watch")
    recursive: bool = Field(True, description="watch its subfolders too")
    mode: Literal["auto", "native", "polling"] = Field(
        "auto",
        description="native: kernel events; polling: for network shares; auto: by file system",
    )
    settle_seconds: float = Field(
        5.0,
        ge=0.0,
        le=3600.0,
        description="a file is taken when its size and mtime have not changed for this many seconds",
    )
    ready: Literal["auto", "settled", "marker"] = Field(
        "auto",
        description="auto: a settled file waits while it is open for writing or shows that it is unfinished; settled:"
        " it does not; marker: it also waits for its marker",
    )
    marker: str = Field(
        "{name}.done",
        description="name of the file beside a video that says it is finished; {name}: the video's, {stem}: without its"
        " ending",
    )
    unfinished_seconds: float | None = Field(
        None,
        ge=0.0,
        le=86400.0,
        description="what looks unfinished is taken after this long without a change, as its writer may have died;"
        " so is what shows nothing where its writers cannot be seen; null: 12 times settle_seconds",
    )
    rescan_seconds: float = Field(
        60.0,
        ge=0.1,
        le=86400.0,
        description="seconds between two listings of the folder, which find what events have missed",
    )
    extensions: list[str] = Field(VIDEO_EXTENSIONS, description="names that are taken for videos, by their ending")
    other_endings: Literal["auto", "probe", "ignore"] = Field(
        "auto",
        description="probe: files by other endings are taken if their first 4 KiB are a video's; ignore: they are not;"
        " auto: probe unless extensions is changed",
    )
    companions: Literal["link", "take"] = Field(
        "link",
        description="link: a camera's small copy or thumbnail (.LRV, .LRF, .THM) of a film that is there is not taken",
    )
    exclude: list[str] = Field(EXCLUDED_NAMES, description="file and folder names that are left alone (shell patterns)")
    in_progress: list[str] = Field(
        IN_PROGRESS_NAMES,
        description="names, without their ending, of videos that are still made: left alone (shell patterns)",
    )
    copies: bool = Field(False, description="score a copy under another name too, instead of noting it as a duplicate")
    follow_outside: bool = Field(False, description="take symbolic links that lead out of the folder")
    presets: dict[str, str] = Field(
        {}, description="by subfolder, the preset for its films, such as {scans: photogrammetry}; see `presets`"
    )
    after: Literal["keep", "move", "delete"] = Field(
        "keep", description="what becomes of a video in the folder once its stills are proven and published"
    )
    after_path: Path | None = Field(None, description="folder that watch.after: move moves to, outside of watch.path")

    @property
    def unfinished_s(self) -> float:
        """``unfinished_seconds`` with its default."""
        return UNFINISHED_FACTOR * self.settle_seconds if self.unfinished_seconds is None else self.unfinished_seconds

    def bounds(self, film: Path) -> Path | None:
        """The folder of ours that a film lies in and no link may lead out of; None where there is none."""
        ours = () if self.follow_outside else (self.path, *filter(None, [self.after_path]))
        return next((folder for folder in ours if film.is_relative_to(folder)), None)

    @field_validator("presets")
    @classmethod
    def _presets_are_known(cls, presets: dict[str, str]) -> dict[str, str]:
        return checked(presets)

    @field_validator("marker")
    @classmethod
    def _marker_is_a_name(cls, marker: str) -> str:
        if "/" in marker or not ("{name}" in marker or "{stem}" in marker) or marker == "{name}":
            raise ValueError("it must be a name with {name} or {stem} in it, and not the video's own")
        return marker
