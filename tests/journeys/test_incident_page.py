"""The page of an incident as somebody works with it: how far it has come, what happened, who is on it, what is new."""

from __future__ import annotations

from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import button, dialog, expect_live, opener, somebody
from tests.journeys.demo import Demo

NAMES = ["Impact began", "Detected", "Declared", "Acknowledged", "Identified", "Mitigated", "Resolved"]


async def an_incident(demo: Demo, comments: int = 0) -> str:
    """Declare one from an alert that somebody is paged for; returns its number."""
    source = (await demo.api.get("/alert_sources"))["data"][0]["id"]
    alert = await demo.api.post("/alerts", source_id=source, title=f"The lock gate is stuck, {comments}", severity=2)
    title = f"Ships wait before the lock, {comments}"
    number: str = (await demo.api.post("/incidents", title=title, alert_id=alert["id"]))["number"]
    for count in range(comments):
        await demo.api.post(f"/incidents/{number}/comments", body=f"Ship {count} waits.\n\nIts captain calls.")
    return number


async def top_of(page: Page, selector: str) -> float:
    box = await page.locator(selector).first.bounding_box()
    assert box is not None, selector
    return box["y"]


async def test_a_story_is_told_by_its_milestones_and_its_acts(demo: Demo, chromium: Browser) -> None:
    """B8, B9: the dot is where the incident is, one act is one line that opens, and times are set right in a dialog."""
    number = await an_incident(demo)
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as maren:
        await maren.goto(f"/incidents/{number}")
        stages = maren.get_by_role("list", name="Milestones").get_by_role("listitem")
        await expect(stages).to_contain_text(NAMES)
        here = maren.locator(".miles [aria-current=step]")
        await expect(here).to_contain_text("Acknowledged")
        await expect(stages.nth(4)).to_contain_text("Not yet")

        declared = maren.locator("#timeline .ev", has_text=f"declared {number}")
        await expect(declared).to_contain_text("acknowledged the alert and the incident")
        await expect(declared.locator("b", has_text="Maren Okafor").first).to_be_visible()
        joined = declared.get_by_text("joined")
        await expect(joined).to_be_hidden()
        await declared.locator("summary").click()
        await expect(joined).to_be_visible()

        # What opens stays open while the page brings itself up to date, and the one who acts keeps a focus.
        await demo.api.post(f"/incidents/{number}/actions/update_status", status="mitigated")
        await expect(here).to_contain_text("Mitigated")
        await expect(stages.nth(4)).to_contain_text("Skipped")
        await expect(joined).to_be_visible()

        await button(maren, "More actions").click()
        await maren.get_by_role("link", name="Edit times").click()
        times = dialog(maren, "Edit times")
        began = times.get_by_label("Impact began")
        await began.fill("2031-01-01T00:00:00")
        await began.evaluate("el => el.removeAttribute('max')")
        await button(times, "Save times").click()
        await expect(times).to_contain_text("It cannot have started in the future.")
        await began.fill("2026-01-01T10:00:00")
        await button(times, "Save times").click()
        await expect(times).to_have_count(0)
        await expect(stages.first).to_contain_text("1 Jan")
        await expect(maren.locator("#timeline")).to_contain_text("changed the start")

        await maren.get_by_role("link", name="Key events").click()
        await expect(maren.locator("#timeline")).not_to_contain_text("changed the start")
        await expect(maren.locator("#timeline")).to_contain_text("changed the status from investigating to mitigated")


async def test_a_phone_says_who_is_on_it_before_what_happened(demo: Demo, chromium: Browser) -> None:
    """B6: in one line that leads to everything about them, however long the timeline is; also without a script."""
    number = await an_incident(demo, comments=12)
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, width=390, javascript=False) as maren:
        await maren.goto(f"/incidents/{number}")
        who = maren.get_by_role("link", name="Led by Maren Okafor")
        await expect(who).to_contain_text("joined")
        assert await top_of(maren, ".onit") < await top_of(maren, "#timeline")
        assert await top_of(maren, ".onit") < 700
        await expect(maren.locator("#rail-roles")).to_be_hidden()
        await who.click()
        await expect(maren.get_by_role("link", name="People & facts")).to_have_attribute("aria-current", "page")
        await expect(maren.locator("#rail-roles")).to_be_visible()
        await expect(maren.locator("#rail-responders")).to_contain_text("Declared it")
        await maren.get_by_role("link", name="Alerts", exact=False).filter(has_text="1").first.click()
        await expect(maren.locator("#linked-alerts")).to_contain_text("The lock gate is stuck, 12")


