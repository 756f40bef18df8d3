"""How a problem looks on the wire: RFC 9457 `application/problem+json`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from tocsin.kit.errors import Invalid, Problem, TooMany, Unavailable

PROBLEM_JSON = "application/problem+json"
_RETRYABLE = (409, 429, 503)


def body_of(problem: Problem, *, trace_id: str) -> dict[str, Any]:
    """Write the problem as an object: type, title, status, detail, code, retryable, trace_id, errors, hint."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "retryable": problem.status in _RETRYABLE,
        "trace_id": trace_id,
    }
    if isinstance(problem, Invalid):
        body["errors"] = [{"pointer": e.pointer, "detail": e.detail, "code": e.code} for e in problem.errors]
    if problem.hint:
        body["hint"] = problem.hint
    return body


def headers_of(problem: Problem) -> dict[str, str]:
    """Return the headers that go with it: `Retry-After` in seconds where trying again makes sense."""
    if isinstance(problem, TooMany | Unavailable):
        return {"Retry-After": str(problem.retry_after)}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="tocsin"'}
    return {}
