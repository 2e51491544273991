"""Which worker holds which camera, and which worker serves which viewer.

A camera's row is made when somebody wants to see it and stays for as long as its worker pulls it, or anybody is to see it:
in all that time no other worker may open it, so that a camera is never pulled twice. Rows go with their worker.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hub.relay.errors import RelayRefused
from hub.relay.workers.process import WorkerProcess

OnSegment = Callable[[bytes, str], None]


@dataclass(slots=True, eq=False)
class Held:
    """A camera's row."""

    worker: WorkerProcess
    pulled: bool = False
    viewers: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)  # that were told to be open


@dataclass(slots=True, eq=False)
class Seat:
    """A viewer's row."""

    camera_id: str
    worker: WorkerProcess
    answered: bool = False
    lost: bool = False  # with its worker, before it was known to be answered
    on_segment: OnSegment | None = None  # where the pieces of a reader go


class Table:
    """The rows of all cameras and viewers."""

    def __init__(self) -> None:
        self.cameras: dict[str, Held] = {}
        self.seats: dict[str, Seat] = {}

    def hold(self, camera_id: str, workers: Iterable[WorkerProcess], on: WorkerProcess | None = None) -> Held:
        """Return a camera's row; a new one goes to the worker with the fewest viewers, then the fewest cameras.

        `on` is the one worker that it may be.

        Raises:
            RelayRefused: no worker runs, or another one than `on` holds the camera.
        """
        held = self.cameras.get(camera_id)
        if held is None and on is not None and on.serves:
            held = self.cameras[camera_id] = Held(on)
        if held is not None:
            if on is not None and held.worker is not on:
                raise RelayRefused(
                    503, "relay_busy", "another worker holds the camera; connect again", retry_after_s=1.0
                )
            return held
        loads = {worker: self.load(worker) for worker in workers if worker.serves}
        if not loads:
            raise RelayRefused(
                503, "relay_down", "the relay is being restarted; try again", retry_after_s=1.0
            )
        held = self.cameras[camera_id] = Held(min(loads, key=lambda worker: loads[worker]))
        return held

    def load(self, worker: WorkerProcess) -> tuple[int, int]:
        """Return how many viewers and cameras a worker has."""
        viewers = sum(1 for seat in self.seats.values() if seat.worker is worker)
        return viewers, sum(1 for held in self.cameras.values() if held.worker is worker)

    def sit(self, viewer_id: str, camera_id: str, held: Held, on_segment: OnSegment | None = None) -> Seat:
        """Make a viewer's row.

        Raises:
            RelayRefused: it has one already.
        """
        if viewer_id in self.seats:
            raise RelayRefused(
                409, "viewer_exists", "this viewer session has been answered already; open another"
            )
        held.viewers.add(viewer_id)
        seat = self.seats[viewer_id] = Seat(camera_id, held.worker, on_segment=on_segment)
        return seat

    def seat(self, viewer_id: str) -> Seat:
        """Return a viewer's row.

        Raises:
            RelayRefused: it has none.
        """
        seat = self.seats.get(viewer_id)
        if seat is None:
            raise RelayRefused(404, "viewer_unknown", "this viewer session has ended; open another")
        return seat

    def leave(self, viewer_id: str, seat: Seat | None = None) -> None:
        """Take a viewer out, only from this seat where one is named. Idempotent."""
        found = self.seats.get(viewer_id)
        if found is None or (seat is not None and found is not seat):
            return
        del self.seats[viewer_id]
        held = self.cameras.get(found.camera_id)
        if held is not None and held.worker is found.worker:
            held.viewers.discard(viewer_id)
            self.forget(found.camera_id, held)

    def pulled(self, worker: WorkerProcess, camera_id: str, *, pulled: bool) -> None:
        """Note that a worker holds a camera from now on, or no more."""
        held = self.cameras.get(camera_id)
        if held is None and pulled:
            held = self.cameras[camera_id] = Held(worker)
        if held is not None and held.worker is worker:
            held.pulled = pulled
            self.forget(camera_id, held)

    def layer(self, worker: WorkerProcess, camera_id: str, layer: str, *, is_open: bool) -> None:
        """Note that one of a camera's streams is open, or not."""
        held = self.cameras.get(camera_id)
        if held is not None and held.worker is worker:
            (held.layers.add if is_open else held.layers.discard)(layer)

    def forget(self, camera_id: str, held: Held) -> None:
        """Let a camera be given to any worker again, once nothing of it is left."""
        if not held.pulled and not held.viewers and self.cameras.get(camera_id) is held:
            del self.cameras[camera_id]

    def lose(self, worker: WorkerProcess) -> tuple[dict[str, Seat], dict[str, Held]]:
        """Take out all rows of a worker and return them."""
        seats = {name: seat for name, seat in self.seats.items() if seat.worker is worker}
        cameras = {name: held for name, held in self.cameras.items() if held.worker is worker}
        for viewer_id, seat in seats.items():
            seat.lost = True
            del self.seats[viewer_id]
        for camera_id in cameras:
            del self.cameras[camera_id]
        return seats, cameras
