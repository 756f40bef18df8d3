"""Several incidents at once: what is done to which, what stays and why; on the page, in its dialogs and by the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import unescape

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World
from tocsin.alerts import queries as alert_queries
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import USER_ID, User
from tocsin.identity.service import teams
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident

Declare = Callable[[User, str], Awaitable[Incident]]


@pytest.fixture
def declare(world: World) -> Declare:
    async def declare(person: User, title: str) -> Incident:
        async with world.db.begin() as tx:
            return await incidents.declare(tx, world.actor(person), title=title)

    return declare


async def now(world: World, incident: Incident) -> Incident:
    async with world.db.begin() as tx:
        return await queries.get(tx, EVERYTHING, incident.id)


async def bulk(web: Browser, act: str, *those: Incident, list: str = "") -> Page:
    """Press a button of the bar without a script, and follow where that leads."""
    page = await web.get("/incidents")
    answer = await web.submit(page, "bulk", {"act": act, "id": [each.reference for each in those], "list": list})
    return await web.get(answer.location) if answer.status == 303 else answer


def said(page: Page) -> str:
    return unescape(page.html)


async def test_each_act_says_which_became_so_and_which_were_before(world: World, declare: Declare) -> None:
    """B5, issue: take the lead, severity and status of many; the rest is not held up by one that cannot be changed."""
    ada, ben = await world.people("ada", "ben")
    one, two, three = [await declare(ada, title) for title in ("One", "Two", "Three")]
    over = await declare(ada, "Over")
    async with world.db.begin() as tx:
        await incidents.update(tx, world.actor(ada), two.id, incidents.IncidentChanges(severity=1))
        await incidents.resolve(tx, world.actor(ada), over.id, "Done.")
    async with browser(world, ben) as web:
        page = await bulk(web, "severity:1", one, two, list="severity=3&q=o")
        assert f"SEV1 now: {one.reference}. As it was before: {two.reference}." in said(page)
        assert page.path == "/incidents?q=o&severity=3"
        page = await bulk(web, "lead", one, over, two)
        assert f"Ben is lead of: {one.reference}, {two.reference}." in said(page)
        assert f"{over.reference} is resolved. Reopen it first." in said(page)
        page = await bulk(web, "status:mitigated", one, three)
        assert f"Mitigated now: {one.reference}, {three.reference}." in said(page)
        for act in ("status:resolved", "status:closed", "nothing", "severity:9", ""):
            refused = await bulk(web, act, one)
            assert refused.status == 422 and 'role="alert"' in refused.html, act
        none = await web.submit(await web.get("/incidents"), "bulk", {"act": "lead"})
        assert none.status == 422 and "Choose at least one." in none.html
    for each, severity, status in ((one, 1, "mitigated"), (two, 1, "declared"), (three, 3, "mitigated")):
        found = await now(world, each)
        assert (found.severity, found.status) == (severity, status)
    assert [(await now(world, each)).lead_id for each in (one, two, three)] == [ben.id, ben.id, ada.id]
    assert (await now(world, over)).lead_id == ada.id


async def test_many_names_are_counted_and_the_rest_of_the_refused_is_named(world: World, declare: Declare) -> None:
    """Nobody reads fifty numbers; those that stayed as they are have their reasons, or at least their names."""
    ada = await world.person("ada")
    those = [await declare(ada, f"N{n}") for n in range(13)]
    async with world.db.begin() as tx:
        for each in those[8:]:
            await incidents.resolve(tx, world.actor(ada), each.id, "Done.")
    async with browser(world, ada) as web:
        page = said(await bulk(web, "status:identified", *those))
    first = ", ".join(each.reference for each in those[:5])
    assert f"Identified now: {first} and 3 more." in page
    assert page.count("cannot become identified") == 3
    assert f"Not changed either: {those[11].reference}, {those[12].reference}." in page


async def test_a_role_is_assigned_in_a_dialog_that_says_in_which(world: World, declare: Declare) -> None:
    """B16: without a script the act leads to its page; what is missing or wrong is said at its field."""
    ada, ben = await world.people("ada", "ben")
    dan = await world.person("dan", role="stakeholder")
    one, two, over = [await declare(ada, title) for title in ("One", "Two", "Over")]
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(ada), over.id, "Done.")
    async with browser(world, ada) as web:
        page = await bulk(web, "role", one, over, two, list="q=o")
        assert page.path.startswith("/incidents/bulk/role?id=") and "in 2 incidents" in page.html
        assert f"{over.reference} is over and stays as it is." in " ".join(page.html.split())
        empty = await web.submit(page, "bulk-role", {"role": "", "user_id": ""})
        assert empty.status == 422 and "Choose one of the list." in empty.html
        refused = await web.submit(page, "bulk-role", {"role": "commander", "user_id": USER_ID.write(dan.id)})
        assert refused.status == 422 and "Dan may not edit incidents." in refused.html
        assert refused.read.forms["bulk-role"]["id"] == [one.reference, two.reference]
        done = await web.do(page, "bulk-role", {"role": "commander", "user_id": USER_ID.write(ben.id)})
        assert f"Ben is commander of: {one.reference}, {two.reference}." in said(done)
        assert done.path == "/incidents?q=o"
        assert "All of these are over." in said(await bulk(web, "role", over))
        assert (await web.get("/incidents/bulk/nonsense?id=INC-1")).status == 404
    assert [(await now(world, each)).commander_id for each in (one, two, over)] == [ben.id, ben.id, None]


async def test_resolving_many_asks_for_the_note_and_says_what_happens_with_them(world: World, declare: Declare) -> None:
    """A5: never by one press; linked alerts resolve with them, and the note is required."""
    ada, ben = await world.people("ada", "ben")
    await world.route(await world.policy([ben]))
    alert = await world.alert("Disk full")
    one, two = await declare(ada, "One"), await declare(ada, "Two")
    async with world.db.begin() as tx:
        await incidents.link_alerts(tx, world.actor(ada), one.id, [alert.id])
    async with browser(world, ada) as web:
        page = await bulk(web, "resolve", one, two)
        assert "Resolve 2 incidents" in page.html and "Resolves 1 linked alert;" in page.html
        assert [(await now(world, each)).status for each in (one, two)] == ["declared", "declared"]
        empty = await web.submit(page, "bulk-resolve", {"resolution_note": " "})
        assert empty.status == 422 and "Say what was done" in empty.html
        done = await web.do(page, "bulk-resolve", {"resolution_note": "Moved to the other site."})
        assert f"Resolved: {one.reference}, {two.reference}." in said(done)
        again = await web.do(page, "bulk-resolve", {"resolution_note": "Moved to the other site."})
        assert f"As it was before: {one.reference}, {two.reference}." in said(again)
        other = await web.do(page, "bulk-resolve", {"resolution_note": "Something else."})
        assert f"{one.reference} is resolved already, with another note." in said(other)
    for each in (one, two):
        assert (await now(world, each)).resolution_note == "Moved to the other site."
    async with world.db.begin() as tx:
        assert (await alert_queries.get(tx, EVERYTHING, alert.id)).status == "resolved"


async def test_a_dialog_for_several_opens_only_for_who_may_send_it(world: World, declare: Declare) -> None:
    """B5: who may edit incidents and not resolve them gets the one dialog, and not the other."""
    ada = await world.person("ada")
    seen = await declare(ada, "Seen")
    async with world.db.begin() as tx:
        edits = [P.INCIDENT_VIEW, P.INCIDENT_EDIT]
        desk = await identity.create_role(tx, world.root, name="Desk", permissions=edits)
        eve = await identity.create_user(tx, world.root, email="eve@example.org", name="Eve", role=desk.key)
    async with browser(world, eve) as web:
        assert (await web.get(f"/incidents/bulk/role?id={seen.reference}")).status == 200
        assert (await web.get(f"/incidents/bulk/resolve?id={seen.reference}")).status == 403


async def test_what_one_may_not_do_or_see_is_neither_offered_nor_done(api: Api, world: World, declare: Declare) -> None:
    """F118: hidden incidents are none, in the dialog as in the act; who only reads selects nothing."""
    ada, ben = await world.people("ada", "ben")
    dan = await world.person("dan", role="stakeholder")
    seen, hidden = await declare(ada, "Seen"), await declare(ada, "Card data")
    async with world.db.begin() as tx:
        team = await teams.create_team(tx, world.root, name="Security", members={ada.id: None})
        owners = identity.Owners([team.id], is_private=True)
        await incidents.update(tx, world.root, hidden.id, incidents.IncidentChanges(owners=owners))
    async with browser(world, ben) as web:
        page = await bulk(web, "severity:1", seen, hidden)
        assert f"SEV1 now: {seen.reference}. There is no incident “{hidden.reference}”." in said(page)
        for act in ("role", "resolve"):
            dialog = await web.get(f"/incidents/bulk/{act}?id={seen.reference}&id={hidden.reference}")
            assert "Seen" in dialog.html and "Card data" not in dialog.html and hidden.reference not in dialog.html
            alone = await web.get(f"/incidents/bulk/{act}?id={hidden.reference}")
            assert alone.path == "/incidents" and "Card data" not in alone.html
    async with browser(world, dan) as web:
        page = await web.get("/incidents")
        assert "bulk" not in page.read.forms and "c-pick" not in page.html
        token = page.read.forms["sign-out"]["_csrf_token"]
        for path in ("/incidents/bulk", "/incidents/bulk/role", "/incidents/bulk/resolve"):
            sent = {"_csrf_token": token, "act": "severity:2", "id": seen.reference}
            assert (await web.send(path, sent)).status == 403, path
        assert (await web.get(f"/incidents/bulk/resolve?id={seen.reference}")).status == 403
    client = await api.as_(dan)
    sent = {"action": "change_severity", "ids": [seen.reference], "severity": 2}
    assert (await client.post("/incidents/actions/bulk", json=sent)).status_code == 403
    edits = await api.as_(ben, "incident.edit")
    ends = {"action": "resolve", "ids": [seen.reference], "resolution_note": "Done."}
    assert (await edits.post("/incidents/actions/bulk", json=ends)).status_code == 403
    assert ((await now(world, seen)).severity, (await now(world, seen)).status) == (1, "declared")
    assert (await now(world, hidden)).severity == 3


async def test_the_api_does_the_same(api: Api, admin: httpx.AsyncClient, declare: Declare) -> None:
    """One use case: what became of each in the order of the request, by ids and by numbers."""
    ada = await api.world.person("ada")
    one, two, over = [await declare(ada, title) for title in ("One", "Two", "Over")]
    await admin.post(f"/incidents/{over.reference}/actions/resolve", json={"resolution_note": "Done."})

    async def send(expected: int = 200, **body: object) -> dict[str, object]:
        answer = await admin.post("/incidents/actions/bulk", json=body)
        assert answer.status_code == expected, answer.text
        return answer.json()

    ids = [one.reference.lower(), two.reference, over.reference]
    found = await send(action="update_status", ids=ids, status="identified")
    assert [(each["number"], each["status"]) for each in found["data"]] == [  # pyright: ignore
        (one.reference, "identified"), (two.reference, "identified")
    ]  # fmt: skip
    assert found["unchanged"] == []
    assert [(each["id"], each["code"]) for each in found["failed"]] == [  # pyright: ignore
        (over.reference, "incident.not_open")
    ]  # fmt: skip
    again = await send(action="update_status", ids=ids[:2], status="identified")
    assert again["unchanged"] == [one.reference, two.reference]
    lead = await send(action="assign_role", ids=ids[:2], role="lead", user_id=USER_ID.write(ada.id))
    assert lead["unchanged"] == [one.reference, two.reference]
    for body, field in (
        ({"action": "assign_role", "role": "lead"}, "#/user_id"),
        ({"action": "assign_role", "user_id": USER_ID.write(ada.id)}, "#/role"),
        ({"action": "assign_role", "role": "lead", "user_id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m"}, "#/user_id"),
        ({"action": "change_severity"}, "#/severity"),
        ({"action": "update_status"}, "#/status"),
        ({"action": "update_status", "status": "resolved"}, "#/status"),
        ({"action": "resolve"}, "#/resolution_note"),
        ({"action": "change_severity", "severity": 2, "ids": [one.reference, "INC-999"]}, "#/ids/1"),
        ({"action": "change_severity", "severity": 2, "ids": [one.reference] * 51}, "#/ids"),
    ):
        refused = await send(422, **{"ids": ids[:2], **body})
        assert [each["pointer"] for each in refused["errors"]] == [field], body  # pyright: ignore


async def test_alerts_of_several_are_locked_together_and_answered_or_ended(world: World, declare: Declare) -> None:
    """Whoever takes the lead of two has come to both: their own pages are answered, and the alerts end with them.

    The alerts of the two are made in turn, so that one incident after the other would lock them out of their order.
    """
    ada, ben = await world.people("ada", "ben")
    await world.route(await world.policy([ben]))
    alerts = [await world.alert(f"Disk {n}") for n in range(4)]
    await world.settle()
    one, two = await declare(ada, "One"), await declare(ada, "Two")
    async with world.db.begin() as tx:
        await incidents.link_alerts(tx, world.actor(ada), one.id, [alerts[0].id, alerts[2].id])
        await incidents.link_alerts(tx, world.actor(ada), two.id, [alerts[1].id, alerts[3].id])
    async with browser(world, ben) as web:
        await bulk(web, "lead", two, one)
        async with world.db.begin() as tx:
            found = [await alert_queries.get(tx, EVERYTHING, alert.id) for alert in alerts]
        assert [alert.acknowledged_by_id for alert in found] == [ben.id] * 4
        page = await bulk(web, "resolve", two, one)
        assert "Resolves 4 linked alerts" in page.html
        await web.do(page, "bulk-resolve", {"resolution_note": "Done."})
    async with world.db.begin() as tx:
        found = [await alert_queries.get(tx, EVERYTHING, alert.id) for alert in alerts]
    assert {alert.status for alert in found} == {"resolved"}
