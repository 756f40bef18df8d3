"""What holds for every operation: credentials, problems, lists, versions, idempotency keys, and the document."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx
import msgspec
import pytest

from tests.surfaces.conftest import Api
from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.body import Body
from tocsin.api.base.openapi import kinds_of
from tocsin.edge.wrong_tokens import WrongTokens
from tocsin.identity import service as identity
from tocsin.identity.model import USER_ID


async def test_nobody_gets_in_without_a_credential(api: Api) -> None:
    """F120."""
    answer = await api.client().get("/me")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "auth.required"
    assert (await api.client("tcs_wrong").get("/me")).status_code == 401


async def test_whoever_is_nobody_learns_that_before_anything_else(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """F120; that too many wrong tokens are answered 429 is another matter."""
    monkeypatch.setattr(WrongTokens, "note", lambda *_: None)
    document: dict[str, Any] = (await api.client().get("/openapi.json")).json()
    # An Idempotency-Key that cannot be one, a body and parameters that mean nothing.
    headers = {"Content-Type": "application/json", "Idempotency-Key": " ", "If-Match": "?"}
    wrong: list[tuple[str, int, str]] = []
    for client in (api.client(), api.client("tcs_wrong")):
        for path, item in document["paths"].items():
            address = "http://tocsin.example" + re.sub(r"{\w+}", "nothing", path)
            for method in item:
                for body in (b"", b"{", b'{"nothing": 1}'):
                    answer = await client.request(
                        method, address, content=body, headers=headers, params={"limit": "x", "cursor": "x"}
                    )
                    if answer.status_code != 401 or answer.json()["code"] != "auth.required":
                        wrong.append((f"{method} {path}", answer.status_code, answer.text))
    assert not wrong


async def test_a_stakeholder_sees_and_does_not_touch(api: Api, admin: httpx.AsyncClient) -> None:
    """F117, F119."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    cleo = await api.as_(await api.world.person("cleo", role="stakeholder"))
    assert (await cleo.get("/incidents/INC-1")).status_code == 200
    assert (await cleo.post("/incidents", json={"title": "x"})).status_code == 403
    assert (await cleo.patch("/incidents/INC-1", json={"title": "x"})).status_code == 403
    assert (await cleo.get("/events")).status_code == 403
    assert (await cleo.get("/alert_sources")).status_code == 403
    assert (await cleo.post("/alerts/actions/bulk", json={"action": "resolve", "ids": ["x"]})).status_code == 403


