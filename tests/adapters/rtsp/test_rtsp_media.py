"""MPEG-4 part 2, AAC, G.726, ONVIF metadata, numbered H.265 and large JPEG: FFmpeg's streams, and cameras' ways."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import ClassVar

import av
import pytest
from av.video.frame import PictureType
from rtsp_support import pixels
from test_rtsp_codecs import encoded265

from adapters.port import AccessUnit
from adapters.rtsp import jpeg, mpeg4
from adapters.rtsp.audio import parse_audio_config, parse_mux_config
from adapters.rtsp.depacketize import Input, depacketizer_for
from adapters.rtsp.tolerance import Tolerances

Item = tuple[int, bool, bytes] | tuple[int, bool, bytes, int]
HBR = {"mode": "AAC-hbr", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3", "config": "1408"}


def feed(
    codec: str,
    *items: Item,
    parameters: Mapping[str, str] | None = None,
    clock_rate_hz: int = 90_000,
    size: tuple[int, int] = (0, 0),
) -> tuple[list[AccessUnit], tuple[str, ...]]:
    """Push (timestamp, marker, payload[, lost]); return the units and the tolerances that were needed."""
    tolerances = Tolerances()
    made = depacketizer_for(
        codec, 0, tolerances, size=size, parameters=parameters or {}, clock_rate_hz=clock_rate_hz
    )
    assert made is not None
    out: list[AccessUnit] = []
    for item in items:
        timestamp, marker, payload = item[:3]
        out += made.push(Input(timestamp, marker, payload, 0.0, item[3] if len(item) > 3 else 0))
    return out + made.flush(), tolerances.names


def cut(timestamp: int, frame: bytes, size: int) -> Iterator[Item]:
    """Cut a frame into packets, the last one marked."""
    for at in range(0, len(frame), size):
        yield timestamp, at + size >= len(frame), frame[at : at + size]


@cache
def mpeg4_pictures(b_frames: int = 0) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the configuration and twelve pictures of FFmpeg's MPEG-4 encoder, 352x288, key frames six apart."""
    coder = av.CodecContext.create("mpeg4", "w")
    coder.width, coder.height, coder.pix_fmt, coder.framerate = 352, 288, "yuv420p", 25
    coder.gop_size, coder.max_b_frames = 6, b_frames
    coder.options = {"sc_threshold": "1000000000"}
    coder.flags |= av.codec.context.Flags.global_header
    packets = []
    for number in range(12):
        frame = av.VideoFrame(352, 288, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number * 9 % 256]) * plane.buffer_size)
        frame.pts = number
        packets += coder.encode(frame)
    packets += coder.encode(None)
    return bytes(coder.extradata or b""), tuple(bytes(packet) for packet in packets)


