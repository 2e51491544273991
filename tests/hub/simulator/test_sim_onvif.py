"""The scripted cameras' ONVIF side, spoken to by httpx, by raw SOAP and by onvif-zeep-async."""

import asyncio
from datetime import UTC, datetime, timedelta

import av
import httpx
import pytest
from lxml import etree
from running_hub import JumpClock
from sim_support import camera, soap, username_token

from hub.simulator.presets import OnvifScript, shipped

DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
TT = "{http://www.onvif.org/ver10/schema}"
PATHS = {DEVICE: "/onvif/device_service", MEDIA: "/onvif/media_service", MEDIA2: "/onvif/media2_service"}
HEADERS = {"Content-Type": "application/soap+xml; charset=utf-8"}


def created(cam, seconds: float = 0.0) -> str:
    """Return a wsu:Created of the camera's clock."""
    return f"{datetime.now(UTC) + timedelta(seconds=cam.clock_offset_s + seconds):%Y-%m-%dT%H:%M:%SZ}"


async def ask(client, cam, namespace, operation, inner="", header="", auth=None):
    """Send one SOAP request."""
    url = cam.onvif_url.replace("onvif://", "http://") + PATHS[namespace]
    return await client.post(
        url, content=soap(namespace, operation, inner, header), headers=HEADERS, auth=auth
    )


def story(which="good-onvif", clock=None):
    """Run a test's coroutine with a client and a camera."""

    def wrap(body):
        async def run():
            async with camera(which, clock) as cam, httpx.AsyncClient(trust_env=False) as client:
                await body(client, cam)

        def test():
            asyncio.run(run())

        test.__name__, test.__doc__ = body.__name__, body.__doc__
        return test

    return wrap


def with_auth(name: str, **onvif):
    """Return a preset with another ONVIF script."""
    preset = shipped()[name]
    return preset.model_copy(update={"onvif": OnvifScript(**{**preset.onvif.model_dump(), **onvif})})


@story()
async def test_answers_the_clock_and_services_before_a_login(client, cam):
    """PRE_AUTH operations are answered without a credential; the clock shows UTC, NTP and +07:00."""
    clock = await ask(client, cam, DEVICE, "GetSystemDateAndTime")
    tree = etree.fromstring(clock.content)
    assert clock.status_code == 200
    assert tree.findtext(f".//{TT}DateTimeType") == "NTP"
    assert tree.findtext(f".//{TT}TZ") == "ICT-7"
    hours = [int(found.text) for found in tree.iter(f"{TT}Hour")]
    assert (hours[1] - hours[0]) % 24 == 7
    services = await ask(
        client, cam, DEVICE, "GetServices", "<o:IncludeCapability>false</o:IncludeCapability>"
    )
    for namespace, path in PATHS.items():
        assert namespace in services.text
        assert f"{cam.onvif_url.replace('onvif', 'http')}{path}" in services.text
    assert (await ask(client, cam, DEVICE, "GetCapabilities")).status_code == 200
    assert (await ask(client, cam, MEDIA2, "GetServiceCapabilities")).status_code == 200
    assert cam.counters.credentialed == 0


@story()
async def test_challenges_an_anonymous_reader_with_digest_only(client, cam):
    """A protected operation without a credential gets 401, Digest SHA-256 and MD5, and a NotAuthorized fault."""
    for namespace, operation in (
        (DEVICE, "GetDeviceInformation"),
        (MEDIA, "GetProfiles"),
        (MEDIA2, "GetProfiles"),
    ):
        answer = await ask(client, cam, namespace, operation)
        offers = answer.headers.get_list("www-authenticate")
        assert answer.status_code == 401
        assert ["SHA-256" in offers[0], "MD5" in offers[1], len(offers)] == [True, True, 2]
        assert all(offer.startswith("Digest ") and 'qop="auth"' in offer for offer in offers)
        assert "ter:NotAuthorized" in answer.text


@story()
async def test_accepts_http_digest_and_refuses_a_wrong_one(client, cam):
    """An independent Digest client reads the device; with a wrong password it does not."""
    right = httpx.DigestAuth(cam.user, cam.password)
    for _ in range(3):
        answer = await ask(client, cam, DEVICE, "GetDeviceInformation", auth=right)
        assert answer.status_code == 200
        assert "Thử nghiệm" in answer.text
    assert cam.counters.refused == 0
    wrong = await ask(client, cam, DEVICE, "GetDeviceInformation", auth=httpx.DigestAuth(cam.user, "guess"))
    assert (wrong.status_code, cam.counters.refused) == (401, 1)
    assert "stale" not in wrong.headers["www-authenticate"]


LATER = JumpClock()


