"""What follows when a statement begins or ends: the cameras it is about are judged again, without a packet.

One task works through them one by one and in bounded batches; a waiver for a province does not hold up anybody. It also
notices what has run out: waivers, attestations and declarations end by the clock, and their cameras are judged again
within `TICK_S`. What a stopping hub leaves in the queue is judged at the camera's next check.
"""

import asyncio

import structlog

from adapters.clock import Clock
from hub.compliance.declarations import Declarations
from hub.compliance.selector import Selector
from hub.compliance.statements import Statements
from hub.onboarding.service import OnboardingService
from hub.store.chain import HUB
from hub.store.errors import ServiceError

TICK_S = 30.0
log = structlog.get_logger("restating")


class Restating:
    """Judges cameras again after statements. Start it once; `aclose` ends it between two cameras."""

    def __init__(
        self, statements: Statements, declarations: Declarations, onboarding: OnboardingService, clock: Clock
    ) -> None:
        self._statements = statements
        self._declarations = declarations
        self._onboarding = onboarding
        self._clock = clock
        self._queue: asyncio.Queue[Selector] = asyncio.Queue()
        self._waiting: dict[Selector, None] = {}  # asked for and not begun: asked again, it is still one
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._work(), name="restating")

    async def aclose(self) -> None:
        """End; what is being written is written whole."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def after(self, selector: Selector) -> None:
        """Judge what a selector means again: one camera before this returns, several in the background."""
        if selector.way == "camera":
            await self._judge(selector.value)
        elif selector not in self._waiting:
            self._waiting[selector] = None
            self._queue.put_nowait(selector)

    async def tick(self) -> int:
        """Note all that has run out and judge its cameras again; returns how many statements and cameras that were."""
        noted = 0
        while selectors := await self._statements.settle_due(self._clock.now()):
            noted += len(selectors)
            for selector in selectors:
                await self._all(selector)
        while cameras := await self._declarations.settle_due(self._clock.now()):
            noted += len(cameras)
            for camera_id in cameras:
                await self._judge(camera_id)
        return noted

    async def settled(self) -> None:
        """Return once nothing waits."""
        await self._queue.join()

    async def _work(self) -> None:
        while True:
            try:
                selector = await asyncio.wait_for(self._queue.get(), TICK_S)
            except TimeoutError:
                selector = None
            try:
                if selector is not None:
                    self._waiting.pop(selector, None)
                    await self._all(selector)
                await self.tick()
            except Exception as error:
                log.error("restating.failed", exc_info=error)
            finally:
                if selector is not None:
                    self._queue.task_done()

    async def _all(self, selector: Selector) -> None:
        after, judged = "", 0
        while batch := await self._statements.affected(selector, after):
            for camera_id in batch:
                judged += await self._judge(camera_id)
                await asyncio.sleep(0)
            after = batch[-1]
        log.info("restating.done", way=selector.way, changed=judged)

    async def _judge(self, camera_id: str) -> bool:
        try:
            return await self._onboarding.redecide(camera_id, HUB, only_if_changed=True)
        except ServiceError:
            return False  # removed meanwhile
