"""The process that judges: profiles compiled once, facts in, verdicts out. It opens no store, no key and no socket."""

import gc
import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from hub.catalog.judgements import PackedFacts, read_facts
from standards.compiled import NO_REASON, VERDICTS, CompiledProfile, Excused, Row, Verdicts
from standards.memo import ABSENT, MOST
from standards.observation import canonical_json
from standards.pack import Packs, packaged, packaged_with
from standards.profile import StandardProfile
from standards.reason import Reason
from standards.rule import Rule
from standards.verdict import RANK, Verdict
from standards.wording import LANGUAGES
from standards.words import REASON_WORDS, generic

_FIRST = ord("A")
_REASONS = tuple(Reason)
_NOT_ASKED = ABSENT[Reason.NOT_ASKED]
_LOWERS = re.compile("[A-Z]")


@dataclass(frozen=True, slots=True)
class Asked:
    """Cameras to be judged by one standard: their packed facts, and what is known of them today."""

    standard: str
    facts: list[bytes]
    known: Mapping[str, Sequence[Any]]  # facts of today that replace those of then, where there were such
    on_probation: Sequence[bool]
    stated: Mapping[int, Excused]  # what people state of a camera, by its place


class Judged(NamedTuple):
    """What a standard says of a camera."""

    decision: str
    verdicts: str
    reasons: str
    counts: str  # as canonical JSON
    because: str  # reasons for lists, as canonical JSON


class _Ready:
    """A standard ready to judge by, and what it said before."""

    def __init__(self, profile: StandardProfile) -> None:
        self.profile = CompiledProfile(profile)
        self._said: dict[tuple[int, str, str], tuple[tuple[int, int, int], str]] = {}
        self._judged: dict[Verdicts, Judged] = {}
        self._readers: dict[tuple[str, ...], tuple[Callable[[Row], Row], Mapping[str, int]]] = {}

    def row(self, facts: PackedFacts, known: Iterable[tuple[str, Any]]) -> Row:
        """Return a camera's facts in the order in which the profile takes them, with those of today."""
        made = self._readers.get(facts.names)
        if made is None:
            if len(self._readers) >= MOST:
                self._readers.clear()
            made = self._readers[facts.names] = _reader(facts.names, self.profile.facts)
        take, places = made
        values = facts.values
        for fact, value in known:
            place = places.get(fact)
            if place is not None:
                values[place] = value
        values.append(_NOT_ASKED)
        return take(values)

    def judged(self, found: Verdicts) -> Judged:
        """Return verdicts as the store keeps them."""
        one = self._judged.get(found)
        if one is None:
            if len(self._judged) >= MOST:
                self._judged.clear()
            counts = canonical_json(found.counts).decode()
            because = self._because(found.verdicts, found.reasons)
            one = Judged(str(found.decision), found.verdicts, found.reasons, counts, because)
            self._judged[found] = one
        return one

    def _because(self, verdicts: str, reasons: str) -> str:
        """Return what lowers the decision, the most decisive first, as the JSON that lists of cameras show."""
        said, parts = self._said, []
        for found in _LOWERS.finditer(verdicts):
            place = found.start()
            key = (place, verdicts[place], reasons[place])
            one = said.get(key)
            if one is None:
                one = said[key] = self._reason(*key)
            parts.append(one)
        parts.sort()
        return f"[{','.join([text for _order, text in parts])}]"

    def _reason(self, place: int, letter: str, why: str) -> tuple[tuple[int, int, int], str]:
        """Return one reason, and what puts the most decisive first."""
        rule = self.profile.profile.rules[place]
        order = (-rule.severity.weight, RANK[VERDICTS[letter.lower()]], place)
        return order, _reason(rule, letter, why)


def _reader(
    names: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[Callable[[Row], Row], Mapping[str, int]]:
    """Return what takes the wanted facts out of a camera's values, to which NOT_ASKED is added, and where each fact is."""
    places = {name: place for place, name in enumerate(names)}
    order = [places.get(fact, len(names)) for fact in wanted]
    if len(order) > 1:
        return itemgetter(*order), places
    return lambda values: [values[place] for place in order], places


class Judge:
    """Judges cameras by the packs it was given. Lives in the judging process, or in a test."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs
        self._ready: dict[str, _Ready] = {}

    def judge(self, asked: Asked) -> list[Judged | str]:
        """Return what the standard says of each camera, or one sentence why it cannot be said."""
        ready = self._ready.get(asked.standard)
        if ready is None:
            ready = self._ready[asked.standard] = _Ready(self._packs.profile(asked.standard))
        names = tuple(asked.known)
        rows: list[Row] = []
        readable: list[int] = []
        said: list[Judged | str] = []
        for place, (packed, *known) in enumerate(zip(asked.facts, *asked.known.values(), strict=True)):
            try:
                rows.append(ready.row(read_facts(packed), zip(names, known, strict=True)))
                readable.append(place)
                said.append("")
            except ValueError as error:
                said.append(str(error))
        stated = {at: asked.stated[place] for at, place in enumerate(readable) if place in asked.stated}
        found = ready.profile.judge_many(rows, [asked.on_probation[place] for place in readable], stated)
        for place, one in zip(readable, found, strict=True):
            said[place] = ready.judged(one)
        return said


def _reason(rule: Rule, letter: str, why: str) -> str:
    """Return one reason as JSON, in the words of `brief`."""
    verdict = VERDICTS[letter.lower()]
    reason = None if why == NO_REASON else _REASONS[ord(why) - _FIRST]
    told = {
        "rule": rule.id,
        "severity": str(rule.severity),
        "verdict": str(verdict),
        "text": {language: brief(rule, verdict, reason, language) for language in LANGUAGES},
    }
    return canonical_json(told).decode()


def brief(rule: Rule, verdict: Verdict, reason: Reason | None, language: str) -> str:
    """Return a finding in one line that needs no observation: what it is about, and why or what is required."""
    frame = generic(verdict, None, "", language).rstrip(".")
    ground = REASON_WORDS[reason].in_language(language) if reason is not None else rule.required_in(language)
    title = rule.title.in_language(language)
    return f"{frame}: {title} ({ground})" if ground else f"{frame}: {title}"


_judge: Judge | None = None  # of the judging process, which does nothing else


def prepare(files: Mapping[str, str]) -> None:
    """Make the judging process ready: read the packs, leave interrupts to the hub."""
    global _judge  # noqa: PLW0603  a worker of an executor has no other place
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _judge = Judge(packaged_with(files) if files else packaged())
    gc.freeze()
    gc.set_threshold(100_000)  # what judging leaves behind has no cycles; looking for them cost a tenth


def judge_all(asked: list[Asked]) -> list[list[Judged | str]]:
    """Judge a batch, in the judging process."""
    assert _judge is not None
    return [_judge.judge(one) for one in asked]
