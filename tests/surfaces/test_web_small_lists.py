"""The lists of what is set up: policies, sources, teams, roles, tokens, routes. Searched on the page and by the API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import Page, browser
from tests.world import World
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.identity import service as identity
from tocsin.identity.queries import users
from tocsin.identity.service import teams
from tocsin.web.base import pages


def titles(page: Page) -> list[str]:
    return re.findall(r'<td class="c-ttl">.*?(?:class="ttl"[^>]*|class="b")>([^<]+)<', page.html)


def said(page: Page) -> str:
    return re.findall(r'id="list-count">([^<]*)<', page.html)[0]


@dataclass
class Each:
    """A list: its page and its part of the API, words that find one, and words that are in two different things."""

    page: str
    api: str
    words: str
    finds: str
    apart: str
    none: str


LISTS = (
    Each("/policies", "/escalation_policies", "duty NIGHT", "Night duty", "night day", "New policy"),
    Each("/sources", "/alert_sources", "eu prometheus", "Prometheus EU", "prometheus grafana", "New source"),
    Each("/teams", "/teams", "card money", "Payments", "card logs", "New team"),
    Each("/roles", "/roles", "bridge officer", "Officer", "officer guest", "New role"),
    Each("/tokens", "/api_tokens", "deploy ci", "CI deploy", "deploy backup", "New token"),
    Each("/routes", "/alert_routes", "slow payments", "Slow", "slow fast", "New route"),
)


@pytest.fixture
async def full(world: World) -> World:
    """Two things of each kind, of which one is found by each search, and an administrator."""
    root = await world.person("root", role="admin")
    night = await world.policy([root], name="Night duty")
    await world.policy([root], name="Day duty")
    await world.route(night, 'labels["team"] == "payments"', name="Slow")
    await world.route(night, 'labels["team"] == "search"', name="Fast")
    async with world.db.begin() as tx:
        for name in ("Prometheus EU", "Grafana EU"):
            await alerts.create_source(tx, world.root, name=name, kind="generic")
        await teams.create_team(tx, world.root, name="Payments", description="Card data and money")
        await teams.create_team(tx, world.root, name="Search", description="Logs and words")
        await identity.create_role(
            tx, world.root, name="Officer", description="On the bridge", permissions=["incident.view"]
        )
        for name in ("CI deploy", "Backup"):
            await identity.create_token(tx, world.root, user_id=root.id, name=name, scopes=())
    return world


@pytest.mark.parametrize("each", LISTS, ids=[each.page for each in LISTS])
async def test_a_list_is_searched_on_its_page_and_by_the_api(api: Api, full: World, each: Each) -> None:
    """B5: words in any order; a true count; and what matches nothing leads on."""
    root = await full.person("ada", role="admin")
    async with browser(full, root) as web:
        whole = await web.get(each.page)
        every = titles(whole)
        assert each.finds in every and len(every) > 1 and said(whole).startswith(f"{len(every)} ")
        one = await web.get(each.page + "?" + urlencode({"q": each.words}))
        assert titles(one) == [each.finds] and said(one).startswith("1 ")
        nothing = await web.get(each.page + "?" + urlencode({"q": each.apart}))
        assert titles(nothing) == [] and f'href="{each.page}">Clear filters' in nothing.html
    async with full.db.begin() as tx:
        (owner,) = await users(tx, words=["root@"])
    client = await api.as_(owner)
    found = (await client.get(each.api, params={"q": each.words})).json()["data"]
    assert [row["name"] for row in found] == [each.finds]
    assert (await client.get(each.api, params={"q": each.apart})).json()["data"] == []


@pytest.mark.parametrize("each", LISTS, ids=[each.page for each in LISTS])
async def test_a_list_is_paged_by_key_on_and_back(full: World, each: Each, monkeypatch: pytest.MonkeyPatch) -> None:
    """B5: each row once, on the way there and on the way back."""
    monkeypatch.setattr(pages, "PAGE_SIZE", 1)
    async with browser(full, await full.person("ada", role="admin")) as web:
        there = [await web.get(each.page)]
        while found := re.search(r'rel="next" href="([^"]+)"', there[-1].html):
            there.append(await web.get(found[1].replace("&amp;", "&")))
        names = [titles(page)[0] for page in there]
        assert len(names) == len(set(names)) > 1 and said(there[0]) == f"1 of {len(names)}"
        back = there[-1]
        for name in reversed(names[:-1]):
            found = re.search(r'rel="prev" href="([^"]+)"', back.html)
            assert found
            back = await web.get(found[1].replace("&amp;", "&"))
            assert titles(back) == [name]
        assert 'rel="prev"' not in back.html


async def test_an_empty_list_says_what_comes_next(world: World) -> None:
    """C: no search of nothing, and the one button that makes the first."""
    async with browser(world, await world.person("ada", role="admin")) as web:
        for each in LISTS:
            page = await web.get(each.page)
            if each.page == "/roles":
                continue
            assert 'id="filter"' not in page.html and page.html.count(each.none) >= 1, each.page
            assert '<div class="empty">' in page.html, each.page


async def test_what_is_hidden_is_in_no_list_count_or_search(api: Api, full: World) -> None:
    """F118: private sources and teams of others, and other people's tokens."""
    bob = await full.person("bob")
    async with full.db.begin() as tx:
        team = await teams.create_team(tx, full.root, name="Security", is_private=True)
        source = await alerts.create_source(tx, full.root, name="Vault EU", kind="generic")
        owners = identity.Owners([team.id], is_private=True)
        await alerts.update_source(tx, full.root, source.id, alerts.SourceChanges(owners=owners))
    client = await api.as_(bob)
    async with browser(full, bob) as web:
        for page, of_api, hidden, seen in (
            ("/sources", "/alert_sources", "Vault EU", "2 sources"),
            ("/teams", "/teams", "Security", "2 teams"),
        ):
            whole = await web.get(page)
            assert hidden not in whole.html and said(whole) == seen
            looked = await web.get(f"{page}?" + urlencode({"q": hidden}))
            assert titles(looked) == [] and "Nothing matches" in looked.html
            assert (await client.get(of_api, params={"q": hidden})).json()["data"] == []
        mine = await web.get("/tokens")
        assert "CI deploy" not in mine.html and "Backup" not in mine.html
        assert titles(await web.get("/tokens?q=deploy")) == [] and titles(await web.get("/tokens?q=root")) == []
    async with browser(full, await full.person("ada", role="admin")) as web:
        assert titles(await web.get("/tokens?q=root+deploy")) == ["CI deploy"]


