"""Targets: RTP, RTCP, every depacketiser, the header readers of the codecs, packets on their way to a browser.

Inputs of packet streams are what `fuzz.targets.packets` takes apart. Bit 0 of the flags is the marker, bit 1 says that
packets were lost before, bits 2 to 5 move the timestamp on by so many frames.
"""

import base64
from collections.abc import Callable
from datetime import UTC, datetime

from fuzz.limits import Broken
from fuzz.targets import Prepared, packets, target

_WALL = datetime(2026, 1, 1, tzinfo=UTC)
_CODECS = ("H264", "H265", "JPEG", "MP4V-ES", "MPEG4-GENERIC", "PCMU", "VND.ONVIF.METADATA", "G726-32")


@target()
def rtp() -> Prepared:
    """One RTP packet: what is read lies inside it, and what is written of it reads the same."""
    from adapters.rtsp.rtp import build_rtp, parse_rtp
    from adapters.rtsp.tolerance import Violation
    from hub.capture.heads import head, whole

    def run(data: bytes) -> None:
        for codec in ("H264", "H265", "JPEG", "MP4V-ES", "PCMU"):
            if len(whole(head(data, codec), len(data))) != len(data):
                raise Broken(f"a captured {codec} packet changes its length")
        told = parse_rtp(data)
        if told.payload not in data:
            raise Broken("the payload is no part of the packet")
        again = parse_rtp(
            build_rtp(
                told.payload_type, told.sequence, told.timestamp, told.ssrc, told.payload, marker=told.marker
            )
        )
        if again != told:
            raise Broken("a packet reads differently after writing")

    return run, (Violation,)


@target(corpora=("rtsp/**/*.rtcp",))
def rtcp() -> Prepared:
    """RTCP compounds: of cameras (sender reports, BYE) and of viewers (reports, NACK, PLI, FIR, REMB, TWCC)."""
    from adapters.rtsp.rtp import SenderReport, parse_rtcp
    from adapters.rtsp.tolerance import Violation
    from hub.capture.heads import head
    from hub.relay.webrtc.rtcp import read_feedback
    from hub.relay.webrtc.twcc import read_report

    def run(data: bytes) -> None:
        said = read_feedback(data, 0x11223344)
        for body in (data, said.path or b""):
            try:
                if len(read_report(body).arrived_s) > 4096:
                    raise Broken("feedback speaks of more packets than may be")
            except ValueError:
                continue
        if len(said.nacked) > 512 or any(not 0 <= number <= 0xFFFF for number in said.nacked):
            raise Broken("more is asked for again than may be")
        head(data, "", control=True)
        for part in parse_rtcp(data):
            if isinstance(part, SenderReport):
                _ = (part.unix_s, part.tells_time)

    return run, (Violation,)


@target(max_bytes=8192)
def rtp_track() -> Prepared:
    """A whole track: order, wrap, jumps, other sources, sender reports, measuring; flag 0x80 is RTCP, 0x40 UDP, 0x20 unmeasured.

    Packets of one moment come together.
    """
    from itertools import groupby

    from adapters.port import Track
    from adapters.rtsp.depacketize import depacketizer_for
    from adapters.rtsp.measure import Measurement
    from adapters.rtsp.policy import DEFAULT
    from adapters.rtsp.receiver import TrackReceiver
    from adapters.rtsp.tolerance import Tolerances
    from standards.observation import canonical_json, freeze, thaw

    def run(data: bytes) -> None:
        codec = _CODECS[data[0] % len(_CODECS)] if data else "H264"
        tolerances = Tolerances()
        measured = Measurement(codec, 90000, (), wall=_WALL, now_s=0.0)
        receiver = TrackReceiver(
            Track(0, "video", codec, 90000),
            96,
            depacketizer_for(codec, 0, tolerances),
            measured.unit,
            tolerances=tolerances,
            policies=DEFAULT,
            ordered=not (data[:1] and data[0] & 0x40),
            ssrc=None,
            own_ssrc=7,
        )
        if not (data[:1] and data[0] & 0x20):
            receiver.observer = measured
        measured.begin_window(0.0)
        now_s = 0.0
        moments = []
        for flags, packet in packets(data[1:]):
            now_s += (flags >> 2 & 15) / 25
            moments.append(((now_s, flags & 0x80), packet))
        for (at_s, control), run_ in groupby(moments, lambda moment: moment[0]):
            take = receiver.reports if control else receiver.packets
            take([packet for _, packet in run_], at_s)
        measured.end_window(now_s)
        if len(receiver.report(now_s)) % 4:
            raise Broken("a receiver report is no multiple of 4 bytes")
        facts = {**measured.format_facts(), **measured.window_facts()}
        told = {name: value for name, value in facts.items() if not hasattr(value, "reason")}
        canonical_json({name: thaw(freeze(value)) for name, value in told.items()})

    return run, ()


