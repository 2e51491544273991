"""What the kernel lets through where many viewers report on their network twenty times a second."""

import asyncio
import socket

import pytest
from aioice import stun

from hub.relay.webrtc.feedback_filter import thin, thin_no_more
from hub.relay.webrtc.ice import IcePeer, UdpPort

FEEDBACK = b"\x8f\xcd" + bytes(30)
OTHERS = (
    b"\x81\xcd" + bytes(30),  # NACK
    b"\x8f\xce" + bytes(30),  # REMB
    b"\x81\xc9" + bytes(30),  # a receiver report
    b"\x80\x60" + bytes(30),  # RTP
    b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),  # a check
    b"\x16\xfe\xfd" + bytes(30),  # DTLS
    b"\x01",
)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_most_path_feedback_is_dropped_and_nothing_else(host: str) -> None:
    """One in eight comes through, padded or not; reports, requests, checks and records all do; without the filter all of it does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as ours, socket.socket(family, socket.SOCK_DGRAM) as theirs:
        try:
            ours.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        ours.setblocking(False)

        def through(data: bytes) -> int:
            for _ in range(200):
                theirs.sendto(data, ours.getsockname()[:2])
            count = 0
            while True:
                try:
                    assert ours.recv(2048) == data
                except BlockingIOError:
                    return count
                count += 1

        if not thin(ours, 8):
            pytest.skip("this system has no socket filters")
        for data in (FEEDBACK, b"\xaf" + FEEDBACK[1:]):
            assert 0 < through(data) < 200
        assert [through(data) for data in OTHERS] == [200] * len(OTHERS)
        thin_no_more(ours)
        assert through(FEEDBACK) == 200


class _Silent:
    def checked(self) -> None: ...

    def dtls(self, data: bytes) -> None: ...

    def rtcp(self, data: bytes) -> None: ...


def test_a_port_thins_feedback_only_while_many_watch() -> None:
    """A small household's relay reads all that it is told; the more watch the less of it is read, and the other way at three quarters of that."""

    async def work() -> None:
        port = UdpPort()
        port.open(("127.0.0.1",), 0)
        peers = [IcePeer("theirs", _Silent()) for _ in range(256)]
        up: dict[int, int] = {}
        for count, peer in enumerate(peers, 1):
            port.register(peer)
            up.setdefault(port.one_in, count)
        down: dict[int, int] = {}
        for count, peer in enumerate(peers, 1):
            port.unregister(peer)
            down.setdefault(port.one_in, len(peers) - count)
        port.close()
        if 8 not in up:
            pytest.skip("this system has no socket filters")
        assert up == {1: 1, 8: 64, 16: 128, 32: 256}
        assert down == {32: 255, 16: 191, 8: 95, 1: 47}

    asyncio.run(work())


def test_a_port_where_many_watch_hears_on_after_each_look() -> None:
    """It looks at its socket in turns then: whoever speaks between two of them is answered all the same."""

    async def work() -> None:
        port, loop = UdpPort(), asyncio.get_running_loop()
        number = port.open(("127.0.0.1",), 0)
        peers = [IcePeer("theirs", _Silent()) for _ in range(64)]
        for peer in peers:
            port.register(peer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
            theirs.setblocking(False)
            theirs.connect(("127.0.0.1", number))
            for peer in peers[:5]:
                for _ in range(600):  # more than is read in one look
                    theirs.send(b"\x80" * 20)
                message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
                message.attributes["USERNAME"] = f"{peer.ufrag}:theirs"
                message.attributes["ICE-CONTROLLING"] = 1
                message.add_message_integrity(peer.pwd.encode())
                theirs.send(bytes(message))
                async with asyncio.timeout(60):
                    answer = stun.parse_message(await loop.sock_recv(theirs, 2048))
                assert answer.transaction_id == message.transaction_id
                assert answer.message_class == stun.Class.RESPONSE
                port.unregister(peer)
            for peer in peers[5:]:
                port.unregister(peer)
            theirs.send(bytes(message))  # by the reader again
            async with asyncio.timeout(60):
                while port.refused < 3001:
                    await asyncio.sleep(0.01)
        port.close()
        await asyncio.sleep(0.05)  # a turn that is due after the end finds nothing to listen to

    asyncio.run(work())
