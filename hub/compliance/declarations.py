"""Declarations as a hub keeps them: per camera and fact in versions, with their papers. Nothing is erased.

A new one supersedes the one before. Those in force enter every check and every re-score as observations with method
INTERVIEW (`Declarations.facts` is a supplier of `hub.compliance.known.Knowledge`); a lapsed one enters as not declared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from adapters.clock import Clock
from hub.catalog.types import Camera
from hub.compliance.attachments import Attachment
from hub.compliance.refused import StatementRefused
from hub.store import tables
from hub.store.chain import HUB, Actor
from hub.store.errors import ServiceError
from hub.store.store import Reading, Store, Writing, new_id
from standards.declaration import Declaration, DeclarationRefused, declaration, forms
from standards.observation import Observation, rfc3339

_TABLE, _PAPERS, _CAMERAS = tables.declarations, tables.attachments, tables.cameras
MAX_PAPERS = 100  # per camera
KEPT_UNUSED = timedelta(days=1)  # a paper that no statement names
BATCH = 200


@dataclass(frozen=True, slots=True)
class NewDeclaration:
    """What somebody states. `declared` None is now; `valid_until` None takes the form's time."""

    fact: str
    value: Any
    author: str
    role: str
    declared: datetime | None = None
    valid_until: datetime | None = None
    attachment_sha256: str = ""


@dataclass(frozen=True, slots=True)
class StoredDeclaration:
    """One version as kept."""

    id: str
    camera_id: str
    version: int
    stated: Declaration
    stored_state: str  # active superseded withdrawn
    recorded_by: Mapping[str, Any]
    recorded_at: datetime
    ended_at: datetime | None

    def state(self, now: datetime) -> str:
        """Return what it is worth now: active, lapsed, superseded or withdrawn."""
        if self.stored_state == "active" and not self.stated.active(now):
            return "lapsed"
        return self.stored_state


@dataclass(frozen=True, slots=True)
class Paper:
    """What is known of an attachment without its content."""

    sha256: str
    media_type: str
    name: str
    size: int
    added_at: datetime

    def as_json(self) -> dict[str, Any]:
        """Return the representation of the HTTP API."""
        return {
            "sha256": self.sha256,
            "media_type": self.media_type,
            "name": self.name,
            "size": self.size,
            "added_at": rfc3339(self.added_at),
        }


