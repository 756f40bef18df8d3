"""What a page says when something is wrong. Bugs are logged under the reference that the page shows, never shown."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlsplit

from litestar import Request

from tocsin.edge.context import context_of
from tocsin.edge.middleware import trace_id
from tocsin.edge.problems import as_problem, headers_of
from tocsin.kit.addresses import within
from tocsin.kit.errors import Unauthenticated
from tocsin.web.base import pages
from tocsin.web.base.forms import safe_path
from tocsin.web.base.screens import Bare, Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorScreen(Screen):
    """What is wrong. `message` is empty for a bug, `retry_url` for what may not be sent again."""

    template: ClassVar = "error.html"
    status: int
    message: str
    hint: str
    reference: str
    retry_url: str


def answer_error(request: Request[Any, Any, Any], error: Exception) -> pages.Page:
    """Turn whatever a handler raised into a page; nobody signed in leads to the sign-in and back."""
    if isinstance(error, Unauthenticated) and not request.url.path.endswith("/events"):
        return _to_sign_in(request)
    problem = as_problem(error)
    raw: Any = request.scope
    shell = Bare(
        root=context_of(request.scope).settings.root,
        now=None,
        csrf_token="",
        theme=pages.theme_of(request),
        path=request.url.path,
    )
    screen = ErrorScreen(
        shell,
        status=problem.status,
        message=problem.message if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR else "",
        hint=problem.hint or "",
        reference=trace_id(raw),
        retry_url=_retry_url(request, problem.status),
    )
    return pages.render(screen, status=problem.status, headers=headers_of(problem))


def _to_sign_in(request: Request[Any, Any, Any]) -> pages.Page:
    """Lead to the sign-in. After a form one comes back to the page that it was on: the form is not sent again."""
    here = request.url.path
    if request.method not in ("GET", "HEAD"):
        referer = urlsplit(request.headers.get("referer", ""))
        is_ours = referer.netloc == request.headers.get("host")
        here = (within(context_of(request.scope).settings.root, referer.path) or "") if is_ours else ""
    elif request.url.query:
        here += f"?{request.url.query}"
    return pages.go(pages.address("/sign-in", next=safe_path(here)))


def _retry_url(request: Request[Any, Any, Any], status: int) -> str:
    is_safe = request.method in ("GET", "HEAD")
    return safe_path(request.url.path) if is_safe and status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
