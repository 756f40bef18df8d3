"""Following an incident by the API and on its page (F047)."""

from __future__ import annotations

import httpx

from tests.surfaces.conftest import Api
from tocsin.identity.access_queries import access
from tocsin.identity.model import TEAM_ID, USER_ID, Actor
from tocsin.identity.service import Owners, teams
from tocsin.incidents import service


async def _declared(client: httpx.AsyncClient) -> str:
    answer = await client.post("/incidents", json={"title": "Checkout is down"})
    assert answer.status_code == 201, answer.text
    return answer.json()["number"]


async def test_people_and_teams_are_added_listed_in_pages_and_taken_off(api: Api) -> None:
    """F047: `/incidents/{id}/subscribers`."""
    ada, bob = await api.world.people("ada", "bob")
    client = await api.as_(ada)
    ref = await _declared(client)
    async with api.world.db.begin() as tx:
        team = await teams.create_team(tx, api.world.root, name="Support", members={})
    body = {"user_ids": [USER_ID.write(bob.id)], "team_ids": [TEAM_ID.write(team.id)]}
    assert (await client.post(f"/incidents/{ref}/subscribers", json=body)).status_code == 200
    first = (await client.get(f"/incidents/{ref}/subscribers?limit=1")).json()
    assert first["data"][0]["user"]["name"] == "Bob" and first["data"][0]["added_by"] == "Ada"
    rest = (await client.get(f"/incidents/{ref}/subscribers?limit=1&cursor={first['next_cursor']}")).json()
    assert [each["team"]["name"] for each in rest["data"]] == ["Support"] and rest["next_cursor"] is None
    gone = await client.delete(f"/incidents/{ref}/subscribers/{rest['data'][0]['id']}")
    assert gone.status_code == 204
    again = await client.delete(f"/incidents/{ref}/subscribers/{rest['data'][0]['id']}")
    assert again.status_code == 404
    theirs = await api.as_(bob)
    assert (await theirs.post(f"/incidents/{ref}/actions/unfollow")).status_code == 200
    assert (await client.get(f"/incidents/{ref}/subscribers")).json()["data"] == []
    for _ in range(2):
        assert (await theirs.post(f"/incidents/{ref}/actions/follow")).status_code == 200
    (left,) = (await client.get(f"/incidents/{ref}/subscribers")).json()["data"]
    assert left["source"] == "self"


async def test_a_private_incident_has_no_subscribers_for_others(api: Api) -> None:
    """F047, C8: 404 for whoever does not see it, 422 where they are to be added, and nothing of them is said."""
    ada, bob = await api.world.people("ada", "bob")
    client, others = await api.as_(ada), await api.as_(bob)
    ref = await _declared(client)
    async with api.world.db.begin() as tx:
        team = await teams.create_team(tx, api.world.root, name="Legal", members={ada.id: None})
        who = Actor.person(ada, await access(tx, ada.id))
        changes = service.IncidentChanges(owners=Owners([team.id], is_private=True))
        await service.update(tx, who, ref, changes)
    assert (await others.get(f"/incidents/{ref}/subscribers")).status_code == 404
    assert (await others.post(f"/incidents/{ref}/actions/follow")).status_code == 404
    assert (await others.post(f"/incidents/{ref}/subscribers", json={})).status_code == 404
    body = {"user_ids": [USER_ID.write(ada.id), USER_ID.write(bob.id)]}
    refused = await client.post(f"/incidents/{ref}/subscribers", json=body)
    assert refused.status_code == 422 and refused.json()["errors"][0]["code"] == "sees_not"
    assert (await client.get(f"/incidents/{ref}/subscribers")).json()["data"] == []
