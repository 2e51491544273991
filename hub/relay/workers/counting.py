"""Adds up what one relay worker does, for its own figures and those of each camera."""

from collections import defaultdict
from collections.abc import Mapping

from hub.relay.camera.layers import Layer, Layers
from hub.relay.outputs.readers import Readers
from hub.relay.webrtc.viewer import Viewer
from hub.relay.workers.figures import CameraFigures, Sends, Tallies


class Counting:
    """The sums of one engine: over those who are there now, and those who left."""

    def __init__(
        self, layers: Layers, viewers: Mapping[str, Viewer], readers: Readers, tallies: Tallies
    ) -> None:
        self._layers = layers
        self._viewers = viewers
        self._readers = readers
        self._tallies = tallies

    def sent(self) -> dict[str, int]:
        """Return the worker's sums; they never fall."""
        present: list[Sends] = [*self._viewers.values(), *(reader for _camera, reader in self._readers)]
        total = self._tallies.total(present)
        return {
            "packets": total.packets,
            "octets": total.octets,
            "resent": total.resent,
            "skipped": total.skipped,
        }

    def cameras(self, now_s: float) -> tuple[CameraFigures, ...]:
        """Return the figures of each camera (monotonic seconds)."""
        watching: defaultdict[str, list[Sends]] = defaultdict(list)
        reading: defaultdict[str, list[Sends]] = defaultdict(list)
        for viewer in self._viewers.values():
            watching[viewer.camera_id].append(viewer)
        for camera_id, reader in self._readers:
            reading[camera_id].append(reader)
        layers: defaultdict[str, list[Layer]] = defaultdict(list)
        for layer in self._layers:
            layers[layer.spec.camera_id].append(layer)
        found = []
        for camera_id, theirs in layers.items():
            tally = self._tallies.of(camera_id, (*watching[camera_id], *reading[camera_id]))
            arrived_s = max(
                (rendition.fanout.key_frame_s for layer in theirs for rendition in layer.renditions.values()),
                default=0.0,
            )
            found.append(
                CameraFigures(
                    camera_id,
                    viewers=len(watching[camera_id]),
                    readers=len(reading[camera_id]),
                    packets=tally.packets,
                    octets=tally.octets,
                    resent=tally.resent,
                    skipped=tally.skipped,
                    reconnects=self._layers.reconnects(camera_id),
                    transcodes=sum("transcode" in layer.renditions for layer in theirs),
                    key_frame_age_s=round(now_s - arrived_s, 3) if arrived_s else -1.0,
                )
            )
        return tuple(found)
