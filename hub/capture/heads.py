"""RTP and RTCP packets cut down to their headers: what tests need, without the picture.

Kept are the RTP header, the codec's payload header, and of each NAL unit its header, the first bytes of a slice's header
(slice type), and parameter sets whole. Everything else becomes filler of the same length.
"""

FILLER = 0x55  # never part of a start code
MAX_SET = 512  # bytes of a parameter set; longer ones are no parameter sets
_SLICE_H264 = 12  # first_mb_in_slice, slice_type, pic_parameter_set_id, frame_num
_SLICE_H265 = 14


def head(data: bytes, codec: str, *, kind: str = "video", control: bool = False) -> bytes:
    """Return the beginning of a packet as it may be kept; what is missing to its length is filler.

    `codec` is the upper-case encoding name, `kind` video, audio or application. Of sound and metadata only the RTP
    header stays, of RTCP the sender report without its reports and names.
    """
    if control:
        return _sender_report(data)
    start = _header_length(data)
    kept = bytearray([FILLER]) * len(data)
    kept[:start] = data[:start]
    if start and data[0] & 0x20:
        kept[0] &= 0xDF  # the padding is filler now
    payload = data[start:]
    keep = _PAYLOADS.get(codec) if kind == "video" else None
    if keep is not None and payload:
        kept[start:] = keep(payload)
    return bytes(kept).rstrip(bytes([FILLER]))


def whole(kept: bytes, size: int) -> bytes:
    """Return a packet of the original length from what was kept of it."""
    return kept + bytes([FILLER]) * (size - len(kept))


def _header_length(data: bytes) -> int:
    """Return the length of the RTP header with its contributors and extension (RFC 3550 section 5.1)."""
    if len(data) < 12:
        return 0
    length = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10 and len(data) >= length + 4:
        length += 4 + 4 * int.from_bytes(data[length + 2 : length + 4])
    return min(length, len(data))


def _sender_report(data: bytes) -> bytes:
    if len(data) < 28 or data[0] >> 6 != 2 or data[1] != 200:
        return b""
    return bytes([0x80, 200, 0, 6]) + data[4:28]


def _filled(data: bytes, keep: int) -> bytearray:
    return bytearray(data[:keep]) + bytearray([FILLER]) * (len(data) - min(keep, len(data)))


def _nal(data: bytes, *, wide: bool) -> bytearray:
    """Return one NAL unit, or several with start codes between (some cameras put Annex B inside)."""
    out = bytearray()
    rest = data
    while rest:
        at = rest.find(b"\0\0\1", 1)
        unit, rest = (rest, b"") if at < 0 else (rest[:at], rest[at + 3 :])
        out += _one_nal(unit, wide=wide)
        if at >= 0:
            out += b"\0\0\1"
    return out


def _one_nal(unit: bytes, *, wide: bool) -> bytearray:
    if not unit:
        return bytearray()
    if wide:
        kind = unit[0] >> 1 & 0x3F
        if kind in (32, 33, 34) and len(unit) <= MAX_SET:
            return bytearray(unit)
        return _filled(unit, 2 + (_SLICE_H265 if kind < 32 else 0))
    kind = unit[0] & 0x1F
    if kind in (7, 8, 13) and len(unit) <= MAX_SET:
        return bytearray(unit)
    return _filled(unit, 1 + (_SLICE_H264 if kind in (1, 5) else 0))


def _aggregated(payload: bytes, begin: int, *, wide: bool) -> bytearray:
    out = bytearray(payload[:begin])
    at = begin
    while at + 2 <= len(payload):
        size = int.from_bytes(payload[at : at + 2])
        out += payload[at : at + 2] + _nal(payload[at + 2 : at + 2 + size], wide=wide)
        at += 2 + size
    return out + bytearray([FILLER]) * (len(payload) - len(out))


def _h264(payload: bytes) -> bytearray:
    """RFC 6184: single NAL units, STAP-A, FU-A and FU-B; of what else there is only the type."""
    kind = payload[0] & 0x1F
    if 1 <= kind <= 23:
        return _nal(payload, wide=False)
    if kind == 24:
        return _aggregated(payload, 1, wide=False)
    if kind in (28, 29) and len(payload) > 2:
        lead = 2 if kind == 28 else 4
        inner = payload[1] & 0x1F
        if not payload[1] & 0x80:
            return _filled(payload, lead)
        if inner in (7, 8) and len(payload) <= MAX_SET:
            return bytearray(payload)
        return _filled(payload, lead + (_SLICE_H264 if inner in (1, 5) else 0))
    return _filled(payload, 1)


def _h265(payload: bytes) -> bytearray:
    """RFC 7798: single NAL units, aggregation packets, fragmentation units."""
    kind = payload[0] >> 1 & 0x3F
    if kind < 48:
        return _nal(payload, wide=True)
    if kind == 48:
        return _aggregated(payload, 2, wide=True)
    if kind == 49 and len(payload) > 3:
        inner = payload[2] & 0x3F
        if not payload[2] & 0x80:
            return _filled(payload, 3)
        if inner in (32, 33, 34) and len(payload) <= MAX_SET:
            return bytearray(payload)
        return _filled(payload, 3 + (_SLICE_H265 if inner < 32 else 0))
    return _filled(payload, 2)


def _jpeg(payload: bytes) -> bytearray:
    """RFC 2435: main, restart and quantization table headers."""
    if len(payload) < 8:
        return _filled(payload, 0)
    keep = 8 + (4 if payload[4] >= 64 else 0)
    if payload[1:4] == b"\0\0\0" and payload[5] >= 128 and len(payload) >= keep + 4:
        keep += 4 + min(int.from_bytes(payload[keep + 2 : keep + 4]), 256)
    return _filled(payload, keep)


def _mpeg4(payload: bytes) -> bytearray:
    """RFC 3016: configuration (visual object headers) at the beginning, else the type of the picture."""
    if payload[:3] == b"\0\0\1" and (payload[3:4] in (b"\xb0", b"\xb5") or payload[3:4] <= b"\x2f"):
        end = payload.find(b"\0\0\1\xb6")
        end = payload.find(b"\0\0\1\xb2") if end < 0 else end
        return _filled(payload, min(end + 5 if end >= 0 else len(payload), 96))
    return _filled(payload, 5)


_PAYLOADS = {"H264": _h264, "H265": _h265, "JPEG": _jpeg, "MP4V-ES": _mpeg4}

__all__ = ["FILLER", "head", "whole"]