class TestMpeg4:
    def test_pictures_come_out_as_they_went_in(self) -> None:
        """FFmpeg's pictures, cut into packets, come back byte for byte; key frames are the I-VOPs."""
        _, pictures = mpeg4_pictures()
        items = [item for number, frame in enumerate(pictures) for item in cut(number * 3600, frame, 50)]

        out, names = feed("MP4V-ES", *items)

        assert [unit.nals for unit in out] == [[frame] for frame in pictures]
        assert [unit.key_frame for unit in out] == [number % 6 == 0 for number in range(12)]
        assert names == ()

    def test_picture_types_are_those_that_ffmpeg_decodes(self) -> None:
        """I, P and B as the decoder sees them."""
        config, pictures = mpeg4_pictures(b_frames=2)
        types = [kind for frame in pictures for kind in mpeg4.vop_types(frame)]
        decoder = av.CodecContext.create("mpeg4", "r")
        decoder.extradata = config
        shown = [picture for frame in pictures for picture in decoder.decode(av.Packet(frame))]
        shown += decoder.decode(None)

        assert sorted(types)[-len(shown) :] == sorted(PictureType(item.pict_type).name for item in shown)
        assert "B" in types

    def test_the_configuration_tells_the_format(self) -> None:
        """Size and profile by the video object layer, in FFmpeg's and in a camera's (IOI trk-101, quirk 99)."""
        told = mpeg4.parse_layer(mpeg4_pictures()[0])
        assert (told.width, told.height, told.profile, told.chroma_format) == (352, 288, "Simple", "4:2:0")
        camera = bytes.fromhex("000001B0F5000001B509000001000000012000845D4C28582120A31F")
        read = mpeg4.parse_layer(camera)
        assert (read.width, read.height, read.profile, read.level) == (352, 288, "Advanced Simple", "5")

    def test_a_layer_with_every_optional_field_is_read(self) -> None:
        """Identifier, extended aspect ratio, VBV parameters, fixed rate: the size stands behind all of them (6.2.3)."""
        bits = (
            "0" + f"{17:08b}" + "1" + "0010" + "001" + "1111" + "0" * 16
        )  # identified, extended aspect ratio
        bits += "1" + "01" + "0" + "1" + "10" * 39 + "1"  # control parameters with 79 bits of VBV
        bits += "00" + "1" + f"{25:016b}" + "1" + "1" + "00001"  # rectangular, 25 ticks a second, fixed rate
        bits += "1" + f"{720:013b}" + "1" + f"{576:013b}" + "1"
        data = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
        told = mpeg4.parse_layer(b"\0\0\1\xb0\x03\0\0\1\x20" + data)
        assert (told.width, told.height, told.profile, told.level) == (720, 576, "Simple", "3")

    def test_a_torn_picture_is_dropped_and_told(self) -> None:
        """A loss inside drops the picture; a loss between two drops nothing; both are told on the next picture."""
        _, pictures = mpeg4_pictures()
        first, second, third = (list(cut(number * 3600, pictures[number], 40)) for number in range(3))
        torn = [*first, second[0], (*second[2][:3], 1), *second[3:], *third]
        out, names = feed("MP4V-ES", *torn)
        assert [(unit.timestamp, unit.lost_packets) for unit in out] == [(0, 0), (7200, 1)]
        assert names == ("fragment_unfinished",)

        headless = [*first, (*second[1][:3], 1), *second[2:], *third]
        out, names = feed("MP4V-ES", *headless)
        assert [(unit.timestamp, unit.lost_packets) for unit in out] == [(0, 0), (7200, 1)]
        assert names == ("fragment_without_start",)

    def test_a_missing_marker_is_made_up_for_by_the_timestamp(self) -> None:
        """Without markers the next timestamp ends a picture (quirk 48)."""
        _, pictures = mpeg4_pictures()
        out, names = feed(
            "MP4V-ES", *((number * 3600, False, frame) for number, frame in enumerate(pictures[:3]))
        )
        assert [unit.nals[0] for unit in out] == list(pictures[:2])
        assert names == ("marker_missing",)


