"""What somebody who came by the link of a page finds there: every link leads somewhere, and the page is live."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection
from html.parser import HTMLParser
from urllib.parse import urldefrag, urlsplit

import pytest
from litestar.routes import HTTPRoute

from tests.processes import PATIENCE
from tests.surfaces.open_streams import Stream, data_of, newest, opened_with
from tests.surfaces.test_page_link import Night, declared, night, opened
from tests.surfaces.web_client import Browser, browser
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID
from tocsin.app import make_site
from tocsin.identity import service as identity
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.incidents.model import INCIDENT_ID, CancelReason, Incident
from tocsin.oncall.escalation import PageTarget

__all__ = ["night"]


class _Links(HTMLParser):
    """Whatever a page offers to go to or to send to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.forms: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.places.add(given.get("href", ""))
        for name in ("hx-get", "data-similar", "data-search", "data-pick", "data-url"):
            if name in given:
                self.places.add(given[name])
        if tag == "form":
            self.forms.add(given.get("action", ""))
        for name in ("formaction", "hx-post"):
            if name in given:
                self.forms.add(given[name])


async def crawled(web: Browser, start: str) -> tuple[dict[str, int], set[str]]:
    """Follow every link from there, and from what it leads to; returns their answers, and where forms are sent.

    What is refused stands there with the page that leads to it.
    """
    answers: dict[str, int] = {}
    forms: set[str] = set()
    todo = [(start, "")]
    while todo:
        place, from_ = todo.pop()
        # A stream has no end; it has tests of its own.
        if place in answers or urlsplit(place).path == "/live":
            continue
        page = await web.fetch(place)
        answers[place if page.status == 200 else f"{place} on {from_}"] = page.status
        if page.status != 200 or urlsplit(place).path == "/sign-in" or place.startswith("/static/"):
            continue
        found = _Links(page.html)
        forms |= found.forms
        for each in found.places:
            path = urldefrag(each).url
            if path.startswith("/"):
                todo.append((path, place))
    return answers, forms


def _opens(method: str, path: str) -> bool:
    """Say whether the handler for this is one for page links, or for nobody in particular."""
    for route in make_site().routes:
        if isinstance(route, HTTPRoute) and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", route.path_format), path):
            for handler in route.route_handlers:
                if method in handler.http_methods and (handler.opt.get("by_link") or path == "/sign-out"):
                    return True
    return False


async def _as_much_as_there_can_be(world: World, night: Night) -> Incident:
    """An incident with all that pages show: tags, teams, people, alerts, duplicates, comments, links."""
    incident = await declared(world, night.bob, alert_id=night.alert.id, page_others=True, title="Checkout")
    other = await world.alert("Search is slow", labels={"team": "core"})
    twin = await declared(world, night.bob, title="Checkout is down as well")
    carol = await world.person("carol")
    async with world.db.begin() as tx:
        bob = world.actor(night.bob)
        await incidents.link_alerts(tx, bob, incident.id, [other.id])
        changes = incidents.IncidentChanges(
            tags=["checkout", "eu"], summary="See [the wiki](https://wiki.example.org)."
        )
        await incidents.update(tx, bob, incident.id, changes)
        await incidents.cancel(tx, bob, twin.id, CancelReason.DUPLICATE, duplicate_of=incident.id)
        written = await incidents.comment(tx, bob, incident.id, f"Look at {incident.reference} and ALR-1.")
        await incidents.edit_comment(tx, bob, incident.id, written.comment.id, "Look at it.")
        await incidents.page(tx, bob, incident.id, [PageTarget("user", carol.id)])
        for n in range(60):
            await incidents.comment(tx, bob, incident.id, f"Comment {n}")
    await world.settle()
    return incident


async def test_no_link_on_what_a_page_link_opens_is_refused(world: World, night: Night) -> None:
    """B7: tags, people, sources, policies are words there, not links to a wall; and no form is one."""
    async with browser(world) as web:
        await opened(web, night.link)
        alone, forms = await crawled(web, night.page)
        assert f"/incidents/new?alert={ALERT_ID.write(night.alert.id)}" in alone
        incident = await _as_much_as_there_can_be(world, night)
        with_incident, more = await crawled(web, night.page)
    place = f"/incidents/{incident.reference}"
    assert {place, f"{place}/facts", f"{place}/alerts", f"{place}?show=key"} <= with_incident.keys()
    assert any("before=" in each for each in with_incident), "the next page of the timeline, too"
    answers = alone | with_incident
    assert {path: status for path, status in answers.items() if status != 200} == {}
    assert len(forms | more) > 3
    assert [path for path in forms | more if not _opens("POST", urlsplit(path).path)] == []


