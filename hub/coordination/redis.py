"""Coordination of many nodes over Redis: events, rate limits, cool-downs and probe slots.

Keys begin with ``camhub:``. Windows, slots and cool-downs end by Redis's own clock, so that nodes whose clocks
differ agree. Events reach this process's subscribers directly and other nodes through Redis; a broken connection is
made again by itself, and subscribers are told `LOST`, because events may have been missed.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.clock import Clock
from hub.coordination.memory import LocalBus, LocalSubscription, plain
from hub.coordination.port import Coordination, Verdict
from hub.store.store import new_id
from standards.observation import parse_rfc3339, rfc3339

log = structlog.get_logger("coordination")

PREFIX = "camhub:"
CHANNEL = PREFIX + "events"
TIMEOUT_S = 3.0
RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
MAX_MESSAGE = 131_072

# KEYS[1] window; ARGV limit, window in ms, count (1) or look (0). Returns hits before this one, ms left.
_HIT = """
local hits = tonumber(redis.call('GET', KEYS[1]) or '0')
local left = redis.call('PTTL', KEYS[1])
if left < 0 then hits = 0 left = tonumber(ARGV[2]) end
if ARGV[3] == '1' and hits < tonumber(ARGV[1]) then
  if hits == 0 then redis.call('SET', KEYS[1], 1, 'PX', left) else redis.call('INCR', KEYS[1]) end
