"""By the link of a page into Tocsin without signing in: what it opens, to whom, for how long, and nothing beside."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx
import pytest
from litestar.routes import HTTPRoute

from tests.surfaces.test_web_acknowledge import link_of
from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World, minutes
from tocsin.alerts.model import ALERT_ID, ROUTE_ID, SOURCE_ID, Alert
from tocsin.app import make_site
from tocsin.edge.rights import Right
from tocsin.events import log, words
from tocsin.identity import service as identity
from tocsin.identity.access import ResourceKind
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, User
from tocsin.identity.service import teams
from tocsin.identity.service.owners import Owners
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.notifications import service as notifications
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import PAGE_ID, POLICY_ID

# Everything that a page link opens; whoever adds to it says so in docs/security.md.
OPENED = {
    ("GET", "/alerts/{id}"),
    ("POST", "/alerts/{id}/acknowledge"),
    ("POST", "/alerts/{id}/unacknowledge"),
    ("POST", "/alerts/{id}/answer"),
    ("GET", "/incidents/{ref}"),
    ("GET", "/incidents/{ref}/alerts"),
    ("GET", "/incidents/{ref}/facts"),
    ("GET", "/live"),
    ("POST", "/incidents/{ref}/comments"),
    ("POST", "/incidents/{ref}/answer"),
    ("POST", "/incidents/{ref}/acknowledge"),
    ("GET", "/incidents/new"),
    ("POST", "/incidents"),
}


@dataclass
class Night:
    """Ada was paged about an alert, and holds the link."""

    ada: User
    bob: User
    alert: Alert
    link: str

    @property
    def page(self) -> str:
        return ALERT_ID.page(self.alert.id)


@pytest.fixture
async def night(world: World) -> Night:
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada]))
    alert = await world.alert("Checkout is down", description="Orders fail.")
    return Night(ada, bob, alert, link_of(world, ada))


async def opened(web: Browser, link: str, **changes: str) -> Page:
    """Press on the screen behind the link what opens it."""
    page = await web.get(link)
    assert (page.status == 200 and "formaction" in page.html) or "/open" in page.html
    answer = await web.send(f"{link}/open", changes)
    assert answer.status == 303, answer.html
    return await web.get(answer.location)


def shuts(page: Page) -> bool:
    """Say whether one is asked to sign in."""
    return page.path.startswith("/sign-in")


async def declared(world: World, by: User, **fields: object) -> Incident:
    async with world.db.begin() as tx:
        return await incidents.declare(tx, world.actor(by), **fields)  # type: ignore[arg-type]


async def test_one_press_opens_the_alert_and_looking_at_the_link_does_not(world: World, night: Night) -> None:
    """Mail scanners and previews open links: what they get opens nothing."""
    async with browser(world) as web:
        for _ in range(2):
            await web.get(night.link)
            await web.head(night.link)
            assert shuts(await web.get(night.page))
        assert await world.db.pool.fetchval("SELECT count(*) FROM session") == 0

        page = await opened(web, night.link)
        assert page.path == night.page and "Checkout is down" in page.html and "by page link until" in page.html
        assert page.read.refused == []
        assert "/sources" not in [link for link in page.read.links] and 'class="side"' not in page.html
    assert (await world.again(night.alert)).status == "triggered"


async def test_the_cookie_is_kept_from_scripts_and_from_other_sites(world: World, night: Night) -> None:
    async with browser(world) as web:
        kept = (await web.send(f"{night.link}/open", {})).headers["set-cookie"]
    assert re.search(r"^tocsin_page_link=", kept)
    assert "HttpOnly" in kept and "SameSite=strict" in kept and "Path=/;" in kept and "Max-Age=3600" in kept


async def test_one_declares_and_comments_and_the_record_says_that_it_was_by_page_link(
    world: World, night: Night
) -> None:
    """In the words of the timeline, in the data of the event and in the API."""
    async with browser(world) as web:
        form = await opened(web, night.link, to="declare")
        assert form.path.startswith("/incidents/new?alert=")
        page = await web.do(form, "declare-form", {"title": "Checkout"})
        assert page.path == "/incidents/INC-1" and "by page link until" in page.html
        page = await web.do(page, "composer", {"body": "I look at the **gateway**."})
        assert "<strong>gateway</strong>" in page.html and '<span class="xs muted">by page link</span>' in page.html
        # Who writes without having signed in cannot write it anew.
        assert "/comments/com_" not in page.html

    events = await world.db.pool.fetch(
        "SELECT name, actor_name, data->>'via' AS via FROM event WHERE actor_id = $1", night.ada.id
    )
    said = {row["name"]: row["via"] for row in events}
    assert {"user.signed_in", "incident.declared", "alert.acknowledged", "incident.comment_added"} <= said.keys()
    assert set(said.values()) == {"page_link"}
    async with world.db.begin() as tx:
        told = [words.describe(e.name, e.actor_name, e.data).text for e in await log.newest_first(tx, limit=30)]
    assert "Ada declared INC-1 from an alert (by page link)" in told or any(
        "declared INC-1" in text and text.endswith("(by page link)") for text in told
    ), told
    root = await world.person("root", role="admin")
    async with world.db.begin() as tx:
        _, secret = await identity.create_token(tx, world.root, user_id=root.id, name="t", scopes=[])
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as http:
        answer = await http.get("/api/v1/incidents/INC-1/timeline", headers={"authorization": f"Bearer {secret}"})
        entries = answer.json()["data"]
    assert {entry["actor"]["via"] for entry in entries if entry["actor"]["name"] == "Ada"} == {"page_link"}

    async with browser(world, night.ada) as web:
        page = await web.get("/incidents/INC-1")
        await web.do(page, "composer", {"body": "Signed in now."})
    newest = await world.db.pool.fetchrow("SELECT data FROM event ORDER BY position DESC LIMIT 1")
    assert "via" not in newest["data"]


async def test_one_acknowledges_gives_back_and_answers_there_and_resolves_not(world: World, night: Night) -> None:
    async with browser(world) as web:
        page = await opened(web, night.link)
        await web.do(page, "acknowledge")
        assert (await world.again(night.alert)).acknowledged_by == "Ada"
        await web.do(await web.get(night.page), "unacknowledge")
        assert (await world.again(night.alert)).status == "triggered"
        await world.settle()
        page = await web.get(night.page)
        assert "being paged" in page.html
        token = re.search(r'name="_csrf_token" value="(\w+)"', page.html)
        assert token is not None
        answer = await web.send(f"{night.page}/resolve", {"_csrf_token": token[1]})
        assert answer.status == 403 and (await world.again(night.alert)).status == "triggered"
        # Without the token of its own cookie nothing is done, as with any session.
        assert (await web.send(f"{night.page}/acknowledge", {})).status == 403
    assert (await world.again(night.alert)).status == "triggered"


async def _names(world: World, night: Night) -> dict[str, str]:
    """One of everything else that paths name."""
    other = await world.alert("Search is slow", labels={"x": "y"})
    incident = await declared(world, night.bob, title="Something else")
    policy = await world.policy([night.bob], name="Others")
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Search")
        written = await incidents.comment(tx, world.actor(night.bob), incident.id, "Seen.")
    route_id = await world.db.pool.fetchval("SELECT id FROM alert_route LIMIT 1")
    return {
        "alerts": ALERT_ID.write(other.id),
        "incidents": incident.reference,
        "people": USER_ID.write(night.bob.id),
        "policies": POLICY_ID.write(policy.id),
        "routes": ROUTE_ID.write(route_id),
        "sources": SOURCE_ID.write(other.source_id),
        "teams": TEAM_ID.write(team.id),
        "comment": f"com_{written.comment.id}",
    }


async def test_no_other_route_of_the_site_is_open(world: World, night: Night) -> None:
    """Made from the router, and so complete: 403 or 404 for each but those named above; the API knows nobody."""
    names = await _names(world, night)
    await world.settle()
    wrong: list[str] = []
    tried: set[tuple[str, str]] = set()
    open_to_it: set[tuple[str, str]] = set()
    async with browser(world) as web:
        page = await opened(web, night.link)
        token = re.search(r'name="_csrf_token" value="(\w+)"', page.html)
        assert token is not None
        before = await world.db.pool.fetchval("SELECT max(position) FROM event")
        for route in make_site().routes:
            if not isinstance(route, HTTPRoute):
                continue
            for handler in route.route_handlers:
                needs = handler.opt.get("needs")
                for method in sorted(handler.http_methods - {"HEAD", "OPTIONS"}):
                    shape = re.sub(r":\w+}", "}", route.path_format)
                    if handler.opt.get("by_link"):
                        open_to_it.add((method, shape))
                    elif needs is not None and needs is not Right.NONE:
                        tried.add((method, shape))
                    else:
                        continue
                    if shape == "/live":
                        continue  # It has no end; what it tells of: test_page_link_pages.py.
                    area = shape.removeprefix("/api/v1").split("/")[1] if shape != "/" else ""
                    path = re.sub(r"\{\w+(?::\w+)?\}", names.get(area, "x_1"), shape)
                    sent = {"_csrf_token": token[1], "alert_id": names["alerts"], "title": "T", "severity": "3"}
                    answer = await web.http.request(
                        method,
                        path,
                        params={"alert": names["alerts"]} if method == "GET" else None,
                        data=sent if method != "GET" else None,
                    )
                    allowed = (401, 403, 404) if path.startswith("/api/") else (403, 404)
                    if answer.status_code not in allowed:
                        wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:150]}")
        assert await world.db.pool.fetchval("SELECT max(position) FROM event") == before
    assert wrong == []
    assert open_to_it == OPENED
    assert len(tried) > 150, "the API and the pages are among them"


async def test_a_page_about_something_else_is_not_answered_by_it(world: World, night: Night) -> None:
    """Ada has two pages; the link of one says nothing to the other."""
    other = await world.alert("Search is slow")
    page_id = await world.db.pool.fetchval("SELECT id FROM page WHERE alert_id = $1", other.id)
    async with browser(world) as web:
        await opened(web, night.link)
        page = await web.get(night.page)
        sent = {**page.read.forms["answer-decline"], "page_id": PAGE_ID.write(page_id)}
        answer = await web.send(
            f"{night.page}/answer",
            {name: values[-1] if isinstance(values, list) else values for name, values in sent.items()},
        )
        assert answer.status == 404
        assert (await web.get(ALERT_ID.page(other.id))).status == 404
        # By both links one browser sees both.
        assert "Search is slow" in (await opened(web, link_of(world, night.ada))).html
        assert (await web.get(night.page)).status == 200
    assert await world.db.pool.fetchval("SELECT state FROM page WHERE id = $1", page_id) == "paging"
    assert await world.db.pool.fetchval("SELECT count(*) FROM session") == 1


async def test_of_an_incident_only_what_the_person_may_see_is_open(world: World, night: Night) -> None:
    """A private one in which the alert is stays closed to whoever is not of its team, and the alert stays open."""
    incident = await declared(world, night.bob, alert_id=night.alert.id, page_others=True)
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Security")
        await incidents.change_owners(
            tx, world.root, (ResourceKind.INCIDENT, incident.id), Owners(team_ids=[team.id], is_private=True)
        )
    await world.db.pool.execute("DELETE FROM responder WHERE user_id = $1", night.ada.id)
    async with browser(world) as web:
        page = await opened(web, night.link)
        assert page.path == night.page
        assert (await web.get(f"/incidents/{incident.reference}")).status == 404
        async with world.db.begin() as tx:
            await teams.add_members(tx, world.root, team.id, {night.ada.id: None})
        assert (await opened(web, night.link)).path == f"/incidents/{incident.reference}"


async def test_a_page_that_asks_for_help_opens_its_incident(world: World, night: Night) -> None:
    incident = await declared(world, night.bob, title="Harbour gate")
    async with world.db.begin() as tx:
        await incidents.page(tx, Actor.person(night.bob), incident.id, [PageTarget("user", night.ada.id)])
    await world.settle()
    async with browser(world) as web:
        page = await opened(web, link_of(world, night.ada))
        assert page.path == f"/incidents/{incident.reference}" and "Harbour gate" in page.html
        assert (await web.get(night.page)).status == 404
        assert (await web.get(f"/incidents/new?alert={ALERT_ID.write(night.alert.id)}")).status == 404


async def _deactivate(world: World, night: Night) -> None:
    async with world.db.begin() as tx:
        await incidents.update_person(tx, world.root, night.ada.id, UserChanges(is_active=False), confirmed=True)


async def _set_password(world: World, night: Night) -> None:
    await identity.set_password(world.db, world.root, night.ada.id, "a-long-and-new-password")


async def _end_sessions(world: World, night: Night) -> None:
    async with world.db.begin() as tx:
        await identity.revoke_other_sessions(tx, Actor.person(night.ada))


async def _remove_the_address(world: World, night: Night) -> None:
    async with world.db.begin() as tx:
        method = await world.db.pool.fetchval("SELECT id FROM contact_method WHERE user_id = $1", night.ada.id)
        await notifications.remove_contact_method(tx, world.root, user_id=night.ada.id, method_id=method)


async def _rotate_the_keys(world: World, night: Night) -> None:
    async with world.db.begin() as tx:
        await identity.rotate_link_key(tx, world.root, timedelta(hours=48), at_once=True)


async def _switch_it_off(world: World, night: Night) -> None:
    assert world.app.context is not None
    world.app.context.settings = replace(world.app.context.settings, page_link_session_minutes=0)


async def _wait(world: World, night: Night) -> None:
    await world.pass_time(minutes(61), settle=False)


@pytest.mark.parametrize(
    "end",
    [_deactivate, _set_password, _end_sessions, _remove_the_address, _rotate_the_keys, _switch_it_off, _wait],
    ids=lambda end: end.__name__.strip("_"),
)
async def test_it_is_over_with(world: World, night: Night, end: Callable[[World, Night], object]) -> None:
    """What ends the link or the person's sessions ends this, and so does the operator, and the hour."""
    async with browser(world) as web:
        page = await opened(web, night.link)
        assert page.status == 200
        await end(world, night)  # type: ignore[misc]
        assert shuts(await web.get(night.page))
        answer = await web.submit(page, "acknowledge")
        assert answer.status in (303, 403) and (await world.again(night.alert)).status == "triggered"


