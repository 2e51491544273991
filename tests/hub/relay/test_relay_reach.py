"""Ways to the relay other than plain UDP: TCP, a TURN server, another network in mid-view; and the test of all of them."""

import asyncio
import socket

import pytest
from conftest import engine_with, run, until
from coturn import coturn
from relay_camera import SyntheticCamera
from relay_lean import Lean
from test_relay_transport import _Ear, request

from adapters.secret import Secret
from hub.relay.errors import RelayRefused
from hub.relay.events import ViewerEnded
from hub.relay.reachability import allocation, examine
from hub.relay.webrtc.ice import IcePeer, UdpPort
from hub.relay.webrtc.turn import TurnAddress, TurnSetup, checked_url

pytestmark = pytest.mark.long


@pytest.mark.parametrize("profile", [b"SRTP_AEAD_AES_128_GCM", b"SRTP_AES128_CM_SHA1_80"])
@pytest.mark.parametrize("tcp", [False, True])
def test_a_viewer_plays_over_udp_and_tcp_with_either_cipher(
    camera: SyntheticCamera, *, profile: bytes, tcp: bool
) -> None:
    """The same port number takes both; every packet decrypts, in order, without a gap."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer = Lean(profile=profile)
            _id, answer = await relay.view(viewer.offer())
            await viewer.connect(answer, tcp=tcp)
            await viewer.until(lambda: len(viewer.video()) > 20, "packets")
            assert viewer.profile == profile
            first = viewer.video()[0].sequence
            numbers = [(packet.sequence - first) & 0xFFFF for packet in viewer.video()]
            assert numbers == list(range(len(numbers)))
            await viewer.close()

    run(work())


def without_ipv6() -> str:
    """Why there is no IPv6 on loopback here, or ""."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as tried:
            tried.bind(("::1", 0))
    except OSError as error:
        return f"no IPv6 on loopback: {error}"
    return ""


@pytest.mark.skipif(bool(without_ipv6()), reason=without_ipv6() or "IPv6 is there")
@pytest.mark.parametrize("tcp", [False, True])
def test_a_viewer_plays_over_ipv6(camera: SyntheticCamera, *, tcp: bool) -> None:
    """Checks, handshake and pictures by the address that the answer tells."""

    async def work() -> None:
        async with engine_with(camera, host="::1") as relay:
            viewer = Lean()
            viewer_id, answer = await relay.view(viewer.offer())
            await viewer.connect(answer, tcp=tcp)
            await viewer.until(lambda: len(viewer.video()) > 20, "packets")
            assert relay.engine._viewers[viewer_id].peer.address[0] == "::1"
            await viewer.close()

    run(work())


def test_a_tcp_viewer_that_reads_nothing_slows_nobody_and_comes_back_at_a_key_frame() -> None:
    """Its connection fills, it falls behind and skips; another viewer misses nothing, nothing piles up here."""
    camera = SyntheticCamera(width=640, height=360, bitrate_kbps=3000, pictures=25)

    async def work() -> None:
        async with engine_with(camera) as relay:
            slow, other = Lean(), Lean()
            slow_id, answer = await relay.view(slow.offer())
            await slow.connect(answer, tcp=True)
            await slow.until(slow.video, "packets")
            _id, answer = await relay.view(other.offer())
            await other.connect(answer)
            await other.until(other.video, "packets")
            serving = relay.engine._viewers[slow_id]
            reading = slow.reader._transport
            reading.pause_reading()
            # as on a path that takes nothing: what the kernel would still buffer would only make the test longer
            path = serving.peer.sock
            path._unsent += b"\0" * 10
            seen = len(other.video())
            await until(lambda: len(other.video()) - seen > 300, 30, "the other's packets")
            first = other.video()[0].sequence
            numbers = [(packet.sequence - first) & 0xFFFF for packet in other.video()]
            assert numbers == list(range(len(numbers)))
            assert len(path._unsent) < 1 << 17
            del path._unsent[-10:]
            await until(
                lambda: serving.skipped > 0 or serving.ring.head - serving.next_index < 60, 30, "it skips"
            )
            await slow.close()
            await other.close()

    run(work())


