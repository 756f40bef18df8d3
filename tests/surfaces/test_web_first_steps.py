"""What is left to do after the set-up, on the start page of those who may do it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from tests import postgres
from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World, make_world
from tocsin.alerts.model import SOURCE_ID
from tocsin.db.engine import Tx
from tocsin.identity.model import USER_ID, User
from tocsin.web.base import first_queries


@pytest.fixture
async def ada(world: World) -> User:
    return await world.person("ada", role="admin", reachable=False)


@pytest.fixture
async def web(world: World, ada: User) -> AsyncIterator[Browser]:
    async with browser(world, ada) as web:
        yield web


async def steps(web: Browser) -> list[tuple[str, str, str]]:
    """State, address and title of each step on the start page."""
    html = (await web.get("/incidents")).html
    if "first-steps" not in html:
        return []
    card = html.split('id="first-steps"')[1].partition("</section>")[0]
    pattern = re.compile(r'class="step(?: (\w+))?".*?href="([^"]*)">([^<]*)<', re.DOTALL)
    found: list[tuple[str, str, str]] = pattern.findall(card)
    return found


def at(number: int) -> list[str]:
    """How the steps stand when the first so many are done, and no other is."""
    return [*["done"] * number, "now", *[""] * (6 - number)]


async def test_the_steps_tick_themselves_off_and_go_when_all_are_done(world: World, web: Browser, ada: User) -> None:
    me = f"/people/{USER_ID.write(ada.id)}"
    assert await steps(web) == [
        ("now", "/sources", "Add an alert source"),
        ("", "/sources", "Send the first signal"),
        ("", "/policies/new", "Write an escalation policy"),
        ("", "/routes", "Create a route to it"),
        ("", me, "Add a contact method"),
        ("", "/sources", "Receive the first page"),
        ("", "/organisation", "Choose a last resort"),
    ]
    assert "0 of 7 done" in (await web.get("/incidents")).html
    source = await world.source()
    assert [state for state, _, _ in await steps(web)] == at(1)
    assert (await steps(web))[1][1] == (await steps(web))[5][1] == f"/sources/{SOURCE_ID.write(source.id)}"
    await world.signal({"title": "Disk is full", "status": "firing"}, source)
    await world.settle()
    assert [state for state, _, _ in await steps(web)] == at(2)
    policy = await world.policy([ada])
    # What pages nobody is no route to a policy.
    await world.route(None, name="Nobody")
    assert [state for state, _, _ in await steps(web)] == at(3)
    await world.route(policy, "severity <= 5", name="All")
    assert [state for state, _, _ in await steps(web)] == at(4)
    await web.do(await web.get(me), "add-method", {"kind": "webhook", "address": "https://example.org/hook"})
    await world.settle()
    assert [state for state, _, _ in await steps(web)] == at(5)
    await world.signal({"title": "Disk is full again", "status": "firing"}, source)
    assert [state for state, _, _ in await steps(web)] == at(5), "a page that has not left yet is no page"
    await world.settle()
    assert [state for state, _, _ in await steps(web)] == at(6)
    await web.do(await web.get("/organisation"), "fallback-form", {"target": f"user:{USER_ID.write(ada.id)}"})
    assert await steps(web) == []


async def _all_done(world: World, ada: User) -> None:
    bob = await world.person("bob")
    await world.route(await world.policy([bob]))
    await world.alert("Disk is full", severity="critical")
    await world.db.pool.execute("INSERT INTO fallback_target (id, user_id) VALUES (1, $1)", ada.id)


async def test_once_all_is_done_nothing_is_asked_any_more(
    world: World, web: Browser, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B15: what helps on the first day costs nothing on all others, and is right on the first day of the next one."""
    asked = 0
    look = first_queries.set_up_so_far

    async def counted(tx: Tx) -> first_queries.SetUpSoFar:
        nonlocal asked
        asked += 1
        return await look(tx)

    monkeypatch.setattr(first_queries, "set_up_so_far", counted)
    for number in (1, 2):
        assert "Add an alert source" in (await web.get("/sources")).html
        assert asked == number, "it is asked anew as long as something is left"
    await _all_done(world, ada)
    # Whoever may do nothing about it does not ask, and finds out nothing for others.
    async with browser(world, await world.person("cyd")) as other:
        await other.get("/policies")
    assert asked == 2
    for path in ("/sources", "/policies", "/routes", "/alerts", "/people", "/incidents", "/sources"):
        page = await web.get(path)
        assert page.status == 200 and "next-step" not in page.html and "first-steps" not in page.html, path
    assert asked == 3

    # The beginning is over, also when something of it goes.
    await world.db.pool.execute("UPDATE alert_route SET is_enabled = false")
    assert "next-step" not in (await web.get("/routes")).html


async def test_what_one_installation_has_done_another_has_not(
    world: World, web: Browser, ada: User, postgres_dsn: str
) -> None:
    """In one process, too: a fresh organisation is shown its own beginning, while this one has none."""
    await _all_done(world, ada)
    assert "next-step" not in (await web.get("/sources")).html
    async with postgres.fresh(postgres_dsn) as dsn, make_world(dsn) as other:
        eve = await other.person("eve", role="admin", reachable=False)
        async with browser(other, eve) as theirs:
            page = await theirs.get("/sources")
            assert "0 of 7 steps done." in page.html and "Next, on this page: <strong>Add an alert source" in page.html
    assert "next-step" not in (await web.get("/sources")).html


async def test_the_steps_are_for_those_who_may_do_them(world: World) -> None:
    for role in ("responder", "stakeholder"):
        async with browser(world, await world.person(role, role=role, reachable=False)) as web:
            assert await steps(web) == []


async def test_the_steps_stand_on_the_empty_start_page_only(world: World, web: Browser) -> None:
    for path in ("/incidents?tab=resolved", "/incidents?q=radar", "/incidents?severity=1", "/alerts"):
        assert "first-steps" not in (await web.get(path)).html
    await web.do(await web.get("/incidents/new"), "declare-form", {"title": "The radar is off", "severity": "1"})
    assert await steps(web) == []


async def test_each_page_of_a_step_says_how_far_it_is_and_leads_to_the_next(
    world: World, web: Browser, ada: User
) -> None:
    """B15: nobody has to find the way back to the list to learn what is next; who may not do it is told nothing."""
    me = f"/people/{USER_ID.write(ada.id)}"
    for path in (me, "/policies", "/policies/new", "/routes", "/routes/new", "/organisation", "/sources"):
        page = await web.get(path)
        assert "0 of 7 steps done." in page.html and "Add an alert source" in page.html, path
        assert ("Next, on this page" in page.html) is (path == "/sources"), path
        assert ("/sources" in next_of(page)) is (path != "/sources"), path
    assert "next-step" not in (await web.get("/incidents")).html
    source = await world.source()
    page = await web.get("/sources")
    place = f"/sources/{SOURCE_ID.write(source.id)}"
    assert "1 of 7 steps done." in page.html and place in next_of(page)
    assert "Next, on this page: <strong>Send the first signal" in (await web.get(place)).html
    async with browser(world, await world.person("bob", reachable=False)) as other:
        assert "next-step" not in (await other.get("/policies")).html


def next_of(page: Page) -> list[str]:
    """Where the line of the next step leads."""
    line = page.html.split('id="next-step"')[1].partition("</div></div>")[0]
    return re.findall(r'href="([^"]*)"', line)
