"""Which coordination a hub gets: Redis where an address is given, else its own process and its store."""

from adapters.clock import Clock
from adapters.secret import Secret
from hub.coordination.memory import LocalBus, LocalLimiter
from hub.coordination.port import Coordination
from hub.coordination.stored import StoredBook
from hub.store.store import Store


async def coordination_for(url: Secret | str | None, clock: Clock, store: Store) -> Coordination:
    """Build the coordination of a hub.

    `url`: ``redis://``, ``rediss://`` or ``unix://``; None or "" means that one process is enough.

    Raises:
        CoordinationError: Redis cannot be reached, or the address cannot be understood.
    """
    address = url.reveal() if isinstance(url, Secret) else url
    if address:
        from hub.coordination.redis import connect

        return await connect(address, clock)
    book = StoredBook(store)
    if store.dialect == "sqlite":
        await book.forget_slots()
    bus = LocalBus()
    return Coordination(bus, LocalLimiter(clock), book, (), bus.aclose)
