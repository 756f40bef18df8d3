"""One dialog of each area, and the editors: fetched when opened, safe while one types, and sent with what is chosen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import button, dialog, expect_live, opener, somebody
from tests.journeys.demo import Demo

pytestmark = pytest.mark.journey


@pytest.fixture
async def maren(demo: Demo, chromium: Browser) -> AsyncIterator[Page]:
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        yield page


# Where it is opened, what opens it, what it is called, its button and what is said at the field that is missing.
DIALOGS = [
    ("/sources", "New source", "New source", "Create source", "Give the source a name."),
    ("/people", "Add person", "Add person", "Add person", "Give a name."),
    ("/teams", "New team", "New team", "Create team", "Give the team a name."),
    ("/roles", "New role", "New role", "Create role", "Give the role a name."),
    ("/tokens", "New token", "New token", "Create token", "Give the token a name."),
    ("/settings/profile", "Add", "Add contact method", "Add", "Give an address."),
]


@pytest.mark.parametrize(("place", "link", "title", "label", "missing"), DIALOGS, ids=[each[2] for each in DIALOGS])
async def test_a_form_is_fetched_and_says_what_is_missing_and_gives_the_focus_back(
    maren: Page, place: str, link: str, title: str, label: str, missing: str
) -> None:
    """A2, C: it is not in the page before; an empty one is not sent; Escape leads back to what opened it."""
    await maren.goto(place)
    assert await maren.locator("main dialog").count() == 0
    await opener(maren, link).focus()
    await maren.keyboard.press("Enter")
    shown = dialog(maren, title)
    await button(shown, label).click()
    await expect(shown.locator(".err").first).to_have_text(missing)
    await expect(shown.locator('[aria-invalid="true"]').first).to_be_focused()
    await maren.keyboard.press("Escape")
    await expect(shown).to_have_count(0)
    await expect(opener(maren, link)).to_be_focused()


async def test_a_dialog_over_a_live_page_stays_and_a_conflict_is_of_its_field(demo: Demo, maren: Page) -> None:
    """A2, A9: signals come in below; somebody else renames it; mine is shown beside theirs, and set anyway."""
    source = (await demo.api.post("/alert_sources", name="Tide gauges", kind="generic"))["id"]
    await maren.goto(f"/sources/{source}")
    await expect_live(maren)
    await opener(maren, "Rename Tide gauges").click()
    name = dialog(maren, "Rename").get_by_label("Name")
    await name.fill("Gauges of the tide")
    await demo.api.post("/alerts", source_id=source, title="The tide is high", severity=4)
    await expect(maren.locator("#page")).to_contain_text("The tide is high")
    await expect(name).to_have_value("Gauges of the tide")
    await expect(name).to_be_focused()
    await demo.api("PATCH", f"/alert_sources/{source}", {"name": "Tides"})
    await button(dialog(maren, "Rename"), "Rename").click()
    refusal = dialog(maren, "Rename").locator(".refusal")
    await expect(refusal).to_contain_text("changed the name")
    await expect(refusal).to_be_focused()
    await refusal.get_by_text("Show theirs").click()
    await expect(refusal).to_contain_text("Tides")
    await expect(refusal).to_contain_text("Gauges of the tide")
    await button(refusal, "Set mine anyway").click()
    await expect(dialog(maren, "Rename")).to_have_count(0)
    await expect(maren.get_by_role("heading", level=1)).to_contain_text("Gauges of the tide")


async def test_people_are_found_and_taken_into_a_team(demo: Demo, maren: Page) -> None:
    """B16: by typing, several at once, with the keyboard."""
    team = (await demo.api.post("/teams", name="Locks"))["id"]
    await maren.goto(f"/teams/{team}")
    await opener(maren, "Add people").click()
    people = dialog(maren, "Add people").get_by_role("combobox", name="People")
    for words, name in (("jonas", "Jonas Lindqvist"), ("aiko", "Aiko Tanaka")):
        await people.press_sequentially(words)
        await people.press("Enter")
        await expect(button(maren, f"Take out {name}")).to_be_visible()
    await button(dialog(maren, "Add people"), "Add").click()
    await expect(maren.locator("main")).to_contain_text("Jonas Lindqvist")
    await expect(maren.locator("main")).to_contain_text("Aiko Tanaka")
    # A question has one answer, and the page goes on without the one who was put out.
    await opener(maren, "Remove Aiko Tanaka").click()
    await button(dialog(maren, "Remove Aiko Tanaka"), "Remove").click()
    await expect(maren.locator("main")).not_to_contain_text("Aiko Tanaka")


async def asks_before_leaving(page: Page) -> bool:
    return bool(
        await page.evaluate("""() => {
            const leaving = new Event("beforeunload", { cancelable: true });
            dispatchEvent(leaving);
            return leaving.defaultPrevented;
        }""")
    )


async def test_a_policy_is_written_by_the_keyboard_and_guarded(maren: Page) -> None:
    """B12, A8: a new step has the focus; who is chosen is in the preview and kept; leaving unsaved asks."""
    await maren.goto("/policies/new")
    await maren.get_by_label("Name").fill("Night of the locks")
    first = maren.get_by_role("combobox", name="Person to add to step 1")
    await first.press_sequentially("jonas")
    await first.press("Enter")
    await expect(maren.locator("#preview")).to_contain_text("Jonas Lindqvist")
    await button(maren, "Add step").click()
    second = maren.get_by_role("combobox", name="Person to add to step 2")
    await expect(second).to_be_focused()
    await expect(button(maren, "Remove Jonas Lindqvist from step 1")).to_be_visible()
    assert await asks_before_leaving(maren), "what the server shows again is as little saved as before"
    await second.press_sequentially("aiko")
    # What one has typed and not chosen is not sent, and not lost.
    await button(maren, "Create policy").click()
    await expect(maren.locator("#step-1 .err")).to_have_text("Choose one of the list, or empty the field.")
    await second.press("Enter")
    await expect(button(maren, "Take out Aiko Tanaka")).to_be_visible()
    await expect(maren.locator("#step-1 .err")).to_have_count(0)
    await button(maren, "Create policy").click()
    await expect(maren).to_have_url(re.compile(r"/policies/pol_"))
    await expect(button(maren, "Remove Aiko Tanaka from step 2")).to_be_visible()
    assert not await asks_before_leaving(maren)
    third = maren.get_by_role("combobox", name="Person to add to step 1")
    await third.press_sequentially("maren")
    await third.press("Enter")
    await expect(button(maren, "Take out Maren Okafor")).to_be_visible()
    assert await asks_before_leaving(maren), "a choice is a change, too"


async def test_save_is_within_reach_and_lets_go_where_there_is_no_room(demo: Demo, chromium: Browser) -> None:
    """C, 1.4.10: at the foot of a long editor, above the bar of a phone; not at 400 %."""
    policy = (await demo.api.get("/escalation_policies"))["data"][0]["id"]
    for width, height, stays in ((1440, 700, True), (390, 700, True), (640, 400, False)):
        async with somebody(chromium, demo.base, width=width, storage_state=demo.signed_in) as page:
            await page.set_viewport_size({"width": width, "height": height})
            await page.goto(f"/policies/{policy}")
            row = page.locator(".saverow")
            position = await row.evaluate("(e) => getComputedStyle(e).position")
            assert position == ("sticky" if stays else "static"), (width, height)
            if stays:
                box = await button(page, "Save changes").bounding_box()
                assert box and box["y"] + box["height"] <= height, (width, box)


async def test_declaring_says_whom_it_will_page_as_one_chooses(maren: Page) -> None:
    """C/Declare: from nobody, to a policy with who is first and who then, and back to nobody."""
    await maren.goto("/incidents")
    await opener(maren, "Declare incident").click()
    told = dialog(maren, "Declare incident").locator("#foretold")
    await expect(told).to_contain_text("Nobody is paged yet")
    targets = maren.get_by_role("combobox", name="Who is paged now?")
    await targets.press_sequentially("bookings")
    await targets.press("Enter")
    await expect(told).to_contain_text(re.compile("Bookings on call pages .+ at once, then .+ after"))
    await button(maren, "Take out Bookings on call").click()
    await expect(told).to_contain_text("Nobody is paged yet")
