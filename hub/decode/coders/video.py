"""Video devices of the kernel that code H.264 (V4L2 memory-to-memory, linux/videodev2.h)."""

import errno
import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_QUERYCAP: Final = 0x8068_5600  # _IOR('V', 0, struct v4l2_capability)
_ENUM_FMT: Final = 0xC040_5602  # _IOWR('V', 2, struct v4l2_fmtdesc)
_CAPABILITY: Final = struct.Struct(
    "=16s32s32sIII12x"
)  # driver card bus_info version capabilities device_caps
_FORMAT: Final = struct.Struct("=III32s4sI12x")  # index type flags description pixelformat mbus_code
_DEVICE_CAPS: Final = 0x8000_0000
# capability -> type of the queue that gives what was coded
_M2M: Final = {0x4000: 9, 0x8000: 1}  # M2M_MPLANE: CAPTURE_MPLANE; M2M: CAPTURE
_MOST: Final = 64  # devices looked at, and formats of each


class NotThis(Exception):
    """The device does not code H.264; says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """Devices that say they code H.264, and why the others do not count, each as "path: why"."""

    usable: tuple[str, ...]
    others: tuple[str, ...]


def video_encoders(folder: Path) -> Found:
    """Look at each `video*` of a folder. Opening one starts no camera: that takes a stream."""
    usable, others = [], []
    for path in sorted(folder.glob("video*"))[:_MOST]:
        try:
            usable.append(f"{path} ({examined(path)})")
        except NotThis as error:
            others.append(f"{path} {error}")
    return Found(tuple(usable), tuple(others))


def examined(path: Path) -> str:
    """Return the name of the driver of a device that codes H.264.

    Raises:
        NotThis: it does not, or would not open.
    """
    try:
        if not stat.S_ISCHR(path.stat().st_mode):
            raise NotThis("is no device")
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise NotThis(f"would not open: {error.strerror}") from error
    try:
        return _driver(descriptor)
    except OSError as error:
        raise NotThis(f"is no video device ({error.strerror})") from error
    finally:
        os.close(descriptor)


def _driver(descriptor: int) -> str:
    told = bytearray(_CAPABILITY.size)
    fcntl.ioctl(descriptor, _QUERYCAP, told)
    driver, _card, _bus, _version, of_all, of_this = _CAPABILITY.unpack(told)
    abilities = of_this if of_all & _DEVICE_CAPS else of_all
    queues = [queue for ability, queue in _M2M.items() if abilities & ability]
    if not queues:
        raise NotThis("is no coder")
    if not any(coded == b"H264" for queue in queues for coded in _formats(descriptor, queue)):
        raise NotThis("does not give H.264")
    return str(driver.split(b"\0")[0].decode("ascii", "replace"))


def _formats(descriptor: int, queue: int) -> list[bytes]:
    """Return the four letters of each format that a queue knows."""
    found: list[bytes] = []
    for index in range(_MOST):
        asked = bytearray(_FORMAT.pack(index, queue, 0, b"", b"", 0))
        try:
            fcntl.ioctl(descriptor, _ENUM_FMT, asked)
        except OSError as error:
            if error.errno == errno.EINVAL:
                break  # no more
            raise
        found.append(_FORMAT.unpack(asked)[4])
    return found