async def test_what_is_no_link_there_still_says_what_it_is(world: World, night: Night) -> None:
    incident = await _as_much_as_there_can_be(world, night)
    async with browser(world) as web:
        await opened(web, night.link)
        page = await web.get(f"/incidents/{incident.reference}")
        assert '<span class="tag">checkout</span>' in page.html
        # Of the other alert, and of the duplicate, nothing is said to who came by the link of this one.
        facts = await web.get(f"/incidents/{incident.reference}/facts")
        listed = await web.get(f"/incidents/{incident.reference}/alerts")
        for each in (page, facts, listed):
            assert "Search is slow" not in each.html and "down as well" not in each.html
        assert "Checkout is down" in listed.html and "Bob" in facts.html
        source = (await web.get(night.page)).html
        assert "Source" in source and "/sources/" not in source and "/policies/" not in source


def _cookie(web: Browser) -> dict[str, str]:
    return {"cookie": f"tocsin_page_link={web.http.cookies['tocsin_page_link']}"}


def _topics(message: str) -> set[str]:
    return set(data_of(message)["topics"])


async def test_the_page_says_how_it_is_told_of_what_others_do(world: World, night: Night) -> None:
    async with browser(world) as web:
        page = await opened(web, night.link)
        assert f'data-live="{ALERT_ID.write(night.alert.id)}"' in page.html
        assert 'id="live"' in page.html and f'id="refresh" hidden hx-get="{night.page}"' in page.html
        assert "data-live-state" in page.html
        # What it has already does not come again, and what stands around it neither.
        known = ",".join(re.findall(r'data-digest="(\w+)"', page.html))
        update = await web.get(night.page, **{"x-known": known, "hx-request": "true"})
        assert "<!doctype" not in update.html and 'id="live"' not in update.html and "data-same" in update.html
        assert len(update.html) < len(page.html) / 2


async def test_the_stream_tells_of_that_alert_and_its_incident_and_of_nothing_else(world: World, night: Night) -> None:
    """B7: live as for everybody, within what the link opens: not even the ids of other things, and no counts."""
    other = await world.alert("Search is slow")
    incident = await declared(world, night.bob, alert_id=night.alert.id, page_others=True)
    secret = await declared(world, night.bob, title="Something else")
    async with browser(world) as web:
        await opened(web, night.link)
        cookie = _cookie(web)
    async with opened_with(world, "/live", **cookie, **{"last-event-id": await newest(world)}) as stream:
        assert data_of(await stream.next()) == {"topics": []}
        bob = world.actor(night.bob)
        heard: set[str] = set()
        mine = {"incidents", INCIDENT_ID.write(incident.id)}
        # Ada is paged for something else, and others work on that and on what is in her incident beside her alert.
        third = await world.alert("Mail is slow")
        async with world.db.begin() as tx:
            await incidents.comment(tx, bob, secret.id, "Not for the link.")
            await alerts.acknowledge(tx, bob, third.id)
            await incidents.link_alerts(tx, bob, incident.id, [other.id])
            await incidents.comment(tx, bob, incident.id, "For the link.")
        place = await newest(world)
        while not heard >= mine:
            message = await stream.told()
            assert data_of(message).keys() == {"topics"}
            heard |= _topics(message)
        assert heard == mine
        async with world.db.begin() as tx:
            await alerts.acknowledge(tx, bob, night.alert.id)
        assert {"alerts", ALERT_ID.write(night.alert.id)} <= _topics(await stream.after(place))


async def _ended(stream: Stream) -> None:
    async with asyncio.timeout(PATIENCE):
        await stream.over.wait()


async def _looked_at(world: World, times: int) -> None:
    """Wait until it has been asked so often who may still read."""
    assert world.app.context is not None
    readers = world.app.context.readers
    asked = readers._still_good  # pyright: ignore[reportPrivateUsage]
    enough = asyncio.Event()
    left = times

    async def counted(of: Collection[Actor]) -> Collection[Actor]:
        nonlocal left
        left -= 1
        if not left:
            enough.set()
        return await asked(of)

    readers._still_good = counted  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(PATIENCE):
        await enough.wait()
    readers._still_good = asked  # pyright: ignore[reportPrivateUsage]


async def _end(world: World, night: Night) -> None:
    async with world.db.begin() as tx:
        await identity.revoke_other_sessions(tx, Actor.person(night.ada))


async def _remove_the_address(world: World, night: Night) -> None:
    await world.db.pool.execute("UPDATE delivery SET address = 'somebody-else@example.org'")


