"""Write the seeds anew: ``python -m fuzz.make_seeds``. All of them are ours.

Pictures come from PyAV's encoders, packets from the simulator's packetisers, SOAP and SDP from captures of the
simulator (tests/fixtures/cameras/camhub), replies of makers are written by hand after their documents. Seeds that
are there and come out the same stay untouched.
"""

import base64
import json
import re
import shutil
import struct
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from fuzz.limits import ROOT
from fuzz.targets import SEEDS, packed, targets
from hub.simulator import packets as rtp_payloads

FIXTURES = ROOT / "tests" / "fixtures" / "cameras" / "camhub"
SPS = bytes.fromhex("6742c01eda0280bfe5c0440000030004000003007a3c58ba80")
PPS = bytes.fromhex("68ce3c80")
URI = "rtsp://hub:8554/a-token-of-one-recipient"
NS = 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'
SOAP = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{}</s:Body></s:Envelope>'

OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 0 8
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {print}
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:0 PCMU/8000
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 {print}
a=setup:actpass
a=mid:1
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtpmap:97 H264/90000
a=rtcp-fb:97 nack pli
a=fmtp:97 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
""".replace("{print}", ":".join(["AB"] * 32)).replace("\n", "\r\n")

ISAPI = {
    "deviceInfo": f"<DeviceInfo {NS}><model>DS-2CD</model><firmwareVersion>V5.7</firmwareVersion><serialNumber>S1"
    "</serialNumber><macAddress>02:00:00:00:00:01</macAddress><deviceType>IPCamera</deviceType></DeviceInfo>",
    "channels": f"<StreamingChannelList {NS}><StreamingChannel><id>101</id><channelName>Cổng</channelName><enabled>true"
    "</enabled><Transport><Security><enabled>true</enabled><certificateType>digest</certificateType></Security>"
    "</Transport><Video><enabled>true</enabled><videoInputChannelID>1</videoInputChannelID><videoCodecType>H.265"
    "</videoCodecType><videoResolutionWidth>2560</videoResolutionWidth><videoResolutionHeight>1440"
    "</videoResolutionHeight><maxFrameRate>2500</maxFrameRate><constantBitRate>2048</constantBitRate><GovLength>50"
    "</GovLength><SmartCodec><enabled>false</enabled></SmartCodec></Video></StreamingChannel></StreamingChannelList>",
    "proxies": f"<InputProxyChannelList {NS}><InputProxyChannel><id>3</id><name>Kho</name></InputProxyChannel>"
    "</InputProxyChannelList>",
    "time": f"<Time {NS}><timeMode>NTP</timeMode><localTime>2026-01-01T07:00:00+07:00</localTime><timeZone>ICT-7:00:00"
    "</timeZone></Time>",
    "zone": f"<Time {NS}><localTime>2026-01-01T07:00:00</localTime><timeZone>CST-8:00:00DST01:00:00,M4.1.0/02:00:00,"
    "M10.5.0/02:00:00</timeZone></Time>",
    "ntp": f"<NTPServerList {NS}><NTPServer><id>1</id><hostName>vn.pool.ntp.org</hostName></NTPServer></NTPServerList>",
    "ports": f"<AdminAccessProtocolList {NS}><AdminAccessProtocol><protocol>RTSP</protocol><enabled>true</enabled><portNo>"
    "10554</portNo></AdminAccessProtocol><AdminAccessProtocol><protocol>HTTPS</protocol><enabled>false</enabled>"
    "<portNo>443</portNo></AdminAccessProtocol></AdminAccessProtocolList>",
    "userCheck": f"<userCheck {NS}><statusValue>200</statusValue><isDefaultPassword>false</isDefaultPassword>"
    "<isRiskPassword>true</isRiskPassword><isActivated>true</isActivated></userCheck>",
    "lock": f"<IllegalLoginLock {NS}><enabled>true</enabled><maxIllegalLoginTimes>5</maxIllegalLoginTimes>"
    "<maxIllegalLoginLockTime>1800</maxIllegalLoginLockTime></IllegalLoginLock>",
    "users": f"<UserList {NS}><User><id>1</id><userName>owner</userName><userLevel>Administrator</userLevel></User></UserList>",
    "storage": f"<storage {NS}><hddList><hdd><id>1</id><hddType>SATA</hddType><status>ok</status><capacity>953869"
    "</capacity><freeSpace>1024</freeSpace></hdd></hddList></storage>",
    "tracks": f"<TrackList {NS}><Track><id>101</id><TrackSchedule><ScheduleAction><Actions><Record>true</Record>"
    "<ActionRecordingMode>CMR</ActionRecordingMode></Actions></ScheduleAction></TrackSchedule></Track></TrackList>",
    "masks": f"<PrivacyMask {NS}><enabled>true</enabled><PrivacyMaskRegionList><PrivacyMaskRegion><id>1</id><enabled>true"
    "</enabled></PrivacyMaskRegion></PrivacyMaskRegionList></PrivacyMask>",
    "cloud": f"<EZVIZ {NS}><enabled>true</enabled><verificationCode>QWERTZ</verificationCode></EZVIZ>",
    "integrate": f"<Integrate {NS}><ONVIF><enable>false</enable></ONVIF></Integrate>",
    "certificate": f"<WebCertificate {NS}><CertificateType>digest/basic</CertificateType><SecurityAlgorithm><algorithmType>"
    "MD5/SHA256</algorithmType></SecurityAlgorithm></WebCertificate>",
    "status": f"<ResponseStatus {NS}><statusCode>4</statusCode><subStatusCode>notSupport</subStatusCode></ResponseStatus>",
}
DAHUA = {
    "system": "deviceType=IP Camera\nserialNumber=1A\nupdateSerial=IPC-HFW1230S\nhardwareVersion=1.00",
    "type": "type=KX-A2011\nVendor=KBVision\nversion=2.820.1\nbuild:2022-03-04",
    "encode": "\n".join(
        f"table.Encode[{channel}].{kind}[0].{line}"
        for channel in (0, 1)
        for kind in ("MainFormat", "ExtraFormat")
        for line in ("Video.Compression=H.265", "Video.Width=1920", "Video.Height=480", "Video.FPS=15",
                     "Video.BitRate=1024", "Video.GOP=30", "VideoEnable=true", "Video.resolution=1920x1080")
    ),
    "net": "table.RTSP.Enable=true\ntable.RTSP.Port=8554\ntable.Https.Enable=false\ntable.Https.Port=443\n"
    "table.Network.eth0.PhysicalAddress=02:00:00:00:00:01\ntable.T2UServer.Enable=true",
    "clock": "result=2026-01-01 07:00:00\ntable.Locales.DSTEnable=false\ntable.NTP.Enable=true\n"
    "table.NTP.Address=time.viettel.vn\ntable.NTP.TimeZone=12",
    "users": "users[0].Id=1\nusers[0].Name=owner\nusers[0].Group=admin",
    "switches": "table.Telnet.Enable=true\ntable.SSHD.Enable=false\ntable.UPnP.Enable=false",
    "masks": "table.VideoWidget[0].Covers[0].EncodeBlend=true\ntable.PrivacyMasking[0][0].Enable=true",
    "record": "table.RecordMode[0].Mode=0\ntable.RecordMode[1].Mode=2",
    "storage": "list.info[0].Name=/dev/mmc0\nlist.info[0].State=Success\nlist.info[0].Detail[0].TotalBytes=31000000000.0\n"
    "list.info[0].Detail[0].UsedBytes=1000000000.0\nlist.info[0].Detail[0].IsError=false",
    "error": "Error\nNo Authority!",
}  # fmt: skip
AXIS = {
    "parameters": "root.Brand.Brand=AXIS\nroot.Brand.ProdNbr=P3245-LV\nroot.Properties.Image.Format=jpeg,h264,h265\n"
    "root.Properties.PrivacyMask.PrivacyMask=yes\nroot.Properties.System.SerialNumber=020000000001\n"
    "root.Image.I0.Enabled=yes\nroot.Image.I0.Appearance.Resolution=1920x1080\nroot.Image.I0.MPEG.ZGopMode=dynamic\n"
    "root.Image.I0.Overlay.MaskWindows.M0.Enabled=yes\nroot.StreamProfile.S0.Name=Cổng\n"
    "root.StreamProfile.S0.Parameters=videocodec=h264&resolution=640x360&fps=10&videobitrate=500",
    "network": "root.Network.RTSP.Port=9554\nroot.Network.RTSP.ProtViewer=anonymous\nroot.Network.HTTP."
    "AuthenticationPolicy=digest\nroot.System.BoaProtViewer=password\nroot.Network.eth0.MACAddress=02:00:00:00:00:01\n"
    "root.Time.DST.Enabled=yes\nroot.Time.SyncSource=NTP\nroot.RemoteService.Enabled=no",
    "basic": '{"data":{"propertyList":{"Version":"11.9.60","SerialNumber":"020000000001","HardwareID":"9B1"}}}',
    "time": '{"data":{"dateTime":"2026-01-01T00:00:00Z","dstEnabled":true,"localDateTime":"2026-01-01T07:00:00"}}',
    "ntp": '{"data":{"client":{"enabled":true,"NTPSource":"static","staticServers":["vn.pool.ntp.org"]}}}',
    "ready": '{"data":{"systemready":"yes","needsetup":"no"}}',
    "apis": '{"data":{"apiList":[{"id":"basic-device-info","version":"1.3"}]}}',
    "error": '{"apiVersion":"1.0","error":{"code":2101,"message":"Method not supported"}}',
    "disks": '<root><disks><disk diskid="SD_DISK" totalsize="31000000" freesize="1000" status="OK"/></disks></root>',
    "continuous": "<root><continuousrecordingconfigurations><continuousrecordingconfiguration "
    'diskid="SD_DISK"/></continuousrecordingconfigurations></root>',
    "groups": 'admin="root"\nviewer="owner,root"\ndigusers="root,owner"',
}
EVENTS = (
    '<wsnt:NotificationMessage xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"><wsnt:Topic>tns1:VideoSource/MotionAlarm'
    '</wsnt:Topic><wsnt:Message><tt:Message xmlns:tt="http://www.onvif.org/ver10/schema" UtcTime="2026-01-01T00:00:00Z" '
    'PropertyOperation="Changed"><tt:Source><tt:SimpleItem Name="Source" Value="1"/></tt:Source><tt:Data><tt:SimpleItem '
    'Name="State" Value="true"/></tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>'
)
RULE = """[[rule]]
id = "CON-98"
rev = 1
severity = "B"
observable = "A0"
probe = "RTSP OPTIONS"
title = { vi = "Camera trả lời", en = "The camera answers" }
why = { vi = "Cần.", en = "Needed." }
expect = [
  { fact = "reach.answers", op = "gte", param = "answers" },
  { op = "any", of = [ { fact = "onvif.services", op = "contains", value = "media" }, { fact = "device.model", op = "matches", value = "^DS-" } ] },
]
observed = { vi = "{reach.answers} lần", en = "{reach.answers} answers" }
required = { vi = "{answers} lần", en = "{answers} answers" }
params.answers = { value = 3, floor = 3, stricter = "higher" }
remedy.owner = { vi = "Kiểm tra nguồn điện.", en = "Check the power." }
[[clause]]
doc = "HUB"
clause = { vi = "ba", en = "three" }
certainty = "own"
rules = ["CON-98"]
"""
PROFILE = """id = "fuzz"
version = "1.0.0"
in_force_from = "2026-11-01"
title = { vi = "Thử", en = "Try" }
summary = { vi = "Thử.", en = "Try." }
extends = "base"
select = ["CON-01", "SEC-01"]

