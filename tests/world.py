"""The world in which stories are told: people, policies and alerts in one line each, fakes with a memory, a clock.

Time moves only by `pass_time`; `settle` runs every job that is due then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.databases import MOVABLE_CLOCK, SET_CLOCK, Lent
from tocsin import app as app_module
from tocsin import settings as settings_module
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Source
from tocsin.alerts.model import Alert, AlertSource
from tocsin.alerts.sources import ADAPTERS
from tocsin.app import App
from tocsin.db.engine import Database, Listeners
from tocsin.events import log, words
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor, User
from tocsin.kit.errors import OutsideFailure
from tocsin.notifications import queries as notification_queries
from tocsin.notifications import service as notifications
from tocsin.notifications.channels.base import PageMessage, Receipt
from tocsin.oncall import service as oncall
from tocsin.oncall.model import EscalationPolicy


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


FIVE_MINUTES = minutes(5)


@dataclass
class FakeChannel:
    """A channel that remembers what it sent, and fails when told to."""

    kind: str
    label: str = "Fake"
    confirms: bool = True
    # Pages and tests; what people are told of their pages is beside them.
    sent: list[tuple[str, PageMessage]] = field(default_factory=list)
    told: list[tuple[str, PageMessage]] = field(default_factory=list)
    failures: list[OutsideFailure] = field(default_factory=list)
    says: str = "250 OK"
    # What every call fails with while it is set.
    down: OutsideFailure | None = None
    # What happens elsewhere while a call is under way.
    meanwhile: Callable[[], Awaitable[object]] | None = None

    def check_address(self, address: str) -> str:
        return address.strip()

    async def send(self, address: str, message: PageMessage, *, within: float = 15.0) -> Receipt:
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.down is not None:
            raise self.down
        if self.failures:
            raise self.failures.pop(0)
        (self.told if message.kind == "news" else self.sent).append((address, message))
        return Receipt(detail=self.says, provider_id=None, delivered=self.confirms)

    def to(self, person: User) -> list[PageMessage]:
        return [message for address, message in self.sent if address == person.email]

    def news(self, person: User) -> list[str]:
        """What somebody was told of their pages."""
        return [message.title for address, message in self.told if address == person.email]

    def subjects(self, person: User) -> list[str]:
        return [message.title for message in self.to(person)]


class World:
    """One installation on one database."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.db = app.db
        self.mail = FakeChannel("email", confirms=False)
        self.hook = FakeChannel("webhook")
        app.channels = {"email": self.mail, "webhook": self.hook}
        self.root = Actor.system("test")
        self._source: AlertSource | None = None

    async def person(self, name: str, *, role: str = "responder", reachable: bool = True) -> User:
        """Somebody who gets e-mail."""
        email = f"{name}@example.org"
        async with self.db.begin() as tx:
            user = await identity.create_user(tx, self.root, email=email, name=name.capitalize(), role=role)
            if reachable:
                await notifications.add_contact_method(
                    tx, self.root, self.app.channels, user_id=user.id, kind="email", address=email
                )
        return user

    async def people(self, *names: str) -> list[User]:
        return [await self.person(name) for name in names]

    async def policy(
        self,
        steps: Sequence[User | Sequence[User]],
        *,
        wait: timedelta = FIVE_MINUTES,
        repeat: int = 0,
        name: str = "Duty",
    ) -> EscalationPolicy:
        """One step per entry; a list is a step with several people."""
        drafts = [
            oncall.StepDraft([p.id for p in (step if isinstance(step, Sequence) else [step])], int(wait / minutes(1)))
            for step in steps
        ]
        async with self.db.begin() as tx:
            return await oncall.create_policy(tx, self.root, name=name, steps=drafts, repeat=repeat)

    async def route(self, policy: EscalationPolicy | None, condition: str = "", *, name: str = "Everything") -> UUID:
        draft = alerts.RouteDraft(
            name=name,
            condition=condition,
            escalation_policy_id=policy.id if policy else None,
            is_catch_all=not condition,
        )
        async with self.db.begin() as tx:
            return (await alerts.create_route(tx, self.root, draft)).id

    async def source(self, kind: str = "generic") -> AlertSource:
        async with self.db.begin() as tx:
            return await alerts.create_source(tx, self.root, name=kind.capitalize(), kind=kind)

    async def signal(self, body: dict[str, Any], source: AlertSource | None = None) -> None:
        """Bring a signal in through the real intake."""
        if source is None:
            self._source = source = self._source or await self.source()
        raw = msgspec.json.encode(body)
        parsed = ADAPTERS[source.kind].parse(raw, {})
        known = Source(source.id, source.name, source.kind, True)
        await self.app.intake.submit(known, raw, "application/json", parsed)

    async def alert(self, title: str = "Checkout is down", **fields: Any) -> Alert:
        """Fire an alert, have it routed, and return it."""
        await self.signal({"title": title, "status": "firing", "severity": "critical", "key": title, **fields})
        await self.settle()
        async with self.db.begin() as tx:
            return (await alert_queries.listed(tx, EVERYTHING, alert_queries.Filter(q=title), limit=1))[0][0]

    async def again(self, alert: Alert) -> Alert:
        """Read an alert anew."""
        async with self.db.begin() as tx:
            return await alert_queries.get(tx, EVERYTHING, alert.id)

    async def settle(self) -> None:
        """Run every job that is due."""
        assert self.app.worker is not None
        await self.app.worker.run_due()

    async def pass_time(self, by: timedelta, *, settle: bool = True) -> None:
        """Move the database's clock, then run what has become due."""
        await self.db.pool.execute("UPDATE test_clock SET at = at + $1", by)
        if settle:
            await self.settle()

    async def let_pass(self, by: timedelta, *, every: timedelta = timedelta(seconds=30)) -> None:
        """Let time go by in small steps, as it does: what is due is done at about its time."""
        for _ in range(by // every):
            await self.pass_time(every)

    async def history(self, alert: Alert) -> list[str]:
        """What the record says of an alert, as `name` or `name: who`."""
        async with self.db.begin() as tx:
            events = (await log.chain_of(tx, alert_id=alert.id, last=400)).events
        return [
            f"{event.name}: {event.data['user_name']}" if "user_name" in event.data else event.name for event in events
        ]

    async def reasons(self, alert: Alert) -> list[str]:
        async with self.db.begin() as tx:
            events = (await log.chain_of(tx, alert_id=alert.id, last=400)).events
        return [why for event in events if (why := words.reason(event.name, event.data))]

    async def deliveries(self, alert: Alert) -> list[str]:
        """Where each message that pages for an alert stands, the oldest first."""
        async with self.db.begin() as tx:
            found = await notification_queries.deliveries(tx, alert_id=alert.id)
        return [f"{name}: {delivery.state}" for delivery, name in reversed(found) if delivery.kind == "page"]

    def actor(self, user: User) -> Actor:
        return Actor.person(user)


@asynccontextmanager
async def make_world(dsn: str, lender: Database | None = None) -> AsyncIterator[World]:
    """An installation whose clock can be moved, with intake and live stream running, and no worker of its own.

    On connections that are open already, if somebody lends them.
    """
    settings = settings_module.load({"TOCSIN_BELL": "off", "TOCSIN_PORT": "8700"}, {"data_dir": "/nonexistent"})
    with pytest.MonkeyPatch.context() as patch:
        if lender is not None:

            def lent(_: str, *, bell: bool, pool_size: int, listeners: Listeners) -> Database:
                return Lent(lender, bell=bell, listeners=listeners)

            patch.setattr(app_module, "Database", lent)
            await lender.pool.execute(SET_CLOCK)
        app = App(settings, dsn, pool_size=5)
    world = World(app)
    await app.start(worker=False)
    if lender is None:
        await app.db.pool.execute(MOVABLE_CLOCK + SET_CLOCK)
    async with app.db.begin() as tx:
        await identity.ensure_organisation(tx, "Harbourline")
    try:
        yield world
    finally:
        await app.stop()
