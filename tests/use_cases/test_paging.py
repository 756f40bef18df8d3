"""From a signal to somebody who answers: routing, escalation, pages, deliveries."""

import asyncio

import msgspec
import pytest

from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.intake import Source
from tocsin.alerts.sources import ADAPTERS
from tocsin.incidents import service as incidents
from tocsin.kit.errors import Denied, Patience, Refused, Transient
from tocsin.notifications import service as notifications
from tocsin.notifications.model import Urgency
from tocsin.notifications.service import RuleDraft
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.reasons import why_ended


async def test_an_alert_pages_the_first_step(world: World) -> None:
    """F053, F060: the person on the first step gets the page, with the way to acknowledge it."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))

    alert = await world.alert("Checkout is down")

    assert world.mail.subjects(ada) == ["Checkout is down"]
    assert world.mail.subjects(bob) == []
    page = world.mail.to(ada)[0]
    assert page.acknowledge_url is not None and page.acknowledge_url.startswith("http://127.0.0.1:8700/p/")
    assert page.reason == "You are step 1 of Duty"
    assert await world.history(alert) == [
        "alert.triggered",
        "alert.routed",
        "escalation.started",
        "page.started: Ada",
        "page.sent: Ada",
    ]


async def test_an_unanswered_page_goes_to_the_next_step(world: World) -> None:
    """F053: the wait of a step is kept, then the next one is paged."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], wait=minutes(5)))
    alert = await world.alert()

    await world.pass_time(minutes(4.9))
    assert world.mail.subjects(bob) == []
    await world.pass_time(minutes(0.2))
    assert world.mail.subjects(bob) == ["Checkout is down"]
    assert (await world.history(alert))[5:] == ["page.escalated", "page.started: Bob", "page.sent: Bob"]


async def test_acknowledging_stops_the_escalation(world: World) -> None:
    """F029: nobody is woken after somebody answered."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert()

    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await world.pass_time(minutes(60))

    assert world.mail.subjects(bob) == []
    assert (await world.again(alert)).status == "acknowledged"
    async with world.db.begin() as tx:
        run = (await oncall_queries.runs_of(tx, alert_ids=[alert.id]))[0]
        assert (run.state, why_ended(run)) == ("answered", "Ada acknowledged the alert.")
        assert [page.state for page, _ in await oncall_queries.pages_of(tx, alert_ids=[alert.id])] == ["acknowledged"]


async def test_resolving_at_the_source_ends_the_escalation(world: World) -> None:
    """F031, F063: a resolve from the monitoring tool calls everything off."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert()

    await world.signal({"title": "Checkout is down", "status": "resolved", "key": "Checkout is down"})
    await world.pass_time(minutes(60))

    assert (await world.again(alert)).status == "resolved"
    assert world.mail.subjects(bob) == []


async def test_a_policy_repeats_and_then_says_that_nobody_answered(world: World) -> None:
    """F053, F054: repeats are counted, and running dry is on the record."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(5), repeat=1))
    alert = await world.alert()
    for _ in range(3):
        await world.pass_time(minutes(5))

    assert len(world.mail.to(ada)) == 2
    assert (await world.history(alert))[-2:] == ["page.escalated", "escalation.exhausted"]
    assert (await world.reasons(alert))[-1] == "Its only step of “Duty” went by without an answer, 2 times over."


async def test_a_step_with_nobody_reachable_is_skipped_at_once(world: World) -> None:
    """F054: no time is lost on somebody who has no contact method."""
    ada = await world.person("ada", reachable=False)
    bob = await world.person("bob")
    await world.route(await world.policy([ada, bob]))

    alert = await world.alert()

    assert world.mail.subjects(bob) == ["Checkout is down"]
    assert "escalation.step_skipped" in await world.history(alert)
    assert "Ada cannot be reached: no contact method, or the account is switched off." in await world.reasons(alert)


async def test_when_nobody_can_be_reached_the_record_says_so(world: World) -> None:
    """F054, F136, G01: silence is explained."""
    ada = await world.person("ada", reachable=False)
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    assert (await world.history(alert))[-1] == "escalation.unreached"
    assert (await world.reasons(alert))[-1] == "Nobody on any step can be reached."


async def test_without_a_route_nobody_is_paged_and_the_record_says_so(world: World) -> None:
    """F069, G01: not routed is visible."""
    alert = await world.alert()
    assert await world.history(alert) == ["alert.triggered", "alert.not_routed"]
    assert await world.reasons(alert) == ["There are no routes yet."]


async def test_the_first_route_that_holds_decides(world: World) -> None:
    """F069: order matters, the catch-all comes last."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([bob], name="Rest"))
    await world.route(await world.policy([ada], name="Shop"), 'labels.team == "shop"', name="Shop alerts")

    await world.alert("Cart", labels={"team": "shop"})
    await world.alert("Disk", labels={"team": "base"})

    assert world.mail.subjects(ada) == ["Cart"]
    assert world.mail.subjects(bob) == ["Disk"]


