"""The one HTTP client by which Tocsin calls out: guarded, pinned, capped, with a deadline for the whole call.

Serves F059–F061 and every other outgoing call. It asks one request on one HTTP/1.1 connection and keeps the
connection for the next. It follows no redirect, reads no proxy from the environment and keeps no cookies.

Written on httptools (llhttp) because a page must leave within 20 ms at 100 pages a second on a shared core.
CPU per POST over keep-alive on loopback, under uvloop: httpx 0.57 ms, httpcore 0.38 ms, this module 0.05 ms.
It is also the shortest way to a connection that goes to the very address that was checked.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from ipaddress import ip_address
from typing import Literal

from tocsin.kit import clock
from tocsin.kit.errors import Invalid, OutsideFailure, Patience, Refused, Transient
from tocsin.net import dial, targets, trust, words
from tocsin.net.connection import Answer, Connection
from tocsin.net.dial import Unreachable
from tocsin.net.resolver import Resolve, Resolver
from tocsin.net.targets import Address, BadTarget, Network, Target

USER_AGENT = f"Tocsin/{version('tocsin')}"
MAX_IDLE = 64
LONGEST_WAIT = 24 * 3600.0
# How long one address may take to answer before the next is tried beside it.
HEAD_START = 0.3

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_PASSING = frozenset({408, 425, 429})
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"})
# They say nothing that a receiver must not repeat, and receivers speak of them.
_PLAIN = frozenset({"accept", "content-type", "user-agent"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other side answered. Header names are in lower case; the body ends after 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def check_url(url: str, allow: Sequence[Network] = ()) -> str:
    """Return the URL in its normal spelling, or raise `Invalid("address", …)`.

    Reads only the text: names are looked up, and their addresses checked, when the call is made.
    """
    try:
        target = targets.read_url(url)
    except BadTarget as problem:
        raise Invalid("address", str(problem)) from None
    if target.address is not None and (why := targets.refusal(target.address, allow)):
        raise Invalid("address", _forbidden("This address", why))
    return target.url


class OutboundHttp:
    """Calls URLs that users typed, and never reaches into the network that Tocsin itself stands in.

    `allow` names the private networks that may be called after all. `resolve` and `tls` are for tests and for
    installations with their own certificate authority. Use it inside one event loop and close it at the end.
    """

    def __init__(
        self,
        allow: Sequence[Network] = (),
        *,
        connect_seconds: float = 4.0,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow = tuple(allow)
        self._connect_seconds = connect_seconds
        self._resolve = resolve or Resolver()
        self._tls = tls or trust.of_this_machine()
        self._open: set[Connection] = set()
        self._idle: dict[_Origin, list[Connection]] = {}
        self._closed = False

    def check_url(self, url: str) -> str:
        """Check a URL at the time it is saved, with this client's allow list; see `check_url`."""
        return check_url(url, self._allow)

    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str], deadline_seconds: float = 15.0) -> Reply:
        """Post the body and return a 2xx answer; everything else raises `Transient` or `Refused`."""
        return await self._succeed("POST", url, body, headers, deadline_seconds)

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None, deadline_seconds: float = 15.0) -> Reply:
        """Get the URL and return a 2xx answer; everything else raises `Transient` or `Refused`."""
        return await self._succeed("GET", url, b"", headers or {}, deadline_seconds)

    async def request(
        self,
        method: Method,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float = 15.0,
    ) -> Reply:
        """Ask once and return the answer whatever its status; for probes and vendors' own error bodies.

        `deadline_seconds` covers the whole call: name, connection, TLS, sending and reading. A failure is
        `may_have_arrived` from the moment on when the request was written. Nothing but a GET is written a second
        time, and that only when a kept connection broke before one byte of the answer came.
        """
        try:
            target = targets.read_url(url)
        except BadTarget as problem:
            raise Refused(str(problem), patience=Patience.NONE) from None
        message = _write_request(method, target, headers or {}, body)
        if self._closed:
            raise Transient("Tocsin is stopping; the call was not made.")
        until = asyncio.get_running_loop().time() + deadline_seconds
        try:
            connection, answer = await self._ask(target, message, until, is_repeatable=method == "GET")
        except _Late as late:
            what = "did not answer" if late.is_asked else "could not be reached"
            said = f"{target.origin} {what} within {deadline_seconds:.2g} s."
            raise Transient(said, may_have_arrived=late.is_asked) from None
        if answer.fault is not None:
            raise Transient(f"{target.origin} {answer.fault}.", may_have_arrived=answer.is_asked)
        self._give_back(target, connection)
        return Reply(answer.status, answer.joined_headers(), bytes(answer.body))

    async def aclose(self) -> None:
        """Close every connection, also those in use, and wait until they are gone."""
        self._closed = True
        gone = [connection.gone for connection in self._open]
        for connection in tuple(self._open):
            connection.abort()
        self._idle.clear()
        if gone:
            await asyncio.wait(gone, timeout=2.0)

    async def _succeed(
        self, method: Method, url: str, body: bytes, headers: Mapping[str, str], deadline_seconds: float
    ) -> Reply:
        reply = await self.request(method, url, body=body, headers=headers, deadline_seconds=deadline_seconds)
        if not 200 <= reply.status < 300:
            private = [value for name, value in headers.items() if name.lower() not in _PLAIN]
            raise failure_of(url, reply, "\n".join([*private, body.decode("utf-8", "replace")]))
        return reply

    async def _ask(
        self, target: Target, message: bytes, until: float, *, is_repeatable: bool
    ) -> tuple[Connection, Answer]:
        kept = self._take(target)
        if kept is not None:
            answer = await self._exchange(kept, target, message, until)
            if answer.is_asked and not (answer.is_silent and is_repeatable):
                return kept, answer
        try:
            async with asyncio.timeout_at(until):
                connection = await self._connect(target)
        except TimeoutError:
            raise _Late(is_asked=False) from None
        return connection, await self._exchange(connection, target, message, until)

    async def _exchange(self, connection: Connection, target: Target, message: bytes, until: float) -> Answer:
        is_done = False
        try:
            async with asyncio.timeout_at(until):
                answer = await connection.ask(message)
            is_done = answer.fault is None
        except TimeoutError:
            raise _Late(is_asked=True) from None
        finally:
            if not is_done:
                # What else is kept was opened to the same server and is as old.
                self._forget(target)
        return answer

    async def _connect(self, target: Target) -> Connection:
        # The name is looked up once, all its addresses are checked, and the socket gets an address, never the
        # name: a name that changes its answer in between (DNS rebinding) changes nothing.
        addresses = dial.spread(await self._addresses(target))
        try:
            return await dial.reach(
                addresses,
                lambda address: self._open_connection(target, address),
                seconds=self._connect_seconds,
                head_start=HEAD_START,
                discard=Connection.abort,
            )
        except Unreachable as unreachable:
            failures = unreachable.failures
        if (why := words.of_certificate(*failures)) is not None:
            raise Refused(words.sentence(f"{target.origin} has no valid certificate for its name", why))
        is_tls = any(isinstance(failure, ssl.SSLError) for failure in failures)
        raise Transient(f"{target.origin} {'failed at the TLS handshake' if is_tls else 'could not be reached'}.")

    async def _addresses(self, target: Target) -> list[Address]:
        if target.address is not None:
            found = [target.address]
        else:
            found = [ip_address(text) for text in await self._resolve(target.host)]
        for address in found:
            # One bad address among good ones is refused too: nobody honest publishes such a mixture.
            if why := targets.refusal(address, self._allow):
                patience = Patience.LONG if target.address is None else Patience.NONE
                raise Refused(_forbidden(target.origin, why), patience=patience)
        return found

    async def _open_connection(self, target: Target, address: Address) -> Connection:
        loop = asyncio.get_running_loop()
        secure = target.scheme == "https"
        transport, connection = await loop.create_connection(
            lambda: Connection(loop),
            str(address),
            target.port,
            ssl=self._tls if secure else None,
            server_hostname=target.host if secure else None,
        )
        connection.transport = transport
        if connection.is_clean and not self._closed:
            self._open.add(connection)
            connection.gone.add_done_callback(lambda _: self._open.discard(connection))
        else:
            connection.abort()
        return connection

    def _take(self, target: Target) -> Connection | None:
        waiting = self._idle.get(_origin(target))
        while waiting:
            connection = waiting.pop()
            if connection.is_fresh() and connection.is_quiet():
                return connection
            connection.abort()
        return None

    def _forget(self, target: Target) -> None:
        for connection in self._idle.pop(_origin(target), ()):
            connection.abort()

    def _give_back(self, target: Target, connection: Connection) -> None:
        if not connection.is_clean or self._closed:
            connection.abort()
            return
        connection.idle_since = clock.monotonic()
        if sum(map(len, self._idle.values())) >= MAX_IDLE:
            self._sweep()
        self._idle.setdefault(_origin(target), []).append(connection)

    def _sweep(self) -> None:
        """Close what is stale; when that makes no room, close all that is idle."""
        idle = [connection for waiting in self._idle.values() for connection in waiting]
        fresh = [connection for connection in idle if connection.is_fresh()]
        keep = set(fresh) if len(fresh) < MAX_IDLE else set[Connection]()
        for connection in idle:
            if connection not in keep:
                connection.abort()
        kept = {origin: [c for c in waiting if c in keep] for origin, waiting in self._idle.items()}
        self._idle = {origin: waiting for origin, waiting in kept.items() if waiting}


