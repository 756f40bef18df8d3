"""People with browsers: on a phone, by keyboard, without JavaScript, and when the server was away."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest
from playwright.async_api import Browser, Error, Route, expect

from tests.journeys.browser import (
    WIDTHS,
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
from tests.journeys.outside import request, webhook
from tests.journeys.site import ADA, Site, someone_on_call
from tests.processes import address, data_directory, reserved_port, served
from tocsin.cli import runtime
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.settings import load as load_settings

pytestmark = pytest.mark.journey

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def test_one_tap_on_a_phone_acknowledges_signed_out_and_without_javascript(site: Site, chromium: Browser) -> None:
    page = await site.fire("The harbour gate does not open")
    link = page["acknowledge_url"]
    # A link preview, a mail scanner.
    for method in ("HEAD", "GET"):
        answer = await request(method, link)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert (await site.alert(page))["status"] == "triggered"

    async with somebody(chromium, site.base, width=390, javascript=False) as phone:
        await phone.goto(link)
        await expect(phone.get_by_role("heading", level=1)).to_have_text("The harbour gate does not open")
        await expect(phone.get_by_text("Ada Lovelace", exact=True)).to_be_visible()
        acknowledge = button(phone, "Acknowledge")
        box = await acknowledge.bounding_box()
        assert box and box["height"] >= 44 and box["width"] >= 300 and box["y"] + box["height"] <= 844
        await acknowledge.tap()
        await expect(phone.get_by_text("You acknowledged")).to_be_visible()
    alert = await site.alert(page)
    assert (alert["status"], alert["acknowledged_by"]) == ("acknowledged", "Ada Lovelace")


async def test_a_double_click_acknowledges_once(site: Site, chromium: Browser) -> None:
    page = await site.fire("The crane stands still")
    async with somebody(chromium, site.base, width=390, javascript=False) as phone:
        await phone.goto(page["acknowledge_url"])
        pressed = asyncio.Event()

        async def press(route: Route) -> None:
            # The second press comes before the answer to the first, and not on the page that follows.
            await pressed.wait()
            with contextlib.suppress(Error):
                await route.continue_()

        await phone.route(re.compile("/p/"), press)
        await button(phone, "Acknowledge").dblclick()
        pressed.set()
        await expect(phone.get_by_text("You acknowledged")).to_be_visible()
    # And twice at once, from two devices.
    answers = await asyncio.gather(*(request("POST", page["acknowledge_url"], b"do=ack", FORM) for _ in range(2)))
    assert [answer.status for answer in answers] == [303, 303]
    told = await site.api.get(f"/alerts/{page['alert_id']}/explain")
    names = [step["name"] for step in told["steps"]]
    assert (names.count("page.acknowledged"), names.count("alert.acknowledged")) == (1, 1)


async def test_everything_works_from_the_keyboard(site: Site, chromium: Browser) -> None:
    first, second = await site.declare("Bookings are slow"), await site.declare("Bookings are lost")
    async with somebody(chromium, site.base) as ada:
        await sign_in(ada, ADA)
        # The keys work from here on.
        await expect_live(ada)
        keys = ada.keyboard
        rows = ada.locator("[data-list] [data-row]")
        current = ada.locator("[data-list] [data-row][aria-current]")
        await expect(rows.first).to_contain_text(second)

        # Lists.
        await keys.press("j")
        await expect(current).to_contain_text(second)
        await keys.press("j")
        await expect(current).to_contain_text(first)
        await keys.press("k")
        await expect(current).to_contain_text(second)
        await keys.press("Enter")
        await expect(ada).to_have_url(re.compile(f"/{second}$"))
        await ada.go_back()

        # The dialog takes the focus and gives it back.
        declare = dialog(ada, "Declare incident")
        declares = ada.get_by_role("link", name="Declare incident", exact=False).first
        await declares.focus()
        await keys.press("Enter")
        await expect(declare.get_by_label("Title")).to_be_focused()
        await keys.press("Escape")
        await expect(declare).to_be_hidden()
        await expect(declares).to_be_focused()

        # C declares; letters typed into a field are letters.
        await keys.press("c")
        await expect(declare.get_by_label("Title")).to_be_focused()
        await keys.type("Jack cannot check in")
        await keys.press("Control+Enter")
        await expect(ada.get_by_role("heading", level=1)).to_contain_text("Jack cannot check in")
        await expect_live(ada)

        # The incident.
        await keys.press("m")
        await expect(ada.get_by_label("Write in the timeline")).to_be_focused()
        await keys.type("Sent from the keys")
        await keys.press("Control+Enter")
        await expect(ada.locator("#timeline .comment")).to_contain_text("Sent from the keys")
        await ada.evaluate("document.activeElement.blur()")
        await keys.press("v")
        await expect(ada.locator("#sev-m")).to_be_visible()
        await keys.press("Escape")
        await expect(ada.locator("#sev-m")).to_be_hidden()
        await ada.evaluate("document.activeElement.blur()")
        await keys.press("Shift+R")
        await expect(dialog(ada, "Resolve ").get_by_label("Resolution note")).to_be_focused()
        await keys.type("It was the keyboard.")
        await keys.press("Control+Enter")
        await expect(ada.locator("#ihead")).to_contain_text("Resolved")
        await expect(dialog(ada, "Resolve ")).to_be_hidden()
        await ada.evaluate("document.activeElement.blur()")
        # The second key of a pair may come late here.
        await hold(ada, 1500)
        await keys.press("g")
        await keys.press("a")
        await expect(ada).to_have_url(re.compile("/alerts$"))

        # From an alert: what is known stands there, and Enter declares.
        alert = await site.fire("The weighbridge does not answer")
        await ada.goto(f"/alerts/{alert['alert_id']}")
        await keys.press("c")
        await expect(declare.get_by_label("Title")).to_be_focused()
        await expect(declare.get_by_label("Title")).to_have_value("The weighbridge does not answer")
        await keys.press("Enter")
        await expect(ada).to_have_url(re.compile(r"/incidents/INC-\d+$"))
        await expect(ada.locator("aside.rail")).to_contain_text("The weighbridge does not answer")


@pytest.mark.parametrize("width", WIDTHS)
async def test_an_incident_is_declared_and_resolved_without_javascript(
    site: Site, chromium: Browser, width: int
) -> None:
    async with somebody(chromium, site.base, width=width, javascript=False) as ada:
        await ada.goto("/incidents")
        await expect(ada).to_have_url(re.compile("/sign-in"))
        await ada.get_by_label("E-mail").fill(ADA)
        await ada.get_by_label("Password").fill("a wrong password")
        await button(ada, "Sign in").click()
        await expect(ada.get_by_text("The e-mail address or the password is wrong.")).to_be_visible()
        await sign_in(ada, ADA)
        await ada.get_by_role("link", name=re.compile("^Declare")).first.click()
        await expect(ada).to_have_url(re.compile("/incidents/new$"))
        await ada.get_by_label("Title").fill("Tickets are printed twice")
        await ada.get_by_label("What you see").fill("Every **second** ticket.")
        await ada.get_by_role("radio", name=re.compile("SEV2")).check()
        await button(ada, "Declare incident").click()
        await expect(ada.get_by_role("heading", level=1)).to_contain_text("Tickets are printed twice")
        await expect(ada.locator("#summary strong")).to_have_text("second")
        await ada.get_by_label("Write in the timeline").fill("The printers are off.")
        await button(ada, "Comment").click()
        await expect(ada.locator("#timeline .comment")).to_contain_text("The printers are off.")
        await ada.get_by_role("button", name=re.compile("^Status: ")).click()
        await button(ada, "Monitoring").click()
        await expect(ada.get_by_role("button", name="Status: Monitoring")).to_be_visible()
        await opener(ada, "Resolve").click()
        await expect(ada).to_have_url(re.compile("/resolve$"))
        resolve = ada.locator("main")
        await resolve.get_by_label("Resolution note").fill(" ")
        await button(resolve, "Resolve incident").click()
        await expect(resolve.locator(".err")).to_be_visible()
        await resolve.get_by_label("Resolution note").fill("The printers are on again.")
        await button(resolve, "Resolve incident").click()
        await expect(ada.locator("#ihead")).to_contain_text("Resolved")


async def test_an_alert_becomes_an_incident_without_javascript(site: Site, chromium: Browser) -> None:
    alert = await site.fire("The radar of quay 4 is off")
    async with somebody(chromium, site.base, javascript=False) as ada:
        await sign_in(ada, ADA)
        await ada.goto(f"/alerts/{alert['alert_id']}")
        await ada.locator("#page").get_by_role("link", name="Declare incident").click()
        await expect(ada).to_have_url(re.compile(r"/incidents/new\?alert="))
        await expect(ada.get_by_label("Title")).to_have_value("The radar of quay 4 is off")
        await button(ada, "Declare incident").click()
        await expect(ada).to_have_url(re.compile(r"/incidents/INC-\d+$"))


async def test_what_happens_while_a_page_loads_is_on_it(site: Site, chromium: Browser) -> None:
    async with somebody(chromium, site.base) as ada:
        await sign_in(ada, ADA)
        fired = asyncio.Event()

        async def wait(route: Route) -> None:
            await fired.wait()
            await route.continue_()

        # No test can hold back what a worker asks for; without one the page asks by itself.
        await ada.add_init_script("delete window.SharedWorker")
        await ada.route(re.compile(r"/live(\?|$)"), wait)
        await ada.goto("/alerts")
        await site.fire("The tide gauge is silent")
        await expect(ada.get_by_text("The tide gauge is silent")).to_be_hidden()
        fired.set()
        await expect(ada.get_by_role("link", name="The tide gauge is silent", exact=True)).to_be_visible()


async def test_a_page_reconnects_and_shows_what_it_missed(chromium: Browser) -> None:
    with data_directory() as root, reserved_port() as port:
        settings = {"data_dir": str(root), "outbound_allow": "127.0.0.0/8"}
        async with webhook() as sink, somebody(chromium, f"http://127.0.0.1:{port}") as ada:
            async with served("--port", str(port), **settings) as (process, greeting):
                site = await someone_on_call(address(greeting), sink, **settings)
                number = await site.declare("The lock gate is stuck")
                await sign_in(ada, ADA)
                await ada.goto(f"/incidents/{number}")
                await expect_live(ada)
                await mark(ada)
                note = ada.get_by_label("Write in the timeline")
                await note.fill("Half a sen")
                process.kill()
                await process.wait()
            state = ada.locator("[data-live-state]")
            await expect(state).to_have_text(re.compile(r"^Reconnecting, last update \d\d:\d\d$"))
            # Its PostgreSQL is still there, but nobody tells the page.
            async with runtime.database(load_settings({}, {"data_dir": str(root)})) as db, db.begin() as tx:
                await incidents.comment(tx, Actor.system("Somebody"), number, "Said while nobody listened.")
            await expect(state).to_contain_text("Reconnecting")
            async with served("--port", str(port), **settings):
                await expect(ada.locator("#timeline")).to_contain_text("Said while nobody listened.")
                await expect(state).to_have_text("Live")
                await expect(note).to_be_focused()
                await expect(note).to_have_value("Half a sen")
                assert await is_same_document(ada)
                await site.api.post(f"/incidents/{number}/comments", body="Said afterwards.")
                await expect(ada.locator("#timeline")).to_contain_text("Said afterwards.")
                # The stream ends here, before the server does.
                await ada.goto("about:blank")
                forgive(
                    ada, "ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY|htmx"
                )
