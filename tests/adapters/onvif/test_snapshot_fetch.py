"""Fetching a still: login by the challenge, one attempt, bounded, and only pictures."""

import asyncio

import pytest
from probing import CLOCK, GOOD, WRONG
from scripted_onvif import JPEG, Device, http, listening

from adapters.deadline import Deadline
from adapters.errors import (
    AdapterError,
    AuthenticationFailed,
    BadTarget,
    CameraFault,
    CoolingDown,
    RemoteProtocolError,
)
from adapters.onvif.snapshot import Snapshot, fetch_snapshot
from adapters.port import ProbeContext
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, MemoryBook
from standards.reason import Reason


def fetch(
    device: Device,
    credential: Credential | None = GOOD,
    *,
    path: str = "/snap.jpg",
    gate: CredentialGate | None = None,
) -> Snapshot:
    async def run() -> Snapshot:
        async with listening(device.handle) as port:
            target = Target("http", "127.0.0.1", port, path)
            dialer = Dialer(NetworkPolicy.of((target.authority,)))
            context = ProbeContext(dialer, gate or CredentialGate(MemoryBook(CLOCK), CLOCK), CLOCK, "device")
            return await fetch_snapshot(target, credential, context, Deadline.after(CLOCK, 30.0))

    return asyncio.run(run())


@pytest.mark.parametrize("auth", ["digest", "sha256", "none"])
def test_gives_the_picture(auth: str) -> None:
    """The whole picture comes back, with its type by its first bytes."""
    device = Device(auth=auth)
    got = fetch(device)

    assert (got.body, got.content_type) == (JPEG, "image/jpeg")
    assert [item.credential for item in device.log] == ([""] if auth == "none" else ["", "digest"])


def test_a_wrong_password_is_sent_once_and_cools_down() -> None:
    """A refused login is typed, and the next fetch sends no credential."""
    gate = CredentialGate(MemoryBook(CLOCK), CLOCK)
    device = Device()
    with pytest.raises(AuthenticationFailed):
        fetch(device, WRONG, gate=gate)
    assert device.credentialed == 1
    with pytest.raises(CoolingDown):
        fetch(device, GOOD, gate=gate)
    assert device.credentialed == 1


@pytest.mark.parametrize(("auth", "credential"), [("digest", None), ("basic", GOOD)])
def test_nothing_is_sent_that_may_not_be(auth: str, credential: Credential | None) -> None:
    """Without a credential, or with only Basic over plain HTTP, no login is made."""
    device = Device(auth=auth)
    with pytest.raises(AuthenticationFailed) as caught:
        fetch(device, credential)

    assert not caught.value.credential_sent
    assert device.credentialed == 0


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (http(404, b""), CameraFault, Reason.DEVICE_FAULT),
        (
            http(200, b"<html>login</html>", "Content-Type: image/jpeg"),
            RemoteProtocolError,
            Reason.MALFORMED_MEDIA,
        ),
        (http(200, b"", "Content-Type: image/jpeg"), RemoteProtocolError, Reason.MALFORMED_MEDIA),
        (
            http(200, JPEG, "Content-Type: image/jpeg", "Connection: close").replace(
                b"Length: 1", b"Length: 91"
            ),
            RemoteProtocolError,
            Reason.MALFORMED_MEDIA,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
            RemoteProtocolError,
            Reason.MALFORMED_HTTP,
        ),
    ],
)
def test_what_is_no_picture(reply: bytes, kind: type[AdapterError], reason: Reason) -> None:
    """Errors, pages, nothing, halves and floods are typed, never handed on as pictures."""
    device = Device(auth="none")
    device.reply = lambda _request: reply  # type: ignore[method-assign]
    with pytest.raises(kind) as caught:
        fetch(device)

    assert caught.value.reason is reason


def test_only_http_addresses() -> None:
    """A stream address is no snapshot address."""

    async def run() -> None:
        context = ProbeContext(
            Dialer(NetworkPolicy()), CredentialGate(MemoryBook(CLOCK), CLOCK), CLOCK, "device"
        )
        await fetch_snapshot(Target("rtsp", "127.0.0.1", 554), None, context, Deadline.after(CLOCK, 1.0))

    with pytest.raises(BadTarget):
        asyncio.run(run())
