"""Every page for everybody: axe in both themes and at both widths, and no sideways scroll on the narrowest screen."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from tests import postgres
from tests.journeys.axe import findings
from tests.journeys.browser import PASSWORD, WIDTHS, button, dialog, opener, somebody
from tests.journeys.demo import Demo, path_of
from tests.processes import address, served

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
async def empty(postgres_dsn: str) -> AsyncIterator[str]:
    """The set-up link of an installation in which nobody exists."""
    async with postgres.fresh(postgres_dsn) as dsn, served(database_url=dsn) as (_, greeting):
        found = re.search(r"http\S+/set-up\?token=\S+", greeting)
        assert found
        yield found[0]


@dataclass(frozen=True, slots=True)
class Beginning:
    """An installation that was just set up, and the session of whoever did it."""

    base: str
    signed_in: dict[str, Any]


@pytest.fixture(scope="module")
async def beginning(postgres_dsn: str, chromium: Browser) -> AsyncIterator[Beginning]:
    async with postgres.fresh(postgres_dsn) as dsn, served(database_url=dsn) as (_, greeting):
        found = re.search(r"http\S+/set-up\?token=\S+", greeting)
        assert found
        async with somebody(chromium, address(greeting)) as page:
            await page.goto(found[0])
            await page.get_by_label("Organisation").fill("Acme")
            await page.get_by_label("Your name").fill("Ada Lovelace")
            await page.get_by_label("E-mail").fill("ada@example.org")
            await page.get_by_label("Password").fill(PASSWORD)
            await button(page, "Set up and sign in").click()
            await expect(page.locator("#first-steps")).to_be_visible()
            signed_in: Any = await page.context.storage_state()
        yield Beginning(address(greeting), signed_in)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_axe_finds_nothing(
    chromium: Browser, demo: Demo, empty: str, beginning: Beginning, theme: Any, width: int
) -> None:
    found: list[str] = []
    looks: dict[str, Any] = {"width": width, "color_scheme": theme, "reduced_motion": "reduce"}

    async def signed_out() -> None:
        async with somebody(chromium, demo.base, **looks) as page:
            for name, path in (demo.bare | {"set-up": empty}).items():
                await page.goto(path)
                found.extend(await findings(page, name))

    async def signed_in() -> None:
        async with somebody(chromium, demo.base, storage_state=demo.signed_in, **looks) as page:
            for name, path in demo.pages.items():
                await page.goto(path)
                assert path_of(page) == urlsplit(path).path
                found.extend(await findings(page, name))
            # The form of a declaration, as an alert fills it in.
            await page.goto(demo.pages["alert"])
            await page.locator("a[data-sheet][href*='alert=']:visible").click()
            await expect(dialog(page, "Declare incident")).to_be_visible()
            found.extend(await findings(page, "declare dialog"))
            # A dialog with a field that was refused.
            await page.goto(demo.pages["incident"])
            await opener(page, "Resolve").click()
            resolve = dialog(page, f"Resolve {demo.incident}")
            await resolve.get_by_label("Resolution note").fill(" ")
            await button(resolve, "Resolve incident").click()
            await expect(resolve.locator(".err")).to_be_visible()
            found.extend(await findings(page, "resolve dialog"))

    async def just_set_up() -> None:
        async with somebody(chromium, beginning.base, storage_state=beginning.signed_in, **looks) as page:
            await page.goto("/incidents")
            await expect(page.locator("#first-steps")).to_be_visible()
            found.extend(await findings(page, "next steps"))

    await asyncio.gather(signed_out(), signed_in(), just_set_up())
    assert found == []


async def test_no_page_scrolls_sideways_on_the_narrowest_screen(chromium: Browser, demo: Demo, empty: str) -> None:
    wide: list[str] = []
    measure = "[...document.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > 321).slice(0, 3)"
    narrow = {"viewport": {"width": 320, "height": 640}}
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, **narrow) as page:
        for name, path in demo.pages.items():
            await page.goto(path)
            await page.evaluate("document.fonts.ready.then(() => null)")
            if await page.evaluate("document.documentElement.scrollWidth") > 320:
                wide.append(f"{name}: {await page.evaluate(measure + '.map((e) => e.outerHTML.slice(0, 120))')}")
    async with somebody(chromium, demo.base, **narrow) as page:
        for name, path in (demo.bare | {"set-up": empty}).items():
            await page.goto(path)
            await page.evaluate("document.fonts.ready.then(() => null)")
            if await page.evaluate("document.documentElement.scrollWidth") > 320:
                wide.append(name)
    assert wide == []


# What opens something on the page: menus, dialogs that are there, and those that are fetched.
OPENERS = "button[popovertarget], button[command='show-modal'], [data-dialog], a[data-sheet]"
OPENED = "dialog[open], [popover]:popover-open"


@pytest.mark.parametrize(("theme", "width"), [("light", WIDTHS[0]), ("dark", WIDTHS[1])])
async def test_axe_finds_nothing_in_what_opens(chromium: Browser, demo: Demo, theme: Any, width: int) -> None:
    """Every menu and dialog of the pages that are worked on, one after the other."""
    found: list[str] = []
    opened = 0
    looks: dict[str, Any] = {"width": width, "color_scheme": theme, "reduced_motion": "reduce"}
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, **looks) as page:
        for name in ("incidents", "incident", "alert", "policy", "routes", "person", "source", "tokens"):
            await page.goto(demo.pages[name])
            seen = [each for each in await page.locator(OPENERS).all() if await each.is_visible()]
            for opener in seen:
                what = (await opener.inner_text()).strip() or await opener.get_attribute("aria-label")
                await opener.click()
                await expect(page.locator(OPENED).first).to_be_visible()
                found.extend(await findings(page, f"{name}, {what}"))
                opened += 1
                await page.keyboard.press("Escape")
                await expect(page.locator(OPENED)).to_have_count(0)
    assert found == []
    assert opened > 15
