"""Offer and answer of those who push (WHIP, RFC 9725): what an encoder wants to send and what of it is taken.

H.264 and H.265 are taken, since the depacketisers read them; of the sound Opus and G.711, and none at all where it is not
shared: a refused m-line brings no packet. Retransmission in a stream of its own is agreed where it is offered: a browser
probes its path with padding there, and in the stream itself else, where a lost probe is a hole that nothing fills.
"""

from dataclasses import dataclass
from typing import Any, Final

from adapters.port import Track
from adapters.rtsp.parameter_sets import sets_of
from adapters.rtsp.tolerance import Tolerances
from hub.relay.errors import RelayRefused
from hub.relay.webrtc.extension import TRANSPORT_WIDE
from hub.relay.webrtc.resend import NO_RTX
from hub.relay.webrtc.sdp import (
    LocalTransport,
    MediaLine,
    Offer,
    candidate_lines,
    check_transport,
    codec_name,
    codec_parameters,
    map_line,
    rtx_of,
    transport_lines,
)

_SOUNDS: Final = {"OPUS": 48_000, "PCMA": 8000, "PCMU": 8000}
_FEEDBACK: Final = ("nack", "nack pli", "ccm fir")
_START_KBIT_S: Final = 2_000  # a browser begins at 300 of its own, and makes its picture small for it


