"""The world of the page tests: one running hub, its cameras, and who may sign in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from hub_support import RunningHub, login
from playwright.sync_api import Page

PASSWORD = "a long enough password 2"
LONGEST_NAME = "Camera ngã tư Trần Phú – Lê Hồng Phong, Phường Hạc Thành"

OpenPage = Callable[..., Page]


@dataclass
class World:
    """A running hub, its cameras by kind of owner, its scripted cameras, and who may sign in."""

    hub: RunningHub
    street: str
    home: str
    cameras: list[dict[str, Any]]
    sessions: dict[str, Any] = field(default_factory=dict)  # cookies of who has signed in

    @contextmanager
    def client(self, name: str) -> Iterator[httpx.Client]:
        """Give a signed-in client of one person."""
        client = login(self.hub.url, name, self.hub.passwords[name])
        try:
            yield client
        finally:
            client.close()

    def resume_home(self) -> None:
        """Leave the household's camera as it was found: shared."""
        with self.client("hoa") as owner:
            owner.post(f"/api/v1/cameras/{self.home}/resume")


def add_person(hub: RunningHub, name: str, role: str, **more: object) -> None:
    """Add a person with a password of their own."""
    body = {"name": name, "display_name": name.title(), "role": role, "password": PASSWORD, **more}
    answer = hub.client.post("/api/v1/users", json=body)
    assert answer.status_code == 201, answer.text
    password = PASSWORD
    if answer.json()["user"]["must_change_password"]:
        password = PASSWORD + " now"
        person = login(hub.url, name, PASSWORD)
        try:
            changed = person.patch(
                "/api/v1/me", json={"current_password": PASSWORD, "new_password": password}
            )
            assert changed.status_code == 200, changed.text
        finally:
            person.close()
    hub.passwords[name] = password
