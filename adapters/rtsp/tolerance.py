"""Tolerances: each deviation that is survived has a name, is counted, and can be refused.

A camera that needs a tolerance is a finding, so the names appear in reports (fact ``rtsp.quirks``). Numbers in
the comments are those of the quirk list in ``docs/design/rtsp.md``.
"""

from collections import Counter
from enum import StrEnum

from standards.reason import Reason

EXCERPT_BYTES = 96


class Tolerance(StrEnum):
    """Named deviations. The value is the stable word in reports."""

    # messages
    BARE_LINE_FEED = "bare_line_feed"  # header lines end in LF alone
    STATUS_WITHOUT_TEXT = "status_without_text"  # 18
    GARBAGE_SKIPPED = "garbage_skipped"  # 18, 46: bytes that are neither message nor frame
    BLANK_LINE_BEFORE_DATA = "blank_line_before_data"  # 18: CRLF between messages and frames
    HEADER_WITHOUT_COLON = "header_without_colon"
    INDENTED_HEADER = "indented_header"
    CSEQ_SPELLING = "cseq_spelling"  # 17, 78: "Cseq", "cseq"
    CSEQ_MISSING = "cseq_missing"
    CSEQ_WRONG = "cseq_wrong"
    CONTENT_LENGTH_WRONG = "content_length_wrong"  # 19: negative or not a number
    CONTENT_TYPE_MISSING = "content_type_missing"  # 19
    SERVER_REQUEST = "server_request"  # 27
    # addresses
    BASE_WITHOUT_SCHEME = "base_without_scheme"  # 20, 77
    BASE_DOUBLED_SCHEME = "base_doubled_scheme"  # 20
    FOREIGN_HOST_REWRITTEN = "foreign_host_rewritten"  # SDP or Content-Base names another host or port
    CONTROL_MISSING = "control_missing"
    PATH_ONLY = "path_only"  # 22: DESCRIBE of the full address is answered 404, of its path alone it is not
    REDIRECTED = "redirected"  # 11
    # session and transport
    LEGACY_TLS = "legacy_tls"  # TLS before 1.2
    DESCRIBED_AGAIN = "described_again"  # 12: SETUP with another transport wants another DESCRIBE before it
    UDP_SILENT = "udp_silent"  # 31: no packet came over UDP; TCP was used
    SESSION_PADDED = "session_padded"  # 80
    SESSION_CHANGED = "session_changed"  # 16
    TIMEOUT_UNREADABLE = "timeout_unreadable"  # 16
    TRANSPORT_MISSING = "transport_missing"
    TRANSPORT_WITHOUT_TCP = "transport_without_tcp"  # 23
    TRANSPORT_SWITCHED = "transport_switched"  # 23: 461, or TCP answered to a request for UDP
    CHANNELS_CHANGED = "channels_changed"  # 23
    CHANNEL_SINGLE = "channel_single"  # 23
    SERVER_PORT_MISSING = "server_port_missing"  # 24
    SERVER_PORT_OTHER = "server_port_other"  # 24
    SSRC_UNREADABLE = "ssrc_unreadable"  # 25
    SSRC_OTHER = "ssrc_other"  # 25, 45
    RTP_INFO_UNREADABLE = "rtp_info_unreadable"  # 47, 83
    KEEPALIVE_REFUSED = "keepalive_refused"  # 28: the next method is used
    KEEPALIVE_UNANSWERED = "keepalive_unanswered"  # 28
    NONCE_RENEWED = "nonce_renewed"  # 7
    RECONNECTED_AFTER_CHALLENGE = "reconnected_after_challenge"
    TEARDOWN_UNANSWERED = "teardown_unanswered"
    # SDP
    SDP_LINES_MISSING = "sdp_lines_missing"  # 34, 85
    SDP_GARBAGE = "sdp_garbage"  # 34: lines that are not "x=..."
    SDP_FORMAT_MISPLACED = "sdp_format_misplaced"  # 36, 94
    SDP_FORMAT_UNREADABLE = "sdp_format_unreadable"  # 35, 92
    SDP_RTPMAP_MISSING = "sdp_rtpmap_missing"  # 37
    SDP_RTPMAP_OVERRIDES = "sdp_rtpmap_overrides"  # 93: a static payload type given another codec
    SDP_ALL_BACKCHANNEL = "sdp_all_backchannel"  # 38
    SDP_CONNECTION_UNREADABLE = "sdp_connection_unreadable"  # 33, 86: c= without net type, type and address
    SDP_ORIGIN_UNREADABLE = "sdp_origin_unreadable"  # 33, 34: o= without its six fields
    SDP_TIME_UNREADABLE = "sdp_time_unreadable"  # 34: t= is not two numbers
    SDP_LINES_REPEATED = "sdp_lines_repeated"  # 34: v=, o=, s= twice, or inside a media section
    SDP_LINES_UNORDERED = "sdp_lines_unordered"  # 34
    SDP_LAST_LINE_OPEN = "sdp_last_line_open"  # 34
    SDP_TOO_LONG = "sdp_too_long"  # more lines, media or characters than are read
    SDP_MEDIA_UNKNOWN = "sdp_media_unknown"  # 35: a media type that no standard names
    SDP_FORMAT_EMPTY = "sdp_format_empty"  # 36: fmtp without parameters
    SDP_CODEC_GUESSED = "sdp_codec_guessed"  # 37: no rtpmap; format parameters or bandwidth tell
    SDP_CLOCK_RATE_ZERO = "sdp_clock_rate_zero"  # 43
    SDP_AUDIO_FORMAT_ODD = "sdp_audio_format_odd"  # 43: Opus with one channel, PCMU/16000, PCM/48000
    SDP_SECOND_VIDEO = "sdp_second_video"  # 44: the first one is used
    PROFILE_LEVEL_UNREADABLE = "profile_level_unreadable"  # 39: profile-level-id is not six hex digits
    PROFILE_LEVEL_OTHER = "profile_level_other"  # 39: the SPS says something else, and is believed
    PARAMETER_SETS_ANNEX_B = "parameter_sets_annex_b"  # 40: start codes in sprop
    PARAMETER_SETS_OTHER_CODEC = "parameter_sets_other_codec"  # 40: H.265 sets in an H.264 section
    PARAMETER_SETS_UNREADABLE = "parameter_sets_unreadable"  # 40
    PARAMETER_SETS_INCOMPLETE = "parameter_sets_incomplete"  # 41
    # RTP
    UNASSIGNED_CHANNEL = "unassigned_channel"  # 45
    DATA_BEFORE_PLAY = "data_before_play"  # 45
    PAYLOAD_TYPE_OTHER = "payload_type_other"  # 53
    RTP_UNREADABLE = "rtp_unreadable"
    RTCP_UNREADABLE = "rtcp_unreadable"  # 52
    RTCP_SSRC_OTHER = "rtcp_ssrc_other"  # 52: a sender report of a source that sends no packets
    TIMESTAMP_JUMP = "timestamp_jump"  # 50
    PACKETIZATION_MODE_OTHER = "packetization_mode_other"  # 42: mode 0 promised, mode 1 sent
    # depacketising
    MARKER_MISSING = "marker_missing"  # 48
    MARKER_PER_SLICE = "marker_per_slice"  # 48
    MARKER_ON_PARAMETER_SETS = "marker_on_parameter_sets"  # 48
    TIMESTAMP_INSIDE_UNIT = "timestamp_inside_unit"  # 49
    START_CODE_IN_NAL = "start_code_in_nal"  # 57
    TRAILING_ZEROS = "trailing_zeros"  # 58
    AGGREGATE_MALFORMED = "aggregate_malformed"  # 58
    FRAGMENT_START_AND_END = "fragment_start_and_end"  # 59
    FRAGMENT_TYPE_CHANGED = "fragment_type_changed"  # 59
    FRAGMENT_EMPTY = "fragment_empty"  # 59
    FRAGMENT_WITHOUT_START = "fragment_without_start"  # 54
    FRAGMENT_UNFINISHED = "fragment_unfinished"  # 54
    NAL_TYPE_RESERVED = "nal_type_reserved"  # 53
    UNIT_TOO_LARGE = "unit_too_large"  # 48
    JPEG_UNREADABLE = "jpeg_unreadable"
    JPEG_OFFSET_OTHER = "jpeg_offset_other"
    JPEG_WHOLE_FILE = "jpeg_whole_file"  # a JPEG file in packets, not the scan of RFC 2435
    JPEG_SIZE_BEYOND_FIELD = "jpeg_size_beyond_field"  # 64: over 2040 px, which the header cannot say
    AAC_LENGTHS_MISSING = "aac_lengths_missing"  # 43: sizelength, indexlength or indexdeltalength
    AAC_ADTS = "aac_adts"  # 65
    AAC_UNREADABLE = "aac_unreadable"


