"""What a page says when something is wrong. Bugs are logged under the reference that the page shows, never shown."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from litestar import Request

from tocsin.edge.context import context_of
from tocsin.edge.middleware import trace_id
from tocsin.edge.problems import as_problem, headers_of
from tocsin.identity.model import Actor
from tocsin.kit.errors import Unauthenticated
from tocsin.web.base import pages
from tocsin.web.base.forms import safe_path
from tocsin.web.base.screens import Screen, ShellScreen


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong. `message` is empty for a bug, `retry_url` for what may not be sent again.

    `back` is the page that one came from, empty where the browser does not say.
    """

    status: int
    message: str
    hint: str
    reference: str
    retry_url: str
    back: str

    @property
    def title(self) -> str:
        """Return it in two words."""
        return {404: "Not found", 403: "Not allowed"}.get(self.status, "That did not work")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorScreen(Screen):
    """What is wrong, for somebody who is not signed in, or when nothing else can be relied on."""

    template: ClassVar = "error.html"
    wrong: Wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInShell(ShellScreen):
    """What is wrong, where somebody is signed in and the rest of the site works: they find their way on from here."""

    template: ClassVar = "error_in_shell.html"
    wrong: Wrong


def answer_error(request: Request[Any, Any, Any], error: Exception) -> pages.Page:
    """Turn whatever a handler raised into a page; nobody signed in leads to the sign-in and back."""
    if isinstance(error, Unauthenticated) and request.url.path != "/live":
        return _to_sign_in(request)
    problem = as_problem(error)
    raw: Any = request.scope
    is_bug = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    wrong = Wrong(
        status=problem.status,
        message="" if is_bug else problem.message,
        hint=problem.hint or "",
        reference=trace_id(raw),
        retry_url=_retry_url(request, problem.status),
        back=_back(request),
    )
    context, who = context_of(request.scope), raw.get("user")
    # Not for a program, which has no business with pages, and sees none of a person's.
    if isinstance(who, Actor) and who.session_id is not None and not is_bug:
        screen: Screen = ErrorInShell(pages.shell_without_store(request, context, who), wrong=wrong)
    else:
        screen = ErrorScreen(pages.bare(request, context, None), wrong=wrong)
    return pages.render(screen, status=problem.status, headers=headers_of(problem))


def _to_sign_in(request: Request[Any, Any, Any]) -> pages.Page:
    """Lead to the sign-in. After a form one comes back to the page that it was on: the form is not sent again."""
    here = request.url.path
    if request.method not in ("GET", "HEAD"):
        here = pages.where_from(request, context_of(request.scope), "").partition("?")[0]
    elif request.url.query:
        here += f"?{request.url.query}"
    return pages.go(pages.address("/sign-in", next=safe_path(here)))


def _back(request: Request[Any, Any, Any]) -> str:
    place = pages.where_from(request, context_of(request.scope), "")
    return place if place.partition("?")[0] != request.url.path else ""


def _retry_url(request: Request[Any, Any, Any], status: int) -> str:
    is_safe = request.method in ("GET", "HEAD")
    return safe_path(request.url.path) if is_safe and status >= HTTPStatus.INTERNAL_SERVER_ERROR else ""
