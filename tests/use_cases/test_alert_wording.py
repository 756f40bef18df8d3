"""What an alert says while it is open: the words of its newest signal, the worst of its severities."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from tests.world import World, minutes
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.events import log
from tocsin.identity.access import EVERYTHING
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Transient
from tocsin.notifications import service as notifications
from tocsin.oncall.model import EscalationRun

NEW: dict[str, Any] = {
    "title": "Disk is 99 % full",
    "description": "Only 3 GB left.",
    "severity": "critical",
    "labels": {"host": "db2"},
    "url": "https://grafana.example/d/2",
}


async def repeat(world: World, key: str = "disk", **fields: Any) -> None:
    await world.signal({"key": key, "status": "firing", **NEW, **fields})
    await world.settle()


async def changes(world: World, alert: Alert) -> list[dict[str, str]]:
    async with world.db.begin() as tx:
        events = (await log.chain_of(tx, alert_id=alert.id, last=400)).events
    return [change for event in events if event.name == "alert.updated" for change in event.data["changes"]]


async def paged(world: World, **fields: Any) -> Alert:
    """An alert for which Ada is paged, and after five minutes Bob."""
    await world.route(await world.policy(await world.people("ada", "bob")))
    return await world.alert("Disk is 90 % full", key="disk", **fields)


async def test_a_repeat_says_what_the_alert_is_by_now(world: World) -> None:
    """F138: title, description, labels, links and the source's own word; the search follows."""
    alert = await world.alert("Disk is 90 % full", key="disk", labels={"host": "db1"})
    await world.pass_time(minutes(1))
    await repeat(world)
    now = await world.again(alert)
    assert (now.title, now.description, now.labels, now.count) == (NEW["title"], NEW["description"], {"host": "db2"}, 2)
    assert [link["href"] for link in now.links] == [NEW["url"]]
    assert now.worded_at > alert.worded_at
    async with world.db.begin() as tx:
        assert [row[0].id for row in await queries.listed(tx, EVERYTHING, queries.Filter(q="99 %"))] == [alert.id]
        assert await queries.listed(tx, EVERYTHING, queries.Filter(q="90 %")) == []


async def test_severity_never_falls_and_the_sources_word_is_that_of_now(world: World) -> None:
    """F138: what is shown is the worst so far; whoever looks sees what the source says by now beside it."""
    alert = await world.alert("Disk", key="disk", severity="critical")
    await repeat(world, title="Disk", severity="warning")
    now = await world.again(alert)
    assert (now.severity, now.urgency, now.native_severity) == (1, "high", "warning")
    assert await changes(world, alert) == [{"field": "native_severity", "old": "critical", "new": "warning"}]


async def test_the_record_tells_new_words_once_and_repeats_never(world: World) -> None:
    """F138: another title or severity is an event; a repeat is none, nor are other labels alone."""
    alert = await world.alert("Disk", key="disk", severity="warning")
    for _ in range(2):
        await repeat(world, title="Disk", severity="warning", labels={"try": str(_)})
    assert await changes(world, alert) == []
    for _ in range(2):
        await repeat(world)
    assert await changes(world, alert) == [
        {"field": "title", "old": "Disk", "new": "Disk is 99 % full"},
        {"field": "severity", "old": "SEV3", "new": "SEV1"},
        {"field": "native_severity", "old": "warning", "new": "critical"},
        {"field": "urgency", "old": "low", "new": "high"},
    ]


async def test_new_words_stand_on_the_timeline_of_the_incident(world: World) -> None:
    """F138, F074."""
    ada = await world.person("ada")
    alert = await world.alert("Disk", key="disk")
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), alert_id=alert.id)
    await repeat(world)
    async with world.db.begin() as tx:
        newest = (await log.newest_first(tx, incident_id=incident.id, limit=1))[0]
    assert (newest.name, newest.actor_name) == ("alert.updated", "Generic")


async def test_an_older_signal_that_arrives_late_does_not_overwrite_newer_words(world: World) -> None:
    """F138: by the sender's own times; what has none, or the same, counts as newer when it arrives."""
    alert = await world.alert("Ten", key="disk", timestamp="2026-01-01T10:00:00Z", severity="warning")
    await repeat(world, title="Nine", timestamp="2026-01-01T09:00:00Z", severity="warning")
    assert (await world.again(alert)).title == "Ten"
    await repeat(world, title="Ten again", timestamp="2026-01-01T11:00:00+01:00", severity="warning")
    assert (await world.again(alert)).title == "Ten again"
    await repeat(world, title="No time", severity="warning")
    assert (await world.again(alert)).title == "No time"
    await repeat(world, title="Nine", timestamp="2026-01-01T09:00:00Z", severity="critical")
    late = await world.again(alert)
    assert (late.title, late.native_severity, late.severity, late.count) == ("No time", "warning", 1, 5)


