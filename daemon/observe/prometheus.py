"""What an operator plots and alerts on, for Prometheus; every name says its unit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.errors import Kind
from daemon.events import Ended, Event, FramesScored, Left, Taken
from daemon.model import Status
from daemon.observe.progress_file import ProgressFile

CONTENT_TYPE = CONTENT_TYPE_LATEST
EXPORT_BUCKETS_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class _ClusterCollector(Collector):
    """What each worker of the cluster does; nothing where films are scored here."""

    def __init__(self, progress: ProgressFile) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        """Called for every page."""
        if (seen := self._progress.cluster) is None:
            return
        up = GaugeMetricFamily("stillwatch_cluster_up", "1 while the cluster answers and can be used.")
        up.add_metric([], float(not seen.away))
        waiting = GaugeMetricFamily("stillwatch_cluster_waiting_videos", "Videos in work that have no worker yet.")
        waiting.add_metric([], seen.waiting)
        refused = GaugeMetricFamily("stillwatch_cluster_refused_machines", "Machines that are refused.")
        refused.add_metric([], len(seen.refused))
        workers = GaugeMetricFamily("stillwatch_worker_films", "Films in work on a machine.", labels=["worker"])
        fps = GaugeMetricFamily("stillwatch_worker_fps", "Frames scored per second on a machine.", labels=["worker"])
        for name in sorted({one.worker for one in seen.workers}):
            on_it = [one for one in seen.workers if one.worker == name]
            workers.add_metric([name], sum(one.video_id is not None for one in on_it))
            fps.add_metric([name], sum(one.fps for one in on_it))
        yield from (up, waiting, refused, workers, fps)


class Metrics:
    """Counts events and reads the progress; ``page`` is what Prometheus fetches."""

    def __init__(
        self,
        progress: ProgressFile,
        registry: CollectorRegistry | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        # Never the global registry: two daemons in one process, as in tests, must not share counters.
        registry = CollectorRegistry() if registry is None else registry
        self._registry = registry
        self._monotonic = monotonic
        self._exporting: dict[int, float] = {}
        self._frames = Counter("stillwatch_frames_scored_total", "Frames scored and written.", registry=registry)
        self._videos = Counter(
            "stillwatch_videos_total", "Videos that came to their end, by status.", ["status"], registry=registry
        )
        for status in Status:
            if status.final:
                self._videos.labels(status.value)
        self._stills = Counter("stillwatch_stills_total", "Stills proven and published.", registry=registry)
        self._errors = Counter(
            "stillwatch_errors_total", "Videos that failed or were refused, by error_kind.", ["kind"], registry=registry
        )
        self._export = Histogram(
            "stillwatch_export_seconds",
            "From taking a scored video to the end of its export.",
            buckets=EXPORT_BUCKETS_SECONDS,
            registry=registry,
        )
        self._queue = Gauge("stillwatch_queue_videos", "Videos that wait to be scored.", registry=registry)
        fps = Gauge("stillwatch_fps", "Frames scored per second now, all videos together.", registry=registry)
        fps.set_function(lambda: progress.fps)
        waiting = Gauge(
            "stillwatch_decode_queue_bytes", "Decoded pictures that wait for the scorer.", registry=registry
        )
        waiting.set_function(lambda: progress.queue_bytes)
        registry.register(_ClusterCollector(progress))
        ProcessCollector(registry=registry)

    def tell(self, event: Event) -> None:
        """Count it; a Listener."""
        if isinstance(event, FramesScored):
            self._frames.inc(event.frames)
        elif isinstance(event, Taken) and event.status is Status.EXPORTING:
            self._exporting[event.video_id] = self._monotonic()
        elif isinstance(event, Left) and event.status is Status.EXPORTING:
            self._export.observe(self._monotonic() - self._exporting.pop(event.video_id, self._monotonic()))
        elif isinstance(event, Ended):
            self._videos.labels(event.record.status.value).inc()
            self._stills.inc(len(event.stills))
            # A copy of a known video is refused, but nothing is wrong with it.
            if event.record.error_kind not in (None, Kind.DUPLICATE):
                self._errors.labels(event.record.error_kind).inc()

    def page(self, videos: Mapping[str, int]) -> bytes:
        """The text exposition; ``videos`` are the counts by status as the store has them."""
        self._queue.set(videos.get(Status.QUEUED.value, 0))
        return generate_latest(self._registry)
