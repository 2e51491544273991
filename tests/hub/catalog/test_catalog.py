"""The catalog on SQLite and on PostgreSQL: registering, changing, finding, counting."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hub_world import ANNA, OTHER_WARD, PROVINCE, START, WARD, World, assessment, consent, run, world

from adapters.secret import Credential, Secret
from hub.catalog.types import (
    Box,
    CameraPatch,
    CameraQuery,
    Kind,
    Near,
    NewCamera,
    NewCustodian,
    Position,
    Scope,
)
from hub.store.errors import Invalid, ServiceError

NewUrl = Callable[[], str]


def test_a_camera_is_registered_as_pending(new_url: NewUrl, tmp_path: Path) -> None:
    """A new camera is PENDING and unmeasured, its credential sealed, the act in the audit log, the event told."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            events = hub.coordination.bus.subscribe("camera.changed")
            camera = await hub.camera("Cổng Đông", address="rtsp://root:hunter2@10.0.0.7/live")
            assert (camera.decision, camera.health.state, camera.version) == ("PENDING", "not_measured", 1)
            assert camera.sharing.mode == "authority"
            assert camera.address == "rtsp://10.0.0.7:554/live"
            assert camera.area is not None
            assert camera.area.path == (PROVINCE, WARD)
            assert camera.has_credential
            assert await hub.catalog.credential_for(camera.id) == Credential("root", Secret("hunter2"))
            assert await anext(events) == ("camera.changed", {"id": camera.id, "what": "added", "version": 1})
            kinds = [record.kind for record in (await hub.audit.page(camera=camera.id)).items]
            assert kinds == ["camera.added"]
            for path in tmp_path.glob("*.db*"):
                assert b"hunter2" not in path.read_bytes()

    run(go())


def test_an_address_is_enrolled_once(new_url: NewUrl, tmp_path: Path) -> None:
    """A second camera with the same address is refused and names the first; nothing is left of the try."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            first = await hub.camera("A", address="rtsp://10.0.0.1/x")
            other = await hub.camera("B", address="rtsp://10.0.0.2/x")
            before = len(await hub.catalog.custodians())
            with pytest.raises(ServiceError) as told:
                await hub.camera("C", address="rtsp://u:p@10.0.0.1:554/x")
            assert (told.value.code, told.value.params["camera_id"]) == ("already_enrolled", first.id)
            with pytest.raises(ServiceError):
                await hub.catalog.update(other.id, CameraPatch(address="rtsp://10.0.0.1/x"), ANNA)
            assert len(await hub.catalog.custodians()) == before
            assert (await hub.catalog.at_address("rtsp://10.0.0.1/x")) == await hub.catalog.get(first.id)
            assert (await hub.catalog.list(CameraQuery())).total == 2

    run(go())


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"name": "  "}, "name", "invalid_input"),
        ({"name": "x" * 201}, "name", "invalid_input"),
        ({"address": "rtsp://"}, "address", "address_bad"),
        ({"address": "gopher://x"}, "address", "address_bad"),
        ({"sub_address": "rtsp://a b"}, "sub_address", "address_bad"),
        ({"area": "12345"}, "area", "area_unknown"),
        ({"custodian": "nobody"}, "custodian.id", "custodian_unknown"),
        ({"position": Position(91, 0)}, "position", "invalid_input"),
        ({"position": Position(0, 0, azimuth_deg=360)}, "position.azimuth_deg", "invalid_input"),
        ({"notes": "x\x00"}, "notes", "invalid_input"),
    ],
)
def test_a_camera_that_does_not_fit_is_refused_by_field(
    sqlite_url: str, tmp_path: Path, wrong: dict[str, object], field: str, code: str
) -> None:
    """Each wrong field is named, and the catalog is unchanged."""

    async def go() -> None:
        values: dict[str, object] = {
            "name": "A",
            "address": "rtsp://10.0.0.1/",
            "custodian": NewCustodian(Kind.AUTHORITY),
            "permission": {},
            **wrong,
        }
        async with world(sqlite_url, tmp_path) as hub:
            before = (await hub.audit.page()).total
            with pytest.raises(Invalid) as told:
                await hub.catalog.register(NewCamera(**values), ANNA)  # type: ignore[arg-type]
            assert (told.value.field, told.value.code) == (field, code)
            assert (await hub.catalog.list(CameraQuery())).total == 0
            assert (await hub.audit.page()).total == before

    run(go())


def test_a_change_upon_an_older_version_is_refused(new_url: NewUrl, tmp_path: Path) -> None:
    """If-Match: the second of two editors gets the present camera and changes nothing."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera("A")
            changed = await hub.catalog.update(
                camera.id, CameraPatch(name="B"), ANNA, if_version=camera.version
            )
            with pytest.raises(ServiceError) as told:
                await hub.catalog.update(camera.id, CameraPatch(name="C"), ANNA, if_version=camera.version)
            assert told.value.code == "changed_meanwhile"
            assert told.value.current == changed
            assert (await hub.catalog.get(camera.id)).name == "B"

    run(go())


