"""Waivers and attestations as a hub keeps them: proposed by one person, decided by another, ending by themselves.

A waiver sets one rule aside for some cameras until a date; the verdict stays FAIL and the report says "waived". An
attestation puts a paper behind a rule's outcome for one camera. Neither ever changes a verdict (`standards.waiver`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, insert, or_, select, update

from adapters.clock import Clock
from hub.access.principal import EVERYWHERE, Principal
from hub.access.rights import STANDARDS_APPROVE, STANDARDS_PROPOSE, area_path, has_right, may_see_entry
from hub.catalog.areas import area_in
from hub.catalog.query import read_cursor, write_cursor
from hub.catalog.rows import camera_from, camera_select
from hub.catalog.types import Camera
from hub.compliance.declarations import known_paper
from hub.compliance.refused import StatementRefused
from hub.compliance.selector import Selector
from hub.compliance.statement import (
    STATES,
    NewAttestation,
    NewWaiver,
    Sort,
    Statement,
    proposed,
    row_of,
    statement_from,
)
from hub.problems import Problem
from hub.store import tables
from hub.store.chain import HUB
from hub.store.errors import Invalid, ServiceError
from hub.store.store import Reading, Store, Writing
from standards.declaration import ROLES
from standards.observation import rfc3339
from standards.pack import Packs
from standards.rule import Rule
from standards.waiver import LONGEST_WAIVER, Attestation, Waiver

_TABLE, _CAMERAS, _AREAS = tables.statements, tables.cameras, tables.areas
LONGEST_ATTESTATION = timedelta(days=1825)
BATCH = 100
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class StatementPage:
    """One page; `next` is None on the last one."""

    items: tuple[Statement, ...]
    next: str | None
    total: int


class Statements:
    """The waivers and attestations of this hub."""

    def __init__(self, store: Store, clock: Clock, packs: Packs) -> None:
        self._store = store
        self._clock = clock
        self._packs = packs

    # proposing

    async def propose_waiver(self, new: NewWaiver, who: Principal) -> Statement:
        """Propose a waiver; nothing is waived before another person approves it.

        Raises:
            StatementRefused: a field is missing, `rule_unknown`, `rule_unwaivable`, `no_expiry`, `expiry_past`,
                `expiry_far` (more than 180 days), `area_unknown`, `camera_unknown`.
            Problem: `forbidden`, `wrong_area`.
        """
        now = self._clock.now()
        rule = self._rule(new.rule)
        if not rule.waivable:
            raise StatementRefused("rule", "rule_unwaivable", rule=rule.id)
        needed = {
            "justification": new.justification,
            "authority": new.authority,
            "compensating_control": new.compensating_control,
        }
        for name, text in needed.items():
            if not text.strip():
                raise StatementRefused(name, f"no_{name}")
        if new.expires is None:
            raise StatementRefused("expires", "no_expiry", days=LONGEST_WAIVER.days)
        if new.expires <= now:
            raise StatementRefused("expires", "expiry_past", date=rfc3339(new.expires))
        if new.expires - now > LONGEST_WAIVER:
            latest = (now + LONGEST_WAIVER).date().isoformat()
            raise StatementRefused("expires", "expiry_far", days=LONGEST_WAIVER.days, latest=latest)
        if not has_right(who, STANDARDS_PROPOSE):
            raise Problem("forbidden", {"right": STANDARDS_PROPOSE})
        async with self._store.write() as tx:
            area = await self._place(tx, new.selector, who)
            data = {name: text.strip() for name, text in needed.items()}
            made = proposed(
                Sort.WAIVER,
                rule.id,
                new.selector,
                area=area,
                data=data,
                lasts=(now, new.expires),
                who=who,
                now=now,
            )
            return await self._keep(tx, made, who)

    async def propose_attestation(self, new: NewAttestation, who: Principal) -> Statement:
        """Propose an attestation of one camera's rule; a camera's owner may propose for their own.

        Raises:
            StatementRefused: `rule_unknown`, `no_author`, `role_unknown`, `no_explanation`, `date_ahead`, `no_expiry`,
                `expiry_past`, `until_far`, `attachment_unknown`, `camera_unknown`.
            Problem: `forbidden`, `wrong_area`.
        """
        now = self._clock.now()
        rule = self._rule(new.rule)
        if not new.author.strip():
            raise StatementRefused("author", "author_missing")
        if new.role not in ROLES:
            raise StatementRefused("role", "role_unknown", role=new.role[:40], known=", ".join(ROLES))
        if not new.explanation.strip():
            raise StatementRefused("explanation", "no_explanation")
        declared, until = new.declared or now, new.valid_until
        if declared > now:
            raise StatementRefused("date", "date_ahead", date=rfc3339(declared))
        if until is None:
            raise StatementRefused("valid_until", "no_validity")
        if until <= now:
            raise StatementRefused("valid_until", "lapsed", date=until.date().isoformat())
        if until - declared > LONGEST_ATTESTATION + timedelta(days=1):
            raise StatementRefused("valid_until", "until_far", days=LONGEST_ATTESTATION.days)
        selector = Selector("camera", new.camera_id)
        async with self._store.write() as tx:
            camera = await _camera(tx, new.camera_id, now)
            if camera is None or not may_see_entry(who, camera):
                raise StatementRefused("camera_id", "camera_unknown")
            own = who.owns(camera.custodian.id)
            if not own and not has_right(who, STANDARDS_PROPOSE):
                raise Problem("forbidden", {"right": STANDARDS_PROPOSE})
            if own and who.role == "donor" and new.role != "owner":
                raise StatementRefused("role", "role_own")
            if new.attachment_sha256:
                await known_paper(tx, camera.id, new.attachment_sha256)
            area = camera.area.code if camera.area is not None else None
            data = {
                "author": new.author.strip(),
                "role": new.role,
                "explanation": new.explanation.strip(),
                "attachment_sha256": new.attachment_sha256,
            }
            made = proposed(
                Sort.ATTESTATION,
                rule.id,
                selector,
                area=area,
                data=data,
                lasts=(declared, until),
                who=who,
                now=now,
            )
            return await self._keep(tx, made, who)

    # deciding

    async def approve(self, statement_id: str, who: Principal) -> Statement:
        """Approve what somebody else proposed.

        Raises:
            Problem: `forbidden`, `wrong_area`, `approval_own`: proposed by this person, or for a camera of theirs.
            StatementRefused: `not_proposed` (`statement_state`).
            ServiceError: `not_found`.
        """
        return await self._decide(statement_id, who, "approved", "")

    async def reject(self, statement_id: str, who: Principal, reason: str) -> Statement:
        """Reject a proposal, with a reason. The proposer may take back their own. Raises as `approve`."""
        return await self._decide(statement_id, who, "rejected", reason)

    async def revoke(self, statement_id: str, who: Principal, reason: str) -> Statement:
        """End an approved statement now, with a reason. Raises as `approve`."""
        return await self._decide(statement_id, who, "revoked", reason)

    # reading

    async def get(self, statement_id: str, who: Principal) -> Statement:
        """Return one that this person may see. Raises ServiceError `not_found`."""
        async with self._store.read() as tx:
            return await self._read(tx, statement_id, who)

    async def page(
        self,
        kind: Sort,
        who: Principal,
        *,
        state: str = "",
        rule: str = "",
        camera_id: str = "",
        cursor: str = "",
        limit: int = 100,
    ) -> StatementPage:
        """Return statements, newest proposal first.

        Raises:
            Invalid: a state that there is not, `bad_cursor`, a limit outside 1-200.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid("limit", f"choose 1 to {MAX_LIMIT}")
        where = [_TABLE.c.kind == str(kind), _visible(who)]
        if state:
            where.append(_in_state(state, self._clock.now()))
        if rule:
            where.append(_TABLE.c.rule == rule[:16])
        if camera_id:
            where.append(_TABLE.c.camera_id == camera_id[:64])
        order = (_TABLE.c.proposed_at.desc(), _TABLE.c.id.desc())
        rows_of = select(_TABLE).where(*where).order_by(*order).limit(limit + 1)
        if cursor:
            at, after = read_cursor(cursor, 2)
            try:
                moment = datetime.fromisoformat(at)
            except ValueError as error:
                raise Invalid("cursor", "begin again without a cursor", code="bad_cursor") from error
            rows_of = rows_of.where(
                or_(_TABLE.c.proposed_at < moment, and_(_TABLE.c.proposed_at == moment, _TABLE.c.id < after))
            )
        async with self._store.read() as tx:
            rows = await tx.all(rows_of)
            total = int(await tx.scalar(select(func.count()).select_from(_TABLE).where(*where)))
        items = tuple(statement_from(row) for row in rows[:limit])
        more = len(rows) > limit
        last = items[-1] if items else None
        after_that = write_cursor((last.proposed_at.isoformat(), last.id)) if more and last else None
        return StatementPage(items, after_that, total)

    async def counts(self, kind: Sort, who: Principal) -> dict[str, int]:
        """Return how many there are in each state, of those that this person may see."""
        now = self._clock.now()
        async with self._store.read() as tx:
            return {
                state: int(
                    await tx.scalar(
                        select(func.count())
                        .select_from(_TABLE)
                        .where(_TABLE.c.kind == str(kind), _visible(who), _in_state(state, now))
                    )
                )
                for state in STATES
            }

    # for assessments

    async def of(self, camera: Camera, now: datetime) -> tuple[tuple[Waiver, ...], tuple[Attestation, ...]]:
        """Return what holds for a camera: waivers in force, and attestations that were approved, lapsed ones too."""
        statement = select(_TABLE).where(
            _TABLE.c.state == "approved",
            or_(
                and_(_TABLE.c.kind == str(Sort.WAIVER), _TABLE.c.expires_at > now),
                _TABLE.c.camera_id == camera.id,
            ),
        )
        async with self._store.read() as tx:
            found = [statement_from(row) for row in await tx.all(statement)]
        waivers = [one for one in found if one.kind is Sort.WAIVER and one.expires_at > now]
        model = await self._model(camera) if any(one.selector.way == "model" for one in waivers) else ""
        return (
            tuple(one.waiver() for one in waivers if one.selector.matches(camera, model)),
            tuple(one.attestation() for one in found if one.kind is Sort.ATTESTATION),
        )

    @staticmethod
    def why_not(one: Statement, who: Principal, path: tuple[str, ...], *, owner: str) -> str:
        """Return why this person may not approve: right, own, area; "" where they may.

        `path` is that of its area, `owner` the custodian of its camera; empty where it has none.
        """
        if not has_right(who, STANDARDS_APPROVE):
            return "right"
        if one.proposed_by == who.user_id or (owner and who.owns(owner)):
            return "own"
        return "" if who.in_area(path) else "area"

    async def affected(self, selector: Selector, after: str = "") -> tuple[str, ...]:
        """Return the next cameras that a selector means, by id, at most `BATCH`; empty at the end.

        A model is known from the last assessment: every assessed camera is offered, and judged again without a change.
        """
        statement = select(_CAMERAS.c.id).where(
            _CAMERAS.c.assessment_id.is_not(None), _CAMERAS.c.id > after, *_selected(selector)
        )
        async with self._store.read() as tx:
            rows = await tx.all(statement.order_by(_CAMERAS.c.id).limit(BATCH))
        return tuple(row.id for row in rows)

    async def settle_due(self, now: datetime) -> tuple[Selector, ...]:
        """Note what has expired since; returns for which cameras, a bounded number at a time."""
        due = (
            select(_TABLE)
            .where(_TABLE.c.settled.is_(False), _TABLE.c.expires_at <= now)
            .order_by(_TABLE.c.expires_at)
            .limit(BATCH)
        )
        async with self._store.read() as tx:
            if await tx.one(due) is None:
                return ()
        out: dict[Selector, None] = {}
        async with self._store.write() as tx:
            for row in await tx.all(due):
                one = statement_from(row)
                await tx.execute(update(_TABLE).where(_TABLE.c.id == one.id).values(settled=True))
                await tx.audit(f"{one.kind}.expired", HUB, one.subject, one.facts())
                if one.stored_state == "approved":
                    out[one.selector] = None
        return tuple(out)

    # inside

    def _rule(self, rule_id: str) -> Rule:
        rule = self._packs.rules.get(rule_id)
        if rule is None:
            raise StatementRefused("rule", "rule_unknown", rule=rule_id[:16])
        return rule

    async def _model(self, camera: Camera) -> str:
        if camera.assessment_id is None:
            return ""
        kept = tables.assessments
        async with self._store.read() as tx:
            seen = await tx.scalar(select(kept.c.observations).where(kept.c.id == camera.assessment_id))
        return str(((seen or {}).get("device.model") or {}).get("value") or "")

    async def _place(self, tx: Reading, selector: Selector, who: Principal) -> str | None:
        """Return the area that a statement belongs to; refuse a place where this person has no say."""
        if selector.way == "camera":
            camera = await _camera(tx, selector.value, self._clock.now())
            if camera is None or not may_see_entry(who, camera):
                raise StatementRefused("selector.camera", "camera_unknown")
            if not who.in_area(area_path(camera)):
                raise Problem("wrong_area", field="selector")
            return camera.area.code if camera.area is not None else None
        if selector.way == "area":
            area = await area_in(tx, selector.value)
            if area is None:
                raise StatementRefused("selector.area", "area_unknown", area=selector.value[:16])
            if not who.in_area(area.path):
                raise Problem("wrong_area", field="selector")
            return area.code
        if not who.everywhere:
            raise Problem("wrong_area", field="selector")
        return None

    async def _keep(self, tx: Writing, made: Statement, who: Principal) -> Statement:
        await tx.execute(insert(_TABLE).values(row_of(made)))
        await tx.audit(f"{made.kind}.proposed", who.actor(), made.subject, {**made.facts(), **made.data})
        return made

    async def _read(self, tx: Reading, statement_id: str, who: Principal) -> Statement:
        row = await tx.one(select(_TABLE).where(_TABLE.c.id == statement_id[:64], _visible(who)))
        if row is None:
            raise ServiceError("not_found", "there is no such statement")
        return statement_from(row)

    async def _decide(self, statement_id: str, who: Principal, state: str, reason: str) -> Statement:
        now, reason = self._clock.now(), reason.strip()
        if state != "approved" and not reason:
            raise StatementRefused("reason", "no_reason")
        async with self._store.write() as tx:
            one = await self._read(tx, statement_id, who)
            taken_back = state == "rejected" and one.proposed_by == who.user_id
            if not taken_back:
                await self._may_decide(tx, one, who, own=state == "approved")
            wanted = "active" if state == "revoked" else "proposed"
            if one.state(now) != wanted:
                raise StatementRefused("id", f"not_{wanted}", code="statement_state", state=one.state(now))
            decided = {
                "decided_by": who.user_id,
                "decider": who.display_name or who.name,
                "decided_at": now,
                "reason": reason,
            }
            values = {"state": state, "settled": state != "approved", **decided}
            await tx.execute(update(_TABLE).where(_TABLE.c.id == one.id).values(**values))
            said = {**one.facts(), "reason": reason} if reason else one.facts()
            await tx.audit(f"{one.kind}.{state}", who.actor(), one.subject, said)
        return replace(one, stored_state=state, **decided)  # type: ignore[arg-type]

    async def _may_decide(self, tx: Reading, one: Statement, who: Principal, *, own: bool) -> None:
        """Refuse who may not decide. `own`: an approval, which needs a second person."""
        area = await area_in(tx, one.area_code) if one.area_code else None
        camera = await _camera(tx, one.camera_id, self._clock.now()) if one.camera_id else None
        owner = camera.custodian.id if camera is not None else ""
        why = self.why_not(one, who, area.path if area is not None else (), owner=owner)
        if why == "right":
            raise Problem("forbidden", {"right": STANDARDS_APPROVE})
        if why == "area":
            raise Problem("wrong_area", field="id")
        if why == "own" and own:
            raise Problem("approval_own", field="id")


