"""Events as devices send them: notification messages to frozen values. Past this file nobody sees XML."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from lxml import etree

from adapters.onvif.reply import Reply
from adapters.onvif.times import moment, says_utc
from adapters.wire import xml

MAX_MESSAGES = 256
_MAX_ITEMS = 64


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """One notification (ONVIF Core 9.5). Values are texts as the device wrote them."""

    topic: str  # tns1:VideoSource/MotionAlarm
    operation: str  # Initialized | Changed | Deleted; "" where not told
    at: datetime | None  # by the device's clock, UTC; None where it tells no readable time
    at_in_utc: bool  # it was written in UTC with T and Z, as ONVIF Core 9.1.2 wants
    source: Mapping[str, str]  # which source, rule or input: token by name
    key: Mapping[str, str]
    data: Mapping[str, str]  # State: true
    arrived_at: datetime  # by the hub's clock, UTC


@dataclass(frozen=True, slots=True)
class Subscription:
    """What CreatePullPointSubscription, Renew or PullMessages says about the lease."""

    address: str  # where the pull point is, as the device calls it; "" where not told
    reference_parameters: bytes  # to be sent back in the header of each request to it
    current: datetime | None
    termination: datetime | None

    def lease_s(self) -> float | None:
        """Return the seconds until the subscription ends, None where the device does not tell both times."""
        if self.current is None or self.termination is None:
            return None
        return (self.termination - self.current) / timedelta(seconds=1)


def subscription(reply: Reply) -> Subscription:
    """Read the answer to CreatePullPointSubscription, Renew or PullMessages."""
    reference = xml.child(reply.body, "SubscriptionReference")
    parameters = xml.child(reference, "ReferenceParameters")
    kept = b"".join(etree.tostring(item, with_tail=False) for item in xml.children(parameters))
    return Subscription(
        address=xml.text(reference, "Address", limit=2048),
        reference_parameters=kept if len(kept) <= 4096 else b"",
        current=moment(xml.text(reply.body, "CurrentTime", limit=64)),
        termination=moment(xml.text(reply.body, "TerminationTime", limit=64)),
    )


def events(reply: Reply) -> tuple[DeviceEvent, ...]:
    """Read PullMessages. Messages without a topic are left out: Dahua sends empty ones."""
    found = []
    for item in list(xml.descendants(reply.body, "NotificationMessage"))[:MAX_MESSAGES]:
        topic = xml.text(item, "Topic", limit=512)
        told = xml.child(item, "Message", "Message")
        written = xml.attribute(told, "UtcTime", 64)
        if topic:
            found.append(
                DeviceEvent(
                    topic=topic,
                    operation=xml.attribute(told, "PropertyOperation", 32),
                    at=moment(written),
                    at_in_utc=says_utc(written),
                    source=_items(xml.child(told, "Source")),
                    key=_items(xml.child(told, "Key")),
                    data=_items(xml.child(told, "Data")),
                    arrived_at=reply.http.started_at + timedelta(seconds=reply.http.took_s),
                )
            )
    return tuple(found)


def _items(element: etree._Element | None) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for item in list(xml.children(element, "SimpleItem"))[:_MAX_ITEMS]:
        name = xml.attribute(item, "Name")
        if name:
            found[name] = xml.attribute(item, "Value")
    return MappingProxyType(found)
