"""Incidents and their alerts: declaring from one, linking, and who joins by that."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from tests.use_cases.incident_team import Team, names, person
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.events.facts import Directly
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.incidents import queries, service
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.notifications.model import Urgency
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageContent


async def test_an_alert_fills_in_the_incident_and_is_taken_on(team: Team) -> None:
    """F002: its escalation ends, and whoever was paged for it becomes a responder."""
    alert_id = await team.alert(paging=team.bob)
    async with team.db.begin() as tx:
        draft = await service.prefill(tx, person(team.ada), alert_id)
    assert (draft.title, draft.severity) == ("Disk is full", 2)
    assert draft.summary == "No space left."

    incident = await team.incident(title="", alert_id=alert_id)

    assert (incident.title, incident.severity, incident.summary) == (draft.title, 2, draft.summary)
    assert incident.started_at < incident.declared_at
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("paged", "linked_alert")}
    assert await team.run_states() == ["answered"]
    async with team.db.begin() as tx:
        alert = await alert_queries.get(tx, EVERYTHING, alert_id)
        assert (alert.status, alert.acknowledged_by, alert.incident_id) == ("acknowledged", "Ada", incident.id)
        assert await alert_queries.linked_counts(tx, EVERYTHING, [incident.id]) == {incident.id: 1}
        events = await names(tx, incident.id)
    assert events[:3] == ["incident.declared", "incident.responder_joined", "incident.alert_linked"]
    assert "alert.acknowledged" in events


async def test_who_acknowledged_the_alert_before_joins_and_who_did_not_answer_stays_paged(team: Team) -> None:
    """F002, F045."""
    alert_id, policy_id = await team.alert(), await team.policy(team.ada, team.bob)
    async with team.db.begin() as tx:
        content = PageContent("Disk is full", "", 2, Urgency.HIGH, "Prometheus", {})
        start = oncall.Start(content=content, why=Directly(), alert_id=alert_id, policy_id=policy_id)
        await oncall.start(tx, [start])
    async with team.db.begin() as tx:
        await alerts.escalate(tx, person(team.ada), alert_id)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        await service.answer_page(tx, person(team.bob), page.id)
    async with team.db.begin() as tx:
        incident = await service.declare(tx, Actor.system("Automation"), alert_id=alert_id)

    assert await team.responders(incident) == {"Ada": ("paged", "linked_alert"), "Bob": ("joined", "linked_alert")}
    record = await team.record(incident)
    assert (record.count("Bob joined"), record.count("Ada joined")) == (1, 0)
    async with team.db.begin() as tx:
        turnout = await queries.joined_counts(tx, [incident.id])
        assert (turnout[incident.id].joined, turnout[incident.id].asked) == (1, 1)
        standing = {each.name: each.standing.value for each in await queries.responders(tx, incident.id)}
        # Bob has taken it, so nobody asks Ada any more.
        assert standing == {"Ada": "released", "Bob": "joined"}
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).acknowledged_by == "Bob"


async def test_who_acknowledged_the_alert_without_being_paged_joins_too(team: Team) -> None:
    """F002, F045: unless they gave it back."""
    kept, given_back = await team.alert("Kept", paging=team.ada), await team.alert("Given back", paging=team.ada)
    async with team.db.begin() as tx:
        for alert_id in (kept, given_back):
            await alerts.acknowledge(tx, person(team.bob), alert_id)
        await alerts.unacknowledge(tx, person(team.bob), given_back)

    first, second = await team.incident(alert_id=kept), await team.incident(alert_id=given_back)

    assert await team.responders(first) == {"Ada": ("joined", "self"), "Bob": ("joined", "self")}
    assert await team.responders(second) == {"Ada": ("joined", "self")}


async def test_an_alert_that_somebody_has_taken_on_makes_an_acknowledged_incident(team: Team) -> None:
    """F002, F029: by declaring, or before; what only pages others, or was given back, does not."""
    fresh, before, others, back = [await team.alert(title) for title in ("Fresh", "Before", "Others", "Back")]
    async with team.db.begin() as tx:
        for alert_id in (before, back):
            await alerts.acknowledge(tx, person(team.bob), alert_id)
        await alerts.unacknowledge(tx, person(team.bob), back)

    mine, bobs = await team.incident(alert_id=fresh), await team.incident(alert_id=before)
    own = await team.incident(team.bob, alert_id=await _acknowledged(team))
    for incident, name in ((mine, "Ada"), (bobs, "Bob"), (own, "Bob")):
        assert (incident.status, incident.acknowledged_at) == ("investigating", incident.declared_at)
        record = await team.record(incident)
        # Ada, who declared it, did not acknowledge what Bob had: it is in his hands.
        took = "The incident is in Bob’s hands" if incident is bobs else f"{name} acknowledged the incident"
        assert record.count(took) == 1
        who = "Ada" if incident is bobs else name
        assert f"{who} changed the status from declared to investigating" in record
    for alert_id in (others, back):
        incident = await team.incident(alert_id=alert_id, page_others=True)
        assert (incident.status, incident.acknowledged_at) == ("declared", None)


async def _acknowledged(team: Team) -> UUID:
    alert_id = await team.alert()
    async with team.db.begin() as tx:
        await alerts.acknowledge(tx, person(team.bob), alert_id)
    return alert_id


async def test_linking_an_alert_brings_whoever_acknowledged_it(team: Team) -> None:
    """F045, F074: but nobody who has left or declined."""
    incident = await team.incident()
    one, two = [await team.alert(title, paging=team.bob) for title in ("One", "Two")]
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [one])
        await alerts.acknowledge(tx, person(team.bob), two)
    assert (await team.responders(incident))["Bob"] == ("paged", "linked_alert")

    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [two])
    assert (await team.responders(incident))["Bob"] == ("joined", "linked_alert")

    async with team.db.begin() as tx:
        await service.leave(tx, person(team.bob), incident.id)
        await service.unlink_alert(tx, person(team.ada), incident.id, two)
        await service.link_alerts(tx, person(team.ada), incident.id, [two])
    assert (await team.responders(incident))["Bob"] == ("left", "linked_alert")


async def test_declaring_for_others_leaves_the_escalation_running(team: Team) -> None:
    """F002."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident(title="Mine", alert_id=alert_id, page_others=True, severity=5)
    assert (incident.title, incident.severity) == ("Mine", 5)
    assert await team.run_states() == ["running"]
    async with team.db.begin() as tx:
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).status == "triggered"


