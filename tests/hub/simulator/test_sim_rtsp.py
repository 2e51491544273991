"""The scripted cameras' RTSP server, spoken to byte by byte."""

import asyncio
import itertools
import struct

import pytest
from patience import PATIENCE_S
from running_hub import JumpClock
from sim_support import Talk, camera, preset

from adapters.clock import SystemClock
from hub.simulator.camera import ScriptedCamera
from hub.simulator.studio import CodedPicture, Studio

TCP = "RTP/AVP/TCP;unicast;interleaved=0-1"


def test_offers_both_digests_and_accepts_each():
    """SHA-256 is offered before MD5, and a right answer to either opens the stream."""

    async def story():
        async with camera("household-no-onvif") as cam:
            talk = await Talk.to(cam.rtsp_url)
            for algorithm, qop in (("SHA-256", True), ("MD5", True), ("MD5", False)):
                asked = await talk.send("DESCRIBE", cam.rtsp_url)
                assert asked.status == 401
                assert list(talk.challenges) == ["SHA-256", "MD5"]
                assert all("Basic" not in value for value in asked.headers["www-authenticate"])
                talk.nonce_count = 0
                login = talk.authorization(cam, "DESCRIBE", cam.rtsp_url, algorithm=algorithm, qop=qop)
                answer = await talk.send(
                    "DESCRIBE", cam.rtsp_url, Authorization=login, Accept="application/sdp"
                )
                assert answer.status == 200
                assert b"a=rtpmap:96 H264/90000" in answer.body
                assert b"sprop-parameter-sets=" in answer.body
            await talk.close()

    asyncio.run(story())


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_refuses_a_wrong_password_and_a_signature_of_another_address(algorithm):
    """A wrong digest is refused, counted, and not called stale."""

    async def story():
        async with camera("household-no-onvif") as cam:
            talk = await Talk.to(cam.rtsp_url)
            for uri, password in ((cam.rtsp_url, "guess"), (cam.rtsp_url + "x", cam.password)):
                await talk.send("DESCRIBE", cam.rtsp_url)
                login = talk.authorization(cam, "DESCRIBE", uri, algorithm=algorithm, password=password)
                answer = await talk.send("DESCRIBE", cam.rtsp_url, Authorization=login)
                assert answer.status == 401
                assert not any("stale" in value for value in answer.headers["www-authenticate"])
            assert (cam.counters.credentialed, cam.counters.refused) == (2, 2)
            assert "SHA-256" in talk.challenges
            await talk.close()

    asyncio.run(story())


def test_refuses_a_replayed_request():
    """The same nonce count twice is a replay (RFC 7616 section 3.4)."""

    async def story():
        async with camera("household-no-onvif") as cam:
            talk = await Talk.to(cam.rtsp_url)
            await talk.send("DESCRIBE", cam.rtsp_url)
            login = talk.authorization(cam, "DESCRIBE", cam.rtsp_url)
            statuses = [
                (await talk.send("DESCRIBE", cam.rtsp_url, Authorization=login)).status for _ in range(2)
            ]
            assert statuses == [200, 401]
            await talk.close()

    asyncio.run(story())


def test_says_stale_after_the_nonce_has_changed():
    """A right login on an old nonce gets 401 with stale=true and is not a refused login."""

    async def story():
        async with camera("household-no-onvif") as cam:
            talk = await Talk.to(cam.rtsp_url)
            assert (await talk.call(cam, "DESCRIBE", cam.rtsp_url)).status == 200
            cam.change_nonce()
            old = await talk.call(cam, "DESCRIBE", cam.rtsp_url)
            assert old.status == 401
            assert all("stale=true" in value for value in old.headers["www-authenticate"])
            assert (await talk.call(cam, "DESCRIBE", cam.rtsp_url)).status == 200
            assert cam.counters.refused == 0
            await talk.close()

    asyncio.run(story())


