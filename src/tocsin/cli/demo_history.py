"""What happened at Harbourline in the past two weeks, told through the real use cases.

A story is an async generator: it acts, and yields the minutes until it acts again. All stories are told together in
the order of time, so that the record of the installation reads as if it had been written then, and in one transaction:
whoever is killed meanwhile has told nothing. What the tools of Harbourline say goes through intake. Whoever was paged
has answered before the telling ends, so no page of the past goes out.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, Callable
from datetime import datetime, timedelta

from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import AlertSource
from tocsin.alerts.queries import Filter
from tocsin.cli.demo_cast import Cast
from tocsin.db.engine import Database, Tx
from tocsin.identity import queries as organisation
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.action_items import ActionItemChanges
from tocsin.incidents.model import (
    ActionKind,
    ActionStatus,
    CancelReason,
    Category,
    IncidentRole,
    LinkKind,
    Priority,
    Status,
)
from tocsin.incidents.service import notes, relating
from tocsin.notifications import queries as deliveries

Story = AsyncGenerator[float]


async def tell(db: Database, users: dict[str, User], sources: dict[str, AlertSource]) -> bool:
    """Tell every story in the order of time; returns False and tells nothing where anything has happened already."""
    async with db.begin() as tx:
        # Whoever else starts a demo on this database waits here, and then finds it told.
        await organisation.lock_organisation(tx)
        if await _has_happened(tx):
            return False
        await _take_turns(Cast(tx, users, sources), present=tx.now)
        if await deliveries.count_by_state(tx):
            raise RuntimeError("A story of the demo would page somebody for something of the past.")
    return True


async def _has_happened(tx: Tx) -> bool:
    any_incident = await incident_queries.listed(tx, EVERYTHING, limit=1)
    return bool(any_incident) or bool(await alert_queries.listed(tx, EVERYTHING, Filter(), limit=1))


async def _take_turns(cast: Cast, *, present: datetime) -> None:
    turns = [(present - ago, number, story(cast)) for number, (ago, story) in enumerate(_STORIES)]
    heapq.heapify(turns)
    while turns:
        at, number, story = heapq.heappop(turns)
        if at > present:
            raise RuntimeError("A story of the demo goes on into the future.")
        cast.tx.now = at
        minutes = await anext(story, None)
        await cast.tx.flush()
        if minutes is not None:
            heapq.heappush(turns, (at + timedelta(minutes=minutes), number, story))
    cast.tx.now = present
    cast.forget_reminders()


async def _card_payments(cast: Cast) -> Story:
    alert = await cast.alert(
        "prometheus",
        "Card payments are refused for Belgian banks",
        2,
        "Refusals of issuer group BE rose from 2 to 61 in 100 payments.",
        team="bookings",
        service="payments",
        region="antwerp",
    )
    yield 3
    incident = await incidents.declare(cast.tx, cast.person("jonas"), alert_id=alert.id, category=Category.INTEGRATION)
    await incidents.acknowledge(cast.tx, cast.person("jonas"), incident.id)
    yield 4
    await incidents.join(cast.tx, cast.person("samuel"), incident.id)
    await cast.give("samuel", incident, IncidentRole.COMMANDER, "samuel")
    await cast.say("jonas", incident, "Only issuers behind the **Brussels** gateway are affected; others are fine.")
    yield 9
    await cast.move("jonas", incident, Status.IDENTIFIED)
    await cast.say("jonas", incident, "The gateway's certificate was renewed at 09:00 and our trust store is older.")
    yield 14
    await cast.say("samuel", incident, "Customer care knows; Claire answers the terminals.")
    yield 11
    await cast.move("jonas", incident, Status.MITIGATED)
    await cast.say("jonas", incident, "Payments run through the Lille gateway until the new trust store is out.")
    yield 42
    await cast.plan(
        "samuel",
        incident,
        "Alert on intermediate certificates that end within 30 days",
        by="maren",
        days=4,
        kind=ActionKind.DETECT,
        priority=Priority.P2,
    )
    await cast.plan("jonas", incident, "Renew trust stores by themselves", by="jonas", days=16, kind=ActionKind.PREVENT)
    lille = await cast.plan(
        "jonas", incident, "Write down how to move payments to Lille", by="samuel", days=2, kind=ActionKind.FOLLOW_UP
    )
    yield 10
    await incidents.resolve(
        cast.tx,
        cast.person("jonas"),
        incident.id,
        "The trust store with the new intermediate certificate is deployed and traffic is back on Brussels.",
    )
    yield 22 * 60
    await incidents.complete_action_item(cast.tx, cast.person("samuel"), lille.id)
    await incidents.close(cast.tx, cast.person("samuel"), incident.id)


async def _tracking_map(cast: Cast) -> Story:
    alert = await cast.alert(
        "grafana",
        "Vessel positions are older than 6 hours",
        None,
        "The newest position in the tracking index is from 01:12.",
        service="tracking",
        region="rotterdam",
    )
    yield 5
    await cast.next_step(alert.id)
    yield 2
    incident = await incidents.declare(
        cast.tx, cast.person("aiko"), title="The tracking map shows yesterday's positions", alert_id=alert.id
    )
    await incidents.acknowledge(cast.tx, cast.person("aiko"), incident.id)
    yield 12
    await cast.say("aiko", incident, "The import stopped on one vessel with an empty name and tries it for ever.")
    await cast.move("aiko", incident, Status.IDENTIFIED)
    yield 25
    await cast.move("aiko", incident, Status.MONITORING)
    yield 40
    await incidents.resolve(
        cast.tx,
        cast.person("aiko"),
        incident.id,
        "The import skips records without a name and reports them; the backlog of 9 hours is loaded.",
    )


async def _planned_failover(cast: Cast) -> Story:
    alert = await cast.alert(
        "prometheus",
        "PostgreSQL primary in Rotterdam has changed",
        2,
        "db-rtm-2 was promoted.",
        service="database",
        region="rotterdam",
    )
    yield 2
    incident = await incidents.declare(cast.tx, cast.person("priya"), alert_id=alert.id)
    yield 6
    await cast.say("priya", incident, "This is the failover drill of today; the silence for it was not set.")
    await incidents.cancel(
        cast.tx, cast.person("priya"), incident.id, CancelReason.FALSE_ALARM, note="Planned failover drill."
    )


async def _customs_documents(cast: Cast) -> Story:
    alert = await cast.alert(
        "batch",
        "Customs export has waited for 90 minutes",
        2,
        "412 documents are in the queue of the Antwerp authority.",
        service="customs",
        region="antwerp",
    )
    yield 4
    await alerts.acknowledge(cast.tx, cast.person("priya"), alert.id)
    yield 18
    incident = await incidents.declare(
        cast.tx,
        cast.person("priya"),
        title="Customs documents reach Antwerp late",
        severity=3,
        alert_id=alert.id,
        category=Category.PERFORMANCE,
    )
    await incidents.acknowledge(cast.tx, cast.person("priya"), incident.id)
    yield 10
    await cast.give("priya", incident, IncidentRole.COMMUNICATOR, "samuel")
    await cast.say("priya", incident, "The authority throttles us to 5 documents a minute since its update on Friday.")
    await cast.move("priya", incident, Status.IDENTIFIED)
    yield 120
    await cast.say(
        "samuel", incident, "The authority has promised a higher limit; until then we send the urgent first."
    )
    await cast.move("priya", incident, Status.MITIGATED)
    yield 24 * 60
    await cast.move("priya", incident, Status.MONITORING)
    await cast.say("priya", incident, "The limit was raised this morning. Watching one full day before we resolve.")


_WHO = """\
Everybody who sent the form between the rollout of 2281 and the rollback. Their requests are in the log of the gateway:

