"""Whose pager is silent after an act, and whose rings on: one's own, those of others, and those of what is over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from tests.postgres import until_somebody_waits
from tests.use_cases.incident_team import Team, person
from tests.world import FakeChannel, World, minutes
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.alerts.service import together
from tocsin.db.engine import Tx
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.incidents import queries, service
from tocsin.incidents.model import CancelReason, Incident, IncidentRole
from tocsin.kit.errors import Conflict, Denied, Invalid
from tocsin.notifications import service as notifications
from tocsin.oncall import queries as oncall
from tocsin.oncall.escalation import PageTarget

Act = Callable[[Tx, Actor, UUID], Awaitable[object]]


async def page_of(tx: Tx, alert_id: UUID, name: str = "Bob") -> UUID:
    return next(page.id for page, whose in await oncall.pages_of(tx, alert_ids=[alert_id]) if whose == name)


async def take_lead(tx: Tx, who: Actor, id: UUID) -> object:
    return await service.assign_roles(tx, who, id, {IncidentRole.LEAD: who.user_id})


@pytest.mark.parametrize("act", [service.acknowledge, service.join, take_lead])
async def test_who_takes_an_incident_on_is_paged_no_more_for_its_alerts(team: Team, act: Act) -> None:
    """F029: for each linked alert that paged them, and for the incident; what paged others only goes on."""
    mine, another = await team.alert("Mine", paging=team.bob), await team.alert("Another's", paging=team.ada)
    free = await team.alert("Free", paging=team.bob)
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [mine, another])
        await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)])
    async with team.db.begin() as tx:
        await act(tx, person(team.bob), incident.id)
    async with team.db.begin() as tx:
        taken, waiting, elsewhere = [await alert_queries.get(tx, EVERYTHING, id) for id in (mine, another, free)]
    assert (taken.status, taken.acknowledged_by) == ("acknowledged", "Bob")
    assert (waiting.status, elsewhere.status) == ("triggered", "triggered")
    assert await team.run_states() == ["answered", "running", "running", "answered"]


async def test_a_role_that_somebody_else_gives_silences_nobody(team: Team) -> None:
    """F029: whoever is given the lead has not said that they are there."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident(alert_id=alert_id, page_others=True)
    async with team.db.begin() as tx:
        await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.LEAD: team.bob.id})
    assert await team.run_states() == ["running"]


