"""The event service of a scripted camera: pull points, motions at random, and what a test makes happen.

A pull point gets the present state of every property when it begins (ONVIF Core 9.1: PropertyOperation Initialized), then
what changes. PullMessages waits until there is something or its time-out is over. Random motions run only while
somebody listens.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from hub.simulator.presets import EventsScript
from hub.simulator.soap import Call, SoapFault
from hub.simulator.values import duration_s, until_s

if TYPE_CHECKING:
    from hub.simulator.device import Device

PATH = "/onvif/pullpoint/"
MOTION = "tns1:VideoSource/MotionAlarm"
TOO_DARK = "tns1:VideoSource/ImageTooDark/ImagingService"
TOO_BLURRY = "tns1:VideoSource/ImageTooBlurry/ImagingService"
SCENE_CHANGED = "tns1:VideoSource/GlobalSceneChange/ImagingService"
DIGITAL_INPUT = "tns1:Device/Trigger/DigitalInput"
STORAGE = "tns1:Device/HardwareFailure/StorageFailure"
LINE = "tns1:RuleEngine/LineDetector/Crossed"
_DEFAULT_LEASE_S = 60.0
_LONGEST_PULL_S = 120.0
_MAX_QUEUED = 256  # messages per pull point; the oldest go first
# topic -> name of its source item, name of its state; "" where it is no property but a single happening
_TOPICS = {
    MOTION: ("Source", "State"),
    SCENE_CHANGED: ("Source", "State"),
    TOO_DARK: ("Source", "State"),
    TOO_BLURRY: ("Source", "State"),
    DIGITAL_INPUT: ("InputToken", "LogicalState"),
    STORAGE: ("Token", "Failed"),
    LINE: ("VideoSourceConfigurationToken", ""),
}
_DIALECT = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
_SETS = (
    "<wsnt:FixedTopicSet>true</wsnt:FixedTopicSet>{topics}"
    f"<wsnt:TopicExpressionDialect>{_DIALECT}</wsnt:TopicExpressionDialect>"
    "<wsnt:TopicExpressionDialect>http://docs.oasis-open.org/wsn/t-1/TopicExpression/Concrete"
    "</wsnt:TopicExpressionDialect>"
    "<tev:MessageContentFilterDialect>http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter"
    "</tev:MessageContentFilterDialect>"
    "<tev:MessageContentSchemaLocation>http://www.onvif.org/onvif/ver10/schema/onvif.xsd"
    "</tev:MessageContentSchemaLocation>"
)


@dataclass(slots=True)
class _PullPoint:
    ends_s: float  # monotonic
    queue: list[str] = field(default_factory=list)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Happenings:
    """What a camera notices, and who is told."""

    def __init__(self, device: "Device", script: EventsScript) -> None:
        self._device = device
        self._script = script
        self._points: dict[str, _PullPoint] = {}
        self._numbers = count(1)
        self._states: dict[str, bool] = {topic: False for topic, (_source, state) in _TOPICS.items() if state}
        self._moving: asyncio.Task[None] | None = None

    @property
    def pull_points(self) -> int:
        """Return how many pull points live."""
        self._forget()
        return len(self._points)

    def notify(self, topic: str, active: bool | None = None) -> None:
        """Let something happen: the new state of a property, or None for what has none (a crossed line)."""
        name = _TOPICS[topic][1]
        if name and active is not None:
            self._states[topic] = active
        self._tell(self._message(topic, active, "Changed" if name else ""))

    def tell_raw(self, topic: str, data: dict[str, str], at: str = "") -> None:
        """Send a message of a topic of one's own, for tests of what cameras send beside the standard."""
        items = "".join(
            f"<tt:SimpleItem Name={quoteattr(key)} Value={quoteattr(value)}/>" for key, value in data.items()
        )
        self._tell(_notification(topic, at or self._utc(), "", "", items))

    def close(self) -> None:
        """Forget every pull point, as by a restart."""
        self._points.clear()
        if self._moving is not None:
            self._moving.cancel()
            self._moving = None

    # --- pull points

    def create(self, lease_s: float) -> str:
        """Make a pull point and return its number as text.

        Raises:
            SoapFault: every slot is taken.
        """
        self._forget()
        if len(self._points) >= self._script.max_pull_points:
            raise SoapFault(
                500,
                "Receiver",
                ("wsnt:SubscribeCreationFailedFault",),
                "Maximum number of pull points reached",
            )
        name = str(next(self._numbers))
        begun = [self._message(topic, state, "Initialized") for topic, state in self._states.items()]
        self._points[name] = _PullPoint(self._device.clock.monotonic() + self.granted_s(lease_s), begun)
        if self._script.every_s is not None and (self._moving is None or self._moving.done()):
            self._moving = asyncio.create_task(self._motions(self._script.every_s), name="simulated motion")
        return name

    def granted_s(self, wanted_s: float) -> float:
        """Return how long a lease becomes."""
        return min(wanted_s, self._script.longest_lease_s)

    def renew(self, name: str, lease_s: float) -> None:
        """Prolong a pull point.

        Raises:
            SoapFault: there is none of this name, or it has ended.
        """
        self._point(name).ends_s = self._device.clock.monotonic() + self.granted_s(lease_s)

    def remove(self, name: str) -> None:
        """End a pull point.

        Raises:
            SoapFault: there is none of this name, or it has ended.
        """
        self._point(name).woken.set()
        del self._points[name]

    def knows(self, name: str) -> bool:
        """Tell whether a pull point of this name lives."""
        self._forget()
        return name in self._points

    def left_s(self, name: str) -> float:
        """Return how long a pull point still lives."""
        return self._point(name).ends_s - self._device.clock.monotonic()

    async def pull(self, name: str, wait_s: float, most: int) -> str:
        """Return up to `most` messages, waiting `wait_s` for the first."""
        point = self._point(name)
        if not point.queue:
            point.woken.clear()
            try:
                async with asyncio.timeout(min(wait_s, _LONGEST_PULL_S)):
                    await point.woken.wait()
            except TimeoutError:
                return ""
        taken, point.queue = point.queue[:most], point.queue[most:]
        return "".join(taken)

    # --- inside

    def _point(self, name: str) -> _PullPoint:
        self._forget()
        if name not in self._points:
            raise SoapFault(
                400, "Sender", ("ter:InvalidArgVal",), "There is no such pull point, or its time is over"
            )
        return self._points[name]

    def _forget(self) -> None:
        now_s = self._device.clock.monotonic()
        self._points = {name: point for name, point in self._points.items() if point.ends_s > now_s}
        if not self._points and self._moving is not None:
            self._moving.cancel()
            self._moving = None

    def _tell(self, message: str) -> None:
        for point in self._points.values():
            point.queue.append(message)
            del point.queue[:-_MAX_QUEUED]
            point.woken.set()

    async def _motions(self, every_s: float) -> None:
        chance = random.Random(f"{self._script.seed} {self._device.number}")  # noqa: S311  decoration
        while True:
            await self._device.clock.sleep(chance.expovariate(1.0 / every_s))
            self.notify(MOTION, True)
            await self._device.clock.sleep(self._script.lasts_s)
            self.notify(MOTION, False)

    def _message(self, topic: str, active: bool | None, operation: str) -> str:
        source, state = _TOPICS[topic]
        token = {
            "Source": "video_source_1",
            "VideoSourceConfigurationToken": "video_source_configuration_1",
        }.get(source, f"{source.lower()}_1")
        value = "true" if active else "false"
        data = f'<tt:SimpleItem Name="{state}" Value="{value}"/>' if state else ""
        if topic == LINE:
            data = '<tt:SimpleItem Name="ObjectId" Value="1"/>'
        return _notification(
            topic,
            self._utc(),
            operation,
            f'<tt:SimpleItem Name="{source}" Value="{token}"/>',
            data,
        )

    def _utc(self) -> str:
        now = self._device.now()
        if not self._script.utc:
            return f"{now + timedelta(hours=7):%Y-%m-%dT%H:%M:%S}"
        return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z"


