"""The handshake, step by step: two associations in one loop, and a wire between them that loses what it is told to."""

import asyncio
import itertools
from collections.abc import Callable

import pytest
from patience import PATIENCE_S

from hub.relay.webrtc.dtls import Certificate, DtlsSession, Turns

OURS, THEIRS = Certificate.generateCertificate(), Certificate.generateCertificate()


class End:
    """One end: its association, and what that told."""

    def __init__(
        self, turns: Turns, role: str, certificate: Certificate, expected: str, lost: Callable[[bytes], bool]
    ) -> None:
        self.told: list[str] = []
        self.sent: list[bytes] = []
        self.to: End | None = None
        self.changed = asyncio.Event()
        self._lost = lost
        self.session = DtlsSession(certificate, [("sha-256", expected)], role=role, turns=turns, owner=self)

    def send_datagram(self, data: bytes) -> None:
        self.sent.append(data)
        if self.to is not None and not self._lost(data):
            self.to.session.feed(data)

    def secured(self) -> None:
        self._tell("secured")

    def unsecured(self, *, left: bool) -> None:
        self._tell("left" if left else "failed")

    def _tell(self, word: str) -> None:
        self.told.append(word)
        self.changed.set()

    async def hears(self, *words: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.told != list(words):
                assert self.told == list(words[: len(self.told)])
                self.changed.clear()
                await self.changed.wait()


def nothing(_data: bytes) -> bool:
    """Lose nothing."""
    return False


def joined(
    *, lost: Callable[[bytes], bool] = nothing, expected: str = THEIRS.sha256, turns: Turns | None = None
) -> tuple[End, End]:
    """Return a server and a client that hear each other; the server loses some of what it sends."""
    turns = turns or Turns()
    server = End(turns, "server", OURS, expected, lost)
    client = End(turns, "client", THEIRS, OURS.sha256, nothing)
    server.to, client.to = client, server
    server.session.begin()
    client.session.begin()
    return server, client


def test_both_ends_have_the_same_keys() -> None:
    """What one protects the other reads, with the cheapest profile that both know."""

    async def main() -> None:
        server, client = joined()
        await server.hears("secured")
        await client.hears("secured")
        report = bytes([0x80, 201, 0, 1, 0, 0, 0, 7])
        for one, other in ((server, client), (client, server)):
            assert other.session.unprotect_rtcp(one.session.protect_rtcp(report)) == report
        assert server.session.tag == 16
        server.session.close()
        await client.hears("secured", "left")
        client.session.close()

    asyncio.run(main())


def test_a_lost_flight_is_sent_again() -> None:
    """DTLS has to do itself what TCP does for TLS (RFC 6347 4.2.4); nobody waits for it in a task."""

    async def main() -> None:
        first = [True]

        def lost(_data: bytes) -> bool:
            was, first[0] = first[0], False
            return was

        server, client = joined(lost=lost)
        await server.hears("secured")
        await client.hears("secured")
        server.session.close()
        client.session.close()

    asyncio.run(main())


def test_a_lost_end_of_the_handshake_is_sent_again() -> None:
    """The server is done and the client is not: who is done answers the client's repetition."""

    async def main() -> None:
        ends = [0]

        def lost(data: bytes) -> bool:
            ends[0] += data[0] == 20  # change_cipher_spec
            return data[0] == 20 and ends[0] == 1

        server, client = joined(lost=lost)
        await server.hears("secured")
        await client.hears("secured")
        assert ends[0] > 1
        server.session.close()
        client.session.close()

    asyncio.run(main())


def test_another_certificate_than_the_offers_is_refused() -> None:
    """Who answers the checks and has another key than the offer named gets nothing; no keys are left behind."""

    async def main() -> None:
        server, client = joined(expected=OURS.sha256)
        await server.hears("failed")
        assert server.session.srtp is None
        server.session.begin()
        client.session.close()
        server.session.close()
        assert server.told == ["failed"]

    asyncio.run(main())


@pytest.mark.parametrize("noise", [b"\x16", bytes([22, 254, 253]) + bytes(40), bytes([21] * 60), bytes(1500)])
def test_noise_does_not_end_a_handshake(noise: bytes) -> None:
    """What is no record of this handshake is passed over, before and after."""

    async def main() -> None:
        turns = Turns()
        server = End(turns, "server", OURS, THEIRS.sha256, nothing)
        client = End(turns, "client", THEIRS, OURS.sha256, nothing)
        server.to, client.to = client, server
        server.session.begin()
        for _ in range(100):
            server.session.feed(noise)
        await turns.turn()
        client.session.begin()
        await server.hears("secured")
        server.session.feed(noise)
        await turns.turn()
        assert server.told == ["secured"]
        client.session.close()
        await server.hears("secured", "left")
        server.session.close()

    asyncio.run(main())


def test_what_was_closed_hears_and_says_nothing() -> None:
    """A datagram that waits for its turn when the viewer ends is dropped with it."""

    async def main() -> None:
        server, client = joined()
        server.session.close()
        server.session.feed(bytes(20))
        server.session.begin()
        said = len(server.sent)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (server.told, len(server.sent)) == ([], said)
        client.session.close()

    asyncio.run(main())


def test_one_piece_of_work_is_done_in_each_round() -> None:
    """Between any two of them everything else that is ready gets its turn; one that fails stops nobody."""

    async def main() -> None:
        turns, seen = Turns(), []
        loop = asyncio.get_running_loop()
        faults: list[object] = []
        loop.set_exception_handler(lambda _loop, context: faults.append(context["exception"]))

        def other() -> None:
            seen.append("other")
            if len(seen) < 12:
                loop.call_soon(other)

        def broken() -> None:
            raise LookupError

        for number in range(3):
            turns.take(lambda number=number: seen.append(str(number)))
        turns.take(broken)
        loop.call_soon(other)
        async with asyncio.timeout(PATIENCE_S):
            await turns.turn()
        assert [word for word in seen if word != "other"] == ["0", "1", "2"]
        assert all(a == "other" or b == "other" for a, b in itertools.pairwise(seen))
        assert [type(fault) for fault in faults] == [LookupError]

    asyncio.run(main())