def test_nonce_lifetime_makes_a_nonce_stale():
    """A nonce older than its lifetime is stale."""

    async def story():
        clock = JumpClock()
        async with camera(preset("household-no-onvif", nonce_lifetime_s=300), clock) as cam:
            talk = await Talk.to(cam.rtsp_url)
            assert (await talk.call(cam, "DESCRIBE", cam.rtsp_url)).status == 200
            clock.ahead_s += 301
            assert "stale=true" in (await talk.call(cam, "DESCRIBE", cam.rtsp_url)).one("www-authenticate")
            await talk.close()

    asyncio.run(story())


def test_refuses_all_when_told():
    """With `refuse_all` the right password is refused, as after a change of password."""

    async def story():
        async with camera("household-no-onvif") as cam:
            cam.refuse_all = True
            talk = await Talk.to(cam.rtsp_url)
            assert (await talk.call(cam, "DESCRIBE", cam.rtsp_url)).status == 401
            cam.refuse_all = False
            assert (await talk.call(cam, "DESCRIBE", cam.rtsp_url)).status == 200
            await talk.close()

    asyncio.run(story())


def test_open_camera_answers_anyone():
    """The camera without a password describes and plays without a login."""

    async def story():
        async with camera("open-no-auth") as cam:
            talk = await Talk.to(cam.rtsp_url)
            assert (await talk.send("DESCRIBE", cam.rtsp_url)).status == 200
            setup = await talk.send("SETUP", f"{cam.rtsp_url}/trackID=1", Transport=TCP)
            assert (setup.status, cam.counters.credentialed) == (200, 0)
            await talk.close()

    asyncio.run(story())


def test_session_ends_without_keep_alive_and_then_is_not_found():
    """A session without requests ends after its timeout: media stops with a BYE, requests get 454."""

    async def story():
        async with camera(preset("low-resolution", session_timeout_s=0.6)) as cam:
            talk = await Talk.to(cam.rtsp_url)
            session = await talk.play(cam)
            async with asyncio.timeout(PATIENCE_S):
                channel, packet = 0, b""
                while channel == 0 or packet[1] != 201:
                    channel, packet = await talk.packet()
            assert packet[-7] == 203  # the BYE of the compound
            late = await talk.call(cam, "GET_PARAMETER", cam.rtsp_url, Session=session)
            assert late.status == 454
            assert cam.playing == 0
            await talk.close()

    asyncio.run(story())


@pytest.mark.long
def test_keep_alive_keeps_the_session():
    """GET_PARAMETER and OPTIONS with the session start the timeout anew."""

    async def story():
        async with camera(preset("low-resolution", session_timeout_s=1.5)) as cam:
            talk = await Talk.to(cam.rtsp_url)
            session = await talk.play(cam)
            for method in ("GET_PARAMETER", "OPTIONS", "GET_PARAMETER"):
                await asyncio.sleep(0.6)
                assert (await talk.call(cam, method, cam.rtsp_url, Session=session)).status == 200
            assert cam.playing == 1
            assert (await talk.call(cam, "TEARDOWN", cam.rtsp_url, Session=session)).status == 200
            assert cam.playing == 0
            await talk.close()

    asyncio.run(story())


def test_begins_with_a_sender_report_and_a_key_frame():
    """The first packets are a sender report by the camera's clock and then the parameter sets of a key frame."""

    async def story():
        async with camera("wrong-clock") as cam:
            talk = await Talk.to(cam.rtsp_url)
            await talk.play(cam)
            channel, report = await talk.packet()
            ntp_seconds = struct.unpack(">I", report[8:12])[0] - 2_208_988_800
            offset = ntp_seconds - SystemClock().now().timestamp()
            assert (channel, report[1]) == (1, 200)
            assert 360 <= offset <= 422  # less by what a busy machine takes to look at it
            channel, first = await talk.packet()
            assert (channel, first[12] & 31) == (0, 7)
            await talk.close()

    asyncio.run(story())


