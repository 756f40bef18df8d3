"""What every API handler shares: the router's errors, lists and their cursors, ETags.

Conventions: JSON in snake_case, RFC 3339 times in UTC with milliseconds, prefixed ids, RFC 9457 problems.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import Parameter

from tocsin.edge.middleware import trace_id
from tocsin.edge.problems import PROBLEM_JSON, body_of, headers_of
from tocsin.kit.errors import FieldError, Invalid, NotFound, Problem, Stale, Unreadable

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")
Limit = Annotated[int, Parameter(ge=1, le=100, description="How many to return.")]
Cursor = Annotated[str | None, Parameter(description="`next_cursor` of the page before.", max_length=200)]


class Listing(msgspec.Struct, Generic[T]):
    """One page of a list. `next_cursor` is null on the last page."""

    data: list[T]
    next_cursor: str | None = None


def write_cursor(at: datetime, id: UUID) -> str:
    """Write where a page ended; opaque to callers."""
    raw = int(at.timestamp() * 1_000_000).to_bytes(8, "big", signed=True) + id.bytes
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_cursor(text: str | None) -> tuple[datetime, UUID] | None:
    """Read where the page before ended; raises `Invalid` for anything we did not write."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise ValueError
        micros = int.from_bytes(raw[:8], "big", signed=True)
        seconds, rest = divmod(micros, 1_000_000)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
    except (binascii.Error, ValueError, OverflowError, OSError):
        raise Invalid("cursor", "This cursor is not one of ours. Start again without it.") from None
    return at, UUID(bytes=raw[8:])


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Turn whatever a handler raised into a problem document. Bugs are logged, never shown."""
    problem = as_problem(error)
    if problem is None:
        log.error("api.broken", exc_info=error)
        problem = Problem("Something broke on our side. The reference below finds it in the log.", code="internal")
        problem.status = 500
    raw: Any = request.scope
    body = msgspec.json.encode(body_of(problem, trace_id=trace_id(raw)))
    return Response(body, status_code=problem.status, media_type=PROBLEM_JSON, headers=headers_of(problem))


def as_problem(error: Exception) -> Problem | None:
    """Say the same as a problem, or None when it is a bug or an outage that we cannot name."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationException):
        return _from_validation(error)
    if isinstance(error, HTTPException):
        problem = NotFound(error.detail) if error.status_code == 404 else Problem(error.detail)
        problem.status = error.status_code
        problem.code = _CODES.get(error.status_code, "request.refused")
        return problem
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


def etag_of(version: int) -> str:
    """Write the version as an entity tag."""
    return f'"{version}"'


def read_if_match(header: str | None) -> int | None:
    """Read `If-Match`; raises `Stale` when it is not one of our tags, as it can then match nothing."""
    if header is None or header.strip() == "*":
        return None
    text = header.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 18:
        raise Stale("If-Match is not an ETag of this resource.")
    return int(text)