end
return {hits, left}
"""

# KEYS[1] slot; ARGV token. Deletes only what is still ours.
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class CoordinationError(Exception):
    """Redis cannot be used; the message says what was seen and what to do."""


class RedisLimiter:
    """Rate limits shared by all nodes."""

    def __init__(self, client: Redis) -> None:
        self._hit = client.register_script(_HIT)
        self._client = client

    async def hit(self, key: str, limit: int, window_s: float) -> Verdict:
        """Count one hit, in one step at the server."""
        return await self._ask(key, limit, window_s, "1")

    async def peek(self, key: str, limit: int, window_s: float) -> Verdict:
        """Return what `hit` would, without counting."""
        return await self._ask(key, limit, window_s, "0")

    async def reset(self, key: str) -> None:
        """Forget a key."""
        await self._client.delete(f"{PREFIX}limit:{key}")

    async def _ask(self, key: str, limit: int, window_s: float, count: str) -> Verdict:
        milliseconds = max(1, math.ceil(window_s * 1000))
        hits, left_ms = await self._hit(keys=[f"{PREFIX}limit:{key}"], args=[limit, milliseconds, count])
        if int(hits) >= limit:
            return Verdict(False, int(left_ms) / 1000, 0)
        return Verdict(True, 0.0, limit - int(hits) - 1)


class RedisBook:
    """Cool-downs and probe slots shared by all nodes."""

    def __init__(self, client: Redis, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._release = client.register_script(_RELEASE)

    async def cooldown_until(self, device: str) -> datetime | None:
        """Return the end of a running cool-down, or None."""
        told = await self._client.get(f"{PREFIX}cooldown:{device}")
        return parse_rfc3339(_text(told)) if told is not None else None

    async def start_cooldown(self, device: str, until: datetime) -> None:
        """Remember a refused credential until then."""
        milliseconds = math.ceil((until - self._clock.now()).total_seconds() * 1000)
        if milliseconds > 0:
            await self._client.set(f"{PREFIX}cooldown:{device}", rfc3339(until), px=milliseconds)

    async def clear_cooldown(self, device: str) -> None:
        """Forget the cool-down."""
        await self._client.delete(f"{PREFIX}cooldown:{device}")

    async def acquire(self, slot: str, ttl_s: float) -> str:
        """Take an exclusive slot: SET NX, ends by itself. Return its token, "" where it is taken."""
        milliseconds = max(1, math.ceil(ttl_s * 1000))
        token = new_id()
        return (
            token if await self._client.set(f"{PREFIX}slot:{slot}", token, nx=True, px=milliseconds) else ""
        )

    async def release(self, slot: str, token: str) -> None:
        """Give a slot back; one that ran out and was taken by somebody else stays theirs."""
        await self._release(keys=[f"{PREFIX}slot:{slot}"], args=[token])


class RedisBus:
    """The event bus of many nodes: local delivery at once, Redis publish and subscribe for the others."""

    def __init__(self, client: Redis, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._node = new_id()
        self._local = LocalBus()
        self._listening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe, and keep the subscription alive.

        Raises:
            CoordinationError: Redis did not confirm the subscription in time.
        """
        confirmed = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(confirmed), name="coordination-events")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await confirmed.wait()
        except TimeoutError as error:
            await self.aclose()
            raise CoordinationError(
                "Redis did not confirm the subscription to events; check the server"
            ) from error

    async def publish(self, topic: str, data: Mapping[str, Any]) -> None:
        """Tell this process at once, then the other nodes."""
        text = plain(topic, data)
        self._local.deliver(topic, text)
        message = json.dumps({"node": self._node, "topic": topic, "text": text}, ensure_ascii=False)
        try:
            await self._client.publish(CHANNEL, message)
        except (RedisError, OSError) as error:
            log.warning("bus.publish_failed", topic=topic, cause=type(error).__name__)

    def subscribe(self, *topics: str) -> LocalSubscription:
        """Listen from now on."""
        return self._local.subscribe(*topics)

    async def aclose(self) -> None:
        """End the listener and all subscriptions."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
            self._listening = None
        await self._local.aclose()

    async def _listen(self, confirmed: asyncio.Event) -> None:
        failures = 0
        while True:
            try:
                async with self._client.pubsub() as channel:
                    await channel.subscribe(CHANNEL)
                    while True:
                        message = await channel.get_message(timeout=None)
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            if confirmed.is_set():
                                log.info("bus.connected_again")
                                self._local.lost()
                            confirmed.set()
                            failures = 0
                        elif message["type"] == "message":
                            self._receive(message["data"])
            except (RedisError, OSError) as error:
                wait_s = RETRY_S[min(failures, len(RETRY_S) - 1)]
                failures += 1
                log.warning("bus.connection_lost", cause=type(error).__name__, retry_s=wait_s)
                await self._clock.sleep(wait_s)

    def _receive(self, data: Any) -> None:
        """Hand on an event of another node; what is not one of ours is logged and dropped."""
        try:
            raw = _text(data)
            if len(raw) > MAX_MESSAGE:
                raise ValueError("too long")
            told = json.loads(raw)
            node, topic, text = str(told["node"]), str(told["topic"]), str(told["text"])
            if not isinstance(json.loads(text), dict):
                raise ValueError("no object")
        except (ValueError, KeyError, TypeError) as error:
            log.warning("bus.message_unreadable", cause=type(error).__name__)
            return
        if node != self._node:
            self._local.deliver(topic, text)


async def connect(address: str, clock: Clock) -> Coordination:
    """Connect to Redis and start listening.

    Raises:
        CoordinationError: the address cannot be understood, or nobody answers there.
    """
    parts = urlsplit(address)
    shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    try:
        client = Redis.from_url(
            address, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, health_check_interval=15
        )
        port = parts.port or 6379
    except ValueError as error:
        raise CoordinationError(
            f"the Redis address {shown} cannot be understood. Write redis://host:6379/0"
        ) from error
    try:
        await cast(Awaitable[Any], client.ping())
        bus = RedisBus(client, clock)
        await bus.start()
    except (RedisError, OSError) as error:
        await client.aclose()
        raise CoordinationError(
            f"Redis at {shown} does not answer ({type(error).__name__}). "
            "Start it, correct the address, or leave redis_url unset: one process needs none"
        ) from error
    except BaseException:
        await client.aclose()
        raise

    async def close() -> None:
        await bus.aclose()
        await client.aclose()

    peers = ((parts.hostname, port),) if parts.hostname else ()
    return Coordination(bus, RedisLimiter(client), RedisBook(client, clock), peers, close)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
