"""The record tells the truth: who acted, who leads, what was said at the end, and what became of duplicates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.use_cases.incident_team import Team, names, person, record_of
from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.events import words
from tocsin.events.log import LoggedEvent
from tocsin.events.words import describe
from tocsin.identity.access import EVERYTHING
from tocsin.identity.accounts import UserChanges
from tocsin.incidents import lifecycle, queries, service
from tocsin.incidents.model import CancelReason, Incident, IncidentRole, Status
from tocsin.kit.errors import Conflict, Invalid
from tocsin.oncall.escalation import PageTarget


async def events(team: Team, incident: Incident, name: str) -> list[LoggedEvent]:
    async with team.db.begin() as tx:
        query = select(LoggedEvent).where(LoggedEvent.incident_id == incident.id, LoggedEvent.name == name)
        return list(await tx.session.scalars(query.order_by(LoggedEvent.position)))


async def test_whoever_declares_from_an_alert_that_somebody_has_is_who_acted(team: Team) -> None:
    """F075: Bob had the alert, Ada declares and links; no entry says that Bob did anything in the incident."""
    alert_id = await team.alert()
    async with team.db.begin() as tx:
        await alerts.acknowledge(tx, person(team.bob), alert_id)
    incident = await team.incident(alert_id=alert_id)
    async with team.db.begin() as tx:
        found = await record_of(tx, incident.id)
    assert {event.actor_name for event in found} == {"Ada"}
    assert [describe(e.name, e.actor_name, e.data).text for e in found if "acknowledged" in e.name] == [
        "The incident is in Bob’s hands"
    ]
    assert (await events(team, incident, "incident.acknowledged"))[0].data["user_id"] == str(team.bob.id)


async def test_whoever_leads_by_what_another_did_is_said_why(team: Team) -> None:
    """F033, F075: Ada links Bob's alert, so he leads; Ada who takes on an incident herself needs no reason."""
    alert_id, brought, own = await team.alert(), await team.incident(), await team.incident(title="Disk is full")
    async with team.db.begin() as tx:
        for incident in (brought, own):
            await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.LEAD: None})
    async with team.db.begin() as tx:
        await alerts.acknowledge(tx, person(team.bob), alert_id)
        await service.link_alerts(tx, person(team.ada), brought.id, [alert_id])
        await service.acknowledge(tx, person(team.ada), own.id)
    led = [(await events(team, incident, "incident.role_changed"))[-1] for incident in (brought, own)]
    assert [(event.actor_name, event.data["new"], words.reason(event.name, event.data)) for event in led] == [
        ("Ada", "Bob", "Bob has acknowledged its alert."),
        ("Ada", "Ada", ""),
    ]


async def test_an_escalation_that_somebody_ends_says_who(team: Team) -> None:
    """F075: whoever resolves an alert or an incident, or gives an alert back, ends what was paging for it."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident(alert_id=alert_id, page_others=True)
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)])
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
    assert [event.actor_name for event in await events(team, incident, "escalation.ended")] == ["Ada", "Ada"]


async def test_the_lead_of_an_incident_that_is_worked_on_is_handed_over_and_not_emptied(team: Team) -> None:
    """F033: nor can the commander go who leads it for want of a lead; before work begins it may be empty."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.LEAD: None})
        await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.COMMANDER: team.bob.id})
        await service.update_status(tx, person(team.ada), incident.id, Status.IDENTIFIED)
        with pytest.raises(Conflict, match="Somebody has to lead INC-1"):
            await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.COMMANDER: None})
        await service.assign_roles(
            tx,
            person(team.ada),
            incident.id,
            {IncidentRole.COMMANDER: None, IncidentRole.LEAD: team.ada.id},
        )
        with pytest.raises(Conflict, match="Give the lead to somebody else") as refused:
            await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.LEAD: None})
        assert refused.value.code == "incident.lead_required"
        assert (await queries.get(tx, EVERYTHING, incident.id)).lead_id == team.ada.id