async def test_a_phone_shows_the_number_whole_and_one_red_sign(demo: Demo, chromium: Browser) -> None:
    """C/Phone: the number in the bar is not cut off, with the most buttons beside it; red is for declaring alone."""
    number = await an_incident(demo)
    await demo.api.post(
        f"/incidents/{number}/links", type="meeting", name="Bridge", url="https://meet.example.org/lock"
    )
    async with somebody(chromium, demo.base, width=390, storage_state=demo.signed_in) as maren:
        await maren.goto(f"/incidents/{number}")
        await expect(maren.get_by_role("link", name="Join call")).to_be_visible()
        here = maren.locator(".crumbs .mono")
        await expect(here).to_be_in_viewport(ratio=1)
        shown = await here.evaluate("el => { const w = el.closest('ol'); return w.scrollWidth <= w.clientWidth }")
        assert shown
        alert = (await demo.api.get("/alerts?status=acknowledged"))["data"][0]["id"]
        await maren.goto(f"/alerts/{alert}")
        color = "el => getComputedStyle(el.querySelector('.i')).color"
        more, declare = button(maren, "More actions"), maren.locator("header.top a.only-m")
        await expect(more).to_be_visible()
        assert await more.evaluate(color) != await declare.evaluate(color)


async def test_what_is_new_is_said_where_one_reads(demo: Demo, chromium: Browser) -> None:
    """B10: the pill is on the screen, and the bar says which incident this is and how it stands."""
    number = await an_incident(demo, comments=20)
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as maren:
        await maren.goto(f"/incidents/{number}")
        await expect_live(maren)
        bar = maren.locator(".top .past")
        await expect(bar).to_be_hidden()
        await maren.locator("#timeline .ev").last.scroll_into_view_if_needed()
        await expect(bar).to_be_visible()
        await expect(bar).to_contain_text("Ships wait before the lock")
        pill = maren.locator("#new-events")
        await expect(pill).to_be_hidden()

        await demo.api.post(f"/incidents/{number}/comments", body="The gate moves again.")
        await expect(pill).to_be_visible()
        await expect(pill).to_have_text("1 new event")
        box = await pill.bounding_box()
        assert box is not None and 0 < box["y"] < 200
        await pill.click()
        await expect(maren.get_by_text("The gate moves again.")).to_be_in_viewport()
        await expect(pill).to_be_hidden()


async def test_an_alert_says_who_is_asked_and_who_is_next_and_asks_before_it_ends(
    demo: Demo, chromium: Browser
) -> None:
    """A3, A5: on a phone too; what is rarely wanted stands in the menu, and no act leaves the focus nowhere."""
    alerts = (await demo.api.get("/alerts?status=triggered&limit=100"))["data"]
    paged = next(each for each in alerts if each["being_paged"])
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, width=390) as maren:
        await maren.goto(f"/alerts/{paged['id']}")
        await expect(maren.locator("#why")).to_contain_text("was paged")
        await expect(maren.locator(".pnow")).to_contain_text("Jonas Lindqvist is being paged since")
        await expect(maren.locator(".pnow")).to_contain_text("then")
        await expect(maren.locator("#told")).to_contain_text("Jonas Lindqvist")
        assert await top_of(maren, "#labels") < 700
        acts = maren.locator(".actbar")
        await expect(acts).not_to_contain_text("Resolve")

        await button(maren, "Acknowledge").last.tap()
        await expect(maren.locator("#ahead")).to_contain_text("Acknowledged")
        await expect(maren.locator("#announcer")).to_contain_text("is acknowledged by Maren Okafor")
        await expect(maren.locator("#title")).to_be_focused()
        await button(maren, "More actions").tap()
        await button(maren, "Give back").tap()
        await expect(maren.locator("#ahead")).to_contain_text("gave the alert back")

        await button(maren, "More actions").tap()
        await opener(maren, "Resolve…").tap()
        await expect(dialog(maren, "Resolve")).to_contain_text("It ends for everybody, and paging stops.")
        await dialog(maren, "Resolve").get_by_role("link", name="Cancel").tap()
        await expect(maren.locator("#ahead")).not_to_contain_text("Resolved")
        await button(maren, "More actions").tap()
        await opener(maren, "Resolve…").tap()
        await button(dialog(maren, "Resolve"), "Resolve alert").tap()
        await expect(maren.locator("#ahead")).to_contain_text("Resolved")
