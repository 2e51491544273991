"""An owner who knows the maker and an address: one address is made of it, or one sentence says why there is none."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_hub import AUTHORITY, PERMISSION, HubThread, onboard, running_hub

pytestmark = pytest.mark.process  # each test runs a whole hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub that gives up on a camera after 4 s."""
    with running_hub(Path(tmp_path_factory.mktemp("data")), check_limit_s=4.0) as started:
        yield started


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def offer(hub: HubThread, address: str, vendor: str) -> dict[str, object]:
    body = {"address": address, "vendor": vendor, "custodian": AUTHORITY, "permission": PERMISSION}
    return dict(hub.login("admin").post("/api/v1/onboardings", json=body).json())


def test_makers_are_listed_with_advice_in_both_languages(hub: HubThread) -> None:
    """The list for the page holds every family with its route and what to do."""
    told = {one["id"]: one for one in hub.login("admin").get("/api/v1/makers").json()}

    assert {"tapo", "ezviz", "viettel", "xiaomi"} <= set(told)
    assert "Tài khoản camera" in told["tapo"]["advice"]["vi"]
    assert told["xiaomi"]["why"]["en"].endswith("camhub does not connect.")


def test_a_maker_without_a_route_is_refused_before_anything_is_sent(hub: HubThread) -> None:
    """Xiaomi ends at once with the reason; the field is the maker, and nothing is kept."""
    told = offer(hub, "127.0.0.1", "xiaomi")

    assert (told["code"], told["field"]) == ("vendor_refused", "vendor")
    assert "does not connect" in str(told["detail"]) or "không kết nối" in str(told["detail"])
    assert offer(hub, "127.0.0.1", "no such maker")["code"] == "vendor_unknown"


def test_a_maker_turns_a_host_into_one_stream_address(hub: HubThread) -> None:
    """``rtsp://host:port`` and Yoosee become the one path of its table, which is what the catalog would keep."""
    port, client = closed_port(), hub.login("admin")
    failed = onboard(client, f"rtsp://127.0.0.1:{port}", vendor="yoosee")
    kept = client.post(f"/api/v1/onboardings/{failed['id']}/keep").json()
    camera = client.get(f"/api/v1/cameras/{kept['camera_id']}").json()

    assert camera["address"] == f"rtsp://127.0.0.1:{port}/onvif1"
    assert camera["sub_address"] == f"rtsp://127.0.0.1:{port}/onvif2"


def test_what_is_known_about_the_maker_helps_where_the_camera_does_not_answer(hub: HubThread) -> None:
    """A refused connection to a Tapo says, beside what was seen, which switch opens its ports."""
    problem = onboard(hub.login("admin"), f"127.0.0.1:{closed_port()}", vendor="tapo")["problem"]

    assert problem["code"] in {"connection_refused", "timed_out"}  # a busy machine may refuse late
    assert "Tài khoản camera" in problem["hint"]