[set.STR-03]
runs = 5
"""


def pictures(codec: str, count: int = 3, size: tuple[int, int] = (64, 48)) -> list[bytes]:
    """Return a few small coded pictures."""
    encoder = {"H264": "libx264", "H265": "libx265", "JPEG": "mjpeg", "MPEG4": "mpeg4"}[codec]
    context: Any = av.CodecContext.create(encoder, "w")
    context.width, context.height = size
    context.pix_fmt = "yuvj420p" if codec == "JPEG" else "yuv420p"
    context.time_base, context.thread_count = Fraction(1, 25), 1
    if codec == "H264":
        context.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=2:info=0"}
    elif codec == "H265":
        context.options = {
            "preset": "ultrafast",
            "x265-params": "log-level=none:pools=none:frame-threads=1:info=0:repeat-headers=1:bframes=0:keyint=2",
        }
    out: list[bytes] = []
    for number in range(count):
        frame = av.VideoFrame(*size, context.pix_fmt)
        for plane in frame.planes:
            row = bytes((number * 37 + x * 5) & 0xFF for x in range(plane.line_size))
            plane.update(row * plane.height)
        frame.pts = number
        out += [bytes(packet) for packet in context.encode(frame)]
    return out + [bytes(packet) for packet in context.encode(None)]


def units_of(data: bytes) -> list[bytes]:
    """Return the NAL units of an Annex B picture."""
    return [nal for nal in rtp_payloads.split_annex_b(data) if nal]


def fragments(nal: bytes, wide: bool, size: int = 40) -> list[bytes]:
    """Return fragmentation units much shorter than the simulator's, so that seeds stay small."""
    skip = 2 if wide else 1
    parts = [nal[at : at + size] for at in range(skip, len(nal), size)]
    out = []
    for place, part in enumerate(parts):
        edge = (0x80 if place == 0 else 0) | (0x40 if place == len(parts) - 1 else 0)
        if wide:
            out.append(bytes((nal[0] & 0x81 | 49 << 1, nal[1], edge | nal[0] >> 1 & 0x3F)) + part)
        else:
            out.append(bytes((nal[0] & 0x60 | 28, edge | nal[0] & 0x1F)) + part)
    return out