def test_rtp_info_announces_the_first_packet():
    """RTP-Info names the sequence number of the first packet and a timestamp of that moment."""

    async def story():
        async with camera("low-resolution") as cam:
            talk = await Talk.to(cam.rtsp_url)
            setup = await talk.call(cam, "SETUP", f"{cam.rtsp_url}/trackID=1", Transport=TCP)
            session = setup.one("Session").split(";")[0]
            play = await talk.call(cam, "PLAY", cam.rtsp_url, Session=session)
            info = dict(part.split("=", 1) for part in play.one("RTP-Info").split(";"))
            await talk.packet()
            packet = (await talk.packet())[1]
            sequence, timestamp, ssrc = struct.unpack(">HII", packet[2:12])
            assert sequence == int(info["seq"])
            assert 0 <= (timestamp - int(info["rtptime"])) % 2**32 < 90_000
            assert f"ssrc={ssrc:08X}" in setup.one("Transport")
            await talk.close()

    asyncio.run(story())


def test_one_encoder_serves_every_client_and_stops_with_the_last():
    """Two cameras of a preset with a client each need one encoder, which runs only while somebody takes it."""

    async def story():
        studio = Studio(SystemClock())
        cams = [ScriptedCamera(preset("low-resolution"), SystemClock(), studio=studio) for _ in range(2)]
        talks = []
        for cam in cams:
            await cam.start()
            talks.append(await Talk.to(cam.rtsp_url))
            assert studio.running == len(talks) - 1
            await talks[-1].play(cam)
            assert studio.running == 1
        for cam, talk in zip(cams, talks, strict=True):
            await talk.packet()
            assert (await talk.packet())[1][12] & 31 == 7
            await talk.close()
            await cam.stop()
        assert studio.running == 0
        await studio.aclose()

    asyncio.run(story())


def test_a_client_that_joins_gets_nothing_before_a_key_frame():
    """A picture that was under way when somebody joined is not for them."""

    async def story():
        studio = Studio(SystemClock())
        chosen = preset("low-resolution")
        encoder = studio.encoder(chosen, chosen.streams[0])
        got = []
        encoder.subscribe(got.append)
        pictures = [CodedPicture(index, index == 1, (b"x",)) for index in range(3)]
        for picture in pictures:
            encoder._deliver(encoder._stop, picture)
        assert got == pictures[1:]
        await studio.aclose()

    asyncio.run(story())


def test_marks_the_last_packet_of_each_picture():
    """The marker bit stands on the last packet of a picture and nowhere else."""

    async def story():
        async with camera("good-onvif") as cam:
            talk = await Talk.to(cam.rtsp_url)
            await talk.play(cam)
            media = []
            while len(media) < 40:
                channel, packet = await talk.packet()
                if channel == 0:
                    media.append(packet)
            for packet, following in itertools.pairwise(media):
                assert (packet[1] >> 7 == 1) is (packet[4:8] != following[4:8])
            await talk.close()

    asyncio.run(story())


@pytest.mark.long
def test_stalls_and_goes_on_with_a_key_frame():
    """While media is paused the session answers but nothing is sent; afterwards it goes on with a key frame."""

    async def story():
        async with camera("low-resolution") as cam:
            talk = await Talk.to(cam.rtsp_url)
            session = await talk.play(cam)
            for _ in range(5):
                last = (await talk.packet())[1]
            cam.pause_media()
            assert (await talk.call(cam, "GET_PARAMETER", cam.rtsp_url, Session=session)).status == 200
            while talk.packets:
                last = talk.packets.pop(0)[1]
            with pytest.raises(TimeoutError):
                last = await asyncio.wait_for(talk.packet(), 0.5)
            cam.resume_media()
            sequence = struct.unpack(">H", last[2:4])[0]
            following = (await talk.packet())[1]
            assert following[12] & 31 == 7
            assert struct.unpack(">H", following[2:4])[0] == (sequence + 1) % 65536
            await talk.close()

    asyncio.run(story())


def test_comes_back_on_the_same_ports():
    """A killed camera refuses connections; after restart it plays at the same address with the same password."""

    async def story():
        async with camera("low-resolution") as cam:
            before = cam.rtsp_url, cam.onvif_url, cam.password
            talk = await Talk.to(cam.rtsp_url)
            await talk.play(cam)
            await cam.kill()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await talk.drain()
            with pytest.raises(ConnectionRefusedError):
                await Talk.to(cam.rtsp_url)
            assert cam.device.studio.running == 0
            await cam.restart()
            assert (cam.rtsp_url, cam.onvif_url, cam.password) == before
            again = await Talk.to(cam.rtsp_url)
            await again.play(cam)
            await again.packet()
            await talk.close()
            await again.close()

    asyncio.run(story())


