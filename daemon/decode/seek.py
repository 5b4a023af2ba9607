"""Frames that were scored, decoded again without decoding the whole film.

The ladder; each rung is tried for the frames that the one above could not give::

    key         seek to the key packet before the frame, decode up to it, compare the hash of its planes; what no other
                frame refers to is left out, and once a frame has not come in this way or may be of two moments,
                nothing is
      │ landed behind the key, the frame did not come, or it has another hash
      ▼
    key before  the same from one key packet earlier (intra refresh, damage, pictures that lead a key)
      │
      ▼
    pass        decode from the file's beginning (no pts, no index; or where it is cheaper)

A frame is given only where its planes have the hash that was stored at scoring, so a wrong seek costs time and nothing
else. FFmpeg's own ``-ss`` is not used: it gives other frames of some files without a word.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame

from daemon.config.score import DecodeConfig
from daemon.decode.budget import most_pixels
from daemon.decode.combing import has_combed_blocks, is_combed
from daemon.decode.container import opened, packets_of
from daemon.decode.damage import ERRORS, DecodeReport
from daemon.decode.frames import decode_frames
from daemon.decode.packet_index import NO_TIME, PacketIndex
from daemon.decode.packets import PacketNumber, index_packets, opened_by, video_stream
from daemon.decode.picture import FrameHasher, PictureMaker, layout, refuse_large_pictures
from daemon.decode.seek_plan import Aim, Planner, Rung, cost
from daemon.media import filters
from daemon.model import Frame, VideoInfo, WantedFrame

if TYPE_CHECKING:
    from daemon.decode.planes import Empty

LATEST_PACKETS = 60
"""A frame that has not come so many packets after its own does not come any more."""
WRONG_PACKETS = 8
"""So many packets after a frame that has both its pts and its packet, and another hash, it is given up."""
LOOKED_AT = 60
"""Packets in which a seek must show where it has landed."""
EARLIER_S = 1.0
PACKETS_BEFORE = 4


def frames_again(
    info: VideoInfo,
    config: DecodeConfig,
    report: DecodeReport,
    wanted: Sequence[WantedFrame],
    index: PacketIndex | None,
    *,
    single_thread: bool = True,
    depth: int | None = None,
    keep_hdr: bool = False,
    empty: Empty | None = None,
) -> Generator[Frame, None, None]:
    """Scored frames, by seeking where that is cheaper than a pass, the others by the pass.

    Pictures are made in what ``empty`` gives, if it is given. What the pass gives may have another hash than the stored
    one, and a frame may be missing. The order is that of presentation within each of the two. Raises VideoError when
    the file cannot be read.
    """
    left = {one.frame: one for one in wanted}
    if index is not None and cost(index, wanted).seeking_pays:
        for frame in sought_frames(info, config, report, wanted, index, depth=depth, keep_hdr=keep_hdr, empty=empty):
            del left[frame.index]
            yield frame
    if not left:
        return
    for frame in decode_frames(
        info,
        config,
        report,
        single_thread=single_thread,
        wanted=frozenset(left),
        depth=depth,
        keep_hdr=keep_hdr,
        empty=empty,
    ):
        report.rungs[Rung.PASS] += 1
        yield frame


def sought_frames(
    info: VideoInfo,
    config: DecodeConfig,
    report: DecodeReport,
    wanted: Sequence[WantedFrame],
    index: PacketIndex,
    *,
    depth: int | None = None,
    keep_hdr: bool = False,
    empty: Empty | None = None,
) -> Generator[Frame, None, None]:
    """Those of the wanted frames that seeking finds, each with the wanted hash, in the order of presentation.

    ``info`` has the properties of each frame's stretch. One thread decodes, and no more than a pass would: where so
    many frames are missed, it ends. Raises VideoError when the file cannot be opened, or a picture not be made.
    """
    planner = Planner(index)
    maker = PictureMaker(depth, keep_hdr, empty)
    with ERRORS.watching(any_thread=False), _Seeker(info, config, report, index) as seeker:
        aims = planner.aims(wanted)
        seeker.keep = frozenset(aim.packet for aim in aims)
        for aim in aims:
            raw, rung = seeker.find_at_key(aim), Rung.KEY
            if raw is None and aim.wanted.pts is not None:
                began = aim.key if seeker.key < 0 else min(aim.key, seeker.key)
                earlier = planner.key_before(began - 1, aim.wanted.pts)
                raw, rung = None if earlier is None else seeker.find(aim, earlier), Rung.KEY_BEFORE
            as_here = info.at(aim.wanted.frame)
            if raw is None or layout(raw) != filters.layout_of(as_here):
                if seeker.decoded > aims[-1].packet:
                    return
                continue
            report.rungs[rung] += 1
            refuse_large_pictures(raw, as_here, config)
            one = aim.wanted
            picture = maker.make(raw, as_here, combed=as_here.deinterlace and is_combed(raw, as_here.rules))
            yield Frame(one.frame, one.pts, one.time_s, one.hash, picture, bool(raw.is_corrupt))


def index_of(info: VideoInfo, config: DecodeConfig, report: DecodeReport) -> PacketIndex:
    """The index of a file's packets by reading them without decoding any; the file is read whole, except for MP4."""
    with opened(info.path, config) as container:
        index_packets(container, video_stream(container, info.stream_index), config, report)
    return report.index.built()


