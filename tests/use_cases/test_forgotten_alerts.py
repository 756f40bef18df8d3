"""Acknowledged and forgotten, and stale: reminders, giving back, closing, and everything that must stop them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.postgres import until_somebody_waits
from tests.races import behind, keep_from_locking
from tests.world import World, minutes
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.identity import service as identity
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Conflict, Invalid
from tocsin.notifications import service as notifications
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall.model import PageState

FOUR_HOURS = timedelta(hours=4)


async def patience(world: World, *, remind: int | None = None, give_back: int | None = None) -> None:
    async with world.db.begin() as tx:
        await identity.update_organisation(
            tx, world.root, identity.OrganisationChanges(remind_after_hours=remind, give_back_after_hours=give_back)
        )


async def close_after(world: World, alert: Alert, hours: int | None) -> None:
    async with world.db.begin() as tx:
        await alerts.update_source(tx, world.root, alert.source_id, alerts.SourceChanges(close_after_hours=hours))


async def taken(world: World, *, severity: str = "critical") -> tuple[Alert, User, User]:
    """An alert that paged Ada, and that Bob has acknowledged."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada]))
    alert = await world.alert(severity=severity)
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(bob), alert.id)
    return await world.again(alert), ada, bob


async def test_the_owner_of_an_urgent_alert_is_reminded_after_four_hours(world: World) -> None:
    """F139: out of the box; once, and again when as much time has gone by without progress."""
    alert, ada, bob = await taken(world)
    await world.pass_time(FOUR_HOURS - minutes(10))
    assert world.mail.to(bob) == []
    await world.pass_time(minutes(15))
    (reminder,) = world.mail.to(bob)
    assert "A reminder: Bob acknowledged this, and nothing has happened for 4 hours." in reminder.reason
    assert reminder.acknowledge_url
    assert "alert.reminded: Bob" in await world.history(alert)
    assert "Nothing has happened for 4 hours since Bob acknowledged it." in await world.reasons(alert)
    await world.pass_time(timedelta(hours=3))
    assert len(world.mail.to(bob)) == 1
    await world.pass_time(timedelta(hours=1, minutes=10))
    assert len(world.mail.to(bob)) == 2
    # Nobody else hears of it, and the alert stays Bob's.
    assert len(world.mail.to(ada)) == 1
    assert (await world.again(alert)).acknowledged_by == "Bob"


async def test_whoever_says_that_they_are_still_on_it_has_made_progress(world: World) -> None:
    """F139: answering the reminder starts the time anew."""
    alert, _, bob = await taken(world)
    await world.pass_time(FOUR_HOURS + minutes(5))
    async with world.db.begin() as tx:
        ((page, _),) = await oncall_queries.pages_of(tx, alert_ids=[alert.id], limit=1)
        await incidents.answer_page(tx, world.actor(bob), page.id)
    await world.pass_time(FOUR_HOURS - minutes(10))
    assert len(world.mail.to(bob)) == 1
    await world.pass_time(minutes(20))
    assert len(world.mail.to(bob)) == 2


async def test_whoever_cannot_go_on_gives_the_alert_back_by_the_reminder(world: World) -> None:
    """F139, F061: declining a reminder pages the route, and does not end as an unanswered escalation."""
    alert, ada, bob = await taken(world)
    await world.pass_time(FOUR_HOURS + minutes(5))
    async with world.db.begin() as tx:
        ((page, _),) = await oncall_queries.pages_of(tx, alert_ids=[alert.id], limit=1)
        declined = await incidents.decline_page(tx, world.actor(bob), page.id)
    assert declined.state == PageState.CANCELLED
    await world.settle()
    assert (await world.again(alert)).status == "triggered"
    assert len(world.mail.to(ada)) == 2
    assert "Bob cannot go on with it." in await world.reasons(alert)
    assert "escalation.exhausted" not in await world.history(alert)


async def test_a_forgotten_alert_is_given_back_and_pages_anew_by_its_route(world: World) -> None:
    """F139: also while a reminder to its owner is still open, which must not stand in the way."""
    await patience(world, remind=1, give_back=2)
    alert, ada, bob = await taken(world)
    await world.pass_time(timedelta(hours=1, minutes=5))
    assert len(world.mail.to(bob)) == 1
    await world.pass_time(timedelta(hours=1))
    assert (await world.again(alert)).status == "triggered"
    assert len(world.mail.to(ada)) == 2
    assert "Nothing has happened for 2 hours since Bob acknowledged it." in await world.reasons(alert)
    history = await world.history(alert)
    assert history.count("alert.unacknowledged") == 1
    # Triggered, it is nobody's to forget.
    await world.pass_time(timedelta(hours=5))
    assert (await world.history(alert)).count("alert.unacknowledged") == 1


