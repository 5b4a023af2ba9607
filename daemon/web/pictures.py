"""Frames in full, made when somebody asks: decoded on few slots, within a time limit, and kept for a while."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus

from daemon.errors import StillwatchError
from daemon.export.jpeg import jpeg
from daemon.model import Frame, Picture, VideoRecord

SLOTS = 1
MOST_WAITING = 8
LIMIT_SECONDS = 20.0
LIMIT_BESIDE_SCORING_SECONDS = 5.0
BEFORE, AFTER = 3, 8
"""Neighbours that are decoded with a frame: whoever looks at one steps on to the next."""
KEPT_BYTES = 64 * 1024 * 1024
QUALITY = 93

Decode = Callable[[VideoRecord, frozenset[int]], AsyncGenerator[Frame, None]]


class PictureError(Exception):
    """A picture that cannot be shown: ``status`` for the client, ``reason`` for people."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FullPicture:
    """A frame as JPEG, and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


class FullPictures:
    """Decodes frames on demand. ``decode`` gives a film's frames in order, ``scoring`` says whether any is scored."""

    def __init__(self, decode: Decode, scoring: Callable[[], bool] = lambda: False) -> None:
        self._decode = decode
        self._scoring = scoring
        self._kept: OrderedDict[tuple[int, str | None, int], FullPicture] = OrderedDict()
        self._bytes = 0
        self._slots = asyncio.Semaphore(SLOTS)
        self._waiting = 0

    async def get(self, record: VideoRecord, frame: int, frames: int) -> FullPicture:
        """One frame of a film that has ``frames`` of them. Raises PictureError."""
        key = (record.id, record.scorer, frame)
        if (kept := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return kept
        if self._waiting >= MOST_WAITING:
            raise PictureError(HTTPStatus.SERVICE_UNAVAILABLE, "too many frames are asked for: try again in a moment")
        self._waiting += 1
        limit = LIMIT_BESIDE_SCORING_SECONDS if self._scoring() else LIMIT_SECONDS
        try:
            async with asyncio.timeout(limit), self._slots:
                if key not in self._kept:
                    await self._fill(record, frame, frames)
        except TimeoutError as error:
            raise PictureError(
                HTTPStatus.GATEWAY_TIMEOUT, f"the frame could not be decoded within {limit:.0f} seconds"
            ) from error
        except StillwatchError as error:
            raise PictureError(HTTPStatus.NOT_FOUND, error.sentence) from error
        finally:
            self._waiting -= 1
        if (made := self._kept.get(key)) is None:
            raise PictureError(HTTPStatus.NOT_FOUND, f"frame {frame} could not be decoded")
        return made

    async def _fill(self, record: VideoRecord, frame: int, frames: int) -> None:
        wanted = frozenset(range(max(0, frame - BEFORE), min(frames, frame + AFTER + 1)))
        async with aclosing(self._decode(record, wanted)) as found:
            async for one in found:
                if one.picture is not None:
                    self._keep((record.id, record.scorer, one.index), await asyncio.to_thread(_full, one.picture))

    def _keep(self, key: tuple[int, str | None, int], picture: FullPicture) -> None:
        old = self._kept.pop(key, None)
        self._bytes += len(picture.jpeg) - (len(old.jpeg) if old else 0)
        self._kept[key] = picture
        while self._bytes > KEPT_BYTES and len(self._kept) > BEFORE + AFTER + 1:
            self._bytes -= len(self._kept.popitem(last=False)[1].jpeg)


def _full(picture: Picture) -> FullPicture:
    height, width = picture.shape[:2]
    return FullPicture(jpeg(picture, quality=QUALITY), width, height)
