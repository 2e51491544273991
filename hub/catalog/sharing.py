"""What owners decide: consents in versions, the sharing ladder, pause and resume."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, insert, select, update

from hub.catalog import consent as consents
from hub.catalog.checks import known_area, narrower
from hub.catalog.consent import checked, terms_json
from hub.catalog.core import CatalogCore
from hub.catalog.rows import consent_from
from hub.catalog.types import Camera, Consent, ConsentInput, ConsentState
from hub.store import tables
from hub.store.chain import Actor
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Reading, Writing, new_id

_CAMERAS, _CONSENTS = tables.cameras, tables.consents
BATCH = 500


class SharingChanges(CatalogCore):
    """The owners' half of `hub.catalog.service.CatalogService`."""

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
                    await known_area(tx, recipient.area, f"recipients.{index}.area")
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
            await end_active_consent(tx, consent.camera_id, ConsentState.WITHDRAWN, now)
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
            if mode not in narrower(active.mode):
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

    # time

    async def refresh_due(self) -> int:
        """Bring the shown states of cameras up to now whose pause, schedule or consent ran out; tell each.

        Lists and counts call it; a hub also calls it every second, so that viewers learn in time. Returns how many.
        """
        due = self._due().limit(BATCH)
        async with self._store.read() as tx:
            if await tx.one(due.limit(1)) is None:
                return 0
        count = 0
        while True:
            async with self._store.write() as writing:
                ids = [row.id for row in await writing.all(due)]
                for camera_id in ids:
                    version = await self._settle(writing, camera_id)
                    self._tell(writing, camera_id, "sharing", version)
            count += len(ids)
            if len(ids) < BATCH:
                return count

    @asynccontextmanager
    async def _settled(self) -> AsyncIterator[Reading]:
        """Read with all shown states up to now; where nothing is due this costs one look at an index."""
        async with self._store.read() as tx:
            if await tx.one(self._due().limit(1)) is None:
                yield tx
                return
        await self.refresh_due()
        async with self._store.read() as tx:
            yield tx

    def _due(self) -> Select[Any]:
        return select(_CAMERAS.c.id).where(_CAMERAS.c.next_change_at <= self._clock.now())

    # inside

    async def _new_version(
        self, tx: Writing, camera: Camera, terms: ConsentInput, now: datetime, *, text_hash: str | None = None
    ) -> Consent:
        """Write the next consent version and make it the camera's."""
        assert terms.expires_at is not None
        await end_active_consent(tx, camera.id, ConsentState.SUPERSEDED, now)
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


async def end_active_consent(tx: Writing, camera_id: str, state: ConsentState, now: datetime) -> None:
    await tx.execute(
        update(_CONSENTS)
        .where(_CONSENTS.c.camera_id == camera_id, _CONSENTS.c.state == str(ConsentState.ACTIVE))
        .values(state=str(state), ended_at=now)
    )