async def test_giving_back_is_off_until_somebody_sets_it(world: World) -> None:
    """F139."""
    await patience(world, remind=None)
    alert, ada, bob = await taken(world)
    await world.pass_time(timedelta(days=20))
    assert (await world.again(alert)).status == "acknowledged"
    assert (len(world.mail.to(ada)), world.mail.to(bob)) == (1, [])


async def test_of_a_mild_alert_nobody_is_reminded_but_it_can_be_given_back(world: World) -> None:
    """F139."""
    alert, _, bob = await taken(world, severity="warning")
    await world.pass_time(timedelta(days=2))
    assert world.mail.to(bob) == []
    await patience(world, give_back=24)
    await world.pass_time(minutes(5))
    assert (await world.again(alert)).status == "triggered"


@pytest.mark.parametrize("act", ["comment", "join", "alert"])
async def test_whatever_somebody_does_is_progress(world: World, act: str) -> None:
    """F139: to the alert, or to the incident that it is in; then nobody is reminded and nothing is given back."""
    await patience(world, remind=4, give_back=5)
    alert, ada, bob = await taken(world)
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(bob), alert_id=alert.id)
    await world.pass_time(timedelta(hours=3))
    async with world.db.begin() as tx:
        match act:
            case "comment":
                await incidents.comment(tx, world.actor(ada), incident.id, "Looking.")
            case "join":
                await incidents.join(tx, world.actor(ada), incident.id)
            case _:
                await incidents.unlink_alert(tx, world.actor(ada), incident.id, alert.id)
    await world.pass_time(timedelta(hours=3))
    assert world.mail.to(bob) == []
    assert (await world.again(alert)).status == "acknowledged"
    await world.pass_time(timedelta(hours=1, minutes=5))
    assert len(world.mail.to(bob)) == 1


async def test_what_happens_elsewhere_or_by_itself_is_no_progress(world: World) -> None:
    """F139: repeats of the signal, new words, and another alert's or incident's acts."""
    alert, ada, bob = await taken(world)
    async with world.db.begin() as tx:
        await incidents.declare(tx, world.actor(ada), title="Another")
    await world.pass_time(timedelta(hours=3))
    async with world.db.begin() as tx:
        other = await incidents.declare(tx, world.actor(ada), title="Yet another")
        await incidents.comment(tx, world.actor(ada), other.id, "Looking.")
    await world.signal({"key": "Checkout is down", "title": "Checkout is slow", "severity": "critical"})
    await world.pass_time(timedelta(hours=1, minutes=5))
    assert len(world.mail.to(bob)) == 1
    assert (await world.again(alert)).title == "Checkout is slow"


async def test_a_resolved_alert_and_one_that_changed_hands_are_left_alone(world: World) -> None:
    """F139: what must not happen after the time has begun to run."""
    await patience(world, remind=4, give_back=5)
    alert, ada, bob = await taken(world)
    await world.pass_time(timedelta(hours=3))
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(bob), alert.id)
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await world.pass_time(timedelta(hours=2))
    assert world.mail.to(bob) == []
    async with world.db.begin() as tx:
        await alerts.resolve(tx, world.actor(ada), alert.id)
    sent = len(world.mail.sent)
    await world.pass_time(timedelta(days=1))
    assert len(world.mail.sent) == sent
    assert (await world.again(alert)).status == "resolved"


async def test_reopening_the_incident_of_a_resolved_alert_reminds_nobody(world: World) -> None:
    """F139, F036: a new round knows nothing of the timers of the old one."""
    alert, _, bob = await taken(world)
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(bob), alert_id=alert.id)
        await incidents.resolve(tx, world.actor(bob), incident.id, "Done.")
        await incidents.reopen(tx, world.actor(bob), incident.id, "It is back")
    sent = len(world.mail.sent)
    await world.pass_time(timedelta(days=1))
    assert len(world.mail.sent) == sent


async def test_an_alert_whose_owner_cannot_sign_in_any_more_is_given_back(world: World) -> None:
    """F139, F135: there is nobody to remind, and it must not lie there."""
    alert, ada, bob = await taken(world)
    await world.db.pool.execute("UPDATE user_account SET is_active = false WHERE id = $1", bob.id)
    await world.pass_time(FOUR_HOURS + minutes(5))
    assert (await world.again(alert)).status == "triggered"
    assert len(world.mail.to(ada)) == 2
    assert "Bob, who had taken it, cannot sign in any more." in await world.reasons(alert)


