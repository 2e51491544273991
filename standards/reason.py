"""The one closed list of reasons, used by observations, findings and reports alike."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something was not seen, or why a verdict is not PASS (standard reference 3.2)."""

    # INCONCLUSIVE: the probe ran, its result does not decide
    CONTRADICTORY = "contradictory"
    OUT_OF_RANGE = "out_of_range"
    UNSTABLE = "unstable"
    TOO_FEW_SAMPLES = "too_few_samples"
    # ERROR: the probe broke
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    REFUSED = "refused"
    NOT_THE_PROTOCOL = "not_the_protocol"
    MALFORMED_HTTP = "malformed_http"
    MALFORMED_XML = "malformed_xml"
    MALFORMED_RTSP = "malformed_rtsp"
    MALFORMED_MEDIA = "malformed_media"
    EMPTY_REPLY = "empty_reply"
    DEVICE_FAULT = "device_fault"
    TLS_FAILED = "tls_failed"
    INTERNAL = "internal"
    # FAIL: the device itself said that it does not support what is required
    DENIED_BY_DEVICE = "denied_by_device"
    # NOT_CHECKED: nobody looked, or nobody was allowed to
    NOT_ASKED = "not_asked"
    NO_CREDENTIAL = "no_credential"
    NO_PRIVILEGE = "no_privilege"
    NO_PERMISSION = "no_permission"
    NO_CONSENT = "no_consent"
    NO_DECLARATION = "no_declaration"
    NO_VANTAGE = "no_vantage"
    WINDOW = "window"
    PROBATION = "probation"


INCONCLUSIVE_REASONS = frozenset(
    {Reason.CONTRADICTORY, Reason.OUT_OF_RANGE, Reason.UNSTABLE, Reason.TOO_FEW_SAMPLES}
)
ERROR_REASONS = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.TIMED_OUT,
        Reason.REFUSED,
        Reason.NOT_THE_PROTOCOL,
        Reason.MALFORMED_HTTP,
        Reason.MALFORMED_XML,
        Reason.MALFORMED_RTSP,
        Reason.MALFORMED_MEDIA,
        Reason.EMPTY_REPLY,
        Reason.DEVICE_FAULT,
        Reason.TLS_FAILED,
        Reason.INTERNAL,
    }
)
NOT_CHECKED_REASONS = frozenset(
    {
        Reason.NOT_ASKED,
        Reason.NO_CREDENTIAL,
        Reason.NO_PRIVILEGE,
        Reason.NO_PERMISSION,
        Reason.NO_CONSENT,
        Reason.NO_DECLARATION,
        Reason.NO_VANTAGE,
        Reason.WINDOW,
        Reason.PROBATION,
    }
)
