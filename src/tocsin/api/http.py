"""What every API handler shares: the router's errors, lists and their cursors, ETags.

Conventions: JSON in snake_case, RFC 3339 times in UTC with milliseconds, prefixed ids, RFC 9457 problems.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import HeaderParameter, PathParameter, QueryParameter
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tocsin.edge.context import AppRequest
from tocsin.edge.middleware import trace_id
from tocsin.edge.problems import PROBLEM_JSON, body_of, headers_of
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Conflict, FieldError, Invalid, NotFound, Problem, Stale, Unavailable, Unreadable
from tocsin.kit.ids import public
from tocsin.kit.text import storable

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")
U = TypeVar("U")
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many to return.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=600)]
# What stands in a path: a prefixed id or, for incidents, a number as people say it.
Id = Annotated[str, PathParameter()]
IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag you saw; a stale one changes nothing (412).")
]
AwareTime = Annotated[datetime, msgspec.Meta(tz=True)]
# A moment as it is written: RFC 3339 in UTC with milliseconds.
Time = Annotated[str, msgspec.Meta(extra_json_schema={"extra": {"format": "date-time"}})]


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


def write_place(place: object) -> str:
    """Write where a page of any list ended; opaque to callers."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_place(text: str | None, wanted: type[T]) -> T | None:
    """Read where the page before ended; raises `Invalid` for anything we did not write for this list."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        if b"\\u0000" in raw:
            raise ValueError
        return msgspec.json.decode(raw, type=wanted)
    except (binascii.Error, ValueError, RecursionError):
        raise Invalid("cursor", "This cursor is not one of ours. Start again without it.") from None


def read_position(text: str | None) -> int | None:
    """Read where a page of the log ended; raises `Invalid`."""
    position = read_place(text, int)
    if position is not None and not 0 <= position < 2**62:
        raise Invalid("cursor", "This cursor is not one of ours. Start again without it.")
    return position


def listing(
    request: AppRequest,
    rows: Sequence[T],
    limit: int,
    render: Callable[[T], U],
    place: Callable[[T], object],
) -> Response[Listing[U]]:
    """Answer with one page. `rows` are up to `limit + 1`: one more than asked for says that there is a next page."""
    shown = rows[:limit]
    cursor = write_place(place(shown[-1])) if len(rows) > limit else None
    headers: dict[str, str] = {}
    if cursor is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        headers["Link"] = f'<{request.url.path}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'
    return Response(Listing([render(row) for row in shown], cursor), headers=headers)


def answer(body: T, *, version: int | None = None, status: int = 200) -> Response[T]:
    """Answer with one thing and, where it has versions, its ETag."""
    return Response(body, status_code=status, headers={} if version is None else {"ETag": etag_of(version)})


def when(at: datetime | None) -> str | None:
    """Write a time that may be missing."""
    return None if at is None else stamp(at)


def public_or_none(prefix: str, id: UUID | None) -> str | None:
    """Write an id that may be missing."""
    return None if id is None else public(prefix, id)


def given(value: T | msgspec.UnsetType) -> T | None:
    """Return what a merge patch says about a field, None where it says nothing."""
    return None if isinstance(value, msgspec.UnsetType) else value


_EARLIEST, _LATEST = 1970, 2200


def moment(field: str, at: datetime | None) -> datetime | None:
    """Return the time in UTC, which is also what a time without a zone is taken for; raises `Invalid`."""
    if at is None:
        return None
    if not _EARLIEST <= at.year <= _LATEST:
        raise Invalid(field, f"Give a time between the years {_EARLIEST} and {_LATEST}.")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def reference(text: str) -> str:
    """Return an id or a number from a path; raises `NotFound` for what cannot be one."""
    if _REFERENCE.fullmatch(text) is None:
        raise NotFound("There is no such thing here.")
    return text


def searchable(text: str | None) -> str:
    """Return what to search for, without what the store cannot compare."""
    return storable(text or "").strip()[:200]


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
    if isinstance(error, DBAPIError | PoolTimeout | asyncpg.PostgresError | OSError):
        return _from_database(error)
    if isinstance(error, HTTPException):
        problem = NotFound(error.detail) if error.status_code == 404 else Problem(error.detail)
        problem.status = error.status_code
        problem.code = _CODES.get(error.status_code, "request.refused")
        return problem
    return None


_RETRYABLE = ("40001", "40P01", "55P03")
_OUTAGE = ("08", "53", "57")


def _from_database(error: Exception) -> Problem | None:
    """Name what the store says: somebody was faster, it is busy, or it is away. Anything else is a bug."""
    state = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    if isinstance(error, IntegrityError):
        log.warning("api.refused_by_store", sqlstate=state, exc_info=error)
        return Conflict("Something else depends on this, or somebody was faster. Look at it again.", code="conflict")
    if state in _RETRYABLE:
        return Unavailable("Too much happens at once here. Try again.", retry_after=1)
    is_away = isinstance(error, OSError | PoolTimeout) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
    if is_away or state[:2] in _OUTAGE:
        log.error("api.store_unreachable", exc_info=error)
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