class EventReplies:
    """What the event service and its pull points answer (ONVIF Core 9; WS-BaseNotification 1.3)."""

    def __init__(self, device: "Device", http: Callable[[str], str]) -> None:
        self._device = device
        self._script = device.preset.events
        self._http = http

    def operations(self) -> dict[str, Callable[[Call], str]]:
        """Return a callable per operation of the service."""
        return {
            "GetServiceCapabilities": lambda call: (
                f"<tev:GetServiceCapabilitiesResponse>{self.capabilities(call)}</tev:GetServiceCapabilitiesResponse>"
            ),
            "GetEventProperties": self._properties,
            "CreatePullPointSubscription": self._create,
        }

    def of_pull_point(self, name: str) -> dict[str, Callable[[Call], str | Awaitable[str]]]:
        """Return a callable per operation of one pull point."""

        def renew(call: Call) -> str:
            lease_s = self._lease(call.argument("TerminationTime"))
            self._device.happenings.renew(name, lease_s)
            return f"<wsnt:RenewResponse>{self._times(lease_s, 'wsnt')}</wsnt:RenewResponse>"

        def unsubscribe(_call: Call) -> str:
            self._device.happenings.remove(name)
            return "<wsnt:UnsubscribeResponse/>"

        async def pull(call: Call) -> str:
            wait_s, most = duration_s(call.argument("Timeout")), call.argument("MessageLimit")
            if wait_s is None or not most.isdecimal() or int(most) < 1:
                raise SoapFault(
                    400, "Sender", ("ter:InvalidArgVal",), "Timeout and MessageLimit cannot be read"
                )
            messages = await self._device.happenings.pull(name, wait_s, int(most))
            left_s = self._device.happenings.left_s(name)
            return (
                f"<tev:PullMessagesResponse>{self._times(left_s, 'tev')}{messages}</tev:PullMessagesResponse>"
            )

        return {"PullMessages": pull, "Renew": renew, "Unsubscribe": unsubscribe}

    def capabilities(self, _call: Call) -> str:
        """Return the capabilities of the event service."""
        return (
            '<tev:Capabilities WSSubscriptionPolicySupport="true" WSPausableSubscriptionManagerInterfaceSupport="false"'
            f' MaxNotificationProducers="1" MaxPullPoints="{self._script.max_pull_points}"'
            ' PersistentNotificationStorage="false"/>'
        )

    def _properties(self, _call: Call) -> str:
        return (
            "<tev:GetEventPropertiesResponse><tev:TopicNamespaceLocation>"
            "http://www.onvif.org/onvif/ver10/topics/topicns.xml</tev:TopicNamespaceLocation>"
            f"{_SETS.format(topics=_topic_set())}</tev:GetEventPropertiesResponse>"
        )

    def _create(self, call: Call) -> str:
        lease_s = self._lease(call.argument("InitialTerminationTime"))
        name = self._device.happenings.create(lease_s)
        return (
            "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"
            f"<wsa:Address>{escape(self._http(PATH + name))}</wsa:Address></tev:SubscriptionReference>"
            f"{self._times(self._device.happenings.granted_s(lease_s), 'wsnt')}"
            "</tev:CreatePullPointSubscriptionResponse>"
        )

    def _lease(self, told: str) -> float:
        lease_s = until_s(told, self._device.now()) if told else _DEFAULT_LEASE_S
        if lease_s is None or lease_s <= 0:
            raise SoapFault(
                400, "Sender", ("wsnt:UnacceptableInitialTerminationTimeFault",), "The time cannot be taken"
            )
        return lease_s

    def _times(self, lease_s: float, prefix: str) -> str:
        now = self._device.now()
        ends = now + timedelta(seconds=self._device.happenings.granted_s(lease_s))
        return (
            f"<{prefix}:CurrentTime>{now:%Y-%m-%dT%H:%M:%SZ}</{prefix}:CurrentTime>"
            f"<{prefix}:TerminationTime>{ends:%Y-%m-%dT%H:%M:%SZ}</{prefix}:TerminationTime>"
        )


