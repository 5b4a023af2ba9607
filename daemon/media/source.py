"""How a source file is named to FFmpeg's libraries and to its command line, and which demuxers may read it."""

from __future__ import annotations

import os
from pathlib import Path

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,flv,live_flv,asf,ogg,gif,apng,"
    "h264,hevc,vvc,av1,obu,ivf,mjpeg,mpjpeg,smjpeg,mjpeg_2000,m4v,vc1,mxf,nut,dv,yuv4mpegpipe,rm,gxf,wtv,h263,h261,dirac,"
    "cavsvideo,avs,avs2,avs3,smk,bink,roq,webp,webp_anim,dhav,pva,nuv,nsv"
)
"""Demuxers that read one file and open no other (no playlists, no concat, no device, no image series)."""


def source_url(path: Path, offset_bytes: int = 0) -> str:
    """The path in a form that no protocol, option or pattern syntax can hijack.

    With ``offset_bytes`` the film is what follows them in the file, to its end.
    """
    url = "file:" + os.path.abspath(path)
    return f"subfile,,start,{offset_bytes},end,0,,:{url}" if offset_bytes else url


def protocols(offset_bytes: int = 0) -> str:
    """The protocols that FFmpeg needs for ``source_url``, as its whitelist."""
    return "file,subfile" if offset_bytes else "file"
