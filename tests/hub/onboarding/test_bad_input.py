"""What goes wrong between hub and camera: one clear sentence, an unchanged catalog, an undisturbed hub."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from free_ports import free_port
from running_hub import AUTHORITY, PERMISSION, HubThread, onboard, running_hub, wait_for_end

pytestmark = pytest.mark.process  # each test runs a whole hub

HTML = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 44\r\nConnection: close\r\n\r\n"
    b"<html><body>Router settings</body></html>   "
)
REFUSED_DIGEST = (
    b"RTSP/1.0 401 Unauthorized\r\nCSeq: %d\r\n"
    b'WWW-Authenticate: Digest realm="cam", nonce="8b84a3b7"\r\nContent-Length: 0\r\n\r\n'
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub."""
    with running_hub(Path(tmp_path_factory.mktemp("data"))) as started:
        yield started


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on loopback that hands each connection to `answer`, in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(5)
                try:
                    answer(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        stopped.set()
        thread.join()
        listener.close()


@contextmanager
def silent() -> Iterator[int]:
    """A server that takes what it is told and never answers."""
    ended = threading.Event()
    with server(lambda connection: connection.recv(1) and ended.wait() and None) as port:
        try:
            yield port
        finally:
            ended.set()


def assert_failed(
    hub: HubThread, address: str, code: str, *words: str, step: str = "address"
) -> dict[str, object]:
    """The onboarding of an address fails with one sentence in each language, and the catalog stays empty."""
    client = hub.login("admin")
    done = onboard(client, address, "admin", "camera-pass-4711")

    assert done["state"] == "failed", done
    problem = done["problem"]
    assert problem["code"] == code, problem
    english = client.get(f"/api/v1/onboardings/{done['id']}", headers={"accept-language": "en"}).json()[
        "problem"
    ]
    for word in words:
        assert word in english["detail"], english
    assert "{" not in problem["detail"] + problem["hint"] + english["detail"] + english["hint"]
    assert "?" not in problem["detail"]
    assert problem["hint"]
    states = {item["name"]: item["state"] for item in done["steps"]}
    assert states[step] == "failed", states
    assert states["decision"] == "failed"
    assert "running" not in states.values()
    assert client.get("/api/v1/cameras").json()["total"] == 0
    assert client.get("/readyz").status_code == 200
    return done


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("not a host", ("blank",)),
        ("ftp://192.168.1.20/", ("kind of address",)),
        ("192.168.1", ("number",)),
        ("rtsp://192.168.1.20:99999/x", ("port",)),
    ],
)
def test_address_that_cannot_be_read(hub: HubThread, address: str, words: tuple[str, ...]) -> None:
    """A mistyped address fails at once, says what is wrong with it, and that nothing was sent."""
    assert_failed(hub, address, "address_bad", "Nothing was sent", *words)


def test_refused_connection(hub: HubThread) -> None:
    """A port where nothing listens is named, with what to switch on."""
    port = free_port()

    assert_failed(
        hub, f"rtsp://127.0.0.1:{port}/live", "connection_refused", f"127.0.0.1:{port}", "Step address"
    )
    assert_failed(hub, f"onvif://127.0.0.1:{port}", "connection_refused", f"127.0.0.1:{port}")


def test_silent_device(tmp_path: Path) -> None:
    """A device that accepts and says nothing is named with the step that waited and for how long."""
    with silent() as port, running_hub(tmp_path, check_limit_s=2.0) as hub:
        assert_failed(hub, f"onvif://127.0.0.1:{port}", "timed_out", f"127.0.0.1:{port}", "no answer in")