def test_measuring_does_not_get_in_an_editors_way(new_url: NewUrl, tmp_path: Path) -> None:
    """A health measurement leaves the version alone."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera("A")
            await hub.catalog.set_health(camera.id, "alive", cause=None, measured_at=START)
            assert (await hub.catalog.get(camera.id)).version == camera.version

    run(go())


def test_a_patch_changes_what_it_names(new_url: NewUrl, tmp_path: Path) -> None:
    """Fields left out stay; None empties; the audit record names fields and holds no password."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera("A", notes="old", position=Position(10.5, 106.5, 5.0, 90.0))
            patch = CameraPatch(area=OTHER_WARD, credential=Credential("u", Secret("hunter2")))
            after = await hub.catalog.update(camera.id, patch, ANNA)
            assert after.area is not None
            assert (after.area.code, after.notes, after.position) == (OTHER_WARD, "old", camera.position)
            record = (await hub.audit.page(kind="camera.changed")).items[0]
            assert dict(record.data) == {"fields": ["area", "credential"]}
            empty = await hub.catalog.update(
                camera.id, CameraPatch(area=None, position=None, credential=None, sub_address=""), ANNA
            )
            assert (empty.area, empty.position, empty.has_credential) == (None, None, False)
            assert await hub.catalog.update(camera.id, CameraPatch(), ANNA) == empty

    run(go())


def test_removing_erases_the_credential_and_keeps_the_record(new_url: NewUrl, tmp_path: Path) -> None:
    """After removal nothing of the camera opens or lists; consents, ended, and the audit log stay."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.admitted("A", kind=Kind.SHOP, credential=Credential("u", Secret("p")))
            given = await hub.catalog.give_consent(camera.id, consent(), ANNA)
            await hub.catalog.set_health(camera.id, "alive", cause=None, measured_at=START)
            await hub.catalog.remove(camera.id, ANNA)
            assert await hub.catalog.find(camera.id) is None
            assert await hub.catalog.credential_for(camera.id) is None
            assert await hub.catalog.assessments(camera.id) == ()
            assert (await hub.catalog.consent(given.id)).stored_state == "withdrawn"
            assert (await hub.audit.page(camera=camera.id)).items[0].kind == "camera.removed"
            with pytest.raises(ServiceError, match="no such camera"):
                await hub.catalog.remove(camera.id, ANNA)
            assert (await hub.camera("A")).id != camera.id

    run(go())


def test_search_reads_over_accents(new_url: NewUrl, tmp_path: Path) -> None:
    """`dong` finds Đông, in names and in places; the very accents come first; all words must be there."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            for name in ("Chợ Đồng", "Cổng Dòng", "Bến xe", "cổng ĐÔNG 2"):
                await hub.camera(name, area=OTHER_WARD)
            await hub.camera("Ngã tư", area=WARD)  # in Phường Đông Ngàn

            async def names(text: str) -> list[str]:
                return [camera.name for camera in (await hub.catalog.list(CameraQuery(text=text))).items]

            assert await names("dong") == ["Chợ Đồng", "Cổng Dòng", "cổng ĐÔNG 2", "Ngã tư"]
            assert await names("đông") == ["cổng ĐÔNG 2", "Ngã tư", "Chợ Đồng", "Cổng Dòng"]
            assert await names("dong cong") == ["Cổng Dòng", "cổng ĐÔNG 2"]
            assert await names("tinh minh hoa ben xe") == ["Bến xe"]
            assert await names("%") == []
            assert await names("khong co") == []

    run(go())


