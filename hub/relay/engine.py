"""Everything of the relay that lives in one process: the port, the cameras that are pulled, their viewers."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.port import MediaSource
from hub.relay.errors import RelayRefused
from hub.relay.events import KeyFrame, RelayEvent, SourceSpec, SourceState, ViewerConnected, ViewerEnded
from hub.relay.fanout import Fanout
from hub.relay.ice import UdpPort
from hub.relay.packetise import units
from hub.relay.sdp import LocalTransport, Offer, Offered, negotiate, write_answer
from hub.relay.source import OpenSource, Pull
from hub.relay.transport import Certificate, PacketSender
from hub.relay.viewer import Viewer

log = structlog.get_logger(__name__)

LEASE_S: Final = 2.0
_HOUSEKEEPING_S = 0.1


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one worker takes on. Seconds unless named otherwise."""

    max_viewers: int = 1000
    max_cameras: int = 500
    connect_within_s: float = 15.0  # a half-open viewer is dropped
    gone_after_s: float = 30.0  # without an ICE check (RFC 7675 5.1)
    idle_stop_s: float = 10.0
    source_within_s: float = 12.0  # an answer waits so long for a camera that is not yet pulled
    report_every_s: float = 2.0


@dataclass(slots=True, eq=False)
class _Camera:
    spec: SourceSpec
    fanout: Fanout
    pull: Pull
    waiting: int = 0  # offers that wait for the source
    idle_since_s: float | None = None
    closing: bool = False
    viewers: set[str] = field(default_factory=set)


