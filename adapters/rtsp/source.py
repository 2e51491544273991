"""An open stream for relaying: delivers access units until the camera or the hub ends it."""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
)
from adapters.port import AccessUnit, ProbeContext, Track
from adapters.rtsp.client import RtspClient
from adapters.rtsp.policy import DEFAULT, Policies
from adapters.rtsp.sdp import Media, SessionDescription
from adapters.rtsp.stale import StaleSessions
from adapters.secret import Credential
from adapters.target import Target
from standards.reason import Reason

log = structlog.get_logger()
_TICK_S = 1.0  # between two looks at the source where nothing is due before
_LEAST_S = 0.01


class RtspSource:
    """A `MediaSource` over one RTSP session."""

    def __init__(
        self,
        target: Target,
        credential: Credential | None,
        context: ProbeContext,
        *,
        policies: Policies = DEFAULT,
        stale: StaleSessions | None = None,
    ) -> None:
        self.client = RtspClient(
            target, credential, context, policies=policies, stale=stale, on_lost=self._end
        )
        self._policies = policies
        self._context = context
        self._backlog: deque[AccessUnit] = deque(maxlen=policies.backlog_units)
        self._sink: Callable[[AccessUnit], None] = self._backlog.append
        self._failure: AdapterError | None = None
        self._ended = asyncio.Event()
        self._closed = False
        self._played_s = 0.0
        self._alarm: asyncio.TimerHandle
        self._fault: Exception | None = None  # our own, of the timer
        self._keepalive: asyncio.Task[None] | None = None
        self._keepalive_every_s = self._next_keepalive_s = self._next_report_s = 0.0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return the tracks that were set up."""
        return tuple(opened.track for opened in self.client.tracks)

    async def open(self, deadline: Deadline, *, tcp: bool, audio: bool) -> None:
        """Go from connect to PLAY. After an error the session is closed.

        Raises:
            AdapterError: as `RtspClient` says, with the failing step.
        """
        client = self.client
        try:
            await client.connect(deadline)
            await client.options(deadline)
            await self._play(await client.describe(deadline), deadline, tcp=tcp, audio=audio)
            if not await client.media_comes(deadline):  # over UDP (quirk 31)
                self._backlog.clear()
                await self._play(await client.start_over(deadline), deadline, tcp=True, audio=audio)
        except BaseException:
            await self.aclose()
            raise
        self._played_s = client.now()

    async def _play(
        self, description: SessionDescription, deadline: Deadline, *, tcp: bool, audio: bool
    ) -> None:
        client = self.client
        receivable = description.receivable()
        video = next((media for media in receivable if media.kind == "video"), None)
        if video is None:
            raise no_video(client)
        await client.setup(video, deadline, deliver=self._deliver, tcp=tcp)
        heard = min((media for media in receivable if media.kind == "audio"), key=_costs, default=None)
        if audio and heard is not None:
            over_tcp = client.tracks[0].channels is not None
            await client.setup(heard, deadline, deliver=self._deliver, tcp=over_tcp)
        await client.play(deadline)

    async def run(self, sink: Callable[[AccessUnit], None]) -> None:
        """Deliver access units to `sink` until the source ends.

        Raises:
            Unreachable: the camera closed the connection, or said goodbye.
            TimedOut: phase ``media``: no RTP for `silence_s`.
            AdapterError: the camera broke the protocol.
            LocalProtocolError: the sink failed (our bug).
        """
        self._sink = sink
        while self._backlog and self._failure is None and not self._closed:
            self._deliver(self._backlog.popleft())
        try:
            await self._maintain()
        finally:
            self._sink = self._backlog.append
        if self._failure is not None:
            raise self._failure

    async def key_frame(self) -> None:
        """Ask the camera for a key frame now: one RTCP packet, answered by media alone. For admitted municipal cameras.

        Raises:
            Unsupported: the camera did not offer that; nothing was sent.
        """
        if not self._closed:
            self.client.ask_key_frame()

    async def aclose(self) -> None:
        """Tear the session down politely within 2 s. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._ended.set()
        await self.client.teardown()

    def _deliver(self, unit: AccessUnit) -> None:
        if self._closed or self._failure is not None:
            return
        try:
            self._sink(unit)
        except AdapterError:
            raise
        except Exception as error:
            log.exception("rtsp.sink_failed", peer=self.client.peer)
            raise LocalProtocolError(
                "the receiver of the media failed", peer=self.client.peer, operation="media"
            ) from error

    def _end(self, error: AdapterError) -> None:
        if self._failure is None:
            self._failure = error
        self._ended.set()

    async def _maintain(self) -> None:
        """Wait for the end; meanwhile send keep-alives and receiver reports and watch for silence."""
        client, policies = self.client, self._policies
        self._keepalive_every_s = min(client.session.timeout_s / 2, policies.keepalive_cap_s)
        self._next_keepalive_s = client.now() + self._keepalive_every_s
        self._next_report_s = client.now() + policies.report_every_s
        self._tick_later()
        try:
            await self._ended.wait()
        finally:
            self._alarm.cancel()
            if self._keepalive is not None:
                self._keepalive.cancel()
                await asyncio.gather(self._keepalive, return_exceptions=True)
        if self._fault is not None:
            raise self._fault

    def _tick_later(self) -> None:
        due_s = self._next_report_s
        if self._keepalive is None:
            due_s = min(due_s, self._next_keepalive_s)
        delay_s = max(_LEAST_S, min(_TICK_S, due_s - self.client.now()))
        self._alarm = asyncio.get_running_loop().call_later(delay_s, self._on_alarm)

    def _on_alarm(self) -> None:
        if self._ended.is_set():
            return
        try:
            self._tick(self.client.now())
        except Exception as error:  # noqa: BLE001  raised by `_maintain`
            self._fault = error
            self._ended.set()
        else:
            self._tick_later()

    def _tick(self, now_s: float) -> None:
        """Do what is due. By a timer, not by a task that wakes: hubs hold hundreds of sources."""
        client, policies = self.client, self._policies
        self._watch(now_s)
        if now_s >= self._next_report_s:
            client.send_receiver_reports()
            self._next_report_s = now_s + policies.report_every_s
        if self._keepalive is not None and self._keepalive.done():
            refused = isinstance(self._keepalive.exception(), AuthenticationFailed)
            self._keepalive = None
            if refused:
                self._next_keepalive_s = float(
                    "inf"
                )  # nothing that carries a refused credential is sent again
        if now_s >= self._next_keepalive_s and self._keepalive is None:
            self._next_keepalive_s = now_s + self._keepalive_every_s
            deadline = Deadline.after(self._context.clock, policies.answer_s)
            self._keepalive = asyncio.create_task(client.keep_alive(deadline))

    def _watch(self, now_s: float) -> None:
        """End the source after silence or a goodbye."""
        client = self.client
        last_s = max(
            (opened.receiver.last_packet_s or self._played_s for opened in client.tracks), default=now_s
        )
        video = client.tracks[0].receiver
        if video.said_goodbye and now_s - last_s > 1.0:
            self._end(
                Unreachable(
                    f"{client.peer} ended the stream (RTCP BYE)",
                    peer=client.peer,
                    operation="media",
                    hint="The stream comes back when the camera offers it again",
                )
            )
        elif now_s - last_s > self._policies.silence_s:
            self._end(
                TimedOut(
                    "media",
                    waited_s=now_s - last_s,
                    peer=client.peer,
                    hint="Check the camera; over UDP, also that its packets may pass, or use TCP",
                )
            )


def _costs(sound: Media) -> int:
    """Rank sound by what a browser can make of it: G.711 goes out as it is, AAC is recoded."""
    if sound.codec in {"PCMU", "PCMA"} and (sound.clock_rate_hz, sound.channels) == (8000, 1):
        return 0
    return 1 if sound.codec == "MPEG4-GENERIC" else 2


def no_video(client: RtspClient) -> AdapterError:
    """Return the error for a description without a video track."""
    return RemoteProtocolError(
        f"RTSP DESCRIBE of {client.peer}: the session description has no video track",
        reason=Reason.MALFORMED_MEDIA,
        peer=client.peer,
        operation="RTSP DESCRIBE",
        hint="Check the path of the address: this stream carries no picture",
    )
