"""What a stranger can send. Each attack goes on until it is cancelled, on connections of its own, and keeps a tally.

Nothing here knows the harness or a test. An attack takes a `Target` and a `Tally`; `ATTACKS` names them all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """Who is attacked: a port of this machine, and the path of a source, for what only its senders can do."""

    port: int
    path: str


@dataclass
class Tally:
    """What an attack did, and how it was answered."""

    rounds: int = 0
    answers: Counter[str] = field(default_factory=Counter)


Attack = Callable[[Target, Tally], Awaitable[None]]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# The connections that an attack holds, unless its point is their number.
_MANY = 300
_CROWD = 1100
_PATIENCE = 20.0


@contextlib.asynccontextmanager
async def _connection(target: Target) -> AsyncGenerator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _say(target: Target, tally: Tally, raw: bytes) -> None:
    """Send something at once and note the status of the answer, or that there was none."""
    answer = "none"
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_PATIENCE), _connection(target) as (reader, writer):
            with contextlib.suppress(ConnectionError):
                writer.write(raw)
                await writer.drain()
            answer = (await reader.readexactly(12))[9:].decode()
    tally.answers[answer] += 1
    tally.rounds += 1


async def _again(target: Target, tally: Tally, *raws: bytes, at_once: int = 2) -> None:
    """Send these over and over."""

    async def one() -> None:
        while True:
            for raw in raws:
                await _say(target, tally, raw)
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(one())


async def _drip(target: Target, tally: Tally, begin: bytes, drop: bytes, *, number: int, pause: float) -> None:
    """Hold so many connections that begin something and go on with it a little at a time; a lost one is made anew."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                async with _connection(target) as (reader, writer):
                    writer.write(begin)
                    while not reader.at_eof() and not writer.is_closing():
                        writer.write(drop)
                        await writer.drain()
                        tally.rounds += 1
                        await asyncio.sleep(pause)
            tally.answers["lost"] += 1
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        for n in range(number):
            group.create_task(one())
            if n % 50 == 0:
                await asyncio.sleep(0)


def _get(path: str = "/", *fields: bytes) -> bytes:
    return b"\r\n".join([b"GET %s HTTP/1.1" % path.encode(), b"host: tocsin", *fields, b"", b""])


def _post(path: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: tocsin\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def cookie_bomb(target: Target, tally: Tally) -> None:
    """Quoted cookies: quadratic in the parsers of many a library."""
    large, small = b'cookie: a="' + b"\\" * 100_000, b'cookie: theme="' + b'\\"' * 4_000 + b'"'
    await _again(target, tally, _get("/sign-in", large), _get("/sign-in", small), _get("/nowhere", small))


async def endless_head(target: Target, tally: Tally) -> None:
    """Heads that never end, as fast as they are taken."""
    await _drip(
        target, tally, b"GET / HTTP/1.1\r\nhost: tocsin\r\n", b"x: " + b"y" * 1000 + b"\r\n", number=20, pause=0
    )


async def slow_head(target: Target, tally: Tally) -> None:
    """Heads that come a field at a time."""
    await _drip(target, tally, b"GET / HTTP/1.1\r\nhost: tocsin\r\n", b"x: y\r\n", number=_MANY, pause=1)


async def slow_body(target: Target, tally: Tally) -> None:
    """Bodies of alerts that come a byte at a time."""
    head = _post(target.path, b"y" * 10_000)[:-10_000]
    await _drip(target, tally, head, b"y", number=_MANY, pause=1)


async def crowd(target: Target, tally: Tally) -> None:
    """Connections that say nothing, more than a process may have open."""
    await _drip(target, tally, b"", b"", number=_CROWD, pause=1)


async def alternating(target: Target, tally: Tally) -> None:
    """10,000 signals in one request that fire and are over, of one key and of many."""

    def signals(keys: int) -> bytes:
        key = f"flapping {os.urandom(4).hex()}"
        return json.dumps(
            [
                {"title": key, "key": f"{key} {n // 2 % keys}", "status": ("firing", "resolved")[n % 2]}
                for n in range(10_000)
            ]
        ).encode()

    while True:
        for keys in (5_000, 1):
            await _say(target, tally, _post(target.path, signals(keys)))


async def form_bombs(target: Target, tally: Tally) -> None:
    """Forms and documents that are much work to read."""
    form, parts = "application/x-www-form-urlencoded", "multipart/form-data; boundary=XX"
    part = b'--XX\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
    await _again(
        target,
        tally,
        _post("/sign-in", b"a=1&" * 200_000, form),
        _post("/sign-in", b"%41=%41&" * 100_000, form),
        _post("/sign-in", part * 10_000, parts),
        _post("/api/v1/incidents", b"[" * 500_000),
        _post(target.path, b"[" * 500_000),
        _post(target.path, b'{"details": [' + b"1.1e308," * 100_000 + b"1]}"),
        at_once=1,
    )


async def sent_ahead(target: Target, tally: Tally) -> None:
    """Requests without end, and nobody who reads the answers."""
    await _drip(target, tally, b"", _get("/healthz") * 100, number=20, pause=0.05)


async def unclear(target: Target, tally: Tally) -> None:
    """What two readers could understand in two ways."""
    await _again(
        target,
        tally,
        b"OPTIONS * HTTP/1.1\r\nhost: tocsin\r\n\r\n",
        _get("/", b"host: evil"),
        b"GET http://evil/ HTTP/1.1\r\nhost: tocsin\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
        b"CONNECT tocsin:443 HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        _get("/", b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="),
        os.urandom(1000),
    )


ATTACKS: Mapping[str, Attack] = {
    "cookie bomb": cookie_bomb,
    "endless head": endless_head,
    "slow head": slow_head,
    "slow body": slow_body,
    "crowd": crowd,
    "alternating": alternating,
    "form bombs": form_bombs,
    "sent ahead": sent_ahead,
    "unclear": unclear,
}