async def test_low_urgency_notifies_and_does_not_climb(world: World) -> None:
    """F053, model C9: low urgency never escalates."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    await world.alert("Certificate expires in 20 days", severity="warning", urgency="low")
    await world.pass_time(minutes(600))
    assert len(world.mail.to(ada)) == 1
    assert world.mail.to(bob) == []


async def test_personal_rules_decide_channel_and_delay(world: World) -> None:
    """F059: first the webhook, five minutes later the e-mail."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        hook = await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address=ada.email
        )
        mail = (await notifications.queries.contact_methods(tx, ada.id))[0]
        rules = [RuleDraft(Urgency.HIGH, 0, hook.id), RuleDraft(Urgency.HIGH, 5, mail.id)]
        await notifications.set_rules(tx, world.root, user_id=ada.id, rules=rules)
    await world.route(await world.policy([ada], wait=minutes(30)))

    alert = await world.alert()
    assert (len(world.hook.to(ada)), len(world.mail.to(ada))) == (1, 0)
    await world.pass_time(minutes(5))
    assert (len(world.hook.to(ada)), len(world.mail.to(ada))) == (1, 1)
    assert sorted(await world.deliveries(alert)) == ["Ada: delivered", "Ada: sent"]


async def test_answering_takes_back_what_is_not_sent_yet(world: World) -> None:
    """F059, F060: a delayed message does not follow an answered page."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        mail = (await notifications.queries.contact_methods(tx, ada.id))[0]
        await notifications.set_rules(
            tx,
            world.root,
            user_id=ada.id,
            rules=[RuleDraft(Urgency.HIGH, 0, mail.id), RuleDraft(Urgency.HIGH, 5, mail.id)],
        )
    await world.route(await world.policy([ada], wait=minutes(30)))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await world.pass_time(minutes(10))
    assert len(world.mail.to(ada)) == 1
    assert sorted(await world.deliveries(alert)) == ["Ada: cancelled", "Ada: sent"]


async def test_a_transient_failure_is_tried_again(world: World) -> None:
    """F060: retry with growing waits until it works."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    world.mail.failures = [Transient("451 try later"), Transient("451 try later")]
    alert = await world.alert()
    assert await world.deliveries(alert) == ["Ada: queued"]
    await world.pass_time(minutes(0.04))
    await world.pass_time(minutes(0.2))
    assert await world.deliveries(alert) == ["Ada: sent"]
    assert (await world.history(alert))[-3:] == [
        "page.attempt_failed: Ada",
        "page.attempt_failed: Ada",
        "page.sent: Ada",
    ]
    assert world.mail.to(ada)[0].attempt == 3


async def test_a_page_to_an_impossible_address_goes_to_the_next_step_at_once(world: World) -> None:
    """F054, F060: when every message of a step is impossible, waiting would help nobody."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    world.mail.failures = [Refused("No mail server would take this address.", patience=Patience.NONE)]
    alert = await world.alert()
    assert world.mail.subjects(bob) == ["Checkout is down"]
    assert await world.deliveries(alert) == ["Ada: failed", "Bob: sent"]
    assert "page.unreachable: Ada" in await world.history(alert)


async def test_two_people_on_one_step_are_both_paged_and_one_answer_is_enough(world: World) -> None:
    """F045, F052: the other one's page is called off."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        pages = {name: page for page, name in await oncall_queries.pages_of(tx, alert_ids=[alert.id])}
        await oncall.answer_page(tx, world.actor(bob), pages["Bob"].id)
    async with world.db.begin() as tx:
        states = {name: page.state for page, name in await oncall_queries.pages_of(tx, alert_ids=[alert.id])}
    assert states == {"Ada": "cancelled", "Bob": "acknowledged"}


