"""The one writer is nearly as quick as SQLite itself, however few rows it is handed at a time."""

from __future__ import annotations

import pytest

from tests import writer_bench

LEAST_SHARE = 0.8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_writer_reaches_four_fifths_of_plain_executemany() -> None:
    found = writer_bench.by_turns(frames=30_000, batches=(8, 16, 512), turns=5)
    shares = {size: writer_bench.share(found, size) for size in found if size}
    print({size: f"{share:.0%}" for size, share in shares.items()})
    assert min(shares.values()) >= LEAST_SHARE, shares
