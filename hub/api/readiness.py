"""Whether the parts of a hub that others depend on work now: what ``/readyz`` tells."""

from hub.decode.service import DecodeService
from hub.relay.workers.service import RelayService
from hub.store.errors import StoreError
from hub.store.store import Store


class Readiness:
    """Asks each part."""

    def __init__(self, store: Store, relay: RelayService, decode: DecodeService) -> None:
        self._store = store
        self._relay = relay
        self._decode = decode

    async def parts(self) -> dict[str, str]:
        """Return the trouble of each part by name, "" where it works."""
        trouble = "; ".join(worker.trouble for worker in self._relay.workers() if worker.trouble)
        parts = {
            "store": "",
            "relay": "" if self._relay.worker_pid is not None else f"no relay worker runs: {trouble}",
            "decode": self._decode.trouble
            or ("works unconfined on this machine; see the log" if self._unconfined else ""),
        }
        if trouble:
            parts["relay_workers"] = trouble
        try:
            await self._store.ping()
        except StoreError as error:
            parts["store"] = str(error)
        return parts

    @property
    def _unconfined(self) -> bool:
        return self._decode.confinement is None or self._decode.confinement.unconfined
