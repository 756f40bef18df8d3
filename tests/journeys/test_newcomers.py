"""Somebody with a browser, from the first start to the reopened incident."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import (
    ADA,
    WIDTHS,
    button,
    dialog,
    expect_live,
    go,
    is_same_document,
    mark,
    menu,
    opener,
    run_shown_curl,
    set_up,
    sign_in,
    somebody,
)
from tests.journeys.outside import webhook
from tests.processes import address, served

pytestmark = pytest.mark.journey


async def prepare_paging(page: Page, hook: str) -> None:
    """Make a contact method, a policy, a route and a source in the pages; ends on the page of the source."""
    await menu(page, "Profile and paging")
    await expect(page.get_by_text("You cannot be paged.")).to_be_visible()
    await opener(page, "Add").click()
    await page.get_by_label("Kind").select_option("webhook")
    await page.get_by_label("Address").fill(hook)
    await button(dialog(page, "Add contact method"), "Add").click()
    await expect(page.locator("li", has_text=hook).first).to_be_visible()
    await expect(dialog(page, "Add contact method")).to_be_hidden()
    await expect(page.get_by_text("You cannot be paged.")).to_be_hidden()

    await go(page, "Policies")
    await page.get_by_role("link", name="New policy").first.click()
    await page.get_by_label("Name").fill("Payments primary")
    who = page.get_by_label("Person to add to step 1").and_(page.get_by_role("combobox"))
    await who.fill("love")
    await who.press("Enter")
    await expect(button(page, "Take out Ada Lovelace")).to_be_visible()
    await page.get_by_label("If nobody acknowledges in").fill("7")
    await button(page, "Create policy").click()
    await expect(page.get_by_role("heading", name="Payments primary", level=1)).to_be_visible()
    await expect(page.get_by_label("If nobody acknowledges in")).to_have_value("7")

    if page.viewport_size and page.viewport_size["width"] >= 860:
        await go(page, "Routes")
    else:
        await page.goto("/routes")
    await opener(page, "Add the catch-all").click()
    await expect(button(page, "Take out Payments primary")).to_be_visible()
    await button(page, "Add it").click()
    await expect(page.get_by_role("link", name="Everything else")).to_be_visible()

    await go(page, "Sources")
    await opener(page, "New source").click()
    new = dialog(page, "New source")
    await new.get_by_label("Name").fill("Shell")
    await new.get_by_label("Kind").select_option("generic")
    await button(new, "Create source").click()
    await expect(page.get_by_role("heading", name="Shell", level=1)).to_be_visible()


async def invite(page: Page, name: str, email: str) -> str:
    """Add a person; returns the link that the page shows once."""
    await go(page, "People")
    await opener(page, "Add person").click()
    new = dialog(page, "Add person")
    await new.get_by_label("Name").fill(name)
    await new.get_by_label("E-mail").fill(email)
    await new.get_by_label("Role").select_option("responder")
    await button(new, "Add person").click()
    link = await page.locator("#invite-url").text_content()
    assert link
    return link


@pytest.mark.parametrize("width", WIDTHS)
async def test_a_newcomer_sets_up_is_paged_and_works_on_an_incident(chromium: Browser, dsn: str, width: int) -> None:
    async with (
        webhook() as sink,
        served(database_url=dsn, outbound_allow="127.0.0.0/8") as (_, greeting),
        somebody(chromium, address(greeting), width=width) as ada,
        somebody(chromium, address(greeting), width=width) as ben,
    ):
        await set_up(ada, greeting)
        button_out = button(ada, "Sign out")
        if width > 860:
            await ada.get_by_role("button", name=re.compile("your menu$")).click()
        else:
            await ada.get_by_role("link", name="More", exact=True).click()
        await button_out.click()
        await expect(ada).to_have_url(re.compile("/sign-in"))
        await sign_in(ada, ADA)
        await prepare_paging(ada, sink.url)

        # The alert appears where the list is open.
        watching = await ada.context.new_page()
        await watching.goto("/alerts")
        await expect(watching.get_by_text("No signals yet").or_(watching.get_by_text("All quiet"))).to_be_visible()
        await expect_live(watching)
        await mark(watching)
        answer = await run_shown_curl(ada)
        assert answer.status == 202
        rows = watching.locator("#list [data-row]")
        await expect(rows).to_have_count(1)
        assert await is_same_document(watching)
        title = await rows.get_by_role("link").first.text_content()
        assert title
        _, page = await sink.first(title)
        assert page["recipient_name"] == "Ada Lovelace"

        # Why.
        await rows.get_by_role("link", name=title, exact=True).click()
        await expect(watching.get_by_role("heading", name=title, level=1)).to_be_visible()
        explain = watching.locator("#explain")
        await expect(explain).to_contain_text("The route “Everything else” pages Payments primary")
        await expect(explain).to_contain_text("Ada Lovelace was paged by webhook")

        # The declaration says already what is known.
        await watching.goto("/alerts")
        await rows.get_by_role("link", name=title, exact=True).click()
        await watching.locator('a[href*="/incidents/new?alert="]:visible').first.click()
        await expect(watching.get_by_label("Title")).to_have_value(title)
        await expect(watching.get_by_text("is linked, and acknowledged in your name.")).to_be_visible()
        await button(watching, "Declare incident").click()
        await expect(watching).to_have_url(re.compile("/incidents/INC-1$"))
        await expect(watching.get_by_role("heading", level=1)).to_contain_text(title)
        await expect(watching.locator("aside.rail")).to_contain_text(title)
        await watching.close()

        # Two people on one incident.
        link = await invite(ada, "Ben Okri", "ben@example.org")
        await ben.goto(link)
        await button(ben, "Sign in").click()
        await expect(ben).to_have_url(re.compile("/people/usr_"))
        await ben.goto("/incidents/INC-1")
        await ada.goto("/incidents/INC-1")
        await expect_live(ada)
        await mark(ada)
        note = ada.get_by_label("Write in the timeline")
        await note.fill("I am looking at the dat")
        await ben.get_by_label("Write in the timeline").fill("The **database** is *full*.")
        await button(ben, "Comment").click()
        comment = ada.locator("#timeline .comment", has_text="The database is full.")
        await expect(comment).to_be_visible()
        await expect(comment.locator("strong")).to_have_text("database")
        await expect(note).to_be_focused()
        await expect(note).to_have_value("I am looking at the dat")
        await note.press("End")
        await note.type("abase.")
        await note.press("Control+Enter")
        await expect(ada.locator("#timeline .comment", has_text="I am looking at the database.")).to_be_visible()
        await expect(note).to_have_value("")
        assert await is_same_document(ada)

        # Severity and status change in place, for both.
        await ada.get_by_role("button", name=re.compile("^Severity: ")).click()
        await ada.get_by_role("button", name=re.compile("^SEV2")).click()
        await expect(ada.get_by_role("button", name="Severity: SEV2 High")).to_be_visible()
        await ada.get_by_role("button", name=re.compile("^Status: ")).click()
        await button(ada, "Mitigated").click()
        await expect(ada.get_by_role("button", name="Status: Mitigated")).to_be_visible()
        await expect(ben.get_by_role("button", name="Severity: SEV2 High")).to_be_visible()
        await expect(ben.get_by_role("button", name="Status: Mitigated")).to_be_visible()

        # Resolving needs words.
        await opener(ada, "Resolve").click()
        resolve = dialog(ada, "Resolve INC-1")
        words = resolve.get_by_label("Resolution note")
        await expect(words).to_be_focused()
        await words.fill("   ")
        await button(resolve, "Resolve incident").click()
        await expect(words).to_have_attribute("aria-invalid", "true")
        await expect(words).to_be_focused()
        described = await words.get_attribute("aria-describedby")
        assert described
        await expect(resolve.locator(".err")).to_have_id(described.split()[-1])
        await words.fill("More space was added.")
        await button(resolve, "Resolve incident").click()
        await expect(resolve).to_be_hidden()
        await expect(ada.locator("#ihead")).to_contain_text("Resolved")
        await expect(ben.locator("#ihead")).to_contain_text("Resolved")
        await expect(ada.get_by_role("heading", name="Resolution")).to_be_visible()

        # It was not over.
        if width < 860:
            await button(ada, "More actions").click()
            await opener(ada, "Reopen…").click()
        else:
            await opener(ada, "Reopen").click()
        again = dialog(ada, "Reopen INC-1")
        await again.get_by_label("Reason").fill("The errors came back.")
        await button(again, "Reopen incident").click()
        await expect(ada.get_by_role("button", name="Status: Investigating")).to_be_visible()
        await expect(ada.locator("#timeline")).to_contain_text("The errors came back.")
        assert await is_same_document(ada)
