"""RTP and RTCP of one sender (RFC 3550)."""

import secrets
import struct
from datetime import UTC, datetime

from hub.simulator.studio import CLOCK_RATE_HZ, CodedPicture

PAYLOAD_TYPES = {"H264": 96, "H265": 97, "JPEG": 26}  # 26 is static (RFC 3551 table 5)
REPORT_INTERVAL_S = 5.0
_NTP_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)


class Sender:
    """Numbers the packets of one stream and reports on them."""

    def __init__(self, payload_type: int, name: str, *, markers: bool = True) -> None:
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)  # of the next packet
        self._payload_type = payload_type
        self._marker = 0x80 if markers else 0
        self._offset = secrets.randbits(32)
        self._name = f"{name}@ch-sim".encode()
        self._packets = 0
        self._octets = 0

    def timestamp(self, seconds: float) -> int:
        """Return the RTP timestamp of a monotonic time."""
        return (self._offset + int(seconds * CLOCK_RATE_HZ)) & 0xFFFFFFFF

    def packets(self, picture: CodedPicture) -> list[bytes]:
        """Return the RTP packets of one picture; the last one carries the marker, where the camera sets it."""
        timestamp = (self._offset + picture.ticks) & 0xFFFFFFFF
        last = len(picture.payloads) - 1
        made = []
        for index, payload in enumerate(picture.payloads):
            kind = self._payload_type | (self._marker if index == last else 0)
            made.append(struct.pack(">BBHII", 0x80, kind, self.sequence, timestamp, self.ssrc) + payload)
            self.sequence = (self.sequence + 1) & 0xFFFF
            self._octets += len(payload)
        self._packets += len(made)
        return made

    def report(self, now: datetime, seconds: float) -> bytes:
        """Return a sender report (section 6.4.1) and the name (6.5): `now` by the camera's clock is `seconds`."""
        since = now - _NTP_EPOCH
        ntp = (since.days * 86400 + since.seconds, (since.microseconds << 32) // 1_000_000)
        report = struct.pack(
            ">BBHIIIIII",
            0x80,
            200,
            6,
            self.ssrc,
            *ntp,
            self.timestamp(seconds),
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )
        return report + self._description()

    def goodbye(self) -> bytes:
        """Return the packet that ends the stream (section 6.6), behind an empty receiver report."""
        return (
            struct.pack(">BBHI", 0x80, 201, 1, self.ssrc)
            + self._description()
            + struct.pack(">BBHI", 0x81, 203, 1, self.ssrc)
        )

    def _description(self) -> bytes:
        item = bytes((1, len(self._name))) + self._name
        chunk = struct.pack(">I", self.ssrc) + item + b"\x00" * (4 - len(item) % 4)
        return struct.pack(">BBH", 0x81, 202, len(chunk) // 4) + chunk