class Declarations:
    """The declarations of this hub's cameras."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def declare(self, camera_id: str, new: Sequence[NewDeclaration], actor: Actor) -> tuple[str, ...]:
        """Keep some declarations of a camera, all or none; returns their ids.

        Raises:
            StatementRefused: as `standards.declaration.declaration`, with the place in `field` where there are several;
                `kept_elsewhere`: the camera's own entry or its consent holds this; `attachment_unknown`.
            ServiceError: `not_found`.
        """
        now = self._clock.now()
        checked = [_checked(one, now, f"{index}." if len(new) > 1 else "") for index, one in enumerate(new)]
        made: list[str] = []
        async with self._store.write() as tx:
            await _known_camera(tx, camera_id)
            for index, stated in enumerate(checked):
                if stated.attachment_sha256:
                    await known_paper(
                        tx,
                        camera_id,
                        stated.attachment_sha256,
                        f"{index}.attachment" if len(new) > 1 else "attachment",
                    )
                made.append(await self._add(tx, camera_id, stated, actor, now))
        return tuple(made)

    async def withdraw(self, declaration_id: str, actor: Actor) -> StoredDeclaration:
        """Take a declaration back: it stays on record and counts no more.

        Raises:
            ServiceError: `not_found`.
            StatementRefused: `statement_state`: it is not in force.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            row = await tx.one(select(_TABLE).where(_TABLE.c.id == declaration_id))
            if row is None:
                raise ServiceError("not_found", "there is no such declaration")
            if row.state != "active":
                raise StatementRefused("id", "not_in_force", code="statement_state", state=row.state)
            values = {"state": "withdrawn", "ended_at": now, "settled": True}
            await tx.execute(update(_TABLE).where(_TABLE.c.id == declaration_id).values(**values))
            facts = {"declaration": row.id, "fact": row.fact, "version": row.version}
            await tx.audit("declaration.withdrawn", actor, f"camera/{row.camera_id}", facts)
        return replace(_from(row), stored_state="withdrawn", ended_at=now)

    async def get(self, declaration_id: str) -> StoredDeclaration:
        """Return one version. Raises ServiceError `not_found`."""
        async with self._store.read() as tx:
            row = await tx.one(select(_TABLE).where(_TABLE.c.id == declaration_id))
        if row is None:
            raise ServiceError("not_found", "there is no such declaration")
        return _from(row)

    async def of(self, camera_id: str, *, history: bool = False) -> tuple[StoredDeclaration, ...]:
        """Return a camera's declarations by fact, newest version first; without `history` only those that stand."""
        statement = select(_TABLE).where(_TABLE.c.camera_id == camera_id)
        if not history:
            statement = statement.where(_TABLE.c.state == "active")
        statement = statement.order_by(_TABLE.c.fact, _TABLE.c.version.desc()).limit(1000)
        async with self._store.read() as tx:
            return tuple(_from(row) for row in await tx.all(statement))

    async def facts(self, camera: Camera, now: datetime) -> Mapping[str, Observation]:
        """Return what the declarations of a camera are worth at a moment (a supplier of `Knowledge`)."""
        return {one.stated.fact: one.stated.observation(now) for one in await self.of(camera.id)}

    async def settle_due(self, now: datetime) -> tuple[str, ...]:
        """Note declarations that have lapsed since; returns the cameras to be judged again, a bounded number."""
        due = (
            select(_TABLE)
            .where(_TABLE.c.settled.is_(False), _TABLE.c.valid_until <= now)
            .order_by(_TABLE.c.valid_until)
            .limit(BATCH)
        )
        async with self._store.read() as tx:
            if await tx.one(due) is None:
                return ()
        cameras: dict[str, None] = {}
        async with self._store.write() as tx:
            for row in await tx.all(due):
                await tx.execute(update(_TABLE).where(_TABLE.c.id == row.id).values(settled=True))
                facts = {"declaration": row.id, "fact": row.fact, "version": row.version}
                await tx.audit("declaration.lapsed", HUB, f"camera/{row.camera_id}", facts)
                cameras[row.camera_id] = None
        return tuple(cameras)

    # papers

    async def attach(self, camera_id: str, paper: Attachment, actor: Actor) -> Paper:
        """Keep a paper; the same content twice is one.

        Raises:
            ServiceError: `not_found`.
            StatementRefused: `attachment_many`.
        """
        now, digest = self._clock.now(), paper.sha256
        async with self._store.write() as tx:
            await _known_camera(tx, camera_id)
            await self._forget_unused(tx, camera_id, now - KEPT_UNUSED)
            known = await tx.one(_paper(camera_id, digest))
            if known is None:
                count = await tx.scalar(
                    select(func.count()).select_from(_PAPERS).where(_PAPERS.c.camera_id == camera_id)
                )
                if count >= MAX_PAPERS:
                    raise StatementRefused("attachment", "attachment_many", limit=MAX_PAPERS)
                await tx.execute(
                    insert(_PAPERS).values(
                        camera_id=camera_id,
                        sha256=digest,
                        media_type=paper.media_type,
                        name=paper.name,
                        size=len(paper.content),
                        content=paper.content,
                        added_by=actor.as_json(),
                        added_at=now,
                    )
                )
                facts = {"sha256": digest, "media_type": paper.media_type, "size": len(paper.content)}
                await tx.audit("attachment.added", actor, f"camera/{camera_id}", facts)
        return Paper(digest, paper.media_type, paper.name, len(paper.content), now)

    async def papers(self, camera_id: str) -> tuple[Paper, ...]:
        """Return a camera's papers without their content, oldest first."""
        columns = [one for one in _PAPERS.c if one.name not in {"content", "added_by"}]
        statement = (
            select(*columns)
            .where(_PAPERS.c.camera_id == camera_id)
            .order_by(_PAPERS.c.added_at, _PAPERS.c.sha256)
        )
        async with self._store.read() as tx:
            rows = await tx.all(statement)
        return tuple(Paper(row.sha256, row.media_type, row.name, row.size, row.added_at) for row in rows)

    async def paper(self, camera_id: str, sha256: str) -> Attachment:
        """Return one paper with its content. Raises ServiceError `not_found`."""
        async with self._store.read() as tx:
            row = await tx.one(
                select(_PAPERS).where(_PAPERS.c.camera_id == camera_id, _PAPERS.c.sha256 == sha256[:64])
            )
        if row is None:
            raise ServiceError("not_found", "there is no such attachment")
        return Attachment(row.name, row.media_type, bytes(row.content))

    # inside

    @staticmethod
    async def _add(tx: Writing, camera_id: str, stated: Declaration, actor: Actor, now: datetime) -> str:
        same = (_TABLE.c.camera_id == camera_id, _TABLE.c.fact == stated.fact)
        version = int(await tx.scalar(select(func.max(_TABLE.c.version)).where(*same)) or 0) + 1
        await tx.execute(
            update(_TABLE)
            .where(*same, _TABLE.c.state == "active")
            .values(state="superseded", ended_at=now, settled=True)
        )
        made = new_id()
        await tx.execute(
            insert(_TABLE).values(
                id=made,
                camera_id=camera_id,
                fact=stated.fact,
                version=version,
                value=stated.value,
                author=stated.author,
                role=stated.role,
                declared_at=stated.declared,
                valid_until=stated.valid_until,
                attachment_sha256=stated.attachment_sha256 or None,
                state="active",
                recorded_by=actor.as_json(),
                recorded_at=now,
                ended_at=None,
                settled=False,
            )
        )
        facts = {
            "declaration": made,
            "fact": stated.fact,
            "version": version,
            "value": stated.value,
            "author_role": stated.role,
            "valid_until": rfc3339(stated.valid_until),
            "attachment_sha256": stated.attachment_sha256,
        }
        await tx.audit("declaration.made", actor, f"camera/{camera_id}", facts)
        return made

    @staticmethod
    async def _forget_unused(tx: Writing, camera_id: str, before: datetime) -> None:
        declared = select(_TABLE.c.attachment_sha256).where(
            _TABLE.c.camera_id == camera_id, _TABLE.c.attachment_sha256.is_not(None)
        )
        rows = await tx.all(
            select(tables.statements.c.data).where(tables.statements.c.camera_id == camera_id)
        )
        stated = [row.data["attachment_sha256"] for row in rows if row.data.get("attachment_sha256")]
        await tx.execute(
            delete(_PAPERS).where(
                _PAPERS.c.camera_id == camera_id,
                _PAPERS.c.added_at < before,
                _PAPERS.c.sha256.not_in(declared),
                _PAPERS.c.sha256.not_in(stated),
            )
        )


