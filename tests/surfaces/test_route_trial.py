"""A route is tried on recent alerts while it is written: it ends in time, and what cannot be decided is said."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest

from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World
from tocsin.alerts import routing
from tocsin.alerts.service import trying
from tocsin.kit.clock import monotonic

# As much as a condition may cost (`kit.conditions`), for alerts with as much text and as many labels as may be.
ASKED = " || ".join(f'description.contains("z{n}")' for n in range(12))
SLOW = f"labels.exists(a, labels.exists(b, {ASKED}))"


@pytest.fixture
async def web(world: World) -> AsyncIterator[Browser]:
    async with browser(world, await world.person("ada", role="admin")) as web:
        yield web


async def tried(web: Browser, condition: str) -> str:
    """Return what the trial says of an expression; the page has it all, and what was written is still there."""
    editor = await web.get("/routes/new")
    page = await web.submit(editor, "new-route", {"do": "test", "name": "Draft", "by": "", "condition": condition})
    assert page.status == 200, page.html[:2000]
    kept = page.read.forms["new-route"]
    assert (kept["name"], kept["condition"]) == (["Draft"], [condition.replace("\r\n", "\n")])
    return words(page)


def words(page: Page) -> str:
    return unescape(
        re.sub(r"<[^>]+>", "", page.html.split('id="trial"')[1].partition("</section>")[0].partition(">")[2])
    )


async def _big_alerts(world: World, number: int) -> None:
    labels = {f"label{n}": "x" * 50 for n in range(64)}
    source = await world.source()
    for n in range(number):
        await world.signal(
            {"title": f"Alert {n}", "key": f"k{n}", "labels": labels, "description": "x y " * 1000}, source
        )


async def test_what_takes_long_ends_in_time_and_says_of_how_many_it_speaks(world: World, web: Browser) -> None:
    """B15: a trial has 0.2 seconds, whatever is written; the rest is not looked at, and one is told so."""
    await _big_alerts(world, 120)
    began = monotonic()
    said = await tried(web, SLOW)
    took = monotonic() - began
    found = re.search(r"Matches 0 of the last (\d+) alerts?; for more there was no time\.", said)
    assert found and 0 < int(found[1]) < 120, said
    assert took < 2, "all 120 take longer than that"


async def test_a_new_route_comes_before_the_catch_all(world: World, web: Browser) -> None:
    """B15: what only the catch-all took so far, it would take."""
    await world.route(None)
    await world.alert("Checkout is down")
    said = await tried(web, "severity <= 5")
    assert "Matches 1 of the last 1" in said and "a route before it" not in said and "taken by" not in said


async def test_routes_before_it_that_take_long_are_bounded_as_well(world: World, web: Browser) -> None:
    for n in range(60):
        await world.route(None, SLOW.replace("z11", f"y{n}"), name=f"Slow {n}")
    await _big_alerts(world, 1)
    began = monotonic()
    said = await tried(web, "severity <= 5")
    assert monotonic() - began < 2
    assert "There was no time to try it: this condition, or that of a route before it, takes too long." in said


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("int(title) > 3", "It could be decided for none of them: Function 'int' error"),
        ('labels.severty == "x"', "labels.severty occurs in none of the last"),
        ("severity / 0 == 1", "It could be decided for none of them: "),
        ("severity <", "cannot be read"),
        ("severity", "must be true or false"),
        ("gravity <= 2", "There is no field “gravity”"),
        ("labels.all(a, labels.all(b, labels.all(c, a == b)))", "may take too long"),
        ("(" * 900 + "true" + ")" * 900, "nested too deeply"),
        ("severity <= 2 && " * 200 + "true", "at most 2,000 are allowed"),
        ('title == "🔥"', "Matches 0 of the last 2 alerts."),
    ],
    ids=lambda each: each[:20],
)
async def test_what_nobody_can_evaluate_answers_a_sentence_and_the_page_stays(
    world: World, web: Browser, condition: str, says: str
) -> None:
    await world.alert("Disk is full", labels={"team": "core"})
    await world.alert("Disk is still full", labels={"team": "core"})
    said = await tried(web, condition)
    assert says in said, said


async def test_the_api_says_for_how_many_it_could_not_be_decided(world: World, web: Browser) -> None:
    await world.alert("Disk is full", labels={"team": "core"})
    await world.alert("7", labels={})
    async with world.db.begin() as tx:
        root = world.root
        found = await trying.try_condition(tx, root, "int(title) == 7")
    assert (found.looked_at, found.matched, found.undecided) == (2, 1, 1)
    assert found.why_undecided.startswith("Function 'int' error") and not found.is_cut
    # Of one that some can be asked about nothing is said: a label that not every alert has is nothing wrong.
    assert "could be decided" not in await tried(web, "int(title) == 7")


async def test_nobody_else_waits_for_more_than_one_alert(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is tried, the process serves others: between two alerts whatever is ready goes on."""
    await _big_alerts(world, 5)
    ticks = 0
    seen: list[int] = []
    facts = routing.facts

    def noted(*given: Any, **more: Any) -> dict[str, object]:
        seen.append(ticks)
        return facts(*given, **more)

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(routing, "facts", noted)
    other = asyncio.create_task(tick())
    async with world.db.begin() as tx:
        await trying.try_condition(tx, world.root, "severity <= 2")
    other.cancel()
    assert len(seen) == 5 and sorted(set(seen)) == seen
