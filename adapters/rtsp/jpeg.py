"""JPEG headers: built as RFC 2435 asks (ITU-T T.81 marker segments), and the size of a picture read back."""

import struct
from typing import NamedTuple

# T.81 tables K.1 and K.2 in zigzag order, as RFC 2435 appendix A has them.
_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMA = bytes.fromhex(
    "1112121815182f1a1a2f63423842636363636363636363636363636363636363"
    "6363636363636363636363636363636363636363636363636363636363636363"
)
# T.81 annex K.3: number of codes per length, then the values.
_DC_LENGTHS_LUMA = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_DC_LENGTHS_CHROMA = bytes((0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0))
_DC_VALUES = bytes(range(12))
_AC_LENGTHS_LUMA = bytes((0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D))
_AC_LENGTHS_CHROMA = bytes((0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77))
_AC_VALUES_LUMA = bytes.fromhex(
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f0"
    "2433627282090a161718191a25262728292a3435363738393a434445464748494a"
    "535455565758595a636465666768696a737475767778797a838485868788898a"
    "92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6"
    "c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
_AC_VALUES_CHROMA = bytes.fromhex(
    "000102031104052131061241510761711322328108144291a1b1c109233352f0"
    "156272d10a162434e125f11718191a262728292a35363738393a434445464748"
    "494a535455565758595a636465666768696a737475767778797a828384858687"
    "88898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3"
    "c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)


# Sizes of camera pictures that RFC 2435's 8-bit fields (in units of 8 px) cut: what arrives, what is meant (quirk 64).
_CUT_SIZES = {
    (width // 8 % 256 * 8, height // 8 % 256 * 8): (width, height)
    for width, height in (
        (2048, 1536),
        (2304, 1296),
        (2304, 1728),
        (2560, 1440),
        (2560, 1920),
        (2592, 1944),
        (2688, 1520),
        (2880, 1620),
        (3072, 1728),
        (3072, 2048),
        (3200, 1800),
        (3264, 2448),
        (3840, 2160),
        (4096, 2160),
    )
}


def size_beyond_field(width: int, height: int, claimed: tuple[int, int]) -> tuple[int, int]:
    """Return the picture's size (px) by the main header of RFC 2435, whose fields end at 2040 px (section 3.1.5).

    `claimed` is the SDP's size: it is believed where a field is 0, or where cutting it gives what arrived. Without
    it, sizes that only a cut picture of a usual camera gives (512x1440) are put right.
    """
    if claimed[0] and claimed[1]:
        cut = (claimed[0] // 8 % 256 * 8, claimed[1] // 8 % 256 * 8)
        if not width or not height or ((width, height) == cut and max(claimed) > 2040):
            return claimed
        return width, height
    return _CUT_SIZES.get((width, height), (width, height))


class Frame(NamedTuple):
    """What the header of one picture needs."""

    width: int  # px
    height: int
    kind: int  # 0: 4:2:2, 1: 4:2:0 (RFC 2435 section 4.1)
    restart_interval: int  # 0: none
    tables: bytes  # 64 or 128 bytes in zigzag order


def tables_for_quality(quality: int) -> bytes:
    """Return both quantisation tables for Q 1..99 (RFC 2435 section 4.2); empty for values without a formula."""
    if not 1 <= quality <= 99:
        return b""
    factor = 5000 // quality if quality < 50 else 200 - quality * 2
    return bytes(min(255, max(1, (value * factor + 50) // 100)) for value in _LUMA + _CHROMA)


def jfif_header(frame: Frame) -> bytes:
    """Return everything that stands before the entropy-coded data (RFC 2435 appendix B)."""
    luma = frame.tables[:64]
    chroma = frame.tables[64:128] or luma
    sampling = 0x21 if frame.kind == 0 else 0x22
    parts = [
        b"\xff\xd8",
        b"\xff\xdb\x00\x43\x00" + luma,
        b"\xff\xdb\x00\x43\x01" + chroma,
    ]
    if frame.restart_interval:
        parts.append(b"\xff\xdd\x00\x04" + struct.pack("!H", frame.restart_interval))
    parts += [
        b"\xff\xc0" + struct.pack("!HBHHB", 17, 8, frame.height, frame.width, 3),
        bytes((1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1)),
        _huffman(0x00, _DC_LENGTHS_LUMA, _DC_VALUES),
        _huffman(0x10, _AC_LENGTHS_LUMA, _AC_VALUES_LUMA),
        _huffman(0x01, _DC_LENGTHS_CHROMA, _DC_VALUES),
        _huffman(0x11, _AC_LENGTHS_CHROMA, _AC_VALUES_CHROMA),
        b"\xff\xda" + struct.pack("!HB", 12, 3) + bytes((1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0)),
    ]
    return b"".join(parts)


def _huffman(place: int, lengths: bytes, values: bytes) -> bytes:
    return b"\xff\xc4" + struct.pack("!HB", 3 + len(lengths) + len(values), place) + lengths + values


def picture_size(data: bytes) -> tuple[int, int]:
    """Return width and height (px) of a JPEG picture by its start-of-frame segment.

    Raises:
        ValueError: not a JPEG, or without such a segment in its first segments.
    """
    if data[:2] != b"\xff\xd8":
        raise ValueError("not a JPEG picture: no start marker")
    position = 2
    for _ in range(64):
        if position + 9 > len(data) or data[position] != 0xFF:
            break
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from("!HH", data, position + 5)
            return width, height
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise ValueError("the JPEG picture has no start-of-frame segment")
