"""The process that judges: profiles compiled once, facts in, verdicts out. It opens no store, no key and no socket."""

import gc
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.catalog.judgements import unpack_facts
from standards.compiled import NO_REASON, VERDICTS, CompiledProfile
from standards.observation import canonical_json
from standards.pack import Packs, packaged, packaged_with
from standards.reason import Reason
from standards.rule import Rule
from standards.verdict import RANK, Verdict
from standards.wording import LANGUAGES
from standards.words import REASON_WORDS, generic

_FIRST = ord("A")
_REASONS = tuple(Reason)


@dataclass(frozen=True, slots=True)
class Asked:
    """One camera to be judged: its packed facts, and what is known of it today."""

    standard: str
    facts: bytes
    known: Mapping[str, Any]  # facts of today that replace those of then, where there were such
    on_probation: bool
    waived: tuple[str, ...] = ()
    lapsed: tuple[str, ...] = ()


# decision, verdicts, reasons, counts, reasons for lists as JSON; or what went wrong
Judged = tuple[str, str, str, dict[str, int], str]


class Judge:
    """Judges cameras by the packs it was given. Lives in the judging process, or in a test."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs
        self._profiles: dict[str, tuple[CompiledProfile, dict[tuple[int, str, str], str]]] = {}

    def judge(self, one: Asked) -> Judged | str:
        """Return what the standard says of a camera, or one sentence why it cannot be said."""
        try:
            facts = unpack_facts(one.facts)
        except ValueError as error:
            return str(error)
        for fact, value in one.known.items():
            if fact in facts:
                facts[fact] = value
        profile, _said = self._profile(one.standard)
        found = profile.judge(
            facts, on_probation=one.on_probation, waived=frozenset(one.waived), lapsed=frozenset(one.lapsed)
        )
        because = self._because(one.standard, found.verdicts, found.reasons)
        return str(found.decision), found.verdicts, found.reasons, found.counts, because

    def _profile(self, standard: str) -> tuple[CompiledProfile, dict[tuple[int, str, str], str]]:
        made = self._profiles.get(standard)
        if made is None:
            made = self._profiles[standard] = (CompiledProfile(self._packs.profile(standard)), {})
        return made

    def _because(self, standard: str, verdicts: str, reasons: str) -> str:
        """Return what lowers the decision, the most decisive first, as the JSON that lists of cameras show."""
        profile, said = self._profile(standard)
        rules = profile.profile.rules
        lowering = [place for place, letter in enumerate(verdicts) if letter.isupper()]
        lowering.sort(
            key=lambda place: (-rules[place].severity.weight, RANK[VERDICTS[verdicts[place].lower()]])
        )
        parts = []
        for place in lowering:
            key = (place, verdicts[place], reasons[place])
            text = said.get(key)
            if text is None:
                text = said[key] = _reason(rules[place], verdicts[place], reasons[place])
            parts.append(text)
        return f"[{','.join(parts)}]"


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


def judge_all(asked: list[Asked]) -> list[Judged | str]:
    """Judge a batch, in the judging process."""
    assert _judge is not None
    return [_judge.judge(one) for one in asked]
