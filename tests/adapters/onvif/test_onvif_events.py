"""Events by PullPoint, against scripted devices: what they send, and how each variant of quirk 54 ends."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from probing import CLOCK, GOOD, WRONG
from scripted_onvif import NOT_AUTHORIZED, NOT_SUPPORTED, Device, Request, answer, http, listening

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import (
    AuthenticationFailed,
    CameraFault,
    LocalProtocolError,
    NotPermitted,
    RemoteProtocolError,
    Unreachable,
    Unsupported,
)
from adapters.onvif import operations, requests
from adapters.onvif.events import DeviceEvent, EventSource
from adapters.onvif.session import OnvifSession
from adapters.port import Actuation, ProbeContext
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, MemoryBook
from adapters.wire.http import HttpClient

CITY = Actuation("operator", "authority", datetime(2026, 1, 1, tzinfo=UTC), municipal=True)
HOME = Actuation("owner", "owner", datetime(2026, 1, 1, tzinfo=UTC), municipal=False)
SUBSCRIPTION = (
    'xmlns:wsa="http://www.w3.org/2005/08/addressing" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
)
FAULT = NOT_AUTHORIZED.replace("Sender not authorized", "")


class QuickClock:
    """The machine's clock, whose sleeps are short and whose monotonic time can be moved on."""

    def __init__(self) -> None:
        self.ahead_s = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return CLOCK.now() + timedelta(seconds=self.ahead_s)

    def monotonic(self) -> float:
        return CLOCK.monotonic() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ahead_s += seconds
        await asyncio.sleep(0)


def fault(code: str, text: str = "no") -> str:
    return FAULT.replace("ter:NotAuthorized", f"ter:{code}").replace('"en"><', f'"en">{text}<')


