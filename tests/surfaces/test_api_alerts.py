"""From a source and a policy to an alert, a page and its explanation, through the API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.postgres import until_somebody_waits
from tests.surfaces.conftest import Api
from tests.world import minutes
from tocsin.identity.model import USER_ID
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications


async def _wire(api: Api, admin: httpx.AsyncClient, *people: str) -> dict[str, Any]:
    """A policy that pages these people one after the other, a catch-all that goes there, and a source."""
    users = [await api.world.person(name) for name in people]
    steps = [{"targets": [{"type": "user", "id": USER_ID.write(u.id)}], "wait_minutes": 5} for u in users]
    policy = await admin.post("/escalation_policies", json={"name": "Duty", "steps": steps, "repeat": 1})
    assert policy.status_code == 201, policy.text
    route = {"name": "All", "is_catch_all": True, "escalation_policy_id": policy.json()["id"]}
    assert (await admin.post("/alert_routes", json=route)).status_code == 201
    source = await admin.post("/alert_sources", json={"name": "Scripts", "kind": "generic"})
    assert source.status_code == 201
    return {"policy": policy.json(), "source": source.json(), "users": users}


async def _fire(api: Api, source: dict[str, Any], title: str = "Disk is full") -> None:
    path = source["url"].partition("/in/")[2]
    client = api.client()
    client.base_url = httpx.URL("http://tocsin.example")
    answer = await client.post(f"/in/{path}", json={"title": title, "severity": "critical", "labels": {"team": "pay"}})
    assert answer.status_code == 202
    await api.world.settle()


async def test_an_alert_pages_is_answered_and_explains_itself(api: Api, admin: httpx.AsyncClient) -> None:
    """F053, F063, G01."""
    made = await _wire(api, admin, "ada", "bob")
    await _fire(api, made["source"])
    alert = (await admin.get("/alerts")).json()["data"][0]
    assert alert["severity_label"] == "SEV1"
    assert (alert["source_name"], alert["status"], alert["labels"]) == ("Scripts", "triggered", {"team": "pay"})
    path = f"/alerts/{alert['id']}"
    told = (await admin.get(f"{path}/explain")).json()
    assert told["summary"] == "Ada was paged; nobody has answered yet."
    (goes_on,) = told["goes_on"]
    assert ([each["name"] for each in goes_on["asked"]], [each["name"] for each in goes_on["then"]]) == (
        ["Ada"],
        ["Bob"],
    )
    assert goes_on["since"] < goes_on["next_at"] and goes_on["reason"].startswith("Step 1 of ")
    await api.world.pass_time(minutes(5))
    assert (await admin.post(f"{path}/actions/acknowledge")).json()["acknowledged_by"] == "Root"
    told = (await admin.get(f"{path}/explain")).json()
    assert told["summary"].startswith("Ada and Bob were paged, and Root answered after ")
    assert told["goes_on"] == []
    assert [step["at"] for step in told["steps"]] == sorted(step["at"] for step in told["steps"])
    assert told["steps"][0]["name"] == "alert.triggered"
    sent = (await admin.get(f"{path}/notifications")).json()["data"]
    assert {(d["user"]["name"], d["channel"]) for d in sent} == {("Ada", "email"), ("Bob", "email")}
    signals = (await admin.get(f"{path}/signals")).json()["data"]
    assert (signals[0]["effect"], signals[0]["signal"]["outcome"]) == ("opened", "accepted")
    assert "Disk is full" in signals[0]["signal"]["body"]


async def test_an_alert_is_found_by_the_number_that_its_page_shows(api: Api, admin: httpx.AsyncClient) -> None:
    """F053: what a phone and the doctor call ALR-31 opens as that, is found by it, and takes every verb."""
    made = await _wire(api, admin, "ada", "bob")
    await _fire(api, made["source"])
    await _fire(api, made["source"], "Another")
    alert = next(each for each in (await admin.get("/alerts")).json()["data"] if each["title"] == "Disk is full")
    called = f"ALR-{alert['number']}"
    for name in (called, called.lower()):
        assert (await admin.get(f"/alerts/{name}")).json()["id"] == alert["id"]
        assert [each["id"] for each in (await admin.get("/alerts", params={"q": name})).json()["data"]] == [alert["id"]]
    for below in ("signals", "notifications", "explain"):
        assert (await admin.get(f"/alerts/{called}/{below}")).status_code == 200
    for verb, status in (("escalate", "triggered"), ("acknowledge", "acknowledged"), ("unacknowledge", "triggered")):
        done = (await admin.post(f"/alerts/{called}/actions/{verb}")).json()
        assert (done["id"], done["status"]) == (alert["id"], status)
    assert (await admin.post(f"/alerts/{called}/actions/declare_incident", json={})).status_code == 201
    assert (await admin.post(f"/alerts/{called}/actions/resolve")).json()["status"] == "resolved"

    for wrong in ("ALR-999999", f"ALR-{2**70}", "ALR-", "ALR--1", f"ALRT-{alert['number']}", str(alert["number"])):
        assert (await admin.get(f"/alerts/{wrong}")).status_code == 404, wrong
    assert (await admin.get("/alerts/ALR-999999")).json()["detail"] == "There is no alert “ALR-999999”."


async def test_the_number_of_an_alert_leads_to_nothing_that_may_not_be_seen(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: numbers can be guessed; what is private stays so, to reading, searching and doing."""
    made = await _wire(api, admin, "ada")
    team = (await admin.post("/teams", json={"name": "Secret", "is_private": True})).json()["id"]
    private = {"team_ids": [team], "is_private": True}
    assert (await admin.patch(f"/alert_sources/{made['source']['id']}", json=private)).status_code == 200
    await _fire(api, made["source"])
    called = f"ALR-{(await admin.get('/alerts')).json()['data'][0]['number']}"
    stranger = await api.as_(await api.world.person("stranger"))
    for path in ("", "/signals", "/notifications", "/explain"):
        refused = await stranger.get(f"/alerts/{called}{path}")
        # In the words for a number that nobody has given out.
        assert (refused.status_code, refused.json()["detail"]) == (404, f"There is no alert “{called}”.")
    for verb in ("acknowledge", "unacknowledge", "escalate", "resolve", "declare_incident"):
        assert (await stranger.post(f"/alerts/{called}/actions/{verb}", json={})).status_code == 404
    assert (await stranger.get("/alerts", params={"q": called})).json()["data"] == []
    assert (await admin.get(f"/alerts/{called}")).json()["status"] == "triggered"