class RelayEngine:
    """Answers offers, pulls cameras on demand, stops what is not vouched for."""

    def __init__(
        self,
        open_source: OpenSource,
        clock: Clock,
        on_event: Callable[[RelayEvent], None],
        limits: EngineLimits | None = None,
    ) -> None:
        self._open_source = open_source
        self._clock = clock
        self._on_event = on_event
        self._limits = limits or EngineLimits()
        self._cameras: dict[str, _Camera] = {}
        self._viewers: dict[str, Viewer] = {}
        self._answering = 0  # offers that are being answered
        self._releasing: dict[str, asyncio.Task[None]] = {}  # cameras that are being torn down
        self._sender = PacketSender()
        self._port: UdpPort | None = None
        self._certificate: Certificate | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._housekeeper: asyncio.Task[None] | None = None
        self.pulls_opened = 0

    def start(self, hosts: tuple[str, ...], port: int, public_addresses: tuple[str, ...] = ()) -> int:
        """Open the UDP port and return its number.

        Raises:
            OSError: the port cannot be bound.
        """
        self._certificate = Certificate.generateCertificate()
        self._port = UdpPort(public_addresses)
        number = self._port.open(hosts, port)
        self._housekeeper = asyncio.create_task(self._keep_house(), name="relay housekeeping")
        return number

    async def aclose(self) -> None:
        """Stop everything: viewers first, so that no frame leaves any more, then the cameras politely. Idempotent."""
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        self.cut()
        for camera in list(self._cameras.values()):
            self._release(camera)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._port is not None:
            self._port.close()

    def cut(self) -> None:
        """Stop every frame at once, without waiting for anything: nobody vouches for the viewers any more."""
        for viewer in list(self._viewers.values()):
            self._end(viewer, "relay_stopped")

    async def view(self, viewer_id: str, spec: SourceSpec, offer_sdp: str, *, audio: bool = False) -> str:
        """Answer an offer; frames flow once the browser has connected, for as long as `renew` names the viewer.

        `audio`: this viewer may hear the camera (consent says so). Sound is asked of the camera only when the viewer that
        opens it may hear; one that joins a pull without sound gets the picture alone.

        Raises:
            RelayRefused: says why, with the HTTP status.
        """
        port, certificate = self._port, self._certificate
        if port is None or certificate is None:
            raise RelayRefused(503, "relay_down", "the relay has not started; try again", retry_after_s=1.0)
        if viewer_id in self._viewers:
            raise RelayRefused(
                409, "viewer_exists", "this viewer session has been answered already; open another"
            )
        offer = Offer.parse(offer_sdp)
        if len(self._viewers) + self._answering >= self._limits.max_viewers:
            raise RelayRefused(
                503,
                "relay_full",
                f"the relay serves {self._limits.max_viewers} viewers already; try again later",
                retry_after_s=30.0,
            )
        self._answering += 1
        try:
            camera, source = await self._offered(spec, audio=audio)
        finally:
            self._answering -= 1
        agreed = negotiate(offer, source if audio else replace(source, audio_codec=""))
        viewer = Viewer(
            viewer_id,
            spec.camera_id,
            agreed,
            certificate=certificate,
            sender=self._sender,
            lease_until_s=self._now() + LEASE_S,
            on_connected=self._connected,
            on_ended=self._end,
        )
        if camera.closing or viewer_id in self._viewers:
            await viewer.close()
            raise RelayRefused(
                503, "relay_busy", "the camera was being released; try again", retry_after_s=1.0
            )
        self._viewers[viewer_id] = camera.fanout.viewers[viewer_id] = viewer
        camera.viewers.add(viewer_id)
        camera.idle_since_s = None
        port.register(viewer.peer)
        log.info(
            "relay.viewer.answered", viewer_id=viewer_id, camera_id=spec.camera_id, viewers=len(self._viewers)
        )
        return write_answer(
            offer,
            agreed,
            LocalTransport(viewer.peer.ufrag, viewer.peer.pwd, certificate.sha256, port.candidates()),
            session=secrets.randbelow(1 << 62),
            ssrc=viewer.ssrc,
            audio_ssrc=viewer.audio_ssrc,
            cname=viewer.cname,
        )

    def trickle(self, viewer_id: str, fragment: str) -> None:
        """Take candidates of the browser. An ICE-lite answerer needs none: it learns addresses from the checks.

        Raises:
            RelayRefused: 404 no such viewer, 422 not a fragment of this session.
        """
        viewer = self._viewers.get(viewer_id)
        if viewer is None:
            raise RelayRefused(404, "viewer_unknown", "this viewer session has ended; open another")
        if len(fragment) > 1 << 16:
            raise RelayRefused(422, "offer_unreadable", "the fragment is larger than 65536 bytes")
        for line in fragment.splitlines():
            if line.startswith("a=ice-ufrag:") and line[12:].strip() != viewer.peer.remote_ufrag:
                raise RelayRefused(
                    422,
                    "ice_restart_refused",
                    "the fragment restarts ICE; open another viewer session instead",
                )

    def renew(self, viewer_ids: Collection[str]) -> None:
        """Let these viewers receive for two more seconds."""
        until = self._now() + LEASE_S
        for viewer_id in viewer_ids:
            viewer = self._viewers.get(viewer_id)
            if viewer is not None:
                viewer.lease_until_s = until

    def stop(self, viewer_id: str, code: str) -> None:
        """End a viewer; no packet of picture leaves after this returns. Unknown ones are passed over."""
        viewer = self._viewers.get(viewer_id)
        if viewer is not None:
            self._end(viewer, code)

    def states(self) -> list[SourceState]:
        """Return the state of each camera that is pulled."""
        return [camera.pull.state() for camera in self._cameras.values()]

    def key_frame(self, camera_id: str, url: str) -> KeyFrame | None:
        """Return the newest key frame of a camera that is pulled from this address now; opens nothing."""
        camera = self._cameras.get(camera_id)
        if camera is None or camera.spec.url != url or camera.closing:
            return None
        held = camera.fanout.key_frame()
        if held is None:
            return None
        payloads, arrived_s = held
        age = timedelta(seconds=max(0.0, self._clock.monotonic() - arrived_s))
        return KeyFrame(units(payloads), self._clock.now() - age)

    def counters(self) -> dict[str, int]:
        """Return the worker's counters: viewers, cameras, packets, datagrams not taken by the kernel."""
        viewers = self._viewers.values()
        return {
            "viewers": len(self._viewers),
            "connected": sum(viewer.connected for viewer in viewers),
            "cameras": len(self._cameras),
            "pulls_opened": self.pulls_opened,
            "packets": sum(viewer.packets for viewer in viewers),
            "resent": sum(viewer.resent for viewer in viewers),
            "skipped": sum(viewer.skipped for viewer in viewers),
            "send_blocked": self._sender.blocked,
            "send_failed": self._sender.failed,
        }

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _offered(self, spec: SourceSpec, *, audio: bool) -> tuple[_Camera, Offered]:
        """Return the camera, pulled, and what it sends.

        Raises:
            RelayRefused: it cannot be had; says why.
        """
        camera = await self._camera(spec, audio=audio)
        camera.waiting += 1
        try:
            async with asyncio.timeout(self._limits.source_within_s):
                return camera, await camera.pull.offered()
        except TimeoutError:
            raise RelayRefused(
                503,
                "no_frames",
                f"the camera gave no picture within {self._limits.source_within_s:.0f} s",
                retry_after_s=5.0,
            ) from None
        finally:
            camera.waiting -= 1

    async def _camera(self, spec: SourceSpec, *, audio: bool) -> _Camera:
        while (leaving := self._releasing.get(spec.camera_id)) is not None:
            await asyncio.wait(
                {leaving}
            )  # many cameras allow one client only: the old one says goodbye first
        camera = self._cameras.get(spec.camera_id)
        if camera is not None and (camera.spec != spec or camera.pull.ended is not None):
            # The owner changed the address or the credential, or the pull had ended: begin anew, and its viewers too.
            for viewer_id in list(camera.viewers):
                self.stop(viewer_id, "source_changed")
            self._release(camera)
            return await self._camera(spec, audio=audio)
        if camera is not None:
            return camera
        if len(self._cameras) >= self._limits.max_cameras:
            raise RelayRefused(
                503,
                "relay_full",
                f"the relay pulls {self._limits.max_cameras} cameras already; try again later",
                retry_after_s=30.0,
            )
        fanout = Fanout(spec.camera_id, self._sender, self._end)
        pull = Pull(
            spec,
            self._opened,
            self._clock,
            audio=audio,
            on_picture=fanout.picture,
            on_sound=fanout.sound,
            on_reopened=fanout.reopened,
            on_state=self._on_event,
            on_end=lambda refusal: self._pull_ended(spec.camera_id, pull, refusal),
        )
        camera = _Camera(spec, fanout, pull)
        self._cameras[spec.camera_id] = camera
        self._on_event(pull.state())
        pull.start()
        return camera

    async def _opened(self, spec: SourceSpec, deadline: Deadline, audio: bool) -> MediaSource:
        self.pulls_opened += 1
        return await self._open_source(spec, deadline, audio)

    def _pull_ended(self, camera_id: str, pull: Pull, refusal: RelayRefused) -> None:
        camera = self._cameras.get(camera_id)
        if camera is None or camera.pull is not pull:
            return
        for viewer_id in list(camera.viewers):
            self.stop(viewer_id, refusal.code)

    def _connected(self, viewer: Viewer) -> None:
        camera = self._cameras.get(viewer.camera_id)
        if camera is None or viewer.viewer_id not in camera.viewers:
            return
        camera.fanout.attach(viewer)
        self._on_event(ViewerConnected(viewer.viewer_id))

    def _end(self, viewer: Viewer, code: str) -> None:
        if self._viewers.get(viewer.viewer_id) is not viewer:
            return
        del self._viewers[viewer.viewer_id]
        viewer.ended = True
        viewer.next_index = None
        camera = self._cameras.get(viewer.camera_id)
        if camera is not None and viewer.viewer_id in camera.viewers:
            camera.viewers.discard(viewer.viewer_id)
            camera.fanout.viewers.pop(viewer.viewer_id, None)
            if not camera.viewers:
                camera.idle_since_s = self._now()
        log.info("relay.viewer.ended", viewer_id=viewer.viewer_id, camera_id=viewer.camera_id, code=code)
        self._spawn(self._farewell(viewer), f"end {viewer.viewer_id}")
        self._on_event(ViewerEnded(viewer.viewer_id, code))

    async def _farewell(self, viewer: Viewer) -> None:
        try:
            await viewer.close()
        finally:
            if self._port is not None:
                self._port.unregister(viewer.peer)

    def _release(self, camera: _Camera) -> None:
        camera.closing = True
        if self._cameras.get(camera.spec.camera_id) is camera:
            del self._cameras[camera.spec.camera_id]
        camera_id = camera.spec.camera_id
        task = self._spawn(self._close_camera(camera), f"release {camera_id}")
        self._releasing[camera_id] = task
        task.add_done_callback(lambda _task: self._releasing.pop(camera_id, None))

    @staticmethod
    async def _close_camera(camera: _Camera) -> None:
        await camera.fanout.aclose()
        await camera.pull.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            now = self._now()
            for viewer in list(self._viewers.values()):
                if viewer.lease_until_s < now:
                    self._end(viewer, "lease_expired")
                elif not viewer.connected:
                    if viewer.age_s > self._limits.connect_within_s:
                        self._end(viewer, "not_connected")
                elif viewer.silent_s > self._limits.gone_after_s:
                    self._end(viewer, "viewer_gone")
                elif viewer.next_report_s <= now:
                    self._report(viewer, now)
            for camera in list(self._cameras.values()):
                if camera.viewers or camera.waiting:
                    camera.idle_since_s = None
                elif camera.idle_since_s is None:
                    camera.idle_since_s = now
                elif camera.pull.ended is not None or now - camera.idle_since_s > self._limits.idle_stop_s:
                    self._release(camera)
                    if camera.pull.ended is None:
                        # We hung up: whoever took this camera as seen by the relay has to look for itself again.
                        self._on_event(
                            SourceState(camera.spec.camera_id, "offline", self._clock.now(), "idle")
                        )

    def _report(self, viewer: Viewer, now_s: float) -> None:
        camera = self._cameras.get(viewer.camera_id)
        if camera is not None:
            picture, sound = camera.fanout.ticks(self._clock.monotonic())
            viewer.report(self._clock.now().timestamp(), picture, sound)
        viewer.next_report_s = now_s + self._limits.report_every_s
