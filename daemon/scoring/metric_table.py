"""What is known about each metric that can score single frames, checked by hand against pyiqa's code.

Directions are those of the papers, pinned here for every metric, so that a change in pyiqa is noticed by
a test and can never turn a ranking round unseen. No imports of torch or pyiqa.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

LOWER, HIGHER = True, False


class Local(Enum):
    """What a local weights file (``score.weights``) may stand for."""

    NONE = "none"
    """Nothing: the metric needs no weights, or several files at once."""
    STATE = "state"
    """All weights of the network, its backbone included."""
    PATH = "path"
    """The file that pyiqa takes as ``pretrained_model_path``."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric and how it must be run.

    ``side`` is the least length in pixels of a picture's shorter side. ``solo`` metrics take one picture
    at a time: their answers, or their errors, would otherwise touch the neighbours in a batch. Memory is
    ``overhead`` times the float32 picture plus ``frame_mib`` MiB for each picture in flight. ``deep`` ones
    are neural networks. ``weights`` are files that pyiqa reads: ``pyiqa/``, ``clip/`` and ``checkpoints/``
    lie in torch's hub folder, ``hf:`` is a repository in Hugging Face's cache, ``~`` is the home folder;
    the first is what a local file replaces.
    """

    name: str
    lower_better: bool
    side: int
    overhead: float
    frame_mib: int = 0
    solo: bool = False
    deep: bool = True
    local: Local = Local.STATE
    weights: tuple[str, ...] = ()


def _classic(name: str, lower_better: bool, side: int, overhead: float, local: Local, *weights: str) -> Metric:
    return Metric(name, lower_better, side, overhead, 0, True, False, local, weights)


def _whole(side: int, overhead: float, frame_mib: int, files: dict[str, str], *more: str) -> Iterable[Metric]:
    """Networks, higher is better, whose one checkpoint holds the backbone too."""
    for name, file in files.items():
        weights = (f"pyiqa/{file}", *(f"pyiqa/{other}" for other in more))
        yield Metric(name, HIGHER, side, overhead, frame_mib, weights=weights)


def _parts(
    side: int, overhead: float, frame_mib: int, local: Local, files: dict[str, tuple[str, ...]]
) -> Iterable[Metric]:
    """Networks, higher is better, put together from several files."""
    for name, weights in files.items():
        yield Metric(name, HIGHER, side, overhead, frame_mib, local=local, weights=weights)


def _rows() -> Iterator[Metric]:
    # NIQE fits a Gaussian to blocks of 96 pixels: below two each way its covariance is undefined.
    yield _classic("niqe", LOWER, 192, 36, Local.PATH)
    yield _classic("niqe_matlab", LOWER, 192, 36, Local.PATH, "pyiqa/niqe_matlab_params.mat")
    # Resizes everything to 524 x 524 by itself, float64, 109 feature planes.
    yield _classic("ilniqe", LOWER, 32, 4, Local.PATH, "pyiqa/ILNIQE_templateModel.mat")
    yield _classic("brisque", LOWER, 32, 12, Local.PATH, "pyiqa/brisque_svm_weights.pth")
    yield _classic("brisque_matlab", LOWER, 32, 12, Local.PATH, "pyiqa/brisque_matlab.mat")
    # Its wavelet bands lose a guard of 16 pixels on each side before windows of 11 are laid over them.
    yield _classic("nrqm", HIGHER, 64, 60, Local.PATH, "pyiqa/NRQM_model.mat")
    # NRQM and NIQE together, after cutting 4 pixels off each side.
    yield _classic("pi", LOWER, 200, 60, Local.NONE, "pyiqa/NRQM_model.mat", "pyiqa/niqe_modelparameters.mat")
    yield _classic("piqe", LOWER, 16, 12, Local.NONE)
    # One-hot histogram: 256 int64 for every pixel.
    yield _classic("entropy", HIGHER, 16, 180, Local.NONE)

    yield from _whole(32, 45, 0, {"cnniqa": "CNNIQA_koniq10k-e6f14c91.pth"})
    yield from _whole(
        32,
        60,
        16,
        {
            "musiq": "musiq_koniq_ckpt-e95806b9.pth",
            "musiq-ava": "musiq_ava_ckpt-e8d3f067.pth",
            "musiq-paq2piq": "musiq_paq2piq_ckpt-364c0c84.pth",
            "musiq-spaq": "musiq_spaq_ckpt-358bb6af.pth",
        },
    )
    yield from _whole(
        32,
        2,
        64,
        {
            "nima": "NIMA_InceptionV2_ava-b0c77c00.pth",
            "nima-koniq": "NIMA_koniq-250367ae.pth",
            "nima-spaq": "NIMA-spaq-46a7fcb7.pth",
            "nima-vgg16-ava": "NIMA_VGG16_ava-dc4e8265.pth",
        },
    )
    yield from _whole(32, 20, 16, {"paq2piq": "P2P_RoIPoolModel-fit.10.bs.120-ca69882e.pth"})
    yield from _whole(32, 45, 16, {"dbcnn": "DBCNN_KonIQ10k-2de81c0a.pth"}, "DBCNN_scnn-7ea73d75.pth")
    # The next three cut crops of 224 and enlarge, bilinearly, what is not larger than that.
    yield from _whole(
        225,
        20,
        2500,
        {
            "maniqa": "ckpt_koniq10k.pt",
            "maniqa-pipal": "MANIQA_PIPAL-ae6d356b.pth",
            "maniqa-kadid": "ckpt_kadid10k.pt",
        },
    )
    yield from _whole(225, 20, 1500, {"tres": "tres_koniq-f0502926.pth", "tres-flive": "tres_flive-09b0de5b.pth"})
    yield from _whole(225, 10, 600, {"hyperiqa": "HyperIQA-resnet50-koniq10k-c96c41b1.pth"})
    # pyiqa renames the tensors of this file while it loads it from its cache, and only then.
    yield from _parts(32, 2, 32, Local.NONE, {"metaiqa": ("pyiqa/Metaiqa_livec.pth",)})
    yield from _whole(32, 60, 16, {"uranker": "URanker_ckpt-450eb36d.pth"})
    yield from _whole(
        32,
        60,
        16,
        {
            "topiq_nr": "cfanet_nr_koniq_res50-9a73138b.pth",
            "topiq_nr-spaq": "cfanet_nr_spaq_res50-a7f799ac.pth",
        },
    )
    yield from _whole(
        32,
        4,
        256,
        {
            "topiq_nr-flive": "cfanet_nr_flive_res50-ded1c74e.pth",
            "topiq_iaa_res50": "cfanet_iaa_ava_res50-3cd62bb3.pth",
            "topiq_iaa": "cfanet_iaa_ava_swin-393b41b4.pth",
        },
    )
    yield from _whole(33, 40, 0, {"wadiqam_nr": "WaDIQaM-NR-koniq-aaffea29.pth"})
    yield from _whole(32, 20, 16, {"unique": "UNIQUE.pt"})

    clip = "clip/RN50.pt"
    yield from _parts(
        32,
        40,
        32,
        Local.NONE,
        {
            "clipiqa": (clip,),
            "clipiqa+": ("pyiqa/CLIP-IQA+_learned_prompts-603f3273.pth", clip),
            "clipiqa+_rn50_512": ("pyiqa/CLIPIQA+_RN50_512-89f5d940.pth", clip),
            "clipiqa+_vitL14_512": ("pyiqa/CLIPIQA+_ViTL14_512-e66488f2.pth", "clip/ViT-L-14.pt"),
            "qualiclip": ("pyiqa/QualiCLIP.pth", clip),
            **{
                f"qualiclip+{name}": (f"pyiqa/QualiCLIP+_{data}.pth", "pyiqa/QualiCLIP.pth", clip)
                for name, data in (("", "koniq"), ("-clive", "clive"), ("-flive", "flive"), ("-spaq", "spaq"))
            },
        },
    )
    # Copies every 32nd window of 224 pixels before it chooses fifteen of them.
    liqe = {"liqe": "liqe_koniq.pt", "liqe_mix": "liqe_mix.pt"}
    yield from _parts(
        224, 45, 64, Local.PATH, {name: (f"pyiqa/{file}", "clip/ViT-B-32.pt") for name, file in liqe.items()}
    )
    yield from _parts(
        32,
        2,
        160,
        Local.NONE,
        {"laion_aes": ("pyiqa/sac+logos+ava1-l14-linearMSE.pth", "~/.cache/clip/ViT-L-14.pt")},
    )
    # Scores the picture and the picture at half its size with one ResNet.
    arniqa = {"": "koniq10k", "-tid": "tid2013", "-kadid": "kadid10k"}
    arniqa |= {f"-{data}": data for data in ("live", "csiq", "clive", "flive", "spaq")}
    yield from _parts(
        64,
        40,
        16,
        Local.NONE,
        {
            f"arniqa{name}": (
                f"pyiqa/regressor_{data}.pth",
                "checkpoints/ARNIQA.pth",
                "checkpoints/resnet50-0676ba61.pth",
            )
            for name, data in arniqa.items()
        },
    )
    yield from _parts(
        32,
        2,
        100,
        Local.PATH,
        {
            "fgresq": (
                "pyiqa/FGResQ.pth",
                "pyiqa/FGResQ_Degradation.pth",
                "hf:openai/clip-vit-base-patch16",
            )
        },
    )


METRICS: dict[str, Metric] = {metric.name: metric for metric in sorted(_rows(), key=lambda row: row.name)}

_SET = "rates a whole set of pictures and has no number for a single frame: use niqe, or topiq_nr"
_FACE = "scores one aligned face and fails on a frame without one: use topiq_nr"
_LANGUAGE = "runs a language model with billions of parameters, far too slow for every frame: use topiq_nr, or clipiqa+"
REFERENCE = "compares with a reference picture, which a frame does not have: use niqe, or topiq_nr"

REFUSED: dict[str, str] = {
    "fid": _SET,
    "sfid": _SET,
    "fid_dinov2": _SET,
    "inception_score": _SET,
    "clipscore": "compares a picture with a text, which a frame does not have: use clipiqa",
    "compare2score": "compares a picture with anchor pictures by a language model of billions of parameters,"
    " far too slow for every frame: use topiq_nr, or clipiqa+",
    "fgresq_pair": "compares two pictures with each other: use fgresq",
    "afine_nr": "takes only sides that are multiples of 32, being one half of a comparison with a reference:"
    " use topiq_nr, or clipiqa+",
    "maclip": "is bound to the first CUDA device by pyiqa's code: use clipiqa+, or qualiclip",
    "topiq_nr-face": _FACE,
    "topiq_nr-face-v1": _FACE,
    "topiq_nr_swin-face": _FACE,
    "qalign": _LANGUAGE,
    "qalign_4bit": _LANGUAGE,
    "qalign_8bit": _LANGUAGE,
    "qrealign": _LANGUAGE,
    "qrealign-lite": _LANGUAGE,
    "qrealign-mini": _LANGUAGE,
    "qrealign-pro": _LANGUAGE,
}
"""Metrics of pyiqa that cannot score single frames, and why; full-reference ones are refused by mode."""