async def test_what_was_acknowledged_at_its_source_has_no_owner_to_remind(world: World) -> None:
    """F139: it is given back when that is set, and else stays."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    await world.signal({"key": "Checkout is down", "status": "acknowledged"})
    assert (await world.again(alert)).acknowledged_by_id is None
    await world.pass_time(timedelta(days=1))
    assert (await world.again(alert)).status == "acknowledged"
    await patience(world, give_back=8)
    await world.pass_time(minutes(5))
    assert (await world.again(alert)).status == "triggered"


async def test_a_second_look_at_the_same_time_reminds_nobody_twice(world: World) -> None:
    """F139, G04: whoever looks second passes over what the first holds, and finds it done afterwards."""
    alert, _, bob = await taken(world)
    await world.db.pool.execute("UPDATE test_clock SET at = at + interval '4 hours 1 minute'")
    async with world.db.begin() as first:
        assert await alerts.look_after(first) == 1
        async with world.db.begin() as second:
            assert await alerts.look_after(second) == 0
    async with world.db.begin() as third:
        assert await alerts.look_after(third) == 0
    await world.settle()
    assert len(world.mail.to(bob)) == 1
    assert (await world.history(alert)).count("alert.reminded: Bob") == 1


async def test_what_changes_while_the_look_waits_counts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """F139: the alert is given back between finding and locking it; it is not given back a second time."""
    await patience(world, give_back=4)
    alert, _, bob = await taken(world)
    await world.db.pool.execute("UPDATE test_clock SET at = at + interval '5 hours'")
    found: list[int] = []
    hold = queries._hold  # pyright: ignore[reportPrivateUsage]

    async def late(tx: object, wanted: object, limit: int) -> list[object]:
        held = await hold(tx, wanted, limit)  # pyright: ignore
        if held:
            await world.db.pool.execute(
                "INSERT INTO event (id, name, at, actor_kind, actor_id, actor_name, alert_id, data)"
                " VALUES (gen_random_uuid(), 'alert.routed', tocsin_now(), 'user', $1, 'Bob', $2, '{}')",
                bob.id,
                alert.id,
            )
        found.append(len(held))
        return held  # pyright: ignore

    monkeypatch.setattr(queries, "_hold", late)
    async with world.db.begin() as tx:
        assert await alerts.look_after(tx) == 0
    assert sum(found) == 1
    assert (await world.again(alert)).status == "acknowledged"


async def test_an_alert_that_its_source_never_ends_is_closed_after_the_time_set(world: World) -> None:
    """F139: triggered or acknowledged, with an entry that says why, and nobody is paged for it any more."""
    alert, ada, _ = await taken(world)
    other = await world.alert("Other")
    await close_after(world, alert, 24)
    await patience(world)
    await world.pass_time(timedelta(hours=23))
    assert {(await world.again(each)).status for each in (alert, other)} == {"acknowledged", "triggered"}
    await world.pass_time(timedelta(hours=1, minutes=5))
    for each in (alert, other):
        closed = await world.again(each)
        assert (closed.status, closed.resolved_by) == ("resolved", "Tocsin")
        said = "Generic has not mentioned it for 24 hours, and nobody has done anything about it."
        assert said in await world.reasons(each)
    sent = len(world.mail.sent)
    await world.pass_time(timedelta(hours=1))
    assert len(world.mail.sent) == sent
    assert world.mail.to(ada)


async def test_a_signal_or_an_act_keeps_an_alert_from_being_stale(world: World) -> None:
    """F139: the time runs from the last one, and closing is off out of the box."""
    alert, ada, _ = await taken(world)
    await patience(world)
    await world.pass_time(timedelta(days=300))
    assert (await world.again(alert)).status == "acknowledged"
    await world.signal({"key": "Checkout is down", "title": "Checkout is down", "severity": "critical"})
    await close_after(world, alert, 2)
    await world.pass_time(timedelta(hours=1, minutes=30))
    async with world.db.begin() as tx:
        await incidents.declare(tx, world.actor(ada), alert_id=alert.id)
    await world.pass_time(timedelta(hours=1, minutes=50))
    assert (await world.again(alert)).status == "acknowledged"
    await world.pass_time(minutes(20))
    assert (await world.again(alert)).status == "resolved"


async def test_a_repeat_that_comes_while_an_alert_is_closed_opens_a_new_one(world: World) -> None:
    """F139, G04: the signal waits for the closing, finds nothing open, and pages."""
    alert, ada, _ = await taken(world)
    await close_after(world, alert, 1)
    await world.db.pool.execute("UPDATE test_clock SET at = at + interval '2 hours'")
    body = {"key": "Checkout is down", "title": "Checkout is down", "severity": "critical"}
    async with world.db.begin() as tx:
        assert await alerts.look_after(tx) == 1
        waiting = asyncio.create_task(world.signal(body))
        await until_somebody_waits(world.db)
    await waiting
    await world.settle()
    async with world.db.begin() as tx:
        found = [row[0].status for row in await queries.listed(tx, EVERYTHING, queries.Filter())]
    assert found == ["triggered", "resolved"]
    assert len(world.mail.to(ada)) == 2


async def test_an_alert_that_is_repeated_while_the_look_waits_stays_open(world: World) -> None:
    """F139: whoever holds the alert is passed over, and its new signal counts the next time."""
    alert, _, _ = await taken(world)
    await close_after(world, alert, 1)
    await world.db.pool.execute("UPDATE test_clock SET at = at + interval '2 hours'")
    async with world.db.begin() as first:
        await queries.lock(first, EVERYTHING, alert.id)
        await first.session.execute(Alert.__table__.update().values(last_seen_at=first.now))  # pyright: ignore
        async with world.db.begin() as second:
            assert await alerts.look_after(second) == 0
    async with world.db.begin() as third:
        assert await alerts.look_after(third) == 0
    assert (await world.again(alert)).status == "acknowledged"


@pytest.mark.parametrize("what", ["signal", "act"])
async def test_an_alert_that_is_no_longer_stale_when_it_is_locked_stays_open(world: World, what: str) -> None:
    """F139, a race: it was found, and until it could be locked its source mentioned it or somebody did something."""
    alert, ada, _ = await taken(world)
    await close_after(world, alert, 1)
    await world.db.pool.execute("UPDATE test_clock SET at = at + interval '2 hours'")

    async def meanwhile(tx: Tx) -> None:
        await keep_from_locking(tx, "alert")
        if what == "signal":
            await (await tx.raw()).execute("UPDATE alert SET last_seen_at = $1", tx.now)
        else:
            await incidents.declare(tx, world.actor(ada), alert_id=alert.id)

    async def look() -> None:
        async with world.db.begin() as tx:
            await alerts.look_after(tx)

    await behind(world.db, meanwhile, look())
    assert (await world.again(alert)).status == "acknowledged"


async def test_a_repeat_does_not_begin_a_reminder_anew_that_has_reached_nobody(world: World) -> None:
    """F138, F139: somebody has the alert, so its repeats page nobody, not even its owner about the reminder."""
    ada, bob = await world.person("ada"), await world.person("bob", reachable=False)
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(bob), alert.id)
    await world.pass_time(FOUR_HOURS + minutes(5))
    assert "escalation.unreached" in await world.history(alert)
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=bob.id, kind="email", address=bob.email
        )
    # The repeat is not to do what looking after changes would.
    await world.db.pool.execute("DELETE FROM job WHERE kind = 'oncall.look_again'")
    await world.pass_time(minutes(2))
    await world.signal({"key": "Checkout is down", "title": "Checkout is down", "severity": "critical"})
    await world.settle()
    assert world.mail.to(bob) == []


@pytest.mark.parametrize("hours", [0, -1, 721])
async def test_times_are_within_reason(world: World, hours: int) -> None:
    """F139."""
    with pytest.raises(Invalid, match="between 1 and 720 hours"):
        await patience(world, remind=hours)
    alert = await world.alert()
    with pytest.raises(Invalid, match="between 1 and 8,760 hours"):
        await close_after(world, alert, 8761 if hours > 0 else hours)


async def test_a_reminder_goes_to_nobody_else_by_a_press_of_escalate(world: World) -> None:
    """F139, F061: nobody is being paged for an alert that somebody has, so there is no next step to ask for."""
    alert, ada, _ = await taken(world)
    await world.pass_time(FOUR_HOURS + minutes(5))
    async with world.db.begin() as tx:
        with pytest.raises(Conflict, match="Nobody is being paged for this alert now"):
            await alerts.escalate(tx, world.actor(ada), alert.id)
    assert "escalation.exhausted" not in await world.history(alert)
