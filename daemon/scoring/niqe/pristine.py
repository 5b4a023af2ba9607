"""NIQE's model of good pictures, as it comes with the package: that of the method's authors, as in pyiqa.

36 means and a 36 x 36 covariance (Mittal, Soundararajan, Bovik: Making a "Completely Blind" Image Quality
Analyzer, IEEE Signal Processing Letters 20, 2013).
"""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray


def pristine_model() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The means, float64 ``(1, 36)``, and the covariance, float64 ``(36, 36)``."""
    model = np.load(io.BytesIO(_bytes()))
    return model["mu_pris_param"], model["cov_pris_param"]


def pristine_digest() -> str:
    """Hex SHA-256 of the file with the model; part of the scorer's identity."""
    return hashlib.sha256(_bytes()).hexdigest()


@contextmanager
def matlab_file() -> Iterator[Path]:
    """The model as the MATLAB file that pyiqa reads, for as long as the context lasts."""
    matlab = importlib.import_module("scipy.io")
    mean, covariance = pristine_model()
    with TemporaryDirectory(prefix="stillwatch-") as folder:
        path = Path(folder) / "niqe_pristine.mat"
        matlab.savemat(path, {"mu_prisparam": mean, "cov_prisparam": covariance})
        yield path


def _bytes() -> bytes:
    return resources.files("daemon.scoring.niqe").joinpath("pristine.npz").read_bytes()
