"""An incident from its declaration to its end, through the API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.processes import PATIENCE
from tests.surfaces.conftest import Api
from tocsin.alerts.model import ALERT_ID
from tocsin.identity.model import USER_ID
from tocsin.oncall.model import POLICY_ID


async def test_an_incident_is_declared_worked_on_resolved_and_reopened(api: Api, admin: httpx.AsyncClient) -> None:
    """F001, F012, F014, F023, F028, F029, F032, F034, F035, F036, F075, F120."""
    declared = await admin.post("/incidents", json={"title": "Checkout is down", "severity": 1})
    assert declared.status_code == 201
    incident = declared.json()
    assert incident["number"] == "INC-1"
    assert incident["severity_label"] == "SEV1"
    assert incident["status"] == "declared"
    assert incident["roles"]["lead"]["name"] == "Root"
    assert incident["responders_joined"] == 1
    assert incident["url"].endswith("/incidents/INC-1")
    assert incident["stamps"]["declared_at"].endswith("Z")
    assert len(incident["stamps"]["declared_at"]) == len("2026-01-01T00:00:00.000Z")

    path = f"/incidents/{incident['id']}"
    assert (await admin.post(f"{path}/actions/acknowledge")).json()["status"] == "investigating"
    assert (await admin.post(f"{path}/actions/acknowledge")).status_code == 200
    moved = await admin.post(f"{path}/actions/update_status", json={"status": "mitigated"})
    stamps = moved.json()["stamps"]
    assert stamps["mitigated_at"] == stamps["identified_at"] is not None
    assert stamps["detected_at"] == stamps["declared_at"]
    earlier = dict.fromkeys(("started_at", "detected_at", "identified_at"), "2020-01-01T10:00:00Z")
    set_right = (await admin.patch(path, json=earlier)).json()
    assert {name: set_right["stamps"][name][:16] for name in earlier} == dict.fromkeys(earlier, "2020-01-01T10:00")
    taken_away = (await admin.patch(path, json={"detected_at": None, "identified_at": None})).json()
    assert (taken_away["status"], taken_away["stamps"]["identified_at"]) == ("mitigated", None)
    assert taken_away["stamps"]["detected_at"] == stamps["detected_at"]
    late = await admin.patch(path, json={"identified_at": "2019-01-01T10:00:00Z"})
    assert (late.status_code, late.json()["errors"][0]["pointer"]) == (422, "#/identified_at")
    assert (await admin.patch(path, json={"severity": 2})).json()["severity"] == 2

    empty = await admin.post(f"{path}/actions/resolve", json={"resolution_note": " "})
    assert (empty.status_code, empty.json()["errors"][0]["pointer"]) == (422, "#/resolution_note")
    assert (await admin.post(f"{path}/actions/resolve")).status_code == 422
    early = {"resolution_note": "Rolled back.", "mitigated_at": "2001-01-01T00:00:00Z"}
    refused = await admin.post(f"{path}/actions/resolve", json=early)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "#/mitigated_at")
    ended = {"resolution_note": "Rolled back.", "mitigated_at": (await admin.get(path)).json()["stamps"]["declared_at"]}
    resolved = await admin.post(f"{path}/actions/resolve", json=ended)
    assert resolved.json()["stamps"]["mitigated_at"] == ended["mitigated_at"]
    assert (resolved.json()["status"], resolved.json()["resolution_note"]) == ("resolved", "Rolled back.")
    assert (await admin.post(f"{path}/actions/page", json={"targets": []})).status_code == 422
    assert (await admin.post(f"{path}/actions/close")).json()["status"] == "closed"
    reopened = await admin.post(f"{path}/actions/reopen", json={"reason": "It came back."})
    assert reopened.json()["round"] == 1
    cancelled = await admin.post(f"{path}/actions/cancel", json={"reason": "false_alarm"})
    assert cancelled.json()["status"] == "cancelled"

    key = (await admin.get(f"{path}/timeline", params={"limit": 100, "show": "key"})).json()["data"]
    assert all(line["is_key"] for line in key) and "incident.updated" not in {line["name"] for line in key}
    lines = (await admin.get(f"{path}/timeline", params={"limit": 100})).json()["data"]
    assert [line for line in lines if line["is_key"]] == key
    assert lines[-1]["text"] == "Root declared INC-1 as SEV1"
    assert lines[0]["name"] == "incident.cancelled"


async def test_people_take_roles_join_and_leave(api: Api, admin: httpx.AsyncClient) -> None:
    """F041, F042, F045, F046."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    ada = await api.world.person("ada")
    hers = await api.as_(ada)
    id = USER_ID.write(ada.id)
    assert (await hers.post("/incidents/INC-1/actions/join")).status_code == 200
    roles = (await admin.put("/incidents/INC-1/roles", json={"commander": id})).json()["roles"]
    assert (roles["commander"]["name"], roles["lead"]["name"]) == ("Ada", "Root")
    assert (await hers.post("/incidents/INC-1/responders/actions/leave")).json()["code"] == "incident.has_role"
    assert (await admin.put("/incidents/INC-1/roles", json={"commander": None})).json()["roles"]["commander"] is None
    assert (await hers.post("/incidents/INC-1/actions/leave")).status_code == 200
    states = {r["user"]["name"]: r["state"] for r in (await admin.get("/incidents/INC-1/responders")).json()["data"]}
    assert states == {"Root": "joined", "Ada": "left"}


