"""Against forged requests: what a browser sends with its session must come from our own pages.

Two independent checks on every request that changes something and rests on the session cookie. The token, an HMAC of
the cookie, must be in the `X-CSRF-Token` header or in the form field `_csrf_token`; and when the browser says where
the request comes from (`Sec-Fetch-Site`, `Origin`), it must be us. Requests with a bearer token rest on no cookie.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from tocsin.edge import reading
from tocsin.edge.context import AppRequest, Context
from tocsin.kit.crypto import same
from tocsin.kit.errors import Denied

FIELD = "_csrf_token"
HEADER = "x-csrf-token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def token_of(context: Context, cookie: str | None) -> str:
    """Return the form token that belongs to this session; visitors without one share a token that proves nothing."""
    return hmac.digest(context.keys.form, (cookie or "").encode(), "sha256").hex()


async def check(context: Context, request: AppRequest) -> None:
    """Raise `Denied` when a request that changes something does not come from our own pages."""
    if request.method in _SAFE or "authorization" in request.headers:
        return
    if not _is_ours(context, request):
        raise _forged()
    if request.auth is None:
        return
    sent = request.headers.get(HEADER) or await _from_form(request)
    if not same(sent, token_of(context, request.auth)):
        raise _forged()


def _is_ours(context: Context, request: AppRequest) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return host in (request.headers.get("host"), urlsplit(context.settings.base_url).netloc)


async def _from_form(request: AppRequest) -> str:
    return next((value for name, value in await reading.form(request) if name == FIELD), "")


def _forged() -> Denied:
    return Denied(
        "This form is too old or was not sent from Tocsin. Go back, load the page again and send it once more.",
        code="csrf.invalid",
    )
