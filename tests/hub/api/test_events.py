"""Server-sent events: the tab's stream and its end."""

import json
import threading
import time
from typing import Any

import httpx
import pytest
from running_hub import HubThread

pytestmark = pytest.mark.process  # each test runs a whole hub


class Listener:
    """Reads one event stream in a thread."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ended = threading.Event()
        self._client = httpx.Client(base_url=client.base_url, cookies=client.cookies, timeout=None)
        self._path = path
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        name = ""
        try:
            with self._client.stream("GET", self._path) as stream:
                for line in stream.iter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        self.events.append((name, json.loads(line[6:])))
        except httpx.HTTPError:
            pass
        finally:
            self._client.close()
            self.ended.set()

    def wait_for(self, event: str, seconds: float = 60, **fields: Any) -> dict[str, Any]:
        """Return the first event of this name with these fields."""
        deadline = time.monotonic() + seconds
        while True:
            for seen, data in self.events:
                if seen == event and all(data.get(key) == value for key, value in fields.items()):
                    return data
            assert time.monotonic() < deadline, self.events
            time.sleep(0.02)


def test_tab_hears_of_changes_it_may_know(hub: HubThread) -> None:
    """A change reaches every tab whose reader may see the camera, with counts; others hear nothing; sign-out ends it."""
    admin = hub.login("admin")
    hub.add_user("elsewhere", "viewer", areas=("99001",))
    mine, other = Listener(admin, "/api/v1/events"), Listener(hub.login("elsewhere"), "/api/v1/events")
    mine.wait_for("counts", total=0)

    made = admin.post(
        "/api/v1/cameras", json={"name": "Mới", "address": "rtsp://127.0.0.1:21/x", "area": "99002"}
    )
    camera = made.json()["id"]
    added = mine.wait_for("camera", id=camera)
    mine.wait_for("counts", total=1)
    admin.patch(f"/api/v1/cameras/{camera}", json={"name": "Mới hơn"})
    renamed = mine.wait_for("camera", name="Mới hơn")
    admin.delete(f"/api/v1/cameras/{camera}")
    mine.wait_for("camera", id=camera, removed=True)

    assert added["decision"] == "PENDING"
    assert renamed["version"] == 2
    assert [data for name, data in other.events if name == "camera" and not data.get("removed")] == []


def test_streams_end_when_the_hub_stops(hub: HubThread) -> None:
    """Closing the streams ends each of them at once, cleanly."""
    listener = Listener(hub.login("admin"), "/api/v1/events")
    listener.wait_for("counts")

    hub.loop.call_soon_threadsafe(hub.hub.services.streams.close)

    assert listener.ended.wait(60)
    late = Listener(hub.login("admin"), "/api/v1/events")
    assert late.ended.wait(60)
