"""The catalog's service: read, register, change, measure, consent, pause.

Every change is one transaction with its audit record in it; after the commit `camera.changed` with
``{"id", "what", "version"}`` goes out on the event bus (`what`: added, changed, removed, credential, assessment,
health, consent, sharing). Measured health is no act of a person and has no audit record. Who may do what is asked of
`hub.access` before; the pictures themselves are decided there and nowhere here.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, func, insert, select

from adapters.secret import Credential, Secret
from hub.catalog.checks import (
    MAX_NAME,
    MAX_NOTES,
    check_free,
    checked_address,
    checked_name,
    checked_origin,
    checked_place,
    checked_text,
    custodian_from,
    known_area,
    write_search_text,
)
from hub.catalog.core import CAMERA_CHANGED
from hub.catalog.folding import sort_key
from hub.catalog.measuring import Measurements
from hub.catalog.query import limit_of, total_comes_along, write_cursor
from hub.catalog.rows import camera_from, camera_select
from hub.catalog.sharing import SharingChanges, end_active_consent
from hub.catalog.types import (
    EVENTS_OFF_AT,
    PORTS_BASIS,
    PORTS_GRANTED_AT,
    PORTS_GRANTED_BY,
    PTZ_BASIS,
    PTZ_GRANTED_AT,
    PTZ_GRANTED_BY,
    UNCHANGED,
    Camera,
    CameraPage,
    CameraPatch,
    CameraQuery,
    ConsentState,
    Counts,
    Custodian,
    DeclaredMasks,
    Failures,
    Kind,
    Mode,
    NewCamera,
    NewCustodian,
    Zone,
)
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Reading, Writing, new_id
from standards.observation import rfc3339

__all__ = ["CAMERA_CHANGED", "CatalogService"]

_CAMERAS, _SEARCH, _CREDENTIALS = tables.cameras, tables.camera_search, tables.credentials
_ASSESSMENTS, _HEALTH, _CUSTODIANS = tables.assessments, tables.health, tables.custodians


class CatalogService(SharingChanges, Measurements):
    """The cameras of this hub."""

    # reading

    async def list(self, query: CameraQuery) -> CameraPage:
        """Return one page, sorted by name. Cursors stay valid while cameras come and go.

        Raises:
            Invalid: a filter or the cursor does not fit.
        """
        limit, now = limit_of(query), self._clock.now()
        async with self._settled() as tx:
            keys = await tx.all(self._finder.page(query))
            if total_comes_along(query):
                total = int(keys[0].total) if keys else 0
            else:
                total = int(await tx.scalar(self._finder.total(query)))
            ids = [row[-1] for row in keys[:limit]]
            rows = await tx.all(camera_select().where(_CAMERAS.c.id.in_(ids))) if ids else ()
        by_id = {row.id: camera_from(row, now) for row in rows}
        more = len(keys) > limit
        return CameraPage(
            items=tuple(by_id[camera_id] for camera_id in ids if camera_id in by_id),
            next=write_cursor(tuple(keys[limit - 1])[1:]) if more else None,
            total=total,
        )

    async def counts(self, query: CameraQuery) -> Counts:
        """Return numbers by decision and by health over what `list` would show for this query."""
        decision: dict[str, int] = {}
        health: dict[str, int] = {}
        async with self._settled() as tx:
            for row in await tx.all(self._finder.counts(query)):
                decision[row.decision] = decision.get(row.decision, 0) + row.n
                health[row.health] = health.get(row.health, 0) + row.n
            measured_at = await tx.scalar(select(func.max(_HEALTH.c.measured_at)))
        return Counts(sum(decision.values()), decision, health, measured_at)

    async def failures(self, query: CameraQuery) -> Failures:
        """Return how many cameras fail each rule of the query's `standard` by their present assessment.

        Each number equals the total of the list with that standard and that rule as `failing`.
        """
        async with self._settled() as tx:
            rows = await tx.all(self._finder.failures(query))
            judged = int(await tx.scalar(self._finder.total(query)))
        return Failures(judged, {row.rule: row.n for row in rows})

    async def get(self, camera_id: str) -> Camera:
        """Return one camera as it is now.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            return await self._read(tx, camera_id)

    async def find(self, camera_id: str, *, within: Reading | None = None) -> Camera | None:
        """Return one camera, or None; `within` reads it as a transaction has it."""
        statement = camera_select().where(_CAMERAS.c.id == camera_id)
        if within is not None:
            row = await within.one(statement)
        else:
            async with self._store.read() as tx:
                row = await tx.one(statement)
        return camera_from(row, self._clock.now()) if row is not None else None

    async def at_address(self, address: str) -> Camera | None:
        """Return the camera enrolled with this address, or None."""
        async with self._store.read() as tx:
            row = await tx.one(camera_select().where(_CAMERAS.c.address == checked_address(address)[0]))
        return camera_from(row, self._clock.now()) if row is not None else None

    async def credential_for(self, camera_id: str) -> Credential | None:
        """Open the seal of a camera's credential: only for a probe or a pull, never to be shown or logged.

        Raises:
            SealError: the key file does not belong to this database.
        """
        async with self._store.read() as tx:
            row = await tx.one(select(_CREDENTIALS).where(_CREDENTIALS.c.camera_id == camera_id))
        if row is None:
            return None
        user = self._sealer.unseal(row.sealed_user, camera_id, "user")
        return Credential(user.reveal(), self._sealer.unseal(row.sealed_password, camera_id, "password"))

    # registering and changing

    async def register(
        self,
        new: NewCamera,
        actor: Actor,
        *,
        credential: Credential | None = None,
        camera_id: str | None = None,
        within: Writing | None = None,
    ) -> Camera:
        """Add a camera as PENDING. A credential inside the address is taken out of it and sealed.

        Raises:
            Invalid: names the field (`address_bad`, `area_unknown`, `custodian_unknown`, ...).
            ServiceError: `already_enrolled`: a camera with this address exists; params `camera_id`.
        """
        now, camera_id = self._clock.now(), camera_id or new_id()
        address, inside = checked_address(new.address)
        sub_address, _ = checked_address(new.sub_address, "sub_address") if new.sub_address else ("", None)
        values = {
            "name": checked_name(new.name),
            "sort_key": sort_key(new.name),
            "address": address,
            "sub_address": sub_address,
            "notes": checked_text(new.notes, "notes", MAX_NOTES),
            "permission": {str(key): str(value)[:200] for key, value in new.permission.items()},
            **checked_place(new.position),
            **checked_origin(new.origin),
        }
        async with self._within(within) as tx:
            await check_free(tx, address)
            area = await known_area(tx, new.area)
            custodian = await self._custodian(tx, new.custodian, actor)
            donated = custodian.is_donor
            await tx.execute(
                insert(_CAMERAS).values(
                    id=camera_id,
                    area_code=area.code if area else None,
                    area_since=now if area else None,
                    custodian_id=custodian.id,
                    decision="PENDING",
                    decision_reasons=[],
                    playback={},
                    sharing=str(Mode.PRIVATE) if donated else "authority",
                    consent_state=str(ConsentState.MISSING if donated else ConsentState.NOT_NEEDED),
                    health="not_shared" if donated else "not_measured",
                    shown_since=now,
                    paused=False,
                    enrolled_at=now,
                    changed_at=now,
                    version=1,
                    **values,
                )
            )
            await tx.execute(insert(_SEARCH).values(camera_id=camera_id, sort_key="", folded="", exact=""))
            await write_search_text(tx, camera_id)
            await self._seal(tx, camera_id, credential or inside)
            facts = {"name": values["name"], "custodian": custodian.id, "kind": str(custodian.kind)}
            await tx.audit("camera.added", actor, f"camera/{camera_id}", facts)
            self._tell(tx, camera_id, "added", 1)
            return await self._read(tx, camera_id)

    async def update(
        self, camera_id: str, patch: CameraPatch, actor: Actor, *, if_version: int | None = None
    ) -> Camera:
        """Change some fields. The audit record names them, never the credential.

        Raises:
            ServiceError: `not_found`; `changed_meanwhile` where the version is another, with the present camera
                in `current`; `already_enrolled`.
            Invalid: names the field.
        """
        async with self._store.write() as tx:
            before = await self._read(tx, camera_id)
            if if_version is not None and before.version != if_version:
                raise ServiceError(
                    "changed_meanwhile",
                    f"the camera is at version {before.version}, not {if_version}; read it again",
                    params={"version": before.version},
                    current=before,
                )
            values = await self._changes(tx, before, patch)
            if patch.credential is not UNCHANGED:
                await self._seal(tx, camera_id, patch.credential)
            changed = sorted(name for name in _PATCHED if getattr(patch, name) is not UNCHANGED)
            if not changed:
                return before
            version = await self._touch(tx, before, values)
            await write_search_text(tx, camera_id)
            await tx.audit("camera.changed", actor, f"camera/{camera_id}", {"fields": changed})
            what = "credential" if {"address", "sub_address", "credential"} & set(changed) else "changed"
            self._tell(tx, camera_id, what, version)
            return await self._read(tx, camera_id)

    async def approve_ptz(self, camera_id: str, granted: tuple[str, str] | None, actor: Actor) -> None:
        """Record who approved movements of a camera and on what basis; None takes the approval back.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.write() as tx:
            before = await self._read(tx, camera_id)
            permission = _without(before.permission, _PTZ)
            if granted is not None:
                at = rfc3339(self._clock.now())
                permission |= {PTZ_GRANTED_BY: granted[0], PTZ_BASIS: granted[1], PTZ_GRANTED_AT: at}
            version = await self._touch(tx, before, {"permission": permission})
            kind = "ptz.approved" if granted is not None else "ptz.approval_ended"
            said = {"granted_by": granted[0], "basis": granted[1]} if granted is not None else {}
            await tx.audit(kind, actor, f"camera/{camera_id}", said)
            self._tell(tx, camera_id, "changed", version)

    async def declare_masks(
        self, camera_id: str, zones: tuple[Zone, ...], actor: Actor, *, name: str, verified: bool
    ) -> DeclaredMasks:
        """Record the zones to be masked, by whom they are declared, and whether the camera was seen to mask them itself.

        No zone takes the declaration back.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.write() as tx:
            before = await self._read(tx, camera_id)
            now = rfc3339(self._clock.now())
            same = before.masks.zones == zones
            masks = DeclaredMasks(
                zones,
                before.masks.declared_by if same else name,
                before.masks.declared_at if same else now,
                name if verified else "",
                now if verified else "",
            )
            version = await self._touch(tx, before, {"masks": asdict(masks) if zones else None})
            said = {"zones": len(zones), "verified": verified}
            await tx.audit("camera.masks_declared", actor, f"camera/{camera_id}", said)
            self._tell(tx, camera_id, "changed", version)
            return masks

    async def allow_ports(
        self,
        camera_id: str,
        granted: tuple[str, str] | None,
        actor: Actor,
        *,
        within: Writing | None = None,
    ) -> None:
        """Record who agreed to tests of ports and by which right; None takes the leave back.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._within(within) as tx:
            before = await self._read(tx, camera_id)
            permission = _without(before.permission, _PORTS)
            if granted is not None:
                at = rfc3339(self._clock.now())
                permission |= {PORTS_GRANTED_BY: granted[0], PORTS_BASIS: granted[1], PORTS_GRANTED_AT: at}
            elif PORTS_GRANTED_AT not in before.permission:
                return
            version = await self._touch(tx, before, {"permission": permission})
            kind = "ports.allowed" if granted is not None else "ports.refused"
            said = {"granted_by": granted[0], "basis": granted[1]} if granted is not None else {}
            await tx.audit(kind, actor, f"camera/{camera_id}", said)
            self._tell(tx, camera_id, "changed", version)

    async def switch_events(self, camera_id: str, actor: Actor, *, on: bool) -> None:
        """Record whether the camera's own events are pulled.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.write() as tx:
            before = await self._read(tx, camera_id)
            if on is not bool(before.permission.get(EVENTS_OFF_AT)):
                return
            permission = {name: value for name, value in before.permission.items() if name != EVENTS_OFF_AT}
            if not on:
                permission[EVENTS_OFF_AT] = rfc3339(self._clock.now())
            version = await self._touch(tx, before, {"permission": permission})
            await tx.audit("events.on" if on else "events.off", actor, f"camera/{camera_id}")
            self._tell(tx, camera_id, "changed", version)

    async def remove(self, camera_id: str, actor: Actor) -> None:
        """Remove a camera: credential, assessments and measurements are erased; consents, receipts and audit stay.

        Raises:
            ServiceError: `not_found`.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            before = await self._read(tx, camera_id)
            await end_active_consent(tx, camera_id, ConsentState.WITHDRAWN, now)
            await tx.execute(delete(_ASSESSMENTS).where(_ASSESSMENTS.c.camera_id == camera_id))
            for table in (_CREDENTIALS, _HEALTH, _SEARCH):
                await tx.execute(delete(table).where(table.c.camera_id == camera_id))
            await tx.execute(delete(_CAMERAS).where(_CAMERAS.c.id == camera_id))
            await tx.audit("camera.removed", actor, f"camera/{camera_id}", {"name": before.name})
            self._tell(tx, camera_id, "removed", before.version + 1)

    # custodians

    async def custodian(self, custodian_id: str) -> Custodian | None:
        """Return one custodian, or None."""
        async with self._store.read() as tx:
            row = await tx.one(select(_CUSTODIANS).where(_CUSTODIANS.c.id == custodian_id))
        return custodian_from(row) if row is not None else None

    async def custodians(self, limit: int = 1000) -> tuple[Custodian, ...]:
        """Return custodians, oldest first."""
        statement = select(_CUSTODIANS).order_by(_CUSTODIANS.c.created_at, _CUSTODIANS.c.id).limit(limit)
        async with self._store.read() as tx:
            return tuple(custodian_from(row) for row in await tx.all(statement))

    async def add_custodian(self, new: NewCustodian, actor: Actor) -> Custodian:
        """Add a custodian before any camera of theirs exists."""
        async with self._store.write() as tx:
            return await self._custodian(tx, new, actor)

    # inside

    async def _changes(self, tx: Writing, before: Camera, patch: CameraPatch) -> dict[str, Any]:
        """Return the columns that a patch changes, checked."""
        values: dict[str, Any] = {}
        if patch.name is not UNCHANGED:
            values |= {"name": checked_name(patch.name), "sort_key": sort_key(patch.name)}
        if patch.area is not UNCHANGED:
            area = await known_area(tx, patch.area)
            code = area.code if area else None
            if code != (before.area.code if before.area else None):
                values |= {"area_code": code, "area_since": self._clock.now() if code else None}
        if patch.position is not UNCHANGED:
            values |= checked_place(patch.position)
        if patch.origin is not UNCHANGED:
            values |= checked_origin(patch.origin)
        if patch.notes is not UNCHANGED:
            values["notes"] = checked_text(patch.notes or "", "notes", MAX_NOTES)
        for name in ("address", "sub_address"):
            typed = getattr(patch, name)
            if typed is UNCHANGED:
                continue
            address, inside = checked_address(typed, name) if typed or name == "address" else ("", None)
            if name == "address" and address != before.address:
                await check_free(tx, address)
                # perhaps another camera is there
                values["permission"] = _without(before.permission, _PTZ | _PORTS)
            if inside is not None and patch.credential is UNCHANGED:
                await self._seal(tx, before.id, inside)
            values[name] = address
        return values

    async def _seal(self, tx: Writing, camera_id: str, credential: Credential | None) -> None:
        await tx.execute(delete(_CREDENTIALS).where(_CREDENTIALS.c.camera_id == camera_id))
        if credential is None or not (credential.user or credential.password):
            return
        try:
            user = self._sealer.seal(Secret(credential.user), camera_id, "user")
            password = self._sealer.seal(credential.password, camera_id, "password")
        except ValueError as error:
            raise Invalid("password", "a user name or password has at most 4096 bytes") from error
        await tx.execute(
            insert(_CREDENTIALS).values(
                camera_id=camera_id, sealed_user=user, sealed_password=password, changed_at=self._clock.now()
            )
        )

    async def _custodian(self, tx: Writing, wanted: str | NewCustodian, actor: Actor) -> Custodian:
        if isinstance(wanted, str):
            row = await tx.one(select(_CUSTODIANS).where(_CUSTODIANS.c.id == wanted))
            if row is None:
                raise Invalid("custodian.id", "there is no such custodian", code="custodian_unknown")
            return custodian_from(row)
        if wanted.kind not in list(Kind):
            raise Invalid("custodian.kind", f"choose one of {', '.join(Kind)}")
        made = Custodian(
            new_id(),
            Kind(wanted.kind),
            checked_text(wanted.name, "custodian.name", MAX_NAME),
            checked_text(wanted.contact, "custodian.contact", MAX_NAME),
        )
        await tx.execute(
            insert(_CUSTODIANS).values(
                id=made.id,
                kind=str(made.kind),
                name=made.name,
                contact=made.contact,
                created_at=self._clock.now(),
            )
        )
        await tx.audit("custodian.added", actor, f"custodian/{made.id}", {"kind": str(made.kind)})
        return made


_PATCHED = ("name", "area", "position", "address", "sub_address", "notes", "credential", "origin")


_PTZ = frozenset({PTZ_GRANTED_BY, PTZ_BASIS, PTZ_GRANTED_AT})
_PORTS = frozenset({PORTS_GRANTED_BY, PORTS_BASIS, PORTS_GRANTED_AT})


def _without(permission: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in permission.items() if name not in names}
