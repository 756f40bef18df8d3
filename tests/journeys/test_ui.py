"""The page of all components, which is there in development only: each is there, has a size, and axe finds nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests import postgres
from tests.journeys.axe import findings
from tests.journeys.browser import WIDTHS, somebody
from tests.processes import address, served
from tocsin.web.base import assets

pytestmark = pytest.mark.journey

PARTS = {"buttons", "chips", "avatars", "fields", "tabs", "banners", "dialog", "toasts", "tables", "lists"}
PARTS |= {"timeline", "states"}
# One of each component, and how many of it the page shows at least.
COMPONENTS = {
    ".btn": 30,
    ".btn[disabled]": 8,
    ".btn.htmx-request": 7,
    ".pick": 2,
    ".filter": 2,
    ".filter.on": 1,
    ".chip": 35,
    ".tag": 2,
    ".badge": 2,
    ".badge.hot": 1,
    ".live": 2,
    ".live.off": 1,
    ".av": 8,
    ".av.none": 1,
    ".input": 9,
    ".input:disabled": 1,
    ".input[aria-invalid=true]": 3,
    ".err": 3,
    ".hint": 2,
    ".check": 2,
    ".switch": 2,
    ".search": 1,
    ".copyable": 1,
    ".tabs a": 3,
    ".tabs [aria-current]": 1,
    ".seg a": 2,
    ".lfoot a": 2,
    ".banner": 9,
    "dialog[open]": 1,
    ".df": 1,
    ".menu": 1,
    ".mi": 3,
    ".toast": 1,
    ".tbl tbody tr": 2,
    ".props": 1,
    ".li": 1,
    ".step.done": 1,
    ".step.now": 1,
    ".raw": 1,
    ".code": 1,
    ".prose": 2,
    ".tl .ev.sys": 2,
    ".tl .ev.comment": 3,
    ".empty": 1,
    "[aria-busy=true] .btn": 1,
    ".ficon": 1,
    "time": 4,
}
# How many of these have a size; what is hidden on purpose, such as a dialog that is closed, does not count.
COUNT = """
(selectors) => Object.fromEntries(selectors.map((selector) => [selector, [...document.querySelectorAll(selector)]
  .filter((e) => { const box = e.getBoundingClientRect(); return box.width > 4 && box.height > 4; }).length]))
"""
# The rules as the browser has understood them, for the sheet that pages get and for the files it was made of.
RULES = """
(texts) => texts.map((text) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  return [...sheet.cssRules].map((rule) => rule.cssText.replace(/\\s+/g, "")).join("\\n");
})
"""


@pytest.fixture(scope="module")
async def base(postgres_dsn: str) -> AsyncIterator[str]:
    """An installation for those who work on it."""
    async with (
        postgres.fresh(postgres_dsn) as dsn,
        served(database_url=dsn, development="on") as (_, greeting),
    ):
        yield address(greeting)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_every_component_is_there_in_every_state(
    chromium: Browser, base: str, tmp_path: Path, theme: Any, width: int
) -> None:
    """At the end of `somebody`, the console has nothing to say either. The picture is for people to look at."""
    async with somebody(chromium, base, width=width, color_scheme=theme, reduced_motion="reduce") as page:
        answer = await page.goto("/ui")
        assert answer and answer.status == 200
        await page.evaluate("document.fonts.ready.then(() => null)")
        parts = await page.locator("[data-part]").evaluate_all("(found) => found.map((each) => each.dataset.part)")
        assert set(parts) == PARTS
        counted = await page.evaluate(COUNT, list(COMPONENTS))
        assert {each: n for each, n in counted.items() if n < COMPONENTS[each]} == {}
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        # A busy control is paler and takes no clicks; contrast is asked of what can be used.
        assert await findings(page, "ui", leaving_out=[".htmx-request", "[aria-busy=true]"]) == []
        picture = await page.screenshot(full_page=True, path=tmp_path / f"ui-{width}-{theme}.png")
        assert len(picture) > 50_000


async def test_minifying_changes_no_rule(chromium: Browser, base: str) -> None:
    """What the browser reads is what people wrote, nested selectors, calc() and layers included."""
    layers = {
        layer: "".join(path.read_text() for path in sorted((assets.FOLDER / "css" / layer).glob("*.css")))
        for layer in assets.LAYERS
    }
    written = f"@layer {', '.join(layers)};" + "".join(f"@layer {layer} {{{text}}}" for layer, text in layers.items())
    async with somebody(chromium, base) as page:
        await page.goto("/ui")
        served_rules, rules = await page.evaluate(RULES, [assets.style_sheet(assets.FOLDER / "css"), written])
    assert served_rules == rules and rules.count("{") > 300
