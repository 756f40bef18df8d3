"""An administrator from nothing: from the empty installation to a resolved incident, each step leads to the next."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.journeys.browser import (
    button,
    expect_live,
    is_same_document,
    mark,
    opener,
    run_shown_curl,
    set_up,
    somebody,
)
from tests.journeys.outside import Sink, webhook
from tests.processes import address, served

pytestmark = pytest.mark.journey

# From the set-up to the resolved incident 18 are pressed, and 20 without a script, which asks for a choice to be shown.
MOST_PRESSED = 20


class Newcomer:
    """A page, and how often something on it was pressed; `scripted` says whether it has JavaScript."""

    def __init__(self, page: Page, *, scripted: bool) -> None:
        self.page, self.scripted, self.pressed = page, scripted, 0

    async def press(self, what: Locator) -> None:
        self.pressed += 1
        await what.click()

    async def follow(self, title: str) -> None:
        """Follow what the page says comes next."""
        await self.press(self.page.locator("#next-step").get_by_role("link", name=f"Next: {title}"))

    def form(self, name: str) -> Locator:
        """Return the dialog, or the page that it is without a script."""
        return self.page.get_by_role("dialog", name=name) if self.scripted else self.page.get_by_role("main")

    async def pick(self, label: str, words: str, option: str) -> None:
        """Choose from a picker, which is a plain select without a script."""
        if self.scripted:
            field = self.page.get_by_label(label).and_(self.page.get_by_role("combobox"))
            await field.fill(words)
            await field.press("Enter")
            await expect(button(self.page, f"Take out {option}")).to_be_visible()
        else:
            await self.page.get_by_label(label).select_option(label=option)


@asynccontextmanager
async def newcomer(chromium: Browser, dsn: str, **looks: Any) -> AsyncIterator[tuple[Newcomer, Sink]]:
    scripted = looks.get("javascript", True)
    async with (
        webhook() as sink,
        served(database_url=dsn, outbound_allow="127.0.0.0/8") as (_, greeting),
        somebody(chromium, address(greeting), **looks) as page,
    ):
        await set_up(page, greeting)
        yield Newcomer(page, scripted=scripted), sink


async def led_to_the_first_page(ada: Newcomer, hook: str) -> None:
    """Do what the first steps say, one after the other; ends on the page of the source, where the page is tried."""
    page = ada.page
    await expect(page.locator("#first-steps [aria-current=step]")).to_contain_text("Add an alert source")
    await ada.press(page.get_by_role("link", name="Add an alert source"))
    await ada.press(opener(page, "New source"))
    new = ada.form("New source")
    await new.get_by_label("Name").fill("Shell")
    await new.get_by_label("Kind").select_option("generic")
    await ada.press(button(new, "Create source"))
    await expect(page.get_by_role("heading", name="Shell", level=1)).to_be_visible()

    # The first signal is seen to come in where the command for it stands.
    await expect(page.locator("#next-step")).to_contain_text("Next, on this page: Send the first signal")
    if ada.scripted:
        await expect_live(page)
        await mark(page)
    assert (await run_shown_curl(page)).status == 202
    if not ada.scripted:
        await page.reload()
    await expect(page.locator("#came-in")).to_contain_text("Test alert")
    if ada.scripted:
        assert await is_same_document(page)

    await ada.follow("Write an escalation policy")
    await page.get_by_label("Name").fill("Payments primary")
    await ada.pick("Person to add to step 1", "love", "Ada Lovelace")
    await ada.press(button(page, "Create policy"))
    await expect(page.get_by_role("heading", name="Payments primary", level=1)).to_be_visible()

    # A route is tried while it is written: it would have taken what came in.
    await ada.follow("Create a route to it")
    await ada.press(opener(page, "New route"))
    await page.get_by_label("Name").fill("Tests")
    await page.get_by_label("What condition 1 is about").select_option("title")
    if not ada.scripted:
        await ada.press(button(page, "Choose"))
    await page.get_by_label("How condition 1 compares").select_option("contains")
    await page.get_by_label("The value of condition 1").fill("Test")
    if not ada.scripted:
        await ada.press(button(page, "Try it"))
    await expect(page.locator("#trial")).to_contain_text("Matches 1 of the last 1 alert")
    # The only policy there is is offered.
    if ada.scripted:
        await expect(button(page, "Take out Payments primary")).to_be_visible()
    await ada.press(button(page, "Create route"))
    await expect(page.get_by_role("link", name="Tests")).to_be_visible()

    await ada.follow("Add a contact method")
    await ada.press(opener(page, "Add"))
    method = ada.form("Add contact method")
    await method.get_by_label("Kind").select_option("webhook")
    await method.get_by_label("Address").fill(hook)
    await ada.press(button(method, "Add"))
    await expect(page.locator("li", has_text=hook).first).to_be_visible()

    await ada.follow("Receive the first page")
    await expect(page.locator("#next-step")).to_contain_text("Next, on this page: Receive the first page")


@pytest.mark.parametrize(("width", "javascript"), [(1440, True), (390, True), (1440, False)])
async def test_from_nothing_to_a_resolved_incident_each_step_leads_to_the_next(
    chromium: Browser, dsn: str, width: int, javascript: bool
) -> None:
    """F001, F002, F057: with so few presses as stand above, at both widths, and without a script."""
    async with newcomer(chromium, dsn, width=width, javascript=javascript) as (ada, sink):
        await led_to_the_first_page(ada, sink.url)
        page = ada.page
        assert (await run_shown_curl(page)).status == 202
        _, paged = await sink.first("Test alert")

        # Who is asked answers by the link of the message, from any browser.
        await page.goto(paged["acknowledge_url"])
        await ada.press(button(page, "Acknowledge"))
        await expect(page.get_by_text("You acknowledged")).to_be_visible()
        await ada.press(
            page.get_by_role("link", name="Open the alert").or_(page.get_by_role("link", name="Open")).first
        )
        await ada.press(page.locator('a[href*="/incidents/new?alert="]:visible').first)
        await expect(page.get_by_label("Title")).to_have_value("Test alert")
        await ada.press(button(page, "Declare incident"))
        await expect(page).to_have_url(re.compile("/incidents/INC-1$"))
        await ada.press(opener(page, "Resolve"))
        resolve = ada.form("Resolve INC-1")
        await resolve.get_by_label("Resolution note").fill("It was a test.")
        await ada.press(button(resolve, "Resolve incident"))
        await expect(page.locator("#ihead")).to_contain_text("Resolved")

        # The steps have done what they were for.
        await page.goto("/incidents")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.locator("#first-steps")).to_have_count(0)
        assert ada.pressed <= MOST_PRESSED, ada.pressed
