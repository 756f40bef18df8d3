"""Against forged requests: what a browser sends with its session must come from our own pages.

Two independent checks on every request that changes something and rests on the session cookie. The token, an HMAC of
the cookie, must be in the `X-CSRF-Token` header or in the form field `_csrf_token`, masked; and when the browser says
where the request comes from, it must be us (`origin`). Requests with a bearer token rest on no cookie. A handler whose
request rests on a secret instead says so in its `opt`: `opt={RESTS_ON: Rests.ANSWER_LINK}`.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Any

import structlog

from tocsin.edge import reading
from tocsin.edge.context import AppRequest, Context
from tocsin.edge.middleware import loggable
from tocsin.edge.origin import Arrival, Rests, expected, may_pass, whence
from tocsin.kit.crypto import same
from tocsin.kit.errors import Denied
from tocsin.kit.text import storable

log = structlog.stdlib.get_logger(__name__)

FIELD = "_csrf_token"
HEADER = "x-csrf-token"
RESTS_ON = "rests_on"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_SHOWN = 200
_SIZE = 32
_MASKED = re.compile(f"[0-9a-f]{{{4 * _SIZE}}}")


def token_of(context: Context, cookie: str | None) -> str:
    """Return the form token that belongs to this session; visitors without one share a token that proves nothing.

    It is masked anew for each answer, by something random that goes before it: how well a page packs then tells
    nobody what the token is (`edge.packing`).
    """
    pad = secrets.token_bytes(_SIZE)
    return (pad + _xor(pad, _secret(context, cookie))).hex()


def _secret(context: Context, cookie: str | None) -> bytes:
    return hmac.digest(context.keys.form, (cookie or "").encode(), "sha256")


def _unmasked(sent: str) -> bytes:
    """Return the token that was masked; what is not written as we write it is none."""
    if not _MASKED.fullmatch(sent):
        return b""
    raw = bytes.fromhex(sent)
    return _xor(raw[:_SIZE], raw[_SIZE:])


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(_SIZE)


async def check(context: Context, request: AppRequest) -> None:
    """Raise `Denied` when a request that changes something does not come from our own pages."""
    if request.method in _SAFE or "authorization" in request.headers:
        return
    rests = Rests(_options(request).get(RESTS_ON, Rests.SESSION))
    arrival = Arrival(
        origin=request.headers.get("origin"),
        fetch_site=request.headers.get("sec-fetch-site"),
        host=request.headers.get("host"),
        scheme=str(request.scope["scheme"]),
    )
    base_url = context.settings.base_url
    if not may_pass(whence(arrival, base_url), rests, has_session=request.auth is not None):
        raise _foreign(request, arrival, base_url)
    # A secret that does all by itself is not stronger with a session's token, and must not fail for want of one:
    # somebody may have signed in, or out, in another window since the page was opened.
    if request.auth is None or rests in (Rests.ANSWER_LINK, Rests.OPENING_LINK):
        return
    sent = request.headers.get(HEADER) or await _from_form(request)
    if not same(_unmasked(sent), _secret(context, request.auth)):
        raise _forged()


def _options(request: AppRequest) -> dict[str, Any]:
    handler: Any = request.scope["route_handler"]
    return handler.opt


async def _from_form(request: AppRequest) -> str:
    return next((value for name, value in await reading.form(request) if name == FIELD), "")


def _forged() -> Denied:
    return Denied("This form is too old. Go back, load the page again and send it once more.", code="csrf.invalid")


def _foreign(request: AppRequest, arrival: Arrival, base_url: str) -> Denied:
    """Say what came and what was expected: more often than an attack this is a proxy or a setting that is not right."""
    got = storable(arrival.origin or "nowhere")[:_LONGEST_SHOWN]
    site = storable(arrival.fetch_site or "")[:_LONGEST_SHOWN]
    wanted = expected(arrival, base_url)
    log.warning(
        "request.refused_for_its_origin",
        method=request.method,
        path=loggable(request.url.path),
        origin=got,
        sec_fetch_site=site,
        host=storable(arrival.host or "")[:_LONGEST_SHOWN],
        expected=wanted,
        base_url=base_url,
    )
    said = f" (Sec-Fetch-Site: {site})" if site else ""
    return Denied(
        f"Your browser says that this form comes from {got}{said}. Tocsin takes forms from {' and '.join(wanted)} "
        "only, so nothing was done.",
        code="csrf.origin",
        hint=f"Open {base_url} and try again. If that is not the address at which people open Tocsin, set "
        "TOCSIN_BASE_URL to the one that is.",
    )
