"""One act, every surface (G22): what the page, the API and the signed link do, they do alike, and refuse alike.

Each act is done by each role through each surface, every time on an alert and an incident of its own that stand as the
others' did. Then the records are compared: what happened, who is on it, and where every run, page and message stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from tests.surfaces.conftest import Api
from tests.surfaces.web_client import Browser, browser
from tests.world import World
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ALERT_ID, Alert
from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.incidents import comment_queries, queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import COMMENT_ID, Incident
from tocsin.notifications.model import Delivery
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import PAGE_ID, EscalationRun, Page

LOCAL = "http://127.0.0.1:8700"
ROLES = ("admin", "responder", "stakeholder", "paged stakeholder")


@dataclass
class Scene:
    """An alert that is being paged for, linked to an open incident that somebody is being paged for as well.

    The first step of the alert's policy pages `who` where they are somebody who is paged, else Bob; the second Cyd.
    """

    world: World
    who: User
    paged: User
    alert: Alert
    incident: Incident
    free: Alert
    other: User
    web: Browser
    api: httpx.AsyncClient
    csrf: str
    link: str = ""

    @property
    def alert_id(self) -> str:
        return ALERT_ID.write(self.alert.id)

    @property
    def ref(self) -> str:
        return self.incident.reference

    async def send(self, path: str, **fields: str) -> int:
        """Send a form; returns the status."""
        return (await self.web.send(path, {"_csrf_token": self.csrf, **fields})).status

    async def post(self, path: str, **body: Any) -> int:
        """Call the API; returns the status."""
        return (await self.api.post(path, json=body)).status_code

    async def press(self, do: str, step: str = "0-1") -> int:
        """Press a button of the screen behind the link, in a browser of nobody."""
        async with browser(self.world) as nobody:
            return (await nobody.send(self.link, {"do": do, "step": step})).status

    async def page_id(self) -> str:
        """Return the page that went out for the alert."""
        async with self.world.db.begin() as tx:
            query = select(Page.id).where(Page.user_id == self.paged.id, Page.alert_id == self.alert.id)
            return PAGE_ID.write((await tx.session.scalars(query)).one())


Do = Callable[[Scene], Awaitable[int]]
# What has to be so before the act.
Before = Callable[[Scene, Tx], Awaitable[object]]


async def nothing(_: Scene, __: Tx) -> None:
    return None


@dataclass(frozen=True)
class Act:
    """One act: how each surface does it, who may, and how it stands before."""

    page: Do
    api: Do
    link: Do | None = None
    may: frozenset[str] = frozenset({"admin", "responder"})
    before: Before = nothing
    # The person who does it is on the first step of the alert's policy.
    as_paged: bool = False


ANYBODY_PAGED = frozenset({"admin", "responder", "paged stakeholder"})


def actor(scene: Scene) -> Any:
    return scene.world.actor(scene.other)


async def resolved(scene: Scene, tx: Tx) -> None:
    await incidents.resolve(tx, actor(scene), scene.ref, "Rolled back.")


async def joined(scene: Scene, tx: Tx) -> None:
    if scene.who.role != "stakeholder":
        await incidents.join(tx, scene.world.actor(scene.who), scene.ref)


async def commented(scene: Scene, tx: Tx) -> None:
    await incidents.comment(tx, Actor.person(scene.who, EVERYTHING), scene.ref, "Rolling back.")


async def others_comment(scene: Scene, tx: Tx) -> None:
    await incidents.comment(tx, actor(scene), scene.ref, "Rolling back.")


async def comment_id(scene: Scene) -> str:
    async with scene.world.db.begin() as tx:
        return COMMENT_ID.write((await comment_queries.comments(tx, EVERYTHING, scene.ref))[0].comment.id)


async def edit_comment(scene: Scene, *, by_page: bool) -> int:
    id = await comment_id(scene)
    if by_page:
        return await scene.send(f"/incidents/{scene.ref}/comments/{id}/edit", body="Rolled back.")
    return (await scene.api.patch(f"/incidents/{scene.ref}/comments/{id}", json={"body": "Rolled back."})).status_code


async def erase_comment(scene: Scene, *, by_page: bool) -> int:
    id = await comment_id(scene)
    if by_page:
        return await scene.send(f"/incidents/{scene.ref}/comments/{id}/erase")
    return (await scene.api.delete(f"/incidents/{scene.ref}/comments/{id}")).status_code


async def acknowledged(scene: Scene, tx: Tx) -> None:

    await alerts.acknowledge(tx, actor(scene), scene.alert.id)


def on_alert(verb: str, **fields: str) -> Do:
    return lambda s: s.send(f"/alerts/{s.alert_id}/{verb}", **fields)


def call_alert(verb: str) -> Do:
    return lambda s: s.post(f"/alerts/{s.alert_id}/actions/{verb}")


def on_incident(verb: str, **fields: str) -> Do:
    return lambda s: s.send(f"/incidents/{s.ref}/{verb}", **fields)


def call_incident(verb: str, **body: Any) -> Do:
    return lambda s: s.post(f"/incidents/{s.ref}/actions/{verb}", **body)


def answer(do: str, step: str = "0-1") -> Do:
    async def press(s: Scene) -> int:
        return await s.send(f"/alerts/{s.alert_id}/answer", page_id=await s.page_id(), do=do, step=step)

    return press


def call_page(verb: str) -> Do:
    async def call(s: Scene) -> int:
        return await s.post(f"/pages/{await s.page_id()}/actions/{verb}")

    return call


def other(s: Scene) -> str:
    return USER_ID.write(s.other.id)


async def put_role(s: Scene) -> int:
    return (await s.api.put(f"/incidents/{s.ref}/roles", json={"communicator": other(s)})).status_code


async def unlink(s: Scene) -> int:
    return (await s.api.delete(f"/incidents/{s.ref}/alerts/{s.alert_id}")).status_code


ACTS: Mapping[str, Act] = {
    "acknowledge the alert": Act(on_alert("acknowledge"), call_alert("acknowledge")),
    "resolve the alert": Act(on_alert("resolve"), call_alert("resolve")),
    "give the alert back": Act(on_alert("unacknowledge"), call_alert("unacknowledge"), before=acknowledged),
    "escalate the alert": Act(on_alert("escalate", step="0-1"), call_alert("escalate")),
    "acknowledge one's page": Act(
        answer("ack"),
        call_page("acknowledge"),
        lambda s: s.press("ack"),
        may=ANYBODY_PAGED,
        as_paged=True,
    ),
    "decline one's page": Act(
        answer("decline"),
        call_page("decline"),
        lambda s: s.press("decline"),
        may=ANYBODY_PAGED,
        as_paged=True,
    ),
    "escalate one's page": Act(
        answer("escalate"),
        call_page("escalate"),
        lambda s: s.press("escalate"),
        may=ANYBODY_PAGED,
        as_paged=True,
    ),
    "acknowledge the incident when paged for its alert": Act(
        on_incident("acknowledge"), call_incident("acknowledge"), may=ANYBODY_PAGED, as_paged=True
    ),
    "join when paged for an alert": Act(on_incident("join"), call_incident("join"), as_paged=True),
    "acknowledge the incident": Act(on_incident("acknowledge"), call_incident("acknowledge")),
    "declare": Act(
        lambda s: s.send("/incidents", title="Checkout is slow", severity="2"),
        lambda s: s.post("/incidents", title="Checkout is slow", severity=2),
    ),
    "declare from an alert, with a lead, and page": Act(
        lambda s: s.send(
            "/incidents",
            title="Disk",
            severity="2",
            alert_id=ALERT_ID.write(s.free.id),
            lead_id=other(s),
            page=f"user:{other(s)}",
        ),
        lambda s: s.post(
            "/incidents",
            title="Disk",
            severity=2,
            alert_id=ALERT_ID.write(s.free.id),
            lead_id=other(s),
            page=[{"type": "user", "id": other(s)}],
        ),
    ),
    "join": Act(on_incident("join"), call_incident("join")),
    "leave": Act(on_incident("leave"), call_incident("leave"), before=joined),
    "change the status": Act(
        on_incident("status", status="mitigated"), call_incident("update_status", status="mitigated")
    ),
    "change the severity": Act(on_incident("severity", severity="1"), call_incident("change_severity", severity=1)),
    "give a role": Act(lambda s: s.send(f"/incidents/{s.ref}/roles", role="communicator", user_id=other(s)), put_role),
    "link": Act(
        lambda s: s.send(f"/incidents/{s.ref}/alerts", do="link", alert_id=ALERT_ID.write(s.free.id)),
        lambda s: s.post(f"/incidents/{s.ref}/alerts", alert_ids=[ALERT_ID.write(s.free.id)]),
    ),
    "unlink": Act(lambda s: s.send(f"/incidents/{s.ref}/alerts", do="unlink", alert_id=s.alert_id), unlink),
    "comment": Act(
        on_incident("comments", body="Rolling back."),
        lambda s: s.post(f"/incidents/{s.ref}/comments", body="Rolling back."),
    ),
    "edit one's own comment": Act(
        lambda s: edit_comment(s, by_page=True), lambda s: edit_comment(s, by_page=False), before=commented
    ),
    "erase somebody's comment": Act(
        lambda s: erase_comment(s, by_page=True), lambda s: erase_comment(s, by_page=False), before=others_comment
    ),
    "add an action item": Act(
        lambda s: s.send(f"/incidents/{s.ref}/action-items", description="Write the runbook"),
        lambda s: s.post(f"/incidents/{s.ref}/action_items", description="Write the runbook"),
    ),
    "page others": Act(
        lambda s: s.send(f"/incidents/{s.ref}/page", target=f"user:{other(s)}", message="Please come."),
        lambda s: s.post(
            f"/incidents/{s.ref}/actions/page",
            targets=[{"type": "user", "id": other(s)}],
            message="Please come.",
        ),
    ),
    "resolve": Act(
        on_incident("resolve", resolution_note="Rolled back."),
        call_incident("resolve", resolution_note="Rolled back."),
    ),
    "close": Act(on_incident("close"), call_incident("close"), before=resolved),
    "cancel": Act(
        on_incident("cancel", reason="false_alarm", note="A test."),
        call_incident("cancel", reason="false_alarm", note="A test."),
    ),
    "reopen": Act(
        on_incident("reopen", reason="It came back."), call_incident("reopen", reason="It came back."), before=resolved
    ),
}


@dataclass
class Stage:
    """The people and policies of one test, on which scene after scene is set."""

    api: Api
    bob: User
    cyd: User
    dan: User
    people: dict[str, User]
    stack: AsyncExitStack
    webs: dict[str, tuple[Browser, httpx.AsyncClient, str]] = field(default_factory=dict)
    scenes: int = 0

    @property
    def world(self) -> World:
        return self.api.world

    @classmethod
    async def build(cls, api: Api, stack: AsyncExitStack) -> Stage:
        world = api.world
        bob, cyd, dan = await world.people("bob", "cyd", "dan")
        people = {role: await world.person(role.replace(" ", ""), role=role.split()[-1]) for role in ROLES}
        for role, person in people.items():
            await world.route(await world.policy([person, cyd], name=f"As {role}"), f'labels.on == "{role}"', name=role)
        await world.route(await world.policy([bob, cyd]))
        return cls(api, bob, cyd, dan, people, stack)

    async def scene(self, act: Act, role: str) -> Scene:
        self.scenes += 1
        who = self.people[role]
        is_paged = act.as_paged and role != "stakeholder"
        paged = who if is_paged else self.bob
        labels = {"on": role} if is_paged else {}
        alert = await self.world.alert(f"Checkout {self.scenes:03}", labels=labels)
        link = str(self.world.mail.to(paged)[-1].acknowledge_url).removeprefix(LOCAL)
        free = await self.world.alert(f"Disk {self.scenes:03}")
        root = self.world.actor(self.dan)
        async with self.world.db.begin() as tx:
            incident = await incidents.declare(tx, root, title="Checkout is down", severity=3)
            await incidents.link_alerts(tx, root, incident.id, [alert.id])
            await incidents.page(tx, root, incident.id, [PageTarget("user", self.cyd.id)], "Help.")
        await self.world.settle()
        web, client, csrf = await self.sides(role)
        scene = Scene(self.world, who, paged, alert, incident, free, self.dan, web, client, csrf, link)
        async with self.world.db.begin() as tx:
            await act.before(scene, tx)
        await self.world.settle()
        return scene

    async def sides(self, role: str) -> tuple[Browser, httpx.AsyncClient, str]:
        if role not in self.webs:
            web = await self.stack.enter_async_context(browser(self.world, self.people[role]))
            csrf = (await web.get("/incidents")).read.forms["sign-out"]["_csrf_token"][0]
            self.webs[role] = web, await self.api.as_(self.people[role]), csrf
        return self.webs[role]


# What differs from one scene to the next and from one surface to another: ids, times, numbers, the way it came.
_PASSING = re.compile(r"(_id|_ids|_at)$|^(id|channel|position)$")
_NUMBERED = re.compile(r"\b(INC-\d+|Checkout \d+|Disk \d+)")


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items() if not _PASSING.search(key)}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return _NUMBERED.sub(lambda found: found[0].split("-")[0].split(" ")[0], value) if isinstance(value, str) else value


async def record(scene: Scene, since: int) -> list[str]:
    """Return what happened and how everything stands, without what differs from scene to scene."""
    await scene.world.settle()
    async with scene.world.db.begin() as tx:
        events = [event for event in await log.newest_first(tx, limit=500) if event.position > since]
        told = [
            json.dumps([e.name, e.actor_kind, e.actor_name, plain(dict(e.data))], sort_keys=True, default=str)
            for e in reversed(events)
        ]
        made = list(await tx.session.scalars(select(Incident).order_by(Incident.number.desc()).limit(1)))
        about = [scene.incident.id, *(each.id for each in made if each.id != scene.incident.id)]
        alert_ids = [scene.alert.id, scene.free.id]
        for name, table, state in (
            ("run", EscalationRun, EscalationRun.state),
            ("page", Page, Page.state),
            ("message", Delivery, Delivery.state),
        ):
            query = select(state).where(table.alert_id.in_(alert_ids) | table.incident_id.in_(about))
            told += [f"{name}: {each}" for each in await tx.session.scalars(query.order_by(table.id))]
        for id in about:
            stored = await queries.get(tx, EVERYTHING, id)
            await tx.session.refresh(stored)
            told.append(
                f"incident: {stored.status} SEV{stored.severity} {stored.round} {stored.acknowledged_at is None}"
            )
            told += [f"on it: {p.name} {p.responder.state}" for p in await queries.responders(tx, id)]
        for alert_id in alert_ids:
            stored_alert = (await tx.session.get(Alert, alert_id, populate_existing=True)) or scene.alert
            told.append(
                f"alert: {stored_alert.status} {stored_alert.acknowledged_by} {stored_alert.incident_id is None}"
            )
    return told


async def position(world: World) -> int:
    async with world.db.begin() as tx:
        newest = await log.newest_first(tx, limit=1)
    return newest[0].position if newest else 0


@pytest.mark.parametrize("name", ACTS)
async def test_one_act_is_the_same_on_every_surface(api: Api, name: str) -> None:
    """G22, F029, F050, F061."""
    act = ACTS[name]
    async with AsyncExitStack() as stack:
        stage = await Stage.build(api, stack)
        surfaces = {"page": act.page, "api": act.api, **({"link": act.link} if act.link else {})}
        for role in ROLES:
            if role == "paged stakeholder" and not act.as_paged:
                continue
            records: dict[str, list[str]] = {}
            for surface, do in surfaces.items():
                if surface == "link" and role == "stakeholder":
                    # Nobody has the link of a page that they did not get.
                    continue
                scene = await stage.scene(act, role)
                since = await position(stage.world)
                status = await do(scene)
                said = f"{name} as {role} through {surface}"
                if role in act.may:
                    assert status in (200, 201, 204, 303), (said, status)
                else:
                    assert status == 403, (said, status)
                records[surface] = await record(scene, since)
                if role not in act.may:
                    assert not [line for line in records[surface] if line.startswith("[")], (said, records[surface])
            first = records.pop("page")
            for surface, found in records.items():
                assert found == first, f"{name} as {role}: {surface} is not as the page"
            assert role not in act.may or any(line.startswith("[") for line in first), f"{name}: nothing happened"


async def test_the_last_step_is_escalated_on_no_surface(api: Api) -> None:
    """F050: else the escalation would end, the alert stay open and nobody be asked any more.

    Last is the last step of a policy, the one whose followers cannot be reached, and the only one of a direct page.
    """
    world = api.world
    ada = await world.person("ada")
    unreachable = await world.person("eve", reachable=False)
    await world.route(await world.policy([ada], name="One"), 'labels.on == "one"', name="One")
    await world.route(await world.policy([ada, unreachable], name="Skips"), name="Skips")
    client = await api.as_(ada)
    async with browser(world, ada) as web:
        csrf = (await web.get("/incidents")).read.forms["sign-out"]["_csrf_token"][0]
        for number, labels in enumerate(({"on": "one"}, {"on": "two"})):
            alert = await world.alert(f"Disk {number}", labels=labels)
            link = str(world.mail.to(ada)[-1].acknowledge_url).removeprefix(LOCAL)
            before = await world.history(alert)
            id = ALERT_ID.write(alert.id)
            page = (await client.get("/pages", params={"alert_id": id})).json()["data"][0]["id"]
            answers = [
                await client.post(f"/pages/{page}/actions/escalate"),
                await client.post(f"/alerts/{id}/actions/escalate"),
            ]
            assert [each.json()["code"] for each in answers] == ["escalation.last_step"] * 2
            bulk = await client.post("/alerts/actions/bulk", json={"action": "escalate", "ids": [id]})
            assert bulk.json()["failed"][0]["code"] == "escalation.last_step"
            fields = {"_csrf_token": csrf, "page_id": page, "do": "escalate", "step": "0-1"}
            refused = [
                await web.send(f"/alerts/{id}/answer", fields),
                await web.send(f"/alerts/{id}/escalate", fields),
                await web.send(link, {"do": "escalate", "step": "0-1"}),
            ]
            for each in refused:
                assert each.status == 409
                assert "There is no next step, so nobody else can be paged now. You are still being paged." in each.html
            shown = (await web.get(f"/alerts/{id}")).read.forms
            assert not {"answer-escalate", "paged-escalate"} & set(shown)
            # The bar around the page speaks of the oldest; of another the page itself does.
            assert ("answer-decline" if number else "paged-decline") in shown
            assert await world.history(alert) == before
            assert await world.deliveries(alert) == ["Ada: sent"]
        async with world.db.begin() as tx:
            incident = await incidents.declare(tx, world.actor(unreachable), title="Checkout is slow")
            await incidents.page(tx, world.actor(unreachable), incident.id, [PageTarget("user", ada.id)])
        page = (await client.get("/pages", params={"incident": incident.reference})).json()["data"][0]["id"]
        answered = await client.post(f"/pages/{page}/actions/escalate")
        assert (answered.status_code, answered.json()["code"]) == (409, "escalation.last_step")
        assert (await client.get(f"/pages/{page}")).json()["state"] == "paging"


async def test_a_paged_stakeholder_finds_what_to_press_and_a_narrow_token_answers_nothing(api: Api) -> None:
    """F050, F119: to be paged is the right to answer one's own page, whoever one is, and no right to anything else."""
    world = api.world
    cleo = await world.person("cleo", role="stakeholder")
    await world.route(await world.policy([cleo, await world.person("bob")]))
    alert = await world.alert()
    id = ALERT_ID.write(alert.id)
    narrow, own = await api.as_(cleo, "alert.view", "incident.view"), await api.as_(cleo, "alert.view", "self.edit")
    page = (await narrow.get("/pages", params={"alert_id": id})).json()["data"][0]["id"]
    for verb in ("acknowledge", "decline", "escalate"):
        assert (await narrow.post(f"/pages/{page}/actions/{verb}")).status_code == 403
    async with browser(world, cleo) as web:
        shown = await web.get(f"/alerts/{id}")
        assert {"paged-ack", "paged-decline", "paged-escalate"} <= set(shown.read.forms)
        assert not {"acknowledge", "resolve", "escalate", "unacknowledge"} & set(shown.read.forms)
        again = await web.do(shown, "paged-ack", {"step": "0-1"})
        assert "paged-ack" not in again.read.forms
    assert (await world.again(alert)).acknowledged_by == "Cleo"
    assert (await own.post(f"/pages/{page}/actions/acknowledge")).status_code == 200
    assert (await own.post(f"/alerts/{id}/actions/unacknowledge")).status_code == 403


async def test_the_alert_is_given_back_and_passed_on_from_its_page(world: World) -> None:
    """F050: a second press of the same screen goes no step further."""
    ada, bob, cyd, dan = await world.people("ada", "bob", "cyd", "dan")
    await world.route(await world.policy([ada, bob, cyd]))
    alert = await world.alert()
    async with browser(world, dan) as web:
        page = await web.get(f"/alerts/{ALERT_ID.write(alert.id)}")
        for _ in range(2):
            await web.do(page, "escalate")
        await world.settle()
        assert [len(world.mail.to(each)) for each in (ada, bob, cyd)] == [1, 1, 0]
        page = await web.do(page, "acknowledge")
        await web.do(page, "unacknowledge")
        await world.settle()
    assert (await world.again(alert)).status == "triggered"
    assert [len(world.mail.to(each)) for each in (ada, bob, cyd)] == [2, 1, 0]