@story(with_auth("good-onvif", nonce_lifetime_s=300), LATER)
async def test_old_nonce_is_answered_with_stale(client, cam):
    """A right digest on an old nonce gets stale=true, which a client answers without asking anybody."""
    auth = httpx.DigestAuth(cam.user, cam.password)
    assert (await ask(client, cam, DEVICE, "GetScopes", auth=auth)).status_code == 200
    LATER.ahead_s += 301
    old = next(auth.auth_flow(httpx.Request("POST", cam.onvif_url.replace("onvif", "http") + PATHS[DEVICE])))
    answer = await client.post(
        old.url,
        content=soap(DEVICE, "GetScopes"),
        headers={**HEADERS, "Authorization": old.headers["authorization"]},
    )
    assert answer.status_code == 401
    assert "stale=true" in answer.headers["www-authenticate"]
    assert cam.counters.refused == 0
    assert (await ask(client, cam, DEVICE, "GetScopes", auth=auth)).status_code == 200


@story("wrong-clock")
async def test_username_token_counts_by_the_cameras_clock(client, cam):
    """A token made by the camera's fast clock passes; one made by the right time is refused."""
    good = await ask(client, cam, DEVICE, "GetScopes", header=username_token(cam, created(cam)))
    bad = await ask(client, cam, DEVICE, "GetScopes", header=username_token(cam, created(cam, -421)))
    assert (good.status_code, bad.status_code) == (200, 400)
    assert "ter:NotAuthorized" in bad.text
    tree = etree.fromstring((await ask(client, cam, DEVICE, "GetSystemDateAndTime")).content)
    assert tree.findtext(f".//{TT}DateTimeType") == "Manual"


@story()
async def test_refuses_bad_username_tokens(client, cam):
    """A wrong password, a replayed nonce, an old token and a plain-text password are refused."""
    nonce = b"sixteen bytes 16"
    first = await ask(
        client, cam, MEDIA, "GetProfiles", header=username_token(cam, created(cam), nonce=nonce)
    )
    tokens = [
        username_token(cam, created(cam), nonce=nonce),
        username_token(cam, created(cam), password="guess"),
        username_token(cam, created(cam, -30)),
        username_token(cam, created(cam)).replace("#PasswordDigest", "#PasswordText"),
        username_token(cam, "yesterday"),
    ]
    answers = [await ask(client, cam, MEDIA, "GetProfiles", header=token) for token in tokens]
    assert first.status_code == 200
    assert [answer.status_code for answer in answers] == [400] * 5
    assert (cam.counters.credentialed, cam.counters.refused) == (6, 5)


@story(with_auth("good-onvif", auth="wsse"))
async def test_token_only_device_answers_with_a_fault(client, cam):
    """A device with UsernameToken alone answers anonymous readers 400 and a fault, without a Digest header."""
    answer = await ask(client, cam, DEVICE, "GetDeviceInformation")
    assert (answer.status_code, "www-authenticate" in answer.headers) == (400, False)
    assert "ter:NotAuthorized" in answer.text
    token = username_token(cam, created(cam))
    assert (await ask(client, cam, DEVICE, "GetDeviceInformation", header=token)).status_code == 200


@story("open-no-auth")
async def test_open_device_answers_anyone(client, cam):
    """The open camera gives system, media and picture without a credential."""
    assert (await ask(client, cam, DEVICE, "GetDeviceInformation")).status_code == 200
    assert (await ask(client, cam, MEDIA, "GetProfiles")).status_code == 200
    snapshot = await client.get(cam.onvif_url.replace("onvif", "http") + "/snapshot/main.jpg")
    assert (snapshot.status_code, snapshot.headers["content-type"]) == (200, "image/jpeg")


@story()
async def test_snapshot_is_a_picture_behind_a_login(client, cam):
    """The snapshot is refused without a login and is a 1280x720 JPEG with one."""
    auth = httpx.DigestAuth(cam.user, cam.password)
    asked = "<o:ProfileToken>profile_main</o:ProfileToken>"
    reply = await ask(client, cam, MEDIA, "GetSnapshotUri", asked, auth=auth)
    uri = etree.fromstring(reply.content).findtext(f".//{TT}Uri")
    assert (await client.get(uri)).status_code == 401
    picture = await client.get(uri, auth=auth)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    decoder = av.CodecContext.create("mjpeg", "r")
    frame = (decoder.decode(av.Packet(picture.content)) + decoder.decode(None))[0]
    levels = bytes(frame.planes[0])
    assert (frame.width, frame.height) == (1280, 720)
    assert max(levels) - min(levels) > 150


