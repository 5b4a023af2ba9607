"""What is in the corpus: kinds of film first, then oddities of time and shape, then damage."""

from __future__ import annotations

from daemon.errors import Kind
from tests.corpus import (
    X264,
    X265,
    Case,
    cut,
    flipped,
    hole,
    intra,
    joined,
    made,
    no_frames,
    numbered,
    remuxed,
    scaled_turn,
    sound,
    timed,
    turned,
    two_streams,
    with_cover,
    with_exif,
    with_latin_title,
)

BFRAMES = (*X264, "-bf", "3", "-g", "6")
OPEN_GOP = (*X264, "-bf", "3", "-x264-params", "keyint=5:min-keyint=5:open-gop=1:scenecut=0")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3", "-bf", "2", "-g", "5")
VP8 = ("-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "1")
VP9 = ("-c:v", "libvpx-vp9", "-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8")
AV1 = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-b:v", "1M")
SVT = ("-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1")
MJPEG = ("-c:v", "mjpeg", "-q:v", "2")
PQ = ("-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv")
HLG = ("-vf", "setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:range=tv")
ONLY_PQ = ("-vf", "setparams=color_trc=smpte2084")
FULL_PQ = ("-vf", "scale=out_range=pc,setparams=color_trc=smpte2084:range=pc")
DV_SIZE = (720, 576)

FORMATS = [
    *("yuv410p", "yuv411p", "yuv422p", "yuv440p", "yuv444p", "yuva420p", "yuva444p", "gray", "bgr0", "bgra"),
    *("yuv420p10le", "yuv422p10le", "yuv444p10le", "yuva444p10le", "yuv420p12le", "yuv422p12le", "yuv444p16le"),
    *("gray10le", "gray12le", "gray16le", "gbrp10le", "gbrp12le", "gbrp16le", "rgb48le", "rgba64le"),
]
RAW_FORMATS = [
    *(
        "nv12",
        "yuyv422",
        "uyvy422",
        "rgb565le",
        "rgb565be",
        "rgb555be",
        "bgr555be",
        "rgb8",
        "bgr24",
        "abgr",
        "monow",
        "pal8",
        "ya8",
    ),
    *("yuvj444p", "yuv420p16be", "gray10be", "rgb48be", "xyz12le"),
]

KINDS = [
    Case("h264-mp4", made("film.mp4", *BFRAMES)),
    Case("h264-mkv", made("film.mkv", *BFRAMES)),
    Case("h264-mov", made("film.mov", *BFRAMES)),
    Case("h264-avi", made("film.avi", *BFRAMES)),
    Case("h264-flv", made("film.flv", *BFRAMES)),
    Case("h264-ts", made("film.ts", *BFRAMES)),
    Case("h264-fragmented", made("film.mp4", *BFRAMES, "-movflags", "frag_keyframe+empty_moov")),
    Case("h264-444", made("film.mp4", "-c:v", "libx264", "-pix_fmt", "yuv444p", "-qp", "0")),
    Case("h264-rgb", made("film.mkv", "-c:v", "libx264rgb", "-qp", "0")),
    Case("h264-422-10-bit", made("film.mp4", "-c:v", "libx264", "-pix_fmt", "yuv422p10le")),
    Case("h264-full-range", made("film.mp4", *X264, "-vf", "scale=out_range=pc", "-color_range", "pc")),
    Case("h264-interlaced", made("film.mp4", *X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1")),
    Case("hevc-mp4", made("film.mp4", *X265, "-pix_fmt", "yuv420p", "-tag:v", "hvc1")),
    Case("hevc-10-bit", made("film.mkv", *X265, "-pix_fmt", "yuv420p10le")),
    Case("hevc-12-bit-444", made("film.mkv", *X265, "-pix_fmt", "yuv444p12le")),
    Case("av1-mp4", made("film.mp4", *AV1, "-pix_fmt", "yuv420p")),
    Case("av1-10-bit-mkv", made("film.mkv", *SVT, "-pix_fmt", "yuv420p10le")),
    Case("vp9-webm", made("film.webm", *VP9, "-pix_fmt", "yuv420p")),
    Case("vp9-10-bit", made("film.webm", *VP9, "-pix_fmt", "yuv420p10le")),
    Case("vp9-alt-ref", made("film.webm", "-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "8")),
    Case("vp8-webm", made("film.webm", *VP8)),
    Case("vp8-alpha", made("film.webm", "-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0")),
    Case("mpeg1-ps", made("film.mpg", "-c:v", "mpeg1video", "-q:v", "3", "-bf", "2")),
    Case("mpeg2-ps", made("film.vob", *MPEG2)),
    Case("mpeg2-ts", made("film.ts", *MPEG2)),
    Case("mpeg2-interlaced", made("film.ts", *MPEG2, "-flags", "+ildct+ilme")),
    Case("mpeg2-mxf", made("film.mxf", *MPEG2, "-pix_fmt", "yuv422p")),
    Case("mpeg4-avi", made("film.avi", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2")),
    Case(
        "mpeg4-packed",
        remuxed(made("a.avi", "-c:v", "libxvid", "-q:v", "3", "-bf", "2"), "film.avi", "-c", "copy"),
        frames=None,
        loses="the encoder drops frames",
    ),
    Case("msmpeg4-avi", made("film.avi", "-c:v", "msmpeg4", "-q:v", "3")),
    Case("wmv2-asf", made("film.wmv", "-c:v", "wmv2", "-q:v", "3")),
    Case("flv1", made("film.flv", "-c:v", "flv", "-q:v", "3")),
    Case("theora-ogg", made("film.ogv", "-c:v", "libtheora", "-q:v", "8")),
    Case("h263-3gp", made("film.3gp", "-c:v", "h263", "-q:v", "3", "-vf", "scale=176:144"), size=(192, 144)),
    Case("realvideo", made("film.rm", "-c:v", "rv20", "-q:v", "3", "-vf", "scale=192:112"), size=(192, 112)),
    Case("dv", made("film.dv", "-vf", "scale=720:576", "-pix_fmt", "yuv420p"), size=(768, 576)),
    Case("dv-avi", made("film.avi", "-c:v", "dvvideo", "-vf", "scale=720:576,setsar=1"), size=(720, 576)),
    Case("mjpeg-avi", made("film.avi", *MJPEG)),
    Case("mjpeg-mov-444", made("film.mov", *MJPEG, "-pix_fmt", "yuvj444p")),
    Case("prores-422", made("film.mov", "-c:v", "prores_ks", "-profile:v", "2")),
    Case("prores-4444-alpha", made("film.mov", "-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le")),
    Case(
        "dnxhr-mov",
        made("film.mov", "-c:v", "dnxhd", "-profile:v", "dnxhr_sq", "-pix_fmt", "yuv422p", "-vf", "scale=256:128"),
        size=(256, 128),
    ),
    Case(
        "dnxhr-mxf",
        made("film.mxf", "-c:v", "dnxhd", "-profile:v", "dnxhr_hqx", "-pix_fmt", "yuv422p10le", "-vf", "scale=256:128"),
        size=(256, 128),
    ),
    Case(
        "cineform", made("film.mov", "-c:v", "cfhd", "-pix_fmt", "yuv422p10le", "-vf", "scale=192:112"), size=(192, 112)
    ),
    Case("jpeg2000-mov", made("film.mov", "-c:v", "jpeg2000", "-pix_fmt", "yuv444p")),
    Case("gif", made("film.gif")),
    Case("gif-palette", made("film.gif", "-filter_complex", "split[a][b];[a]palettegen[p];[b][p]paletteuse")),
    Case("apng", made("film.apng", "-f", "apng", "-plays", "0")),
    Case("webp", made("film.webp", "-c:v", "libwebp_anim", "-lossless", "1"), rejected=(Kind.NO_DECODER,)),
    Case("png-mov", made("film.mov", "-c:v", "png")),
    Case("png-16-bit", made("film.mkv", "-c:v", "png", "-pix_fmt", "rgb48be")),
    Case("png-gray", made("film.mkv", "-c:v", "png", "-pix_fmt", "gray")),
    Case("png-palette", made("film.mkv", "-c:v", "png", "-pix_fmt", "pal8", "-vf", "format=rgb8,format=pal8")),
    Case("qtrle", made("film.mov", "-c:v", "qtrle")),
    Case("huffyuv", made("film.avi", "-c:v", "huffyuv", "-pix_fmt", "yuv422p")),
    Case("utvideo", made("film.avi", "-c:v", "utvideo", "-pix_fmt", "gbrp")),
    Case("magicyuv", made("film.avi", "-c:v", "magicyuv", "-pix_fmt", "yuva444p")),
    Case("cinepak", made("film.avi", "-c:v", "cinepak", width=64, height=32), size=(64, 32)),
    Case("vc2-mkv", made("film.mkv", "-c:v", "vc2", "-pix_fmt", "yuv422p10le", "-b:v", "20M"), size=(192, 108)),
    Case("v210", made("film.mov", "-c:v", "v210")),
    Case("nut", made("film.nut", *BFRAMES)),
    Case("gxf", made("film.gxf", *MPEG2, "-vf", "scale=720:512,setsar=1"), size=(720, 512)),
    Case("wtv", made("film.wtv", *MPEG2)),
    Case("raw-h264", made("film.h264", *BFRAMES)),
    Case("raw-hevc", made("film.hevc", *X265, "-pix_fmt", "yuv420p")),
    Case("raw-mjpeg", made("film.mjpeg", *MJPEG)),
    Case("raw-m4v", made("film.m4v", "-c:v", "mpeg4", "-q:v", "3", "-f", "m4v")),
    Case("raw-mpegvideo", made("film.m2v", *MPEG2)),
    Case("raw-av1-obu", made("film.obu", *AV1)),
    Case("ivf-av1", made("film.ivf", *AV1)),
    Case("ivf-vp9", made("film.ivf", *VP9)),
    Case("ivf-vp8", made("film.ivf", *VP8)),
    Case("y4m", made("film.y4m", "-pix_fmt", "yuv420p")),
    Case("y4m-16-bit", made("film.y4m", "-pix_fmt", "yuv444p16le", "-strict", "-1")),
    Case(
        "raw-vvc",
        made("film.vvc", "-c:v", "libvvenc", "-preset", "faster", "-pix_fmt", "yuv420p10le"),
        by_decode=("path",),
    ),
    *[Case(f"ffv1-{name}", intra(name)) for name in FORMATS],
    *[Case(f"nut-{name}", intra(name, "film.nut", "rawvideo")) for name in RAW_FORMATS],
    Case("nut-y210le", intra("y210le", "film.nut", "rawvideo"), by_decode=("path",)),
    Case("nut-gbrpf32le", intra("gbrpf32le", "film.nut", "rawvideo"), by_decode=("path",)),
    Case("ffv1-gbrpf32le", intra("gbrpf32le", "film.mkv", "ffv1", "-strict", "-2"), by_decode=("path",)),
    Case("exr-gray", made("film.mkv", "-c:v", "exr", "-pix_fmt", "grayf32le"), by_decode=("path",)),
    Case("exr", made("film.mkv", "-c:v", "exr", "-pix_fmt", "gbrpf32le")),
    Case("hdr-pq", made("film.mp4", *X265, "-pix_fmt", "yuv420p10le", *PQ), transfer="smpte2084"),
    Case("hdr-hlg", made("film.mkv", *X265, "-pix_fmt", "yuv420p10le", *HLG), transfer="arib-std-b67"),
    Case("hdr-pq-8-bit", made("film.mkv", *X264, *PQ), transfer="smpte2084"),
    Case("hdr-pq-broken", made("film.mkv", *X265, "-pix_fmt", "yuv420p10le", *ONLY_PQ), transfer="smpte2084"),
    Case("hdr-pq-full", intra("yuv444p12le", "film.mkv", "ffv1", *FULL_PQ), transfer="smpte2084"),
    Case("ycgco-tag", made("film.mkv", *X264, "-vf", "format=yuv420p,setparams=colorspace=ycgco")),
    Case("exif-mov", with_exif("film.mov", 1)),
    Case("exif-turned", with_exif("film.mov", 6), size=(108, 192)),
    Case("exif-raw-mjpeg", with_exif("film.mjpeg", 1)),
    Case("latin-title-avi", with_latin_title(made("a.avi", *MJPEG), "film.avi")),
    Case("latin-title-mkv", with_latin_title(made("a.mkv", *X264), "film.mkv")),
    Case(
        "garbage-gxf",
        hole(made("film.gxf", *MPEG2, "-vf", "scale=720:512,setsar=1"), 0.4, 0.5),
        frames=None,
        loses="the demuxer stops at what is missing",
        damaged=True,
        size=(720, 512),
    ),
]

SHAPES = [
    *[
        Case(f"turned-{d}{'-mirrored' * f}", turned(d, f), size=(WH[::-1] if d in (90, 270) else WH))
        for WH in [(192, 108)]
        for d in (0, 90, 180, 270)
        for f in (False, True)
        if d or f
    ],
    Case("turned-and-halved", scaled_turn("film.mp4", 0.5), size=(108, 192)),
    Case("anamorphic-wide", made("film.mp4", *X264, "-vf", "setsar=4/3"), size=(256, 108)),
    Case("anamorphic-narrow", made("film.mkv", *X264, "-vf", "setsar=1/2"), size=(192, 216)),
    Case("anamorphic-mpeg2", made("film.mpg", *MPEG2, "-aspect", "16:9"), size=(192, 108)),
    Case("anamorphic-nonsense", made("film.mkv", *X264, "-vf", "setsar=100/1")),
    Case("two-streams-small-first", two_streams(small_first=True)),
    Case("two-streams-large-first", two_streams(small_first=False)),
    Case("cover-first-mp4", with_cover("film.mp4")),
    Case("cover-mkv", with_cover("film.mkv")),
    Case("odd-size", made("film.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p", width=101, height=67), size=(101, 67)),
    Case(
        "odd-size-444", made("film.mp4", "-c:v", "libx264", "-pix_fmt", "yuv444p", width=101, height=67), size=(101, 67)
    ),
    Case("odd-size-vp9", made("film.webm", *VP9, width=101, height=67), size=(101, 67)),
    Case("odd-size-gif", made("film.gif", width=101, height=67), size=(101, 67)),
    Case(
        "cropped-by-sps",
        remuxed(made("a.mp4", *X264), "film.mp4", "-c", "copy", "-bsf:v", "h264_metadata=crop_right=16:crop_bottom=8"),
        size=(176, 104),
    ),
    Case(
        "cropped-odd",
        remuxed(
            made("a.mkv", "-c:v", "libx264", "-pix_fmt", "yuv444p"),
            "film.mkv",
            "-c",
            "copy",
            "-bsf:v",
            "h264_metadata=crop_right=5:crop_left=3:crop_bottom=7",
        ),
        size=(184, 105),
    ),
    Case("tiny", made("film.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv444p", width=32, height=16), size=(32, 16)),
    Case("one-frame", made("film.mp4", *X264, "-frames:v", "1"), frames=1),
    Case("one-frame-gif", made("film.gif", "-frames:v", "1"), frames=1),
]

TIMES = [
    Case("vfr-mkv", timed("film.mkv", [0, 40, 45, 300, 301, 302, 1000, 1040]), frames=8),
    Case("vfr-mp4", timed("film.mp4", [0, 10, 500, 501, 900, 2000, 2001, 2002]), frames=8),
    Case("vfr-b-frames", timed("film.mp4", [0, 40, 45, 300, 310, 500, 1000, 1040, 1100, 1101], bf="3")),
    Case("negative-start-nut", timed("film.nut", [-400, -360, -320, -40, 0, 40, 80]), frames=7),
    Case(
        "negative-start-mp4",
        remuxed(
            made("a.mp4", *BFRAMES),
            "film.mp4",
            "-c",
            "copy",
            "-output_ts_offset",
            "-0.2",
            "-avoid_negative_ts",
            "disabled",
            "-use_editlist",
            "1",
        ),
        frames=None,
        loses="the edit list drops what lies before 0",
    ),
    Case("late-start-ts", made("film.ts", *BFRAMES, "-output_ts_offset", "5000")),
    Case(
        "edit-list-cut",
        remuxed(made("a.mp4", *X264, "-bf", "3", "-g", "50"), "film.mp4", "-c", "copy", before=["-ss", "0.2"]),
        frames=None,
        loses="the edit list hides the frames before the cut",
    ),
    Case("edit-list-delay", remuxed(made("a.mp4", *BFRAMES), "film.mp4", "-c", "copy", "-output_ts_offset", "1.5")),
    Case("open-gop", made("film.mp4", *OPEN_GOP)),
    Case(
        "open-gop-cut",
        remuxed(made("a.ts", *OPEN_GOP), "film.ts", "-c", "copy", before=["-ss", "0.25"]),
        frames=None,
        loses="leading frames of the cut lack their references",
    ),
    Case("repeated-pts", remuxed(made("a.mkv", *MJPEG), "film.nut", "-c", "copy", "-bsf:v", "setts=pts=40*floor(N/3)")),
    Case(
        "falling-pts", remuxed(made("a.mkv", *MJPEG), "film.mkv", "-c", "copy", "-bsf:v", "setts=pts=100-(N*40-N*N*3)")
    ),
    Case("missing-pts", remuxed(made("a.h264", *BFRAMES), "film.avi", "-c", "copy"), loses=""),
    Case("missing-pts-nut", remuxed(made("a.mkv", *MJPEG), "film.nut", "-c", "copy", "-bsf:v", "setts=pts=NOPTS")),
    Case("no-frame-count", made("film.mkv", *BFRAMES, "-live", "1")),
    Case(
        "huge-pts",
        remuxed(made("a.mkv", *MJPEG), "film.nut", "-c", "copy", "-bsf:v", "setts=pts=PTS+4e15:dts=DTS+4e15"),
    ),
    Case(
        "discard-flags",
        remuxed(made("a.mp4", *X264, "-g", "4"), "film.mp4", "-c", "copy", before=["-ss", "0.28"]),
        frames=None,
        loses="the edit list hides the frames before the cut",
    ),
]

CHANGES = [
    Case(
        "size-change-h264",
        joined("film.h264", numbered(0, 5, "a.h264", *X264), numbered(5, 5, "b.h264", *X264, width=128, height=96)),
        mixed=True,
    ),
    Case(
        "size-change-mjpeg",
        joined("film.mjpeg", numbered(0, 5, "a.mjpeg", *MJPEG), numbered(5, 5, "b.mjpeg", *MJPEG, width=96, height=54)),
        mixed=True,
    ),
    Case(
        "size-change-mpeg2",
        joined("film.m2v", numbered(0, 5, "a.m2v", *MPEG2), numbered(5, 5, "b.m2v", *MPEG2, width=128, height=96)),
        frames=None,
        loses="the decoder drops the frame that waits when the size changes",
        mixed=True,
    ),
    Case(
        "format-change-h264",
        joined(
            "film.h264",
            numbered(0, 5, "a.h264", *X264),
            numbered(5, 5, "b.h264", "-c:v", "libx264", "-pix_fmt", "yuv444p10le"),
        ),
        mixed=True,
    ),
    Case(
        "format-change-mjpeg",
        joined(
            "film.mjpeg",
            numbered(0, 5, "a.mjpeg", *MJPEG, "-pix_fmt", "yuvj420p"),
            numbered(5, 5, "b.mjpeg", *MJPEG, "-pix_fmt", "yuvj444p"),
        ),
        mixed=True,
    ),
    Case(
        "range-change-h264",
        joined(
            "film.h264",
            numbered(0, 5, "a.h264", *X264, "-color_range", "tv"),
            numbered(5, 5, "b.h264", *X264, "-color_range", "pc"),
        ),
        # The second half is full range, and is shown so.
        mixed=True,
    ),
    Case(
        "there-and-back",
        joined(
            "film.h264",
            numbered(0, 3, "a.h264", *X264),
            numbered(3, 3, "b.h264", *X264, width=128, height=96),
            numbered(6, 4, "c.h264", *X264),
        ),
        mixed=True,
    ),
]

LOST = "damage takes or repeats frames"
DAMAGE = [
    Case("cut-ts", cut(made("film.ts", *BFRAMES), 0.6), frames=None, loses=LOST, damaged=True),
    Case("cut-mkv", cut(made("film.mkv", *BFRAMES), 0.6), frames=None, loses=LOST, damaged=True),
    Case("cut-avi", cut(made("film.avi", *MJPEG), 0.6), frames=None, loses=LOST, damaged=True),
    Case(
        "cut-faststart",
        cut(made("film.mp4", *BFRAMES, "-movflags", "+faststart"), 0.7),
        frames=None,
        loses=LOST,
        damaged=True,
    ),
    Case("cut-mp4", cut(made("film.mp4", *BFRAMES), 0.7), rejected=(Kind.NOT_A_VIDEO,)),
    Case("cut-gif", cut(made("film.gif"), 0.6), frames=None, loses=LOST, damaged=True),
    Case(
        "cut-ogg",
        cut(made("film.ogv", "-c:v", "libtheora", "-q:v", "8"), 0.6),
        frames=None,
        loses=LOST,
        damaged=True,
    ),
    Case("cut-raw-h264", cut(made("film.h264", *BFRAMES), 0.6), frames=None, loses=LOST, damaged=True),
    Case("cut-y4m", cut(made("film.y4m", "-pix_fmt", "yuv420p"), 0.55), frames=None, loses=LOST, damaged=True),
    Case("flipped-ts", flipped(made("film.ts", *BFRAMES), 40, 3), frames=None, loses=LOST, damaged=True),
    Case("flipped-mkv", flipped(made("film.mkv", *BFRAMES), 20, 4), frames=None, loses=LOST, damaged=True),
    Case(
        "flipped-mp4",
        flipped(made("film.mp4", *BFRAMES, "-movflags", "+faststart"), 20, 5),
        frames=None,
        loses=LOST,
        damaged=True,
    ),
    Case("flipped-mpeg2", flipped(made("film.mpg", *MPEG2), 20, 6), frames=None, loses=LOST, damaged=True),
    Case(
        "flipped-mpeg4",
        flipped(made("film.avi", "-c:v", "mpeg4", "-q:v", "3", "-bf", "2"), 20, 7, 0.4),
        frames=None,
        loses=LOST,
        damaged=True,
    ),
    Case(
        "flipped-hevc",
        flipped(made("film.mkv", *X265, "-pix_fmt", "yuv420p"), 6, 21, 0.6),
        frames=None,
        loses=LOST,
        damaged=None,
    ),
    Case("flipped-av1", flipped(made("film.mkv", *AV1), 3, 9, 0.85), frames=None, loses=LOST, damaged=True),
    Case("flipped-vp9", flipped(made("film.webm", *VP9), 10, 10, 0.4), frames=None, loses=LOST),
    Case("flipped-ffv1", flipped(intra("yuv422p10le"), 10, 11), frames=None, loses=LOST, damaged=True),
    Case(
        "flipped-mjpeg",
        flipped(made("film.avi", *MJPEG), 10, 12, 0.4),
        frames=None,
        loses=LOST,
        damaged=True,
    ),
    Case(
        "flipped-prores",
        flipped(made("film.mov", "-c:v", "prores_ks", "-movflags", "+faststart"), 10, 13),
        frames=None,
        loses=LOST,
        damaged=True,
    ),
    Case("hole-h264", hole(made("film.h264", *BFRAMES), 0.3, 0.6), frames=None, loses=LOST),
    Case("hole-hevc", hole(made("film.hevc", *X265, "-pix_fmt", "yuv420p"), 0.85, 0.9), frames=None, loses=LOST),
    Case("hole-ts", hole(made("film.ts", *BFRAMES), 0.3, 0.5), frames=None, loses=LOST, damaged=True),
    Case("head-lost-ts", hole(made("film.ts", *BFRAMES), 0, 0.3), frames=None, loses=LOST),
    Case("head-lost-h264", hole(made("film.h264", *BFRAMES), 0, 0.3), frames=4, first=6),
    Case(
        "all-heads-lost",
        hole(made("film.h264", *X264), 0, 0.3),
        rejected=(Kind.NOT_A_VIDEO, Kind.NO_FRAMES, Kind.NO_VIDEO_STREAM),
    ),
    Case("no-frames-mp4", no_frames("film.mp4"), rejected=(Kind.NOT_A_VIDEO, Kind.NO_FRAMES, Kind.NO_VIDEO_STREAM)),
    Case("no-frames-mkv", no_frames("film.mkv"), rejected=(Kind.NOT_A_VIDEO, Kind.NO_FRAMES, Kind.NO_VIDEO_STREAM)),
    Case("only-sound", sound("film.mp4"), rejected=(Kind.NO_VIDEO_STREAM,)),
]

CASES = [*KINDS, *SHAPES, *TIMES, *CHANGES, *DAMAGE]

_VARIANTS = """
h264-mov h264-avi h264-flv h264-422-10-bit hevc-12-bit-444 av1-10-bit-mkv vp9-alt-ref mpeg1-ps msmpeg4-avi h263-3gp
realvideo dv-avi mjpeg-mov-444 dnxhr-mov dnxhr-mxf cineform jpeg2000-mov gif-palette png-gray png-palette huffyuv
utvideo magicyuv cinepak vc2-mkv v210 gxf wtv y4m-16-bit ivf-vp8 ivf-vp9 raw-vvc exr nut-y210le nut-gbrpf32le
ffv1-gbrpf32le hdr-pq-8-bit hdr-pq-full turned-0-mirrored turned-180-mirrored turned-270-mirrored odd-size-444
odd-size-gif tiny one-frame-gif anamorphic-mpeg2 late-start-ts huge-pts discard-flags size-change-mjpeg
size-change-mpeg2 format-change-mjpeg cut-avi cut-gif cut-ogg cut-y4m flipped-mpeg2 flipped-mpeg4 flipped-av1
flipped-vp9 flipped-ffv1 flipped-prores hole-hevc head-lost-ts vp8-alpha prores-4444-alpha qtrle ffv1-yuv410p
ffv1-yuv411p ffv1-yuv440p ffv1-yuva444p ffv1-bgra ffv1-yuv422p10le ffv1-yuv444p10le ffv1-yuva444p10le
ffv1-yuv420p12le ffv1-gray10le ffv1-gray12le ffv1-gbrp12le ffv1-gbrp16le ffv1-rgb48le nut-yuyv422 nut-uyvy422
nut-rgb8 nut-bgr24 nut-abgr nut-yuvj444p nut-yuv420p16be nut-gray10be nut-rgb48be
"""

SLOW = frozenset(_VARIANTS.split())
"""Variants of what the others cover, for the long run."""