async def test_a_time_in_the_future_does_not_silence_what_follows(world: World) -> None:
    """F138: a sender whose clock is years ahead is taken at its arrival."""
    alert = await world.alert("Ahead", key="disk", timestamp="2150-01-01T00:00:00Z")
    await world.pass_time(minutes(1))
    async with world.db.begin() as tx:
        now = tx.now
    await repeat(world, title="Right", timestamp=now.isoformat())
    assert (await world.again(alert)).title == "Right"


async def test_of_equal_signals_in_one_batch_the_newest_words_and_the_worst_severity_count(world: World) -> None:
    """F138: within one commit as between two."""
    source = await world.source()
    batch = [
        {"key": "k", "title": "Second", "severity": "critical", "timestamp": "2026-01-01T10:00:00Z"},
        {"key": "k", "title": "Third", "severity": "warning", "timestamp": "2026-01-01T11:00:00Z"},
        {"key": "k", "title": "First", "severity": "warning", "timestamp": "2026-01-01T09:00:00Z"},
    ]
    await world.signal(batch, source)  # pyright: ignore[reportArgumentType]
    async with world.db.begin() as tx:
        alert = (await queries.listed(tx, EVERYTHING, queries.Filter()))[0][0]
    assert (alert.title, alert.severity, alert.native_severity, alert.count) == ("Third", 1, "warning", 3)


async def test_the_second_page_says_the_new_words(world: World) -> None:
    """F138: who is paged next, and by a repeat of the policy, learns what is so by then."""
    alert = await paged(world)
    await repeat(world)
    await world.pass_time(minutes(5))
    ada, bob = world.mail.sent[0][1], world.mail.sent[1][1]
    assert (ada.title, bob.title) == ("Disk is 90 % full", NEW["title"])
    assert (bob.body, bob.labels, bob.severity) == (NEW["description"], {"host": "db2"}, "SEV1")
    assert (await world.again(alert)).status == "triggered"


async def test_a_retry_says_the_new_words(world: World) -> None:
    """F138: a message that could not be delivered goes out with what is so by then."""
    world.mail.failures = [Transient("busy")]
    await paged(world)
    assert world.mail.sent == []
    await repeat(world)
    await world.pass_time(timedelta(seconds=10))
    assert [message.title for _, message in world.mail.sent] == [NEW["title"]]


async def test_words_of_one_alert_reach_no_other_page_and_none_that_has_ended(world: World) -> None:
    """F138: an answered page stays what its person read."""
    alert = await paged(world)
    other = await world.alert("Other", key="other")
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.root, alert.id)
    await repeat(world)
    async with world.db.begin() as tx:
        runs = (await tx.session.scalars(select(EscalationRun))).all()
    assert {run.alert_id: run.content["title"] for run in runs} == {
        alert.id: "Disk is 90 % full",
        other.id: "Other",
    }


async def test_given_back_it_is_routed_by_what_it_says_now(world: World) -> None:
    """F138, F061: nothing of the earlier decision is left when it waits for its route."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([bob], name="Second"), 'labels.host == "db2"', name="Second host")
    await world.route(await world.policy([ada], name="First"))
    alert = await world.alert("Disk", key="disk", labels={"host": "db1"})
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await repeat(world)
    assert world.mail.to(bob) == []
    async with world.db.begin() as tx:
        given_back = await alerts.unacknowledge(tx, world.actor(ada), alert.id)
        assert (given_back.route_id, given_back.routed_at, given_back.acknowledged_by_id) == (None, None, None)
    await world.settle()
    assert [message.title for message in world.mail.to(bob)] == [NEW["title"]]


async def test_a_repeat_pages_anew_while_nobody_has_been_reached(world: World) -> None:
    """F136, F138: with the new words, and not for an alert that somebody has taken meanwhile."""
    ada = await world.person("ada", reachable=False)
    await world.route(await world.policy([ada]))
    alert, taken = await world.alert("Disk", key="disk"), await world.alert("Other", key="other")
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.root, taken.id)
        method = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="email", address="ada@example.org"
        )
    assert method.user_id == ada.id
    # The repeat is to find it, not what looks after changes.
    await world.db.pool.execute("DELETE FROM job WHERE kind = 'oncall.look_again'")
    await world.db.pool.execute("UPDATE test_clock SET at = at + interval '2 minutes'")
    await repeat(world, key="other")
    assert world.mail.sent == []
    await repeat(world)
    assert [message.title for message in world.mail.to(ada)] == [NEW["title"]]
    # Reached, a further repeat is only a repeat.
    await world.db.pool.execute("UPDATE test_clock SET at = at + interval '2 minutes'")
    await repeat(world)
    assert len(world.mail.to(ada)) == 1
    assert (await world.again(alert)).count == 3


async def test_a_message_that_has_gone_out_keeps_what_it_said(world: World) -> None:
    """F138: the record of a message is what its reader got, whatever the alert says later."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await world.alert("Disk is full", key="disk")
    await world.signal({"title": "Disk and tape are full", "status": "firing", "severity": "critical", "key": "disk"})
    await world.settle()
    rows = await world.db.pool.fetch("SELECT content ->> 'title' AS title, state FROM delivery")
    assert [(row["title"], row["state"]) for row in rows] == [("Disk is full", "sent")]
