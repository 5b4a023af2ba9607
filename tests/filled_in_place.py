"""What a file holds that a downloader has made in full size and fills in place."""

from __future__ import annotations

from daemon.inbox.identity import BLOCK_BYTES


def blocks_alone(content: bytes) -> bytes:
    """The first, the middle and the last block of a file, which its fingerprint is of; the rest is zeros."""
    kept, middle = bytearray(len(content)), (len(content) - BLOCK_BYTES) // 2
    for start in (0, middle, len(content) - BLOCK_BYTES):
        kept[start : start + BLOCK_BYTES] = content[start : start + BLOCK_BYTES]
    return bytes(kept)
