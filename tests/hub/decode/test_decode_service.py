"""The decode processes as the hub uses them: real processes, confined, killed and replaced."""

import asyncio
import os
import signal
import struct
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from decode_pictures import CODECS, coded, sample

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.port import CodedPicture
from hub.decode import calls, limits
from hub.decode import messages as m
from hub.decode.errors import (
    CameraRefused,
    DecodeBusy,
    DecodeError,
    DecoderCrashed,
    DecodeTimedOut,
    DecodeUnavailable,
    NotDecodable,
    OutOfMemory,
    TooLarge,
)
from hub.decode.process import DecodeProcess, DecodeSetup
from hub.decode.service import DecodeService
from hub.observe import Metrics

pytestmark = pytest.mark.long

CLOCK = SystemClock()
PROGRAM = (sys.executable, str(Path(__file__).with_name("decode_program.py")))
LONG_S = 60.0


def later(seconds: float = LONG_S) -> Deadline:
    return Deadline.after(CLOCK, seconds)


def saying(text: str) -> CodedPicture:
    """Return a "picture" that the misbehaving program obeys."""
    return CodedPicture(0.0, (text.encode(),))


@asynccontextmanager
async def service(**how: Any) -> AsyncIterator[DecodeService]:
    """Run a service; jobs get plenty of time unless the test is about time."""
    decode = DecodeService(DecodeSetup(**{"job_s": LONG_S, **how}), clock=CLOCK, metrics=Metrics())
    decode.start()
    await decode.settled()
    try:
        yield decode
    finally:
        await decode.aclose()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def still(decode: DecodeService, picture: CodedPicture, camera: str = "a", **how: Any) -> Any:
    return await decode.still(
        picture, how.get("codec", "H264"), camera=camera, max_width=160, deadline=how.get("deadline", later())
    )


def count(decode: DecodeService, name: str, **labels: str) -> float:
    return decode._metrics.registry.get_sample_value(name, labels) or 0.0


def test_pictures_of_each_codec_come_back_as_stills_and_numbers() -> None:
    """The whole way through a confined process, for each codec; times of the pictures become the span."""

    async def work() -> None:
        async with service() as decode:
            for codec in CODECS:
                shown = await still(decode, coded(codec), codec=codec)
                assert shown.jpeg.startswith(b"\xff\xd8\xff")
                assert (shown.width, shown.height) == (160, 96)
                kept = sample(codec, coded(codec, 0.5), coded(codec, 2.5, seed=2), coded(codec, 4.5, seed=2))
                facts = await decode.judge(kept, camera="a", deadline=later())
                assert (facts.kept, facts.decoded, facts.changes, facts.span_s) == (3, 3, 1, 4.0)
                assert facts.changed_share > 0.5
                assert facts.still_s == 2.0
                assert (facts.width, facts.height) == (320, 192)
            assert count(decode, "camhub_decode_jobs_total", kind="still", outcome="ok") == len(CODECS)
            assert decode.trouble == ""
        assert decode.pids == ()

    run(work())


