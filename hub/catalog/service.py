"""The catalog's service: read, register, change, measure, consent, pause.

Every change is one transaction with its audit record in it; after the commit `camera.changed` with
``{"id", "what", "version"}`` goes out on the event bus (`what`: added, changed, removed, credential, assessment,
health, consent, sharing). Measured health is no act of a person and has no audit record. Who may do what is asked of
`hub.access` before; the pictures themselves are decided there and nowhere here.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from adapters.clock import Clock
from adapters.errors import BadTarget
from adapters.secret import Credential, Secret
from adapters.target import parse_target
from hub.catalog import consent as consents
from hub.catalog.areas import area_from, area_in
from hub.catalog.consent import checked, terms_json
from hub.catalog.folding import exact, fold, sort_key
from hub.catalog.query import Finder, limit_of, write_cursor
from hub.catalog.rows import assessment_from, camera_from, camera_select, consent_from, shown_of
from hub.catalog.types import (
    DECISIONS,
    MEASURED_STATES,
    UNCHANGED,
    Area,
    Camera,
    CameraPage,
    CameraPatch,
    CameraQuery,
    Consent,
    ConsentInput,
    ConsentState,
    Counts,
    Custodian,
    Kind,
    Mode,
    NewAssessment,
    NewCamera,
    NewCustodian,
    Position,
    StoredAssessment,
)
from hub.coordination.port import EventBus
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.sealer import Sealer
from hub.store.store import Reading, Store, Writing, new_id

CAMERA_CHANGED = "camera.changed"

_CAMERAS, _SEARCH, _CREDENTIALS = tables.cameras, tables.camera_search, tables.credentials
_CONSENTS, _ASSESSMENTS, _HEALTH = tables.consents, tables.assessments, tables.health
_CUSTODIANS = tables.custodians

MAX_NAME = 200
MAX_ADDRESS = 2000
MAX_NOTES = 10_000
MAX_CAUSE = 500


class CatalogService:
    """The cameras of this hub."""

    def __init__(self, store: Store, sealer: Sealer, bus: EventBus, clock: Clock) -> None:
        self._store = store
        self._sealer = sealer
        self._bus = bus
        self._clock = clock
        self._finder = Finder(store.dialect)

    # reading

    async def list(self, query: CameraQuery) -> CameraPage:
        """Return one page, sorted by name. Cursors stay valid while cameras come and go.

        Raises:
            Invalid: a filter or the cursor does not fit.
        """
        await self.refresh_due()
        limit, now = limit_of(query), self._clock.now()
        async with self._store.read() as tx:
            keys = await tx.all(self._finder.page(query))
            total = int(await tx.scalar(self._finder.total(query)))
            ids = [row[-1] for row in keys[:limit]]
            rows = await tx.all(camera_select().where(_CAMERAS.c.id.in_(ids))) if ids else ()
        by_id = {row.id: camera_from(row, now) for row in rows}
        more = len(keys) > limit
        return CameraPage(
            items=tuple(by_id[camera_id] for camera_id in ids if camera_id in by_id),
            next=write_cursor(tuple(keys[limit - 1])) if more else None,
            total=total,
        )

    async def counts(self, query: CameraQuery) -> Counts:
        """Return numbers by decision and by health over what `list` would show for this query."""
        await self.refresh_due()
        decision: dict[str, int] = {}
        health: dict[str, int] = {}
        async with self._store.read() as tx:
            for row in await tx.all(self._finder.counts(query)):
                decision[row.decision] = decision.get(row.decision, 0) + row.n
                health[row.health] = health.get(row.health, 0) + row.n
            measured_at = await tx.scalar(select(func.max(_HEALTH.c.measured_at)))
        return Counts(sum(decision.values()), decision, health, measured_at)

    async def get(self, camera_id: str) -> Camera:
        """Return one camera as it is now.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            return await self._read(tx, camera_id)

    async def find(self, camera_id: str) -> Camera | None:
        """Return one camera, or None."""
        async with self._store.read() as tx:
            row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
        return camera_from(row, self._clock.now()) if row is not None else None

    async def at_address(self, address: str) -> Camera | None:
        """Return the camera enrolled with this address, or None."""
        async with self._store.read() as tx:
            row = await tx.one(camera_select().where(_CAMERAS.c.address == _address(address)[0]))
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
        address, inside = _address(new.address)
        sub_address, _ = _address(new.sub_address, "sub_address") if new.sub_address else ("", None)
        values = {
            "name": _name(new.name),
            "sort_key": sort_key(new.name),
            "address": address,
            "sub_address": sub_address,
            "notes": _text(new.notes, "notes", MAX_NOTES),
            "permission": {str(key): str(value)[:200] for key, value in new.permission.items()},
            **_place(new.position),
        }
        async with self._within(within) as tx:
            await _check_free(tx, address)
            area = await _area(tx, new.area)
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
            await tx.execute(insert(_SEARCH).values(camera_id=camera_id, folded="", exact=""))
            await _index(tx, camera_id)
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
            await _index(tx, camera_id)
            await tx.audit("camera.changed", actor, f"camera/{camera_id}", {"fields": changed})
            what = "credential" if {"address", "sub_address", "credential"} & set(changed) else "changed"
            self._tell(tx, camera_id, what, version)
            return await self._read(tx, camera_id)

    async def remove(self, camera_id: str, actor: Actor) -> None:
        """Remove a camera: credential, assessments and measurements are erased; consents, receipts and audit stay.

        Raises:
            ServiceError: `not_found`.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            before = await self._read(tx, camera_id)
            await _end_active_consent(tx, camera_id, ConsentState.WITHDRAWN, now)
            await tx.execute(delete(_ASSESSMENTS).where(_ASSESSMENTS.c.camera_id == camera_id))
            for table in (_CREDENTIALS, _HEALTH, _SEARCH):
                await tx.execute(delete(table).where(table.c.camera_id == camera_id))
            await tx.execute(delete(_CAMERAS).where(_CAMERAS.c.id == camera_id))
            await tx.audit("camera.removed", actor, f"camera/{camera_id}", {"name": before.name})
            self._tell(tx, camera_id, "removed", before.version + 1)

    # assessments

    async def record_assessment(
        self, camera_id: str, new: NewAssessment, actor: Actor, *, within: Writing | None = None
    ) -> StoredAssessment:
        """Keep an assessment and let it decide about the camera. What plays is read from its observations.

        Raises:
            ServiceError: `not_found`.
            ValueError: the decision is not one of the four.
        """
        if new.decision not in DECISIONS:
            raise ValueError(f"{new.decision!r} is not a decision")
        assessment_id = new_id()
        async with self._within(within) as tx:
            before = await self._read(tx, camera_id)
            await tx.execute(
                insert(_ASSESSMENTS).values(
                    id=assessment_id,
                    camera_id=camera_id,
                    standard=new.standard,
                    standard_version=new.standard_version,
                    decision=new.decision,
                    as_of=new.as_of,
                    counts=dict(new.counts),
                    report=dict(new.report),
                    observations=dict(new.observations),
                )
            )
            version = await self._touch(
                tx,
                before,
                {
                    "decision": new.decision,
                    "decision_reasons": [dict(reason) for reason in new.reasons],
                    "assessment_id": assessment_id,
                    "playback": _playback(new.observations),
                },
            )
            await _index(tx, camera_id, new.observations)
            facts = {
                "decision": new.decision,
                "before": before.decision,
                "standard": new.standard,
                "assessment": assessment_id,
            }
            await tx.audit("camera.decided", actor, f"camera/{camera_id}", facts)
            self._tell(tx, camera_id, "assessment", version)
        return StoredAssessment(
            assessment_id,
            camera_id,
            new.standard,
            new.standard_version,
            new.decision,
            new.as_of,
            new.counts,
            new.report,
            new.observations,
        )

    async def assessments(self, camera_id: str, limit: int = 100) -> tuple[StoredAssessment, ...]:
        """Return a camera's assessments, newest first, without report and observations."""
        columns = [column for column in _ASSESSMENTS.c if column.name not in {"report", "observations"}]
        statement = (
            select(*columns)
            .where(_ASSESSMENTS.c.camera_id == camera_id)
            .order_by(_ASSESSMENTS.c.as_of.desc(), _ASSESSMENTS.c.id)
            .limit(max(1, min(limit, 1000)))
        )
        async with self._store.read() as tx:
            return tuple(assessment_from(row, whole=False) for row in await tx.all(statement))

    async def assessment(self, assessment_id: str) -> StoredAssessment:
        """Return one whole assessment.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            row = await tx.one(select(_ASSESSMENTS).where(_ASSESSMENTS.c.id == assessment_id))
        if row is None:
            raise ServiceError("not_found", "there is no such assessment")
        return assessment_from(row, whole=True)

    # health

    async def set_health(
        self, camera_id: str, state: str, *, cause: Mapping[str, str] | None, measured_at: datetime
    ) -> bool:
        """Keep one measurement (`alive`, `degraded`, `fault`, `unreachable`); `since` moves only when the state does.

        Returns whether something that is shown changed. A camera that is gone is no error: it was removed meanwhile.
        """
        return bool(await self.set_healths([(camera_id, state, cause, measured_at)]))

    async def set_healths(
        self, measured: Sequence[tuple[str, str, Mapping[str, str] | None, datetime]]
    ) -> tuple[str, ...]:
        """Keep many measurements ``(camera id, state, cause, measured_at)`` in one transaction.

        Returns the ids of those that changed; these are told on the bus.
        """
        changed: list[str] = []
        async with self._store.write() as tx:
            for camera_id, state, cause, measured_at in measured:
                if state not in MEASURED_STATES:
                    raise ValueError(f"{state!r} is not a measured state")
                row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
                if row is None:
                    continue
                said = {key: text[:MAX_CAUSE] for key, text in cause.items()} if cause else None
                same = row.measured_state == state
                values = {"state": state, "cause": said, "measured_at": measured_at}
                if row.measured_state is None:
                    await tx.execute(insert(_HEALTH).values(camera_id=camera_id, since=measured_at, **values))
                else:
                    since = row.measured_since if same else measured_at
                    await tx.execute(
                        update(_HEALTH).where(_HEALTH.c.camera_id == camera_id).values(since=since, **values)
                    )
                if not same or row.measured_cause != said:
                    await self._settle(tx, camera_id)
                    changed.append(camera_id)
                    self._tell(tx, camera_id, "health", row.version)
        return tuple(changed)

    # consent and pause

    async def give_consent(
        self, camera_id: str, asked: ConsentInput, actor: Actor, *, within: Writing | None = None
    ) -> Consent:
        """Record what the owner signed, as a new version; the one before is superseded.

        Raises:
            ServiceError: `not_found`; `consent_not_needed` for an authority's camera.
            Invalid: names the field; `area_unknown` for a recipient; `consent_text_changed`.
        """
        now = self._clock.now()
        terms = checked(asked, now)
        async with self._within(within) as tx:
            camera = await self._read(tx, camera_id)
            if not camera.custodian.is_donor:
                raise ServiceError("consent_not_needed", "an authority's own camera needs no consent record")
            for index, recipient in enumerate(terms.recipients):
                if recipient.area not in {"", "*"}:
                    await _area(tx, recipient.area, f"recipients.{index}.area")
            consent = await self._new_version(tx, camera, terms, now)
            facts = {"consent": consent.id, "version": consent.version, **terms_json(terms)}
            facts |= {"text_version": consent.text_version, "text_hash": consent.text_hash}
            await tx.audit("consent.given", actor, f"camera/{camera_id}", facts)
        return consent

    async def withdraw_consent(self, consent_id: str, actor: Actor) -> Consent:
        """End a consent now. Running views are re-decided by the event.

        Raises:
            ServiceError: `not_found`; `consent_ended` where it is not active.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            row = await tx.one(select(_CONSENTS).where(_CONSENTS.c.id == consent_id))
            if row is None:
                raise ServiceError("not_found", "there is no such consent")
            consent = consent_from(row)
            if consent.state(now) is not ConsentState.ACTIVE:
                raise ServiceError(
                    "consent_ended",
                    f"this consent is {consent.state(now)} already",
                    params={"state": str(consent.state(now))},
                )
            await _end_active_consent(tx, consent.camera_id, ConsentState.WITHDRAWN, now)
            camera = await self._read(tx, consent.camera_id)
            version = await self._touch(tx, camera, {})
            facts = {"consent": consent.id, "version": consent.version}
            await tx.audit("consent.withdrawn", actor, f"camera/{camera.id}", facts)
            self._tell(tx, camera.id, "consent", version)
        return replace(consent, stored_state=ConsentState.WITHDRAWN, ended_at=now)

    async def lower_sharing(self, camera_id: str, mode: str, actor: Actor, *, signed_by: str) -> Consent:
        """Go down the ladder without signing anew: a new version of the active consent with a narrower mode.

        `private`, `registered` and `health` (no live view) are narrower than every other mode, and `on_incident`
        than `always`; anything else needs a new signature (`give_consent`).

        Raises:
            ServiceError: `not_found`; `consent_ended` where none is active.
            Invalid: the mode is not narrower.
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            camera = await self._read(tx, camera_id)
            active = camera.consent
            if active is None or active.state(now) is not ConsentState.ACTIVE:
                raise ServiceError(
                    "consent_ended", "there is no active consent to narrow", params={"state": "missing"}
                )
            if mode not in _narrower(active.mode):
                raise Invalid(
                    "sharing_mode", "only a lower level goes without a new signature; sign a new consent"
                )
            terms = ConsentInput(
                sharing_mode=mode,
                purposes=active.purposes,
                recipients=active.recipients,
                text_version=active.text_version,
                signed_by=signed_by.strip() or active.signed_by,
                audio=active.audio,
                expires_at=active.expires_at,
                witnessed_by=active.witnessed_by,
            )
            consent = await self._new_version(tx, camera, terms, now, text_hash=active.text_hash)
            facts = {"consent": consent.id, "version": consent.version, **terms_json(terms), "lowered": True}
            await tx.audit("consent.given", actor, f"camera/{camera_id}", facts)
        return consent

    async def pause(self, camera_id: str, actor: Actor, *, until: datetime | None = None) -> Camera:
        """Stop all views now, until `resume` or until a time.

        Raises:
            ServiceError: `not_found`.
            Invalid: `until` has passed.
        """
        if until is not None and until <= self._clock.now():
            raise Invalid("until", "choose a time to come, or none")
        return await self._set_pause(camera_id, True, until, actor)

    async def resume(self, camera_id: str, actor: Actor) -> Camera:
        """End a pause.

        Raises:
            ServiceError: `not_found`.
        """
        return await self._set_pause(camera_id, False, None, actor)

    async def consents(self, camera_id: str) -> tuple[Consent, ...]:
        """Return all versions of a camera's consent, newest first."""
        statement = (
            select(_CONSENTS).where(_CONSENTS.c.camera_id == camera_id).order_by(_CONSENTS.c.version.desc())
        )
        async with self._store.read() as tx:
            return tuple(consent_from(row) for row in await tx.all(statement))

    async def consent(self, consent_id: str) -> Consent:
        """Return one version.

        Raises:
            ServiceError: `not_found`.
        """
        async with self._store.read() as tx:
            row = await tx.one(select(_CONSENTS).where(_CONSENTS.c.id == consent_id))
        if row is None:
            raise ServiceError("not_found", "there is no such consent")
        return consent_from(row)

    # custodians

    async def custodian(self, custodian_id: str) -> Custodian | None:
        """Return one custodian, or None."""
        async with self._store.read() as tx:
            row = await tx.one(select(_CUSTODIANS).where(_CUSTODIANS.c.id == custodian_id))
        return _custodian_from(row) if row is not None else None

    async def custodians(self, limit: int = 1000) -> tuple[Custodian, ...]:
        """Return custodians, oldest first."""
        statement = select(_CUSTODIANS).order_by(_CUSTODIANS.c.created_at, _CUSTODIANS.c.id).limit(limit)
        async with self._store.read() as tx:
            return tuple(_custodian_from(row) for row in await tx.all(statement))

    async def add_custodian(self, new: NewCustodian, actor: Actor) -> Custodian:
        """Add a custodian before any camera of theirs exists."""
        async with self._store.write() as tx:
            return await self._custodian(tx, new, actor)

    # time

    async def refresh_due(self) -> int:
        """Bring the shown states of cameras up to now whose pause, schedule or consent ran out; tell each.

        Lists and counts call it; a hub also calls it every second, so that viewers learn in time. Returns how many.
        """
        now = self._clock.now()
        due = select(_CAMERAS.c.id).where(_CAMERAS.c.next_change_at <= now).limit(500)
        async with self._store.read() as tx:
            if await tx.one(due.limit(1)) is None:
                return 0
        count = 0
        while True:
            async with self._store.write() as tx:
                ids = [row.id for row in await tx.all(due)]
                for camera_id in ids:
                    version = await self._settle(tx, camera_id)
                    self._tell(tx, camera_id, "sharing", version)
            count += len(ids)
            if len(ids) < 500:
                return count

    # inside

    @asynccontextmanager
    async def _within(self, transaction: Writing | None) -> AsyncIterator[Writing]:
        """Join the caller's transaction (an admission writes camera, consent and assessment as one), or make one."""
        if transaction is not None:
            yield transaction
            return
        async with self._store.write() as own:
            yield own

    async def _read(self, tx: Reading, camera_id: str) -> Camera:
        row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
        if row is None:
            raise ServiceError("not_found", "there is no such camera")
        return camera_from(row, self._clock.now())

    async def _touch(self, tx: Writing, before: Camera, values: Mapping[str, Any]) -> int:
        """Write values, the next version and the derived states."""
        await tx.execute(
            update(_CAMERAS)
            .where(_CAMERAS.c.id == before.id)
            .values(version=before.version + 1, changed_at=self._clock.now(), **values)
        )
        await self._settle(tx, before.id)
        return before.version + 1

    async def _settle(self, tx: Writing, camera_id: str) -> int:
        """Write the derived columns anew; returns the version."""
        now = self._clock.now()
        row: Row[Any] | None = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
        assert row is not None
        camera = camera_from(row, now)
        state = shown_of(row, camera.custodian.kind, camera.consent, now)
        values: dict[str, Any] = {
            "sharing": state.sharing,
            "consent_state": str(state.consent),
            "health": state.health,
            "next_change_at": state.next_change_at,
            "paused": state.paused,
            "paused_until": row.paused_until if state.paused else None,
        }
        if row.health != state.health:
            values["shown_since"] = now
        await tx.execute(update(_CAMERAS).where(_CAMERAS.c.id == camera_id).values(**values))
        return int(row.version)

    def _tell(self, tx: Writing, camera_id: str, what: str, version: int) -> None:
        async def publish() -> None:
            await self._bus.publish(CAMERA_CHANGED, {"id": camera_id, "what": what, "version": version})

        tx.after_commit(publish)

    async def _changes(self, tx: Writing, before: Camera, patch: CameraPatch) -> dict[str, Any]:
        """Return the columns that a patch changes, checked."""
        values: dict[str, Any] = {}
        if patch.name is not UNCHANGED:
            values |= {"name": _name(patch.name), "sort_key": sort_key(patch.name)}
        if patch.area is not UNCHANGED:
            area = await _area(tx, patch.area)
            code = area.code if area else None
            if code != (before.area.code if before.area else None):
                values |= {"area_code": code, "area_since": self._clock.now() if code else None}
        if patch.position is not UNCHANGED:
            values |= _place(patch.position)
        if patch.notes is not UNCHANGED:
            values["notes"] = _text(patch.notes or "", "notes", MAX_NOTES)
        for name in ("address", "sub_address"):
            typed = getattr(patch, name)
            if typed is UNCHANGED:
                continue
            address, inside = _address(typed, name) if typed or name == "address" else ("", None)
            if name == "address" and address != before.address:
                await _check_free(tx, address)
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
            return _custodian_from(row)
        if wanted.kind not in list(Kind):
            raise Invalid("custodian.kind", f"choose one of {', '.join(Kind)}")
        made = Custodian(
            new_id(),
            Kind(wanted.kind),
            _text(wanted.name, "custodian.name", MAX_NAME),
            _text(wanted.contact, "custodian.contact", MAX_NAME),
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

    async def _new_version(
        self, tx: Writing, camera: Camera, terms: ConsentInput, now: datetime, *, text_hash: str | None = None
    ) -> Consent:
        """Write the next consent version and make it the camera's."""
        assert terms.expires_at is not None
        await _end_active_consent(tx, camera.id, ConsentState.SUPERSEDED, now)
        newest = await tx.scalar(
            select(func.max(_CONSENTS.c.version)).where(_CONSENTS.c.camera_id == camera.id)
        )
        consent_id, version = new_id(), int(newest or 0) + 1
        await tx.execute(
            insert(_CONSENTS).values(
                id=consent_id,
                camera_id=camera.id,
                custodian_id=camera.custodian.id,
                version=version,
                state=str(ConsentState.ACTIVE),
                terms=terms_json(terms),
                text_version=terms.text_version,
                text_hash=text_hash or consents.texts()[terms.text_version].hash,
                given_at=now,
                expires_at=terms.expires_at,
            )
        )
        camera_version = await self._touch(tx, camera, {"consent_id": consent_id})
        self._tell(tx, camera.id, "consent", camera_version)
        row = await tx.one(select(_CONSENTS).where(_CONSENTS.c.id == consent_id))
        assert row is not None
        return consent_from(row)

    async def _set_pause(self, camera_id: str, paused: bool, until: datetime | None, actor: Actor) -> Camera:
        async with self._store.write() as tx:
            before = await self._read(tx, camera_id)
            version = await self._touch(tx, before, {"paused": paused, "paused_until": until})
            kind = "sharing.paused" if paused else "sharing.resumed"
            facts = {"until": until.isoformat() if until else None} if paused else {}
            await tx.audit(kind, actor, f"camera/{camera_id}", facts)
            self._tell(tx, camera_id, "sharing", version)
            return await self._read(tx, camera_id)


_PATCHED = ("name", "area", "position", "address", "sub_address", "notes", "credential")


def _narrower(mode: Mode) -> frozenset[Mode]:
    """Return the modes under which nothing may be seen that was not before."""
    ladder = tuple(Mode)
    sometimes = {Mode.SCHEDULED} if mode is Mode.ALWAYS else {Mode.SCHEDULED, Mode.ON_INCIDENT}
    return frozenset(lower for lower in ladder[: ladder.index(mode)] if lower not in sometimes)


async def _check_free(tx: Reading, address: str) -> None:
    taken = await tx.scalar(select(_CAMERAS.c.id).where(_CAMERAS.c.address == address))
    if taken is not None:
        raise ServiceError(
            "already_enrolled",
            "a camera with this address is in the catalog already",
            field="address",
            params={"camera_id": taken},
        )


async def _end_active_consent(tx: Writing, camera_id: str, state: ConsentState, now: datetime) -> None:
    await tx.execute(
        update(_CONSENTS)
        .where(_CONSENTS.c.camera_id == camera_id, _CONSENTS.c.state == str(ConsentState.ACTIVE))
        .values(state=str(state), ended_at=now)
    )


async def _index(tx: Writing, camera_id: str, observations: Mapping[str, Any] | None = None) -> None:
    """Write the search texts: name, places, who answers (no private person's name), manufacturer and model."""
    row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id))
    assert row is not None
    words = [row.name]
    if row.area_code is not None:
        codes = row.area_path.strip("/").split("/")
        places = await tx.all(select(tables.areas).where(tables.areas.c.code.in_(codes)))
        words += [area_from(place).name for place in places]
    if row.custodian_kind != Kind.HOUSEHOLD:
        words.append(row.custodian_name)
    if observations is None and row.assessment_id is not None:
        observations = await tx.scalar(
            select(_ASSESSMENTS.c.observations).where(_ASSESSMENTS.c.id == row.assessment_id)
        )
    words += [
        str(value)[:100]
        for fact in ("device.manufacturer", "device.model")
        if (value := _value(observations or {}, fact)) is not None
    ]
    said = " | ".join(word for word in words if word)
    await tx.execute(
        update(_SEARCH).where(_SEARCH.c.camera_id == camera_id).values(folded=fold(said), exact=exact(said))
    )