async def test_an_alert_says_why_nobody_was_paged(api: Api, admin: httpx.AsyncClient) -> None:
    """F069, G01."""
    source = (await admin.post("/alert_sources", json={"name": "Scripts", "kind": "generic"})).json()
    await _fire(api, source)
    alert = (await admin.get("/alerts")).json()["data"][0]
    told = (await admin.get(f"/alerts/{alert['id']}/explain")).json()
    assert told["summary"].startswith("Nobody was paged because ")
    await admin.post("/alert_routes", json={"name": "Only record", "is_catch_all": True})
    await _fire(api, source, "Another")
    alert = (await admin.get("/alerts", params={"q": "Another"})).json()["data"][0]
    told = (await admin.get(f"/alerts/{alert['id']}/explain")).json()
    assert told["summary"] == "Nobody was paged because the route “Only record” only records alerts."


async def test_an_incident_is_declared_from_an_alert_once(api: Api, admin: httpx.AsyncClient) -> None:
    """F002, F074."""
    made = await _wire(api, admin, "ada")
    await _fire(api, made["source"])
    alert = (await admin.get("/alerts", params={"status": "triggered", "label[team]": "pay"})).json()["data"][0]
    declared = await admin.post(f"/alerts/{alert['id']}/actions/declare_incident", json={})
    assert (declared.status_code, declared.json()["title"]) == (201, "Disk is full")
    again = await admin.post(f"/alerts/{alert['id']}/actions/declare_incident", json={})
    assert (again.status_code, again.json()["code"]) == (409, "alert.linked")
    alert = (await admin.get(f"/alerts/{alert['id']}")).json()
    assert (alert["incident_number"], alert["status"]) == ("INC-1", "acknowledged")
    assert (await admin.get("/alerts", params={"label[team]": "other"})).json()["data"] == []


async def test_a_label_that_is_asked_for_twice_means_either_value(api: Api, admin: httpx.AsyncClient) -> None:
    """F114: and another label must hold as well."""
    made = await _wire(api, admin, "ada")
    await _fire(api, made["source"])
    for query, found in (
        ("label[team]=pay&label[team]=search", 1),
        ("label[team]=search&label[team]=pay", 1),
        ("label[team]=search&label[team]=web", 0),
        ("label[team]=pay&label[team]=search&label[zone]=1", 0),
    ):
        assert len((await admin.get(f"/alerts?{query}")).json()["data"]) == found, query


async def test_several_alerts_are_changed_and_each_says_how_it_went(api: Api, admin: httpx.AsyncClient) -> None:
    """F067."""
    made = await _wire(api, admin, "ada")
    await _fire(api, made["source"], "One")
    await _fire(api, made["source"], "Two")
    one, two = [alert["id"] for alert in (await admin.get("/alerts")).json()["data"]]
    await admin.post(f"/alerts/{one}/actions/resolve", json={"reason": "Cleaned up."})
    done = (await admin.post("/alerts/actions/bulk", json={"action": "acknowledge", "ids": [one, two]})).json()
    assert [alert["id"] for alert in done["data"]] == [two]
    assert [(failure["id"], failure["code"]) for failure in done["failed"]] == [(one, "alert.resolved")]


