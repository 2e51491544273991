"""A camera offered by its maker's own interface: onboarding, the stored addresses, and what the page then shows."""

from collections.abc import Iterator
from pathlib import Path

import corpus
import pytest
from running_hub import HubThread, onboard, running_hub
from vendor_replay import PASSWORD, USER, Replayer, isapi_device, serving_thread

pytestmark = [pytest.mark.process, corpus.needs_corpus]
NS = 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'
PORTS = (
    f"<AdminAccessProtocolList {NS}><AdminAccessProtocol><protocol>RTSP</protocol><portNo>1</portNo>"
    "</AdminAccessProtocol></AdminAccessProtocolList>"
).encode()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub that gives up on a camera after 12 s."""
    with running_hub(Path(tmp_path_factory.mktemp("data")), check_limit_s=12.0) as started:
        yield started


def test_a_hikvision_is_kept_with_what_it_told(hub: HubThread) -> None:
    """hikvision:// is taken in; where RTSP does not answer the failure names RTSP, and the camera can be kept."""
    client = hub.login("admin")
    device = Replayer(isapi_device("10_18_176_10", Security__adminAccesses=PORTS))
    with serving_thread(device.handle) as port:
        address = f"hikvision://127.0.0.1:{port}"
        failed = onboard(client, address, USER, PASSWORD)
        kept = client.post(f"/api/v1/onboardings/{failed['id']}/keep").json()
        camera = client.get(f"/api/v1/cameras/{kept['camera_id']}").json()

    assert camera["address"] == address
    assert device.with_credential > 1
    assert device.refused == 0
    assert failed["state"] == "failed"
