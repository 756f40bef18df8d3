"""Real processes of Tocsin: a command run to its end, a server that answers, its data directory and its port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

from tests import commands
from tocsin.db.embedded import files

Served = tuple[asyncio.subprocess.Process, str]

# Seconds, long enough for every machine; nothing waits for its end when things work. Less while one mends a test.
PATIENCE = int(os.environ.get("TESTS_PATIENCE", "150"))


def environment(**settings: str) -> dict[str, str]:
    """Our environment with exactly these settings of Tocsin."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "PG"))}
    return ours | {f"TOCSIN_{name.upper()}": value for name, value in settings.items()}


async def tocsin(*words: str, stdin: str = "", **settings: str) -> tuple[int, str, str]:
    """Run a command to its end: exit code, standard output, standard error."""
    code, out, err = await commands.run(
        words, environment=environment(**settings), stdin=stdin.encode(), within=PATIENCE
    )
    return code, out.decode(), err.decode()


@contextlib.asynccontextmanager
async def served(*words: str, err: Path | None = None, **settings: str) -> AsyncIterator[Served]:
    """A `tocsin serve` that answers, with its greeting; it is stopped at the end unless it has ended by itself."""
    with tempfile.TemporaryDirectory(prefix="tocsin-test-") as scratch:
        said = err or Path(scratch, "said")
        async with _running(*words, err=said, **settings) as process:
            yield process, await greeting(process, said)


@contextlib.asynccontextmanager
async def _running(*words: str, err: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    with err.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.cli", "serve", "--port", "0", *words),
            env=environment(**settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            # What nobody reads any more must not keep it from ending.
            while await process.stdout.read(65536):
                pass
            await process.wait()


async def greeting(process: asyncio.subprocess.Process, said: Path) -> str:
    """Read the greeting. It is written at once and fits a pipe's atomic write, so its end comes with its beginning."""
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(PATIENCE):
        while "ready at" not in text:
            part = await process.stdout.read(65536)
            assert part, f"it ended early: {text}{said.read_text()}"
            text += part.decode()
    assert text.endswith("\n\n"), text
    return text


async def printed_until(process: asyncio.subprocess.Process, words: str) -> str:
    """Read what the server prints up to the end of the line with these words."""
    assert process.stdout is not None
    text = ""
    async with asyncio.timeout(PATIENCE):
        while words not in text:
            line = await process.stdout.readline()
            assert line, f"it ended early: {text}"
            text += line.decode()
    return text


def address(greeting: str) -> str:
    found = re.search(r"ready at (http://\S+)", greeting)
    assert found
    return found[1]


async def fetch(url: str, body: bytes | None = None) -> tuple[int, str]:
    def call() -> tuple[int, str]:
        headers = {"Content-Type": "application/json"} if body else {}
        with urlopen(Request(url, data=body, headers=headers), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()

    return await asyncio.to_thread(call)


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """A port of 127.0.0.1 that nobody gets by chance, for a server that asks for it by number.

    A socket is bound to it and does not listen: while no server does, connections are refused.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield int(keeper.getsockname()[1])


@contextlib.contextmanager
def data_directory() -> Iterator[Path]:
    """A data directory that every account can pass through to. A PostgreSQL left on it is stopped."""
    root = Path(tempfile.mkdtemp(prefix="tocsin-test-", dir="/tmp"))
    root.chmod(0o755)
    try:
        yield root
    finally:
        left = files.read_postmaster(root / files.CLUSTER)
        if left and files.is_alive(left.pid) and files.serves(left.pid, root / files.CLUSTER):
            os.kill(left.pid, signal.SIGQUIT)
        shutil.rmtree(root, ignore_errors=True)
