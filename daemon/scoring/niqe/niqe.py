"""NIQE on the CPU, without torch: the number of pyiqa's ``niqe``, many times faster.

Sources: A. Mittal, R. Soundararajan, A. C. Bovik, "Making a 'completely blind' image quality analyzer", IEEE
Signal Processing Letters 20(3), 2013, for the score; N.-E. Lasmar, Y. Stitou, Y. Berthoumieu, "Multiscale
skewed heavy tailed model for texture analysis", ICIP 2009, for the asymmetric generalised Gaussian and its
moments, after K. Sharifi, A. Leon-Garcia, IEEE Transactions on Circuits and Systems for Video Technology
5(1), 1995; pyiqa's ``niqe_arch.py`` for everything that a paper leaves open. In short:

1. Gray is the Y of YIQ, rounded to 0-255; what does not fill a block of 96x96 pixels is cut off, right and below.
2. Every pixel becomes ``(value - mean) / (deviation + 1)``, both over a 7x7 Gaussian window (deviation 7/6
   pixels, edge pixels repeated).
3. Per block, five maps: that, and its products with the neighbour to the left, above, above left and above
   right, where a block's edge is neighbour to its opposite edge. A map's counts, squares and magnitudes below
   and above 0 give its asymmetric generalised Gaussian: its shape is looked up in a table of 9801, steps of
   0.001. 18 features, and 18 more from blocks of 48x48 of the half-size image (bicubic, antialiased).
4. The features' mean and covariance over all blocks are compared with those of good pictures:
   ``sqrt(d' ((C1 + C2) / 2)^-1 d)``. pyiqa takes a pseudo-inverse; C1 has no eigenvalue below 7e-6, so nothing
   is ever cut off there, and this is the same number by Cholesky's decomposition.

**Flat areas.** Where all 49 pixels of the window are equal (letterbox, clipped white), the pixel is its own
mean and the map should be 0, which counts as neither side. In pyiqa it is not: its window is rounded to float32
and sums to 1 + 1.135e-8, so a flat area of gray g is about -1.1e-8 g, its products about 1e-14, and both are
counted: as values below 0, and as products above 0, that add nothing to the squares. A block that is half
letterbox scores by those counts. Here that gain is part of the formula (``WINDOW_GAIN``), and every other
rounding error is a million times smaller. So such pixels fall on the same side as in pyiqa, whatever the order
of a sum, and the score does not depend on noise. Two cases remain:

* Gray 0 (full-range black) is exactly 0 here and in pyiqa, and is not counted at all.
* A block that is flat throughout has an empty side. Its features are not numbers and it is left out of the
  covariance, while its shapes (0.2) stay in the means. A picture without any other block has no score (nan);
  pyiqa raises there.

**What is left of the difference.** pyiqa takes the half-size image in float32 and its noise (3e-5 of a gray
level) can move a shape by one step of the table, as float32 in the window can here (see kernel.py). And one
colour in a thousand has a gray just between two codes: it rounds as float32 says, every step rounded by itself.
torch does the same with ``MKL_CBWR=COMPATIBLE``, which is how this project runs it; otherwise MKL may fuse the
steps, and such a pixel goes the other way in pyiqa (up to 0.7 % of the score of a frame of four blocks).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.media.scorable import Scorable
from daemon.model import GrayPicture, Picture
from daemon.scoring.niqe.kernel import BLOCK, FEATURES, score_gray, to_gray
from daemon.scoring.niqe.pristine import pristine_model


class FusedNiqe:
    """Scores pictures with NIQE, whole pictures side by side on ``threads`` threads. Lower is better.

    ``mean`` (36 values) and ``covariance`` (36 x 36) are the model of good pictures. To be used from one
    thread at a time. A picture has the same score, to the bit, alone and in any batch, on any number of
    threads. The space to work in, 2 bytes per pixel and thread, is kept from picture to picture.
    """

    def __init__(self, mean: NDArray[np.float64], covariance: NDArray[np.float64], *, threads: int = 1) -> None:
        mean = np.ascontiguousarray(np.ravel(mean), dtype=np.float64)
        covariance = np.ascontiguousarray(covariance, dtype=np.float64)
        if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
            raise ValueError(f"NIQE's model has {FEATURES} features, this one {mean.shape} and {covariance.shape}")
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        model = (shape_table(), mean, covariance)
        self._workers = [_Worker(*model) for _ in range(threads)]
        self._pool = ThreadPoolExecutor(threads - 1, "niqe") if threads > 1 else None

    @classmethod
    def shipped(cls, *, threads: int = 1) -> FusedNiqe:
        """With the model that comes with the package: that of the method's authors, as in pyiqa."""
        return cls(*pristine_model(), threads=threads)

    def warm_up(self) -> None:
        """Compile, or load what was compiled before, for pictures of both depths: seconds, or a part of one."""
        self.score(np.zeros((BLOCK, BLOCK, 3), np.uint8))
        self.score(np.zeros((BLOCK, BLOCK, 3), np.uint16))

    def score(self, picture: Scorable) -> float:
        """The score of ``picture``: ``(height, width, 3)`` RGB, uint8 or uint16, any strides; or its gray.

        nan where pyiqa fails: no block with any contrast, or a side below 96 pixels.
        """
        return self._workers[0].score(picture)

    def score_all(
        self, pictures: Sequence[Scorable], prepared: Callable[[Scorable], Scorable] = lambda picture: picture
    ) -> list[float]:
        """The scores of ``pictures``, in their order; sizes and depths may be mixed.

        Each is ``prepared`` on its thread just before, so that what that makes is there for few of them at once.
        """
        scores = [math.nan] * len(pictures)
        waiting = itertools.count()

        def score_waiting(worker: _Worker) -> None:
            # next() of a count is one step for the interpreter: no picture is taken twice.
            while (index := next(waiting)) < len(pictures):
                scores[index] = worker.score(prepared(pictures[index]))

        own, *others = self._workers[: max(len(pictures), 1)]
        helpers = [self._pool.submit(score_waiting, other) for other in others] if self._pool else []
        try:
            score_waiting(own)
        finally:
            errors = [helper.exception() for helper in helpers]
        for error in errors:
            if error is not None:
                raise error
        return scores

    def close(self) -> None:
        """End the threads and free the space; a second call does nothing. ``score`` still works."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        for worker in self._workers:
            worker.free()


class _Worker:
    """One thread's space to work in, made for the size of its last picture."""

    def __init__(self, *model: NDArray[np.float64]) -> None:
        self._model = model
        self.free()

    def free(self) -> None:
        self._gray = np.empty((0, 0), np.uint8)
        self._half = np.empty((0, 0), np.float32)
        self._features = np.empty((0, FEATURES))
        self._copy: NDArray[Any] = np.empty((0, 0), np.uint8)

    def score(self, picture: Scorable) -> float:
        height, width = _check(picture)
        rows, columns = height // BLOCK, width // BLOCK
        if not rows or not columns:
            return math.nan
        size = (rows * BLOCK, columns * BLOCK)
        if self._features.shape[0] != rows * columns or self._half.shape != (size[0] // 2, size[1] // 2):
            self._half = np.empty((size[0] // 2, size[1] // 2), np.float32)
            self._features = np.empty((rows * columns, FEATURES))
        gray = picture.gray if isinstance(picture, GrayPicture) else self._gray_of(picture, size)
        return float(score_gray(gray, self._half, self._features, *self._model))

    def _gray_of(self, picture: Picture, size: tuple[int, int]) -> NDArray[np.uint8]:
        if self._gray.shape != size:
            self._gray = np.empty(size, np.uint8)
        to_gray(self._lines(picture), np.float32(np.iinfo(picture.dtype).max), self._gray)
        return self._gray

    def _lines(self, picture: Picture) -> NDArray[Any]:
        """``picture`` as ``(height, samples)`` in C order and read-only: a view when its rows are in one piece.

        A row may be longer than its pixels, as a decoder's are; such a view says so in its width, and the
        bytes past the last row are never read.
        """
        height, width, _ = picture.shape
        pitch, item = picture.strides[0], picture.itemsize
        if picture.strides[1:] == (3 * item, item) and pitch >= 3 * width * item and pitch % item == 0:
            return np.lib.stride_tricks.as_strided(picture, (height, pitch // item), (pitch, item), writeable=False)
        if self._copy.shape != (height, 3 * width) or self._copy.dtype != picture.dtype:
            self._copy = np.empty((height, 3 * width), picture.dtype)
        np.copyto(self._copy.reshape(picture.shape), picture)
        view = self._copy[:]
        view.flags.writeable = False
        return view


def _check(picture: Scorable) -> tuple[int, int]:
    if isinstance(picture, GrayPicture):
        return picture.gray.shape
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"not RGB of 8 or 16 bits: {picture.shape} {picture.dtype}")
    return picture.shape[0], picture.shape[1]


@cache
def shape_table() -> NDArray[np.float64]:
    """For every shape ``a`` that is looked for: ``a``, the ratio to look it up by, and the factors of scale and mean.

    ``(4, 9801)``: ``a``, ``G(2/a)^2 / (G(1/a) G(3/a))`` (rising), ``sqrt(G(1/a) / G(3/a))``, ``G(2/a) / G(1/a)``,
    with G the gamma function; ``a`` is rounded to float32, as in pyiqa.
    """
    shapes = (0.2 + 0.001 * np.arange(9801)).astype(np.float32).astype(np.float64)
    log_g1, log_g2, log_g3 = (np.array([math.lgamma(k / shape) for shape in shapes.tolist()]) for k in (1, 2, 3))
    table = np.stack(
        [shapes, np.exp(2 * log_g2 - (log_g1 + log_g3)), np.sqrt(np.exp(log_g1 - log_g3)), np.exp(log_g2 - log_g1)]
    )
    table.flags.writeable = False
    return table
