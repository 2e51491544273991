"""Coders of hardware, as far as a machine without any can try them: libx264 stands in, well behaved and badly.

The processes, their confinement, the trial and the fall-back are the real ones.
"""

import asyncio
import fcntl
import os
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import av
import pytest
from av.video.frame import VideoFrame
from decode_pictures import picture
from test_recode import how

from adapters.rtsp import h264
from hub.decode import calls, pictures
from hub.decode import recode_messages as m
from hub.decode.coders import kinds, video
from hub.decode.coders.coder import PictureCoder
from hub.decode.coders.kinds import KINDS, SOFTWARE, Kind, NoDevice
from hub.decode.coders.messages import Wanted
from hub.decode.coders.trial import Failed, Trial, pattern, psnr_db
from hub.decode.errors import NotDecodable
from hub.decode.recode import RecodeSetup, Recoding

T = TypeVar("T")
PROGRAM = (sys.executable, str(Path(__file__).with_name("coding_program.py")))
WANTED = Wanted(320, 192, 90_000, 25.0, 1_000_000)
NOBODY = 65_534
REFUSED = "write=EPERM fork=EPERM exec=EPERM kill=EPERM socket=EPERM"


# the trial


def tried(
    kind: Kind, change: Callable[[VideoFrame, int, bool], tuple[VideoFrame, bool]] | None = None
) -> None:
    """Try a coder; `change` lets it get another picture, or no order for a key frame."""
    coder = PictureCoder(kind, WANTED)

    class Changed:
        number = -1

        def code(self, picture: VideoFrame, at: int, *, key: bool) -> list[m.Coded]:
            self.number += 1
            if change is not None:
                picture, key = change(picture, self.number, key)
            return coder.code(picture, at, key=key)

    Trial(WANTED, Changed(), lambda: 0.0, lambda _s: None).run()


def test_a_coder_that_does_what_is_asked_passes_its_trial() -> None:
    """Libx264 with the settings of a transcode: each picture at once, key frames on demand, like what went in."""
    tried(SOFTWARE)


def test_a_coder_that_holds_pictures_back_is_found_out() -> None:
    """B pictures, or looking ahead: more than one picture inside is too late."""
    with pytest.raises(Failed, match="late"):
        tried(replace(SOFTWARE, options={"bf": "2", "x264-params": "bframes=2:b-adapt=0:threads=1"}))
    with pytest.raises(Failed, match="late"):
        tried(replace(SOFTWARE, options={"x264-params": "rc-lookahead=5:bframes=0:threads=1"}))


def test_a_coder_that_gives_another_picture_is_found_out() -> None:
    """The picture of before, one with its rows shifted, or a grey one, is not what was given."""
    with pytest.raises(Failed, match="differs"):
        tried(SOFTWARE, lambda given, number, key: (pattern(WANTED, max(0, number - 1)), key))

    def shifted(given: VideoFrame, number: int, key: bool) -> tuple[VideoFrame, bool]:
        plane = given.planes[0]
        plane.update(bytes(plane)[16:] + bytes(16))
        return given, key

    def grey(given: VideoFrame, number: int, key: bool) -> tuple[VideoFrame, bool]:
        for plane in given.planes[1:]:
            plane.update(bytes([128]) * plane.buffer_size)
        return given, key

    for change in (shifted, grey):
        with pytest.raises(Failed, match="differs"):
            tried(SOFTWARE, change)


def test_a_coder_that_gives_no_key_frame_when_asked_or_another_profile_is_found_out() -> None:
    """A viewer who comes needs a key frame now, and was told Main."""
    with pytest.raises(Failed, match="key frame"):
        tried(SOFTWARE, lambda given, number, key: (given, False))
    with pytest.raises(Failed, match="profile 100"):
        tried(
            replace(
                SOFTWARE, options={**SOFTWARE.options, "profile": "high", "x264-params": "8x8dct=1:threads=1"}
            )
        )


def test_a_coder_that_raises_costs_its_trial() -> None:
    """A size, a pixel format or an encoder that it does not take is said in words."""
    with pytest.raises(NotDecodable, match="would not open"):
        PictureCoder(replace(SOFTWARE, pixels=("rgb24",)), WANTED)
    with pytest.raises(NotDecodable, match="h264_v4l2m2m would not open"):
        PictureCoder(replace(KINDS["v4l2m2m"], pixels=("gray",)), WANTED)