class _Seeker:
    """A decoder that stands somewhere in the film: it decodes on where that leads to the frame, and seeks if not.

    ``key`` is the packet that the present run began with, ``decoded`` counts the packets of all runs. On the way to a
    frame, packets that no other refers to are not decoded, but for those in ``keep``, whose frames are wanted as well.
    """

    def __init__(self, info: VideoInfo, config: DecodeConfig, report: DecodeReport, index: PacketIndex) -> None:
        self._info = info
        self._config = config
        self._report = report
        self._index = index
        self._hasher = FrameHasher()
        times = index.earliest[index.earliest != NO_TIME]
        self._first_time = int(times.min()) if len(times) else 0
        self._first_key = int(np.flatnonzero(index.key)[0]) if index.key.any() else 0
        self.key = -1
        self.decoded = 0
        self.keep: frozenset[int] = frozenset()
        self._skips = True
        self._skip_to = -1
        self._fed = -1
        self._run: Iterator[VideoFrame | None] = iter(())
        self._opened: Any = None
        self._context: Any = None
        self._container: InputContainer | None = None

    def __enter__(self) -> _Seeker:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def find_at_key(self, aim: Aim) -> VideoFrame | None:
        """The wanted frame from its key packet, by decoding as little as will do; None where it does not come."""
        decoded = self.decoded
        raw = self.find(aim, aim.key)
        if self._skips and (raw is None or self._may_be_of_fields(raw, aim)):
            self._skips, self.decoded, self._fed = False, decoded, -1
            raw = self.find(aim, aim.key)
        return raw

    def _may_be_of_fields(self, raw: VideoFrame, aim: Aim) -> bool:
        """Which fields a frame has is told by its marks, which a decoder may take over from the frame before."""
        as_here = self._info.at(aim.wanted.frame)
        return as_here.deinterlace and has_combed_blocks(raw, as_here.rules)

    def find(self, aim: Aim, key: int) -> VideoFrame | None:
        """The wanted frame, decoded from a key packet or from where the decoder is; None where it does not come."""
        self._skip_to = aim.packet if self._skips else -1
        going_on = 0 <= self.key <= key <= self._fed + 1 and self._fed >= 0
        if not going_on and not self._begin(key):
            self.key = self._fed = -1
            return None
        latest = aim.packet + LATEST_PACKETS
        for raw in self._run:
            # What was stored as the pts may be the dts, see ``BestEffort``.
            if raw is not None and (aim.wanted.pts in (raw.pts, raw.dts) or raw.opaque == aim.packet):
                certain = raw.pts == aim.wanted.pts and raw.opaque == aim.packet
                if self._hasher.sha1(raw) == aim.wanted.hash:
                    return raw
                if certain:
                    latest = min(latest, self._fed + WRONG_PACKETS)
            if self._fed > latest:
                break
        # Frames that are wanted next may have gone by.
        self._fed = -1
        return None

    def _begin(self, key: int) -> bool:
        """Have the decoder begin with this key packet; False where no seek leads to it."""
        packets = self._from_start() if key == self._first_key else self._from_key(key)
        if packets is None:
            return False
        self.key, self._fed = key, -1 if key == self._first_key else key - 1
        self._run = self._decoded(packets)
        return True

    def _from_start(self) -> Iterator[Packet[Any]]:
        """Opened anew, a file gives what it gave to the scoring."""
        return self._demuxed(self._open())

    def _from_key(self, key: int) -> Iterator[Packet[Any]] | None:
        container = self._container or self._open()
        target = max(int(self._index.earliest[key]), self._first_time)
        earlier = max(target - int(EARLIER_S / self._info.time_base), self._first_time)
        # A packet may begin in what the file has before its position.
        before = int(self._index.position[max(key - PACKETS_BEFORE, 0)])
        for offset, by_byte in ((target, False), (earlier, False), (before, True)):
            if by_byte and offset < 0:
                continue
            try:
                stream = video_stream(container, self._info.stream_index)
                container.seek(offset, stream=stream, unsupported_byte_offset=by_byte)
                self._context.flush_buffers()
            except (av.error.FFmpegError, OSError):
                # Some demuxers cannot seek this way: the next one is tried.
                continue
            packets = self._demuxed(container)
            first = self._landed(packets, key)
            if first is not None:
                return chain([first], packets)
        return None

    def _landed(self, packets: Iterator[Packet[Any]], key: int) -> Packet[Any] | None:
        """The key packet itself, the packets before it read over; None where the seek has landed behind it."""
        number: int | None = None
        for looked, packet in enumerate(packets):
            number = self._number(packet, key) if number is None else number + 1
            if number is None and looked < LOOKED_AT:
                continue
            if number is None or number > key:
                return None
            if number == key:
                return packet if packet.size == self._index.size[key] else None
        return None

    def _number(self, packet: Packet[Any], near: int) -> int | None:
        """A packet's number in the index, by position and size, or pts and size: its dts changes after a seek."""
        index = self._index
        position = packet.pos if packet.pos is not None and packet.pos >= 0 else None
        for column, value in ((index.position, position), (index.pts, packet.pts)):
            if value is None:
                continue
            found = np.flatnonzero((column == value) & (index.size == packet.size))
            if len(found):
                return int(found[np.abs(found - near).argmin()])
        return None

    def _demuxed(self, container: InputContainer) -> Iterator[Packet[Any]]:
        """The packets that hold something, up to the first error of reading."""
        try:
            for packet in packets_of(container, video_stream(container, self._info.stream_index)):
                self._report.packets += 1
                if packet.size:
                    yield packet
        except (av.error.FFmpegError, OSError):
            return

    def _decoded(self, packets: Iterator[Packet[Any]]) -> Iterator[VideoFrame | None]:
        """The frames of the packets, the flushed ones included; their ``opaque`` is the number of their packet.

        None for a packet after which no frame came, so that who waits for one can give up.
        """
        context = self._context
        for packet in chain(packets, [None]):
            if packet is not None:
                self._fed += 1
                self.decoded += 1
                packet.opaque = PacketNumber(self._fed)
                # Some decoders (dav1d) keep to what is said when they are opened.
                skips = context.is_open and self._fed < self._skip_to and self._fed not in self.keep
                context.skip_frame = "NONREF" if skips else "DEFAULT"
            try:
                frames = context.decode(packet)
            except EOFError:
                return
            except av.error.FFmpegError:
                # What comes of it shows in the hash.
                frames = []
            for frame in frames:
                self._report.frames += 1
                yield frame
            if not frames:
                yield None

    def _open(self) -> InputContainer:
        self._close()
        self._opened = opened(self._info.path, self._config)
        container: InputContainer = self._opened.__enter__()
        self._container = container
        stream = video_stream(container, self._info.stream_index)
        context = opened_by(self._info.decoder, stream) if self._info.decoder else stream.codec_context
        # As the pass with one thread does, see ``decoded_frames``.
        largest = most_pixels(self._info.width, self._info.height, self._config)
        context.options = {"max_pixels": str(largest), "flags": "+unaligned"}
        context.thread_type = "NONE"
        context.thread_count = 1
        context.copy_opaque = True
        self._context = context
        return container

    def _close(self) -> None:
        self._run = iter(())
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = self._container = self._context = None