def _depacketiser(codec: str, *choices: dict[str, str], rate: int = 90000) -> Prepared:
    from adapters.port import AccessUnit
    from adapters.rtsp.depacketize import Depacketizer, Input, depacketizer_for
    from adapters.rtsp.depacketize.base import MAX_UNIT_BYTES, MAX_UNIT_NALS
    from adapters.rtsp.pictures import reader_for
    from adapters.rtsp.tolerance import Tolerances

    def new(which: int) -> Depacketizer:
        made = depacketizer_for(
            codec,
            0,
            Tolerances(),
            parameters=choices[which % len(choices)] if choices else {},
            clock_rate_hz=rate,
        )
        if made is None:
            raise Broken(f"nothing takes {codec} apart")
        return made

    def run(data: bytes) -> None:
        made = new(data[0] if data else 0)
        reader = reader_for({"MP4V-ES": "MPEG4"}.get(codec, codec), ())
        units: list[AccessUnit] = []
        timestamp = 1 << 33
        for flags, payload in packets(data[1:]):
            timestamp += 3600 * (flags >> 2 & 15)
            units += made.push(Input(timestamp, bool(flags & 1), payload, 0.0, flags >> 1 & 1))
        units += made.flush()
        for unit in units:
            if not unit.nals or not all(unit.nals):
                raise Broken("an access unit is empty, or holds an empty NAL unit")
            if len(unit.nals) > MAX_UNIT_NALS or sum(map(len, unit.nals)) > 2 * MAX_UNIT_BYTES:
                raise Broken("an access unit is beyond its bounds")
            reader.read(unit.nals)
            reader.types(unit.nals)

    return run, ()


def _enter(name: str, about: str, codec: str, *choices: dict[str, str], rate: int = 90000) -> None:
    def prepare() -> Prepared:
        return _depacketiser(codec, *choices, rate=rate)

    prepare.__name__ = name
    prepare.__doc__ = about
    target(max_bytes=8192)(prepare)


_enter("depacketise_h264", "H.264 payloads (RFC 6184).", "H264", {}, {"packetization-mode": "0"})
_enter("depacketise_h265", "H.265 payloads (RFC 7798).", "H265")
_enter(
    "depacketise_h265_numbered",
    "H.265 payloads with decoding order numbers.",
    "H265",
    {"sprop-max-don-diff": "4", "sprop-depack-buf-nalus": "3"},
    {"sprop-max-don-diff": "32767", "sprop-depack-buf-nalus": "32767"},
)
_enter("depacketise_jpeg", "JPEG payloads (RFC 2435).", "JPEG")
_enter("depacketise_mpeg4", "MPEG-4 part 2 payloads (RFC 6416).", "MP4V-ES")
_enter(
    "depacketise_aac",
    "AAC payloads (RFC 3640) by the lengths that an SDP may tell.",
    "MPEG4-GENERIC",
    {"sizelength": "13", "indexlength": "3", "indexdeltalength": "3", "config": "1408"},
    {"mode": "AAC-hbr", "config": "1190"},
    {"sizelength": "6", "indexlength": "2", "indexdeltalength": "2"},
    {"sizelength": "32", "indexlength": "32", "ctsdeltalength": "32", "dtsdeltalength": "32"},
    {"sizelength": "0", "constantsize": "100"},
    {"sizelength": "13", "indexlength": "3", "indexdeltalength": "3", "auxiliarydatasizelength": "8"},
    rate=16000,
)
_enter(
    "depacketise_latm",
    "AAC payloads in LATM (RFC 6416).",
    "MP4A-LATM",
    {"cpresent": "0", "config": "40002810"},
    {"cpresent": "0"},
    rate=16000,
)
_enter("depacketise_g726", "G.726 payloads, packed from either end.", "AAL2-G726-32", rate=8000)
_enter("depacketise_metadata", "ONVIF metadata payloads.", "VND.ONVIF.METADATA")
_enter("depacketise_sound", "Sound that passes frame by frame.", "PCMU", rate=8000)


