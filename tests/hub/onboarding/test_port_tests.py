"""Tests of ports: off until somebody agreed, on record with who and when, over as soon as it is taken back."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from running_hub import HubThread, onboard, running_hub

from adapters.clock import SystemClock
from adapters.discovery.interfaces import Attachment
from hub.catalog.types import Kind, NewCamera, NewCustodian
from hub.compliance import lan
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import shipped
from hub.store.chain import HUB

pytestmark = pytest.mark.process
LEAVE = {"allowed": True, "granted_by": "Nguyễn Văn A", "basis": "authority"}


class Listener:
    """A named port that counts who knocks."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])

    def knocks(self) -> int:
        """Return how many connections came since the last question."""
        count = 0
        while True:
            try:
                self.socket.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


@dataclass
class Scene:
    """A hub on the same network as its cameras, and one port that may be tried."""

    hub: HubThread
    admin: httpx.Client
    listener: Listener
    patched: pytest.MonkeyPatch

    def device(self) -> ScriptedCamera:
        """Start a camera."""
        device = ScriptedCamera(shipped()["good-onvif"], SystemClock())
        self.hub.run(device.start())
        return device

    def leave(self, camera: str) -> dict[str, Any]:
        return dict(self.admin.get(f"/api/v1/cameras/{camera}").json()["port_tests"])

    def put(self, client: httpx.Client, camera: str, **body: Any) -> httpx.Response:
        return client.put(f"/api/v1/cameras/{camera}/port-tests", json=body)

    def check(self, camera: str) -> None:
        """Run the camera's next scheduled check."""
        rechecks = self.hub.hub.services.rechecks
        booked = self.hub.run(rechecks.booked(camera))
        assert booked is not None
        assert self.hub.run(rechecks.check(booked)) in {"kept", "held"}

    def seen(self, camera: str) -> Any:
        """Return the fact of the newest assessment."""
        catalog = self.hub.hub.services.catalog
        newest = self.hub.run(catalog.assessments(camera, 1))[0]
        return self.hub.run(catalog.assessment(newest.id)).observations["lan.open_debug_ports"]

    def told(self, camera: str) -> list[str]:
        """Return what the log says about ports of a camera, oldest first."""
        items = self.admin.get("/api/v1/audit", params={"camera": camera, "kind": "ports."}).json()["items"]
        return [one["kind"] for one in reversed(items)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The hub stands on loopback; its only named port is the listener's."""
    listener = Listener()
    with pytest.MonkeyPatch.context() as patched, running_hub(tmp_path_factory.mktemp("data")) as hub:
        patched.setattr(lan, "attached", lambda: (Attachment("lo", 1, "127.0.0.1", 8),))
        patched.setattr(lan, "DEBUG_PORTS", (listener.port,))
        patched.setattr(lan, "USUAL_PORTS", ())
        patched.setattr(lan, "DISCOVERY_S", 0.3)
        yield Scene(hub, hub.login("admin"), listener, patched)
    listener.socket.close()


def test_a_scheduled_run_tries_the_named_ports_only_by_leave(scene: Scene) -> None:
    """Nothing is tried by default; with the leave each run knocks once and names who agreed; taken back, never again."""
    device = scene.device()
    done = onboard(scene.admin, device.onvif_url, device.user, device.password)
    camera = done["camera_id"]
    assert scene.leave(camera)["allowed"] is False
    scene.check(camera)
    assert scene.listener.knocks() == 0
    assert "value" not in scene.seen(camera)

    assert scene.put(scene.admin, camera, **LEAVE).status_code == 204
    scene.check(camera)
    assert scene.listener.knocks() == 1
    assert scene.seen(camera)["value"] == [scene.listener.port]
    assert "Nguyễn Văn A" in str(scene.seen(camera))

    assert scene.put(scene.admin, camera, allowed=False).status_code == 204
    scene.check(camera)
    assert scene.listener.knocks() == 0
    assert scene.told(camera) == ["ports.allowed", "ports.refused"]
    scene.hub.run(device.stop())


def test_an_onboarding_tries_them_where_the_permission_says_so(scene: Scene) -> None:
    """The permission of the check may include the ports; who agreed, by which right and when stays on record."""
    device = scene.device()
    permission = {"granted_by": "Nguyễn Văn A", "basis": "owner", "ports": True}
    done = onboard(scene.admin, device.onvif_url, device.user, device.password, permission=permission)
    assert scene.listener.knocks() == 1
    leave = scene.leave(done["camera_id"])
    assert (leave["allowed"], leave["granted_by"], leave["basis"]) == (True, "Nguyễn Văn A", "owner")
    assert leave["granted_at"]
    assert scene.told(done["camera_id"]) == ["ports.allowed"]
    scene.hub.run(device.stop())


def test_the_owner_grants_and_withdraws_for_their_own_camera(scene: Scene) -> None:
    """A donor has the say over their camera; another donor and a viewer have none; another address ends the leave."""
    services = scene.hub.hub.services
    owner = scene.hub.run(services.catalog.add_custodian(NewCustodian(Kind.HOUSEHOLD, "Nhà bà Hoa"), HUB))
    other = scene.hub.run(services.catalog.add_custodian(NewCustodian(Kind.HOUSEHOLD, "Nhà ông Ba"), HUB))
    scene.hub.add_user("hoa", "donor", custodian_id=owner.id)
    scene.hub.add_user("ba", "donor", custodian_id=other.id)
    scene.hub.add_user("xem", "viewer", areas=("99001",))
    new = NewCamera("Cổng nhà", "rtsp://127.0.0.1:9/1", owner.id, {}, area="99001")
    camera = scene.hub.run(services.catalog.register(new, HUB)).id
    hoa = scene.hub.login("hoa")

    assert scene.put(scene.hub.login("ba"), camera, **LEAVE).status_code == 404
    assert scene.put(scene.hub.login("xem"), camera, **LEAVE).status_code in {403, 404}
    assert scene.put(hoa, camera, allowed=True).status_code == 422
    assert scene.put(hoa, camera, allowed=True, granted_by="Bà Hoa", basis="owner").status_code == 204
    told = hoa.get(f"/api/v1/cameras/{camera}").json()["port_tests"]
    assert (told["allowed"], told["granted_by"], told["may_change"]) == (True, "Bà Hoa", True)
    assert scene.put(hoa, camera, allowed=False).status_code == 204
    assert scene.leave(camera)["allowed"] is False

    assert scene.put(hoa, camera, allowed=True, granted_by="Bà Hoa", basis="owner").status_code == 204
    etag = scene.admin.get(f"/api/v1/cameras/{camera}").headers["etag"]
    moved = scene.admin.patch(
        f"/api/v1/cameras/{camera}", json={"address": "rtsp://127.0.0.1:9/2"}, headers={"if-match": etag}
    )
    assert moved.status_code == 200
    assert scene.leave(camera)["allowed"] is False
