"""Targets: what devices answer over HTTP (ONVIF, the makers' interfaces) and over multicast."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fuzz.limits import Broken
from fuzz.targets import Prepared, target

if TYPE_CHECKING:
    from adapters.onvif.reply import Reply
    from adapters.wire.http import HttpReply
    from adapters.wire.vendor import Family

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_XML = ("onvif/**/*.xml", "isapi/**/*.xml", "axis_vapix/**/*.xml")
_STATUSES = (200, 200, 200, 400, 401, 403, 404, 500)


def _http(body: bytes, status: int = 200, *headers: tuple[str, str]) -> "HttpReply":
    from adapters.wire.http import HttpReply

    return HttpReply(status, headers, body, "http://192.0.2.9/", _NOW, 0.01)


def _speakable(facts: Mapping[str, Any]) -> None:
    """Check that facts can be kept: known names, values that JSON and back does not change."""
    from standards.facts import FACTS
    from standards.observation import canonical_json, freeze, thaw

    for name, value in facts.items():
        if name not in FACTS:
            raise Broken(f"no such fact: {name}")
        canonical_json(thaw(freeze(value))).decode("utf-8")


@target(max_bytes=16384, corpora=_XML)
def safe_xml() -> Prepared:
    """XML from anybody: parsed without entities, walked by local names."""
    from adapters.errors import RemoteProtocolError
    from adapters.wire import xml

    def run(data: bytes) -> None:
        root = xml.parse(data).root
        for element in root.iter():
            _ = (xml.local(element), xml.namespace(element), xml.attribute(element, "token"))
            if len(xml.text(element)) > 4096:
                raise Broken("a text is longer than its bound")
        next(xml.descendants(root, "Body", "Value"), None)
        _ = (xml.child(root, "Body", "Fault"), xml.text(root, "Body", "Fault"))

    return run, (RemoteProtocolError,)


@target(max_bytes=16384, corpora=("onvif/**/*.xml",))
def onvif_reply() -> Prepared:
    """SOAP replies and faults, read as the operation that they answer; the first byte chooses the HTTP status."""
    from adapters.errors import AdapterError
    from adapters.onvif import reply

    answers = _answers()

    def run(data: bytes) -> None:
        found = re.search(rb"<(?:[\w.\-]+:)?(\w+)Response", data)
        name = found[1].decode() if found else "GetDeviceInformation"
        status = _STATUSES[data[0] % len(_STATUSES)] if data else 200
        for operation, take in answers.get(name, answers["GetDeviceInformation"]):
            take(reply.read(operation, _http(data[1:], status), "192.0.2.9:80"))

    return run, (AdapterError,)


def _answers() -> dict[str, list[tuple[Any, Callable[["Reply"], object]]]]:
    """Return by operation how the adapter reads its reply."""
    from adapters.onvif import clock_step, details, mapping, notifications, operations
    from adapters.onvif.addresses import AddressBook
    from adapters.onvif.media import sources_of
    from adapters.target import Target

    def clock(reply: "Reply") -> None:
        told = mapping.system_time(reply)
        _ = told.zone_offset_min
        clock_step.signing_time(told, reply.http)
        clock_step.written_offset_min(told)

    def addresses(reply: "Reply") -> None:
        book = AddressBook(Target("onvif", "192.0.2.9", 80))
        for text in (*mapping.services(reply).values(), *mapping.capabilities(reply).values()):
            book.learn(text)
            book.service(text)
        _ = (details.secure_streaming(reply), mapping.uri(reply), book.stream(mapping.uri(reply)))

    def profiles(reply: "Reply") -> None:
        for told in (mapping.media_profiles(reply), mapping.media2_profiles(reply)):
            sources_of(told)
            for profile in told[:4]:
                for encoder in mapping.media2_encoders(reply)[:4]:
                    mapping.with_encoder(profile, encoder)

    def scopes(reply: "Reply") -> None:
        mapping.profiles_claimed(mapping.scopes(reply))

    def lease(reply: "Reply") -> None:
        notifications.subscription(reply).lease_s()
        notifications.events(reply)

    def users(reply: "Reply") -> None:
        details.user_levels(reply, "owner")

    readers: dict[str, tuple[Callable[[Reply], object], ...]] = {
        "GetSystemDateAndTime": (clock,),
        "GetServices": (addresses,),
        "GetCapabilities": (addresses,),
        "GetEndpointReference": (mapping.endpoint_reference,),
        "GetDeviceInformation": (mapping.device_information,),
        "GetScopes": (scopes,),
        "GetNetworkInterfaces": (mapping.hardware_addresses,),
        "GetNetworkProtocols": (mapping.network_protocols,),
        "GetNTP": (mapping.ntp_servers,),
        "GetProfiles": (profiles,),
        "GetVideoEncoderConfigurations": (mapping.media2_encoders,),
        "GetStreamUri": (addresses,),
        "GetSnapshotUri": (addresses,),
        "GetReplayUri": (addresses,),
        "GetServiceCapabilities": (
            details.default_access_policy, details.event_limits, details.masks_supported,
        ),
        "GetPasswordComplexityConfiguration": (details.password_rule,),
        "GetAuthFailureWarningConfiguration": (details.auth_failure_warning,),
        "GetStorageConfigurations": (details.storage_kinds,),
        "GetUsers": (users,),
        "GetVideoSources": (details.video_sources,),
        "GetVideoSourceConfigurations": (details.video_sources,),
        "GetGuaranteedNumberOfVideoEncoderInstances": (details.encoder_instances,),
        "GetVideoEncoderInstances": (details.encoder_instances,),
        "GetOSDs": (details.osds,),
        "GetMasks": (details.masks,),
        "GetEventProperties": (details.topics,),
        "GetImagingSettings": (details.imaging_settings,),
        "GetNodes": (details.ptz_nodes,),
        "GetConfigurations": (details.ptz_configured_nodes,),
        "GetPresets": (details.presets,),
        "GetAnalyticsModules": (details.analytics_modules,),
        "GetRecordings": (details.recordings,),
        "FindRecordings": (details.search_token,),
        "GetRecordingSummary": (details.recording_summary,),
        "CreatePullPointSubscription": (lease,),
        "PullMessages": (lease,),
        "Renew": (lease,),
    }  # fmt: skip
    every = (*operations.READ_OPERATIONS, *operations.ACTUATION_OPERATIONS)
    found: dict[str, list[tuple[Any, Callable[[Reply], object]]]] = {}
    for operation in sorted(every, key=str):
        for take in readers.get(operation.name, (lambda reply: reply.body,)):
            found.setdefault(operation.name, []).append((operation, take))
    return found


@target(max_bytes=16384, corpora=("onvif/**/*.xml",))
def onvif_schema() -> Prepared:
    """SOAP replies held against the packaged WSDLs: whatever zeep trips over, the answer is yes or no."""
    import asyncio

    from adapters.errors import AdapterError
    from adapters.onvif import operations, reply
    from adapters.onvif.soap import Wsdl

    wsdl = Wsdl()
    asyncio.run(wsdl.ready())
    named = {operation.name: operation for operation in operations.READ_OPERATIONS if wsdl.knows(operation)}

    def run(data: bytes) -> None:
        found = re.search(rb"<(?:[\w.\-]+:)?(\w+)Response", data)
        operation = named.get(found[1].decode() if found else "")
        if operation is not None:
            read = reply.read(operation, _http(data), "192.0.2.9:80")
            wsdl.conforms(operation, read.root, data)

    return run, (AdapterError,)


@target(max_bytes=512)
def values() -> Prepared:
    """Times, durations, zones, numbers, sizes, addresses of hardware, as makers write them."""
    from adapters.onvif import mapping, times
    from adapters.wire import values as read

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        for told in (times.moment(text), read.moment(text)):
            if told is not None:
                told.isoformat()
        _ = (times.says_utc(text), times.seconds_of(text), mapping.zone_offset_min(text))
        _ = (read.boolean(text), read.integer(text), read.number(text), read.size(text))
        _ = (read.posix_offset_min(text), read.mac(text), read.encoding(text), read.word(text))
        found = read.port(text)
        if found is not None and not 1 <= found <= 65535:
            raise Broken(f"no port: {found}")

    return run, ()


def _vendor(family: "Family") -> Prepared:
    from adapters.errors import AdapterError
    from adapters.wire.reads import Notes

    def run(data: bytes) -> None:
        status = _STATUSES[data[0] % len(_STATUSES)] if data else 200
        reply = _http(data[1:], status, ("date", "Thu, 01 Jan 2026 00:00:00 GMT"))
        notes = Notes(user="owner")
        for read in family.reads:
            try:
                if family.explain(read, reply) is not None:
                    continue
                told = read.take(reply, notes)
            except AdapterError:
                continue
            _speakable(told)
            notes.facts.update(told)
        for stream in notes.streams:
            _speakable({"vendor.streams": (stream.as_value(),)})
            family.still(stream)

    return run, ()


@target(max_bytes=16384, corpora=("isapi/**/*.xml",))
def hikvision() -> Prepared:
    """ISAPI XML, taken for the answer to every read of the table."""
    from adapters.hikvision.reads import FAMILY

    return _vendor(FAMILY)


@target(max_bytes=8192, corpora=("dahua_cgi/**/*.txt",))
def dahua() -> Prepared:
    """Dahua's key=value lines, taken for the answer to every read of the table."""
    from adapters.dahua.reads import FAMILY

    return _vendor(FAMILY)


