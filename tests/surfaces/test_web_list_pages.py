"""Lists are read page by page, by the key of a row: onwards, and back the way one came."""

from __future__ import annotations

import re
from html import unescape
from itertools import pairwise

import pytest

from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World
from tocsin.edge.cursors import write_place
from tocsin.identity import service as identity
from tocsin.incidents import service as incidents
from tocsin.web.base import pages

A_PAGE = 3


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_SIZE", A_PAGE)


def rows(page: Page) -> list[str]:
    return re.findall(r'<tr id="row-([^"]+)"', page.html)


def beside(page: Page, way: str) -> str:
    """Where “Previous page” or “Next page” leads; empty where it is not offered."""
    found = re.search(rf'rel="{way}" href="([^"]+)"', page.html)
    return unescape(found[1]) if found else ""


async def through(web: Browser, path: str) -> list[Page]:
    """All pages of a list, from the first to the last."""
    found = [await web.get(path)]
    while onwards := beside(found[-1], "next"):
        found.append(await web.get(onwards))
    return found


async def goes_back(web: Browser, path: str, number: int) -> list[str]:
    """Go to the end of a list and back, which is the same pages once more; returns all rows."""
    there = await through(web, path)
    assert [len(rows(page)) for page in there[:-1]] == [A_PAGE] * (len(there) - 1)
    everything = [row for page in there for row in rows(page)]
    assert len(set(everything)) == len(everything) == number
    back = [there[-1]]
    while previous := beside(back[-1], "prev"):
        back.append(await web.get(previous))
    assert [rows(page) for page in back] == [rows(page) for page in reversed(there)]
    for page, before in pairwise(reversed(back)):
        assert beside(page, "next") and beside(before, "prev")
    return everything


async def test_alerts_are_paged_back_by_answer_and_by_age(world: World) -> None:
    """B5: from the last page to the first, in either order, with words, and a short word that is looked for apart."""
    ada = await world.person("ada")
    for n in range(8):
        await world.alert(f"Disk {n} x", severity=1 + n % 3)
    async with browser(world, ada) as web:
        by_answer = await goes_back(web, "/alerts", 8)
        newest = await goes_back(web, "/alerts?sort=newest", 8)
        assert newest == sorted(newest, reverse=True) != by_answer
        assert await goes_back(web, "/alerts?tab=all&q=disk", 8) == newest
        assert await goes_back(web, "/alerts?tab=all&q=x", 8) == newest


async def test_incidents_are_paged_back_by_severity_and_by_age(world: World) -> None:
    """B5: several of one severity, and several severities, so that a page ends within one and between two."""
    ada = await world.person("ada")
    for n in range(8):
        async with world.db.begin() as tx:
            await incidents.declare(tx, world.actor(ada), title=f"Disk {n} x", severity=1 + n % 3)
    async with browser(world, ada) as web:
        by_severity = await goes_back(web, "/incidents", 8)
        newest = await goes_back(web, "/incidents?tab=all", 8)
        assert newest == sorted(newest, reverse=True) != by_severity
        assert await goes_back(web, "/incidents?q=disk", 8) == by_severity
        assert await goes_back(web, "/incidents?tab=all&q=x", 8) == newest


async def test_what_comes_meanwhile_moves_no_page_and_is_found_by_going_back(world: World) -> None:
    """B5: by key and not by number: the page behind a row is the same, and new rows are in front of it."""
    ada = await world.person("ada")
    for n in range(4):
        await world.alert(f"Disk {n}")
    async with browser(world, ada) as web:
        first = await web.get("/alerts?sort=newest")
        onwards = beside(first, "next")
        second = await web.get(onwards)
        for n in range(4, 6):
            await world.alert(f"Disk {n}")
        again = await web.get(onwards)
        assert rows(again) == rows(second)
        assert rows(await web.get(beside(again, "prev"))) == rows(first)
        # Its own place of a page that shows less than the first one is the first one.
        newer = await web.get(beside(await web.get(beside(again, "prev")), "prev"))
        assert rows(newer)[0] == "ALR-6" and len(rows(newer)) == A_PAGE and not beside(newer, "prev")


async def test_a_place_that_is_none_shows_the_list_from_its_start(world: World) -> None:
    """What is not of this list, or has nothing behind it any more."""
    ada = await world.person("ada")
    for n in range(4):
        await world.alert(f"Disk {n}")
    async with browser(world, ada) as web:
        start = rows(await web.get("/alerts?sort=newest"))
        far = ("9999-01-01T00:00:00Z", "00000000-0000-7000-8000-000000000000")
        past = ("2000-01-01T00:00:00Z", "00000000-0000-7000-8000-000000000000")
        for place in ("x", write_place(far), write_place([1]), write_place(past)):
            assert rows(await web.get(f"/alerts?sort=newest&before={place}")) == start, place
        for place in ("x", write_place(far), write_place([1])):
            assert rows(await web.get(f"/alerts?sort=newest&after={place}")) == start, place


async def test_a_place_beyond_all_numbers_is_none(world: World) -> None:
    """The store has no such number, and is not asked for it."""
    ada = await world.person("ada")
    for n in range(4):
        await world.alert(f"Disk {n}")
        async with world.db.begin() as tx:
            await incidents.declare(tx, world.actor(ada), title=f"Incident {n}")
    at, id = "2026-01-01T00:00:00Z", "00000000-0000-7000-8000-000000000000"
    far = [10**30, -(10**30), 2**63]
    async with browser(world, ada) as web:
        for path, beyond in (
            ("/alerts?", [(n, 1, at, id) for n in far] + [(1, n, at, id) for n in far]),
            ("/incidents?", [(n, at, id) for n in far]),
            ("/incidents?tab=all&", [(n, at, id) for n in far]),
        ):
            start = rows(await web.get(path))
            for place in map(write_place, beyond):
                for way in ("before", "after"):
                    assert rows(await web.get(f"{path}{way}={place}")) == start, (path, way, place)


async def test_people_are_paged_back_by_name_and_by_age(world: World) -> None:
    """B16: also those whose names are written alike."""
    ada = await world.person("ada")
    for name in ("ben", "zoe", "cyd", "dan", "eve", "fay"):
        await world.person(name)
    async with world.db.begin() as tx:
        for n in range(2):
            await identity.create_user(tx, world.root, email=f"{n}@example.org", name="CYD", role="guest")
    async with browser(world, ada) as web:
        await goes_back(web, "/people", 9)
        await goes_back(web, "/people?sort=newest", 9)
        await goes_back(web, "/people?q=example", 9)
