"""What stands around every page, at a desk: keys, what waits for one, what is true now, and finding things."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import button, dialog, expect_live, sign_in, somebody
from tests.journeys.site import ADA, Site

pytestmark = pytest.mark.journey


async def desk(page: Page, path: str) -> None:
    await sign_in(page, ADA)
    await page.goto(path)
    await expect_live(page)


async def test_keys_do_nothing_behind_what_is_open(site: Site, chromium: Browser) -> None:
    """F061, A1: not with the focus on a choice in a dialog, on one of its buttons, or in a menu."""
    paged = await site.fire("The crane of quay 2 swings")
    async with somebody(chromium, site.base) as ada:
        await desk(ada, f"/alerts/{paged['alert_id']}")
        await ada.keyboard.press("c")
        declare = dialog(ada, "Declare incident")
        await declare.get_by_label("Title").fill("Half a tit")
        for held in (declare.get_by_role("radio").first, button(declare, "Declare incident")):
            await held.focus()
            for key in ("a", "Shift+A", "Shift+R", "g", "i", "?"):
                await ada.keyboard.press(key)
        await expect(declare.get_by_label("Title")).to_have_value("Half a tit")
        assert (await site.alert(paged))["status"] == "triggered"
        await ada.keyboard.press("Escape")
        await expect(declare).to_be_hidden()

        await button(ada, "Can’t take it").click()
        for key in ("a", "Shift+A", "Shift+R", "c"):
            await ada.keyboard.press(key)
        await expect(declare).to_be_hidden()
        assert (await site.alert(paged))["status"] == "triggered"
        await ada.keyboard.press("Escape")
        # Nothing is open any more: now they work.
        await ada.keyboard.press("Shift+A")
        await expect(ada.get_by_role("region", name="You are being paged")).to_be_hidden()
        assert (await site.alert(paged))["status"] == "acknowledged"


async def test_letters_do_nothing_where_they_are_switched_off(site: Site, chromium: Browser) -> None:
    """F061, WCAG 2.1.4: what has Ctrl in it stays."""
    paged = await site.fire("The crane of quay 3 swings")
    async with somebody(chromium, site.base) as ada:
        await ada.context.add_cookies([{"name": "keys", "value": "off", "url": site.base}])
        await desk(ada, f"/alerts/{paged['alert_id']}")
        for key in ("c", "a", "Shift+A", "Shift+R", "?"):
            await ada.keyboard.press(key)
        await expect(ada.get_by_role("dialog")).to_have_count(0)
        assert (await site.alert(paged))["status"] == "triggered"
        await ada.keyboard.press("Control+k")
        await expect(ada.get_by_role("combobox")).to_be_focused()
    await site.api.post(f"/alerts/{paged['alert_id']}/actions/acknowledge")


async def test_whoever_is_paged_reads_it_wherever_they_are(site: Site, chromium: Browser) -> None:
    """F061, A4, A6: on a page that has nothing to do with it, in the title, in another tab, and gone once answered."""
    async with somebody(chromium, site.base) as ada:
        await desk(ada, "/alerts")
        other = await ada.context.new_page()
        await other.goto("/policies")
        await expect(other).to_have_title(re.compile(r"^Policies"))
        waiting = other.locator("nav[aria-label=Main] [data-count=waiting_alerts]")
        before = int((await waiting.text_content() or "0").split()[0])
        paged = await site.fire("The tug Helena has lost its way")
        for page in (other, ada):
            bar = page.get_by_role("region", name="You are being paged")
            await expect(bar).to_contain_text("The tug Helena has lost its way")
            await expect(page).to_have_title(re.compile(r"^\(1\) "))
        await expect(waiting).to_have_text(re.compile(rf"^{before + 1}\b"))
        await expect(other.locator("link[rel=icon]")).to_have_attribute("href", re.compile("paged"))
        await other.keyboard.press("Shift+A")
        for page in (other, ada):
            await expect(page.get_by_role("region", name="You are being paged")).to_be_hidden()
            await expect(page).not_to_have_title(re.compile(r"^\("))
        await expect(other).to_have_url(re.compile("/policies$"))
        assert (await site.alert(paged))["status"] == "acknowledged"


async def test_live_is_said_only_while_it_is_so(site: Site, chromium: Browser) -> None:
    """F061, A6: not without a line, and not without a script."""
    async with somebody(chromium, site.base) as ada:
        await desk(ada, "/incidents")
        state = ada.locator("[data-live-state]")
        await ada.context.set_offline(True)
        await expect(state).to_have_text(re.compile(r"^Offline, last update \d\d:\d\d$"))
        await ada.context.set_offline(False)
        await expect(state).to_have_text("Live")
        signed_in = await ada.context.storage_state()
    async with somebody(chromium, site.base, javascript=False, storage_state=signed_in, width=390) as ada:
        await ada.goto("/incidents")
        await expect(ada.locator("[data-live-state]")).to_have_text(re.compile(r"^As of \d\d:\d\d$"))


async def test_whoever_is_signed_out_meanwhile_keeps_what_they_wrote(site: Site, chromium: Browser) -> None:
    """F061, A8: and is told so, instead of being led away."""
    number = await site.declare("The pilot boat is late")
    async with somebody(chromium, site.base) as ada, somebody(chromium, site.base) as elsewhere:
        await desk(ada, f"/incidents/{number}")
        note = ada.get_by_label("Write in the timeline")
        await note.fill("Half a sen")
        await sign_in(elsewhere, ADA)
        await elsewhere.goto("/sessions")
        await elsewhere.get_by_role("button", name=re.compile("^End the session")).first.click()
        await expect(ada.get_by_text("You are signed out.")).to_be_visible()
        await expect(note).to_have_value("Half a sen")
        await ada.get_by_role("link", name="Sign in").click()
        await expect(ada).to_have_url(re.compile(r"/sign-in\?next="))


async def test_everything_is_found_from_the_keyboard(site: Site, chromium: Browser) -> None:
    """F116, B3: by its number, and by what can be done here; also without a script. Keys can be switched off."""
    number = await site.declare("The ferry to Vlissingen is full")
    async with somebody(chromium, site.base) as ada:
        await desk(ada, "/alerts")
        palette = dialog(ada, "Search or jump to")
        await ada.keyboard.press("Control+k")
        await palette.get_by_role("combobox").fill(number.lower())
        await expect(palette.get_by_role("option").first).to_contain_text("The ferry to Vlissingen is full")
        # Its words are there to be read, not only to be heard.
        words = palette.get_by_role("option").first.get_by_text("The ferry to Vlissingen is full")
        assert (await words.bounding_box() or {"width": 0})["width"] > 150
        await ada.keyboard.press("Enter")
        await expect(ada).to_have_url(re.compile(f"/incidents/{number}$"))
        await expect_live(ada)
        await ada.keyboard.press("Control+k")
        await palette.get_by_role("combobox").fill("write in")
        # Enter at once: it is for what was typed, not for what still stands there.
        await ada.keyboard.press("Enter")
        await expect(ada.get_by_label("Write in the timeline")).to_be_focused()
        await ada.locator("h1").click()
        # The keys are said where one is, and one is there still when they were read.
        await ada.get_by_role("link", name="Incidents").first.focus()
        await ada.keyboard.press("?")
        await expect(ada.get_by_text("Acknowledge the page that waits for you")).to_be_visible()
        await ada.keyboard.press("Escape")
        await expect(ada.get_by_role("link", name="Incidents").first).to_be_focused()
        await expect(ada).to_have_url(re.compile(f"/incidents/{number}$"))

        await ada.goto("/settings/appearance")
        await ada.get_by_label("Keys without Ctrl").uncheck()
        await button(ada, "Save").click()
        await expect(ada.get_by_text("Saved for this browser.")).to_be_visible()
        await ada.keyboard.press("c")
        await ada.keyboard.press("?")
        await expect(ada).to_have_url(re.compile("/settings/appearance$"))
        await ada.keyboard.press("Control+k")
        await expect(palette).to_be_visible()
        signed_in = await ada.context.storage_state()
    async with somebody(chromium, site.base, javascript=False, storage_state=signed_in) as ada:
        await ada.goto("/people")
        await ada.get_by_role("link", name=re.compile("^Search or jump to")).first.click()
        await ada.get_by_role("searchbox", name="Search", exact=True).fill("ferry")
        await button(ada, "Search").click()
        await ada.get_by_role("link", name=re.compile("The ferry to Vlissingen is full")).click()
        await expect(ada).to_have_url(re.compile(f"/incidents/{number}$"))
