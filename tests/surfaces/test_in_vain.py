"""What nobody answers, and the last resort: the same through pages, API, figures and the doctor."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

from tests.processes import tocsin
from tests.surfaces.conftest import Api
from tests.surfaces.web_client import browser
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID
from tocsin.events.base import SYSTEM
from tocsin.events.log import emit
from tocsin.events.oncall import PageAttemptFailed
from tocsin.identity import service as identity
from tocsin.identity.model import USER_ID
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Refused
from tocsin.kit.ids import new_id
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.base import PageMessage
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import POLICY_ID

NO = Refused("550 no such user", answered=True)


async def listed(client: httpx.AsyncClient, path: str, *paging: str) -> list[tuple[str, str | None]]:
    answer = await client.get(path, params=[("paging", word) for word in paging])
    assert answer.status_code == 200, answer.text
    return [(each["title"], each["paging"]) for each in answer.json()["data"]]


async def test_what_nobody_answers_is_flagged_and_found(api: Api, admin: httpx.AsyncClient) -> None:
    """F136: list, filter, page, start page and figures say the same, and nothing more once somebody has it."""
    world = api.world
    ada = await world.person("ada")
    mute = await world.person("mute", reachable=False)
    await world.route(await world.policy([mute], name="Mute"), 'title == "Cart"', name="Cart")
    await world.route(await world.policy([ada]))
    disk = await world.alert("Disk")
    read = (await admin.get(f"/alerts/{ALERT_ID.write(disk.id)}")).json()
    assert read["paging"] is None
    paged = read["being_paged"][0]
    assert (paged["user_name"], paged["policy_name"], paged["step"], paged["is_fallback"]) == ("Ada", "Duty", 1, False)
    await world.pass_time(minutes(6))
    cart = await world.alert("Cart")
    assert await listed(admin, "/alerts") == [("Cart", "unreached"), ("Disk", "unanswered")]
    assert await listed(admin, "/alerts", "unanswered") == [("Disk", "unanswered")]
    assert await listed(admin, "/alerts", "unreached") == [("Cart", "unreached")]
    assert len(await listed(admin, "/alerts", "unreached", "unanswered")) == 2
    assert (await admin.get("/alerts?paging=loud")).status_code == 422
    assert await figures(api) == {"unreached": 1, "unanswered": 1}
    counted = world.app.metrics.render().decode()
    assert 'tocsin_escalations_in_vain_total{outcome="unreached"} 1.0' in counted
    assert 'tocsin_escalations_in_vain_total{outcome="unanswered"} 1.0' in counted

    async with browser(world, ada) as web:
        for path in ("/incidents", "/alerts"):
            html = (await web.get(path)).html
            assert "Nobody has answered 1 alert." in html
            assert "No message about 1 alert has reached anybody." in html
            assert 'href="/alerts?tab=unanswered"' in html
        found = await web.get("/alerts?tab=unanswered")
        assert set(re.findall(r'id="row-(ALR-\d+)"', found.html)) == {f"ALR-{disk.number}", f"ALR-{cart.number}"}
        assert (found.html.count("Nobody answered</span>"), found.html.count("Nobody reached</span>")) == (1, 1)
        assert "Nobody has answered." in (await web.get(f"/alerts/ALR-{disk.number}")).html
        page = await web.get(f"/alerts/{ALERT_ID.write(disk.id)}")
        assert "Nobody has answered." in page.html
        assert page.read.refused == []
        assert "No message has reached anybody." in (await web.get(f"/alerts/{ALERT_ID.write(cart.id)}")).html
        await web.do(page, "acknowledge")
        assert "Nobody has answered" not in (await web.get(f"/alerts/{ALERT_ID.write(disk.id)}")).html
        async with world.db.begin() as tx:
            await alerts.resolve(tx, world.actor(ada), cart.id)
        for path in ("/incidents", "/alerts", "/alerts?tab=unanswered"):
            assert 'id="in-vain"' not in (await web.get(path)).html
        assert "Somebody has everything" in (await web.get("/alerts?tab=unanswered")).html
    assert await listed(admin, "/alerts", "unreached", "unanswered") == []
    assert await figures(api) == {"unreached": 0, "unanswered": 0}


async def figures(api: Api) -> dict[str, int]:
    client = api.client()
    client.base_url = httpx.URL("http://tocsin.example")
    text = (await client.get("/metrics")).text
    found = re.findall(r'^tocsin_alerts_in_vain\{paging="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {kind: int(float(number)) for kind, number in found}


async def test_a_call_for_help_in_vain_is_flagged_and_found(api: Api, admin: httpx.AsyncClient) -> None:
    """F136: in the header, in the list and its filter, until somebody comes."""
    world = api.world
    ada, bob = await world.people("ada", "bob")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Shop is down")
        await incidents.declare(tx, world.actor(ada), title="Calm")
        await incidents.page(tx, world.actor(ada), incident.reference, [PageTarget("user", bob.id)])
        mute = await world.person("mute", reachable=False)
        await oncall.set_fallback(tx, world.root, PageTarget("user", mute.id))
    await world.settle()
    asked = (await admin.get(f"/incidents/{incident.reference}")).json()["being_paged"]
    assert [(each["user_name"], each["policy_name"]) for each in asked] == [("Bob", None)]
    await world.pass_time(minutes(6))
    # The last resort has no contact method either, which is not what the page is to lead with.
    assert await listed(admin, "/incidents", "unanswered") == [("Shop is down", "unanswered")]
    assert await listed(admin, "/incidents", "unreached") == []
    async with browser(world, ada) as web:
        page = await web.get(f"/incidents/{incident.reference}")
        assert "Nobody has answered the call for help." in page.html
        assert "Nobody was paged:" not in page.html
        assert "Nobody answered" in page.html.split('id="ihead"')[1].partition("</header>")[0]
        narrowed = await web.get("/incidents?paging=unanswered")
        assert "Shop is down" in narrowed.html and "Calm" not in narrowed.html
        assert "Nothing matches" in (await web.get("/incidents?paging=unreached")).html
    async with world.db.begin() as tx:
        await incidents.join(tx, world.actor(bob), incident.reference)
    assert await listed(admin, "/incidents", "unanswered") == []


def screen_of(message: PageMessage) -> str:
    assert message.acknowledge_url is not None
    return f"/p/{message.acknowledge_url.rpartition('/')[2]}"


async def test_the_screen_behind_a_link_says_that_nobody_has_answered(world: World) -> None:
    """F136: whoever opens it late learns that it is still theirs to take, and then it is theirs."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await world.alert()
    path = screen_of(world.mail.to(ada)[0])
    async with browser(world) as web:
        assert "Nobody has answered." not in (await web.get(path)).html
        await world.pass_time(minutes(6))
        late = await web.get(path)
        assert "Nobody has answered." in late.html
        assert "Nobody has answered." not in (await web.do(late, "ack", {"do": "ack"})).html