@cache
def aac_frames() -> tuple[bytes, tuple[bytes, ...]]:
    """Return configuration and raw frames of FFmpeg's AAC encoder, 16 kHz mono."""
    coder = av.CodecContext.create("aac", "w")
    coder.sample_rate, coder.format, coder.layout = 16_000, "fltp", "mono"
    coder.open()
    packets = []
    for number in range(6):
        frame = av.AudioFrame("fltp", "mono", 1024)
        frame.sample_rate, frame.pts = 16_000, number * 1024
        frame.planes[0].update(bytes((number * 7 + index // 4) % 61 for index in range(4096)))
        packets += coder.encode(frame)
    packets += coder.encode(None)
    return bytes(coder.extradata or b""), tuple(bytes(packet) for packet in packets)


def headers(*sizes: int) -> bytes:
    """Return an AU header section of AAC-hbr: 13 bits of size, 3 of index."""
    return (len(sizes) * 16).to_bytes(2, "big") + b"".join((size << 3).to_bytes(2, "big") for size in sizes)


def adts(frame: bytes) -> bytes:
    """Put an ADTS header (AAC LC, 16 kHz, mono, no checksum) before a frame."""
    size = len(frame) + 7
    return (
        bytes((0xFF, 0xF1, 0x60, 0x40 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC)) + frame
    )


class TestAac:
    def test_frames_of_one_packet_get_timestamps_of_their_own(self) -> None:
        """Two frames in a packet are 1024 ticks apart at the coder's own rate."""
        _, frames = aac_frames()
        payload = headers(len(frames[1]), len(frames[2])) + frames[1] + frames[2]
        out, names = feed("MPEG4-GENERIC", (500, True, payload), parameters=HBR, clock_rate_hz=16_000)
        assert [(unit.timestamp, unit.nals) for unit in out] == [(500, [frames[1]]), (1524, [frames[2]])]
        assert names == ()

    def test_a_frame_over_several_packets_is_joined(self) -> None:
        """Each fragment tells the whole size; a lost one drops the frame."""
        _, frames = aac_frames()
        frame = max(frames, key=len)
        head = headers(len(frame))
        parts: list[Item] = [(0, False, head + frame[:20]), (0, False, head + frame[20:40])]
        out, names = feed("MPEG4-GENERIC", *parts, (0, True, head + frame[40:]), parameters=HBR)
        assert [unit.nals for unit in out] == [[frame]]
        assert names == ()
        whole = (1024, True, headers(3) + b"abc")
        out, names = feed("MPEG4-GENERIC", *parts, (0, True, head + frame[60:], 1), whole, parameters=HBR)
        assert [unit.nals for unit in out] == [[b"abc"]]
        assert "fragment_unfinished" in names

    @pytest.mark.parametrize("with_headers", [True, False])
    def test_adts_headers_are_taken_off(self, with_headers: bool) -> None:
        """ADTS inside the AU, or as the whole payload (quirk 65), gives the raw frames."""
        _, frames = aac_frames()
        wrapped = adts(frames[1])
        payload = headers(len(wrapped)) + wrapped if with_headers else wrapped + adts(frames[2])
        out, names = feed("MPEG4-GENERIC", (0, True, payload), parameters=HBR)
        assert [unit.nals[0] for unit in out] == list(frames[1:2] if with_headers else frames[1:3])
        assert names == ("aac_adts",)

    @pytest.mark.parametrize(
        ("parameters", "bits", "head"),
        [
            ({"mode": "AAC-hbr", "sizelength": "13"}, 16, (3 << 3).to_bytes(2, "big")),
            ({"mode": "AAC-hbr"}, 16, (3 << 3).to_bytes(2, "big")),
            ({"mode": "AAC-lbr"}, 8, bytes((3 << 2,))),
            ({"mode": "AAC-hbr", "sizelength": "13"}, 13, (3 << 3).to_bytes(2, "big")),
        ],
    )
    def test_missing_header_lengths_are_those_of_the_mode(
        self, parameters: dict[str, str], bits: int, head: bytes
    ) -> None:
        """What the SDP leaves out (quirk 43) the mode prescribes, unless the packet itself shows a length of 0."""
        payload = bits.to_bytes(2, "big") + head + b"abc"
        out, names = feed("MPEG4-GENERIC", (0, True, payload), parameters=parameters)
        assert [unit.nals for unit in out] == [[b"abc"]]
        assert names == ("aac_lengths_missing",)

    def test_configurations_tell_rate_and_frame_duration(self) -> None:
        """FFmpeg's AudioSpecificConfig, those of cameras, SBR at twice the core's rate, 960 samples."""
        ours = parse_audio_config(aac_frames()[0])
        assert (ours.object_type, ours.sampling_hz, ours.channels, ours.frame_samples) == (2, 16_000, 1, 1024)
        for text, rate, channels in (
            ("1408", 16_000, 1),
            ("1188", 48_000, 1),
            ("1190", 48_000, 2),
            ("1588", 8_000, 1),
        ):
            told = parse_audio_config(bytes.fromhex(text))
            assert (told.sampling_hz, told.channels) == (rate, channels)
        assert parse_audio_config(bytes.fromhex("2b118800")).frame_ticks(48_000) == 2048
        assert parse_audio_config(bytes.fromhex("140c")).frame_samples == 960
        with pytest.raises(ValueError, match="reserved"):
            parse_audio_config(b"\x16\xff")

    def test_latm_with_the_configuration_in_the_description(self) -> None:
        """PayloadLengthInfo counts in steps of 255; a frame may lie over two packets."""
        frame = bytes(range(256)) * 2
        payload = b"\xff\xff\x02" + frame
        parameters = {"cpresent": "0", "config": "400024103fc0"}
        out, names = feed(
            "MP4A-LATM", (0, False, payload[:100]), (0, True, payload[100:]), parameters=parameters
        )
        assert [unit.nals for unit in out] == [[frame]]
        assert names == ()
        told = parse_mux_config(bytes.fromhex("400024103fc0"))
        assert (told.sampling_hz, told.channels, told.mux_frames) == (44_100, 1, 1)
        assert depacketizer_for("MP4A-LATM", 0, Tolerances()) is None


@pytest.mark.parametrize(("bits", "name"), [(2, "16"), (3, "24"), (4, "32"), (5, "40")])
def test_g726_in_the_order_of_atm_is_repacked(bits: int, name: str) -> None:
    """FFmpeg writes both orders of the same samples; AAL2-G726 comes out as RFC 3551 packs it."""

    def coded(codec: str) -> bytes:
        coder = av.CodecContext.create(codec, "w")
        coder.sample_rate, coder.format, coder.layout = 8000, "s16", "mono"
        coder.bit_rate = bits * 8000
        coder.open()
        frame = av.AudioFrame("s16", "mono", 320)
        frame.sample_rate, frame.pts = 8000, 0
        frame.planes[0].update(b"".join((index * 97 % 5000).to_bytes(2, "little") for index in range(320)))
        return b"".join(bytes(packet) for packet in [*coder.encode(frame), *coder.encode(None)])[: 40 * bits]

    big, little = coded("g726"), coded("g726le")
    assert len(big) == 40 * bits
    out, _ = feed(f"AAL2-G726-{name}", (0, True, big))
    assert out[0].nals == [little]
    plain, _ = feed(f"G726-{name}", (0, True, little))
    assert plain[0].nals == [little]


class TestMetadata:
    DOCUMENT = b'<?xml version="1.0"?><tt:MetadataStream>' + b"<e/>" * 50 + b"</tt:MetadataStream>"

    def test_documents_are_joined_up_to_the_marker(self) -> None:
        """A document over several packets is one unit, byte for byte."""
        items = [*cut(0, self.DOCUMENT, 60), *cut(9000, b"<a/>", 60)]
        out, names = feed("VND.ONVIF.METADATA", *items)
        assert [(unit.timestamp, unit.nals) for unit in out] == [(0, [self.DOCUMENT]), (9000, [b"<a/>"])]
        assert names == ()

    def test_a_torn_document_is_dropped(self) -> None:
        """A lost packet drops its document, whether it was the first, a middle or the last one."""
        parts = list(cut(0, self.DOCUMENT, 60))
        small = b"<tt:MetadataStream/>"
        after: Item = (9000, True, small)
        for kept in ([*parts[:1], (*parts[2][:3], 1), *parts[3:]], [(*parts[1][:3], 1), *parts[2:]]):
            out, _ = feed("VND.ONVIF.METADATA", (-9000, True, small), *kept, after)
            assert [unit.nals for unit in out] == [[small], [small]]
            assert [unit.lost_packets for unit in out] == [0, 1]
        out, _ = feed("VND.ONVIF.METADATA", *parts[:-1], (9000, True, small, 1))
        assert [unit.nals for unit in out] == [[small]]

    def test_a_document_without_end_is_bounded(self) -> None:
        """What grows beyond 1 MB is dropped and named; the next document is there again."""
        endless: list[Item] = [(0, False, b"<?xml" + b"x" * 60_000)] * 20
        out, names = feed("VND.ONVIF.METADATA", *endless, (9000, True, b"<a/>"))
        assert [unit.nals for unit in out] == [[b"<a/>"]]
        assert names == ("unit_too_large",)


class TestNumberedH265:
    PARAMETERS: ClassVar = {"sprop-max-don-diff": "4", "sprop-depack-buf-nalus": "4"}

    def test_units_sent_out_of_order_come_in_decoding_order(self) -> None:
        """Single NAL units, aggregates and fragments with numbers, each pair of NAL units swapped."""
        units = encoded265()
        numbered = [
            (don, nal, at * 3600)
            for don, (at, nal) in enumerate((at, nal) for at, unit in enumerate(units) for nal in unit)
        ]
        swapped = [item for at in range(0, len(numbered), 2) for item in reversed(numbered[at : at + 2])]
        items: list[Item] = []
        for index, (don, nal, timestamp) in enumerate(swapped):
            number = (don + 65_530 & 0xFFFF).to_bytes(2, "big")  # wraps soon
            if index % 3 == 0:
                items.append((timestamp, False, nal[:2] + number + nal[2:]))
            elif index % 3 == 1:
                items.append((timestamp, False, b"\x60\x01" + number + len(nal).to_bytes(2, "big") + nal))
            else:
                kind, middle = nal[0] >> 1 & 0x3F, len(nal) // 2
                head = bytes((nal[0] & 0x81 | 49 << 1, nal[1]))
                items.append((timestamp, False, head + bytes((0x80 | kind,)) + number + nal[2:middle]))
                items.append((timestamp, True, head + bytes((0x40 | kind,)) + nal[middle:]))

        out, names = feed("H265", *items, parameters=self.PARAMETERS)

        assert [tuple(unit.nals) for unit in out] == list(units)
        assert names == ()

    def test_an_aggregate_counts_its_numbers_on(self) -> None:
        """DOND 0 is the next number (RFC 7798 section 4.4.2)."""
        sets = encoded265()[0]
        payload = b"\x60\x01\0\x07"
        for index, nal in enumerate(sets):
            payload += (b"\0" if index else b"") + len(nal).to_bytes(2, "big") + nal
        out, names = feed("H265", (0, True, payload), parameters=self.PARAMETERS)
        assert [tuple(unit.nals) for unit in out] == [sets]
        assert names == ()

    def test_aggregated_numbers_may_leave_gaps(self) -> None:
        """DOND 1 leaves one number out, which a later packet brings."""
        first, second, third = encoded265()[1][0], b"\x02\x01\x55\x11", b"\x02\x01\x55\x22"
        pair = b"\x60\x01\0\x07" + b"".join(
            (b"\1" if index else b"") + len(nal).to_bytes(2, "big") + nal
            for index, nal in enumerate((first, third))
        )
        out, _ = feed(
            "H265",
            (0, False, pair),
            (0, True, second[:2] + b"\0\x08" + second[2:]),
            parameters=self.PARAMETERS,
        )
        assert [unit.nals for unit in out] == [[first, second, third]]

    def test_units_leave_as_soon_as_nothing_can_come_before_them(self) -> None:
        """Numbers further apart than sprop-max-don-diff let a picture go, however many may be held."""
        made = depacketizer_for(
            "H265", 0, Tolerances(), parameters={"sprop-max-don-diff": "2", "sprop-depack-buf-nalus": "999"}
        )
        assert made is not None
        nal = encoded265()[1][0]
        sent = [nal[:2] + bytes((0, number)) + nal[2:] for number in range(6)]
        out = [len(made.push(Input(number * 3600, True, data, 0.0, 0))) for number, data in enumerate(sent)]
        assert out == [0, 0, 0, 1, 1, 1]


def test_paci_packets_are_passed_over() -> None:
    """Type 50 carries hints for scalable video; it is counted as reserved and the picture is whole without it."""
    unit = encoded265()[0]
    out, names = feed("H265", (0, False, b"\x64\x01\x00\x00rest"), *((0, False, nal) for nal in unit))
    assert [tuple(item.nals) for item in out] == [unit]
    assert names == ("nal_type_reserved",)


def mjpeg() -> bytes:
    """Return a picture of FFmpeg's encoder, 64x48, with restart markers."""
    coder = av.CodecContext.create("mjpeg", "w")
    coder.width, coder.height, coder.pix_fmt, coder.framerate = 64, 48, "yuvj420p", 25
    coder.options = {"huffman": "default", "slices": "3"}
    coder.thread_count, coder.thread_type = 3, "SLICE"
    frame = av.VideoFrame(64, 48, "yuvj420p")
    for index, plane in enumerate(frame.planes):
        plane.update(bytes((number * (index + 3)) % 256 for number in range(plane.buffer_size)))
    frame.pts = 0
    return bytes([*coder.encode(frame), *coder.encode(None)][0])


class TestJpeg:
    @staticmethod
    def packet(width_8: int, height_8: int) -> bytes:
        return b"\0\0\0\0\x01\x50" + bytes((width_8, height_8)) + b"\x11\x22\x33"

    @pytest.mark.parametrize(
        ("field", "claimed", "size"),
        [
            ((0, 0), (2592, 1944), (2592, 1944)),
            ((68, 243), (2592, 1944), (2592, 1944)),  # 2592 / 8 = 324, cut to 8 bits: 68
            ((64, 180), (0, 0), (2560, 1440)),
            ((224, 14), (0, 0), (3840, 2160)),
            ((80, 60), (0, 0), (640, 480)),
            ((80, 60), (1280, 720), (640, 480)),
        ],
    )
    def test_sizes_beyond_the_field(
        self, field: tuple[int, int], claimed: tuple[int, int], size: tuple[int, int]
    ) -> None:
        """Over 2040 px the SDP's size counts, or that of a usual camera (quirk 64); a plain size stays."""
        out, names = feed("JPEG", (0, True, self.packet(*field)), size=claimed)
        assert jpeg.picture_size(out[0].nals[0]) == size
        plain = (field[0] * 8, field[1] * 8) == size
        assert names == (() if plain else ("jpeg_size_beyond_field",))

    @pytest.mark.parametrize("size", [40, 1400])
    def test_restart_markers_and_tables_in_the_packets(self, size: int) -> None:
        """Type 65 tells the restart interval, Q 255 brings the tables: FFmpeg's pixels come back (3.1.7, 3.1.8)."""
        file = mjpeg()
        table = file[file.index(b"\xff\xdb") + 5 :][:64]
        restart = file[file.index(b"\xff\xdd") + 4 :][:2]
        scan = file.index(b"\xff\xda")
        data = file[scan + 2 + int.from_bytes(file[scan + 2 : scan + 4], "big") :].removesuffix(b"\xff\xd9")
        items: list[Item] = []
        for at in range(0, len(data), size):
            head = b"\0" + at.to_bytes(3, "big") + b"\x41\xff\x08\x06" + restart + b"\xff\xff"
            head += b"\0\0\0\x40" + table if at == 0 else b""
            items.append((0, at + size >= len(data), head + data[at : at + size]))
        out, names = feed("JPEG", *items)
        assert b"\xff\xd0" in data
        assert pixels(out[0].nals[0]) == pixels(file)
        assert names == ()

    def test_a_size_that_nothing_tells_is_unreadable(self) -> None:
        """A field of 0 without any claim gives no picture, named."""
        out, names = feed("JPEG", (0, True, self.packet(0, 90)))
        assert (out, names) == ([], ("jpeg_unreadable",))

    def test_a_whole_file_in_packets_is_passed_on(self) -> None:
        """Some cameras put their JPEG file into the packets, without an end marker at times."""
        file = mjpeg()
        head = b"\0\0\0\0\x01\x50\x08\x06"
        out, names = feed("JPEG", (0, True, head + file.removesuffix(b"\xff\xd9")))
        assert pixels(out[0].nals[0]) == pixels(file)
        assert names == ("jpeg_whole_file",)


def test_a_promised_packetization_mode_is_not_believed() -> None:
    """Mode 0 means single NAL units; fragments come all the same and are joined (quirk 42, Anpviz)."""
    items: list[Item] = [(0, False, b"\x7c\x85\x88\x11"), (0, True, b"\x7c\x45\x22")]
    out, names = feed("H264", *items, parameters={"packetization-mode": "0"})
    assert [unit.nals for unit in out] == [[b"\x65\x88\x11\x22"]]
    assert names == ("packetization_mode_other",)
