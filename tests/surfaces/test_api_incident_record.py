"""What belongs to an incident and what it does to whom, through the API."""

from __future__ import annotations

import httpx

from tests.surfaces.conftest import Api


async def test_links_relations_and_merging(api: Api, admin: httpx.AsyncClient) -> None:
    """F025, F026, F035, F081: who may not see an incident is told 404 of all below it."""
    for title in ("One", "Two", "Three"):
        await admin.post("/incidents", json={"title": title})
    link = {"type": "ticket", "name": "OPS-1", "url": "https://tickets.example.org/OPS-1"}
    added = await admin.post("/incidents/INC-1/links", json=link)
    assert added.status_code == 201 and link.items() <= added.json().items()
    for wrong in ({"url": "ftp://x"}, {"type": "script"}, {"name": "x" * 121}):
        assert (await admin.post("/incidents/INC-1/links", json={**link, **wrong})).status_code == 422
    listed = await admin.get("/incidents/INC-1/links?limit=1")
    assert [each["id"] for each in listed.json()["data"]] == [added.json()["id"]]
    assert (await admin.delete(f"/incidents/INC-1/links/{added.json()['id']}")).status_code == 204
    assert (await admin.delete(f"/incidents/INC-1/links/{added.json()['id']}")).status_code == 404

    made = await admin.post("/incidents/INC-1/relations", json={"type": "parent", "incident": "INC-2"})
    assert (made.status_code, made.json()["incident"]["number"]) == (201, "INC-2")
    circle = await admin.post("/incidents/INC-2/relations", json={"type": "parent", "incident": "INC-1"})
    assert circle.status_code == 201, "between the same two it is turned round"
    assert (await admin.get("/incidents/INC-1/relations")).json()["data"][0]["type"] == "child"
    unknown = await admin.post("/incidents/INC-1/relations", json={"type": "related", "incident": "INC-99"})
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "#/incident")
    assert (await admin.delete("/incidents/INC-1/relations/INC-2")).status_code == 204
    assert (await admin.get("/incidents/INC-2/relations")).json()["data"] == []

    marked = await admin.post("/incidents/INC-2/actions/mark_duplicate", json={"duplicate_of": "INC-1"})
    assert (marked.status_code, marked.json()["status"]) == (200, "cancelled")
    merged = await admin.post("/incidents/INC-1/actions/merge", json={"incidents": ["INC-3"]})
    assert [each["number"] for each in merged.json()["duplicates"]] == ["INC-2", "INC-3"]
    back = await admin.post("/incidents/INC-1/actions/merge", json={"incidents": ["INC-2"]})
    assert back.status_code == 200, "said before"
    found = (await admin.get("/incidents/INC-1/relations")).json()["data"]
    assert [(each["type"], each["incident"]["number"]) for each in found] == [
        ("duplicate", "INC-2"),
        ("duplicate", "INC-3"),
    ]

    await admin.patch("/incidents/INC-1", json={"is_private": True})
    bob = await api.as_(await api.world.person("bob"))
    for part in ("links", "relations"):
        assert (await bob.get(f"/incidents/INC-1/{part}")).status_code == 404
    assert (await bob.get("/incidents/INC-2/relations")).json()["data"] == []


async def test_severities_are_taken_in_words_of_other_products(admin: httpx.AsyncClient) -> None:
    """F016: in declaring, editing and judging; a word that is not known is said to be so."""
    found = (await admin.get("/vocabularies")).json()["data"]
    assert [each["id"] for each in found] == ["flanksource", "harness", "ilert", "prefect", "soda"]
    high = {"vocabulary": "flanksource", "value": "high"}
    made = (await admin.post("/incidents", json={"title": "Slow", "severity": high})).json()
    assert (made["severity"], made["native_severity"]) == (2, {**high, "recognised": True})
    odd = {"vocabulary": "harness", "value": "<b>odd</b>"}
    edited = (await admin.patch("/incidents/INC-1", json={"severity": odd})).json()
    assert (edited["severity"], edited["native_severity"]) == (5, {**odd, "recognised": False})
    judged = await admin.post("/incidents/INC-1/actions/change_severity", json={"severity": "SEV2"})
    assert (judged.json()["severity"], judged.json()["native_severity"]) == (2, None)
    for wrong in ("high", 0, 6, {"vocabulary": "none", "value": "x"}, {"vocabulary": "soda"}, "x" * 10_000):
        assert (await admin.patch("/incidents/INC-1", json={"severity": wrong})).status_code == 422