@target()
def codec_headers() -> Prepared:
    """SPS, PPS, slices of H.264 and H.265, MPEG-4 layers, JPEG frames, AAC configurations, by the first byte."""
    from adapters.rtsp import audio, h264, h265, jpeg, mpeg4

    def h265_slice(data: bytes) -> object:
        cut = max(2, len(data) // 3)
        sps, pps = h265.parse_sps(data[:cut]), h265.parse_pps(data[cut : 2 * cut])
        _ = (sps.profile, sps.level)
        return h265.slice_type(data[2 * cut :], {sps.identifier: sps}, {pps.identifier: pps})

    def h264_sps(data: bytes) -> object:
        sps = h264.parse_sps(data)
        return sps.profile, sps.level, sps.may_reorder, sps.width

    def layer(data: bytes) -> object:
        list(mpeg4.vop_types(data))
        mpeg4.has_layer(data)
        told = mpeg4.parse_layer(data)
        return told.profile, told.level

    def sets(data: bytes) -> object:
        from adapters.rtsp.parameter_sets import sets_of
        from adapters.rtsp.tolerance import Tolerances

        text = data.decode("latin-1")
        for codec, name in (
            ("H264", "sprop-parameter-sets"),
            ("H265", "sprop-sps"),
            ("H265", "sprop-vps"),
            ("MP4V-ES", "config"),
        ):
            sets_of(codec, {name: text, "profile-level-id": text[:8]}, Tolerances())
        coded = base64.b64encode(data).decode()
        return sets_of("H264", {"sprop-parameter-sets": coded}, Tolerances())

    readers: tuple[Callable[[bytes], object], ...] = (
        h264_sps,
        h264.pps_identifiers,
        h264.slice_type,
        h264.starts_picture,
        h265.parse_sps,
        h265.parse_pps,
        h265_slice,
        layer,
        jpeg.picture_size,
        audio.parse_audio_config,
        audio.parse_mux_config,
        sets,
        lambda data: audio.repacked_g726(data[1:], data[0] % 4 + 2 if data else 4),
    )

    def run(data: bytes) -> None:
        if data:
            readers[data[0] % len(readers)](data[1:])

    return run, (ValueError,)


@target()
def picture_sizes() -> Prepared:
    """The sizes that a coded picture claims before FFmpeg sees it; the first byte chooses the codec."""
    from hub.decode.errors import NotDecodable, TooLarge
    from hub.decode.sizes import check_declared

    codecs = ("H264", "H265", "JPEG", "MPEG4")

    def run(data: bytes) -> None:
        check_declared(codecs[data[0] % 4] if data else "H264", data[1:])

    return run, (NotDecodable, TooLarge)


@target(max_bytes=8192)
def relay_packets() -> Prepared:
    """NAL units on their way to a browser: payloads fit a datagram, and their own way back finds them."""
    from hub.relay.camera.packetise import PAYLOAD_MAX, H264Packetiser, units

    def run(data: bytes) -> None:
        maker = H264Packetiser()
        for flags, nals in packets(data):
            inside = [nal for _flags, nal in packets(nals) if nal]
            payloads = maker.payloads(inside, key_frame=bool(flags & 1))
            if any(not payload or len(payload) > PAYLOAD_MAX for payload in payloads):
                raise Broken("a payload is empty or does not fit")
            units(payloads)

    return run, ()
