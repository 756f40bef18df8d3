"""What somebody sees through the API and on pages who wants to see more, and what must not be refused to them."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.surfaces.conftest import Api
from tests.surfaces.open_streams import data_of, newest, stream
from tests.surfaces.web_client import browser
from tests.world import minutes
from tocsin.alerts.model import ALERT_ID, SOURCE_ID
from tocsin.identity.model import USER_ID, User


@pytest.fixture
async def bob(api: Api) -> User:
    return await api.world.person("bob")


async def _hidden(admin: httpx.AsyncClient, **fields: object) -> dict[str, str]:
    """An incident of a private team without members."""
    team = await admin.post("/teams", json={"name": "Security", "is_private": True})
    made = await admin.post("/incidents", json={"title": "Break-in", "team_ids": [team.json()["id"]], **fields})
    assert made.status_code == 201, made.text
    return made.json()


async def test_an_alert_does_not_name_the_hidden_incident_that_it_is_in(
    api: Api, admin: httpx.AsyncClient, bob: User
) -> None:
    """C8: in no field, in no list, in no explanation, and on no page; what declares from it says what is wrong."""
    alert = ALERT_ID.write((await api.world.alert()).id)
    hidden = await _hidden(admin, alert_id=alert)
    assert (await admin.get(f"/alerts/{alert}")).json()["incident_id"] == hidden["id"]
    as_bob = await api.as_(bob)
    for path in (f"/alerts/{alert}", "/alerts", f"/alerts/{alert}/explain", f"/pages?alert_id={alert}"):
        answer = await as_bob.get(path)
        assert answer.status_code == 200
        assert hidden["id"] not in answer.text and hidden["number"] not in answer.text, path
    refused = await as_bob.post("/incidents", json={"title": "x", "alert_id": alert})
    assert refused.status_code == 409
    assert hidden["number"] not in refused.text
    async with browser(api.world, bob) as at:
        for path in (f"/alerts/{alert}", "/alerts?tab=all", "/incidents?tab=all"):
            page = await at.get(path)
            assert page.status == 200
            assert hidden["number"] not in page.html and "Break-in" not in page.html, path
        assert (await at.get(f"/incidents/new?alert={alert}")).status in (200, 303)


async def test_a_live_page_is_not_told_of_the_hidden_incident_that_an_alert_is_in(
    api: Api, admin: httpx.AsyncClient, bob: User
) -> None:
    """C8: that the alert has changed is no secret; in what, and that it is in any, is."""
    alert = ALERT_ID.write((await api.world.alert()).id)
    await _hidden(admin, alert_id=alert)
    async with stream(api.world, bob, "/live", **{"last-event-id": await newest(api.world)}) as opened:
        assert (await admin.post(f"/alerts/{alert}/actions/resolve")).status_code == 200
        told = data_of(await opened.told())["topics"]
        while alert not in told:
            told = data_of(await opened.told())["topics"]
        assert not [topic for topic in told if topic.startswith(("inc_", "incidents"))], told


async def test_a_duplicate_of_a_hidden_incident_is_shown_without_it(
    api: Api, admin: httpx.AsyncClient, bob: User
) -> None:
    """C8: its page is there, and neither it nor the API says what it is a duplicate of."""
    hidden = await _hidden(admin)
    number = (await admin.post("/incidents", json={"title": "Slow"})).json()["number"]
    duplicate = {"reason": "duplicate", "duplicate_of": hidden["number"]}
    done = await admin.post(f"/incidents/{number}/actions/cancel", json=duplicate)
    assert (done.status_code, done.json()["duplicate_of_id"]) == (200, hidden["id"])
    seen = (await (await api.as_(bob)).get(f"/incidents/{number}")).json()
    assert seen["duplicate_of_id"] is None
    async with browser(api.world, bob) as at:
        page = await at.get(f"/incidents/{number}")
        assert page.status == 200
        assert "Slow" in page.html


async def test_what_a_role_in_a_team_allows_stands_on_the_pages(api: Api, admin: httpx.AsyncClient) -> None:
    """C8: what the API lets them do, a page offers: here ending what a source of the team left open."""
    tea = await api.world.person("tea", role="stakeholder")
    member = {"user_id": USER_ID.write(tea.id), "role": "responder"}
    team = (await admin.post("/teams", json={"name": "Payments", "members": [member]})).json()["id"]
    alert = await api.world.alert()
    source = SOURCE_ID.write(alert.source_id)
    assert (await admin.patch(f"/alert_sources/{source}", json={"team_ids": [team]})).status_code == 200
    async with browser(api.world, tea) as at:
        page = await at.get(f"/sources/{source}")
        assert page.status == 200
        asked = await at.open(page, "end-dialog-form")
        assert asked.status == 200 and "One alert is resolved as yours" in asked.html


async def test_an_answer_is_not_repeated_to_somebody_who_may_do_less_by_now(api: Api, admin: httpx.AsyncClient) -> None:
    """C8, F135: also where what they could do came from a team."""
    tea = await api.world.person("tea", role="guest")
    id = USER_ID.write(tea.id)
    team = await admin.post("/teams", json={"name": "Payments", "members": [{"user_id": id, "role": "responder"}]})
    incident = await admin.post("/incidents", json={"title": "Refunds", "team_ids": [team.json()["id"]]})
    path, key = f"/incidents/{incident.json()['number']}/comments", {"Idempotency-Key": "k-1"}
    client = await api.as_(tea)
    assert (await client.post(path, json={"body": "Secret."}, headers=key)).status_code == 201
    again = await client.post(path, json={"body": "Secret."}, headers=key)
    assert (again.status_code, "Secret." in again.text) == (201, True)
    emptied = await admin.put(f"/teams/{team.json()['id']}/members", json={"members": []})
    assert emptied.status_code == 200
    assert "Secret." not in (await client.post(path, json={"body": "Secret."}, headers=key)).text


@pytest.mark.parametrize("is_survivor", [True, False], ids=["of a hidden one", "a hidden one of it"])
async def test_the_record_of_a_duplicate_does_not_name_the_hidden_one(
    api: Api, admin: httpx.AsyncClient, bob: User, is_survivor: bool
) -> None:
    """C8: neither side's timeline, on no page, in no answer and in no stream; whoever sees both is told."""
    hidden = await _hidden(admin)
    number = (await admin.post("/incidents", json={"title": "Slow"})).json()["number"]
    gone, stays = (number, hidden["number"]) if is_survivor else (hidden["number"], number)
    paged = {"targets": [{"type": "user", "id": USER_ID.write(bob.id)}]}
    assert (await admin.post(f"/incidents/{number}/actions/page", json=paged)).status_code == 200
    await api.world.settle()
    ada = await api.world.person("ada", role="admin")
    said = "incident.cancelled" if is_survivor else "incident.duplicated"
    async with stream(api.world, bob, "/api/v1/stream") as bobs, stream(api.world, ada, "/api/v1/stream") as adas:
        done = await admin.post(
            f"/incidents/{gone}/actions/cancel", json={"reason": "duplicate", "duplicate_of": stays}
        )
        assert done.status_code == 200, done.text
        for opened, is_told in ((bobs, False), (adas, True)):
            while f"event: {said}" not in (message := await opened.next()):
                pass
            assert ("another" in message, hidden["number"] in message) == (not is_told, is_told), message
    for person, is_told in ((bob, False), (ada, True)):
        timeline = (await (await api.as_(person)).get(f"/incidents/{number}/timeline")).text
        async with browser(api.world, person) as at:
            page = (await at.get(f"/incidents/{number}")).html
        for told in (timeline, page):
            assert (re.search(rf"{hidden['number']}\b", told) is not None) == is_told
            assert "Break-in" not in told or is_told
    async with browser(api.world) as at:
        page = await at.get(str(api.world.mail.to(bob)[-1].acknowledge_url))
        assert page.status == 200
        assert hidden["number"] not in page.html and "Break-in" not in page.html


