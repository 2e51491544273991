"""An offer of a shape that is known is read as if it had been parsed: nothing more is taken, nothing less, nothing of another."""

import random

from hypothesis import given
from hypothesis import strategies as st
from test_relay_sdp import FINGERPRINT, offer

from hub.relay.errors import RelayRefused
from hub.relay.webrtc.offers import Offers
from hub.relay.webrtc.sdp import Offer, Offered, negotiate

_plain = st.text("abcXYZ0123456789+/:", min_size=1, max_size=30)
_strange = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
_junk = st.sampled_from(
    [
        "a=ice-ufrag",
        "a=ice-ufrag:",
        "a=ice-pwd: x",
        "a=fingerprint:sha-256",
        "a=fingerprint:sha-256  AB",
        "a=fingerprint: AB",
        "a=fingerprint:SHA-512 AB:CD",
        "a=fingerprint:sha-256 0 1",
        "a=fingerprint:sha-1 1",
        "a=ice-ufrag:0",
        "a=setup:active",
        "a=setup:nonsense",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "m=video nine",
        "o=- 7 7 IN IP4 1.2.3.4",
        "a=mid:1",
        "",
    ]
)


def read(how: object, text: object) -> object:
    """Return what was read, or why it was refused."""
    try:
        return how(text)  # type: ignore[operator]
    except RelayRefused as error:
        return (error.status, error.code, error.detail)


def agreed(offer: Offer) -> object:
    """Return what is agreed with a camera of H.264."""
    return negotiate(offer, Offered("H264"))


@given(
    st.lists(st.tuples(_plain | _strange, _plain | _strange, _plain | _strange), min_size=2, max_size=4),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 60), _junk), max_size=4),
    st.randoms(use_true_random=False),
)
def test_what_is_known_changes_no_answer(
    owns: list[tuple[str, str, str]], audio: bool, junk: list[tuple[int, str]], chance: random.Random
) -> None:
    """Whatever was read before, an offer gives what the parser alone gives, refusals word by word included."""
    offers = Offers()
    for ufrag, pwd, print_ in owns:
        lines = (
            offer(audio=audio)
            .replace("abcd", ufrag)
            .replace("0123456789012345678901", pwd)
            .replace(FINGERPRINT, print_)
            .split("\r\n")
        )
        for place, line in junk:
            lines.insert(min(place, len(lines)), line)
        if junk and chance.random() < 0.3:
            del lines[chance.randrange(len(lines))]
        text = "\r\n".join(lines)
        seen = read(offers.read, text)
        assert seen == read(Offer.parse, text)
        if isinstance(seen, Offer):
            assert read(agreed, seen) == read(agreed, Offer.parse(text))


def test_browsers_of_one_make_share_a_shape() -> None:
    """The second one costs no parsing: only what is its own is put in."""
    offers = Offers()
    one = offers.read(offer())
    other = offers.read(offer().replace("abcd", "efgh").replace("o=- 1", "o=- 99"))
    assert len(offers) == 1
    assert (one.media[0].ufrag, other.media[0].ufrag) == ("abcd", "efgh")
    assert one.media[0].codecs is other.media[0].codecs


def test_offers_made_to_fill_the_memory_do_not() -> None:
    """So many shapes are kept and no more, and none that is long; the ones in use stay."""
    offers = Offers()
    usual = offers.read(offer())
    for number in range(100):
        offers.read(offer(extra=f"a=x-{number}"))
        assert offers.read(offer()).media[0].codecs is usual.media[0].codecs
    assert len(offers) <= 32
    kept = len(offers)
    long = "\n".join(f"a=x-{number}" for number in range(1500))
    assert offers.read(offer(extra=long)) == usual
    assert len(offers) == kept
