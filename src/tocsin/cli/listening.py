"""One web process: its socket, its web server and the order in which it stops."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Callable, Generator

import uvicorn

from tocsin.app import App
from tocsin.cli import runtime
from tocsin.cli.stopping import Stop
from tocsin.edge import protocol
from tocsin.edge.door import Door, Limits
from tocsin.kit.clock import monotonic
from tocsin.settings import Settings

BACKLOG = 4096
# Requests under way get this long; with the worker's 20 s a stop takes 25 s at most.
FINISH_REQUESTS_WITHIN = 5
# A process asks for no more descriptors than this, however many the system would give it.
_DESCRIPTORS = 16_384
# uvicorn ticks every 0.1 s.
_TICKS_BETWEEN_LOOKS = 5
# More than this between two looks was our own doing, not that of those who are waited for.
_LONGEST_LOOK = 2.0


def bind(settings: Settings) -> socket.socket:
    """Take the address, or end with the sentence that says who has to give way. Nobody can connect yet."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError, AttributeError):
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
    except OSError as error:
        runtime.fail(_why_not(settings, error))
    listener.setblocking(False)
    return listener


def _why_not(settings: Settings, error: OSError) -> str:
    where = f"{settings.host} port {settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"Another program listens on {where} already. Stop it, or choose another port with --port."
    if error.errno == errno.EACCES:
        return f"This account may not listen on {where}. Choose a port from 1024 on."
    return f"{where} cannot be listened on: {error.strerror or error}. Choose another address with --host."


class _WebServer(uvicorn.Server):
    """uvicorn without its signal handling, which would end the process before PostgreSQL has stopped."""

    def __init__(self, config: uvicorn.Config, door: Door, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._report_start = started
        self._door = door
        self._looked_at = monotonic()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._report_start()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_BETWEEN_LOOKS == 0:
            now = monotonic()
            self._door.look_around(min(now - self._looked_at, _LONGEST_LOOK))
            self._looked_at = now
        return await super().on_tick(counter)


async def serve_until_stopped(app: App, listener: socket.socket, stop: Stop, started: Callable[[], None]) -> None:
    """Answer requests until a stop is asked for; then let streams end and requests finish, and close the app."""
    door = _door(app)
    server = _WebServer(_config(app, door), door, started)
    runtime.calm_collector()
    serving = asyncio.create_task(server.serve([listener]), name="web")
    asked = asyncio.create_task(stop.asked.wait(), name="stop")
    await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if stop.asked.is_set():
        # Streams are ended first: the web server waits for them.
        app.say_goodbye()
        await app.live.stop()
        server.should_exit = True
    await _unless_hurried(serving, stop)
    await _unless_hurried(asyncio.create_task(app.stop(), name="stop-app"), stop)


async def stop_app(app: App, stop: Stop) -> None:
    """Let running jobs end and close the app; asked again, leave the jobs to whoever takes them over."""
    await _unless_hurried(asyncio.create_task(app.stop(), name="stop-app"), stop)


async def _unless_hurried(work: asyncio.Task[None], stop: Stop) -> None:
    """Wait for the work, or abandon it when the operator asks a second time: what is unfinished is recovered."""
    hurried = asyncio.create_task(stop.hurry.wait(), name="hurry")
    await asyncio.wait({work, hurried}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if work.done():
        work.result()
        return
    work.cancel()
    await asyncio.wait({work}, timeout=1)


def descriptors() -> int:
    """Return how many files and connections this process may have open, after asking for as many as it gets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted


def _door(app: App) -> Door:
    settings = app.settings
    limits = Limits.within(
        descriptors(),
        connections=settings.connections,
        per_address=settings.connections_per_address,
        proxies=settings.trusted_proxies,
    )
    door = Door(limits)
    app.metrics.connections.set_function(lambda: len(door))
    door.measure = lambda why: app.metrics.connections_refused.labels(why).inc()
    return door


def _config(app: App, door: Door) -> uvicorn.Config:
    settings = app.settings
    return uvicorn.Config(
        app.asgi(),
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="none",
        http=protocol.at(door),
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=FINISH_REQUESTS_WITHIN,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        backlog=BACKLOG,
    )
