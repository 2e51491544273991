"""The table of RTSP templates: one path for a named maker, and none where there is no honest one."""

import pytest

from adapters.errors import BadTarget
from adapters.target import parse_target
from adapters.vendors.families import families, find_family
from adapters.vendors.reading import VendorDataError
from adapters.vendors.routing import Route, known_vendor, route, without_address
from adapters.vendors.templates import _read, spoken, template_for, templates


def routed(typed: str, vendor: str) -> Route:
    return route(typed, parse_target(typed)[0], vendor)


def test_table_holds_sixty_rows_with_source_and_certainty() -> None:
    """Every row names where it comes from and how sure it is; no row is a default login."""
    table = templates()

    assert [row.row for row in table.rows] == list(range(1, 61))
    assert all(row.sources and row.certainty for row in table.rows)
    assert all(source in table.sources for family in families() for source in family.sources)


def test_each_family_has_at_most_one_default_and_names_it() -> None:
    """A family points to one usable template of the table, or to none."""
    table = templates()
    for family in families():
        template = table.by_id(family.template) if family.template else None
        assert (template is not None and not template.usable) or not family.template, family.id
    for row in table.rows:
        assert find_family(row.family) is not None, row.id


@pytest.mark.parametrize(
    ("typed", "vendor", "main", "sub"),
    [
        ("rtsp://10.0.0.5", "Hikvision", "rtsp://10.0.0.5:554/Streaming/Channels/101", "/Streaming/Channels/102"),
        ("rtsp://10.0.0.5", "HiLook", "rtsp://10.0.0.5:554/Streaming/Channels/101", "/Streaming/Channels/102"),
        ("rtsp://10.0.0.5", "kbvision", "rtsp://10.0.0.5:554/cam/realmonitor?channel=1&subtype=0", "/cam/realmonitor?channel=1&subtype=1"),
        ("rtsp://10.0.0.5/", "Tapo", "rtsp://10.0.0.5:554/stream1", "/stream2"),
        ("rtsp://10.0.0.5", "Reolink", "rtsp://10.0.0.5:554/Preview_01_main", "/Preview_01_sub"),
        ("rtsp://10.0.0.5", "V360 Pro", "rtsp://10.0.0.5:8554/profile0", "/profile1"),
        ("rtsp://10.0.0.5:10554", "foscam", "rtsp://10.0.0.5:10554/videoMain", "/videoSub"),
        ("rtsp://10.0.0.5", "foscam", "rtsp://10.0.0.5:88/videoMain", "/videoSub"),
        ("rtsps://10.0.0.5", "Tapo", "rtsps://10.0.0.5:322/stream1", "/stream2"),
        ("10.0.0.5", "Yoosee", "rtsp://10.0.0.5:554/onvif1", "/onvif2"),
        ("rtsp://10.0.0.5", "hikvision-psia", "rtsp://10.0.0.5:554/PSIA/streaming/channels/101", "/PSIA/streaming/channels/102"),
    ],
)  # fmt: skip
def test_a_named_maker_gives_exactly_one_address(typed: str, vendor: str, main: str, sub: str) -> None:
    """``rtsp://host`` and a maker become the one template's main and sub address, on its port unless one was typed."""
    found = routed(typed, vendor)

    assert found.target.url == main
    assert found.sub is not None
    assert found.sub.path == sub


@pytest.mark.parametrize(
    ("typed", "vendor", "url"),
    [
        ("10.0.0.5", "Tapo", "onvif://10.0.0.5:2020"),
        ("10.0.0.5", "Reolink", "onvif://10.0.0.5:8000"),
        ("10.0.0.5:8001", "Reolink", "onvif://10.0.0.5:8001"),
        ("10.0.0.5", "iCSee", "onvif://10.0.0.5:8899"),
        ("10.0.0.5", "Viettel", "onvif://10.0.0.5:80"),
        ("10.0.0.5", "", "onvif://10.0.0.5:80"),
        ("onvif://10.0.0.5", "Tapo", "onvif://10.0.0.5:80"),
        ("rtsp://10.0.0.5/own/path", "V380", "rtsp://10.0.0.5:554/own/path"),
    ],
)
def test_a_bare_host_goes_to_the_port_of_the_makers_table(typed: str, vendor: str, url: str) -> None:
    """The port of the table is used once for a bare host; what was typed in full stays as it is."""
    assert routed(typed, vendor).target.url == url


