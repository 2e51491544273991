"""The relay's Prometheus series: per worker, and per camera with a bounded number of names.

At most `NAMED` cameras have series of their own. A camera keeps its name for as long as it is held; what finds no name is
counted under ``other``. Counters of ``other`` are carried on here, so that they never fall when a camera is let go.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hub.relay.workers.figures import CameraFigures, WorkerFigures

NAMED: Final = 100
OTHER: Final = "other"

_COUNTERS: Final = {
    "packets": "RTP packets of picture sent to viewers and recipients, without retransmissions",
    "bytes": "Bytes of payload sent to viewers and recipients",
    "retransmissions": "Packets sent again because a viewer lacked them",
    "skipped_packets": "Packets that a slow viewer was spared: it went on at a newer key frame",
    "reconnects": "Connections to cameras that were opened anew after they had broken",
}
_WORKER_COUNTERS: Final = _COUNTERS | {
    "sound_packets": "RTP packets of sound sent",
    "pulls_opened": "Connections to cameras that were tried",
    "transcodes_refused": "Streams that found no place for a transcode",
    "transcodes_failed": "Recoding processes that died, hung or could not be started",
    "coders_failed": "Hardware coders that failed over a stream, which libx264 went on coding",
    "sounds_refused": "Tracks of sound that found no place to be recoded",
    "sounds_failed": "Recoding processes of sound that failed",
    "send_blocked": "Sends that waited for the kernel's buffer",
    "send_failed": "Sends that the network refused",
    "refused_datagrams": "Datagrams of strangers, and those that proved nothing",
}
_WORKER_GAUGES: Final = {
    "viewers": "Viewers over WebRTC, half-open ones included",
    "connected": "Viewers over WebRTC whose transport stands",
    "readers": "Recipients over MSE and RTSP, and what keeps streams warm",
    "cameras": "Cameras held",
    "pushes": "Encoders that push, half-open ones included",
    "transcodes": "Streams recoded now",
    "transcodes_hardware": "Streams of them that hardware codes",
    "sounds_recoded": "Tracks of sound recoded now",
}
_KEYS: Final = {"bytes": "octets", "retransmissions": "resent", "skipped_packets": "skipped"}  # as counted
_SUMMED: Final = ("packets", "bytes", "retransmissions", "skipped_packets", "reconnects")


class _Given(Collector):
    """Shows what it was given last."""

    def __init__(self) -> None:
        self.families: tuple[Metric, ...] = ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        return iter(self.families)

    def describe(self) -> Iterator[Metric]:
        """Promise nothing before the first reading."""
        return iter(())


class RelaySeries:
    """Reads the workers' figures when asked to, and shows them in two registries: of workers, and of cameras."""

    def __init__(self, read: Callable[[], Awaitable[tuple[WorkerFigures, ...]]], named: int = NAMED) -> None:
        self.workers = CollectorRegistry()
        self.cameras = CollectorRegistry()
        self._read = read
        self._limit = named
        self._named: set[str] = set()
        self._others: dict[
            tuple[int, str], dict[str, int]
        ] = {}  # counters of each unnamed camera as last read
        self._other: Counter[str] = Counter()
        self._of_workers, self._of_cameras = _Given(), _Given()
        self.workers.register(self._of_workers)
        self.cameras.register(self._of_cameras)

    async def refresh(self) -> None:
        """Read the figures of this moment."""
        workers = await self._read()
        self._of_workers.families = tuple(_worker_families(workers))
        held = [(worker.index, camera) for worker in workers for camera in worker.cameras]
        self._of_cameras.families = tuple(self._camera_families(held))

    def _camera_families(self, held: list[tuple[int, CameraFigures]]) -> Iterator[Metric]:
        present = {camera.camera_id for _worker, camera in held}
        self._named &= present
        for _worker, camera in sorted(held, key=lambda one: (-one[1].viewers, one[1].camera_id)):
            if len(self._named) >= self._limit:
                break
            self._named.add(camera.camera_id)
        rows = {camera.camera_id: camera for _worker, camera in held if camera.camera_id in self._named}
        unnamed = [(worker, camera) for worker, camera in held if camera.camera_id not in self._named]
        self._carry_on(unnamed)

        def gauge(name: str, text: str, value: Callable[[CameraFigures], float]) -> GaugeMetricFamily:
            family = GaugeMetricFamily(f"camhub_relay_camera_{name}", text, labels=("camera",))
            for camera_id, camera in rows.items():
                family.add_metric((camera_id,), value(camera))
            return family

        viewers = gauge("viewers", "Viewers over WebRTC", lambda one: one.viewers)
        readers = gauge("readers", _WORKER_GAUGES["readers"], lambda one: one.readers)
        transcodes = gauge("transcodes", "Streams of it that are recoded now", lambda one: one.transcodes)
        age = GaugeMetricFamily(
            "camhub_relay_camera_key_frame_age_seconds",
            "Age of the newest key frame; absent where there is none; for `other` the oldest",
            labels=("camera",),
        )
        for camera_id, camera in rows.items():
            if camera.key_frame_age_s >= 0:
                age.add_metric((camera_id,), camera.key_frame_age_s)
        if unnamed:
            others = [camera for _worker, camera in unnamed]
            viewers.add_metric((OTHER,), sum(one.viewers for one in others))
            readers.add_metric((OTHER,), sum(one.readers for one in others))
            transcodes.add_metric((OTHER,), sum(one.transcodes for one in others))
            age.add_metric((OTHER,), max(0.0, *(one.key_frame_age_s for one in others)))
        yield from (viewers, readers, transcodes, age)
        for name in _SUMMED:
            family = CounterMetricFamily(f"camhub_relay_camera_{name}", _COUNTERS[name], labels=("camera",))
            for camera_id, camera in rows.items():
                family.add_metric((camera_id,), _sums(camera)[name])
            if self._other.total() or unnamed:
                family.add_metric((OTHER,), self._other[name])
            yield family

    def _carry_on(self, unnamed: Iterable[tuple[int, CameraFigures]]) -> None:
        """Add what came since the last reading to the counters of those without a name."""
        seen: dict[tuple[int, str], dict[str, int]] = {}
        for worker, camera in unnamed:
            key = (worker, camera.camera_id)
            now, before = _sums(camera), self._others.get(key, {})
            for name, value in now.items():
                last = before.get(name, 0)
                self._other[name] += value - last if value >= last else value
            seen[key] = now
        self._others = seen