async def test_the_last_resort_is_told_why_in_every_place(api: Api, admin: httpx.AsyncClient) -> None:
    """F054, F136: in the message, on its screen, in the explanation and on the alert's page."""
    world = api.world
    ada, cyd = await world.people("ada", "cyd")
    await world.route(await world.policy([ada]))
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("user", cyd.id))
    alert = await world.alert()
    await world.pass_time(minutes(5.5))
    message = world.mail.to(cyd)[0]
    assert "You are the last resort" in message.reason
    read = (await admin.get(f"/alerts/{ALERT_ID.write(alert.id)}")).json()
    assert [(each["user_name"], each["is_fallback"]) for each in read["being_paged"]] == [("Cyd", True)]
    told = (await admin.get(f"/alerts/{ALERT_ID.write(alert.id)}/explain")).json()
    assert told["summary"].startswith("Ada was paged, and nobody answered: its only step of “Duty”")
    assert told["summary"].endswith("Cyd was asked as the last resort.")
    lines = [step["text"] for step in told["steps"]]
    assert "The last resort was asked: Cyd" in lines
    assert any(step["detail"].startswith("Asked as the last resort.") for step in told["steps"])
    async with browser(world, cyd) as web:
        screen = await web.get(screen_of(message))
        assert "Asked as the last resort" in screen.html
        assert "Asked as the last resort" in (await web.get(f"/alerts/{ALERT_ID.write(alert.id)}")).html
        await world.pass_time(minutes(6))
        told = (await admin.get(f"/alerts/{ALERT_ID.write(alert.id)}/explain")).json()
        assert told["summary"].endswith("Cyd was asked as the last resort, and did not answer either.")
        await web.do(screen, "ack", {"do": "ack"})
    told = (await admin.get(f"/alerts/{ALERT_ID.write(alert.id)}/explain")).json()
    assert told["summary"].startswith("Ada and Cyd were paged, and Cyd answered after ")