async def test_several_alerts_are_answered_in_the_order_in_which_they_were_named(
    api: Api, admin: httpx.AsyncClient
) -> None:
    """F067: whatever the order they are locked in."""
    made = await _wire(api, admin, "ada")
    for title in ("One", "Two", "Three", "Four"):
        await _fire(api, made["source"], title)
    newest_first = [alert["id"] for alert in (await admin.get("/alerts")).json()["data"]]
    for gone in newest_first[:2]:
        await admin.post(f"/alerts/{gone}/actions/resolve")
    for ids in (newest_first, newest_first[::-1]):
        for headers in ({}, {"Idempotency-Key": ids[0]}):
            body = {"action": "acknowledge", "ids": [*ids, ids[-1]]}
            done = (await admin.post("/alerts/actions/bulk", json=body, headers=headers)).json()
            told = {name: [each["id"] for each in done[name]] for name in ("data", "failed")}
            gone = newest_first[:2]
            assert told["failed"] == [id for id in body["ids"] if id in gone]
            assert told["data"] == [id for id in body["ids"] if id not in gone]


async def test_a_page_is_acknowledged_by_its_person_only(api: Api, admin: httpx.AsyncClient) -> None:
    """F029, F061."""
    made = await _wire(api, admin, "ada", "bob")
    await _fire(api, made["source"])
    alert = (await admin.get("/alerts")).json()["data"][0]
    page = (await admin.get("/pages", params={"alert_id": alert["id"]})).json()["data"][0]
    ada, bob = made["users"]
    assert (await (await api.as_(bob)).post(f"/pages/{page['id']}/actions/acknowledge")).status_code == 403
    answered = await (await api.as_(ada)).post(f"/pages/{page['id']}/actions/acknowledge")
    assert answered.json()["state"] == "acknowledged"
    assert (await admin.get(f"/alerts/{alert['id']}")).json()["acknowledged_by"] == "Ada"


async def test_a_source_shows_its_token_to_those_who_manage_it(api: Api, admin: httpx.AsyncClient) -> None:
    """F064, F118."""
    for kind in ("alertmanager", "grafana", "generic", "pagerduty"):
        made = (await admin.post("/alert_sources", json={"name": kind, "kind": kind})).json()
        end = "/compat/pagerduty/v2/enqueue" if kind == "pagerduty" else f"/in/{kind}/{made['token']}"
        assert made["url"].startswith("http")
        assert made["url"].endswith(end)
        ada = await api.as_(await api.world.person(f"ada{kind}"))
        seen = (await ada.get(f"/alert_sources/{made['id']}")).json()
        assert (seen["token"], seen["url"]) == (None, None)
        rotated = (await admin.post(f"/alert_sources/{made['id']}/actions/rotate_key")).json()
        assert rotated["token"] != made["token"]
        tested = await admin.post(f"/alert_sources/{made['id']}/actions/test")
        assert tested.status_code == 200, tested.text
        assert tested.json()["alerts"][0]["effect"] == "opened"
        listed = (await admin.get(f"/alert_sources/{made['id']}/signals")).json()["data"]
        assert listed == [tested.json()]
        assert (await admin.delete(f"/alert_sources/{made['id']}")).status_code == 409
        off = await admin.patch(f"/alert_sources/{made['id']}", json={"is_enabled": False})
        assert off.json()["is_enabled"] is False


async def test_routes_are_written_moved_and_removed(api: Api, admin: httpx.AsyncClient) -> None:
    """F069."""
    first = (await admin.post("/alert_routes", json={"name": "First", "condition": "severity == 1"})).json()
    second = (await admin.post("/alert_routes", json={"name": "Second", "condition": "severity == 2"})).json()
    wrong = await admin.post("/alert_routes", json={"name": "Wrong", "condition": "severity =="})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "#/condition")
    moved = await admin.post(f"/alert_routes/{second['id']}/actions/move", json={"direction": "up"})
    assert (moved.json()["name"], moved.json()["position"]) == ("Second", 1)
    listed = (await admin.get("/alert_routes")).json()["data"]
    assert [route["name"] for route in listed] == ["Second", "First"]
    edited = await admin.patch(f"/alert_routes/{first['id']}", json={"is_enabled": False})
    assert (edited.json()["is_enabled"], edited.json()["condition"]) == (False, "severity == 1")
    assert (await admin.delete(f"/alert_routes/{first['id']}")).status_code == 204
    assert (await admin.get(f"/alert_routes/{first['id']}")).status_code == 404


