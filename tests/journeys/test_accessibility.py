"""Every page for everybody: axe in both themes and at both widths, no sideways scroll, quiet consoles, manners."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from tests import postgres
from tests.journeys.browser import (
    PASSWORD,
    WIDTHS,
    button,
    dialog,
    expect_live,
    forgive,
    hold,
    is_same_document,
    mark,
    somebody,
)
from tests.journeys.outside import Api, shell_line
from tests.processes import address, printed_until, served, tocsin
from tocsin.cli.demo import ADMIN

pytestmark = pytest.mark.journey

TOAST_LASTS = 6000


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo organisation, its administrator's session, and the address of every page."""

    base: str
    api: Api
    incident: str
    signed_in: dict[str, Any]
    pages: dict[str, str]
    bare: dict[str, str]


@pytest.fixture(scope="module")
async def demo(postgres_dsn: str, chromium: Browser) -> AsyncIterator[Demo]:
    async with postgres.fresh(postgres_dsn) as dsn, served("--demo", database_url=dsn) as (process, greeting):
        base = address(greeting)
        lines = [line.strip() for line in greeting.splitlines()]
        code, token, said = await tocsin("token", "create", f"--email={ADMIN}", "--name=axe", database_url=dsn)
        assert code == 0, said
        api = Api(base, token.strip())
        await shell_line(next(line for line in lines if line.startswith("curl ")))
        printed = await printed_until(process, "   ack  ")
        async with somebody(chromium, base) as maren:
            await maren.goto(next(line for line in lines if "/link/" in line))
            await button(maren, "Sign in").click()
            await expect(maren).to_have_url(f"{base}/incidents")
            signed_in: Any = await maren.context.storage_state()

        async def first(path: str) -> dict[str, Any]:
            return (await api.get(path))["data"][0]

        incident = (await first("/incidents?status=investigating"))["number"]
        person = f"/users/{(await first('/users'))['id']}"
        hook = {"kind": "webhook", "address": "https://hooks.example.org/x", "format": "template"}
        method = (await api.post(f"{person}/contact_methods", **hook))["id"]
        pages = {
            "incidents": "/incidents",
            "resolved incidents": "/incidents?tab=resolved",
            "incident": f"/incidents/{incident}",
            "declare": "/incidents/new",
            "alerts": "/alerts",
            "alert": f"/alerts/{(await first('/alerts'))['id']}",
            "policies": "/policies",
            "policy": f"/policies/{(await first('/escalation_policies'))['id']}",
            "new policy": "/policies/new",
            "routes": "/routes",
            "sources": "/sources",
            "source": f"/sources/{(await first('/alert_sources'))['id']}",
            "people": "/people",
            "person": person.replace("/users", "/people"),
            "contact method": f"{person.replace('/users', '/people')}/contact-methods/{method}",
            "tokens": "/tokens",
            "sessions": "/sessions",
            "organisation": "/organisation",
            # For a quarter of an hour after a sign-in by a link.
            "new password": "/new-password",
            "nothing": "/nothing/here",
        }
        bare = {
            "sign in": "/sign-in",
            "link": "/link/some-token",
            "page to acknowledge": urlsplit(printed.split()[-1]).path,
            "no such page": "/p/nothing",
        }
        yield Demo(base, api, incident, signed_in, pages, bare)


@pytest.fixture(scope="module")
async def empty(postgres_dsn: str) -> AsyncIterator[str]:
    """The set-up link of an installation in which nobody exists."""
    async with postgres.fresh(postgres_dsn) as dsn, served(database_url=dsn) as (_, greeting):
        found = re.search(r"http\S+/set-up\?token=\S+", greeting)
        assert found
        yield found[0]


@dataclass(frozen=True, slots=True)
class Beginning:
    """An installation that was just set up, and the session of whoever did it."""

    base: str
    signed_in: dict[str, Any]


@pytest.fixture(scope="module")
async def beginning(postgres_dsn: str, chromium: Browser) -> AsyncIterator[Beginning]:
    async with postgres.fresh(postgres_dsn) as dsn, served(database_url=dsn) as (_, greeting):
        found = re.search(r"http\S+/set-up\?token=\S+", greeting)
        assert found
        async with somebody(chromium, address(greeting)) as page:
            await page.goto(found[0])
            await page.get_by_label("Organisation").fill("Acme")
            await page.get_by_label("Your name").fill("Ada Lovelace")
            await page.get_by_label("E-mail").fill("ada@example.org")
            await page.get_by_label("Password").fill(PASSWORD)
            await button(page, "Set up and sign in").click()
            await expect(page.locator("#first-steps")).to_be_visible()
            signed_in: Any = await page.context.storage_state()
        yield Beginning(address(greeting), signed_in)


