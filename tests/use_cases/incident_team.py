"""Ada, Bob and Cleo, and what they look at when they work on incidents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select

from tocsin.alerts.model import Alert, AlertSource
from tocsin.db.engine import Database, Tx
from tocsin.events.facts import Directly
from tocsin.events.log import LoggedEvent
from tocsin.events.words import describe
from tocsin.identity.access import Role
from tocsin.identity.model import Actor, Organisation, User
from tocsin.incidents import queries, service, timeline_queries
from tocsin.incidents.model import Incident
from tocsin.kit.ids import new_id
from tocsin.notifications.model import ContactMethod, Urgency
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent
from tocsin.oncall.model import EscalationPolicy, EscalationRun, EscalationStep, EscalationTarget, Page


class Team:
    """Ada and Bob respond and can be reached, Cleo only watches; alerts come from one source."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.ada, self.bob, self.cleo = (
            self._user("Ada", Role.RESPONDER),
            self._user("Bob", Role.RESPONDER),
            self._user("Cleo", Role.STAKEHOLDER),
        )
        self.source_id = new_id()

    def _user(self, name: str, role: Role) -> User:
        return User(id=new_id(), email=f"{name.lower()}@example.org", name=name, role=role, is_active=True)

    async def move_in(self) -> None:
        async with self.db.begin() as tx:
            tx.session.add(Organisation(id=1, name="Acme", created_at=tx.now))
            for user in (self.ada, self.bob, self.cleo):
                user.created_at = user.updated_at = tx.now
                tx.session.add(user)
            await tx.session.flush()
            for user in (self.ada, self.bob):
                tx.session.add(
                    ContactMethod(
                        id=new_id(),
                        user_id=user.id,
                        kind="email",
                        address=user.email,
                        name="Work",
                        created_at=tx.now,
                    )
                )
            tx.session.add(
                AlertSource(
                    id=self.source_id,
                    name="Prometheus",
                    kind="generic",
                    token=uuid4().hex,
                    created_at=tx.now,
                    updated_at=tx.now,
                )
            )

    async def policy(self, *users: User) -> UUID:
        async with self.db.begin() as tx:
            policy = EscalationPolicy(id=new_id(), name="Payments", created_at=tx.now, updated_at=tx.now)
            tx.session.add(policy)
            await tx.session.flush()
            for position, user in enumerate(users, start=1):
                step = EscalationStep(id=new_id(), policy_id=policy.id, position=position, wait_minutes=5)
                tx.session.add(step)
                await tx.session.flush()
                tx.session.add(EscalationTarget(step_id=step.id, position=1, kind="user", user_id=user.id))
        return policy.id

    async def alert(self, title: str = "Disk is full", *, paging: User | None = None) -> UUID:
        async with self.db.begin() as tx:
            alert = Alert(
                id=new_id(),
                source_id=self.source_id,
                dedup_key=uuid4().hex,
                status="triggered",
                title=title,
                description="No space left.",
                severity=2,
                urgency="high",
                labels={"service": "checkout", "env": "prod"},
                links=[],
                created_at=tx.now - timedelta(minutes=3),
                last_seen_at=tx.now,
                updated_at=tx.now,
            )
            tx.session.add(alert)
            await tx.session.flush()
            if paging is not None:
                content = PageContent(title, "", 2, Urgency.HIGH, "Prometheus", {})
                await oncall.start(
                    tx, [oncall.Start(content=content, why=Directly(), alert_id=alert.id, user_id=paging.id)]
                )
        return alert.id

    async def incident(self, who: User | None = None, **fields: object) -> Incident:
        async with self.db.begin() as tx:
            named: dict[str, object] = {"title": "Checkout is down", **fields}
            return await service.declare(tx, Actor.person(who or self.ada), **named)  # pyright: ignore[reportArgumentType]

    async def page_of(self, user: User) -> Page:
        async with self.db.begin() as tx:
            found = await tx.session.scalars(select(Page).where(Page.user_id == user.id).order_by(Page.id.desc()))
            return found.first()  # type: ignore[return-value]

    async def run_states(self) -> list[str]:
        async with self.db.begin() as tx:
            return list(await tx.session.scalars(select(EscalationRun.state).order_by(EscalationRun.id)))

    async def responders(self, incident: Incident) -> dict[str, tuple[str, str]]:
        async with self.db.begin() as tx:
            found = await queries.responders(tx, incident.id)
            return {person.name: (person.responder.state, person.responder.source) for person in found}

    async def record(self, incident: Incident) -> list[str]:
        """What the timeline says, oldest first."""
        async with self.db.begin() as tx:
            rows = await record_of(tx, incident.id)
            return [describe(row.name, row.actor_name, row.data).text for row in reversed(rows)]


def person(user: User) -> Actor:
    return Actor.person(user)


async def record_of(tx: Tx, incident_id: UUID, **which: Any) -> list[LoggedEvent]:
    """Return the events of an incident, what was written last first."""
    return [each.event for each in await timeline_queries.as_written(tx, incident_id, **which)]


async def names(tx: Tx, incident_id: UUID) -> list[str]:
    query = select(LoggedEvent.name).where(LoggedEvent.incident_id == incident_id).order_by(LoggedEvent.position)
    return list(await tx.session.scalars(query))
