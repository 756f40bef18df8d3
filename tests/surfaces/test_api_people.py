"""People, how they are reached, their teams and credentials, and the audit, through the API."""

from __future__ import annotations

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.world import minutes
from tocsin.alerts.model import ALERT_ID
from tocsin.identity import service as identity
from tocsin.identity.guessing import TOKENS
from tocsin.identity.model import USER_ID
from tocsin.kit.errors import Patience, Refused


async def test_a_person_is_added_and_reached(api: Api, admin: httpx.AsyncClient) -> None:
    """F059, F060, F119."""
    made = await admin.post("/users", json={"email": "Ada@example.org", "name": "Ada", "role": "responder"})
    assert made.status_code == 201, made.text
    path = f"/users/{made.json()['id']}"
    hook = {"kind": "webhook", "address": "http://127.0.0.1:9/hook", "name": "Pager"}
    method = await admin.post(f"{path}/contact_methods", json=hook)
    assert method.status_code == 201, method.text
    twice = await admin.post(f"{path}/contact_methods", json=hook)
    assert (twice.status_code, twice.json()["code"]) == (409, "contact_method.taken")
    assert (await admin.post(f"{path}/contact_methods", json=hook | {"kind": "pigeon"})).status_code == 422
    rules = {"rules": [{"urgency": "high", "delay_minutes": 0, "contact_method_id": method.json()["id"]}]}
    assert (await admin.put(f"{path}/notification_rules", json=rules)).json()["data"] == rules["rules"]
    assert (await admin.get(f"{path}/notification_rules")).json()["data"] == rules["rules"]
    sent = await admin.post(f"{path}/actions/send_test_page", json={})
    assert [d["state"] for d in sent.json()["data"]] == ["queued"]
    await api.world.settle()
    delivered = (await admin.get(f"{path}/deliveries")).json()["data"]
    assert [(d["kind"], d["state"], d["address"]) for d in delivered] == [("test", "delivered", hook["address"])]
    assert (await admin.delete(f"{path}/contact_methods/{method.json()['id']}")).status_code == 204
    assert (await admin.get(f"{path}/contact_methods")).json()["data"] == []


async def test_people_see_their_own_addresses_only(api: Api, admin: httpx.AsyncClient) -> None:
    """F118."""
    ada, bob = await api.world.people("ada", "bob")
    hers = await api.as_(ada)
    assert (await hers.get(f"/users/{USER_ID.write(ada.id)}/contact_methods")).status_code == 200
    for path in ("contact_methods", "notification_rules", "deliveries"):
        assert (await hers.get(f"/users/{USER_ID.write(bob.id)}/{path}")).status_code == 403
    assert (await hers.get("/api_tokens", params={"user_id": USER_ID.write(bob.id)})).status_code == 403
    assert (await hers.patch(f"/users/{USER_ID.write(ada.id)}", json={"role": "admin"})).status_code == 403
    assert (await hers.patch(f"/users/{USER_ID.write(ada.id)}", json={"time_zone": "Europe/Vienna"})).status_code == 200


