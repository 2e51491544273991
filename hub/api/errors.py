"""Every error as RFC 9457 ``application/problem+json``, in the reader's language, leaking nothing."""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from hub.api.language import language_of
from hub.observe import Metrics
from hub.problems import FieldProblem, Problem
from hub.texts import Texts

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
Translate = Callable[[Exception], Problem | None]

# pydantic error type -> key of our sentence; a type that is not here is said with pydantic's own words
_SAME = frozenset(
    {
        "missing", "extra_forbidden", "string_too_long", "string_too_short", "greater_than_equal", "less_than_equal",
        "greater_than", "less_than", "literal_error", "enum", "string_type", "bool_type", "bool_parsing", "int_type",
        "int_parsing", "float_type", "float_parsing", "list_type", "dict_type", "too_long", "too_short", "control",
    }
)  # fmt: skip
_LIKE = {
    "string_pattern_mismatch": "pattern",
    "model_type": "dict_type",
    "model_attributes_type": "dict_type",
    "int_from_float": "int_type",
    "tuple_type": "list_type",
}


class Errors:
    """Turns exceptions into replies. `translate` knows the errors of the hub's other rooms."""

    def __init__(self, texts: Texts, metrics: Metrics, translate: Translate) -> None:
        self._texts = texts
        self._metrics = metrics
        self._translate = translate
        self._log = structlog.get_logger("hub.api")

    def handlers(self) -> ExceptionHandlersMap:
        """Return the handlers for Litestar."""
        return {Exception: self.reply}

    def reply(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """Return the reply for one error."""
        language = language_of(request)
        problem = self._problem(request, error, language)
        self._metrics.problems.labels(problem.code).inc()
        return respond(problem, self._texts, language)

    def document(
        self, connection: ASGIConnection[Any, Any, Any, Any], error: Exception, language: str
    ) -> tuple[Problem, dict[str, Any]]:
        """Return the problem of an error and its document, for connections that are answered in messages."""
        problem = self._problem(connection, error, language)
        self._metrics.problems.labels(problem.code).inc()
        return problem, problem.as_json(self._texts, language)

    def _problem(
        self, request: ASGIConnection[Any, Any, Any, Any], error: Exception, language: str
    ) -> Problem:
        if isinstance(error, Problem):
            return error
        if isinstance(error, ValidationException):
            return self._invalid(error, language)
        if isinstance(error, HTTPException) and error.status_code < 500:
            return self._http(request, error)
        known = self._translate(error)
        if known is not None:
            return known
        error_id = secrets.token_hex(6)
        self._log.error(
            "http.error",
            error_id=error_id,
            method=_method(request),
            route=str(request.scope.get("path_template", "")),
            exc_info=error,
        )
        return Problem("internal", {"error_id": error_id})

    def _invalid(self, error: ValidationException, language: str) -> Problem:
        told = getattr(error.__cause__, "errors", None)
        items: list[FieldProblem] = []
        if isinstance(told, list):
            for entry in told[:MAX_ERRORS]:
                path = [str(part) for part in entry.get("loc", ())]
                name = ".".join(path[1:] if path[:1] == ["data"] else path)
                items.append(FieldProblem(name or "body", self.sentence(entry, language)))
        else:
            for extra in (error.extra or [])[:MAX_ERRORS] if isinstance(error.extra, list) else []:
                name = str(extra.get("key", "")) or "body"
                said = self._texts.say(
                    "live.field.other", language, {"msg": str(extra.get("message", ""))[:200]}
                )
                items.append(FieldProblem("body" if name == "data" else name, said))
        if not items:
            items = [FieldProblem("body", error.detail[:200])]
        return Problem(
            "invalid_input",
            {"count": len(items), "field": items[0].field, "what": items[0].detail},
            field=items[0].field,
            errors=items,
        )

    def sentence(self, entry: Mapping[str, Any], language: str) -> str:
        """Return one sentence for one pydantic error; never shows the input."""
        kind = str(entry.get("type", ""))
        context = {name: str(value) for name, value in (entry.get("ctx") or {}).items()}
        key = kind if kind in _SAME else _LIKE.get(kind, "")
        if not key and kind.startswith(("datetime", "timezone")):
            key = "datetime"
        if key:
            return self._texts.say(f"live.field.{key}", language, context)
        message = str(entry.get("msg", "")).removeprefix("Value error, ")
        return self._texts.say("live.field.other", language, {"msg": message[:200]})

    def _http(self, request: ASGIConnection[Any, Any, Any, Any], error: HTTPException) -> Problem:
        headers = dict(error.headers or {})
        match error.status_code:
            case 401:
                return Problem("not_signed_in", headers=headers)
            case 404:
                return Problem("not_found", {"what": {"vi": "địa chỉ", "en": "address"}})
            case 405:
                return Problem("method_not_allowed", {"method": _method(request)}, headers=headers)
            case 406:
                return Problem("not_acceptable")
            case 413:
                return Problem("too_large", {"limit": request.app.request_max_body_size or 0})
            case 415:
                return Problem("media_type", {"wanted": "application/json"})
            case 429:
                return Problem(
                    "too_many_requests", {"retry_after_s": headers.get("Retry-After", "1")}, headers=headers
                )
            case _:
                return Problem("malformed_request", {"what": error.detail[:200]})


def _method(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    return str(connection.scope.get("method", "WEBSOCKET"))


def respond(problem: Problem, texts: Texts, language: str) -> Response[bytes]:
    """Return the response for one problem."""
    body = problem.as_json(texts, language)
    return Response(
        json.dumps(body, ensure_ascii=False).encode(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"content-language": language, "cache-control": "no-store", **problem.headers},
    )
