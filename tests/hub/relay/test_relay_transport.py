"""The private names of other people's packages that the relay stands on, and what ICE-lite does with strangers."""

import asyncio
import importlib
import socket
from importlib.metadata import version

import pytest
from aioice import stun
from aiortc.rtcdtlstransport import SRTP_PROFILES
from conftest import engine_with, run, until
from OpenSSL import SSL
from patience import PATIENCE_S
from pylibsrtp import Policy, Session
from relay_camera import SyntheticCamera
from relay_client import Watching

from hub.relay import sender
from hub.relay.events import ViewerEnded
from hub.relay.ring import Packet
from hub.relay.sender import PacketSender
from hub.relay.webrtc import dtls
from hub.relay.webrtc.dtls import Certificate
from hub.relay.webrtc.ice import IcePeer, UdpPort
from hub.relay.webrtc.icetcp import TcpPort


def resolved(path: str) -> object:
    """Import an object by its dotted path."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return getattr(resolved(module), name)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (owner, name)
        for module in (dtls, sender)
        for owner, names in module.PRIVATE_NAMES.items()
        for name in names
    ],
)
def test_each_private_name_exists_in_the_pinned_versions(owner: str, name: str) -> None:
    """A new aiortc that moves one of them fails here, not in front of a viewer."""
    thing = resolved(owner)
    if owner.endswith("RTCDtlsTransport"):

        async def made() -> object:
            return thing(_Path(), [Certificate.generateCertificate()])  # type: ignore[operator]

        thing = asyncio.run(made())
    elif owner.endswith("Session"):
        thing = Session(Policy(key=bytes(30), ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    assert hasattr(thing, name)


class _Path:
    role, state = "controlled", "completed"


def test_aiortc_is_the_version_that_was_read() -> None:
    """It is pinned exactly; another one is to be read before it is used."""
    assert version("aiortc") == "1.16.0"


def test_no_tls_session_is_kept_for_a_return() -> None:
    """Each view has a certificate of its own: what is held for resumption is memory for which nobody comes back."""
    context = Certificate.generateCertificate()._create_ssl_context(SRTP_PROFILES)
    assert context.get_session_cache_mode() == SSL.SESS_CACHE_OFF


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize(
    ("profile", "key"),
    [(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28), (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30)],
)
def test_runs_arrive_as_single_datagrams_that_decrypt_to_what_was_meant(
    profile: int, key: int, segments: bool
) -> None:
    """Header fields, payload, order and count survive protection in place and segmentation by the kernel."""
    secret = bytes(range(key))
    out = Session(Policy(key=secret, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
    back = Session(Policy(key=secret, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile))
    sizes = [30, 1184, 1184, 1184, 700, 700, 900, *[1184] * 40, 5]
    packets = [
        Packet(bytes([n]) * size, 0x80 if n % 5 == 4 else 0, n * 10, n) for n, size in enumerate(sizes)
    ]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving,
    ):
        receiving.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(PATIENCE_S)
        sender = PacketSender(segments=segments)
        sent = sender.send(
            sending,
            receiving.getsockname(),
            out._srtp[0],
            sender.prepare(packets, 16 if key == 28 else 10),
            payload_type=96,
            sequence=65530,
            ssrc=99,
            offset=0xFFFFFFF0,
        )
        got = [receiving.recv(2048) for _ in packets]
    assert sent == (len(packets), sum(map(len, got)))
    assert (sender.blocked, sender.failed) == (0, 0)
    for number, (packet, data) in enumerate(zip(packets, got, strict=True)):
        plain = back.unprotect(data)
        assert plain[12:] == packet.payload
        assert plain[0] == 0x80
        assert plain[1] == packet.marker | 96
        assert int.from_bytes(plain[2:4], "big") == (65530 + number) & 0xFFFF
        assert int.from_bytes(plain[4:8], "big") == (packet.timestamp + 0xFFFFFFF0) & 0xFFFFFFFF
        assert int.from_bytes(plain[8:12], "big") == 99


def test_a_full_buffer_of_the_kernel_loses_nothing_and_is_waited_for() -> None:
    """What was not taken is reported and goes out again with the same numbers once there is room."""
    secret = bytes(range(28))
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    policy = Policy(key=secret, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
    policy.allow_repeat_tx, policy.window_size = True, 1024  # as aiortc sets them
    out = Session(policy)
    packets = [Packet(bytes(1184), 0, 0, 0) for _ in range(100)]

    async def main() -> None:
        sender = PacketSender(segments=False)
        # a local datagram socket is full after a few datagrams and says so, as a slow network card does
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        theirs.setblocking(False)
        got: list[bytes] = []
        connected = _Connected(ours)
        done = 0
        while done < len(packets):
            count, _size = sender.send(
                connected,  # type: ignore[arg-type]
                ("", 0),
                out._srtp[0],
                sender.prepare(packets[done:], 16),
                payload_type=96,
                sequence=65500 + done,
                ssrc=1,
                offset=0,
            )
            done += count
            waiting = asyncio.create_task(sender.writable(ours))
            await asyncio.sleep(0)
            while True:
                try:
                    got.append(theirs.recv(2048))
                except BlockingIOError:
                    break
            await waiting
        assert sender.blocked > 0
        back = Session(Policy(key=secret, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile))
        numbers = [int.from_bytes(back.unprotect(data)[2:4], "big") for data in got]
        assert numbers == [(65500 + n) & 0xFFFF for n in range(100)]
        ours.close()
        theirs.close()

    run(main())


class _Connected:
    """Sends to the other end whatever address is named."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def sendto(self, data: bytes, _address: object) -> None:
        self._sock.send(data)


