"""One Chromium for all journeys of a process; everybody in them has a browser context of their own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright
from tools import test_tools

from tests.journeys.browser import NAME
from tests.journeys.demo import Demo, demonstrated


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A Chromium that speaks to nobody but us, with a fresh profile."""
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    # A name that is not localhost, which browsers trust over plain http as they trust https.
    quiet += [f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    async with contextlib.AsyncExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in test_tools.environment().items():
                patch.setenv(name, value)
            playwright = await stack.enter_async_context(async_playwright())
            browser = await playwright.chromium.launch(executable_path=test_tools.chromium(), args=quiet)
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
async def demo(postgres_dsn: str, chromium: Browser) -> AsyncIterator[Demo]:
    async with demonstrated(postgres_dsn, chromium) as demo:
        yield demo
