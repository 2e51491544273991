"""Garbage towards the scripted cameras: they answer or cut, log nothing unforeseen, and go on."""

import asyncio
import gc
import random
from urllib.parse import urlsplit

import pytest
from sim_support import Talk, camera, soap, username_token

RTSP_SEEDS = [
    b'DESCRIBE rtsp://127.0.0.1/main RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Digest username="admin", response="\xc3\xa9"\r\n\r\n',
    b"SETUP rtsp://[::1/main/trackID=1 RTSP/1.0\r\nCSeq: 2\r\nTransport: RTP/AVP;client_port=-1--\r\n\r\n",
    b"OPTIONS * RTSP/2.0\r\nCSeq: 3\r\n\r\nOPTIONS * RTSP/1.0\r\n\r\n",
    b"GET_PARAMETER rtsp://x RTSP/1.0\r\nCSeq: 4\r\nContent-Length: 99999999999\r\n\r\n",
    b"$\x00\xff\xff short",
    b"\x00" * 200_000,
]


def mutations(seeds, count, seed):
    """Return the seeds and changed, cut and joined ones."""
    chance = random.Random(seed)
    made = list(seeds)
    for _ in range(count):
        data = bytearray(chance.choice(seeds)[:4000])
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data))
            if chance.random() < 0.5:
                data[at] = chance.randrange(256)
            else:
                del data[at : at + chance.randint(1, 20)]
            data = data or bytearray(b"x")
        made.append(bytes(data))
    return made


async def throw(port, data):
    """Send bytes, close the sending side and read what comes until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(60):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("name", ["household-no-onvif", "open-no-auth"])
def test_rtsp_survives_garbage(name):
    """Broken requests cost their own connection at most."""

    async def story():
        troubles = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: troubles.append(context))
        async with camera(name) as cam:
            path = urlsplit(cam.rtsp_url).path.encode()
            seeds = [seed.replace(b"/main", path) for seed in RTSP_SEEDS]
            for data in mutations(seeds, 150, name):
                await throw(cam.device.rtsp_port, data)
            talk = await Talk.to(cam.rtsp_url)
            assert (await talk.send("OPTIONS", cam.rtsp_url)).status == 200
            await talk.close()
        gc.collect()
        assert troubles == []

    asyncio.run(story())


def test_http_survives_garbage():
    """Broken HTTP and SOAP cost their own connection at most."""

    async def story():
        troubles = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: troubles.append(context))
        async with camera("good-onvif") as cam:
            namespace = "http://www.onvif.org/ver10/media/wsdl"
            token = username_token(cam, "2026-01-01T00:00:00Z").replace("=</", "é</")
            bodies = [
                soap(namespace, "GetProfiles", header=token),
                soap(namespace, "GetStreamUri", "<o:ProfileToken/>"),
                soap("", "GetProfiles"),
                '<?xml version="1.0" encoding="utf-16"?><a>é</a>'.encode(),
            ]
            seeds = [
                b"POST /onvif/media_service HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                for body in bodies
            ]
            seeds += [
                b"GET /snapshot/main.jpg HTTP/1.1\r\nAuthorization: Digest response=\xff\xfe\r\n\r\n",
                b"POST /onvif/device_service HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            ]
            for data in mutations(seeds, 150, "http"):
                await throw(cam.device.onvif_port, data)
            reader, writer = await asyncio.open_connection("127.0.0.1", cam.device.onvif_port)
            writer.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
            writer.close()
        gc.collect()
        assert troubles == []

    asyncio.run(story())
