"""Logs and feeds: secrets stay out, slow readers do not hold others up."""

import asyncio
import io
import json

import structlog

from adapters.secret import Credential, Secret
from hub.feeds import LIMIT, Feeds
from hub.observe import configure_logging


def test_log_lines_hold_no_secret() -> None:
    """Values are redacted by name, by type, and inside addresses; a traceback shows no local values."""
    out = io.StringIO()
    configure_logging("debug", "console", out)
    try:
        log = structlog.get_logger("test")
        hidden = "hunter2-hidden"
        log.info(
            "a.b",
            password=hidden,
            url=f"rtsp://u:{hidden}@10.0.0.5/x",
            account=Credential("u", Secret(hidden)),
        )
        try:
            raise RuntimeError("broken")
        except RuntimeError as error:
            log.error("c.d", exc_info=error)
        try:
            raise RuntimeError(f"GET http://u:{hidden}@10.0.0.5/ pwd={hidden}")
        except RuntimeError:
            log.exception("e.f", reply=f"<Password>{hidden}</Password>", headers={"Cookie": f"a={hidden}"})
        told = out.getvalue()
    finally:
        structlog.reset_defaults()

    assert hidden not in told
    assert "rtsp://•••@10.0.0.5/x" in told
    assert "RuntimeError: broken" in told


def test_json_log_is_one_object_per_line() -> None:
    """Each event is one JSON object with event name, level and time."""
    out = io.StringIO()
    configure_logging("info", "json", out)
    try:
        structlog.get_logger("test").info("hub.started", url="http://127.0.0.1:1")
        structlog.get_logger("test").debug("not.shown")
    finally:
        structlog.reset_defaults()

    (line,) = out.getvalue().splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["url"]) == ("hub.started", "info", "http://127.0.0.1:1")


def test_slow_reader_loses_its_feed_only() -> None:
    """A reader that lags is closed after what fits; another one gets everything."""

    async def work() -> None:
        feeds = Feeds()
        slow, quick = feeds.open(), feeds.open()
        got = []
        for number in range(LIMIT + 50):
            feeds.put("n", {"n": number})
            event = await quick.get()
            assert event is not None
            got.append(event[1]["n"])
        assert got == list(range(LIMIT + 50))
        assert slow.closed
        assert len(feeds) == 1
        feeds.end()
        assert await quick.get() is None
        assert len(feeds) == 0

    asyncio.run(work())