@pytest.mark.parametrize(
    ("body", "kind", "status", "pointer"),
    [
        (b"{", "application/json", 400, None),
        (b"[" * 100_000, "application/json", 400, None),
        (b'"\xff"', "application/json", 400, None),
        (b"{}", "text/plain", 415, None),
        (b"title=x", "application/x-www-form-urlencoded", 415, None),
        (b'{"titel": "x"}', "application/json", 422, "#/titel"),
        (b'{"title": 5}', "application/json", 422, "#/title"),
        (b'{"title": "x", "severity": 99999999999999999999999}', "application/json", 422, "#/severity"),
        (b'{"title": "x", "severity": true}', "application/json", 422, "#/severity"),
        (b'{"title": "x", "started_at": "0001-01-01T00:00:00+14:00"}', "application/json", 422, "#/started_at"),
        (b'{"title": ""}', "application/json", 422, "#/title"),
        (b"[]", "application/json", 422, "#"),
        (b'{"title": "' + b"x" * 900_000 + b'"}', "application/json", 422, "#/title"),
        (b'{"title": "' + b"x" * 1_100_000 + b'"}', "application/json", 413, None),
    ],
)
async def test_what_is_wrong_with_a_body_is_said(
    admin: httpx.AsyncClient, body: bytes, kind: str, status: int, pointer: str | None
) -> None:
    """F120."""
    answer = await admin.post("/incidents", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    if pointer is not None:
        assert answer.json()["errors"][0]["pointer"] == pointer


async def test_texts_that_cannot_be_stored_are_cleaned(admin: httpx.AsyncClient) -> None:
    """F120."""
    raw = b'{"title": "a\\u0000b", "summary": "\\u0000"}'
    answer = await admin.post("/incidents", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["title"] == "a�b"
    for hostile in ("\x00", "%", "_", "\\", "INC-1\x00"):
        assert (await admin.get("/incidents", params={"q": hostile, "tag": hostile})).status_code == 200
        assert (await admin.get("/alerts", params={"q": hostile, f"label[{hostile}]": hostile})).status_code == 200


async def test_malformed_ids_are_not_found_and_wrong_methods_are_named(admin: httpx.AsyncClient) -> None:
    """F120."""
    for path in ("/incidents/%00", "/incidents/INC-999", "/alerts/alt_x", "/users/inc_1", "/pages/\u202e", "/nowhere"):
        answer = await admin.get(path)
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"
    wrong = await admin.delete("/incidents")
    assert (wrong.status_code, wrong.json()["detail"]) == (405, "This address takes GET and POST.")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "OPTIONS", "POST"}


async def test_only_what_passes_by_itself_is_called_retryable(admin: httpx.AsyncClient) -> None:
    """F120."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    await admin.post("/incidents/INC-1/actions/resolve", json={"resolution_note": "Rolled back."})
    done = await admin.post("/incidents/INC-1/actions/cancel", json={"reason": "false_alarm"})
    assert (done.status_code, done.json()["retryable"]) == (409, False)


async def test_a_list_is_read_page_by_page(admin: httpx.AsyncClient) -> None:
    """F113, F114, F120."""
    for number in range(5):
        await admin.post("/incidents", json={"title": f"Number {number}", "severity": 1 + number % 2})
    for sort in ("-declared_at", "declared_at", "severity", "-severity"):
        whole = [i["number"] for i in (await admin.get("/incidents", params={"sort": sort})).json()["data"]]
        seen: list[str] = []
        url: str | None = f"/incidents?sort={sort}&limit=2"
        while url is not None:
            answer = await admin.get(url)
            seen += [incident["number"] for incident in answer.json()["data"]]
            url = answer.links["next"]["url"].removeprefix("/api/v1") if "next" in answer.links else None
            assert (url is None) == (answer.json()["next_cursor"] is None)
        assert seen == whole
        assert len(seen) == 5


async def _pages(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    """Read a list two at a time and return all of it."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        answer = await client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["data"]) <= 2
        found += answer.json()["data"]
        cursor = answer.json()["next_cursor"]
        assert ("next" in answer.links) == (cursor is not None)
    return found


async def test_what_belongs_to_a_thing_is_read_page_by_page_too(api: Api, admin: httpx.AsyncClient) -> None:
    """F120."""
    world = api.world
    people = await world.people("ada", "bob", "cleo", "dan", "eve")
    policy = await world.policy(people[:1])
    for number in range(4):
        route = {"name": f"Route {number}", "condition": f'title == "Number {number}"'}
        made = await admin.post("/alert_routes", json=route)
        assert made.status_code == 201, made.text
    await world.route(policy)
    for _ in range(3):
        alert = await world.alert("Checkout is down")
    ada = f"/users/{USER_ID.write(people[0].id)}"
    for number in range(4):
        method = {"kind": "webhook", "address": f"address {number}"}
        assert (await admin.post(f"{ada}/contact_methods", json=method)).status_code == 201
    methods = (await admin.get(f"{ada}/contact_methods")).json()["data"]
    rules = [
        {"urgency": urgency, "delay_minutes": delay, "contact_method_id": methods[0]["id"]}
        for urgency in ("high", "low")
        for delay in (0, 5, 10)
    ]
    assert (await admin.put(f"{ada}/notification_rules", json={"rules": rules})).status_code == 200
    assert (await admin.post(f"{ada}/actions/send_test_page", json={})).status_code == 200
    await admin.post("/incidents", json={"title": "Checkout is down"})
    targets = [{"type": "user", "id": USER_ID.write(person.id)} for person in people]
    assert (await admin.post("/incidents/INC-1/actions/page", json={"targets": targets})).status_code == 200
    for person in people[:2]:
        await (await api.as_(person)).post("/incidents/INC-1/actions/join")

    below = f"/alerts/{ALERT_ID.write(alert.id)}"
    for path, least in (
        ("/alert_routes", 5),
        (f"{below}/signals", 3),
        (f"{below}/notifications", 1),
        (f"{ada}/contact_methods", 4),
        (f"{ada}/notification_rules", 6),
        (f"{ada}/deliveries", 5),
        ("/incidents/INC-1/responders", 6),
    ):
        whole = (await admin.get(path)).json()["data"]
        assert len(whole) >= least, path
        assert await _pages(admin, path) == whole, path


async def test_sessions_are_read_page_by_page(api: Api) -> None:
    """F120."""
    world = api.world
    ada = await world.person("ada")
    for number in range(5):
        async with world.db.begin() as tx:
            await identity.open_session(tx, ada, ip="198.51.100.7", user_agent=f"Browser {number}", how="password")
    hers = await api.as_(ada)
    seen = await _pages(hers, "/sessions")
    assert seen == (await hers.get("/sessions")).json()["data"]
    assert len({session["id"] for session in seen}) == 5


@pytest.mark.parametrize(
    "path",
    [
        "users/{user}/contact_methods",
        "users/{user}/notification_rules",
        "users/{user}/deliveries",
        "incidents/INC-1/responders",
        "incidents/INC-1/timeline",
        "incidents/INC-1/alerts",
    ],
)
async def test_a_foreign_cursor_is_refused(admin: httpx.AsyncClient, path: str) -> None:
    """F120: by a list of what belongs to one thing."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    await _refuses_foreign_cursors(admin, path.format(user=(await admin.get("/me")).json()["id"]))


async def test_every_list_refuses_a_foreign_cursor(admin: httpx.AsyncClient) -> None:
    """F120: every one that is there."""
    paths = (await admin.get("/openapi.json")).json()["paths"]
    lists = [
        path.removeprefix("/api/v1/")
        for path, methods in paths.items()
        if "{" not in path and "cursor" in {each["name"] for each in methods.get("get", {}).get("parameters", ())}
    ]
    assert {"incidents", "alert_routes", "teams", "sessions", "events"} <= set(lists)
    for path in lists:
        await _refuses_foreign_cursors(admin, path)


async def _refuses_foreign_cursors(admin: httpx.AsyncClient, path: str) -> None:
    for cursor in ("x", "bnVsbA", "W10", "LTE", "WyIwMDAxLTAxLTAxVDAwOjAwOjAwWiJd", "🙂", "x" * 601):
        answer = await admin.get(f"/{path}", params={"cursor": cursor})
        said = f"{path}: have its cursor read by `read_place` (`Order` in api/base/resource.py). {cursor} {answer.text}"
        assert answer.status_code == 422, said
    assert (await admin.get(f"/{path}", params={"limit": 101})).status_code == 422, f"{path}: its limit is no `Limit`."


async def test_filters_narrow_and_alternatives_widen(admin: httpx.AsyncClient) -> None:
    """F114."""
    await admin.post("/incidents", json={"title": "One", "severity": 1})
    await admin.post("/incidents", json={"title": "Two", "severity": 2})
    await admin.post("/incidents/INC-2/actions/acknowledge")

    async def titles(query: str) -> set[str]:
        return {i["title"] for i in (await admin.get(f"/incidents?{query}")).json()["data"]}

    assert await titles("severity=1") == {"One"}
    assert await titles("severity=1&severity=2") == {"One", "Two"}
    assert await titles("severity=1&status=investigating") == set()
    assert await titles("declared_at[gte]=2001-01-01T00:00:00Z") == {"One", "Two"}
    assert await titles("declared_at[lt]=2001-01-01T00:00:00Z") == set()
    assert await titles("q=INC-2") == {"Two"}


async def test_a_misspelt_filter_is_noticed(api: Api, admin: httpx.AsyncClient) -> None:
    """F114: it would answer with everything."""
    await api.world.alert()
    for path in (
        "/incidents?state=resolved",
        "/alerts?state=triggered",
        "/me?x=",
        "/alerts?label=x",
        "/alerts?label[=x",
        "/alerts?label[]=x",
        "/alerts?label[team=x",
        "/alerts?label[team]x=x",
        "/alerts?label[team].=x",
        "/alerts?label[team%0A=x",
        "/alerts?label[team]%0A=x",
        "/alerts?xlabel[team]=x",
        "/incidents?label[team]=x",
    ):
        answer = await admin.get(path)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_parameter"), path
    assert (await admin.get("/alerts?label[team]=x&label[service]=y&created_at[lt]=2031-01-01T00:00:00Z")).is_success
    for name in ("team", "a%0Ab", "[team]", "%5D"):
        answer = await admin.get(f"/alerts?label[{name}]=x")
        assert (answer.status_code, answer.json()["data"]) == (200, []), name


async def test_a_stale_edit_changes_nothing(admin: httpx.AsyncClient) -> None:
    """F040."""
    tag = (await admin.post("/incidents", json={"title": "Before"})).headers["etag"]
    assert (await admin.get("/incidents/INC-1")).headers["etag"] == tag
    first = await admin.patch("/incidents/INC-1", json={"title": "First"}, headers={"If-Match": tag})
    assert (first.status_code, first.json()["title"]) == (200, "First")
    second = await admin.patch("/incidents/INC-1", json={"title": "Second"}, headers={"If-Match": tag})
    assert (second.status_code, second.json()["code"]) == (412, "incident.stale")
    assert (await admin.get("/incidents/INC-1")).json()["title"] == "First"


async def test_the_same_key_gets_the_same_answer(admin: httpx.AsyncClient) -> None:
    """F001, F120."""
    key = {"Idempotency-Key": "declare-once"}
    first = await admin.post("/incidents", json={"title": "Once"}, headers=key)
    again = await admin.post("/incidents", json={"title": "Once"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    other = await admin.post("/incidents", json={"title": "Other"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    assert len((await admin.get("/incidents")).json()["data"]) == 1


async def test_two_submits_at_once_declare_one_incident(admin: httpx.AsyncClient) -> None:
    """F001, F120."""
    requests = [
        admin.post("/incidents", json={"title": "Twice"}, headers={"Idempotency-Key": "k" * 20}) for _ in range(6)
    ]
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len((await admin.get("/incidents")).json()["data"]) == 1


async def test_keys_belong_to_their_caller_and_secrets_are_not_kept(api: Api, admin: httpx.AsyncClient) -> None:
    """F118, F120."""
    ada = await api.as_(await api.world.person("ada"))
    key = {"Idempotency-Key": "same"}
    for client in (admin, ada):
        assert (await client.post("/incidents", json={"title": "Mine"}, headers=key)).status_code == 201
    assert len((await admin.get("/incidents")).json()["data"]) == 2

    body = {"name": "Script", "scopes": ["incident.view"]}
    made = await admin.post("/api_tokens", json=body, headers=key | {"Idempotency-Key": "token"})
    again = await admin.post("/api_tokens", json=body, headers=key | {"Idempotency-Key": "token"})
    assert made.json()["token"].startswith("tcs_")
    assert again.json() == made.json() | {"token": None}
    unusable = await admin.post("/incidents", json={}, headers={"Idempotency-Key": b"\xe4"})  # pyright: ignore
    assert unusable.status_code == 422


async def test_an_answer_is_repeated_only_to_those_who_may_do_the_same(api: Api, admin: httpx.AsyncClient) -> None:
    """F118: a narrower token of the same person, or a role that was taken away, does not read what was answered."""
    key = {"Idempotency-Key": "same"}
    ada = await api.world.person("ada")
    whole, twin = await api.as_(ada), await api.as_(ada)
    narrow, as_narrow = await api.as_(ada, "incident.declare"), await api.as_(ada, "incident.declare")

    async def declare(client: httpx.AsyncClient, key: dict[str, str]) -> httpx.Response:
        return await client.post("/incidents", json={"title": "A secret"}, headers=key)

    first = await declare(whole, key)
    assert (await declare(twin, key)).content == first.content
    refused = await declare(narrow, key)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency.mismatch")
    assert "secret" not in refused.text
    first = await declare(narrow, key | {"Idempotency-Key": "narrow"})
    assert (await declare(as_narrow, key | {"Idempotency-Key": "narrow"})).content == first.content
    demotion = f"/users/{USER_ID.write(ada.id)}?confirm=true"
    assert (await admin.patch(demotion, json={"role": "stakeholder"})).status_code == 200
    assert (await declare(whole, key)).json()["code"] == "idempotency.mismatch"


async def test_the_document_is_whole(api: Api) -> None:
    """F120."""
    answer = await api.client().get("/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))
    assert {"declareIncident", "getMe", "acknowledgeAlert", "explainAlert", "streamEvents"} <= set(names)
    for path, item in document["paths"].items():
        assert path.startswith("/api/v1/")
        for operation in item.values():
            assert operation["description"], operation["operationId"]
            assert operation["tags"]
            assert "401" in operation["responses"]
    assert set(document["components"]["securitySchemes"]) == {"token", "session"}


async def test_the_page_that_shows_the_document_loads_nothing_from_elsewhere(api: Api) -> None:
    """F120."""
    answer = await api.client().get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "http" not in answer.text.replace("http-equiv", "")
    assert "script-src 'self';" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("kind", list(kinds_of(Body)), ids=lambda kind: kind.__name__)
def test_the_example_of_a_body_is_one(kind: type[Body]) -> None:
    """F120."""
    msgspec.convert(msgspec.json.decode(msgspec.json.encode(kind.example)), kind)


_NOBODY = "usr_06b6fyrfa9xsgs9xe3vxkm3j3m"


@pytest.mark.parametrize("id", ["usr_nope", "inc_1", "", _NOBODY])
async def test_a_body_that_names_what_is_not_there_is_told_in_which_field(admin: httpx.AsyncClient, id: str) -> None:
    """F120."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    team = (await admin.post("/teams", json={"name": "Payments"})).json()["id"]
    me = (await admin.get("/me")).json()["id"]
    route = (await admin.post("/alert_routes", json={"name": "All", "condition": "severity <= 2"})).json()["id"]
    other = {kind: id.replace("usr_", f"{kind}_") for kind in ("alt", "pol", "src", "cm")}
    exists = id != _NOBODY
    steps = [{"targets": [{"id": me}]}, {"targets": [{"id": me}, {"id": id}]}]
    rules = [{"urgency": "high", "contact_method_id": other["cm"]}]
    asked = [{"type": "user", "id": me}, {"type": "user", "id": id}]
    double = {"reason": "duplicate"}
    cases: list[tuple[str, str, dict[str, Any], str]] = [
        ("POST", "/escalation_policies", {"name": "Duty", "steps": steps}, "#/steps/1/targets"),
        ("POST", "/alert_routes", {"name": "A", "condition": "severity <= 2", "escalation_policy_id": other["pol"]},
         "#/escalation_policy_id"),
        ("PATCH", f"/alert_routes/{route}", {"escalation_policy_id": other["pol"]}, "#/escalation_policy_id"),
        ("POST", "/alerts", {"source_id": other["src"], "title": "Disk is full"}, "#/source_id"),
        ("POST", "/incidents", {"alert_id": other["alt"]}, "#/alert_id"),
        ("POST", "/incidents/INC-1/alerts", {"alert_ids": [other["alt"]]}, "#/alert_ids"),
        ("PUT", "/incidents/INC-1/roles", {"commander": id}, "#/commander"),
        ("POST", "/incidents/INC-1/actions/page", {"targets": asked}, "#/targets/1"),
        ("POST", "/incidents/INC-1/actions/cancel", double | {"duplicate_of": "INC-99"}, "#/duplicate_of"),
        ("POST", "/incidents/INC-1/actions/cancel", double | {"duplicate_of": "../x"}, "#/duplicate_of"),
        ("POST", "/teams", {"name": "Search", "member_ids": [me, id]}, "#/member_ids"),
        ("PUT", f"/teams/{team}/members", {"member_ids": [me, id]}, "#/member_ids"),
        ("PUT", f"/users/{me}/notification_rules", {"rules": rules}, "#/rules/0/contact_method_id"),
        ("POST", f"/users/{me}/actions/send_test_page", {"contact_method_id": other["cm"]}, "#/contact_method_id"),
        ("POST", "/api_tokens", {"name": "t", "user_id": id}, "#/user_id"),
    ]  # fmt: skip
    if exists:
        cases.append(("POST", "/alerts/actions/bulk", {"action": "resolve", "ids": [other["alt"]]}, "#/ids/0"))
        cases.append(("PUT", f"/teams/{team}/members", {"members": [{"user_id": id}]}, "#/members/0/user_id"))
    for method, path, body, pointer in cases:
        answer = await admin.request(method, path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["errors"][0]["pointer"].startswith(pointer), (path, answer.text)
        assert answer.json()["errors"][0]["detail"].endswith("."), path


async def test_what_the_address_names_and_is_not_there_stays_not_found(admin: httpx.AsyncClient) -> None:
    """F120: also where a body names things of its own."""
    me = (await admin.get("/me")).json()["id"]
    for method, path, body in (
        ("PUT", "/incidents/INC-9/roles", {"lead": me}),
        ("POST", "/incidents/INC-9/alerts", {"alert_ids": ["alt_06b6fyrfa9xsgs9xe3vxkm3j3m"]}),
        ("PUT", "/teams/tem_06b6fyrfa9xsgs9xe3vxkm3j3m/members", {"member_ids": [me]}),
        ("POST", f"/users/{_NOBODY}/actions/send_test_page", {"contact_method_id": "cm_06b6fyrfa9xsgs9xe3vxkm3j3m"}),
        ("PATCH", "/alert_routes/rte_06b6fyrfa9xsgs9xe3vxkm3j3m", {"escalation_policy_id": None}),
    ):
        answer = await admin.request(method, path, json=body)
        assert answer.status_code == 404, (path, answer.text)


async def test_a_value_that_does_not_fit_is_refused_in_a_sentence(admin: httpx.AsyncClient) -> None:
    """F120."""
    for path, pointer, words in (
        ("/incidents?severity=9", "#/severity", "Give a number of at most 5."),
        ("/incidents?severity=x", "#/severity", "This must be a whole number."),
        ("/incidents?limit=0", "#/limit", "Give a number of at least 1."),
        ("/alerts?needs_action=perhaps", "#/needs_action", "This must be true or false."),
        ("/alerts?status=gone", "#/status", "“status” must be one of triggered, acknowledged, resolved."),
        ("/incidents/INC-1/timeline?show=much", "#/show", "“show” must be one of all, comments, events, key."),
        (
            "/alerts?created_at[gte]=soon",
            "#/created_at[gte]",
            "This must be a time such as 2031-05-01T00:00:00Z.",
        ),
        (f"/alerts?q={'x' * 201}", "#/q", "Write at most 200 characters."),
    ):
        answer = await admin.get(path)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert (problem["errors"][0]["pointer"], problem["errors"][0]["detail"]) == (pointer, words)
        assert problem["detail"] == words
    bodies: list[tuple[Any, str]] = [
        ({"severity": 9}, "Give a number of at most 5."),
        ({"title": 5}, "This must be a text or null."),
        ({"title": "x" * 201}, "Write at most 200 characters."),
        ({"started_at": "soon"}, "This must be a time such as 2031-05-01T00:00:00Z."),
        ({"alert_id": 5}, "This must be a text or null."),
        ([], "This must be an object."),
    ]
    for body, words in bodies:
        assert (await admin.post("/incidents", json=body)).json()["errors"][0]["detail"] == words
    for ids, words in (([], "Give at least 1 of them."), (["alt_x"] * 101, "Give at most 100 of them.")):
        answer = await admin.post("/alerts/actions/bulk", json={"action": "resolve", "ids": ids})
        assert answer.json()["errors"][0]["detail"] == words


def _words(node: Any, schemas: dict[str, Any]) -> tuple[list[str], bool]:
    """Return the words that a schema takes and whether it is a list of them; none when it takes something else."""
    if "$ref" in node:
        return _words(schemas[node["$ref"].rpartition("/")[2]], schemas)
    if "items" in node:
        return _words(node["items"], schemas)[0], True
    choices = [each for each in node.get("oneOf", ()) if each.get("type") != "null"]
    if len(choices) == 1:
        return _words(choices[0], schemas)
    return [word for word in node.get("enum", ()) if isinstance(word, str)], False


async def test_whatever_takes_a_few_words_lists_them(admin: httpx.AsyncClient) -> None:
    """F120: every parameter and every field of a body, as the document describes them."""
    document: dict[str, Any] = (await admin.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    seen: set[str] = set()
    wrong: list[tuple[str, str, str]] = []

    def look(where: str, name: str, words: list[str], answer: httpx.Response) -> None:
        seen.add(f"{where} {name}")
        said = answer.json().get("errors", [{}])[0].get("detail", answer.text)
        begin, end = f"“{name}” must be one of ", "."
        listed = said.removeprefix(begin).removesuffix(end).removesuffix(", null").split(", ")
        if answer.status_code != 422 or not said.startswith(begin) or set(listed) != set(words):
            wrong.append((where, name, said))

    for path, item in document["paths"].items():
        address = "http://tocsin.example" + re.sub(r"{\w+}", "nothing", path)
        for method, operation in item.items():
            where = f"{method} {path}"
            for parameter in operation.get("parameters", ()):
                words, _ = _words(parameter["schema"], schemas)
                if words:
                    answer = await admin.request(method, address, params={parameter["name"]: "nonsense"})
                    look(where, parameter["name"], words, answer)
            if "requestBody" not in operation:
                continue
            shape = schemas[
                operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            ]
            for name, field in shape["properties"].items():
                words, is_list = _words(field, schemas)
                for value in ("nonsense", 5) if words else ():
                    body = shape["examples"][0] | {name: [value] if is_list else value}
                    look(where, name, words, await admin.request(method, address, json=body))
    assert wrong == []
    assert len(seen) > 15, seen


async def test_a_word_further_down_is_told_by_its_own_field(admin: httpx.AsyncClient) -> None:
    """F120."""
    me = (await admin.get("/me")).json()["id"]
    rules = {"rules": [{"urgency": "medium", "contact_method_id": "cm_06b6fyrfa9xsgs9xe3vxkm3j3m"}]}
    error = (await admin.put(f"/users/{me}/notification_rules", json=rules)).json()["errors"][0]
    assert error == {
        "pointer": "#/rules/0/urgency",
        "detail": "“urgency” must be one of high, low.",
        "code": "invalid",
    }
    role = {"name": "Desk", "permissions": ["incident.view", "everything"]}
    error = (await admin.post("/roles", json=role)).json()["errors"][0]
    assert error["pointer"] == "#/permissions/1"
    assert error["detail"].startswith("“permissions” must be one of incident.view, ")
    assert error["detail"].endswith(".")
    fallback = {"target": {"type": "team", "id": me}}
    error = (await admin.put("/organisation/fallback", json=fallback)).json()["errors"][0]
    assert (error["pointer"], error["detail"]) == ("#/target/type", "“type” must be one of escalation_policy, user.")


async def test_alerts_and_incidents_are_named_by_their_numbers_wherever_they_are_named(
    api: Api, admin: httpx.AsyncClient
) -> None:
    """F120: in a body and in a parameter as in an address."""
    world = api.world
    for number in range(4):
        await world.alert(f"Problem {number}")
    bob = USER_ID.write((await world.person("bob", role="guest")).id)
    made = await admin.post("/incidents", json={"title": "One", "alert_id": "ALR-1"})
    assert made.status_code == 201, made.text
    assert (await admin.post("/incidents", json={"title": "Two"})).status_code == 201
    grant = {"resource_id": "INC-1", "role": "guest", "user_id": bob}
    for method, path, body, status in (
        ("POST", "/incidents/INC-1/alerts", {"alert_ids": ["ALR-2", "alr-3"]}, 200),
        ("DELETE", "/incidents/INC-1/alerts/ALR-2", None, 204),
        ("POST", "/alerts/actions/bulk", {"action": "acknowledge", "ids": ["ALR-2", "ALR-4"]}, 200),
        ("POST", "/access_grants", grant, 201),
        ("POST", "/incidents/INC-2/actions/cancel", {"reason": "duplicate", "duplicate_of": "INC-1"}, 200),
        ("GET", "/access_grants?resource_id=INC-1", None, 200),
        ("GET", "/pages?alert_id=ALR-1&alert_id=ALR-2", None, 200),
        ("GET", "/pages?incident=INC-1", None, 200),
        ("GET", "/events?alert_id=ALR-1", None, 200),
        ("GET", "/events?incident=INC-1", None, 200),
        ("GET", "/alerts?incident=INC-1", None, 200),
    ):
        answer = await admin.request(method, path, json=body)
        assert answer.status_code == status, (path, answer.text)
    linked = {alert["number"] for alert in (await admin.get("/incidents/INC-1/alerts")).json()["data"]}
    assert linked == {1, 3}
    taken = {alert["number"] for alert in (await admin.get("/alerts?status=acknowledged")).json()["data"]}
    assert {2, 4} <= taken
    assert {event["alert_id"] for event in (await admin.get("/events?alert_id=ALR-4")).json()["data"]} == {
        (await admin.get("/alerts/ALR-4")).json()["id"]
    }


async def test_a_number_that_names_nothing_is_refused_where_it_stands(api: Api, admin: httpx.AsyncClient) -> None:
    """F120: nothing is done then."""
    await api.world.alert()
    await admin.post("/incidents", json={"title": "One"})
    me = (await admin.get("/me")).json()["id"]
    for path, body, pointer in (
        ("/incidents", {"title": "Two", "alert_id": "ALR-9"}, "#/alert_id"),
        ("/incidents/INC-1/alerts", {"alert_ids": ["ALR-1", "ALR-9"]}, "#/alert_ids/1"),
        ("/alerts/actions/bulk", {"action": "resolve", "ids": ["ALR-1", "ALR-9"]}, "#/ids/1"),
        ("/access_grants", {"resource_id": "INC-9", "role": "guest", "user_id": me}, "#/resource_id"),
        ("/access_grants", {"resource_id": "alt_x", "role": "guest", "user_id": me}, "#/resource_id"),
        ("/incidents/INC-1/actions/cancel", {"reason": "duplicate", "duplicate_of": "INC-9"}, "#/duplicate_of"),
    ):
        answer = await admin.post(path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["errors"][0]["pointer"] == pointer
    for path in ("/pages?alert_id=ALR-9", "/events?alert_id=ALR-9", "/incidents/INC-1/alerts/ALR-9"):
        method = "DELETE" if "incidents" in path else "GET"
        assert (await admin.request(method, path)).status_code == 404, path
    assert (await admin.get("/alerts/ALR-1")).json()["status"] == "triggered"
    assert (await admin.get("/incidents")).json()["data"][0]["number"] == "INC-1"


async def test_a_number_leads_to_nothing_that_is_hidden(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: what is there and may not be seen is answered like what is not there."""
    await api.world.alert()
    bob = await api.as_(await api.world.person("bob"))
    assert (await bob.post("/incidents", json={"title": "One"})).status_code == 201
    source = (await admin.get("/alert_sources")).json()["data"][0]["id"]
    team = (await admin.post("/teams", json={"name": "Security"})).json()["id"]
    owners = {"team_ids": [team], "is_private": True}
    assert (await admin.patch(f"/alert_sources/{source}", json=owners)).status_code == 200
    for path, body in (
        ("/incidents/INC-1/alerts", {"alert_ids": ["ALR-1"]}),
        ("/alerts/actions/bulk", {"action": "resolve", "ids": ["ALR-1"]}),
        ("/incidents", {"title": "Two", "alert_id": "ALR-1"}),
    ):
        hidden = (await bob.post(path, json=body)).json()
        nothing = (await bob.post(path, json=json.loads(json.dumps(body).replace("ALR-1", "ALR-9")))).json()
        assert hidden["errors"][0]["detail"] == "There is no alert “ALR-1”."
        assert hidden["code"] == nothing["code"]
    assert (await bob.delete("/incidents/INC-1/alerts/ALR-1")).status_code == 404
    assert (await bob.get("/pages?alert_id=ALR-1")).status_code == 404
    assert (await admin.get("/alerts/ALR-1")).json()["status"] == "triggered"


async def test_a_refusal_names_what_it_refuses(api: Api, admin: httpx.AsyncClient) -> None:
    """F053: who reads `detail` alone learns which field, parameter or address it is about."""
    made = (await admin.post("/alert_sources", json={"name": "Scripts", "kind": "generic"})).json()
    for answer, said in (
        (await admin.post("/incidents", json={"titel": "Dark"}), "There is no field “titel”."),
        (await admin.post("/alerts", json={"title": "Dark"}), "The field “source_id” is required."),
        (await admin.get("/incidents?colour=red"), "There is no parameter “colour”."),
        (await admin.get("/nowhere"), "There is nothing at this address."),
    ):
        assert answer.json()["detail"] == said
    client = api.client()
    client.base_url = httpx.URL("http://tocsin.example")
    other = await client.post(f"/in/alertmanager/{made['token']}", json={"alerts": []})
    assert other.status_code == 404 and "of another kind" in other.json()["hint"]