def test_search_does_not_tell_private_names(sqlite_url: str, tmp_path: Path) -> None:
    """A household's name finds no camera, a school's does; so do the maker and the model."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            await hub.camera("A", kind=Kind.HOUSEHOLD, custodian=NewCustodian(Kind.HOUSEHOLD, "Lê Văn Tám"))
            await hub.camera("B", kind=Kind.SCHOOL, custodian=NewCustodian(Kind.SCHOOL, "Trường Lê Văn Tám"))
            camera = await hub.camera("C")
            facts = {"device.manufacturer": "ACME", "device.model": "X-1"}
            await hub.catalog.record_assessment(camera.id, assessment("ADMITTED", **facts), ANNA)
            await hub.catalog.update(camera.id, CameraPatch(name="D"), ANNA)

            async def names(text: str) -> list[str]:
                return [found.name for found in (await hub.catalog.list(CameraQuery(text=text))).items]

            assert await names("le van tam") == ["B"]
            assert await names("acme x-1") == ["D"]

    run(go())


@pytest.mark.long
def test_filters_narrow_and_counts_agree(new_url: NewUrl, tmp_path: Path) -> None:
    """Every number of `counts` is the total of the list with that filter, for every scope."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            await _mixed(hub)
            scopes = (
                Scope.everything(),
                Scope(areas=(WARD,)),
                Scope(areas=(PROVINCE,)),
                Scope(areas=(WARD, OTHER_WARD)),
                Scope(),
                Scope(custodian_id=(await hub.catalog.custodians())[0].id),
            )
            for scope in scopes:
                counts = await hub.catalog.counts(CameraQuery(scope=scope))
                assert counts.total == (await hub.catalog.list(CameraQuery(scope=scope))).total
                assert sum(counts.health.values()) == sum(counts.decision.values()) == counts.total
                for name, number in counts.decision.items():
                    page = await hub.catalog.list(CameraQuery(scope=scope, decision=name))
                    assert page.total == number == len(page.items)
                    assert {camera.decision for camera in page.items} == {name}
                for name, number in counts.health.items():
                    page = await hub.catalog.list(CameraQuery(scope=scope, health=name))
                    assert page.total == number == len(page.items)
                    assert {camera.health.state for camera in page.items} == {name}
            whole = await hub.catalog.counts(CameraQuery())
            assert whole.total == 8
            assert set(whole.health) == {
                "alive",
                "fault",
                "paused",
                "not_shared",
                "outside_hours",
                "not_measured",
            }

    run(go())