def test_every_key_frame_goes_out_with_its_parameter_sets() -> None:
    """A coder that gives them once, apart, as many drivers do, is made good for."""
    coder = PictureCoder(
        replace(SOFTWARE, options={**SOFTWARE.options, "x264-params": "repeat-headers=1:scenecut=0"}), WANTED
    )
    first = coder._coded(_packet(b"\0\0\0\1" + bytes([0x67, 77, 0, 30]) + b"\0\0\0\1" + bytes([0x68, 1])))
    key = coder._coded(_packet(b"\0\0\0\1" + bytes([0x65, 0x88, 0x80])))
    other = coder._coded(_packet(b"\0\0\0\1" + bytes([0x41, 0x9A, 0x80])))

    assert first is None
    assert key is not None
    assert other is not None
    assert [h264.nal_type(nal) for nal in key.nals] == [h264.SPS, h264.PPS, h264.IDR]
    assert (key.key, other.key, len(other.nals)) == (True, False, 1)


def _packet(data: bytes) -> Any:
    return av.Packet(data)


def test_likeness_is_that_of_the_worst_plane() -> None:
    """Equal pictures are 99 dB alike; one plane that differs counts."""
    one, other = pattern(WANTED, 3), pattern(WANTED, 3)
    assert psnr_db(one, other) == 99.0
    other.planes[2].update(bytes(other.planes[2].buffer_size))
    assert psnr_db(one, other) < 10


# what there is


def device(path: Path, major: int, minor: int) -> None:
    """Make a device file for root alone."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(major, minor))
    except PermissionError:
        pytest.skip("this root may make no devices")


def test_only_a_device_of_the_kernel_that_codes_h264_counts(tmp_path: Path) -> None:
    """A file, a device that knows none of the requests, and one that nobody may open are told apart."""
    (tmp_path / "video0").write_text("no device")
    if os.geteuid() != 0:
        pytest.skip("devices are made by root")
    os.mknod(tmp_path / "video1", stat.S_IFCHR | 0o666, os.makedev(1, 7))  # /dev/full
    os.mknod(
        tmp_path / "video2", stat.S_IFCHR | 0o600, os.makedev(81, 250)
    )  # a video device that is not there
    found = video.video_encoders(tmp_path)
    assert found.usable == ()
    file, full, gone = (one.partition(" ")[2] for one in found.others)
    assert (file, full) == ("is no device", "is no video device (Inappropriate ioctl for device)")
    assert gone.startswith("would not open: ")


def test_a_device_that_another_user_may_not_open_is_told() -> None:
    """EACCES is a reason in words, not a crash."""
    if os.geteuid() != 0:
        pytest.skip("another user is become by root")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        device(folder / "video0", 1, 7)
        os.seteuid(NOBODY)
        try:
            found = video.video_encoders(folder)
        finally:
            os.seteuid(0)
        assert found.others == (f"{folder / 'video0'} would not open: Permission denied",)


def test_what_a_driver_says_of_itself_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A coder of several planes with H.264 among its formats is taken by its driver's name; a decoder is not."""
    coded = [b"H264"]

    def ioctl(_descriptor: int, request: int, told: bytearray) -> int:
        if request == 0x8068_5600:  # VIDIOC_QUERYCAP
            told[:] = struct.pack("=16s32s32sIII12x", b"bcm2835-codec", b"", b"", 0, 0x8420_0000, 0x0400_4000)
            return 0
        index, queue = struct.unpack_from("=II", told)
        assert (request, queue) == (0xC040_5602, 9)  # VIDIOC_ENUM_FMT of CAPTURE_MPLANE
        if index >= len(coded):
            raise OSError(22, "Invalid argument")
        struct.pack_into("=4s", told, 44, coded[index])
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert video.examined(Path("/dev/null")) == "bcm2835-codec"
    coded[:] = [b"YU12", b"NV12"]
    with pytest.raises(video.NotThis, match="does not give"):
        video.examined(Path("/dev/null"))


@pytest.mark.parametrize("name", list(KINDS))
def test_a_machine_without_the_device_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each kind is looked for where it would be; nothing there is nothing to try."""
    monkeypatch.setattr(kinds, "_DEV", tmp_path)
    assert not kinds.may_be_there(KINDS[name], tmp_path)
    with pytest.raises(NoDevice):
        KINDS[name].find()
    for pattern_ in KINDS[name].present:
        there = tmp_path / pattern_.replace("*", "0")
        there.parent.mkdir(exist_ok=True)
        there.write_text("")
    assert kinds.may_be_there(KINDS[name], tmp_path)
    with pytest.raises(NoDevice):
        KINDS[name].find()


def test_by_itself_only_what_is_confined_strictly_is_tried() -> None:
    """Drivers of graphics cards are somebody's decision, by name."""
    assert kinds.kind_of("software") is None
    strictly = kinds.kind_of("auto")
    assert strictly is not None
    assert strictly.video
    assert [kind.video for name in ("nvenc", "qsv") if (kind := kinds.kind_of(name)) is not None] == [
        False,
        False,
    ]