async def test_help_is_asked_for_and_declined(api: Api, admin: httpx.AsyncClient) -> None:
    """F049, F052, F061."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    ada = await api.world.person("ada")
    target = {"type": "user", "id": USER_ID.write(ada.id)}
    paged = await admin.post("/incidents/INC-1/actions/page", json={"targets": [target], "message": "Database?"})
    page = paged.json()["data"][0]
    assert (page["state"], page["user"]["name"]) == ("paging", "Ada")
    hers = await api.as_(ada)
    assert (await hers.post(f"/pages/{page['id']}/actions/decline")).json()["state"] == "declined"
    assert (await hers.get("/pages", params={"incident": "INC-1"})).json()["data"][0]["state"] == "declined"


async def test_the_answer_names_whoever_could_not_be_paged(api: Api, admin: httpx.AsyncClient) -> None:
    """F049: people and policies, each with the reason."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    ada, bob = await api.world.person("ada"), await api.world.person("bob", reachable=False)
    policy = await api.world.policy([bob, bob], name="Database")
    user, duty = (
        {"type": "user", "id": USER_ID.write(bob.id)},
        {"type": "escalation_policy", "id": POLICY_ID.write(policy.id)},
    )
    paged = await admin.post("/incidents/INC-1/actions/page", json={"targets": [user, duty]})
    assert (paged.status_code, paged.json()) == (
        200,
        {
            "data": [],
            "not_reached": [
                user
                | {
                    "name": "Bob",
                    "reason": "Bob cannot be reached: no contact method, or the account is switched off.",
                },
                duty | {"name": "Database", "reason": "Nobody on any step can be reached."},
            ],
            "already": [],
            "next_cursor": None,
        },
    )
    both = [user, {"type": "user", "id": USER_ID.write(ada.id)}]
    partly = (await admin.post("/incidents/INC-1/actions/page", json={"targets": both})).json()
    assert [page["user"]["name"] for page in partly["data"]] == ["Ada"]
    assert [missed["name"] for missed in partly["not_reached"]] == ["Bob"]


