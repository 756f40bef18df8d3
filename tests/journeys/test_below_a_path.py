"""Tocsin below a path of a host, behind a real nginx that takes the path off and behind one that leaves it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests import postgres
from tests.journeys.browser import (
    PASSWORD,
    button,
    expect_live,
    is_same_document,
    mark,
    sign_in,
    somebody,
)
from tests.journeys.crawler import Crawl
from tests.journeys.proxies import client, nginx
from tests.processes import Served, printed_until, reserved_port, served, tocsin
from tocsin.cli.demo import ADMIN

pytestmark = [pytest.mark.journey, pytest.mark.needs("nginx")]

ROOT = "/tocsin"
ADA = "ada@example.org"


@dataclass(frozen=True, slots=True)
class Site:
    """The demo organisation as the outside reaches it, and the port of the server behind the proxy."""

    base: str
    port: int
    place: Path
    lines: list[str]
    process: Served
    token: str

    @property
    def curl(self) -> list[str]:
        """The words of the line that fires an alert, as the greeting prints it."""
        return shlex.split(next(line for line in self.lines if line.startswith("curl ")))

    def link(self, part: str) -> str:
        return next(line for line in self.lines if part in line)

    def client(self, *, token: bool = False) -> httpx.AsyncClient:
        http = client(self.base, self.place)
        if token:
            http.headers["authorization"] = f"Bearer {self.token}"
        return http

    async def fire(self, title: str) -> None:
        """Send what the printed `curl` sends, but for the title."""
        body, url = self.curl[-2:]
        async with self.client() as http:
            assert (await http.post(url, json=json.loads(body) | {"title": title})).status_code == 202

    async def page(self, title: str) -> str:
        """Wait until the server prints the page about this alert, and return its link."""
        while title not in (printed := await printed_until(self.process[0], "   ack  ")):
            pass
        return printed.split()[-1]


async def run(*words: str, **settings: str) -> str:
    code, out, said = await tocsin(*words, **settings)
    assert code == 0, said
    return out.strip()


@pytest.fixture(scope="module", params=["taken off, https", "left, http"])
async def site(
    request: pytest.FixtureRequest, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    takes_path_off, is_https = request.param == "taken off, https", "https" in request.param
    place = tmp_path_factory.mktemp("nginx")
    with reserved_port() as port, reserved_port() as outer:
        base = f"https://localhost:{outer}{ROOT}" if is_https else f"http://127.0.0.1:{outer}{ROOT}"
        async with (
            postgres.fresh(postgres_dsn) as dsn,
            served(
                *("--demo", "--port", str(port)), database_url=dsn, base_url=base, trusted_proxies="127.0.0.1"
            ) as process,
            nginx(place, port=outer, behind=port, takes_path_off=takes_path_off, is_https=is_https),
        ):
            token = await run("token", "create", f"--email={ADMIN}", "--name=journey", database_url=dsn)
            new = ("user", "create", f"--email={ADA}", "--name=Ada", "--role=admin", "--password-stdin")
            await run(*new, stdin=f"{PASSWORD}\n", database_url=dsn)
            lines = [line.strip() for line in process[1].splitlines()]
            yield Site(base, port, place, lines, process, token)


async def test_everything_leads_below_the_path_and_to_something(site: Site) -> None:
    """F140: every link, form, file and stream of every page of the demo, and where each answer leads to."""
    async with site.client() as http:
        link = await http.get(site.link("/link/"))
        form = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', link.text))
        entered = await http.post(str(link.url), data=form)
        assert (entered.status_code, entered.headers["location"]) == (303, f"{ROOT}/incidents")
        crawl = Crawl(ROOT)
        await crawl.run(http, f"{site.base}/")
        await crawl.run(http, f"{site.base}/api/v1/docs")
        await crawl.run(http, f"{site.base}/nothing/here/links")
        await crawl.run(http, f"{site.base}/p/nothing")
    assert crawl.lost == set()
    gone = {f"{site.base}/nothing/here/links", f"{site.base}/p/nothing"}
    assert {url for url, status in crawl.answers.items() if status >= 400 and status != 405} == gone
    for part in (
        "/incidents/INC-",
        "/alerts/alt_",
        "/people/usr_",
        "/policies/pol_",
        "/sources/src_",
        "/contact-methods",
        "\\.woff2",
        "hotkey\\.js",
        "icons\\.svg",
        "swagger-ui-bundle",
        "\\?tab=",
        "/sign-out",
    ):
        assert crawl.count(part), part


async def test_the_api_intake_and_what_machines_ask_work_below_the_path(site: Site) -> None:
    """F140: the document says where, `Link` leads on, addresses that are told are whole; the bare port answers, too."""
    async with site.client(token=True) as http:
        document = (await http.get("api/v1/openapi.json")).json()
        assert document["servers"] == [{"url": ROOT}]
        raw = await http.get("api/v1/openapi/raw.json")
        assert raw.url.join(raw.json()["servers"][0]["url"]).path == f"{ROOT}/"
        page = await http.get("api/v1/alerts", params={"limit": 1})
        assert page.links["next"]["url"].startswith(f"{ROOT}/api/v1/alerts?limit=1&cursor=")
        further = await http.get(str(page.url.join(page.links["next"]["url"])))
        (first,), (second,) = page.json()["data"], further.json()["data"]
        assert first["id"] != second["id"] and first["url"] == f"{site.base}/alerts/{first['id']}"
        source = (await http.post("api/v1/alert_sources", json={"name": "Shell", "kind": "generic"})).json()
        assert source["url"].startswith(f"{site.base}/in/generic/")
        assert (await http.post(source["url"], json={"title": "Below"})).status_code == 202
        assert (await http.post(source["url"].replace("/in/", "//in//"), json={"title": "Below"})).status_code == 202
        pagerduty = await http.post("compat/pagerduty/v2/enqueue", json={})
        assert pagerduty.status_code == 400 and pagerduty.json()["status"] == "invalid event"
        assert (await http.get("healthz")).json() == {"status": "ok"}
        assert (await http.get("readyz")).status_code == 200
        refused = await http.get("incidents")
        assert refused.status_code == 403 and f"The API is at {ROOT}/api/v1" in refused.text
        # The proxy refuses the first one. It does not know the second one for it.
        assert [(await http.get(path)).status_code for path in ("metrics", "tocsin/metrics")] == [403, 404]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", trust_env=False) as bare:
        for path in ("/healthz", "/readyz", "/metrics", f"{ROOT}/healthz"):
            assert (await bare.get(path)).status_code == 200, path
        assert (await bare.get(f"{ROOT}/metrics")).status_code == 404
        assert (await bare.get(ROOT)).headers["location"] == f"{ROOT}/incidents"


async def expect_only_ours(page: Page, site: Site) -> None:
    """No cookie goes to the neighbours at this host; over https the session's is one that only https can set."""
    cookies: list[Any] = await page.context.cookies()
    session = "__Secure-tocsin_session.tocsin" if site.base.startswith("https") else "tocsin_session.tocsin"
    assert session in {each["name"] for each in cookies}
    assert {each["path"] for each in cookies} <= {ROOT, f"{ROOT}/", f"{ROOT}/sign-in"}


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
async def test_a_person_signs_in_sees_what_happens_and_answers(site: Site, chromium: Browser, javascript: bool) -> None:
    """F140, F061, F110."""
    options: dict[str, Any] = {"javascript": javascript, "ignore_https_errors": True}
    title = f"The harbour gate is {'stuck' if javascript else 'open'}"
    async with (
        somebody(chromium, f"{site.base}/", **options) as ada,
        somebody(chromium, f"{site.base}/", width=390, **options) as phone,
    ):
        await ada.goto(f"{site.base}/alerts?tab=action")
        await expect(ada).to_have_url(f"{site.base}/sign-in?next=%2Falerts%3Ftab%3Daction")
        await ada.get_by_label("E-mail").fill(ADA)
        await ada.get_by_label("Password").fill(PASSWORD)
        await button(ada, "Sign in").click()
        await expect(ada).to_have_url(f"{site.base}/alerts?tab=action")
        await expect_only_ours(ada, site)
        if javascript:
            await expect_live(ada)
            await mark(ada)

        await site.fire(title)
        link = await site.page(title)
        assert link.startswith(f"{site.base}/p/")
        if not javascript:
            await ada.reload()
        row = ada.locator("[data-list] [data-row]").filter(has_text=title)
        await expect(row).to_be_visible()
        await phone.goto(link)
        await button(phone, "Acknowledge").click()
        await expect(phone.get_by_text("You acknowledged")).to_be_visible()
        await expect(phone).to_have_url(link)
        if javascript:
            await expect(row).to_have_count(0)
            assert await is_same_document(ada)

        await ada.goto(f"{site.base}/incidents/new")
        await ada.get_by_label("Title").fill(title)
        await ada.get_by_role("radio", name=re.compile("SEV2")).check()
        await button(ada, "Declare incident").click()
        await expect(ada).to_have_url(re.compile(rf"^{site.base}/incidents/INC-\d+$"))
        await expect(ada.get_by_text("Incident declared.")).to_be_visible()
        await ada.locator("#composer textarea").fill("Rolling back.")
        await ada.locator("#composer button.primary, #composer button[type=submit], #composer button").last.click()
        await expect(ada.locator("#timeline")).to_contain_text("Rolling back.")
        if javascript:
            await expect_live(ada)
            await mark(ada)
            number = ada.url.rpartition("/")[2]
            async with site.client(token=True) as http:
                said = await http.post(f"api/v1/incidents/{number}/comments", json={"body": "From a program."})
                assert said.status_code == 201
            await expect(ada.locator("#timeline")).to_contain_text("From a program.")
            assert await is_same_document(ada)
        await expect_only_ours(ada, site)


async def test_what_scripts_do_stays_below_the_path(site: Site, chromium: Browser) -> None:
    """F140: the theme's cookie, and the page that shows the API."""
    async with somebody(chromium, f"{site.base}/", ignore_https_errors=True) as ada:
        await sign_in(ada, ADA)
        await ada.get_by_role("button", name="Switch between light and dark").first.click()
        theme = await ada.locator("html").get_attribute("data-theme")
        await ada.goto(f"{site.base}/people")
        await expect(ada.locator("html")).to_have_attribute("data-theme", str(theme))
        await expect_only_ours(ada, site)
        await ada.goto(f"{site.base}/api/v1/docs")
        await expect(ada.get_by_role("heading", name="incidents The internal record")).to_be_visible()
        await expect(ada.locator("option")).to_have_text(ROOT)
        await ada.goto(f"{site.base}/incidents")
        await ada.get_by_role("button", name=re.compile("your menu$")).click()
        await button(ada, "Sign out").first.click()
        await expect(ada).to_have_url(f"{site.base}/sign-in")
        assert not [each for each in await ada.context.cookies() if "session" in each["name"]]
