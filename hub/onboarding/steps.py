"""The steps of an onboarding as people see them, in order: address, login, identify, picture, rules, consent, decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.clock import Clock
from hub.texts import Both, Texts

NAMES = ("address", "login", "identify", "picture", "rules", "consent", "decision")
# step of a probe -> ours; "measure" is the media window, still about the picture
FROM_PROBE = {
    "address": "address",
    "login": "login",
    "identify": "identify",
    "picture": "picture",
    "measure": "picture",
}


@dataclass(slots=True)
class Step:
    """One step: waiting, running, ok, failed or skipped."""

    name: str
    state: str
    text: Both
    hint: Both | None = None
    began_s: float | None = None
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the representation of the HTTP API."""
        return {
            "name": self.name,
            "state": self.state,
            "text": dict(self.text),
            "hint": dict(self.hint) if self.hint else None,
            "seconds": None if self.seconds is None else round(self.seconds, 2),
        }


class Steps:
    """All steps of one run. A step that follows closes the ones before it: nothing stays "running" behind."""

    def __init__(self, texts: Texts, clock: Clock, params: Mapping[str, Any]) -> None:
        self._texts = texts
        self._clock = clock
        self._params = dict(params)
        self.all = {name: Step(name, "waiting", self._say(name, "waiting")) for name in NAMES}

    def _say(self, name: str, state: str, params: Mapping[str, Any] | None = None) -> Both:
        return self._texts.both(f"step.{name}.{state}", {**self._params, **(params or {})})

    @property
    def running(self) -> str:
        """Return the step that runs, or the first that waits."""
        for name, step in self.all.items():
            if step.state == "running":
                return name
        return next((name for name, step in self.all.items() if step.state == "waiting"), NAMES[-1])

    def start(self, name: str) -> list[Step]:
        """Begin a step; return the steps that changed."""
        changed: list[Step] = []
        for earlier in NAMES[: NAMES.index(name)]:
            if self.all[earlier].state == "running":
                changed += self.ok(earlier)
        step = self.all[name]
        if step.state == "waiting":
            step.state, step.text, step.began_s = (
                "running",
                self._say(name, "running"),
                self._clock.monotonic(),
            )
            changed.append(step)
        return changed

    def ok(self, name: str, params: Mapping[str, Any] | None = None) -> list[Step]:
        """End a step well; without what it needs to say, its sentence stays that of the running step."""
        return self._close(name, "ok", params)

    def skip(self, name: str, params: Mapping[str, Any] | None = None) -> list[Step]:
        """Leave a step out."""
        return self._close(name, "skipped", params)

    def fail(self, name: str, title: Both, hint: Both) -> list[Step]:
        """End a step badly, skip all that wait behind it, and say that nothing was written."""
        changed = self._close(name, "failed", {"title": title})
        self.all[name].hint = hint
        for later in NAMES[NAMES.index(name) + 1 : -1]:
            changed += self._close(later, "skipped", {"why": self._texts.both("step.why.not_reached")})
        if name != "decision":
            changed += self._close("decision", "failed", {})
        return changed

    def _close(self, name: str, state: str, params: Mapping[str, Any] | None) -> list[Step]:
        step = self.all[name]
        if step.state in {"failed", "skipped"} or (step.state == "ok" and state == "ok" and params is None):
            return []
        template = self._texts.template(f"step.{name}.{state}", "vi")
        if params is not None or "{" not in template or "{peer}" in template:
            step.text = self._say(name, state, params)
        if step.began_s is not None and step.seconds is None:
            step.seconds = self._clock.monotonic() - step.began_s
        step.state = state
        return [step]

    def as_json(self) -> list[dict[str, Any]]:
        """Return all steps in order."""
        return [step.as_json() for step in self.all.values()]
