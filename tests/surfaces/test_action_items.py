"""Action items through the API and on pages: what is taken and answered, and that what is hidden shows nowhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import Browser, browser
from tocsin.identity import service as identity
from tocsin.identity.model import TEAM_ID, USER_ID, Actor, User
from tocsin.incidents import service as incidents

ITEMS = "/incidents/INC-1/action_items"


@dataclass
class Stage:
    """Ada and Bob respond, Cleo reads; Ada's incident is INC-1."""

    api: Api
    people: dict[str, User]
    clients: dict[str, httpx.AsyncClient]

    async def add(self, text: str = "Write the runbook", **fields: Any) -> dict[str, Any]:
        answer = await self.clients["ada"].post(ITEMS, json={"description": text, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def id(self, name: str) -> str:
        return USER_ID.write(self.people[name].id)


@pytest.fixture
async def stage(api: Api) -> Stage:
    roles = {"ada": "responder", "bob": "responder", "cleo": "stakeholder"}
    people = {name: await api.world.person(name, role=role) for name, role in roles.items()}
    made = Stage(api, people, {name: await api.as_(person) for name, person in people.items()})
    async with api.world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(people["ada"]), title="Checkout is down")
    return made


async def descriptions(client: httpx.AsyncClient, **params: Any) -> list[str]:
    answer = await client.get("/action_items", params=params)
    assert answer.status_code == 200, answer.text
    return [each["description"] for each in answer.json()["data"]]


async def test_an_item_is_added_read_changed_done_and_deleted(stage: Stage) -> None:
    """F078, F120: with its ETag, per field, and null takes away."""
    ada, bob, cleo = stage.clients["ada"], stage.clients["bob"], stage.clients["cleo"]
    made = await stage.add(due_date="2026-12-11", assignee_id=stage.id("bob"), priority="P2", kind="detect")
    assert made | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "incident": made["incident"] | {"number": "INC-1", "title": "Checkout is down", "severity": 3},
        "description": "Write the runbook",
        "kind": "detect",
        "priority": "P2",
        "status": "open",
        "assignee": {"id": stage.id("bob"), "name": "Bob"},
        "due_date": "2026-12-11",
        "is_overdue": made["is_overdue"],
        "created_by": {"kind": "user", "name": "Ada", "id": stage.id("ada"), "via": None},
        "created_at": "",
        "updated_at": "",
        "ended_at": None,
        "version": 1,
        "url": "http://127.0.0.1:8700/incidents/INC-1/action-items",
    }
    path = f"/action_items/{made['id']}"
    assert (await cleo.get(path)).json() == made
    assert (await cleo.get(ITEMS)).json()["data"] == [made]
    assert (await cleo.patch(path, json={"status": "done"})).status_code == 403
    changed = await bob.patch(path, json={"status": "in_progress", "due_date": None}, headers={"If-Match": '"1"'})
    assert (changed.json()["status"], changed.json()["due_date"], changed.headers["ETag"]) == (
        "in_progress",
        None,
        '"2"',
    )
    stale = await ada.patch(path, json={"priority": None}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "action_item.stale")
    done = (await bob.post(f"{path}/actions/complete")).json()
    assert (done["status"], done["ended_at"] is not None) == ("done", True)
    assert (await bob.post(f"{path}/actions/reopen")).json()["status"] == "open"
    wrong = await ada.patch(path, json={"assignee_id": stage.id("cleo")})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "#/assignee_id")
    assert (await ada.delete(path)).status_code == 204
    assert (await ada.get(path)).status_code == 404


