"""Offer and answer (RFC 8829, RFC 8840 section 5, RFC 6184 8.2.2): what a browser asks for and what it gets.

aiortc's parser reads the offer; the answer is written here, since its sender, its ICE-lite transport and its choice of
codec are ours. A browser's offer is hostile input: its size and number of lines are bounded before it is parsed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.port import Track
from adapters.rtsp import h264, h265
from hub.relay.errors import RelayRefused
from hub.relay.webrtc.extension import IDENTIFIERS, KNOWN, PLAYOUT_DELAY, TRANSPORT_WIDE
from hub.relay.webrtc.resend import NO_RTX

MAX_OFFER_BYTES = 1 << 16
_MAX_LINES = 2000
_MAX_MEDIA = 16
_MAX_FITS = 32  # pictures whose payload is remembered for a line
_HASHES = frozenset({"sha-256", "sha-384", "sha-512"})
# Not needed by an ICE-lite answerer, or not understood by the parser; a browser may send hundreds of them.
_SKIPPED = ("a=candidate:", "a=ssrc", "a=rid:", "a=simulcast:", "a=msid", "o=")
_CODECS = frozenset({"H264", "H265", "RTX", "PCMU", "PCMA", "OPUS"})  # whose parameters matter
_G711 = {"PCMU": 0, "PCMA": 8}

# SPS profile -> offered profiles, nearest first. Every decoder of a later profile reads the earlier ones (A.3.2).
_BASELINE, _CONSTRAINED, _MAIN, _HIGH = "baseline", "constrained-baseline", "main", "high"
_NEAREST = {
    _CONSTRAINED: (_CONSTRAINED, _BASELINE, _MAIN, _HIGH),
    _BASELINE: (_BASELINE, _CONSTRAINED, _MAIN, _HIGH),
    _MAIN: (_MAIN, _HIGH, _CONSTRAINED, _BASELINE),
    _HIGH: (_HIGH, _MAIN, _CONSTRAINED, _BASELINE),
}


@dataclass(frozen=True, slots=True)
class MediaLine:
    """One m-line of the offer, as much as an answer needs."""

    kind: str
    protocol: str
    mid: str
    formats: tuple[str, ...]
    codecs: tuple[Any, ...]  # aiortc's RTCRtpCodecParameters
    wants: bool  # the peer is ready to receive here
    sends: bool  # and to send
    rtcp_mux: bool
    ufrag: str
    pwd: str
    setup: str  # the viewer's DTLS role: auto | client | server | ""
    fingerprints: tuple[tuple[str, str], ...]
    extensions: tuple[tuple[str, int], ...] = ()  # those that we know: URI, identifier
    # (codec, SPS) -> what of `codecs` fits it best; shared by all offers of one shape (`offers.py`)
    fits: dict[tuple[str, h264.Sps | h265.Sps | None], Any] = field(
        default_factory=dict, compare=False, repr=False
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """A browser's offer, taken apart."""

    media: tuple[MediaLine, ...]
    bundle: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Offer":
        """Read an offer.

        Raises:
            RelayRefused: 422; names what is wrong.
        """
        return cls.of_lines(needed_lines(text))

    @classmethod
    def of_lines(cls, lines: list[str]) -> "Offer":
        """Read what `needed_lines` left of an offer.

        Raises:
            RelayRefused: 422; names what is wrong.
        """
        from aiortc.sdp import SessionDescription  # brings FFmpeg, which the hub process never loads

        try:
            described = SessionDescription.parse("\r\n".join(lines) + "\r\n")
        # The parser answers malformed lines with whatever its own code trips over.
        except (
            AssertionError,
            AttributeError,
            IndexError,
            KeyError,
            StopIteration,
            TypeError,
            ValueError,
        ) as error:
            raise _unreadable("a line of the offer is malformed") from error
        if not described.media:
            raise _unreadable("the offer has no m-line")
        if len(described.media) > _MAX_MEDIA:
            raise _unreadable(f"the offer has more than {_MAX_MEDIA} m-lines")
        if any(not media.fmt for media in described.media):
            raise _unreadable("an m-line of the offer names no format")
        bundle = next((tuple(map(str, g.items)) for g in described.group if g.semantic == "BUNDLE"), ())
        return cls(tuple(_media_line(media) for media in described.media), bundle)