def stream(units: Iterable[list[bytes]]) -> bytes:
    """Return payloads of several pictures in the form of `fuzz.targets.packets`: a marker on the last of each."""
    parts = []
    for payloads in units:
        for place, payload in enumerate(payloads):
            flags = (1 if place == len(payloads) - 1 else 0) | (4 if place == 0 else 0)
            parts.append((flags, payload))
    return packed(*parts)


def rtp(payload: bytes, number: int, *, marker: bool, kind: int = 96) -> bytes:
    """Return one RTP packet."""
    return (
        struct.pack("!BBHII", 0x80, kind | marker << 7, number & 0xFFFF, number // 3 * 3600, 0x11223344)
        + payload
    )


def sender_report() -> bytes:
    """Return an SR with an SDES behind it."""
    report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 0x11223344, 0xEE000000, 0, 3600, 5, 500)
    return report + struct.pack("!BBHI", 0x81, 202, 2, 0x11223344) + b"\x01\x01c\0"


def media() -> dict[str, dict[str, bytes]]:
    """Return the seeds of packets and pictures."""
    h264 = [units_of(picture) for picture in pictures("H264")]
    h265 = [units_of(picture) for picture in pictures("H265")]
    jpeg, mpeg4 = pictures("JPEG", 1), pictures("MPEG4")
    whole = stream(h264)
    cut = stream(
        [
            [part for nal in unit for part in ([nal] if len(nal) < 60 else fragments(nal, False))]
            for unit in h264
        ]
    )
    joined = stream(
        [[b"\x78" + b"".join(struct.pack("!H", len(nal)) + nal for nal in (SPS, PPS)), h264[0][-1]]]
    )
    whole265 = stream(h265)
    cut265 = stream(
        [
            [part for nal in unit for part in ([nal] if len(nal) < 60 else fragments(nal, True))]
            for unit in h265
        ]
    )
    joined265 = stream(
        [[b"\x60\x01" + b"".join(struct.pack("!H", len(nal)) + nal for nal in h265[0][:3]), h265[0][-1]]]
    )
    numbered = packed(
        *(
            (1, nal[:2] + struct.pack("!H", number) + nal[2:])
            for number, nal in enumerate(h265[0] + h265[1])
            if len(nal) < 900
        ),
        (
            1,
            b"\x60\x01\0\7"
            + struct.pack("!H", 3)
            + b"\x02\x01\x90"
            + b"\0"
            + struct.pack("!H", 3)
            + b"\x02\x01\xd0",
        ),
    )
    scans = rtp_payloads.jpeg_payloads(jpeg[0])
    sets = units_of(pictures("H265", 1)[0])[:4]
    track = [(0x04, rtp(nal, number, marker=True)) for number, nal in enumerate(unit[-1] for unit in h264)]
    late = [
        track[0],
        track[2],
        track[1],
        (0x80, sender_report()),
        (0x04, rtp(b"\x09\xf0", 65535, marker=False)),
    ]
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, 0x11223344)
    viewer = (
        struct.pack("!BBHIIIIIII", 0x81, 201, 7, 1, 0x11223344, 0x05000001, 9, 4, 0, 0)
        + struct.pack("!BBHIIHH", 0x81, 205, 3, 1, 0x11223344, 100, 0b101)
        + struct.pack("!BBHII", 0x81, 206, 2, 1, 0x11223344)
        + struct.pack("!BBHIIIBBBB", 0x84, 206, 4, 1, 0, 0x11223344, 1, 0, 0, 0)
    )
    aac = struct.pack("!HHH", 32, 4 << 3, 5 << 3) + b"abcdefghi"
    readers = {
        "00-sps264": SPS, "01-pps264": PPS, "02-slice264": h264[0][-1][:40], "03-start264": h264[1][-1][:40],
        "07-mpeg4": mpeg4[0][:80], "08-jpeg": jpeg[0], "09-aac": bytes.fromhex("1190"),
        "0a-latm": bytes.fromhex("40002810"), "0b-sets": b"Z0LAHtoCgL/lwEQAAAMABAAAAwB6PFi6gA==,aM48gA==", "0c-g726": b"\1abcd",
    }  # fmt: skip
    for nal in sets:
        kind = nal[0] >> 1 & 0x3F
        if kind in (33, 34):
            readers["04-sps265" if kind == 33 else "05-pps265"] = nal
    sps265, pps265 = readers.get("04-sps265", b""), readers.get("05-pps265", b"")
    third = max(len(sps265), len(pps265)) + 4
    readers["06-slice265"] = sps265.ljust(third, b"\0") + pps265.ljust(third, b"\0") + h265[0][-1][:third]
    metadata = (
        b'<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema">'
        + EVENTS.encode()
        + b"</tt:MetadataStream>"
    )
    return {
        "rtp": {"plain": rtp(h264[0][-1][:60], 7, marker=True), "extended": struct.pack("!BBHIIHHI", 0xB0, 96, 1, 2, 3, 0xABAC, 1, 9) + b"\x65abc\0\0\0\4",
                "contributors": struct.pack("!BBHIIII", 0x82, 96, 1, 2, 3, 4, 5) + b"\x41abc"},
        "rtcp": {"sender": sender_report(), "goodbye": sender_report() + goodbye, "viewer": viewer},
        "rtp_track": {"h264": b"\0" + packed(*track), "udp": b"\x40" + packed(*late), "h265": b"\1" + packed(*((4, rtp(unit[-1][:300], n, marker=True)) for n, unit in enumerate(h265))),
                      "sound": b"\5" + packed(*((4, rtp(b"\xd5" * 20, n, marker=False)) for n in range(6))), "jpeg": b"\2" + packed((5, rtp(scans[0], 1, marker=True)))},
        "depacketise_h264": {"whole": b"\0" + whole, "fragments": b"\0" + cut, "aggregate": b"\0" + joined, "mode0": b"\1" + cut,
                             "annexb": b"\0" + packed((1, b"\0\0\0\1" + SPS + b"\0\0\1" + PPS + b"\0\0\1" + h264[0][-1][:80]))},
        "depacketise_h265": {"whole": b"\0" + whole265, "fragments": b"\0" + cut265, "aggregate": b"\0" + joined265},
        "depacketise_h265_numbered": {"numbered": b"\0" + numbered, "buffered": b"\1" + numbered},
        "depacketise_jpeg": {"inline": b"\0" + stream([scans]), "standard": b"\0" + packed((1, b"\0\0\0\0\1\x32\x08\x06" + jpeg[0][-200:])),
                             "restart": b"\0" + packed((1, b"\0\0\0\0\x41\x32\x08\x06\0\4\xff\xff" + jpeg[0][-200:])), "file": b"\0" + packed((1, jpeg[0]))},
        "depacketise_mpeg4": {"whole": b"\0" + stream([[picture] for picture in mpeg4]), "parts": b"\0" + stream([[mpeg4[0][:40], mpeg4[0][40:]]])},
        "depacketise_aac": {f"form{n}": bytes((n,)) + packed((1, aac), (5, b"\0\x10\0\x50abcdefghij"), (5, b"\xff\xf1\x60\x40\x01\x7f\xfcabcd")) for n in range(6)},
        "depacketise_latm": {f"form{n}": bytes((n,)) + packed((1, b"\x05abcde"), (5, b"\xff\x01" + b"a" * 256)) for n in range(2)},
        "depacketise_g726": {"frames": b"\0" + packed((0, b"\x12\x34" * 20), (4, b"\xff" * 20))},
        "depacketise_metadata": {"document": b"\0" + packed((0, metadata[:100]), (1, metadata[100:])), "two": b"\0" + packed((1, metadata), (5, metadata))},
        "depacketise_sound": {"frames": b"\0" + packed((0, b"\xd5" * 40), (4, b""), (4, b"\x55" * 40))},
        "codec_headers": {name: bytes.fromhex(name[:2]) + data for name, data in readers.items()},
        "picture_sizes": {"h264": b"\0" + b"".join(b"\0\0\0\1" + nal for nal in h264[0])[:400], "h265": b"\1" + b"".join(b"\0\0\0\1" + nal for nal in h265[0])[:400],
                          "jpeg": b"\2" + jpeg[0], "mpeg4": b"\3" + mpeg4[0][:200]},
        "relay_packets": {"picture": packed((1, packed((0, SPS), (0, PPS), (0, h264[0][-1]))), (0, packed((0, h264[1][-1]))))},
    }  # fmt: skip


