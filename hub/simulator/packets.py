"""RTP payloads of coded pictures: H.264 (RFC 6184), H.265 (RFC 7798) and JPEG (RFC 2435)."""

import struct
from collections.abc import Iterator, Sequence

MAX_PAYLOAD = 1388  # bytes, so that an RTP packet has at most 1400
_H264_UNREGISTERED = 6  # SEI: the encoder's own banner, about 700 bytes
_H265_SEI = (39, 40)


def split_annex_b(data: bytes) -> list[bytes]:
    """Return the NAL units of an Annex B byte stream, without start codes."""
    units = []
    for piece in data.split(b"\x00\x00\x01"):
        unit = piece.rstrip(b"\x00")  # the fourth byte of the next start code; a NAL unit never ends in zero
        if unit:
            units.append(unit)
    return units


def h264_units(data: bytes) -> list[bytes]:
    """Return the NAL units of one H.264 picture worth sending."""
    return [unit for unit in split_annex_b(data) if unit[0] & 31 != _H264_UNREGISTERED]


def h265_units(data: bytes) -> list[bytes]:
    """Return the NAL units of one H.265 picture worth sending."""
    return [unit for unit in split_annex_b(data) if unit[0] >> 1 & 63 not in _H265_SEI]


def h264_payloads(units: Sequence[bytes]) -> list[bytes]:
    """Return single NAL unit packets and FU-A fragments (RFC 6184 sections 5.6 and 5.8)."""
    payloads: list[bytes] = []
    for unit in units:
        if len(unit) <= MAX_PAYLOAD:
            payloads.append(unit)
            continue
        indicator = unit[0] & 0xE0 | 28
        for body, start, end in _fragments(unit[1:], MAX_PAYLOAD - 2):
            payloads.append(bytes((indicator, start << 7 | end << 6 | unit[0] & 31)) + body)
    return payloads


def h265_payloads(units: Sequence[bytes]) -> list[bytes]:
    """Return single NAL unit packets and fragmentation units (RFC 7798 sections 4.4.1 and 4.4.3)."""
    payloads: list[bytes] = []
    for unit in units:
        if len(unit) <= MAX_PAYLOAD:
            payloads.append(unit)
            continue
        kind = unit[0] >> 1 & 63
        header = bytes((unit[0] & 0x81 | 49 << 1, unit[1]))
        for body, start, end in _fragments(unit[2:], MAX_PAYLOAD - 3):
            payloads.append(header + bytes((start << 7 | end << 6 | kind,)) + body)
    return payloads


def jpeg_payloads(jpeg: bytes) -> list[bytes]:
    """Return the RFC 2435 payloads of a baseline 4:2:0 or 4:2:2 JPEG; its quantisation tables go inline (Q 255).

    Raises:
        ValueError: the picture is not one that RFC 2435 can carry.
    """
    tables: dict[int, bytes] = {}
    order: list[int] = []
    width = height = kind = 0
    at = 2
    while at + 4 <= len(jpeg):
        marker, length = jpeg[at + 1], struct.unpack_from(">H", jpeg, at + 2)[0]
        body = jpeg[at + 4 : at + 2 + length]
        if marker == 0xDB:
            while body:
                if body[0] >> 4:
                    raise ValueError("16-bit quantisation tables are not sent")
                tables[body[0] & 15] = body[1:65]
                body = body[65:]
        elif marker == 0xC0:
            height, width = struct.unpack_from(">HH", body, 1)
            samplings = {0x22: 1, 0x21: 0}
            if body[7] not in samplings:
                raise ValueError("RFC 2435 carries 4:2:0 and 4:2:2 only")
            kind = samplings[body[7]]
            order = [body[8], body[11]]
        elif marker == 0xDA:
            at += 2 + length
            break
        at += 2 + length
    scan = jpeg[at:].removesuffix(b"\xff\xd9")
    quantisation = b"".join(tables[index] for index in order)
    first = struct.pack(">BBH", 0, 0, len(quantisation)) + quantisation
    payloads = []
    offset = 0
    while offset < len(scan):
        head = struct.pack(">BBHBBBB", 0, offset >> 16, offset & 0xFFFF, kind, 255, width // 8, height // 8)
        if offset == 0:
            head += first
        body = scan[offset : offset + MAX_PAYLOAD - len(head)]
        payloads.append(head + body)
        offset += len(body)
    return payloads


def _fragments(data: bytes, size: int) -> Iterator[tuple[bytes, bool, bool]]:
    for at in range(0, len(data), size):
        yield data[at : at + size], at == 0, at + size >= len(data)
