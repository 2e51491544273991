"""A finding: one rule's outcome on one camera's observations, and how it is said."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standards.condition import Scope, State, evaluate
from standards.observation import NotObserved, Observation, Observed, Value, thaw
from standards.reason import Reason
from standards.rule import PEOPLE, Message, Rule, condition_words
from standards.verdict import RANK, Decision, Overlay, Severity, Verdict
from standards.wording import EMPTY, LANGUAGES, Text, fill
from standards.words import REASON_WORDS, generic


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's outcome. `reason`, `fact` and `detail` say why it is not PASS; texts are made when asked for."""

    rule: Rule
    verdict: Verdict
    reason: Reason | None
    fact: str
    detail: str
    overlays: tuple[Overlay, ...]
    observations: Mapping[str, Observation]  # of the whole run, shared by all findings
    allows: Decision  # the best decision that a camera with this finding can have

    @property
    def lowers(self) -> bool:
        """Tell whether this finding keeps the camera from ADMITTED."""
        return self.allows is not Decision.ADMITTED

    @property
    def severity(self) -> Severity:
        """Return the rule's severity under this profile."""
        return self.rule.severity

    @property
    def order(self) -> tuple[int, int, tuple[int, int, str]]:
        """Return the key that puts the most decisive finding first: severity, verdict, place in the profile."""
        return (-self.severity.weight, RANK[self.verdict], self.rule.place)

    def text(self, language: str) -> str:
        """Return what happened in one or two plain sentences."""
        message = self._message
        if message is not None:
            return self._filled(message.text, language)
        return generic(self.verdict, self.reason, self.detail, language)

    @property
    def _message(self) -> Message | None:
        """Return the rule's own sentence that fits; None where it has none."""
        scope = Scope(self.observations, self.rule.values)
        for message in self.rule.messages:
            if message.verdict is not self.verdict:
                continue
            if message.when is None and self._denied:
                continue  # a rule's own words speak of a value that was seen; the device said that it has none
            if message.when is None or evaluate(message.when, scope).state is State.TRUE:
                return message
        return None

    @property
    def _denied(self) -> bool:
        """Tell whether it fails because the device says that it does not support what is asked."""
        return self.verdict is Verdict.FAIL and self.reason is Reason.DENIED_BY_DEVICE

    def observed(self, language: str) -> str | None:
        """Return what was measured, written for people; None where nothing was."""
        return self._shown(self.rule.observed, language)

    def claimed(self, language: str) -> str | None:
        """Return what the device claims, written for people; None where it claims nothing."""
        return self._shown(self.rule.claimed, language)

    def required(self, language: str) -> str | None:
        """Return what the rule asks, written for people."""
        return self._filled(self.rule.required, language) or None

    @property
    def actionable(self) -> bool:
        """Tell whether the rule's remedy is what helps here: it was not met, or could not be seen for want of it."""
        return self.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, *self.rule.remedy_unseen)

    def remedy(self, who: str, language: str) -> str:
        """Return what the owner, the installer or the hub can do about it; "" where nothing."""
        message = self._message
        if message is not None and message.remediation:
            return self._filled(message.remediation.get(who, EMPTY), language)
        return self._filled(self.rule.remediation.get(who, EMPTY), language)

    def said_reason(self, language: str) -> str | None:
        """Return why the verdict is not PASS, in words; None for a PASS."""
        if self.verdict is Verdict.PASS:
            return None
        if self.verdict is Verdict.NOT_APPLICABLE:
            return self.detail
        if self.reason is not None:
            return REASON_WORDS[self.reason].in_language(language)
        words = ("đo được {0}; yêu cầu {1}", "observed {0}; required {1}")[LANGUAGES.index(language)]
        return words.format(self.observed(language) or "–", self.required(language) or "–")

    def _shown(self, template: Text, language: str) -> str | None:
        """Fill a template of values; None where any of its facts was not observed."""
        text = template.in_language(language)
        if not text:
            return None
        missing = False

        def look_up(name: str) -> Value:
            nonlocal missing
            if name in self.rule.params:
                return self.rule.params[name].value
            observation = self.observations.get(name)
            if not isinstance(observation, Observed):
                missing = True
                return None
            return observation.value

        shown = fill(text, look_up, language)
        return None if missing else shown

    def _filled(self, template: Text, language: str) -> str:
        def look_up(name: str) -> Value:
            if name == "detail":
                return self.detail
            if name in self.rule.params:
                return self.rule.params[name].value
            observation = self.observations.get(name)
            return observation.value if isinstance(observation, Observed) else None

        return fill(template.in_language(language), look_up, language)

    def as_json(self) -> dict[str, Any]:
        """Return the finding as plain JSON (docs/design/standards.md, "Finding")."""
        rule = self.rule
        return {
            "rule": rule.id,
            "rev": rule.rev,
            "group": rule.group,
            "title": rule.title.as_json(),
            "severity": str(rule.severity),
            "verdict": str(self.verdict),
            "reason": self._reason_word(),
            "reason_text": _both(self.said_reason),
            "detail": self.detail or None,
            "text": {language: self.text(language) for language in LANGUAGES},
            "observed": self.observed("en"),
            "required": self.required("en"),
            "claimed": self.claimed("en"),
            "observed_text": _both(self.observed),
            "required_text": _both(self.required),
            "claimed_text": _both(self.claimed),
            "unit": rule.unit or None,
            "lowers": self.lowers,
            "waivable": rule.waivable,
            "remedy": {
                who: {language: self.remedy(who, language) for language in LANGUAGES} for who in PEOPLE
            },
            "references": [reference.as_json() for reference in rule.references],
            "facts": [_fact(name, self.observations.get(name)) for name in rule.facts],
            "overlays": [str(overlay) for overlay in self.overlays],
        }

    def _reason_word(self) -> str | None:
        if self.verdict is Verdict.FAIL and self.reason is None:
            return self.said_reason("en")
        if self.verdict is Verdict.NOT_APPLICABLE:
            return self.detail
        return str(self.reason) if self.reason is not None else None


def _both(said: Any) -> dict[str, str] | None:
    texts = {language: said(language) for language in LANGUAGES}
    return texts if all(texts.values()) else None


def _fact(name: str, observation: Observation | None) -> dict[str, Any]:
    if observation is None:
        return {"name": name, "reason": str(Reason.NOT_ASKED), "detail": ""}
    told = observation.provenance
    seen: dict[str, Any] = {
        "name": name,
        "method": str(told.method),
        "operation": told.operation,
        "peer": told.peer,
        "collected_at": told.as_json()["collected_at"],
        "duration_s": round(told.duration_s, 3),
        "excerpt": told.excerpt,
        "excerpt_sha256": told.excerpt_sha256,
    }
    if isinstance(observation, NotObserved):
        return {**seen, "reason": str(observation.reason), "detail": observation.detail}
    return {**seen, "value": thaw(observation.value)}


def why_not_applicable(rule: Rule) -> str:
    """Return the applicability test that was observed false, in words."""
    if rule.applies_when is not None:
        return f"not {condition_words(rule.applies_when)}"
    cases = [case.when for case in rule.cases if case.when is not None]
    return "none of: " + "; ".join(condition_words(condition) for condition in cases)