def needed_lines(text: str) -> list[str]:
    """Return the lines of an offer without those that an answer does not depend on: a browser tells the parameters of some
    thirty codecs that no camera has.

    Raises:
        RelayRefused: 422; it is too large, or no offer.
    """
    if len(text) > MAX_OFFER_BYTES or text.count("\n") > _MAX_LINES:
        raise _unreadable(f"the offer is larger than {MAX_OFFER_BYTES} bytes or {_MAX_LINES} lines")
    if not text.lstrip().startswith("v=0"):
        raise _unreadable("the body does not begin with v=0: it is not a session description")
    lines = text.strip().splitlines()
    wanted = {
        line[9:].partition(" ")[0]
        for line in lines
        if line.startswith("a=rtpmap:") and line.partition(" ")[2].partition("/")[0].upper() in _CODECS
    }
    return [
        line
        for line in lines
        if not line.startswith(_SKIPPED)
        and not (
            line.startswith(("a=fmtp:", "a=rtcp-fb:"))
            and line.partition(":")[2].partition(" ")[0] not in wanted
            and not line.startswith("a=rtcp-fb:*")
        )
    ]


def _media_line(media: Any) -> MediaLine:
    dtls = media.dtls
    return MediaLine(
        kind=str(media.kind),
        protocol=str(media.profile),
        mid=str(media.rtp.muxId or ""),
        formats=tuple(map(str, media.fmt)),
        codecs=tuple(media.rtp.codecs),
        wants=media.port != 0 and media.direction in {"recvonly", "sendrecv", None},
        sends=media.port != 0 and media.direction in {"sendonly", "sendrecv", None},
        rtcp_mux=bool(media.rtcp_mux),
        ufrag=str(media.ice.usernameFragment or ""),
        pwd=str(media.ice.password or ""),
        setup=str(dtls.role) if dtls is not None else "",
        fingerprints=tuple((f.algorithm.lower(), f.value) for f in dtls.fingerprints) if dtls else (),
        extensions=tuple(
            (extension.uri, extension.id)
            for extension in media.rtp.headerExtensions
            if extension.uri in KNOWN and extension.id in IDENTIFIERS
        ),
    )


def _unreadable(what: str) -> RelayRefused:
    return RelayRefused(
        422, "offer_unreadable", f"{what}; send the offer of an RTCPeerConnection as application/sdp"
    )


@dataclass(frozen=True, slots=True)
class Offered:
    """The part of the source that an answer depends on."""

    codec: str  # H264 | H265 | ...
    sps: h264.Sps | h265.Sps | None = None
    audio_codec: str = ""  # PCMU | PCMA | OPUS where there is sound that the viewer may hear, else ""
    own_sound: Track | None = None  # the camera's, for a recipient that takes it as it is

    @property
    def words(self) -> str:
        """Say what the camera sends."""
        name = {"H264": "H.264", "H265": "H.265 (HEVC)", "JPEG": "MJPEG"}.get(self.codec, self.codec)
        if self.sps is None:
            return name
        return f"{name} {self.sps.profile} {self.sps.width}x{self.sps.height}"


def receives(offer: Offer, source: Offered) -> bool:
    """Tell whether the viewer can receive this picture; where its SPS is not known yet, whether it might."""
    video = next((line for line in offer.media if line.kind == "video" and line.wants), None)
    if video is None:
        return True  # `negotiate` says what is wrong with the offer
    try:
        _video_codec(video, source)
    except RelayRefused:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Agreed:
    """What offer and source have in common."""

    video: MediaLine
    payload_type: int
    format_parameters: str
    feedback: tuple[str, ...]
    audio: MediaLine | None
    audio_payload_type: int
    codec: str = "H264"  # of the picture
    audio_codec: str = ""  # of the sound, "" where none was agreed
    rtx_payload_type: int = NO_RTX
    transport_wide: int = 0  # identifier of the header extension; 0: not agreed
    playout_delay: int = 0

    @property
    def our_role(self) -> str:
        """Return our DTLS role: passive unless the viewer insists on being passive."""
        return "client" if self.video.setup == "server" else "server"

    @property
    def kept(self) -> "Agreed":
        """Return what is needed once the answer is written: without the codecs that a browser offers by the dozen."""
        audio = None if self.audio is None else replace(self.audio, codecs=(), formats=(), fits={})
        return replace(self, video=replace(self.video, codecs=(), formats=(), fits={}), audio=audio)