async def test_the_lead_falls_to_whoever_follows_when_it_leaves(team: Team) -> None:
    """F033, F046: with an entry that says why; where nobody can follow, the lead stays."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.acknowledge(tx, person(team.ada), incident.id)
        with pytest.raises(Conflict, match="Hand that over"):
            await service.leave(tx, person(team.ada), incident.id)
    async with team.db.begin() as tx:
        await service.join(tx, person(team.bob), incident.id)
        await service.leave(tx, person(team.ada), incident.id)
        assert (await queries.get(tx, EVERYTHING, incident.id)).lead_id == team.bob.id
    assert (await team.record(incident))[-2:] == ["Bob is lead now", "Ada left"]
    passed_on = (await events(team, incident, "incident.role_changed"))[-1]
    assert words.reason(passed_on.name, passed_on.data) == "Ada left."


async def test_nothing_but_the_note_changes_about_people_once_it_is_over(team: Team) -> None:
    """F041, F045: who was on it, and as what, stays as it was at the end."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.join(tx, person(team.bob), incident.id)
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
    async with team.db.begin() as tx:
        for refused in (
            service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.COMMANDER: team.bob.id}),
            service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.LEAD: None}),
            service.leave(tx, person(team.bob), incident.id),
        ):
            with pytest.raises(Conflict, match="Reopen it first"):
                await refused
    assert (await team.responders(incident))["Bob"] == ("joined", "self")


async def test_an_incident_that_begins_again_has_a_lead_who_may_act(world: World) -> None:
    """F033, F036, F135: whoever went meanwhile holds no role; it falls to who joined, else to who reopens it."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(ada), title="Checkout is down")
        await service.assign_roles(tx, world.actor(ada), incident.id, {IncidentRole.COMMANDER: bob.id})
        await service.resolve(tx, world.actor(ada), incident.id, "Done.")
    for gone in (ada, bob):
        async with world.db.begin() as tx:
            await service.update_person(tx, world.root, gone.id, UserChanges(is_active=False), confirmed=True)
        await world.settle()
    async with world.db.begin() as tx:
        again = await service.reopen(tx, world.actor(cyd), incident.id, "It is back")
        assert (again.lead_id, again.commander_id) == (cyd.id, None)
        found = await record_of(tx, incident.id)
    told = [describe(event.name, event.actor_name, event.data) for event in found[:2]]
    assert [(line.text, line.detail) for line in told] == [
        ("Cyd is lead now", "Ada’s account was switched off."),
        ("Nobody is commander now", "Bob’s account was switched off."),
    ]


async def test_another_note_is_refused_and_the_first_can_be_corrected(team: Team) -> None:
    """F031, F034: no note is dropped silently, and what it said before stays in the record."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        with pytest.raises(Conflict, match="no resolution note"):
            await service.update(
                tx, person(team.ada), incident.id, service.IncidentChanges(resolution_note="Too early.")
            )
        await service.resolve(tx, person(team.ada), incident.id, "Restarted it.")
        for verb in (service.resolve, service.close):
            with pytest.raises(Conflict, match="already, with another note") as refused:
                await verb(tx, person(team.bob), incident.id, "Rolled back.")
            assert refused.value.code == "incident.resolved"
        with pytest.raises(Invalid):
            await service.update(tx, person(team.bob), incident.id, service.IncidentChanges(resolution_note="  "))
        await service.close(tx, person(team.bob), incident.id, "Restarted it.")
        with pytest.raises(Conflict, match="is closed already"):
            await service.close(tx, person(team.bob), incident.id, "Rolled back.")
        corrected = await service.update(
            tx, person(team.bob), incident.id, service.IncidentChanges(resolution_note="Rolled back.")
        )
        assert (corrected.resolution_note, corrected.status) == ("Rolled back.", "closed")
    last = (await events(team, incident, "incident.updated"))[-1]
    line = describe(last.name, last.actor_name, last.data)
    assert (line.text, line.detail) == (
        "Bob changed the resolution note",
        "resolution note: Restarted it. → Rolled back.",
    )


