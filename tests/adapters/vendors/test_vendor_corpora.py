"""Banners, Reolink and UniFi replies of real devices: what is read of each, device by device."""

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from corpus import checked, files, needs_corpus, path

from adapters.reolink.mapping import told as reolink_told
from adapters.unifi.mapping import told as unifi_told
from adapters.vendors.banners import MAX_BANNER, recognise, rules

RLC_822A = "reolink_json/py_reolinkrestapi_RLC-822A/int5_batch_response.json"
BOOTSTRAP = "unifi_protect/uiprotect/sample_bootstrap__A.json"
NOW = datetime(2022, 9, 15, 11, 22, 0, tzinfo=UTC)

# camera id -> model, firmware, connected, recording, (main px), main kbit/s, sub stream is on
CAMERAS: dict[str, tuple[str, str, bool, str, tuple[int, int], int, bool]] = {
    "76227b20c37b2ff0abdc9d4d": ("G4 Dome", "4.47.15", False, "continuous", (2688, 1512), 10000, False),
    "0777b5d342302079dc6b793d": ("G4 Doorbell", "4.48.16", False, "continuous", (1600, 1200), 6000, True),
    "56401f80d300adad7123c864": ("G4 Bullet", "4.47.13", False, "continuous", (2688, 1512), 10000, True),
    "e2ff0ade6be0f2a2beb61869": ("G4 Doorbell", "4.48.16", True, "continuous", (1600, 1200), 3000, False),
    "f0cd15b8bed9e38899286a8c": ("G4 Pro", "4.48.16", True, "continuous", (3840, 2160), 16000, True),
    "ab3e27f2d55fad817dac7bb9": ("G4 Pro", "4.48.16", True, "continuous", (3840, 2160), 16000, True),
    "4a333d993fe8e2e8472bc901": ("G4 Pro", "4.48.16", True, "mixed", (3840, 2160), 16000, True),
    "c462c07dbd63ad805a7318c7": ("G4 Pro", "4.48.16", True, "continuous", (3840, 2160), 16000, True),
}


def loaded(name: str) -> Any:
    return json.loads(path(*name.split("/")).read_text("utf-8"))


@needs_corpus
def test_reolink_rlc_822a() -> None:
    """An RLC-822A in Sydney, in winter: identity, ports, zone and clock; no picture is offered without its settings."""
    told = reolink_told(loaded(RLC_822A), "10.0.0.1", "admin", NOW)
    facts = told.facts

    assert (facts["device.manufacturer"], facts["device.model"]) == ("Reolink", "RLC-822A")
    assert facts["device.firmware"] == "v3.1.0.956_22041507"
    assert facts["device.hardware_id"] == "IPC_523128M8MP"
    assert "device.serial" not in facts  # X's: the device hides it
    assert facts["time.zone_offset_min"] == 600
    assert facts["time.daylight_savings"] is True
    assert facts["time.offset_s"] == -3.0
    assert facts["service.onvif"] is True
    assert facts["service.rtsp_port"] == 554
    ports = {one["name"]: (one["enabled"], one["port"]) for one in facts["service.ports"]}  # type: ignore[index,union-attr,call-overload]
    assert ports["http"] == (False, 80)
    assert ports["onvif"] == (True, 8000)
    assert facts["privacy.mask_supported"] is True
    assert "rtsp 3" in facts["vendor.apis"]  # type: ignore[operator]
    assert told.streams == ()
    assert "Gate" not in str(facts)
    checked(RLC_822A)


@needs_corpus
def test_unifi_console() -> None:
    """A UNVR-PRO with eight cameras: the console's own facts, people by level, nobody's name, no place, no Wi-Fi."""
    state = loaded(BOOTSTRAP)
    told = unifi_told(state, "10.0.0.1", "", NOW)
    facts = told.facts

    assert (facts["device.model"], facts["device.firmware"]) == ("UNVR-PRO", "2.3.10")
    assert facts["media.video_sources"] == 8
    assert Counter(facts["account.levels"]) == {"administrator": 5, "user": 2}  # type: ignore[arg-type]
    assert facts["service.ssh"] is False
    assert facts["storage.present"] is True
    assert facts["vendor.apis"] == ("Protect 1.21.0-beta.3",)
    assert len(told.streams) == 16
    names = [one["name"] for one in (*state["cameras"], *state["users"])] + [state["nvr"]["name"]]
    assert not [name for name in names if name and name in str(told)]
    checked(BOOTSTRAP)


