"""From the errors of the hub's rooms to problems: one table, at the edge."""

from datetime import datetime
from typing import Any

from hub.compliance.refused import StatementRefused
from hub.problems import STATUS, FieldProblem, Problem
from hub.store.errors import ServiceError
from hub.texts import Texts
from standards.observation import rfc3339


def translate(error: Exception, texts: Texts) -> Problem | None:
    """Return the problem for an error that a service may raise; None where it is a fault of ours."""
    if isinstance(error, StatementRefused):
        what = texts.both(f"statement.why.{error.why}", error.params)
        return Problem(error.code, {**error.params, "what": what, "field": error.field}, field=error.field)
    if not isinstance(error, ServiceError):
        return None
    params: dict[str, Any] = {
        name: rfc3339(value) if isinstance(value, datetime) else value for name, value in error.params.items()
    }
    code = error.code if error.code in STATUS else "conflict"
    params.setdefault("what", error.detail)
    if code == "not_found":
        params["what"] = {"vi": "mục", "en": "entry"}
    errors: tuple[FieldProblem, ...] = ()
    if error.field:
        errors = (FieldProblem(error.field, error.detail),)
        params.setdefault("count", 1)
        params.setdefault("field", error.field)
    if code == "address_bad":
        params.setdefault("address", "")
        params.setdefault("saw", error.detail)
    headers = {"retry-after": "300"} if code == "login_locked" else {}
    return Problem(code, params, field=error.field, errors=errors, headers=headers)
