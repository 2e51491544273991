"""Reolink through its library: what is read, and that a wrong password is sent exactly once."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from library_device import CLOCK, PASSWORD, Device, device, make_context, probe

from adapters.errors import AuthenticationFailed, CameraFault, CoolingDown, RemoteProtocolError

pytest.importorskip("reolink_aio", reason='reolink-aio is not installed: pip install "camhub[reolink]"')

from adapters.reolink.adapter import ReolinkAdapter

VALUES: dict[str, Any] = {
    "GetDevInfo": {"DevInfo": {"model": "RLC-810A", "firmVer": "v3.1.0.956", "hardVer": "IPC_523", "channelNum": 1,
                               "serial": "00000000000000", "name": "Gate of somebody"}},
    "GetNetPort": {"NetPort": {"httpEnable": 0, "httpPort": 80, "httpsEnable": 1, "httpsPort": 443, "mediaPort": 9000,
                               "onvifEnable": 0, "onvifPort": 8000, "rtspEnable": 1, "rtspPort": 8554}},
    "GetUser": {"User": [{"userName": "admin", "level": "admin"}, {"userName": "viewer", "level": "guest"}]},
    "GetNtp": {"Ntp": {"enable": 1, "server": "pool.ntp.org", "port": 123}},
    "GetHddInfo": {"HddInfo": [{"capacity": 14849, "size": 2000, "mount": 1, "format": 1, "storageType": 2}]},
    "GetP2p": {"P2p": {"enable": 1, "uid": "95270000AAAA"}},
    "GetUpnp": {"Upnp": {"enable": 0}},
    "GetAbility": {"Ability": {"rtsp": {"permit": 6, "ver": 3}, "abilityChn": [{"mask": {"permit": 6, "ver": 1}}]}},
    "GetEnc": {"Enc": {"channel": 0, "mainStream": {"vType": "h265", "width": 3840, "height": 2160, "frameRate": 25,
                                                    "bitRate": 8192, "gop": 2},
                       "subStream": {"vType": "h264", "width": 640, "height": 360, "frameRate": 10, "bitRate": 256,
                                     "gop": 4}}},
    "GetRtspUrl": {"rtspUrl": {"channel": 0, "mainStream": "rtsp://10.9.9.9:554/h265Preview_01_main",
                               "subStream": "rtsp://10.9.9.9:554/h264Preview_01_sub"}},
    "GetMask": {"Mask": {"channel": 0, "enable": 1, "area": [{"block": {}}, {"block": {}}]}},
    "GetRecV20": {"Rec": {"enable": 1, "schedule": {"channel": 0, "table": {"TIMING": "1" * 168, "MD": "0" * 168}}}},
}  # fmt: skip


def refusal(detail: str = "login failed", code: int = -7) -> web.Response:
    told = [{"cmd": "Login", "code": 1, "error": {"detail": detail, "rspCode": code}}]
    return web.Response(text=json.dumps(told), content_type="text/html")


async def camera(request: web.Request) -> web.StreamResponse:
    """Answer as a Reolink camera does."""
    if request.path != "/cgi-bin/api.cgi":
        return web.Response(text="<html></html>", content_type="text/html")
    body = json.loads(await request.text())
    if body[0]["cmd"] == "Login":
        if body[0]["param"]["User"]["password"] != PASSWORD:
            return refusal()
        token = {"Token": {"name": "a-token", "leaseTime": 3600}}
        return web.json_response([{"cmd": "Login", "code": 0, "value": token}], content_type="text/html")
    if body[0]["cmd"] == "Logout":
        return web.Response(text="random", content_type="text/html")
    assert request.query["token"] == "a-token"
    now = CLOCK.now()
    clock = {"Time": {"year": now.year, "mon": now.month, "day": now.day, "hour": now.hour, "min": now.minute,
                      "sec": now.second, "timeZone": 0}, "Dst": {"enable": 0}}  # fmt: skip
    told = []
    for one in body:
        value = clock if one["cmd"] == "GetTime" else VALUES.get(one["cmd"])
        missing = {"cmd": one["cmd"], "code": 1, "error": {"detail": "not support", "rspCode": -9}}
        told.append(missing if value is None else {"cmd": one["cmd"], "code": 0, "value": value})
    return web.json_response(told, content_type="text/html")


def test_facts_and_streams_of_a_camera() -> None:
    """One login, one batch of reads and a logout bring identity, ports, accounts, storage, masks and both streams."""

    async def run() -> None:
        context = make_context()
        async with device(camera) as made:
            result = await probe(ReolinkAdapter(), "reolink", made.port, context=context)
            sockets = made.connections
        facts = result.observations.value
        assert result.failure is None
        assert (facts("device.manufacturer"), facts("device.model")) == ("Reolink", "RLC-810A")
        assert facts("device.serial") is None
        assert abs(facts("time.offset_s")) < 30
        assert facts("account.levels") == ("administrator", "user")
        assert facts("account.own_level") == "user"
        assert facts("service.onvif") is False
        assert facts("service.p2p") is True
        assert facts("storage.present") is True
        assert facts("privacy.masks") == 2
        assert facts("recording.mode") == "continuous"
        assert facts("stream.main.claimed_encoding") == "H265"
        assert facts("stream.sub.claimed_gov_length") == 40
        assert facts("credential.accepted") is True
        assert str(facts("tls.version")).startswith("TLSv1")
        assert [offer.target.url for offer in result.offers] == [
            "rtsp://127.0.0.1:8554/h265Preview_01_main",
            "rtsp://127.0.0.1:8554/h264Preview_01_sub",
        ]
        assert made.credentials == context.courtesy.logins == 1
        assert made.asked[-1].startswith("POST /cgi-bin/api.cgi?cmd=Logout")
        assert context.dialer.opened == sockets  # no socket beside the dialer's
        said = json.dumps(result.observations.as_json())
        assert "Gate of somebody" not in said
        assert "9527" not in said
        assert PASSWORD not in said

    asyncio.run(run())


async def _refuses_in_text(_request: web.Request) -> web.StreamResponse:
    return web.Response(
        text='[ { "cmd" : "Login", "code" : 1, "error" : { "detail" : "password wrong", "rspCode" : -7 } } ]',
        content_type="text/html",
    )


async def _locks(_request: web.Request) -> web.StreamResponse:
    return web.Response(text='{"error" : { "detail" : "Login has been locked" }}', content_type="text/html")


async def _breaks(request: web.Request) -> web.StreamResponse:
    if request.method == "POST":
        assert request.transport is not None
        request.transport.close()
    return web.Response(text="<html></html>")


async def _bad_gateway(request: web.Request) -> web.StreamResponse:
    return web.Response(status=502 if request.method == "POST" else 200)


async def _not_json(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>a router</html>", content_type="text/html")


@pytest.mark.parametrize("answer", [camera, _refuses_in_text, _locks])
def test_a_wrong_password_is_sent_once_and_cools_down(answer: Any) -> None:
    """The server counts one credential however the refusal is worded; the next probe sends none."""

    async def run(made: Device) -> None:
        context = make_context()
        result = await probe(ReolinkAdapter(), "reolink", made.port, "wrong", context=context)
        assert isinstance(result.failure, AuthenticationFailed)
        assert made.credentials == 1
        assert result.observations.value("credential.accepted") is False
        again = await probe(ReolinkAdapter(), "reolink", made.port, "wrong", context=context)
        assert isinstance(again.failure, CoolingDown)
        assert made.credentials == 1

    async def whole() -> None:
        async with device(answer) as made:
            await run(made)

    asyncio.run(whole())


@pytest.mark.parametrize("answer", [_breaks, _bad_gateway, _not_json])
def test_a_broken_login_is_not_repeated(answer: Any) -> None:
    """The library would send the password up to three times after errors; one leaves, and port 9000 is not asked."""

    async def run() -> None:
        context = make_context()
        async with device(answer) as made:
            result = await probe(ReolinkAdapter(), "reolink", made.port, "wrong", context=context)
            assert result.failure is not None
            assert made.credentials == 1
            assert context.dialer.opened == made.connections

    asyncio.run(run())


def test_full_camera_is_not_a_wrong_password() -> None:
    """ "max session" is the device's fault: no cool-down, and the sentence says what to close."""

    async def full(request: web.Request) -> web.StreamResponse:
        return refusal("max session", -5)

    async def run() -> None:
        context = make_context()
        async with device(full) as made:
            result = await probe(ReolinkAdapter(), "reolink", made.port, context=context)
            assert isinstance(result.failure, CameraFault)
            await context.gate.admit(context.device)

    asyncio.run(run())


def test_no_redirect_and_no_endless_reply() -> None:
    """A redirect to another host is not followed, and a reply of any length is read to its bound only."""

    async def away(request: web.Request) -> web.StreamResponse:
        return web.Response(
            status=302 if request.method == "POST" else 200, headers={"Location": "https://10.0.0.9/"}
        )

    async def endless(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/html"})
        await reply.prepare(request)
        for _ in range(20 if request.method == "POST" else 0):
            await reply.write(b"x" * (1 << 20))
        return reply

    async def run() -> None:
        for answer in (away, endless):
            async with device(answer) as made:
                result = await probe(ReolinkAdapter(), "reolink", made.port)
            assert isinstance(result.failure, RemoteProtocolError), result.failure
            assert made.credentials == 1

    asyncio.run(run())


def test_without_a_credential_nothing_but_the_start_page_is_asked() -> None:
    """No account: reachability is seen, the rest says why not."""

    async def run() -> None:
        async with device(camera) as made:
            result = await probe(ReolinkAdapter(), "reolink", made.port, None)
        assert isinstance(result.failure, AuthenticationFailed)
        assert made.asked == ["GET /"] * 3
        assert result.observations.value("reach.answers") == 3

    asyncio.run(run())
