"""Menus by keyboard."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, expect

from tests.journeys.browser import expect_live, somebody
from tests.journeys.demo import Demo

pytestmark = pytest.mark.journey


async def test_a_menu_that_a_key_opens_has_the_focus_and_gives_it_back(demo: Demo, chromium: Browser) -> None:
    """B2: on the present entry; arrows, Home, End, letters and numbers; no key reaches through it."""
    ref = (await demo.api.post("/incidents", title="The crane does not turn", severity=3))["number"]
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await page.goto(f"/incidents/{ref}")
        await expect_live(page)
        menu, keys = page.locator("#sev-m"), page.keyboard
        await keys.press("v")
        await focused(menu, "SEV3")
        await keys.press("ArrowDown")
        await focused(menu, "SEV4")
        await keys.press("End")
        await focused(menu, "SEV5")
        await keys.press("ArrowDown")
        await focused(menu, "SEV1")
        await keys.press("ArrowUp")
        await focused(menu, "SEV5")
        await keys.press("Home")
        await focused(menu, "SEV1")
        # S is a letter of an entry here, and opens no other menu.
        await keys.press("s")
        await focused(menu, "SEV2")
        await expect(page.locator("#st-m")).to_be_hidden()
        await keys.press("Escape")
        await expect(menu).to_be_hidden()
        await expect(page.locator("[popovertarget=sev-m]")).to_be_focused()
        await keys.press("v")
        await keys.press("1")
        await expect(page.locator("#ihead")).to_contain_text("SEV1")
        await expect(menu).to_be_hidden()

        await page.evaluate("document.activeElement.blur()")
        await keys.press("s")
        await keys.press("m")
        await focused(page.locator("#st-m"), "Mitigated")
        await keys.press("Enter")
        await expect(page.locator("#ihead")).to_contain_text("Mitigated")
        await expect(page.locator("[popovertarget=st-m]").locator("visible=true")).to_be_focused()


async def focused(menu: Locator, words: str) -> None:
    await expect(menu.locator(":focus")).to_contain_text(words)