async def test_the_list_is_narrowed_by_whose_it_is_and_by_how_late(stage: Stage) -> None:
    """F078, F133."""
    ada, bob = stage.clients["ada"], stage.clients["bob"]
    async with stage.api.world.db.begin() as tx:
        today = tx.now.date()
        team = await identity.create_team(
            tx, Actor.system("test"), name="Payments", members={stage.people["bob"].id: None}
        )
    await stage.add("Late", due_date=str(today - timedelta(days=2)), assignee_id=stage.id("bob"))
    await stage.add("Mine", due_date=str(today), assignee_id=stage.id("ada"))
    free = await stage.add("Free", kind="prevent")
    await ada.post(f"/action_items/{free['id']}/actions/complete")
    assert await descriptions(ada) == ["Late", "Mine", "Free"]
    assert await descriptions(ada, mine=True) == ["Mine"]
    assert await descriptions(ada, my_teams=True) == []
    assert await descriptions(bob, my_teams=True) == ["Late"]
    assert await descriptions(ada, team_id=TEAM_ID.write(team.id)) == ["Late"]
    assert await descriptions(ada, overdue=True) == ["Late"]
    assert await descriptions(ada, status="done") == ["Free"]
    assert await descriptions(ada, kind="prevent") == ["Free"]
    assert await descriptions(ada, assignee_id=stage.id("bob"), unassigned=True) == ["Late", "Free"]
    assert await descriptions(ada, incident="INC-1", q="mine") == ["Mine"]
    assert await descriptions(ada, incident="INC-9") == []
    first = (await ada.get("/action_items", params={"limit": 2})).json()
    assert await descriptions(ada, limit=2, cursor=first["next_cursor"]) == ["Free"]


async def test_one_call_changes_several(stage: Stage) -> None:
    """F078: assign, date, move; what is so already is said; an id that names none changes nothing."""
    ada = stage.clients["ada"]
    one, two = (await stage.add("One"))["id"], (await stage.add("Two", due_date="2026-12-18"))["id"]
    bulk = "/action_items/actions/bulk"
    answer = await ada.post(bulk, json={"action": "due_date", "ids": [one, two], "due_date": "2026-12-18"})
    assert (answer.status_code, answer.json()["unchanged"], answer.json()["failed"]) == (200, [two], [])
    await ada.post(bulk, json={"action": "assign", "ids": [one], "assignee_id": stage.id("bob")})
    done = await ada.post(bulk, json={"action": "status", "ids": [one, two], "status": "done"})
    assert [each["status"] for each in done.json()["data"]] == ["done", "done"]
    freed = await ada.post(bulk, json={"action": "assign", "ids": [one], "assignee_id": None})
    assert freed.json()["data"][0]["assignee"] is None
    unknown = await ada.post(bulk, json={"action": "status", "ids": [one, f"act_{'0' * 26}"], "status": "open"})
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "#/ids/1")
    assert (await ada.get(f"/action_items/{one}")).json()["status"] == "done"
    for body, field in (({"action": "assign"}, "assignee_id"), ({"action": "status"}, "status")):
        missing = await ada.post(bulk, json={**body, "ids": [one]})
        assert missing.json()["errors"][0]["pointer"] == f"#/{field}"


async def test_who_closes_an_incident_is_told_what_is_still_to_be_done(stage: Stage) -> None:
    """F078: how many, and which; they stay open."""
    ada = stage.clients["ada"]
    await stage.add("Done")
    id = (await ada.get(ITEMS)).json()["data"][0]["id"]
    await ada.post(f"/action_items/{id}/actions/complete")
    await stage.add("Write the runbook", assignee_id=stage.id("bob"), due_date="2026-12-11")
    resolved = (await ada.post("/incidents/INC-1/actions/resolve", json={"resolution_note": "Restarted."})).json()
    closed = (await ada.post("/incidents/INC-1/actions/close", json={})).json()
    for answer in (resolved, closed):
        assert answer["open_action_item_count"] == 1
        (item,) = answer["open_action_items"]
        assert item | {"id": ""} == {
            "id": "",
            "description": "Write the runbook",
            "assignee": {"id": stage.id("bob"), "name": "Bob"},
            "due_date": "2026-12-11",
        }
    assert await descriptions(ada, status="open") == ["Write the runbook"]


async def test_an_item_of_a_hidden_incident_is_not_found(stage: Stage) -> None:
    """F119: 404 wherever it is named, and in no list, no search and no event of the stream's readers."""
    ada, bob = stage.clients["ada"], stage.clients["bob"]
    made = await stage.add("Turn the keys")
    async with stage.api.world.db.begin() as tx:
        team = await identity.create_team(
            tx, Actor.system("test"), name="Security", members={stage.people["ada"].id: None}
        )
    mine = await ada.patch("/incidents/INC-1", json={"team_ids": [TEAM_ID.write(team.id)], "is_private": True})
    assert mine.status_code == 200, mine.text
    path = f"/action_items/{made['id']}"
    for method, address, body in (
        ("GET", path, None),
        ("PATCH", path, {"status": "done"}),
        ("DELETE", path, None),
        ("POST", f"{path}/actions/complete", {}),
        ("POST", f"{path}/actions/reopen", {}),
        ("GET", ITEMS, None),
        ("POST", ITEMS, {"description": "x"}),
    ):
        answer = await bob.request(method, address, json=body)
        assert answer.status_code == 404, f"{method} {address}: {answer.text}"
    bulk = await bob.post(
        "/action_items/actions/bulk", json={"action": "status", "ids": [made["id"]], "status": "done"}
    )
    assert bulk.status_code == 422
    assert (
        await descriptions(bob) == await descriptions(bob, q="keys") == await descriptions(bob, incident="INC-1") == []
    )
    assert await descriptions(ada, q="keys") == ["Turn the keys"]