async def test_comments_are_written_and_read(admin: httpx.AsyncClient) -> None:
    """F076."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    written = await admin.post("/incidents/INC-1/comments", json={"body": "Looking at **it**."})
    assert (written.status_code, written.json()["author"]["name"]) == (201, "Root")
    assert (await admin.get("/incidents/INC-1/comments")).json()["data"] == [written.json()]
    assert (await admin.post("/incidents/INC-1/comments", json={"body": " "})).status_code == 422


async def test_alerts_are_linked_and_unlinked(api: Api, admin: httpx.AsyncClient) -> None:
    """F074."""
    alert = ALERT_ID.write((await api.world.alert()).id)
    await admin.post("/incidents", json={"title": "One"})
    await admin.post("/incidents", json={"title": "Two"})
    linked = await admin.post("/incidents/INC-1/alerts", json={"alert_ids": [alert]})
    assert linked.json()["data"][0]["incident_number"] == "INC-1"
    assert (await admin.get("/incidents/INC-1")).json()["linked_alert_count"] == 1
    again = await admin.post("/incidents/INC-2/alerts", json={"alert_ids": [alert]})
    assert (again.status_code, again.json()["code"]) == (409, "alert.linked")
    assert (await admin.get("/incidents/INC-1/alerts")).json()["data"][0]["id"] == alert
    assert (await admin.delete(f"/incidents/INC-1/alerts/{alert}")).status_code == 204
    assert (await admin.get("/incidents/INC-1/alerts")).json()["data"] == []


async def test_the_stream_tells_what_happens_and_ends_with_the_process(api: Api, admin: httpx.AsyncClient) -> None:
    """F075, F122."""
    await admin.post("/incidents", json={"title": "One"})
    await admin.post("/incidents", json={"title": "Two"})
    reading = asyncio.create_task(_read_stream(api, admin, "incident=INC-2", b"Looking"))
    await admin.post("/incidents/INC-1/comments", json={"body": "Elsewhere"})
    await admin.post("/incidents/INC-2/comments", json={"body": "Looking"})
    text = (await asyncio.wait_for(reading, PATIENCE)).decode()
    assert "event: incident.comment_added" in text
    assert "Elsewhere" not in text
    assert text.startswith("retry:")
    first = next(line for line in text.splitlines() if line.startswith("id: "))
    assert first.removeprefix("id: ").replace("-", "").isdecimal()


async def _read_stream(api: Api, client: httpx.AsyncClient, query: str, until: bytes) -> bytes:
    """Read server-sent events until some text is there, from the beginning of the log; then stop the process."""
    got = b""
    over = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal got
        got += message.get("body", b"")
        if until in got:
            api.world.app.say_goodbye()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            over.set()

    token = client.headers["authorization"].encode()
    scope: Any = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v1/stream",
        "raw_path": b"/api/v1/stream",
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"x"), (b"authorization", token), (b"last-event-id", b"0-0")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await api.world.app.asgi()(scope, receive, send)
    return got


async def test_the_end_is_told_as_it_was_and_its_note_corrected(api: Api, admin: httpx.AsyncClient) -> None:
    """F023, F031: nobody acknowledged it; another note is refused, and may replace the first."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    early = await admin.patch("/incidents/INC-1", json={"resolution_note": "Too early."})
    assert (early.status_code, early.json()["code"]) == (409, "incident.not_resolved")
    resolved = (await admin.post("/incidents/INC-1/actions/resolve", json={"resolution_note": "Restarted."})).json()
    assert resolved["stamps"]["acknowledged_at"] == resolved["stamps"]["resolved_at"]
    assert resolved["stamps"]["acknowledged_by_end"] is True
    for verb in ("resolve", "close"):
        other = await admin.post(f"/incidents/INC-1/actions/{verb}", json={"resolution_note": "Rolled back."})
        assert (other.status_code, other.json()["code"]) == (409, "incident.resolved")
    corrected = await admin.patch("/incidents/INC-1", json={"resolution_note": "Rolled back."})
    assert corrected.json()["resolution_note"] == "Rolled back."
    line = (await admin.get("/incidents/INC-1/timeline")).json()["data"][0]
    assert line["text"] == "Root changed the resolution note"
    assert (await admin.put("/incidents/INC-1/roles", json={"lead": None})).json()["code"] == "incident.not_open"