async def _hour(world: World, night: Night) -> None:
    await world.pass_time(minutes(61), settle=False)


@pytest.mark.parametrize("end", [_end, _remove_the_address, _hour], ids=lambda end: end.__name__.strip("_"))
async def test_the_stream_is_over_when_the_visit_is(
    world: World, night: Night, end: Callable[[World, Night], Awaitable[None]]
) -> None:
    async with browser(world) as web:
        await opened(web, night.link)
        cookie = _cookie(web)
    async with opened_with(world, "/live", **cookie) as stream:
        await stream.next()
        await _looked_at(world, 3)
        assert not stream.over.is_set(), "who may read goes on reading"
        await end(world, night)
        await _ended(stream)
    async with opened_with(world, "/live", **cookie) as again:
        async with asyncio.timeout(PATIENCE):
            await again.answered.wait()
        assert again.status == 401


async def test_what_the_link_opens_later_is_told_as_well(world: World, night: Night) -> None:
    """Somebody declares: the stream ends, and the one that follows knows the incident."""
    async with browser(world) as web:
        await opened(web, night.link)
        cookie = _cookie(web)
    async with opened_with(world, "/live", **cookie) as stream:
        await stream.next()
        incident = await declared(world, night.bob, alert_id=night.alert.id, page_others=True)
        assert ALERT_ID.write(night.alert.id) in _topics(await stream.told())
        await _ended(stream)
    async with opened_with(world, "/live", **cookie, **{"last-event-id": await newest(world)}) as stream:
        await stream.next()
        async with world.db.begin() as tx:
            await incidents.comment(tx, world.actor(night.bob), incident.id, "Here.")
        assert INCIDENT_ID.write(incident.id) in _topics(await stream.told())


async def test_the_api_knows_nobody_by_it_not_even_for_what_the_link_opens(world: World, night: Night) -> None:
    incident = await declared(world, night.bob, alert_id=night.alert.id, page_others=True)
    alert, number = ALERT_ID.write(night.alert.id), incident.reference
    async with browser(world) as web:
        page = await opened(web, night.link)
        assert page.status == 200
        token = page.read.forms["acknowledge"]["_csrf_token"][0]
        for path in (f"/alerts/{alert}", f"/alerts/{alert}/explain", f"/incidents/{number}", "/stream", "/me"):
            answer = await web.http.get(f"/api/v1{path}")
            assert answer.status_code == 401, path
        for path in (f"/alerts/{alert}/actions/acknowledge", f"/incidents/{number}/comments"):
            headers = {"x-csrf-token": token, "origin": "http://127.0.0.1:8700"}
            answer = await web.http.post(f"/api/v1{path}", json={"body": "Here."}, headers=headers)
            assert answer.status_code == 401, path
    assert (await world.again(night.alert)).status == "triggered"


async def test_after_the_end_one_looks_and_begins_nothing(world: World, night: Night) -> None:
    """Who opened it before sees that it is over; nothing is taken on or given back, and no declaring is offered."""
    async with browser(world) as web:
        page = await opened(web, night.link)
        token = page.read.forms["acknowledge"]["_csrf_token"][0]
        async with world.db.begin() as tx:
            await alerts.resolve(tx, world.actor(night.bob), night.alert.id)
        page = await web.get(night.page)
        assert page.status == 200 and "Resolved" in page.html
        assert not {"acknowledge", "unacknowledge", "answer-ack"} & page.read.forms.keys()
        assert "/incidents/new" not in "".join(page.read.links)
        for act in ("acknowledge", "unacknowledge"):
            assert (await web.send(f"{night.page}/{act}", {"_csrf_token": token})).status == 409
    assert (await world.again(night.alert)).status == "resolved"


async def test_of_an_incident_that_is_over_one_reads_and_may_add_what_one_knows(world: World, night: Night) -> None:
    incident = await declared(world, night.bob, alert_id=night.alert.id, page_others=True)
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(night.bob), incident.id, "Rolled back.")
    async with browser(world) as web:
        page = await opened(web, night.link)
        page = await web.get(f"/incidents/{incident.reference}")
        assert page.status == 200 and "Rolled back." in page.html
        assert not {"acknowledge", "reopen", "answer-ack"} & page.read.forms.keys()
        page = await web.do(page, "composer", {"body": "It was the pump."})
        assert "It was the pump." in page.html
        token = page.read.forms["composer"]["_csrf_token"][0]
        assert (await web.send(f"/incidents/{incident.reference}/reopen", {"_csrf_token": token})).status == 403
    assert await world.db.pool.fetchval("SELECT status FROM incident") == "resolved"