class Violation(ValueError):
    """The peer broke a protocol in a way that is not survived. The shell adds peer and operation.

    `excerpt` holds bounded, printable bytes; `spec` the clause.
    """

    def __init__(self, message: str, *, reason: Reason, excerpt: str = "", spec: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.excerpt = excerpt
        self.spec = spec


class Tolerances:
    """Counts what was survived in one session. `refuse` turns named tolerances into violations."""

    def __init__(self, refuse: frozenset[Tolerance] = frozenset()) -> None:
        self._refuse = refuse
        self.counts: Counter[Tolerance] = Counter()

    def note(self, tolerance: Tolerance, times: int = 1) -> None:
        """Count a deviation.

        Raises:
            Violation: the policy refuses this tolerance.
        """
        self.counts[tolerance] += times
        if tolerance in self._refuse:
            raise Violation(f"deviation not tolerated: {tolerance}", reason=Reason.MALFORMED_RTSP)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all tolerances that were needed, sorted."""
        return tuple(sorted(str(name) for name in self.counts))


def excerpt_of(data: bytes) -> str:
    """Return the first bytes of `data` as printable text: what is not printable shows as ``\\xNN``."""
    shown = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in data[:EXCERPT_BYTES]
    )
    return shown + ("…" if len(data) > EXCERPT_BYTES else "")