async def test_its_hour_is_not_moved_on_by_use_and_ends_with_the_link(world: World, night: Night) -> None:
    async with browser(world) as web:
        await opened(web, night.link)
        for _ in range(5):
            await world.pass_time(minutes(11), settle=False)
            assert (await web.get(night.page)).status == 200
        await world.pass_time(minutes(6), settle=False)
        assert shuts(await web.get(night.page))
        await world.pass_time(timedelta(hours=46, minutes=30), settle=False)
        assert (await opened(web, night.link)).path == night.page
        await world.pass_time(minutes(31), settle=False)
        assert shuts(await web.get(night.page)), "the link was good for half an hour more"
        answer = await web.send(f"{night.link}/open", {})
        assert answer.location == night.link and "set-cookie" not in answer.headers


async def test_nobody_is_signed_in_or_out_by_it(world: World, night: Night) -> None:
    """Who is signed in goes on as themselves, be the link their own or not; and it never counts as a sign-in."""
    for person in (night.ada, night.bob):
        async with browser(world, person) as web:
            page = await web.get(night.link)
            assert ("You are signed in as Bob" in page.html) is (person is night.bob)
            answer = await web.send(f"{night.link}/open", {})
            assert (answer.status, answer.location) == (303, night.page) and "set-cookie" not in answer.headers
            assert "by page link" not in (await web.get(night.page)).html
            assert (await web.get("/incidents")).status == 200
    assert await world.db.pool.fetchval("SELECT count(*) FROM session WHERE delivery_ids IS NOT NULL") == 0

    async with browser(world) as web:
        await opened(web, night.link)
        secret = web.http.cookies["tocsin_page_link"]
        assert shuts(await web.get("/sign-in"))
        for name, value in (("tocsin_session", secret), ("tocsin_session", f"\xff{secret}")):
            answer = await web.http.get(night.page, headers={"cookie": f"{name}={value}".encode("latin-1")})
            assert answer.status_code == 303
    async with browser(world, night.bob) as web:
        signed_in = web.http.cookies["tocsin_session"]
        answer = await web.http.get(night.page, headers={"cookie": f"tocsin_page_link={signed_in}"})
        assert answer.status_code == 303


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
)
async def test_another_site_opens_nothing_in_a_strangers_browser(
    world: World, night: Night, headers: dict[str, str]
) -> None:
    """Whoever has a link of their own could else have a stranger write in their name."""
    async with browser(world) as web:
        answer = await web.send(f"{night.link}/open", {}, **headers)
        assert answer.status == 403 and "set-cookie" not in answer.headers


