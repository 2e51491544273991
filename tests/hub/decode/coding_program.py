"""A coding process whose "hardware" is libx264 with settings, or manners, of a bad coder: the real one in all else.

It is confined by the very same code. Its first argument is ``MANNER`` or ``MANNER:N``: after N pictures of the stream itself.
"""

import ctypes
import errno
import fcntl
import os
import sys
import time
from dataclasses import replace
from typing import Any

from hub.decode import inherited
from hub.decode.coders import messages as m
from hub.decode.coders import worker
from hub.decode.coders.coder import PictureCoder
from hub.decode.coders.kinds import KINDS, SOFTWARE, Kind, NoDevice
from hub.decode.coders.trial import PICTURES

TRIED = PICTURES + worker._CONFINED_PICTURES
FULL = "/dev/full"  # stands for the open device: a real one, whose driver knows none of the requests


def absent() -> str:
    raise NoDevice("no video device codes H.264: there is none")


def hangs() -> str:
    time.sleep(3600)
    return ""


GOOD = replace(SOFTWARE, name="good", video=True, find=lambda: "/dev/good (x264), /dev/full (x264)")
MANNERS = {
    "good": GOOD,
    "loose": replace(GOOD, video=False),
    "absent": replace(GOOD, find=absent),
    "hangs": replace(GOOD, find=hangs),
    "late": replace(
        GOOD, options={"bf": "2", "x264-params": "threads=1:repeat-headers=1:bframes=2:b-adapt=0"}
    ),
    "nothing": replace(GOOD, pixels=("rgb24",)),
}


class Misbehaving(PictureCoder):
    """Codes well in its trial and misbehaves afterwards."""

    def __init__(self, kind: Kind, wanted: m.Wanted) -> None:
        super().__init__(kind, wanted)
        self.coded = 0
        self.device = os.open(FULL, os.O_RDWR)

    def code(self, picture: Any, at: int, *, key: bool) -> Any:
        self.coded += 1
        if self.coded > TRIED + AFTER:
            match MANNER:
                case "stops":
                    time.sleep(3600)
                case "dies":
                    os._exit(7)
                case "keeps":
                    self._inside.append(at)
                    return []
                case "probe":
                    inherited.say(m.LANGUAGE, m.Unfit(probe(self.device)))
        return super().code(picture, at, key=key)


class Still:
    """A clock that stands still."""

    def monotonic(self) -> float:
        return 0.0


def probe(device: int) -> str:
    """Tell how each attempt ended: requests to the device, and what only looser confinement lets pass."""
    attempts = {
        "queue": lambda: fcntl.ioctl(device, 0xC058_560F, bytearray(88)),  # VIDIOC_QBUF
        "format": lambda: fcntl.ioctl(device, 0xC0D0_5605, bytearray(208)),  # VIDIOC_S_FMT
        "size": lambda: fcntl.ioctl(device, 0x5413, bytearray(8)),  # TIOCGWINSZ
        "other": lambda: fcntl.ioctl(3, 0xC058_560F, bytearray(88)),
        "read": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "write": lambda: os.open("/tmp/camhub-coding-probe", os.O_WRONLY | os.O_CREAT),
        "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]),
        "kill": lambda: os.kill(1, 0),
        "socket": lambda: checked(ctypes.CDLL(None, use_errno=True).socket(1, 1, 0)),
    }
    ends = []
    for name, attempt in attempts.items():
        try:
            attempt()
            ends.append(f"{name}=DONE")
        except OSError as error:
            ends.append(f"{name}={errno.errorcode.get(error.errno or 0, '?')}")
    return " ".join(ends)


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


if __name__ == "__main__":
    MANNER, _, after = sys.argv[1].partition(":")
    AFTER = int(after.removesuffix("loose") or 0)
    worker.PictureCoder = Misbehaving
    pause = time.sleep
    worker.SystemClock = Still  # nor be fast on a busy machine
    time.sleep = lambda seconds: pause(seconds) if seconds > 1 else None  # the trial need not take its time
    worker.TRIAL_S = 1 if MANNER == "hangs" else 120
    kind = MANNERS.get(MANNER, MANNERS["loose" if sys.argv[1].endswith("loose") else "good"])
    sys.exit(worker.main([sys.argv[1], sys.argv[-1]], {**KINDS, sys.argv[1]: kind}))
