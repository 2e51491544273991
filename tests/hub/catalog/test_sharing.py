"""What owners decide: consents in versions, withdrawal, the ladder, pause."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hub_world import ANNA, PROVINCE, START, WARD, consent, run, world

from hub.catalog.consent import consent_json, current_text, texts
from hub.catalog.schedule import Schedule
from hub.catalog.types import CameraQuery, ConsentState, Kind, Mode, Recipient
from hub.store.errors import Invalid, ServiceError

NewUrl = Callable[[], str]
EVENINGS = Schedule.from_json([{"days": [1, 2, 3], "from": "22:00", "to": "05:00"}])


def test_a_donated_camera_begins_unshared(new_url: NewUrl, tmp_path: Path) -> None:
    """Before a consent a household's camera is private and says that the consent is missing."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera(kind=Kind.HOUSEHOLD)
            assert (camera.sharing.mode, camera.sharing.consent) == ("private", ConsentState.MISSING)
            assert camera.health.state == "not_shared"
            assert camera.consent is None

    run(go())


def test_a_consent_is_kept_as_signed(new_url: NewUrl, tmp_path: Path) -> None:
    """Defaults are filled in (12 months, no audio), the text's hash is kept, it reads back whole."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera(kind=Kind.HOUSEHOLD)
            asked = consent(
                "scheduled",
                schedule=EVENINGS,
                purposes=("incident", "public_safety", "incident"),
                recipients=(
                    Recipient(WARD, "viewer"),
                    Recipient(PROVINCE, "operator"),
                    Recipient(WARD, "viewer"),
                ),
                witnessed_by="Tổ trưởng",
            )
            given = await hub.catalog.give_consent(camera.id, asked, ANNA)
            assert given.expires_at == START + timedelta(days=365)
            assert not given.audio
            assert given.purposes == ("public_safety", "incident")
            assert given.recipients == (Recipient(WARD, "viewer"), Recipient(PROVINCE, "operator"))
            assert given.text_hash == current_text().hash
            assert (given.version, given.schedule) == (1, EVENINGS)
            after = await hub.catalog.get(camera.id)
            assert after.consent == given == await hub.catalog.consent(given.id)
            assert (after.sharing.mode, after.sharing.schedule) == ("scheduled", EVENINGS)
            assert consent_json(given, START)["state"] == "active"
            record = (await hub.audit.page(kind="consent.given")).items[0]
            assert record.data["text_hash"] == given.text_hash
            assert record.subject == f"camera/{camera.id}"

    run(go())


def test_a_new_consent_supersedes_the_one_before(new_url: NewUrl, tmp_path: Path) -> None:
    """Versions count up; the older one ended at that moment; each change is told."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera(kind=Kind.SHOP)
            events = hub.coordination.bus.subscribe("camera.changed")
            first = await hub.catalog.give_consent(camera.id, consent(), ANNA)
            hub.clock.turn(days=1)
            second = await hub.catalog.give_consent(camera.id, consent("registered"), ANNA)
            newest, older = await hub.catalog.consents(camera.id)
            assert (newest, older.id) == (second, first.id)
            assert (older.state(hub.clock.now()), older.ended_at) == (
                ConsentState.SUPERSEDED,
                hub.clock.now(),
            )
            assert (await hub.catalog.get(camera.id)).sharing.mode == "registered"
            assert [(await anext(events))[1]["what"] for _ in range(2)] == ["consent", "consent"]

    run(go())


