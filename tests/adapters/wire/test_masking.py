"""Captured bundles keep their shape and lose everything that says whose camera it was."""

import base64
import html
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from adapters.secret import Secret
from adapters.wire import redaction
from adapters.wire.masking import CAMERA, MASKED, Masker, unbase64, views
from adapters.wire.redaction import KEYS, Kind

pytestmark = pytest.mark.long

PASSWORD = "Tre/xanh&27 é"
HOST = "192.168.1.20"
REPLY = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><tds:Manufacturer>AXIS</tds:Manufacturer>'
    "<tds:Model>M2025-LE</tds:Model><tds:FirmwareVersion>9.80.3.13</tds:FirmwareVersion>"
    "<tds:SerialNumber>ACCC8E123456</tds:SerialNumber><tt:Name>Nhà chị Hoa</tt:Name>"
    "<tt:VideoSource/><tt:Name>VideoSource</tt:Name>"
    f"<tt:XAddr>http://{HOST}:80/onvif/device_service</tt:XAddr><tt:IPv4Address>203.162.4.191</tt:IPv4Address>"
    "<tt:HwAddress>AC:CC:8E:12:34:56</tt:HwAddress></s:Body></s:Envelope>"
)


def masker(**words: object) -> Masker:
    given_words: dict[str, object] = {
        "passwords": [Secret(PASSWORD)],
        "users": ["chihoa27"],
        "hosts": [HOST],
        "keep": ["AXIS", "M2025-LE", "9.80.3.13"],
        **words,
    }
    return Masker(**given_words)  # type: ignore[arg-type]


def masked(text: str, *, learned: str = "") -> str:
    made = masker()
    made.learn(learned or text)
    return made.text(text)


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("<tds:SerialNumber>ACCC8E123456</tds:SerialNumber>", "ACCC8E123456"),
        ("<serialNumber>DS-2CD2145FWD20190101AAWR123456789</serialNumber>", "123456789"),
        ("hw AC:CC:8E:12:34:56", "12:34:56"),
        ("hw ac-cc-8e-12-34-56", "12-34-56"),
        ("urn:uuid:3ea96f68-b845-1c0b-87cf-accc8e123456", "accc8e123456"),
        ("onvif://www.onvif.org/name/Nh%C3%A0%20ch%E1%BB%8B%20Hoa", "ch%E1%BB%8B"),
        ("onvif://www.onvif.org/location/city/Thanh%20H%C3%B3a", "Thanh"),
        ("<deviceName>Cong nha Hoa</deviceName>", "Hoa"),
        ("<channelName>Cua sau</channelName>", "sau"),
        ("<tt:PlainText>Duong Le Loi 5</tt:PlainText>", "Loi"),
        ("table.WLan.eth2.SSID=WifiNhaHoa", "WifiNhaHoa"),
        ("table.ChannelTitle[0].Name=Cua sau", "Cua"),
        ("root.Network.HostName=axis-hoa", "hoa"),
        ('{"ssid": "WifiNhaHoa"}', "WifiNhaHoa"),
        ('{"lat": 19.8067, "lon": 105.7852}', "19.8067"),
        ('{"name" : "Cua \\"sau\\" nha"}', "sau"),
        ("<emailAddress>hoa@gmail.com</emailAddress>", "gmail"),
        ("mail to hoa.nguyen@fpt.vn now", "hoa.nguyen"),
        ("<userName>chihoa27</userName>", "chihoa27"),
        ("http://mycam.dyndns.org:8080/x", "mycam"),
        ("gateway 10.11.12.13, DNS 203.162.4.191", "203.162.4.191"),
        ("fe80::aecc:8eff:fe12:3456", "fe12:3456"),
        ("<wsse:Password Type='x'>c2VjcmV0</wsse:Password>", "c2VjcmV0"),
        ("/cgi?token=abcdef0123456789&x=1", "abcdef0123456789"),
        ("http://h/;stok=abcdef0123456789/ds", "abcdef0123456789"),
        ("rtsp://someone:else99@192.168.1.20/x", "else99"),
        ("i=Cong nha Hoa\r\n", "Hoa"),
    ],
)
def test_each_kind_is_taken_out_where_devices_write_it(text: str, gone: str) -> None:
    """Fields of ONVIF, ISAPI, Dahua, VAPIX and JSON, and values known by their look."""
    made = masked(text)

    assert gone not in made
    assert gone.lower() not in made.lower()


