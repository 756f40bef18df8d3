"""`make bench`: measure everything in one run, print a table and write docs/performance.md."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import intake, pages, paging, timers
from bench.product import product

OUT = Path(__file__).parent.parent / "docs" / "performance.md"
Row = tuple[str, str, str, bool | None]


def main() -> None:
    if shutil.which("wrk") is None:
        sys.exit("make bench needs wrk, the load generator: apt-get install wrk")
    rows: list[Row] = []
    rows += start_and_memory()
    rows += intake_rates()
    rows += paging_latency()
    rows += lateness()
    rows += page_times()
    text = report(rows)
    print(text)
    OUT.write_text(text)


def start_and_memory() -> list[Row]:
    with product() as running:
        cold = running.started_after
        running.stop()
        running.start()
        warm = running.started_after
        time.sleep(10)
        fair, _ = running.memory()
    return [
        at_most("Start, cold (initdb and schema included), until `/readyz` is 200", cold, 5, "s"),
        at_most("Start, warm", warm, 2, "s"),
        at_most("Memory at rest, all processes, shared memory counted once", fair, 250, "MB", digits=0),
    ]


def intake_rates() -> list[Row]:
    group: list[dict[str, float]] = []
    single: list[dict[str, float]] = []
    # The two variants take turns, so that a neighbour's load hits both.
    for _ in range(3):
        for kind, results in ((None, group), (intake.Variant, single)):
            with product(kind) if kind else product() as running:
                running.make_admin()
                source = running.call("POST", "/alert_sources", {"name": "bench", "kind": "generic"})
                path = f"/in/generic/{source['token']}"
                intake.wrk(running.url, path, seconds=2)
                before, _ = asyncio.run(intake.stored(running))
                result = intake.wrk(running.url, path, seconds=10)
                after, _ = asyncio.run(intake.stored(running))
                if after - before < result["per_second"] * 9:
                    raise RuntimeError("more was answered than was stored")
                if kind is None:
                    result["pgbench"] = intake.pgbench(running)
                results.append(result)
    best = middle(group, "per_second")
    ratio = best / middle(single, "per_second")
    return [
        at_least("Intake, durable alerts a second at 64 connections", best, 5000, "/s"),
        at_most("Intake, answer within, median", middle(group, "p50_ms"), None, "ms"),
        at_most("Intake, answer within, p99", middle(group, "p99_ms"), 50, "ms"),
        at_least("… as a multiple of one transaction per request", ratio, 3, "×", digits=1),
        ("One transaction per request", f"{middle(single, 'per_second'):,.0f} /s", "", None),
        ("pgbench, single-row transactions, 16 clients", f"{middle(group, 'pgbench'):,.0f} /s", "", None),
    ]


def paging_latency() -> list[Row]:
    results: list[dict[str, float]] = []
    for _ in range(3):
        with product() as running:
            running.make_admin()
            results.append(asyncio.run(paging.measure(running)))
    lost = sum(r["sent"] - r["paged"] + r["refused"] for r in results)
    return [
        at_most(
            "From an alert's arrival to its page, 100 new ones a second, median", middle(results, "p50_ms"), 20, "ms"
        ),
        at_most("… p99", middle(results, "p99_ms"), 150, "ms"),
        at_most("… alerts without a page", lost, 0, "", digits=0),
    ]


def lateness() -> list[Row]:
    with product() as running:
        running.make_admin()
        result = asyncio.run(timers.measure(running))
    return [
        at_most("Lateness of escalations with 100,000 timers waiting, median", result["p50_ms"], None, "ms"),
        at_most("… p99", result["p99_ms"], 1000, "ms"),
    ]


def page_times() -> list[Row]:
    with product() as running:
        running.make_admin()
        running.call("POST", "/alert_sources", {"name": "fill", "kind": "generic"})
        cookie = asyncio.run(pages.fill(running))
        times = pages.measure(running, cookie)
    lists = ("(50", "open", "search")
    rows: list[Row] = []
    for name, found in times.items():
        if any(word in name for word in lists):
            rows.append(at_most(f"{name}, median", found["p50_ms"], 15, "ms"))
        rows.append(at_most(f"{name}, p95", found["p95_ms"], 100, "ms"))
    return rows


def middle(results: Sequence[dict[str, float]], name: str) -> float:
    return sorted(r[name] for r in results)[len(results) // 2]


def at_most(name: str, value: float, limit: float | None, unit: str, *, digits: int = 1) -> Row:
    wanted = "" if limit is None else f"≤ {limit:,g} {unit}"
    return name, f"{value:,.{digits}f} {unit}", wanted, None if limit is None else value <= limit


def at_least(name: str, value: float, limit: float, unit: str, *, digits: int = 0) -> Row:
    return name, f"{value:,.{digits}f} {unit}", f"≥ {limit:,g} {unit}", value >= limit


METHOD = """
## Method

- One run of `make bench` on the machine named above, load generator included; it is shared and noisy, so ratios and
  medians say more than single figures. Intake and paging are the median of three runs, each on a fresh database;
  the two intake variants take turns.
- The product runs as `tocsin serve` does it: one process with its worker, embedded PostgreSQL, `fsync`,
  `synchronous_commit` and `full_page_writes` on. Nothing is switched off for the measurement but log lines below
  `warning`.
- **Intake**: [wrk](https://github.com/wg/wrk) with 64 connections on one thread, bodies of 600 bytes, each fifth one
  repeating one of the nine keys before it, so four in five open a new alert. Every alert is stored with its raw
  signal, its event and its routing job, and the worker routes them at the same time; there are no routes, so nobody is
  paged. After each run the stored signals are counted against the answers.
- **One transaction per request**: the same process with `bench/per_request.py` in the place of group commit, on 16
  connections.
- **Paging**: open loop at 100 alerts a second for 20 seconds (no coordinated omission), one route with a condition, one
  person, one webhook on loopback. Measured from before the request is written until the page's request has been read
  by the sink.
- **Lateness**: 100,000 timers wait in the same lane; 500 real escalations come due within ten seconds. Measured from
  the time the timer was due until the next step's page was confirmed.
- **Pages**: 100,000 alerts, 20,000 incidents; each page 60 times in turn over one connection, from the request to the
  last byte.
- **Memory**: proportional set size (PSS) of the serve process and every PostgreSQL process, ten seconds after a start.
"""


def report(rows: Sequence[Row]) -> str:
    lines = [
        "# Performance",
        "",
        "Written by `make bench`; not by hand.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} on {os.cpu_count()} shared cores, "
        f"Python {platform.python_version()}, load average {os.getloadavg()[2]:.1f} over the last 15 minutes.",
        "",
        "| What | Measured | Target | Met |",
        "|---|--:|--:|:-:|",
    ]
    for name, value, wanted, met in rows:
        lines.append(f"| {name} | {value} | {wanted} | {'' if met is None else 'yes' if met else '**no**'} |")
    missed = [name for name, _, _, met in rows if met is False]
    notes = Path(__file__).parent / "notes.md"
    lines += ["", "Every target is met." if not missed else f"Missed: {'; '.join(missed)}.", METHOD]
    if notes.exists():
        lines += [notes.read_text().rstrip(), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