def test_withdrawing_ends_sharing_at_once(new_url: NewUrl, tmp_path: Path) -> None:
    """After withdrawal the camera is private; withdrawing again says that it is over; a new consent may follow."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera(kind=Kind.HOUSEHOLD)
            given = await hub.catalog.give_consent(camera.id, consent(), ANNA)
            ended = await hub.catalog.withdraw_consent(given.id, ANNA)
            assert ended.state(hub.clock.now()) is ConsentState.WITHDRAWN
            after = await hub.catalog.get(camera.id)
            assert (after.sharing.mode, after.sharing.consent) == ("private", ConsentState.WITHDRAWN)
            assert (await hub.catalog.list(CameraQuery(health="not_shared"))).total == 1
            assert consent_json(ended, hub.clock.now())["withdrawn_at"] == hub.clock.now()
            with pytest.raises(ServiceError) as told:
                await hub.catalog.withdraw_consent(given.id, ANNA)
            assert told.value.code == "consent_ended"
            assert (await hub.catalog.give_consent(camera.id, consent(), ANNA)).version == 2

    run(go())


def test_an_authority_needs_no_consent(new_url: NewUrl, tmp_path: Path) -> None:
    """A consent for a municipal camera is refused as not needed."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera()
            with pytest.raises(ServiceError) as told:
                await hub.catalog.give_consent(camera.id, consent(), ANNA)
            assert told.value.code == "consent_not_needed"

    run(go())


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"sharing_mode": "public"}, "sharing_mode", "invalid_input"),
        ({"sharing_mode": "scheduled"}, "schedule", "invalid_input"),
        ({"schedule": EVENINGS}, "schedule", "invalid_input"),
        ({"purposes": ()}, "purposes", "invalid_input"),
        ({"purposes": ("curiosity",)}, "purposes", "invalid_input"),
        ({"recipients": ()}, "recipients", "invalid_input"),
        ({"recipients": (Recipient(WARD, "neighbour"),)}, "recipients.0.role", "invalid_input"),
        ({"recipients": (Recipient("12345", "viewer"),)}, "recipients.0.area", "area_unknown"),
        (
            {"recipients": tuple(Recipient(str(number), "viewer") for number in range(21))},
            "recipients",
            "invalid_input",
        ),
        ({"text_version": "2020-01"}, "text_version", "consent_text_changed"),
        ({"signed_by": " "}, "signed_by", "invalid_input"),
        ({"expires_at": START}, "expires_at", "invalid_input"),
        ({"expires_at": START + timedelta(days=5000)}, "expires_at", "invalid_input"),
    ],
)
def test_a_consent_that_does_not_fit_is_refused_by_field(
    sqlite_url: str, tmp_path: Path, wrong: dict[str, object], field: str, code: str
) -> None:
    """Each wrong field is named and nothing is recorded."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            camera = await hub.camera(kind=Kind.HOUSEHOLD)
            with pytest.raises(Invalid) as told:
                await hub.catalog.give_consent(camera.id, consent(**wrong), ANNA)
            assert (told.value.field, told.value.code) == (field, code)
            assert await hub.catalog.consents(camera.id) == ()

    run(go())


@pytest.mark.parametrize(
    ("present", "wanted", "goes"),
    [
        (Mode.ALWAYS, Mode.PRIVATE, True),
        (Mode.ALWAYS, Mode.HEALTH, True),
        (Mode.ALWAYS, Mode.ON_INCIDENT, True),
        (Mode.ALWAYS, Mode.ALWAYS, False),
        (Mode.ON_INCIDENT, Mode.REGISTERED, True),
        (Mode.ON_INCIDENT, Mode.ALWAYS, False),
        (Mode.SCHEDULED, Mode.ON_INCIDENT, False),
        (Mode.SCHEDULED, Mode.HEALTH, True),
        (Mode.HEALTH, Mode.ON_INCIDENT, False),
    ],
)
def test_only_downwards_goes_without_a_signature(
    sqlite_url: str, tmp_path: Path, present: Mode, wanted: Mode, goes: bool
) -> None:
    """A level under which somebody could see more needs a new signature; a lower one is a new version."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            camera = await hub.camera(kind=Kind.HOUSEHOLD)
            with pytest.raises(ServiceError):
                await hub.catalog.lower_sharing(camera.id, Mode.PRIVATE, ANNA, signed_by="")
            schedule = EVENINGS if present is Mode.SCHEDULED else None
            first = await hub.catalog.give_consent(camera.id, consent(present, schedule=schedule), ANNA)
            if not goes:
                with pytest.raises(Invalid):
                    await hub.catalog.lower_sharing(camera.id, wanted, ANNA, signed_by="")
                return
            second = await hub.catalog.lower_sharing(camera.id, wanted, ANNA, signed_by="")
            assert (second.mode, second.version, second.expires_at) == (wanted, 2, first.expires_at)
            assert (second.recipients, second.text_hash) == (first.recipients, first.text_hash)

    run(go())


def test_pause_and_resume(new_url: NewUrl, tmp_path: Path) -> None:
    """Pausing shows at once and since when; resuming shows what was measured; both are in the audit log."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera()
            await hub.catalog.set_health(camera.id, "alive", cause=None, measured_at=START)
            hub.clock.turn(minutes=1)
            paused = await hub.catalog.pause(camera.id, ANNA)
            assert (paused.sharing.paused, paused.sharing.paused_until) == (True, None)
            assert (paused.health.state, paused.health.since) == ("paused", hub.clock.now())
            assert paused.measured.state == "alive"
            assert (await hub.catalog.list(CameraQuery(sharing="paused"))).total == 1
            hub.clock.turn(minutes=1)
            until = hub.clock.now() + timedelta(hours=1)
            assert (await hub.catalog.pause(camera.id, ANNA, until=until)).sharing.paused_until == until
            with pytest.raises(Invalid):
                await hub.catalog.pause(camera.id, ANNA, until=hub.clock.now())
            resumed = await hub.catalog.resume(camera.id, ANNA)
            assert (resumed.sharing.paused, resumed.health.state) == (False, "alive")
            assert [record.kind for record in (await hub.audit.page(kind="sharing.")).items] == [
                "sharing.resumed",
                "sharing.paused",
                "sharing.paused",
            ]

    run(go())


def test_texts_say_the_same_in_both_languages() -> None:
    """Every version has both languages, as many points in each, and a hash of its own."""
    for text in texts().values():
        assert text.said("vi").count("\n") == text.said("en").count("\n")
        assert len(text.hash) == 64
    assert len({text.hash for text in texts().values()}) == len(texts())


def test_the_signed_text_was_not_edited() -> None:
    """The first version is what owners have signed; its hash never changes again."""
    assert texts()["2026-11"].hash == "d5e2c7d5fac24ccd226ce68902ca1aeed71f64f55484f341ed11e30d494fd503"