async def test_the_explanation_of_an_alert_that_nobody_gets_does_not_grow_without_end(
    api: Api, admin: httpx.AsyncClient
) -> None:
    """F136: bounded on both surfaces, with what is left out counted; what became of the alert is told all the same."""
    world = api.world
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    for number in range(1, 41):
        tries = [
            PageAttemptFailed(
                actor=SYSTEM,
                alert_id=alert.id,
                delivery_id=new_id(),
                page_id=None,
                user_name="Ada",
                channel="email",
                error="404",
                attempt=1,
                retry_after=2,
            )
            for _ in range(100)
        ]
        async with world.db.begin() as tx:
            await emit(tx, *tries)
            if number == 20:
                await alerts.acknowledge(tx, world.actor(ada), alert.id)
    told = (await admin.get(f"/alerts/{ALERT_ID.write(alert.id)}/explain")).json()
    names = [step["name"] for step in told["steps"]]
    assert len(names) < 420
    total = await world.db.pool.fetchval("SELECT count(*) FROM event WHERE alert_id = $1", alert.id)
    assert told["left_out"] == total - (len(names) - 1)
    assert names.index("alert.triggered") == 0 and names.index("left_out") == 100
    assert "alert.acknowledged" in names[101:-200]
    assert told["summary"].startswith("Ada was paged and answered after ")
    async with browser(world, ada) as web:
        assert "events after this are left out" in (await web.get(f"/alerts/{ALERT_ID.write(alert.id)}")).html


def fallback_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    return answer.json()


async def test_the_last_resort_is_chosen_through_the_api(api: Api, admin: httpx.AsyncClient) -> None:
    """F054: with If-Match as elsewhere; what cannot be asked is refused, or marked when it became so later."""
    world = api.world
    ada, gone = await world.person("ada"), await world.person("gone")
    mute = await world.person("mute", reachable=False)
    policy = await world.policy([ada], name="Bosses")
    path = "/organisation/fallback"
    assert fallback_of(await admin.get(path)) == {"target": None, "version": 0}
    user = {"type": "user", "id": USER_ID.write(ada.id)}
    made = fallback_of(await admin.put(path, json={"target": user}, headers={"If-Match": '"0"'}))
    assert made == {"target": {**user, "name": "Ada", "problem": None}, "version": 1}
    assert (await admin.put(path, json={"target": None}, headers={"If-Match": '"0"'})).status_code == 412
    target = {"type": "escalation_policy", "id": POLICY_ID.write(policy.id)}
    assert fallback_of(await admin.put(path, json={"target": target}))["target"]["name"] == "Bosses"
    refused = await admin.delete(f"/escalation_policies/{target['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "escalation_policy.in_use")
    silent = {"type": "user", "id": USER_ID.write(mute.id)}
    chosen = fallback_of(await admin.put(path, json={"target": silent}))["target"]
    assert chosen["problem"] == "there is no contact method that works here"
    await world.db.pool.execute("UPDATE user_account SET is_active = false WHERE id = $1", gone.id)
    for wrong in ({"type": "user", "id": USER_ID.write(gone.id)}, {"type": "user", "id": USER_ID.write(policy.id)}):
        assert (await admin.put(path, json={"target": wrong})).status_code == 422
    assert (await admin.put(path, json={})).status_code == 422
    responder = await api.as_(ada)
    assert (await responder.get(path)).status_code == 200
    assert (await responder.put(path, json={"target": user})).status_code == 403
    assert fallback_of(await admin.put(path, json={"target": None}))["target"] is None
    assert (await admin.delete(f"/escalation_policies/{target['id']}")).status_code == 204


async def test_the_last_resort_is_chosen_on_the_page_of_the_organisation(world: World) -> None:
    """F054: somebody who was switched off meanwhile is marked, and not lost by saving the rest of the page."""
    root, ada = await world.person("root", role="admin"), await world.person("ada")
    value = f"user:{USER_ID.write(ada.id)}"
    async with browser(world, root) as web:
        page = await web.get("/organisation")
        assert "Nobody is chosen." in page.html
        page = await web.do(page, "fallback-form", {"target": value})
        assert page.read.forms["fallback-form"]["target"] == [value]
        assert "Nobody is chosen." not in page.html and "cannot be reached:" not in page.html
        await world.db.pool.execute("UPDATE user_account SET is_active = false WHERE id = $1", ada.id)
        page = await web.get("/organisation")
        assert "Ada cannot be reached:" in page.html and "The account is switched off." in page.html
        assert page.read.forms["fallback-form"]["target"] == [value]
        stale = page
        page = await web.do(page, "fallback-form", {"target": ""})
        assert "Nobody is chosen." in page.html
        assert (await web.submit(stale, "fallback-form", {"target": value})).status in (409, 422)


async def test_set_up_asks_for_the_last_resort(world: World) -> None:
    """F054: whoever sets up is it unless they say no."""
    for wanted in (True, False):
        await world.db.pool.execute("DELETE FROM fallback_target; DELETE FROM session; DELETE FROM user_account")
        async with world.db.begin() as tx:
            token = await identity.make_set_up_link(tx)
        fields: dict[str, str | list[str]] = {"organisation": "Acme", "name": "Eve", "email": "eve@example.org"}
        async with browser(world) as web:
            page = await web.get(f"/set-up?token={token}")
            assert page.read.forms["set-up"]["fall_back_on_me"] == ["1"]
            fields |= {"password": "a long password", "fall_back_on_me": ["1"] if wanted else []}
            assert (await web.submit(page, "set-up", fields)).status == 303
        async with world.db.begin() as tx:
            found = await oncall.describe_fallback(tx, world.app.channels)
        assert (found.name if found else None) == ("Eve" if wanted else None)


async def test_the_doctor_names_what_nobody_answers_and_the_last_resort(world: World, dsn: str) -> None:
    """F054, F136."""

    async def say(check: str) -> tuple[str, str]:
        _, out, _ = await tocsin("doctor", "--json", database_url=dsn, smtp_host="mail.example.org")
        found = {each["check"]: each for each in json.loads(out)}[check]
        return found["verdict"], found["words"]

    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    assert (await say("last resort"))[0] == "warn"
    assert (await say("unanswered alerts"))[0] == "ok"
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("user", ada.id))
    assert (await say("last resort"))[0] == "ok"
    await world.alert("Disk")
    await world.pass_time(minutes(6))
    await world.pass_time(minutes(6))
    verdict, words = await say("unanswered alerts")
    assert (verdict, "ALR-1 “Disk”" in words) == ("warn", True)
    async with world.db.begin() as tx:
        for method in await contact.contact_methods(tx, ada.id):
            await tx.session.delete(method)
    verdict, words = await say("last resort")
    assert (verdict, words.startswith("Ada cannot be reached: there is no contact method that works here")) == (
        "warn",
        True,
    )
    await world.alert("Cart")
    assert (await say("unanswered alerts"))[0] == "FAIL"