class Events(Device):
    """A device with a pull point. `batches` are the messages of each pull, then there are none."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.batches: list[str] = []
        self.lease = timedelta(seconds=60)
        self.terms: list[str] = []
        self.refuse_terms: tuple[str, ...] = ()
        self.extra = ""
        self.replies.setdefault("CreatePullPointSubscription", self.create)
        self.replies.setdefault("PullMessages", self.pulled)
        self.replies.setdefault("Renew", self.renewed)
        self.replies.setdefault("Unsubscribe", answer("Unsubscribe", "", "tds"))

    def times(self, prefix: str = "wsnt") -> str:
        moment = self.now().replace(microsecond=0)
        return (
            f"<{prefix}:CurrentTime>{moment:%Y-%m-%dT%H:%M:%SZ}</{prefix}:CurrentTime>"
            f"<{prefix}:TerminationTime>{moment + self.lease:%Y-%m-%dT%H:%M:%SZ}</{prefix}:TerminationTime>"
        )

    def create(self, request: Request) -> str:
        found = re.search(r"InitialTerminationTime>([^<]*)<", request.body)
        term = found[1] if found else ""
        self.terms.append(term)
        if any(re.fullmatch(pattern, term) for pattern in self.refuse_terms):
            return fault("InvalidArgVal", "UnacceptableInitialTerminationTime")
        return (
            f"<tds:CreatePullPointSubscriptionResponse {SUBSCRIPTION}><tds:SubscriptionReference>"
            f"<wsa:Address>http://192.168.77.1:{self.port}/onvif/sub?Idx=7</wsa:Address>{self.extra}"
            f"</tds:SubscriptionReference>{self.times()}</tds:CreatePullPointSubscriptionResponse>"
        )

    def renewed(self, request: Request) -> str:
        return f"<wsnt:RenewResponse {SUBSCRIPTION}>{self.times()}</wsnt:RenewResponse>"

    def pulled(self, _request: Request) -> str:
        inside = self.batches.pop(0) if self.batches else ""
        return (
            f"<tds:PullMessagesResponse {SUBSCRIPTION}>{self.times('tds')}{inside}</tds:PullMessagesResponse>"
        )


def message(topic: str, at: str, state: str, operation: str = "Changed") -> str:
    return (
        f"<wsnt:NotificationMessage><wsnt:Topic>{topic}</wsnt:Topic><wsnt:Message>"
        f'<tt:Message UtcTime="{at}" PropertyOperation="{operation}"><tt:Source>'
        '<tt:SimpleItem Name="Source" Value="VS0"/></tt:Source><tt:Data>'
        f'<tt:SimpleItem Name="State" Value="{state}"/></tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>'
    )


def with_source(
    device: Device,
    act: Callable[[EventSource], Awaitable[None]],
    *,
    credential: Credential | None = GOOD,
    actuation: Actuation = CITY,
    clock: Clock = CLOCK,
) -> EventSource:
    """Open a source on a device, act with it, and close it."""
    sources: list[EventSource] = []

    async def run() -> None:
        async with listening(device.handle) as port:
            device.port = port
            target = Target("onvif", "127.0.0.1", port)
            context = ProbeContext(
                Dialer(NetworkPolicy.of((target.authority,))),
                CredentialGate(MemoryBook(clock), clock),
                clock,
                target.authority,
            )
            source = EventSource(target, credential, context, actuation, Deadline.after(clock, 20.0))
            sources.append(source)
            async with source:
                await act(source)

    asyncio.run(run())
    return sources[0]


async def nothing(_source: EventSource) -> None:
    """Do nothing between subscribing and unsubscribing."""


class TestPermission:
    def test_a_households_camera_is_never_subscribed_to(self) -> None:
        """Without leave for a municipal camera nothing is sent at all."""
        device = Events()
        with pytest.raises(NotPermitted):
            with_source(device, nothing, actuation=HOME)
        assert device.log == []

    @pytest.mark.parametrize("actuation", [None, HOME])
    @pytest.mark.parametrize("operation", sorted(operations.ACTUATION_OPERATIONS, key=str), ids=str)
    def test_the_transport_itself_refuses(
        self, operation: operations.Operation, actuation: Actuation | None
    ) -> None:
        """A session without leave for a municipal camera sends none of the seven, so no probe ever can."""

        async def run() -> int:
            dialer = Dialer(NetworkPolicy.of(("127.0.0.1",)))
            context = ProbeContext(dialer, CredentialGate(MemoryBook(CLOCK), CLOCK), CLOCK, "x")
            async with HttpClient(dialer, CLOCK, "127.0.0.1") as http:
                session = OnvifSession(
                    http,
                    "http://127.0.0.1:9/x",
                    None,
                    context,
                    Deadline.after(CLOCK, 1.0),
                    actuation=actuation,
                )
                with pytest.raises(LocalProtocolError):
                    await session.ask(operation, requests.plain(operation))
            return dialer.opened

        assert asyncio.run(run()) == 0

    @pytest.mark.parametrize("auth", ["digest", "wsse"])
    def test_a_wrong_password_costs_one_attempt(self, auth: str) -> None:
        """One credential-bearing request by the device's own count, and no subscription."""
        device = Events(auth=auth)
        with pytest.raises(AuthenticationFailed):
            with_source(device, nothing, credential=WRONG)
        assert device.credentialed == 1
        assert "CreatePullPointSubscription" not in device.operations()


