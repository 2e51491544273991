"""Collects the observations of one RTSP probe, each with its provenance."""

from collections.abc import Iterable

from adapters.clock import Clock
from adapters.errors import AdapterError, AuthenticationFailed
from adapters.rtsp.dialogue import Exchange
from adapters.rtsp.measure import Measured, Missing
from adapters.wire.redaction import Redactor
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance, freeze
from standards.reason import Reason

SOURCE = "rtsp/1"
_TEST = Method.TEST


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
        self._absences: dict[
            tuple[Reason, str, str], NotObserved
        ] = {}  # those without an exchange of their own
        self._provenances: dict[
            tuple[str, int], tuple[Exchange, Provenance]
        ] = {}  # by operation and the exchange's identity; the exchange stays alive
        self._excerpts: dict[int, tuple[str, str]] = {}  # likewise

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
        if name in self._facts:
            return
        bare = exchange is None and not excerpt
        key = (reason, detail, operation)
        known = self._absences.get(key) if bare else None
        if known is None:
            told = self._details.get(detail)
            if told is None:
                told = self._details[detail] = self._redactor.text(detail)[:400]
            known = NotObserved(reason, told, self._provenance(operation, exchange, 0.0, excerpt))
            if bare:
                self._absences[key] = known
        self._facts[name] = known

    def measured(
        self, prefix: str, facts: dict[str, Measured], operation: str, *, duration_s: float = 0.0
    ) -> None:
        """Note measured facts, values and absences alike."""
        provenance = self._provenance(operation, None, duration_s)
        for name, value in facts.items():
            if isinstance(value, Missing):
                self.missed(prefix + name, value.reason, value.detail, operation)
            else:
                self._facts[prefix + name] = Observed(freeze(value), provenance)

    def failed(self, names: Iterable[str], error: AdapterError) -> None:
        """Give every fact that is still open the error as its reason."""
        excerpt = str(getattr(error, "excerpt", ""))
        reason, detail, operation = reason_of(error), str(error), error.operation or "RTSP"
        self.all_missed(names, reason, detail, operation, excerpt=excerpt)

    def all_missed(
        self, names: Iterable[str], reason: Reason, detail: str, operation: str, *, excerpt: str = ""
    ) -> None:
        """Note one absence for every one of these facts that is still open."""
        still_open = [name for name in names if name not in self._facts]
        if still_open:
            self.missed(still_open[0], reason, detail, operation, excerpt=excerpt)
            self._facts.update(dict.fromkeys(still_open, self._facts[still_open[0]]))

    def observations(self) -> Observations:
        """Return everything."""
        return Observations(self._facts)

    def _provenance(
        self, operation: str, exchange: Exchange | None, duration_s: float, excerpt: str = ""
    ) -> Provenance:
        if exchange is None:
            kept, digest = self._redactor.excerpt(excerpt.encode()) if excerpt else ("", "")
            return Provenance(
                _TEST, SOURCE, operation, self._peer, self._clock.now(), duration_s, kept, digest
            )
        key = (operation, id(exchange))
        known = self._provenances.get(key)
        if known is None:
            shown = self._excerpts.get(id(exchange))
            if shown is None:
                shown = self._redactor.excerpt(exchange.response.encode())
                self._excerpts[id(exchange)] = shown
            now = self._clock.now()
            told = Provenance(_TEST, SOURCE, operation, self._peer, now, exchange.duration_s, *shown)
            known = self._provenances[key] = (exchange, told)
        return known[1]
