"""Whatever goes wrong as a problem, and how a problem looks on the wire: RFC 9457 `application/problem+json`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from sqlalchemy.exc import IntegrityError

from tocsin.db.errors import STORE_ERRORS, hide_values, is_away, sqlstate
from tocsin.kit.errors import (
    Conflict,
    FieldError,
    InUse,
    Invalid,
    NotFound,
    Problem,
    Stale,
    TooMany,
    Unavailable,
    Unreadable,
)

log = structlog.stdlib.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"
_RETRYABLE = (429, 503)
# Of the conflicts only this one passes by itself; the others need somebody who looks and decides.
_PASSING = "idempotency.in_progress"


class WrongMethod(Problem):
    """The address is there and takes other methods."""

    status = 405
    code = "request.method"

    def __init__(self, allow: str) -> None:
        said = [method for method in allow.replace(" ", "").split(",") if method != "OPTIONS"]
        super().__init__(f"This address takes {' and '.join(sorted(said))}.")
        self.allow = allow


def body_of(problem: Problem, *, trace_id: str) -> dict[str, Any]:
    """Write the problem as an object: type, title, status, detail, code, trace_id, errors, uses, changes, hint …"""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "retryable": problem.status in _RETRYABLE or problem.code == _PASSING,
        "trace_id": trace_id,
    }
    if isinstance(problem, Invalid):
        body["errors"] = [{"pointer": e.pointer, "detail": e.detail, "code": e.code} for e in problem.errors]
    if isinstance(problem, InUse):
        body["uses"] = [{"type": u.kind, "id": u.id, "name": u.name, "as": u.as_what} for u in problem.uses]
    if isinstance(problem, Stale) and problem.theirs:
        body["changes"] = [
            {"actor": t.who, "at": t.at.isoformat(), "summary": t.words, "fields": sorted(t.fields)}
            for t in problem.theirs
        ]
    if problem.hint:
        body["hint"] = problem.hint
    return body


def headers_of(problem: Problem) -> dict[str, str]:
    """Return the headers that go with it: `Retry-After` in seconds where trying again makes sense, `Allow`."""
    if isinstance(problem, WrongMethod):
        return {"Allow": problem.allow}
    if isinstance(problem, TooMany | Unavailable):
        return {"Retry-After": str(problem.retry_after)}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="tocsin"'}
    return {}


def as_problem(error: Exception) -> Problem:
    """Say whatever a handler raised as a problem. A bug is logged and becomes a 500 that shows nothing of it."""
    hide_values(error)
    known = _known(error)
    if known is not None:
        return known
    log.error("request.broken", exc_info=error)
    broken = Problem("Something broke on our side. The reference below finds it in the log.", code="internal")
    broken.status = HTTPStatus.INTERNAL_SERVER_ERROR
    return broken


def _known(error: Exception) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationException):
        return _from_validation(error)
    if isinstance(error, STORE_ERRORS):
        return _from_database(error)
    if isinstance(error, MethodNotAllowedException):
        return WrongMethod((error.headers or {}).get("allow", "GET"))
    if isinstance(error, HTTPException):
        # The framework's own 404: no handler has this address.
        missing = NotFound("There is nothing at this address.")
        problem = missing if error.status_code == 404 else Problem(error.detail)
        problem.status = error.status_code
        problem.code = _CODES.get(error.status_code, "request.refused")
        return problem
    return None


_BUSY = ("40001", "40P01", "55P03")
_INTEGRITY = "23"


def _from_database(error: Exception) -> Problem | None:
    """Name what the store says: somebody was faster, it is busy, or it is away. Anything else is a bug."""
    state = sqlstate(error)
    # Hot statements go past SQLAlchemy, so the driver's own word counts as well.
    if isinstance(error, IntegrityError) or state.startswith(_INTEGRITY):
        log.warning("request.refused_by_store", sqlstate=state, exc_info=error)
        return Conflict("Something else depends on this, or somebody was faster. Look at it again.", code="conflict")
    if state in _BUSY:
        return Unavailable("Too much happens at once here. Try again.", retry_after=1)
    if is_away(error):
        log.error("request.store_unreachable", exc_info=error)
        return Unavailable("The store cannot be reached. Try again.")
    return None


_CODES = {400: "request.unreadable", 401: "auth.required", 404: "not_found", 405: "request.method",
          413: "request.too_large", 415: "request.content_type", 429: "rate_limited"}  # fmt: skip


def _from_validation(error: ValidationException) -> Problem:
    extra: Any = error.extra
    if not isinstance(extra, list) or not extra:
        return Unreadable(error.detail)
    errors: list[FieldError] = []
    for item in extra:  # pyright: ignore[reportUnknownVariableType]  Litestar leaves the shape open.
        key = str(item.get("key") or "")  # pyright: ignore
        message = str(item.get("message") or "invalid")  # pyright: ignore
        errors.append(FieldError(pointer=f"#/{key.replace('.', '/')}", detail=message))
    return Invalid.of(tuple(errors))