@story()
async def test_faults_name_what_is_wrong(client, cam):
    """Unknown operations, tokens, paths and requests that are not SOAP get their own answers."""
    auth = httpx.DigestAuth(cam.user, cam.password)
    unknown = await ask(client, cam, DEVICE, "GetNothing", auth=auth)
    assert (unknown.status_code, "ter:ActionNotSupported" in unknown.text) == (500, True)
    token = await ask(client, cam, MEDIA, "GetStreamUri", "<o:ProfileToken>nope</o:ProfileToken>", auth=auth)
    assert (token.status_code, "ter:NoProfile" in token.text) == (400, True)
    users = await ask(client, cam, DEVICE, "GetUsers", auth=auth)
    assert (users.status_code, "ter:NotAuthorized" in users.text) == (403, True)
    base = cam.onvif_url.replace("onvif", "http")
    entity = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    for body in (b"<not xml", b"<a/>", entity):
        answer = await client.post(base + PATHS[DEVICE], content=body)
        assert answer.status_code in (400, 500)
        assert "Fault" in answer.text
    assert (await client.get(base + "/")).status_code == 404
    assert (await client.get(base + PATHS[DEVICE])).status_code == 405


@story("h265-only")
async def test_media2_filters_by_type_and_tells_h265(client, cam):
    """Media2 gives configurations only for the types asked for; Media1 has no encoder for H.265."""
    auth = httpx.DigestAuth(cam.user, cam.password)
    bare = await ask(client, cam, MEDIA2, "GetProfiles", auth=auth)
    asked = "<o:Type>VideoEncoder</o:Type>"
    full = await ask(client, cam, MEDIA2, "GetProfiles", asked, auth=auth)
    old = await ask(client, cam, MEDIA, "GetProfiles", auth=auth)
    assert ("Configurations" in bare.text, "VideoEncoderConfiguration" in old.text) == (False, False)
    tree = etree.fromstring(full.content)
    assert [found.text for found in tree.iter(f"{TT}Encoding")] == ["H265", "H265"]
    assert "VideoSource" not in full.text
    instances = await ask(client, cam, MEDIA2, "GetVideoEncoderInstances", auth=auth)
    assert "<tr2:Total>2</tr2:Total>" in instances.text


@story(with_auth("good-onvif", refused_operations=("GetNTP",)))
async def test_refuses_operations_that_the_script_names(client, cam):
    """An operation on the script's list is answered with ActionNotSupported."""
    answer = await ask(client, cam, DEVICE, "GetNTP", auth=httpx.DigestAuth(cam.user, cam.password))
    assert "ter:ActionNotSupported" in answer.text


@pytest.mark.parametrize("name", ["good-onvif", "wrong-clock", "mjpeg-2009"])
def test_an_independent_onvif_library_reads_everything(name):
    """onvif-zeep-async, with its own token and schema, reads services, identity, network, profiles and addresses."""
    from onvif import ONVIFCamera

    async def run():
        async with camera(name) as cam:
            host, port = cam.onvif_url.removeprefix("onvif://").split(":")
            peer = ONVIFCamera(host, int(port), cam.user, cam.password, adjust_time=True)
            try:
                await peer.update_xaddrs()
                assert {DEVICE, MEDIA} <= set(peer.xaddrs)
                device, media = await peer.create_devicemgmt_service(), await peer.create_media_service()
                info = await device.GetDeviceInformation()
                assert (info.Manufacturer, info.SerialNumber) == ("Thử nghiệm", cam.device.serial)
                scopes = [str(scope.ScopeItem) for scope in await device.GetScopes()]
                for kind in ("name", "hardware", "Profile"):
                    assert any(f"/{kind}/" in scope for scope in scopes)
                interfaces = await device.GetNetworkInterfaces()
                assert interfaces[0].Info.HwAddress == cam.device.mac
                assert [found.Name for found in await device.GetNetworkProtocols()] == [
                    "HTTP",
                    "HTTPS",
                    "RTSP",
                ]
                servers = [found.DNSname for found in (await device.GetNTP()).NTPManual]
                assert servers == list(cam.preset.clock.ntp_servers)
                assert cam.device.endpoint == (await device.GetEndpointReference()).GUID
                profiles = await media.GetProfiles()
                main, script = profiles[0].VideoEncoderConfiguration, cam.preset.streams[0]
                assert (main.Encoding, main.Resolution.Width) == (script.codec, script.width)
                assert main.RateControl.FrameRateLimit == script.fps
                assert main.RateControl.BitrateLimit == script.bitrate_kbps
                stream = await media.GetStreamUri(
                    {
                        "StreamSetup": {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
                        "ProfileToken": profiles[0].token,
                    }
                )
                assert stream.Uri == cam.rtsp_url
            finally:
                await peer.close()

    asyncio.run(run())


def test_dead_camera_accepts_and_never_answers():
    """The dead camera takes the connection and says nothing."""

    async def run():
        async with camera("dead") as cam:
            assert cam.rtsp_url is None
            url = cam.onvif_url.replace("onvif", "http") + PATHS[DEVICE]
            async with httpx.AsyncClient(timeout=httpx.Timeout(60, read=0.5), trust_env=False) as client:
                with pytest.raises(httpx.ReadTimeout):
                    await client.post(url, content=soap(DEVICE, "GetSystemDateAndTime"))
            assert cam.counters.connections == 1

    asyncio.run(run())