def test_shape_and_meaning_stay() -> None:
    """Length and alphabet stay, the maker's bytes of a MAC, version and variant of a UUID, markup, make and model."""
    made = masked(REPLY)

    assert "<tds:Manufacturer>AXIS</tds:Manufacturer>" in made
    assert "<tds:FirmwareVersion>9.80.3.13</tds:FirmwareVersion>" in made
    assert f"http://{CAMERA}:80/onvif/device_service" in made
    assert "<tt:VideoSource/>" in made, "an element is not somebody's name"
    assert re.search(r"SerialNumber>[A-F]{4}\d[A-F]\d{6}<", made)
    assert re.search(r"HwAddress>AC:CC:8E:[0-9A-F:]{8}<", made)
    assert "<tt:Name>Xxx xxx Xxx</tt:Name>" in made
    assert len(made) == len(REPLY) - len(HOST) + len(CAMERA) - len("203.162.4.191") + len("203.0.113.1")
    uuid = masked("urn:uuid:3ea96f68-b845-1c0b-87cf-accc8e123456")
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}", uuid)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T12:30:00Z at 12:30:00",
        "255.255.255.0 0.0.0.0 239.255.255.250",
        '<tt:SimpleItem Name="Sensitivity" Value="60"/>',
        "<tt:Name>HTTP</tt:Name><tt:Name>eth0</tt:Name>",
        "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0IAKeKQFAe2AtwEBAaQeJEV,aM48gA==",
        'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns="http://www.hikvision.com/ver20/XMLSchema"',
        "onvif://www.onvif.org/hardware/M2025-LE onvif://www.onvif.org/location/country/china",
        "onvif://www.onvif.org/name/AXIS%20M2025-LE",
        '<trt:Profiles token="Profile_1" fixed="true">',
    ],
)
def test_what_says_nothing_about_the_owner_stays(text: str) -> None:
    """Times, masks, protocol words, parameter sets, namespaces, and names that are only make and model."""
    assert masked(text) == text


def test_the_same_value_becomes_the_same_replacement_everywhere_and_not_in_another_bundle() -> None:
    """A serial number in a name, a MAC without colons in a realm: found by their fields, taken out everywhere."""
    other = "at ACCC8E123456, name accc8e123456, and again ACCC8E123456 ac-cc-8e-12-34-56"
    made = masked(other, learned=REPLY)
    serials = re.findall(r"[A-F]{4}\d[A-F]\d{6}", made)

    assert "ACCC8E123456" not in made
    assert "12-34-56" not in made
    assert len(set(serials)) == 1
    assert masked(other, learned=REPLY) != made


def test_of_a_hardware_address_only_the_makers_half_stays() -> None:
    """The tail is made new: of twenty devices hardly one keeps a byte of it."""
    tails = [f"{number:02X}:5A:3C" for number in range(20)]
    made = [masked(f"AC:CC:8E:{tail}") for tail in tails]

    assert all(one.startswith("AC:CC:8E:") for one in made)
    for byte in (3, 4, 5):
        same = [
            new.split(":")[byte] == old.split(":")[byte - 3] for new, old in zip(made, tails, strict=True)
        ]
        assert sum(same) < 5


def test_headers_keep_what_a_client_needs() -> None:
    """Scheme, algorithm and quality stay; realm loses serial numbers, names and nonces are made new."""
    made = masker()
    offered = made.header(
        "WWW-Authenticate",
        'Digest realm="Login to 3E0123PAG00042", nonce="abcdef0123456789", algorithm=MD5, qop="auth", stale=FALSE',
    )
    sent = made.header(
        "Authorization",
        'Digest username="chihoa27", realm="x", nonce="abcdef0123456789", uri="/x", response="0011223344556677"',
    )

    assert re.fullmatch(
        r'Digest realm="Login to \d[A-Z]\d{4}[A-Z]{3}\d{5}", nonce="[a-f0-9]{16}", algorithm=MD5, qop="auth", stale=FALSE',
        offered,
    )
    assert "3E0123PAG00042" not in offered
    assert "chihoa27" not in sent
    assert "0011223344556677" not in sent
    assert re.search(r'nonce="([a-f0-9]+)"', offered)[1] == re.search(r'nonce="([a-f0-9]+)"', sent)[1]  # type: ignore[index]
    basic = base64.b64encode(f"chihoa27:{PASSWORD}".encode()).decode()
    assert unbase64(made.header("Authorization", f"Basic {basic}").split()[1]) == b"masked:masked"
    assert made.header("Session", "12345678;timeout=60").endswith(";timeout=60")
    assert "12345678" not in made.header("Session", "12345678;timeout=60")
    assert "abc123abc" not in made.header("Set-Cookie", "sid=abc123abc; Path=/")