def captured(pattern: str) -> dict[str, bytes]:
    """Return bodies of captures of the simulator by short names, the last one of each name: it had the login."""
    found: dict[str, bytes] = {}
    for path in sorted(FIXTURES.glob(pattern)):
        name = re.sub(r"^\d+-|\.reply|[^\w.\-]", "", path.name)
        found[name.removesuffix(path.suffix)] = path.read_bytes()
    return found


def messages() -> dict[str, dict[str, bytes]]:
    """Return the seeds of messages, headers and descriptions."""
    descriptions = captured("*/bodies/*DESCRIBE.reply.sdp")
    reply = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nSession: 4711;timeout=60\r\n\r\n"
    described = next(iter(descriptions.values()), b"v=0\r\nm=video 0 RTP/AVP 96\r\n")
    body = (
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n"
        % len(described)
        + described
    )
    frame = b"$\0\0\x0e" + rtp(b"\x09\xf0", 1, marker=True)
    control = b"$\1" + struct.pack("!H", len(sender_report())) + sender_report()
    sprop = f"{base64.b64encode(SPS).decode()},{base64.b64encode(PPS).decode()}"
    digest = 'Digest realm="Login to 1A", nonce="0123456789abcdef", algorithm=MD5, qop="auth", opaque="x", stale=FALSE'
    soap = SOAP.format('<tds:GetScopesResponse xmlns:tds="http://www.onvif.org/ver10/device/wsdl"/>').encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n"
    return {
        "rtsp_message": {"reply": reply, "described": body, "request": b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n", "refused": b"RTSP/1.0 401 Unauthorized\nCSeq: 1\nWWW-Authenticate: Basic realm=\"x\"\n\n",
                         "garbage": b"\0\1\2\r\n" + reply, "two": reply + b"\r\n" + reply, "foreign": b"HTTP/1.1 400 Bad Request\r\n\r\n", "length": b"RTSP/1.0 200\r\nContent-Length: -4\r\nno colon\r\n indented: x\r\n\r\n"},
        "rtsp_interleaved": {"frames": frame + control + frame, "between": frame + reply + frame, "garbage": frame + b"\xde\xad$\0" + frame + b"RTS" + reply, "blank": b"\r\n" + frame + b"\r\n" + frame},
        "old_tls_answer": {
            "hello": bytes.fromhex("160302002a0200002603") + b"\2" + bytes(32) + b"\0\0\x2f\0",
            "alert": bytes.fromhex("15030200020246"),
            "warned": bytes.fromhex("15030100020170 160301002a02000026 0301") + bytes(32) + b"\0\0\x2f\0",
            "spread": bytes.fromhex("16030100020200 1603010004002603 01"),
        },
        "rtsp_headers": {
            "transport": b"\0RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1A2B3C4D;mode=\"PLAY\"", "udp": b"\0RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;source=192.0.2.9",
            "session": b"\x01 4711 ;timeout=60", "info": b"\x02url=rtsp://192.0.2.9/a?x=1,2;seq=1;rtptime=2,url=trackID=2;seq=3", "public": b"\x03OPTIONS, DESCRIBE, SETUP, PLAY\nGET_PARAMETER"},
        "challenges": {"md5": digest.encode(), "several": f"{digest}\nDigest realm=\"b\", nonce=\"n\", algorithm=SHA-256, qop=\"auth,auth-int\", charset=UTF-8, userhash=true".encode(),
                       "basic": b'Basic realm="cam", charset="UTF-8"', "joined": b'Digest realm="a\\"b", nonce="n", algorithm=MD5-sess, random="7", Basic realm=x', "info": digest.encode() + b'\nnextnonce="fresh", rspauth="0"'},
        "sdp": {**descriptions, "h265": b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=x\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=fmtp:98 sprop-vps=QAEMAf//;sprop-sps=QgEB;sprop-pps=RAHA;sprop-max-don-diff=2\r\na=control:rtsp://10.0.0.1/trackID=1\r\na=framerate:25.0\r\n",
                "all": ("v=0\no=x\ns=\nb=AS:500\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1;profile-level-id=42c01e;sprop-parameter-sets=" + sprop
                        + "\na=control:trackID=1\nm=audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000/1\na=fmtp:97 mode=AAC-hbr;config=1408;sizelength=13;indexlength=3;indexdeltalength=3\n"
                        "a=sendonly\nm=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\nm=audio 0 RTP/AVP 0\na=recvonly\n").encode(),
                "jpeg": b"v=0\r\nm=video 0 RTP/AVP 26\r\na=x-dimensions:1920,1080\r\na=control:?ctype=video\r\n"},
        "tunnel_head": {"open": b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n" + reply, "guarded": b"HTTP/1.1 401 Unauthorized\nWWW-Authenticate: " + digest.encode() + b"\n\n", "foreign": reply},
        "tunnel_requests": {"requests": b"".join(base64.b64encode(f"OPTIONS rtsp://192.0.2.1/ RTSP/1.0\r\nCSeq: {n}\r\n\r\n".encode()) for n in (1, 2)), "bad": b"T1BU!!!!T1BU"},
        "http_reply": {"length": b"\0" + head + b"Content-Length: %d\r\n\r\n" % len(soap) + soap, "chunks": b"\0" + head + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
                       "rest": b"\0" + b"HTTP/1.0 200 OK\n\n" + soap, "interim": b"\0HTTP/1.1 100 Continue\r\n\r\n" + head + b"\r\n", "folded": b"\0HTTP/1.1 401\r\nWWW-Authenticate: Digest\r\n realm=x\r\nContent-Length: 0\r\n\r\n",
                       "short": b"\4" + head + b"Content-Length: 10\r\n\r\n" + soap, "plain": b"\4" + head + b"Transfer-Encoding: chunked\r\n\r\n" + soap, "head": b"\2" + head + b"Content-Length: 99\r\n\r\n", "garbage": b"\0\x80\x81" + head + b"Content-Length: 1\r\n\r\nx"},
        "addresses": {"xaddr": b"http://192.0.2.9:8080/onvif/device_service http://[fe80::1]/onvif", "rtsp": b"rtsp://owner:pa%40ss@192.0.2.9:554/Streaming/Channels/101?transportmode=unicast&amp;profile=1\nhikvision",
                      "bare": b"192.0.2.9\nezviz", "six": b"onvif://[2001:db8::1]:8000#token\nimou", "odd": b"http://10.0.0.5:80:80/onvif", "banner": b"App-webs/", "tunnel": b"rtsp+http://cam.local/x\ndahua"},
    }  # fmt: skip


def replies() -> dict[str, dict[str, bytes]]:
    """Return the seeds of what devices answer."""
    soap = captured("*/bodies/*.reply.xml")
    made = {
        "PullMessages": SOAP.format(f"<tev:PullMessagesResponse xmlns:tev=\"http://www.onvif.org/ver10/events/wsdl\"><tev:CurrentTime>2026-01-01T00:00:00Z</tev:CurrentTime><tev:TerminationTime>2026-01-01T00:01:00Z</tev:TerminationTime>{EVENTS}</tev:PullMessagesResponse>"),
        "CreatePullPoint": SOAP.format('<tev:CreatePullPointSubscriptionResponse xmlns:tev="http://www.onvif.org/ver10/events/wsdl" xmlns:a="http://www.w3.org/2005/08/addressing"><tev:SubscriptionReference><a:Address>http://192.0.2.9/s/1</a:Address><a:ReferenceParameters><x:Id xmlns:x="urn:x">7</x:Id></a:ReferenceParameters></tev:SubscriptionReference></tev:CreatePullPointSubscriptionResponse>'),
        "Fault": SOAP.format('<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">Sender not authorized</s:Text></s:Reason></s:Fault>'),
        "GetUsers": SOAP.format("<d:GetUsersResponse><d:User><t:Username>owner</t:Username><t:UserLevel>Administrator</t:UserLevel></d:User></d:GetUsersResponse>"),
        "GetNodes": SOAP.format("<p:GetNodesResponse><p:PTZNode token='1'><t:Name>n</t:Name><t:SupportedPTZSpaces><t:ContinuousPanTiltVelocitySpace/><t:ContinuousZoomVelocitySpace/></t:SupportedPTZSpaces><t:MaximumNumberOfPresets>255</t:MaximumNumberOfPresets><t:HomeSupported>true</t:HomeSupported></p:PTZNode></p:GetNodesResponse>"),
        "GetPresets": SOAP.format("<p:GetPresetsResponse><p:Preset token='1'><t:Name>Cổng</t:Name></p:Preset></p:GetPresetsResponse>"),
        "GetRecordings": SOAP.format("<r:GetRecordingsResponse><r:RecordingItem><r:RecordingToken>R1</r:RecordingToken><r:Configuration><t:Source><t:SourceId>s</t:SourceId></t:Source><t:MaximumRetentionTime>P7DT1H</t:MaximumRetentionTime></r:Configuration><r:Tracks><t:Track><t:TrackToken>1</t:TrackToken><t:Configuration><t:TrackType>Video</t:TrackType></t:Configuration></t:Track></r:Tracks></r:RecordingItem></r:GetRecordingsResponse>"),
        "GetRecordingSummary": SOAP.format("<r:GetRecordingSummaryResponse><r:Summary><t:DataFrom>2026-01-01T00:00:00Z</t:DataFrom><t:DataUntil>2026-02-01T00:00:00Z</t:DataUntil><t:NumberRecordings>4</t:NumberRecordings></r:Summary></r:GetRecordingSummaryResponse>"),
        "GetEventProperties": SOAP.format("<e:GetEventPropertiesResponse><w:TopicSet><tns1:VideoSource><MotionAlarm w:topic='true'/></tns1:VideoSource></w:TopicSet></e:GetEventPropertiesResponse>"),
        "GetImagingSettings": SOAP.format("<i:GetImagingSettingsResponse><i:ImagingSettings><t:Brightness>50</t:Brightness><t:IrCutFilter>AUTO</t:IrCutFilter><t:WideDynamicRange><t:Mode>ON</t:Mode></t:WideDynamicRange></i:ImagingSettings></i:GetImagingSettingsResponse>"),
        "GetAnalyticsModules": SOAP.format("<a:GetAnalyticsModulesResponse><a:AnalyticsModule Name='x' Type='tt:CellMotionEngine'/></a:GetAnalyticsModulesResponse>"),
    }  # fmt: skip
    soap |= {name: text.encode() for name, text in made.items()}
    match = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery">'
        "<s:Body><d:ProbeMatches><d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:2A46DAF1-86f6-41ad-9458-3d184eb46a58</a:Address></a:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device"
        "</d:Types><d:Scopes>onvif://www.onvif.org/name/ACME%20C1 onvif://www.onvif.org/hardware/C1 onvif://www.onvif.org/location/C%E1%BB%95ng</d:Scopes><d:XAddrs>http://192.0.2.9/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches></s:Body></s:Envelope>"
    )
    reolink = [
        {"cmd": "GetDevInfo", "code": 0, "value": {"DevInfo": {"model": "RLC-1", "firmVer": "v3.0", "serial": "1", "hardVer": "I", "channelNum": 1}}},
        {"cmd": "GetNetPort", "code": 0, "value": {"NetPort": {"httpPort": 80, "httpsEnable": 1, "httpsPort": 443, "rtspPort": 554, "rtspEnable": 1, "onvifPort": 8000, "onvifEnable": 1}}},
        {"cmd": "GetTime", "code": 0, "value": {"Time": {"year": 2026, "mon": 1, "day": 1, "hour": 7, "min": 0, "sec": 0, "timeZone": -25200}, "Dst": {"enable": 1, "offset": 1, "startMon": 3, "startWeek": 2, "startWeekday": 0, "startHour": 2, "startMin": 0, "startSec": 0, "endMon": 11, "endWeek": 1, "endWeekday": 0, "endHour": 2, "endMin": 0, "endSec": 0}}},
        {"cmd": "GetUser", "code": 0, "value": {"User": [{"userName": "owner", "level": "admin"}]}},
        {"cmd": "GetEnc", "code": 0, "value": {"Enc": {"channel": 0, "mainStream": {"vType": "h265", "size": "2560*1440", "frameRate": 25, "bitRate": 4096, "gop": 2}, "subStream": {"size": "640*360", "frameRate": 10, "bitRate": 256}}}},
        {"cmd": "GetHddInfo", "code": 0, "value": {"HddInfo": [{"capacity": 30000, "size": 1000, "format": 1, "mount": 1, "storageType": 2}]}},
        {"cmd": "GetNtp", "code": 0, "value": {"Ntp": {"enable": 1, "server": "vn.pool.ntp.org"}}},
        {"cmd": "GetMask", "code": 0, "value": {"Mask": {"channel": 0, "enable": 1, "area": [{"block": {}}]}}},
        {"cmd": "GetRecV20", "code": 0, "value": {"Rec": {"enable": 1, "schedule": {"table": {"TIMING": "1" * 168}}}}},
        {"cmd": "GetAbility", "code": 0, "value": {"Ability": {"p2p": {"ver": 1}, "onvif": {"ver": 1}}}},
        {"cmd": "GetRtspUrl", "code": 0, "value": {"rtspUrl": {"channel": 0, "mainStream": "rtsp://192.0.2.9:554/h265Preview_01_main"}}},
    ]  # fmt: skip
    unifi = {
        "nvr": {"name": "n", "version": "4.0.21", "type": "UDM", "mac": "020000000001", "ports": {"rtsp": 7447, "rtsps": 7441}, "isSshEnabled": False, "systemInfo": {"storage": {"available": 10, "size": 100, "devices": [{"model": "x", "size": 100, "healthy": True}]}}},
        "cameras": [{"id": "camera-1", "modelKey": "camera", "mac": "020000000002", "type": "G4", "firmwareVersion": "4.7", "isConnected": True, "recordingSettings": {"mode": "always"}, "privacyZones": [{"id": 1}], "channels": [{"id": 0, "enabled": True, "isRtspEnabled": True, "rtspAlias": "abc", "width": 3840, "height": 2160, "fps": 24, "bitrate": 10000000, "idrInterval": 5}]}],
        "users": [{"id": "u", "isOwner": True, "allPermissions": ["camera:*:*"]}], "authUserId": "u",
    }  # fmt: skip
    vigi = {
        "challenge": {"authenticate": {"realm": "VIGI", "nonce": "abc", "algorithm": "SHA-256"}, "errCode": -10020},
        "token": {"stok": "abcdef0123", "errCode": 0}, "port": {"error_code": "0", "streamPort": {"rtsp_port": "554"}},
    }  # fmt: skip
    vapix = {name: b"\0" + text.encode() for name, text in AXIS.items()}
    xml = {f"soap-{name}": data for name, data in list(soap.items())[:4]}
    xml |= {
        "bomb": b'<!DOCTYPE a [<!ENTITY b "cc">]><a>&b;</a>',
        "prefix": b"<a:b><c:d token='1'>x</c:d></a:b>",
        "wide": "<?xml version='1.0' encoding='utf-16'?><a>ắ</a>".encode("utf-16"),
        "latin": b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>",
        "odd": b"garbage <a>\x01\xff<b/></a> tail",
    }
    texts = (
        "2026-01-01T07:00:00+07:00",
        "PT30S",
        "CST-8:00:00DST01:00:00,M4.1.0/02:00:00,M10.5.0/02:00:00",
        "1920*1080",
        "2560x1440",
        "02:00:00:00:00:01",
        "H.265+",
        "true",
        "-12",
        "1.5e3",
        "2026-01-01 07:00:60.123Z",
        "8554",
        "UTC+07:00",
    )
    return {
        "safe_xml": xml,
        "onvif_reply": {name: b"\0" + data for name, data in soap.items()},
        "onvif_schema": {name: data for name, data in soap.items() if name.startswith(("ONVIF-device", "ONVIF-media-"))},
        "values": {f"text{n:02}": text.encode() for n, text in enumerate(texts)},
        "hikvision": {name: b"\0" + text.encode() for name, text in ISAPI.items()},
        "dahua": {name: b"\0" + text.encode() for name, text in DAHUA.items()},
        "axis": vapix,
        "vigi": {name: json.dumps(told).encode() for name, told in vigi.items()},
        "reolink": {"all": json.dumps(reolink).encode(), **{row["cmd"]: json.dumps([row]).encode() for row in reolink if row["cmd"] in ("GetTime", "GetEnc", "GetRecV20")}},
        "unifi": {"state": json.dumps(unifi).encode()},
        "ws_discovery": {"match": match.encode(), "hello": match.replace("ProbeMatch>", "Hello>").encode(), "maker": match.replace("/name/ACME%20C1", "/Avigilon/firmware/1 onvif://www.onvif.org/mfr/%E9%FF").encode()},
        "certificate": {"own": certificate()},
    }  # fmt: skip


