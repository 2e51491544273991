"""A decode process: ``python -m hub.decode.worker FD``, started by the hub with one end of a socket pair.

It confines itself for good, proves that it still decodes, then does one job at a time until the hub's end closes. It
has no store, no key, no credential, no network and no file; what it decoded leaves only as a reply.
"""

import signal
import sys
from collections.abc import Sequence
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from hub.decode import inherited, pictures
from hub.decode import messages as m
from hub.decode.confine import allow_processor, confine, keep_only
from hub.decode.errors import NotDecodable, OutOfMemory
from hub.decode.language import Begin, Failed, Ready

_START_CPU_S = 20
_FAILED, _MEMORY = 1, 3  # exit statuses


def main(arguments: Sequence[str]) -> int:
    """Run a decode process on an inherited descriptor."""
    # A terminal's Ctrl-C and a service manager reach the whole group: the hub decides, by closing the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    av.logging.set_level(None)
    keep_only(int(arguments[0]))
    begin = inherited.hear(m.LANGUAGE)
    if not isinstance(begin, Begin):
        return _FAILED
    try:
        _prove()  # also loads whatever loads late: afterwards no file can be opened
        held = confine(begin.memory)
        allow_processor(_START_CPU_S)
        _prove()
    except Exception as error:  # noqa: BLE001  said to the hub, which says it to people
        inherited.say(m.LANGUAGE, Failed(f"{type(error).__name__}: {error}"[:300]))
        return _FAILED
    inherited.say(m.LANGUAGE, Ready(held.applied, held.missing))
    while (job := inherited.hear(m.LANGUAGE)) is not None:
        match job:
            case m.StillJob() | m.JudgeJob():
                allow_processor(job.cpu_s)
                try:
                    reply = _answer(job)
                except MemoryError:
                    inherited.say(m.LANGUAGE, m.Refused(job.number, OutOfMemory.code, ""))
                    return _MEMORY  # what was being built is in pieces
                inherited.say(m.LANGUAGE, reply)
            case Begin():
                return _FAILED
    return 0


def _answer(job: m.Job) -> m.FromWorker:
    try:
        if isinstance(job, m.StillJob):
            return m.StillDone(job.number, *pictures.still(job.codec, job.nals, job.max_width, job.masks))
        told = pictures.judge(job.codec, job.pictures)
    except NotDecodable as error:
        return m.Refused(job.number, error.code, str(error)[:300])
    return m.Judged(
        job.number,
        told.decoded,
        told.luma_mean,
        told.luma_deviation,
        told.sharpness,
        told.moved,
        told.width,
        told.height,
    )


def _prove() -> None:
    """Code and decode a grey picture."""
    context = VideoCodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = 64, 48, "yuvj420p"
    context.time_base = Fraction(1, 1)
    context.thread_count = 1
    frame = VideoFrame(64, 48, "yuvj420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts = 0
    coded = b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
    pictures.still("JPEG", [coded], 32)
    told = pictures.judge("JPEG", [[coded], [coded]])
    if not 120 < told.luma_mean < 136:
        raise RuntimeError(f"a grey picture was decoded to luma {told.luma_mean:.0f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
