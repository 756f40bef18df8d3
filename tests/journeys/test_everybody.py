"""For fingers that shake, pages at 400 %, readers with colours of their own: what can be measured of WCAG 2.2 is."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import WIDTHS, somebody
from tests.journeys.demo import Demo

pytestmark = pytest.mark.journey

# 1280 × 1024 at 400 %.
ZOOMED: dict[str, Any] = {"viewport": {"width": 320, "height": 256}, "is_mobile": False}
BETWEEN = (320, 600, 861, 900, 1024, 1180)

# 2.5.8: 24 by 24 pixels. Exempt, as the criterion has it, are what stands in a sentence, and what has so much room
# that a circle of 24 px around its middle meets nothing else. A control's label, and what covers a whole row by a box
# of its own, belong to the target.
SMALL_TARGETS = """() => {
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  const box = (e) => {
    let boxes = [e.getBoundingClientRect()];
    const label = e.closest("label");
    if (label) boxes.push(label.getBoundingClientRect());
    const over = getComputedStyle(e, "::after");
    if (over.content !== "none" && over.position === "absolute") {
      let holder = e;
      while (holder && getComputedStyle(holder).position === "static") holder = holder.parentElement;
      if (holder) boxes.push(holder.getBoundingClientRect());
    }
    return boxes.reduce((a, b) => (a.width * a.height < b.width * b.height ? b : a));
  };
  const seen = (e) => {
    const r = e.getBoundingClientRect();
    return e.checkVisibility({ visibilityProperty: true }) && r.width > 1 && r.height > 1
      && !e.closest(".vh, .skip, [inert]") && !e.matches(":disabled");
  };
  const inSentence = (e) => {
    const block = e.closest("p, li, dd, td, h1, h2, h3, .line, .hint, .prose, .bubble, span:not(:only-child)");
    return getComputedStyle(e).display.startsWith("inline") && !e.matches(".btn, .pick, .filter, button")
      && block && block.textContent.trim().length > e.textContent.trim().length + 3;
  };
  const all = [...document.querySelectorAll(controls)].filter(seen).map((e) => ({ e, r: box(e) }));
  const meets = (c, r) => {
    const x = Math.max(r.left, Math.min(c.x, r.right)), y = Math.max(r.top, Math.min(c.y, r.bottom));
    return (x - c.x) ** 2 + (y - c.y) ** 2 < 144 - 0.5;
  };
  return all.filter(({ e, r }) => {
    if (Math.round(r.width * 2) / 2 >= 24 && Math.round(r.height * 2) / 2 >= 24) return false;
    if (inSentence(e)) return false;
    const middle = { x: r.left + r.width / 2, y: r.top + r.height / 2 };
    return all.some((o) => o.e !== e && !o.e.contains(e) && !e.contains(o.e) && meets(middle, o.r)
      && !(o.e.closest("label") && o.e.closest("label") === e.closest("label")));
  }).map(({ e, r }) => `${Math.round(r.width)}×${Math.round(r.height)} ${e.outerHTML.slice(0, 110)}`);
}"""

# 2.4.11: what has the focus is seen, at least in part.
HIDDEN = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const label = getComputedStyle(e).opacity === "0" && e.closest("label");
  const shown = label || e;
  const r = shown.getBoundingClientRect();
  const points = [[.5, .5], [.1, .2], [.9, .2], [.1, .8], [.9, .8]]
    .map(([x, y]) => [r.left + r.width * x, r.top + r.height * y]);
  const free = points.some(([x, y]) => {
    const at = document.elementFromPoint(x, y);
    return at && (shown.contains(at) || at.contains(shown));
  });
  return { name: e.outerHTML.slice(0, 110), free, last: e === window.firstFocused };
}"""

SIDEWAYS = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  const scrolls = (e) =>
    e !== document.body && (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > wide + 1 && !scrolls(e.parentElement)).slice(0, 3)
    .map((e) => e.outerHTML.slice(0, 110));
}"""

# 1.4.12, as the criterion has it.
SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important; }
    * { word-spacing: .16em !important; } p { margin-block-end: 2em !important; }`);
  document.adoptedStyleSheets.push(sheet);
}"""


async def ready(page: Page, path: str) -> None:
    await page.goto(path)
    await page.evaluate("document.fonts.ready.then(() => null)")


@pytest.mark.parametrize("width", WIDTHS)
async def test_what_is_pressed_is_large_enough(chromium: Browser, demo: Demo, width: int) -> None:
    """WCAG 2.5.8, on every page."""
    found: list[str] = []
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, width=width) as page:
        for name, path in (demo.pages | demo.bare).items():
            await ready(page, path)
            found.extend(f"{name}: {each}" for each in await page.evaluate(SMALL_TARGETS))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("width", WIDTHS)
async def test_the_focus_is_never_behind_a_bar(chromium: Browser, demo: Demo, width: int) -> None:
    """WCAG 2.4.11: forwards through each page, and back."""
    found: list[str] = []
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, width=width) as page:
        for name in ("incidents", "incident", "alerts", "alert", "policy", "person"):
            await ready(page, demo.pages[name])
            for key, presses in (("Tab", 70), ("Shift+Tab", 30)):
                for _ in range(presses):
                    await page.keyboard.press(key)
                    focused = await page.evaluate(HIDDEN)
                    if focused is None:
                        break
                    if not focused["free"]:
                        found.append(f"{name}, {key}: {focused['name']}")
    assert not found, "\n".join(found)


async def test_nothing_is_wider_than_the_screen(chromium: Browser, demo: Demo) -> None:
    """At widths between a phone's and a desk's, with wider spaces between letters and lines (1.4.12), and at 400 %."""
    found: list[str] = []
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        for name, path in (demo.pages | demo.bare).items():
            await ready(page, path)
            for width in BETWEEN:
                await page.set_viewport_size({"width": width, "height": 700})
                found.extend(f"{name}, {width} px: {each}" for each in await page.evaluate(SIDEWAYS))
            await page.evaluate(SPACED)
            for width in (320, 1024):
                await page.set_viewport_size({"width": width, "height": 700})
                found.extend(f"{name}, {width} px, spaced: {each}" for each in await page.evaluate(SIDEWAYS))
    assert not found, "\n".join(found)


async def test_at_400_percent_the_bars_let_go(chromium: Browser, demo: Demo) -> None:
    """WCAG 1.4.10: what is read has the screen for itself."""
    found: list[str] = []
    stuck = """() => [...document.querySelectorAll("body *")].filter((e) => {
      const style = getComputedStyle(e), r = e.getBoundingClientRect();
      return ["fixed", "sticky"].includes(style.position) && style.display !== "none" && r.height > 0 && r.bottom > 0
        && r.top < innerHeight && !e.matches(".vh, .skip, [popover], dialog");
    }).map((e) => e.outerHTML.slice(0, 110))"""
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, **ZOOMED) as page:
        for name, path in (demo.pages | demo.bare).items():
            await ready(page, path)
            found.extend(f"{name}: {each}" for each in await page.evaluate(stuck))
            found.extend(f"{name}, sideways: {each}" for each in await page.evaluate(SIDEWAYS))
    assert not found, "\n".join(found)


async def test_every_page_is_there_without_a_script(chromium: Browser, demo: Demo) -> None:
    """What is read, what leads elsewhere and what is sent need none."""
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, javascript=False) as page:
        for path in (demo.pages | demo.bare).values():
            await page.goto(path)
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            assert await page.locator("a[href='#'], a:not([href])").count() == 0