class TestPulling:
    @pytest.mark.parametrize("auth", ["none", "digest", "wsse", "sha256"])
    def test_events_arrive_and_the_slot_is_given_back(self, auth: str) -> None:
        """Messages of each pull arrive whole, in order; leaving unsubscribes, at the enrolled host."""
        device = Events(auth=auth)
        device.batches = [
            message("tns1:VideoSource/MotionAlarm", "2026-05-01T08:00:00Z", "true")
            + message("tns1:VideoSource/MotionAlarm", "2026-05-01T08:00:02Z", "false"),
            message(
                "tns1:RuleEngine/CellMotionDetector/Motion", "2026-05-01T08:00:03Z", "true", "Initialized"
            ),
        ]
        seen: list[DeviceEvent] = []

        async def act(source: EventSource) -> None:
            seen.extend(await source.pull())
            seen.extend(await source.pull())

        with_source(device, act)

        assert [(item.topic, item.operation, item.data["State"]) for item in seen] == [
            ("tns1:VideoSource/MotionAlarm", "Changed", "true"),
            ("tns1:VideoSource/MotionAlarm", "Changed", "false"),
            ("tns1:RuleEngine/CellMotionDetector/Motion", "Initialized", "true"),
        ]
        assert seen[0].at == datetime(2026, 5, 1, 8, tzinfo=UTC)
        assert seen[0].at_in_utc
        assert seen[0].source == {"Source": "VS0"}
        assert device.operations().count("Unsubscribe") >= 1
        pulls = [item for item in device.log if item.operation in {"PullMessages", "Unsubscribe"}]
        assert {item.path for item in pulls} == {"/onvif/sub?Idx=7"}
        assert device.most_connections == 1

    def test_addressing_headers_are_on_event_operations_alone(self) -> None:
        """34, 35: Action, To and MessageID once on what the WSDL declares, nowhere else; To as the device calls it."""
        device = Events()

        async def act(source: EventSource) -> None:
            await source.pull()

        with_source(device, act)

        for item in device.log:
            addressed = item.operation in {"CreatePullPointSubscription", "PullMessages", "Unsubscribe"}
            assert item.body.count("<a:Action ") == (1 if addressed else 0)
            if item.operation == "PullMessages":
                assert f"http://192.168.77.1:{device.port}/onvif/sub?Idx=7</a:To>" in item.body
                assert "PullPointSubscription/PullMessagesRequest<" in item.body

    def test_reference_parameters_are_sent_back(self) -> None:
        """A device that tells its subscriptions apart by reference parameters gets them back in the header."""
        device = Events()
        device.extra = (
            '<wsa:ReferenceParameters><dom0:SubscriptionId xmlns:dom0="http://axis.example/e">5'
            "</dom0:SubscriptionId></wsa:ReferenceParameters>"
        )

        async def act(source: EventSource) -> None:
            await source.pull()

        with_source(device, act)
        pulls = [item for item in device.log if item.operation == "PullMessages"]

        assert all(">5</dom0:SubscriptionId>" in item.body.split("Body>")[0] for item in pulls)

    def test_run_delivers_until_cancelled_and_does_not_spin(self) -> None:
        """A device that answers every pull at once is asked about once a second; cancelling unsubscribes."""
        device, clock = Events(), QuickClock()
        device.batches = [message("tns1:A/B", "2026-05-01T08:00:00Z", "1")]
        seen: list[DeviceEvent] = []

        async def act(source: EventSource) -> None:
            running = asyncio.create_task(source.run(seen.append))
            while len(clock.slept) < 5:
                await asyncio.sleep(0.001)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        with_source(device, act, clock=clock)

        assert [item.topic for item in seen] == ["tns1:A/B"]
        assert device.operations().count("PullMessages") <= 2 * len(clock.slept) + 4
        assert "Unsubscribe" in device.operations()


