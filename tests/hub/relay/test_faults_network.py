"""What a viewer gets over a bad network, each impairment stated; both directions, by seed, over a real path."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from itertools import dropwhile
from typing import Any

import pytest
from conftest import Harness, engine_with, run, spec, until
from impair_path import ImpairedPath, impaired
from relay_camera import SyntheticCamera
from relay_receiver import Receiver
from test_relay_layers import SUB, main_and_sub

from hub.relay.engine import EngineLimits
from hub.relay.events import LayerChanged, ViewerEnded

pytestmark = [pytest.mark.slow, pytest.mark.long]


@contextlib.asynccontextmanager
async def behind(
    path: ImpairedPath, relay: Harness, *, wanted: str = "main", **fields: Any
) -> AsyncIterator[tuple[str, Receiver]]:
    """Connect a viewer over the path and wait for its first picture."""
    viewer, viewer_id = Receiver(path), secrets.token_hex(4)
    try:
        answer = await relay.engine.view(viewer_id, spec(**fields), viewer.offer(), wanted=wanted)
        relay.vouched.add(viewer_id)
        await viewer.connect(answer)
        await viewer.until(viewer.decodable, "the first picture", 30)
        yield viewer_id, viewer
    finally:
        path.set()
        await viewer.close()


def over(path: ImpairedPath, work: Callable[[], Any]) -> None:
    """Run a test with the relay at the near end."""
    with path.near():
        run(work())


@pytest.mark.parametrize(("share", "whole"), [(0.05, 0.98), (0.2, 0.9)])
def test_lost_packets_come_again_until_the_picture_is_whole(share: float, whole: float) -> None:
    """5 % and 20 % lost both ways, handshake, checks and requests too: who insists on this stream gets its pictures, later."""
    camera = SyntheticCamera(fps=50, bitrate_kbps=1000)

    async def work() -> None:
        path.set(loss=share, delay_s=0.02)
        async with engine_with(camera, host=path.host) as relay, behind(path, relay) as (viewer_id, viewer):
            await viewer.until(lambda: viewer.decodable() >= 70, "pictures", 60)
            # Where the head of the first key frame was lost it began with the next, asked for by PLI.
            pictures = list(dropwhile(lambda picture: not picture.decodable, viewer.pictures()))
            seen = pictures[:-10]  # what is missing of the newest is still being asked for
            assert sum(picture.decodable for picture in seen) >= whole * len(seen)
            assert viewer.recovered > 0
            assert relay.engine._viewers[viewer_id].resent >= viewer.recovered
            assert not relay.of(ViewerEnded)

    with impaired(int(share * 100)) as path:
        over(path, work)


def test_a_viewer_that_adapts_leaves_a_network_that_goes_on_losing_for_the_sub_stream() -> None:
    """Two reports of 4 % or more (here 7 % are lost) are enough; the small picture goes on in the same numbers, and the viewer is told why."""
    main, _sub, opened = main_and_sub()

    async def work() -> None:
        path.set(loss=0.08, delay_s=0.02)
        async with (
            engine_with(main, open_source=opened, host=path.host) as relay,
            behind(path, relay, wanted="auto", sub_url=SUB, both=True) as (_id, viewer),
        ):
            await until(lambda: relay.of(LayerChanged)[-1].layer == "sub", 30, "the sub-stream")
            told = relay.of(LayerChanged)[-1]
            assert (told.layer, told.code) == ("sub", "network")
            seen = viewer.decodable()
            await viewer.until(lambda: viewer.decodable() > seen + 20, "pictures", 30)

    with impaired(8) as path:
        over(path, work)


def test_a_long_and_uneven_way_delays_the_picture_and_asks_for_nothing_again() -> None:
    """300 ms there and back with 40 ms of jitter: every picture whole, not one packet asked for twice."""
    camera = SyntheticCamera(fps=50)

    async def work() -> None:
        path.set(delay_s=0.15, jitter_s=0.04)
        async with engine_with(camera, host=path.host) as relay, behind(path, relay) as (viewer_id, viewer):
            await viewer.until(lambda: len(viewer.pictures()) >= 60, "pictures", 30)
            assert all(picture.decodable for picture in viewer.pictures())
            assert (viewer.asked, relay.engine._viewers[viewer_id].resent) == (0, 0)

    with impaired(15) as path:
        over(path, work)


def test_packets_that_overtake_or_come_twice_change_nothing() -> None:
    """A tenth late and a tenth doubled, both ways: pictures whole; a copied request is not answered twice."""
    camera = SyntheticCamera(fps=50, bitrate_kbps=1000)

    async def work() -> None:
        path.set(reorder=0.1, reorder_s=0.03, duplicate=0.1)
        async with engine_with(camera, host=path.host) as relay, behind(path, relay) as (viewer_id, viewer):
            await viewer.until(lambda: len(viewer.pictures()) >= 60 and viewer.asked > 5, "pictures", 30)
            path.set()
            await asyncio.sleep(0.3)
            assert all(picture.decodable for picture in viewer.pictures()[:-5])
            assert viewer.refused > 0
            assert relay.engine._viewers[viewer_id].resent <= viewer.asked
            assert not relay.of(ViewerEnded)

    with impaired(10) as path:
        over(path, work)


def test_after_darkness_the_picture_returns_on_the_same_connection_or_the_viewer_is_gone() -> None:
    """A second of nothing: it begins anew at a key frame, without an offer. Longer than consent lasts: `viewer_gone`."""
    camera = SyntheticCamera(fps=50, pictures=25)

    async def work() -> None:
        limits = EngineLimits(gone_after_s=3.5)
        async with (
            engine_with(camera, limits, host=path.host) as relay,
            behind(path, relay) as (viewer_id, viewer),
        ):
            await viewer.until(lambda: len(viewer.pictures()) >= 10, "pictures", 30)
            path.set(dark=True)
            await asyncio.sleep(1.2)
            path.set()
            loop = asyncio.get_running_loop()
            light = loop.time()

            def back() -> bool:
                return sum(p.decodable and p.at_s > light + 0.5 for p in viewer.pictures()) > 20

            await viewer.until(back, "the picture again", 30)
            assert not relay.of(ViewerEnded)
            path.set(dark=True)
            await until(lambda: bool(relay.of(ViewerEnded)), 30, "the end")
            assert relay.of(ViewerEnded) == [ViewerEnded(viewer_id, "viewer_gone")]

    with impaired(3) as path:
        over(path, work)
