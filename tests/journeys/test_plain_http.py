"""Plain http by a name, as in an intranet: no `Sec-Fetch-Site`, no secure context, and everything has to work.

Browsers treat 127.0.0.1 and localhost as if they were https, so nothing of this shows there.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.browser import NAME, PASSWORD, button, forgive, sign_in, somebody
from tests.journeys.outside import Api, Sink, request, webhook
from tests.processes import reserved_port, served, tocsin

pytestmark = pytest.mark.journey

# Chromium says of each answer that it takes this header over https and from localhost only.
ONLY_OVER_HTTPS = "Cross-Origin-Opener-Policy header has been ignored"
ADA, BEN = "ada@example.org", "ben@example.org"


@dataclass(frozen=True, slots=True)
class Site:
    """An installation that people open as `http://tocsin.example:<port>`."""

    base: str
    port: int
    greeting: str
    settings: dict[str, str]
    sink: Sink

    @property
    def local(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, url: str) -> str:
        """Return the address as people here would open it, whatever the setting says."""
        return url.replace(self.local, self.base)

    async def run(self, *words: str) -> str:
        code, out, said = await tocsin(*words, **self.settings)
        assert code == 0, said
        return out.strip()

    async def api(self, email: str) -> Api:
        return Api(self.local, await self.run("token", "create", f"--email={email}", "--name=journey"))


@asynccontextmanager
async def site(dsn: str, *, is_set: bool) -> AsyncIterator[Site]:
    with reserved_port() as port:
        base = f"http://{NAME}:{port}"
        settings = {"database_url": dsn, "outbound_allow": "127.0.0.0/8"} | ({"base_url": base} if is_set else {})
        if not is_set:
            # The commands beside the server ask for its address as well.
            settings |= {"port": str(port)}
        async with webhook() as sink, served("--port", str(port), **settings) as (_, greeting):
            yield Site(base, port, greeting, settings, sink)


async def page_ada(site: Site) -> str:
    """Make all that pages Ada; returns the address of a source."""
    api = await site.api(ADA)
    ada = (await api.get("/users"))["data"][0]["id"]
    await api.post(f"/users/{ada}/contact_methods", kind="webhook", address=site.sink.url)
    steps = [{"targets": [{"type": "user", "id": ada}], "wait_minutes": 5}]
    policy = await api.post("/escalation_policies", name="Payments primary", steps=steps)
    await api.post("/alert_routes", name="Everything", is_catch_all=True, escalation_policy_id=policy["id"])
    source = await api.post("/alert_sources", name="Shell", kind="generic")
    await api.post("/users", name="Ben Okri", email=BEN, role="responder")
    return source["url"].replace(site.base, site.local)


async def fire(site: Site, source: str, title: str) -> str:
    """Fire an alert; returns the link of the page that Ada gets for it."""
    body = json.dumps({"title": title, "severity": "critical"}).encode()
    assert (await request("POST", source, body, {"Content-Type": "application/json"})).status == 202
    return site.named((await site.sink.first(title))[1]["acknowledge_url"])


async def open_set_up(page: Page, site: Site) -> None:
    found = re.search(r"http\S+/set-up\?token=\S+", site.greeting)
    assert found
    await page.goto(site.named(found[0]))
    await page.get_by_label("Organisation").fill("Harbourline")
    await page.get_by_label("Your name").fill("Ada Lovelace")
    await page.get_by_label("E-mail").fill(ADA)
    await page.get_by_label("Password").fill(PASSWORD)
    await button(page, "Set up and sign in").click()
    await expect(page).to_have_url(f"{site.base}/incidents")


@pytest.mark.parametrize(
    ("is_set", "javascript"),
    [(True, True), (True, False), (False, False)],
    ids=["with JavaScript", "without JavaScript", "address not set"],
)
async def test_over_plain_http_everything_works_by_name(
    chromium: Browser, dsn: str, is_set: bool, javascript: bool
) -> None:
    """F061, F110: set up, sign in by password and by link, acknowledge, declare, join."""
    async with (
        site(dsn, is_set=is_set) as here,
        somebody(chromium, here.base, javascript=javascript) as ada,
        somebody(chromium, here.base, width=390, javascript=javascript) as phone,
        somebody(chromium, here.base, javascript=javascript) as ben,
    ):
        await open_set_up(ada, here)
        source = await page_ada(here)
        await ada.context.clear_cookies()
        await sign_in(ada, ADA)

        # On a phone that is signed in nowhere, and where she is signed in.
        await phone.goto(await fire(here, source, "The harbour gate does not open"))
        await button(phone, "Acknowledge").click()
        await expect(phone.get_by_text("You acknowledged")).to_be_visible()
        await ada.goto(await fire(here, source, "The crane stands still"))
        await button(ada, "Can’t take it").click()
        await expect(ada.get_by_text("You declined")).to_be_visible()

        await ada.goto("/incidents/new")
        await ada.get_by_label("Title").fill("Tickets are printed twice")
        await ada.get_by_role("radio", name=re.compile("SEV2")).check()
        await button(ada, "Declare incident").click()
        await expect(ada).to_have_url(f"{here.base}/incidents/INC-1")

        await ben.goto(here.named(await here.run("user", "link", f"--email={BEN}")))
        await button(ben, "Sign in").click()
        await expect(ben).to_have_url(re.compile("/people/usr_"))
        await ben.goto("/incidents/INC-1")
        await button(ben, "Join").click()
        await expect(ben.locator("#rail-responders")).to_contain_text("2 of 2 joined")
        await expect(ben.get_by_role("button", name="Leave")).to_be_visible()
        for page in (ada, phone, ben):
            forgive(page, ONLY_OVER_HTTPS)


async def test_a_form_from_another_site_is_refused_with_what_to_do(chromium: Browser, dsn: str) -> None:
    """F110: over plain http, where only the origin tells; and the link that answers hands its address to nobody."""
    async with site(dsn, is_set=True) as here, somebody(chromium, here.base) as ada, webhook() as evil:
        await open_set_up(ada, here)
        source = await page_ada(here)
        link = await fire(here, source, "The radar is off")

        heard: list[str | None] = []
        ada.on("request", lambda sent: heard.append(sent.headers.get("referer")))
        await ada.goto(link)
        await ada.get_by_role("link", name=re.compile("^Look first")).click()
        await expect(ada.get_by_role("heading", level=1)).to_contain_text("The radar is off")
        assert heard and not [said for said in heard if said and "/p/" in said]

        token = await ada.locator("#sign-out input[name=_csrf_token]").first.get_attribute("value")
        # The name is the same for the browser's cookies; the port makes it another origin.
        elsewhere = evil.url.replace("127.0.0.1", NAME)
        await ada.route(
            elsewhere,
            lambda route: route.fulfill(
                content_type="text/html",
                body=f'<form method="post" action="{here.base}/incidents"><input name="_csrf_token" value="{token}">'
                '<input name="title" value="Forged"><input name="severity" value="1"><button>Press</button></form>',
            ),
        )
        await ada.goto(elsewhere)
        await button(ada, "Press").click()
        await expect(ada.get_by_role("heading", level=1)).to_have_text("You may not do this")
        await expect(ada.locator("main")).to_contain_text(f"comes from {elsewhere.removesuffix('/page')}")
        await expect(ada.locator("main")).to_contain_text(f"Open {here.base} and try again.")
        await expect(ada.locator("main")).to_contain_text("TOCSIN_BASE_URL")
        forgive(ada, f"status of 403|{ONLY_OVER_HTTPS}")
