"""Who follows an incident: live news in the inbox by keyboard, one real mail for several changes (F047, F082)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
from playwright.async_api import Browser, expect

from tests import postgres
from tests.journeys.browser import ADA, PASSWORD, WIDTHS, button, expect_live, is_same_document, mark, sign_in, somebody
from tests.journeys.outside import Api, PostOffice, post_office, until
from tests.processes import address, served, tocsin

pytestmark = pytest.mark.journey
_BOB = "bob@example.org"


@dataclass(frozen=True, slots=True)
class Office:
    """An installation in which Ada works and Bob watches, and the mail server that it sends through."""

    base: str
    api: Api
    post: PostOffice
    dsn: str

    async def pass_two_minutes(self) -> None:
        """Let what waits for more go out."""
        store = await asyncpg.connect(self.dsn)
        await store.execute("UPDATE inbox_entry SET send_at = send_at - interval '2 minutes' WHERE send_at IS NOT NULL")
        await store.execute(
            "UPDATE job SET due = due - interval '2 minutes' WHERE kind = 'incidents.send_news' AND owner IS NULL"
        )
        await store.close()


@pytest.fixture(scope="module")
async def office(postgres_dsn: str) -> AsyncIterator[Office]:
    async with postgres.fresh(postgres_dsn) as dsn, post_office() as post:
        settings = {
            "database_url": dsn,
            "outbound_allow": "127.0.0.0/8",
            "smtp_host": "127.0.0.1",
            "smtp_port": str(post.port),
            "smtp_tls": "none",
        }
        async with served(**settings) as (_, greeting):
            for email, name, role in ((ADA, "Ada Lovelace", "admin"), (_BOB, "Bob Stone", "stakeholder")):
                words = ("user", "create", f"--email={email}", f"--name={name}", f"--role={role}", "--password-stdin")
                code, _, said = await tocsin(*words, stdin=f"{PASSWORD}\n", **settings)
                assert code == 0, said
            code, token, said = await tocsin("token", "create", f"--email={ADA}", "--name=journey", **settings)
            assert code == 0, said
            api = Api(address(greeting), token.strip())
            bob = next(each["id"] for each in (await api.get("/users"))["data"] if each["name"] == "Bob Stone")
            await api.post(f"/users/{bob}/contact_methods", kind="email", address=_BOB)
            yield Office(address(greeting), api, post, dsn)


@pytest.mark.parametrize("width", WIDTHS)
async def test_who_follows_is_told_live_and_by_one_mail(office: Office, chromium: Browser, width: int) -> None:
    """F047, F082: follow, hear of it without a reload, read it by key or touch, and get one letter."""
    title = f"The crane is stuck {width}"
    ref = (await office.api.post("/incidents", title=title, severity=2))["number"]
    async with somebody(chromium, office.base, width=width) as bob:
        await sign_in(bob, _BOB)
        await bob.goto(f"incidents/{ref}" if width == 1440 else f"incidents/{ref}/facts")
        await button(bob, "Follow").click()
        await expect(bob).to_have_url(re.compile(f"/incidents/{ref}$"))
        if width != 1440:
            await bob.goto(f"incidents/{ref}/facts")
        await expect(bob.get_by_role("button", name="Following")).to_be_visible()
        await bob.goto("inbox")
        await expect_live(bob)
        await mark(bob)
        await office.api.post(f"/incidents/{ref}/actions/update_status", status="identified")
        news = bob.get_by_role("region", name="News")
        row = news.get_by_role("listitem").first
        await expect(row).to_contain_text("Ada Lovelace changed the status from declared to identified")
        await office.api.post(f"/incidents/{ref}/comments", body="The <b>brake</b> is cold.")
        await expect(row).to_contain_text("more")
        await expect(news).to_contain_text("1 unread")
        assert await is_same_document(bob)
        assert await bob.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await office.pass_two_minutes()
        letter = await office.post.first(f"{ref} “{title}”")
        assert letter["To"].addresses[0].addr_spec == _BOB
        body = letter.get_body(("plain",))
        assert body is not None and "to identified" in body.get_content() and f"/incidents/{ref}" in body.get_content()
        if width == 1440:
            await bob.keyboard.press("j")
            await expect(row).to_be_focused()
            await bob.keyboard.press("e")
            await expect(news).to_contain_text("0 unread")
            await bob.keyboard.press("e")
            await expect(news).to_contain_text("1 unread")
            await bob.keyboard.press("Enter")
        else:
            await row.get_by_role("link").tap()
        await expect(bob).to_have_url(re.compile(f"/incidents/{ref}$"))
        await bob.goto("inbox")
        await expect(news).to_contain_text("0 unread")
        assert [each for each in office.post.letters if ref in str(each["Subject"])] == [letter]


async def test_without_a_script_one_follows_chooses_and_marks(office: Office, chromium: Browser) -> None:
    """F082: the same by links and forms alone."""
    ref = (await office.api.post("/incidents", title="The gate is shut", severity=3))["number"]
    async with somebody(chromium, office.base, javascript=False) as bob:
        await sign_in(bob, _BOB)
        await bob.goto("settings/notifications")
        await bob.get_by_label("Comments").select_option("none")
        await button(bob, "Save").click()
        await expect(bob.get_by_label("Comments")).to_have_value("none")
        await bob.goto(f"incidents/{ref}")
        await button(bob, "Follow").click()
        await office.api.post(f"/incidents/{ref}/comments", body="Nobody hears this.")
        await office.api.post(f"/incidents/{ref}/actions/change_severity", severity=1)
        await bob.goto("inbox?show=unread")

        async def shown() -> str:
            await bob.reload()
            return await bob.locator("#news").inner_text()

        await until(shown, lambda text: "raised the severity" in text)
        await expect(bob.locator("#news")).not_to_contain_text("Nobody hears this.")
        await button(bob, "Mark all as read").click()
        await bob.goto("inbox?show=unread")
        await expect(bob.locator("#news")).to_contain_text("Everything is read.")
