"""Stopping while there is work: what has begun is finished, what has died comes back, nothing waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from tests.processes import PATIENCE, address, fetch, served, tocsin
from tocsin.cli.demo import ADMIN, EXAMPLE_ALERT
from tocsin.db.engine import Database, encode_json

pytestmark = pytest.mark.faults


@contextlib.asynccontextmanager
async def slow_receiver() -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """A webhook that answers when told to: its address, "a page has come", "answer now"."""
    came, answer = asyncio.Event(), asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(receive, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/page", came, answer
    finally:
        answer.set()
        server.close()


async def until(claim: str, db: Database, *values: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await db.pool.fetchval(claim, *values):  # noqa: ASYNC110 (other processes ring no bell)
            await asyncio.sleep(0.02)


async def test_a_stop_finishes_the_page_that_is_going_out_and_ends_open_connections(dsn: str, db: Database) -> None:
    async with slow_receiver() as (url, came, answer):
        settings = {"database_url": dsn, "outbound_allow": "127.0.0.0/8"}
        async with served("--demo", **settings) as (process, greeting):
            base = address(greeting)
            await db.pool.execute(
                "UPDATE contact_method SET kind = 'webhook', address = $1 WHERE name LIKE 'Jonas%phone'", url
            )
            source = await db.pool.fetchval("SELECT '/in/generic/' || token FROM alert_source WHERE kind = 'generic'")
            await fetch(base + source, encode_json(EXAMPLE_ALERT).encode())
            async with asyncio.timeout(PATIENCE):
                await came.wait()
            host, port = urlsplit(base).hostname, urlsplit(base).port
            idle, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: tocsin\r\n\r\n")
            await idle.readuntil(b"}")

            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                assert await idle.read() == b""
            writer.close()
            assert process.returncode is None
            answer.set()
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
    # To this address alone: the demo's past is full of messages that were delivered.
    assert await db.pool.fetch("SELECT state FROM delivery WHERE address = $1", url) == [("delivered",)]
    assert await db.pool.fetchval("SELECT count(*) FROM job WHERE owner IS NOT NULL") == 0


async def test_a_stop_ends_the_streams_of_everybody_who_watches(dsn: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    async with served("--demo", err=said, database_url=dsn) as (process, greeting):
        _, out, _ = await tocsin("token", "create", f"--email={ADMIN}", "--name=watcher", database_url=dsn)
        where = urlsplit(address(greeting))
        streams = [await asyncio.open_connection(where.hostname, where.port) for _ in range(3)]
        for reader, writer in streams:
            head = f"GET /api/v1/stream HTTP/1.1\r\nHost: tocsin\r\nAuthorization: Bearer {out.strip()}\r\n\r\n"
            writer.write(head.encode())
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"retry: ")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            for reader, writer in streams:
                await reader.read()
                writer.close()
            assert await process.wait() == 0
    # What has not ended by itself is cut off, and that is said.
    assert "graceful shutdown exceeded" not in said.read_text()


async def test_a_second_signal_does_not_wait_for_the_page_that_is_going_out(dsn: str, db: Database) -> None:
    async with slow_receiver() as (url, came, _):
        settings = {"database_url": dsn, "outbound_allow": "127.0.0.0/8"}
        async with served("--demo", **settings) as (process, greeting):
            await db.pool.execute(
                "UPDATE contact_method SET kind = 'webhook', address = $1 WHERE name LIKE 'Jonas%phone'", url
            )
            source = await db.pool.fetchval("SELECT '/in/generic/' || token FROM alert_source WHERE kind = 'generic'")
            await fetch(address(greeting) + source, encode_json(EXAMPLE_ALERT).encode())
            async with asyncio.timeout(PATIENCE):
                await came.wait()
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 0
    # Whoever waited for it would know that it did not arrive.
    assert await db.pool.fetchval("SELECT count(*) FROM delivery WHERE state = 'sending'") >= 1


async def test_a_web_process_that_is_killed_comes_back(dsn: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    async with served("--workers", "2", err=said, database_url=dsn) as (process, greeting):
        parent = psutil.Process(process.pid)
        async with asyncio.timeout(PATIENCE):
            while said.read_text().count("worker.started") < 2:  # noqa: ASYNC110 (other processes ring no bell)
                await asyncio.sleep(0.02)
        before = {child.pid for child in parent.children()}
        assert len(before) == 2
        psutil.Process(min(before)).kill()
        async with asyncio.timeout(PATIENCE):
            while said.read_text().count("worker.started") < 3:  # noqa: ASYNC110 (other processes ring no bell)
                await asyncio.sleep(0.02)
        now = {child.pid for child in parent.children()}
        assert len(now) == 2 and now != before
        assert (await fetch(f"{address(greeting)}/readyz"))[0] == 200

        children = [psutil.Process(pid) for pid in now]
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
        assert not any(child.is_running() for child in children)
    assert "Web process" in said.read_text()


async def test_web_processes_stop_when_their_parent_is_killed(dsn: str) -> None:
    async with served("--workers", "2", database_url=dsn) as (process, _):
        children = psutil.Process(process.pid).children()
        process.kill()
        await process.wait()
        async with asyncio.timeout(PATIENCE):
            while any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
