"""F020: text templates through the API and on their pages."""

from __future__ import annotations

from typing import Any

import httpx

from tests.surfaces.conftest import Api
from tests.surfaces.test_api_incident_types import made


async def test_a_template_is_made_previewed_used_changed_and_archived(admin: httpx.AsyncClient) -> None:
    """F020: from the first word of it to the incident, by short id and by id."""
    team = await made(admin, "/teams", name="Net")
    body: dict[str, Any] = {
        "name": "Link down",
        "short_id": "link_down",
        "severity": 2,
        "tags": ["Net"],
        "type": "general",
    }
    template = await made(
        admin, "/text_templates", title="Link down, {{ incident.number }}", team_ids=[team["id"]], **body
    )
    assert (template["id"][:4], template["type"]["short_id"], template["tags"]) == ("ttp_", "general", ["net"])
    assert template["teams"] == [{"id": team["id"], "name": "Net"}]
    path = f"/text_templates/{template['id']}"

    wrong = {"title": "{{ alert.titel }}"}
    for refused in (
        await admin.patch(path, json=wrong),
        await admin.post("/text_templates/actions/preview", json=wrong),
    ):
        assert refused.status_code == 422
        assert [each["pointer"] for each in refused.json()["errors"]] == ["#/title"]
        assert "Line 1: There is no field “alert.titel”. There are: alert.description," in refused.text
    shown = await admin.post("/text_templates/actions/preview", json={"title": "{{ alert.title }}", "summary": "x"})
    assert shown.json() == {"title": "Checkout answers 500", "summary": "x", "is_sample": True}

    by_name = await made(admin, "/incidents", template="link_down")
    by_id = await made(admin, "/incidents", template=template["id"], severity=4, title="Mine")
    assert by_name["title"] == f"Link down, {by_name['number']}"
    assert (by_name["severity"], by_name["tags"], by_id["severity"], by_id["title"]) == (2, ["net"], 4, "Mine")
    assert by_id["template"] == {"id": template["id"], "short_id": "link_down", "name": "Link down"}
    assert [each["name"] for each in by_id["teams"]] == ["Net"]

    assert (await admin.delete(path)).json()["code"] == "text_template.in_use"
    assert (await admin.patch(path, json={"type": None, "severity": None})).json()["type"] is None
    assert (await admin.post(f"{path}/actions/archive")).json()["archived_at"] is not None
    refused = await admin.post("/incidents", json={"template": "link_down"})
    assert [each["pointer"] for each in refused.json()["errors"]] == ["#/template"]
    listed = await admin.get("/text_templates", params={"is_archived": True, "q": "link"})
    assert [each["short_id"] for each in listed.json()["data"]] == ["link_down"]
    first = (await admin.get("/text_templates", params={"limit": 1})).json()
    after = await admin.get("/text_templates", params={"limit": 1, "cursor": first["next_cursor"]})
    assert first["data"][0]["short_id"] != after.json()["data"][0]["short_id"]


async def test_whoever_sees_incidents_reads_templates_without_the_teams_they_do_not_see(api: Api) -> None:
    """F020: a private team is not named."""
    admin = await api.as_(await api.world.person("mia", role="admin"))
    reader = await api.as_(await api.world.person("sam", role="stakeholder"))
    team = await made(admin, "/teams", name="Secret", is_private=True)
    template = await made(admin, "/text_templates", name="Slow", short_id="slow", team_ids=[team["id"]])
    seen = await reader.get(f"/text_templates/{template['id']}")
    assert (seen.status_code, seen.json()["teams"]) == (200, [])
    assert "Secret" not in seen.text
    assert (await reader.post("/text_templates/actions/preview", json={"title": "x"})).status_code == 403
