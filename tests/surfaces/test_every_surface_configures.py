"""One change of who gets paged, every surface (G22): the page, the API and the command line leave the same record.

Each act is done through each surface that offers it, every time in an installation of its own that stands as the
others did. Then the records are compared: what happened, what is stored, what waits, who was woken by the change, and
whom the next alert pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests import postgres
from tests.processes import tocsin
from tests.surfaces.conftest import Api
from tests.surfaces.web_client import Browser, browser
from tests.world import World, make_world, minutes
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ROUTE_ID, SOURCE_ID, AlertSource
from tocsin.db.engine import Tx
from tocsin.events import log
from tocsin.identity.access import EVERYTHING
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import USER_ID, User
from tocsin.incidents import service as incidents
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.notifications.model import METHOD_ID, RULE_ID, Urgency
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import POLICY_ID, EscalationPolicy

A_DAY = minutes(1440)


@dataclass
class Scene:
    """Bob is being paged for one alert. Another one, of the policy Nobody, has only Cyd, who cannot be reached."""

    world: World
    dsn: str
    bob: User
    cyd: User
    duty: EscalationPolicy
    nobody: EscalationPolicy
    source: AlertSource
    first: UUID
    second: UUID
    method_id: UUID
    web: Browser
    csrf: str
    api: httpx.AsyncClient

    async def send(self, path: str, **fields: str | Sequence[str]) -> int:
        """Send a form as it is given; returns the status."""
        return (await self.web.send(path, {"_csrf_token": self.csrf, **fields})).status

    async def fill(self, path: str, form: str, **changes: str) -> int:
        """Open a page, fill a form of it in and send it with all that stands in it; returns the status."""
        return (await self.web.submit(await self.web.get(path), form, changes)).status

    async def call(self, method: str, path: str, **body: Any) -> int:
        """Call the API; returns the status."""
        return (await self.api.request(method, path, json=body or None)).status_code

    async def run(self, *words: str) -> int:
        """Run a command, as an operator does beside the running installation; returns its exit code."""
        return (await tocsin(*words, database_url=self.dsn))[0]

    async def rule_id(self) -> UUID:
        async with self.world.db.begin() as tx:
            return (await contact.rules(tx, self.bob.id))[0].id


def usr(person: User) -> str:
    return USER_ID.write(person.id)


def pol(policy: EscalationPolicy) -> str:
    return POLICY_ID.write(policy.id)


def src(s: Scene) -> str:
    return SOURCE_ID.write(s.source.id)


def rte(id: UUID) -> str:
    return ROUTE_ID.write(id)


def method(s: Scene) -> str:
    return METHOD_ID.write(s.method_id)


Do = Callable[[Scene], Awaitable[int]]
Before = Callable[[Scene, Tx], Awaitable[object]]


async def nothing(_: Scene, __: Tx) -> None:
    return None


@dataclass(frozen=True)
class Act:
    """One act: how each surface that offers it does it, and how it stands before."""

    page: Do
    api: Do
    cli: Do | None = None
    before: Before = nothing


async def with_a_rule(s: Scene, tx: Tx) -> None:
    rule = notifications.RuleDraft(Urgency.HIGH, 10, s.method_id)
    await notifications.set_rules(tx, s.world.root, user_id=s.bob.id, rules=[rule])


async def with_a_fallback(s: Scene, tx: Tx) -> None:
    await oncall.set_fallback(tx, s.world.root, PageTarget("user", s.cyd.id))


async def with_nobody_paged(s: Scene, tx: Tx) -> None:
    await alerts.resolve_source_alerts(tx, s.world.root, s.source.id)


async def with_bob_off(s: Scene, tx: Tx) -> None:
    await incidents.update_person(tx, s.world.root, s.bob.id, UserChanges(is_active=False), confirmed=True)


async def with_the_source_off(s: Scene, tx: Tx) -> None:
    await alerts.update_source(tx, s.world.root, s.source.id, alerts.SourceChanges(is_enabled=False))


async def with_a_hold_down(s: Scene, tx: Tx) -> None:
    await alerts.update_source(tx, s.world.root, s.source.id, alerts.SourceChanges(hold_down_minutes=60))


def on_method(verb: str = "", **fields: str) -> Do:
    return lambda s: s.send(f"/people/{usr(s.bob)}/contact-methods/{method(s)}{verb}", **fields)


def policy_form(s: Scene, *steps: tuple[User, int], name: str) -> dict[str, str | Sequence[str]]:
    fields: dict[str, str | Sequence[str]] = {"name": name, "repeat": "0", "do": "save", "step-count": str(len(steps))}
    for n, (person, wait) in enumerate(steps):
        fields |= {f"step-{n}-wait": str(wait), f"step-{n}-target": [f"user:{usr(person)}"]}
    return fields


def policy_body(*steps: tuple[User, int], name: str) -> dict[str, Any]:
    written = [{"targets": [{"type": "user", "id": usr(person)}], "wait_minutes": wait} for person, wait in steps]
    return {"name": name, "steps": written, "repeat": 0}


ACTS: Mapping[str, Act] = {
    "add a contact method": Act(
        lambda s: s.send(
            f"/people/{usr(s.cyd)}/contact-methods", kind="email", address="cyd@example.org", method_name="Work"
        ),
        lambda s: s.call(
            "POST", f"/users/{usr(s.cyd)}/contact_methods", kind="email", address="cyd@example.org", name="Work"
        ),
    ),
    "correct a contact method": Act(
        lambda s: s.fill(f"/people/{usr(s.bob)}/contact-methods/{method(s)}", "method-form", address="bob@new.example"),
        lambda s: s.call("PATCH", f"/users/{usr(s.bob)}/contact_methods/{method(s)}", address="bob@new.example"),
    ),
    "remove a contact method": Act(
        on_method("/delete", confirm="1"),
        lambda s: s.call("DELETE", f"/users/{usr(s.bob)}/contact_methods/{method(s)}?confirm=true"),
    ),
    "add a personal rule": Act(
        lambda s: s.send(
            f"/people/{usr(s.bob)}/rules", do="add", urgency="high", method_id=method(s), after_minutes="3"
        ),
        lambda s: s.call(
            "PUT",
            f"/users/{usr(s.bob)}/notification_rules",
            rules=[{"urgency": "high", "delay_minutes": 3, "contact_method_id": method(s)}],
        ),
    ),
    "remove a personal rule": Act(
        lambda s: remove_rule(s),
        lambda s: s.call("PUT", f"/users/{usr(s.bob)}/notification_rules", rules=[]),
        before=with_a_rule,
    ),
    "write a policy": Act(
        lambda s: s.send("/policies", **policy_form(s, (s.bob, 5), name="New")),
        lambda s: s.call("POST", "/escalation_policies", **policy_body((s.bob, 5), name="New")),
    ),
    "let a policy ask somebody who is there": Act(
        lambda s: s.send(f"/policies/{pol(s.nobody)}", **policy_form(s, (s.cyd, 1440), (s.bob, 5), name="Nobody")),
        lambda s: s.call(
            "PATCH",
            f"/escalation_policies/{pol(s.nobody)}",
            **policy_body((s.cyd, 1440), (s.bob, 5), name="Nobody"),
        ),
    ),
    "shorten the wait of a policy": Act(
        lambda s: s.send(f"/policies/{pol(s.duty)}", **policy_form(s, (s.bob, 1), (s.cyd, 1), name="Duty")),
        lambda s: s.call(
            "PATCH", f"/escalation_policies/{pol(s.duty)}", **policy_body((s.bob, 1), (s.cyd, 1), name="Duty")
        ),
    ),
    "let another policy take a policy's place": Act(
        lambda s: s.send(f"/policies/{pol(s.nobody)}/delete", replace_by=pol(s.duty)),
        lambda s: s.call("DELETE", f"/escalation_policies/{pol(s.nobody)}?replace_by={pol(s.duty)}"),
        before=with_nobody_paged,
    ),
    "choose a fallback": Act(
        lambda s: s.send("/organisation/fallback", target=f"user:{usr(s.bob)}"),
        lambda s: s.call("PUT", "/organisation/fallback", target={"type": "user", "id": usr(s.bob)}),
    ),
    "clear the fallback": Act(
        lambda s: s.send("/organisation/fallback", target=""),
        lambda s: s.call("PUT", "/organisation/fallback", target=None),
        before=with_a_fallback,
    ),
    "switch an account off": Act(
        lambda s: s.fill(f"/people/{usr(s.bob)}", "deactivate"),
        lambda s: s.call("PATCH", f"/users/{usr(s.bob)}?confirm=true", is_active=False),
        lambda s: s.run("user", "deactivate", "--email=bob@example.org", "--yes"),
    ),
    "switch an account on": Act(
        lambda s: s.send(f"/people/{usr(s.bob)}/activate"),
        lambda s: s.call("PATCH", f"/users/{usr(s.bob)}", is_active=True),
        lambda s: s.run("user", "activate", "--email=bob@example.org"),
        before=with_bob_off,
    ),
    "take somebody's right to edit": Act(
        lambda s: s.fill(f"/people/{usr(s.bob)}", "person-form", role="stakeholder", confirm="1"),
        lambda s: s.call("PATCH", f"/users/{usr(s.bob)}?confirm=true", role="stakeholder"),
        lambda s: s.run("user", "role", "--email=bob@example.org", "--role=stakeholder", "--yes"),
    ),
    "switch a source off": Act(
        lambda s: s.send(f"/sources/{src(s)}/disable"),
        lambda s: s.call("PATCH", f"/alert_sources/{src(s)}", is_enabled=False),
    ),
    "switch a source on": Act(
        lambda s: s.send(f"/sources/{src(s)}/enable"),
        lambda s: s.call("PATCH", f"/alert_sources/{src(s)}", is_enabled=True),
        before=with_the_source_off,
    ),
    "hold a source's flapping down": Act(
        lambda s: s.send(f"/sources/{src(s)}/hold-down", hold_down_minutes="30"),
        lambda s: s.call("PATCH", f"/alert_sources/{src(s)}", hold_down_minutes=30),
    ),
    "take a hold-down back": Act(
        lambda s: s.send(f"/sources/{src(s)}/hold-down", hold_down_minutes=""),
        lambda s: s.call("PATCH", f"/alert_sources/{src(s)}", hold_down_minutes=None),
        before=with_a_hold_down,
    ),
    "close what a source leaves open": Act(
        lambda s: s.send(f"/sources/{src(s)}/stale", close_after_hours="1"),
        lambda s: s.call("PATCH", f"/alert_sources/{src(s)}", close_after_hours=1),
    ),
    "remind of what is forgotten": Act(
        lambda s: s.fill("/organisation", "organisation-form", remind_after_hours="1", give_back_after_hours="2"),
        lambda s: s.call("PATCH", "/organisation", remind_after_hours=1, give_back_after_hours=2),
    ),
    "add a route": Act(
        lambda s: s.send("/routes", name="Third", condition='labels.on == "z"', policy_id=pol(s.duty)),
        lambda s: s.call(
            "POST",
            "/alert_routes",
            name="Third",
            condition='labels.on == "z"',
            escalation_policy_id=pol(s.duty),
        ),
    ),
    "let a route lead elsewhere": Act(
        lambda s: s.send(
            f"/routes/{rte(s.first)}", name="First", condition='labels.on == "x"', is_enabled="1", policy_id=pol(s.duty)
        ),
        lambda s: s.call("PATCH", f"/alert_routes/{rte(s.first)}", escalation_policy_id=pol(s.duty)),
    ),
    "let a route page nobody": Act(
        lambda s: s.send(
            f"/routes/{rte(s.second)}", name="Second", condition='labels.on == "x"', is_enabled="1", policy_id=""
        ),
        lambda s: s.call("PATCH", f"/alert_routes/{rte(s.second)}", escalation_policy_id=None),
    ),
    "switch a route off": Act(
        lambda s: s.send(
            f"/routes/{rte(s.first)}", name="First", condition='labels.on == "x"', policy_id=pol(s.nobody)
        ),
        lambda s: s.call("PATCH", f"/alert_routes/{rte(s.first)}", is_enabled=False),
    ),
    "put a route first": Act(
        lambda s: s.send(f"/routes/{rte(s.second)}/move", to="up"),
        lambda s: s.call("POST", f"/alert_routes/{rte(s.second)}/actions/move", direction="up"),
    ),
    "remove a route": Act(
        lambda s: s.send(f"/routes/{rte(s.first)}/delete"),
        lambda s: s.call("DELETE", f"/alert_routes/{rte(s.first)}"),
    ),
}


async def remove_rule(s: Scene) -> int:
    return await s.send(f"/people/{usr(s.bob)}/rules", do="remove", rule_id=RULE_ID.write(await s.rule_id()))


async def scene(stack: AsyncExitStack, postgres_dsn: str) -> Scene:
    """An installation in which two alerts are open, one that pages Bob and one that reaches nobody."""
    dsn = await stack.enter_async_context(postgres.fresh(postgres_dsn))
    world = await stack.enter_async_context(make_world(dsn))
    root, bob = await world.person("root", role="admin"), await world.person("bob")
    cyd = await world.person("cyd", reachable=False)
    duty = await world.policy([bob, cyd], wait=A_DAY)
    nobody = await world.policy([cyd], wait=A_DAY, name="Nobody")
    first = await world.route(nobody, 'labels.on == "x"', name="First")
    second = await world.route(duty, 'labels.on == "x"', name="Second")
    await world.route(duty)
    source = await world.source()
    await fire(world, source, "Disk", on="y")
    await fire(world, source, "Cart", on="x")
    # A run is looked at once a minute at most.
    await world.let_pass(minutes(2))
    api = Api(world, [])
    client = await stack.enter_async_context(await api.as_(root))
    web = await stack.enter_async_context(browser(world, root))
    csrf = (await web.get("/incidents")).read.forms["sign-out"]["_csrf_token"][0]
    async with world.db.begin() as tx:
        (mine,) = await contact.contact_methods(tx, bob.id)
    return Scene(world, dsn, bob, cyd, duty, nobody, source, first, second, mine.id, web, csrf, client)


async def fire(world: World, source: AlertSource, title: str, *, on: str) -> None:
    body = {"title": title, "key": title, "status": "firing", "severity": "critical", "labels": {"on": on}}
    async with world.db.begin() as tx:
        is_on = (await alert_queries.source(tx, EVERYTHING, source.id)).is_enabled
    if is_on:
        await world.signal(body, source)
        await world.settle()


# What differs from one installation to the next: ids and times.
_ID = re.compile(r"\b(?:[0-9a-f]{8}-[0-9a-f-]{27}|[a-z]{2,4}_[0-9a-z]{26})\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ][\d:.]+(?:[+-]\d\d:?\d\d|Z| UTC)?")


def plain(value: object) -> str:
    return _TIME.sub("(time)", _ID.sub("(id)", json.dumps(value, sort_keys=True, default=str)))


# What is stored of it, by table; ids and times are left out by `plain`.
_STORED = {
    "contact_method": "SELECT kind, address, name, format, version FROM contact_method ORDER BY id",
    "rule": "SELECT urgency, delay_minutes FROM notification_rule ORDER BY urgency, delay_minutes",
    "policy": "SELECT name, repeat, version FROM escalation_policy ORDER BY id",
    "step": """SELECT policy.name, position, wait_minutes, (SELECT array_agg(user_account.name ORDER BY target.position)
        FROM escalation_target AS target JOIN user_account ON user_account.id = user_id WHERE step_id = step.id) AS whom
        FROM escalation_step AS step JOIN escalation_policy AS policy ON policy.id = policy_id ORDER BY 1, 2""",
    "fallback": """SELECT policy_id IS NOT NULL AS policy, user_account.name, fallback_target.version
        FROM fallback_target LEFT JOIN user_account ON user_account.id = user_id""",
    "user": "SELECT name, role, is_active, version FROM user_account ORDER BY id",
    "source": "SELECT name, is_enabled, hold_down_minutes, close_after_hours, version FROM alert_source ORDER BY id",
    "route": """SELECT route.name, position, condition, is_enabled, is_catch_all, policy.name AS policy, route.version
        FROM alert_route AS route LEFT JOIN escalation_policy AS policy ON policy.id = escalation_policy_id
        ORDER BY 1""",
    "organisation": "SELECT remind_after_hours, give_back_after_hours, version FROM organisation",
    "alert": "SELECT title, status, acknowledged_by FROM alert ORDER BY id",
    "run": """SELECT policy_name, state, step, round, is_fallback, unreached_since IS NULL AS reached,
        round(extract(epoch FROM next_step_at - tocsin_now()) / 60) AS waits FROM escalation_run ORDER BY id""",
    "page": """SELECT user_account.name, state, step, round, reason FROM page
        JOIN user_account ON user_account.id = user_id ORDER BY page.id""",
    "delivery": """SELECT user_account.name, channel, address, state, kind, attempt, last_error FROM delivery
        JOIN user_account ON user_account.id = user_id ORDER BY delivery.id""",
    # Whatever is asked for is looked at by the minute.
    "job": """SELECT kind, lane, split_part(key, ':', 1) AS about,
        round(extract(epoch FROM due - tocsin_now()) / 60) AS due FROM job
        WHERE coalesce(dedup, '') NOT LIKE 'schedule:%' ORDER BY 1, 2, 3, 4""",
}


async def stands(world: World) -> list[str]:
    async with world.db.begin() as tx:
        connection = await tx.raw()
        return [
            f"{name}: {plain(dict(row))}" for name, query in _STORED.items() for row in await connection.fetch(query)
        ]


async def record(s: Scene, since: int) -> list[str]:
    """Return what happened, how everything stands at once and later, and who got what."""
    await s.world.settle()
    at_once = await stands(s.world)
    await s.world.let_pass(minutes(3))
    await fire(s.world, s.source, "Mail", on="x")
    await s.world.let_pass(minutes(1))
    async with s.world.db.begin() as tx:
        events = [event for event in await log.newest_first(tx, limit=500) if event.position > since]
    told = [f"{event.name}: {plain(dict(event.data))}" for event in reversed(events)]
    sent = [f"sent: {address} {message.title}: {message.reason}" for address, message in s.world.mail.sent]
    return [*told, *at_once, "later", *await stands(s.world), *sent]


async def position(world: World) -> int:
    async with world.db.begin() as tx:
        return (await log.newest_first(tx, limit=1))[0].position


@pytest.mark.parametrize("name", ACTS)
async def test_one_change_is_the_same_on_every_surface(postgres_dsn: str, name: str) -> None:
    """G22, F111: an act that changes who gets paged leaves the same record wherever it is done."""
    act = ACTS[name]
    records: dict[str, list[str]] = {}
    for surface, do in {"page": act.page, "api": act.api, "cli": act.cli}.items():
        if do is None:
            continue
        async with AsyncExitStack() as stack:
            s = await scene(stack, postgres_dsn)
            async with s.world.db.begin() as tx:
                await act.before(s, tx)
            await s.world.settle()
            since = await position(s.world)
            before = await stands(s.world)
            status = await do(s)
            assert status in (0, 200, 201, 204, 303), (surface, status)
            assert await stands(s.world) != before, f"{name} through {surface}: nothing happened"
            records[surface] = await record(s, since)
    first = records.pop("page")
    for surface, found in records.items():
        assert found == first, f"{name}: {surface} is not as the page"
