"""What every API handler shares: the router's errors, lists and their cursors, ETags.

Conventions: JSON in snake_case, RFC 3339 times in UTC with milliseconds, prefixed ids, RFC 9457 problems.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter, PathParameter, QueryParameter

from tocsin.api.base.wording import sentence, words_at
from tocsin.edge.context import AppRequest
from tocsin.edge.cursors import write_place
from tocsin.edge.middleware import trace_id
from tocsin.edge.problems import PROBLEM_JSON, as_problem, body_of, headers_of
from tocsin.kit.clock import stamp
from tocsin.kit.errors import FieldError, Invalid, NotFound, Stale
from tocsin.kit.text import storable

T = TypeVar("T")
U = TypeVar("U")
Confirm = Annotated[bool, QueryParameter(description="Do it although what is in `uses` needs it.")]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many to return.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=600)]
# What stands in a path: a prefixed id or, for incidents, a number as people say it.
Id = Annotated[str, PathParameter()]
IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag you saw; a stale one changes nothing (412).")
]
# A moment as it is written: RFC 3339 in UTC with milliseconds.
Time = Annotated[str, msgspec.Meta(extra_json_schema={"extra": {"format": "date-time"}})]


class Listing(msgspec.Struct, Generic[T]):
    """One page of a list. `next_cursor` is null on the last page.

    `notice` is there only when something is left out: a search that looked at the beginning of the list alone says so.
    """

    data: list[T]
    next_cursor: str | None = None
    notice: str | msgspec.UnsetType = msgspec.UNSET


def listing(
    request: AppRequest,
    rows: Sequence[T],
    limit: int,
    render: Callable[[T], U],
    place: Callable[[T], object],
    *,
    notice: str = "",
) -> Response[Listing[U]]:
    """Answer with one page. `rows` are up to `limit + 1`: one more than asked for says that there is a next page."""
    shown = rows[:limit]
    cursor = write_place(place(shown[-1])) if len(rows) > limit else None
    headers: dict[str, str] = {}
    if cursor is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        headers["Link"] = f'<{request.url.path}?{urlencode([*query, ("cursor", cursor)])}>; rel="next"'
    return Response(Listing([render(row) for row in shown], cursor, notice or msgspec.UNSET), headers=headers)


def answer(body: T, *, version: int | None = None, status: int = 200) -> Response[T]:
    """Answer with one thing and, where it has versions, its ETag."""
    return Response(body, status_code=status, headers={} if version is None else {"ETag": etag_of(version)})


def when(at: datetime | None) -> str | None:
    """Write a time that may be missing."""
    return None if at is None else stamp(at)


def given(value: T | msgspec.UnsetType) -> T | None:
    """Return what a merge patch says about a field, None where it says nothing."""
    return None if isinstance(value, msgspec.UnsetType) else value


_EARLIEST, _LATEST = 1970, 2200


def moment(field: str, at: datetime | T) -> datetime | T:
    """Return the time in UTC, which is also what a time without a zone is taken for; raises `Invalid`.

    What is no time, as it was not given, stays what it is.
    """
    if not isinstance(at, datetime):
        return at
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


# What a handler puts into its `opt` to take parameters with such names too: a pattern for the whole name.
MORE_PARAMETERS = "more_parameters"


def must_know_parameters(request: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard: refuse a parameter that the operation does not know, so that a misspelt filter is noticed."""
    if not request.query_params:
        return
    known = _parameters_of(handler)
    more: re.Pattern[str] | None = handler.opt.get(MORE_PARAMETERS)
    for name in request.query_params:
        if name not in known and not (more and more.fullmatch(name)):
            raise Invalid(
                storable(name)[:100], f"There is no parameter “{storable(name)[:60]}”.", code="unknown_parameter"
            )


@cache
def _parameters_of(handler: BaseRouteHandler) -> frozenset[str]:
    found = [(name, field.kwarg_definition) for name, field in handler.parsed_fn_signature.parameters.items()]
    return frozenset(kind.name or name for name, kind in found if isinstance(kind, QueryParameter))


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Turn whatever a handler raised into a problem document."""
    problem = as_problem(error)
    if isinstance(error, ValidationException) and isinstance(problem, Invalid):
        problem = _in_our_words(request, problem)
    raw: Any = request.scope
    body = msgspec.json.encode(body_of(problem, trace_id=trace_id(raw)))
    return Response(body, status_code=problem.status, media_type=PROBLEM_JSON, headers=headers_of(problem))


def _in_our_words(request: Request[Any, Any, Any], problem: Invalid) -> Invalid:
    """Say what is wrong with a parameter in a sentence, under the name that it has in the address."""
    known = _described(request.scope["route_handler"])
    errors: list[FieldError] = []
    for error in problem.errors:
        name, words = known.get(error.pointer, (error.pointer.removeprefix("#/"), ()))
        errors.append(FieldError(f"#/{name}", sentence(error.detail, name, words), error.code))
    return Invalid.of(tuple(errors))


@cache
def _described(handler: BaseRouteHandler) -> dict[str, tuple[str, Sequence[str]]]:
    """Return the parameters by how they are pointed at: their names in the address, and the words they may be."""
    return {
        f"#/{name}": (field.kwarg_definition.name or name, _words_of(field.annotation))
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }


def _words_of(kind: Any) -> list[str]:
    # One that may be there several times is a list; one that may be left out is never written as null.
    words = words_at(kind, ()) or words_at(kind, ("0",))
    return [word for word in words if word != "null"]


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
