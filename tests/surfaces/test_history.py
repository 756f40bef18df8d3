"""Who did what to something: the record by subject, and “History” on the pages of what it is about."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World
from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.identity.access import Role
from tocsin.identity.model import USER_ID
from tocsin.oncall import service as oncall
from tocsin.oncall.model import POLICY_ID


async def about(client: httpx.AsyncClient, subject: str, **params: Any) -> list[str]:
    answer = await client.get("/events", params={"subject": subject, **params})
    assert answer.status_code == 200, answer.text
    return [event["text"] for event in answer.json()["data"]]


async def renamed(world: World, times: int) -> str:
    """A policy that was renamed so often; its id."""
    ada = await world.person("ada")
    policy = await world.policy([ada])
    for number in range(times):
        async with world.db.begin() as tx:
            await oncall.update_policy(tx, world.root, policy.id, oncall.PolicyChanges(name=f"Day {number}"))
    return POLICY_ID.write(policy.id)


async def test_the_record_is_asked_for_what_was_done_to_something(api: Api, admin: httpx.AsyncClient) -> None:
    """F110."""
    policy = await renamed(api.world, 2)
    other = await api.world.policy([await api.world.person("bob")], name="Night")
    assert await about(admin, policy) == [
        "test changed the name of the escalation policy “Day 1”",
        "test changed the name of the escalation policy “Day 0”",
        "test added the escalation policy “Duty”",
    ]
    assert await about(admin, POLICY_ID.write(other.id)) == ["test added the escalation policy “Night”"]
    assert await about(admin, policy, name="configuration.created") == ["test added the escalation policy “Duty”"]


async def test_a_reason_is_a_sentence_and_the_fact_behind_it(api: Api, admin: httpx.AsyncClient) -> None:
    """F110: whoever reads the record gets both, and of a page the sentence that its person was told."""
    await api.world.route(await api.world.policy([await api.world.person("ada")]))
    alert = await api.world.alert()
    names = ["alert.routed", "escalation.started", "page.started"]
    found = (await admin.get("/events", params={"name": names})).json()["data"]
    reasons = {event["name"]: event["data"]["reason"] for event in found}
    took = "No other route matched, so “Everything” took it."
    assert reasons == {
        "alert.routed": took,
        "escalation.started": took,
        "page.started": "You are step 1 of Duty",
    }
    (why,) = [event["data"]["why"] for event in found if event["name"] == "escalation.started"]
    assert why == {"is": "route_took", "route": "Everything", "match": "catch_all"}
    (page,) = (await admin.get("/pages", params={"alert_id": ALERT_ID.write(alert.id)})).json()["data"]
    assert page["reason"] == "You are step 1 of Duty"


async def test_a_history_goes_on_page_by_page_and_line_by_line(api: Api, admin: httpx.AsyncClient) -> None:
    policy = await renamed(api.world, 4)
    first = (await admin.get("/events", params={"subject": policy, "limit": 3})).json()
    rest = (await admin.get("/events", params={"subject": policy, "cursor": first["next_cursor"]})).json()
    assert [event["data"]["title"] for event in first["data"] + rest["data"]] == [
        *("Day 3", "Day 2", "Day 1", "Day 0", "Duty")
    ]
    lines = await admin.get("/events", params={"subject": policy}, headers={"Accept": "application/x-ndjson"})
    assert len(lines.text.splitlines()) == 5


async def test_what_is_gone_keeps_its_history(api: Api, admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/alert_sources", json={"name": "Probe", "kind": "generic"})).json()
    assert (await admin.delete(f"/alert_sources/{made['id']}")).status_code == 204
    assert await about(admin, made["id"]) == [
        "Root deleted the alert source “Probe”",
        "Root added the alert source “Probe”",
    ]


async def test_the_history_of_a_person_names_their_methods_and_tokens(api: Api, admin: httpx.AsyncClient) -> None:
    bob = await api.world.person("bob")
    await api.token(bob)
    assert await about(admin, USER_ID.write(bob.id)) == [
        "test added the token “t”",
        "test added the contact method “Fake”",
        "test added the user “Bob”",
    ]


@pytest.mark.parametrize("subject", ["xyz_1", "pol_1", "", "INC-1", "usr", "_"])
async def test_what_is_no_id_is_nothing(admin: httpx.AsyncClient, subject: str) -> None:
    assert (await admin.get("/events", params={"subject": subject})).status_code == 404


async def test_one_thing_is_asked_for_at_a_time(api: Api, admin: httpx.AsyncClient) -> None:
    """Together they would leave out what neither does."""
    alert = await api.world.alert()
    id = (await admin.get("/alerts")).json()["data"][0]["id"]
    assert len(await about(admin, id)) == len(await api.world.history(alert))
    answer = await admin.get("/events", params={"subject": id, "alert_id": id})
    assert answer.status_code == 422
    assert "subject" in answer.text


async def test_a_history_is_for_those_who_may_read_the_record(api: Api) -> None:
    policy = await renamed(api.world, 1)
    for role in (Role.RESPONDER, Role.STAKEHOLDER, Role.GUEST):
        client = await api.as_(await api.world.person(f"{role}s", role=role))
        assert (await client.get("/events", params={"subject": policy})).status_code == 403


async def test_pages_of_policies_and_sources_show_who_changed_them(world: World) -> None:
    """What the page allows the API allows: it is for those who may read the record."""
    policy = await renamed(world, 1)
    source = SOURCE_ID.write((await world.source()).id)
    admin, bob = await world.person("root", role="admin"), await world.person("bob")
    async with browser(world, admin) as web:
        page = await web.get(f"/policies/{policy}")
        assert page.status == 200
        shown = page.html.split(' id="history"')[1].partition("</details>")[0]
        words = re.findall(r'<p class="sm-t">([^<]*)</p>', shown)
        assert words == [
            "test changed the name of the escalation policy “Day 0”",
            "test added the escalation policy “Duty”",
        ]
        assert "name: Duty → Day 0" in shown
        assert "test added the alert source “Generic”" in (await web.get(f"/sources/{source}")).html
        assert ' id="history"' not in (await web.get("/policies/new")).html
    async with browser(world, bob) as web:
        for path in (f"/policies/{policy}", f"/sources/{source}"):
            page = await web.get(path)
            assert page.status == 200
            assert ' id="history"' not in page.html


async def test_a_long_history_says_where_the_rest_is(world: World) -> None:
    policy = await renamed(world, 20)
    admin = await world.person("root", role="admin")
    async with browser(world, admin) as web:
        html = (await web.get(f"/policies/{policy}")).html
    assert f"/api/v1/events?subject={policy}" in html
    assert "added the escalation policy" not in html


async def test_an_event_of_the_record_says_whose_it_was(api: Api, admin: httpx.AsyncClient) -> None:
    team = (await admin.post("/teams", json={"name": "Payments"})).json()["id"]
    made = {"title": "Card data", "team_ids": [team], "is_private": True}
    incident = (await admin.post("/incidents", json=made)).json()["id"]
    await admin.patch(f"/incidents/{incident}", json={"team_ids": [], "is_private": False})
    listed = (await admin.get("/events", params={"incident": incident, "limit": 100})).json()["data"]
    scopes = {event["name"]: (event["team_ids"], event["is_private"]) for event in listed}
    assert scopes["incident.declared"] == ([team], True)
    assert scopes["incident.updated"] == ([], False)
