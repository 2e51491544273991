"""Packets lose their picture and keep what tests need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.capture.heads import FILLER, head, whole

RTP = bytes.fromhex("80600001000000010000abcd")
SPS = bytes.fromhex("6742c01fda014016e840000003004000000ca3c60ca8")
PPS = bytes.fromhex("68ce3c80")
PICTURE = bytes(range(1, 251)) * 4


def cut(payload: bytes, codec: str = "H264", **words: object) -> bytes:
    return whole(head(RTP + payload, codec, **words), len(RTP) + len(payload))[12:]  # type: ignore[arg-type]


def test_parameter_sets_stay_whole_and_slices_lose_their_picture() -> None:
    """SPS and PPS alone and in a STAP-A; of an IDR slice only header and slice type; of an SEI only its type."""
    slice_ = b"\x65\x88\x84" + PICTURE
    packed = b"\x78" + b"".join(len(nal).to_bytes(2) + nal for nal in (SPS, PPS, slice_))

    assert cut(SPS) == SPS
    assert cut(PPS) == PPS
    assert cut(slice_)[:3] == slice_[:3]
    assert cut(slice_)[13:] == bytes([FILLER]) * (len(slice_) - 13)
    assert SPS in cut(packed)
    assert PPS in cut(packed)
    assert PICTURE[20:40] not in cut(packed)
    assert cut(b"\x06\x05secret text of an SEI")[1:] == bytes([FILLER]) * 22


def test_a_picture_behind_a_start_code_inside_a_parameter_set_is_no_parameter_set() -> None:
    """Cameras that put Annex B inside one NAL unit do not smuggle a picture out."""
    made = cut(SPS + b"\0\0\0\1" + b"\x65\x88\x84" + PICTURE)

    assert made.startswith(SPS)
    assert PICTURE[20:40] not in made


@pytest.mark.parametrize(
    ("codec", "payload", "stays"),
    [
        ("H264", b"\x7c\x85\x88\x84" + PICTURE, 14),
        ("H264", b"\x7c\x05" + PICTURE, 2),
        ("H265", b"\x26\x01\xaf" + PICTURE, 16),
        ("H265", b"\x62\x01\x93" + PICTURE, 17),
        ("H265", b"\x62\x01\x13" + PICTURE, 3),
        ("JPEG", b"\0\0\0\0\1\xff\x28\x1e" + b"\0\0\0\x40" + bytes(64) + PICTURE, 8 + 4 + 64),
        ("JPEG", b"\0\0\5\0\1\xff\x28\x1e" + PICTURE, 8),
        ("MP4V-ES", b"\0\0\1\xb6" + PICTURE, 5),
        ("VP8", PICTURE, 0),
    ],
)
def test_of_each_codec_only_the_payload_header_stays(codec: str, payload: bytes, stays: int) -> None:
    """Fragments, H.265, JPEG with its tables, MPEG-4, and nothing of a codec that nobody knows here."""
    made = cut(payload, codec)

    assert made[:stays] == payload[:stays]
    assert set(made[stays:]) <= {FILLER}


def test_sound_metadata_and_names_in_reports_go() -> None:
    """Of sound and metadata only the RTP header stays; of RTCP the sender report without its names."""
    report = bytes.fromhex("80c80006067221a9eeac1124e86a6e326811007d0000000000000000")
    names = b"\x81\xca\0\x06\1\2\3\4\1\x0ehoa@192.168.1.9\0"

    assert cut(b"speech" * 20, "PCMU", kind="audio") == bytes([FILLER]) * 120
    assert cut(b"<tt:Plate>37A", "VND.ONVIF.METADATA", kind="application") == bytes([FILLER]) * 13
    assert head(report + names, "H264", control=True) == report
    assert head(names, "H264", control=True) == b""


@given(st.binary(max_size=300), st.sampled_from(["H264", "H265", "JPEG", "MP4V-ES", "OPUS"]))
def test_any_packet_keeps_its_length_and_its_header(data: bytes, codec: str) -> None:
    """Whatever comes, the restored packet is as long as it was and begins with the same header."""
    kept = head(data, codec)

    assert len(whole(kept, len(data))) == len(data)
    if len(data) >= 12:
        assert whole(kept, len(data))[1:12] == data[1:12]
