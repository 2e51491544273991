"""The maker that an owner names: which interface it leads to, and what to say where that leads nowhere."""

from adapters.errors import BadTarget
from adapters.target import Target
from adapters.vendors.families import find_family
from adapters.vendors.routing import Route, route
from hub.problems import Problem

# where the maker's own advice says more than ours: the camera did not answer, or answered something else
_ADVISED = frozenset(
    {
        "unreachable",
        "connection_refused",
        "timed_out",
        "login_needed",
        "login_refused",
        "not_a_camera",
        "html_answer",
        "malformed_reply",
        "device_fault",
        "unsupported",
        "tls_failed",
    }
)


def routed(typed: str, target: Target, vendor: str) -> Route:
    """Return where to go for an address and the maker that the owner named.

    Raises:
        Problem: ``vendor_unknown``, or ``vendor_refused`` with the reason and what to do; nothing was sent.
    """
    try:
        return route(typed, target, vendor)
    except BadTarget as error:
        family = find_family(vendor)
        if family is None:
            raise Problem("vendor_unknown", {"vendor": vendor[:60]}, field="vendor") from error
        why = (
            family.why.as_json()
            if family.why
            else {"vi": "chưa biết đường dẫn RTSP nào của hãng này", "en": str(error)}
        )
        said = {"vendor": family.label, "why": why, "advice": family.advice.as_json()}
        raise Problem("vendor_refused", said, field="vendor") from error


def advised(problem: Problem, vendor: str) -> Problem:
    """Add what is known about a maker's cameras to a problem that it may explain."""
    family = find_family(vendor) if vendor else None
    if family is None or problem.code not in _ADVISED:
        return problem
    problem.params["advice"] = (family.why or family.advice).as_json()
    if problem.code in {"login_needed", "login_refused"} and family.account:
        problem.params["advice"] = {
            "vi": f"{family.label}: dùng {family.account.vi}.",
            "en": f"{family.label}: use {family.account.en}.",
        }
    return problem
