"""Viewers who get the same packets get them in one call: each under its own keys, and none of them holds another up."""

import asyncio
import os
import socket
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from conftest import engine_with, run, still, until
from pylibsrtp import Policy, Session
from relay_camera import SyntheticCamera
from relay_lean import WIDE_ID, Lean
from test_relay_layers import main_and_sub, watching

from hub.relay.events import ViewerEnded
from hub.relay.many import MOST, ManyMessages
from hub.relay.ring import Packet
from hub.relay.sender import PacketSender, SendFailed
from hub.relay.webrtc.extension import Extension
from hub.relay.webrtc.lines import Look, Sorts

SIZES = [30, *[1184] * 20, 700, 5, 900]
PACKETS = [Packet(bytes([n]) * size, 0x80 if n % 5 == 4 else 0, n * 10, n) for n, size in enumerate(SIZES)]
LOOK = Look(96, 99, 65530, 65520, 0xFFFFFFF0, Extension.of(3, 0))


def keys(count: int) -> list[tuple[Session, Session]]:
    """Return as many pairs of sessions, out and back, each with a key of its own."""
    profile, pairs = Policy.SRTP_PROFILE_AEAD_AES_128_GCM, []
    for _ in range(count):
        secret = os.urandom(28)
        policy = Policy(key=secret, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile)
        policy.allow_repeat_tx, policy.window_size = True, 1024  # as aiortc sets them
        back = Policy(key=secret, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile)
        pairs.append((Session(policy), Session(back)))
    return pairs


