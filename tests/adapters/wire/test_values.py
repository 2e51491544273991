"""The readers of loosely written values: what each takes, and that none raises for what it cannot read."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import RemoteProtocolError
from adapters.wire import values


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("CST-8:00:00", (480, False)),
        ("ICT-7", (420, False)),
        ("GMT0BST,M3.5.0/1,M10.5.0", (0, True)),
        ("EST5EDT", (-300, True)),
        ("<+0530>-5:30", (330, False)),
        ("X-99", (None, False)),
        ("", (None, False)),
        ("Europe/Stockholm", (None, False)),
    ],
)
def test_posix_zones(zone: str, told: tuple[int | None, bool]) -> None:
    """A POSIX zone counts west of Greenwich; the offset counts east."""
    assert values.posix_offset_min(zone) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-09-27T08:16:24+08:00", datetime(2026, 9, 27, 0, 16, 24, tzinfo=UTC)),
        ("2026-9-7 8:16:24Z", datetime(2026, 9, 7, 8, 16, 24, tzinfo=UTC)),
        ("2026-13-01T00:00:00Z", None),
        ("yesterday", None),
    ],
)
def test_moments(text: str, told: datetime | None) -> None:
    """A time with its zone is aware; impossible ones are none."""
    found = values.moment(text)
    assert (found.astimezone(UTC) if found else None) == told


def test_a_time_without_zone_stays_local() -> None:
    """No zone, no claim."""
    found = values.moment("2026-11-21 12:00:00")
    assert found is not None
    assert found.tzinfo is None


@pytest.mark.parametrize(
    ("text", "told"),
    [("H.264", "H264"), ("h.265+", "H265"), ("MJPG", "JPEG"), ("MPEG4", "MPEG4"), ("HEVC", "H265"), ("", "")],
)
def test_encodings(text: str, told: str) -> None:
    """The makers' spellings become the words of the facts."""
    assert values.encoding(text) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3C-EF-8C-11-22-33", "3c:ef:8c:11:22:33"),
        ("3cef8c112233", "3c:ef:8c:11:22:33"),
        ("XX:XX:XX:XX:XX:XX", ""),
        ("00:00:00:00:00:00", ""),
    ],
)
def test_hardware_addresses(text: str, told: str) -> None:
    """One spelling; placeholders are none."""
    assert values.mac(text) == told


def test_key_value_lines() -> None:
    """Comments and other lines are left out; the first of a key stands; no pair at all is another protocol."""
    told = values.pairs(b"# note\r\na.b[0].C=1=2\r\n<html>\r\na.b[0].C=3\r\n", "x")
    assert told == {"a.b[0].C": "1=2"}
    for body, reason in ((b"<html></html>", "not_the_protocol"), (b" \r\n", "empty_reply")):
        with pytest.raises(RemoteProtocolError) as caught:
            values.pairs(body, "x")
        assert caught.value.code == reason


@given(st.text(max_size=60))
def test_no_reader_raises(text: str) -> None:
    """Any text is a value or nothing."""
    assert values.boolean(text) in {True, False, None}
    for told in (values.integer(text), values.port(text)):
        assert told is None or isinstance(told, int)
    values.number(text)
    values.encoding(text)
    values.mac(text)
    values.size(text)
    values.word(text)
    offset, _saving = values.posix_offset_min(text)
    assert offset is None or abs(offset) <= timedelta(hours=15).total_seconds() / 60
    values.moment(text)
