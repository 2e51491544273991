"""The whole hub on PostgreSQL and on Redis, the real servers: start, sign in, register, events, stop, start again."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from running_hub import PASSWORD, onboard, running_hub
from sqlalchemy import make_url

from hub.settings import SettingsRefused

pytestmark = pytest.mark.process  # each test runs a whole hub


def through(client: httpx.Client) -> None:
    """Use what touches store and coordination: write, search, audit, a refused address, counts."""
    made = client.post("/api/v1/cameras", json={"name": "Đông Ngàn", "address": "rtsp://127.0.0.1:31/x"})
    assert made.status_code == 201
    assert client.get("/api/v1/cameras?q=dong").json()["total"] == 1
    refused = onboard(client, "169.254.169.254")
    assert refused["problem"]["code"] == "address_refused"
    log = client.get("/api/v1/audit").json()
    assert log["chain"]["ok"]
    assert {"camera.added", "permission.recorded", "hub.started"} <= {item["kind"] for item in log["items"]}
    assert client.get("/api/v1/cameras/counts").json()["total"] == 1


def test_hub_runs_on_either_database(tmp_path: Path, new_url: Callable[[], str]) -> None:
    """The hub keeps everything in the database it is given, refuses to dial it, and goes on after a restart."""
    url = new_url()
    port = make_url(url).port
    with running_hub(tmp_path / "data", database_url=SecretStr(url)) as hub:
        client = hub.login("admin")
        through(client)
        if port is not None:
            assert onboard(client, f"rtsp://127.0.0.1:{port}/x")["problem"]["code"] == "address_own"
        assert not (tmp_path / "data" / "camhub.db").exists()
    with running_hub(tmp_path / "data", database_url=SecretStr(url)) as hub:
        assert hub.hub.first_administrator is None
        assert hub.login("admin", PASSWORD).get("/api/v1/cameras").json()["total"] == 1


@pytest.mark.redis
def test_hub_coordinates_over_redis(tmp_path: Path, redis_url: str, redis_port: int) -> None:
    """With Redis the hub works the same and refuses to dial it; two hubs on one Redis share the sign-in lock."""
    with running_hub(tmp_path, redis_url=SecretStr(redis_url)) as hub:
        client = hub.login("admin")
        through(client)
        own = onboard(client, f"rtsp://127.0.0.1:{redis_port}/x")
        assert own["problem"]["code"] == "address_own"
        for _ in range(5):
            httpx.post(f"{hub.url}/api/v1/login", json={"username": "someone", "password": "wrong"})
    with running_hub(tmp_path / "second", redis_url=SecretStr(redis_url)) as second:
        answer = httpx.post(f"{second.url}/api/v1/login", json={"username": "someone", "password": "x"})
        assert answer.json()["code"] == "login_locked"


def test_unknown_standard_and_area_are_refused_at_the_start(tmp_path: Path) -> None:
    """A hub with a standard or an area that does not exist does not start, and stops what it had started."""
    for wrong, words in (({"standard": "none"}, "technical"), ({"area": "00000"}, "00000")):
        with pytest.raises(SettingsRefused, match=words), running_hub(tmp_path, **wrong):
            pass
