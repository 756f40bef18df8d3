"""The product under test: `tocsin serve` on a data directory of its own, and its database."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from tocsin.db.embedded import running_dsn
from tocsin.db.engine import Database
from tocsin.identity import queries as identity_queries
from tocsin.identity import service as identity

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Product:
    """One running `tocsin serve`."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    token: str = ""
    started_after: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, **environ: str) -> Product:
        env = {k: v for k, v in os.environ.items() if not k.startswith("TOCSIN_")}
        env |= {
            "TOCSIN_DATA_DIR": str(self.data_dir),
            "TOCSIN_PORT": str(self.port),
            "TOCSIN_LOG_LEVEL": "warning",
            "TOCSIN_OUTBOUND_ALLOW": "127.0.0.0/8",
        } | environ
        began = time.perf_counter()
        with (self.data_dir / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), env=env, stdout=log, stderr=log)
        while time.perf_counter() - began < 60:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    self.started_after = time.perf_counter() - began
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError((self.data_dir / "serve.log").read_text()[-2000:])

    def command(self) -> list[object]:
        return [BIN / "tocsin", "serve"]

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def make_admin(self) -> None:
        """Make an administrator and a token through the command line, as an operator would."""
        env = os.environ | {"TOCSIN_DATA_DIR": str(self.data_dir)}
        who = ["--email", "bench@example.org", "--name", "Bench"]
        subprocess.run(
            [BIN / "tocsin", "user", "create", *who, "--role", "admin", "--password-stdin"],
            env=env, input=b"correct horse battery staple", check=True, capture_output=True,
        )  # fmt: skip
        made = subprocess.run([BIN / "tocsin", "token", "create", *who], env=env, check=True, capture_output=True)
        self.token = made.stdout.decode().strip()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from None

    def memory(self) -> tuple[float, float]:
        """Return the resident memory in MB of all processes: private and shared fairly (PSS), and plainly summed."""
        assert self.process is not None
        root = psutil.Process(self.process.pid)
        family = [root, *root.children(recursive=True)]
        full = [p.memory_full_info() for p in family]
        return sum(m.pss for m in full) / 1e6, sum(m.rss for m in full) / 1e6


@contextlib.contextmanager
def product(kind: type[Product] = Product, **environ: str) -> Iterator[Product]:
    """Run the product, or a variant of it, on a fresh data directory."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as where:
        Path(where).chmod(0o755)
        running = kind(Path(where)).start(**environ)
        try:
            yield running
        finally:
            running.stop()


async def signed_in(running: Product) -> str:
    """Return the cookie of a new session of the administrator."""
    connection = await asyncpg.connect(running_dsn(running.data_dir))
    user = await connection.fetchval("SELECT id FROM user_account ORDER BY created_at LIMIT 1")
    await connection.close()
    db = Database(running_dsn(running.data_dir), bell=False)
    async with db.begin() as tx:
        person = await identity_queries.user(tx, user)
        cookie = await identity.open_session(tx, person, ip="127.0.0.1", user_agent="bench", how="bench")
    await db.close()
    return f"tocsin_session={cookie}"
