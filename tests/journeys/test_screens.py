"""Whatever a machine calls its things, nothing leaves the screen or lies over something else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests import postgres
from tests.journeys.browser import WIDTHS, button, somebody
from tests.journeys.outside import Api, request
from tests.processes import address, printed_until, served, tocsin
from tocsin.cli.demo import ADMIN

pytestmark = pytest.mark.journey

POD = "KubePodCrashLooping prod-eu-west-1/checkout-payment-gateway-worker-deployment-7f9c6d5b8d-x2x9q"
GRAFANA = (
    "https://grafana.prod.example.org/d/k8s_views_pods/kubernetes-views-pods?orgId=1&from=now-1h&to=now"
    "&var-namespace=checkout&var-pod=checkout-payment-gateway-worker-deployment-7f9c6d5b8d-x2x9q"
)
WORD = "x" * 200
CODE = f"```\n{'Traceback (most recent call last): ' * 5}\n```"
BODY = f"{GRAFANA}\n\n{WORD}\n\n{CODE}\n\n**{WORD}**\n\n| a | b |\n|-|-|\n| {WORD} | {GRAFANA} |\n"

# What is wider than its box and neither scrolls nor is cut off: it lies over what stands next to it. The 8 px are those
# by which the ground of a list row stands out.
SPILLED = """
[...document.querySelectorAll("body *")].filter((e) => {
  const style = getComputedStyle(e);
  return style.display !== "inline" && style.overflowX === "visible" && e.clientWidth > 0
    && e.scrollWidth > e.clientWidth + 8 && !e.closest(".vh, svg, option, optgroup, [popover], dialog:not([open])");
}).map((e) => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}`)
"""


# Whose ring an ancestor cuts off, of all that the Tab key stops at. Their text may be cut.
CUT_RINGS = """
[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")].filter((e) => {
  e.focus({preventScroll: true});
  if (document.activeElement !== e || !e.checkVisibility()) return false;
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  const out = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineOffset) + parseFloat(style.outlineWidth);
  for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) {
    if (getComputedStyle(p).overflowX === "visible") continue;
    const edge = p.getBoundingClientRect();
    const fits = box.right - box.left + 2 * out <= edge.width + 1;
    if (box.top - out < edge.top - 1 || box.bottom + out > edge.bottom + 1 || (fits && box.left - out < edge.left - 1))
      return p.scrollHeight <= p.clientHeight + 1;
  }
  return false;
}).map((e) => `${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 30)}`)
"""


@dataclass(frozen=True, slots=True)
class Hostile:
    """An installation with names as machines make them."""

    base: str
    signed_in: dict[str, Any]
    ack: str
    link: str
    pages: dict[str, str]


@pytest.fixture(scope="module")
async def hostile(postgres_dsn: str, chromium: Browser) -> AsyncIterator[Hostile]:
    async with postgres.fresh(postgres_dsn) as dsn, served("--demo", database_url=dsn) as (process, greeting):
        base = address(greeting)
        code, token, said = await tocsin("token", "create", f"--email={ADMIN}", "--name=words", database_url=dsn)
        assert code == 0, said
        api = Api(base, token.strip())
        lines = [line.strip() for line in greeting.splitlines()]
        async with somebody(chromium, base) as maren:
            await maren.goto(next(line for line in lines if "/link/" in line))
            await button(maren, "Sign in").click()
            await expect(maren).to_have_url(f"{base}/incidents")
            signed_in: Any = await maren.context.storage_state()
        fired = b'{"title": "%s", "severity": "critical", "description": "%s", "labels": {"%s": "%s"}}'
        filled = tuple(word.encode() for word in (POD, f"{GRAFANA} {WORD}", "pod" * 20, WORD))
        posted = next(line for line in lines if "/in/generic/" in line).split()[-1]
        assert (await request("POST", posted, fired % filled, {"Content-Type": "application/json"})).status == 202
        printed = await printed_until(process, "   ack  ")
        source = await api.post("/alert_sources", name="n" * 80, kind="generic")
        await api.post("/alerts", source_id=source["id"], title=WORD, severity=2, description=BODY)
        alerts = (await api.get("/alerts"))["data"]
        incident = await api.post("/incidents", title=WORD, severity=2, summary=BODY)
        for comment in (BODY, GRAFANA, CODE):
            await api.post(f"/incidents/{incident['number']}/comments", body=comment)
        person = await api.post("/users", name="N" * 80, email=f"{'n' * 60}@{'n' * 60}.example.org", role="responder")
        await api.post("/users", name="Bo", email="bo@example.org", role="responder")
        code, link, said = await tocsin("user", "link", "--email=bo@example.org", database_url=dsn)
        assert code == 0, said
        hook = {"kind": "webhook", "address": f"https://hooks.example.org/{WORD}", "name": "n" * 100}
        own = {"format": "template", "template": "{{ title }}" + "x" * 500, "content_type": "text/plain"}
        method = await api.post(f"/users/{person['id']}/contact_methods", **hook, **own)
        pages = {
            "alerts": "/alerts",
            "alert": next(f"/alerts/{each['id']}" for each in alerts if each["title"] == POD),
            "alert of one word": next(f"/alerts/{each['id']}" for each in alerts if each["title"] == WORD),
            "incidents": "/incidents",
            "incident": f"/incidents/{incident['number']}",
            "declare": next(f"/incidents/new?alert={each['id']}" for each in alerts if each["title"] == WORD),
            "sources": "/sources",
            "source": f"/sources/{source['id']}",
            "people": "/people",
            "person": f"/people/{person['id']}",
            "contact method": f"/people/{person['id']}/contact-methods/{method['id']}",
        }
        yield Hostile(base, signed_in, urlsplit(printed.split()[-1]).path, urlsplit(link.strip()).path, pages)


async def faults(page: Page, name: str, width: int) -> list[str]:
    """What of the page lies beyond the screen or over something else."""
    await page.evaluate("document.fonts.ready.then(() => null)")
    wide = await page.evaluate("document.documentElement.scrollWidth")
    beyond = [f"{name}: {wide} px"] if wide > width else []
    return beyond + [f"{name}: {each}" for each in await page.evaluate(SPILLED)]


@pytest.mark.parametrize("width", WIDTHS)
async def test_long_words_stay_in_their_places(chromium: Browser, hostile: Hostile, width: int) -> None:
    """F113, F115: pages fit a phone and a desk, whatever a machine calls its things."""
    found: list[str] = []
    async with somebody(chromium, hostile.base, storage_state=hostile.signed_in, width=width) as page:
        for name, path in hostile.pages.items():
            await page.goto(path)
            found.extend(await faults(page, name, width))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_ring_around_the_focus_is_seen_whole(chromium: Browser, hostile: Hostile, width: int) -> None:
    """Tabs, crumbs and filters scroll, and cut off what stands out of them."""
    found: list[str] = []
    async with somebody(chromium, hostile.base, storage_state=hostile.signed_in, width=width) as page:
        for name in ("alerts", "incidents", "incident", "contact method", "source"):
            await page.goto(hostile.pages[name])
            # From here on the focus is the keyboard's, and has its ring.
            await page.keyboard.press("Tab")
            found.extend(f"{name}: {each}" for each in await page.evaluate(CUT_RINGS))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_crumbs_of_a_contact_method_say_where_one_is(chromium: Browser, hostile: Hostile, width: int) -> None:
    """F059: however long the names are, each keeps a part of the bar, and there is one button to save."""
    async with somebody(chromium, hostile.base, storage_state=hostile.signed_in, width=width) as page:
        await page.goto(hostile.pages["contact method"])
        for crumb in await page.locator(".crumbs li").all():
            box = await crumb.bounding_box()
            assert box and box["width"] >= 30 and box["x"] >= 0 and box["x"] + box["width"] <= width
        seen = page.locator("button[value=save]:not(.vh)")
        await expect(seen).to_have_count(1)
        await expect(seen).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_page_to_acknowledge_shows_its_countdown_and_its_button(
    chromium: Browser, hostile: Hostile, width: int
) -> None:
    """F061: at night, on a phone, what has to be seen and pressed is on the screen."""
    async with somebody(chromium, hostile.base, width=width) as page:
        await page.goto(hostile.ack)
        await expect(page.get_by_role("heading", level=1)).to_have_text(POD)
        assert await faults(page, "page to acknowledge", width) == []
        for seen in (page.get_by_role("timer"), button(page, "Acknowledge")):
            box = await seen.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
        # However long the description is, nobody has to look for the button.
        await expect(button(page, "Acknowledge")).to_be_in_viewport(ratio=1)


# Their timers never end, for what a slow machine would be too late for.
HOLD_TOASTS = """
const start = window.setTimeout;
window.setTimeout = (run, after, ...more) => start(run, after === 6000 ? 2 ** 31 - 1 : after, ...more);
"""
# What is met by a press in the middle of an element.
PRESSED = """(e) => {
  const box = e.getBoundingClientRect();
  return e.contains(document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2));
}"""


async def test_a_toast_keeps_nobody_from_pressing_what_it_asks_for(chromium: Browser, hostile: Hostile) -> None:
    """F117: on a phone the welcome lies over no button, and a press goes through it to what is below."""
    async with somebody(chromium, hostile.base, width=390) as page:
        await page.add_init_script(HOLD_TOASTS)
        await page.goto(hostile.link)
        await button(page, "Sign in").click()
        toast = page.locator(".toast")
        await expect(toast).to_contain_text("Set a password")
        shown = await toast.bounding_box()
        bar = await page.locator(".mobar").bounding_box()
        assert shown and bar and shown["y"] > 422 and shown["y"] + shown["height"] <= bar["y"]
        password = button(page, "Set password")
        await password.scroll_into_view_if_needed()
        # While one page fades into the next, the browser lets nothing be pressed.
        await page.wait_for_function(PRESSED, arg=await password.element_handle())
        assert not await toast.locator("span").evaluate(PRESSED)
        hide = button(page, "Hide this message")
        assert await hide.evaluate(PRESSED)
        await hide.click()
        await expect(toast).to_have_count(0)


async def test_the_menu_of_a_phone_is_on_the_screen_with_all_its_corners(chromium: Browser, hostile: Hostile) -> None:
    async with somebody(
        chromium, hostile.base, storage_state=hostile.signed_in, width=390, reduced_motion="reduce"
    ) as page:
        await page.goto("/alerts")
        await page.get_by_role("link", name="More", exact=True).click()
        box = await page.get_by_role("dialog", name="More").bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 844
