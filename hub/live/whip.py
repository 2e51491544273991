"""Encoders that push (WHIP, RFC 9725): let in by a token, watched while they push, ended when the owner's word ends.

The relay receives and answers; here is who may, what is written down, and what is told. A push is looked at again each half
second and at once when its camera or token changed, so that a pause or a revoked token ends it as fast as any view.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import NotPushed, Unreachable
from adapters.port import PushSeen
from adapters.target import Target
from hub.access.decide import shares_sound, subject_of
from hub.access.push import refusal_to_push
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera
from hub.coordination.port import EventBus, RateLimiter
from hub.live.whip_tokens import PushToken, PushTokens
from hub.observe import Metrics
from hub.problems import Problem
from hub.relay.errors import RelayRefused
from hub.relay.events import PushState, RelayEvent, ViewerEnded
from hub.store.chain import Actor
from hub.store.errors import ServiceError
from hub.store.store import Store, new_id
from hub.texts import Both, Texts
from standards.observation import rfc3339

log = structlog.get_logger("live")

TICK_S: Final = 0.5
REMEMBER: Final = 500  # pushes that ended: a DELETE that comes late is answered well
WRONG_TOKENS: Final = 20  # a minute from one address
OFFERS: Final = 30  # a minute with one token
_COMES_BACK: Final = 3  # times that an encoder's own old connection is given a second to prove dead
_MEASURE_AGAIN_S: Final = 60.0
SETTLED_S: Final = (
    5.0  # a browser begins with small pictures, and makes them larger as it learns what its path takes
)
_PUSH: Final = {"vi": "phiên phát", "en": "push"}
_RETRY: Final = {"retry-after": "5"}
# Why a push ends: the labels of its counter, each with a sentence under `live.push`.
CAUSES: Final = frozenset(
    {
        "pusher_left", "pusher_gone", "not_connected", "dtls_failed", "replaced", "paused", "no_consent", "changed",
        "token_revoked", "token_expired", "removed", "push_too_fast", "push_too_many_pictures", "hub_stopping",
        "relay_stopped", "relay_restarted",
    }
)  # fmt: skip


class Relay(Protocol):
    """What is used of the relay."""

    async def publish(
        self, push_id: str, camera_id: str, offer_sdp: str, *, audio: bool = False, by: str = ""
    ) -> str:
        """Answer an encoder's offer; raises `RelayRefused`."""

    async def trickle(self, viewer_id: str, fragment: str) -> str:
        """Take candidates, or restart ICE; return our fragment then, else ""."""

    async def stop(self, viewer_id: str, code: str) -> None:
        """End a push."""

    async def examine_push(
        self, camera_id: str, *, window_s: float, samples: int, within_s: float
    ) -> PushSeen:
        """Measure what is pushed; raises `RelayRefused`."""


@dataclass(slots=True, eq=False)
class Push:
    """One encoder that pushes, or pushed."""

    id: str
    camera_id: str
    token: PushToken
    peer: str
    audio: bool
    began_at: datetime
    began_s: float
    since: datetime
    state: str = "connecting"  # connecting | live | silent | ended
    code: str = ""  # why it is not live
    live_s: float = 0.0  # since when pictures come, monotonic
    ice: int = 1  # counts ICE restarts; its ETag

    @property
    def etag(self) -> str:
        """Return the strong validator of its ICE session (RFC 9725 4.3.1)."""
        return f'"{self.id}.{self.ice}"'


