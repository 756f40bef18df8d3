"""What is typed is never lost, and never overwrites anybody unseen: dialogs, drafts, conflicts and presets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import button, dialog, expect_live, forgive, opener, somebody
from tests.journeys.demo import Demo

pytestmark = pytest.mark.journey

NOTE = "The tide was early, and the pumps are on again."


@pytest.fixture
async def maren(demo: Demo, chromium: Browser) -> AsyncIterator[Page]:
    """Maren at an incident of her own."""
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await page.goto(f"/incidents/{await fresh(demo)}")
        await expect_live(page)
        yield page


async def fresh(demo: Demo, title: str = "The pumps are off") -> str:
    return (await demo.api.post("/incidents", title=title, severity=3))["number"]


def of(page: Page) -> str:
    return page.url.partition("/incidents/")[2]


async def typed(page: Page, name: str, label: str, words: str) -> Any:
    """Open a dialog and write into it."""
    await opener(page, name).click()
    box = page.locator("#sheet").get_by_label(label, exact=True)
    await box.fill(words)
    return box


async def test_a_dialog_survives_what_happens_elsewhere_and_says_it(demo: Demo, maren: Page) -> None:
    """A2: resolved by a colleague while somebody writes; the words are there, with what is still possible."""
    ref = of(maren)
    note = await typed(maren, "Resolve", "Resolution note", NOTE)
    await demo.as_jonas.post(f"/incidents/{ref}/actions/resolve", resolution_note="Done by Jonas.")
    news = maren.locator("#sheet-news")
    await expect(news).to_contain_text("Jonas Lindqvist resolved the incident")
    await expect(maren.locator("#ihead")).to_contain_text("Resolved")
    await expect(note).to_have_value(NOTE)
    await expect(note).to_be_focused()
    # It cannot be resolved again; as a comment it can be said.
    await button(maren, "Write it as a comment").click()
    await expect(dialog(maren, "Resolve ")).to_have_count(0)
    await expect(maren.get_by_label("Write in the timeline")).to_have_value(NOTE)
    await expect(maren.get_by_label("Write in the timeline")).to_be_focused()


async def test_a_declaration_survives_that_its_alert_is_over(demo: Demo, chromium: Browser) -> None:
    """A2: sources resolve all the time."""
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        alerts = (await demo.api.get("/alerts?status=triggered"))["data"]
        alert = next(each for each in alerts if each["incident_id"] is None)
        await page.goto(f"/alerts/{alert['id']}")
        await expect_live(page)
        await page.locator("a[data-sheet][href*='alert=']:visible").click()
        declare = dialog(page, "Declare incident")
        await declare.get_by_label("What you see").fill(NOTE)
        await demo.as_jonas.post(f"/alerts/{alert['id']}/actions/resolve")
        await expect(page.locator("#sheet-news")).to_contain_text("Jonas Lindqvist resolved the alert")
        await expect(declare.get_by_label("What you see")).to_have_value(NOTE)
        await button(declare, "Declare incident").click()
        await expect(page).to_have_url(re.compile(r"/incidents/INC-\d+$"))
        await expect(page.locator("#summary")).to_contain_text("pumps")


async def test_drafts_survive_leaving_a_refresh_and_the_end_of_a_session(demo: Demo, maren: Page) -> None:
    """A8: a comment, and a note in a dialog; until they are sent, or discarded."""
    ref = of(maren)
    composer = maren.get_by_label("Write in the timeline")
    await composer.fill("Half a sen")
    await typed(maren, "Resolve", "Resolution note", NOTE)
    await maren.keyboard.press("Escape")
    await expect(opener(maren, "Resolve")).to_be_focused()
    await maren.reload()
    await expect(composer).to_have_value("Half a sen")
    await expect(maren.locator("#composer .draft")).to_contain_text(re.compile(r"Draft from \d\d:\d\d restored"))
    # The session is over, and the comment is sent into it: one signs in and finds it.
    cookies = await maren.context.cookies()
    await maren.context.clear_cookies()
    await composer.press("Control+Enter")
    await expect(maren).to_have_url(re.compile("/sign-in"))
    await maren.context.add_cookies(cookies)  # type: ignore[arg-type]
    await maren.goto(f"/incidents/{ref}")
    await expect(composer).to_have_value("Half a sen")
    await opener(maren, "Resolve").click()
    note = maren.get_by_label("Resolution note")
    await expect(note).to_have_value(NOTE)
    await button(maren.locator("#sheet"), "Discard").click()
    await expect(note).to_have_value("")
    await maren.keyboard.press("Escape")
    # What was accepted is no draft.
    await composer.press("Control+Enter")
    await expect(maren.locator("#timeline .comment").first).to_contain_text("Half a sen")
    await maren.reload()
    await expect(composer).to_have_value("")
    await composer.fill("For nobody else")
    await maren.reload()
    await expect(composer).to_have_value("For nobody else")
    # Who signs out leaves nothing behind. The session is that of the other journeys, and stays.
    await maren.route("**/sign-out", lambda route: route.fulfill(content_type="text/html", body="<p>Signed out.</p>"))
    await maren.evaluate("document.getElementById('sign-out').requestSubmit()")
    await expect(maren.get_by_text("Signed out.")).to_be_visible()
    assert await drafts(maren) == []


@pytest.mark.parametrize("has_script", [True, False])
async def test_a_draft_ends_with_the_page_that_accepted_it_and_not_with_an_error(maren: Page, has_script: bool) -> None:
    """A8: what was sent and answered by an error, also one without our scripts, is still there on the next page."""
    await maren.goto("/incidents/new")
    await maren.evaluate("localStorage.clear()")
    title = maren.get_by_label("Title")
    await title.fill("The crane is stuck")

    async def fail(route: Any) -> None:
        if has_script:
            await route.continue_(url=f"{route.request.url}/no/such/page")
        else:
            await route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")

    await maren.route("**/incidents", fail)
    async with maren.expect_navigation():
        await button(maren.locator("main"), "Declare incident").click()
    await maren.unroute("**/incidents")
    forgive(maren, "502")
    assert len(await drafts(maren)) == 1
    await maren.goto("/incidents/new")
    await expect(title).to_have_value("The crane is stuck")
    await button(maren.locator("main"), "Declare incident").click()
    await expect(maren).to_have_url(re.compile(r"/incidents/INC-\d+$"))
    assert await drafts(maren) == []


async def test_saving_an_editor_is_not_leaving_it(maren: Page) -> None:
    """A8: one is asked before what was not saved is left, and not when it is saved."""
    asked: list[str] = []

    async def hear(question: Any) -> None:
        asked.append(question.type)
        await question.accept()

    maren.on("dialog", hear)
    await maren.goto("/policies/new")
    await maren.get_by_label("Name", exact=True).fill("Night watch")
    await maren.goto("/policies")
    assert asked == ["beforeunload"]
    policy = maren.locator("main a[href*='/policies/pol_']").first
    await policy.click()
    name = maren.get_by_label("Name", exact=True)
    await name.fill(f"{await name.input_value()} 2")
    async with maren.expect_navigation():
        await button(maren.locator("main"), "Save changes").click()
    assert asked == ["beforeunload"]


async def test_the_address_of_a_webhook_is_no_draft(maren: Page) -> None:
    """A8: such an address is a secret, and no secret is kept in the browser; what stands beside it is."""
    await maren.goto("/settings/profile")
    await opener(maren, "Add").click()
    form = dialog(maren, "Add contact method")
    await form.get_by_label("Address").fill("https://hooks.example.org/services/T0/SECRETPART")
    await form.get_by_label("Name").fill("Our channel")
    await maren.reload()
    kept = await maren.evaluate("JSON.stringify(localStorage)")
    assert "Our channel" in kept and "SECRETPART" not in kept
    await maren.evaluate("localStorage.clear()")


async def drafts(page: Page) -> list[str]:
    return await page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))")


async def test_a_conflict_is_about_a_field_and_mine_is_set_only_on_purpose(demo: Demo, maren: Page) -> None:
    """A9: another field is no conflict; the same one says who, what and when, beside mine."""
    ref = of(maren)
    title = await typed(maren, "Edit title", "Title", "Pumps 1 to 4 are off")
    await demo.as_jonas.post(f"/incidents/{ref}/actions/change_severity", severity=1)
    await demo.as_jonas("PATCH", f"/incidents/{ref}", {"title": "The pumps of quay 4 are off"})
    await title.press("Enter")
    refusal = dialog(maren, "Edit title").locator(".refusal")
    await expect(refusal).to_contain_text("Not saved. Jonas Lindqvist changed the title")
    await expect(refusal).to_be_focused()
    await refusal.get_by_text("Show theirs").click()
    await expect(refusal).to_contain_text("The pumps of quay 4 are off")
    await expect(refusal).to_contain_text("Pumps 1 to 4 are off")
    # A second press, also by Enter, is no other wish.
    await title.press("Enter")
    await expect(refusal).to_be_focused()
    assert (await demo.api.get(f"/incidents/{ref}"))["title"] == "The pumps of quay 4 are off"
    await button(refusal, "Set mine anyway").click()
    await expect(maren.get_by_role("heading", level=1)).to_contain_text("Pumps 1 to 4 are off")
    # Somebody changes the severity, and the note is taken all the same.
    await typed(maren, "Resolve", "Resolution note", NOTE)
    await demo.as_jonas.post(f"/incidents/{ref}/actions/change_severity", severity=2)
    await maren.keyboard.press("Control+Enter")
    await expect(dialog(maren, "Resolve")).to_have_count(0)
    await expect(maren.locator("#ihead")).to_contain_text("Resolved")
    assert (await demo.api.get(f"/incidents/{ref}"))["resolution_note"] == NOTE
    forgive(maren, "409")


async def test_nothing_is_chosen_beforehand_and_one_types_to_choose(demo: Demo, maren: Page) -> None:
    """A10, B16: an inattentive Enter ends, links and pages nothing; a name and Enter do."""
    ref = of(maren)
    await button(maren, "More actions").click()
    await opener(maren, "Cancel incident…").click()
    cancel = dialog(maren, f"Cancel {ref}")
    await button(cancel, "Cancel incident").click()
    await expect(cancel.locator(".err")).to_have_text("Choose one of these.")
    other = cancel.locator("#cancel-form-duplicate_of")
    await expect(other).to_be_hidden()
    await cancel.get_by_role("radio", name=re.compile("^Duplicate")).check()
    await expect(other).to_be_visible()
    await maren.keyboard.press("Escape")
    await expect(button(maren, "More actions")).to_be_focused()

    await opener(maren, "Link alerts").click()
    link = dialog(maren, f"Link alerts to {ref}")
    await expect(link.get_by_role("combobox")).to_be_focused()
    await maren.keyboard.press("Enter")
    await expect(link.locator(".err")).to_be_visible()
    assert (await demo.api.get(f"/incidents/{ref}/alerts"))["data"] == []
    await maren.keyboard.press("Escape")

    # Open, type, Enter; and once more to send it.
    await maren.get_by_role("link", name=re.compile("^Commander: nobody")).click()
    await expect(dialog(maren, "Commander of").get_by_role("combobox")).to_be_focused()
    await maren.keyboard.type("jonas lin")
    await expect(maren.get_by_role("option", name="Jonas Lindqvist")).to_have_attribute("aria-selected", "true")
    await maren.keyboard.press("Enter")
    await maren.keyboard.press("Enter")
    await expect(maren.locator("#rail-roles")).to_contain_text("Jonas Lindqvist")
    await expect(maren.get_by_role("link", name=re.compile("^Commander: Jonas"))).to_be_focused()

    # Two people with one request.
    await opener(maren, "Page responder").click()
    page = dialog(maren, "Page responders")
    for name in ("Priya", "Aiko"):
        # Enter comes before what was found does, and takes none of those that were offered before.
        await page.get_by_role("combobox").click()
        await expect(maren.get_by_role("option").first).to_be_visible()
        await maren.keyboard.type(name)
        await maren.keyboard.press("Enter")
        await expect(page.locator("[data-picked]")).to_contain_text(name)
    await button(page, "Page now").click()
    await expect(maren.locator("#rail-responders")).to_contain_text("Priya Raman")
    await expect(maren.locator("#rail-responders")).to_contain_text("Aiko Tanaka")


@pytest.mark.parametrize("javascript", [True, False], ids=["with a script", "without"])
async def test_a_label_that_was_typed_is_a_condition(demo: Demo, chromium: Browser, javascript: bool) -> None:
    """4, 5: Enter adds it, and a route is not saved without it; after each button one is where one goes on."""
    name = f"Quay {javascript}"
    async with somebody(chromium, demo.base, javascript=javascript, storage_state=demo.signed_in) as page:
        await page.goto("/routes/new")
        await page.get_by_label("Name").fill(name)
        await page.get_by_label("The severity of condition 1").select_option("1")
        await page.get_by_label("Another label").fill("quay")
        await page.get_by_label("Another label").press("Enter")
        value = page.get_by_label("The value of condition 2")
        await expect(value).to_be_focused()
        await expect(value).not_to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label("What condition 2 is about")).to_have_value("labels.quay")
        await button(page, "Remove condition 2").click()
        await expect(page.get_by_label("What condition 1 is about")).to_be_focused()
        await button(page, "Add condition").click()
        await expect(page.get_by_label("What condition 2 is about")).to_be_focused()
        await button(page, "Remove condition 2").click()
        await expect(value).to_have_count(0)
        # Typed, and not added: it is added now, and said to be without a value.
        await page.get_by_label("Another label").fill("quay")
        await button(page, "Create route").click()
        await expect(value).to_be_focused()
        await expect(page.locator("#condition")).to_contain_text("Say what it has to be, or remove the condition.")
        await value.fill("north")
        await button(page, "Create route").click()
        await expect(page.get_by_role("link", name=name)).to_be_visible()
    routes = (await demo.api.get("/alert_routes"))["data"]
    made = next(each for each in routes if each["name"] == name)
    assert made["condition"] == 'severity <= 1 && labels.quay == "north"'
    await demo.api("DELETE", f"/alert_routes/{made['id']}")