async def test_a_link_does_not_name_the_hidden_incident_that_its_alert_was_in(
    api: Api, admin: httpx.AsyncClient, bob: User
) -> None:
    """C8: whoever is asked after the alert was taken out of it does not see it, and the link tells nobody of it."""
    world = api.world
    await world.route(await world.policy([await world.person("ada"), bob]))
    alert = ALERT_ID.write((await world.alert()).id)
    hidden = await _hidden(admin, alert_id=alert, page_others=True)
    assert (await admin.delete(f"/incidents/{hidden['number']}/alerts/{alert}")).status_code == 204
    await world.pass_time(minutes(6))
    assert (await (await api.as_(bob)).get(f"/incidents/{hidden['number']}")).status_code == 404
    for reader in (None, bob):
        async with browser(world, reader) as at:
            page = await at.get(str(world.mail.to(bob)[-1].acknowledge_url))
            assert page.status == 200
            assert hidden["number"] not in page.html
            assert "went on from step 1" in page.html


async def test_a_link_shows_what_was_written_to_those_only_who_see_the_incident(
    api: Api, admin: httpx.AsyncClient, bob: User
) -> None:
    """C8: being signed in is not enough, whoever handed the link on; and a guest who was asked reads it."""
    world = api.world
    gil = await world.person("gil", role="guest")
    await world.route(await world.policy([gil]))
    hidden = await _hidden(admin, alert_id=ALERT_ID.write((await world.alert()).id), page_others=True)
    wrote = await admin.post(f"/incidents/{hidden['number']}/comments", json={"body": "The keys are gone."})
    assert wrote.status_code == 201
    for reader, sees in ((None, False), (bob, False), (gil, True)):
        async with browser(world, reader) as at:
            page = await at.get(str(world.mail.to(gil)[-1].acknowledge_url))
            assert page.status == 200
            assert ("The keys are gone." in page.html) == sees, reader
