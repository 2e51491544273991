"""Bodies of the reads that the hot path does not need, and WS-Addressing where a WSDL declares it. All escaped."""

import uuid
from xml.sax.saxutils import escape

from adapters.onvif.operations import Operation

_ADDRESSING = "http://www.w3.org/2005/08/addressing"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_NOTIFICATION = "http://docs.oasis-open.org/wsn/b-2"


def plain(operation: Operation, **arguments: str) -> bytes:
    """Return a request whose arguments are texts, in the order of its schema; "" leaves an argument out."""
    inside = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in arguments.items() if text)
    return f'<{operation.name} xmlns="{operation.namespace}">{inside}</{operation.name}>'.encode()


def find_recordings(operation: Operation, most: int) -> bytes:
    """Return FindRecordings over all recordings, at most `most` of them, kept alive for 10 s (Search 5.3.3)."""
    return (
        f'<{operation.name} xmlns="{operation.namespace}"><Scope/><MaxMatches>{most}</MaxMatches>'
        f"<KeepAliveTime>PT10S</KeepAliveTime></{operation.name}>"
    ).encode()


def search_results(operation: Operation, token: str, most: int) -> bytes:
    """Return GetRecordingSearchResults: everything found within 2 s."""
    return plain(operation, SearchToken=token, MinResults="1", MaxResults=str(most), WaitTime="PT2S")


def replay_uri(operation: Operation, recording: str) -> bytes:
    """Return GetReplayUri for a recording, as RTSP (Replay 5.2)."""
    return (
        f'<{operation.name} xmlns="{operation.namespace}"><StreamSetup>'
        f'<Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
        f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
        f"<RecordingToken>{escape(recording)}</RecordingToken></{operation.name}>"
    ).encode()


def renew(termination: str) -> bytes:
    """Return Renew; `termination` is a duration or an absolute time (WS-BaseNotification 1.3 section 6.1)."""
    return (
        f'<Renew xmlns="{_NOTIFICATION}"><TerminationTime>{escape(termination)}</TerminationTime></Renew>'
    ).encode()


def unsubscribe() -> bytes:
    """Return Unsubscribe (WS-BaseNotification 1.3 section 6.2)."""
    return f'<Unsubscribe xmlns="{_NOTIFICATION}"/>'.encode()


def continuous_move(
    operation: Operation, profile: str, *, pan: float, tilt: float, zoom: float, seconds: float
) -> bytes:
    """Return ContinuousMove with its time-out: the device stops by itself (PTZ 5.3.3)."""
    velocity = ""
    if pan or tilt:
        velocity += f'<PanTilt xmlns="{_SCHEMA}" x="{pan:.3f}" y="{tilt:.3f}"/>'
    if zoom:
        velocity += f'<Zoom xmlns="{_SCHEMA}" x="{zoom:.3f}"/>'
    return (
        f'<{operation.name} xmlns="{operation.namespace}"><ProfileToken>{escape(profile)}</ProfileToken>'
        f"<Velocity>{velocity}</Velocity><Timeout>PT{seconds:.3f}S</Timeout></{operation.name}>"
    ).encode()


def addressing(operation: Operation, to: str) -> bytes:
    """Return the WS-Addressing header of an operation whose WSDL declares an action (quirks 34, 35)."""
    return (
        f'<a:Action xmlns:a="{_ADDRESSING}">{operation.action}</a:Action>'
        f'<a:MessageID xmlns:a="{_ADDRESSING}">urn:uuid:{uuid.uuid4()}</a:MessageID>'
        f'<a:ReplyTo xmlns:a="{_ADDRESSING}"><a:Address>{_ADDRESSING}/anonymous</a:Address></a:ReplyTo>'
        f'<a:To xmlns:a="{_ADDRESSING}">{escape(to)}</a:To>'
    ).encode()
