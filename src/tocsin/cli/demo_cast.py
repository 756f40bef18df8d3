"""Who acts in the stories of Harbourline, and what they do there in one line each: by the real use cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Source, store
from tocsin.alerts.model import Alert, AlertSource
from tocsin.alerts.queries import Filter
from tocsin.alerts.sources import ADAPTERS
from tocsin.cli import demo_signals
from tocsin.cli.demo_signals import Problem
from tocsin.db.engine import Tx
from tocsin.events.base import Event
from tocsin.events.incidents import CommentAdded, IncidentStatusChanged
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor, User
from tocsin.incidents import reminding
from tocsin.incidents import service as incidents
from tocsin.incidents.action_items import NewActionItem
from tocsin.incidents.model import (
    ActionItem,
    Incident,
    IncidentRole,
    Status,
)
from tocsin.incidents.service import following, subscribing
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall


@dataclass(slots=True)
class Cast:
    """Who and what the stories are about, and the transaction in which they are told."""

    tx: Tx
    users: dict[str, User]
    sources: dict[str, AlertSource]
    _watched: dict[UUID, tuple[str, Problem, datetime]] = field(
        default_factory=dict[UUID, tuple[str, Problem, datetime]]
    )
    _planned: list[ActionItem] = field(default_factory=list["ActionItem"])

    def person(self, key: str) -> Actor:
        return Actor.person(self.users[key])

    def id_of(self, key: str) -> UUID:
        return self.users[key].id

    async def alert(
        self, source: str, title: str, severity: int | None, description: str, team: str = "platform", **labels: str
    ) -> Alert:
        """Have a tool say that something is wrong, and route it at once, which pages the first step of its policy."""
        problem = Problem(title, severity, description, {"team": team, **labels})
        await self._send(source, problem, since=self.tx.now)
        wanted = Filter(source_ids=[self.sources[source].id])
        alert = (await alert_queries.listed(self.tx, EVERYTHING, wanted, limit=1))[0][0]
        self._watched[alert.id] = (source, problem, self.tx.now)
        await alerts.route(self.tx, [alert.id])
        return alert

    async def again(self, alert_id: UUID) -> None:
        """Have the tool say that it is still so."""
        source, problem, since = self._watched[alert_id]
        await self._send(source, problem, since=since)

    async def over(self, alert_id: UUID) -> None:
        """Have the tool say that it is over."""
        source, problem, since = self._watched[alert_id]
        await self._send(source, problem, since=since, until=self.tx.now)

    async def _send(self, key: str, problem: Problem, *, since: datetime, until: datetime | None = None) -> None:
        source = self.sources[key]
        body = demo_signals.body(source, problem, since=since, until=until)
        parsed = ADAPTERS[source.kind].parse(body, {})
        of = Source(source.id, source.name, source.kind, is_enabled=True)
        await store(self.tx, of, body, demo_signals.CONTENT_TYPE, parsed)

    async def next_step(self, alert_id: UUID) -> None:
        """Let the wait of the current step be over."""
        run = (await oncall_queries.lock_running(self.tx, alert_ids=[alert_id]))[0]
        await oncall.advance(self.tx, run.id, step=run.step, round=run.round)

    async def say(self, key: str, incident: Incident, body: str) -> None:
        await incidents.comment(self.tx, self.person(key), incident.id, body)

    async def note(self, key: str, incident: Incident, text: str, *, ago: timedelta) -> None:
        at = self.tx.now - ago
        await incidents.add_key_event(self.tx, self.person(key), incident.id, text, occurred_at=at)

    async def tell(self, event: Event) -> None:
        """Tell those who follow, as a worker does of what happens once the telling is over."""
        await following.tell_followers(self.tx, event, self.tx.now)

    async def mention(self, key: str, incident: Incident, body: str) -> None:
        who = self.person(key)
        written = await incidents.comment(self.tx, who, incident.id, body)
        await self.tell(CommentAdded(actor=who.ref, incident_id=incident.id, comment_id=written.comment.id))

    async def follow(self, key: str, incident: Incident) -> None:
        await subscribing.follow(self.tx, self.person(key), incident.id)

    async def plan(
        self, key: str, incident: Incident, what: str, *, by: str = "", days: int, **more: Any
    ) -> ActionItem:
        """Have somebody note what is to be done, by whom and within how many days."""
        due = self.tx.now.date() + timedelta(days=days)
        given = {"assignee_id": self.id_of(by)} if by else {}
        told = NewActionItem(description=what, due_date=due, **given, **more)
        item = (await incidents.create_action_item(self.tx, self.person(key), incident.id, **told)).item
        self._planned.append(item)
        return item

    def forget_reminders(self) -> None:
        """Leave what was due in the past without a message: nobody is reminded of that now."""
        for item in self._planned:
            reminding.plan(item, UTC, now=self.tx.now)

    async def move(self, key: str, incident: Incident, to: Status) -> None:
        who, old = self.person(key), incident.status
        await incidents.update_status(self.tx, who, incident.id, to)
        await self.tell(IncidentStatusChanged(actor=who.ref, incident_id=incident.id, old=old, new=to))

    async def give(self, key: str, incident: Incident, role: IncidentRole, to: str) -> None:
        await incidents.assign_roles(self.tx, self.person(key), incident.id, {role: self.id_of(to)})