def test_a_confined_process_can_do_nothing_but_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    """From inside: no socket, no file, no process, no executable memory, no other process, no secret."""
    monkeypatch.setenv("CAMHUB_ADMIN_PASSWORD", "not-to-be-seen")

    async def work() -> str:
        async with service(command=PROGRAM) as decode:
            if decode.confinement is None or "syscalls" not in decode.confinement.applied:
                pytest.skip(f"this machine filters no system calls: {decode.confinement}")
            with pytest.raises(NotDecodable) as told:
                await still(decode, saying(f"probe {os.getpid()}"))
            return str(told.value)

    told = run(work())
    attempts, _, environment = told.partition(" env=")
    ends = dict(pair.split("=") for pair in attempts.split())
    assert len(ends) == 16
    assert set(ends.values()) <= {"EPERM", "EACCES", "ValueError", "EAGAIN"}, told
    assert set(environment.split(",")) <= {"", "PYTHONPATH", "LC_CTYPE"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_what_the_kernel_says_of_a_confined_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """From outside: what is told as applied is so - namespace, user, capabilities, filter, descriptors, limits."""
    monkeypatch.setenv("CAMHUB_ADMIN_PASSWORD", "not-to-be-seen")

    async def work() -> None:
        async with service() as decode:
            held = decode.confinement
            assert held is not None
            (pid,) = decode.pids
            proc = Path(f"/proc/{pid}")
            lines = (proc / "status").read_text().splitlines()
            status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
            assert status["Threads"] == ["1"]
            if "syscalls" in held.applied:
                assert status["Seccomp"] == ["2"]
            if "no_new_privs" in held.applied:
                assert status["NoNewPrivs"] == ["1"]
            if "user" in held.applied:
                assert {int(value, 16) for value in status["CapEff"] + status["CapPrm"]} == {0}
                assert "0" not in status["Uid"]
            if os.geteuid() != 0:
                return  # the rest only root may read of an undumpable process
            assert b"not-to-be-seen" not in (proc / "environ").read_bytes()
            assert sorted(int(entry.name) for entry in (proc / "fd").iterdir()) == [0, 1, 2, 3]
            if "network" in held.applied:
                assert (proc / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
            if "limits" in held.applied:
                bounds = (proc / "limits").read_text()
                assert "Max file size             0 " in bounds
                assert "Max processes             0 " in bounds
                assert "Max core file size        0 " in bounds
                assert "Max open files            4 " in bounds

    run(work())


@pytest.mark.parametrize("word", ["spin", "sleep"])
def test_a_job_that_hangs_is_killed_and_the_next_one_works(word: str) -> None:
    """A decoder that loops or waits for ever is killed at its deadline; another process takes the next picture."""

    async def work() -> None:
        async with service(command=PROGRAM, job_s=1.0) as decode:
            before = decode.pids
            with pytest.raises(DecodeTimedOut):
                await still(decode, saying(word))
            shown = await patient(decode, coded(), "other")
            assert shown.width == 160
            assert set(before).isdisjoint(decode.pids)
            assert count(decode, "camhub_decode_kills_total", cause="decode_timed_out") == 1

    run(work())


async def patient(decode: DecodeService, picture: CodedPicture, camera: str) -> Any:
    """Take a still where a job may be short of time on a busy machine; the process is not at fault."""
    for _ in range(20):
        try:
            return await still(decode, picture, camera)
        except DecodeTimedOut:
            continue
    raise AssertionError("no picture in twenty attempts")


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("eat", OutOfMemory),
        ("crash", DecoderCrashed),
        ("leave", DecoderCrashed),
        ("babble", DecoderCrashed),
        ("announce", DecoderCrashed),
    ],
)
def test_a_process_that_dies_or_lies_costs_one_job(word: str, error: type[DecodeError]) -> None:
    """Too much memory, a crash, an exit, replies that are none: a typed error for that picture, then all is well."""

    async def work() -> None:
        async with service(command=PROGRAM, memory=192 * limits.MIB) as decode:
            with pytest.raises(error):
                await still(decode, saying(word))
            shown = await still(decode, coded(), "other")
            assert shown.width == 160
            assert count(decode, "camhub_decode_kills_total", cause=error.code) == 1

    run(work())


def test_a_process_killed_in_the_middle_costs_its_job_only() -> None:
    """SIGKILL while a picture is decoded: that job fails, the one that waits behind it works."""

    async def work() -> None:
        async with service(command=PROGRAM) as decode:
            struck = asyncio.create_task(still(decode, saying("sleep")))
            while decode._idle.qsize():
                await asyncio.sleep(0.01)
            behind = asyncio.create_task(still(decode, coded(), "other"))
            await asyncio.sleep(0)
            (pid,) = decode.pids
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(DecoderCrashed, match="signal 9"):
                await struck
            assert (await behind).width == 160

    run(work())