async def _camera(tx: Reading, camera_id: str, now: datetime) -> Camera | None:
    row = await tx.one(camera_select().where(_CAMERAS.c.id == camera_id[:64]))
    return camera_from(row, now) if row is not None else None


def _visible(who: Principal) -> ColumnElement[bool]:
    """Return which statements a person may see: staff those of their areas and those without one, owners their own."""
    parts: list[ColumnElement[bool]] = [_TABLE.c.proposed_by == who.user_id]
    if who.custodian_id is not None:
        own = select(_CAMERAS.c.id).where(_CAMERAS.c.custodian_id == who.custodian_id)
        parts.append(_TABLE.c.camera_id.in_(own))
    if who.role in {"admin", "operator", "inspector"}:
        if who.everywhere:
            return _TABLE.c.id.is_not(None)
        parts.append(and_(_TABLE.c.camera_id.is_(None), _TABLE.c.area_code.is_(None)))
        parts += [_TABLE.c.area_code.in_(_below(code)) for code in who.areas if code != EVERYWHERE]
    return or_(false(), *parts)


def _below(code: str) -> Any:
    return select(_AREAS.c.code).where(_AREAS.c.path.contains(f"/{code[:16]}/", autoescape=True))


def _in_state(state: str, now: datetime) -> ColumnElement[bool]:
    open_ = _TABLE.c.expires_at > now
    if state == "proposed":
        return and_(_TABLE.c.state == "proposed", open_)
    if state == "active":
        return and_(_TABLE.c.state == "approved", open_)
    if state == "expired":
        return and_(_TABLE.c.state.in_(("proposed", "approved")), _TABLE.c.expires_at <= now)
    if state not in STATES:
        raise Invalid("state", f"choose one of {', '.join(STATES)}")
    return _TABLE.c.state == state


def _selected(selector: Selector) -> list[ColumnElement[bool]]:
    if selector.way == "camera":
        return [_CAMERAS.c.id == selector.value]
    if selector.way == "area":
        return [_CAMERAS.c.area_code.in_(_below(selector.value))]
    if selector.way == "custodian":
        custodians = tables.custodians
        kinds = select(custodians.c.id).where(custodians.c.kind == selector.value)
        return [_CAMERAS.c.custodian_id.in_(kinds)]
    return []
