"""A donated camera with real media: nothing before consent, nothing outside it, and cut within 2 s."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_support import simulators
from running_hub import PASSWORD, PERMISSION, HubThread, onboard, running_hub
from webrtc_viewer import Viewer, cut_within

pytestmark = pytest.mark.slow
CUT_S = 2.0


@pytest.fixture(scope="module")
def camera() -> Iterator[dict[str, Any]]:
    """A household's camera that is good."""
    with simulators("good-onvif") as (line,):
        yield line


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub with a short probe."""
    with running_hub(Path(tmp_path_factory.mktemp("data")), probe_window_s=1.0) as started:
        started.add_user("viewer", "viewer", areas=("*",))
        started.add_user("inspector", "inspector")
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture(scope="module")
def donated(hub: HubThread, admin: httpx.Client, camera: dict[str, Any]) -> str:
    """The camera's id, onboarded without a consent."""
    household = {"kind": "household", "name": "Nhà chị Hoa"}
    done = onboard(admin, camera["onvif"], camera["user"], camera["password"], custodian=household)
    assert done["state"] == "pending", done
    consent = next(step for step in done["steps"] if step["name"] == "consent")
    assert consent["state"] == "skipped"
    return str(done["camera_id"])


@pytest.fixture(scope="module")
def donor(hub: HubThread, admin: httpx.Client, donated: str) -> httpx.Client:
    """The household's own account."""
    custodian = admin.get(f"/api/v1/cameras/{donated}").json()["custodian"]["id"]
    hub.add_user("hoa", "donor", custodian_id=custodian)
    return hub.login("hoa")