def test_limits_and_wrong_requests_have_their_own_answers():
    """Unknown paths, transports, sessions and methods, and too many sessions, are refused by number."""

    async def story():
        only_tcp = preset("household-no-onvif", transports=("tcp",), max_sessions=1, max_connections=2)
        async with camera(only_tcp) as cam:
            talk = await Talk.to(cam.rtsp_url)
            track = f"{cam.rtsp_url}/trackID=1"
            other = cam.rtsp_url.replace("/main", "/other")
            assert (await talk.call(cam, "DESCRIBE", other)).status == 404
            assert (await talk.call(cam, "DESCRIBE", cam.rtsp_url, Accept="text/html")).status == 406
            assert (await talk.call(cam, "SETUP", track, Transport="RTP/AVP;multicast")).status == 461
            udp = await talk.call(cam, "SETUP", track, Transport="RTP/AVP;unicast;client_port=5000-5001")
            assert udp.status == 461
            assert (await talk.call(cam, "PLAY", cam.rtsp_url, Session="none")).status == 454
            assert (await talk.send("RECORD", cam.rtsp_url)).status == 501
            assert (await talk.call(cam, "SETUP", track, Transport=TCP)).status == 200
            assert (await talk.call(cam, "SETUP", track, Transport=TCP)).status == 453
            stranger = await Talk.to(cam.rtsp_url)
            key = next(iter(cam._rtsp.sessions))
            assert (await stranger.call(cam, "TEARDOWN", cam.rtsp_url, Session=key)).status == 454
            await stranger.close()
            await asyncio.sleep(0.05)
            second, third = await Talk.to(cam.rtsp_url), await Talk.to(cam.rtsp_url)
            assert (await second.send("OPTIONS", "*")).status == 200
            assert (await third.reply()).status == 503
            third.writer.write(b"x")
            second.writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert (await second.reply()).status == 400
            for each in (talk, second, third):
                await each.close()

    asyncio.run(story())


def test_sends_datagrams_in_order_to_the_named_ports():
    """Over UDP the packets come from the announced ports, without a gap, and a report arrives beside them."""

    class Ear(asyncio.DatagramProtocol):
        def __init__(self):
            self.heard = []

        def datagram_received(self, data, addr):
            self.heard.append((data, addr))

    async def story():
        loop = asyncio.get_running_loop()
        async with camera("low-resolution") as cam:
            media, reports = Ear(), Ear()
            sockets = [
                (await loop.create_datagram_endpoint(lambda ear=ear: ear, local_addr=("127.0.0.1", 0)))[0]
                for ear in (media, reports)
            ]
            ports = [each.get_extra_info("sockname")[1] for each in sockets]
            talk = await Talk.to(cam.rtsp_url)
            setup = await talk.call(
                cam,
                "SETUP",
                f"{cam.rtsp_url}/trackID=1",
                Transport=f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]}",
            )
            server = int(setup.one("Transport").split("server_port=")[1].split("-")[0])
            session = setup.one("Session").split(";")[0]
            await talk.call(cam, "PLAY", cam.rtsp_url, Session=session)
            async with asyncio.timeout(PATIENCE_S):
                while len(media.heard) <= 10 or not reports.heard:
                    await asyncio.sleep(0.02)
            sockets[1].sendto(b"\x80\xc9\x00\x01abcd", ("127.0.0.1", server + 1))
            await talk.call(cam, "TEARDOWN", cam.rtsp_url, Session=session)
            numbers = [struct.unpack(">H", data[2:4])[0] for data, _ in media.heard]
            assert len(numbers) > 10
            assert numbers == [(numbers[0] + index) % 65536 for index in range(len(numbers))]
            assert {addr[1] for _, addr in media.heard} == {server}
            assert reports.heard[0][0][1] == 200
            assert max(len(data) for data, _ in media.heard) <= 1400
            assert cam.counters.receiver_reports == 1
            await talk.close()
            for each in sockets:
                each.close()

    asyncio.run(story())