class _Ear:
    """Counts what is heard."""

    def __init__(self) -> None:
        self.checks, self.records, self.reports = 0, 0, 0

    def checked(self) -> None:
        self.checks += 1

    def dtls(self, data: bytes) -> None:
        self.records += 1

    def rtcp(self, data: bytes) -> None:
        self.reports += 1


def request(peer: IcePeer, *, pwd: str = "", theirs: str = "", **attributes: object) -> bytes:
    """Return a binding request as a browser sends it."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = f"{peer.ufrag}:{theirs or peer.remote_ufrag}"
    message.attributes["PRIORITY"] = 1
    message.attributes.update({name.replace("_", "-"): value for name, value in attributes.items()})
    message.add_message_integrity((pwd or peer.pwd).encode())
    return bytes(message)


def test_only_who_proves_the_password_is_answered_and_heard() -> None:
    """Strangers, wrong passwords, truncated and forged datagrams get no byte back and reach no viewer."""

    async def main() -> None:
        port, ear = UdpPort(), _Ear()
        number = port.open(("127.0.0.1",), 0)
        peer = IcePeer("them", ear)
        port.register(peer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as browser:
            browser.bind(("127.0.0.1", 0))
            browser.setblocking(False)
            browser.connect(("127.0.0.1", number))
            good = request(peer, USE_CANDIDATE=None, ICE_CONTROLLING=1)
            for data in (
                b"\x16\xfe\xfd" + bytes(30),
                b"\x80\xc9" + bytes(30),
                b"\x00",
                good[:40],
                good[:-1] + bytes([good[-1] ^ 1]),
                request(peer, pwd="wrong" * 5),
                request(peer, theirs="other"),
                b"\x00\x01" + bytes(2000),
            ):
                browser.send(data)
            await asyncio.sleep(0.1)
            try:
                reply = browser.recv(2048)
            except BlockingIOError:
                reply = b""
            assert reply == b""
            assert (ear.checks, ear.records, ear.reports) == (0, 0, 0)
            assert peer.sock is None
            browser.send(good)
            await until(lambda: peer.nominated, 2, "the check")
            answer = stun.parse_message(browser.recv(2048))
            assert answer.check_message_integrity(peer.pwd.encode())
            assert answer.attributes["XOR-MAPPED-ADDRESS"] == browser.getsockname()
            assert peer.nominated
            browser.send(b"\x16\xfe\xfd" + bytes(30))
            browser.send(b"\x80\xc9" + bytes(30))
            await until(lambda: (ear.checks, ear.records, ear.reports) == (1, 1, 1), 2, "heard")
            browser.send(request(peer, ICE_CONTROLLED=1))
            async with asyncio.timeout(PATIENCE_S):
                conflict = await asyncio.get_running_loop().sock_recv(browser, 2048)
            assert stun.parse_message(conflict).error_code == 487
            port.unregister(peer)
            browser.send(good)
            browser.send(b"\x16\xfe\xfd" + bytes(30))
            await asyncio.sleep(0.1)
            assert (ear.checks, ear.records) == (1, 1)
        port.close()

    run(main())


def test_one_port_number_serves_both_families_on_every_address() -> None:
    """Candidates name the interfaces' addresses, loopback only where it was bound or nothing else is there."""

    async def main() -> None:
        port = UdpPort()
        number = port.open(("0.0.0.0", "::"), 0)
        assert {found for _host, found in port.candidates()} == {number}
        assert "127.0.0.1" not in {host for host, _port in port.candidates()} or len(port.candidates()) == 1
        port.close()
        loopback = UdpPort()
        number = loopback.open(("127.0.0.1", "::1"), 0)
        assert loopback.candidates() == [("127.0.0.1", number), ("::1", number)]
        loopback.close()

    run(main())


