"""A Protect console through its library: what is read, and that a wrong password is sent exactly once."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from library_device import PASSWORD, Device, device, make_context, probe

from adapters.errors import AuthenticationFailed, CoolingDown

pytest.importorskip("uiprotect", reason='uiprotect is not installed: pip install "camhub[unifi]"')

from adapters.unifi.adapter import UnifiAdapter

CAMERA = {
    "id": "e2ff0ade6be0f2a2beb61869", "type": "UVC G4 Pro", "marketName": "G4 Pro", "firmwareVersion": "4.48.16",
    "name": "Gate of somebody", "mac": "7CD8B3286400", "isConnected": True, "isSshEnabled": False, "privacyZones": [{}],
    "featureFlags": {"hasPrivacyMask": True}, "recordingSettings": {"mode": "always"}, "videoCodec": "h265",
    "channels": [
        {"id": 0, "videoId": "video1", "isRtspEnabled": True, "rtspAlias": "aLias1", "width": 3840, "height": 2160,
         "fps": 24, "bitrate": 16000000, "idrInterval": 5},
        {"id": 1, "videoId": "video3", "isRtspEnabled": False, "rtspAlias": None, "width": 1280, "height": 720,
         "fps": 24, "bitrate": 2000000, "idrInterval": 5},
    ],
}  # fmt: skip
STATE = {
    "authUserId": "u1",
    "nvr": {"version": "5.0.40", "firmwareVersion": "4.0.3", "type": "UNVR", "ports": {"https": 443, "rtsps": 7441, "rtsp": 7447}},
    "cameras": [CAMERA],
    "users": [{"id": "u1", "isOwner": False, "allPermissions": ["camera:read,readlive:*", "user:read,write:$"]}],
}  # fmt: skip


def token() -> str:
    """Return a token without an end, as some firmware gives it: the library takes it for no login."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, {})]
    return ".".join([*parts, "signature"])


async def console(request: web.Request) -> web.StreamResponse:
    """Answer as a console does."""
    if request.path == "/api/auth/login":
        if json.loads(await request.text())["password"] != PASSWORD:
            return web.json_response({"error": "unauthorized"}, status=401)
        reply = web.json_response({})
        reply.set_cookie("TOKEN", token())
        return reply
    if request.path == "/proxy/protect/api/bootstrap":
        if "TOKEN" not in request.headers.get("cookie", ""):
            return web.Response(status=401)
        return web.json_response(STATE)
    return web.Response(text="<html></html>", content_type="text/html")


def test_facts_and_streams_of_a_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One login, one read and a logout bring the console and its camera; nothing is kept on disk."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    async def run() -> None:
        context = make_context()
        async with device(console) as made:
            result = await probe(UnifiAdapter(), "unifi", made.port, context=context, path=f"/{CAMERA['id']}")
            sockets = made.connections
        facts = result.observations.value
        assert result.failure is None
        assert (facts("device.manufacturer"), facts("device.model"), facts("device.firmware")) == (
            "Ubiquiti",
            "G4 Pro",
            "4.48.16",
        )
        assert facts("account.own_level") == "user"
        assert facts("privacy.masks") == 1
        assert facts("recording.mode") == "continuous"
        assert facts("stream.main.claimed_encoding") == "H265"
        assert [offer.target.url for offer in result.offers] == ["rtsps://127.0.0.1:7441/aLias1"]
        assert made.credentials == context.courtesy.logins == 1
        assert made.asked[-1] == "POST /api/auth/logout"
        assert context.dialer.opened == sockets
        said = json.dumps(result.observations.as_json())
        assert "Gate of somebody" not in said
        assert "aLias1" not in said
        assert PASSWORD not in said

    asyncio.run(run())
    assert not list(tmp_path.rglob("*"))


def test_a_wrong_password_is_sent_once_and_cools_down() -> None:
    """The console counts one credential; the next probe sends none."""

    async def run(made: Device) -> None:
        context = make_context()
        result = await probe(UnifiAdapter(), "unifi", made.port, "wrong", context=context)
        assert isinstance(result.failure, AuthenticationFailed)
        assert made.credentials == 1
        again = await probe(UnifiAdapter(), "unifi", made.port, "wrong", context=context)
        assert isinstance(again.failure, CoolingDown)
        assert made.credentials == 1

    async def whole() -> None:
        async with device(console) as made:
            await run(made)

    asyncio.run(whole())


async def _ends_the_session(request: web.Request) -> web.StreamResponse:
    if request.path.endswith("/bootstrap"):
        return web.Response(status=401)
    return await console(request)


async def _hangs_up(request: web.Request) -> web.StreamResponse:
    if request.path == "/api/auth/login":
        assert request.transport is not None
        request.transport.close()
    return web.Response(text="<html></html>")


async def _too_many(request: web.Request) -> web.StreamResponse:
    return web.Response(status=429 if request.method == "POST" else 200)


async def _away(request: web.Request) -> web.StreamResponse:
    away = request.path == "/api/auth/login"
    return web.Response(status=307 if away else 200, headers={"Location": "https://10.0.0.9/api/auth/login"})


@pytest.mark.parametrize("answer", [_ends_the_session, _hangs_up, _too_many, _away])
def test_nothing_makes_it_log_in_twice(answer: Any) -> None:
    """A dropped session, a closed connection, 429 and a redirect each end the probe after one credential."""

    async def run() -> None:
        context = make_context()
        async with device(answer) as made:
            result = await probe(UnifiAdapter(), "unifi", made.port, context=context)
            assert result.failure is not None
            assert made.credentials == 1
            assert context.dialer.opened == made.connections

    asyncio.run(run())