@pytest.fixture
async def web(stage: Stage) -> AsyncIterator[Browser]:
    async with browser(stage.api.world, stage.people["ada"]) as client:
        yield client


async def test_an_incident_lists_them_and_takes_new_ones_in_one_line(stage: Stage, web: Browser) -> None:
    """F078: added, refused with what was typed, ticked off, opened again; what is over comes last."""
    tab = "/incidents/INC-1/action-items"
    page = await web.get(tab)
    assert "Nothing is to be done because of this incident yet." in page.html
    page = await web.do(page, "add-action-item", {"description": "Write the runbook", "due_date": "2031-02-03"})
    assert (page.path, "Action item added." in page.html) == (f"{tab}?add=1", True)
    assert "3 Feb 2031" in page.html
    refused = await web.submit(page, "add-action-item", {"description": " ", "due_date": ""})
    assert refused.status == 422 and "Say what is to be done." in refused.html
    id = (await stage.clients["ada"].get(ITEMS)).json()["data"][0]["id"]
    await stage.add("Later")
    await web.do(await web.get(tab), f"done-{id}")
    page = await web.get(tab)
    assert page.html.index("Later") < page.html.index("Write the runbook")
    await web.do(page, f"reopen-{id}")
    assert f'id="done-{id}"' in (await web.get(tab)).html


async def test_one_is_edited_in_a_form_that_says_what_others_did(stage: Stage, web: Browser) -> None:
    """F078: all of its fields; the same field at once is a conflict; deleting asks first."""
    made = await stage.add(assignee_id=stage.id("bob"))
    path = f"/action-items/{made['id']}"
    page = await web.get(f"{path}/edit")
    await stage.clients["bob"].patch(f"/action_items/{made['id']}", json={"description": "Write both runbooks"})
    refused = await web.submit(page, "edit-action-item", {"description": "Write no runbook"})
    assert refused.status == 409 and "Bob changed the description of the action item" in refused.html
    page = await web.get(f"{path}/edit")
    said = {"due_date": "2031-02-03", "kind": "prevent", "priority": "P1", "status": "in_progress", "assignee_id": ""}
    page = await web.do(page, "edit-action-item", said)
    assert "Action item saved." in page.html
    now = (await stage.clients["ada"].get(f"/action_items/{made['id']}")).json()
    assert [now[name] for name in ("due_date", "kind", "priority", "status", "assignee", "description")] == [
        "2031-02-03",
        "prevent",
        "P1",
        "in_progress",
        None,
        "Write both runbooks",
    ]
    wrong = await web.submit(await web.get(f"{path}/edit"), "edit-action-item", {"due_date": "soon"})
    assert wrong.status == 422 and "Give a day such as" in wrong.html
    asked = await web.get(f"{path}/delete")
    await web.do(asked, "delete-action-item-form")
    assert (await stage.clients["ada"].get(f"/action_items/{made['id']}")).status_code == 404


