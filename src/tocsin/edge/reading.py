"""Reading what a browser sends, in time proportional to its length and without keeping any of it: cookies and forms.

The parsers of the standard library's cookies (before Python 3.11.10) and of the framework are neither: a quoted cookie
of 100 KB takes the first ones 13 seconds, and the framework remembers the last thousand forms, passwords and all.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote

from litestar.connection import ASGIConnection

from tocsin.kit.errors import TooLarge

MAX_FIELDS = 1000
_FORM = "tocsin.form"
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_Asked = ASGIConnection[Any, Any, Any, Any]


def cookie(request: _Asked, name: str) -> str:
    """Return one cookie's value without its percent signs, empty when it was not sent."""
    return unquote(read_cookie(request.headers.get("cookie", ""), name))


def read_cookie(header: str, name: str) -> str:
    """Return one cookie's value as it was sent, without quotes around it; of several the first one.

    That is the one of the longest path (RFC 6265 section 5.4): of this installation, and not of one above it.
    """
    for pair in header.split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            found = value.strip()
            return found[1:-1] if len(found) > 1 and found[0] == found[-1] == '"' else found
    return ""


async def form(request: Any) -> list[tuple[str, str]]:
    """Return the fields of a form in their order, nothing when the body is none; files are left out.

    Raises `TooLarge` for more than 1,000 fields.
    """
    scope = request.scope["state"]
    if _FORM not in scope:
        scope[_FORM] = await _read_form(request)
    return scope[_FORM]


async def _read_form(request: Any) -> list[tuple[str, str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _MULTIPART:
        # The framework's own parser for this one stops at 1,000 parts and forgets them.
        sent = (await request.form()).multi_items()
        return [(str(name), value) for name, value in sent if isinstance(value, str)]
    if kind != _URLENCODED:
        return []
    try:
        return parse_qsl((await request.body()).decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise TooLarge(f"A form may have at most {MAX_FIELDS:,} fields.") from None
