"""Alerts that nobody answers, and calls for help in vain: what is flagged, and what must not be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.plans import plan_of
from tests.world import World, minutes
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.db.engine import Database
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.kit.errors import Patience, Refused, Transient
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import PagingTrouble

AWAY = Transient("The connection to the mail server failed.")
NO = Refused("550 no such user", answered=True)
IMPOSSIBLE = Refused("This is no address.", patience=Patience.NONE)


async def trouble(world: World, alert: Alert) -> str | None:
    """What is said of the alert; list, filters and count must all say the same."""
    async with world.db.begin() as tx:
        found = (await queries.troubles(tx, [alert.id])).get(alert.id)
        for kind in PagingTrouble:
            listed = {row[0].id for row in await queries.listed(tx, EVERYTHING, queries.Filter(troubles=[kind]))}
            assert (alert.id in listed) == (found is kind)
        numbers = await queries.count_troubles(tx, EVERYTHING)
        assert sum(numbers.values()) == len(
            await queries.listed(tx, EVERYTHING, queries.Filter(troubles=list(PagingTrouble)))
        )
    return found.value if found else None


async def help_trouble(world: World, incident: Incident) -> str | None:
    async with world.db.begin() as tx:
        found = (await incident_queries.troubles(tx, [incident.id])).get(incident.id)
        for kind in PagingTrouble:
            listed = {
                row.id
                for row in await incident_queries.listed(tx, EVERYTHING, incident_queries.Filters(troubles=[kind]))
            }
            assert (incident.id in listed) == (found is kind)
    return found.value if found else None


async def acknowledge(world: World, alert: Alert, person: User) -> None:
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(person), alert.id)


async def fall_back_on(world: World, person: User | None) -> None:
    async with world.db.begin() as tx:
        await oncall.set_fallback(tx, world.root, PageTarget("user", person.id) if person else None)


async def test_an_alert_whose_escalation_went_by_is_unanswered_until_somebody_takes_it(world: World) -> None:
    """F136: not while somebody has time to answer, and no longer once somebody has it or it is over."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    first, second = await world.alert("Disk"), await world.alert("Cart")
    await world.pass_time(minutes(6))
    assert [await trouble(world, alert) for alert in (first, second)] == [None, None]
    await world.pass_time(minutes(6))
    assert [await trouble(world, alert) for alert in (first, second)] == ["unanswered", "unanswered"]
    await acknowledge(world, first, ada)
    await world.signal({"title": "Cart", "status": "resolved", "key": "Cart"})
    assert [await trouble(world, alert) for alert in (first, second)] == [None, None]


async def test_an_alert_that_is_given_back_is_paged_again_and_not_flagged_by_its_past(world: World) -> None:
    """F136: neither while it waits for its route, nor while its people are being paged; then it counts anew."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    await world.pass_time(minutes(6))
    assert await trouble(world, alert) == "unanswered"
    await acknowledge(world, alert, ada)
    world.mail.down = AWAY
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(ada), alert.id)
    assert await trouble(world, alert) is None
    await world.settle()
    assert await trouble(world, alert) is None
    world.mail.down = None
    await world.let_pass(minutes(1))
    assert await trouble(world, alert) is None
    await world.pass_time(minutes(6))
    assert await trouble(world, alert) == "unanswered"


async def test_an_alert_about_which_no_message_gets_through_is_unreached_until_one_does(world: World) -> None:
    """F136."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    world.mail.down = NO
    alert = await world.alert()
    assert await trouble(world, alert) is None, "the first message is still being tried"
    await world.let_pass(minutes(12))
    assert await trouble(world, alert) == "unreached"
    world.mail.down = None
    await world.let_pass(minutes(6))
    assert await trouble(world, alert) is None
    await world.let_pass(minutes(30))
    assert await trouble(world, alert) == "unanswered"


async def test_an_alert_whose_policy_reaches_nobody_is_unreached_at_once(world: World) -> None:
    """F054, F136: nobody on any step has a contact method."""
    bob = await world.person("bob", reachable=False)
    await world.route(await world.policy([bob]))
    assert await trouble(world, await world.alert()) == "unreached"