async def test_a_policy_in_use_stays(api: Api, admin: httpx.AsyncClient) -> None:
    """F053."""
    made = await _wire(api, admin, "ada")
    path = f"/escalation_policies/{made['policy']['id']}"
    used = await admin.delete(path)
    assert (used.status_code, used.json()["code"]) == (409, "escalation_policy.in_use")
    assert (await admin.patch(path, json={"repeat": 3})).json()["repeat"] == 3
    assert (await admin.patch(path, json={"steps": []})).status_code == 422
    same = await admin.post("/escalation_policies", json={"name": "Duty", "steps": made["policy"]["steps"]})
    assert same.status_code == 422


@pytest.mark.parametrize("token", ["%00", "a%00b", "%ED%A0%80", "%FF", "%C3%A9", "a%2Fb"])
async def test_a_token_that_nothing_can_hold_is_unknown_and_no_outage(api: Api, token: str) -> None:
    """F063: a 503 would have the sender try for ever what never works."""
    answer = await api.client().post(f"http://tocsin.example/in/generic/{token}", json={"title": "Disk is full"})
    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] == "not_found"


async def test_a_routing_key_that_nothing_can_hold_is_unknown_and_no_outage(api: Api) -> None:
    """F063, G16."""
    event = {"event_action": "trigger", "payload": {"summary": "Disk is full", "source": "db1", "severity": "critical"}}
    for key in ("a\0" * 16, "é" * 32):
        answer = await api.client().post(
            "http://tocsin.example/compat/pagerduty/v2/enqueue", json={"routing_key": key, **event}
        )
        assert (answer.status_code, answer.json()["errors"]) == (400, ["routing_key not found"])


async def test_a_slash_too_many_loses_no_signal(api: Api, admin: httpx.AsyncClient) -> None:
    """F063, G16."""
    site = "http://tocsin.example"
    generic = (await admin.post("/alert_sources", json={"name": "Any", "kind": "generic"})).json()["token"]
    for path in (f"/in/generic/{generic}/", f"//in/generic/{generic}", f"/in//generic//{generic}//"):
        answer = await api.client().post(site + path, json={"title": "Disk is full"})
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1), path
    key = (await admin.post("/alert_sources", json={"name": "Pager", "kind": "pagerduty"})).json()["token"]
    event = {"event_action": "trigger", "payload": {"summary": "Disk is full", "source": "db1", "severity": "critical"}}
    for path in ("/compat/pagerduty/v2/enqueue/", "//compat/pagerduty/v2/enqueue"):
        answer = await api.client().post(site + path, json={"routing_key": key, **event})
        assert (answer.status_code, answer.json()["status"]) == (202, "success"), path


@pytest.mark.parametrize("path", ["/in", "/in/", "//in//", "/in/generic", "/in/nothing/x", "/compat/", "/compat/x/y"])
async def test_an_address_that_takes_no_signals_says_so_as_a_problem(api: Api, path: str) -> None:
    """F063."""
    answer = await api.client().post(f"http://tocsin.example{path}", json={"title": "Disk is full"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["code"] == "not_found"


async def test_an_unknown_compatible_address_answers_in_the_words_of_its_protocol(api: Api) -> None:
    """G16."""
    site = "http://tocsin.example/compat/pagerduty"
    for path in ("", "/v2", "/v2/enqueue/x", "/v2/change/enqueue"):
        answer = await api.client().post(site + path, json={"routing_key": "x"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json"), path
        assert set(answer.json()) == {"status", "message", "errors"}
    read = await api.client().get(site + "/v2/enqueue")
    assert (read.status_code, read.headers["allow"]) == (405, "POST")
    assert read.json()["errors"] == ["This address takes POST."]


async def test_an_intake_address_names_the_method_that_it_takes(api: Api) -> None:
    """F063."""
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = await api.client().request(method, "http://tocsin.example/in/generic/x")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.json()["code"], answer.json()["detail"]) == ("request.method", "This address takes POST.")


async def test_a_step_at_the_moment_a_contact_method_goes_is_no_crash(api: Api, admin: httpx.AsyncClient) -> None:
    """F053: the step has read the method that is gone when it is to be written; trying again finds the new state."""
    made = await _wire(api, admin, "ada", "bob")
    await _fire(api, made["source"])
    alert = (await admin.get("/alerts")).json()["data"][0]
    world, bob = api.world, made["users"][1]
    async with world.db.begin() as tx:
        method = (await contact.contact_methods(tx, bob.id))[0]
        await notifications.remove_contact_method(tx, world.root, user_id=bob.id, method_id=method.id)
        await tx.flush()
        asked = asyncio.create_task(admin.post(f"/alerts/{alert['id']}/actions/escalate"))
        await until_somebody_waits(world.db)
    answer = await asked
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict"), answer.text
    assert (await admin.get(f"/alerts/{alert['id']}")).json()["status"] == "triggered"
    again = await admin.post(f"/alerts/{alert['id']}/actions/escalate")
    assert (again.status_code, again.json()["code"]) == (409, "escalation.last_step")
