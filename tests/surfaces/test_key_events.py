"""Key events by the API and on the page: both times, the filter, the marks, and none of it where one may not look."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World
from tocsin.identity.model import Actor
from tocsin.identity.service.owners import Owners
from tocsin.incidents import service as incidents
from tocsin.kit.clock import stamp

KEY_EVENTS = "/incidents/INC-1/key_events"


async def test_a_milestone_is_written_moved_and_erased(api: Api) -> None:
    """F077, F130: `POST /incidents/{ref}/key_events` takes `text` and `occurred_at`; the timeline says both times."""
    ada, cleo = await api.world.person("ada"), await api.world.person("cleo", role="stakeholder")
    as_ada, as_cleo = await api.as_(ada), await api.as_(cleo)
    async with api.world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(ada), title="Checkout is down")
    earlier = stamp(incident.declared_at - timedelta(minutes=40))
    made = await as_ada.post(KEY_EVENTS, json={"text": "The **vendor** confirmed.", "occurred_at": earlier})
    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["text"], body["occurred_at"], body["version"]) == ("The **vendor** confirmed.", earlier, 1)
    assert body["recorded_at"] > earlier and body["author"]["name"] == "Ada"
    path = f"{KEY_EVENTS}/{body['id']}"
    (entry, *_) = (await as_cleo.get("/incidents/INC-1/timeline")).json()["data"]
    assert (entry["name"], entry["occurred_at"], entry["is_key"]) == ("incident.key_event_added", earlier, True)
    assert entry["at"] == body["recorded_at"] and entry["detail"] == "The **vendor** confirmed."
    assert [each["id"] for each in (await as_cleo.get(KEY_EVENTS)).json()["data"]] == [body["id"]]
    moved = await as_ada.patch(path, json={"occurred_at": None}, headers={"If-Match": made.headers["etag"]})
    assert moved.status_code == 200 and moved.json()["occurred_at"] == moved.json()["recorded_at"]
    assert (await as_cleo.patch(path, json={"text": "No."})).status_code == 403
    assert (await as_cleo.post(KEY_EVENTS, json={"text": "No."})).status_code == 403
    future = await as_ada.post(KEY_EVENTS, json={"text": "Soon.", "occurred_at": "2999-01-01T00:00:00Z"})
    assert (future.status_code, future.json()["errors"][0]["pointer"]) == (422, "#/occurred_at")
    assert (await as_ada.delete(path)).status_code == 204
    assert (await as_cleo.get(path)).json()["text"] == ""


async def test_an_entry_is_marked_by_the_api(api: Api) -> None:
    """F077: any entry can lead; twice is once, and what is not in the incident is not there."""
    ada = await api.world.person("ada")
    client = await api.as_(ada)
    async with api.world.db.begin() as tx:
        await incidents.declare(tx, Actor.person(ada), title="Checkout is down")
        await incidents.comment(tx, Actor.person(ada), "INC-1", "The disk is full.")
    entries = (await client.get("/incidents/INC-1/timeline?show=comments")).json()["data"]
    path = f"/incidents/INC-1/timeline/{entries[0]['id']}/actions"
    for _ in range(2):
        marked = await client.post(f"{path}/mark_key")
        assert (marked.status_code, marked.json()["is_key"]) == (200, True)
    shown = (await client.get("/incidents/INC-1/timeline?show=key")).json()["data"]
    assert entries[0]["id"] in [each["id"] for each in shown]
    assert (await client.post(f"{path}/unmark_key")).json()["is_key"] is False
    gone = await client.post("/incidents/INC-1/timeline/evt_06b6fyrfa9xsgs9xe3vxkm3j3m/actions/mark_key")
    assert gone.status_code == 404


async def test_of_a_private_incident_there_is_nothing(api: Api) -> None:
    """F024, F077: neither read nor written by who does not see it."""
    ada, bob = await api.world.people("ada", "bob")
    async with api.world.db.begin() as tx:
        who = Actor.person(ada)
        await incidents.declare(tx, who, title="Secret", owners=Owners(is_private=True))
        await incidents.add_key_event(tx, who, "INC-1", "The card data.")
    client: httpx.AsyncClient = await api.as_(bob)
    assert (await client.get(KEY_EVENTS)).status_code == 404
    assert (await client.post(KEY_EVENTS, json={"text": "Hello"})).status_code == 404


async def test_on_the_page_it_stands_where_it_happened_and_marks_are_one_press(world: World) -> None:
    """F077, F130, B9: without a script."""
    ada, cleo = await world.person("ada"), await world.person("cleo", role="stakeholder")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, Actor.person(ada), title="Checkout is down")
        await incidents.comment(tx, Actor.person(ada), "INC-1", "The disk is full.")
    at = (incident.declared_at - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S")
    async with browser(world, ada) as web:
        page = await web.get("/incidents/INC-1")
        assert "/incidents/INC-1/key_events/new" in page.html
        asked = await web.get("/incidents/INC-1/key_events/new")
        done = await web.do(asked, "key-event-form", {"text": "The **vendor** called.", "occurred_at": at})
        assert "Key event added." in done.html
        entries = re.split(r'<li[^>]* id="evt_', done.html)[1:]
        assert "<strong>vendor</strong> called." in entries[-1] and "written" in entries[-1], "before the declaration"
        refused = await web.submit(asked, "key-event-form", {"text": "Soon", "occurred_at": "2999-01-01T00:00"})
        assert refused.status == 422 and "in the future" in refused.html
        refused = await web.submit(asked, "key-event-form", {"text": " ", "occurred_at": ""})
        assert refused.status == 422 and "Write at least one character" in refused.html
        comment = next(each for each in entries if "The disk is full." in each)
        (entry,) = re.findall(r'form="marks" name="key" value="(evt_\w+)"', comment)
        marked = await web.do(done, "marks", {"key": entry})
        assert "It is a key event now." in marked.html
        shown = await web.get("/incidents/INC-1?show=key")
        assert "The disk is full." in shown.html and f'name="not" value="{entry}"' in shown.html
        back = await web.do(shown, "marks", {"not": entry})
        assert "It is no key event any more." in back.html
        assert "The disk is full." not in (await web.get("/incidents/INC-1?show=key")).html
    async with browser(world, cleo) as web:
        page = await web.get("/incidents/INC-1")
        assert "key_events/new" not in page.html and 'form="marks"' not in page.html
