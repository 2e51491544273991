"""Why a picture was not decoded. Each costs one job of one camera and nothing else."""

from typing import ClassVar

from standards.reason import Reason


class DecodeError(Exception):
    """A job that brought nothing. `code` is stable; `reason` is the word of the closed list for observations."""

    code: ClassVar[str] = "decode_failed"
    reason: ClassVar[Reason] = Reason.INTERNAL


class NotDecodable(DecodeError):
    """The bytes are no picture that the decoder takes: damaged, of another codec, without parameter sets."""

    code = "not_decodable"
    reason = Reason.MALFORMED_MEDIA


class TooLarge(NotDecodable):
    """The picture is larger than the hub decodes, in bytes or in pixels; nothing was decoded."""

    code = "picture_too_large"
    reason = Reason.OUT_OF_RANGE


class OutOfMemory(DecodeError):
    """The picture needed more memory than a decode process may have; the process was ended."""

    code = "decode_memory"
    reason = Reason.MALFORMED_MEDIA


class DecodeTimedOut(DecodeError):
    """The picture took longer than allowed; the process was killed.

    `starved`: the process had less than half of that time to compute, because the machine was busy (or it waited); that
    says nothing about the picture.
    """

    code = "decode_timed_out"
    reason = Reason.TIMED_OUT

    def __init__(self, detail: str, *, starved: bool = False) -> None:
        super().__init__(detail)
        self.starved = starved


class DecoderCrashed(DecodeError):
    """The process died over this picture."""

    code = "decoder_crashed"
    reason = Reason.MALFORMED_MEDIA


class CameraRefused(DecodeError):
    """Pictures of this camera ended a decode process twice; none is taken for a while."""

    code = "decode_refused"
    reason = Reason.MALFORMED_MEDIA


class DecodeBusy(DecodeError):
    """No decode process became free in time, or too many jobs wait already."""

    code = "decode_busy"
    reason = Reason.TIMED_OUT


class DecodeUnavailable(DecodeError):
    """There is no decode process: it cannot be started, or the hub stops."""

    code = "decode_unavailable"
    reason = Reason.INTERNAL


# What a worker may say of a job that it survived, by code.
SAID_BY_WORKER: dict[str, type[DecodeError]] = {
    error.code: error for error in (NotDecodable, TooLarge, OutOfMemory)
}
