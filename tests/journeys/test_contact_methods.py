"""A webhook is set up, tried and mended in a browser, with JavaScript and without (F059, F060)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, expect

from tests import postgres
from tests.journeys.browser import PASSWORD, WIDTHS, button, menu, opener, sign_in, somebody
from tests.processes import address, served, tocsin
from tests.receivers import answering, receiver

pytestmark = pytest.mark.journey

ADA = "ada@example.org"
REFUSED = answering(400, b'{"error": "invalid_blocks"}', "application/json")
TAKEN = answering(200, b"ok")
PATH = "/services/T0000000/s3cretToken"


@dataclass(frozen=True, slots=True)
class Site:
    base: str


@pytest.fixture(scope="module")
async def site(postgres_dsn: str) -> AsyncIterator[Site]:
    async with postgres.fresh(postgres_dsn) as dsn:
        settings = {"database_url": dsn, "outbound_allow": "127.0.0.0/8"}
        async with served(**settings) as (_, greeting):
            words = ("user", "create", f"--email={ADA}", "--name=Ada Lovelace", "--role=admin", "--password-stdin")
            code, _, said = await tocsin(*words, stdin=f"{PASSWORD}\n", **settings)
            assert code == 0, said
            yield Site(address(greeting))


async def add_webhook(page: Page, url: str, format: str) -> None:
    await opener(page, "Add").click()
    # With a script a dialog, and without one the page of its own.
    within = page.locator("#add-method")
    await within.get_by_label("Kind").select_option("webhook")
    await within.get_by_label("Address").fill(url)
    await within.get_by_label("Format of a webhook").select_option(label=format)
    await button(within, "Add").click()
    await expect(within).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_webhook_is_tried_and_mended(chromium: Browser, site: Site, width: int) -> None:
    """What the receiver says, and how the method does, comes by itself; a template is seen before it is saved."""
    async with somebody(chromium, site.base, width=width) as page:
        await sign_in(page, ADA)
        await menu(page, "Profile and paging")
        async with receiver(REFUSED, f"{PATH}{width}") as (url, _):
            await add_webhook(page, url, "Slack, or what takes Slack’s form")
            row = page.locator("li.line2", has_text=url)
            await expect(row).to_contain_text("Slack")
            await button(row, f"Send a test page to Webhook, {url}").click()
            result = page.locator("#test-result")
            await expect(result).to_contain_text('answered 400: {"error": "invalid_blocks"}')
            await expect(result).to_contain_text("Request and answer")
            await expect(row).to_contain_text("Fails since")
            await expect(result.get_by_text(f"POST {url.removesuffix(f'{PATH}{width}')}/…")).to_be_visible()
            assert f"s3cretToken{width}" not in (await result.locator("pre").first.inner_text())
        await page.get_by_role("link", name=f"Change Webhook, {url}").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Webhook")
        await expect(page.get_by_label("Body")).to_be_hidden()
        await page.get_by_label("Format").select_option(label="Own template")
        await page.get_by_label("Body").fill("{{ titel }}")
        await button(page, "Preview").click()
        await expect(page.get_by_text("There is no field “titel”")).to_be_visible()
        await page.get_by_label("Body").fill('{"say": {{ title|json }}}')
        await button(page, "Preview").click()
        await expect(page.locator("#preview")).to_contain_text('"say": "Checkout is down"')
        await expect(page.get_by_text("Not saved yet.")).to_be_visible()
        await button(page, "Save").locator("visible=true").first.click()
        await expect(page.locator(".toast")).to_contain_text("Saved.")
        late = asyncio.Event()
        async with receiver(TAKEN, f"{PATH}{width}/other", when=late) as (url, seen):
            await page.get_by_label("Address").fill(url)
            await button(page, "Save").locator("visible=true").first.click()
            await expect(page.locator(".toast")).to_contain_text("Saved.")
            await button(page, "Send test page").click()
            await expect(page.locator("#test-result")).to_contain_text("On its way")
            await expect(page.locator(".head")).to_contain_text("Nothing has been sent to it yet")
            late.set()
            await expect(page.locator("#test-result")).to_contain_text("Arrived. The receiver answered 200.")
            await expect(page.locator(".head")).to_contain_text("Works: its receiver said")
        assert seen[0].endswith(b'{"say": "Test page"}')


async def test_without_javascript_too(chromium: Browser, site: Site) -> None:
    async with somebody(chromium, site.base, javascript=False) as page:
        await sign_in(page, ADA)
        await page.goto("/people")
        await page.get_by_role("link", name=re.compile("Ada Lovelace")).locator("visible=true").first.click()
        async with receiver(TAKEN, f"{PATH}/plain") as (url, seen):
            await add_webhook(page, url, "Own template")
            await page.get_by_label("Body").fill("{{ title }}")
            await button(page, "Preview").click()
            await expect(page.get_by_text("It is not JSON")).to_be_visible()
            await page.get_by_label("Content type").fill("text/plain")
            await button(page, "Preview").click()
            await expect(page.locator("#preview pre")).to_have_text("Checkout is down")
            await button(page, "Save").locator("visible=true").first.click()
            await button(page, "Send test page").click()
        assert seen[0].endswith(b"\r\n\r\nTest page")
        await expect(page.locator("#test-result")).to_be_visible()
