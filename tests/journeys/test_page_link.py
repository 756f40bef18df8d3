"""Three in the morning, a phone, no session: the screen behind the link says what is so, and leads on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from playwright.async_api import Browser, Route, expect

from tests import postgres
from tests.journeys.browser import button, expect_live, forgive, is_same_document, mark, somebody
from tests.journeys.outside import request, webhook
from tests.journeys.test_browser import Site, someone_on_call
from tests.processes import address, served

pytestmark = pytest.mark.journey


Store = asyncpg.Connection


@pytest.fixture(scope="module")
async def dsn(postgres_dsn: str) -> AsyncIterator[str]:
    async with postgres.fresh(postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def site(dsn: str) -> AsyncIterator[Site]:
    settings = {"database_url": dsn, "outbound_allow": "127.0.0.0/8"}
    async with webhook() as sink, served(**settings) as (_, greeting):
        yield await someone_on_call(address(greeting), sink, **settings)


@pytest.mark.parametrize("javascript", [False, True], ids=["html alone", "with scripts"])
async def test_from_the_link_to_an_incident_without_a_password(site: Site, chromium: Browser, javascript: bool) -> None:
    """B7: four taps and the words of the comment; no letter more."""
    title = f"The harbour gate does not open {javascript}"
    sent = await site.fire(title)
    async with somebody(chromium, site.base, width=390, javascript=javascript) as phone:
        await phone.goto(sent["acknowledge_url"])
        await button(phone, "Acknowledge").tap()
        await expect(phone.get_by_text("You acknowledged")).to_be_visible()
        await button(phone, "Declare incident").tap()
        await expect(phone.get_by_label("Title")).to_have_value(title)
        await button(phone, "Declare incident").tap()
        await expect(phone).to_have_url(re.compile(r"/incidents/INC-\d+$"))
        await expect(phone.get_by_text("by page link until")).to_be_visible()
        await phone.get_by_role("textbox", name=re.compile("omment|timeline")).first.fill("The crane is stuck as well.")
        await button(phone, "Comment").tap()
        await expect(phone.locator("#timeline").get_by_text("The crane is stuck as well.")).to_be_visible()
        assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
        # Nothing else is open, and the way on is the sign-in, which leads back.
        await phone.goto("incidents")
        await expect(phone.get_by_text("A page link opens only what the page was about.")).to_be_visible()
        await phone.go_back()
        await phone.get_by_role("link", name="Sign in", exact=True).tap()
        await expect(phone).to_have_url(re.compile(r"/sign-in\?next=.*INC"))
        forgive(phone, "status of 403")


async def test_what_others_do_appears_on_the_pages_that_the_link_opens(site: Site, chromium: Browser) -> None:
    """B7: live as for everybody, without a reload: an acknowledgement, an incident, a comment, and the end."""
    sent = await site.fire("The winch is stuck")
    async with somebody(chromium, site.base, width=390) as phone:
        await phone.goto(sent["acknowledge_url"])
        await button(phone, "Look first").tap()
        await expect(phone.get_by_role("heading", name="The winch is stuck", level=1)).to_be_visible()
        await expect_live(phone)
        # 6: what one does stands at the foot of the screen, and nothing is to be read below it.
        foot = await phone.locator(".actbar").bounding_box()
        assert foot and foot["y"] + foot["height"] == 844
        await mark(phone)
        await site.api.post(f"/alerts/{sent['alert_id']}/actions/acknowledge")
        await expect(phone.locator("#ahead")).to_contain_text("Acknowledged")
        incident = await site.api.post("/incidents", title="The winch", severity=2, alert_id=sent["alert_id"])
        opens = phone.get_by_role("link", name=re.compile(f"Open {incident['number']}")).locator("visible=true").first
        await expect(opens).to_be_visible()
        assert await is_same_document(phone)
        await opens.tap()
        await expect_live(phone)
        await mark(phone)
        # Who is on it stands in a tab of its own on a phone, and that is open, too.
        await phone.get_by_role("link", name="People & facts").tap()
        await expect(phone.get_by_role("heading", name="Details")).to_be_visible()
        await phone.go_back()
        await expect_live(phone)
        await mark(phone)
        written = phone.get_by_role("textbox", name=re.compile("omment|timeline")).first
        await written.fill("I am on my way")
        await site.api.post(f"/incidents/{incident['number']}/comments", body="The crane is free again.")
        await expect(phone.locator("#timeline").get_by_text("The crane is free again.")).to_be_visible()
        await expect(written).to_have_value("I am on my way")
        await site.api.post(f"/incidents/{incident['number']}/actions/resolve", resolution_note="Greased.")
        await expect(phone.locator("#ihead")).to_contain_text("Resolved")
        assert await is_same_document(phone)
        # Somebody ends the visit elsewhere: it is said, and what was written stays.
        sessions = (await site.api.get("/sessions"))["data"]
        for each in sessions:
            if each["is_by_link"]:
                await site.api("DELETE", f"/sessions/{each['id']}")
        await expect(phone.get_by_text("The time of the page link is over.")).to_be_visible()
        await expect(phone.locator("[data-live-state]")).to_have_text("Over")
        await expect(written).to_have_value("I am on my way")
        forgive(phone, "status of 401")


async def test_the_screen_says_within_seconds_what_others_did(site: Site, chromium: Browser) -> None:
    """A6(e): somebody else answers; it is resolved. Nobody touches the phone, and what it has in focus stays there."""
    sent = await site.fire("The pumps are off")
    async with somebody(chromium, site.base, width=390) as phone:
        await phone.goto(sent["acknowledge_url"])
        await expect(phone.locator("[data-live]")).to_have_text("Live")
        await button(phone, "Look first").focus()
        await site.api.post(f"/alerts/{sent['alert_id']}/actions/acknowledge")
        await expect(phone.locator(".count").get_by_text("You acknowledged")).to_be_visible()
        await expect(phone.locator("#announcer")).to_have_text("You acknowledged")
        await expect(button(phone, "Acknowledge")).to_have_count(0)
        await expect(phone.locator("main")).to_be_focused()
    second = await site.fire("The pumps are off again")
    async with somebody(chromium, site.base, width=390) as phone:
        await phone.goto(second["acknowledge_url"])
        await button(phone, "Look first").focus()
        await site.api.post(f"/alerts/{second['alert_id']}/actions/resolve")
        await expect(phone.locator(".count").get_by_text("Resolved")).to_be_visible()


async def test_when_the_time_is_up_it_says_what_happened(site: Site, store: Store, chromium: Browser) -> None:
    """A6(e): at 0:00 the screen asks, and says what the server says; it does not stand there for ever."""
    sent = await site.fire("The lights are out")
    # The step is over soon, and whoever passes it on is late.
    await store.execute("UPDATE escalation_run SET next_step_at = now() + interval '6 seconds' WHERE state = 'running'")
    async with somebody(chromium, site.base, width=390) as phone:
        await phone.goto(sent["acknowledge_url"])
        await expect(phone.get_by_text("Waits for an answer until")).to_be_visible()
        await expect(phone.locator(".count").get_by_text("The time is up")).to_be_visible()
        await expect(phone.get_by_role("timer")).to_have_count(0)
        await expect(button(phone, "Acknowledge")).to_be_visible()
        await button(phone, "Acknowledge").tap()
        await expect(phone.get_by_text("You acknowledged")).to_be_visible()


async def test_it_says_when_it_is_offline_and_asks_nothing_in_a_hidden_tab(site: Site, chromium: Browser) -> None:
    sent = await site.fire("The boiler is cold")
    asked: list[str] = []

    async def note(route: Route) -> None:
        asked.append(route.request.url)
        await route.continue_()

    async with somebody(chromium, site.base, width=390) as phone:
        await phone.route(re.compile(r"/p/[^/]+/mark$"), note)
        await phone.goto(sent["acknowledge_url"])
        live = phone.locator("[data-live]")
        await expect(live).to_have_text("Live")
        await phone.context.set_offline(True)
        await expect(live).to_have_text(re.compile(r"^(Offline|Reconnecting), as of \d\d:\d\d$"))
        await phone.context.set_offline(False)
        await expect(live).to_have_text("Live")
        await phone.evaluate(
            """Object.defineProperty(document, "hidden", { get: () => true });
            document.dispatchEvent(new Event("visibilitychange"));"""
        )
        before = len(asked)
        await phone.evaluate("new Promise((done) => setTimeout(done, 7000))")
        assert len(asked) <= before + 1
        forgive(phone, "ERR_INTERNET_DISCONNECTED|Failed to fetch")


async def test_one_answer_of_the_server_is_enough_to_press(site: Site, chromium: Browser) -> None:
    """Nothing else comes, be it the style sheet, a script or a picture: the words and the button are there."""
    sent = await site.fire("The server room is warm")
    asked: list[str] = []

    async def refuse(route: Route) -> None:
        asked.append(route.request.url)
        # It never comes, as on a line that is too slow for it.

    async with somebody(chromium, site.base, width=390) as phone:
        await phone.route(re.compile("/static/"), refuse)
        await phone.goto(sent["acknowledge_url"], wait_until="commit")
        await expect(phone.get_by_role("heading", level=1)).to_have_text("The server room is warm")
        # Painted, too: what blocks the first picture is nothing but the answer itself.
        paint = "performance.getEntriesByName('first-contentful-paint').length"
        await phone.wait_for_function(f"{paint} > 0")
        await button(phone, "Acknowledge").tap(no_wait_after=True)
        await expect(phone.get_by_text("You acknowledged")).to_be_visible()
        assert asked
        await phone.unroute_all(behavior="ignoreErrors")
    answer = await request("GET", sent["acknowledge_url"])
    assert len(answer.text) < 12_000 and "<style" not in answer.text