def test_the_connection_of_a_viewer_that_has_ended_is_hung_up(camera: SyntheticCamera) -> None:
    """A browser need not close it: each would hold a descriptor of the worker for as long as it likes."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer = Lean()
            viewer_id, answer = await relay.view(viewer.offer())
            await viewer.connect(answer, tcp=True)
            await viewer.until(viewer.video, "packets")
            assert len(relay.engine._port._tcp._paths) == 1
            relay.engine.stop(viewer_id, "paused_by_owner")
            await until(lambda: not relay.engine._port._tcp._paths, 30, "hung up")
            await viewer.close()

    run(work())


def test_a_viewer_that_proves_itself_over_many_connections_keeps_the_newest() -> None:
    """Eight addresses are heard; the connection that falls out is hung up."""

    async def work() -> None:
        port, ear = UdpPort(), _Ear()
        number = port.open(("127.0.0.1",), 0)
        peer = IcePeer("them", ear)
        port.register(peer)
        held = []
        for _ in range(12):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            check = request(peer)
            writer.write(len(check).to_bytes(2, "big") + check)
            size = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), 60), "big")
            await reader.readexactly(size)  # the answer to the check
            held.append((reader, writer))
        await until(lambda: sum(reader.at_eof() for reader, _writer in held) >= 4, 30, "four hung up")
        assert len(port._tcp._paths) == len(peer.addresses) == 8
        for _reader, writer in held:
            writer.close()
        port.close()

    run(work())


def test_a_connection_that_proves_nothing_is_hung_up() -> None:
    """A web request, a forged check and too many connections from one place cost no viewer anything."""

    async def work() -> None:
        port, ear = UdpPort(), _Ear()
        number = port.open(("127.0.0.1",), 0)
        peer = IcePeer("them", ear)
        port.register(peer)
        forged = request(peer, pwd="wrong" * 5)
        for sent in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x00\x03abc",
            len(forged).to_bytes(2, "big") + forged,
            b"\x00\x10" + b"\x16\xfe\xfd" + bytes(13),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()
        assert (ear.checks, ear.records) == (0, 0)
        held = [await asyncio.open_connection("127.0.0.1", number) for _ in range(40)]
        ended = [asyncio.create_task(reader.read()) for reader, _writer in held]
        await until(lambda: sum(task.done() for task in ended) >= 8, 10, "the surplus hung up")
        for _reader, writer in held:
            writer.close()
        await asyncio.gather(*ended, return_exceptions=True)
        port.close()

    run(work())


def test_ice_is_restarted_while_the_picture_goes_on(camera: SyntheticCamera) -> None:
    """Another fragment gets ours anew; both passwords hold until the new one is used, then the picture moves there."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer = Lean()
            viewer_id, answer = await relay.view(viewer.offer())
            await viewer.connect(answer)
            await viewer.until(viewer.video, "packets")
            old = viewer.remote_pwd
            with pytest.raises(RelayRefused):
                relay.engine.trickle(viewer_id, "a=ice-ufrag:efgh\r\n")
            assert not relay.engine.trickle(viewer_id, f"a=ice-ufrag:{viewer.ufrag}\r\na=candidate:x\r\n")
            fragment = relay.engine.trickle(viewer_id, "a=ice-ufrag:efgh\r\na=ice-pwd:" + "p" * 22 + "\r\n")
            await viewer.check()  # with the old password
            seen = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > seen, "packets on the old path")
            viewer.credentials(fragment)
            assert viewer.remote_pwd != old
            assert "typ host" in fragment
            viewer.ufrag = "efgh"
            serving = relay.engine._viewers[viewer_id]
            await viewer.open_udp("127.0.0.1", serving.peer.sock.getsockname()[1])
            before = serving.peer.address
            await viewer.check()
            assert serving.peer.address != before
            assert serving.peer.before is None
            seen = len(viewer.video())
            await viewer.until(lambda: len(viewer.video()) > seen, "packets on the new path")
            assert not relay.of(ViewerEnded)
            await viewer.close()

    run(work())


