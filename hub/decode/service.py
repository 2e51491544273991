"""Decoding for the rest of the hub: a small pool of confined processes, started with it and replaced when they die.

Whatever a picture does to its process costs that job, is told by a typed error, and is counted against its camera.
"""

import asyncio
import contextlib
import itertools
import math
import os
import random
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.port import CodedPicture, CodedSample
from hub.decode import limits
from hub.decode import messages as m
from hub.decode.confine import Confinement
from hub.decode.errors import (
    SAID_BY_WORKER,
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
from hub.decode.process import DecodeProcess, DecodeSetup, processor_s
from hub.observe import Metrics

log = structlog.get_logger(__name__)

SOURCE: Final = "decode/1"  # of observations
_FIRST_START_S: Final = 35.0  # how long `settled` waits to say what confinement there is
_MAX_WAITING: Final = 64  # jobs that wait for a process
_LEAST_S: Final = 0.1  # a job that has less time left is not begun
_STRIKES: Final = 2
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 15.0
_CAMERAS_REMEMBERED: Final = 10_000
_KILLED: Final = (DecodeTimedOut, DecoderCrashed, OutOfMemory)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Still:
    """A picture as the hub coded it anew: a baseline JPEG without anything of the camera's but the picture."""

    jpeg: bytes
    width: int  # px
    height: int


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What several pictures of one stream say.

    Luma is on the full 8 bit scale (black 0, white 255) over all decoded pictures; `sharpness` is the variance of the
    Laplacian of luma at 320x180, median over the pictures; `changes` counts the steps between decoded pictures in which
    any pixel of that size moved by more than 1 level, `changed_share` is the largest share of 16 x 9 blocks in which one
    did in one step, `still_s` the longest time without such a step; `span_s` lies between the first and the last decoded picture.
    """

    kept: int  # pictures that were handed over
    decoded: int
    luma_mean: float
    luma_deviation: float
    sharpness: float
    changes: int
    changed_share: float
    still_s: float
    span_s: float
    width: int  # px, of the last decoded picture
    height: int


class DecodeService:
    """The decode processes of one hub. `start` before the first job, `aclose` at the end."""

    def __init__(self, setup: DecodeSetup, *, clock: Clock, metrics: Metrics) -> None:
        self._setup = setup
        self._clock = clock
        self._metrics = metrics
        self._idle: asyncio.Queue[DecodeProcess] = asyncio.Queue()
        self._processes: set[DecodeProcess] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._jobs: set[asyncio.Task[Any]] = set()
        self._told = asyncio.Event()  # the first start succeeded or failed
        self._waiting = 0
        self._numbers = itertools.count(1)
        self._strikes: OrderedDict[str, list[float]] = OrderedDict()
        self._closing = False
        self.confinement: Confinement | None = None  # of the newest process
        self.trouble = "the decode process has not started yet"  # "" while one works

    def start(self) -> None:
        """Begin to start the processes; jobs wait for the first one."""
        count = max(1, min(self._setup.processes, (os.cpu_count() or 2) - 1))
        self._keepers = [asyncio.create_task(self._keep(), name=f"decode {one}") for one in range(count)]

    async def settled(self) -> None:
        """Wait until the first process works or could not be started (see `trouble`)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_START_S):
                await self._told.wait()

    async def aclose(self) -> None:
        """End every process. Jobs that run end with `DecodeUnavailable`. Idempotent."""
        self._closing = True
        for task in (*self._keepers, *self._jobs):
            task.cancel()
        await asyncio.gather(*self._keepers, *self._jobs, return_exceptions=True)
        await asyncio.gather(*(process.end() for process in tuple(self._processes)), return_exceptions=True)
        self._processes.clear()

    @property
    def pids(self) -> tuple[int, ...]:
        """Return the ids of the processes that live."""
        return tuple(sorted(process.pid for process in self._processes if process.alive))

    async def still(
        self,
        picture: CodedPicture,
        codec: str,
        *,
        camera: str,
        max_width: int,
        deadline: Deadline,
        masks: tuple[tuple[tuple[float, float], ...], ...] = (),
    ) -> Still:
        """Return one key frame (or JPEG) coded anew, scaled down to `max_width` px where it is wider.

        Zones of `masks` (polygons, corners from 0 to 1) are black in it. `camera` names whose picture it is: pictures that end a process are counted by it.

        Raises:
            DecodeError: see `hub.decode.errors`.
        """
        self._check(picture.nals, codec)

        def job(number: int, cpu_s: int) -> m.Job:
            return m.StillJob(number, codec, picture.nals, max_width, cpu_s, masks)

        reply = await self._run("still", job, camera, deadline)
        if not isinstance(reply, m.StillDone) or not reply.jpeg.startswith(b"\xff\xd8\xff"):
            raise DecoderCrashed("the decode process answered a still with something else")
        return Still(reply.jpeg, reply.width, reply.height)

    async def judge(self, sample: CodedSample, *, camera: str, deadline: Deadline) -> PictureFacts:
        """Return the numbers of the sample's pictures. Too many or too large ones are left out, and count as not decoded.

        Raises:
            DecodeError: see `hub.decode.errors`; `NotDecodable` where not one picture could be decoded.
        """
        pictures = _within_bounds(sample.pictures)
        if not pictures:
            raise TooLarge("no picture of the sample is small enough to be decoded")
        self._check((), sample.codec)

        def job(number: int, cpu_s: int) -> m.Job:
            return m.JudgeJob(number, sample.codec, tuple(picture.nals for picture in pictures), cpu_s)

        told = await self._run("judge", job, camera, deadline)
        if not isinstance(told, m.Judged) or not _plausible(told, len(pictures)):
            raise DecoderCrashed("the decode process answered with numbers that cannot be")
        times = [pictures[place].at_s for place in told.decoded]
        return PictureFacts(
            kept=len(sample.pictures),
            decoded=len(told.decoded),
            luma_mean=round(told.luma_mean, 1),
            luma_deviation=round(told.luma_deviation, 1),
            sharpness=round(told.sharpness, 1),
            changes=sum(1 for share in told.moved if share > 0),
            changed_share=round(max(told.moved, default=0.0), 3),
            still_s=round(_longest_still(times, told.moved), 2),
            span_s=round(max(times) - min(times), 2),
            width=told.width,
            height=told.height,
        )

    # --- jobs

    @staticmethod
    def _check(nals: tuple[bytes, ...], codec: str) -> None:
        if codec not in limits.CODECS:
            raise NotDecodable(f"pictures coded as {codec[:20] or 'nothing known'} are not decoded")
        if sum(map(len, nals)) > limits.MAX_PICTURE or len(nals) > limits.MAX_NALS:
            raise TooLarge("the coded picture has more bytes or more units than allowed")

    async def _run(
        self, kind: str, make: Callable[[int, int], m.Job], camera: str, deadline: Deadline
    ) -> m.FromWorker:
        """Do a job in the next free process; count what came of it.

        Whoever asked may leave: the job is finished all the same, so that its process stays in step.
        """
        try:
            self._admit(camera)
            process = await self._free(deadline)
            done = self._spawn(self._do(process, make, camera, deadline))
            await asyncio.wait({done})
            if done.cancelled():
                raise DecodeUnavailable("the hub stops")
            reply = done.result()
        except DecodeError as error:
            self._metrics.decode_jobs.labels(kind, error.code).inc()
            raise
        except asyncio.CancelledError:
            self._metrics.decode_jobs.labels(kind, "left").inc()
            raise
        if isinstance(reply, m.Refused):
            refusal = SAID_BY_WORKER.get(reply.code, NotDecodable)(reply.detail)
            self._metrics.decode_jobs.labels(kind, refusal.code).inc()
            raise refusal
        self._metrics.decode_jobs.labels(kind, "ok").inc()
        return reply

    def _admit(self, camera: str) -> None:
        if self._closing:
            raise DecodeUnavailable("the hub stops")
        now_s = self._clock.monotonic()
        strikes = [at_s for at_s in self._strikes.get(camera, ()) if now_s - at_s < self._setup.refused_s]
        if len(strikes) >= _STRIKES:
            raise CameraRefused(
                f"pictures of this camera ended a decode process {len(strikes)} times; "
                f"none is decoded for {self._setup.refused_s - (now_s - strikes[-1]):.0f} s"
            )
        if self._waiting >= _MAX_WAITING:
            raise DecodeBusy(f"{self._waiting} pictures wait to be decoded already")

    async def _free(self, deadline: Deadline) -> DecodeProcess:
        """Wait for a free process."""
        self._waiting += 1
        try:
            async with asyncio.timeout(deadline.remaining_s()):
                while True:
                    process = await self._idle.get()
                    try:
                        alive = await process.still_alive()
                    except BaseException:
                        self._idle.put_nowait(process)  # whoever asked has left
                        raise
                    if alive:
                        break
        except TimeoutError as error:
            if self.trouble:
                raise DecodeUnavailable(self.trouble) from error
            raise DecodeBusy("no decode process became free in time") from error
        finally:
            self._waiting -= 1
        if deadline.remaining_s() < _LEAST_S:
            self._idle.put_nowait(process)
            raise DecodeBusy("no decode process became free in time")
        return process

    async def _do(
        self, process: DecodeProcess, make: Callable[[int, int], m.Job], camera: str, deadline: Deadline
    ) -> m.FromWorker:
        within_s = min(self._setup.job_s, deadline.remaining_s())
        try:
            reply = await process.ask(make(next(self._numbers), processor_s(within_s)), within_s)
        except _KILLED as error:
            self._metrics.decode_kills.labels(error.code).inc()
            log.warning("decode.process.ended", camera=camera, code=error.code, detail=str(error))
            # A job that had little time, or a busy machine, says nothing about its picture.
            short = within_s < self._setup.job_s / 2
            if not (isinstance(error, DecodeTimedOut) and (error.starved or short)):
                self._strike(camera)
            raise
        if process.jobs >= self._setup.jobs:
            await process.end()
        else:
            self._idle.put_nowait(process)
        return reply

    def _strike(self, camera: str) -> None:
        strikes = self._strikes.pop(camera, [])
        self._strikes[camera] = [*strikes, self._clock.monotonic()][-_STRIKES:]
        while len(self._strikes) > _CAMERAS_REMEMBERED:
            self._strikes.popitem(last=False)

    def _spawn(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        task.add_done_callback(_seen)
        return task

    # --- processes

    async def _keep(self) -> None:
        """Keep one process: start it, wait until it has gone, start another."""
        failures = 0
        while True:
            try:
                process = await DecodeProcess.start(self._setup)
            except DecodeUnavailable as error:
                failures += 1
                self.trouble = str(error)
                log.error("decode.process.not_started", detail=str(error))
                self._told.set()
                await self._pause(failures)
                continue
            self._processes.add(process)
            self._ready(process)
            self._idle.put_nowait(process)
            await process.gone()
            await process.end()  # closes our side
            self._processes.discard(process)
            if process.jobs >= self._setup.jobs:
                failures = 0  # replaced as planned
                continue
            failures = failures + 1 if process.jobs <= 1 else 1
            await self._pause(failures)

    def _ready(self, process: DecodeProcess) -> None:
        held = process.confinement
        first = self.confinement != held
        self.confinement, self.trouble = held, ""
        self._told.set()
        if held.unconfined:
            log.error("decode.process.unconfined", pid=process.pid, missing=held.missing)
        elif first:
            log.info("decode.process.ready", pid=process.pid, confined=held.applied, missing=held.missing)
        else:
            log.debug("decode.process.ready", pid=process.pid)

    async def _pause(self, failures: int) -> None:
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures - 1, 10))
        # Jitter: several processes that died of one cause do not come back in one instant.
        await self._clock.sleep(pause_s * random.uniform(0.7, 1.3))  # noqa: S311  no secret depends on it