async def test_archived_teams_have_a_tab_of_their_own(api: Api, full: World) -> None:
    """F118: with true counts, as soon as there is one; the API tells them apart as well."""
    root = await full.person("ada", role="admin")
    client = await api.as_(root)
    async with browser(full, root) as web:
        assert 'aria-label="Views"' not in (await web.get("/teams")).html
        async with full.db.begin() as tx:
            old = await teams.create_team(tx, full.root, name="Old")
            await teams.archive_team(tx, full.root, old.id)
        page = await web.get("/teams")
        assert "Old" not in titles(page) and re.search(r'Archived<span class="badge">1<', page.html)
        assert titles(await web.get("/teams?tab=archived")) == ["Old"]
    for is_archived, wanted in (("true", ["Old"]), ("false", ["Payments", "Search"])):
        found = (await client.get("/teams", params={"is_archived": is_archived})).json()["data"]
        assert [team["name"] for team in found] == wanted


async def test_a_route_that_was_looked_for_keeps_its_place_and_is_moved_from_there(full: World) -> None:
    """The numbers are those of the whole order, and so is what the buttons do; who may not move them has none."""
    async with browser(full, await full.person("ada", role="admin")) as web:
        assert titles(await web.get("/routes")) == ["Slow", "Fast"]
        found = await web.get("/routes?q=fast")
        assert titles(found) == ["Fast"] and '<span class="ln num">2</span>' in found.html
        form = next(name for name in found.read.forms if name.startswith("move-"))
        moved = await web.do(found, form, {"place": re.findall(r'name="place" value="(\d)"', found.html)[0]})
        assert titles(moved) == ["Fast", "Slow"]
    async with full.db.begin() as tx:
        assert [route.name for route in await alert_queries.routes(tx)] == ["Fast", "Slow"]
    async with browser(full, await full.person("bob")) as web:
        page = await web.get("/routes")
        assert titles(page) == ["Fast", "Slow"] and "c-move" not in page.html


async def test_a_list_is_closed_to_who_may_not_see_it(api: Api, full: World) -> None:
    """F118."""
    guest = await full.person("guest", role="guest")
    client: httpx.AsyncClient = await api.as_(guest)
    async with browser(full, guest) as web:
        for each in LISTS:
            if each.page != "/tokens":
                assert (await web.get(f"{each.page}?q=e")).status in (403, 404), each.page
                assert (await client.get(each.api, params={"q": "e"})).status_code == 403, each.api