def _value(observations: Mapping[str, Any], fact: str) -> Any:
    """Return an observed fact's value from the JSON form, or None."""
    entry = observations.get(fact)
    return entry.get("value") if isinstance(entry, Mapping) else None


def _playback(observations: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the main stream was seen to be; claims only where nothing was measured."""
    out: dict[str, Any] = {
        name: _value(observations, f"stream.main.{name}")
        for name in ("codec", "relay", "width", "height", "fps")
    }
    for name in ("width", "height"):
        if out[name] is None:
            out[name] = _value(observations, f"stream.main.claimed_{name}")
    return out


def _name(text: Any) -> str:
    name = _text(text, "name", MAX_NAME).strip()
    if not name:
        raise Invalid("name", "give the camera a name")
    return name


def _text(text: Any, field: str, most: int) -> str:
    if not isinstance(text, str) or len(text) > most or "\x00" in text:
        raise Invalid(field, f"write at most {most} characters")
    return text


def _address(text: Any, field: str = "address") -> tuple[str, Credential | None]:
    """Return an address without credential, and the credential that stood in it."""
    typed = _text(text, field, MAX_ADDRESS)
    try:
        target, credential = parse_target(typed)
    except BadTarget as error:
        raise Invalid(
            field, f"{error}. {error.hint}", code="address_bad", params={"detail": str(error)}
        ) from error
    return target.url, credential


def _place(position: Position | None) -> dict[str, Any]:
    if position is None:
        return {"latitude": None, "longitude": None, "accuracy_m": None, "azimuth_deg": None}
    if not (-90 <= position.lat <= 90 and -180 <= position.lon <= 180):
        raise Invalid("position", "latitude is -90 to 90, longitude -180 to 180, in degrees")
    if position.accuracy_m is not None and not 0 <= position.accuracy_m <= 100_000:
        raise Invalid("position.accuracy_m", "write metres, 0 to 100000")
    if position.azimuth_deg is not None and not 0 <= position.azimuth_deg < 360:
        raise Invalid("position.azimuth_deg", "write degrees from north, 0 to 359.9")
    return {
        "latitude": position.lat,
        "longitude": position.lon,
        "accuracy_m": position.accuracy_m,
        "azimuth_deg": position.azimuth_deg,
    }


async def _area(tx: Reading, code: str | None, field: str = "area") -> Area | None:
    if not code:
        return None
    area = await area_in(tx, code)
    if area is None:
        raise Invalid(field, f"the area {code[:16]!r} is not in this hub's table", code="area_unknown")
    return area


def _custodian_from(row: Row[Any]) -> Custodian:
    return Custodian(row.id, Kind(row.kind), row.name, row.contact)
