"""What is left to do after the set-up, on the start page of those who may do it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from tests.surfaces.web_client import Browser, browser
from tests.world import World
from tocsin.alerts.model import SOURCE_ID
from tocsin.identity.model import USER_ID, User


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


async def test_the_steps_tick_themselves_off_and_go_when_all_are_done(world: World, web: Browser, ada: User) -> None:
    me = f"/people/{USER_ID.write(ada.id)}"
    assert await steps(web) == [
        ("now", me, "Add a contact method"),
        ("", "/policies/new", "Write an escalation policy"),
        ("", "/routes", "Create a route to it"),
        ("", "/organisation", "Choose a last resort"),
        ("", "/sources", "Add an alert source"),
        ("", "/sources", "Send the first signal"),
    ]
    assert "0 of 6 done" in (await web.get("/incidents")).html
    source = await world.source()
    assert [state for state, _, _ in await steps(web)] == ["now", "", "", "", "done", ""]
    assert (await steps(web))[5][1] == f"/sources/{SOURCE_ID.write(source.id)}"
    page = await web.get(me)
    await web.do(page, "add-method", {"kind": "webhook", "address": "https://example.org/hook"})
    assert [state for state, _, _ in await steps(web)] == ["done", "now", "", "", "done", ""]
    policy = await world.policy([ada])
    await world.route(None)
    assert [state for state, _, _ in await steps(web)] == ["done", "done", "now", "", "done", ""]
    await world.route(policy, "severity <= 5", name="All")
    assert [state for state, _, _ in await steps(web)] == ["done", "done", "done", "now", "done", ""]
    await web.do(await web.get("/organisation"), "fallback-form", {"target": f"user:{USER_ID.write(ada.id)}"})
    assert [state for state, _, _ in await steps(web)] == ["done", "done", "done", "done", "done", "now"]
    await world.signal({"title": "Disk is full", "status": "firing"}, source)
    assert await steps(web) == []


async def test_the_steps_are_for_those_who_may_do_them(world: World) -> None:
    for role in ("responder", "stakeholder"):
        async with browser(world, await world.person(role, role=role, reachable=False)) as web:
            assert await steps(web) == []


async def test_the_steps_stand_on_the_empty_start_page_only(world: World, web: Browser) -> None:
    for path in ("/incidents?tab=resolved", "/incidents?q=radar", "/incidents?severity=1", "/alerts"):
        assert "first-steps" not in (await web.get(path)).html
    await web.do(await web.get("/incidents/new"), "declare-form", {"title": "The radar is off", "severity": "1"})
    assert await steps(web) == []


async def test_each_page_of_a_step_says_how_far_it_is_and_what_comes_next(
    world: World, web: Browser, ada: User
) -> None:
    """B15: nobody has to find the way back to the list to learn what is next; who may not do it is told nothing."""
    me = f"/people/{USER_ID.write(ada.id)}"
    for path in (me, "/policies", "/policies/new", "/routes", "/routes/new", "/organisation", "/sources"):
        page = await web.get(path)
        assert "Step 0 of 6 done. Next" in page.html and "Add a contact method" in page.html, path
        assert ("Next, on this page" in page.html) is (path == me), path
    assert "next-step" not in (await web.get("/incidents")).html
    await web.do(await web.get(me), "add-method", {"kind": "webhook", "address": "https://example.org/hook"})
    page = await web.get(me)
    assert "Step 1 of 6 done" in page.html and 'href="/policies/new">Write an escalation policy' in page.html
    assert "Next, on this page" in (await web.get("/policies/new")).html
    async with browser(world, await world.person("bob", reachable=False)) as other:
        assert "next-step" not in (await other.get("/policies")).html