async def test_another_reason_for_a_cancelled_or_reopened_incident_is_refused(team: Team) -> None:
    """F035, F036: the same may be said again, with or without the note."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.cancel(tx, person(team.ada), incident.id, CancelReason.FALSE_ALARM, note="A test.")
        for note in ("A test.", ""):
            await service.cancel(tx, person(team.bob), incident.id, CancelReason.FALSE_ALARM, note=note)
        for reason, note in ((CancelReason.OTHER, ""), (CancelReason.FALSE_ALARM, "The sensor is broken.")):
            with pytest.raises(Conflict, match="something else was said"):
                await service.cancel(tx, person(team.bob), incident.id, reason, note=note)
    async with team.db.begin() as tx:
        await service.reopen(tx, person(team.ada), incident.id, "It is back")
        await service.reopen(tx, person(team.bob), incident.id, "It is back")
        with pytest.raises(Conflict, match="is open already"):
            await service.reopen(tx, person(team.bob), incident.id, "I do not trust it")
        assert (await names(tx, incident.id)).count("incident.reopened") == 1


async def test_what_nobody_acknowledged_counts_as_acknowledged_by_its_end(team: Team) -> None:
    """F023, F036: stamps belong to a round, the acknowledgement is never later than the end, and is marked."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        ended = await service.resolve(tx, person(team.ada), incident.id, "Done.")
        assert ended.acknowledged_at == ended.resolved_at and not lifecycle.was_acknowledged(ended)
        first = ended.resolved_at
    assert (await team.record(incident))[-1] == "Ada resolved the incident; nobody had acknowledged it before"
    async with team.db.begin() as tx:
        again = await service.reopen(tx, person(team.bob), incident.id, "It is back")
        assert first is not None and again.acknowledged_at is not None and again.acknowledged_at > first
    async with team.db.begin() as tx:
        ended = await service.resolve(tx, person(team.ada), incident.id, "Done now.")
        assert lifecycle.was_acknowledged(ended)
    kept = (await events(team, incident, "incident.reopened"))[0].data
    assert kept["acknowledged_at"] == kept["resolved_at"] == first.isoformat()
    assert (await team.record(incident))[-1] == "Ada resolved the incident"


async def test_a_start_lies_before_the_declaration_and_not_ages_ago(team: Team) -> None:
    """F023."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        for wrong, why in (
            (incident.declared_at + timedelta(microseconds=1), "after it was declared"),
            (tx.now + timedelta(days=1), "in the future"),
            (datetime(26, 11, 28, tzinfo=UTC), "ten years ago"),
        ):
            with pytest.raises(Invalid, match=why):
                await service.update(tx, person(team.ada), incident.id, service.IncidentChanges(started_at=wrong))
        with pytest.raises(Invalid, match="ten years ago"):
            await service.declare(tx, person(team.ada), title="x", started_at=datetime(26, 11, 28, tzinfo=UTC))
        same = await service.update(
            tx, person(team.ada), incident.id, service.IncidentChanges(started_at=incident.declared_at)
        )
        assert same.started_at == same.declared_at


async def test_a_duplicate_leaves_a_line_and_its_people_with_the_survivor(team: Team) -> None:
    """F035, F045: who had joined it is on the one that goes on; reopening it says that it is none after all."""
    survivor, double = await team.incident(), await team.incident(team.bob, title="Payments fail")
    async with team.db.begin() as tx:
        await service.cancel(tx, person(team.ada), double.id, CancelReason.DUPLICATE, duplicate_of="INC-1")
        assert [each.reference for each in await queries.duplicates(tx, EVERYTHING, [survivor.id])] == ["INC-2"]
    assert (await team.record(survivor))[-2:] == ["Ada cancelled INC-2 as a duplicate of this one", "Bob joined"]
    assert (await team.responders(survivor))["Bob"] == ("joined", "self")
    async with team.db.begin() as tx:
        await service.reopen(tx, person(team.bob), double.id, "It is another fault")
        assert await queries.duplicates(tx, EVERYTHING, [survivor.id]) == []
    assert (await team.record(survivor))[-1] == "Bob reopened INC-2, which is no duplicate of this one"


async def test_nobody_joins_a_survivor_that_is_over(team: Team) -> None:
    """F035, F045: the line is there all the same."""
    survivor, double = await team.incident(), await team.incident(team.bob)
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), survivor.id, "Done.")
        await service.cancel(tx, person(team.ada), double.id, CancelReason.DUPLICATE, duplicate_of="INC-1")
    assert "Bob" not in await team.responders(survivor)
    assert (await team.record(survivor))[-1] == "Ada cancelled INC-2 as a duplicate of this one"


async def standings(team: Team, incident: Incident) -> dict[str, str]:
    async with team.db.begin() as tx:
        return {person.name: person.standing.value for person in await queries.responders(tx, incident.id)}


async def turnout(team: Team, incident: Incident) -> tuple[int, int]:
    async with team.db.begin() as tx:
        found = (await queries.joined_counts(tx, [incident.id]))[incident.id]
    return found.joined, found.asked


async def test_who_is_asked_is_released_when_nobody_asks_any_more(team: Team) -> None:
    """F045: by somebody else's answer, and by the end; only who is asked or joined counts."""
    incident = await team.incident()
    policy_id = await team.policy(team.bob)
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("escalation_policy", policy_id)])
    assert await standings(team, incident) == {"Ada": "joined", "Bob": "asked"}
    assert await turnout(team, incident) == (1, 2)
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
    assert await standings(team, incident) == {"Ada": "joined", "Bob": "released"}
    assert await turnout(team, incident) == (1, 1)


