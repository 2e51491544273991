"""What a viewer says about its network, and what it gets again: RFC 4588, transport-wide feedback, REMB, playout delay."""

import asyncio
import struct
from itertools import pairwise

import pytest
from conftest import engine_with, run, until
from hypothesis import given
from hypothesis import strategies as st
from relay_camera import SyntheticCamera
from relay_lean import DELAY_ID, WIDE_ID, Lean, Rtp
from test_relay_layers import changes, main_and_sub, watching

from hub.relay.events import SourceSpec
from hub.relay.outputs.readers import Warm
from hub.relay.webrtc.quality import UP_AFTER_S, Quality
from hub.relay.webrtc.rtcp import read_feedback
from hub.relay.webrtc.twcc import SendHistory, read_report

pytestmark = pytest.mark.long


@pytest.mark.parametrize("rtx", [True, False])
def test_a_lost_packet_comes_again_on_a_stream_of_its_own(camera: SyntheticCamera, *, rtx: bool) -> None:
    """With RFC 4588 the old number stands before the payload; without it the packet comes once more as it was."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer = Lean()
            _id, answer = await relay.view(viewer.offer(rtx=rtx))
            await viewer.connect(answer)
            await viewer.until(lambda: len(viewer.video()) > 5, "packets")
            viewer.lose = 1
            await viewer.until(lambda: bool(viewer.missed), "a loss")
            wanted = viewer.missed[0]
            viewer.nack(wanted)

            def again() -> list[Rtp]:
                return [
                    p
                    for p in viewer.packets
                    if p.ssrc == viewer.rtx_ssrc or (not rtx and p.sequence == wanted)
                ]

            await viewer.until(again, "the packet again")
            packet = again()[0]
            if rtx:
                assert (packet.ssrc, packet.payload_type) == (viewer.rtx_ssrc, 107)
                assert packet.payload[:2] == wanted.to_bytes(2, "big")
            else:
                assert (packet.ssrc, packet.payload_type, packet.sequence) == (viewer.ssrc, 106, wanted)
                assert viewer.rtx_ssrc == 0
            before = next(p for p in viewer.video() if (wanted - p.sequence) & 0xFFFF == 1)
            assert (packet.timestamp - before.timestamp) & 0xFFFFFFFF in {0, 3600}
            await viewer.close()

    run(work())


def test_the_playout_delay_is_told_until_a_report_proves_that_it_was_heard(camera: SyntheticCamera) -> None:
    """50 to 400 ms in every packet at first, none after the first receiver report."""

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer = Lean()
            _id, answer = await relay.view(viewer.offer())
            await viewer.connect(answer)
            await viewer.until(viewer.video, "packets")
            assert viewer.video()[0].extensions == {DELAY_ID: (5 << 12 | 40).to_bytes(3, "big")}
            assert "transport-cc" not in answer  # one layer: nothing to choose, so no feedback is asked for
            viewer.lost(0.0)
            await viewer.until(lambda: not viewer.video()[-1].extensions, "packets without it")
            await viewer.close()

    run(work())


def path_feedback(ssrc: int, first: int, arrived: list[float | None], base_s: float) -> bytes:
    """Write transport-wide feedback with a two-bit symbol for each packet."""
    reference = int(base_s / 0.064)
    now, deltas, symbols = reference * 0.064, b"", []
    for at in arrived:
        if at is None:
            symbols.append(0)
        else:
            deltas += struct.pack("!h", round((base_s + at - now) / 0.00025))
            now += round((base_s + at - now) / 0.00025) * 0.00025
            symbols.append(2)
    chunks = b""
    for start in range(0, len(symbols), 7):
        group = symbols[start : start + 7]
        chunks += struct.pack("!H", 0xC000 | sum(s << (12 - 2 * n) for n, s in enumerate(group)))
    body = (
        struct.pack("!HH", first & 0xFFFF, len(arrived))
        + reference.to_bytes(3, "big")
        + b"\x00"
        + chunks
        + deltas
    )
    body += bytes(-len(body) % 4)
    return struct.pack("!BBHII", 0x8F, 205, 2 + len(body) // 4, 1, ssrc) + body


def test_packets_are_numbered_across_the_transport_and_feedback_about_them_moves_the_viewer() -> None:
    """Numbers rise one by one over picture and retransmissions; half of them lost brings an `auto` viewer down."""
    main, _sub, opened = main_and_sub()

    async def work() -> None:
        async with engine_with(main, open_source=opened) as relay:
            _id, viewer = await watching(relay, wanted="auto")
            assert "a=rtcp-fb:106 transport-cc" in viewer.answer
            await viewer.until(lambda: len(viewer.video()) > 30, "packets")
            viewer.nack(viewer.video()[2].sequence)
            await viewer.until(lambda: any(p.ssrc == viewer.rtx_ssrc for p in viewer.packets), "one again")
            numbers = [int.from_bytes(packet.extensions[WIDE_ID], "big") for packet in viewer.packets]
            assert all((b - a) & 0xFFFF == 1 for a, b in pairwise(numbers))
            arrived = [n * 0.001 if n % 2 else None for n in range(30)]
            viewer.say(path_feedback(viewer.ssrc, numbers[0], arrived, 100.0))
            await until(lambda: ("sub", "auto", "network") in changes(relay), 15, "the sub-stream")
            await viewer.close()

    run(work())


def test_feedback_is_held_against_what_was_sent() -> None:
    """Loss and growing delay are read; numbers that were never sent say nothing."""
    history = SendHistory()
    for place in range(10):
        history.sent(10, 50.0 + place * 0.04)
    first = read_feedback(path_feedback(7, 0, [0.0, None, 0.002], 9.0), 7).path
    assert first is not None
    seen = history.seen(read_report(first))
    assert seen is not None
    assert (seen.lost, seen.received) == (1, 2)
    late = history.seen(read_report(read_feedback(path_feedback(7, 90, [1.36], 9.0), 7).path or b""))
    assert late is not None
    assert seen.delay_s is not None
    assert late.delay_s is not None
    assert late.delay_s - seen.delay_s == pytest.approx(1.0, abs=0.01)
    never = read_report(read_feedback(path_feedback(7, 95, [0.0] * 20, 9.0), 7).path or b"")
    assert history.seen(never) is None


@given(st.binary(max_size=300))
def test_feedback_that_is_garbage_is_refused_or_bounded(body: bytes) -> None:
    """Authenticated does not mean well-formed."""
    try:
        report = read_report(body)
    except ValueError:
        return
    assert len(report.arrived_s) <= 4096


def test_the_estimate_of_a_viewer_is_read_for_our_stream_alone() -> None:
    """REMB: 18 bits of mantissa, 6 of exponent."""
    packet = struct.pack("!BBHII", 0x8F, 206, 5, 1, 0) + b"REMB" + bytes((1, 2 << 2 | 1, 0, 0))
    packet += struct.pack("!I", 7)
    assert read_feedback(packet, 7).estimate_bps == 0x10000 << 2
    assert read_feedback(packet, 8).estimate_bps is None


def test_a_network_that_recovers_is_tried_again_later_each_time_that_was_too_early() -> None:
    """Down at once; up after 10 quiet seconds; down again soon: 20, then 40."""
    quality, now, layer = Quality(0.0), 0.0, "main"
    waits = []
    for _ in range(3):
        quality.reported_loss(0.2, now)
        layer = quality.choose(layer, now)
        assert layer == "sub"
        went_down = now
        while layer == "sub":
            now += 0.5
            quality.reported_loss(0.0, now)
            layer = quality.choose(layer, now)
        waits.append(now - went_down)
        now += 1.0
    assert waits == [UP_AFTER_S, 2 * UP_AFTER_S, 4 * UP_AFTER_S]


def test_small_losses_and_one_slow_report_move_nobody() -> None:
    """Two lasting reports are needed, or a queue of a quarter of a second."""
    quality = Quality(0.0)
    for now in (1.0, 3.0):
        quality.reported_loss(0.05, now)
        quality.reported_loss(0.0, now + 1)
        assert quality.choose("main", now + 1) == "main"
    quality.reported_path(0, 50, 1000.0, 5.0)
    quality.reported_path(0, 50, 1000.2, 5.2)
    assert quality.choose("main", 5.2) == "main"
    quality.reported_path(0, 50, 1000.3, 5.4)
    assert quality.choose("main", 5.4) == "sub"


def test_a_lost_picture_without_a_key_frame_at_hand_is_asked_of_the_camera_only_where_that_is_allowed() -> (
    None
):
    """One request in two seconds to an admitted municipal camera for as long as somebody waits, none to any other."""
    asked: dict[str, list[float]] = {}

    async def work() -> None:
        camera = SyntheticCamera(start_at=1, pictures=250)  # ten seconds from here to its own next one

        async def opened(description, deadline, audio):
            source = await camera.open(description, deadline, audio)

            async def key_frame() -> None:
                asked.setdefault(description.camera_id, []).append(asyncio.get_running_loop().time())

            source.key_frame = key_frame
            return source

        async with engine_with(camera, open_source=opened) as relay:
            viewers = []
            for name, may_ask in (("municipal", True), ("donated", False)):
                for _ in range(2):
                    viewer = Lean()
                    _id, answer = await relay.view(viewer.offer(), camera_id=name, may_ask=may_ask)
                    viewers.append(await viewer.connect(answer))
                # Who is no viewer of WebRTC cannot ask, and waits as they do.
                reading = SourceSpec(f"{name} read", "rtsp://camera/", None, may_ask=may_ask)
                relay.vouched.add(f"{name} reader")
                await relay.engine.read(f"{name} reader", reading, lambda _offered: Warm())
            await until(lambda: [len(times) for times in asked.values()] >= [2, 2], 15, "the requests")
            assert set(asked) == {"municipal", "municipal read"}
            assert all(b - a > 1.5 for times in asked.values() for a, b in pairwise(times))
            for viewer in viewers:
                await viewer.close()

    run(work())