def _sums(camera: CameraFigures) -> dict[str, int]:
    return {
        "packets": camera.packets,
        "bytes": camera.octets,
        "retransmissions": camera.resent,
        "skipped_packets": camera.skipped,
        "reconnects": camera.reconnects,
    }


def _worker_families(workers: tuple[WorkerFigures, ...]) -> Iterator[Metric]:
    def gauge(
        name: str, text: str, value: Callable[[WorkerFigures], float], *, running: bool = True
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(f"camhub_relay_worker_{name}", text, labels=("worker",))
        for worker in workers:
            if worker.counters or not running:
                family.add_metric((str(worker.index),), value(worker))
        return family

    yield gauge("up", "1 while the worker's process serves", lambda one: one.up, running=False)
    yield gauge("failures", "Ends in a row, each soon after a start", lambda one: one.failures, running=False)
    yield gauge(
        "loop_lag_seconds",
        "How late the event loop came, the most of the last ten to twenty seconds",
        lambda one: one.loop_lag_s,
    )
    restarts = CounterMetricFamily(
        "camhub_relay_worker_restarts", "Starts after an end that nobody asked for", labels=("worker",)
    )
    for worker in workers:
        restarts.add_metric((str(worker.index),), worker.restarts)
    yield restarts
    for name, text in _WORKER_GAUGES.items():
        yield gauge(name, text, lambda one, name=name: one.counters.get(name, 0))  # type: ignore[misc]
    for name, text in _WORKER_COUNTERS.items():
        family = CounterMetricFamily(f"camhub_relay_worker_{name}", text, labels=("worker",))
        for worker in workers:
            if worker.counters:
                family.add_metric((str(worker.index),), worker.counters.get(_KEYS.get(name, name), 0))
        yield family