def _notification(topic: str, at: str, operation: str, source: str, data: str) -> str:
    changed = f' PropertyOperation="{operation}"' if operation else ""
    source = f"<tt:Source>{source}</tt:Source>" if source else ""
    return (
        f'<wsnt:NotificationMessage><wsnt:Topic Dialect="{_DIALECT}">{escape(topic)}</wsnt:Topic><wsnt:Message>'
        f"<tt:Message UtcTime={quoteattr(at)}{changed}>{source}"
        f"<tt:Data>{data}</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )


class _Branch(dict[str, "_Branch"]):
    """One level of the topic tree: names and what lies below them."""


def _topic_set() -> str:
    """Return the topic tree with a message description at each leaf (WS-Topics 1.3; ONVIF Core 9.6)."""
    tree = _Branch()
    for topic in _TOPICS:
        at = tree
        for part in topic.removeprefix("tns1:").split("/"):
            at = at.setdefault(part, _Branch())
    return f"<wstop:TopicSet>{_written(tree, '')}</wstop:TopicSet>"


def _written(branch: _Branch, path: str) -> str:
    out = ""
    for name, below in branch.items():
        here, tag = f"{path}/{name}".strip("/"), name if path else f"tns1:{name}"
        leaf = _TOPICS.get(f"tns1:{here}")
        if leaf is None:
            out += f"<{tag}>{_written(below, here)}</{tag}>"
            continue
        source, state = leaf
        data = f'<tt:SimpleItemDescription Name="{state}" Type="xs:boolean"/>' if state else ""
        out += (
            f'<{tag} wstop:topic="true"><tt:MessageDescription IsProperty="{str(bool(state)).lower()}">'
            f'<tt:Source><tt:SimpleItemDescription Name="{source}" Type="tt:ReferenceToken"/></tt:Source>'
            f"<tt:Data>{data}</tt:Data></tt:MessageDescription></{tag}>"
        )
    return out
