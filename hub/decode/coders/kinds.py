"""The kinds of coders that are known, and where the hardware of each would be found.

Nothing is believed by name: what is found here is only what `trial.py` then tries.
"""

import ctypes
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.decode.coders.video import video_encoders

_DEV: Final = Path("/dev")
_NVENC: Final = "libnvidia-encode.so.1"


class NoDevice(Exception):
    """There is no hardware of this kind that could be opened; says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of coder.

    `encoder` is FFmpeg's name, `pixels` its pixel formats, the first that opens is taken. `find` gives the device's name.
    `video`: a plain device of the kernel (V4L2), confined strictly once it is open. `present` are paths of which one is
    there where the hardware may be.
    """

    name: str
    encoder: str
    pixels: tuple[str, ...]
    options: Mapping[str, str]
    find: Callable[[], str] = lambda: ""
    video: bool = False
    present: tuple[str, ...] = ()
    rated: bool = True  # bits a second are a target of its own, not a cap in `options`


def _find_video() -> str:
    found = video_encoders(_DEV)
    if not found.usable:
        raise NoDevice(f"no video device codes H.264: {'; '.join(found.others) or 'there is none'}")
    return ", ".join(found.usable)


def _find_nvenc() -> str:
    _openable(_DEV / "nvidiactl")
    try:
        ctypes.CDLL(_NVENC)
    except OSError as error:
        raise NoDevice(f"{_NVENC} cannot be loaded") from error
    return str(_DEV / "nvidiactl")


def _find_qsv() -> str:
    nodes = sorted((_DEV / "dri").glob("renderD*"))
    if not nodes:
        raise NoDevice("there is no /dev/dri/renderD*")
    _openable(nodes[0])
    return str(nodes[0])


def _openable(path: Path) -> None:
    try:
        if not stat.S_ISCHR(path.stat().st_mode):
            raise NoDevice(f"{path} is no device")
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise NoDevice(f"{path} would not open: {error.strerror}") from error


SOFTWARE: Final = Kind(
    "software",
    "libx264",
    ("yuv420p",),
    {
        "preset": "superfast",
        "tune": "zerolatency",
        "profile": "main",
        "crf": "25",  # x264's constant rate factor, under the cap of bits a second
        "forced-idr": "1",
        "x264-params": "scenecut=0:repeat-headers=1:annexb=1:sliced-threads=0:threads=1:aud=0:info=0",
    },
    rated=False,
)
KINDS: Final[Mapping[str, Kind]] = {
    one.name: one
    for one in (
        Kind(
            "v4l2m2m",
            "h264_v4l2m2m",
            ("yuv420p", "nv12"),
            {"profile": "77"},  # profile_idc of Main; drivers begin with High
            _find_video,
            video=True,
            present=("video*",),
        ),
        Kind(
            "nvenc",
            "h264_nvenc",
            ("yuv420p", "nv12"),
            {
                "preset": "p3",
                "tune": "ull",
                "profile": "main",
                "rc": "cbr",
                "zerolatency": "1",
                "delay": "0",
                "surfaces": "1",
                "rc-lookahead": "0",
                "no-scenecut": "1",
                "forced-idr": "1",
            },
            _find_nvenc,
            present=("nvidiactl",),
        ),
        Kind(
            "qsv",
            "h264_qsv",
            ("nv12",),
            {
                "preset": "veryfast",
                "profile": "main",
                "async_depth": "1",
                "look_ahead": "0",
                "forced_idr": "1",
                "low_delay_brc": "1",
            },
            _find_qsv,
            present=("dri/renderD*",),
        ),
    )
}
# What the setting `relay.encoder` asks for: by itself only what can be confined strictly.
WANTED: Final[Mapping[str, str]] = {"auto": "v4l2m2m", "software": "", "nvenc": "nvenc", "qsv": "qsv"}


def kind_of(setting: str) -> Kind | None:
    """Return the kind of hardware that a setting asks for; `None`: libx264 codes."""
    return KINDS.get(WANTED[setting])


def may_be_there(kind: Kind, folder: Path = _DEV) -> bool:
    """Tell whether there is anything to try. Opens nothing."""
    return any(any(folder.glob(pattern)) for pattern in kind.present)
