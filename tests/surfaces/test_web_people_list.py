"""The list of people: what narrows it, on the page and in the API alike, and what it does not tell to everybody."""

from __future__ import annotations

import csv
import io
import re
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import Page, browser
from tests.world import World
from tocsin.identity import service as identity
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import TEAM_ID, USER_ID, User
from tocsin.identity.service import teams
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Patience, Refused
from tocsin.notifications import service as notifications


def names(page: Page) -> list[str]:
    return re.findall(r'<a class="ttl" href="/people/[^"]+">([^<]+)</a>', page.html)


def row(page: Page, name: str) -> str:
    """One row as it is read."""
    inner = page.html.partition(f">{name}</a>")[2].partition("</tr>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", inner)).strip()


@pytest.fixture
async def house(api: Api, admin: httpx.AsyncClient) -> dict[str, User]:
    """Root administers. Ada works, Ben is off, Cyd has no contact method, Dan only reads, Eve's method fails."""
    world = api.world
    people = {name: await world.person(name) for name in ("ada", "ben", "eve")}
    people["cyd"] = await world.person("cyd", reachable=False)
    people["dan"] = await world.person("dan", role="stakeholder", reachable=False)
    world.mail.down = Refused("550 no such user", patience=Patience.NONE)
    async with world.db.begin() as tx:
        await notifications.send_test_page(tx, world.root, user_id=people["eve"].id)
    await world.settle()
    world.mail.down = None
    async with world.db.begin() as tx:
        await incidents.update_person(tx, world.root, people["ben"].id, UserChanges(is_active=False), confirmed=True)
        await identity.create_role(tx, world.root, name="Night watch", permissions=["incident.view"])
        await incidents.update_person(tx, world.root, people["eve"].id, UserChanges(role="night-watch"))
    return people


async def team_of(world: World, name: str, *people: User, is_private: bool = False) -> str:
    async with world.db.begin() as tx:
        made = await teams.create_team(
            tx, world.root, name=name, is_private=is_private, members={person.id: None for person in people}
        )
    return TEAM_ID.write(made.id)


async def test_page_and_api_are_narrowed_alike(api: Api, admin: httpx.AsyncClient, house: dict[str, User]) -> None:
    """B16: words in any order in name and e-mail; role, team, state and how somebody is reached; with true counts."""
    payments = await team_of(api.world, "Payments", house["ada"], house["eve"])
    search = await team_of(api.world, "Search", house["cyd"])
    same: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
        ({}, {}, ["Ada", "Ben", "Cyd", "Dan", "Eve", "Root"]),
        ({"q": "example ADA"}, {"q": "example ADA"}, ["Ada"]),
        ({"q": "ada ben"}, {"q": "ada ben"}, []),
        ({"q": "%"}, {"q": "%"}, []),
        ({"role": ["admin", "stakeholder"]}, {"role": ["admin", "stakeholder"]}, ["Dan", "Root"]),
        ({"role": "night-watch"}, {"role": "night-watch"}, ["Eve"]),
        ({"team": payments}, {"team_id": payments}, ["Ada", "Eve"]),
        ({"team": [payments, search]}, {"team_id": [payments, search]}, ["Ada", "Cyd", "Eve"]),
        ({"state": "off"}, {"is_active": "false"}, ["Ben"]),
        ({"state": "active", "team": payments}, {"active_only": "true", "team_id": payments}, ["Ada", "Eve"]),
        ({"reach": "well"}, {"reach": "well"}, ["Ada", "Root"]),
        ({"reach": "failing"}, {"reach": "failing"}, ["Eve"]),
        ({"reach": "none"}, {"reach": "none"}, ["Cyd", "Dan"]),
        ({"reach": ["none", "failing"], "q": "cyd"}, {"reach": ["none", "failing"], "q": "cyd"}, ["Cyd"]),
    ]  # fmt: skip
    async with browser(api.world, house["ada"]) as web:
        for asked, by_api, wanted in same:
            page = await web.get("/people?" + urlencode(asked, doseq=True))
            assert names(page) == wanted, asked
            said = f"{len(wanted)} {'person' if len(wanted) == 1 else 'people'}"
            assert f'id="list-count">{said}<' in page.html if wanted else "Nobody matches" in page.html, asked
            found = (await admin.get("/users", params={**by_api, "sort": "name"})).json()["data"]
            assert [each["name"] for each in found] == wanted, by_api
        newest = names(await web.get("/people?sort=newest"))
        assert newest == [e["name"] for e in (await admin.get("/users", params={"sort": "-created_at"})).json()["data"]]
        assert newest == list(reversed([e["name"] for e in (await admin.get("/users")).json()["data"]]))
    pages: list[str] = []
    cursor: str | None = None
    while cursor is not None or not pages:
        given = {"sort": "name", "limit": 2} | ({"cursor": cursor} if cursor else {})
        answer = (await admin.get("/users", params=given)).json()
        pages += [each["name"] for each in answer["data"]]
        cursor = answer["next_cursor"]
    assert pages == same[0][2]