async def test_whoever_declines_was_reached(world: World) -> None:
    """F136: the message was never confirmed, but its link was used, so the outside works."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    world.mail.down = NO
    alert = await world.alert()
    await world.let_pass(minutes(32))
    assert await trouble(world, alert) == "unreached"
    page = await world.db.pool.fetchval("SELECT id FROM page WHERE state = 'paging' ORDER BY id DESC LIMIT 1")
    async with world.db.begin() as tx:
        await oncall.decline_page(tx, world.actor(bob), page)
    assert await trouble(world, alert) is None


async def test_what_nobody_need_answer_is_not_flagged(world: World) -> None:
    """F136: low urgency that was delivered, and alerts that are only recorded, wait for nobody."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]), 'title == "Calm"', name="Calm")
    await world.route(None)
    calm = await world.alert("Calm", severity="info", urgency="low")
    recorded = await world.alert("Recorded")
    assert calm.urgency == "low"
    await world.let_pass(timedelta(hours=1), every=minutes(10))
    assert world.mail.subjects(ada) == ["Calm"]
    assert [await trouble(world, alert) for alert in (calm, recorded)] == [None, None]


async def test_low_urgency_that_reaches_nobody_is_flagged(world: World) -> None:
    """F136: what was to be told calmly was not told at all."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    world.mail.down = IMPOSSIBLE
    assert await trouble(world, await world.alert("Calm", severity="info", urgency="low")) == "unreached"


async def test_while_the_fallback_can_answer_an_alert_is_not_flagged(world: World) -> None:
    """F054, F136: then it is, by what became of the fallback, and not by the run that asked it alone."""
    ada, cyd = await world.people("ada", "cyd")
    await world.route(await world.policy([ada]))
    await fall_back_on(world, cyd)
    alert = await world.alert()
    await world.pass_time(minutes(5.5))
    assert world.mail.subjects(cyd) == ["Checkout is down"]
    assert await trouble(world, alert) is None
    await world.pass_time(minutes(6))
    assert await trouble(world, alert) == "unanswered"


async def test_a_fallback_that_is_reached_stands_in_for_people_who_are_not(world: World) -> None:
    """F054, F136: the run of those who cannot be reached goes on all the while."""
    bob, cyd = await world.person("bob", reachable=False), await world.person("cyd")
    await world.route(await world.policy([bob]))
    await fall_back_on(world, cyd)
    alert = await world.alert()
    assert world.mail.subjects(cyd) == ["Checkout is down"]
    assert await trouble(world, alert) is None
    await world.let_pass(minutes(6))
    assert await trouble(world, alert) == "unreached", "the fallback has let it go by, and nobody else knows"


async def test_an_alert_that_repeats_pages_anew_while_nobody_was_reached(world: World) -> None:
    """F136: through the intake; once somebody was reached, a repeat changes nothing."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(30)))
    world.mail.down = NO
    alert = await world.alert()
    await world.let_pass(minutes(20))
    assert await trouble(world, alert) == "unreached"
    assert world.mail.subjects(ada) == []
    world.mail.down = None
    await world.signal({"title": alert.title, "status": "firing", "severity": "critical", "key": alert.title})
    await world.settle()
    assert world.mail.subjects(ada) == ["Checkout is down"], "the first step again, at once"
    assert await trouble(world, alert) is None
    await world.pass_time(minutes(2))
    sent = len(world.mail.sent)
    await world.signal({"title": alert.title, "status": "firing", "severity": "critical", "key": alert.title})
    await world.settle()
    assert len(world.mail.sent) == sent


async def declared(world: World, by: User, *asked: User) -> Incident:
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(by), title="Shop is down")
        await incidents.page(tx, world.actor(by), incident.reference, [PageTarget("user", each.id) for each in asked])
    await world.settle()
    return incident