def certificate() -> bytes:
    """Return a small self-signed certificate; the committed one stays, because a key is new each time."""
    path = SEEDS / "certificate" / "own"
    if path.exists():
        return path.read_bytes()
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "camera")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=365)).sign(
        key, hashes.SHA256()
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    return made.public_bytes(Encoding.DER)


def inside() -> dict[str, dict[str, bytes]]:
    """Return the seeds of what the hub takes from viewers, operators and contributors."""
    folder = FIXTURES / "ch-sim-home"
    exchanges = b"\n".join((folder / "exchanges.jsonl").read_bytes().splitlines()[:2])
    told = json.loads((folder / "capture.json").read_bytes())
    small = json.dumps({key: value for key, value in told.items() if key != "facts"}).encode()
    packet_rows = b"\n".join((folder / "packets.jsonl").read_bytes().splitlines()[:3])
    attributes = (
        struct.pack("!HHI", 0x24, 4, 1 << 30)
        + struct.pack("!HHQ", 0x802A, 8, 7)
        + struct.pack("!HH", 0x25, 0)
    )
    request = (
        struct.pack("!HHI", 1, 16, 0x2112A442)
        + b"camhub-fuzz1"
        + struct.pack("!HH", 6, 11)
        + b"ours:theirs\0"
    )
    secret = (
        b'Authorization: Digest username="mai.nguyen", realm="cam", nonce="abc", response="0123456789abcdef"\r\n'
        b"<tt:Password>x</tt:Password> rtsp://mai.nguyen:hunter2@192.0.2.9:554/s?user=a&password=b\r\n"
        b'{"password": "x", "serialNumber": "1A2B", "token": "t"} 02:00:00:00:00:01 mai@example.org 192.0.2.9\r\n'
        b"table.WLan.eth2.SSID=Nha\nusers[0].Name=mai.nguyen"
    )
    return {
        "rtsp_recipient": {
            "plays": b"".join(
                f"{line} RTSP/1.0\r\nCSeq: {number}\r\n{more}\r\n".encode()
                for number, (line, more) in enumerate(
                    (
                        (f"OPTIONS {URI}", ""),
                        (f"DESCRIBE {URI}", "Accept: application/sdp\r\n"),
                        (f"SETUP {URI}/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
                        (f"PLAY {URI}/", "Session: SESSION\r\nRange: npt=0.000-\r\n"),
                        (f"GET_PARAMETER {URI}/", "Session: SESSION\r\n"),
                        (f"TEARDOWN {URI}/", "Session: SESSION\r\n"),
                    )
                )
            ),
            "stranger": b"DESCRIBE rtsp://hub/another-token-of-nobody RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            "udp": f"SETUP {URI} RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;client_port=1-2\r\n\r\n".encode(),
            "report": f"SETUP {URI} RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP\r\n\r\n".encode() + b"$\x01\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x01",
        },
        "relay_offer": {"browser": OFFER.encode(), "video": OFFER[: OFFER.index("m=audio")].encode() + OFFER[OFFER.index("m=video") :].encode(), "active": OFFER.replace("actpass", "passive").encode()},
        "relay_stun": {"check": b"\1" + attributes, "again": b"\3" + attributes, "controlled": b"\1" + struct.pack("!HHQ", 0x8029, 8, 7), "unsigned": b"\0" + request},
        "redaction": {"secrets": secret, "escaped": b"password%3D\\u0070&quot;<Password>"},
        "masking": {"secrets": secret, "digest": b'Digest realm="Login to 1A2B3C", nonce="0f", opaque="11"'},
        "capture_bundle": {"small": packed((0, small), (1, exchanges), (2, packet_rows)), "ports": packed((0, b'{"format": 1, "ports": {"554": "rtsp"}, "scheme": "rtsp", "path": ""}'), (1, exchanges))},
        "standard_pack": {"rule": RULE.encode(), "profile": PROFILE.encode()},
    }  # fmt: skip


def main() -> int:
    """Write all seeds and remove those that are no longer made."""
    made = {**messages(), **media(), **replies(), **inside()}
    missing = set(targets()) ^ set(made)
    if missing:
        print(f"seeds and targets do not fit: {sorted(missing)}")
        return 1
    kept: set[Path] = set()
    for name, seeds in made.items():
        folder = SEEDS / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            path = folder / seed
            kept.add(path)
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
    for path in SEEDS.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    for folder in SEEDS.iterdir():
        if not any(folder.iterdir()):
            shutil.rmtree(folder)
    print(f"{len(kept)} seeds, {sum(path.stat().st_size for path in kept)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
