"""What a reader waits for, in a real browser: paint, layout shifts, the answer to a press, news from elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright
from tools import test_tools

from bench.paging import prepare
from bench.product import Product, product, signed_in

ROUNDS = 5
# Slow 3G as WebPageTest has it (400 kbit/s, 400 ms there and back), and 4G as Lighthouse has it, on a phone with a
# quarter of the processor.
SLOW_3G = {"latency": 400, "downloadThroughput": 400_000 / 8, "uploadThroughput": 400_000 / 8}
FAST_4G = {"latency": 85, "downloadThroughput": 9_000_000 / 8, "uploadThroughput": 1_500_000 / 8}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}

_OBSERVE = """
window.seen = {lcp: 0, cls: 0, inp: 0};
const watch = (type, more, take) => new PerformanceObserver((list) => list.getEntries().forEach(take))
  .observe({type, buffered: true, ...more});
watch("largest-contentful-paint", {}, (e) => { seen.lcp = e.startTime; });
watch("layout-shift", {}, (e) => { if (!e.hadRecentInput) seen.cls += e.value; });
watch("event", {durationThreshold: 16}, (e) => { if (e.interactionId) seen.inp = Math.max(seen.inp, e.duration); });
"""
# Resolves with the time at which the words are painted.
_PAINTED = """
(words) => new Promise((resolve) => {
  const look = () => document.body?.innerText.includes(words)
    ? requestAnimationFrame(() => setTimeout(() => resolve(performance.timeOrigin + performance.now())))
    : requestAnimationFrame(look);
  look();
})
"""
Row = tuple[str, str, str, str]


def report() -> str:
    """Measure, and write the section of docs/performance.md."""
    with product() as running, _sink() as pages:
        running.make_admin()
        # Before the browser, whose library keeps an event loop of its own.
        name, _, value = asyncio.run(signed_in(running)).partition("=")
        session = [{"name": name, "value": value, "url": running.url}]
        with _chromium() as chromium:
            rows = list(_measured(Scene(running, chromium, session, pages)))
            version = chromium.version
    lines = [
        "## Browser",
        "",
        f"Written by `make bench-browser`, {datetime.now(UTC):%Y-%m-%d}: Chromium {version}; {os.cpu_count()} shared "
        f"cores, load average {os.getloadavg()[2]:.1f} over the last 15 minutes. Medians of {ROUNDS}.",
        "",
        "| What | Measured | Aim | Met |",
        "|---|--:|--:|:-:|",
        *(f"| {what} | {value} | {aim} | {met} |" for what, value, aim, met in rows),
    ]
    return "\n".join([*lines, "", (Path(__file__).parent / "browser_notes.md").read_text()])


@dataclass
class Scene:
    """An installation with sixty open alerts and an incident that was worked on, and a browser to look at it."""

    running: Product
    chromium: Browser
    session: list[Any]
    # What was sent to the person who is on call.
    pages: list[str]
    source: str = ""
    incident: str = ""

    def __post_init__(self) -> None:
        self.source = prepare(self.running, self.pages.pop())
        for n in range(60):
            self.fire(f"Pump {n} of quay 4 has stopped")
        self.incident = self.running.call("POST", "/incidents", {"title": "The pumps are off", "severity": 2})["number"]
        for n in range(40):
            self.comment(f"Step {n}: the **valves** were looked at.")

    def fire(self, title: str) -> None:
        body = {"title": title, "status": "firing", "severity": "critical", "key": title, "labels": {"team": "storage"}}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.running.url}{self.source}", json.dumps(body).encode(), headers)
        urllib.request.urlopen(request, timeout=30).close()

    def comment(self, body: str) -> None:
        self.running.call("POST", f"/incidents/{self.incident}/comments", {"body": body})

    def page_link(self, title: str) -> str:
        """Page somebody; return the path of their acknowledge screen."""
        self.fire(title)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for body in self.pages:
                if title in body and (found := re.search(r"https?://[^\"\s]+/p/[\w-]+", body)):
                    return urlsplit(found[0]).path
            time.sleep(0.05)
        raise RuntimeError("nobody was paged")

    @contextlib.contextmanager
    def reader(
        self,
        looks: Mapping[str, Any] = DESK,
        *,
        is_signed_in: bool = True,
        network: Mapping[str, float] | None = None,
        processor: int = 1,
    ) -> Iterator[Page]:
        """Somebody with a browser that has seen nothing yet, on a line and a machine that may be slow."""
        context = self.chromium.new_context(base_url=self.running.url, **looks)
        if is_signed_in:
            context.add_cookies(self.session)
        context.add_init_script(_OBSERVE)
        page = context.new_page()
        control = context.new_cdp_session(page)
        if network:
            control.send("Network.enable")
            control.send("Network.emulateNetworkConditions", {"offline": False, **network})
        if processor > 1:
            control.send("Emulation.setCPUThrottlingRate", {"rate": processor})
        yield page
        context.close()


@contextlib.contextmanager
def _chromium() -> Iterator[Browser]:
    os.environ.update(test_tools.environment())
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=test_tools.chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@contextlib.contextmanager
def _sink() -> Iterator[list[str]]:
    """Take pages on loopback. The list has the address at first, then what was sent there."""
    taken: list[str] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    taken.append(f"http://127.0.0.1:{server.server_port}/page")
    yield taken
    server.shutdown()


def _measured(scene: Scene) -> Iterator[Row]:
    alert = scene.running.call("GET", "/alerts")["data"][0]["id"]
    places = {
        "incidents": "/incidents",
        "incident": f"/incidents/{scene.incident}",
        "alerts": "/alerts",
        "alert": f"/alerts/{alert}",
    }
    shifts: list[float] = []
    for name, path in places.items():
        cold: list[float] = []
        warm: list[float] = []
        phone: list[float] = []
        for _ in range(ROUNDS):
            with scene.reader() as page:
                for times in (cold, warm):
                    seen = _visit(page, path)
                    times.append(seen["lcp"])
                    shifts.append(seen["cls"])
            with scene.reader(PHONE, network=FAST_4G, processor=4) as page:
                phone.append(_visit(page, path)["lcp"])
        yield _row(f"Largest paint (LCP), {name}, first visit", cold, 1000)
        yield _row("… again", warm, 500)
        yield _row("… first visit by 4G with a quarter of the processor", phone, 1500)
    worst = max(shifts)
    yield f"Layout shift (CLS), the worst of {len(shifts)} visits", f"{worst:.4f}", "≤ 0.01", _met(worst <= 0.01)
    yield _row("Answer to a press (INP), keys in the list of alerts", [_in_a_list(scene) for _ in range(ROUNDS)], 100)
    yield _row("… a dialog opened, typed into and closed", [_in_a_dialog(scene) for _ in range(ROUNDS)], 100)
    yield _row("From a comment to the screen of somebody else", _news(scene), 500)
    links = [scene.page_link(f"Crane {n} swings") for n in range(ROUNDS)]
    yield _row(
        "Acknowledge screen by slow 3G, until its button is painted", [_ack(scene, link) for link in links], 1000
    )


def _visit(page: Page, path: str) -> dict[str, float]:
    page.goto(path)
    page.wait_for_timeout(600)
    return page.evaluate("seen")


def _in_a_list(scene: Scene) -> float:
    with scene.reader() as page:
        _visit(page, "/alerts")
        for key in "jjjkxjx":
            page.keyboard.press(key)
            page.wait_for_timeout(120)
        return page.evaluate("seen.inp")


def _in_a_dialog(scene: Scene) -> float:
    with scene.reader() as page:
        _visit(page, f"/incidents/{scene.incident}")
        page.keyboard.press("Shift+R")
        note = page.get_by_label("Resolution note")
        note.wait_for()
        page.keyboard.type("The valves", delay=30)
        page.keyboard.press("Escape")
        page.wait_for_timeout(300)
        return page.evaluate("seen.inp")


def _news(scene: Scene) -> list[float]:
    times: list[float] = []
    with scene.reader() as page:
        _visit(page, f"/incidents/{scene.incident}")
        page.get_by_text("Live", exact=True).wait_for()
        for n in range(ROUNDS):
            words = f"News {n} for everybody"
            painted = page.evaluate_handle(f"window.painted = ({_PAINTED})({json.dumps(words)}); null")
            began = time.time()
            scene.comment(words)
            times.append(page.evaluate("painted") - began * 1000)
            painted.dispose()
            page.wait_for_timeout(1500)
    return times


def _ack(scene: Scene, path: str) -> float:
    with scene.reader(PHONE, is_signed_in=False, network=SLOW_3G) as page:
        page.add_init_script(f"window.painted = ({_PAINTED})('Acknowledge').then((at) => at - performance.timeOrigin);")
        page.goto(path)
        return page.evaluate("painted")


def _row(what: str, times: Sequence[float], limit: int) -> Row:
    value = median(times)
    return what, f"{value:,.0f} ms", f"≤ {limit:,} ms", _met(value <= limit)


def _met(is_met: bool) -> str:
    return "yes" if is_met else "**no**"