async def test_the_link_of_somebody_else_takes_its_place_and_not_their_sessions(world: World, night: Night) -> None:
    """One browser, two people who pass the phone on: each press says as whom it is."""
    await world.db.pool.execute("DELETE FROM alert_route")
    await world.route(await world.policy([night.bob], name="Second"))
    other = await world.alert("Search is slow")
    async with browser(world) as web:
        await opened(web, night.link)
        page = await opened(web, link_of(world, night.bob))
        assert page.path == ALERT_ID.page(other.id) and "Bob, by page link until" in page.html
    assert await world.db.pool.fetchval("SELECT count(*) FROM session") == 2


async def test_one_sees_and_ends_it_where_ones_sessions_are(world: World, night: Night) -> None:
    async with browser(world) as phone, browser(world, night.ada) as desk:
        await opened(phone, night.link)
        page = await desk.get("/sessions")
        assert "by page link until" in page.html
        (end,) = [form for form in page.read.forms if form.startswith("end-ses")]
        await desk.do(page, end)
        assert shuts(await phone.get(night.page))
        await opened(phone, night.link)
        page = await phone.get(night.page)
        assert (await phone.submit(page, "sign-out")).status == 303
        assert shuts(await phone.get(night.page))


async def test_one_person_has_so_many_of_them_and_no_more(world: World, night: Night) -> None:
    for _ in range(12):
        async with browser(world) as web:
            await opened(web, night.link)
    assert await world.db.pool.fetchval("SELECT count(*) FROM session") == 10