async def test_a_private_team_is_named_to_nobody_who_does_not_see_it(
    api: Api, admin: httpx.AsyncClient, house: dict[str, User]
) -> None:
    """F118: neither in the column, nor among the choices, nor in the file; and nobody is found by it."""
    secret = await team_of(api.world, "Security", house["ada"], is_private=True)
    async with browser(api.world, house["ada"]) as web:
        page = await web.get("/people")
        assert "Security" in row(page, "Ada") and names(await web.get(f"/people?team={secret}")) == ["Ada"]
    async with browser(api.world, house["cyd"]) as web:
        assert names(await web.get("/people"))[0] == "Ada"
        for path in ("/people", "/people/export.csv"):
            assert "Security" not in (await web.http.get(path)).text
        assert names(await web.get(f"/people?team={secret}")) == []
        assert len((await web.http.get(f"/people/export.csv?team={secret}")).text.splitlines()) == 1
    outside = await api.as_(house["cyd"])
    assert (await outside.get("/users", params={"team_id": secret})).json()["data"] == []
    assert len((await admin.get("/users", params={"team_id": secret})).json()["data"]) == 1


async def test_who_is_never_paged_lacks_nothing(world: World) -> None:
    """C, Person: a stakeholder without a contact method carries no warning, unless something pages them."""
    await world.person("ada")
    await world.person("cyd", reachable=False)
    dan = await world.person("dan", role="stakeholder", reachable=False)
    mine = f"/people/{USER_ID.write(dan.id)}"
    async with browser(world, await world.person("root", role="admin")) as web:
        page = await web.get("/people")
        assert "Not paged" in row(page, "Dan") and "Cannot be paged" not in row(page, "Dan")
        assert "Cannot be paged" in row(page, "Cyd") and "paged" not in row(page, "Ada")
        assert "cannot be paged" not in (await web.get(mine)).html
        policy = await world.policy([dan])
        assert "Cannot be paged" in row(await web.get("/people"), "Dan")
        assert "Dan cannot be paged." in (await web.get(mine)).html
        assert policy


async def test_who_may_work_on_what_a_team_owns_may_be_paged(world: World) -> None:
    """C, Person: by a role in a team as well; an account that is off is asked nothing."""
    dan = await world.person("dan", role="stakeholder", reachable=False)
    async with world.db.begin() as tx:
        await teams.create_team(tx, world.root, name="Payments", members={dan.id: "responder"})
    async with browser(world, await world.person("root", role="admin")) as web:
        assert "Cannot be paged" in row(await web.get("/people"), "Dan")
        async with world.db.begin() as tx:
            await incidents.update_person(tx, world.root, dan.id, UserChanges(is_active=False), confirmed=True)
        assert "Cannot be paged" not in row(await web.get("/people"), "Dan")
        assert "Deactivated" in row(await web.get("/people"), "Dan")


async def test_the_file_has_what_the_list_shows(api: Api, house: dict[str, User]) -> None:
    """B5: as narrowed, in its order, and no cell is a formula."""
    await team_of(api.world, "=1+1", house["ada"])
    async with browser(api.world, house["ada"]) as web:
        answer = await web.http.get("/people/export.csv?state=active")
        table = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [each["Name"] for each in table] == ["Ada", "Cyd", "Dan", "Eve", "Root"]
    assert table[0]["Teams"] == "'=1+1" and table[0]["E-mail"] == house["ada"].email
    assert [each["All of these fail"] for each in table] == ["no", "no", "no", "yes", "no"]
    assert [bool(each["Reached by"]) for each in table] == [True, False, False, True, True]
    guest = await api.world.person("guest", role="guest")
    async with browser(api.world, guest) as web:
        assert (await web.http.get("/people/export.csv")).status_code == 403
