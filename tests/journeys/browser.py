"""People with browsers: signing in, finding one's way at any width, and noticing what the browser complains about."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, WebError, async_playwright, expect
from tools import test_tools

from tests.journeys.outside import Answer, shell_line
from tests.processes import PATIENCE

# What is expected may take as long as it likes on a slow machine; that it comes at all is the point.
expect.set_options(timeout=PATIENCE * 1000)

WIDTHS = (1440, 390)
# What Chromium takes for a host in an intranet; see conftest.py.
NAME = "tocsin.example"
PASSWORD = "correct horse battery"
ADA = "ada@example.org"
# A refused form and a page that is not there are answers, although the console calls them failures.
_ANSWERS = re.compile(r"Failed to load resource: .*status of (404|409|410|422|429)")
# A page that comes late, or is left at once, comes without the browser's animation; that is nobody's fault.
_TRANSITIONS = re.compile(r"Transition was (aborted|skipped)")


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
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
            chromium = await playwright.chromium.launch(executable_path=test_tools.chromium(), args=quiet)
        yield chromium
        await chromium.close()


@contextlib.asynccontextmanager
async def somebody(
    browser: Browser, base: str, *, width: int = 1440, javascript: bool = True, **options: Any
) -> AsyncIterator[Page]:
    """A browser context of their own. At the end nothing may have been said to the console: CSP, errors, warnings.

    A picture is taken by `page.screenshot(caret="initial")`: without that Playwright writes a style into the page, to
    hide the caret, and the browser complains that the CSP forbids it.
    """
    looks: dict[str, Any] = {"viewport": {"width": width, "height": 900}}
    if width < 860:
        looks = {"viewport": {"width": width, "height": 844}, "is_mobile": True, "has_touch": True}
    context = await browser.new_context(base_url=base, java_script_enabled=javascript, **(looks | options))
    context.set_default_timeout(PATIENCE * 1000)
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not _ANSWERS.search(message.text):
            complaints.append(f"{message.page.url if message.page else ''}: {message.text}")

    context.on("console", hear)

    def notice(error: WebError) -> None:
        if not _TRANSITIONS.search(str(error.error)):
            complaints.append(str(error.error))

    context.on("weberror", notice)
    page = await context.new_page()
    page.complaints = complaints  # type: ignore[attr-defined]
    try:
        yield page
    finally:
        await context.close()
    assert not complaints, complaints


def forgive(page: Page, pattern: str) -> None:
    """Take back what the console had to say, and no more than that: the server was away."""
    complaints: list[str] = page.complaints  # type: ignore[attr-defined]
    complaints[:] = [said for said in complaints if not re.search(pattern, said)]


async def set_up(page: Page, greeting: str) -> None:
    """Open the link that the server printed, and make the first account."""
    found = re.search(r"http\S+/set-up\?token=\S+", greeting)
    assert found
    await page.goto(found[0])
    await page.get_by_label("Organisation").fill("Harbourline")
    await page.get_by_label("Your name").fill("Ada Lovelace")
    await page.get_by_label("E-mail").fill(ADA)
    await page.get_by_label("Password").fill(PASSWORD)
    await button(page, "Set up and sign in").click()
    await expect(page).to_have_url(re.compile("/incidents$"))


async def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    # From the address that the browser was given: below a path that is one with a slash at its end.
    await page.goto("sign-in")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(re.compile("/incidents$"))


# What stands as a tab on the pages of another place: that one, and what the tab is called.
_TABS = {"Routes": ("Alerts", "Routes"), "Sources": ("Alerts", "Sources"), "Policies": ("On-call", "")}
_SETTINGS = ("People", "Teams", "Roles", "General", "Sessions", "Tokens")


async def go(page: Page, name: str) -> None:
    """Follow the navigation as this width has it."""
    assert page.viewport_size
    is_wide = page.viewport_size["width"] >= 860
    place, tab = _TABS.get(name, (name, ""))
    if name in _SETTINGS:
        if is_wide:
            # There is no such link where one is in the settings already.
            if await page.get_by_role("link", name="Settings", exact=True).first.is_visible():
                await page.get_by_role("link", name="Settings", exact=True).first.click()
            nav = page.get_by_role("navigation", name="Settings", exact=True)
        else:
            await page.get_by_role("link", name="More", exact=True).click()
            await page.get_by_role("dialog", name="More").get_by_role("link", name="Settings", exact=True).click()
            nav = page.get_by_role("main")
    else:
        if is_wide and await page.get_by_role("link", name="Back to Tocsin").is_visible():
            await page.get_by_role("link", name="Back to Tocsin").click()
        nav = page.get_by_role("navigation", name="Main" if is_wide else "Main, mobile", exact=True)
    await nav.get_by_role("link", name=re.compile(f"^{place}")).click()
    if tab:
        await page.get_by_role("navigation", name=place, exact=True).get_by_role("link", name=tab, exact=True).click()
    await expect(page).to_have_url(re.compile(f"/{name.lower()}$"))


async def menu(page: Page, name: str) -> None:
    """Follow a link of one's own menu."""
    assert page.viewport_size
    if page.viewport_size["width"] < 860:
        await page.get_by_role("link", name="More", exact=True).click()
        within: Page | Locator = page.get_by_role("dialog", name="More")
    else:
        await page.get_by_role("button", name=re.compile("your menu$")).click()
        within = page.get_by_role("navigation", name="Your menu")
    await within.get_by_role("link", name=name).click()


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def opener(page: Page | Locator, name: str) -> Locator:
    """The link that opens a dialog, and without a script its page, as this width has it."""
    return page.get_by_role("link", name=name, exact=True).locator("visible=true").first


def dialog(page: Page, name: str) -> Locator:
    return page.get_by_role("dialog", name=name)


async def expect_live(page: Page) -> None:
    """Wait until the page has its stream."""
    await expect(page.locator("[data-live-state]")).to_have_text("Live")


async def hold(page: Page, milliseconds: int) -> None:
    """Keep the timers of just this length from ever ending, for what a slow machine would be too late for."""
    await page.evaluate(
        """(held) => {
            const start = window.setTimeout;
            window.setTimeout = (run, after, ...more) => start(run, after === held ? 2 ** 31 - 1 : after, ...more);
        }""",
        milliseconds,
    )


async def mark(page: Page) -> None:
    """Leave something that a reload would lose."""
    await page.evaluate("window.stillHere = true")


async def is_same_document(page: Page) -> bool:
    return bool(await page.evaluate("window.stillHere === true"))


async def run_shown_curl(page: Page) -> Answer:
    """Run the command that the page of a source shows."""
    line = await page.locator("#curl").text_content()
    assert line
    return await shell_line(line)