def test_web_page(hub: HubThread) -> None:
    """A device that talks HTML is told from a camera, by ONVIF and by RTSP."""

    def page(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(HTML)

    with server(page) as port:
        assert_failed(hub, f"onvif://127.0.0.1:{port}", "html_answer", "web page", "ONVIF")
        done = assert_failed(hub, f"rtsp://127.0.0.1:{port}/", "html_answer", "web page", "RTSP")
    assert "camera-pass-4711" not in str(done)


def test_not_a_camera(hub: HubThread) -> None:
    """A device that talks something else is told from a camera."""

    def ssh(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
        connection.recv(4096)

    with server(ssh) as port:
        assert_failed(hub, f"rtsp://127.0.0.1:{port}/live", "not_a_camera", "RTSP")


def test_wrong_password_is_tried_once(hub: HubThread) -> None:
    """A refused password is sent once, the cool-down is told, and a second try within it sends no credential."""
    logins = []

    def strict(connection: socket.socket) -> None:
        number = 0
        while data := connection.recv(65536):
            for request in data.split(b"\r\n\r\n")[:-1]:
                number += 1
                if b"Authorization:" in request:
                    logins.append(request)
                if request.startswith(b"OPTIONS"):
                    connection.sendall(
                        b"RTSP/1.0 200 OK\r\nCSeq: %d\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n" % number
                    )
                else:
                    connection.sendall(REFUSED_DIGEST % number)

    with server(strict) as port:
        done = assert_failed(
            hub, f"rtsp://127.0.0.1:{port}/live", "login_refused", "tried once", step="login"
        )
        assert len(logins) == 1
        assert done["courtesy"]["logins"] == 1  # type: ignore[index]
        client = hub.login("admin")
        again = client.post(f"/api/v1/onboardings/{done['id']}/retry", json={})
        assert (again.status_code, again.json()["code"]) == (409, "cooling_down")
        assert_failed(hub, f"rtsp://127.0.0.1:{port}/live", "cooling_down", "before", step="login")
        assert len(logins) == 1
        other = client.post(
            f"/api/v1/onboardings/{done['id']}/retry", json={"username": "admin", "password": "another-4712"}
        )
        assert other.status_code == 200
        wait_for_end(client, str(done["id"]))
        assert len(logins) == 2


def test_hub_itself(hub: HubThread) -> None:
    """The hub's own HTTP port and its relay's port are never dialled."""
    port = hub.hub.http.port
    before = hub.hub.dialer.opened

    assert_failed(hub, f"rtsp://127.0.0.1:{port}/live", "address_own", "this hub itself listens")
    assert_failed(hub, f"onvif://127.0.0.1:{hub.hub.relay.port}", "address_own", "this hub itself")
    assert hub.hub.dialer.opened == before


@pytest.mark.parametrize("address", ["169.254.169.254", "rtsp://[fd00:ec2::254]/x", "100.100.100.200:80"])
def test_metadata_address(hub: HubThread, address: str) -> None:
    """Cloud metadata and link-local addresses are never dialled, whatever networks.allow says."""
    before = hub.hub.dialer.opened

    assert_failed(hub, address, "address_refused", "metadata")
    assert hub.hub.dialer.opened == before


def test_private_address_that_is_not_listed(hub: HubThread) -> None:
    """A private address that networks.allow does not list is refused with the way to allow it."""
    assert_failed(hub, "192.168.77.20", "address_refused", "networks.allow")


def test_missing_permission(hub: HubThread) -> None:
    """Without a named permission nothing starts and nothing is sent."""
    client = hub.login("admin")
    before = hub.hub.dialer.opened

    answer = client.post(
        "/api/v1/onboardings", json={"address": "rtsp://127.0.0.1:9/x", "custodian": AUTHORITY}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "permission_needed")
    assert hub.hub.dialer.opened == before


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"standard": "no-such"}, "standard_unknown"),
        ({"area": "00000"}, "area_unknown"),
        ({"custodian": {"id": "nobody"}}, "custodian_unknown"),
        ({"custodian": {}}, "invalid_input"),
    ],
)
def test_unknown_reference(hub: HubThread, more: dict[str, object], code: str) -> None:
    """An unknown standard, area or custodian is refused before anything is recorded or sent."""
    client = hub.login("admin")
    body = {"address": "rtsp://127.0.0.1:9/x", "custodian": AUTHORITY, "permission": PERMISSION, **more}

    answer = client.post("/api/v1/onboardings", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_permission_is_on_record_before_the_first_packet(hub: HubThread) -> None:
    """The audit log holds who allowed the probe, with the address, before the camera's first connection."""
    seen: list[list[str]] = []
    client = hub.login("admin")

    def look(connection: socket.socket) -> None:
        kinds = [
            item["kind"] for item in client.get("/api/v1/audit?kind=permission.recorded").json()["items"]
        ]
        seen.append(kinds)
        connection.close()

    before = client.get("/api/v1/audit?kind=permission.recorded").json()["total"]
    with server(look) as port:
        onboard(hub.login("admin"), f"rtsp://127.0.0.1:{port}/first")

    assert len(seen[0]) == before + 1


def test_failed_one_can_be_kept(hub: HubThread) -> None:
    """A failed onboarding is written as PENDING when asked for, and only once."""
    client = hub.login("admin")
    done = onboard(
        client, f"rtsp://127.0.0.1:{free_port()}/kept", "admin", "camera-pass-4711", name="Giữ lại"
    )

    kept = client.post(f"/api/v1/onboardings/{done['id']}/keep")
    again = client.post(f"/api/v1/onboardings/{done['id']}/keep")

    assert kept.json()["state"] == "pending"
    assert again.json()["code"] == "conflict"
    camera = client.get(f"/api/v1/cameras/{kept.json()['camera_id']}").json()
    assert (camera["decision"], camera["has_credential"], camera["name"]) == ("PENDING", True, "Giữ lại")
    assert client.delete(f"/api/v1/cameras/{camera['id']}").status_code == 204


def test_running_one_can_be_cancelled(hub: HubThread) -> None:
    """Cancelling a probe that waits ends it at once and writes nothing."""
    client = hub.login("admin")
    with silent() as port:
        started = client.post(
            "/api/v1/onboardings",
            json={"address": f"onvif://127.0.0.1:{port}", "custodian": AUTHORITY, "permission": PERMISSION},
        ).json()
        ended = client.delete(f"/api/v1/onboardings/{started['id']}").json()

    assert ended["state"] == "cancelled"
    assert client.get("/api/v1/cameras").json()["total"] == 0


def test_no_secret_of_a_failed_camera_is_told(hub: HubThread) -> None:
    """After all of these, no reply of the API, no audit record and no line of the log holds a camera's password."""
    client = hub.login("admin")
    onboard(client, f"rtsp://u%40:camera-pass-4711@127.0.0.1:{free_port()}/in-url")
    told = client.get("/api/v1/audit?limit=200").text

    assert "camera-pass-4711" not in told
    assert "another-4712" not in told
    assert "camera-pass-4711" not in hub.log.getvalue()
    assert "another-4712" not in hub.log.getvalue()
    assert "permission.recorded" in told
