"""How a connection is read: uvicorn's HTTP/1.1 with a limit on everything that a stranger can make it wait for or keep.

Invariant: until a request is complete, its connection costs a bounded number of bytes and a bounded time, and it can be
given up for a newcomer (see `door`). What is refused here is answered with a problem (RFC 9457) and the end of the
connection; nothing of it has reached the application.

| limit | answer |
|---|---|
| target, `MAX_TARGET` | 414 |
| head in all, `MAX_HEAD`; its fields, `MAX_FIELDS`; cookies, `MAX_COOKIES`; the same for trailers | 431 |
| head complete within `HEAD_WITHIN`; a body at `BODY_PACE` or no longer behind it than `BODY_PATIENCE` | 408 |
| another host than `Host` in the target (RFC 9112 section 3.2.2) | 421 |
| more than one `Host`, a `Host` that is no host, a target that is no address, as of `OPTIONS *` | 400 |
| a place at the door | 503 with `Retry-After` |
"""

from __future__ import annotations

import asyncio
import json
import re
import select
import sys
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlsplit

import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tocsin.edge.door import Door
from tocsin.edge.problems import PROBLEM_JSON, body_of, headers_of
from tocsin.kit.errors import Problem, Unavailable
from tocsin.kit.ids import new_id

log = structlog.stdlib.get_logger("tocsin.http")

MAX_HEAD = 32 * 1024
MAX_TARGET = 8 * 1024
MAX_FIELDS = 100
MAX_COOKIES = 8 * 1024
# Requests that were sent before the answer to the first one; hardly anybody does that.
MAX_PIPELINED = 16
# What chunked encoding may cost beyond the body itself: six bytes for each at worst, and extensions nobody reads.
_CHUNK_OVERHEAD = 8
_CHUNK_EXTRAS = 32 * 1024

HEAD_WITHIN = 10.0
# Seconds a body may fall behind, and the bytes a second that it must come at.
BODY_PATIENCE = 15.0
BODY_PACE = 4 * 1024
# After an answer, before the connection is closed from our side. A proxy keeps its connections for 60 s.
KEEP_ALIVE = 5.0
KEEP_ALIVE_OF_PROXY = 75.0
# For the sender of something refused to read our answer, instead of finding its connection reset.
_LINGER = 2.0
# For the rest of a body that has been answered already.
_DRAIN = 5.0
# How long somebody may leave an answer unread.
UNREAD_FOR = 30.0
RETRY_AFTER = 5

# Parsed at once, so that what is counted is close to what has been kept.
_SLICE = 16 * 1024
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])?(?::[0-9]{0,5})?")


class _Turn(Enum):
    """Whose turn it is. In all but `SERVED` it is the other side's."""

    # Nothing of a request has come yet.
    IDLE = auto()
    ASKING = auto()
    SERVED = auto()
    # It has its answer and is to go; what still comes is thrown away.
    LEAVING = auto()


class _Part(Enum):
    """Which part of a message comes next on the wire. It may belong to one that was sent ahead."""

    NONE = auto()
    HEAD = auto()
    BODY = auto()


