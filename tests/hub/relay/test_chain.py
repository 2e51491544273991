"""Which pictures can be decoded as they were coded, where packets of the camera were lost."""

import pytest

from adapters.port import AccessUnit
from hub.relay.camera.chain import Chain

KEY, REFERENCE, DISPOSABLE = b"\x65\x88", b"\x41\x9a", b"\x01\x9e"


def unit(nal: bytes, lost: int = 0, inside: int = 0) -> AccessUnit:
    """Return a picture of one slice."""
    return AccessUnit(0, 0, 0.0, [nal], nal == KEY, lost, inside)


@pytest.mark.parametrize(
    ("units", "taken"),
    [
        ([unit(KEY), unit(REFERENCE)], [True, True]),
        ([unit(KEY), unit(REFERENCE, 1, 1), unit(REFERENCE), unit(KEY), unit(REFERENCE)], [True, False, False, True, True]),
        ([unit(KEY), unit(DISPOSABLE, 1, 1), unit(REFERENCE)], [True, False, True]),
        ([unit(KEY), unit(DISPOSABLE, 1, 0), unit(REFERENCE)], [True, False, False]),
        ([unit(KEY, 3, 2), unit(REFERENCE), unit(KEY, 3, 0), unit(REFERENCE)], [False, False, True, True]),
    ],
    ids=["nothing lost", "a reference torn", "one torn that none refers to", "one missing before", "key frames"],
)  # fmt: skip
def test_what_refers_to_a_lost_picture_is_held_until_the_next_whole_key_frame(
    units: list[AccessUnit], taken: list[bool]
) -> None:
    """H.264 says by nal_ref_idc whether a picture is referred to; what never came counts as referred to."""
    chain = Chain()
    chain.begin("H264")

    assert [chain.takes(one) for one in units] == taken


def test_in_h265_every_picture_counts_as_referred_to() -> None:
    """The same bytes have no such field there."""
    chain = Chain()
    chain.begin("H265")

    assert [chain.takes(one) for one in (unit(KEY), unit(DISPOSABLE, 1, 1), unit(REFERENCE))] == [
        True,
        False,
        False,
    ]


def test_a_new_connection_begins_without_the_gaps_of_the_last_one() -> None:
    """What was lost before belongs to another stream."""
    chain = Chain()
    chain.begin("H264")
    chain.takes(unit(REFERENCE, 1, 1))
    chain.begin("H264")

    assert not chain.broken
