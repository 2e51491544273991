"""Viewer sessions: every byte of picture starts and ends here.

`decide` is asked before a view starts, again when the relay has answered, and from then on by `Vouching`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any, Protocol

import structlog

from adapters.clock import Clock
from hub.access.decide import OUTPUT, Allowed, Ask, Refused
from hub.access.principal import Principal
from hub.catalog.types import Camera, Incident
from hub.coordination.port import EventBus
from hub.feeds import Feed, Feeds
from hub.live.receipts import Receipts, View
from hub.live.session import Terms, ViewerSession
from hub.live.telling import Telling, refusal
from hub.live.uplink import Uplink
from hub.live.vouching import Catalog, Vouching
from hub.observe import Metrics
from hub.problems import Problem
from hub.relay.errors import RelayRefused
from hub.relay.events import (
    LayerChanged,
    RelayEvent,
    SourceSpec,
    SourceState,
    ViewerConnected,
    ViewerEnded,
)
from hub.store.store import new_id
from hub.texts import Texts

REMEMBER = 1000  # ended sessions that still answer GET
STATE_OF = {"opening": "opening", "live": "live", "stalled": "frozen", "offline": "offline"}


class Relay(Protocol):
    """What sessions use of the relay."""

    async def view(
        self,
        viewer_id: str,
        source: SourceSpec,
        offer_sdp: str,
        *,
        audio: bool = False,
        wanted: str = "main",
    ) -> str:
        """Return the answer to an offer; raises `RelayRefused`."""

    async def read(
        self,
        viewer_id: str,
        source: SourceSpec,
        on_segment: Callable[[bytes, str], None],
        *,
        wanted: str = "main",
        codecs: tuple[str, ...] = ("H264",),
    ) -> str:
        """Send pieces of fragmented MP4 to `on_segment`; return the codec; raises `RelayRefused`."""

    def taken(self, viewer_id: str, size: int) -> None:
        """Note that so many bytes of pieces left for their recipient."""

    async def trickle(self, viewer_id: str, fragment: str) -> str:
        """Take further ICE candidates, or restart ICE; return our fragment then, else ""."""

    async def choose_layer(self, viewer_id: str, wanted: str) -> None:
        """Let a viewer have another layer; raises `RelayRefused`."""

    def renew(self, viewer_ids: Collection[str]) -> None:
        """Let frames flow for two more seconds."""

    async def stop(self, viewer_id: str, code: str) -> None:
        """Stop one viewer."""


class ViewerSessions:
    """All views of this process."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        incidents: Callable[[Camera], Awaitable[tuple[Incident, ...]]],
        people: Callable[[str, str], Awaitable[Principal | None]],
        receipts: Receipts,
        relay: Relay,
        source: Callable[[Camera], Awaitable[SourceSpec]],
        bus: EventBus,
        clock: Clock,
        metrics: Metrics,
        texts: Texts,
        uplink: Uplink,
    ) -> None:
        self._uplink = uplink
        self._catalog = catalog
        self._receipts = receipts
        self._relay = relay
        self._source = source
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._texts = texts
        self.telling = Telling(texts)
        self._running: dict[str, ViewerSession] = {}
        self._ended: OrderedDict[str, ViewerSession] = OrderedDict()
        self._pulls: dict[tuple[str, str], SourceState] = {}  # (camera, layer) that the relay pulls now
        self._followers: dict[str, Feeds] = {}  # user id -> who follows all views of that person
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._vouching = Vouching(
            self._running,
            catalog=catalog,
            incidents=incidents,
            people=people,
            renew=relay.renew,
            finish=self._finish,
            bus=bus,
            clock=clock,
        )
        self._log = structlog.get_logger("live")

    # --- life

    async def start(self) -> None:
        """Close what a dead hub left open, then watch."""
        left = await self._receipts.close_left_open()
        if left:
            self._log.info("live.receipts.closed", views=left)
        self._vouching.start()

    async def aclose(self) -> None:
        """End every view with a receipt, then stop watching. Idempotent."""
        self._closing = True
        await asyncio.gather(
            *(self._finish(session, "hub_stopping") for session in tuple(self._running.values())),
            return_exceptions=True,
        )
        await self._vouching.aclose()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- what the API calls

    async def open(
        self,
        principal: Principal,
        camera_id: str,
        *,
        purpose: str,
        incident: str | None,
        offer: str,
        login: str,
        wanted: str = "main",
    ) -> tuple[ViewerSession, str]:
        """Start a view over WebRTC and return it with the SDP answer.

        Raises:
            Problem: refused by `decide`, by the relay, or because the hub stops.
            ServiceError: ``not_found``.
        """

        async def connect(view_id: str, source: SourceSpec, allowed: Allowed) -> str:
            return await self._relay.view(view_id, source, offer, audio=allowed.audio, wanted=wanted)

        ask = Ask(principal, purpose, incident, "test" if purpose == "test" else "live")
        return await self._begin(ask, camera_id, Terms(login), wanted, connect)

    async def read(
        self,
        principal: Principal,
        camera_id: str,
        on_segment: Callable[[bytes, str], None],
        *,
        purpose: str,
        incident: str | None,
        login: str,
        wanted: str = "main",
        codecs: tuple[str, ...] = ("H264",),
    ) -> ViewerSession:
        """Start a view over fragmented MP4, which goes to `on_segment` piece by piece; tell `taken` what left.

        `codecs` are those that the browser plays; AAC among them where it wants to hear the camera.

        Raises: as `open`.
        """

        async def connect(view_id: str, source: SourceSpec, allowed: Allowed) -> str:
            played = codecs if allowed.audio else tuple(one for one in codecs if one != "AAC")
            return await self._relay.read(view_id, source, on_segment, wanted=wanted, codecs=played)

        ask = Ask(principal, purpose, incident, "test" if purpose == "test" else "live")
        session, _codec = await self._begin(ask, camera_id, Terms(login), wanted, connect)
        return session

    def taken(self, session: ViewerSession, size: int) -> None:
        """Note that so many bytes of pieces left for their recipient."""
        if not session.ended:
            self._relay.taken(session.id, size)

    async def serve(
        self,
        ask: Ask,
        camera_id: str,
        connect: Callable[[str, SourceSpec, Allowed], Awaitable[str]],
        terms: Terms,
        *,
        wanted: str = "main",
    ) -> ViewerSession:
        """Start a view of somebody who is fed by other means: `connect` gets its id, the source and what is allowed.

        Raises: as `open`, and what `connect` raises.
        """
        session, _answer = await self._begin(ask, camera_id, terms, wanted, connect)
        return session

    async def _begin(
        self,
        ask: Ask,
        camera_id: str,
        terms: Terms,
        wanted: str,
        connect: Callable[[str, SourceSpec, Allowed], Awaitable[str]],
    ) -> tuple[ViewerSession, str]:
        """Decide, write down, connect, decide again."""
        if self._closing:
            raise Problem("stopping", headers={"retry-after": "5"})
        camera, allowed = await self.admit(camera_id, ask)
        source = await self._source(camera)
        view_id = new_id()
        try:
            self._uplink.claim(view_id, camera, source)
            view = await self._receipts.begin(view_id, camera_id, ask, ask.kind, recipient=terms.recipient)
        except BaseException as error:
            self._uplink.release(view_id)
            if isinstance(error, Problem):
                await self._receipts.refused(camera_id, ask, ask.kind, error.code)
                self._metrics.views_refused.labels(error.code).inc()
            raise
        session = ViewerSession(
            id=view_id,
            camera_id=camera_id,
            ask=ask,
            kind=ask.kind,
            view=view,
            terms=terms,
            started_s=self._clock.monotonic(),
            max_s=allowed.max_s,
            audio=allowed.audio,
            sound="" if allowed.audio else self._unshared(camera),
            since=self._clock.now(),
            wanted=wanted,
            layer="sub" if wanted == "sub" else "main",
        )
        self._running[view_id] = session
        self._metrics.views_started.labels(ask.kind).inc()
        self._metrics.viewers.set(len(self._running))
        await self._tell("view.started", view)
        try:
            answer = await connect(view_id, source, allowed)
        except RelayRefused as error:
            self._check_running(session)  # stopped by us: the reason is ours, not the relay's
            await self._finish(session, error.code, tell_relay=False)
            raise self.telling.refused_by_relay(error, camera) from error
        except BaseException:
            # the browser left while the camera was being opened, or the relay broke: no view without its end
            await asyncio.shield(self._spawn(self._finish(session, "connection_lost")))
            raise
        self._check_running(session)
        if (await self._catalog.get(camera_id)).masks != camera.masks:
            await self._finish(session, "changed")  # what was opened does not paint the zones of now
        self._check_running(session)
        self._relay.renew([view_id])
        await self._vouching.review([session])  # the owner may have paused while the camera was being opened
        self._check_running(session)
        pull = self._pulls.get((camera_id, session.layer))
        if pull is not None and session.state == "opening":
            # others watch this camera already: no event will tell that it is live
            self._set_state(session, STATE_OF[pull.state], self._clock.now(), pull.code)
        self._key_frames(session)
        return session, answer

    async def admit(self, camera_id: str, ask: Ask) -> tuple[Camera, Allowed]:
        """Decide whether a view may start; a refusal is recorded.

        Raises:
            Problem: the refusal, with its sentence.
            ServiceError: ``not_found``.
        """
        camera, decision = await self._vouching.decide(camera_id, ask)
        if ask.kind == OUTPUT and camera.masks.painted and not isinstance(decision, Refused):
            # What the hub has to paint over goes to nobody who keeps it: the owner was told that nobody sees the zone.
            decision = Refused("outputs_masked")
        if isinstance(decision, Refused):
            await self._receipts.refused(camera_id, ask, ask.kind, decision.code)
            self._metrics.views_refused.labels(decision.code).inc()
            raise refusal(decision, camera)
        return camera, decision

    def get(self, session_id: str, user_id: str) -> ViewerSession:
        """Return a session of this person, running or ended a short while ago.

        Raises:
            Problem: ``not_found``.
        """
        session = self._running.get(session_id) or self._ended.get(session_id)
        if session is None or session.user_id != user_id:
            raise Problem("not_found", {"what": {"vi": "phiên xem", "en": "viewer session"}})
        return session

    async def trickle(self, session: ViewerSession, fragment: str) -> str:
        """Hand over further ICE candidates, or restart ICE; return our fragment then, else "".

        Raises:
            Problem: the session has ended, or the fragment cannot be read.
        """
        if session.ended:
            raise Problem("conflict", self.telling.words(session.code))
        try:
            answer = await self._relay.trickle(session.id, fragment)
        except RelayRefused as error:
            raise self.telling.refused_change(error) from error
        if answer:
            session.ice += 1
        return answer

    async def choose_layer(self, session: ViewerSession, wanted: str) -> None:
        """Let the viewer have another layer; the `layer` event tells when it has it, or why not.

        Raises:
            Problem: the session has ended, or the relay does not answer.
        """
        if session.ended:
            raise Problem("conflict", self.telling.words(session.code))
        session.wanted = wanted
        try:
            await self._relay.choose_layer(session.id, wanted)
        except RelayRefused as error:
            raise self.telling.refused_change(error) from error

    async def leave(self, session: ViewerSession) -> None:
        """End a session because its viewer stopped. Idempotent."""
        await self._finish(session, "viewer_left")

    async def signed_out(self, login: str) -> None:
        """End the sessions that hang on a sign-in which has ended."""
        if login:
            await self.end_hanging_on(login, "signed_out")

    def hanging_on(self, login: str) -> int:
        """Return how many views of this process hang on a sign-in or an output."""
        return sum(1 for session in self._running.values() if session.terms.login == login)

    async def end_hanging_on(self, login: str, code: str) -> None:
        """End the views that hang on a sign-in or an output at once."""
        sessions = [session for session in self._running.values() if session.terms.login == login]
        await asyncio.gather(*(self._finish(session, code) for session in sessions))

    def subscribe(self, session: ViewerSession) -> tuple[Feed, dict[str, Any]]:
        """Return a feed of state changes, and the state now."""
        feed = session.feeds.open()
        if session.ended:
            feed.end()
        return feed, self.telling.state(session)

    def follow(self, user_id: str) -> Feed:
        """Return a feed of what becomes of all views of a person: a browser has six connections to a hub, and more tiles."""
        return self._followers.setdefault(user_id, Feeds()).open()

    def watching(self, camera_id: str) -> int:
        """Return how many views of a camera run in this process."""
        return sum(1 for session in self._running.values() if session.camera_id == camera_id)

    async def end_camera(self, camera_id: str, code: str) -> int:
        """End all views of a camera at once; return how many."""
        sessions = [session for session in self._running.values() if session.camera_id == camera_id]
        await asyncio.gather(*(self._finish(session, code) for session in sessions))
        return len(sessions)

    async def recheck(self, camera_id: str) -> int:
        """Re-decide the views of one camera now; return how many ended by it."""
        before = [session for session in self._running.values() if session.camera_id == camera_id]
        await self._vouching.review(before)
        return sum(1 for session in before if session.ended)

    # --- what the relay tells

    def on_relay_event(self, event: RelayEvent) -> None:
        """Take one event of the relay (called in the event loop)."""
        match event:
            case ViewerConnected(viewer_id=viewer_id):
                self._log.debug("live.view.connected", view=viewer_id)
            case ViewerEnded(viewer_id=viewer_id, code=code):
                session = self._running.get(viewer_id)
                if session is not None:
                    self._spawn(self._finish(session, code, tell_relay=False))
            case SourceState():
                state = STATE_OF[event.state]
                if event.state == "offline":
                    self._pulls.pop((event.camera_id, event.layer), None)
                else:
                    self._pulls[event.camera_id, event.layer] = event
                if event.code == "idle":
                    return  # hung up because nobody watches; who comes now opens it anew
                for session in self._running.values():
                    if (session.camera_id, session.layer) == (event.camera_id, event.layer):
                        self._set_state(session, state, event.since, event.code)
                        self._key_frames(session)
            case LayerChanged(viewer_id=viewer_id):
                session = self._running.get(viewer_id)
                if session is not None:
                    session.layer, session.layer_code = event.layer, event.code
                    session.rendition, session.codec, session.why = event.rendition, event.codec, event.why
                    session.sound = event.sound or session.sound
                    self._key_frames(session, tell=False)
                    self._say(session, "layer", self.telling.layer(session))
                    pull = self._pulls.get((session.camera_id, session.layer))
                    if pull is not None:
                        self._set_state(session, STATE_OF[pull.state], pull.since, pull.code)

    # --- inside

    def _check_running(self, session: ViewerSession) -> None:
        """Refuse a view that ended while it was being opened, for the reason that ended it."""
        if session.ended:
            raise self.telling.ended_early(session.code)

    @staticmethod
    def _unshared(camera: Camera) -> str:
        """Return why a camera may not be heard."""
        return "not_shared" if camera.custodian.is_donor else "no_consent"

    async def _finish(self, session: ViewerSession, code: str, *, tell_relay: bool = True) -> None:
        if session.ended:
            return
        session.ended = True
        self._running.pop(session.id, None)
        self._uplink.release(session.id)
        self._ended[session.id] = session
        while len(self._ended) > REMEMBER:
            self._ended.popitem(last=False)
        self._metrics.viewers.set(len(self._running))
        self._metrics.views_ended.labels(code if self._texts.has(f"live.state.{code}") else "other").inc()
        try:
            if tell_relay:
                await self._relay.stop(session.id, code)
        finally:
            self._set_state(session, "paused" if code == "paused" else "ended", self._clock.now(), code)
            session.feeds.end()
            seconds = self._clock.monotonic() - session.started_s
            view = await self._receipts.end(session.view, session.ask, cause=code, seconds=seconds)
            session.view = view
            await self._tell("view.ended", view)

    def _set_state(self, session: ViewerSession, state: str, since: datetime, code: str) -> None:
        if (session.state, session.code) == (state, code):
            return
        session.state, session.since, session.code = state, since, code
        self._say(session, "state", self.telling.state(session))

    def _key_frames(self, session: ViewerSession, *, tell: bool = True) -> None:
        """Take how far apart the key frames of its layer are, as far as the relay says so."""
        pull = self._pulls.get((session.camera_id, session.layer))
        apart_s = pull.key_frames_s if pull is not None else session.key_frames_s
        if apart_s != session.key_frames_s:
            session.key_frames_s = apart_s
            if tell:
                self._say(session, "layer", self.telling.layer(session))

    def _say(self, session: ViewerSession, name: str, data: dict[str, Any]) -> None:
        session.feeds.put(name, data)
        followers = self._followers.get(session.user_id)
        if followers is None:
            return
        if followers:
            followers.put(name, {"session": session.id, **data})
        else:
            del self._followers[session.user_id]

    async def _tell(self, topic: str, view: View) -> None:
        await self._bus.publish(topic, {"camera_id": view.camera_id, "view": view.as_json(names=False)})

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("live.finish.failed", exc_info=task.exception())
