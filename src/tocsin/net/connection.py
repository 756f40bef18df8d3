"""One HTTP/1.1 connection and the answers that come on it. Which address it leads to is decided elsewhere."""

from __future__ import annotations

import asyncio
import select
import ssl

import httptools

from tocsin.kit import clock

MAX_REPLY = 64 * 1024
MAX_REPLY_HEAD = 32 * 1024
# Servers close idle connections after 5 s (Node), 60 s (many balancers) or 75 s (nginx).
IDLE_FOR = 30.0
# A connection is not kept for ever, so that a change in DNS is followed.
KEPT_FOR = 300.0


class Connection(asyncio.Protocol):
    """One connection to a checked address; carries one exchange at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answer: Answer | None = None
        self.transport: asyncio.Transport | None = None
        self.gone: asyncio.Future[None] = loop.create_future()
        self.is_clean = True
        self.opened_at = self.idle_since = clock.monotonic()

    def is_fresh(self) -> bool:
        """Say whether another request may go out here."""
        now = clock.monotonic()
        return self.is_clean and now - self.idle_since < IDLE_FOR and now - self.opened_at < KEPT_FOR

    def is_quiet(self) -> bool:
        """Say whether nothing has come since the last answer, not even what the event loop has yet to read.

        A farewell that lies in the socket already would turn the next request into one that may have arrived.
        """
        if self.transport is None:
            return False
        waiting = select.poll()
        waiting.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    async def ask(self, message: bytes) -> Answer:
        """Send the request and wait for the end of its answer; never raises for what the server does."""
        answer = self._answer = Answer(self._loop)
        if self.transport is None or not self.is_clean:
            answer.lost()
        else:
            answer.is_asked = True
            self.transport.write(message)
        is_done = False
        try:
            await answer.done
            is_done = True
        finally:
            self._answer = None
            if not is_done or not answer.keeps_alive:
                self.abort()
        return answer

    def abort(self) -> None:
        """Drop the connection now, without farewell."""
        self.is_clean = False
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass bytes to the exchange; bytes that nobody asked for spoil the connection."""
        if self._answer is None:
            self.abort()
        else:
            self._answer.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the exchange; the connection is never used again."""
        self.is_clean = False
        if self._answer is not None:
            self._answer.lost(exc)
        if not self.gone.done():
            self.gone.set_result(None)


class Answer:
    """Reads one answer. Either `fault` is set, or status, headers and body are.

    `is_asked` says that the request was written; until then the other side cannot know of it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._is_head_read = False
        self._head_size = 0
        self.done: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.fault: str | None = None
        self.is_asked = False
        self.is_silent = True
        self.keeps_alive = False

    def joined_headers(self) -> dict[str, str]:
        """Return the headers with repeated ones joined as RFC 9110 §5.3 says."""
        joined: dict[str, str] = {}
        for name, value in self.headers:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined

    def feed(self, data: bytes) -> None:
        """Read more bytes."""
        self.is_silent = False
        if not self._is_head_read:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.keeps_alive = False
            self._finish("did not answer in HTTP")
        if not self._is_head_read and self._head_size > MAX_REPLY_HEAD:
            self._finish("answered with endless headers")

    def lost(self, exc: Exception | None = None) -> None:
        """The connection is closed: the end of an answer without a length, otherwise a broken one."""
        names = {name for name, _ in self.headers}
        if self._is_head_read and not names & {"content-length", "transfer-encoding"}:
            self._finish(None)
        elif isinstance(exc, ssl.SSLError):
            # With TLS 1.3 a server that wants a certificate of ours says so only now.
            self._finish("broke off the TLS connection before its answer was complete")
        else:
            self._finish("closed the connection before its answer was complete")

    def on_message_begin(self) -> None:
        """Notice a second answer to one question: the connection cannot be trusted any more."""
        if self.done.done():
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; those after the end (trailers) are dropped."""
        if not self._is_head_read:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Note the status; interim answers (1xx) are read over."""
        if not self.done.done():
            self.status = self._parser.get_status_code()
            self._is_head_read = self.status >= 200

    def on_body(self, body: bytes) -> None:
        """Keep the body up to the limit and stop reading there."""
        if self.done.done():
            return
        self.body += body[: MAX_REPLY - len(self.body)]
        if len(self.body) >= MAX_REPLY:
            self._finish(None)

    def on_message_complete(self) -> None:
        """The answer is complete, and only now can the connection be kept."""
        if not self._is_head_read:
            self.headers.clear()
        elif not self.done.done():
            self.keeps_alive = self._parser.should_keep_alive()
            self._finish(None)

    def _finish(self, fault: str | None) -> None:
        if not self.done.done():
            self.fault = fault
            self.done.set_result(None)