async def test_customer_impact_is_set_and_shown(admin: httpx.AsyncClient) -> None:
    """F129."""
    await admin.post("/incidents", json={"title": "Slow"})
    said = {"affected_users": 2300, "affected_percent": 38.5, "affected_regions": ["EU"], "consequence": "Cannot pay."}
    shown = (await admin.patch("/incidents/INC-1", json=said)).json()["impact"]
    assert shown == {"users": 2300, "percent": 38.5, "regions": ["EU"], "consequence": "Cannot pay."}
    assert (await admin.patch("/incidents/INC-1", json={"affected_users": -1})).status_code == 422


async def test_notes_are_written_edited_and_deleted(api: Api, admin: httpx.AsyncClient) -> None:
    """F027: with pages, revisions, `If-Match`, and 404 for whoever may not see the incident."""
    await admin.post("/incidents", json={"title": "One"})
    place = "/incidents/INC-1/notes"
    made = await admin.post(place, json={"title": "Plan", "body": "One"})
    assert (made.status_code, made.json()["version"]) == (201, 1)
    second = (await admin.post(place, json={"title": "Handover", "body": "Two"})).json()
    first = made.json()
    listed = (await admin.get(f"{place}?limit=1")).json()
    assert [each["id"] for each in listed["data"]] == [first["id"]]
    rest = (await admin.get(f"{place}?limit=1&cursor={listed['next_cursor']}")).json()
    assert [each["id"] for each in rest["data"]] == [second["id"]] and rest["next_cursor"] is None
    for wrong in ({"title": ""}, {"title": "x" * 201}, {"body": " "}, {"body": "x" * 50_001}, {"colour": "red"}):
        assert (await admin.post(place, json={"title": "x", "body": "x", **wrong})).status_code == 422
    one = f"{place}/{first['id']}"
    etag = (await admin.get(one)).headers["etag"]
    edited = await admin.patch(one, json={"body": "Three"}, headers={"If-Match": etag})
    assert (edited.status_code, edited.json()["body"], edited.json()["title"]) == (200, "Three", "Plan")
    stale = await admin.patch(one, json={"body": "Four"}, headers={"If-Match": etag})
    assert (stale.status_code, stale.json()["code"]) == (412, "note.stale")
    texts = (await admin.get(f"{one}/revisions")).json()["data"]
    assert [(each["revision"], each["body"]) for each in texts] == [(2, "Three"), (1, "One")]
    told = (await admin.get("/incidents/INC-1/timeline")).json()["data"]
    assert [each["text"].partition(" ")[2] for each in told[:3]] == [
        "edited the note “Plan”",
        "wrote the note “Handover”",
        "wrote the note “Plan”",
    ]

    await admin.patch("/incidents/INC-1", json={"is_private": True})
    bob = await api.as_(await api.world.person("bob"))
    for answer in (
        await bob.get(place),
        await bob.get(one),
        await bob.get(f"{one}/revisions"),
        await bob.post(place, json={"title": "x", "body": "x"}),
        await bob.patch(one, json={"body": "x"}),
        await bob.delete(one),
    ):
        assert answer.status_code == 404
    assert (await admin.delete(one)).status_code == 204
    for answer in (await admin.delete(one), await admin.get(one), await admin.get(f"{one}/revisions")):
        assert answer.status_code == 404
    gone = await admin.patch(one, json={"body": "x"})
    assert (gone.status_code, gone.json()["code"]) == (409, "note.deleted")