class TestVariants:
    """Quirk 54."""

    @pytest.mark.parametrize(
        ("refused", "terms", "quirk"),
        [
            ((r"P.*",), ["PT60S", "20"], "absolute_termination_time"),
            ((r"P.*", r"20.*"), ["PT60S", "20", ""], "no_termination_time"),
        ],
    )
    def test_termination_times(self, refused: tuple[str, ...], terms: list[str], quirk: str) -> None:
        """A duration first, then an absolute time of the device's clock, then none."""
        device = Events(auth="none", skew_s=-86400.0 * 365)
        device.refuse_terms = refused
        source = with_source(device, nothing)

        assert [term[: len(want)] for term, want in zip(device.terms, terms, strict=True)] == terms
        assert quirk in source.quirks
        absolute = next((term for term in device.terms if term.startswith("20")), "")
        told = datetime.fromisoformat(absolute)
        assert abs((told - device.now()).total_seconds() - 60) < 10

    def test_every_slot_taken(self) -> None:
        """A device without a free slot is not asked in other words (Dahua's BlockedThreadUpperLimit)."""
        device = Events(replies={"CreatePullPointSubscription": fault("BlockedThreadUpperLimit", "")})
        with pytest.raises(CameraFault) as caught:
            with_source(device, nothing)
        assert "slot" in caught.value.hint
        assert device.operations("digest").count("CreatePullPointSubscription") == 1

    def test_no_pull_points(self) -> None:
        """A device that lists events but knows no pull point says so, typed."""
        with pytest.raises(Unsupported):
            with_source(Events(replies={"CreatePullPointSubscription": NOT_SUPPORTED}), nothing)

    def test_the_lease_is_renewed_in_its_middle(self) -> None:
        """At half the lease it is renewed; where Renew fails, absolute time is tried, then it subscribes anew."""
        device, clock = Events(auth="none"), QuickClock()

        async def act(source: EventSource) -> None:
            await source.pull()
            clock.ahead_s += 35
            device.lease = timedelta(seconds=20)  # a pull must not prolong what was asked for
            await source.pull()

        with_source(device, act, clock=clock)
        assert device.operations().count("Renew") == 1
        assert device.operations().count("CreatePullPointSubscription") == 1

    def test_a_device_without_renew_is_subscribed_to_anew(self) -> None:
        """Before the lease ends the old subscription is given back and a new one is made."""
        device, clock = Events(auth="none", replies={"Renew": fault("Action")}), QuickClock()
        device.replies["PullMessages"] = f"<tds:PullMessagesResponse {SUBSCRIPTION}/>"  # tells no times

        async def act(source: EventSource) -> None:
            for ahead_s in (0, 35, 15):
                clock.ahead_s += ahead_s
                await source.pull()

        source = with_source(device, act, clock=clock)

        assert device.operations().count("CreatePullPointSubscription") == 2
        assert device.operations().count("Unsubscribe") == 2
        assert "no_renew" in source.quirks

    def test_a_subscription_that_ends_at_once_is_given_its_minute(self) -> None:
        """A termination time that is now, or missing, counts as the 60 s that were asked for."""
        device = Events(auth="none")
        device.lease = timedelta()
        assert "terminates_at_once" in with_source(device, nothing).quirks

    def test_a_pull_that_the_device_closes_is_an_empty_pull(self) -> None:
        """Tapo closes after 10 s: that is the end of a poll; three in a row are the end of the source."""
        device, clock = Events(auth="none"), QuickClock()
        plain = device.reply

        def closing(request: Request) -> bytes | None:
            if request.operation == "PullMessages":
                raise ConnectionError
            return plain(request)

        device.reply = closing  # type: ignore[method-assign]

        async def act(source: EventSource) -> None:
            assert await source.pull() == ()
            assert await source.pull() == ()
            with pytest.raises(Unreachable):
                await source.pull()

        source = with_source(device, act, clock=clock)
        assert source.quirks == ("poll_ended_by_close",)
        assert device.operations().count("CreatePullPointSubscription") == 1
        assert device.operations()[-1] == "Unsubscribe"

    def test_a_lost_subscription_is_made_anew(self) -> None:
        """A device that forgot the subscription (after a reboot) is subscribed to again."""
        device, clock = Events(auth="none"), QuickClock()
        device.batches = [message("tns1:A/B", "2026-05-01T08:00:00Z", "1")]
        calls = {"n": 0}

        def forgetful(request: Request) -> str:
            calls["n"] += 1
            return (
                fault("InvalidArgVal", "no such subscription") if calls["n"] == 1 else device.pulled(request)
            )

        device.replies["PullMessages"] = forgetful
        seen: list[DeviceEvent] = []

        async def act(source: EventSource) -> None:
            seen.extend(await source.pull())
            seen.extend(await source.pull())

        source = with_source(device, act, clock=clock)
        assert [item.topic for item in seen] == ["tns1:A/B"]
        assert "subscription_lost" in source.quirks
        assert device.operations().count("CreatePullPointSubscription") == 2

    def test_three_losses_in_a_row_end_the_source(self) -> None:
        """A device that loses every subscription is left alone, and the slot is given back."""
        device, clock = Events(auth="none", replies={"PullMessages": fault("InvalidArgVal")}), QuickClock()

        async def act(source: EventSource) -> None:
            with pytest.raises(CameraFault):
                await source.run(lambda _event: None)

        with_source(device, act, clock=clock)
        assert device.operations().count("PullMessages") == 3
        assert device.operations()[-1] == "Unsubscribe"

    def test_a_clock_that_moves_is_read_again_once(self) -> None:
        """6: a WSSE device whose clock jumps is signed to by its new clock, once."""
        device = Events(auth="wsse")
        device.batches = [message("tns1:A/B", "2026-05-01T08:00:00Z", "1")]
        seen: list[DeviceEvent] = []

        async def act(source: EventSource) -> None:
            device.skew_s = 7200.0
            seen.extend(await source.pull())

        source = with_source(device, act)
        assert [item.topic for item in seen] == ["tns1:A/B"]
        assert "clock_moved" in source.quirks

    @pytest.mark.parametrize(
        ("written", "at", "in_utc"),
        [
            ("2026-05-01T08:00:00Z", datetime(2026, 5, 1, 8, tzinfo=UTC), True),
            ("2026-05-01T08:00:00.123456789Z", datetime(2026, 5, 1, 8, 0, 0, 123456, tzinfo=UTC), True),
            ("2026-05-01-08:61:00Z", datetime(2026, 5, 1, 9, 1, tzinfo=UTC), False),
            ("2026-05-01 08:00:60", datetime(2026, 5, 1, 8, 1, tzinfo=UTC), False),
            ("2026-05-01T15:00:00+07:00", datetime(2026, 5, 1, 8, tzinfo=UTC), False),
            ("2026-05-01T08:00:00", datetime(2026, 5, 1, 8, tzinfo=UTC), False),
            ("0000-00-00T00:00:00Z", None, False),
            ("12-18-2025T10:00", None, False),
            ("", None, False),
        ],
    )
    def test_times_as_devices_write_them(self, written: str, at: datetime | None, in_utc: bool) -> None:
        """A dash for the T, minute 61, second 60, no zone and impossible dates are read or are none."""
        device = Events(auth="none")
        device.batches = [message("tns1:A/B", written, "1")]
        seen: list[DeviceEvent] = []

        async def act(source: EventSource) -> None:
            seen.extend(await source.pull())

        with_source(device, act)
        assert (seen[0].at, seen[0].at_in_utc) == (at, in_utc)

    def test_messages_without_a_topic_are_left_out(self) -> None:
        """Dahua sends empty messages."""
        device = Events(auth="none")
        device.batches = [
            message("", "", "") + "<wsnt:NotificationMessage><wsnt:Message/></wsnt:NotificationMessage>"
        ]
        seen: list[DeviceEvent] = []

        async def act(source: EventSource) -> None:
            seen.extend(await source.pull())

        with_source(device, act)
        assert seen == []


