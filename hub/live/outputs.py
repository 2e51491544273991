"""Outputs: what another system may take of one camera over RTSP, until when, and who answers for it.

An output has one recipient, one purpose and an end. Its token is shown once and kept as a hash. Each connection with it is
a view like any other: decided in the name of the person who made the output, receipted with the recipient's name, renewed
while all of that holds. A person who loses the right, or is disabled, takes their outputs with them.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import Row, func, insert, or_, select, update

from adapters.clock import Clock
from adapters.secret import Secret
from hub.access.accounts import Accounts
from hub.access.decide import OUTPUT, Allowed, Ask
from hub.access.principal import Principal
from hub.access.rights import OUTPUTS_WRITE, has_right
from hub.coordination.port import EventBus
from hub.live.session import Terms
from hub.live.sessions import ViewerSessions
from hub.problems import Problem
from hub.relay.errors import RelayRefused
from hub.relay.events import HEARS_ALL, SourceSpec
from hub.relay.outputs.rtsp_out import digest_of
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import ServiceError
from hub.store.store import Store, new_id
from standards.observation import rfc3339

log = structlog.get_logger("live")

_OUTPUTS = tables.outputs
MAX_OF_CAMERA: Final = 20  # that run at the same time
MAX_AT_ONCE: Final = 4  # connections with one token: systems look, record and reconnect
LONGEST: Final = timedelta(days=366)
LOGIN: Final = "output/"  # what the views of an output hang on, in place of a sign-in


_NO_TEST: Final = {
    "vi": "xem thử kéo dài 60 giây và xem ngay tại đây; hãy chọn mục đích mà bên nhận cần",
    "en": "a test lasts 60 s and is watched here; choose what the recipient needs it for",
}
_TOO_LONG: Final = {
    "vi": "hãy chọn một thời điểm sắp tới, trong vòng 366 ngày",
    "en": "choose a time to come, within 366 days",
}
_TOO_MANY: Final = {
    "vi": f"camera này đã có {MAX_OF_CAMERA} luồng ra; hãy thu hồi một luồng trước",
    "en": f"the camera has {MAX_OF_CAMERA} outputs already; revoke one first",
}


@dataclass(frozen=True, slots=True)
class NewOutput:
    """What is asked for. `layer`: main | sub. `h265`: the recipient plays H.265, which is then sent as it is.

    `audio`: it gets the sound too, as long as the owner's consent shares it.
    """

    recipient: str
    purpose: str
    reason: str
    expires_at: datetime
    incident: str | None = None
    layer: str = "main"
    h265: bool = False
    audio: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """One output, without its token."""

    id: str
    camera_id: str
    recipient: str
    purpose: str
    incident: str | None
    reason: str
    layer: str
    h265: bool
    audio: bool
    created_by: str  # user id
    creator: str  # the name at that time
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    played_at: datetime | None  # when it was last taken

    def state(self, now: datetime) -> str:
        """Return active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "active"

    def as_json(self, now: datetime, playing: int) -> dict[str, Any]:
        """Return the representation of the HTTP API."""
        return {
            "id": self.id,
            "camera_id": self.camera_id,
            "recipient": self.recipient,
            "purpose": self.purpose,
            "incident": self.incident,
            "reason": self.reason,
            "layer": self.layer,
            "h265": self.h265,
            "audio": self.audio,
            "state": self.state(now),
            "created_by": self.creator,
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.expires_at),
            "revoked_at": rfc3339(self.revoked_at) if self.revoked_at else None,
            "played_at": rfc3339(self.played_at) if self.played_at else None,
            "playing": playing,
        }


class Serves(Protocol):
    """The connection of a recipient, as the relay knows it."""

    @property
    def digest(self) -> str:
        """Return the hash of the token that it came with."""

    @property
    def address(self) -> str:
        """Return where it came from."""

    async def serve(self, viewer_id: str, source: SourceSpec, *, wanted: str, codecs: tuple[str, ...]) -> str:
        """Feed it for as long as `renew` names the viewer; return the codec; raises `RelayRefused`."""

    def refuse(self, error: RelayRefused) -> None:
        """Answer it that it gets nothing."""