class Encoders:
    """All pushes of this process, and the desk at which they are measured (`adapters.port.PushDesk`)."""

    def __init__(
        self,
        *,
        store: Store,
        tokens: PushTokens,
        catalog: CatalogService,
        relay: Relay,
        bus: EventBus,
        limiter: RateLimiter,
        clock: Clock,
        metrics: Metrics,
        texts: Texts,
        unmeasured: Callable[[Camera, PushToken], Awaitable[None]],
    ) -> None:
        """Prepare; `unmeasured` is called when pictures of a camera come that was never checked on its pictures."""
        self._store = store
        self._tokens = tokens
        self._catalog = catalog
        self._relay = relay
        self._bus = bus
        self._limiter = limiter
        self._clock = clock
        self._metrics = metrics
        self._texts = texts
        self._unmeasured = unmeasured
        self._running: dict[str, Push] = {}
        self._ended: OrderedDict[str, Push] = OrderedDict()
        self._last: dict[str, Push] = {}  # by camera, running or the last that did
        self._measured_s: dict[str, float] = {}  # by camera: when a check was asked for
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # --- life

    def start(self) -> None:
        """Watch what pushes."""
        self._loops = [
            asyncio.create_task(self._tick_forever(), name="push-tick"),
            asyncio.create_task(self._listen(), name="push-events"),
        ]

    async def aclose(self) -> None:
        """End every push, so that each encoder is told, then stop watching. Idempotent."""
        self._closing = True
        await asyncio.gather(
            *(self._finish(push, "hub_stopping") for push in tuple(self._running.values())),
            return_exceptions=True,
        )
        for task in (*self._loops, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self._tasks, return_exceptions=True)
        self._loops = []

    # --- what encoders ask

    async def token(self, secret: str, camera_id: str, peer: str) -> PushToken:
        """Return the token that an encoder brings to a camera's address.

        Raises:
            Problem: ``push_token_refused`` (none, wrong, revoked, run out), ``push_token_other``, ``too_many_requests``.
        """
        with self._refusing(camera_id, peer):
            token = await self._tokens.known(secret)
            if token is None:
                await self._within(f"whip.wrong:{peer}", WRONG_TOKENS)
                bearer = {"www-authenticate": 'Bearer realm="camhub-whip"'}
                raise Problem("push_token_refused", headers=bearer)
            if token.camera_id != camera_id:
                raise Problem("push_token_other")
            return token

    async def begin(self, token: PushToken, offer: str, peer: str) -> tuple[Push, str]:
        """Let an encoder push and return its push with the SDP answer.

        Raises:
            Problem: ``paused``, ``no_consent``, ``push_taken`` (409), 406 and 422 for the offer, 429, 503.
        """
        with self._refusing(token.camera_id, peer):
            if self._closing:
                raise Problem("stopping", headers=_RETRY)
            return await self._begin(token, offer, peer)

    def running(self, token: PushToken, push_id: str) -> Push:
        """Return a push for the token that began it, running or ended a short while ago.

        Raises:
            Problem: ``not_found``.
        """
        push = self._running.get(push_id) or self._ended.get(push_id)
        if push is None or push.token.id != token.id:
            raise Problem("not_found", {"what": _PUSH})
        return push

    async def trickle(self, push: Push, fragment: str) -> str:
        """Take candidates of an encoder, or restart ICE; return our fragment then, else "".

        Raises:
            Problem: ``not_found`` (it has ended), ``bad_sdp``, ``relay_down``.
        """
        try:
            answer = await self._relay.trickle(push.id, fragment)
        except RelayRefused as error:
            if error.status == 404:
                raise Problem("not_found", {"what": _PUSH}) from error
            raise _refused(error) from error
        if answer:
            push.ice += 1
        return answer

    async def leave(self, push: Push) -> None:
        """End a push because its encoder said so. Idempotent."""
        await self._finish(push, "pusher_left")

    # --- what people ask

    def state_json(self, camera_id: str) -> dict[str, Any]:
        """Return how a camera's push stands: waiting (nobody came yet), connecting, live, silent or ended."""
        push = self._last.get(camera_id)
        if push is None:
            return {"state": "waiting", "since": None, "code": "", "cause": None, "token": None}
        return {
            "state": push.state,
            "since": rfc3339(push.since),
            "code": push.code,
            "cause": self._cause(push.code),
            "token": {"id": push.token.id, "name": push.token.name},
        }

    def pushed(self, camera_id: str) -> bool:
        """Tell whether pictures of a camera come now."""
        push = self._last.get(camera_id)
        return push is not None and push.state == "live"

    async def end_of(self, camera_id: str, code: str, *, token_id: str = "") -> None:
        """End the push of a camera, of one token where one is named; returns when the relay takes no more of it."""
        theirs = [one for one in tuple(self._running.values()) if one.camera_id == camera_id]
        for push in theirs:
            if not token_id or push.token.id == token_id:
                await self._finish(push, code)

    async def examine(self, target: Target, deadline: Deadline, *, window_s: float, samples: int) -> PushSeen:
        """Measure what is pushed for a camera's address.

        Raises:
            NotPushed: nothing is.
            Unreachable: the relay does not answer.
        """
        camera = await self._catalog.at_address(target.url)
        within_s = max(0.5, deadline.remaining_s() - 1.0)
        try:
            if camera is None:
                raise _nothing(target)
            return await self._relay.examine_push(
                camera.id, window_s=min(window_s, within_s - 0.5), samples=samples, within_s=within_s
            )
        except RelayRefused as error:
            if error.code == "not_pushed":
                raise _nothing(target) from error
            raise Unreachable(
                f"measuring the push of {target.host}: {error.detail}", peer=target.host, operation="measure"
            ) from error

    # --- what the relay tells

    def on_relay_event(self, event: RelayEvent) -> None:
        """Take one event of the relay (called in the event loop)."""
        match event:
            case PushState(push_id=push_id, pushed=True):
                push = self._running.get(push_id)
                if push is not None:
                    push.state, push.code, push.since = "live", "", event.since
                    push.live_s = self._clock.monotonic()
                    self._wake.set()
            case PushState(push_id=push_id, code="push_silent"):
                push = self._running.get(push_id)
                if push is not None:
                    push.state, push.code, push.since = "silent", event.code, event.since
            case ViewerEnded(viewer_id=push_id, code=code):
                push = self._running.get(push_id)
                if push is not None:
                    self._spawn(self._finish(push, code, tell_relay=False))

    # --- inside

    @contextlib.contextmanager
    def _refusing(self, camera_id: str, peer: str) -> Iterator[None]:
        """Count and log what is refused."""
        try:
            yield
        except Problem as error:
            self._metrics.pushes_refused.labels(error.code).inc()
            log.info("live.push.refused", camera_id=camera_id[:64], peer=peer, code=error.code)
            raise

    async def _begin(self, token: PushToken, offer: str, peer: str) -> tuple[Push, str]:
        camera_id = token.camera_id
        await self._within(f"whip.offers:{token.id}", OFFERS)
        camera = await self._camera(camera_id)
        audio = shares_sound(subject_of(camera), self._clock.now())
        push_id = new_id()
        now = self._clock.now()
        push = Push(push_id, camera_id, token, peer, audio, now, self._clock.monotonic(), now)
        # Known before the relay is asked: its first events may come before its answer is read here.
        self._running[push_id] = push
        try:
            answer = await self._answered(push, offer)
        except BaseException:
            self._running.pop(push_id, None)
            raise
        self._last[camera_id] = push
        self._metrics.pushes_started.inc()
        self._metrics.pushes.set(len(self._running))
        await self._tokens.used(token)
        await self._note(push, "push.began", {"sound": audio})
        log.info("live.push.began", push=push_id, camera_id=camera_id, peer=peer)
        await self._review([push])  # the owner may have paused while it was being answered
        if push.state == "ended":
            raise Problem(push.code if push.code in {"paused", "no_consent"} else "push_token_refused")
        return push, answer

    async def _answered(self, push: Push, offer: str) -> str:
        """Have the offer answered; an encoder that comes back while its old connection still counts as alive is waited for."""
        for again in range(_COMES_BACK + 1):
            try:
                return await self._relay.publish(
                    push.id, push.camera_id, offer, audio=push.audio, by=push.token.id
                )
            except RelayRefused as error:
                if error.code != "push_alive" or again == _COMES_BACK:
                    raise _refused(error) from error
                await self._clock.sleep(1.0)
        raise AssertionError("unreachable")

    async def _camera(self, camera_id: str) -> Camera:
        """Return a camera that may be pushed now; raises `Problem`."""
        try:
            camera = await self._catalog.get(camera_id)
        except ServiceError as error:
            raise Problem("not_found", {"what": {"vi": "camera", "en": "camera"}}) from error
        code = refusal_to_push(camera, self._clock.now())
        if code:
            raise Problem(code, headers={"retry-after": "60"})
        return camera

    async def _within(self, key: str, limit: int) -> None:
        verdict = await self._limiter.hit(key, limit, 60.0)
        if not verdict.allowed:
            wait = str(max(1, round(verdict.retry_after_s)))
            raise Problem("too_many_requests", {"retry_after_s": wait}, headers={"retry-after": wait})

    def _check_once(self, camera: Camera, push: Push) -> None:
        """Have a camera checked whose pictures come for the first time; where that brings nothing, again in a minute."""
        if push.state != "live" or camera.playback.codec is not None or camera.decision != "PENDING":
            return
        now_s = self._clock.monotonic()
        asked_s = self._measured_s.get(camera.id)
        settled = now_s - push.live_s >= SETTLED_S
        if settled and (asked_s is None or now_s - asked_s >= _MEASURE_AGAIN_S):
            self._measured_s[camera.id] = now_s
            self._spawn(self._unmeasured(camera, push.token))

    async def _tick_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._review(list(self._running.values()))
            except Exception as error:
                log.error("live.push.review_failed", exc_info=error)

    async def _listen(self) -> None:
        with self._bus.subscribe("camera.*", "bus.lost") as events:
            async for _topic, _data in events:
                if self._running:
                    self._wake.set()

    async def _review(self, pushes: list[Push]) -> None:
        """Look at pushes again; end those whose camera or token says no."""
        for push in pushes:
            if push.id not in self._running or self._last.get(push.camera_id) is not push:
                continue  # ended meanwhile, or still being answered
            code = await self._tokens.holds(push.token.id)
            if not code:
                try:
                    camera = await self._catalog.get(push.camera_id)
                except ServiceError:
                    code = "removed"
                else:
                    now = self._clock.now()
                    code = refusal_to_push(camera, now)
                    if not code and push.audio and not shares_sound(subject_of(camera), now):
                        code = "changed"  # the sound is shared no more: it is answered anew, without
                    if not code:
                        self._check_once(camera, push)
            if code:
                await self._finish(push, code)

    async def _finish(self, push: Push, code: str, *, tell_relay: bool = True) -> None:
        if self._running.pop(push.id, None) is None:
            return
        push.state, push.code, push.since = "ended", code, self._clock.now()
        self._ended[push.id] = push
        while len(self._ended) > REMEMBER:
            self._ended.popitem(last=False)
        self._metrics.pushes.set(len(self._running))
        self._metrics.pushes_ended.labels(code if code in CAUSES else "other").inc()
        try:
            if tell_relay:
                await self._relay.stop(push.id, code)
        finally:
            seconds = round(self._clock.monotonic() - push.began_s, 1)
            log.info("live.push.ended", push=push.id, camera_id=push.camera_id, code=code, seconds=seconds)
            await self._note(push, "push.ended", {"cause": code, "seconds": seconds})

    async def _note(self, push: Push, kind: str, facts: dict[str, Any]) -> None:
        told = {"push": push.id, "name": push.token.name, "peer": push.peer, **facts}
        actor = Actor("token", push.token.id, push.token.name, "encoder")
        async with self._store.write() as tx:
            await tx.audit(kind, actor, f"camera/{push.camera_id}", told)

    def _cause(self, code: str) -> Both | None:
        key = f"live.push.{code}"
        return self._texts.both(key) if code and self._texts.has(key) else None

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("live.push.failed", exc_info=task.exception())


def _nothing(target: Target) -> NotPushed:
    return NotPushed(
        f"no encoder pushes the stream of {target.host} now",
        peer=target.host,
        operation="measure",
        hint="Make a publishing token on the camera's page and start the encoder with it",
    )


def _refused(error: RelayRefused) -> Problem:
    """Return the problem for an offer that the relay did not take."""
    wait = {"retry-after": str(max(1, round(error.retry_after_s or 5)))}
    match error.status:
        case 406:
            return Problem("push_codec", {"what": error.detail})
        case 400 | 422:
            return Problem("bad_sdp", {"what": error.detail})
        case 409:
            return Problem("push_taken", headers=wait)
        case _ if error.code == "relay_full":
            return Problem(
                "no_room", {"what": error.detail, "retry_after_s": wait["retry-after"]}, headers=wait
            )
        case _:
            return Problem("relay_down", headers=wait)