async def test_whom_nothing_can_be_sent_to_is_unreachable_and_not_asked(team: Team) -> None:
    """F045: Cleo has no contact method; who declines is neither."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        both = [PageTarget("user", team.cleo.id), PageTarget("user", team.bob.id)]
        await service.page(tx, person(team.ada), incident.id, both)
    assert await standings(team, incident) == {"Ada": "joined", "Bob": "asked", "Cleo": "unreachable"}
    bobs = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        await service.decline_page(tx, person(team.bob), bobs.id)
    assert await standings(team, incident) == {"Ada": "joined", "Bob": "declined", "Cleo": "unreachable"}
    assert await turnout(team, incident) == (1, 1)


async def test_an_alert_that_somebody_else_takes_releases_whom_it_paged(team: Team) -> None:
    """F002, F045: and one that is unlinked asks nobody for the incident."""
    taken, unlinked = await team.alert(paging=team.bob), await team.alert("Slow", paging=team.cleo)
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [taken, unlinked])
    assert await standings(team, incident) == {"Ada": "joined", "Bob": "asked"}
    async with team.db.begin() as tx:
        await alerts.acknowledge(tx, person(team.ada), taken)
    assert await standings(team, incident) == {"Ada": "joined", "Bob": "released"}
    async with team.db.begin() as tx:
        await service.unlink_alert(tx, person(team.ada), incident.id, taken)
    assert await standings(team, incident) == {"Ada": "joined", "Bob": "released"}


async def test_who_let_a_page_go_by_is_asked_until_somebody_answers(world: World) -> None:
    """F045: the escalation went on to Cyd, and Bob may still come; once Cyd has, nobody asks him."""
    ada, bob, cyd = await world.people("ada", "bob", "cyd")
    policy = await world.policy([bob, cyd])
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(ada), title="Checkout is down")
        await service.page(tx, world.actor(ada), incident.id, [PageTarget("escalation_policy", policy.id)])
    await world.settle()
    await world.pass_time(minutes(6))

    async def stand() -> dict[str, str]:
        async with world.db.begin() as tx:
            return {each.name: each.standing.value for each in await queries.responders(tx, incident.id)}

    assert await stand() == {"Ada": "joined", "Bob": "asked", "Cyd": "asked"}
    async with world.db.begin() as tx:
        await service.acknowledge(tx, world.actor(cyd), incident.id)
    assert await stand() == {"Ada": "joined", "Bob": "released", "Cyd": "joined"}


async def test_who_never_answered_is_released_by_the_end(world: World) -> None:
    """F045: the escalation had run out before, so nothing else says that nobody asks any more."""
    ada, bob = await world.people("ada", "bob")
    policy = await world.policy([bob])
    async with world.db.begin() as tx:
        incident = await service.declare(tx, world.actor(ada), title="Checkout is down")
        await service.page(tx, world.actor(ada), incident.id, [PageTarget("escalation_policy", policy.id)])
    await world.settle()
    await world.pass_time(minutes(6))
    for expected in ("asked", "released"):
        async with world.db.begin() as tx:
            found = {each.name: each.standing.value for each in await queries.responders(tx, incident.id)}
            assert found == {"Ada": "joined", "Bob": expected}
            await service.resolve(tx, world.actor(ada), incident.id, "Done.")
