"""Where a request that changes something comes from, and whether that is good enough. No I/O, no request object.

A browser says it in `Sec-Fetch-Site` (not over plain http) and in `Origin`, which is `null` where the page that sent
the form keeps its address to itself, and absent in old browsers and in everything that is none. How much that has to
prove depends on what the request rests on: a session that the browser adds by itself, or a secret that whoever made
the request must have known.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
# Scheme, host, port.
_Place = tuple[str, str, int]


class Whence(StrEnum):
    """Where a request comes from, as far as it says."""

    OURS = "ours"
    FOREIGN = "foreign"
    NULL = "null"
    UNSAID = "unsaid"


class Rests(StrEnum):
    """What a request that changes something rests on."""

    # The session, or what the form says, such as a password.
    SESSION = "session"
    # A secret in the address, or in the form, that signs in.
    SIGN_IN_LINK = "sign_in_link"
    # A secret in the address that does all by itself, for a person whom it names. A session changes nothing.
    ANSWER_LINK = "answer_link"
    # The same secret, where it opens what the page was about in this browser.
    OPENING_LINK = "opening_link"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a request says about its origin, and what it was sent to; None for a header that is not there."""

    origin: str | None
    fetch_site: str | None
    host: str | None
    scheme: str


def whence(arrival: Arrival, base_url: str) -> Whence:
    """Say where the request comes from.

    `Sec-Fetch-Site` is the browser's own comparison, which no proxy can spoil, so it goes first. Else the origin is
    ours when it is that of `TOCSIN_BASE_URL` or the address that the request was sent to. A proxy that ends TLS leaves
    http to be seen here, so https at that address is ours as well. http is not where the setting says https: browsers
    keep no session of ours there, and anybody on the line may have written the page.
    """
    if arrival.fetch_site is not None:
        return Whence.OURS if arrival.fetch_site in ("same-origin", "none") else Whence.FOREIGN
    if arrival.origin is None:
        return Whence.UNSAID
    if arrival.origin == "null":
        return Whence.NULL
    place = _place(arrival.origin)
    return Whence.OURS if place is not None and place in _own(arrival, base_url) else Whence.FOREIGN


def may_pass(whence: Whence, rests: Rests, *, has_session: bool) -> bool:
    """Say whether a request from there may do what rests on this. A form token, where one is due, comes on top.

    A link that answers is proof enough where no session speaks: whoever knows it needs no stranger's browser. One that
    signs in is refused from elsewhere in any case: else somebody could sign a stranger's browser in as themselves.
    """
    match whence:
        case Whence.OURS | Whence.UNSAID:
            return True
        case Whence.NULL:
            is_opening = rests in (Rests.SIGN_IN_LINK, Rests.OPENING_LINK)
            return rests is Rests.ANSWER_LINK or (is_opening and not has_session)
        case Whence.FOREIGN:
            return rests is Rests.ANSWER_LINK and not has_session


def expected(arrival: Arrival, base_url: str) -> list[str]:
    """Return the origins that would have been ours, for people: that of the setting first."""
    wanted = [_place(base_url), *_here(arrival, base_url)[:1]]
    return list(dict.fromkeys(_write(place) for place in wanted if place is not None))


def _own(arrival: Arrival, base_url: str) -> set[_Place]:
    return {place for place in (_place(base_url), *_here(arrival, base_url)) if place is not None}


def _here(arrival: Arrival, base_url: str) -> list[_Place]:
    """Return the address that the request was sent to, as the browser may know it."""
    if not arrival.host:
        return []
    plain, secure = _place(f"http://{arrival.host}"), _place(f"https://{arrival.host}")
    if plain is None or secure is None:
        return []
    is_secure = arrival.scheme == "https" or base_url.startswith("https:")
    return [secure] if is_secure else [plain, secure]


def _place(url: str) -> _Place | None:
    """Return scheme, host and port in one spelling: small letters, the default port written out, one form of IPv6."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc or parts.query or parts.fragment:
        return None
    with suppress(ValueError):
        host = ip_address(host).compressed
    with suppress(UnicodeError):
        host = host.encode("idna").decode()
    return parts.scheme, host, _PORTS[parts.scheme] if port is None else port


def _write(place: _Place) -> str:
    scheme, host, port = place
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port == _PORTS[scheme] else f"{scheme}://{shown}:{port}"