```
POST /customers 500
```

## What we know

- Existing customers booked as always.
- The form kept what was typed, so some have tried again since and are in.
- The constraint refuses names without a surname.

## Open

1. How many have not come back?
2. Who writes to them, and when?
"""


async def _booking_form(cast: Cast) -> Story:
    first = await cast.alert(
        "synthetic",
        "Booking form answers 500 for new customers",
        1,
        "Probe “book as new customer” fails from all three locations.",
        team="bookings",
        service="booking",
    )
    yield 5
    await cast.next_step(first.id)
    yield 1
    incident = await incidents.declare(cast.tx, cast.person("tomas"), alert_id=first.id, category=Category.AVAILABILITY)
    await incidents.acknowledge(cast.tx, cast.person("tomas"), incident.id)
    yield 2
    second = await cast.alert(
        "grafana",
        "Error rate of the booking API is above 20 %",
        2,
        "POST /customers fails; everything else is normal.",
        team="bookings",
        service="booking",
    )
    yield 1
    await alerts.acknowledge(cast.tx, cast.person("tomas"), second.id)
    await incidents.link_alerts(cast.tx, cast.person("tomas"), incident.id, [second.id])
    yield 3
    await cast.again(first.id)
    await incidents.join(cast.tx, cast.person("maren"), incident.id)
    await cast.give("maren", incident, IncidentRole.COMMANDER, "maren")
    await cast.follow("claire", incident)
    await cast.say("tomas", incident, "`POST /customers` violates a constraint that came with release 2281.")
    yield 6
    await cast.move("tomas", incident, Status.IDENTIFIED)
    yield 9
    await cast.note("tomas", incident, "Release 2281 reached all customers.", ago=timedelta(minutes=50))
    await cast.say("maren", incident, "We roll back to 2280. Bookings of existing customers were never affected.")
    await cast.move("tomas", incident, Status.MITIGATED)
    await cast.over(second.id)
    yield 30
    await incidents.update(cast.tx, cast.person("maren"), incident.id, incidents.IncidentChanges(severity=2))
    await cast.say("maren", incident, "Rolled back everywhere. Next: find the customers whose sign-up failed.")
    await notes.add_note(cast.tx, cast.person("maren"), incident.id, title="Who could not sign up", body=_WHO)
    found = await cast.plan(
        "maren",
        incident,
        "Find the customers whose sign-up failed, and write to them",
        by="maren",
        days=0,
        kind=ActionKind.MITIGATE,
        priority=Priority.P1,
    )
    begun: ActionItemChanges = {"status": ActionStatus.IN_PROGRESS}
    await incidents.update_action_item(cast.tx, cast.person("maren"), found.id, begun)
    await cast.plan("tomas", incident, "Try releases on a copy of the customers", days=7, kind=ActionKind.PREVENT)


async def _invoice_mails(cast: Cast) -> Story:
    alert = await cast.alert(
        "prometheus",
        "Invoice mails have waited for 45 minutes",
        None,
        "1,930 mails are queued, the oldest for 45 minutes.",
        team="bookings",
        service="invoices",
    )
    yield 2
    incident = await incidents.declare(cast.tx, cast.person("jonas"), title="Invoice mails are late", alert_id=alert.id)
    await incidents.acknowledge(cast.tx, cast.person("jonas"), incident.id)
    yield 8
    await cast.again(alert.id)
    yield 3
    await cast.say(
        "jonas", incident, "Our relay greylists the new sending address. Asking Platform for the allow list."
    )
    yield 4
    await cast.mention("jonas", incident, "@maren.okafor, can you call their desk? They answer no tickets at night.")


async def _region_lost(cast: Cast) -> Story:
    incident = await incidents.declare(
        cast.tx,
        cast.person("priya"),
        title="Rotterdam is lost: everything moves to Antwerp",
        summary="The exercise of this quarter. Nothing is switched off; every step is read out and timed.",
        severity=2,
        category=Category.RELIABILITY,
        is_drill=True,
    )
    await incidents.acknowledge(cast.tx, cast.person("priya"), incident.id)
    bridge = "https://meet.harbourline.example/drill"
    await relating.add_link(
        cast.tx, cast.person("priya"), incident.id, kind=LinkKind.MEETING, url=bridge, name="Bridge of the drill"
    )
    yield 6
    await incidents.join(cast.tx, cast.person("aiko"), incident.id)
    await cast.give("priya", incident, IncidentRole.COMMANDER, "aiko")
    yield 9
    await cast.say("aiko", incident, "The database in Antwerp would take over in 4 minutes; the runbook says 2.")


def _brief(
    source: str,
    title: str,
    severity: int,
    description: str,
    *,
    acknowledged_by: str = "",
    repeats: int = 0,
    every: float = 30,
    lasted: float | None = None,
    team: str = "platform",
    **labels: str,
) -> Callable[[Cast], Story]:
    """Tell of an alert that never became an incident; the tool says it again so often, each so many minutes."""

    async def story(cast: Cast) -> Story:
        alert = await cast.alert(source, title, severity, description, team, **labels)
        if acknowledged_by:
            yield 2
            await alerts.acknowledge(cast.tx, cast.person(acknowledged_by), alert.id)
        for _ in range(repeats):
            yield every
            await cast.again(alert.id)
        if lasted is not None:
            yield lasted
            await cast.over(alert.id)

    return story


_STORIES: tuple[tuple[timedelta, Callable[[Cast], Story]], ...] = (
    (timedelta(days=13, hours=5), _card_payments),
    (timedelta(days=8, hours=14), _tracking_map),
    (timedelta(days=6, hours=3), _planned_failover),
    (timedelta(days=2, hours=7), _customs_documents),
    (timedelta(hours=3, minutes=20), _booking_form),
    (timedelta(minutes=48), _invoice_mails),
    (timedelta(minutes=31), _region_lost),
    (
        timedelta(days=11, hours=2),
        _brief("prometheus", "Node rtm-14 is not ready", 3, "Kubelet is silent.", acknowledged_by="aiko", lasted=24),
    ),
    (
        timedelta(days=9, hours=20),
        _brief("synthetic", "Terminal Gdynia cannot be reached", 2, "2 of 3 probes time out.", lasted=3),
    ),
    (
        timedelta(days=5, hours=9),
        _brief("grafana", "Replication lag is above 30 s", 3, "db-rtm-3.", acknowledged_by="priya", lasted=17),
    ),
    (
        timedelta(days=3, hours=16),
        _brief("batch", "Night batch ran 20 minutes longer", 4, "Ended at 04:20.", lasted=380, service="batch"),
    ),
    (
        timedelta(days=1, hours=22),
        _brief(
            "synthetic",
            "Checkout answers slowly",
            3,
            "The 95th percentile is above 2 s.",
            acknowledged_by="jonas",
            lasted=31,
            team="bookings",
            service="checkout",
        ),
    ),
    (
        timedelta(hours=26),
        _brief(
            "prometheus",
            "Certificate of files.harbourline.example ends in 12 days",
            4,
            "Issued by the old CA.",
            repeats=6,
            every=240,
        ),
    ),
    (
        timedelta(hours=5, minutes=10),
        _brief("prometheus", "Disk of the log store is 82 % full", 3, "rtm-log-2.", acknowledged_by="aiko", repeats=10),
    ),
    (
        timedelta(hours=7, minutes=25),
        _brief(
            "batch", "Tariff import began 12 minutes late", 4, "Ended at its usual time.", lasted=14, service="batch"
        ),
    ),
    (
        timedelta(minutes=95),
        _brief("grafana", "Cache hit rate is below 80 %", 5, "Region Antwerp.", repeats=5, every=15, service="cache"),
    ),
)