def test_addresses_of_ice_servers_are_read_and_nothing_else() -> None:
    """RFC 7065; what could end a header field is no host."""
    assert TurnAddress.parse("turn:turn.example.vn") == TurnAddress(
        "turn:turn.example.vn", "turn.example.vn", 3478, "udp", tls=False
    )
    assert TurnAddress.parse("turns:[2001:db8::1]:443?transport=tcp").port == 443
    assert checked_url("stun:stun.example.vn:3478") == "stun:stun.example.vn:3478"
    for bad in ("http://x", "turn:", "turn:a>b", "turn:host:99999", "turn:host?transport=sctp", 'turn:h"'):
        with pytest.raises(ValueError, match="is not an address"):
            checked_url(bad)


def test_a_credential_ends_and_is_told_in_link_headers() -> None:
    """The user name begins with the second at which it ends; the signature is that of coturn's own example tool."""
    setup = TurnSetup(("stun:s.example.vn", "turn:t.example.vn?transport=udp"), Secret("north"))
    user, password = setup.credential("viewer", 1_700_000_000)
    assert user == "1700003600:viewer"
    assert len(password.reveal()) == 28
    stun_link, turn_link = setup.links("viewer", 1_700_000_000)
    assert stun_link == '<stun:s.example.vn>; rel="ice-server"'
    assert f'username="{user}"; credential="{password.reveal()}"' in turn_link
    assert "north" not in repr(setup) + turn_link


@pytest.mark.coturn
@pytest.mark.process
def test_a_viewer_plays_through_coturn_with_a_credential_made_here() -> None:
    """The self-test goes through it and finds a wrong secret; a viewer with no other way gets its picture."""

    async def work(number: int) -> None:
        async with engine_with(SyntheticCamera()) as relay:
            urls = (f"turn:127.0.0.1:{number}?transport=udp", f"turn:127.0.0.1:{number}?transport=tcp")
            good = TurnSetup(urls, Secret("north"))
            findings = await relay.engine.examine(good)
            ways = [(finding.way, finding.outcome) for finding in findings if finding.way != "addresses"]
            assert ways == [("udp", "ok"), ("tcp", "ok"), ("turn", "ok"), ("turn", "ok")]
            bad = await relay.engine.examine(TurnSetup(urls[:1], Secret("south")))
            assert (bad[-1].outcome, bad[-1].code) == ("failed", "turn_refused")
            now = relay.engine._clock.now().timestamp()
            viewer = Lean()
            viewer_id, answer = await relay.view(viewer.offer())
            user, password = good.credential(viewer_id, now)
            address = TurnAddress.parse(urls[0])
            async with allocation(address, user, password.reveal()) as (transport, relayed):
                relayed.datagram_received = lambda data, _address: viewer.heard(data)
                target = relay.engine._port.candidates()[0]

                async def through(_host: str, _port: int) -> None:
                    viewer._write = lambda data: transport.sendto(data, target)

                viewer.open_udp = through
                await viewer.connect(answer)
                await viewer.until(lambda: len(viewer.video()) > 10, "packets through the server")
                assert relay.engine._viewers[viewer_id].peer.address == transport.get_extra_info("sockname")
                await viewer.close()

    with coturn("north") as number:
        run(work(number))


def test_the_self_test_names_what_would_fail() -> None:
    """Loopback only, a TCP port that is taken, a server that is not there, a secret that is missing."""

    async def work() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = UdpPort()
            port.open(("127.0.0.1",), taken.getsockname()[1])
            dead = TurnSetup((f"turn:127.0.0.1:{taken.getsockname()[1]}?transport=udp",), Secret("x"))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
                closed.bind(("127.0.0.1", 0))
                dead = TurnSetup((f"turn:127.0.0.1:{closed.getsockname()[1]}?transport=tcp",), Secret("x"))
            codes = {finding.code: finding for finding in await examine(port, dead, 0.0)}
            assert {"not_bound", "loopback_only", "no_ipv6", "turn_unreachable", "ok"} <= set(codes)
            assert "TCP" in codes["not_bound"].detail
            found = await examine(port, TurnSetup(dead.urls), 0.0)
            assert found[-1].code == "turn_secret_missing"
            port.close()
        public = UdpPort(("203.0.113.7",))
        public.open(("127.0.0.1",), 0)
        told = {finding.code for finding in await examine(public, TurnSetup(), 0.0)}
        assert told & {"no_answer_public", "refused_connection"}
        public.close()

    run(work())
