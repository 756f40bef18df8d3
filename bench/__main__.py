"""`make bench`: measure everything in one run, print a table and write docs/performance.md."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import browser, document, growth, intake, pages, paging, timers, weight
from bench.intake import Figures
from bench.product import Product, product

Row = tuple[str, str, str, bool | None]


def main() -> None:
    if "growth" in sys.argv[1:]:
        document.write_section(growth.report())
        return
    if "browser" in sys.argv[1:]:
        document.write_section(browser.report())
        return
    if "weight" in sys.argv[1:]:
        document.write_section(weight.report())
        return
    if shutil.which("wrk") is None:
        sys.exit("make bench needs wrk, the load generator: apt-get install wrk")
    rows: list[Row] = []
    for name, part in PARTS.items():
        # A part that fails is said to be missing, and the figures of the others are kept.
        try:
            rows += part()
        except Exception as error:  # noqa: BLE001
            print(f"{name}: {error!r}", file=sys.stderr)
            rows.append((name, f"not measured ({type(error).__name__})", "", None))
    text = report(rows)
    print(text)
    document.write(text)


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
    group: list[Figures] = []
    single: list[Figures] = []
    beside: list[Figures] = []
    # They take turns, so that a neighbour's load hits all of them.
    for _ in range(3):
        group.append(loaded(Product, and_pgbench=True))
        single.append(loaded(intake.Variant))
        beside.append(load_alertmanager())
    best = middle(group, "per_second")
    return [
        at_least("Intake, durable alerts a second at 64 connections", best, 5000, "/s"),
        at_most("Intake, answer within, median", middle(group, "p50_ms"), None, "ms"),
        at_most("Intake, answer within, p99", middle(group, "p99_ms"), 50, "ms"),
        at_least("… as a multiple of one transaction per request", ratio(best, single), 3, "×", digits=1),
        at_least("One transaction per request", middle(single, "per_second"), None, "/s"),
        at_least("Alertmanager, into its memory, nothing durable", middle(beside, "per_second"), None, "/s"),
        at_least("… intake as a share of it", ratio(best, beside), 0.55, "×", digits=2),
        at_least("pgbench, single-row transactions, 16 clients", middle(group, "pgbench"), None, "/s"),
    ]


def intake_elsewhere() -> list[Row]:
    """Measure intake on a slow disk and with two processes, in turns with the usual."""
    usual: list[Figures] = []
    slow: list[Figures] = []
    two: list[Figures] = []
    for _ in range(3):
        usual.append(loaded(Product))
        slow.append(loaded(intake.SlowDisk))
        two.append(loaded(intake.TwoProcesses))
    return [
        at_least("Intake where each flush of the disk takes 5 ms longer", middle(slow, "per_second"), None, "/s"),
        at_most("… answer within, median", middle(slow, "p50_ms"), None, "ms"),
        at_most("… answer within, p99", middle(slow, "p99_ms"), None, "ms"),
        at_least("… as a share of the usual", share(slow, usual), None, "×", digits=2),
        at_least("Intake with `--workers 2`", middle(two, "per_second"), None, "/s"),
        at_least("… as a share of one process, on the cores above", share(two, usual), None, "×", digits=2),
    ]


def loaded(kind: type[Product], *, and_pgbench: bool = False) -> Figures:
    """Load a fresh installation for ten seconds, and see that what was answered was stored."""
    with product(kind) as running:
        running.make_admin()
        source = running.call("POST", "/alert_sources", {"name": "bench", "kind": "generic"})
        path = f"/in/generic/{source['token']}"
        intake.wrk(running.url, path, seconds=2)
        before, _ = asyncio.run(intake.stored(running))
        result = intake.wrk(running.url, path, seconds=10)
        after, _ = asyncio.run(intake.stored(running))
        if after - before < result.get("per_second", 0) * 9:
            raise RuntimeError("more was answered than was stored")
        if and_pgbench and (rate := intake.pgbench(running)) is not None:
            result["pgbench"] = rate
    return result


def load_alertmanager() -> Figures:
    """Load a real Alertmanager in the same way; nothing where there is none."""
    try:
        with intake.alertmanager() as url:
            intake.wrk(url, script="post_alertmanager.lua", seconds=2)
            return intake.wrk(url, script="post_alertmanager.lua", seconds=10)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        print(f"Alertmanager: {error}", file=sys.stderr)
        return {}


def paging_latency() -> list[Row]:
    results: list[Figures] = []
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


PARTS: Mapping[str, Callable[[], list[Row]]] = {
    "Start and memory": start_and_memory,
    "Intake": intake_rates,
    "Intake on other machines": intake_elsewhere,
    "Paging": paging_latency,
    "Lateness": lateness,
    "Pages": page_times,
}


def middle(results: Sequence[Figures], name: str) -> float | None:
    """Return the median of those runs that have this figure; None when none has."""
    found = sorted(r[name] for r in results if name in r)
    return found[len(found) // 2] if found else None


def ratio(value: float | None, others: Sequence[Figures]) -> float | None:
    """Return the rate as a multiple of the median rate of others."""
    other = middle(others, "per_second")
    return value / other if value is not None and other else None


def share(some: Sequence[Figures], others: Sequence[Figures]) -> float | None:
    """Return the median rate of some as a multiple of that of others."""
    return ratio(middle(some, "per_second"), others)


def at_most(name: str, value: float | None, limit: float | None, unit: str, *, digits: int = 1) -> Row:
    wanted = "" if limit is None else f"≤ {limit:,g} {unit}"
    return name, written(value, unit, digits), wanted, None if limit is None or value is None else value <= limit


def at_least(name: str, value: float | None, limit: float | None, unit: str, *, digits: int = 0) -> Row:
    wanted = "" if limit is None else f"≥ {limit:,g} {unit}"
    return name, written(value, unit, digits), wanted, None if limit is None or value is None else value >= limit


def written(value: float | None, unit: str, digits: int) -> str:
    """Write a figure, or that it is missing."""
    return "missing" if value is None else f"{value:,.{digits}f} {unit}"


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
  signal, its events and where it goes; there are no routes, so nobody is paged and no job is left to the worker.
  After each run the stored signals are counted against the answers.
- **One transaction per request**: the same process with `bench/per_request.py` in the place of group commit, on 16
  connections.
- **Alertmanager** (the package of Debian) takes the same alerts at the same connections, in turns with the others, and
  keeps them in its memory.
- **Slow disk**: PostgreSQL sleeps for 5 ms before each flush of its log (`commit_delay = 5000`, `commit_siblings = 0`),
  which is what a disk without a cache that survives a power cut does to it. In turns with the usual and with two
  processes.
- A figure that could not be read is “missing”, and a part that failed is “not measured”; the others are kept.
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