def consent(camera: str, client: httpx.Client, **more: Any) -> dict[str, Any]:
    """Sign a consent."""
    text = client.get("/api/v1/consents/text").json()
    body = {
        "camera_id": camera,
        "sharing_mode": "always",
        "purposes": ["public_safety", "incident"],
        "recipients": [{"area": "", "role": "viewer"}, {"area": "", "role": "admin"}],
        "text_version": text["version"],
        "signed_by": "Lê Thị Hoa",
        **more,
    }
    answer = client.post("/api/v1/consents", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def refused(client: httpx.Client, camera: str, **query: str) -> set[str]:
    """Return the codes with which stream and still are refused."""
    viewer = Viewer(client, camera)
    try:
        stream = viewer.start(**query)
    finally:
        viewer.close()
    still = client.get(f"/api/v1/cameras/{camera}/snapshot.jpg", params=query)
    assert stream.status_code == still.status_code == 403, (stream.text, still.text)
    return {stream.json()["code"], still.json()["code"]}


def test_nobody_looks_before_consent(hub: HubThread, admin: httpx.Client, donated: str) -> None:
    """Neither stream nor still, for nobody, the administrator included; each refusal is on record."""
    assert refused(admin, donated) == {"decision_pending"}
    assert refused(hub.login("viewer"), donated) == {"decision_pending"}
    assert refused(admin, donated, purpose="test") == {"decision_pending"}
    log = admin.get(f"/api/v1/audit?camera={donated}&kind=view.refused").json()
    assert log["total"] == 6
    assert log["chain"]["ok"]
    assert admin.get(f"/api/v1/cameras/{donated}/views").json()["total"] == 0


def test_consent_opens_it_without_another_probe(
    hub: HubThread, admin: httpx.Client, donor: httpx.Client, donated: str
) -> None:
    """The owner's consent decides the camera anew from what was seen; a picture plays; the receipt names no person."""
    before = hub.hub.dialer.opened
    given = consent(donated, donor)
    assert given["state"] == "active"
    assert hub.hub.dialer.opened == before
    seen = admin.get(f"/api/v1/cameras/{donated}").json()
    assert seen["decision"] in {"ADMITTED", "CONDITIONAL"}
    viewer = Viewer(hub.login("viewer"), donated)
    try:
        assert viewer.start().status_code == 201
        viewer.wait_for_frames()
        viewer.wait_for_state("live")
        watching = donor.get(f"/api/v1/cameras/{donated}").json()["watching"]
        httpx.Client.delete(hub.login("viewer"), viewer.where)
    finally:
        viewer.close()

    assert watching == 1
    (view,) = donor.get(f"/api/v1/cameras/{donated}/views").json()["items"]
    assert (view["kind"], view["purpose"], view["ended_cause"]) == ("live", "public_safety", "viewer_left")
    assert set(view["by"]) == {"office", "role", "number"}
    named = hub.login("inspector").get(f"/api/v1/cameras/{donated}/views").json()["items"][0]
    assert named["by"]["name"] == "viewer"


@pytest.mark.parametrize("who", ["hoa", "admin"])
def test_purpose_that_is_not_covered(hub: HubThread, donor: httpx.Client, donated: str, who: str) -> None:
    """A purpose outside the consent is refused, except to the owner; an unknown one to everybody."""
    client = hub.login(who)

    if who == "admin":
        assert refused(client, donated, purpose="traffic") == {"purpose_not_covered"}
    assert refused(client, donated, purpose="curiosity") == {"purpose_not_covered"}


def test_pause_stops_a_playing_view(
    hub: HubThread, admin: httpx.Client, donor: httpx.Client, donated: str
) -> None:
    """Two viewers play, the owner pauses: no frame later than 2 s, both are told why, nobody may look, resume opens."""
    viewers = [Viewer(hub.login(name), donated) for name in ("viewer", "admin")]
    try:
        for viewer in viewers:
            assert viewer.start().status_code == 201
            viewer.wait_for_frames()
        with cut_within(CUT_S, *viewers):
            answer = donor.post(f"/api/v1/cameras/{donated}/pause", json={})
            assert answer.json()["ended_views"] == 2
        for viewer in viewers:
            viewer.wait_for_state("paused")
            assert viewer.states[-1][2] == "paused"
    finally:
        for viewer in viewers:
            viewer.close()
    assert refused(admin, donated) == {"paused"}
    assert refused(donor, donated) == {"paused"}
    assert admin.get(f"/api/v1/cameras/{donated}").json()["health"]["state"] == "paused"

    resumed = donor.post(f"/api/v1/cameras/{donated}/resume")

    assert resumed.json()["sharing"]["paused"] is False
    assert admin.get(f"/api/v1/cameras/{donated}").json()["viewable"]["allowed"] is True


def test_only_the_custodian_pauses(admin: httpx.Client, donated: str) -> None:
    """The hub's people do not speak for a donor, not even to pause."""
    answer = admin.post(f"/api/v1/cameras/{donated}/pause", json={})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_schedule_and_level_bound_the_view(hub: HubThread, donor: httpx.Client, donated: str) -> None:
    """Outside the signed hours, and at a level without live view, stream and still are refused."""
    now = datetime.now(UTC) + timedelta(hours=7)
    later, end = (now + timedelta(hours=2)).strftime("%H:%M"), (now + timedelta(hours=3)).strftime("%H:%M")
    viewer = hub.login("viewer")

    consent(
        donated,
        donor,
        sharing_mode="scheduled",
        schedule=[{"days": [1, 2, 3, 4, 5, 6, 7], "from": later, "to": end}],
    )
    assert refused(viewer, donated) == {"outside_hours"}
    consent(donated, donor, sharing_mode="on_incident")
    assert refused(viewer, donated) == {"not_at_this_level"}
    consent(donated, donor, sharing_mode="health")
    assert refused(viewer, donated) == {"not_at_this_level"}


def test_incident_opens_and_closing_cuts(
    hub: HubThread, admin: httpx.Client, donor: httpx.Client, donated: str
) -> None:
    """A camera shared on incident plays while an incident that covers it is open, and is cut when it closes."""
    consent(donated, donor, sharing_mode="on_incident")
    opened = admin.post(
        "/api/v1/incidents", json={"number": "2026/118", "title": "Mất xe máy", "camera_ids": [donated]}
    )
    assert opened.status_code == 201
    viewer = Viewer(hub.login("viewer"), donated)
    try:
        assert viewer.start(incident="2026/118", purpose="incident").status_code == 201
        viewer.wait_for_frames()
        with cut_within(CUT_S, viewer):
            admin.post(f"/api/v1/incidents/{opened.json()['id']}/close")
        viewer.wait_for_state("ended")
        assert viewer.states[-1][1:] == ("ended", "not_at_this_level")
    finally:
        viewer.close()


def test_withdrawal_cuts(hub: HubThread, donor: httpx.Client, donated: str) -> None:
    """The owner withdraws while somebody looks: cut within 2 s, told why, nothing afterwards."""
    given = consent(donated, donor)
    viewer = Viewer(hub.login("viewer"), donated)
    try:
        assert viewer.start().status_code == 201
        viewer.wait_for_frames()
        with cut_within(CUT_S, viewer):
            ended = donor.post(f"/api/v1/consents/{given['id']}/withdraw")
            assert ended.json()["state"] == "withdrawn"
        viewer.wait_for_state("ended")
        assert viewer.states[-1][1:] == ("ended", "withdrawn")
    finally:
        viewer.close()
    assert refused(hub.login("viewer"), donated) == {"no_consent"}


def test_disabled_person_and_sign_out_are_cut(
    hub: HubThread, admin: httpx.Client, donor: httpx.Client, donated: str
) -> None:
    """A person who signs out, and one who is disabled, sees no frame 2 s later."""
    consent(donated, donor)
    hub.add_user("second", "viewer", areas=("*",))
    hub.add_user("third", "viewer", areas=("*",))
    second, third = hub.login("second"), hub.login("third")
    viewers = [Viewer(second, donated), Viewer(third, donated)]
    third_id = third.get("/api/v1/me").json()["id"]
    try:
        for viewer in viewers:
            assert viewer.start().status_code == 201
            viewer.wait_for_frames()
        with cut_within(CUT_S, *viewers):
            assert second.post("/api/v1/logout").status_code == 204
            assert admin.patch(f"/api/v1/users/{third_id}", json={"disabled": True}).status_code == 200
    finally:
        for viewer in viewers:
            viewer.close()


def test_removing_the_camera_cuts_and_erases(
    hub: HubThread, admin: httpx.Client, donor: httpx.Client, donated: str, camera: dict[str, Any]
) -> None:
    """Removal ends the view, erases the credential, keeps the receipts' audit; no secret was told or logged."""
    viewer = Viewer(hub.login("viewer"), donated)
    try:
        assert viewer.start().status_code == 201
        viewer.wait_for_frames()
        detail, audit = (
            admin.get(f"/api/v1/cameras/{donated}").text,
            admin.get("/api/v1/audit?limit=200").text,
        )
        report = admin.get(f"/api/v1/cameras/{donated}/assessments").json()["items"][0]["id"]
        whole = admin.get(f"/api/v1/assessments/{report}").text
        pages = [
            admin.get(f"/api/v1/assessments/{report}/report?format={form}").text
            for form in ("html", "json", "text")
        ]
        with cut_within(CUT_S, viewer):
            assert admin.delete(f"/api/v1/cameras/{donated}").status_code == 204
        viewer.wait_for_state("ended")
        assert viewer.states[-1][1:] == ("ended", "removed")
    finally:
        viewer.close()
    assert admin.get(f"/api/v1/cameras/{donated}").status_code == 404
    assert hub.run(hub.hub.services.catalog.credential_for(donated)) is None
    for told in (detail, audit, whole, *pages, hub.log.getvalue()):
        assert camera["password"] not in told
        assert PASSWORD not in told
    assert PERMISSION["granted_by"] in audit
