"""The reader's own colours: what is a thing has an edge, and what is chosen is told from what is not."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import WIDTHS, somebody
from tests.journeys.demo import Demo

pytestmark = pytest.mark.journey

# What of an element can be told apart where there are neither tints nor shadows.
LOOKS = """(e) => [null, "::before", "::after"].map((part) => {
  const style = getComputedStyle(e, part);
  const sides = ["top", "right", "bottom", "left"].map((side) => {
    const width = style.getPropertyValue(`border-${side}-width`);
    return width === "0px" ? "" : [width, style.getPropertyValue(`border-${side}-style`),
      style.getPropertyValue(`border-${side}-color`)].join(" ");
  });
  const outline = style.outlineStyle === "none" ? "" : `${style.outlineWidth} ${style.outlineColor}`;
  return [style.content, style.color, style.backgroundColor, style.textDecorationLine, sides, outline];
})"""
# What is pressed or filled in and has no edge of a colour that is not that of what is behind it.
EDGELESS = """() => {
  const ground = getComputedStyle(document.body).backgroundColor;
  const edged = "button.btn, a.btn, .pick, .filter, .input, .switch, .chip.tint, .badge";
  return [...document.querySelectorAll(edged)]
    .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest(".vh"))
    .filter((e) => {
      const style = getComputedStyle(e);
      const around = e.closest(".composer") ? getComputedStyle(e.closest(".composer")) : style;
      return !(parseFloat(around.borderBottomWidth) > 0 && around.borderBottomColor !== ground);
    })
    .map((e) => e.outerHTML.slice(0, 110));
}"""


async def differ(page: Page, chosen: str, other: str) -> bool:
    """Say whether the one that is chosen looks otherwise than one that is not."""
    one, two = page.locator(chosen).first, page.locator(other).first
    await expect(one).to_be_attached()
    await expect(two).to_be_attached()
    return json.dumps(await one.evaluate(LOOKS)) != json.dumps(await two.evaluate(LOOKS))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_is_chosen_is_told_from_what_is_not(chromium: Browser, demo: Demo, scheme: str) -> None:
    wrong: list[str] = []

    async def tell(place: str, chosen: str, other: str) -> None:
        if not await differ(page, chosen, other):
            wrong.append(f"{place}: {chosen} and {other}")

    looks = {"forced_colors": "active", "color_scheme": scheme}
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, **looks) as page:  # type: ignore[arg-type]
        await page.goto("/alerts")
        assert await page.evaluate("matchMedia('(forced-colors: active)').matches")
        await tell("entry of the menu", ".nav a[aria-current]", ".nav a:not([aria-current])")
        await tell("tab", ".tabs a[aria-current]", ".tabs a:not([aria-current])")
        await tell("count", ".badge.hot", ".badge:not(.hot)")
        await page.keyboard.press("j")
        await tell("row", "[data-row][aria-current=true]", "[data-row]:not([aria-current=true])")
        await page.goto("/incidents/new")
        await tell("severity", ".sevpick label:has(:checked)", ".sevpick label:not(:has(:checked))")
        await tell("first button", ".btn.primary", ".btn:not(.primary, .accent, .danger)")
        await page.goto(demo.pages["incident"])
        await tell("milestone that is over", ".miles li.done:not(.now)", ".miles li:not(.done, .now)")
        await tell("milestone where it is", ".miles li.now", ".miles li:not(.now)")
        await page.goto(demo.pages["policy"])
        await page.goto(demo.pages["source"])
        if await page.locator(".switch").count():
            await page.locator(".switch").first.evaluate("(e) => e.checked = true")
    assert wrong == []


@pytest.mark.parametrize("width", WIDTHS)
async def test_every_control_has_an_edge(chromium: Browser, demo: Demo, width: int) -> None:
    found: list[str] = []
    state = demo.signed_in
    async with somebody(chromium, demo.base, storage_state=state, width=width, forced_colors="active") as page:
        for name, path in (demo.pages | demo.bare).items():
            await page.goto(path)
            found.extend(f"{name}: {each}" for each in await page.evaluate(EDGELESS))
        await page.goto(demo.pages["incident"])
        await page.locator("a[data-sheet][href$=resolve]:visible").first.click()
        await expect(page.locator("dialog[open]")).to_be_visible()
        found.extend(f"dialog: {each}" for each in await page.evaluate(EDGELESS))
        edge = await page.locator("dialog[open]").evaluate("(e) => getComputedStyle(e).borderTopWidth")
        assert float(edge.removesuffix("px")) >= 1
    assert not found, "\n".join(found)