async def known_paper(tx: Reading, camera_id: str, sha256: str, field: str = "attachment") -> None:
    """Refuse a statement whose paper was not sent before. Raises StatementRefused `attachment_unknown`."""
    if await tx.one(_paper(camera_id, sha256)) is None:
        raise StatementRefused(field, "attachment_unknown", sha256=sha256[:64])


def _paper(camera_id: str, sha256: str) -> Any:
    return select(_PAPERS.c.sha256).where(_PAPERS.c.camera_id == camera_id, _PAPERS.c.sha256 == sha256)


async def _known_camera(tx: Reading, camera_id: str) -> None:
    if await tx.one(select(_CAMERAS.c.id).where(_CAMERAS.c.id == camera_id)) is None:
        raise ServiceError("not_found", "there is no such camera")


def _checked(new: NewDeclaration, now: datetime, prefix: str) -> Declaration:
    form = forms().get(new.fact)
    if form is not None and form.kept_by:
        raise StatementRefused(f"{prefix}fact", f"kept_by_{form.kept_by}", fact=new.fact)
    try:
        return declaration(
            new.fact,
            new.value,
            author=new.author,
            role=new.role,
            declared=new.declared or now,
            now=now,
            valid_until=new.valid_until,
            attachment_sha256=new.attachment_sha256,
        )
    except DeclarationRefused as error:
        raise StatementRefused(f"{prefix}{error.field}", error.why, **error.params) from error


def _from(row: Any) -> StoredDeclaration:
    stated = Declaration(
        row.fact,
        row.value,
        row.author,
        row.role,
        row.declared_at,
        row.valid_until,
        row.attachment_sha256 or "",
    )
    return StoredDeclaration(
        row.id,
        row.camera_id,
        row.version,
        stated,
        row.state,
        row.recorded_by,
        row.recorded_at,
        row.ended_at,
    )