def negotiate(offer: Offer, source: Offered, *, adaptive: bool = False) -> Agreed:
    """Choose the m-lines and the payload types, among those that were offered.

    `adaptive`: the camera has another layer, so it matters how the viewer's network is. Without one its feedback would only
    cost: a browser sends it twenty times a second.

    Raises:
        RelayRefused: 406 where no codec is shared, 422 where the offer cannot be answered.
    """
    video = next((line for line in offer.media if line.kind == "video" and line.wants), None)
    if video is None:
        raise RelayRefused(
            422,
            "offer_without_video",
            "the offer has no video m-line that may receive; add a transceiver with direction recvonly",
        )
    check_transport(video)
    codec = _video_codec(video, source)
    audio, audio_type = None, 0
    if source.audio_codec:
        for line in offer.media:
            if line.kind == "audio" and line.wants and (not offer.bundle or line.mid in offer.bundle):
                chosen = _sound(line, source.audio_codec)
                if chosen is not None:
                    audio, audio_type = line, chosen
                    break
    extensions = dict(video.extensions)
    said = {
        f"{item.type} {item.parameter}".strip() if item.parameter else item.type
        for item in codec.rtcpFeedback
    }
    wide = extensions.get(TRANSPORT_WIDE, 0) if adaptive and "transport-cc" in said else 0
    handled = (
        "nack",
        "nack pli",
        "ccm fir",
        *(("transport-cc",) if wide else ("goog-remb",) if adaptive else ()),
    )
    return Agreed(
        video=video,
        payload_type=int(codec.payloadType),
        format_parameters=";".join(
            key if value is None else f"{key}={value}" for key, value in codec_parameters(codec).items()
        ),
        feedback=tuple(item for item in handled if item in said),
        audio=audio,
        audio_payload_type=audio_type,
        codec=source.codec,
        audio_codec=source.audio_codec if audio is not None else "",
        rtx_payload_type=rtx_of(video, int(codec.payloadType)) if "nack" in said else NO_RTX,
        transport_wide=wide,
        playout_delay=extensions.get(PLAYOUT_DELAY, 0),
    )


def rtx_of(line: MediaLine, payload_type: int) -> int:
    """Return the payload type of retransmissions of another one (RFC 4588 8.1), where it was offered."""
    for codec in line.codecs:
        if codec_name(codec) == "RTX" and str(codec_parameters(codec).get("apt", "")) == str(payload_type):
            number = int(codec.payloadType)
            return number if 0 <= number < 128 and number != payload_type else NO_RTX
    return NO_RTX


def check_transport(line: MediaLine) -> None:
    """Refuse a line that cannot be answered.

    Raises:
        RelayRefused: 422; names what is wrong.
    """
    if not line.protocol.startswith("UDP/TLS/RTP/SAVP"):
        raise _unreadable(f"the video m-line is {line.protocol}, not UDP/TLS/RTP/SAVPF")
    if not line.ufrag or not line.pwd or len(line.ufrag) > 256 or len(line.pwd) > 256:
        raise _unreadable("the offer has no ICE user name fragment and password (a=ice-ufrag, a=ice-pwd)")
    if not line.setup:
        raise _unreadable("the offer does not say its DTLS role (a=setup)")
    if not any(name in _HASHES for name, _value in line.fingerprints):
        raise _unreadable(
            "the offer has no certificate fingerprint of SHA-256, SHA-384 or SHA-512 (a=fingerprint)"
        )
    if not line.rtcp_mux:
        raise _unreadable("the offer does not multiplex RTCP on the media port (a=rtcp-mux)")


def codec_name(codec: Any) -> str:
    """Return the encoding name of a payload, upper case."""
    return str(codec.mimeType).partition("/")[2].upper()


