"""Who is asking: a token in the Authorization header, or the session cookie of a browser."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from tocsin.edge.context import NO_CREDENTIAL, Context, context_of
from tocsin.edge.reading import read_cookie
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.kit.addresses import at, root_of
from tocsin.kit.errors import Denied, TooMany, Unauthenticated

COOKIE = "tocsin_session"
# Of a browser that came by the link of a page. The API knows nothing of it.
PAGE_LINK_COOKIE = "tocsin_page_link"
# Over https the browser itself then sees to it that the cookie came from exactly this host, over https, for all of it
# (RFC 6265bis section 4.1.3.2): no neighbour below the same domain, and nobody on a plain line, can put one of theirs
# in its place.
_OVER_HTTPS = "__Host-"
# Such a cookie would go to all programs at this host. Below a path the host is shared, and to hand them the session
# with each request is worse than that a neighbour can put in one of their own, which signs them in and nobody else.
_OVER_HTTPS_BELOW_A_PATH = "__Secure-"
_PROBLEM = "tocsin.credential_problem"


def session_cookie(base_url: str, cookie: str = COOKIE) -> str:
    """Return the name of the session's cookie, or of that of a page link, on an installation at this address.

    It says the path, as cookies of a path come below it as well, in whatever order: those of `/tocsin` to
    `/tocsin/trial`.
    """
    root = root_of(base_url)
    name = cookie + root.replace("/", ".")
    if not base_url.startswith("https://"):
        return name
    return (_OVER_HTTPS_BELOW_A_PATH if root else _OVER_HTTPS) + name


class Authentication:
    """ASGI middleware: sets the request's user to an actor or to None, and its auth to the session's cookie.

    A token that is sent and not valid is an error, so that a program never acts as nobody by mistake. It is left in
    the scope for `refuse` to raise where errors are answered with all their headers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(("/static/", "/healthz", "/readyz", "/metrics")):
            await self._identify(scope)
        else:
            scope["user"] = scope["auth"] = None
        await self._app(scope, receive, send)

    async def _identify(self, scope: Scope) -> None:
        scope["user"] = scope["auth"] = None
        context = context_of(scope)
        headers = Headers.from_scope(scope)
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, secret = authorization.partition(" ")
            if scheme.lower() != "bearer":
                return _refused(scope, "Send the token as `Authorization: Bearer tcs_…`.")
            async with context.db.look() as tx:
                scope["user"] = await identity.authenticate_token(tx, secret.strip())
            if scope["user"] is None:
                return _wrong_token(context, scope)
            return None
        settings = context.settings
        cookie = read_cookie(headers.get("cookie", ""), session_cookie(settings.base_url))
        if cookie:
            async with context.db.look() as tx:
                scope["user"] = await identity.authenticate_session(
                    tx, cookie, days=settings.session_days, most_days=settings.session_max_days
                )
            if scope["user"] is not None:
                scope["auth"] = cookie
                return None
        await _visiting(context, scope, headers.get("cookie", ""))
        return None


async def _visiting(context: Context, scope: Scope, cookies: str) -> None:
    """Set the request's user to who came by the link of a page, on pages only, and where links may open anything."""
    settings = context.settings
    cookie = read_cookie(cookies, session_cookie(settings.base_url, PAGE_LINK_COOKIE))
    if not cookie or not settings.page_link_session_minutes or scope["path"].startswith("/api/"):
        return
    async with context.db.look() as tx:
        scope["user"] = await incidents.visitor(tx, cookie)
    if scope["user"] is not None:
        scope["auth"] = cookie


def _wrong_token(context: Context, scope: Scope) -> None:
    client = scope["client"]
    try:
        context.wrong_tokens.note(client[0] if client else "", "wrong tokens")
    except TooMany as problem:
        scope["state"][_PROBLEM] = problem
    else:
        _refused(scope, "This token is unknown or was revoked.")


def _refused(scope: Scope, why: str) -> None:
    scope["state"][_PROBLEM] = Unauthenticated(why)


def refuse(request: ASGIConnection[Any, Actor | None, Any, Any]) -> None:
    """Raise what is wrong with the credential that came with this request, if anything is."""
    problem = request.scope["state"].get(_PROBLEM)
    if problem is not None:
        raise problem


def must_be_known(request: ASGIConnection[Any, Actor | None, Any, Any], _: BaseRouteHandler) -> None:
    """Guard: raise `Unauthenticated` for a request without a credential, before anything of it is read."""
    refuse(request)
    if request.user is None:
        raise Unauthenticated(NO_CREDENTIAL)


def must_not_be_a_program(request: ASGIConnection[Any, Actor | None, Any, Any], _: BaseRouteHandler) -> None:
    """Guard of pages: raise `Denied` for a request with a token. Its scopes are those of the API, and so are its ways.

    Pages check what a person may do and not what a token is for; and a form that carries a token would need no form
    token.
    """
    if "authorization" in request.headers:
        root = context_of(request.scope).settings.root
        raise Denied(
            "Pages are for people who are signed in. A token works with the API.",
            code="auth.not_here",
            hint=f"The API is at {at(root, '/api/v1')}; {at(root, '/api/v1/docs')} says what there is.",
        )