def test_time_alone_moves_numbers(new_url: NewUrl, tmp_path: Path) -> None:
    """A pause that runs out, hours that begin and a consent that expires show in lists, and are told, by themselves."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            await _mixed(hub)
            before = (await hub.catalog.counts(CameraQuery())).health
            events = hub.coordination.bus.subscribe("camera.changed")
            hub.clock.turn(hours=9)  # 19:00: the evening's hours began, the pause ended
            assert await hub.catalog.refresh_due() == 2
            after = (await hub.catalog.counts(CameraQuery())).health
            assert before["paused"] == 1
            assert "paused" not in after
            assert "outside_hours" not in after
            assert {(await anext(events))[1]["what"] for _ in range(2)} == {"sharing"}
            hub.clock.turn(days=366)
            assert (await hub.catalog.list(CameraQuery(health="not_shared"))).total == before[
                "not_shared"
            ] + 2
            assert (await hub.catalog.list(CameraQuery(sharing="private"))).total == before["not_shared"] + 2
            assert await hub.catalog.refresh_due() == 0

    run(go())


async def _mixed(hub: World) -> None:
    """Make eight cameras of all kinds and states."""
    evening = [{"days": [1, 2, 3, 4, 5, 6, 7], "from": "18:00", "to": "22:00"}]
    from hub.catalog.schedule import Schedule

    await hub.camera("1")
    two = await hub.admitted("2", area=OTHER_WARD)
    three = await hub.camera("3", area="99003")
    await hub.camera("4", kind=Kind.HOUSEHOLD)
    five = await hub.admitted("5", kind=Kind.SHOP)
    six = await hub.admitted("6", kind=Kind.SCHOOL, area=None)
    seven = await hub.camera("7")
    await hub.camera("8", area=None)
    await hub.catalog.record_assessment(three.id, assessment("REJECTED"), ANNA)
    await hub.catalog.record_assessment(seven.id, assessment("CONDITIONAL"), ANNA)
    await hub.catalog.set_healths(
        [
            (two.id, "alive", None, START),
            (three.id, "fault", {"vi": "Hỏng", "en": "Broken"}, START),
            (five.id, "alive", None, START),
            ("gone", "alive", None, START),
        ]
    )
    await hub.catalog.give_consent(five.id, consent("scheduled", schedule=Schedule.from_json(evening)), ANNA)
    await hub.catalog.give_consent(six.id, consent("registered"), ANNA)
    from datetime import timedelta

    await hub.catalog.pause(seven.id, ANNA, until=hub.clock.now() + timedelta(hours=1))


@pytest.mark.long
def test_pages_follow_each_other(new_url: NewUrl, tmp_path: Path) -> None:
    """Pages by cursor show each camera once and in order, also while cameras come and go between them."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            for number in range(25):
                await hub.camera(f"Cổng {number % 13}", address=f"rtsp://10.0.1.{number}/")
            for text in ("", "cong", "cổng 1"):
                whole = [
                    camera.id for camera in (await hub.catalog.list(CameraQuery(text=text, limit=200))).items
                ]
                seen: list[str] = []
                cursor: str | None = ""
                while cursor is not None:
                    page = await hub.catalog.list(CameraQuery(text=text, limit=4, cursor=cursor))
                    assert page.total == len(whole)
                    seen += [camera.id for camera in page.items]
                    cursor = page.next
                assert seen == whole
            first = await hub.catalog.list(CameraQuery(limit=4))
            await hub.catalog.remove(first.items[0].id, ANNA)
            await hub.camera("A new one before", address="rtsp://10.0.2.1/")
            second = await hub.catalog.list(CameraQuery(limit=4, cursor=first.next or ""))
            assert not {camera.id for camera in second.items} & {camera.id for camera in first.items}

    run(go())


@pytest.mark.parametrize("cursor", ["x", "é", "W10", "WzEsMl0", "W251bGwsIngiXQ", "A" * 3000])
def test_a_cursor_that_is_none_is_refused(sqlite_url: str, tmp_path: Path, cursor: str) -> None:
    """A made-up cursor is named as such."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            for text in ("", "a"):
                with pytest.raises(Invalid) as told:
                    await hub.catalog.list(CameraQuery(text=text, cursor=cursor))
                assert told.value.code == "bad_cursor"

    run(go())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (CameraQuery(limit=0), "limit"),
        (CameraQuery(limit=201), "limit"),
        (CameraQuery(decision="admitted"), "decision"),
        (CameraQuery(health="dead"), "health"),
        (CameraQuery(sharing="public"), "sharing"),
        (CameraQuery(near=Near(10, 106, 0)), "near"),
        (CameraQuery(near=Near(float("nan"), 106, 10)), "near"),
        (CameraQuery(box=Box(107, 10, 106, 11)), "bbox"),
    ],
)
def test_a_filter_that_is_none_is_refused(
    sqlite_url: str, tmp_path: Path, query: CameraQuery, field: str
) -> None:
    """A filter's value outside its list or range is named."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            with pytest.raises(Invalid) as told:
                await hub.catalog.list(query)
            assert told.value.field == field

    run(go())