async def findings(page: Page, name: str) -> list[str]:
    """What axe has against the page, in one line each."""
    results = await Axe().run(page)
    return [
        f"{name}: {rule['id']} ({rule['help']}) at {', '.join(str(node['target'][0]) for node in rule['nodes'][:3])}"
        for rule in results.response["violations"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_axe_finds_nothing(
    chromium: Browser, demo: Demo, empty: str, beginning: Beginning, theme: Any, width: int
) -> None:
    found: list[str] = []
    looks: dict[str, Any] = {"width": width, "color_scheme": theme, "reduced_motion": "reduce"}

    async def signed_out() -> None:
        async with somebody(chromium, demo.base, **looks) as page:
            for name, path in (demo.bare | {"set-up": empty}).items():
                await page.goto(path)
                found.extend(await findings(page, name))

    async def signed_in() -> None:
        async with somebody(chromium, demo.base, storage_state=demo.signed_in, **looks) as page:
            for name, path in demo.pages.items():
                await page.goto(path)
                assert path_of(page) == urlsplit(path).path
                found.extend(await findings(page, name))
            # The form of a declaration, as an alert fills it in.
            await page.goto(demo.pages["alert"])
            await page.locator("[data-dialog=declare]:visible").click()
            await expect(dialog(page, "Declare incident")).to_be_visible()
            found.extend(await findings(page, "declare dialog"))
            # A dialog with a field that was refused.
            await page.goto(demo.pages["incident"])
            await button(page, "Resolve").click()
            resolve = dialog(page, f"Resolve {demo.incident}")
            await resolve.get_by_label("Resolution note").fill(" ")
            await button(resolve, "Resolve incident").click()
            await expect(resolve.locator(".err")).to_be_visible()
            found.extend(await findings(page, "resolve dialog"))

    async def just_set_up() -> None:
        async with somebody(chromium, beginning.base, storage_state=beginning.signed_in, **looks) as page:
            await page.goto("/incidents")
            await expect(page.locator("#first-steps")).to_be_visible()
            found.extend(await findings(page, "next steps"))

    await asyncio.gather(signed_out(), signed_in(), just_set_up())
    assert found == []


async def test_no_page_scrolls_sideways_on_the_narrowest_screen(chromium: Browser, demo: Demo, empty: str) -> None:
    wide: list[str] = []
    measure = "[...document.querySelectorAll('*')].filter((e) => e.getBoundingClientRect().right > 321).slice(0, 3)"
    narrow = {"viewport": {"width": 320, "height": 640}}
    async with somebody(chromium, demo.base, storage_state=demo.signed_in, **narrow) as page:
        for name, path in demo.pages.items():
            await page.goto(path)
            await page.evaluate("document.fonts.ready.then(() => null)")
            if await page.evaluate("document.documentElement.scrollWidth") > 320:
                wide.append(f"{name}: {await page.evaluate(measure + '.map((e) => e.outerHTML.slice(0, 120))')}")
    async with somebody(chromium, demo.base, **narrow) as page:
        for name, path in (demo.bare | {"set-up": empty}).items():
            await page.goto(path)
            await page.evaluate("document.fonts.ready.then(() => null)")
            if await page.evaluate("document.documentElement.scrollWidth") > 320:
                wide.append(name)
    assert wide == []


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


def path_of(page: Page) -> str:
    return urlsplit(page.url).path


async def test_news_leave_an_open_dialog_alone(demo: Demo, maren: Page) -> None:
    await button(maren, "Resolve").click()
    note = maren.get_by_label("Resolution note")
    await note.fill("The tide was")
    await demo.api.post(f"{path_of(maren)}/comments", body="The tide turns.")
    await demo.api.post(f"{path_of(maren)}/actions/change_severity", severity=1)
    await expect(maren.locator("#timeline")).to_contain_text("The tide turns.")
    await expect(maren.locator("#ihead")).to_contain_text("SEV1")
    await expect(maren.locator("#resolve-dialog")).to_have_attribute("open", "")
    await expect(note).to_be_focused()
    await expect(note).to_have_value("The tide was")
    # The copy is old, but nothing that was typed is lost, and the words say what has happened meanwhile.
    await button(dialog(maren, "Resolve "), "Resolve incident").click()
    resolve = dialog(maren, "Resolve ")
    await expect(resolve.get_by_role("alert")).to_contain_text("changed ")
    await expect(note).to_have_value("The tide was")
    assert (await demo.api.get(path_of(maren)))["status"] == "declared"
    await button(resolve, "Resolve incident").click()
    await expect(resolve).to_be_hidden()
    assert (await demo.api.get(path_of(maren)))["resolution_note"] == "The tide was"


async def test_a_refused_form_stays_in_its_dialog_with_the_focus_on_its_field(maren: Page) -> None:
    await button(maren, "Edit title").click()
    title = dialog(maren, "Change title").get_by_label("Title")
    await title.fill("   ")
    await button(maren, "Save title").click()
    await expect(title).to_have_attribute("aria-invalid", "true")
    await expect(title).to_be_focused()
    await expect(dialog(maren, "Change title")).to_be_visible()
    await title.fill("All ferries are late")
    await title.press("Enter")
    await expect(dialog(maren, "Change title")).to_be_hidden()
    await expect(maren.get_by_role("heading", level=1)).to_contain_text("All ferries are late")
    # The focus is where the dialog was opened.
    await expect(button(maren, "Edit title")).to_be_focused()


async def test_a_form_says_in_its_dialog_that_somebody_else_was_faster(demo: Demo, chromium: Browser) -> None:
    """F040: an old copy changes nothing, and what was typed stays."""
    route = next(route for route in (await demo.api.get("/alert_routes"))["data"] if not route["is_catch_all"])
    async with somebody(chromium, demo.base, storage_state=demo.signed_in) as page:
        await page.goto("/routes")
        await button(page, f"Edit {route['name']}").click()
        edit = dialog(page, f"Edit {route['name']}")
        await demo.api("PATCH", f"/alert_routes/{route['id']}", {"name": "Bookings, by day"})
        await edit.get_by_label("Name").fill("Bookings, by night")
        await button(edit, "Save route").click()
        await expect(edit.get_by_role("alert")).to_contain_text("Not saved. Somebody changed this route")
        await expect(edit.get_by_label("Name")).to_have_value("Bookings, by night")
        await button(edit, "Save route").click()
        await expect(page.get_by_role("heading", name="Bookings, by night")).to_be_visible()


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
    await button(maren, "Resolve").click()
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
        await button(page, "Acknowledge Buoy 7 drifts").click()
        row = page.locator("[data-row]", has_text="Buoy 7 drifts")
        await expect(row).to_contain_text("Acknowledged")
        assert path_of(page) == "/alerts"
        assert await is_same_document(page)