async def test_declining_passes_the_page_on_when_nobody_else_is_asked(world: World) -> None:
    """F061: "can't take it" does not wait for the timer."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        page = (await oncall_queries.pages_of(tx, alert_ids=[alert.id]))[0][0]
        await oncall.decline_page(tx, world.actor(ada), page.id)
    await world.settle()
    assert world.mail.subjects(bob) == ["Checkout is down"]


async def test_only_the_paged_person_or_somebody_who_may_page_acts_on_a_page(world: World) -> None:
    """A stakeholder answers or declines the page that they were sent, and leaves other people's alone."""
    watcher, other = [await world.person(name, role="stakeholder") for name in ("watcher", "other")]
    ada = await world.person("ada")
    await world.route(await world.policy([[watcher, ada]]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        pages = {name: page for page, name in await oncall_queries.pages_of(tx, alert_ids=[alert.id])}
    theirs = pages["Watcher"]
    for act in (incidents.answer_page, incidents.decline_page, incidents.escalate_page):
        with pytest.raises(Denied):
            async with world.db.begin() as tx:
                await act(tx, world.actor(other), theirs.id)

    async with world.db.begin() as tx:
        assert (await incidents.decline_page(tx, world.actor(ada), pages["Ada"].id)).state == "declined"
        assert (await incidents.answer_page(tx, world.actor(watcher), theirs.id)).state == "acknowledged"


async def test_a_stakeholder_who_was_paged_may_ask_for_the_next_step(world: World) -> None:
    watcher, ada = await world.person("watcher", role="stakeholder"), await world.person("ada")
    await world.route(await world.policy([watcher, ada]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        page = (await oncall_queries.pages_of(tx, alert_ids=[alert.id]))[0][0]
        await incidents.escalate_page(tx, world.actor(watcher), page.id)
    await world.settle()
    assert world.mail.subjects(ada) == ["Checkout is down"]


async def test_two_people_who_acknowledge_at_once_make_one_acknowledgement(world: World) -> None:
    """F029: no double effect."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]]))
    alert = await world.alert()

    async def acknowledge(person: object) -> None:
        async with world.db.begin() as tx:
            await alerts.acknowledge(tx, world.actor(person), alert.id)  # type: ignore[arg-type]

    await asyncio.gather(acknowledge(ada), acknowledge(bob))
    assert (await world.history(alert)).count("alert.acknowledged") == 1


async def test_the_same_timer_twice_moves_the_run_once(world: World) -> None:
    """G04: a timer that fires again finds that the run has moved."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, bob, cyd]))
    alert = await world.alert()
    await world.pass_time(minutes(5), settle=False)
    for _ in range(2):
        async with world.db.begin() as tx:
            run = (await oncall_queries.runs_of(tx, alert_ids=[alert.id]))[0]
            await oncall.advance(tx, run.id, step=1, round=0)
    await world.settle()
    assert world.mail.subjects(bob) == ["Checkout is down"]
    assert world.mail.subjects(cyd) == []


async def test_giving_an_alert_back_pages_again(world: World) -> None:
    """F067: unacknowledge routes anew."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(ada), alert.id)
    await world.settle()
    assert len(world.mail.to(ada)) == 2


async def test_an_alert_that_was_given_back_can_be_answered_from_any_of_its_pages(world: World) -> None:
    """F061, F067: the first message of somebody whose page was called off still works, and nobody is told otherwise."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]]))
    alert = await world.alert()
    async with world.db.begin() as tx:
        first = {name: page.id for page, name in await oncall_queries.pages_of(tx, alert_ids=[alert.id])}
        await incidents.answer_page(tx, world.actor(ada), first["Ada"])
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(ada), alert.id)
    await world.settle()
    async with world.db.begin() as tx:
        told = (await incidents.explain_alert(tx, world.root, alert.id)).summary
    assert told == (
        "Ada and Bob were paged, and Ada answered after 0 s. Ada gave the alert back. "
        "Ada and Bob were paged; nobody has answered yet."
    )

    async with world.db.begin() as tx:
        await incidents.answer_page(tx, world.actor(bob), first["Bob"])

    again = await world.again(alert)
    assert (again.status, again.acknowledged_by) == ("acknowledged", "Bob")


async def test_a_test_page_reaches_every_contact_method(world: World) -> None:
    """F059: people can try their own channels."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        await notifications.send_test_page(tx, world.actor(ada), user_id=ada.id)
    await world.settle()
    assert world.mail.subjects(ada) == ["Test page"]
    assert world.mail.to(ada)[0].acknowledge_url is None


@pytest.mark.parametrize("urgency", ["high", "low"])
async def test_a_person_without_rules_is_reached_on_everything_at_once(world: World, urgency: str) -> None:
    """F059: the default sequence wakes rather than waits."""
    ada = await world.person("ada")
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=ada.id, kind="webhook", address=ada.email
        )
    await world.route(await world.policy([ada]))
    await world.alert(urgency=urgency)
    assert (len(world.hook.to(ada)), len(world.mail.to(ada))) == (1, 1)


async def test_an_alert_that_becomes_urgent_wakes_somebody(world: World) -> None:
    """F068: the same key, first mild and then critical; whoever only got a notice then is paged now."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([bob], name="Mild"), "severity > 2", name="Mild")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert(severity="warning")
    assert (alert.urgency, world.mail.subjects(bob)) == ("low", ["Checkout is down"])

    for _ in range(2):
        await world.signal({"title": "Checkout is down", "severity": "critical", "key": "Checkout is down"})
        await world.settle()

    found = await world.again(alert)
    assert (found.severity, found.urgency, found.count) == (1, "high", 3)
    assert world.mail.subjects(ada) == ["Checkout is down"]
    await world.pass_time(minutes(5))
    assert world.mail.subjects(bob) == ["Checkout is down"] * 2
    async with world.db.begin() as tx:
        runs = await oncall_queries.runs_of(tx, alert_ids=[alert.id])
        assert [(run.policy_name, run.urgency, run.state) for run in runs] == [
            ("Duty", "high", "running"),
            ("Mild", "low", "cancelled"),
        ]
        states = [page.state for page, _ in await oncall_queries.pages_of(tx, alert_ids=[alert.id])]
        assert states == ["paging", "no_answer", "no_answer"]


async def test_information_that_becomes_critical_wakes_somebody(world: World) -> None:
    """F068, PagerDuty Events API v2: `info` is only recorded, what follows under its key is not."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    source = await world.source("pagerduty")

    def event(severity: str) -> dict[str, object]:
        payload = {"summary": "Disk", "source": "db1", "severity": severity}
        return {"routing_key": "0" * 32, "event_action": "trigger", "dedup_key": "disk", "payload": payload}

    await world.signal(event("info"), source)
    await world.settle()
    assert world.mail.to(ada) == []
    await world.signal(event("critical"), source)
    await world.settle()
    assert [page.severity for page in world.mail.to(ada)] == ["SEV1"]


async def test_information_that_becomes_a_warning_is_told_once(world: World) -> None:
    """F068, PagerDuty Events API v2: a low urgency notifies once, also when there was only information before."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    source = await world.source("pagerduty")
    for severity in ("info", "info", "warning", "warning"):
        payload = {"summary": "Disk", "source": "db1", "severity": severity}
        event = {"routing_key": "0" * 32, "event_action": "trigger", "dedup_key": "disk", "payload": payload}
        await world.signal(event, source)
        await world.settle()
    assert world.mail.subjects(ada) == ["Disk"]


async def test_a_mild_alert_that_gets_worse_and_stays_mild_is_told_once(world: World) -> None:
    """F068, F069: a route takes what another one only recorded; who was told already is not told again."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]), "severity < 5", name="Warnings")
    await world.route(None)
    alert = await world.alert(severity="info")
    assert (alert.severity, alert.urgency, world.mail.to(ada)) == (5, "low", [])
    for severity in ("sev4", "sev4", "warning", "info"):
        await world.signal({"title": "Checkout is down", "severity": severity, "key": "Checkout is down"})
        await world.settle()
    found = await world.again(alert)
    assert (found.severity, found.urgency) == (3, "low")
    assert world.mail.subjects(ada) == ["Checkout is down"]


@pytest.mark.parametrize("catch_all", [False, True], ids=["not routed before", "only recorded before"])
async def test_an_urgent_alert_that_gets_worse_is_routed_anew(world: World, catch_all: bool) -> None:
    """F068, F069: a route for the worst severity counts for an alert that was not that bad at first."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]), "severity == 1", name="Worst")
    if catch_all:
        await world.route(None)
    alert = await world.alert(severity="error")
    assert (alert.urgency, world.mail.to(ada)) == ("high", [])
    for severity in ("error", "critical", "critical", "error"):
        await world.signal({"title": "Checkout is down", "severity": severity, "key": "Checkout is down"})
        await world.settle()
    assert world.mail.subjects(ada) == ["Checkout is down"]


async def test_an_escalation_that_climbs_goes_on_when_the_alert_gets_worse(world: World) -> None:
    """F068: whoever was paged is not paged a second time, and nobody is skipped."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    await world.alert(severity="error")
    await world.pass_time(minutes(2))
    await world.signal({"title": "Checkout is down", "severity": "critical", "key": "Checkout is down"})
    await world.settle()
    await world.pass_time(minutes(4))
    assert (world.mail.subjects(ada), world.mail.subjects(bob)) == (["Checkout is down"], ["Checkout is down"])


async def test_an_acknowledged_alert_that_becomes_urgent_is_urgent_when_it_is_given_back(world: World) -> None:
    """F067, F068: whoever took on the mild one gives back a critical one, and the escalation climbs."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob]))
    alert = await world.alert(severity="warning")
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await world.signal({"title": "Checkout is down", "severity": "critical", "key": "Checkout is down"})
    await world.settle()
    assert world.mail.subjects(ada) == ["Checkout is down"]
    assert (await world.again(alert)).urgency == "high"
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(ada), alert.id)
    await world.settle()
    await world.pass_time(minutes(6))
    assert (world.mail.subjects(ada), world.mail.subjects(bob)) == (["Checkout is down"] * 2, ["Checkout is down"])


async def test_an_alert_that_gets_worse_after_nobody_answered_pages_again(world: World) -> None:
    """F054, F068: the first escalation ran dry; the worse news starts another one."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    await world.alert(severity="error")
    await world.pass_time(minutes(10))
    assert world.mail.subjects(ada) == ["Checkout is down"]
    await world.signal({"title": "Checkout is down", "severity": "critical", "key": "Checkout is down"})
    await world.settle()
    assert world.mail.subjects(ada) == ["Checkout is down"] * 2


async def test_an_acknowledged_alert_that_becomes_urgent_pages_nobody_again(world: World) -> None:
    """Wire formats §1: no new notification while somebody has it."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]))
    alert = await world.alert(severity="warning")
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(ada), alert.id)
    await world.signal({"title": "Checkout is down", "severity": "critical", "key": "Checkout is down"})
    await world.settle()
    assert len(world.mail.to(ada)) == 1


async def test_of_equal_signals_in_one_body_the_worst_counts(world: World) -> None:
    """F068: the order within a body must not decide whether somebody is woken."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada]), "severity == 1")
    source = await world.source()
    mild, bad = ({"title": "Disk", "key": "disk", "severity": word} for word in ("info", "critical"))
    raw = msgspec.json.encode([mild, bad])
    known = Source(source.id, source.name, source.kind, True)
    await world.app.intake.submit(known, raw, "", ADAPTERS["generic"].parse(raw, {}))
    await world.settle()
    assert [page.severity for page in world.mail.to(ada)] == ["SEV1"]