async def test_the_list_shows_whose_they_are_and_what_several_are_given(stage: Stage, web: Browser) -> None:
    """F078, F133: views and their counts, acts for several, export; who may not edit sees no forms."""
    async with stage.api.world.db.begin() as tx:
        today = tx.now.date()
    one = await stage.add("Late", due_date=str(today - timedelta(days=2)), assignee_id=stage.id("ada"))
    two = await stage.add("Free", kind="prevent")
    page = await web.get("/action-items")
    assert "2 days late" in page.html and "Free" not in page.html
    page = await web.get("/action-items?tab=all")
    assert "Late" in page.html and "Free" in page.html
    assert "Free" in (await web.get("/action-items?tab=all&nobody=1")).html
    assert "Late" not in (await web.get("/action-items?tab=all&nobody=1")).html
    assert "Late" in (await web.get("/action-items?tab=overdue")).html
    assert "Nothing to do for your teams" in (await web.get("/action-items?tab=teams")).html
    ids = [one["id"], two["id"]]
    done = await web.do(page, "bulk", {"act": "done", "id": ids})
    assert "Done now: “Late”, “Free”." in done.html
    dialog = await web.get(f"/action-items/bulk/due?id={ids[0]}&id={ids[1]}&list=tab%3Dall")
    moved = await web.do(dialog, "bulk-due", {"due_date": "2031-02-03", "id": ids})
    assert "Due on 03 Feb 2031 now: “Late”, “Free”." in moved.html and moved.path == "/action-items?tab=all"
    given = await web.do(
        await web.get(f"/action-items/bulk/assign?id={ids[1]}"), "bulk-assign", {"assignee_id": stage.id("bob")}
    )
    assert "Given to Bob: “Free”." in given.html
    table = (await web.http.get("/action-items/export.csv?tab=all")).text
    assert "INC-1,Free,Prevent,,Done,Bob,2031-02-03,Ada," in table
    async with browser(stage.api.world, stage.people["cleo"]) as cleo:
        seen = await cleo.get("/action-items?tab=all")
        assert "Late" in seen.html and 'id="bulk"' not in seen.html and "/action-items/new" not in seen.html
        assert 'id="add-action-item"' not in (await cleo.get("/incidents/INC-1/action-items")).html


async def test_whoever_resolves_or_closes_sees_what_stays_open(stage: Stage, web: Browser) -> None:
    """F078: how many and which; and they stay open."""
    await stage.add("Write the runbook", assignee_id=stage.id("bob"))
    assert "Leaves 1 action item open: “Write the runbook”" in (await web.get("/incidents/INC-1/resolve")).html
    assert "Leaves 1 action item open" in (await web.get("/incidents/bulk/resolve?id=INC-1")).html
    await stage.clients["ada"].post("/incidents/INC-1/actions/resolve", json={"resolution_note": "Restarted."})
    page = await web.get("/incidents/INC-1/close")
    assert "1 action item is still open, and stays so:" in page.html and "Write the runbook" in page.html
    closed = await web.do(page, "close-form")
    assert "Incident closed." in closed.html
    assert await descriptions(stage.clients["ada"], status="open") == ["Write the runbook"]


async def test_what_is_due_stands_in_the_inbox_and_is_found(stage: Stage, web: Browser) -> None:
    """F133: mine that are due or overdue, nobody else's, and none of a hidden incident."""
    async with stage.api.world.db.begin() as tx:
        today = tx.now.date()
    late = await stage.add("Turn the keys", due_date=str(today - timedelta(days=1)), assignee_id=stage.id("ada"))
    await stage.add("Of Bob", due_date=str(today), assignee_id=stage.id("bob"))
    await stage.add("Not yet", due_date=str(today + timedelta(days=3)), assignee_id=stage.id("ada"))
    page = await web.get("/inbox")
    assert "Turn the keys" in page.html and "1 day late" in page.html
    assert "Of Bob" not in page.html and "Not yet" not in page.html
    await web.do(page, f"done-{late['id']}")
    assert "Turn the keys" not in (await web.get("/inbox")).html
    assert "Turn the keys" in (await web.get("/search?q=keys")).html
    async with stage.api.world.db.begin() as tx:
        team = await identity.create_team(
            tx, Actor.system("test"), name="Security", members={stage.people["ada"].id: None}
        )
    hidden = {"team_ids": [TEAM_ID.write(team.id)], "is_private": True}
    await stage.clients["ada"].patch("/incidents/INC-1", json=hidden)
    async with browser(stage.api.world, stage.people["bob"]) as bob:
        for path in ("/inbox", "/search?q=keys", "/action-items", "/action-items?tab=all", "/action-items/export.csv"):
            answer = await bob.http.get(path)
            assert answer.status_code == 200
            assert not {"Turn the keys", "Of Bob"} & {w for w in ("Turn the keys", "Of Bob") if w in answer.text}, path
        for path in ("/incidents/INC-1/action-items", f"/action-items/{late['id']}/edit"):
            assert (await bob.http.get(path)).status_code == 404