def _computes(pid: int) -> bool:
    """Tell whether a process still runs: not ended, and not ended and unread."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_a_process_killed_while_it_was_idle_costs_nothing() -> None:
    """A process that died between jobs is noticed before it gets the next one."""

    async def work() -> None:
        async with service() as decode:
            for _ in range(3):
                (pid,) = decode.pids
                os.kill(pid, signal.SIGKILL)
                while _computes(pid):
                    time.sleep(0.01)  # without a turn of the loop: it has not been told yet
                assert (await still(decode, coded())).width == 160
            assert count(decode, "camhub_decode_kills_total", cause="decoder_crashed") == 0

    run(work())


def test_a_camera_whose_pictures_kill_is_refused_for_a_while() -> None:
    """After two killed processes a camera's pictures are not taken; other cameras' are; later it may try again."""

    async def work() -> None:
        async with service(command=PROGRAM) as decode:
            for _ in range(2):
                with pytest.raises(DecoderCrashed):
                    await still(decode, saying("leave"), "bad")
            with pytest.raises(CameraRefused):
                await still(decode, coded(), "bad")
            assert (await still(decode, coded(), "good")).width == 160
            decode._setup = DecodeSetup(command=PROGRAM, job_s=LONG_S, refused_s=0.0)
            assert (await still(decode, coded(), "bad")).width == 160

    run(work())


def test_a_starved_process_is_not_held_against_the_camera() -> None:
    """A job that ran out of time without computing tells of a busy machine: the camera's next pictures are taken."""

    async def work() -> None:
        async with service(command=PROGRAM, job_s=0.5) as decode:
            for _ in range(3):
                with pytest.raises(DecodeTimedOut) as told:
                    await still(decode, saying("sleep"))
                assert told.value.starved
            with pytest.raises(NotDecodable):
                await patient(decode, saying("wait 0 a"), "a")

    run(work())


def test_twenty_jobs_at_once_keep_their_identity() -> None:
    """Each caller gets the answer to his own picture, whatever the order in which they end."""

    async def work() -> None:
        async with service(command=PROGRAM, processes=2) as decode:

            async def ask(number: int) -> str:
                with pytest.raises(NotDecodable) as told:
                    await still(decode, saying(f"wait {0.02 * (number % 3)} {number}"), f"camera {number}")
                return str(told.value)

            told = await asyncio.gather(*(ask(number) for number in range(20)))
            assert told == [f"waited {number}" for number in range(20)]

    run(work())


def test_whoever_leaves_takes_nobody_elses_answer_along() -> None:
    """A caller that goes away while its picture is decoded leaves the process in step."""

    async def work() -> None:
        async with service(command=PROGRAM) as decode:
            leaver = asyncio.create_task(still(decode, saying("wait 0.3 leaver")))
            while decode._idle.qsize():
                await asyncio.sleep(0.01)
            leaver.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaver
            before = decode.pids
            assert (await still(decode, coded(), "other")).width == 160
            assert decode.pids == before

    run(work())


def test_no_process_is_lost_when_callers_leave_at_any_moment() -> None:
    """Callers that leave while they wait, while they are given a process, or while it works, leave the pool whole."""

    async def work() -> None:
        async with service(command=PROGRAM) as decode:
            for turns in range(8):
                async with asyncio.timeout(20):
                    while not decode._idle.qsize():
                        await asyncio.sleep(0.01)
                leaver = asyncio.create_task(still(decode, saying("wait 0 a")))
                for _ in range(turns):
                    await asyncio.sleep(0)
                leaver.cancel()
                await asyncio.gather(leaver, return_exceptions=True)
            assert (await still(decode, coded(), "other", deadline=later(30))).width == 160

    run(work())


def test_a_picture_without_time_is_not_begun() -> None:
    """While the only process is busy, a job that cannot wait says so, and costs no process."""

    async def work() -> None:
        async with service(command=PROGRAM) as decode:
            busy = asyncio.create_task(still(decode, saying("wait 1.0 first")))
            while decode._idle.qsize():
                await asyncio.sleep(0.01)
            with pytest.raises(DecodeBusy):
                await still(decode, coded(), "other", deadline=later(0.2))
            with pytest.raises(NotDecodable):
                await busy
            assert count(decode, "camhub_decode_kills_total", cause="decode_timed_out") == 0

    run(work())


def test_a_process_is_replaced_after_its_jobs() -> None:
    """What a picture may have done to a process does not last for ever."""

    async def work() -> None:
        async with service(jobs=2) as decode:
            seen = set()
            for _ in range(5):
                seen |= set(decode.pids)
                await still(decode, coded())
            assert len(seen) >= 2

    run(work())


