"""pyiqa as it is used without stillwatch: what `stillwatch bench` measures itself against."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from daemon.model import Picture
from daemon.scoring.niqe.pristine import matlab_file
from daemon.scoring.pyiqa_backend import patches
from daemon.scoring.pyiqa_backend.deferred_imports import deferred_imports


def plain_loop_seconds(metric: str, pictures: Sequence[Picture]) -> float:
    """Seconds that the usual loop takes for uint8 pictures on the CPU: one tensor, one call, one ``item()`` each.

    The first picture is scored once before the clock starts.
    """
    import torch

    patches.make_torchvision_importable()
    with ExitStack() as stack:
        stack.enter_context(patches.quiet())
        stack.enter_context(deferred_imports())
        from pyiqa.models.inference_model import InferenceModel

        options = {"pretrained_model_path": str(stack.enter_context(matlab_file()))} if metric == "niqe" else {}
        model = InferenceModel(metric, device="cpu", **options)

    def score(picture: Picture) -> float:
        tensor = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        answer: Any = model(tensor)
        return float(answer.item())

    score(pictures[0])
    started = time.perf_counter()
    for picture in pictures:
        score(picture)
    return time.perf_counter() - started