# the filters


def verdict(machine: calls.Machine, code: bytes, number: int, *arguments: int) -> int:
    """Walk a filter as the kernel does."""
    data = struct.pack("=IIQ6Q", number, machine.audit, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    at = held = 0
    while True:
        kind, yes, no, value = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        match kind:
            case calls.LOAD:
                (held,) = struct.unpack_from("=I", data, value)
            case calls.JUMP_EQUAL:
                at += yes if held == value else no
            case calls.JUMP_BITS:
                at += yes if held & value else no
            case calls.AND:
                held &= value
            case calls.RETURN:
                return value


@pytest.mark.parametrize("platform", list(calls.MACHINES))
def test_of_a_video_device_only_a_running_coder_s_requests_pass(platform: str) -> None:
    """On its descriptor alone, whatever their size; everything else is as strict as without it."""
    machine = calls.MACHINES[platform]
    code = calls.strict(machine, 5)
    requests = {
        number: verdict(machine, code, machine.ioctl, 5, 0xC058_5600 | number) for number in range(128)
    }
    assert {number for number, told in requests.items() if told == calls.ALLOW} == {15, 17, 72, 89}
    assert verdict(machine, code, machine.ioctl, 4, 0xC058_560F) == calls.DENY
    assert verdict(machine, code, machine.ioctl, 5, 0xC058_550F) == calls.DENY
    assert verdict(machine, calls.strict(machine), machine.ioctl, 5, 0xC058_560F) == calls.DENY
    plain = calls.strict(machine)
    others = [number for number in range(512) if number != machine.ioctl]
    assert [verdict(machine, code, number) for number in others] == [
        verdict(machine, plain, number) for number in others
    ]


@pytest.mark.parametrize("platform", list(calls.MACHINES))
def test_the_wider_filter_refuses_programs_processes_and_new_files(platform: str) -> None:
    """Threads pass and other processes do not; files are opened and not made; foreign tables of calls do not pass."""
    machine = calls.MACHINES[platform]
    code = calls.loose(machine)
    assert {verdict(machine, code, number) for number in machine.refused} == {calls.DENY}
    assert verdict(machine, code, machine.clone, 0x003D_0F00) == calls.ALLOW  # as glibc makes threads
    assert verdict(machine, code, machine.clone, 0x0120_0011) == calls.DENY  # as it forks
    for number, argument in machine.creating:
        assert verdict(machine, code, number, *(0,) * argument, os.O_RDWR) == calls.ALLOW
        assert verdict(machine, code, number, *(0,) * argument, 0o101) == calls.DENY
    assert verdict(machine, code, machine.ioctl, 5, 0) == calls.ALLOW
    assert verdict(machine, code, 0x4000_0000 | machine.ioctl) == calls.DENY


# the processes


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine within a limit that a busy machine does not meet."""

    async def limited() -> T:
        async with asyncio.timeout(150):
            return await work

    return asyncio.run(limited())


class Stream:
    """A stream of JPEG that is recoded with hardware of that manner tried beside."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.out: list[m.Coded] = []
        self.told: list[m.Coder] = []
        self.fed = 0

    async def until(self, done: Callable[[], bool]) -> None:
        """Feed pictures, each asked for as a key frame now and then, until that holds."""
        while not done():
            assert not self.running.done(), self.running
            stamp = 3600 * self.fed
            coded = list(picture("JPEG", seed=self.fed % 3))
            assert self.recoding.feed(stamp, coded, key_frame=True, want_key=self.fed % 4 == 0)
            self.fed += 1
            while self.recoding.waiting and not self.running.done():
                await asyncio.sleep(0.002)
            await asyncio.sleep(0.01)

    async def __aenter__(self) -> Self:
        setup = RecodeSetup(coding=PROGRAM)
        self.recoding = await Recoding.start(
            setup, how("JPEG"), self.out.append, hardware=self.manner, told=self.told.append
        )
        self.running = asyncio.create_task(self.recoding.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.recoding.aclose()


@pytest.mark.long
@pytest.mark.parametrize(("manner", "held"), [("good", "syscalls"), ("loose", "some_syscalls")])
def test_hardware_codes_from_a_key_frame_on_once_it_has_passed(manner: str, held: str) -> None:
    """The first pictures do not wait for the trial; none is lost, and what comes is H.264 of the right picture."""

    async def work() -> None:
        async with Stream(manner) as stream:
            await stream.until(lambda: bool(stream.told))
            at = len(stream.out)
            await stream.until(lambda: len(stream.out) > at + 10)
            (coder,) = stream.told
            assert coder.hardware
            assert held in coder.applied
            assert [one.timestamp for one in stream.out] == [
                3600 * number for number in range(len(stream.out))
            ]
            assert stream.out[0].key
            assert stream.out[at - 1].key
            last = next(one for one in reversed(stream.out) if one.key)
            frame = pictures.decode("H264", last.nals)
            assert (frame.width, frame.height) == (320, 192)

    run(work())


@pytest.mark.long
@pytest.mark.parametrize(
    ("manner", "why", "lasting"),
    [
        ("absent", "no video device", True),
        ("late", "late", True),
        ("hangs", "ended during its trial", True),
    ],
)
def test_hardware_that_does_not_pass_is_told_and_costs_no_picture(
    manner: str, why: str, lasting: bool
) -> None:
    """Libx264 goes on as if nothing had been; whether other streams should try is told too."""

    async def work() -> None:
        async with Stream(manner) as stream:
            await stream.until(lambda: bool(stream.told))
            (coder,) = stream.told
            assert (coder.name, coder.hardware, coder.aside) == ("libx264", False, lasting)
            assert why in coder.why
            await stream.until(lambda: len(stream.out) == stream.fed)

    run(work())


@pytest.mark.long
@pytest.mark.parametrize(
    ("manner", "why", "kept"),
    [
        ("dies:3", "ended over a picture", 0),
        ("keeps:1", "become late: 2 pictures", 1),
        ("stops:2", "did not answer within", 0),
    ],
)
def test_hardware_that_fails_in_mid_stream_is_followed_by_libx264_in_the_same_picture(
    manner: str, why: str, kept: int
) -> None:
    """That picture comes as a key frame, by the same process; what failed is set aside by name and ended."""

    async def work() -> None:
        async with Stream(manner) as stream:
            await stream.until(lambda: len(stream.told) == 2)
            good, bad = stream.told
            assert good.hardware
            assert (bad.name, bad.hardware, bad.aside) == ("libx264", False, True)
            assert bad.device == good.device
            assert why in bad.why
            await stream.until(lambda: len(stream.out) >= stream.fed - kept)
            stamps = [one.timestamp for one in stream.out]
            assert stamps == sorted(stamps)
            assert len(set(range(0, 3600 * stream.fed, 3600)) - set(stamps)) == kept

    run(work())


@pytest.mark.long
@pytest.mark.parametrize(
    ("manner", "told"),
    [
        ("probe:1", f"queue=ENOTTY format=EPERM size=EPERM other=EPERM read=EPERM {REFUSED}"),
        ("probe:1loose", f"queue=ENOTTY format=ENOTTY size=ENOTTY other=ENOTTY read=DONE {REFUSED}"),
    ],
)
def test_what_a_confined_coding_process_can_do(manner: str, told: str) -> None:
    """Strictly: a running coder's requests on the one device (which the driver answers), nothing else. Loosely: it may read files."""

    async def work() -> None:
        async with Stream(manner) as stream:
            await stream.until(lambda: bool(stream.told))
            if not {"syscalls", "some_syscalls"} & set(stream.told[0].applied):
                pytest.skip(f"this machine filters no system calls: {stream.told[0].missing}")
            await stream.until(lambda: len(stream.told) == 2)
            assert stream.told[1].why == told

    run(work())


@pytest.mark.long
def test_a_camera_that_changes_its_size_goes_on_with_libx264() -> None:
    """The device is confined around one size; the next connection of the camera tries again."""

    async def work() -> None:
        async with Stream("good") as stream:
            await stream.until(lambda: bool(stream.told))
            wide = list(picture("JPEG", 640, 384))
            assert stream.recoding.feed(3600 * stream.fed, wide, key_frame=True)
            while len(stream.told) < 2 and not stream.running.done():
                await asyncio.sleep(0.005)
            assert (stream.told[1].aside, "size" in stream.told[1].why) == (False, True)
            assert stream.out[-1].key
            assert h264.parse_sps(stream.out[-1].nals[0]).width == 640

    run(work())