def codec_parameters(codec: Any) -> dict[str, Any]:
    """Return the format parameters; some writers put a blank after the semicolon, the parser keeps it."""
    return {str(key).strip(): value for key, value in codec.parameters.items() if str(key).strip()}


def _video_codec(line: MediaLine, source: Offered) -> Any:
    key = (source.codec, source.sps)
    if key not in line.fits:
        if len(line.fits) >= _MAX_FITS:
            line.fits.clear()
        line.fits[key] = _fitting(line, source)
    best = line.fits[key]
    if best is not None:
        return best
    offered = sorted({codec_name(codec) for codec in line.codecs} - {"RTX", "RED", "ULPFEC", "FLEXFEC-03"})
    mode = " in packetization mode 1" if "H264" in offered and source.codec == "H264" else ""
    raise RelayRefused(
        406,
        "codec_not_playable",
        f"the camera sends {source.words}{mode}; this browser receives {', '.join(offered) or 'no video codec'}",
    )


def _fitting(line: MediaLine, source: Offered) -> Any:
    """Return the offered payload that fits a picture best, `None` where none does."""
    same = [
        codec for codec in line.codecs if codec_name(codec) == source.codec and 0 <= codec.payloadType < 128
    ]
    if source.codec == "H264":
        same = [codec for codec in same if str(codec_parameters(codec).get("packetization-mode", "0")) == "1"]
        wanted = _NEAREST[_sps_profile(source.sps)]
        known = [(codec, _offered_profile(codec)) for codec in same]
        ranked = sorted(
            (
                (wanted.index(profile), place, codec)
                for place, (codec, profile) in enumerate(known)
                if profile in wanted
            ),
            key=lambda item: item[:2],
        )
        same = [codec for _distance, _place, codec in ranked]
    elif isinstance(source.sps, h265.Sps):
        same = [codec for codec in same if _fits_h265(codec, source.sps)]
    return same[0] if same else None


def _fits_h265(codec: Any, sps: h265.Sps) -> bool:
    """Tell whether an offered H.265 payload covers a stream: profile, tier and level, one stream (RFC 7798 7.1).

    Defaults where the offer is silent: Main profile, Main tier, level 3.1.
    """
    said = codec_parameters(codec)
    try:
        profile, tier, level = (
            int(said.get(name, usual))
            for name, usual in (("profile-id", 1), ("tier-flag", 0), ("level-id", 93))
        )
    except (TypeError, ValueError):
        return False
    single = str(said.get("tx-mode", "SRST")).upper() == "SRST"
    # Main is a part of Main 10, and level of level (H.265 A.3, A.4); the high tier holds the main one.
    covers = sps.profile_idc == profile or (sps.profile_idc in {1, 3} and profile == 2)
    return single and covers and sps.high_tier <= bool(tier) and sps.level_idc <= level


def _sps_profile(sps: h264.Sps | h265.Sps | None) -> str:
    if not isinstance(sps, h264.Sps):
        return _CONSTRAINED
    if sps.profile_idc == 66:
        return _CONSTRAINED if sps.constraints & 0x40 else _BASELINE
    return {77: _MAIN, 88: _MAIN}.get(sps.profile_idc, _HIGH)


def _offered_profile(codec: Any) -> str:
    """Return the profile of an offered payload; "" where it cannot be read. The default is RFC 6184 8.1's."""
    digits = str(codec_parameters(codec).get("profile-level-id") or "42000a")
    try:
        idc, flags = int(digits[0:2], 16), int(digits[2:4], 16)
    except ValueError:
        return ""
    if idc == 66:
        return _CONSTRAINED if flags & 0x40 else _BASELINE
    if idc == 77:
        return _CONSTRAINED if flags & 0x80 else _MAIN
    return _HIGH if idc == 100 else ""