class Outputs:
    """The outputs of this hub. `port` and `secure_port` (TLS) tell where the doors are; None where one is shut."""

    def __init__(
        self,
        *,
        store: Store,
        accounts: Accounts,
        viewers: ViewerSessions,
        bus: EventBus,
        clock: Clock,
        port: Callable[[], int | None],
        secure_port: Callable[[], int | None],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._viewers = viewers
        self._bus = bus
        self._clock = clock
        self._port = port
        self._secure_port = secure_port
        self._taking: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int | None:
        """Return the port of the RTSP door, None where this hub has none."""
        return self._port()

    @property
    def secure_port(self) -> int | None:
        """Return the port of the door for RTSP over TLS, None where this hub has none."""
        return self._secure_port()

    async def make(self, principal: Principal, camera_id: str, new: NewOutput) -> tuple[Output, Secret]:
        """Make an output, where its first view would be allowed now; return it with its token, which is kept nowhere.

        Raises:
            Problem: ``outputs_off``; ``outputs_masked`` (a zone that the hub has to paint over); refused by `decide` as the view would be; ``invalid_input``; ``conflict`` where the
                camera has 20 already.
            ServiceError: ``not_found``.
        """
        now = self._clock.now()
        if self.port is None and self.secure_port is None:
            raise Problem("outputs_off")
        if new.purpose == "test":
            raise _unfit("purpose", _NO_TEST)
        if not now < new.expires_at <= now + LONGEST:
            raise _unfit("expires_at", _TOO_LONG)
        await self._viewers.admit(camera_id, Ask(principal, new.purpose, new.incident, OUTPUT))
        token = Secret(secrets.token_urlsafe(24))
        output = Output(
            id=new_id(),
            camera_id=camera_id,
            recipient=new.recipient,
            purpose=new.purpose,
            incident=new.incident,
            reason=new.reason,
            layer=new.layer,
            h265=new.h265,
            audio=new.audio,
            created_by=principal.user_id,
            creator=principal.display_name or principal.name,
            created_at=now,
            expires_at=new.expires_at,
            revoked_at=None,
            played_at=None,
        )
        running = (
            (_OUTPUTS.c.camera_id == camera_id)
            & _OUTPUTS.c.revoked_at.is_(None)
            & (_OUTPUTS.c.expires_at > now)
        )
        async with self._store.write() as tx:
            if (
                int(await tx.scalar(select(func.count()).select_from(_OUTPUTS).where(running)))
                >= MAX_OF_CAMERA
            ):
                raise Problem("conflict", {"what": _TOO_MANY})
            values = {name: getattr(output, name) for name in Output.__slots__}
            await tx.execute(insert(_OUTPUTS).values(**values, token_hash=_hash(digest_of(token.reveal()))))
            await tx.audit(
                "output.made",
                principal.actor(),
                f"camera/{camera_id}",
                {
                    "output": output.id,
                    "recipient": output.recipient,
                    "purpose": output.purpose,
                    "incident": output.incident,
                    "reason": output.reason,
                    "audio": output.audio,
                    "expires_at": rfc3339(output.expires_at),
                },
            )
        return output, token

    async def of_camera(self, camera_id: str) -> list[Output]:
        """Return the outputs of a camera, newest first; those that ended more than 90 days ago are left out."""
        kept = self._clock.now() - timedelta(days=90)
        recent = or_(_OUTPUTS.c.revoked_at.is_(None), _OUTPUTS.c.revoked_at > kept)
        statement = (
            select(_OUTPUTS)
            .where(_OUTPUTS.c.camera_id == camera_id, _OUTPUTS.c.expires_at > kept, recent)
            .order_by(_OUTPUTS.c.created_at.desc(), _OUTPUTS.c.id)
            .limit(200)
        )
        async with self._store.read() as tx:
            return [_output(row) for row in await tx.all(statement)]

    def playing(self, output_id: str) -> int:
        """Return how many connections take it in this process now."""
        return self._viewers.hanging_on(LOGIN + output_id)

    async def revoke(self, camera_id: str, output_id: str, actor: Actor) -> Output:
        """End an output; what plays by it is cut before this returns. A second time changes nothing.

        Raises:
            ServiceError: ``not_found``.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            row = await tx.one(
                select(_OUTPUTS).where(_OUTPUTS.c.id == output_id, _OUTPUTS.c.camera_id == camera_id)
            )
            if row is None:
                raise ServiceError("not_found", "there is no such output")
            if row.revoked_at is None:
                await tx.execute(update(_OUTPUTS).where(_OUTPUTS.c.id == output_id).values(revoked_at=now))
                told = {"output": output_id, "recipient": row.recipient}
                await tx.audit("output.revoked", actor, f"camera/{camera_id}", told)
        await self._viewers.end_hanging_on(LOGIN + output_id, "output_revoked")
        await self._bus.publish("output.revoked", {"id": output_id})
        async with self._store.read() as tx:
            return _output(await tx.one(select(_OUTPUTS).where(_OUTPUTS.c.id == output_id)))

    async def person(self, output_id: str) -> Principal | None:
        """Return in whose name an output plays; None where it has ended, or they may give none any more."""
        async with self._store.read() as tx:
            row = await tx.one(select(_OUTPUTS).where(_OUTPUTS.c.id == output_id))
        if row is None or _output(row).state(self._clock.now()) != "active":
            return None
        principal = await self._accounts.principal(row.created_by, "token")
        return principal if principal is not None and has_right(principal, OUTPUTS_WRITE) else None

    async def camera_of(self, digest: str) -> str:
        """Return the camera that a token opens, by its digest; "" where there is no such token."""
        row = await self._by_digest(digest)
        return "" if row is None else str(row.camera_id)

    def take(self, connection: Serves) -> None:
        """Decide about a connection, and feed it or refuse it, beside whatever goes on (called in the event loop)."""
        task = asyncio.create_task(self._take(connection), name="output")
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def aclose(self) -> None:
        """Decide about no connection any more. Idempotent."""
        for task in tuple(self._taking):
            task.cancel()
        await asyncio.gather(*self._taking, return_exceptions=True)

    async def _take(self, connection: Serves) -> None:
        try:
            await self._play(connection)
        except RelayRefused as error:
            connection.refuse(error)
        except Problem as error:
            connection.refuse(RelayRefused(error.status, error.code, "the hub does not allow this view"))
        except ServiceError:
            connection.refuse(RelayRefused(404, "removed", "the camera has gone"))
        except Exception as error:
            log.error("live.output.failed", peer=connection.address, exc_info=error)
            connection.refuse(RelayRefused(503, "internal", "the hub failed; see its log"))

    async def _play(self, connection: Serves) -> None:
        row = await self._by_digest(connection.digest)
        output = None if row is None else _output(row)
        if output is None or output.state(self._clock.now()) != "active":
            log.info("live.output.unknown", peer=connection.address, known=output is not None)
            raise RelayRefused(404, "token_unknown", "no output has this token")
        if self.playing(output.id) >= MAX_AT_ONCE:
            raise RelayRefused(503, "output_busy", f"{MAX_AT_ONCE} connections take this output already")
        principal = await self.person(output.id)
        if principal is None:
            raise RelayRefused(404, "output_revoked", "who made this output may give none any more")

        def connect(viewer_id: str, source: SourceSpec, allowed: Allowed) -> Awaitable[str]:
            codecs = ("H264", "H265") if output.h265 else ("H264",)
            heard = (HEARS_ALL,) if output.audio and allowed.audio else ()
            return connection.serve(viewer_id, source, wanted=output.layer, codecs=(*codecs, *heard))

        await self._viewers.serve(
            Ask(principal, output.purpose, output.incident, OUTPUT),
            output.camera_id,
            connect,
            Terms(LOGIN + output.id, output.recipient, output.expires_at),
            wanted=output.layer,
        )
        async with self._store.write() as tx:
            played = update(_OUTPUTS).where(_OUTPUTS.c.id == output.id).values(played_at=self._clock.now())
            await tx.execute(played)

    async def _by_digest(self, digest: str) -> Row[Any] | None:
        if not digest:
            return None
        async with self._store.read() as tx:
            return await tx.one(select(_OUTPUTS).where(_OUTPUTS.c.token_hash == _hash(digest)))


def _unfit(field: str, what: dict[str, str]) -> Problem:
    return Problem("invalid_input", {"count": 1, "field": field, "what": what}, field=field)


def _hash(digest: str) -> bytes:
    return bytes.fromhex(digest)


def _output(row: Any) -> Output:
    return Output(**{name: getattr(row, name) for name in Output.__slots__})