async def test_a_call_for_help_that_nobody_answers_is_flagged_until_somebody_comes(world: World) -> None:
    """F136: the one who joined before and called does not count, whoever joins after does."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await declared(world, ada, bob)
    assert await help_trouble(world, incident) is None
    await world.pass_time(minutes(6))
    assert await help_trouble(world, incident) == "unanswered"
    async with world.db.begin() as tx:
        await incidents.join(tx, world.actor(cyd), incident.reference)
    assert await help_trouble(world, incident) is None


async def test_a_call_for_help_is_not_in_vain_when_one_of_those_who_were_asked_comes(world: World) -> None:
    """F136: and not while the next one is being asked, nor when the incident is over or begins another round."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    incident = await declared(world, ada, bob, cyd)
    page = await world.db.pool.fetchval("SELECT id FROM page WHERE user_id = $1", cyd.id)
    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(cyd), page)
    await world.pass_time(minutes(6))
    assert await help_trouble(world, incident) is None

    other = await declared(world, ada, bob)
    await world.pass_time(minutes(6))
    assert await help_trouble(world, other) == "unanswered"
    async with world.db.begin() as tx:
        await incidents.page(tx, world.actor(ada), other.reference, [PageTarget("user", cyd.id)])
    await world.settle()
    assert await help_trouble(world, other) is None
    await world.pass_time(minutes(6))
    assert await help_trouble(world, other) == "unanswered"
    async with world.db.begin() as tx:
        await incidents.resolve(tx, world.actor(ada), other.reference, note="Rolled back.")
    assert await help_trouble(world, other) is None
    await world.pass_time(minutes(1))
    async with world.db.begin() as tx:
        await incidents.reopen(tx, world.actor(ada), other.reference, reason="Again.")
    assert await help_trouble(world, other) is None


async def test_a_call_for_help_that_reaches_nobody_is_unreached(world: World) -> None:
    """F136."""
    ada, bob = await world.person("ada"), await world.person("bob", reachable=False)
    assert await help_trouble(world, await declared(world, ada, bob)) == "unreached"


@pytest.mark.own_database
async def test_what_nobody_answers_is_found_by_its_runs(db: Database) -> None:
    """F136: of many open alerts, and many runs that ended well, the list and the count look at those few alone."""
    await db.pool.execute(_MANY)
    await db.pool.execute("ANALYZE alert; ANALYZE escalation_run; ANALYZE page; ANALYZE delivery")
    async with db.begin() as tx:
        wanted = queries.Filter(troubles=[PagingTrouble.UNANSWERED])
        assert len(await queries.listed(tx, EVERYTHING, wanted)) == 20
        for ask in (queries.listed(tx, EVERYTHING, wanted), queries.count_troubles(tx, EVERYTHING)):
            plan = await plan_of(tx, ask)
            assert "escalation_run_trouble_idx" in plan, plan
            assert "Seq Scan on escalation_run" not in plan, plan
            assert "Seq Scan on alert " not in plan, plan


_MANY = """
INSERT INTO alert_source (id, name, kind, token, created_at, updated_at)
VALUES (gen_random_uuid(), 'Many', 'generic', 'many', now(), now());
INSERT INTO alert (id, source_id, dedup_key, status, title, severity, urgency, labels, links, created_at, updated_at,
                   last_seen_at, routed_at)
SELECT gen_random_uuid(), source.id, n::text, 'triggered', 'Disk ' || n, 2, 'high', '{}', '[]', at, at, at, at
FROM alert_source AS source, generate_series(1, 20000) AS n,
     LATERAL (SELECT now() - n * interval '1 minute' AS at) AS began;
INSERT INTO escalation_policy (id, name, created_at, updated_at) VALUES (gen_random_uuid(), 'Duty', now(), now());
INSERT INTO escalation_run (id, alert_id, policy_id, policy_name, urgency, content, state, step, round,
                            round_started_at, started_at)
SELECT gen_random_uuid(), alert.id, policy.id, 'Duty', 'high', '{}',
       CASE WHEN alert.number % 1000 = 0 THEN 'exhausted' ELSE 'running' END, 1, 0, now(), now()
FROM alert, escalation_policy AS policy;
"""
