"""Collects the observations of one RTSP probe, each with its provenance."""

from collections.abc import Iterable

from adapters.clock import Clock
from adapters.errors import AdapterError, AuthenticationFailed
from adapters.rtsp.client import Exchange
from adapters.rtsp.measure import Measured, Missing
from adapters.wire.redaction import Redactor
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance, freeze
from standards.reason import Reason

SOURCE = "rtsp/1"


def reason_of(error: AdapterError) -> Reason:
    """Return the word for observations. A login that was never tried is a missing credential, not a refusal."""
    if isinstance(error, AuthenticationFailed) and not error.credential_sent:
        return Reason.NO_CREDENTIAL
    return error.reason


class FactBook:
    """Facts by name. What was observed stays; a later absence never replaces it."""

    def __init__(self, peer: str, clock: Clock, redactor: Redactor) -> None:
        self._peer = peer
        self._clock = clock
        self._redactor = redactor
        self._facts: dict[str, Observation] = {}
        self._details: dict[str, str] = {}  # redacted: one error is the reason of many facts
        self._excerpts: dict[
            int, tuple[Exchange, tuple[str, str]]
        ] = {}  # by identity; the exchange stays alive

    def __contains__(self, name: str) -> bool:
        return name in self._facts

    def seen(
        self,
        name: str,
        value: object,
        operation: str,
        *,
        exchange: Exchange | None = None,
        duration_s: float = 0.0,
    ) -> None:
        """Note a value."""
        self._facts[name] = Observed(freeze(value), self._provenance(operation, exchange, duration_s))

    def missed(
        self,
        name: str,
        reason: Reason,
        detail: str,
        operation: str,
        *,
        exchange: Exchange | None = None,
        excerpt: str = "",
    ) -> None:
        """Note an absence, unless the fact is known already."""
        if name not in self._facts:
            told = self._details.get(detail)
            if told is None:
                told = self._details[detail] = self._redactor.text(detail)[:400]
            self._facts[name] = NotObserved(reason, told, self._provenance(operation, exchange, 0.0, excerpt))

    def measured(
        self, prefix: str, facts: dict[str, Measured], operation: str, *, duration_s: float = 0.0
    ) -> None:
        """Note measured facts, values and absences alike."""
        for name, value in facts.items():
            if isinstance(value, Missing):
                self.missed(prefix + name, value.reason, value.detail, operation)
            else:
                self.seen(prefix + name, value, operation, duration_s=duration_s)

    def failed(self, names: Iterable[str], error: AdapterError) -> None:
        """Give every fact that is still open the error as its reason."""
        excerpt = str(getattr(error, "excerpt", ""))
        for name in names:
            self.missed(name, reason_of(error), str(error), error.operation or "RTSP", excerpt=excerpt)

    def observations(self) -> Observations:
        """Return everything."""
        return Observations(self._facts)

    def _provenance(
        self, operation: str, exchange: Exchange | None, duration_s: float, excerpt: str = ""
    ) -> Provenance:
        kept, digest = "", ""
        if exchange is not None:
            known = self._excerpts.get(id(exchange))
            if known is None:
                known = (exchange, self._redactor.excerpt(exchange.response.encode()))
                self._excerpts[id(exchange)] = known
            kept, digest = known[1]
            duration_s = exchange.duration_s
        elif excerpt:
            kept, digest = self._redactor.excerpt(excerpt.encode())
        return Provenance(
            Method.TEST,
            SOURCE,
            operation,
            self._peer,
            self._clock.now(),
            duration_s,
            kept,
            digest,
        )