async def test_taking_on_one_alert_leaves_every_other_escalation_alone(team: Team) -> None:
    """F002, F050."""
    mine, _ = await team.alert(paging=team.ada), await team.alert(paging=team.bob)
    await team.incident(alert_id=mine)
    assert await team.run_states() == ["answered", "running"]


async def test_an_alert_belongs_to_one_incident(team: Team) -> None:
    """F074: whoever comes second is told where it is."""
    alert_id = await team.alert()
    first, second = await team.incident(alert_id=alert_id), await team.incident()
    async with team.db.begin() as tx:
        for attempt in (
            service.prefill(tx, person(team.bob), alert_id),
            service.declare(tx, person(team.bob), alert_id=alert_id),
            service.link_alerts(tx, person(team.bob), second.id, [alert_id]),
        ):
            with pytest.raises(Conflict, match="belongs to INC-1 already"):
                await attempt
        await service.link_alerts(tx, person(team.bob), first.id, [alert_id])


async def test_two_people_declaring_from_one_alert_make_one_incident(team: Team) -> None:
    """F002, F074."""
    alert_id = await team.alert()
    results = await asyncio.gather(
        team.incident(team.ada, alert_id=alert_id), team.incident(team.bob, alert_id=alert_id), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "Incident"]


async def test_alerts_are_linked_and_unlinked(team: Team) -> None:
    """F074: the people paged for them join as responders."""
    incident = await team.incident()
    one, two = await team.alert("One", paging=team.bob), await team.alert("Two")
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), "inc-1", [two, one])
    async with team.db.begin() as tx:
        await service.unlink_alert(tx, person(team.ada), incident.id, two)
        await service.unlink_alert(tx, person(team.ada), incident.id, two)
        assert [alert.id for alert in await alert_queries.of_incident(tx, EVERYTHING, incident.id)] == [one]
        assert (await queries.get(tx, EVERYTHING, incident.id)).version == 1
        with pytest.raises(NotFound):
            await service.link_alerts(tx, person(team.ada), "INC-99", [one])
        with pytest.raises(Invalid) as unknown:
            await service.link_alerts(tx, person(team.ada), incident.id, [one, uuid4()])
        assert unknown.value.errors[0].pointer == "#/alert_ids"
        with pytest.raises(Invalid):
            await service.link_alerts(tx, person(team.ada), incident.id, [])
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("paged", "linked_alert")}
    record = await team.record(incident)
    assert record[-3:] == [
        "Ada linked the alert “One”",
        "Ada linked the alert “Two”",
        "Ada unlinked the alert “Two”",
    ]
