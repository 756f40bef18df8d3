"""Roles of an organisation's own, roles in teams, private teams and grants, through the API."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.processes import PATIENCE
from tests.surfaces.conftest import Api
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.model import TEAM_ID, USER_ID
from tocsin.identity.service.teams import MOST_MEMBERS
from tocsin.kit.errors import Invalid


async def _role(admin: httpx.AsyncClient, name: str, *permissions: str) -> str:
    made = await admin.post("/roles", json={"name": name, "permissions": list(permissions)})
    assert made.status_code == 201, made.text
    return made.json()["key"]


async def test_a_role_of_ones_own_allows_what_it_says_from_the_next_request_on(
    api: Api, admin: httpx.AsyncClient
) -> None:
    """F118, F119: made, given, changed while somebody has it, and not deleted before nobody has it."""
    key = await _role(admin, "Night desk", "incident.view", "incident.declare")
    assert key == "night-desk"
    bob = await api.world.person("bob", role=key)
    desk = await api.as_(bob)
    assert (await desk.get("/me")).json()["role"] == key
    assert (await desk.post("/incidents", json={"title": "Dark"})).status_code == 201
    assert (await desk.patch("/incidents/INC-1", json={"title": "x"})).status_code == 403
    assert (await desk.get("/alert_sources")).status_code == 403

    listed = {role["key"]: role for role in (await admin.get("/roles?limit=100")).json()["data"]}
    assert {"admin", "responder", "communicator", "stakeholder", "guest", key} == listed.keys()
    assert listed[key]["permissions"] == ["incident.declare", "incident.view", "self.edit"]

    version = (await admin.get(f"/roles/{key}")).headers["etag"]
    wider = {"permissions": ["incident.view", "incident.edit"]}
    assert (await admin.patch(f"/roles/{key}", json=wider, headers={"If-Match": version})).status_code == 200
    assert (await admin.patch(f"/roles/{key}", json=wider, headers={"If-Match": version})).status_code == 412
    assert (await desk.patch("/incidents/INC-1", json={"title": "Dark outside"})).status_code == 200
    assert (await desk.post("/incidents", json={"title": "More"})).status_code == 403

    refused = await admin.delete(f"/roles/{key}")
    assert (refused.status_code, refused.json()["code"]) == (409, "role.in_use")
    assert "1 person" in refused.json()["detail"]
    person = USER_ID.write(bob.id)
    assert (await admin.patch(f"/users/{person}?confirm=true", json={"role": "guest"})).status_code == 200
    assert (await admin.delete(f"/roles/{key}")).status_code == 204
    assert (await desk.get("/incidents/INC-1")).status_code == 200, "whoever was on it goes on seeing it"
    assert (await admin.patch(f"/users/{person}", json={"role": key})).status_code == 422


async def test_nobody_hands_out_more_than_they_have(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: not by making a role, by giving one, by a team, by a grant, by a link, or by a token."""
    key = await _role(admin, "Office", "incident.view", "user.view", "user.manage", "access.manage")
    office = await api.as_(await api.world.person("office", role=key))
    other = USER_ID.write((await api.world.person("other", role="stakeholder")).id)
    root = (await admin.get("/me")).json()["id"]
    incident = (await admin.post("/incidents", json={"title": "Dark"})).json()["id"]
    team = (await admin.post("/teams", json={"name": "Payments"})).json()["id"]
    beyond: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "/roles", {"name": "Boss", "permissions": ["incident.edit"]}),
        ("PATCH", f"/roles/{key}", {"permissions": ["incident.edit"]}),
        ("PATCH", f"/users/{other}", {"role": "responder"}),
        ("PATCH", f"/users/{root}", {"role": "guest"}),
        ("POST", "/users", {"email": "x@example.org", "name": "X", "role": "admin"}),
        ("PUT", f"/teams/{team}/members", {"members": [{"user_id": other, "role": "responder"}]}),
        ("POST", "/access_grants", {"resource_id": incident, "user_id": other, "role": "responder"}),
        ("POST", "/api_tokens", {"user_id": root, "name": "mine", "scopes": ["incident.resolve"]}),
        ("POST", f"/users/{root}/actions/set_password", {"password": "another long one"}),
    ]
    for method, path, body in beyond:
        answer = await office.request(method, path, json=body)
        assert answer.status_code == 403, f"{method} {path}: {answer.status_code} {answer.text}"
    within = {"resource_id": incident, "user_id": other, "role": "guest"}
    assert (await office.post("/access_grants", json=within)).status_code == 201