def _within_bounds(pictures: tuple[CodedPicture, ...]) -> list[CodedPicture]:
    """Return the pictures that fit into one job, in their order."""
    out: list[CodedPicture] = []
    room = limits.MAX_JOB
    for picture in pictures:
        size = sum(map(len, picture.nals))
        if size <= min(room, limits.MAX_PICTURE) and len(picture.nals) <= limits.MAX_NALS:
            out.append(picture)
            room -= size
        if len(out) == limits.MAX_PICTURES:
            break
    return out


def _plausible(told: m.Judged, asked: int) -> bool:
    """Tell whether numbers can be: finite, and about pictures that were asked for, each once."""
    places = told.decoded
    return (
        0 < len(places) <= asked
        and all(0 <= place < asked for place in places)
        and list(places) == sorted(set(places))
        and len(told.moved) == len(places) - 1
        and all(map(math.isfinite, (*told.moved, told.luma_mean, told.luma_deviation, told.sharpness)))
    )


def _longest_still(times: Sequence[float], moved: Sequence[float]) -> float:
    """Return the longest time over neighbouring steps in which nothing moved."""
    longest = since = 0.0
    for (earlier, later), share in zip(itertools.pairwise(times), moved, strict=True):
        since = 0.0 if share > 0 else since + (later - earlier)
        longest = max(longest, since)
    return longest


def _seen(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()  # whoever asked may have left; either way it is not "never retrieved"