_Origin = tuple[str, str, int]


class _Late(Exception):
    """The deadline has passed, before or after the request was written."""

    def __init__(self, *, is_asked: bool) -> None:
        super().__init__()
        self.is_asked = is_asked


def _origin(target: Target) -> _Origin:
    return target.scheme, target.host, target.port


def _write_request(method: Method, target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}", "Accept-Encoding: identity"]
    has_agent = False
    for name, value in headers.items():
        folded = name.lower()
        has_agent = has_agent or folded == "user-agent"
        if folded in _OURS or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            # The value may be a secret, so only a well-formed name is repeated.
            shown = f"“{name}”" if _HEADER_NAME.fullmatch(name) else "with this name"
            raise Refused(f"The header {shown} cannot be sent.", patience=Patience.NONE)
        lines.append(f"{name}: {value}")
    if not has_agent:
        lines.append(f"User-Agent: {USER_AGENT}")
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def failure_of(url: str, reply: Reply, sent: str) -> OutsideFailure:
    """Judge an answer that is not 2xx, in the receiver's own words where it has some.

    Neither the address nor anything of `sent`, which is what was posted to it, is repeated.
    """
    target = targets.read_url(url)
    own = words.of_body(reply.headers, reply.body, path=target.path, sent=sent)
    said = words.sentence(f"{target.origin} answered {reply.status}", own)
    wait = _retry_after(reply.headers.get("retry-after", ""))
    if reply.status >= 500 or reply.status in _PASSING:
        # A gateway says so when it has waited for the receiver in vain, and a receiver when it failed half-way.
        has_acted = reply.status >= 500 or reply.status == 408
        return Transient(said, retry_after=wait, may_have_arrived=has_acted, answered=True)
    if 300 <= reply.status < 400:
        said += " Redirects are not followed; enter the final address."
    patience = Patience.SHORT if reply.status == 410 else Patience.LONG
    return Refused(said, patience=patience, retry_after=wait, answered=True)


def _retry_after(text: str) -> float | None:
    """Read `Retry-After` (RFC 9110 §10.2.3), seconds or a date, as seconds from now, at most a day."""
    # Some products give fractions of a second.
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text):
        return min(float(text), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    return min(max((at - clock.utc_now()).total_seconds(), 0.0), LONGEST_WAIT)


def _forbidden(what: str, why: str) -> str:
    return f"{what} leads to {why}, which Tocsin does not call unless TOCSIN_OUTBOUND_ALLOW names that network."
