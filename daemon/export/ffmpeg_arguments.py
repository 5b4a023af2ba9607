"""FFmpeg's arguments, built as plain data: which frames, as what, beside which hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.export.image_format import ImageFormat
from daemon.media import filters as picture
from daemon.media.source import DEMUXERS, protocols, source_url
from daemon.model import VideoInfo

ARGUMENT_LIMIT_BYTES = 60_000
"""A filter graph longer than this goes into a script file; one argument may hold 128 KiB on Linux."""

HASHES = "hashes.txt"
SCRIPT = "graph.txt"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the FFmpeg binary understands; found by asking it, see ``ffmpeg_process.probe_binary``."""

    binary: str
    version: str
    apply_cropping: bool
    script_option: str


def select_expression(ordinals: Sequence[int]) -> str:
    """A ``select`` expression that is true for these frame numbers.

    A balanced tree of comparisons, so its cost grows with the logarithm of their number: long sums
    of ``eq`` terms fail in FFmpeg. ``ordinals`` must be ascending, unique and not empty.

    >>> select_expression([4, 9, 11])
    'if(lt(n,9),eq(n,4),if(lt(n,11),eq(n,9),eq(n,11)))'
    """
    if len(ordinals) == 1:
        return f"eq(n,{ordinals[0]})"
    middle = len(ordinals) // 2
    left, right = select_expression(ordinals[:middle]), select_expression(ordinals[middle:])
    return f"if(lt(n,{ordinals[middle]}),{left},{right})"


def filter_graph(info: VideoInfo, ordinals: Sequence[int], image: ImageFormat, *, hardware: bool) -> str:
    """Select by number, then one branch as pictures and one as native planes for the hash sidecar.

    ``settb`` and ``setpts`` make the presentation time the ordinal, which names files and hashes.
    """
    native = f",format={info.pix_fmt}" if hardware else ""
    return (
        f"[0:{info.stream_index}]settb=expr=1/1000,setpts=N,select='{select_expression(ordinals)}'{native}"
        f",split=2[seen][kept];[seen]{_chain(info, image)}[image]"
    )


def _chain(info: VideoInfo, image: ImageFormat) -> str:
    filters = picture.chain(info, picture.layout_of(info), depth=image.depth, keep_hdr=image.keep_hdr)
    text = picture.to_text(filters)
    return f"{text},{jpeg_tail()}" if image.suffix == "jpg" else text


def conversion(capabilities: Capabilities, info: VideoInfo, image: ImageFormat) -> str:
    """Everything that decides what picture a binary makes of a frame's planes."""
    return f"{capabilities.binary} {capabilities.version} {info.pix_fmt} {info.colour} {_chain(info, image)}"


def jpeg_tail() -> str:
    """Full-range BT.601 4:4:4, the only colours that JFIF knows."""
    return f"scale=out_color_matrix=smpte170m:out_range=pc:flags={picture.SWS_FLAGS},format=yuvj444p"


def export_arguments(
    capabilities: Capabilities,
    info: VideoInfo,
    ordinals: Sequence[int],
    image: ImageFormat,
    *,
    hwaccel: str,
) -> tuple[list[str], str]:
    """One decode pass that writes ``<ordinal>.<suffix>`` and ``hashes.txt`` in the working folder.

    Returns the arguments after the binary and the filter graph, which the caller writes to
    ``graph.txt`` when the arguments name it.
    """
    hardware = hwaccel != "none"
    graph = filter_graph(info, ordinals, image, hardware=hardware)
    arguments = ["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]
    if hardware:
        arguments += ["-hwaccel", hwaccel]
    arguments += ["-noautorotate", "-reinit_filter", "0", "-flags", "+unaligned"]
    if capabilities.apply_cropping:
        arguments += ["-apply_cropping", "codec"]
    if info.decoder:
        arguments += [f"-c:{info.stream_index}", info.decoder]
    if info.container == "mjpeg":
        # Some rows of JPEG pictures are taken for a single one unless this is said.
        arguments += ["-f", "mjpeg"]
    arguments += ["-protocol_whitelist", protocols(info.offset_bytes), "-format_whitelist", DEMUXERS]
    arguments += ["-i", source_url(info.path, info.offset_bytes)]
    if len(graph) > ARGUMENT_LIMIT_BYTES:
        arguments += [capabilities.script_option, SCRIPT]
    else:
        arguments += ["-filter_complex", graph]
    count = ["-frames:v", str(len(ordinals))]
    timing = ["-fps_mode", "passthrough", "-enc_time_base", "1/1000"]
    arguments += ["-map", "[image]", *timing, *count, *encoder_arguments(image)]
    arguments += ["-frame_pts", "1", "-f", "image2", f"%d.{image.suffix}"]
    arguments += ["-map", "[kept]", *timing, *count, "-c:v", "rawvideo", "-f", "framehash", "-hash", "SHA160", HASHES]
    return arguments, graph


def encode_arguments(image: ImageFormat, width: int, height: int) -> list[str]:
    """Encode packed RGB pictures from standard input, with the same encoder settings, as ``0.<suffix>`` and so on."""
    pixels = "rgb48le" if image.depth == 16 else "rgb24"
    arguments = ["-hide_banner", "-loglevel", "error", "-y"]
    arguments += ["-protocol_whitelist", "pipe,file", "-f", "rawvideo", "-pix_fmt", pixels]
    arguments += ["-video_size", f"{width}x{height}", "-i", "pipe:0"]
    if image.suffix == "jpg":
        arguments += ["-vf", jpeg_tail()]
    arguments += ["-fps_mode", "passthrough", *encoder_arguments(image)]
    return [*arguments, "-start_number", "0", "-f", "image2", f"%d.{image.suffix}"]


def read_arguments(image: ImageFormat, name: str, target: str) -> list[str]:
    """Decode an image file into packed RGB, as deep as its format says."""
    pixels = "rgb48le" if image.depth == 16 else "rgb24"
    arguments = ["-hide_banner", "-loglevel", "error", "-y", "-protocol_whitelist", "file", "-f", "image2"]
    arguments += ["-pattern_type", "none", "-i", name]
    return [*arguments, "-f", "rawvideo", "-pix_fmt", pixels, target]


def encoder_arguments(image: ImageFormat) -> list[str]:
    """PNG: fast deflate with a good predictor; JPEG: fixed quality."""
    if image.suffix == "jpg":
        return ["-c:v", "mjpeg", "-q:v", str(image.jpeg_quality), "-bitexact"]
    pixels = "rgb48be" if image.depth == 16 else "rgb24"
    return ["-c:v", "png", "-pix_fmt", pixels, "-compression_level", "1", "-pred", "up", "-bitexact"]
