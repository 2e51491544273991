"""The shared ring, the camera's time line and a viewer's line of numbers."""

from itertools import pairwise

from hub.relay.camera.timeline import Timeline
from hub.relay.ring import PacketRing
from hub.relay.webrtc.lines import Line


def filled(pictures: int, key_every: int, packets: int = 4, **fields: int) -> PacketRing:
    """Return a ring after so many pictures."""
    ring = PacketRing(**fields)
    for number in range(pictures):
        ring.append([b"x"] * packets, number * 3600, key_frame=number % key_every == 0)
    return ring


def test_the_ring_keeps_the_running_group_and_what_may_be_asked_for_again() -> None:
    """At least `keep` packets stay, the newest key frame's with them, and it does not grow without end."""
    ring = filled(5000, 50, keep=1024)
    assert ring.head == 20000
    assert 1024 <= ring.head - ring.base < 1024 + 256 + 4 * 50
    assert ring.start() == 4950 * 4
    assert ring.get(ring.base - 1) is None
    assert ring.get(ring.head) is None


def test_a_group_longer_than_the_limit_starts_nobody() -> None:
    """A camera that hardly ever sends a key frame is bounded; viewers wait for the next one."""
    ring = filled(3000, 10_000, keep=64, limit=1000)
    assert ring.start() is None
    assert ring.head - ring.base < 1000


def test_the_newest_key_frame_can_be_taken_out_whole() -> None:
    """All packets of the newest key frame, and none where nobody could begin with it."""
    ring = PacketRing()
    assert ring.key_frame() == []
    for number in range(12):
        ring.append([bytes((number, part)) for part in range(3)], number * 3600, key_frame=number % 5 == 0)
    assert [packet.payload for packet in ring.key_frame()] == [b"\x0a\0", b"\x0a\1", b"\x0a\2"]
    assert len(filled(500, 50, packets=100).key_frame()) == 100
    ring.forget_start()
    assert ring.key_frame() == []


def test_a_picture_ends_with_the_marker() -> None:
    """One marker per picture, on its last packet (RFC 6184 5.1)."""
    ring = filled(2, 10)
    assert [packet.marker for packet in ring.run(0, 8)] == [0, 0, 0, 0x80] * 2


def test_the_line_goes_on_when_a_camera_returns_with_another_clock() -> None:
    """Ticks after a gap advance by the time that passed, whatever the camera counts."""
    line = Timeline()
    first = line.map(1_000_000, 90_000, 100.0)
    second = line.map(1_003_600, 90_000, 100.04)
    assert second - first == 3600
    line.reopened()
    third = line.map(77, 90_000, 110.04)
    assert abs(third - second - 900_000) < 2
    assert line.map(77 + 3600, 90_000, 110.08) - third == 3600


def test_a_clock_that_steps_back_is_followed_by_arrival() -> None:
    """A negative step never reaches a browser; equal stamps are told apart by one tick."""
    line = Timeline()
    ticks = [
        line.map(stamp, 90_000, 1.0 + n * 0.04)
        for n, stamp in enumerate([9_000_000, 9_003_600, 5, 3605, 3605])
    ]
    assert ticks == sorted(set(ticks))
    assert abs(ticks[2] - ticks[1] - 3600) < 2


def test_other_clock_rates_become_90_khz() -> None:
    """A track that counts milliseconds is scaled."""
    line = Timeline()
    first = line.map(1000, 1000, 1.0)
    assert line.map(1040, 1000, 1.04) - first == 3600


def test_a_start_from_the_cache_squeezes_all_but_the_newest_picture() -> None:
    """Old pictures stand one tick apart just below the newest, so a decoder runs through them."""
    ring = filled(30, 50, packets=1)
    newest = ring.picture
    line = Line(ring, 0, 0, 0, newest, ring.head, ring.timestamp - newest)
    stamps = [line.timestamp(packet) for packet in ring.run(0, ring.head)]
    assert stamps[-1] == ring.timestamp
    assert [b - a for a, b in pairwise(stamps)] == [1] * 29
