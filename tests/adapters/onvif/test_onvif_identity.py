"""The identity probe: what a sweep over many cameras asks each of them."""

import asyncio

from probing import GOOD, WRONG, Seen, probe_at
from scripted_onvif import Device, listening

from adapters.errors import AuthenticationFailed, CoolingDown, Unreachable
from adapters.secret import Credential
from adapters.target import Target
from standards.reason import Reason


def identify(device: Device, credential: Credential | None = GOOD) -> Seen:
    """Make one identity probe of a scripted device."""

    async def run() -> Seen:
        async with listening(device.handle) as port:
            device.port = port
            return await probe_at(Target("onvif", "127.0.0.1", port), credential, depth="identity")

    return asyncio.run(run())


def test_three_requests_tell_who_it_is_and_that_the_login_holds() -> None:
    """The clock, the challenge and the login, on one connection: identity and an accepted credential."""
    device = Device()

    seen = identify(device)

    assert seen.result.failure is None
    assert seen.value("device.serial")
    assert seen.value("credential.accepted") is True
    assert (seen.courtesy.reads, seen.courtesy.logins, seen.dialer.opened) == (3, 1, 1)


def test_a_wrong_password_is_sent_once() -> None:
    """A refused credential is a fact, and the gate cools down."""
    device = Device()

    seen = identify(device, WRONG)

    assert isinstance(seen.result.failure, AuthenticationFailed)
    assert seen.value("credential.accepted") is False
    assert seen.courtesy.logins == 1
    try:
        asyncio.run(seen.context.gate.admit(seen.context.device))
    except CoolingDown:
        return
    raise AssertionError("the gate lets another attempt pass")


def test_what_was_not_asked_is_not_claimed() -> None:
    """Facts beyond the two reads are neither seen nor missed."""
    seen = identify(Device())

    assert "onvif.services" not in seen.result.observations
    assert "reach.answers" not in seen.result.observations


def test_a_dead_address_costs_one_attempt() -> None:
    """Where nothing listens, one request is tried and the identity says why it is not known."""

    async def run() -> Seen:
        async with listening(Device().handle) as port:
            pass
        return await probe_at(Target("onvif", "127.0.0.1", port), depth="identity")

    seen = asyncio.run(run())

    assert isinstance(seen.result.failure, Unreachable)
    assert seen.reason("device.serial") is Reason.UNREACHABLE
    assert seen.courtesy.reads == 1
