"""Comments in real browsers: edited and erased under the eyes of somebody else, and without a script."""

from __future__ import annotations

from playwright.async_api import Browser, Locator, Page, expect

from tests.journeys.browser import button, dialog, expect_live, somebody
from tests.journeys.demo import Demo


async def choose(comment: Locator, what: str) -> None:
    """Choose what to do with a comment; that shows when one looks at it."""
    await comment.hover()
    await comment.get_by_role("link", name=f"{what} the comment").click()


async def written(page: Page, text: str) -> Locator:
    comment = page.locator("#timeline .comment", has_text=text)
    await expect(comment).to_be_visible()
    return comment


async def test_an_edit_and_an_erasure_are_seen_by_whoever_looks_on(demo: Demo, chromium: Browser) -> None:
    """F076, F122: the text that is gone is gone from the other screen too, without a reload."""
    path = f"/incidents/{demo.incident}"
    async with (
        somebody(chromium, demo.base, storage_state=demo.signed_in) as maren,
        somebody(chromium, demo.base, storage_state=demo.signed_in, width=390) as other,
    ):
        await other.goto(path)
        await expect_live(other)
        await maren.goto(path)
        await maren.get_by_label("Write in the timeline").fill("The password is hunter2.")
        await button(maren, "Comment").click()
        seen = await written(other, "hunter2")
        id = await seen.get_attribute("id")

        note = maren.get_by_label("Write in the timeline")
        await note.fill("Half a sen")
        await choose(await written(maren, "hunter2"), "Edit")
        await dialog(maren, "Edit comment").get_by_label("Comment").fill("It was the **network**, not hunter2.")
        await button(dialog(maren, "Edit comment"), "Save comment").click()
        seen = other.locator(f"#{id}")
        await expect(seen.locator("strong", has_text="network")).to_be_visible()
        await expect(seen.get_by_role("link", name="edited")).to_be_visible()

        await expect(dialog(maren, "Edit comment")).to_have_count(0)
        await choose(await written(maren, "network"), "Erase")
        await dialog(maren, "Erase this comment").get_by_role("link", name="Cancel").click()
        await choose(await written(maren, "network"), "Erase")
        await button(dialog(maren, "Erase this comment"), "Erase").click()
        await expect(seen).to_contain_text("Erased by")
        await expect(note).to_have_value("Half a sen")
        assert "hunter2" not in await maren.content()
        await expect(other.locator("body")).not_to_contain_text("hunter2")
        assert "hunter2" not in await other.content()


async def test_a_comment_is_edited_and_erased_without_a_script(demo: Demo, chromium: Browser) -> None:
    """F076: and what it said before is found."""
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, javascript=False) as maren:
        await maren.goto(f"/incidents/{demo.incident}")
        await maren.get_by_label("Write in the timeline").fill("One tide.")
        await button(maren, "Comment").click()
        await choose(await written(maren, "One tide."), "Edit")
        await maren.get_by_label("Comment").fill("Another tide.")
        await button(maren, "Save comment").click()
        comment = await written(maren, "Another tide.")
        await comment.get_by_role("link", name="edited").click()
        await expect(maren.locator("main")).to_contain_text("One tide.")
        await maren.go_back()
        await choose(await written(maren, "Another tide."), "Erase")
        await button(maren, "Erase").click()
        await expect(maren.locator("#timeline")).not_to_contain_text("tide")
