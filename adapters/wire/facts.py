"""Collects the facts of one probe: each is observed, or not observed with a reason and the read named."""

from collections.abc import Iterable

from adapters.clock import Clock
from adapters.errors import AdapterError, AuthenticationFailed, TimedOut
from adapters.wire.http import HttpReply
from adapters.wire.redaction import Redactor
from standards.facts import FACTS
from standards.observation import (
    Method,
    NotObserved,
    Observation,
    Observations,
    Observed,
    Provenance,
    Value,
)
from standards.reason import Reason


def why(error: AdapterError) -> tuple[Reason, str]:
    """Return the reason and the one-sentence detail of an error."""
    if isinstance(error, TimedOut):
        return error.reason, f"{error.phase}: no answer in {error.waited_s:.1f} s"
    if isinstance(error, AuthenticationFailed) and not error.credential_sent:
        return Reason.NO_CREDENTIAL, str(error)
    return error.reason, str(error)


class FactBook:
    """Facts by name, with their provenance. What was seen stays seen; a miss gives way to a sight."""

    def __init__(self, source: str, peer: str, clock: Clock, redactor: Redactor) -> None:
        self._source = source
        self._peer = peer
        self._clock = clock
        self._redactor = redactor
        self._by_name: dict[str, Observation] = {}

    def saw(
        self, fact: str, value: Value, operation: str, http: HttpReply | None = None, *, quote: bool = False
    ) -> None:
        """Record what was seen. `quote` keeps a redacted piece of the reply beside it."""
        self._by_name[_known(fact)] = Observed(value, self._provenance(operation, http, quote=quote))

    def missed(self, facts: Iterable[str], reason: Reason, detail: str, operation: str) -> None:
        """Record why facts were not seen. What was seen already stays, and so does the first reason."""
        for fact in facts:
            if _known(fact) not in self._by_name:
                self._by_name[fact] = NotObserved(
                    reason, detail, self._provenance(operation, None, quote=False)
                )

    def failed(self, facts: Iterable[str], error: AdapterError, operation: str) -> None:
        """Record facts that an error kept from being seen."""
        reason, detail = why(error)
        self.missed(facts, reason, detail, operation)

    def seen(self, fact: str) -> bool:
        """Tell whether a fact was observed."""
        return isinstance(self._by_name.get(fact), Observed)

    def value(self, fact: str) -> Value:
        """Return the value of an observed fact, else None."""
        found = self._by_name.get(fact)
        return found.value if isinstance(found, Observed) else None

    def absence(self, fact: str) -> tuple[Reason, str] | None:
        """Return why a fact was not seen, None where it was, or where nothing was said about it."""
        found = self._by_name.get(fact)
        return (found.reason, found.detail) if isinstance(found, NotObserved) else None

    def observations(self) -> Observations:
        """Return what was collected."""
        return Observations(self._by_name)

    def _provenance(self, operation: str, http: HttpReply | None, *, quote: bool) -> Provenance:
        excerpt, digest, at, took_s = "", "", self._clock.now(), 0.0
        if http is not None:
            at, took_s = http.started_at, http.took_s
            if quote and http.body:
                excerpt, digest = self._redactor.excerpt(http.body)
        return Provenance(Method.TEST, self._source, operation, self._peer, at, took_s, excerpt, digest)


def _known(fact: str) -> str:
    """Return the name, which must be one of the named facts: a rule can ask for no other."""
    if fact not in FACTS:
        raise KeyError(f"{fact} is not a named fact")
    return fact


__all__ = ["FactBook", "why"]
