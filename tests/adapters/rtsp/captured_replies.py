"""Reads captured RTSP replies and descriptions as the client does, and returns what they tell as plain facts."""

import re
from typing import Any

import corpus

from adapters.rtsp.headers import parse_public, parse_rtp_info, parse_session, parse_transport
from adapters.rtsp.message import MessageParser, Request, Response
from adapters.rtsp.pictures import reader_for
from adapters.rtsp.sdp import Media, base_url, parameter_sets, parse_sdp, resolve_control
from adapters.rtsp.session import Session
from adapters.rtsp.tolerance import Tolerances, Violation
from adapters.target import Target

ENROLLED = Target("rtsp", "192.0.2.1", 554, "/live")
HUB_NAMES = {"MP4V-ES": "MPEG4"}


def as_on_the_wire(data: bytes) -> bytes:
    """Give one reply what was lost when it was stored: line ends, the blank line, the end of its body."""
    if b"\r\n" not in data:
        head, blank, body = data.partition(b"\n\n")
        data = head.replace(b"\n", b"\r\n") + (b"\r\n\r\n" if blank else b"") + body
    head, blank, body = data.partition(b"\r\n\r\n")
    promised = re.search(rb"Content-Length: (\d+)", head)
    wanted = int(promised[1]) if promised else 0
    if wanted:
        return head + b"\r\n\r\n" + body + b"\n" * (wanted - len(body))
    return head.rstrip(b"\r\n") + b"\r\n\r\n"


def messages(name: str, tolerances: Tolerances) -> list[Response]:
    """Return the replies in a file, in order (a transcript holds the client's requests too)."""
    data = corpus.path(name).read_bytes()
    if "transcript" in name:
        data = data.replace(b"\r\n", b"\n").strip(b"\n").replace(b"\n", b"\r\n") + b"\r\n\r\n"
    else:
        data = as_on_the_wire(data)
    events = list(MessageParser(tolerances).feed(data))
    assert all(isinstance(event, Response | Request) for event in events), name
    return [event for event in events if isinstance(event, Response)]


def observed(name: str) -> dict[str, Any]:
    """Return the facts of one file; the last reply that tells one counts."""
    tolerances = Tolerances()
    facts: dict[str, Any] = {}
    data = corpus.path(name).read_bytes()
    if b"RTSP/1.0" not in data:
        facts |= description(data, None, tolerances)
    else:
        for response in messages(name, tolerances):
            facts |= reply(response, tolerances)
    facts["quirks"] = " ".join(tolerances.names)
    return facts


def reply(response: Response, tolerances: Tolerances) -> dict[str, Any]:
    """Return what one reply tells."""
    headers = response.headers
    note_sequence(response, tolerances)
    facts: dict[str, Any] = {"status": response.status}
    if server := headers.get("Server"):
        facts["server"] = server
    if public := headers.get("Public"):
        facts["methods"] = len(parse_public([public]))
    if challenge := headers.get("WWW-Authenticate"):
        facts["challenge"] = challenge.split()[0]
    if session := headers.get("Session"):
        told = parse_session(session, tolerances)
        facts["session"] = told.identifier
        if "timeout" in session:
            facts["timeout_s"] = told.timeout_s
    if transport := headers.get("Transport"):
        agreed = parse_transport(transport, tolerances)
        facts["tcp"], facts["channels"] = agreed.tcp, agreed.channels
        facts["server_ports"], facts["ssrc"] = agreed.server_ports, agreed.ssrc
    if info := headers.get("RTP-Info"):
        facts["rtp_info"] = tuple((item.sequence, item.rtptime) for item in parse_rtp_info(info, tolerances))
    if response.body:
        facts |= description(response.body, headers.get("Content-Base"), tolerances)
    return facts


def note_sequence(response: Response, tolerances: Tolerances) -> None:
    """Let a session that waits for this answer match it, so that oddities of CSeq are named."""
    session = Session(ENROLLED, tolerances)
    wanted = int(next(value for name, value in response.headers if name.lower() == "cseq"))
    while wanted and session.build("OPTIONS", ENROLLED.url)[0] < wanted:
        pass
    if wanted:
        assert session.match(response) == wanted


def description(body: bytes, content_base: str | None, tolerances: Tolerances) -> dict[str, Any]:
    """Return what a session description tells."""
    try:
        sdp = parse_sdp(body, tolerances)
    except Violation as violation:
        return {"refused": str(violation.reason)}
    receivable = sdp.receivable()
    video = next((media for media in receivable if media.kind == "video"), None)
    enrolled = ENROLLED
    if content_base is not None:  # the capture does not say under which address the camera was asked
        host, _, port = content_base.removeprefix("rtsp://").split("/")[0].partition(":")
        enrolled = Target("rtsp", host, int(port or 554), "/live")
    base = base_url(enrolled.url, content_base, None)
    facts: dict[str, Any] = {
        "name": sdp.name,
        "audio": " ".join(audio(media) for media in receivable if media.kind == "audio"),
        "backchannel": " ".join(audio(media) for media in sdp.media if media not in receivable),
        "metadata": sum("METADATA" in media.codec for media in sdp.media),
        "media": len(sdp.media),
    }
    if video is not None:
        codec = HUB_NAMES.get(video.codec, video.codec)
        picture = reader_for(codec, parameter_sets(video, tolerances)).picture
        facts["video"] = codec
        if picture is not None:
            facts["picture"] = f"{picture.width}x{picture.height} {picture.profile} {picture.level}"
        url = resolve_control(base, video.control, enrolled, tolerances)
        facts["setup"] = url.removeprefix(f"rtsp://{enrolled.authority}")
    return facts


def audio(media: Media) -> str:
    """Return codec/rate/channels."""
    return f"{media.codec}/{media.clock_rate_hz}/{media.channels}"