@needs_corpus
@pytest.mark.parametrize("camera", sorted(CAMERAS))
def test_unifi_cameras(camera: str) -> None:
    """Each camera of the console: model, firmware, whether it is connected, recording, and its two streams."""
    model, firmware, connected, recording, size, kbps, sub_on = CAMERAS[camera]
    told = unifi_told(loaded(BOOTSTRAP), "10.0.0.1", camera, NOW)
    main, sub = (one for one in told.streams if one.source == camera)

    assert (told.facts["device.model"], told.facts["device.firmware"]) == (model, firmware)
    assert told.quirks == (() if connected else ("camera_not_connected",))
    assert told.facts["recording.mode"] == recording
    assert told.facts["privacy.masks"] == 0
    assert told.facts["privacy.mask_supported"] is True
    assert ((main.width, main.height), main.bitrate_kbps) == (size, kbps)
    assert main.target is not None
    assert (main.target.scheme, main.target.port) == ("rtsps", 7441)
    assert (sub.target is not None) is sub_on


@needs_corpus
@pytest.mark.parametrize("name", [name for name in files("unifi_protect") if "bootstrap" not in name])
def test_unifi_accessories_are_no_cameras(name: str) -> None:
    """Chimes, lights, sensors, people and events, taken for a console's state or its cameras, give no camera."""
    content = loaded(name)
    for state in (content if isinstance(content, dict) else {}, {"cameras": [content]}, {"cameras": content}):
        told = unifi_told(state, "10.0.0.1", "", NOW)
        assert told.streams == ()
        assert "media.video_sources" not in told.facts
        assert "device.model" not in told.facts
    checked(name)


@needs_corpus
@pytest.mark.parametrize("name", files("banners"))
def test_banners(name: str) -> None:
    """Every banner that the rules were written by leads to its maker; of others the recall is printed."""
    rows = [json.loads(line) for line in path(*name.split("/")).read_text("utf-8").splitlines()]
    found, wrong = 0, []
    for row in rows:
        params, text = row["params"], row["example"]
        if row["encoding"] == "base64":
            text = base64.b64decode("".join(text.split())).decode("latin-1")
        makers = {params.get(f"{what}.vendor", "").lower() for what in ("hw", "service", "os")}
        hint = recognise(text)
        if hint is not None and hint.maker and hint.maker.lower() not in makers:
            wrong.append((text, hint.maker))
        elif hint is not None and (hint.maker or makers == {""}):
            found += 1
    print(f"banners {name}: {found} of {len(rows)} makers recognised, {len(wrong)} taken for another")
    if name.endswith("__A.jsonl"):
        assert (found, wrong) == (len(rows), [])
    else:  # nobody looked at these while the rules were written: reported, with room for a few mistakes
        assert len(wrong) <= len(rows) // 10, wrong
    checked(name)


def test_a_banner_is_bounded_and_never_a_template() -> None:
    """A banner of any length is looked at to its bound; what it gives is words, no address."""
    assert recognise("x" * 10_000_000 + "Hikvision") is None
    assert recognise("") is None
    assert recognise(" " * MAX_BANNER) is None
    hint = recognise("App-webs/")
    assert hint is not None
    assert (hint.maker, hint.family, hint.kind) == ("Hikvision", "hikvision", "camera")
    assert not [name for name in vars(type(hint)) if "path" in name or "port" in name]


@pytest.mark.parametrize(
    ("banner", "maker"),
    [
        ("DNVRS-Webs", "Hikvision"),
        ('Digest realm="DS-2CD2032", nonce="x"', "Hikvision"),
        ("Rtsp Server/3.0", "Dahua"),
        ('Digest realm="Login to 4C03F5CPAJ00001", nonce="1"', "Dahua"),
        ("AXIS Q6045-E Network Camera", "Axis"),
        ("UniFi NVR: Software Portal", "Ubiquiti"),
        ("BC Streaming Media", "Reolink"),
        ("nginx/1.24.0", None),
        ("Apache", None),
        ("GoAhead-Webs", None),
        ("Router settings", None),
    ],
)
def test_makers_that_homes_hold(banner: str, maker: str | None) -> None:
    """Headers of the makers met most often, and of what is no camera at all."""
    hint = recognise(banner)

    assert (hint.maker if hint is not None else None) == maker


def test_rules_name_makers_once_per_kind() -> None:
    """The table holds one rule per maker and kind; families exist."""
    named = Counter((rule.maker, rule.kind) for rule in rules())

    assert [one for one, times in named.items() if times > 1] == []
