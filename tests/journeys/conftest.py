"""One Chromium for all journeys; everybody in them has a browser context of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright

from tests.journeys.browser import chromium_program


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A Chromium that speaks to nobody but us, with a fresh profile."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_program(), args=quiet)
        yield browser
        await browser.close()
