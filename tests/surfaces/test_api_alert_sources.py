"""What the API says and does about sources and their open alerts, and the settings of forgotten ones."""

from __future__ import annotations

import httpx

from tests.surfaces.conftest import Api
from tocsin.alerts.model import ALERT_ID, SOURCE_ID


async def test_a_source_says_what_is_open_and_ends_it_when_asked(api: Api, admin: httpx.AsyncClient) -> None:
    """F064, F143: reading needs the right to see sources, ending the right to work on alerts."""
    world = api.world
    source = await world.source()
    for key in ("a", "b"):
        await world.signal({"key": key, "title": key}, source)
    path = f"/alert_sources/{SOURCE_ID.write(source.id)}"
    assert (await admin.patch(path, json={"is_enabled": False})).status_code == 200
    assert (await admin.get(f"{path}/open_alerts")).json() == {"open_alerts": 2}
    watcher = await api.as_(await world.person("cleo", role="stakeholder"))
    assert (await watcher.get(f"{path}/open_alerts")).status_code == 403
    assert (await watcher.post(f"{path}/actions/resolve_alerts")).status_code == 403
    assert (await admin.get(f"{path}/open_alerts")).json() == {"open_alerts": 2}
    responder = await api.as_(await world.person("ada"))
    ended = await responder.post(f"{path}/actions/resolve_alerts", json={"reason": "Taken down."})
    answered = ended.json()
    assert (ended.status_code, answered["resolved"], answered["still_open"]) == (200, 2, 0)
    assert [warning["code"] for warning in answered["warnings"]] == ["alert.comes_back"]
    found = (await admin.get("/alerts", params={"status": "resolved"})).json()["data"]
    assert {alert["resolved_by"] for alert in found} == {"Ada"}
    refused = await admin.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "source.in_use")


async def test_a_source_that_is_off_is_not_tried(api: Api, admin: httpx.AsyncClient) -> None:
    """F064: nothing would come of it, and nothing does."""
    path = f"/alert_sources/{SOURCE_ID.write((await api.world.source()).id)}"
    assert (await admin.patch(path, json={"is_enabled": False})).status_code == 200
    refused = await admin.post(f"{path}/actions/test")
    assert (refused.status_code, refused.json()["code"]) == (409, "source.disabled")
    assert (await admin.get(f"{path}/signals")).json()["data"] == []
    ada = await api.as_(await api.world.person("ada"))
    assert (await ada.post(f"{path}/actions/test")).status_code == 403


async def test_when_a_source_closes_stale_alerts_is_set_and_unset(api: Api, admin: httpx.AsyncClient) -> None:
    """F139: null is never, what is left out stays, and nonsense is refused in its field."""
    path = f"/alert_sources/{SOURCE_ID.write((await api.world.source()).id)}"
    assert (await admin.get(path)).json()["close_after_hours"] is None
    assert (await admin.patch(path, json={"close_after_hours": 24})).json()["close_after_hours"] == 24
    assert (await admin.patch(path, json={"name": "Other"})).json()["close_after_hours"] == 24
    for wrong in (0, 8761, "x", 1.5):
        refused = await admin.patch(path, json={"close_after_hours": wrong})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#/close_after_hours"
    assert (await admin.patch(path, json={"close_after_hours": None})).json()["close_after_hours"] is None


async def test_how_long_alerts_may_lie_is_set_for_the_organisation(api: Api, admin: httpx.AsyncClient) -> None:
    """F139: by administrators; what is left out stays, and the record tells it."""
    found = (await admin.get("/organisation")).json()
    assert (found["remind_after_hours"], found["give_back_after_hours"]) == (4, None)
    changed = (await admin.patch("/organisation", json={"give_back_after_hours": 8})).json()
    assert (changed["remind_after_hours"], changed["give_back_after_hours"]) == (4, 8)
    assert changed["version"] == found["version"] + 1
    changed = (await admin.patch("/organisation", json={"remind_after_hours": None})).json()
    assert (changed["remind_after_hours"], changed["give_back_after_hours"]) == (None, 8)
    assert (await admin.patch("/organisation", json={"remind_after_hours": 721})).status_code == 422
    ada = await api.as_(await api.world.person("ada"))
    assert (await ada.patch("/organisation", json={"remind_after_hours": 1})).status_code == 403
    newest = (await admin.get("/events", params={"name": "configuration.changed"})).json()["data"][0]
    assert newest["data"]["changes"] == [{"field": "remind_after_hours", "old": "4", "new": "never"}]


async def test_what_is_linked_and_unanswered_needs_action_and_nothing_is_linked_to_what_is_over(
    api: Api, admin: httpx.AsyncClient
) -> None:
    """F074."""
    alert = await api.world.alert()
    id = ALERT_ID.write(alert.id)
    incident = (await admin.post("/incidents", json={"title": "Checkout", "severity": 2})).json()
    assert (await admin.post(f"/incidents/{incident['number']}/alerts", json={"alert_ids": [id]})).status_code == 200
    found = (await admin.get("/alerts", params={"needs_action": "true"})).json()["data"]
    assert [each["id"] for each in found] == [id]
    await admin.post(f"/alerts/{id}/actions/acknowledge")
    assert (await admin.get("/alerts", params={"needs_action": "true"})).json()["data"] == []
    over = (await admin.post("/incidents", json={"title": "Over", "severity": 2})).json()
    await admin.post(f"/incidents/{over['number']}/actions/resolve", json={"resolution_note": "Done."})
    free = await api.world.alert("Another")
    refused = await admin.post(f"/incidents/{over['number']}/alerts", json={"alert_ids": [ALERT_ID.write(free.id)]})
    assert (refused.status_code, refused.json()["code"]) == (409, "incident.not_open")
    assert "declare a new incident" in refused.json()["detail"]
