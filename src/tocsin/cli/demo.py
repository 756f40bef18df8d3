"""The demo organisation Harbourline: people, policies, sources and routes, and the way to find them again.

Everything is made through the use cases that people have: the organisation in one transaction, what happened in the
past days (`demo_history`) in another. Routing sees only what is committed, so it cannot be one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from sqlalchemy import text

from tocsin.alerts import service as alerts
from tocsin.alerts import source_queries
from tocsin.alerts.model import AlertSource, SourceKind
from tocsin.alerts.service import RouteDraft
from tocsin.cli.demo_history import tell
from tocsin.db.engine import Database, Tx
from tocsin.identity import queries as people
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING, Role
from tocsin.identity.model import Actor, User
from tocsin.incidents.service import targeting
from tocsin.incidents.service.targeting import TargetChanges
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.console import Console
from tocsin.notifications.model import Urgency
from tocsin.notifications.service import RuleDraft
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import EscalationPolicy
from tocsin.oncall.service import StepDraft

ORGANISATION = "Harbourline"
ADMIN = "maren.okafor@harbourline.example"
SOURCE = "Synthetic checks"
PAGED_FIRST = "Jonas Lindqvist"
EXAMPLE_ALERT = {
    "title": "Checkout in Rotterdam answers 500",
    "severity": "critical",
    "description": "3 of 3 probes failed within the last minute.",
    "labels": {"team": "bookings", "service": "checkout", "region": "rotterdam"},
}
BEGAN = timedelta(days=21)
# Any constant will do that nobody else takes; see `db/migrate.py`.
_LOCK = 7_302_101_002


@dataclass(frozen=True, slots=True)
class _Person:
    """One person of the demo: what the account says and on which consoles pages appear."""

    key: str
    name: str
    role: Role
    time_zone: str
    consoles: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        first, last = self.name.lower().replace("á", "a").split()
        return f"{first}.{last}@harbourline.example"


_PEOPLE = (
    _Person("maren", "Maren Okafor", Role.ADMIN, "Europe/Amsterdam", ("Maren's phone",)),
    _Person("priya", "Priya Raman", Role.RESPONDER, "Europe/London", ("Priya's phone", "Priya's laptop")),
    _Person("aiko", "Aiko Tanaka", Role.RESPONDER, "Asia/Tokyo", ("Aiko's phone",)),
    _Person("jonas", PAGED_FIRST, Role.RESPONDER, "Europe/Stockholm", ("Jonas's phone", "Jonas's laptop")),
    _Person("tomas", "Tomás Herrera", Role.RESPONDER, "Europe/Madrid", ("Tomás's phone",)),
    _Person("samuel", "Samuel Adeyemi", Role.RESPONDER, "Europe/Amsterdam", ("Samuel's phone",)),
    _Person("claire", "Claire Dubois", Role.STAKEHOLDER, "Europe/Paris"),
)
_SOURCES = (
    ("prometheus", "Prometheus Rotterdam", SourceKind.ALERTMANAGER),
    ("grafana", "Grafana", SourceKind.GRAFANA),
    ("synthetic", SOURCE, SourceKind.GENERIC),
    ("batch", "Night batch (PagerDuty events)", SourceKind.PAGERDUTY),
)


@dataclass(frozen=True, slots=True)
class Found:
    """The demo organisation as it is in this installation."""

    admin: User
    source: AlertSource | None


async def fill(db: Database) -> bool:
    """Make the demo organisation in an empty installation; returns False and changes nothing in any other.

    A start that was killed between the two transactions is completed by the next. Of two starts at once the second
    waits for the first and finds it done. No worker may run meanwhile.
    """
    async with db.begin() as tx:
        # An empty database has no row yet that both could lock.
        await tx.session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if not await people.has_users(tx) and await people.organisation(tx) is None:
            tx.now -= BEGAN
            await _make_organisation(tx)
    async with db.begin() as tx:
        found = await find(tx)
        users = {person.key: await people.user_by_email(tx, person.email) for person in _PEOPLE}
        by_name = {source.name: source for source in await source_queries.sources(tx, EVERYTHING)}
    if found is None:
        return False
    there = {key: user for key, user in users.items() if user is not None and user.is_active}
    sources = {key: by_name[name] for key, name, _ in _SOURCES if name in by_name}
    is_whole = len(there) == len(_PEOPLE) and len(sources) == len(_SOURCES)
    return is_whole and await tell(db, there, sources)


_TARGETS: Mapping[int, TargetChanges] = {
    1: {"acknowledge_minutes": 5, "update_minutes": 30, "mitigate_minutes": 60, "resolve_minutes": 240},
    2: {"acknowledge_minutes": 15, "update_minutes": 120, "mitigate_minutes": 240, "resolve_minutes": 1440},
}


async def _make_organisation(tx: Tx) -> None:
    await identity.ensure_organisation(tx, ORGANISATION)
    users = await _make_people(tx)
    admin = Actor.person(users["maren"])
    await _make_teams(tx, admin, users)
    policies = await _make_policies(tx, admin, users)
    await oncall.set_fallback(tx, admin, PageTarget("user", users["maren"].id))
    for _, name, kind in _SOURCES:
        await alerts.create_source(tx, admin, name=name, kind=kind)
    await _make_routes(tx, admin, policies)
    for severity, targets in _TARGETS.items():
        await targeting.update_targets(tx, admin, severity, targets)


async def find(tx: Tx) -> Found | None:
    """Return the demo organisation if this installation holds it; nothing else is ever taken for it."""
    organisation = await people.organisation(tx)
    admin = await people.user_by_email(tx, ADMIN)
    if organisation is None or organisation.name != ORGANISATION or admin is None or not admin.is_active:
        return None
    source = next((each for each in await source_queries.sources(tx, EVERYTHING) if each.name == SOURCE), None)
    return Found(admin, source)


async def _make_people(tx: Tx) -> dict[str, User]:
    system = Actor.system("demo")
    users: dict[str, User] = {}
    for person in _PEOPLE:
        user = await identity.create_user(
            tx, system, email=person.email, name=person.name, role=person.role, time_zone=person.time_zone
        )
        users[person.key] = user
        await _make_reachable(tx, Actor.person(user), user, person.consoles)
    return users


async def _make_reachable(tx: Tx, who: Actor, user: User, consoles: tuple[str, ...]) -> None:
    """Give the person consoles to be paged on: the first at once, the next after two minutes."""
    channels = MappingProxyType({Console.kind: Console(sys.stdout)})
    rules: list[RuleDraft] = []
    for position, name in enumerate(consoles):
        method = await notifications.add_contact_method(
            tx, who, channels, user_id=user.id, kind=Console.kind, address=name, name=name
        )
        rules.append(RuleDraft(Urgency.HIGH, 2 * position, method.id))
        if position == 0:
            rules.append(RuleDraft(Urgency.LOW, 0, method.id))
    if rules:
        await tx.session.flush()
        await notifications.set_rules(tx, who, user_id=user.id, rules=rules)


async def _make_teams(tx: Tx, who: Actor, users: dict[str, User]) -> None:
    teams = (
        ("Platform", "Clusters, databases and the network of the terminals.", ("maren", "priya", "aiko")),
        ("Bookings", "Booking, checkout, payments and invoices.", ("jonas", "tomas", "samuel")),
    )
    for name, description, keys in teams:
        members = {users[key].id: None for key in keys}
        await identity.create_team(tx, who, name=name, description=description, members=members)


async def _make_policies(tx: Tx, who: Actor, users: dict[str, User]) -> dict[str, EscalationPolicy]:
    def step(wait_minutes: int, *keys: str) -> StepDraft:
        return StepDraft([users[key].id for key in keys], wait_minutes)

    platform = await oncall.create_policy(
        tx,
        who,
        name="Platform on call",
        description="Infrastructure of all terminals.",
        steps=[step(5, "priya"), step(5, "aiko"), step(15, "maren")],
        repeat=1,
    )
    bookings = await oncall.create_policy(
        tx,
        who,
        name="Bookings on call",
        description="Whatever keeps customers from booking and paying.",
        steps=[step(5, "jonas"), step(10, "tomas", "samuel"), step(15, "maren")],
    )
    return {"platform": platform, "bookings": bookings}


async def _make_routes(tx: Tx, who: Actor, policies: dict[str, EscalationPolicy]) -> None:
    drafts = (
        RouteDraft(name="Low severity: recorded only", condition="severity >= 4"),
        RouteDraft(
            name="Bookings and payments",
            condition='has(labels.team) && labels.team == "bookings"',
            escalation_policy_id=policies["bookings"].id,
        ),
        RouteDraft(name="Everything else", is_catch_all=True, escalation_policy_id=policies["platform"].id),
    )
    for draft in drafts:
        await alerts.create_route(tx, who, draft)
        await tx.session.flush()
