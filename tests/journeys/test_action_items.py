"""Action items in a real browser: added with the keyboard, edited in a dialog, ticked off, given to somebody."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.journeys.browser import button, dialog, somebody
from tests.journeys.demo import Demo


@pytest.mark.parametrize("width", [1440, 390])
async def test_what_is_to_be_done_is_added_edited_and_ticked_off(demo: Demo, chromium: Browser, width: int) -> None:
    """F078: one line and Enter, and one goes on with the next; a dialog for the rest; one press when it is done."""
    first, second = f"Turn the keys {width}", f"Write it down {width}"
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, width=width) as maren:
        await maren.goto(f"/incidents/{demo.incident}/action-items")
        line = maren.get_by_label("What is to be done")
        await expect(line).not_to_be_focused()
        await line.fill(first)
        await line.press("Enter")
        await expect(maren.get_by_role("link", name=first)).to_be_visible()
        await expect(line).to_be_focused()
        await expect(line).to_have_value("")
        await maren.keyboard.type(second)
        await maren.keyboard.press("Enter")
        await expect(maren.get_by_role("link", name=second)).to_be_visible()

        await maren.get_by_role("link", name=first).click()
        form = dialog(maren, f"Action item of {demo.incident}")
        await form.get_by_label("Due").fill("2031-02-03")
        await form.get_by_label("Kind").select_option("prevent")
        await form.get_by_role("combobox", name="Owner").fill("maren")
        await form.get_by_role("option", name="Maren Okafor").click()
        await button(form, "Save").click()
        row = maren.locator(".td-row", has_text=first)
        await expect(row).to_contain_text("3 Feb 2031")
        await expect(row).to_contain_text("Maren Okafor")
        await expect(row).to_contain_text("Prevent")

        await button(row, f"Done: {first}").click()
        await expect(row).to_contain_text("Done")
        await expect(button(row, f"Open again: {first}")).to_be_visible()


async def test_the_list_is_worked_in_with_the_keyboard(demo: Demo, chromium: Browser) -> None:
    """F078, F133: select, give, date and finish several; search and the palette find them."""
    for text in ("Count the berths", "Paint the berths"):
        await demo.api.post(f"/incidents/{demo.incident}/action_items", description=text)
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as maren:
        await maren.goto("/action-items?tab=all&q=berths")
        for key in ("j", "x", "j", "x"):
            await maren.keyboard.press(key)
        await expect(maren.locator("[data-selected-count]")).to_contain_text("2 selected")
        await button(maren, "Move the date…").click()
        await dialog(maren, "Move the date of 2 action items").get_by_label("Due").fill("2031-02-03")
        await button(dialog(maren, "Move the date of 2 action items"), "Move the date").click()
        await expect(maren.locator("tr[data-row]", has_text="3 Feb 2031")).to_have_count(2)
        for key in ("j", "x", "d"):
            await maren.keyboard.press(key)
        await expect(maren.locator("tr[data-row]", has_text="Done")).to_have_count(1)
        await maren.keyboard.press("Control+k")
        await maren.get_by_role("combobox").fill("paint the berths")
        await expect(maren.get_by_role("option", name="Paint the berths")).to_be_visible()


async def test_it_works_without_a_script(demo: Demo, chromium: Browser) -> None:
    """F078: added, edited on a page of its own, ticked off, deleted after a question."""
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, javascript=False) as maren:
        await maren.goto(f"/incidents/{demo.incident}/action-items")
        await maren.get_by_label("What is to be done").fill("Fill the tank")
        await button(maren, "Add").click()
        await maren.get_by_role("link", name="Fill the tank").click()
        await maren.get_by_label("What is to be done").fill("Fill both tanks")
        await button(maren, "Save").click()
        await expect(maren.locator("body")).to_contain_text("Action item saved.")
        await maren.goto(f"/incidents/{demo.incident}/action-items")
        await button(maren, "Done: Fill both tanks").click()
        await expect(button(maren, "Open again: Fill both tanks")).to_be_visible()
        await maren.get_by_role("link", name="Fill both tanks").click()
        await maren.get_by_role("link", name="Delete…").click()
        await button(maren, "Delete").click()
        await maren.goto(f"/incidents/{demo.incident}/action-items")
        await expect(maren.locator("#panel")).not_to_contain_text("tanks")