async def test_a_private_team_is_there_for_its_members_only(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: the team, what it owns, the figures of it, and the live stream."""
    sec, bob = await api.world.person("sec"), await api.world.person("bob")
    theirs, others = await api.as_(sec), await api.as_(bob)
    made = await admin.post(
        "/teams", json={"name": "Security", "is_private": True, "member_ids": [USER_ID.write(sec.id)]}
    )
    team = made.json()["id"]
    hidden = await admin.post("/incidents", json={"title": "Break-in", "team_ids": [team]})
    number = hidden.json()["number"]
    assert [each["id"] for each in (await theirs.get("/teams")).json()["data"]] == [team]
    assert (await others.get("/teams")).json()["data"] == []
    assert (await others.get(f"/teams/{team}")).status_code == 404
    assert (await others.post("/incidents", json={"title": "x", "team_ids": [team]})).status_code == 422
    for path in ("", "/timeline", "/comments", "/alerts", "/responders"):
        assert (await theirs.get(f"/incidents/{number}{path}")).status_code == 200
        assert (await others.get(f"/incidents/{number}{path}")).status_code == 404, path
    for verb, body in (("join", {}), ("acknowledge", {}), ("resolve", {"resolution_note": "x"}), ("leave", {})):
        assert (await others.post(f"/incidents/{number}/actions/{verb}", json=body)).status_code == 404, verb
    assert (await others.post(f"/incidents/{number}/comments", json={"body": "x"})).status_code == 404
    assert (await others.patch(f"/incidents/{number}", json={"title": "x"})).status_code == 404
    assert (await others.get(f"/pages?incident={number}")).status_code == 404
    assert (await others.get(f"/stream?incident={number}")).status_code == 404
    assert (await others.get("/incidents")).json()["data"] == []
    # An incident that names it says nothing of it to them.
    public_one = (await others.post("/incidents", json={"title": "Slow"})).json()["number"]
    duplicate = {"reason": "duplicate", "duplicate_of": number}
    assert (await others.post(f"/incidents/{public_one}/actions/cancel", json=duplicate)).status_code == 422
    await admin.post(f"/incidents/{number}/actions/cancel", json={"reason": "duplicate", "duplicate_of": public_one})
    assert (await others.get(f"/incidents/{public_one}")).json()["duplicates"] == []
    # Opened to everybody, and archived: what it owns stays, and nothing new is given to it.
    assert (await admin.patch(f"/teams/{team}", json={"is_private": False})).status_code == 200
    assert (await others.get(f"/incidents/{number}")).json()["teams"] == [{"id": team, "name": "Security"}]
    archived = await admin.post(f"/teams/{team}/actions/archive", json={})
    assert archived.json()["archived_at"] is not None
    assert (await admin.post("/incidents", json={"title": "x", "team_ids": [team]})).status_code == 422
    assert (await others.get(f"/incidents/{number}")).json()["teams"] == [{"id": team, "name": "Security"}]
    back = await admin.post(f"/teams/{team}/actions/unarchive", json={})
    assert back.json()["archived_at"] is None


async def test_a_stream_tells_of_nothing_that_is_hidden(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: what happens to a private incident reaches its team and nobody else's stream."""
    sec, bob = await api.world.person("sec"), await api.world.person("bob")
    team = await admin.post(
        "/teams", json={"name": "Security", "is_private": True, "member_ids": [USER_ID.write(sec.id)]}
    )
    place = "0-0"
    for title, owners in (("Open", []), ("Hidden", [team.json()["id"]]), ("Last", [])):
        assert (await admin.post("/incidents", json={"title": title, "team_ids": owners})).status_code == 201
    told: dict[str, str] = {}
    for name, person in (("sec", sec), ("bob", bob)):
        told[name] = await _heard(api, await api.token(person), place)
    assert [number for number in ("INC-1", "INC-2", "INC-3") if number in told["sec"]] == ["INC-1", "INC-2", "INC-3"]
    assert [number for number in ("INC-1", "INC-2", "INC-3") if number in told["bob"]] == ["INC-1", "INC-3"]


async def _heard(api: Api, token: str, after: str) -> str:
    """Read the stream from its beginning until the last incident."""
    app, heard, done = api.world.app.asgi(), b"", asyncio.Event()

    async def receive() -> dict[str, object]:
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        nonlocal heard
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        heard += body
        if b"INC-3" in heard:
            done.set()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/api/v1/stream", "raw_path": b"/api/v1/stream", "query_string": b"", "root_path": "",
        "headers": [(b"authorization", f"Bearer {token}".encode()), (b"last-event-id", after.encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
    }  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        await app(scope, receive, send)  # pyright: ignore
    return heard.decode()


async def test_no_role_is_called_as_a_built_in_one_and_those_say_what_they_are(admin: httpx.AsyncClient) -> None:
    """F118: in the same words as the pages, and whatever the case."""
    listed = {role["key"]: role for role in (await admin.get("/roles")).json()["data"]}
    assert (listed["admin"]["name"], listed["admin"]["description"]) == ("Administrator", "changes everything")
    for name in ("Administrator", "guest"):
        made = await admin.post("/roles", json={"name": name, "permissions": []})
        assert (made.status_code, made.json()["errors"][0]["code"]) == (422, "taken")
    own = (await admin.post("/roles", json={"name": "Desk", "permissions": []})).json()
    for name in ("ADMINISTRATOR", "Admin"):
        renamed = await admin.patch(f"/roles/{own['key']}", json={"name": name})
        assert (renamed.status_code, renamed.json()["errors"][0]["code"]) == (422, "taken")


async def test_a_team_takes_as_many_people_as_it_may_have(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: however they come in; who is in it stays, and one that has more gets smaller step by step."""
    team = (await admin.post("/teams", json={"name": "Payments"})).json()["id"]
    ada = await api.world.person("ada")
    await api.world.db.pool.execute(
        "INSERT INTO user_account (id, name, email, role, created_at, updated_at)"
        " SELECT gen_random_uuid(), 'P' || n, 'p' || n || '@example.org', 'responder', now(), now()"
        " FROM generate_series(1, $1) AS n",
        MOST_MEMBERS + 1,
    )
    fill = "INSERT INTO team_member (team_id, user_id) SELECT $1, id FROM user_account WHERE name LIKE 'P%' LIMIT $2"
    id = TEAM_ID.read(team)
    await api.world.db.pool.execute(fill, id, MOST_MEMBERS)
    async with api.world.db.begin() as tx:
        with pytest.raises(Invalid, match="At most 500 people"):
            await identity.add_members(tx, api.world.root, id, {ada.id: None})
        there = [person.id for person, _ in (await queries.members(tx, [id]))[id]]
        with pytest.raises(Invalid, match="At most 500 people"):
            await identity.create_team(tx, api.world.root, name="Cards", members=dict.fromkeys([*there, ada.id]))
    await api.world.db.pool.execute(f"{fill} ON CONFLICT DO NOTHING", id, MOST_MEMBERS + 1)
    async with api.world.db.begin() as tx:
        people = [person for person, _ in (await queries.members(tx, [id]))[id]]
        assert len(people) == MOST_MEMBERS + 1
        await identity.remove_member(tx, api.world.root, id, people[0].id)
        assert len((await queries.members(tx, [id]))[id]) == MOST_MEMBERS