@target(max_bytes=8192, corpora=("axis_vapix/**/*",))
def axis() -> Prepared:
    """VAPIX JSON, parameters and XML, taken for the answer to every read of the table."""
    from adapters.axis.reads import FAMILY

    return _vendor(FAMILY)


@target()
def vigi() -> Prepared:
    """OpenAPI JSON: challenge, token, error, stream port."""
    from adapters.errors import AdapterError
    from adapters.secret import Credential, Secret
    from adapters.vigi import login
    from adapters.vigi.adapter import _port_in
    from adapters.wire import values as read

    owner = Credential("owner", Secret("sesame opens"))

    def run(data: bytes) -> None:
        told = read.json_object(data, "doAuth")
        _ = (login.token(told), login.error_code(told), _port_in(told))
        if b"sesame" in login.answer(login.challenge(told, "doAuth"), owner):
            raise Broken("the answer shows the password")

    return run, (AdapterError,)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


@target(max_bytes=8192, corpora=("reolink_json/**/*.json",))
def reolink() -> Prepared:
    """A batch of Reolink replies, as the library hands them over."""
    from adapters.reolink.mapping import told

    def run(data: bytes) -> None:
        replies = _json(data)
        if isinstance(replies, list):
            rows = [row for row in replies if isinstance(row, Mapping)]
            _speakable(told(rows, "192.0.2.9", "owner", _NOW).facts)

    return run, ()


