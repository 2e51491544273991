"""A coding process: ``python -m hub.decode.coders.worker KIND FD``, for one stream, on a socket of the recoding process.

It never sees a camera's bytes: what it gets are a few numbers and, once it has passed its trial and is confined, pixels.
A driver that hangs during the trial is ended by an alarm of the kernel.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import av
from av.video.frame import VideoFrame

from adapters.clock import SystemClock
from hub.decode import inherited, limits
from hub.decode.coders import messages as m
from hub.decode.coders.coder import PictureCoder
from hub.decode.coders.kinds import KINDS, Kind, NoDevice
from hub.decode.coders.trial import LATE, Failed, Trial
from hub.decode.confine import KEPT_DESCRIPTOR, Confinement, confine, confine_loosely, keep_only
from hub.decode.errors import NotDecodable
from hub.decode.recode_messages import Coder

TRIAL_S: Final = 20  # from the first word to the end of the trial; on a busy machine too
_MEMORY: Final = 256 * limits.MIB  # beyond what is held once the coder runs
_CONFINED_PICTURES: Final = 6  # of the trial's second part, after the process was confined
_UNFIT: Final = 1


def main(arguments: Sequence[str], kinds: Mapping[str, Kind] = KINDS) -> int:
    """Run a coding process on an inherited descriptor."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    av.logging.set_level(None)
    keep_only(int(arguments[1]))
    wanted = inherited.hear(m.LANGUAGE)
    if not isinstance(wanted, m.Wanted):
        return _UNFIT
    signal.alarm(TRIAL_S)
    kind = kinds[arguments[0]]
    device = ""
    try:
        held = None if kind.video else confine_loosely()
        device = kind.find()
        coder, device, held = _tried(kind, wanted, device, held)
    except NoDevice as error:
        return _unfit(str(error), device)
    except Failed as error:
        return _unfit(str(error), device, lasting=error.lasting)
    except Exception as error:  # noqa: BLE001  a driver's library may raise what it likes; said to people
        return _unfit(str(error) or type(error).__name__, device, lasting=False)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    inherited.say(m.LANGUAGE, Coder(kind.encoder, device, "", False, held.applied, held.missing))
    while isinstance(raw := inherited.hear(m.LANGUAGE), m.Raw):
        picture = VideoFrame(wanted.width, wanted.height, "yuv420p")  # the coder may hold the one before
        if not _fill(picture, wanted):
            break
        try:
            coded = coder.code(picture, raw.at, key=raw.key)
        except NotDecodable as error:
            return _unfit(str(error), device)
        if coder.inside > LATE:
            return _unfit(f"the coder has become late: {coder.inside} pictures are inside", device)
        inherited.say(m.LANGUAGE, m.Given(tuple(coded)))
    return 0


def _tried(
    kind: Kind, wanted: m.Wanted, device: str, held: Confinement | None
) -> tuple[PictureCoder, str, Confinement]:
    """Open the coder, try it, confine the process around it where that was not done before, and try it again."""
    before = _open_descriptors()
    coder = PictureCoder(kind, wanted)
    trial = Trial(wanted, coder, SystemClock().monotonic, time.sleep)
    trial.run()
    if held is None:
        opened = sorted(_open_descriptors().items() - before.items())
        video = [number for number, path in opened if path.startswith("/dev/")]
        if len(video) > 1:
            raise Failed(f"the coder opened more than one device: {', '.join(dict(opened).values())}")
        path = dict(opened)[video[0]] if video else ""
        device = next((one for one in device.split(", ") if one.startswith(f"{path} ")), path or device)
        last = max([KEPT_DESCRIPTOR, *(number for number, _ in opened)])
        held = confine(_MEMORY, last=last, device=video[0] if video else None)
        if "syscalls" not in held.applied:
            raise Failed(f"the process around it cannot be confined: {'; '.join(held.missing)}")
        trial.run(_CONFINED_PICTURES)
    return coder, device, held


def _open_descriptors() -> dict[int, str]:
    folder = Path("/proc/self/fd")
    found = {}
    for one in folder.iterdir():
        try:
            found[int(one.name)] = str(one.readlink())
        except OSError:
            continue  # the one by which the folder was read
    return found


def _fill(picture: VideoFrame, wanted: m.Wanted) -> bool:
    """Read the picture that follows; false once the other side has gone."""
    for plane, size, width in zip(
        picture.planes, wanted.sizes, (wanted.width, wanted.width // 2, wanted.width // 2), strict=True
    ):
        pixels, line = memoryview(plane), plane.line_size
        if line == width:
            at = 0
            while at < size:
                got = os.readv(KEPT_DESCRIPTOR, [pixels[at:size]])
                if not got:
                    return False
                at += got
            continue
        data = inherited.exactly(size)
        if data is None:
            return False
        for row in range(size // width):
            pixels[row * line : row * line + width] = data[row * width : (row + 1) * width]
    return True


def _unfit(why: str, device: str, *, lasting: bool = True) -> int:
    inherited.say(m.LANGUAGE, m.Unfit(why[:300], lasting, device[:300]))
    return _UNFIT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
