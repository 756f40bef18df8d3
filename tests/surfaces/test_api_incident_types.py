"""Incident types, custom fields and gates through the API."""

from __future__ import annotations

from typing import Any

import httpx

from tests.surfaces.conftest import Api


async def made(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_type_with_fields_is_made_used_changed_and_archived(admin: httpx.AsyncClient) -> None:
    """F019, F021, G08: model.md story 9, from the field to the incident that keeps its version."""
    cause = await made(admin, "/custom_fields", name="Root cause", key="root_cause", kind="select", options=["A", "B"])
    assert (cause["id"][:4], cause["version"], cause["required_words"]) == ("cfd_", 1, None)
    condition = "severity <= 2 && status == 'resolved'"
    body = {"name": "Customer impact", "key": "customer_impact", "kind": "long_text", "required_when": condition}
    impact = await made(admin, "/custom_fields", **body)
    assert impact["required_words"] == "the severity is SEV2 or worse and it is resolved"
    wanted = [{"state": "resolved", "fields": ["root_cause", "summary"]}]
    layout = ["customer_impact", "root_cause"]
    kind = await made(admin, "/incident_types", name="Network", short_id="net", requirements=wanted, layout=layout)
    assert kind["requirements"] == wanted
    assert kind["layout"] == ["title", "severity", "summary", *layout]

    wrong = {"title": "Slow", "type": "net", "fields": {"root_cause": "C", "nope": 1}}
    refused = await admin.post("/incidents", json=wrong)
    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == ["#/fields/root_cause", "#/fields/nope"]
    incident = await made(admin, "/incidents", title="Slow", type="net", severity=2)
    assert incident["type"] == {"id": kind["id"], "short_id": "net", "name": "Network", "version": 1}
    path = f"/incidents/{incident['number']}"
    refused = await admin.post(f"{path}/actions/resolve", json={"resolution_note": "Done."})
    pointers = [each["pointer"] for each in refused.json()["errors"]]
    assert (refused.status_code, pointers) == (422, ["#/fields/customer_impact", "#/fields/root_cause", "#/summary"])

    changed = await admin.patch(f"/incident_types/{kind['id']}", json={"requirements": []})
    assert (changed.json()["version"], changed.json()["requirements"]) == (2, [])
    said = {"summary": "It broke.", "fields": {"root_cause": "A", "customer_impact": "Nobody could pay."}}
    assert (await admin.post(f"{path}/actions/resolve", json={"resolution_note": "Done."})).status_code == 422
    assert (await admin.patch(path, json=said)).json()["fields"] == said["fields"]
    assert (await admin.patch(path, json={"fields": {"root_cause": None}})).json()["fields"].keys() == {
        "customer_impact"
    }
    assert (await admin.patch(path, json={"fields": {"root_cause": "B"}})).status_code == 200
    resolved = await admin.post(f"{path}/actions/resolve", json={"resolution_note": "Done."})
    assert (resolved.status_code, resolved.json()["type"]["version"]) == (200, 1)
    versions = (await admin.get(f"/incident_types/{kind['id']}/versions", params={"limit": 1})).json()
    assert [each["number"] for each in versions["data"]] == [2]
    older = await admin.get(f"/incident_types/{kind['id']}/versions", params={"cursor": versions["next_cursor"]})
    assert [(each["number"], each["requirements"]) for each in older.json()["data"]] == [(1, wanted)]

    for used in (f"/incident_types/{kind['id']}", f"/custom_fields/{cause['id']}"):
        assert (await admin.delete(used)).status_code == 409
        assert (await admin.post(f"{used}/actions/archive")).json()["archived_at"] is not None
    assert (await admin.post("/incidents", json={"title": "x", "type": "net"})).status_code == 422
    found = (await admin.get("/incident_types", params={"is_archived": "false", "q": "data"})).json()["data"]
    assert [each["short_id"] for each in found] == ["data_quality"]


async def test_incidents_are_listed_by_their_type(admin: httpx.AsyncClient) -> None:
    """F114: by short id or id; of a type that there is not, none."""
    await made(admin, "/incidents", title="One")
    two = await made(admin, "/incidents", title="Two", type="data_quality", fields={"dataset": "orders"})

    async def listed(*types: str) -> list[str]:
        found = await admin.get("/incidents", params={"type": list(types)})
        return [each["title"] for each in found.json()["data"]]

    assert await listed("data_quality") == await listed(two["type"]["id"]) == ["Two"]
    assert await listed("general", "data_quality") == ["Two", "One"]
    assert await listed("nope") == []


async def test_two_who_set_one_field_are_told_of_each_other(admin: httpx.AsyncClient) -> None:
    """F021: a stale copy is a 412, and nothing is lost."""
    await made(admin, "/incidents", title="Slow", type="data_quality", fields={"dataset": "orders"})
    before = await admin.get("/incidents/INC-1")
    stale = {"If-Match": before.headers["etag"]}
    assert (await admin.patch("/incidents/INC-1", json={"fields": {"dataset": "a"}}, headers=stale)).status_code == 200
    late = await admin.patch("/incidents/INC-1", json={"fields": {"dataset": "b"}}, headers=stale)
    assert late.status_code == 412
    assert (await admin.get("/incidents/INC-1")).json()["fields"] == {"dataset": "a"}


async def test_a_team_that_one_does_not_see_is_null(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: a field that holds a private team names it to nobody else."""
    ada = await api.as_(await api.world.person("ada"))
    team = await made(admin, "/teams", name="Secret", is_private=True)
    await made(admin, "/custom_fields", name="Owner", key="owner", kind="team")
    await made(admin, "/incident_types", name="Network", short_id="net", layout=["owner"])
    await made(admin, "/incidents", title="Slow", type="net", fields={"owner": team["id"]})
    assert (await admin.get("/incidents/INC-1")).json()["fields"] == {"owner": team["id"]}
    assert (await ada.get("/incidents/INC-1")).json()["fields"] == {"owner": None}
    assert "Secret" not in (await ada.get("/incidents/INC-1/timeline")).text
    other = await made(admin, "/teams", name="Another", is_private=True)
    assert (await ada.patch("/incidents/INC-1", json={"fields": {"owner": other["id"]}})).status_code == 422


async def test_what_a_private_type_declares_is_seen_by_nobody_else(api: Api, admin: httpx.AsyncClient) -> None:
    """F019, F118: unless whoever declares it says otherwise."""
    ada = await api.as_(await api.world.person("ada"))
    await made(admin, "/incidents", title="Break-in", type="security")
    await made(admin, "/incidents", title="Drill", type="security", is_private=False)
    assert (await ada.get("/incidents/INC-1")).status_code == 404
    found = (await ada.get("/incidents", params={"type": "security"})).json()["data"]
    assert [each["title"] for each in found] == ["Drill"]