@target(max_bytes=8192, corpora=("unifi_protect/**/*.json",))
def unifi() -> Prepared:
    """The state of a UniFi console, as the library hands it over; of its first camera too."""
    from adapters.unifi.mapping import told

    def run(data: bytes) -> None:
        state = _json(data)
        if isinstance(state, Mapping):
            for wanted in ("", "camera-1"):
                _speakable(told(state, "192.0.2.9", wanted, _NOW).facts)

    return run, ()


@target(max_bytes=8192, corpora=("onvif/**/*discovery*/**/*",))
def ws_discovery() -> Prepared:
    """Answers to a probe over multicast, and what their scopes say."""
    from adapters.discovery import messages
    from adapters.errors import RemoteProtocolError

    def run(data: bytes) -> None:
        for match in messages.read(data, "192.0.2.9"):
            said = messages.label(match.scopes)
            for word in (said.name, said.maker, said.model, said.location):
                if not (word == "" or word.isprintable()):
                    raise Broken(f"a label that cannot be shown: {word!r}")

    return run, (RemoteProtocolError,)


@target()
def certificate() -> Prepared:
    """Certificates (DER) of cameras; None where they cannot be read."""
    from adapters.wire.tls import certificate_facts

    def run(data: bytes) -> None:
        told = certificate_facts(data)
        if told is not None:
            told.valid_at(_NOW)

    return run, ()
