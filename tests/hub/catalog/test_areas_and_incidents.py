"""The table of areas, and incidents."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hub_world import ANNA, OTHER_WARD, PROVINCE, WARD, run, world

from hub.catalog.areas import default_areas, parse_csv
from hub.store.errors import Invalid, ServiceError

NewUrl = Callable[[], str]
HEAD = "code,name,level,parent,valid_from,valid_to\n"


def test_the_default_table_is_made_up() -> None:
    """A new hub has one province and three wards that exist nowhere."""
    assert [(area.code, area.path) for area in default_areas()] == [
        ("99", ("99",)),
        ("99001", ("99", "99001")),
        ("99002", ("99", "99002")),
        ("99003", ("99", "99003")),
    ]


def test_parents_may_stand_after_their_children() -> None:
    """Order in the file does not matter; a byte order mark is no letter."""
    areas = parse_csv("\ufeff" + HEAD + "00004,Ba Đình,ward,01,2025-07-01,\n01,Hà Nội,province,,,\n")

    assert [area.code for area in areas] == ["01", "00004"]
    assert areas[1].path == ("01", "00004")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "first line"),
        ("code,name\n1,x\n", "level"),
        (HEAD + "1,A,x,2,,\n", "parent 2"),
        (HEAD + "1,A,x,2,,\n2,B,x,1,,\n", "circle"),
        (HEAD + "1,A,x,,,\n1,B,x,,,\n", "twice"),
        (HEAD + "1,,x,,,\n", "name"),
        (HEAD + "../1,A,x,,,\n", "letters and digits"),
        (HEAD + "1,A,x,,yesterday,\n", "not a date"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(text: str, sentence: str) -> None:
    """Lines that do not fit are named; nothing is loaded by halves."""
    with pytest.raises(Invalid, match=sentence):
        parse_csv(text)


def test_areas_are_loaded_found_and_renamed(new_url: NewUrl, tmp_path: Path) -> None:
    """Loading again renames; finding reads over accents; a lineage goes up to the root."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            table = parse_csv(HEAD + "99,Tỉnh Mới,province,,,\n99004,Phường Đường Đê,ward,99,,\n")
            assert await hub.areas.load(table, ANNA) == 2
            assert [area.code for area in await hub.areas.find("duong de")] == ["99004"]
            assert [area.code for area in await hub.areas.find("99", 2)] == ["99", "99001"]
            assert len(await hub.areas.find()) == 5
            province = await hub.areas.get("99")
            assert province is not None
            assert province.name == "Tỉnh Mới"
            assert await hub.areas.lineage(["99004", "unknown"]) == {"99", "99004", "unknown"}
            assert await hub.areas.lineage([]) == frozenset()

    run(go())


def test_an_incident_covers_its_place_and_closes_by_itself(new_url: NewUrl, tmp_path: Path) -> None:
    """It covers cameras of its area and those named, until its time; it is extended once; closing ends it at once."""

    async def go() -> None:
        async with world(new_url(), tmp_path) as hub:
            near, far, named = (
                await hub.camera("a"),
                await hub.camera("b", area=OTHER_WARD),
                await hub.camera("c", area=None),
            )
            events = hub.coordination.bus.subscribe("incident.changed")
            incident = await hub.incidents.open(
                " VV-17 ", "Mất trộm", ANNA, area=WARD, camera_ids=(named.id,)
            )
            assert (await anext(events))[1] == {"id": incident.id}
            assert incident.number == "VV-17"
            assert await hub.incidents.covering(near) == (incident,)
            assert await hub.incidents.covering(named) == (incident,)
            assert await hub.incidents.covering(far) == ()
            longer = await hub.incidents.extend(incident.id, ANNA)
            assert longer.closes_at - incident.opened_at == timedelta(hours=4)
            with pytest.raises(ServiceError) as told:
                await hub.incidents.extend(incident.id, ANNA)
            assert told.value.code == "conflict"
            hub.clock.turn(hours=4)
            assert await hub.incidents.open_now() == ()
            wide = await hub.incidents.open("VV-18", "Cháy", ANNA, area=PROVINCE)
            assert await hub.incidents.covering(far) == (wide,)
            assert (await hub.incidents.close(wide.id, ANNA)).closed_at == hub.clock.now()
            assert await hub.incidents.covering(far) == ()
            assert (await hub.audit.page(kind="incident.")).total == 4

    run(go())


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"number": " "}, "number"),
        ({"title": ""}, "title"),
        ({"area": None}, "area"),
        ({"area": "12345"}, "area"),
        ({"life": timedelta(days=2)}, "closes_at"),
        ({"camera_ids": tuple("x" * 201)}, "camera_ids"),
    ],
)
def test_an_incident_says_what_and_where(
    sqlite_url: str, tmp_path: Path, wrong: dict[str, object], field: str
) -> None:
    """Without number, title, place or with too long a life there is no incident."""

    async def go() -> None:
        async with world(sqlite_url, tmp_path) as hub:
            values: dict[str, object] = {"number": "VV-1", "title": "x", "area": WARD, **wrong}
            with pytest.raises(Invalid) as told:
                await hub.incidents.open(actor=ANNA, **values)  # type: ignore[arg-type]
            assert told.value.field == field
            await hub.incidents.open("VV-1", "x", ANNA, area=WARD)
            with pytest.raises(ServiceError) as taken:
                await hub.incidents.open("VV-1", "x", ANNA, area=WARD)
            assert taken.value.code == "conflict"

    run(go())
