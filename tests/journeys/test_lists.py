"""Lists that are worked in: by keys, with a selection that outlives what happens, in a storm, at any width."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import button, expect_live, is_same_document, mark, somebody
from tests.journeys.demo import Demo, fire

pytestmark = pytest.mark.journey

STORM = 60


async def open_list(page: Page, path: str) -> None:
    await page.goto(path)
    await expect_live(page)
    await mark(page)


def row(page: Page, title: str) -> Any:
    return page.locator("[data-row]").filter(has_text=title)


async def test_the_selection_and_the_focus_outlive_what_happens_meanwhile(demo: Demo, chromium: Browser) -> None:
    """A7: J, K and X stand on real focus; news change neither; who leaves is followed by the next one."""
    await fire(demo, *({"title": f"Crane {n} stands"} for n in range(1, 5)))
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await open_list(page, "/alerts?q=Crane")
        rows, keys = page.locator("[data-row]"), page.keyboard
        await expect(rows).to_have_count(4)
        await keys.press("j")
        await expect(rows.nth(0)).to_be_focused()
        await keys.press("j")
        await keys.press("x")
        await keys.press("j")
        await keys.press("j")
        await keys.press("Shift+X")
        await expect(page.locator("[data-selected-count]")).to_have_text("3 selected")
        await keys.press("k")
        await expect(rows.nth(2)).to_be_focused()
        standing = await rows.nth(2).get_attribute("id")
        # One more, and one that is worse: the rows move, and nothing of this does.
        await fire(demo, {"title": "Crane 5 stands"})
        await expect(rows).to_have_count(5)
        await expect(page.locator(f"#{standing}")).to_be_focused()
        await expect(page.locator("[data-selected-count]")).to_have_text("3 selected")
        await expect(page.locator(".sel .c-pick input:checked")).to_have_count(3)
        # The one that the keyboard is on ends: the next one has the focus, and two are selected.
        after = await page.locator(f"#{standing} + tr").get_attribute("id")
        assert standing and after
        number = standing.removeprefix("row-")
        await demo.api.post(f"/alerts/{number}/actions/resolve")
        await expect(page.locator(f"#{standing}")).to_have_count(0)
        await expect(page.locator(f"#{after}")).to_be_focused()
        await expect(page.locator("[data-selected-count]")).to_have_text("2 selected")
        await keys.press("Escape")
        await expect(page.locator(".sel")).to_have_count(0)
        # Space looks at one beside the list, Escape puts it away, Enter opens it.
        await keys.press(" ")
        await expect(page.locator("#peek-body")).to_contain_text("Who is on it")
        await keys.press("Escape")
        await expect(page.locator("#peek")).to_be_hidden()
        await expect(page.locator(f"#{after}")).to_be_focused()
        assert await is_same_document(page)
        await keys.press("Enter")
        await expect(page).to_have_url(re.compile(f"/alerts/{after.removeprefix('row-')}$"))


def acknowledge_of(row: Any) -> Any:
    return row.get_by_role("button", name=re.compile("^Ack ALR-"))


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("order", ["answer", "newest"])
async def test_one_after_the_other_is_acknowledged(demo: Demo, chromium: Browser, width: int, order: str) -> None:
    """A1, B5: after one of them the next can be pressed at once, and after news of others still; one stays there."""
    name = f"Hawser{width}{order}"
    await fire(demo, *({"title": f"{name} {n} parts"} for n in range(1, 13)))
    async with somebody(chromium, demo.base, width=width, storage_state=demo.signed_in) as page:
        await open_list(page, f"/alerts?q={name}&sort={order}")
        rows = page.locator("[data-row]")
        await expect(rows).to_have_count(12)
        first, second, third = [await rows.nth(n).get_attribute("id") for n in range(3)]
        for each in (first, second):
            its = acknowledge_of(page.locator(f"#{each}"))
            await (its.tap() if width == 390 else its.click())
            await expect(its).to_have_count(0)
            await expect(page.locator("[data-row] .c-do [aria-disabled]")).to_have_count(0)
        await fire(demo, {"title": f"{name} 13 parts"})
        await expect(rows).to_have_count(13)
        await expect(page.locator("[data-row] .c-do [aria-disabled]")).to_have_count(0)
        if order == "answer":
            # What was acknowledged has moved on to its own heading; whoever did it has not.
            await expect(page.locator(f"#{third}")).to_be_focused()
            await expect(page.locator(f"#{third}")).to_be_in_viewport()
        await acknowledge_of(page.locator(f"#{third}")).press("Enter")
        await expect(acknowledge_of(rows)).to_have_count(10)
        assert await is_same_document(page)


async def test_a_selection_that_was_acknowledged_leaves_one_at_the_next(demo: Demo, chromium: Browser) -> None:
    """A1, A7: by key and by the bar one goes on at the next that waits; with the last one, one stays where it is."""
    await fire(demo, *({"title": f"Bollard {n} leans"} for n in range(1, 8)))
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await open_list(page, "/alerts?q=Bollard")
        rows, keys, bar = page.locator("[data-row]"), page.keyboard, page.locator("#bulk")
        ids = [await rows.nth(n).get_attribute("id") for n in range(7)]
        for key in ("j", "x", "j", "j", "Shift+X", "a"):
            await keys.press(key)
        await expect(page.locator("#toasts")).to_contain_text("3 alerts acknowledged.")
        await expect(page.locator(f"#{ids[3]}")).to_be_focused()
        await keys.press("j")
        await expect(page.locator(f"#{ids[4]}")).to_be_focused()
        # From the bar, with the mouse and with the keyboard: it goes away, and the focus is in the list.
        await page.get_by_role("checkbox", name=f"Select {str(ids[4]).removeprefix('row-')}").check()
        await bar.get_by_role("button", name="Acknowledge").click()
        await expect(page.locator("#toasts")).to_contain_text("1 alert acknowledged.")
        await expect(page.locator(f"#{ids[5]}")).to_be_focused()
        await keys.press("x")
        await bar.get_by_role("button", name="Acknowledge").focus()
        await keys.press("Escape")
        await expect(bar).to_be_hidden()
        await expect(page.locator(f"#{ids[5]}")).to_be_focused()
        await keys.press("x")
        await bar.get_by_role("button", name="Clear the selection").press("Enter")
        await expect(bar).to_be_hidden()
        await expect(page.locator(f"#{ids[5]}")).to_be_focused()
        # The last one that waits.
        await keys.press("a")
        await expect(acknowledge_of(rows)).to_have_count(2)
        await keys.press("Control+a")
        await keys.press("a")
        await expect(acknowledge_of(rows)).to_have_count(0)
        await expect(page.locator("[data-row]:focus")).to_have_count(1)
        assert await is_same_document(page)


async def test_a_storm_is_acknowledged_in_three_presses(demo: Demo, chromium: Browser) -> None:
    """B5: 60 alerts, more than a page has: all of the page, all that match, and A."""
    await fire(demo, *({"title": f"Winch {n} slips"} for n in range(STORM)))
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await open_list(page, "/alerts?q=Winch")
        await expect(page.locator("#list-count")).to_have_text("50 of 60")
        await page.locator("[data-row]").first.focus()
        await page.keyboard.press("Control+a")
        await expect(page.locator("[data-selected-count]")).to_have_text("50 selected")
        await page.keyboard.press("Control+a")
        await expect(page.locator("[data-selected-count]")).to_have_text("All 60, also on other pages")
        # The list is brought up to date meanwhile, and nothing in it has changed.
        swapped = (
            "new Promise((done) => document.addEventListener('htmx:after:swap', () => done(true), { once: true }))"
        )
        updated = asyncio.ensure_future(page.evaluate(swapped))
        await fire(demo, {"title": "Elsewhere a light is out"})
        assert await updated
        await expect(page.locator("[data-selected-count]")).to_have_text("All 60, also on other pages")
        await page.keyboard.press("a")
        await expect(page.locator("#toasts")).to_contain_text("60 alerts acknowledged.")
        await expect(page.locator(".sel")).to_have_count(0)
        assert await is_same_document(page)
    left = await demo.api.get("/alerts?q=Winch&status=triggered")
    assert left["data"] == []


@pytest.mark.parametrize("javascript", [True, False], ids=["with a script", "without"])
async def test_boxes_and_the_bar_do_it_with_and_without_a_script(
    demo: Demo, chromium: Browser, javascript: bool
) -> None:
    """B5: the bar is there as soon as a box is ticked; it says what happened. B4: the whole row is the link."""
    name = "Pilot" if javascript else "Tug"
    await fire(demo, *({"title": f"{name} {n} is late"} for n in range(3)))
    async with somebody(chromium, demo.base, javascript=javascript, storage_state=demo.signed_in) as page:
        await page.goto(f"/alerts?q={name}")
        bar = page.locator("#bulk")
        await expect(bar).to_be_hidden()
        for n in (0, 2):
            await page.get_by_role("checkbox", name=re.compile("^Select ALR-")).nth(n).check()
        await expect(bar).to_be_visible()
        await bar.get_by_role("button", name="Acknowledge").click()
        await expect(page.locator("#toasts")).to_contain_text("2 alerts acknowledged.")
        await expect(bar).to_be_hidden()
        # In the middle of a row, where there is no text.
        middle = row(page, f"{name} 1 is late")
        number = (await middle.get_attribute("id") or "").removeprefix("row-")
        box = await middle.bounding_box()
        assert box
        await middle.click(position={"x": box["width"] * 0.52, "y": box["height"] - 4})
        await expect(page).to_have_url(re.compile(f"/alerts/{number}$"))


async def test_what_ends_many_asks_and_no_field_has_a_default(demo: Demo, chromium: Browser) -> None:
    """A5: resolving a selection is asked; Enter in the field of another act does that act and nothing else."""
    await fire(demo, {"title": "Lock gate jams"})
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await open_list(page, "/alerts?q=jams")
        await page.locator("[data-row]").first.focus()
        await page.keyboard.press("x")
        await button(page, "Link to incident…").click()
        field = page.get_by_label("Incident", exact=True)
        await field.fill(demo.incident)
        await field.press("Enter")
        await expect(page.locator("#toasts")).not_to_contain_text("acknowledged")
        await button(page, "Link them").click()
        await expect(page.locator("#toasts")).to_contain_text(f"1 alert linked to {demo.incident}.")
        await page.locator("[data-row]").first.focus()
        await page.keyboard.press("x")
        await button(page, "Resolve…").click()
        await expect(page.get_by_text("This cannot be taken back.")).to_be_visible()
        assert (await demo.api.get("/alerts?q=jams"))["data"][0]["status"] == "triggered"
        await button(page, "Resolve them").click()
        await expect(page.locator("#toasts")).to_contain_text("1 alert resolved.")


@pytest.mark.parametrize("width", [390, 861, 900, 1024, 1440])
async def test_titles_have_room_at_any_width(demo: Demo, chromium: Browser, width: int) -> None:
    """B1: at 900 and 1024 pixels, and at 150 % zoom of a laptop; nothing scrolls sideways."""
    async with somebody(chromium, demo.base, width=width, storage_state=demo.signed_in) as page:
        for path in ("/alerts", "/incidents", "/people", "/sources", "/policies", "/routes", "/teams", "/roles"):
            await page.goto(path)
            widths = await page.locator("[data-row] .c-ttl").evaluate_all("all => all.map((e) => e.clientWidth)")
            assert widths and min(widths) >= 200, (path, widths)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


async def test_people_are_found_and_opened_with_the_keyboard_alone(demo: Demo, chromium: Browser) -> None:
    """B16, B4: / looks for words in any order, J moves, Enter opens; a filter is chosen, and cleared again."""
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await page.goto("/people")
        rows, keys = page.locator("[data-row]"), page.keyboard
        everybody = await rows.count()
        await expect(page.locator("#list-count")).to_have_text(f"{everybody} people")
        await keys.press("/")
        await keys.type("lindqvist JONAS")
        await keys.press("Enter")
        await expect(rows).to_have_count(1)
        await expect(page.locator("#list-count")).to_have_text("1 person")
        await page.get_by_role("link", name="Clear filters").click()
        await expect(rows).to_have_count(everybody)
        await button(page, "Role").click()
        await page.get_by_role("checkbox", name="Stakeholder").check()
        await button(page, "Show these").locator("visible=true").click()
        await expect(rows).to_have_count(1)
        await expect(rows.first).to_contain_text("Not paged")
        await keys.press("j")
        await expect(rows.first).to_be_focused()
        name = await rows.first.locator("a.ttl").inner_text()
        await keys.press("Enter")
        await expect(page).to_have_url(re.compile("/people/usr_"))
        await expect(page.get_by_role("heading", level=1)).to_contain_text(name)


async def declare(demo: Demo, *titles: str) -> list[str]:
    """Declare incidents; returns what they are called."""
    return [(await demo.api.post("/incidents", title=title, severity=4))["number"] for title in titles]


@pytest.mark.parametrize("width", [390, 1440])
async def test_incidents_are_worked_on_together(demo: Demo, chromium: Browser, width: int) -> None:
    """B5: X and Shift X select, a menu changes all of them, a dialog asks before it ends them, and the list says so."""
    name = f"Buoy{width}"
    numbers = await declare(demo, f"{name} one drifts", f"{name} two drifts", f"{name} three drifts")
    async with somebody(chromium, demo.base, width=width, storage_state=demo.signed_in) as page:
        await open_list(page, f"/incidents?q={name}")
        rows, keys, bar = page.locator("[data-row]"), page.keyboard, page.locator("#bulk")
        await expect(rows).to_have_count(3)
        await keys.press("j")
        await keys.press("x")
        await keys.press("j")
        await keys.press("j")
        await keys.press("Shift+X")
        await expect(page.locator("[data-selected-count]")).to_have_text("3 selected")
        await button(bar, "Severity").click()
        await page.get_by_role("button", name="SEV2").locator("visible=true").click()
        await expect(page.locator("#toasts")).to_contain_text("SEV2 now: ")
        await expect(page.locator(".sel")).to_have_count(0)
        assert await is_same_document(page)
        await rows.first.focus()
        await keys.press("x")
        await keys.press("j")
        await keys.press("x")
        await button(bar, "Resolve…").click()
        dialog = page.get_by_role("dialog", name="Resolve 2 incidents")
        await expect(dialog.get_by_role("list", name="Chosen incidents").get_by_role("listitem")).to_have_count(2)
        await button(dialog, "Resolve 2 incidents").click()
        await expect(dialog).to_contain_text("Say what was done before you resolve them.")
        await dialog.get_by_label("Resolution note").fill("Caught both.")
        await button(dialog, "Resolve 2 incidents").click()
        await expect(dialog).to_be_hidden()
        await expect(page.locator("#toasts")).to_contain_text("Resolved: ")
        await expect(page.locator(".sel")).to_have_count(0)
        await expect(rows.locator(".c-st", has_text="Resolved")).to_have_count(2)
        assert await is_same_document(page)
    found = [await demo.api.get(f"/incidents/{number}") for number in numbers]
    assert [each["severity"] for each in found] == [2, 2, 2]
    assert sorted(each["resolution_note"] for each in found) == ["", "Caught both.", "Caught both."]
