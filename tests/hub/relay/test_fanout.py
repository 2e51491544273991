"""Who is sent what, and when: the only viewer at once, one who has just come between two pictures."""

import asyncio
from itertools import pairwise

import pytest
from conftest import engine_with, run, still, until
from relay_camera import SyntheticCamera
from relay_lean import Lean

from hub.relay.camera.processing import Picture


@pytest.mark.long
def test_who_comes_gets_the_whole_group_though_no_picture_follows() -> None:
    """More packets than leave at once, to the second and third viewer alone, from a camera that sends nothing any more."""
    camera = SyntheticCamera(bitrate_kbps=4000, fps=50, pictures=200)

    async def work() -> None:
        async with engine_with(camera) as relay:
            _id, answer = await relay.view((first := Lean()).offer())
            await first.connect(answer)
            layer = relay.engine.layer("camera-1")
            assert layer is not None
            ring = layer.renditions["copy"].fanout.ring
            await until(lambda: ring.head > 200, 30, "a group of more packets than leave at once")
            camera.silent = True
            await still(lambda: ring.head, "pictures")
            start = ring.start()
            assert start is not None
            for later in (Lean(), Lean()):
                _id, answer = await relay.view(later.offer())
                await later.connect(answer)
                await later.until(lambda one=later: len(one.video()) >= ring.head - start, "the whole group")
                assert [packet.payload for packet in later.video()] == [
                    packet.payload for packet in ring.run(start, ring.head)
                ]
                await later.close()
            await first.close()

    run(work())


def test_the_only_viewer_is_sent_a_picture_as_it_comes() -> None:
    """Its packets have left when the picture has been taken: no task was woken for them. With two the task sends."""
    camera = SyntheticCamera()

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer_id, answer = await relay.view((first := Lean()).offer())
            await first.connect(answer)
            serving = relay.engine._viewers[viewer_id]
            await until(lambda: serving.packets > 10, 30, "packets")
            camera.silent = True
            await still(lambda: serving.packets, "packets")
            fanout = serving.feed
            assert fanout is not None

            def show(mark: bytes) -> int:
                before, now = serving.packets, asyncio.get_running_loop().time()
                payloads = [mark * 900, mark * 300]
                fanout.picture(Picture(payloads, int(now * 90_000), 90_000, now, key_frame=False))
                return int(serving.packets) - int(before)

            assert show(b"\x41") == 2
            await first.until(lambda: first.video()[-1].payload == b"\x41" * 300, "the picture")
            _id, answer = await relay.view((second := Lean()).offer())
            await second.connect(answer)
            await until(lambda: all(v.packets > 10 for v in fanout.viewers.values()), 30, "the second viewer")
            assert show(b"\x42") == 0
            for one in (first, second):
                await one.until(lambda v=one: v.video()[-1].payload == b"\x42" * 300, "the picture")
                await one.close()

    run(work())


def test_the_only_viewer_gets_pictures_of_any_shape() -> None:
    """One run, packets that grow or differ, more than a run holds: each packet comes once, in order, with its picture's end marked."""
    camera = SyntheticCamera()
    shapes = [
        [900],
        [900, 900, 300],
        [300, 900],
        [900, 300, 900],
        [700] * 16,
        [700] * 17,
        [700] * 40 + [1],
        [2] * 3,
    ]

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewer_id, answer = await relay.view((only := Lean()).offer())
            await only.connect(answer)
            serving = relay.engine._viewers[viewer_id]
            await until(lambda: serving.packets > 10, 30, "packets")
            camera.silent = True
            await still(lambda: serving.packets, "packets")
            fanout = serving.feed
            assert fanout is not None
            await only.until(lambda: len(only.video()) == serving.packets, "what was sent")
            begun, sent = (
                len(only.video()),
                [bytes((0x41, n)) * (size // 2 + 1) for s in shapes for n, size in enumerate(s)],
            )
            place = 0
            for shape in shapes:
                now = asyncio.get_running_loop().time()
                payloads = sent[place : place + len(shape)]
                fanout.picture(Picture(payloads, int(now * 90_000), 90_000, now, key_frame=False))
                place += len(shape)
                await only.until(lambda upto=begun + place: len(only.video()) >= upto, "the picture")
            got = only.video()[begun:]
            assert [packet.payload for packet in got] == sent
            assert [packet.marker for packet in got] == [
                n == len(s) - 1 for s in shapes for n in range(len(s))
            ]
            assert len({packet.sequence for packet in got}) == len(sent)
            assert serving.octets > sum(map(len, sent))
            await only.close()

    run(work())


def test_a_long_picture_leaves_in_portions_with_turns_for_others_between_them() -> None:
    """200 packets do not go out in one go: a jitter buffer is not stalled, and handshakes and other cameras get their turn."""
    camera = SyntheticCamera()

    async def work() -> None:
        async with engine_with(camera) as relay:
            viewers = []
            for viewer in (Lean(), Lean()):
                viewer_id, answer = await relay.view(viewer.offer())
                await viewer.connect(answer)
                viewers.append((viewer, relay.engine._viewers[viewer_id]))
            await until(lambda: all(serving.packets > 10 for _, serving in viewers), 30, "packets")
            camera.silent = True
            await still(lambda: sum(serving.packets for _, serving in viewers), "packets")
            (viewer, serving), *_ = viewers
            fanout, now = serving.feed, asyncio.get_running_loop().time()
            assert fanout is not None
            before, seen = serving.packets, set()
            fanout.picture(Picture([b"\x65" * 900] * 200, int(now * 90_000), 90_000, now, key_frame=True))
            while serving.packets < before + 200:
                seen.add(serving.packets - before)
                await asyncio.sleep(0)
            portions = sorted(seen - {0, 200})
            assert len(portions) >= 3, portions
            assert portions[0] <= 64
            assert max(later - earlier for earlier, later in pairwise(portions)) <= 48
            await viewer.until(lambda: viewer.video()[-1].payload[:900] == b"\x65" * 900, "the picture")
            for one, _ in viewers:
                await one.close()

    run(work())
