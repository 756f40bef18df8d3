"""Manners of pages: news leave alone what somebody types, forms are sent once, and what was done or failed is said."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.journeys.browser import (
    ADA,
    button,
    dialog,
    expect_live,
    forgive,
    hold,
    is_same_document,
    mark,
    opener,
    sign_in,
    somebody,
)
from tests.journeys.demo import Demo, fire, path_of
from tests.journeys.site import Site

pytestmark = pytest.mark.journey

TOAST_LASTS = 6000


@pytest.fixture
async def maren(chromium: Browser, demo: Demo) -> AsyncIterator[Page]:
    """The administrator on the page of an incident of her own."""
    incident = await demo.api.post("/incidents", title="The ferries are late", severity=3)
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await page.goto(f"/incidents/{incident['number']}")
        await expect_live(page)
        await mark(page)
        yield page
        assert await is_same_document(page)


async def test_news_leave_an_open_dialog_alone(demo: Demo, maren: Page) -> None:
    await opener(maren, "Resolve").click()
    note = maren.get_by_label("Resolution note")
    await note.fill("The tide was")
    await demo.api.post(f"{path_of(maren)}/comments", body="The tide turns.")
    await demo.api.post(f"{path_of(maren)}/actions/change_severity", severity=1)
    await expect(maren.locator("#timeline")).to_contain_text("The tide turns.")
    await expect(maren.locator("#ihead")).to_contain_text("SEV1")
    resolve = dialog(maren, "Resolve ")
    await expect(resolve).to_be_visible()
    await expect(note).to_be_focused()
    await expect(note).to_have_value("The tide was")
    # Somebody judged how bad it is: that is no reason not to resolve it.
    await button(resolve, "Resolve incident").click()
    await expect(resolve).to_be_hidden()
    assert (await demo.api.get(path_of(maren)))["resolution_note"] == "The tide was"


async def test_a_refused_form_stays_in_its_dialog_with_the_focus_on_its_field(maren: Page) -> None:
    await opener(maren, "Edit title").click()
    title = dialog(maren, "Edit title").get_by_label("Title")
    await title.fill("   ")
    await button(maren, "Save title").click()
    await expect(title).to_have_attribute("aria-invalid", "true")
    await expect(title).to_be_focused()
    await expect(dialog(maren, "Edit title")).to_be_visible()
    await title.fill("All ferries are late")
    await title.press("Enter")
    await expect(dialog(maren, "Edit title")).to_be_hidden()
    await expect(maren.get_by_role("heading", level=1)).to_contain_text("All ferries are late")
    # The focus is where the dialog was opened.
    await expect(opener(maren, "Edit title")).to_be_focused()


async def test_a_form_says_that_somebody_else_was_faster(demo: Demo, chromium: Browser) -> None:
    """F040: an old copy changes nothing, and what was typed stays."""
    route = next(route for route in (await demo.api.get("/alert_routes"))["data"] if not route["is_catch_all"])
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await page.goto("/routes")
        await page.get_by_role("link", name=route["name"], exact=True).click()
        await expect(page.get_by_role("heading", name=route["name"], level=1)).to_be_visible()
        await demo.api("PATCH", f"/alert_routes/{route['id']}", {"name": "Bookings, by day"})
        await page.get_by_label("Name", exact=True).fill("Bookings, by night")
        await button(page, "Save route").click()
        await expect(page.locator(".refusal")).to_contain_text("Not saved. Maren Okafor changed the name")
        await expect(page.get_by_label("Name", exact=True)).to_have_value("Bookings, by night")
        await button(page, "Set mine anyway").click()
        await expect(page.get_by_role("link", name="Bookings, by night", exact=True)).to_be_visible()


async def test_a_form_that_was_sent_is_busy_and_is_sent_once(demo: Demo, maren: Page) -> None:
    answer, sent = asyncio.Event(), 0

    async def wait(route: Route) -> None:
        nonlocal sent
        sent += 1
        await answer.wait()
        await route.continue_()

    await maren.route(re.compile("/comments$"), wait)
    await maren.get_by_label("Write in the timeline").fill("Once, please.")
    comment = maren.locator("#composer button")
    await comment.click()
    await expect(maren.locator("#composer")).to_have_attribute("aria-busy", "true")
    await expect(comment).to_have_attribute("aria-disabled", "true")
    await comment.click(force=True)
    await maren.get_by_label("Write in the timeline").press("Control+Enter")
    answer.set()
    await expect(maren.locator("#timeline .comment")).to_have_count(1)
    await expect(maren.locator("#composer")).to_have_attribute("aria-busy", "false")
    await expect(comment).not_to_have_attribute("aria-disabled", "true")
    assert sent == 1
    assert len((await demo.api.get(f"{path_of(maren)}/comments"))["data"]) == 1


async def test_what_was_done_is_said_in_a_toast(maren: Page) -> None:
    await hold(maren, TOAST_LASTS)
    await opener(maren, "Resolve").click()
    await maren.get_by_label("Resolution note").fill("They sail again.")
    await button(maren, "Resolve incident").click()
    toast = maren.get_by_role("status").locator(".toast")
    await expect(toast).to_have_text("Incident resolved.")
    await button(maren, "Hide this message").click()
    await expect(toast).to_have_count(0)


async def test_a_failed_request_says_so_and_loses_nothing(maren: Page) -> None:
    await hold(maren, TOAST_LASTS)
    await maren.route(re.compile("/comments$"), lambda route: route.fulfill(status=503, body="Busy"))
    note = maren.get_by_label("Write in the timeline")
    await note.fill("Do not lose me")
    await note.press("Control+Enter")
    await expect(maren.locator("#toasts")).to_contain_text("That did not work (503). Nothing was changed.")
    await expect(note).to_have_value("Do not lose me")
    await expect(maren.locator("#composer")).to_have_attribute("aria-busy", "false")
    await maren.unroute(re.compile("/comments$"))
    await maren.route(re.compile("/comments$"), lambda route: route.abort())
    await note.press("Control+Enter")
    await expect(maren.locator("#toasts")).to_contain_text("Tocsin did not answer.")
    await expect(note).to_have_value("Do not lose me")
    await expect(maren.locator("#composer")).to_have_attribute("aria-busy", "false")
    await maren.unroute(re.compile("/comments$"))
    await note.press("Control+Enter")
    await expect(maren.locator("#timeline .comment")).to_contain_text("Do not lose me")
    forgive(maren, "status of 503|ERR_FAILED|Failed to fetch")


async def test_the_list_keeps_its_place_when_a_row_is_acknowledged(demo: Demo, chromium: Browser) -> None:
    source = (await demo.api.get("/alert_sources"))["data"][0]["id"]
    await demo.api.post("/alerts", source_id=source, title="Buoy 7 drifts", severity=2)
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await page.goto("/alerts")
        await mark(page)
        row = page.locator("[data-row]", has_text="Buoy 7 drifts")
        await row.get_by_role("button", name="Ack").click()
        await expect(row).to_contain_text("Acknowledged")
        assert path_of(page) == "/alerts"
        assert await is_same_document(page)


async def test_after_each_act_the_focus_is_somewhere_and_the_act_is_said(demo: Demo, chromium: Browser) -> None:
    """B12: also where the act takes away the button that was pressed."""
    await fire(demo, {"title": "The fog horn is silent"}, {"title": "The weir is open"})
    (horn,), (weir,) = [(await demo.api.get(f"/alerts?q={word}"))["data"] for word in ("fog", "weir")]
    ref = (await demo.as_jonas.post("/incidents", title="Fog", severity=3, alert_id=weir["id"]))["number"]

    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:

        async def act(control: Locator, words: str | re.Pattern[str]) -> None:
            await control.focus()
            await page.keyboard.press("Enter")
            await expect(page.locator("#toasts, #announcer").filter(has_text=words).first).to_be_attached()
            await expect(control).to_be_hidden()
            assert await page.evaluate("document.activeElement !== document.body"), words

        await page.goto("/alerts?q=fog")
        await expect_live(page)
        await act(button(page, f"Ack ALR-{horn['number']}"), "acknowledged")
        await page.goto(f"/alerts/ALR-{horn['number']}")
        await expect_live(page)
        await button(page, "More actions").click()
        await act(button(page, "Give back"), re.compile("is open|waits"))
        await act(button(page, "Acknowledge"), "is acknowledged by Maren Okafor")
        await page.goto(f"/incidents/{ref}")
        await expect_live(page)
        await act(button(page, "Join"), "You joined the incident.")
        await act(button(page, "Leave"), "You left the incident.")
        await act(page.get_by_role("button", name=re.compile("^Unlink")).first, "Alert unlinked.")


@pytest.mark.parametrize("path", ["/policies", "/alerts", "/inbox", "/settings/appearance"])
async def test_whoever_acts_without_a_title_stays_in_the_page(site: Site, chromium: Browser, path: str) -> None:
    """5: the bar of the last page goes with its button; keys that are looked up from nowhere lead to no menu."""
    async with somebody(chromium, site.base) as ada:
        await sign_in(ada, ADA)
        await site.fire(f"The gate of {path} is open")
        await ada.goto(path)
        bar = ada.get_by_role("region", name="You are being paged")
        await button(bar, "Acknowledge").press("Enter")
        await expect(bar).to_be_hidden()
        await expect(ada.locator("body:focus")).to_have_count(0)
        assert await ada.evaluate("document.querySelector('#main').contains(document.activeElement)")
        await ada.reload()
        await ada.keyboard.press("?")
        await expect(ada.get_by_role("dialog")).to_be_visible()
        await ada.keyboard.press("Escape")
        await expect(ada.get_by_role("dialog")).to_be_hidden()
        await expect(ada.locator("#main")).to_be_focused()


async def test_an_alert_is_acknowledged_by_key_and_the_focus_is_on_its_title(demo: Demo, chromium: Browser) -> None:
    """5: by whatever name one came to it, one stays on that very page."""
    for n, name in enumerate(("ALR-{number}", "{id}")):
        await fire(demo, {"title": f"Lantern {n} is out"})
        (alert,) = (await demo.api.get(f"/alerts?q=Lantern {n}".replace(" ", "%20")))["data"]
        async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
            await page.goto(f"/alerts/{name.format(**alert)}")
            await expect_live(page)
            await mark(page)
            await page.keyboard.press("a")
            await expect(page.locator("#state-words")).to_contain_text("is acknowledged by Maren Okafor")
            await expect(page.locator("#title")).to_be_focused()
            assert await is_same_document(page)