@pytest.mark.parametrize("vendor", ["Xiaomi", "V380", "Tuya", "Yi"])
def test_a_family_without_a_route_is_refused_with_its_reason(vendor: str) -> None:
    """A bare host of such a maker ends in one sentence before anything is sent."""
    family = find_family(vendor)
    assert family is not None
    with pytest.raises(BadTarget) as told:
        routed("10.0.0.5", vendor)

    assert str(told.value) == family.why.en
    assert told.value.hint == family.advice.en


def test_xmeye_never_gets_its_password_into_a_path() -> None:
    """Row 42 exists, but no address is made of it, and the sentence says why and what to use instead."""
    row = next(row for row in templates().rows if row.row == 42)
    with pytest.raises(BadTarget, match="password inside the path"):
        row.addresses("10.0.0.5")
    with pytest.raises(BadTarget, match="password inside the path") as told:
        routed("rtsp://10.0.0.5", "XMEye")

    assert "8899" in told.value.hint


def test_an_unknown_maker_is_named_with_the_way_out() -> None:
    """A maker outside the table is refused by name; the hint says where the makers are listed."""
    with pytest.raises(BadTarget, match="'Nobody'") as told:
        known_vendor("Nobody")

    assert "camhub adapters" in told.value.hint


@pytest.mark.parametrize("vendor", ["tiandy", "Viettel", "UniFi"])
def test_a_maker_without_a_published_path_gives_no_guess(vendor: str) -> None:
    """Where no path is known, ``rtsp://host`` is refused instead of guessed."""
    with pytest.raises(BadTarget):
        routed("rtsp://10.0.0.5", vendor)


def test_unconfirmed_templates_are_used_on_the_owners_word_only() -> None:
    """Imou's path is unconfirmed: a device that says Imou gets none, an owner who says so gets it with that word."""
    assert without_address("10.0.0.5", "", "IMOU") is None
    by_owner = without_address("10.0.0.5", "imou", "")
    assert by_owner is not None
    assert by_owner.template is not None

    assert "unconfirmed" in spoken(by_owner.template, "en")
    assert "chưa xác nhận" in spoken(by_owner.template, "vi")


def test_a_reported_maker_gives_its_template() -> None:
    """A device that says who made it, in the long form of its legal name, gets that maker's one template."""
    found = without_address("10.0.0.5", "", "Hangzhou Hikvision Digital Technology Co., Ltd.")

    assert found is not None
    assert found.target.url == "rtsp://10.0.0.5:554/Streaming/Channels/101"
    for name in ("ONVIF", "H264", "NONE", "", "Dahua-like thing"):
        assert without_address("10.0.0.5", "", name) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [({"port": 70000}, "port"), ({"main": "stream"}, "main"), ({"main": "/{x}"}, "main"), ({"extra": 1}, "extra"),
     ({"certainty": "sure"}, "certainty"), ({"scheme": "ftp"}, "scheme"), ({"default": "yes"}, "default")],
)  # fmt: skip
def test_a_mistake_in_the_table_names_row_and_field(change: dict[str, object], field: str) -> None:
    """A wrong value is refused when the table is read, by row and field."""
    row = {
        "row": 7, "id": "x", "family": "x", "label": "X", "main": "/a", "scheme": "rtsp", "port": 554,
        "source": "A", "certainty": "doc",
    }  # fmt: skip
    with pytest.raises(VendorDataError, match=f"row 7: {field} "):
        _read({**row, **change}, {"A": "a source"})


def test_every_family_says_what_to_do_in_both_languages() -> None:
    """Each family has advice, and those without a route a reason of one sentence, in vi and en."""
    for family in families():
        assert family.advice.vi
        assert family.advice.en
        if family.why:
            assert family.why.en.rstrip(".").count(". ") == 0, family.id
            assert family.why.vi.rstrip(".").count(". ") == 0, family.id


def test_homes_in_vietnam_are_covered() -> None:
    """The makers that homes and shops really hold are all in the table."""
    for name in (
        "EZVIZ", "Imou", "Yoosee", "V380", "XMEye", "iCSee", "Tapo", "VIGI", "Xiaomi", "Viettel", "VNPT", "FPT", "Bkav",
        "Hanet", "Reolink", "UniFi", "Tuya", "Hikvision", "HiLook", "Dahua", "KBVision", "KBONE", "Amcrest", "Axis",
        "Hanwha", "Wisenet", "Uniview", "Tiandy", "Vivotek", "Foscam",
    ):  # fmt: skip
        assert find_family(name) is not None, name


def test_template_for_takes_the_variant_that_is_named_by_id() -> None:
    """An owner who knows the line names it by the template's id."""
    assert template_for("dahua-onvif").row == 11
