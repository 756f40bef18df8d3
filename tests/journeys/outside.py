"""What stands around Tocsin in a journey: a caller of the API, a webhook, a post office, and the real Alertmanager."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shlex
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from aiosmtpd.smtp import SMTP, Envelope, Session
from tools import test_tools

from tests.processes import PATIENCE

T = TypeVar("T")


async def until(read: Callable[[], Awaitable[T]], holds: Callable[[T], object], seconds: float = PATIENCE) -> T:
    """Read again and again until it holds; the last thing read is in the failure."""
    seen: T | None = None
    try:
        async with asyncio.timeout(seconds):
            while not holds(seen := await read()):  # noqa: ASYNC110 (other processes ring no bell)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"It did not come to be within {seconds} s. Last seen: {seen!r}") from None
    return seen


@dataclass(frozen=True, slots=True)
class Answer:
    """What an HTTP server said."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class _StayHere(HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


_OPENER = build_opener(_StayHere)


async def request(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one HTTP request; redirects are not followed, and no status is an error."""

    def call() -> Answer:
        try:
            with _OPENER.open(
                Request(url, data=body, headers=headers or {}, method=method), timeout=PATIENCE
            ) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read().decode())
        except HTTPError as answer:
            with answer:
                return Answer(answer.code, dict(answer.headers), answer.read().decode())

    return await asyncio.to_thread(call)


async def shell_line(line: str) -> Answer:
    """Send what a printed `curl -H '…' -d '…' URL` sends."""
    name, *words = shlex.split(line)
    assert (name, words[0], words[2], len(words)) == ("curl", "-H", "-d", 5), line
    header, _, value = words[1].partition(": ")
    return await request("POST", words[4], words[3].encode(), {header: value})


@dataclass(frozen=True, slots=True)
class Api:
    """The public HTTP API as one person."""

    base: str
    token: str

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        answer = await request(method, f"{self.base}/api/v1{path}", sent, headers)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.text}"
        return answer.json if answer.text else None

    async def get(self, path: str) -> Any:
        return await self("GET", path)

    async def post(self, path: str, **body: Any) -> Any:
        return await self("POST", path, body)


@dataclass
class Sink:
    """A webhook that remembers what was posted to it: headers and JSON."""

    url: str = ""
    posts: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def about(self, words: str) -> list[tuple[dict[str, str], dict[str, Any]]]:
        return [post for post in self.posts if words in post[1]["title"]]

    async def first(self, words: str) -> tuple[dict[str, str], dict[str, Any]]:
        """Wait for the first page about something."""

        async def read() -> list[tuple[dict[str, str], dict[str, Any]]]:
            return self.about(words)

        return (await until(read, bool))[0]


@contextlib.asynccontextmanager
async def webhook() -> AsyncIterator[Sink]:
    sink = Sink()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            sink.posts.append((headers, body))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    sink.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/page"
    try:
        yield sink
    finally:
        server.close()


@dataclass
class PostOffice:
    """A mail server that remembers the letters it took."""

    port: int = 0
    letters: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"

    async def first(self, words: str) -> EmailMessage:
        async def read() -> list[EmailMessage]:
            return [letter for letter in self.letters if words in str(letter["Subject"])]

        return (await until(read, bool))[0]


@contextlib.asynccontextmanager
async def post_office() -> AsyncIterator[PostOffice]:
    post = PostOffice()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(post, hostname="mx.example.org", loop=loop), "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """A running Alertmanager, spoken to by its own API as Prometheus does."""

    url: str

    async def _post(self, path: str, body: Any) -> None:
        sent = json.dumps(body).encode()
        answer = await request("POST", self.url + path, sent, {"Content-Type": "application/json"})
        assert answer.status == 200, answer.text

    async def fire(self, labels: dict[str, str], **annotations: str) -> None:
        """Say that something is wrong, and will be for an hour unless we say otherwise."""
        ends = datetime.now(UTC) + timedelta(hours=1)
        alert = {"labels": labels, "annotations": annotations, "endsAt": ends.isoformat()}
        await self._post("/api/v2/alerts", [alert])

    async def end(self, labels: dict[str, str]) -> None:
        """Say that it is over."""
        await self._post("/api/v2/alerts", [{"labels": labels, "endsAt": datetime.now(UTC).isoformat()}])

    async def silence(self, labels: dict[str, str]) -> None:
        """Keep it from repeating itself; returns when nothing more will come."""
        now = datetime.now(UTC)
        matchers = [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()]
        await self._post(
            "/api/v2/silences",
            {
                "matchers": matchers,
                "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(hours=1)).isoformat(),
                "createdBy": "Ada",
                "comment": "Being worked on",
            },
        )
        name = labels["alertname"]

        async def state() -> str:
            found = await request("GET", f'{self.url}/api/v2/alerts?filter=alertname%3D"{name}"')
            return str(found.json[0]["status"]["state"])

        await until(state, lambda state: state == "suppressed")


@contextlib.asynccontextmanager
async def alertmanager(config: str) -> AsyncIterator[Alertmanager]:
    """Run the real program on loopback, configured by this text."""
    with tempfile.TemporaryDirectory(prefix="tocsin-test-am-") as scratch:
        root = Path(scratch)
        (root / "config.yml").write_text(config)
        with (root / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                str(test_tools.alertmanager()),
                f"--config.file={root / 'config.yml'}",
                f"--storage.path={root / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
                cwd=test_tools.alertmanager_home(),
                stdout=log,
                stderr=log,
            )
        try:

            async def listens() -> str:
                said = (root / "log").read_text()
                assert process.returncode is None, said
                found = re.search(r'"Listening on" address=(\S+)\n', said)
                return found[1] if found else ""

            running = Alertmanager(f"http://{await until(listens, bool)}")

            async def is_ready() -> bool:
                with contextlib.suppress(OSError):
                    return (await request("GET", f"{running.url}/-/ready")).status == 200
                return False

            await until(is_ready, bool)
            yield running
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                await process.wait()
