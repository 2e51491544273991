"""Collects the facts of one probe: each is observed, or not observed with a reason and the step named."""

from collections.abc import Iterable
from functools import cache

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

SOURCE = "onvif/1"
_TEST = Method.TEST


def why(error: AdapterError) -> tuple[Reason, str]:
    """Return the reason and the one-sentence detail of an error."""
    if isinstance(error, TimedOut):
        return error.reason, f"{error.phase}: no answer in {error.waited_s:.1f} s"
    if isinstance(error, AuthenticationFailed) and not error.credential_sent:
        return Reason.NO_CREDENTIAL, str(error)
    return error.reason, str(error)


class Facts:
    """Facts by name, with their provenance. The first word about a fact stands, unless it was a miss."""

    def __init__(self, peer: str, clock: Clock, redactor: Redactor) -> None:
        self._peer = peer
        self._clock = clock
        self._redactor = redactor
        self._by_name: dict[str, Observation] = {}
        # By operation and the reply's identity; the reply stays alive with them
        self._provenances: dict[tuple[object, int], tuple[HttpReply, Provenance]] = {}
        # Likewise, for one reply that tells of several operations
        self._excerpts: dict[int, tuple[str, str]] = {}

    def saw(self, fact: str, value: Value, operation: object, http: HttpReply | None = None) -> None:
        """Record what was seen, with the reply as evidence where there is one."""
        if fact not in FACTS:
            raise _unknown(fact)
        self._by_name[fact] = Observed(value, self._provenance(operation, http))

    def missed(self, facts: Iterable[str], reason: Reason, detail: str, operation: object) -> None:
        """Record why facts were not seen. What was seen already stays."""
        missing: NotObserved | None = None  # one for all of them
        for fact in facts:
            if fact not in FACTS:
                raise _unknown(fact)
            if not isinstance(self._by_name.get(fact), Observed):
                missing = missing or NotObserved(reason, detail, self._provenance(operation, None))
                self._by_name[fact] = missing

    def failed(self, facts: Iterable[str], error: AdapterError, operation: object) -> None:
        """Record facts that an error kept from being seen."""
        reason, detail = why(error)
        self.missed(facts, reason, detail, operation)

    def knows(self, fact: str) -> bool:
        """Tell whether anything was recorded about a fact."""
        return fact in self._by_name

    def value(self, fact: str) -> Value:
        """Return the value of a fact that was seen, else None."""
        told = self._by_name.get(fact)
        return told.value if isinstance(told, Observed) else None

    def reason(self, fact: str) -> Reason | None:
        """Return why a fact was not seen; None where it was, or where nothing was said about it."""
        told = self._by_name.get(fact)
        return told.reason if isinstance(told, NotObserved) else None

    def complete(
        self,
        prefixes: Iterable[str],
        apart: frozenset[str],
        reason: Reason,
        detail: str,
        operation: object,
    ) -> None:
        """Record every fact of these prefixes, except those set apart, that nothing was said about yet."""
        begun = _named(tuple(prefixes))
        self.missed(
            [name for name in begun if name not in self._by_name and name not in apart],
            reason,
            detail,
            operation,
        )

    def observations(self) -> Observations:
        """Return what was collected."""
        return Observations(self._by_name)

    def _provenance(self, operation: object, http: HttpReply | None) -> Provenance:
        if http is None:
            return Provenance(_TEST, SOURCE, str(operation), self._peer, self._clock.now())
        key = (operation, id(http))
        known = self._provenances.get(key)
        if known is None:
            excerpt, digest = self._excerpt(http) if http.body else ("", "")
            told = Provenance(
                _TEST, SOURCE, str(operation), self._peer, http.started_at, http.took_s, excerpt, digest
            )
            known = self._provenances[key] = (http, told)
        return known[1]

    def _excerpt(self, http: HttpReply) -> tuple[str, str]:
        """Return the evidence piece of a reply: its Body, without the namespaces before it."""
        kept = self._excerpts.get(id(http))
        if kept is None:
            start = http.body.find(b"Body>")
            piece = http.body[start + 5 :] if start >= 0 else http.body
            kept = self._excerpts[id(http)] = self._redactor.excerpt(piece)
        return kept


@cache
def _named(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the named facts of these prefixes."""
    return tuple(name for name in FACTS if name.startswith(prefixes))


def _unknown(fact: str) -> KeyError:
    """Return the error for a name that is none of the named facts: a rule can ask for no other."""
    return KeyError(f"{fact} is not a named fact")