@dataclass(frozen=True, slots=True)
class Taken:
    """One m-line that is taken."""

    line: MediaLine
    codec: Any  # aiortc's RTCRtpCodecParameters
    track: Track
    parameters: dict[str, str]

    @property
    def payload_type(self) -> int:
        """Return the RTP payload type."""
        return int(self.codec.payloadType)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is taken of an offer."""

    video: Taken
    audio: Taken | None
    transport_wide: int = 0  # identifier of the header extension on the picture's line; 0: not agreed
    rtx_payload_type: int = NO_RTX

    @property
    def our_role(self) -> str:
        """Return our DTLS role: the encoder begins, unless it insists on waiting (RFC 9725 4.3.1)."""
        return "client" if self.video.line.setup == "server" else "server"


def take_offer(offer: Offer, *, audio: bool) -> Pushed:
    """Choose what is taken of an encoder's offer; `audio`: the owner shares the sound.

    Raises:
        RelayRefused: 406 where nothing of the picture can be taken, 422 where the offer cannot be answered.
    """
    line = next((one for one in offer.media if one.kind == "video" and one.sends), None)
    if line is None:
        raise RelayRefused(
            422, "offer_without_video", "the offer has no video m-line that sends; add one with a=sendonly"
        )
    check_transport(line)
    codec = _picture(line)
    if codec is None:
        names = sorted({codec_name(one) for one in line.codecs} - {"RTX", "RED", "ULPFEC", "FLEXFEC-03"})
        raise RelayRefused(
            406,
            "codec_not_playable",
            f"the encoder offers {', '.join(names) or 'no codec'}; it must send H.264, or H.265",
        )
    video = _taken(0, line, codec, 90_000)
    heard = None
    if audio:
        for one in offer.media:
            if one.kind == "audio" and one.sends and (not offer.bundle or one.mid in offer.bundle):
                chosen = next(
                    (item for item in one.codecs if _SOUNDS.get(codec_name(item)) == item.clockRate), None
                )
                # RFC 8843: what shares a transport is told apart by its payload type.
                if chosen is not None and chosen.payloadType != codec.payloadType:
                    heard = _taken(1, one, chosen, int(chosen.clockRate))
                    break
    said = _feedback(codec)
    wide = dict(line.extensions).get(TRANSPORT_WIDE, 0) if "transport-cc" in said else 0
    again = rtx_of(line, video.payload_type) if "nack" in said else NO_RTX
    return Pushed(video, heard, wide, NO_RTX if heard is not None and again == heard.payload_type else again)


def _feedback(codec: Any) -> set[str]:
    """Return the kinds of feedback that were offered for a codec, as in ``a=rtcp-fb``."""
    return {f"{item.type} {item.parameter or ''}".strip() for item in codec.rtcpFeedback}


def _picture(line: MediaLine) -> Any:
    """Return the codec that costs the least here: H.264 of mode 1, else any H.264, else H.265."""

    def cost(codec: Any) -> int:
        if codec_name(codec) == "H265":
            return 2
        return 0 if str(codec_parameters(codec).get("packetization-mode", "0")) == "1" else 1

    known = [one for one in line.codecs if codec_name(one) in {"H264", "H265"} and 0 <= one.payloadType < 128]
    return min(known, key=cost, default=None)


def _taken(index: int, line: MediaLine, codec: Any, rate_hz: int) -> Taken:
    name = codec_name(codec)
    told = {key.lower(): str(value) for key, value in codec_parameters(codec).items()}
    sets = sets_of(name, told, Tolerances()) if index == 0 else ()
    channels = 1 if index == 0 else int(codec.channels or 1)
    return Taken(line, codec, Track(index, line.kind, name, rate_hz, sets, channels), told)


def write_push_answer(
    offer: Offer, taken: Pushed, local: LocalTransport, *, session: int, kbit_s: int = 0
) -> str:
    """Write the answer: ICE-lite, recvonly for what is taken, everything else refused (port 0).

    `kbit_s`: what may be sent at most, told as ``b=AS`` (RFC 8866 5.8); 0 tells nothing.
    """
    accepted = {id(one.line): one for one in (taken.video, taken.audio) if one is not None}
    mids = [line.mid for line in offer.media if id(line) in accepted and line.mid in offer.bundle]
    lines = ["v=0", f"o=- {session} 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite"]
    if mids:
        lines.append(f"a=group:BUNDLE {' '.join(mids)}")
    transport = transport_lines(taken.our_role, local)
    address, port = local.candidates[0]
    family = "IP6" if ":" in address else "IP4"
    for line in offer.media:
        one = accepted.get(id(line))
        if one is None:
            lines += [f"m={line.kind} 0 {line.protocol} {line.formats[0]}", "c=IN IP4 0.0.0.0"]
            if line.mid:
                lines.append(f"a=mid:{line.mid}")
            # Meaningless on a refused line (RFC 8829 5.3.1), but some peers insist on them.
            lines += ["a=inactive", "a=rtcp-mux", *transport]
            lines += [map_line(codec) for codec in line.codecs if str(codec.payloadType) == line.formats[0]]
            continue
        payload = one.payload_type
        again = taken.rtx_payload_type if one is taken.video else NO_RTX
        formats = str(payload) if again == NO_RTX else f"{payload} {again}"
        lines += [
            f"m={line.kind} {port} {line.protocol} {formats}",
            f"c=IN {family} {address}",
            *([f"b=AS:{kbit_s}"] if kbit_s and one is taken.video else ()),
            f"a=rtcp:{port} IN {family} {address}",
            *candidate_lines(local),
            *transport,
        ]
        if line.mid:
            lines.append(f"a=mid:{line.mid}")
        lines += ["a=recvonly", "a=rtcp-mux", "a=rtcp-rsize", map_line(one.codec)]
        if one is taken.video:
            said = _feedback(one.codec)
            lines += [f"a=rtcp-fb:{payload} {item}" for item in _FEEDBACK if item in said]
            if taken.transport_wide:
                lines += [
                    f"a=rtcp-fb:{payload} transport-cc",
                    f"a=extmap:{taken.transport_wide} {TRANSPORT_WIDE}",
                ]
        told = codec_parameters(one.codec)
        if one is taken.video and taken.transport_wide and "goog-remb" in _feedback(one.codec):
            # libwebrtc's own parameter; what it knows of the path soon corrects it.
            told = {**told, "x-google-start-bitrate": min(_START_KBIT_S, kbit_s or _START_KBIT_S)}
        if told:
            words = ";".join(key if value is None else f"{key}={value}" for key, value in told.items())
            lines.append(f"a=fmtp:{payload} {words}")
        if again != NO_RTX:
            lines += [f"a=rtpmap:{again} rtx/90000", f"a=fmtp:{again} apt={payload}"]
    return "\r\n".join(lines) + "\r\n"
