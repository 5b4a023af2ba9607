"""What stills are cut from: the scored video, and the decoder that scored it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, Self

from daemon.errors import Kind, VideoError
from daemon.export.image_format import ImageFormat
from daemon.model import FileIdentity, Frame, VideoInfo, VideoRecord, WantedFrame


@dataclass(frozen=True, slots=True)
class Source:
    """The video that stills are cut from, and who scored it.

    ``exact`` says that only the decoder that scored it can be trusted with it (damage, mixed sizes).
    """

    file: FileIdentity
    info: VideoInfo
    metric: str
    lower_better: bool
    scorer: str
    damaged: bool
    exact: bool
    damage: str | None = None

    @classmethod
    def of(cls, record: VideoRecord) -> Self:
        """The source of a scored video. Raises VideoError(INTERNAL) for one that was never scored."""
        if record.info is None or record.metric is None or record.lower_better is None or record.scorer is None:
            raise VideoError(Kind.INTERNAL, "the video was never scored: queue it again with `stillwatch retry`")
        return cls(
            file=record.file,
            info=record.info,
            metric=record.metric,
            lower_better=record.lower_better,
            scorer=record.scorer,
            damaged=record.damaged,
            exact=record.damaged or record.mixed,
            damage=record.damage,
        )


class ReferenceDecoder(Protocol):
    """Decodes frames of the source again with one thread, which always gives the same frames.

    A still is proven by comparing it with these frames. The export is given the decoder, since it must not import one.
    """

    async def seeking_pays(self, wanted: Sequence[WantedFrame]) -> bool:
        """Whether these frames cost clearly less by seeking than by a pass over the film."""

    def sought(
        self, wanted: Sequence[WantedFrame], image: ImageFormat
    ) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
        """Those of the frames that seeking finds, each with its stored hash, as pictures of the image's depth."""

    def frames(
        self, wanted: Sequence[WantedFrame], image: ImageFormat, *, seek: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Frame]]:
        """The frames as pictures of the image's depth: by seeking where that pays, or by a pass.

        ``seek`` False: seeking has not found them. A frame that cannot be decoded is missing or has no picture.
        Reading raises VideoError, STUCK when the decoder hangs.
        """