class TestHostile:
    @pytest.mark.parametrize(
        "host", ["169.254.169.254", "[::ffff:169.254.169.254]", "evil.example", "user:pw@192.0.2.7"]
    )
    def test_a_pull_point_elsewhere_is_led_back(self, host: str) -> None:
        """A subscription address on another host is pulled at the enrolled one; nothing follows it."""
        device = Events()
        plain = device.create
        device.replies["CreatePullPointSubscription"] = lambda request: plain(request).replace(
            "192.168.77.1", host
        )

        async def act(source: EventSource) -> None:
            assert await source.pull() == ()

        with_source(device, act)
        assert {item.path for item in device.log if item.operation == "PullMessages"} == {"/onvif/sub?Idx=7"}

    @pytest.mark.parametrize(
        "reply",
        [
            http(200, b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
            http(200, b"x").replace(b"Content-Length: 1\r", b"Content-Length: 104857600\r"),
            http(302, b"", "Location: http://169.254.169.254/latest/"),
        ],
    )
    def test_hostile_pulls_end_typed(self, reply: bytes) -> None:
        """Entities, 100 MB and redirects end the source after three of them, and the slot is given back."""
        device, clock = Events(auth="none", replies={"PullMessages": reply}), QuickClock()

        async def act(source: EventSource) -> None:
            with pytest.raises(RemoteProtocolError):
                await source.run(lambda _event: None)

        with_source(device, act, clock=clock)
        assert device.operations().count("PullMessages") == 3
        assert device.operations()[-1] == "Unsubscribe"

    def test_a_flood_of_messages_is_bounded(self) -> None:
        """Thousands of messages in one pull are cut at 256."""
        device = Events(auth="none")
        device.batches = [message("tns1:A/B", "2026-05-01T08:00:00Z", "1") * 2000]
        seen: list[DeviceEvent] = []

        async def act(source: EventSource) -> None:
            seen.extend(await source.pull())

        with_source(device, act)
        assert len(seen) == 256