def receivers(count: int, host: str) -> list[socket.socket]:
    """Return as many sockets that wait for datagrams."""
    socks = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((host, 0))
        sock.settimeout(30)
        socks.append(sock)
    return socks


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("segments", [True, False])
def test_the_same_packets_reach_each_viewer_under_its_own_key(host: str, *, segments: bool) -> None:
    """Header, numbers, extension, payload, order and count survive, over IPv4 and IPv6, with runs and without."""
    try:
        receiving = receivers(MOST, host)
    except OSError:
        pytest.skip("this machine has no IPv6")
    pairs = keys(MOST)
    sender = PacketSender(segments=segments)
    with socket.socket(receiving[0].family, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        if not sender.sends_together(sending):
            pytest.skip("this system has no sendmmsg")
        runs = sender.runs(sender.prepare(PACKETS, 16, 20))
        headed = sender.written(runs, LOOK, 7)
        to = [sock.getsockname() for sock in receiving]
        handles = [out._srtp[0] for out, _back in pairs]
        assert sender.send_together(sending, handles, to, runs, [headed] * len(to)) == [len(runs)] * MOST
    assert (sender.blocked, sender.failed) == (0, 0)
    for (_out, back), sock in zip(pairs, receiving, strict=True):
        for number, packet in enumerate(PACKETS):
            plain = back.unprotect(sock.recv(2048))
            assert plain[20:] == packet.payload
            assert (plain[0], plain[1]) == (0x90, packet.marker | 96)
            assert int.from_bytes(plain[2:4], "big") == (65530 + 7 + number) & 0xFFFF
            assert int.from_bytes(plain[4:8], "big") == (packet.timestamp + 0xFFFFFFF0) & 0xFFFFFFFF
            assert int.from_bytes(plain[8:12], "big") == 99
            assert plain[12:17] == b"\xbe\xde\x00\x01\x31"
            assert int.from_bytes(plain[17:19], "big") == (65520 + 7 + number) & 0xFFFF
        sock.close()


def test_viewers_whose_numbers_differ_leave_in_one_call_too() -> None:
    """One who skipped, or got a packet again, has numbers of its own: its headers are its own, all else is shared."""
    receiving, pairs = receivers(3, "127.0.0.1"), keys(3)
    looks = [LOOK._replace(sequence=place * 1000, number=place * 7, offset=place) for place in range(3)]
    sender = PacketSender()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        runs = sender.runs(sender.prepare(PACKETS, 16, 20))
        to = [sock.getsockname() for sock in receiving]
        handles = [out._srtp[0] for out, _back in pairs]
        headed = [sender.written(runs, look, 7) for look in looks]
        assert sender.send_together(sending, handles, to, runs, headed) == [len(runs)] * 3
    for (_out, back), sock, look in zip(pairs, receiving, looks, strict=True):
        for number, packet in enumerate(PACKETS):
            plain = back.unprotect(sock.recv(2048))
            assert plain[20:] == packet.payload
            assert int.from_bytes(plain[2:4], "big") == look.sequence + 7 + number
            assert int.from_bytes(plain[4:8], "big") == packet.timestamp + look.offset
            assert int.from_bytes(plain[17:19], "big") == look.number + 7 + number
        sock.close()


class _Full(ManyMessages):
    """Takes so many messages and no more, as a kernel whose buffer is full."""

    room = 0

    def send(self, descriptor: int, first: int, count: int, **layout: int) -> int:
        taken = min(count - first, self.room)
        if not taken:
            raise BlockingIOError
        self.room -= taken
        return super().send(descriptor, first, first + taken, **layout)


def test_what_a_full_buffer_does_not_take_is_told_for_each_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who got two runs, who one: each goes on from there, with the same numbers, and nothing is lost."""
    monkeypatch.setattr("hub.relay.sender.ManyMessages", _Full)
    receiving, pairs = receivers(4, "127.0.0.1"), keys(4)
    sender = PacketSender()
    full = sender._many
    assert isinstance(full, _Full)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        runs = sender.runs(sender.prepare(PACKETS, 16, 20))
        headed = sender.written(runs, LOOK, 0)
        to = [sock.getsockname() for sock in receiving]
        handles = [out._srtp[0] for out, _back in pairs]
        full.room = 6
        got = sender.send_together(sending, handles, to, runs, [headed] * len(to))
        assert got == [2, 2, 1, 1]
        assert sender.blocked == 2
        full.room = 1000
        for handle, one, done in zip(handles, to, got, strict=True):
            left = sender.send_together(sending, [handle], [one], runs[done:], [headed[done:]])
            assert left == [len(runs) - done]
    for (_out, back), sock in zip(pairs, receiving, strict=True):
        assert [back.unprotect(sock.recv(2048))[20:] for _ in PACKETS] == [one.payload for one in PACKETS]
        sock.close()


def test_an_address_that_cannot_be_reached_costs_its_viewer_alone() -> None:
    """The kernel refuses one message of a call: those behind it leave all the same."""
    receiving, pairs = receivers(2, "127.0.0.1"), keys(3)
    sender = PacketSender()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.setblocking(False)
        runs = sender.runs(sender.prepare(PACKETS[1:3], 16, 20))
        headed = sender.written(runs, LOOK, 0)
        first, last = receiving[0].getsockname(), receiving[1].getsockname()
        to = [first, ("255.255.255.255", 9), last]  # a broadcast that was not asked for is refused
        handles = [out._srtp[0] for out, _back in pairs]
        assert sender.send_together(sending, handles, to, runs, [headed] * len(to)) == [1, 1, 1]
        assert sender.failed == 2
    for place, sock in ((0, receiving[0]), (2, receiving[1])):
        assert [pairs[place][1].unprotect(sock.recv(2048))[20:] for _ in range(2)] == [
            packet.payload for packet in PACKETS[1:3]
        ]
        sock.close()


def test_a_packet_that_cannot_be_protected_leaves_to_nobody() -> None:
    """The same number twice under one key is refused by libsrtp; the caller sends one by one and finds out whose it is."""
    receiving, pairs = receivers(2, "127.0.0.1"), keys(1)
    policy = Policy(
        key=bytes(28), ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    )
    strict = Session(policy)  # repeats nothing
    sender = PacketSender()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        runs = sender.runs(sender.prepare(PACKETS[1:3], 16, 20))
        headed = sender.written(runs, LOOK, 0)
        to = [sock.getsockname() for sock in receiving]
        handles = [pairs[0][0]._srtp[0], strict._srtp[0]]
        sender.send_together(sending, handles, to, runs, [headed] * len(to))
        with pytest.raises(SendFailed):
            sender.send_together(sending, handles, to, runs, [headed] * len(to))
    for sock in receiving:
        assert [len(sock.recv(2048)) for _ in range(2)] == [1184 + 36] * 2
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(2048)
        sock.close()


@pytest.mark.long
def test_viewers_of_one_camera_go_their_own_ways_though_they_are_fed_together() -> None:
    """One asks again, one is stopped, one loses its lease: the others miss nothing, and no number is skipped or said twice."""
    main, _sub, opened = main_and_sub()

    async def work() -> None:
        async with engine_with(main, open_source=opened) as relay:
            viewers, ids = [], []
            for _ in range(7):
                viewer_id, viewer = await watching(relay)
                viewer.lost(0.0)
                viewers.append(viewer)
                ids.append(viewer_id)
            asking, stopped, lapsed, *others = viewers
            serving = [relay.engine._viewers[one] for one in ids]
            await until(lambda: len({one.sort for one in serving}) <= 2, 5, "viewers who are alike")
            await asking.until(lambda: len(asking.video()) > 3, "packets")
            asking.nack(asking.video()[2].sequence)
            await asking.until(lambda: any(p.ssrc == asking.rtx_ssrc for p in asking.packets), "one again")
            relay.vouched.discard(ids[2])
            relay.engine.stop(ids[1], "left")
            now = asyncio.get_running_loop().time
            while now() <= serving[2].lease_until_s:
                await asyncio.sleep(0.005)
            vouched_for = serving[2].packets
            await until(lambda: ViewerEnded(ids[2], "lease_expired") in relay.events, 10, "its lease's end")
            assert serving[2].packets == vouched_for
            await still(lambda: len(stopped.video()) + len(lapsed.video()), "after the end")
            seen = [len(one.video()) for one in (asking, *others)]
            for one, count in zip((asking, *others), seen, strict=True):
                await one.until(lambda v=one, n=count: len(v.video()) > n + 20, "packets that go on")
            for one in viewers:
                numbers = [packet.sequence for packet in one.video()]
                assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers))
                assert numbers[0] < 1 << 15
                wide = [int.from_bytes(packet.extensions[WIDE_ID], "big") for packet in one.packets]
                assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(wide))
            newest = {packet.timestamp: packet.payload for packet in asking.video() if packet.marker}
            same = [packet for packet in others[0].video() if packet.marker and packet.timestamp in newest]
            assert len(same) > 5
            assert all(newest[packet.timestamp] == packet.payload for packet in same)
            for one in viewers:
                await one.close()

    run(work())


@pytest.mark.long
def test_viewers_who_begin_anew_together_are_brought_up_to_date_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pictures since the key frame stand one tick apart for each, the newest has its own time, and no number is skipped."""

    async def work() -> None:
        async with engine_with(SyntheticCamera(pictures=500)) as relay:
            viewers, serving = [], []
            for _ in range(5):
                viewer_id, answer = await relay.view((viewer := Lean()).offer())
                await viewer.connect(answer)
                viewers.append(viewer)
                serving.append(relay.engine._viewers[viewer_id])
            for viewer in viewers:
                await viewer.until(lambda v=viewer: len(v.video()) > 30, "a part of the group")
            fanout = serving[0].feed
            assert fanout is not None
            calls: list[int] = []
            together: Callable[..., list[int]] = fanout._sender.send_together

            def counted(sock: socket.socket, *rest: Any) -> list[int]:
                calls.append(len(rest[0]))
                return together(sock, *rest)

            monkeypatch.setattr(fanout._sender, "send_together", counted)
            for one in serving:
                one.begin()
            ticks = {one.catch_up_until - (one.next_index or 0) for one in serving}
            fanout._for_all = True
            fanout._wake.set()
            marks = [len(viewer.video()) for viewer in viewers]
            for viewer, before in zip(viewers, marks, strict=True):
                await viewer.until(lambda v=viewer, n=before: len(v.video()) > n + 60, "what comes after")
            assert calls
            assert set(calls) == {5}, "nobody went alone"
            for viewer in viewers:
                packets = viewer.video()
                assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(packets))
                stamps = [packet.timestamp for packet in packets if packet.marker]
                steps = [b - a for a, b in pairwise(stamps)]
                assert steps.count(1) >= 25, "a tick apart, in place of fast forward"
                assert all(step == 1 or 1000 < step < 90_000 for step in steps), "then at its own time"
            assert len(ticks) == 1
            for viewer in viewers:
                await viewer.close()

    run(work())


def test_no_sendmmsg_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without it serves viewers one by one."""

    def none(_buffer: int) -> ManyMessages:
        raise OSError("no sendmmsg")

    monkeypatch.setattr("hub.relay.sender.ManyMessages", none)

    async def work() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            viewers = [Lean() for _ in range(3)]
            for viewer in viewers:
                await viewer.connect((await relay.view(viewer.offer()))[1])
            await asyncio.gather(
                *(one.until(lambda v=one: len(v.video()) > 10, "packets") for one in viewers)
            )
            for viewer in viewers:
                await viewer.close()

    run(work())


def test_no_sort_outlives_the_viewers_that_are_of_it() -> None:
    """Each viewer that catches up is of a sort of its own for a moment: nothing is left of it."""
    sorts = Sorts()
    first = sorts.of(LOOK, 16)
    assert sorts.of(Look(*LOOK), 16) is first
    assert sorts.of(LOOK, 10) is not first
    gone = weakref.ref(first)
    del first
    assert gone() is None
