"""Problems: what the hub answers when something cannot be done (RFC 9457), as values and as an exception.

A problem is a code from the closed table here plus parameters; its sentences live in ``hub/locale``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone
from types import MappingProxyType
from typing import Any

from hub.texts import Both, Texts
from standards.observation import parse_rfc3339

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_VIETNAM = timezone(timedelta(hours=7))

# code -> HTTP status. The last group is mostly seen as the `problem` of an onboarding.
STATUS: Mapping[str, int] = MappingProxyType(
    {
        "malformed_request": 400,
        "bad_cursor": 400,
        "if_match_bad": 400,
        "not_signed_in": 401,
        "token_refused": 401,
        "login_failed": 401,
        "push_token_refused": 401,
        "push_token_other": 403,
        "token_makes_none": 403,
        "password_wrong": 403,
        "password_change_needed": 403,
        "csrf_failed": 403,
        "origin_refused": 403,
        "forbidden": 403,
        "decision_pending": 403,
        "decision_rejected": 403,
        "paused": 403,
        "no_consent": 403,
        "not_at_this_level": 403,
        "outside_hours": 403,
        "no_role": 403,
        "wrong_area": 403,
        "purpose_not_covered": 403,
        "events_donated": 403,
        "channel_unknown": 422,
        "discovery_failed": 503,
        "ptz_donated": 403,
        "ptz_not_approved": 403,
        "not_found": 404,
        "no_still": 404,
        "method_not_allowed": 405,
        "not_acceptable": 406,
        "format_not_available": 406,
        "codec_not_playable": 406,
        "push_codec": 406,
        "conflict": 409,
        "name_taken": 409,
        "last_admin": 409,
        "already_enrolled": 409,
        "no_stream": 409,
        "no_ptz": 409,
        "outputs_off": 409,
        "outputs_masked": 403,
        "push_off": 409,
        "push_taken": 409,
        "not_pushed": 409,
        "not_assessed": 409,
        "statement_state": 409,
        "approval_own": 403,
        "statement_refused": 422,
        "ptz_busy": 409,
        "consent_not_needed": 409,
        "consent_ended": 409,
        "consent_text_changed": 409,
        "idempotency_running": 409,
        "changed_meanwhile": 412,
        "ice_restarted": 412,
        "too_large": 413,
        "media_type": 415,
        "invalid_input": 422,
        "permission_needed": 422,
        "password_weak": 422,
        "bad_sdp": 422,
        "idempotency_conflict": 422,
        "standard_unknown": 422,
        "area_unknown": 422,
        "custodian_unknown": 422,
        "address_bad": 422,
        "vendor_unknown": 422,
        "vendor_refused": 422,
        "if_match_needed": 428,
        "login_locked": 429,
        "too_many_requests": 429,
        "internal": 500,
        "still_failed": 502,
        "no_room": 503,
        "transcodes_full": 503,
        "uplink_full": 503,
        "relay_down": 503,
        "stopping": 503,
        # between the hub and a camera
        "address_own": 422,
        "address_refused": 422,
        "name_unknown": 422,
        "unreachable": 502,
        "connection_refused": 502,
        "timed_out": 504,
        "login_refused": 422,
        "login_needed": 422,
        "cooling_down": 409,
        "no_privilege": 422,
        "not_a_camera": 422,
        "html_answer": 422,
        "malformed_reply": 502,
        "device_fault": 502,
        "unsupported": 422,
        "tls_failed": 502,
        "device_busy": 409,
        "reassess_busy": 409,
        "reports_busy": 409,
        "check_broke": 500,
    }
)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field that does not fit: its path in dotted form and one sentence."""

    field: str
    detail: str


class Problem(Exception):
    """Something cannot be done. `current` is the representation sent along with 412."""

    def __init__(
        self,
        code: str,
        params: Mapping[str, Any] | None = None,
        *,
        field: str = "",
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        current: Any = None,
    ) -> None:
        if code not in STATUS:
            raise ValueError(f"{code!r} is not a problem code")
        super().__init__(code)
        self.code = code
        self.params = dict(params or {})
        self.field = field
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.current = current

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return STATUS[self.code]

    def as_json(self, texts: Texts, language: str) -> dict[str, Any]:
        """Return the body of ``application/problem+json`` in one language."""
        params = {
            name: value[language] if isinstance(value, Mapping) and language in value else value
            for name, value in self.params.items()
        }
        shown = {name: moment_words(value) for name, value in params.items()}
        said = {
            part: texts.say(f"problem.{self.code}.{part}", language, shown)
            for part in ("title", "detail", "hint")
        }
        said["hint"] = _with_advice(said["hint"], params)
        body: dict[str, Any] = {
            "type": f"/docs/problems#{self.code}",
            "title": said["title"],
            "status": self.status,
            "detail": said["detail"],
            "code": self.code,
            "hint": said["hint"],
        }
        if self.field:
            body["field"] = self.field
        if self.errors:
            body["errors"] = [{"field": item.field, "detail": item.detail} for item in self.errors]
        if params:
            body["params"] = params
        if self.current is not None:
            body["current"] = self.current
        return body

    def said(self, texts: Texts, part: str = "detail") -> Both:
        """Return one part in both languages."""
        shown = {name: moment_words(value) for name, value in self.params.items()}
        told = texts.both(f"problem.{self.code}.{part}", shown)
        advice = self.params.get("advice")
        if part == "hint" and isinstance(advice, Mapping):
            return {
                language: _with_advice(text, {"advice": advice[language]}) for language, text in told.items()
            }
        return told


def _with_advice(hint: str, params: Mapping[str, Any]) -> str:
    """Put what is known about the maker after a hint."""
    return f"{hint} {params['advice']}" if params.get("advice") else hint


def moment_words(value: Any) -> Any:
    """Return a time of the wire as people read it, in Vietnam's time (UTC+7 all year); anything else as it is."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        return value
    return parse_rfc3339(value).astimezone(_VIETNAM).strftime("%d/%m/%Y %H:%M:%S")