def test_a_number_that_is_picked_is_free_for_tcp_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number will do, but one: where a connection has it already, another is picked; a number that was named is kept."""
    listen, blockers = TcpPort.listen, []

    def taken(self: TcpPort, host: str, port: int) -> None:
        if len(blockers) < 3:
            blockers.append(socket.create_server((host, port)))
        listen(self, host, port)

    async def main() -> None:
        monkeypatch.setattr(TcpPort, "listen", taken)
        port = UdpPort()
        number = port.open(("127.0.0.1",), 0)
        assert number not in {blocker.getsockname()[1] for blocker in blockers}
        assert (len(blockers), port.tcp_failed) == (3, {})
        assert port.tcp_candidates() == [("127.0.0.1", number)]
        port.close()
        named = UdpPort()
        assert named.open(("127.0.0.1",), blockers[0].getsockname()[1]) == blockers[0].getsockname()[1]
        assert list(named.tcp_failed) == ["127.0.0.1"]
        named.close()
        for blocker in blockers:
            blocker.close()

    run(main())


def test_public_addresses_are_told_in_place_of_the_bound_ones() -> None:
    """Behind address translation the configured addresses stand in the answer."""

    async def main() -> None:
        port = UdpPort(("203.0.113.7",))
        number = port.open(("127.0.0.1",), 0)
        assert port.candidates() == [("203.0.113.7", number)]
        port.close()

    run(main())


@pytest.mark.slow
def test_a_certificate_that_is_not_the_one_in_the_offer_gets_no_picture(camera: SyntheticCamera) -> None:
    """A wrong fingerprint ends the viewer with dtls_failed and sends nothing."""

    async def main() -> None:
        async with engine_with(camera) as relay:
            viewer = Watching()

            async def answered(text: str) -> str:
                lines = [
                    line[:-2] + ("00" if line[-2:] != "00" else "11")
                    if line.startswith("a=fingerprint")
                    else line
                    for line in text.splitlines()
                ]
                return (await relay.view("\r\n".join(lines) + "\r\n"))[1]

            await viewer.play(answered)
            await until(lambda: bool(relay.of(ViewerEnded)), 2, "the end")
            await asyncio.sleep(0.3)
            assert viewer.frames == 0
            assert [event.code for event in relay.of(ViewerEnded)] == ["dtls_failed"]
            await viewer.close()

    run(main())