class _Refused(Problem):
    """What is wrong with a request before anybody has looked at what it asks for."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message, code=f"request.{code}")
        self.status = status


class Connection(HttpToolsProtocol):
    """One connection of a web process. Made by `at`, which says at whose door."""

    door: ClassVar[Door]
    # Of httptools, which only `net` imports; uvicorn takes it away when the connection is lost.
    parser: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.address = ""
        self._turn = _Turn.IDLE
        self._part = _Part.NONE
        # Seconds that we still wait while it is the other side's turn.
        self._patience = HEAD_WITHIN
        self._problem: Problem | None = None
        # What is being parsed just now, and the bytes on the wire of the part at hand.
        self._data = b""
        self._wire = 0
        self._is_upgrade = False
        # Of the message at hand: bytes and number of its fields, bytes of its cookies and of its body.
        self._head = self._fields = self._cookies = self._body = 0
        self._unread = 0
        self._unread_for = 0.0
        # What is answered now. `cycle` is the latest request, which may have been sent ahead.
        self._running: RequestResponseCycle | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a place, or say that there is none."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        if not self.door.enter(self):
            self._refuse(Unavailable("Too many connections are open. Try again.", retry_after=RETRY_AFTER))

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self.door.leave(self)
        self._abandon()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and stop as soon as something exceeds its limit."""
        for at in range(0, len(data), _SLICE):
            if self._turn is _Turn.LEAVING or self.transport.is_closing():
                return
            self._read(data[at : at + _SLICE] if len(data) > _SLICE else data)

    def _read(self, data: bytes) -> None:
        if self._turn is _Turn.IDLE:
            self._turn, self._patience = _Turn.ASKING, HEAD_WITHIN
        self._data = data
        self._wire += len(data)
        super().data_received(data)
        if self._part is not _Part.BODY and self._wire > MAX_HEAD + _SLICE:
            self._refuse(_too_much())
        if self._part is _Part.BODY and self._wire > _CHUNK_OVERHEAD * self._body + _CHUNK_EXTRAS + _SLICE:
            self._refuse(_Refused(HTTPStatus.BAD_REQUEST, "unreadable", "There is more around this body than in it."))

    # What the parser tells

    def on_message_begin(self) -> None:
        """Begin to count. The end of the message before may stand in the same slice, so this counts a little much."""
        super().on_message_begin()
        self._part, self._wire = _Part.HEAD, len(self._data)
        self._head = self._fields = self._cookies = self._body = 0

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        super().on_url(url)
        self._head += len(url)
        if len(self.url) > MAX_TARGET:
            too_long = f"An address may have {MAX_TARGET:,} bytes."
            raise self._complain(_Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "target_too_long", too_long))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field. One after the body is counted as well and then forgotten: nobody expects it there."""
        self._fields += 1
        self._head += len(name) + len(value) + 4
        if name.lower() == b"cookie":
            self._cookies += len(value)
        if self._fields > MAX_FIELDS or self._head > MAX_HEAD or self._cookies > MAX_COOKIES:
            raise self._complain(_too_much())
        if self._part is _Part.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check where the request goes, then let it be served."""
        if len(self.pipeline) >= MAX_PIPELINED:
            too_early = "Wait for the answers to what you asked before."
            raise self._complain(_Refused(HTTPStatus.TOO_MANY_REQUESTS, "sent_ahead", too_early))
        if self.parser.get_method() == b"CONNECT":
            raise self._complain(_Refused(HTTPStatus.BAD_REQUEST, "unreadable", "This is no proxy."))
        wrong = wrong_with(self.url, [value for name, value in self.headers if name == b"host"])
        if wrong is not None:
            raise self._complain(wrong)
        self._is_upgrade = self.parser.should_upgrade()
        if self._is_upgrade:
            return
        super().on_headers_complete()
        self._part, self._wire = _Part.BODY, 0
        self._patience = BODY_PATIENCE

    def on_body(self, body: bytes) -> None:
        """Count a part of the body, and be patient for the next one."""
        self._body += len(body)
        if not self.cycle.response_complete:
            self._patience = min(BODY_PATIENCE, self._patience + len(body) / BODY_PACE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is there; from here on it is our turn."""
        if self._is_upgrade:
            return
        super().on_message_complete()
        self._part, self._wire = _Part.NONE, 0
        if self.cycle.response_complete:
            self._become_idle()
        else:
            self._turn = _Turn.SERVED
            self.door.serve(self)

    def on_response_complete(self) -> None:
        """Wait for what comes next: another request, or the rest of the one at hand."""
        super().on_response_complete()
        if self._turn is _Turn.LEAVING:
            return
        is_served = self._running is not None and not self._running.response_complete
        if is_served and not (self._running is self.cycle and self._part is _Part.BODY):
            return
        if self._part is _Part.NONE:
            self._become_idle()
            return
        # What is answered before it was complete has been refused, and nobody wants the rest of it.
        self._patience = HEAD_WITHIN if self._part is _Part.HEAD else BODY_PATIENCE if is_served else _DRAIN
        if self._turn is _Turn.SERVED:
            self._turn = _Turn.ASKING
            self.door.wait_for(self)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _become_idle(self) -> None:
        self._turn = _Turn.IDLE
        self._patience = KEEP_ALIVE_OF_PROXY if self.address in self.door.limits.proxies else KEEP_ALIVE
        self.door.wait_for(self)

    def timeout_keep_alive_handler(self) -> None:
        """Leave it to `look`, which knows more than uvicorn's timer."""

    def _unsupported_upgrade_warning(self) -> None:
        """Read the request once more as one that asks for no other protocol.

        We speak none, and then the request counts as it is (RFC 9110 section 7.8). The parser however takes what
        follows its head for the other protocol, so the body would be lost: a Java client asks for h2c with its first
        request, whatever that carries.
        """
        stopped = sys.exc_info()[1]
        rest = self._data[int(stopped.args[0]) :] if stopped is not None and stopped.args else b""
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + self.parser.get_http_version().encode()]
        lines += [name + b": " + value for name, value in _without_upgrade(self.headers)]
        self.parser = type(self.parser)(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._data = b"\r\n".join([*lines, b"", rest])
        super().data_received(self._data)

    # What the door tells

    def has_said_more(self) -> bool:
        """Whether something stands in the socket, or the end of it."""
        found: Any = self.transport.get_extra_info("socket")
        waiting = select.poll()
        try:
            waiting.register(found.fileno(), select.POLLIN)
            return bool(waiting.poll(0))
        except (OSError, ValueError):
            return False

    def make_room(self) -> None:
        """Go at once. A request that was not complete has not been heard by anybody; its sender repeats it."""
        self._abandon()
        self.transport.abort()

    def look(self, elapsed: float) -> None:
        """Give up when the other side has been waited for too long, with its request or with reading our answer."""
        self._look_at_unread(elapsed)
        if self._turn is _Turn.SERVED or self._waits_for_us():
            return
        self._patience -= elapsed
        if self._patience > 0:
            return
        if self._turn is _Turn.IDLE:
            self.transport.close()
        elif self._turn is _Turn.LEAVING or (self._part is _Part.BODY and self.cycle.response_complete):
            self.transport.abort()
        else:
            self._refuse(_Refused(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "The request came too slowly."))

    def _waits_for_us(self) -> bool:
        """Whether the body does not come because we have not asked for it, or not taken what is there."""
        if self._part is not _Part.BODY or self._turn is _Turn.LEAVING:
            return False
        is_asked_for = not self.cycle.waiting_for_100_continue or self.cycle.response_started
        return self.flow.read_paused or not is_asked_for

    def _look_at_unread(self, elapsed: float) -> None:
        unread = self.transport.get_write_buffer_size()
        self._unread_for = self._unread_for + elapsed if 0 < self._unread <= unread else 0.0
        self._unread = unread
        if self._unread_for >= UNREAD_FOR:
            self.door.measure("unread")
            self._abandon()
            self.transport.abort()

    # Refusing

    def _complain(self, problem: Problem) -> Problem:
        """Keep what is wrong while the parser gives up; it hands on no exception of ours."""
        self._problem = problem
        return problem

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser gave up on, or what we made it give up on."""
        self._refuse(
            self._problem or _Refused(HTTPStatus.BAD_REQUEST, "unreadable", "This is not HTTP/1.1 as it is written.")
        )

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem and leave; where an answer is under way, a second one would stand in its middle."""
        if self._turn is _Turn.LEAVING or self.transport.is_closing():
            return
        log.info("connection.refused", code=problem.code, status=int(problem.status), client=self.address)
        self.door.measure(problem.code)
        can_be_told = not self._speaks() and self.door.may_tell
        self._abandon()
        self._turn, self._patience = _Turn.LEAVING, _LINGER
        if not can_be_told:
            self.transport.abort()
            return
        self.transport.write(self._written(problem))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _speaks(self) -> bool:
        """Whether an answer to an earlier request, or a part of this one's, is on the wire or still to come."""
        running = self._running
        if running is None or running.response_complete:
            return False
        return running.response_started or running is not self.cycle or self._part is not _Part.BODY

    def _abandon(self) -> None:
        """Let the application know that nobody waits for its answer."""
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()

    def _written(self, problem: Problem) -> bytes:
        body = json.dumps(body_of(problem, trace_id=new_id().hex)).encode() + b"\n"
        headers = {"content-type": PROBLEM_JSON, "content-length": str(len(body)), "connection": "close"}
        lines = [f"{name}: {value}".encode() for name, value in {**headers, **headers_of(problem)}.items()]
        lines += [name + b": " + value for name, value in self.server_state.default_headers]
        status = HTTPStatus(problem.status)
        return b"\r\n".join([b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *lines, b"", body])


def at(door: Door) -> type[Connection]:
    """Return the connections of one door, for uvicorn to make."""
    return type("Connection", (Connection,), {"door": door})


def wrong_with(target: bytes, hosts: list[bytes]) -> Problem | None:
    """Say what is wrong with the place that a request goes to; None when nothing is.

    Any one host is right, as people reach an installation under many names and nothing is made from it.
    """
    if len(hosts) > 1:
        return _Refused(HTTPStatus.BAD_REQUEST, "unreadable", "Send the field Host once.")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        return _Refused(HTTPStatus.BAD_REQUEST, "unreadable", "The field Host holds no host.")
    if target.startswith(b"/"):
        return None
    try:
        parts = urlsplit(target.decode("ascii"))
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path:
        return _Refused(HTTPStatus.BAD_REQUEST, "unreadable", "Ask for an address that begins with a slash.")
    if hosts and parts.netloc.lower() != hosts[0].decode("ascii").lower():
        return _Refused(
            HTTPStatus.MISDIRECTED_REQUEST, "misdirected", "This address is of another host than the field Host."
        )
    return None


def _without_upgrade(fields: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in fields:
        if name == b"connection":
            words = [word.strip() for word in value.split(b",")]
            value = b", ".join(word for word in words if word.lower() not in (b"upgrade", b"http2-settings"))
        if name not in (b"upgrade", b"http2-settings") and (name, value) != (b"connection", b""):
            yield name, value


def _too_much() -> Problem:
    return _Refused(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "head_too_large",
        f"Send at most {MAX_FIELDS} fields, {MAX_COOKIES:,} bytes of cookies and {MAX_HEAD:,} bytes before the body.",
    )