async def test_a_duplicate_stands_in_the_list_of_the_survivor(api: Api, admin: httpx.AsyncClient) -> None:
    """F035."""
    for title in ("Checkout is down", "Payments fail"):
        await admin.post("/incidents", json={"title": title})
    await admin.post("/incidents/INC-2/actions/cancel", json={"reason": "duplicate", "duplicate_of": "INC-1"})
    (listed,) = [each for each in (await admin.get("/incidents")).json()["data"] if each["number"] == "INC-1"]
    assert [(each["number"], each["title"]) for each in listed["duplicates"]] == [("INC-2", "Payments fail")]
    assert (await admin.get("/incidents/INC-2")).json()["duplicates"] == []


async def test_who_is_paged_already_is_named_and_the_lead_is_not_emptied(api: Api, admin: httpx.AsyncClient) -> None:
    """F033, F045, F049."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    ada = await api.world.person("ada")
    target = {"type": "user", "id": USER_ID.write(ada.id)}
    await admin.post("/incidents/INC-1/actions/page", json={"targets": [target]})
    twice = (await admin.post("/incidents/INC-1/actions/page", json={"targets": [target]})).json()
    reason = "Ada is being paged for INC-1 already, so nothing more was sent."
    assert (twice["data"], twice["already"]) == ([], [target | {"name": "Ada", "reason": reason}])
    states = {r["user"]["name"]: r["state"] for r in (await admin.get("/incidents/INC-1/responders")).json()["data"]}
    assert states == {"Root": "joined", "Ada": "asked"}
    await admin.post("/incidents/INC-1/actions/acknowledge")
    emptied = await admin.put("/incidents/INC-1/roles", json={"lead": None})
    assert (emptied.status_code, emptied.json()["code"]) == (409, "incident.lead_required")


async def test_category_priority_and_drill_are_set_found_and_sorted_by(admin: httpx.AsyncClient) -> None:
    """F010, F017, F018: one cannot go on in another order with the place of the first."""
    real = (await admin.post("/incidents", json={"title": "Bills", "severity": 2, "category": "cost"})).json()
    assert (real["category"], real["priority"], real["priority_is_derived"]) == ("cost", "P2", True)
    assert (real["is_drill"], real["urgency"]) == (False, "high")
    drill = (await admin.post("/incidents", json={"title": "Region lost", "priority": "P1", "is_drill": True})).json()
    assert (drill["category"], drill["priority"], drill["priority_is_derived"]) == (None, "P1", False)

    async def found(**asked: str) -> list[str]:
        return [each["title"] for each in (await admin.get("/incidents", params=asked)).json()["data"]]

    assert await found(category="cost") == await found(is_drill="false") == await found(priority="P2") == ["Bills"]
    assert await found(is_drill="true") == await found(priority="P1") == ["Region lost"]
    assert await found(sort="priority") == ["Region lost", "Bills"]
    assert await found(sort="-priority") == ["Bills", "Region lost"]
    cursor = (await admin.get("/incidents?sort=priority&limit=1")).json()["next_cursor"]
    assert await found(sort="priority", cursor=cursor) == ["Bills"]
    for asked in ({"sort": "severity", "cursor": cursor}, {"cursor": cursor}, {"category": "none"}, {"priority": "P5"}):
        assert (await admin.get("/incidents", params=asked)).status_code in (400, 422)

    path = f"/incidents/{drill['number']}"
    patched = (await admin.patch(path, json={"category": "security", "priority": None, "is_drill": False})).json()
    assert (patched["category"], patched["priority"], patched["is_drill"]) == ("security", "P3", False)
    assert (await admin.patch(path, json={"category": None})).json()["category"] is None
    marked = await admin.post(f"{path}/actions/mark_drill", json={"is_drill": True})
    assert (marked.status_code, marked.json()["is_drill"]) == (200, True)
    stale = await admin.post(f"{path}/actions/mark_drill", json={"is_drill": False}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
