"""Events of a municipal camera by PullPoint, after its admission (ONVIF Core 9.1; quirks 27, 34, 35, 54).

For the hub::

    async with EventSource(target, credential, context, actuation, deadline) as source:
        await source.run(sink)          # sink(DeviceEvent), in the event loop; must not block

`run` pulls until it is cancelled or the device is lost; `pull` makes one pull, `long_pull` one of 60 s to measure it. Leaving
the block unsubscribes, whatever happened: devices have few slots, and some count a forgotten one until they reboot.
Nothing here is reachable while a camera is onboarded: a probe's session has no `Actuation` and sends none of these
operations. One camera holds one connection and one subscription with a lease of 60 s.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Self

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    CameraFault,
    PermissionDenied,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
    Unsupported,
)
from adapters.onvif import notifications, operations, requests
from adapters.onvif.conversation import Conversation, conversation, utc_text
from adapters.onvif.notifications import DeviceEvent, Subscription
from adapters.onvif.reply import Reply
from adapters.onvif.session import OnvifSession
from adapters.port import Actuation, ProbeContext
from adapters.secret import Credential
from adapters.target import Target

LEASE_S = 60.0  # short, because slots are few; not shorter, because some devices end shorter ones at once
POLL_S = 5.0  # Tapo closes a pull after 10 s, so none is asked to last that long
LONG_POLL_S = 60.0  # the one long pull, by which EVT-02 is measured
LONG_LEASE_S = 90.0
_LONG_MARGIN_S = 5.0
_POLL_LIMIT_S = POLL_S + 10.0  # some ignore the time-out they are asked for
_RENEW_AT = 0.5  # of the lease
_PAUSE_S = 1.0  # between pulls that come back at once with nothing, and after a pull that was cut off
_FAILURES = 3  # pulls cut off, or subscriptions lost, in a row
_MESSAGES = "100"
_UNSUBSCRIBE_S = 3.0
_SLOTS = ("limit", "maximum", "toomany", "capacity", "blockedthread", "resource")


class EventSource:
    """One subscription. Use once, as an async context manager.

    `quirks` are the tolerances that were needed; `context.courtesy` counts every request.

    Entering raises:
        NotPermitted: the leave is not for a municipal camera; nothing was sent.
        AuthenticationFailed, CoolingDown, PermissionDenied: no login, a refused one, or one without this right.
        Unsupported: the device has no event service or no pull points.
        CameraFault: it refuses to subscribe, such as where every slot is taken.
        TimedOut, Unreachable, RemoteProtocolError, AddressRefused: as they say.
    """

    def __init__(
        self,
        target: Target,
        credential: Credential | None,
        context: ProbeContext,
        actuation: Actuation,
        deadline: Deadline,
    ) -> None:
        self._context = context
        self._opening: AbstractAsyncContextManager[Conversation] = conversation(
            target, credential, context, actuation, service="events", deadline=deadline
        )
        self._open: Conversation | None = None
        self._subscribed = False
        self._ends_s = 0.0  # monotonic
        self._renew_s = 0.0
        self._failures = 0
        self._resynced = False

    @property
    def quirks(self) -> tuple[str, ...]:
        """Return the named tolerances that were needed so far."""
        return tuple(sorted(self._open.session.quirks)) if self._open is not None else ()

    async def __aenter__(self) -> Self:
        self._open = await self._opening.__aenter__()
        try:
            await self._subscribe()
        except BaseException as error:
            await self._opening.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._unsubscribe()
        finally:
            await self._opening.__aexit__(kind, error, trace)

    async def run(self, sink: Callable[[DeviceEvent], None]) -> None:
        """Deliver events to `sink` until cancelled.

        Raises:
            AdapterError: the device is lost or takes no subscription any more.
        """
        while True:
            started_s = self._context.clock.monotonic()
            told = await self.pull()
            for event in told:
                sink(event)
            if not told and self._context.clock.monotonic() - started_s < _PAUSE_S / 2:
                await self._context.clock.sleep(_PAUSE_S)  # it answers at once whatever time-out it is given

    async def pull(self) -> tuple[DeviceEvent, ...]:
        """Make one pull and keep the lease alive. An end of the pull without an answer is an empty pull.

        Raises:
            AdapterError: three failures in a row; the last of them.
        """
        await self._keep_alive()
        operation = operations.PULL_MESSAGES
        body = requests.plain(operation, Timeout=f"PT{POLL_S:.0f}S", MessageLimit=_MESSAGES)
        try:
            reply = await self._asked(operation, body, limit_s=_POLL_LIMIT_S)
        except (TimedOut, Unreachable) as error:  # Tapo C220 and C125 end a pull by closing
            await self._failed("poll_ended_by_close", error)
            return ()
        except (CameraFault, RemoteProtocolError, PermissionDenied) as error:  # the subscription is gone
            await self._failed("subscription_lost", error)
            await self._unsubscribe()
            await self._subscribe()
            return ()
        self._failures = 0
        self._lease(notifications.subscription(reply))
        return notifications.events(reply)

    async def long_pull(self) -> tuple[tuple[DeviceEvent, ...], float]:
        """Make one pull of 60 s, which devices must allow (ONVIF Core 9.1.2): the events, and seconds to the answer.

        For measuring; `pull` goes on afterwards, with a new subscription where this one did not live so long.

        Raises:
            AdapterError: the device did not answer it; the pull counts as one failure of `pull`.
        """
        with suppress(CameraFault, Unsupported, RemoteProtocolError, PermissionDenied):
            self._lease(
                notifications.subscription(
                    await self._asked(operations.RENEW, requests.renew(f"PT{LONG_LEASE_S:.0f}S"))
                ),
                fresh=True,
            )
        operation = operations.PULL_MESSAGES
        body = requests.plain(operation, Timeout=f"PT{LONG_POLL_S:.0f}S", MessageLimit=_MESSAGES)
        started_s = self._context.clock.monotonic()
        try:
            reply = await self._asked(operation, body, limit_s=LONG_POLL_S + _LONG_MARGIN_S)
        except AdapterError:
            self._failures += 1
            raise
        return notifications.events(reply), self._context.clock.monotonic() - started_s

    async def _failed(self, quirk: str, error: AdapterError) -> None:
        self._failures += 1
        if self._failures >= _FAILURES:
            raise error
        self._session.quirks[quirk] = None
        await self._context.clock.sleep(_PAUSE_S)

    # --- the subscription

    @property
    def _session(self) -> OnvifSession:
        assert self._open is not None
        return self._open.session

    async def _subscribe(self) -> None:
        """Subscribe by a duration, else by an absolute time, else without either (quirk 54)."""
        operation = operations.CREATE_PULL_POINT
        failure: AdapterError | None = None
        for quirk, wanted in (
            ("", f"PT{LEASE_S:.0f}S"),
            ("absolute_termination_time", utc_text(self._context, self._session, LEASE_S)),
            ("no_termination_time", ""),
        ):
            body = requests.plain(operation, InitialTerminationTime=wanted)
            try:
                reply = await self._asked(operation, body)
            except CameraFault as error:
                failure = error
                if any(word in error.fault.lower() for word in _SLOTS):
                    error.hint = "Every slot of the camera is taken: end another recorder's subscription"
                    raise
                continue
            if quirk:
                self._session.quirks[quirk] = None
            self._take(notifications.subscription(reply))
            return
        assert failure is not None
        raise failure

    def _take(self, told: Subscription) -> None:
        """Lead the pull point's address back to the enrolled host; keep what must be sent back to it."""
        assert self._open is not None
        session, addresses = self._session, self._open.addresses
        if not addresses.learned:
            addresses.learn(told.address)  # no service list: the pull point is where the device service is
        url = addresses.service(told.address) if told.address else None
        if url is None:
            url = session.url(operations.CREATE_PULL_POINT)
            session.quirks["no_subscription_address"] = None
        session.endpoints["subscription"] = url
        session.named_endpoints["subscription"] = told.address or url
        session.reference_parameters = told.reference_parameters
        self._subscribed = True
        self._lease(told, fresh=True)

    def _lease(self, told: Subscription, *, fresh: bool = False) -> None:
        """Note how long the subscription lives: never believed to be longer than was asked for."""
        lease_s = told.lease_s()
        now = self._context.clock.monotonic()
        if lease_s is None or lease_s < 1.0:
            if not fresh:
                return  # PullMessages that tells no time: the lease goes on
            self._session.quirks["no_termination_told" if lease_s is None else "terminates_at_once"] = None
            lease_s = LEASE_S
        ends_s = now + min(lease_s, LEASE_S)
        if fresh or ends_s > self._ends_s + 1.0:  # some devices prolong with every pull
            self._ends_s = ends_s
            self._renew_s = now + min(lease_s, LEASE_S) * _RENEW_AT

    async def _keep_alive(self) -> None:
        """Renew in the middle of the lease; where the device cannot, subscribe anew before its end."""
        now = self._context.clock.monotonic()
        if now < self._renew_s:
            return
        operation = operations.RENEW
        failure: AdapterError | None = None
        for quirk, wanted in (
            ("", f"PT{LEASE_S:.0f}S"),
            ("absolute_termination_time", utc_text(self._context, self._session, LEASE_S)),
        ):
            try:
                reply = await self._asked(operation, requests.renew(wanted))
            except (CameraFault, Unsupported, RemoteProtocolError, PermissionDenied) as error:
                failure = error
                continue
            if quirk:
                self._session.quirks[quirk] = None
            self._lease(notifications.subscription(reply), fresh=True)
            return
        assert failure is not None
        self._session.quirks["no_renew"] = None
        self._renew_s = self._ends_s - _POLL_LIMIT_S
        if now >= self._renew_s:
            await self._unsubscribe()
            await self._subscribe()

    async def _unsubscribe(self) -> None:
        """Give the slot back. A device that does not answer forgets the subscription when its lease ends."""
        if not self._subscribed:
            return
        self._subscribed = False
        with suppress(AdapterError):
            await self._asked(operations.UNSUBSCRIBE, requests.unsubscribe(), limit_s=_UNSUBSCRIBE_S)

    async def _asked(self, operation: operations.Operation, body: bytes, limit_s: float = 5.0) -> Reply:
        """Ask; once per source a refusal of a signed request is met by reading the device's clock again (quirk 6)."""
        assert self._open is not None
        fragile = operation is operations.PULL_MESSAGES
        try:
            return await self._session.ask(operation, body, limit_s=limit_s, fragile=fragile)
        except PermissionDenied:
            if self._resynced or not await self._open.resynced():
                raise
            self._resynced = True
            self._session.quirks["clock_moved"] = None
            return await self._session.ask(operation, body, limit_s=limit_s, fragile=fragile)


__all__ = ["LEASE_S", "LONG_POLL_S", "POLL_S", "DeviceEvent", "EventSource"]
