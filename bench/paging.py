"""How long from an alert's arrival to its page, at a steady rate of new paging alerts.

Open loop: alerts are sent when they are due, whatever the answers do, so that waiting is not left out of the figures
(no coordinated omission). The clock starts before the request is written and ends when the page's request has arrived
at a sink on loopback, so sender and sink are inside the figure.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field

from bench.product import Product


@dataclass
class Sink:
    """An HTTP server that remembers when each page's title arrived."""

    arrived: dict[str, float] = field(default_factory=dict)
    requests: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))[15:])
                body = await reader.readexactly(length)
                now = time.perf_counter()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                self.arrived.setdefault(json.loads(body)["title"], now)
                self.requests += 1
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()


async def send_steadily(port: int, path: str, rate: float, seconds: float, prefix: str) -> tuple[dict[str, float], int]:
    """Send alerts at a rate over kept connections; returns when each was sent, and how many were not taken."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(16):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    sent: dict[str, float] = {}
    refused = 0

    async def one(title: str) -> None:
        nonlocal refused
        sent[title] = time.perf_counter()
        body = json.dumps(
            {"title": title, "status": "firing", "severity": "critical", "key": title, "description": "x" * 380,
             "labels": {"team": "storage", "env": "prod", "service": "blob-store"}}
        ).encode()  # fmt: skip
        reader, writer = await free.get()
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:"))[15:])
        await reader.readexactly(length)
        refused += b" 202 " not in head.split(b"\r\n", 1)[0]
        free.put_nowait((reader, writer))

    began = time.perf_counter()
    tasks: list[asyncio.Task[None]] = []
    for n in range(int(rate * seconds)):
        await asyncio.sleep(max(0, began + n / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(f"{prefix}-{n}")))
    await asyncio.gather(*tasks)
    return sent, refused


def percentile(values: list[float], p: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * p))]


async def measure(product: Product, *, rate: float = 100, seconds: float = 20) -> dict[str, float]:
    """Set up one person with a webhook, one policy and a catch-all, and measure."""
    sink = Sink()
    server = await asyncio.start_server(sink, "127.0.0.1", 0)
    hook = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/page"
    source = await asyncio.to_thread(prepare, product, hook)
    await send_steadily(product.port, source, 20, 3, "warm")
    sent, refused = await send_steadily(product.port, source, rate, seconds, "page")
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline and not all(title in sink.arrived for title in sent):
        await asyncio.sleep(0.05)
    latency = [(sink.arrived[title] - at) * 1000 for title, at in sent.items() if title in sink.arrived]
    server.close()
    return {
        "rate": rate,
        "sent": len(sent),
        "refused": refused,
        "paged": len(latency),
        "p50_ms": percentile(latency, 0.5),
        "p90_ms": percentile(latency, 0.9),
        "p99_ms": percentile(latency, 0.99),
        "max_ms": max(latency),
    }


def prepare(product: Product, hook: str, *, steps: int = 1) -> str:
    """Make the person, the policy, the catch-all and the source; returns the path of the source."""
    me = product.call("GET", "/me")["id"]
    product.call("POST", f"/users/{me}/contact_methods", {"kind": "webhook", "address": hook, "name": "sink"})
    policy = product.call(
        "POST",
        "/escalation_policies",
        {"name": "Bench", "steps": [{"targets": [{"type": "user", "id": me}], "wait_minutes": 60}] * steps},
    )
    product.call(
        "POST",
        "/alert_routes",
        {"name": "All", "condition": 'labels.team == "storage"', "escalation_policy_id": policy["id"]},
    )
    source = product.call("POST", "/alert_sources", {"name": "bench", "kind": "generic"})
    return f"/in/generic/{source['token']}"