def _sound(line: MediaLine, wanted: str) -> int | None:
    """Return the offered payload type of a codec of sound (RFC 7587 section 7: Opus always counts 48 kHz)."""
    rate_hz = 48_000 if wanted == "OPUS" else 8000
    for codec in line.codecs:
        if codec_name(codec) == wanted and codec.clockRate == rate_hz and 0 <= codec.payloadType < 128:
            return int(codec.payloadType)
    static = _G711.get(wanted)
    return static if static is not None and str(static) in line.formats else None


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Our side of the transport, as an answer states it."""

    ufrag: str
    pwd: str
    fingerprint: str  # SHA-256
    candidates: Sequence[tuple[str, int]]  # (address, UDP port), best first
    tcp_candidates: Sequence[tuple[str, int]] = ()  # (address, TCP port) that we accept on


def write_answer(
    offer: Offer,
    agreed: Agreed,
    local: LocalTransport,
    *,
    session: int,
    ssrc: int,
    audio_ssrc: int,
    cname: str,
    rtx_ssrc: int = 0,
) -> str:
    """Write the answer: ICE-lite, one accepted video line, sound where agreed, everything else refused (port 0)."""
    accepted = [line for line in (agreed.video, agreed.audio) if line is not None]
    mids = [line.mid for line in offer.media if line in accepted and line.mid in offer.bundle]
    lines = ["v=0", f"o=- {session} 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite"]
    if mids:
        lines.append(f"a=group:BUNDLE {' '.join(mids)}")
    lines.append("a=msid-semantic: WMS *")
    for line in offer.media:
        if line is agreed.video:
            lines += _accepted(line, agreed, local, (ssrc, rtx_ssrc) if rtx_ssrc else (ssrc,), cname)
        elif line is agreed.audio:
            lines += _accepted(line, agreed, local, (audio_ssrc,), cname)
        else:
            lines += [f"m={line.kind} 0 {line.protocol} {line.formats[0]}", "c=IN IP4 0.0.0.0"]
            if line.mid:
                lines.append(f"a=mid:{line.mid}")
            # Meaningless on a refused line (RFC 8829 5.3.1), but some peers insist on them.
            lines += ["a=inactive", "a=rtcp-mux", *transport_lines(agreed.our_role, local)]
            lines += [map_line(codec) for codec in line.codecs if str(codec.payloadType) == line.formats[0]]
    return "\r\n".join(lines) + "\r\n"


def _accepted(
    line: MediaLine, agreed: Agreed, local: LocalTransport, sources: tuple[int, ...], cname: str
) -> list[str]:
    video = line is agreed.video
    payload = agreed.payload_type if video else agreed.audio_payload_type
    address, port = local.candidates[0]
    family = "IP6" if ":" in address else "IP4"
    rtx = agreed.rtx_payload_type if len(sources) > 1 else NO_RTX
    out = [
        f"m={line.kind} {port} {line.protocol} {payload}" + (f" {rtx}" if rtx != NO_RTX else ""),
        f"c=IN {family} {address}",
        f"a=rtcp:{port} IN {family} {address}",
    ]
    out += candidate_lines(local)
    out += transport_lines(agreed.our_role, local)
    if line.mid:
        out.append(f"a=mid:{line.mid}")
    out += ["a=sendonly", "a=rtcp-mux", "a=rtcp-rsize"]
    if video:
        codec = next(item for item in line.codecs if item.payloadType == payload)
        out.append(map_line(codec))
        out += [f"a=rtcp-fb:{payload} {item}" for item in agreed.feedback]
        if agreed.format_parameters:
            out.append(f"a=fmtp:{payload} {agreed.format_parameters}")
        if rtx != NO_RTX:
            out += [f"a=rtpmap:{rtx} rtx/90000", f"a=fmtp:{rtx} apt={payload}"]
        agreed_extensions = ((TRANSPORT_WIDE, agreed.transport_wide), (PLAYOUT_DELAY, agreed.playout_delay))
        out += [f"a=extmap:{identifier} {uri}" for uri, identifier in agreed_extensions if identifier]
    else:
        shape = "opus/48000/2" if agreed.audio_codec == "OPUS" else f"{agreed.audio_codec}/8000"
        out.append(f"a=rtpmap:{payload} {shape}")
    track = "video" if video else "audio"
    out.append(f"a=msid:{cname} {track}")
    if len(sources) > 1:
        out.append(f"a=ssrc-group:FID {sources[0]} {sources[1]}")
    for source in sources:
        out += [f"a=ssrc:{source} cname:{cname}", f"a=ssrc:{source} msid:{cname} {track}"]
    return out


def candidate_lines(local: LocalTransport) -> list[str]:
    """Return our candidates: UDP first, then passive TCP (RFC 6544 4.5), then their end."""
    udp = [
        f"a=candidate:{place + 1} 1 udp {_priority(place)} {host} {number} typ host"
        for place, (host, number) in enumerate(local.candidates)
    ]
    tcp = [
        f"a=candidate:{place + 101} 1 tcp {_tcp_priority(place)} {host} {number} typ host tcptype passive"
        for place, (host, number) in enumerate(local.tcp_candidates)
    ]
    return [*udp, *tcp, "a=end-of-candidates"]


def restart_fragment(agreed: Agreed, local: LocalTransport) -> str:
    """Write the answer to an ICE restart (RFC 9725 4.3.3, RFC 8840 9): our new credentials and the candidates."""
    lines = [f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.pwd}"]
    lines += [
        f"m={agreed.video.kind} 9 {agreed.video.protocol} 0",
        f"a=mid:{agreed.video.mid}",
        *candidate_lines(local),
    ]
    return "\r\n".join(["a=ice-lite", *lines]) + "\r\n"


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a trickled fragment (RFC 8840) says that matters to an ICE-lite answerer."""

    ufrag: str
    pwd: str

    @classmethod
    def parse(cls, text: str) -> "Fragment":
        """Read a fragment; candidates are passed over, as we never dial one.

        Raises:
            RelayRefused: 422; it is too large, or holds lines that no fragment has.
        """
        if len(text) > MAX_OFFER_BYTES or text.count("\n") > _MAX_LINES:
            raise _unreadable_fragment(f"it is larger than {MAX_OFFER_BYTES} bytes or {_MAX_LINES} lines")
        ufrags, pwds = set(), set()
        for line in text.splitlines():
            if line and not (line[0] in "am" and line[1:2] == "="):
                raise _unreadable_fragment("it holds a line that is neither an attribute nor an m-line")
            if line.startswith("a=ice-ufrag:"):
                ufrags.add(line[12:].strip())
            elif line.startswith("a=ice-pwd:"):
                pwds.add(line[10:].strip())
        if len(ufrags) > 1 or len(pwds) > 1:
            raise _unreadable_fragment("its m-lines have different credentials, but they share one transport")
        ufrag, pwd = next(iter(ufrags), ""), next(iter(pwds), "")
        if len(ufrag) > 256 or len(pwd) > 256:
            raise _unreadable_fragment("a fragment or password is longer than 256 characters (RFC 8839 5.4)")
        return cls(ufrag, pwd)

    def restarts(self, ufrag: str) -> bool:
        """Tell whether it restarts ICE with a peer that was known by `ufrag` (RFC 9725 4.3.3).

        Raises:
            RelayRefused: 422; it does, and names no password.
        """
        if not self.ufrag or self.ufrag == ufrag:
            return False
        if not self.pwd:
            raise _unreadable_fragment("it restarts ICE without a password (a=ice-pwd)")
        return True


def _unreadable_fragment(what: str) -> RelayRefused:
    return RelayRefused(422, "fragment_unreadable", f"the ICE fragment cannot be used: {what}")


def transport_lines(role: str, local: LocalTransport) -> list[str]:
    """Return the lines of our transport; `role` is our DTLS role."""
    return [
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.pwd}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{'passive' if role == 'server' else 'active'}",
    ]


def map_line(codec: Any) -> str:
    """Return the rtpmap line of a payload."""
    name = str(codec.mimeType).partition("/")[2]
    channels = f"/{codec.channels}" if (codec.channels or 1) > 1 else ""
    return f"a=rtpmap:{codec.payloadType} {name}/{codec.clockRate}{channels}"


def _priority(place: int) -> int:
    """Return a host candidate's priority, falling with its place (RFC 8445 5.1.2.1, component 1)."""
    return (126 << 24) | ((65535 - place) << 8) | 255


def _tcp_priority(place: int) -> int:
    """Return a passive TCP candidate's priority: below every UDP one (RFC 6544 4.2, direction preference 4)."""
    return (90 << 24) | ((4 << 13 | 8191 - place) << 8) | 255