async def test_the_pager_is_silent_after_joining(world: World) -> None:
    """F029: nobody is paged for what somebody on the incident was paged for, however long it takes."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([bob, cyd]))
    alert = await world.alert("Disk")
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(ada), alert_id=alert.id, page_others=True)
    async with world.db.begin() as tx:
        await service.join(tx, world.actor(bob), incident.id)
    await world.pass_time(minutes(60))
    assert (len(world.mail.to(bob)), world.mail.to(cyd)) == (1, [])


async def test_a_page_that_went_by_or_was_declined_is_answered_by_taking_the_incident_on(world: World) -> None:
    """F029: the last word counts, as on the screen behind the link."""
    ada, bob, cyd, dan = await world.people("ada", "bob", "cyd", "dan")
    await world.route(await world.policy([bob, cyd, dan]))
    passed, declined = await world.alert("One"), await world.alert("Two")
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(ada), title="Both")
        await service.link_alerts(tx, world.actor(ada), incident.id, [passed.id, declined.id])
        await service.decline_page(tx, world.actor(bob), await page_of(tx, declined.id))
    await world.pass_time(minutes(5))
    before = len(world.mail.to(dan))
    async with world.db.begin() as tx:
        await service.acknowledge(tx, world.actor(bob), incident.id)
    assert {(await world.again(each)).acknowledged_by for each in (passed, declined)} == {"Bob"}
    await world.pass_time(minutes(60))
    assert len(world.mail.to(dan)) == before


async def test_a_stakeholder_who_is_paged_answers_and_gets_no_role(team: Team) -> None:
    """F029, F050, F119: nobody leads it, so it waits for somebody who may; the next who comes leads."""
    async with team.db.begin() as tx:
        await notifications.add_contact_method(
            tx,
            person(team.cleo),
            {"email": FakeChannel("email")},
            user_id=team.cleo.id,
            kind="email",
            address="c@e.io",
        )
    alert_id = await team.alert(paging=team.cleo)
    async with team.db.begin() as tx:
        incident = await service.declare(tx, Actor.system("test"), title="Checkout is down")
        await service.link_alerts(tx, person(team.ada), incident.id, [alert_id])
    with pytest.raises(Denied):
        async with team.db.begin() as tx:
            await service.join(tx, person(team.cleo), incident.id)
    async with team.db.begin() as tx:
        now = await service.acknowledge(tx, person(team.cleo), incident.id)
        assert (now.status, now.lead_id) == ("declared", None)
    async with team.db.begin() as tx:
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).acknowledged_by == "Cleo"
    assert (await team.responders(incident))["Cleo"] == ("joined", "linked_alert")
    with pytest.raises(Denied):
        # Nothing waits for an answer any more, and to have been paged is no right to edit.
        async with team.db.begin() as tx:
            await service.acknowledge(tx, person(team.cleo), incident.id)
    with pytest.raises(Invalid) as refused:
        async with team.db.begin() as tx:
            await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.COMMANDER: team.cleo.id})
    assert (refused.value.errors[0].pointer, refused.value.errors[0].code) == ("#/commander", "role")
    async with team.db.begin() as tx:
        now = await service.join(tx, person(team.bob), incident.id)
        assert (now.status, now.lead_id) == ("investigating", team.bob.id)


async def test_roles_are_given_together_or_not_at_all(team: Team) -> None:
    """F033."""
    incident = await team.incident()
    with pytest.raises(Invalid):
        async with team.db.begin() as tx:
            wanted = {IncidentRole.COMMANDER: team.bob.id, IncidentRole.COMMUNICATOR: team.cleo.id}
            await service.assign_roles(tx, person(team.ada), incident.id, wanted)
    async with team.db.begin() as tx:
        assert (await queries.get(tx, EVERYTHING, incident.id)).commander_id is None


@pytest.mark.parametrize("reason", [CancelReason.FALSE_ALARM, CancelReason.OTHER, CancelReason.DUPLICATE])
async def test_a_cancelled_incident_pages_nobody_any_more(team: Team, reason: CancelReason) -> None:
    """F030: whatever it was cancelled for."""
    survivor, incident = await team.incident(title="The same"), await team.incident()
    policy_id = await team.policy(team.bob, team.ada)
    async with team.db.begin() as tx:
        targets = [PageTarget("user", team.ada.id), PageTarget("escalation_policy", policy_id)]
        await service.page(tx, person(team.ada), incident.id, targets)
        await service.page(tx, person(team.ada), survivor.id, [PageTarget("user", team.bob.id)])
    async with team.db.begin() as tx:
        other = survivor.id if reason is CancelReason.DUPLICATE else None
        await service.cancel(tx, person(team.ada), incident.id, reason, duplicate_of=other)
    assert await team.run_states() == ["cancelled", "cancelled", "running"]
    assert (await team.page_of(team.ada)).state == "cancelled"


async def test_an_older_page_does_not_set_the_time_of_a_newer_one_back(team: Team) -> None:
    """F045: reactions come late and in any order."""
    incident = await team.incident()
    pages: list[UUID] = []
    for _ in range(2):
        async with team.db.begin() as tx:
            await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)])
        pages.append((await team.page_of(team.bob)).id)
    newest = await _paged_at(team, incident)
    for page_id in (pages[0], pages[1], pages[0]):
        async with team.db.begin() as tx:
            await service.note_page(tx, page_id)
        assert await _paged_at(team, incident) == newest
    async with team.db.begin() as tx:
        await service.decline_page(tx, person(team.bob), pages[1])
    async with team.db.begin() as tx:
        await service.note_page(tx, pages[0])
    assert (await team.responders(incident))["Bob"] == ("declined", "paged")


async def _paged_at(team: Team, incident: Incident) -> object:
    async with team.db.begin() as tx:
        row = await queries.responder(tx, incident.id, team.bob.id)
        assert row is not None
        return row.paged_at


async def test_who_answers_for_an_alert_that_moves_meanwhile_joins_no_incident_that_it_left(team: Team) -> None:
    """F045: the alert is taken on all the same."""
    alert_id = await team.alert(paging=team.bob)
    left = await team.incident(alert_id=alert_id, page_others=True)
    entered = await team.incident(title="The right one")
    page = await team.page_of(team.bob)

    async def answer() -> None:
        async with team.db.begin() as tx:
            await service.answer_page(tx, person(team.bob), page.id)

    async with team.db.begin() as tx:
        await service.unlink_alert(tx, person(team.ada), left.id, alert_id)
        answering = asyncio.create_task(answer())
        await until_somebody_waits(team.db)
        await service.link_alerts(tx, person(team.ada), entered.id, [alert_id])
    await answering
    assert (await team.responders(left))["Bob"] == ("paged", "linked_alert")
    async with team.db.begin() as tx:
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).acknowledged_by == "Bob"


async def test_an_answer_locks_all_alerts_that_it_answers_for_in_their_order(team: Team) -> None:
    """F029: else whoever changes both alerts and whoever answers for the later one would wait for each other."""
    first, second = [await team.alert(title, paging=team.bob) for title in ("One", "Two")]
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [first, second])

    async def answer() -> None:
        async with team.db.begin() as tx:
            await service.answer_page(tx, person(team.bob), await page_of(tx, second))

    async with team.db.begin() as tx:
        await alerts.acknowledge(tx, person(team.ada), first)
        answering = asyncio.create_task(answer())
        await until_somebody_waits(team.db)
        await alerts.acknowledge(tx, person(team.ada), second)
    await answering
    assert await team.run_states() == ["answered", "answered"]


async def test_one_of_several_that_cannot_be_changed_stops_none_of_the_rest(team: Team) -> None:
    """F073: what it had begun is undone, and the answers are in the order of the question."""
    over, open_one = await team.alert("Over"), await team.alert("Open", paging=team.bob)
    async with team.db.begin() as tx:
        await alerts.resolve(tx, person(team.ada), over)
    async with team.db.begin() as tx:
        became = await alerts.do_to_all(tx, person(team.ada), "acknowledge", [open_one, over, open_one])
        assert isinstance(became[1], Conflict)
        assert [each.alert.id if isinstance(each, alerts.Done) else None for each in became] == [
            open_one,
            None,
            open_one,
        ]
    assert await team.run_states() == ["answered"]
    with pytest.raises(Denied):
        async with team.db.begin() as tx:
            await alerts.do_to_all(tx, person(team.cleo), "resolve", [open_one])


async def test_of_one_that_is_refused_half_way_nothing_stays(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """F073: whatever an act has done to an alert before it is refused is undone, and the others keep theirs."""
    first, second = await team.alert("One", paging=team.bob), await team.alert("Two", paging=team.bob)

    async def resolve(tx: Tx, who: Actor, alert_id: UUID) -> Alert:
        alert = await alerts.resolve(tx, who, alert_id)
        if alert_id == first:
            raise Conflict("Not this one.")
        return alert

    monkeypatch.setitem(together._ACTS, "unacknowledge", resolve)
    async with team.db.begin() as tx:
        became = await alerts.do_to_all(tx, person(team.ada), "unacknowledge", [first, second])
        assert isinstance(became[0], Conflict)
    async with team.db.begin() as tx:
        assert [(await alert_queries.get(tx, EVERYTHING, id)).status for id in (first, second)] == [
            "triggered",
            "resolved",
        ]
    assert await team.run_states() == ["running", "cancelled"]


async def test_a_press_on_an_old_screen_goes_no_step_further(world: World) -> None:
    """F050: the timer, or somebody else, may have been faster than the press."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    await world.route(await world.policy([ada, bob, cyd]))
    alert = await world.alert()
    await world.pass_time(minutes(5))
    async with world.db.begin() as tx:
        await service.escalate_page(tx, world.actor(ada), await page_of(tx, alert.id, "Ada"), seen=(0, 1))
    await world.settle()
    assert (len(world.mail.to(bob)), world.mail.to(cyd)) == (1, [])


async def test_nobody_is_passed_on_to_a_round_that_may_not_begin_yet(world: World) -> None:
    """F050: nobody would be asked until then, so whoever is being paged still is; once it may begin, it does."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([ada, bob], repeat=1))
    alert = await world.alert()
    async with world.db.begin() as tx:
        await service.escalate_page(tx, world.actor(ada), await page_of(tx, alert.id, "Ada"))
    await world.settle()
    with pytest.raises(Conflict) as refused:
        async with world.db.begin() as tx:
            await service.escalate_page(tx, world.actor(bob), await page_of(tx, alert.id, "Bob"))
    assert refused.value.code == "escalation.last_step" and "You are still being paged" in refused.value.message
    await world.pass_time(minutes(4.9))
    assert await world.deliveries(alert) == ["Ada: sent", "Bob: sent"]
    await world.pass_time(minutes(0.2))
    assert (await world.deliveries(alert))[2:] == ["Ada: sent"]
