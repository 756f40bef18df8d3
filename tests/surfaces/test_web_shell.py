"""What stands around every page: the bar “You are being paged”, the way on from an error, search, and the settings."""

from __future__ import annotations

import re

import pytest

from tests.surfaces.web_client import Page, browser
from tests.world import World
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents


def token(page: Page) -> str:
    found = re.search(r'name="_csrf_token" value="([^"]+)"', page.html)
    assert found
    return found[1]


PLACES = ["/inbox", "/incidents", "/alerts", "/people", "/settings", "/search"]


@pytest.mark.parametrize("path", PLACES)
async def test_whoever_is_paged_reads_it_on_every_page(world: World, path: str) -> None:
    """F061: what about, since when, who is next; nobody else reads it."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    await world.alert("Disk is full")
    async with browser(world, ada) as web:
        page = await web.fetch(path)
        assert "You are being paged:" in page.html and "Disk is full" in page.html and "then Bob" in page.html
        assert re.search(r"<title>\(1\) ", page.html)
    async with browser(world, bob) as web:
        page = await web.fetch(path)
        assert "You are being paged" not in page.html and not re.search(r"<title>\(\d", page.html)


async def test_a_page_is_answered_from_where_one_is(world: World) -> None:
    """F061: acknowledging leads back, and is done once."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert("Disk is full")
    async with browser(world, ada) as web:
        page = await web.fetch("/people")
        found = re.search(r'action="(/inbox/pag_\w+)"', page.html)
        assert found
        answer = await web.send(
            found[1], {"do": "ack", "_csrf_token": token(page)}, referer="http://127.0.0.1:8700/people?q=x"
        )
        assert (answer.status, answer.location) == (303, "/people?q=x")
        assert (await world.again(alert)).acknowledged_by == "Ada"
        assert "You are being paged" not in (await web.fetch("/people")).html


async def test_nobody_answers_the_page_of_somebody_else(world: World) -> None:
    """F115."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert("Disk is full")
    async with browser(world, ada) as web:
        found = re.search(r'action="(/inbox/pag_\w+)"', (await web.fetch("/people")).html)
    assert found
    async with browser(world, bob) as web:
        page = await web.fetch("/people")
        assert (await web.send(found[1], {"do": "decline", "_csrf_token": token(page)})).status in (403, 404)
    assert (await world.again(alert)).status == "triggered"


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/incidents/INC-99", 404), ("/organisation", 403)])
async def test_an_error_leaves_the_way_on(world: World, path: str, status: int) -> None:
    """F117: whoever is signed in has the menu there, and only what they may open in it."""
    guest = await world.person("cleo", role="stakeholder")
    async with browser(world, guest) as web:
        page = await web.fetch(path)
        assert page.status == status and 'aria-label="Main"' in page.html and "/sources" not in page.html
    async with browser(world) as web:
        assert 'aria-label="Main"' not in (await web.fetch("/nowhere")).html


async def test_search_finds_what_one_may_see_by_number_and_by_words(world: World) -> None:
    """F116: an exact number comes first, and nothing that is hidden comes at all."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="guest")
    await world.policy([ada], name="Night")
    await world.alert("Disk of the ledger is full")
    async with world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(ada), title="Ledger is late")
    async with browser(world, ada) as web:
        page = (await web.fetch("/search?q=ledger")).html
        assert "Ledger is late" in page and "Disk of the ledger" in page
        assert re.findall(r"hits-1\">(\w+)<", (await web.fetch("/search?q=alr-1")).html) == ["Alerts"]
        assert re.findall(r"hits-1\">(\w+)<", (await web.fetch("/search?q=inc-1")).html) == ["Incidents"]
        assert ">Sessions<" in (await web.fetch("/search?q=signed+where")).html and ">Sessions<" not in page
        assert "Nothing matches" in (await web.fetch("/search?q=zzzz")).html
    async with browser(world, cleo) as web:
        page = (await web.fetch("/search?q=ledger")).html
        assert "Ledger is late" not in page and "Disk of the ledger" not in page
        for words in ("ada", "night"):
            assert "hits-1" not in (await web.fetch(f"/search?q={words}")).html, words


async def test_a_field_offers_only_what_one_may_look_for(world: World) -> None:
    """F116: whoever may not see people, policies or teams finds none by what a field asks for."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="guest")
    kinds = ("people", "targets", "colleagues", "pageable", "holders", "policies", "teams")
    async with browser(world, ada) as web:
        assert {(await web.fetch(f"/pick/{kind}?q=a")).status for kind in kinds} == {200}
    async with browser(world, cleo) as web:
        assert {(await web.fetch(f"/pick/{kind}?q=a")).status for kind in kinds} == {404}


@pytest.mark.parametrize("theme", ["", "light", "dark"])
async def test_how_a_browser_shows_it_is_kept_and_taken_back(world: World, theme: str) -> None:
    """F117: also back to what the system has; a theme that there is not is none."""
    ada = await world.person("ada")
    async with browser(world, ada) as web:
        form = await web.fetch("/settings/appearance")
        await web.submit(form, "appearance", {"theme": "dark"})
        await web.submit(form, "appearance", {"theme": theme, "keys": "1"})
        page = (await web.fetch("/incidents")).html
        assert (f'data-theme="{theme}"' in page) is bool(theme) and 'data-keys="off"' not in page
        sent = {"_csrf_token": token(form), "theme": "<script>"}
        await web.send("/settings/appearance", sent)
        page = (await web.fetch("/incidents")).html
        assert "data-theme=" not in page and 'data-keys="off"' in page


async def test_an_update_brings_what_has_changed_and_nothing_else(world: World) -> None:
    """F061: the shell is there already, and so is every part that is the same."""
    ada = await world.person("ada")
    async with browser(world, ada) as web:
        whole = (await web.fetch("/inbox")).html
        part = await web.http.get("/inbox", headers={"x-known": "none"})
        assert 'id="page"' in part.text and 'id="toasts"' in part.text
        assert "<aside" not in part.text and "<html" not in part.text and len(part.text) < len(whole) / 2


async def test_each_page_that_waits_counts_down_and_several_are_answered_at_once(world: World) -> None:
    """12: however many they are; the link leads to a list in which they can be selected."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    for n in range(5):
        await world.alert(f"Crane {n} stands")
    await world.settle()
    async with browser(world, ada) as web:
        page = await web.get("/inbox")
        waiting = page.html.partition('id="waiting-h"')[2].partition("</section>")[0]
        assert waiting.count("data-countdown-to") == 5
        (several,) = [link for link in page.read.links if "mine=1" in link]
        shown = await web.get(several)
        assert len(re.findall(r'<tr id="row-ALR-\d+', shown.html)) == 5
