"""Reports that are written out when somebody opens them: those of cameras judged again without a probe.

Judging 136,000 cameras anew writes a decision and a letter per rule for each; the sentences are made here, from the
observations of the probe and from the very version of the standard, which the hub keeps.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from hub.catalog.judgements import KeptStandard
from hub.catalog.types import StoredAssessment
from hub.reports.document import document, texts
from standards.assess import assess
from standards.observation import Observation, Observations, Observed, freeze, parse_rfc3339
from standards.pack import PackError, Packs, UnknownStandard, packaged_with
from standards.profile import StandardProfile
from standards.waiver import Attestation, Waiver

CARRIED = ("sources", "still", "method", "failure")  # what only the probe can tell


class ReportWriter:
    """Writes reports out. Holds the hub's packs, and reads older ones from what was kept of them."""

    def __init__(self, packs: Packs, gate: Mapping[str, Any]) -> None:
        self._packs = packs
        self._gate = dict(gate)  # the reason of a donated camera without an active consent

    def __call__(
        self, one: StoredAssessment, basis: StoredAssessment, kept: KeptStandard | None
    ) -> StoredAssessment:
        """Return an assessment with its report and observations. `basis` is the one of the probe.

        Where this program cannot read that version of the standard any more, the report is the probe's, and says so.
        """
        seen = _renewed(Observations.from_json(basis.observations), one.report.get("known") or {})
        profile = self._profile(one, kept)
        if profile is None:
            word = texts().both("report.standard_gone", {"version": f"{one.standard} {one.standard_version}"})
            told = {**basis.report, "decision": one.decision, "summary": word}
            return replace(one, report=told, observations=basis.observations)
        enrolled = basis.report.get("enrolled_at")
        stated = {
            **basis.report,
            **one.report,
        }  # of that day; older assessments judged again kept none of their own
        found = assess(
            seen,
            profile,
            waivers=[_waiver(told) for told in stated.get("waivers") or ()],
            attestations=[_attestation(told) for told in stated.get("attestations") or ()],
            as_of=one.as_of,
            enrolled_at=parse_rfc3339(enrolled) if enrolled else None,
            camera=str(basis.report.get("camera") or ""),
        )
        report = document(found, seen, target=str(basis.report.get("target") or ""))
        report |= {name: basis.report[name] for name in CARRIED if name in basis.report}
        report |= {"decision_by_rules": str(found.decision), "gate": None}
        if one.decision != found.decision:
            report |= {
                "gate": self._gate,
                "decision": one.decision,
                "decision_text": texts().both(f"report.decision.{one.decision}"),
            }
        return replace(one, report=report, observations=seen.as_json())

    def _profile(self, one: StoredAssessment, kept: KeptStandard | None) -> StandardProfile | None:
        wanted = one.report.get("hash")
        readers: list[Callable[[], Packs]] = [lambda: self._packs]
        if kept is not None:
            readers.append(lambda: _older(tuple(sorted(kept.files.items()))))
        for read in readers:
            try:
                profile = read().profile(one.standard)
            except (PackError, UnknownStandard):
                continue
            if profile.hash == wanted:
                return profile
        return None


@lru_cache(maxsize=4)
def _older(files: tuple[tuple[str, str], ...]) -> Packs:
    return packaged_with(dict(files))


def _renewed(seen: Observations, known: Mapping[str, Any]) -> Observations:
    """Put what was known on the day of judging in the place of what was known on the day of the probe."""
    facts: dict[str, Observation] = dict(seen)
    for fact, value in known.items():
        if fact in facts:
            facts[fact] = Observed(freeze(value), facts[fact].provenance)
    return Observations(facts)


def _waiver(told: Mapping[str, Any]) -> Waiver:
    return Waiver(
        told["rule"],
        told["justification"],
        told["authority"],
        parse_rfc3339(told["created"]),
        parse_rfc3339(told["expires"]),
        told.get("compensating_control", ""),
    )


def _attestation(told: Mapping[str, Any]) -> Attestation:
    return Attestation(
        told["rule"],
        told["author"],
        told["role"],
        parse_rfc3339(told["declared"]),
        parse_rfc3339(told["valid_until"]),
        told.get("attachment_sha256", ""),
    )