async def test_failing_methods_are_said_wherever_somebody_counts_on_them(
    api: Api, admin: httpx.AsyncClient, dsn: str
) -> None:
    """F141, F143, F054: by the policy, the last resort and the doctor; not while one method of one person works."""
    world = api.world

    async def said() -> tuple[list[str], str | None, dict[str, list[tuple[str, str]]]]:
        (policy,) = (await admin.get("/escalation_policies")).json()["data"]
        problem = fallback_of(await admin.get("/organisation/fallback"))["target"]["problem"]
        found: dict[str, list[tuple[str, str]]] = {}
        for each in json.loads((await tocsin("doctor", "--json", database_url=dsn, smtp_host="mail.example.org"))[1]):
            found.setdefault(each["check"], []).append((each["verdict"], each["words"]))
        return [one["code"] for one in policy["warnings"]], problem, found

    ada = await world.person("ada")
    policy = await world.policy([ada])
    await world.route(policy)
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("user", ada.id))
        (method,) = await contact.contact_methods(tx, ada.id)
    assert (await said())[:2] == ([], None)
    await world.db.pool.execute(
        "INSERT INTO contact_method_health (contact_method_id, failing_since, last_failed_at, last_error)"
        " VALUES ($1, tocsin_now(), tocsin_now(), '550 no such user')",
        method.id,
    )
    codes, problem, doctor = await said()
    assert (codes, problem) == (["failing_person", "failing_step"], "all contact methods fail")
    assert doctor["last resort"][0][0] == "warn" and "all contact methods fail" in doctor["last resort"][0][1]
    assert doctor["escalation policies"] == [
        ("FAIL", "“Duty” is likely to reach nobody: the contact methods of all its people fail."),
        ("warn", "“Duty”: Step 1 names Ada, all of whose contact methods fail at present."),
    ]
    assert doctor["reach of routes"][0][0] == "warn" and "“Duty”" in doctor["reach of routes"][0][1]
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("escalation_policy", policy.id))
    assert (await said())[1] == "the contact methods of everybody on it fail"

    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx,
            world.root,
            world.app.channels,
            user_id=ada.id,
            kind="webhook",
            name="Hook",
            address="https://hooks.example.org/ada",
        )
    codes, problem, doctor = await said()
    assert (codes, problem, doctor["last resort"][0][0]) == ([], None, "ok")
    assert [verdict for verdict, _ in doctor["escalation policies"]] == ["ok"]


async def test_the_first_person_made_by_command_is_the_last_resort(dsn: str, world: World) -> None:
    """F054: and no later one."""
    for name in ("ada", "bob"):
        _, out, said = await tocsin("user", "create", f"--email={name}@example.org", f"--name={name}", database_url=dsn)
        assert out.startswith("usr_") and len(out.split()) == 1
        assert ("nobody else answers" in said) == (name == "ada")
    async with world.db.begin() as tx:
        found = await oncall.describe_fallback(tx, world.app.channels)
    assert found is not None and found.name == "ada"