def test_without_a_process_everything_says_so() -> None:
    """A decode process that cannot be started is told in one sentence, and jobs fail typed."""

    async def work() -> None:
        async with service(command=("/nonexistent/decoder",)) as decode:
            assert "cannot be started" in decode.trouble
            with pytest.raises(DecodeUnavailable, match="cannot be started"):
                await still(decode, coded(), deadline=later(0.3))
        async with service(command=(sys.executable, "-c", "raise SystemExit(9)")) as decode:
            assert "exit status 9" in decode.trouble
        with pytest.raises(DecodeUnavailable):
            await still(decode, coded())

    run(work())


def test_pictures_out_of_bounds_are_refused_before_they_travel() -> None:
    """Too large, too many, of another codec: the process never sees them."""

    async def work() -> None:
        decode = DecodeService(DecodeSetup(), clock=CLOCK, metrics=Metrics())
        with pytest.raises(TooLarge):
            await still(decode, CodedPicture(0.0, (bytes(limits.MAX_PICTURE + 1),)))
        with pytest.raises(NotDecodable):
            await still(decode, coded(), codec="PNG")
        huge = CodedPicture(0.0, (bytes(limits.MAX_PICTURE + 1),))
        with pytest.raises(TooLarge):
            await decode.judge(sample("H264", huge), camera="a", deadline=later())

    run(work())


def test_a_sample_larger_than_a_job_is_judged_by_what_fits() -> None:
    """Pictures beyond the bounds of a job count as kept, not as decoded."""

    async def work() -> None:
        async with service() as decode:
            huge = CodedPicture(1.0, (bytes(limits.MAX_PICTURE + 1),))
            facts = await decode.judge(
                sample("H264", coded(at_s=0.0), huge, coded(at_s=2.0)), camera="a", deadline=later()
            )
            assert (facts.kept, facts.decoded, facts.span_s) == (3, 2, 2.0)

    run(work())


def test_a_process_whose_hub_has_gone_does_not_compute_for_ever() -> None:
    """The kernel itself ends a job that used up its processor time, though nobody is there to kill it."""

    async def work() -> int:
        process = await DecodeProcess.start(DecodeSetup(command=PROGRAM))
        job = m.StillJob(1, "H264", (b"spin",), 160, 1)
        await process._child.say(job)
        process._child._writer.close()
        return await process.gone()

    assert run(work()) == -signal.SIGXCPU


@pytest.mark.parametrize("platform", ["x86_64", "aarch64"])
def test_the_filter_says_no_unless_a_call_is_listed(platform: str) -> None:
    """The program is walked as the kernel does: other architectures die, listed calls pass, the rest is refused."""
    machine = calls.MACHINES[platform]
    code = calls.strict(machine)
    assert len(code) // 8 <= 4096  # BPF_MAXINSNS

    def verdict(number: int, *arguments: int, audit: int = machine.audit) -> int:
        data = struct.pack("=IIQ6Q", number, audit, 0, *(*arguments, *(0,) * (6 - len(arguments))))
        steps = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
        at = held = 0
        while True:
            kind, yes, no, value = steps[at]
            at += 1
            match kind:
                case 0x20:
                    (held,) = struct.unpack_from("=I", data, value)
                case 0x15:
                    at += yes if held == value else no
                case 0x45:
                    at += yes if held & value else no
                case 0x06:
                    return value

    allow, deny, kill = calls.ALLOW, calls.DENY, calls.KILL
    assert verdict(machine.plain[0], audit=0x4000_0003) == kill
    assert {verdict(number) for number in machine.plain} == {allow}
    for number, argument, bit in machine.without_bit:
        assert verdict(number, *(0,) * argument, 3) == allow
        assert verdict(number, *(0,) * argument, 3 | bit) == deny
    for number, argument in machine.of_self:
        assert verdict(number, *(0,) * argument, 0) == allow
        assert verdict(number, *(0,) * argument, 4711) == deny
    listed = {*machine.plain, *(one[0] for one in machine.without_bit), *(one[0] for one in machine.of_self)}
    assert {verdict(number) for number in range(512) if number not in listed} == {deny}
    assert verdict(0x4000_0000 | machine.plain[0]) == deny  # the x32 numbers
