"""What pages and lists weigh on the line, and what packing them costs and brings at each level."""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench import pages
from bench.product import product
from tocsin.edge.packing import LEVEL, pack

ROUNDS = 20
LEVELS = (1, 3, 4, 5, 6, 9)
_LIMIT = 12 * 1024


def report() -> str:
    """Measure, and write the section of docs/performance.md."""
    with product() as running:
        running.make_admin()
        running.call("POST", "/alert_sources", {"name": "fill", "kind": "generic"})
        cookie = asyncio.run(pages.fill(running))
        bodies, answered = _asked(running.port, cookie, pages.places(running))
    costs = {level: {name: _cost(body, level) for name, body in bodies.items()} for level in LEVELS}
    lines = [
        "## Weight",
        "",
        f"Written by `make bench-weight`, {datetime.now(UTC):%Y-%m-%d}: 100,000 alerts, 20,000 incidents; "
        f"{os.cpu_count()} shared cores, load average {os.getloadavg()[2]:.1f} over the last 15 minutes. Each page "
        f"was asked for {ROUNDS} times in turn. The aim is {_LIMIT // 1024} KB.",
        "",
        "| What | Unpacked | On the line | Met | Packing, of the time to the last byte |",
        "|---|--:|--:|:-:|--:|",
    ]
    for name, body in bodies.items():
        size, seconds = costs[LEVEL][name]
        met = "yes" if size <= _LIMIT else "**no**"
        lines.append(f"| {name} | {len(body):,} | {size:,} | {met} | {seconds / answered[name]:.1%} |")
    lines += ["", "| Level | Bytes of all of these | Processor time, of that at level 5 |", "|--:|--:|--:|"]
    usual = sum(seconds for _, seconds in costs[LEVEL].values())
    for level, cost in costs.items():
        size, seconds = sum(size for size, _ in cost.values()), sum(seconds for _, seconds in cost.values())
        lines.append(f"| {level}{' (used)' if level == LEVEL else ''} | {size:,} | {seconds / usual:.2f} × |")
    return "\n".join([*lines, "", (Path(__file__).parent / "weight_notes.md").read_text()])


def _asked(port: int, cookie: str, places: Mapping[str, str]) -> tuple[dict[str, bytes], dict[str, float]]:
    """Return each page as it was before it was packed, and the shortest time to the last byte of the packed one."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    bodies: dict[str, bytes] = {}
    times: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(ROUNDS):
        for name, path in places.items():
            for accepted in ("identity", "gzip"):
                began = time.perf_counter()
                connection.request("GET", path, headers={"Cookie": cookie, "Accept-Encoding": accepted})
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{path}: {answer.status}")
                if accepted == "identity":
                    bodies[name] = body
                else:
                    times[name].append(time.perf_counter() - began)
    return bodies, {name: min(found) for name, found in times.items()}


def _cost(body: bytes, level: int) -> tuple[int, float]:
    """Return how long the packed body is, and the shortest time that packing it took."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        packed = pack(body, level)
        best = min(best, time.perf_counter() - began)
    return len(packed), best
