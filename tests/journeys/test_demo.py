"""`tocsin serve --demo` as a newcomer meets it: every line that it prints can be used as it stands."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from tests.journeys.browser import button, somebody
from tests.journeys.outside import request, shell_line
from tests.processes import address, data_directory, printed_until, served
from tocsin.cli.demo import PAGED_FIRST

pytestmark = pytest.mark.journey


async def test_the_demo_leads_from_its_greeting_to_an_acknowledged_page(chromium: Browser) -> None:
    with data_directory() as root:
        async with served("--demo", data_dir=str(root)) as (process, greeting):
            base = address(greeting)
            lines = [line.strip() for line in greeting.splitlines()]
            link = next(line for line in lines if line.startswith(f"{base}/link/"))
            curl = next(line for line in lines if line.startswith("curl "))

            assert (await shell_line(curl)).status == 202
            page = await printed_until(process, "   ack  ")
            assert f"to   {PAGED_FIRST} (" in page
            found = re.search(r"see  (\S+)\n +ack  (\S+)", page)
            assert found and found[1].startswith(f"{base}/alerts/") and found[2].startswith(f"{base}/p/")
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            assert (await request("POST", found[2], b"do=ack", form)).status == 303
            assert "You acknowledged" in (await request("GET", found[2])).text

            async with somebody(chromium, base) as maren:
                await maren.goto(link)
                await button(maren, "Sign in").click()
                await expect(maren).to_have_url(f"{base}/incidents")
                rows = maren.locator("[data-list] [data-row]")
                await expect(rows.nth(2)).to_be_visible()
                await maren.goto("/incidents?tab=all")
                await expect(rows.nth(5)).to_be_visible()
                await maren.goto(found[1])
                await expect(maren.locator("#explain")).to_contain_text(f"{PAGED_FIRST} acknowledged")
                await expect(maren.locator("#page")).to_contain_text(PAGED_FIRST)
                # The link works once.
                await maren.context.clear_cookies()
                await maren.goto(link)
                await expect(maren.get_by_role("link", name="Go to sign-in")).to_be_visible()