def test_near_and_within(new_url: NewUrl, tmp_path: Path) -> None:
    """A circle and a rectangle find what lies in them; a camera without a place lies in none."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            # at 21 degrees north 0.001 degrees are 111.3 m north and 103.9 m east
            await hub.camera("here", position=Position(21.0, 105.8))
            await hub.camera("north", position=Position(21.001, 105.8))
            await hub.camera("east", position=Position(21.0, 105.801))
            await hub.camera("nowhere")

            async def names(query: CameraQuery) -> set[str]:
                return {camera.name for camera in (await hub.catalog.list(query)).items}

            assert await names(CameraQuery(near=Near(21.0, 105.8, 100))) == {"here"}
            assert await names(CameraQuery(near=Near(21.0, 105.8, 108))) == {"here", "east"}
            assert await names(CameraQuery(near=Near(21.0, 105.8, 115))) == {"here", "north", "east"}
            assert await names(CameraQuery(box=Box(105.7995, 20.9, 105.8005, 21.1))) == {"here", "north"}

    run(go())


def test_an_assessment_decides_and_is_kept_whole(new_url: NewUrl, tmp_path: Path) -> None:
    """The newest assessment is the camera's; all are listed newest first; the whole one reads back as it was."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera("A")
            facts = {
                "stream.main.codec": "H265",
                "stream.main.relay": "transcode",
                "stream.main.claimed_width": 640,
            }
            first = await hub.catalog.record_assessment(camera.id, assessment("ADMITTED", **facts), ANNA)
            camera = await hub.catalog.get(camera.id)
            assert (camera.decision, camera.assessment_id) == ("ADMITTED", first.id)
            assert (camera.playback.codec, camera.playback.relay, camera.playback.width) == (
                "H265",
                "transcode",
                640,
            )
            assert camera.decision_reasons == ({"rule": "CON-01"},)
            assert await hub.catalog.assessment(first.id) == first
            hub.clock.turn(minutes=1)
            await hub.catalog.record_assessment(camera.id, assessment("REJECTED"), ANNA)
            listed = await hub.catalog.assessments(camera.id)
            assert len(listed) == 2
            assert all(one.report == {} for one in listed)
            with pytest.raises(ServiceError):
                await hub.catalog.assessment("none")
            with pytest.raises(ServiceError):
                await hub.catalog.record_assessment("none", assessment("ADMITTED"), ANNA)

    run(go())


def test_health_keeps_since_when(new_url: NewUrl, tmp_path: Path) -> None:
    """`since` moves with the state, not with each measurement; only what changed is told."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            camera = await hub.camera("A")
            start = hub.clock.now()
            assert await hub.catalog.set_health(camera.id, "alive", cause=None, measured_at=start)
            hub.clock.turn(minutes=5)
            assert not await hub.catalog.set_health(
                camera.id, "alive", cause=None, measured_at=hub.clock.now()
            )
            health = (await hub.catalog.get(camera.id)).health
            assert (health.state, health.since, health.measured_at) == ("alive", start, hub.clock.now())
            hub.clock.turn(minutes=5)
            cause = {"vi": "Không trả lời", "en": "No answer"}
            assert await hub.catalog.set_health(camera.id, "fault", cause=cause, measured_at=hub.clock.now())
            health = (await hub.catalog.get(camera.id)).health
            assert (health.state, health.since, health.cause) == ("fault", hub.clock.now(), cause)
            with pytest.raises(ValueError, match="measured state"):
                await hub.catalog.set_health(camera.id, "paused", cause=None, measured_at=hub.clock.now())

    run(go())
