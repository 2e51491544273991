"""Tokens over the API: made with the password, shown once, ended by their person or by an administrator."""

import httpx
import pytest
from running_hub import PASSWORD, HubThread

pytestmark = pytest.mark.process


def made(person: httpx.Client, label: str = "báo cáo đêm", **more: object) -> httpx.Response:
    return person.post("/api/v1/me/tokens", json={"label": label, "current_password": PASSWORD, **more})


def test_a_person_makes_uses_and_ends_a_token(hub: HubThread) -> None:
    """The token is in one reply alone; a program speaks by it until it is revoked, which may be said twice."""
    hub.add_user("tokens-own", "inspector")
    person = hub.login("tokens-own")
    answer = made(person, expires_at="2099-01-01T00:00:00+07:00")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    one = answer.json()
    program = hub.client(authorization=f"Bearer {one['token']}")
    assert program.get("/api/v1/me").json()["name"] == "tokens-own"

    listed = person.get("/api/v1/me/tokens").json()
    assert listed["items"] == [{key: value for key, value in one.items() if key != "token"}]
    for _ in range(2):
        ended = person.delete(f"/api/v1/me/tokens/{one['id']}")
        assert (ended.status_code, ended.json()["state"]) == (200, "revoked")
    assert program.get("/api/v1/me").json()["code"] == "token_refused"


def test_a_token_outlives_the_sign_in_so_the_password_is_asked_for(hub: HubThread) -> None:
    """A wrong password makes none, and neither does a token; nobody touches the tokens of others."""
    hub.add_user("tokens-two", "viewer")
    person = hub.login("tokens-two")
    wrong = person.post("/api/v1/me/tokens", json={"label": "x", "current_password": "not this one"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "password_wrong")
    assert person.post("/api/v1/me/tokens", json={"label": "x"}).status_code == 422
    one = made(person).json()
    program = hub.client(authorization=f"Bearer {one['token']}")
    refused = made(program)
    assert (refused.status_code, refused.json()["code"]) == (403, "token_makes_none")

    hub.add_user("tokens-other", "viewer")
    other = hub.login("tokens-other")
    assert other.get("/api/v1/me/tokens").json()["items"] == []
    assert other.delete(f"/api/v1/me/tokens/{one['id']}").status_code == 404
    me = person.get("/api/v1/me").json()["id"]
    assert other.get(f"/api/v1/users/{me}/tokens").status_code == 403
    admin = hub.login("admin")
    assert [row["label"] for row in admin.get(f"/api/v1/users/{me}/tokens").json()["items"]] == [
        "báo cáo đêm"
    ]
    assert admin.delete(f"/api/v1/users/{me}/tokens/{one['id']}").status_code == 200
    assert program.get("/api/v1/me").status_code == 401