async def test_names_addresses_and_roles_are_edited(api: Api, admin: httpx.AsyncClient) -> None:
    """F040, F118, F119."""
    ada, bob = await api.world.people("ada", "bob")
    path = f"/users/{USER_ID.write(ada.id)}"
    hers = await api.as_(ada)
    tag = (await hers.get(path)).headers["etag"]
    renamed = await hers.patch(path, json={"name": "Ada King"}, headers={"If-Match": tag})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Ada King")
    stale = await admin.patch(path, json={"email": "king@example.org"}, headers={"If-Match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale")
    assert (await hers.patch(path, json={"email": "king@example.org"})).status_code == 403
    assert (await hers.patch(f"/users/{USER_ID.write(bob.id)}", json={"name": "Robert"})).status_code == 403
    changes = {"email": "king@example.org", "role": "stakeholder"}
    changed = await admin.patch(path, json=changes, headers={"If-Match": renamed.headers["etag"]})
    assert {field: changed.json()[field] for field in changes} == changes
    taken = await admin.patch(path, json={"email": bob.email})
    assert (taken.status_code, taken.json()["errors"][0]["code"]) == (422, "taken")
    assert (await admin.patch(path, json={"name": " "})).json()["errors"][0]["pointer"] == "#/name"


async def test_the_organisation_is_renamed_by_those_who_may(api: Api, admin: httpx.AsyncClient) -> None:
    """F040, F118."""
    hers = await api.as_(await api.world.person("ada"))
    seen = await hers.get("/organisation")
    assert (seen.status_code, seen.json()["incident_prefix"]) == (200, "INC")
    assert (await hers.patch("/organisation", json={"name": "Mine"})).status_code == 403
    tag = {"If-Match": seen.headers["etag"]}
    renamed = await admin.patch("/organisation", json={"name": "Saltmarsh"}, headers=tag)
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Saltmarsh")
    assert renamed.headers["etag"] != seen.headers["etag"]
    for change in ({"name": "Other"}, {}):
        assert (await admin.patch("/organisation", json=change, headers=tag)).status_code == 412
    assert (await admin.patch("/organisation", json={})).json() == renamed.json()
    assert (await admin.patch("/organisation", json={"name": ""})).json()["errors"][0]["pointer"] == "#/name"
    assert (await hers.get("/organisation")).json()["name"] == "Saltmarsh"


async def test_without_an_organisation_every_request_for_it_says_the_same(api: Api, admin: httpx.AsyncClient) -> None:
    """F120."""
    await api.world.db.pool.execute("DELETE FROM organisation")
    answers = [await admin.get("/organisation")]
    answers += [await admin.patch("/organisation", json=change) for change in ({}, {"name": "Saltmarsh"})]
    assert {answer.status_code for answer in answers} == {409}
    assert len({(answer.json()["code"], answer.json()["detail"]) for answer in answers}) == 1


async def test_the_last_administrator_stays(admin: httpx.AsyncClient) -> None:
    """F119."""
    me = (await admin.get("/me")).json()
    last = await admin.patch(f"/users/{me['id']}", json={"is_active": False})
    assert (last.status_code, last.json()["code"]) == (409, "user.last_admin")
    short = await admin.post(f"/users/{me['id']}/actions/set_password", json={"password": "short"})
    assert (short.status_code, short.json()["errors"][0]["pointer"]) == (422, "#/password")


async def test_teams_have_members(api: Api, admin: httpx.AsyncClient) -> None:
    """F024."""
    ada = USER_ID.write((await api.world.person("ada")).id)
    made = await admin.post("/teams", json={"name": "Payments", "member_ids": [ada]})
    assert [member["name"] for member in made.json()["members"]] == ["Ada"]
    changed = await admin.put(f"/teams/{made.json()['id']}/members", json={"member_ids": []})
    assert changed.json()["members"] == []
    assert len((await admin.get("/teams")).json()["data"]) == 1


async def test_a_token_works_until_it_is_revoked(api: Api, admin: httpx.AsyncClient) -> None:
    """F118."""
    # A token makes only tokens that may do less, so the scopes are named.
    made = (await admin.post("/api_tokens", json={"name": "Script", "scopes": ["incident.view"]})).json()
    script = api.client(made["token"])
    assert (await script.get("/me")).json()["permissions"] == ["incident.view"]
    assert (await script.post("/incidents", json={"title": "x"})).status_code == 403
    listed = (await admin.get("/api_tokens")).json()["data"]
    assert made["id"] in [token["id"] for token in listed]
    assert all("token" not in token for token in listed)
    assert (await admin.delete(f"/api_tokens/{made['id']}")).status_code == 204
    assert (await script.get("/me")).status_code == 401
    assert (await admin.get("/sessions")).json()["data"] == []


async def test_the_audit_is_a_list_or_lines(admin: httpx.AsyncClient) -> None:
    """F110."""
    await admin.post("/incidents", json={"title": "Checkout is down"})
    listed = (await admin.get("/events", params={"name": "incident.declared"})).json()["data"]
    assert [event["text"] for event in listed] == ["Root declared INC-1 as SEV3"]
    lines = await admin.get("/events", headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert len(lines.text.splitlines()) > 3
    assert (await admin.get("/events", params={"incident": "INC-1", "limit": 1})).json()["next_cursor"] is not None


async def test_where_a_message_went_is_seen_by_its_person_and_by_who_manages_people(
    api: Api, admin: httpx.AsyncClient
) -> None:
    """F118: everybody who sees the alert sees that somebody was reached, and not by which number or address."""
    ada, bob = await api.world.people("ada", "bob")
    await api.world.route(await api.world.policy([ada]))
    api.world.mail.failures = [Refused("550 No such box: ada@example.org", patience=Patience.NONE)]
    alert = await api.world.alert()
    path = f"/alerts/{ALERT_ID.write(alert.id)}/notifications"
    for client, sees in (
        (await api.as_(ada), True),
        (admin, True),
        (await api.as_(bob), False),
        (await api.as_(await api.world.person("eve", role="stakeholder")), False),
        # A token that may not manage people is nobody who does.
        (await api.as_(await api.world.person("max", role="admin"), "alert.view"), False),
    ):
        (shown,) = (await client.get(path)).json()["data"]
        assert shown["user"]["name"] == "Ada"
        assert shown["address"] == (ada.email if sees else None)
        assert (ada.email in str(shown["last_error"])) is sees
        assert shown["last_error"] is not None


async def test_wrong_current_passwords_are_answered_429(api: Api) -> None:
    """Identity: with the time to wait, also when the request carries a key; the count is not rolled back."""
    ada = await api.world.person("ada")
    await identity.set_password(api.world.db, api.world.root, ada.id, "correct horse battery")
    hers = await api.as_(ada)
    path = f"/users/{USER_ID.write(ada.id)}/actions/set_password"
    for number in range(5):
        wrong = {"password": "a better battery", "current": f"guess {number}"}
        answer = await hers.post(path, json=wrong, headers={"Idempotency-Key": f"guess-{number}"})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/current")
    right = {"password": "a better battery", "current": "correct horse battery"}
    answer = await hers.post(path, json=right)
    assert answer.status_code == 429 and 0 < int(answer.headers["retry-after"]) <= 30
    assert (answer.json()["code"], answer.json()["retryable"]) == ("rate_limited", True)
    await api.world.pass_time(minutes(1))
    assert (await hers.post(path, json=right)).status_code == 200


@pytest.mark.usefixtures("still_clock")
async def test_wrong_tokens_come_to_an_end_and_a_right_one_always_works(api: Api) -> None:
    """F118: the noise of one network is answered 429, and whoever sits behind the same address works on."""
    right, wrong = await api.as_(await api.world.person("ada")), api.client("tcs_wrong")
    answers = [await wrong.get("/me") for _ in range(TOKENS.burst + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {401}
    assert answers[-1].status_code == 429 and 0 < int(answers[-1].headers["retry-after"]) <= 5
    assert answers[-1].json()["code"] == "rate_limited"
    assert (await right.get("/me")).status_code == 200


async def test_somebody_who_is_needed_goes_when_confirmed(api: Api, admin: httpx.AsyncClient) -> None:
    """F135: the refusal names what needs them, and so does the policy afterwards; nothing new may name them."""
    bob = (await admin.post("/users", json={"name": "Bob", "email": "bob@example.org"})).json()["id"]
    steps = [{"targets": [{"type": "user", "id": bob}], "wait_minutes": 5}]
    policy = (await admin.post("/escalation_policies", json={"name": "Duty", "steps": steps})).json()
    assert [one["code"] for one in policy["warnings"]] == ["unreachable_person", "unreachable_step"]

    refused = await admin.patch(f"/users/{bob}", json={"is_active": False})
    assert (refused.status_code, refused.json()["code"]) == (409, "user.needed")
    assert refused.json()["uses"] == [{"type": "escalation_policy", "id": policy["id"], "name": "Duty", "as": "step 1"}]
    assert (await admin.get(f"/users/{bob}")).json()["is_active"]
    done = await admin.patch(f"/users/{bob}?confirm=true", json={"is_active": False})
    assert (done.status_code, done.json()["is_active"]) == (200, False)

    (listed,) = (await admin.get("/escalation_policies")).json()["data"]
    assert listed["warnings"][0] == {
        "step": 1,
        "code": "inactive",
        "detail": "Step 1 names Bob, whose account is switched off.",
        "user_id": bob,
    }
    again = await admin.post("/escalation_policies", json={"name": "Night", "steps": steps})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "inactive")
    # The rest of the policy can still be changed.
    assert (await admin.patch(f"/escalation_policies/{policy['id']}", json={"steps": steps})).status_code == 200
    method = {"kind": "webhook", "address": "https://hooks.example/bob"}
    assert (await admin.post(f"/users/{bob}/contact_methods", json=method)).json()["code"] == "user.inactive"
    team = await admin.post("/teams", json={"name": "Web", "member_ids": [bob]})
    assert team.status_code == 422


async def test_a_contact_method_says_how_it_is_and_the_last_one_is_asked_about(
    api: Api, admin: httpx.AsyncClient
) -> None:
    """F141, F143."""
    bob = (await admin.post("/users", json={"name": "Bob", "email": "bob@example.org"})).json()["id"]
    path = f"/users/{bob}/contact_methods"
    made = (await admin.post(path, json={"kind": "email", "address": "bob@example.org"})).json()
    assert made["health"] == {
        "state": "unused",
        "accepted_at": None,
        "confirmed_at": None,
        "failing_since": None,
        "last_error": None,
        "answers_after_seconds": None,
    }
    await admin.post(f"/users/{bob}/actions/send_test_page", json={})
    await api.world.settle()
    (listed,) = (await admin.get(path)).json()["data"]
    assert listed["health"]["state"] == "accepted" and listed["health"]["accepted_at"]
    steps = [{"targets": [{"type": "user", "id": bob}], "wait_minutes": 5}]
    await admin.post("/escalation_policies", json={"name": "Duty", "steps": steps})
    refused = await admin.delete(f"{path}/{made['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "contact_method.last")
    assert [use["name"] for use in refused.json()["uses"]] == ["Duty"]
    assert (await admin.delete(f"{path}/{made['id']}?confirm=true")).status_code == 204


async def test_whose_settings_they_are_is_asked_before_what_is_said_of_them(api: Api, admin: httpx.AsyncClient) -> None:
    """F119: a colleague learns that it is not theirs to say, and not what would be wrong with it."""
    bob = (await admin.post("/users", json={"name": "Bob", "email": "bob@example.org"})).json()["id"]
    cleo = await api.as_(await api.world.person("cleo"))
    refused = await cleo.post(f"/users/{bob}/actions/send_test_page", json={"contact_method_id": "nothing"})
    assert refused.status_code == 403
    for part in ("contact_methods", "notification_rules", "deliveries", "news_preference"):
        assert (await cleo.get(f"/users/{bob}/{part}")).status_code == 403, part