SPELLINGS = {
    "plain": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "percent, slashes kept": lambda text: quote(text, safe="/"),
    "percent, small letters": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote(text, safe="")
    ),
    "every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "xml": html.escape,
    "references": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "json": lambda text: json.dumps(text)[1:-1],
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "basic": lambda text: base64.b64encode(f"root:{text}".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
}


@settings(max_examples=120, deadline=None)
@given(
    st.text(
        st.characters(min_codepoint=33, max_codepoint=0x1EF9, exclude_categories=["Cs", "Cc", "Zs"]),
        min_size=6,
        max_size=20,
    ),
    st.sampled_from(sorted(SPELLINGS)),
    st.integers(0, len(REPLY)),
    st.booleans(),
)
@example(PASSWORD.replace(" ", ""), "every byte", 0, False)
@example("Pa55/w0rd", "basic", 30, True)
@example("|ĲĞࣗæᤳ", "references", 166, True)
@example("aaaaaa", "plain", 200, False)
@example("192.0.2.1", "hexadecimal", 0, False)
@example("M2025-LE", "basic", 50, False)
@example("SerialNumber", "plain", 0, True)
def test_a_password_planted_anywhere_never_survives(
    password: str, spelling: str, at: int, header: bool
) -> None:
    """In any spelling, at any place of a reply or a header, whatever stands around it."""
    assume(set(password) != {"*"})  # what stands in the place of passwords; `camhub capture` refuses it
    made = masker(passwords=[Secret(password)])
    planted = f"{REPLY[:at]} {SPELLINGS[spelling](password)} {REPLY[at:]}"
    made.learn(planted)
    text = made.header("X-Any", planted) if header else made.text(planted)

    for view in views(text):
        assert password not in view
    for word in re.findall(r"[A-Za-z0-9+/_\-]{8,}={0,2}", text):
        assert password.encode() not in unbase64(word)
    assert password.encode().hex() not in text


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([kind for kind in Kind if kind in KEYS]),
    st.sampled_from(["element", "json", "pair", "attribute"]),
    st.data(),
)
def test_a_named_field_never_keeps_its_value(kind: Kind, form: str, data: st.DataObject) -> None:
    """Every field of the map, in every form in which devices write fields."""
    key = data.draw(st.sampled_from(KEYS[kind].split("|")))
    value = "Zq7" + data.draw(st.text("abcdefghijkmnpqrstuvwxyz0123456789", min_size=5, max_size=12))
    written = {
        "element": f"<x><a:{key} b='c'>{value}</a:{key}></x>",
        "json": f'{{"a": 1, "{key}": "{value}"}}',
        "pair": f"a=1\r\ntable.{key}={value}\r\nb=2",
        "attribute": f'<x><y {key}="{value}"/></x>' if kind is not Kind.NAME else f"?{key}={value}",
    }[form]

    assert value not in masked(written)


def test_a_rule_that_fails_masks_instead_of_leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in a replacement, the text does not pass."""
    made = masker()

    def broken(*_words: object) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Masker, "_mask", broken)
    text = made.text(REPLY)

    assert made.failed == 1
    assert set(text) <= {"•", " ", "\n"}
    assert made.header("Cookie", "sid=abc123abc") == "•"


def test_the_map_is_one() -> None:
    """What a log takes out as a secret, a capture takes out too."""
    for key in KEYS[Kind.SECRET].split("|"):
        line = f"<{key}>Zq7secret</{key}> {key}=Zq7secret"
        assert "Zq7secret" not in redaction.Redactor().text(line)
        assert "Zq7secret" not in masked(line)
    assert MASKED in masked("<Password>Zq7secret</Password>")


def test_a_large_text_is_read_in_reasonable_steps() -> None:
    """A megabyte of tags, of hexadecimal and of percent signs goes through: no pattern runs away."""
    made = masker()
    for text in ("<a>" * 20_000, "ab" * 40_000, "%41" * 20_000, "1." * 20_000, ":" * 40_000, '"' * 40_000):
        assert len(made.text(text)) > 0