async def test_after_its_time_one_begins_anew_and_sees_only_what_this_link_is_about(world: World, night: Night) -> None:
    """B7: what another link had opened in the same browser does not come back with the next one."""
    later = await world.alert("Search is slow", key="later")
    (second,) = {link_of(world, night.ada)} - {night.link}
    async with browser(world) as web:
        await opened(web, night.link)
        await _wait(world, night)
        assert (await opened(web, second)).path == ALERT_ID.page(later.id)
        assert (await web.get(night.page)).status == 404


async def test_one_browser_keeps_so_many_links_and_no_more(world: World, night: Night) -> None:
    """B7: the oldest go."""
    async with browser(world) as web:
        await opened(web, night.link)
        await world.db.pool.execute(
            "UPDATE session SET delivery_ids = (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 30))"
        )
        assert (await opened(web, night.link)).path == night.page
    assert await world.db.pool.fetchval("SELECT cardinality(delivery_ids) FROM session") == 20


async def test_what_was_sent_to_somebody_else_opens_nothing(world: World, night: Night) -> None:
    """B7: a visit is its person's, whatever message it names."""
    async with browser(world) as web:
        await opened(web, night.link)
        await world.db.pool.execute("UPDATE session SET user_id = $1", night.bob.id)
        assert shuts(await web.get(night.page))


async def test_nobody_else_is_given_the_lead_by_it(world: World, night: Night) -> None:
    """B7: the form does not ask for it, and what is sent all the same is refused."""
    async with browser(world) as web:
        form = await opened(web, night.link, to="declare")
        assert "lead_id" not in form.read.forms["declare-form"]
        sent = {**form.read.forms["declare-form"], "title": "Checkout", "severity": "2"}
        answer = await web.send("/incidents", {**sent, "lead_id": USER_ID.write(night.bob.id)})
        assert answer.status == 403
        # Nor is anything declared that has nothing to do with the alert.
        assert (await web.send("/incidents", {**sent, "alert_id": ""})).status == 403
        assert (await web.send("/incidents", sent)).status == 303
    assert await world.db.pool.fetchval("SELECT lead_id FROM incident") == night.ada.id


async def test_a_guest_who_was_paged_sees_what_it_was_about_and_answers(world: World) -> None:
    """To be paged is the right to look and to answer, whatever the role; and no more than the role allows."""
    gus = await world.person("gus", role="guest")
    await world.route(await world.policy([gus]))
    alert = await world.alert()
    async with browser(world) as web:
        page = await opened(web, link_of(world, gus))
        assert page.status == 200 and "Declare" not in page.html
        await web.do(page, "answer-ack")
    assert (await world.again(alert)).acknowledged_by == "Gus"


async def test_where_it_is_switched_off_the_screen_leads_to_the_sign_in(world: World, night: Night) -> None:
    await _switch_it_off(world, night)
    async with browser(world) as web:
        page = await web.get(night.link)
        assert night.page in page.read.links and "/open" not in page.html
        assert shuts(await web.get((await web.send(f"{night.link}/open", {})).location))
    assert await world.db.pool.fetchval("SELECT count(*) FROM session") == 0


async def test_of_an_incident_that_asks_in_another_page_nothing_is_taken_on(world: World, night: Night) -> None:
    """To be asked is the right to answer; by a link, what that link was about and nothing else."""
    incident = await declared(world, night.bob, title="Harbour gate")
    async with world.db.begin() as tx:
        await incidents.page(tx, Actor.person(night.bob), incident.id, [PageTarget("user", night.ada.id)])
    await world.settle()
    async with browser(world) as web:
        page = await opened(web, night.link)
        token = page.read.forms["acknowledge"]["_csrf_token"]
        answer = await web.send(f"/incidents/{incident.reference}/acknowledge", {"_csrf_token": token})
        assert answer.status == 404
        page = await opened(web, link_of(world, night.ada))
        assert (await web.do(page, "acknowledge")).path == f"/incidents/{incident.reference}"
    assert await world.db.pool.fetchval("SELECT status FROM incident") == "investigating"
