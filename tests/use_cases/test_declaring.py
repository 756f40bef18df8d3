"""Declaring incidents by hand: what they begin with, who may, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from tests.use_cases.incident_team import Team, person
from tocsin.identity.model import Actor
from tocsin.incidents import service
from tocsin.incidents.model import CancelReason, IncidentRole, Status
from tocsin.kit.errors import Conflict, Denied, Invalid
from tocsin.oncall.escalation import PageTarget


async def test_a_declared_incident_has_a_number_defaults_and_a_lead(team: Team) -> None:
    """F001, F033, F044."""
    first, second = await team.incident(), await team.incident(team.bob, title="  Search\nis slow ", severity=1)

    assert (first.reference, first.severity, first.status, first.lead_id) == ("INC-1", 3, "declared", team.ada.id)
    assert (second.reference, second.title, second.severity) == ("INC-2", "Search is slow", 1)
    assert (second.reporter_id, second.reporter_name) == (team.bob.id, "Bob")
    assert first.acknowledged_at is None and first.started_at == first.declared_at
    assert await team.responders(first) == {"Ada": ("joined", "self")}
    assert await team.record(first) == ["Ada declared INC-1 as SEV3", "Ada joined"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"title": " "}, "#/title"),
        ({"title": "x" * 201}, "#/title"),
        ({"severity": 0}, "#/severity"),
        ({"severity": 6}, "#/severity"),
        ({"summary": "x" * 20_001}, "#/summary"),
    ],
)
async def test_what_is_wrong_with_a_new_incident_is_named(team: Team, fields: dict[str, object], pointer: str) -> None:
    """F001: and no number is used up."""
    with pytest.raises(Invalid) as refused:
        await team.incident(**fields)
    assert refused.value.errors[0].pointer == pointer
    assert (await team.incident()).reference == "INC-1"


async def test_it_cannot_have_started_in_the_future(team: Team) -> None:
    async with team.db.begin() as tx:
        with pytest.raises(Invalid, match="future"):
            await service.declare(tx, person(team.ada), title="x", started_at=tx.now + timedelta(minutes=1))


async def test_tocsin_itself_may_declare_and_the_first_to_join_leads(team: Team) -> None:
    """F033: nothing proceeds without a lead."""
    async with team.db.begin() as tx:
        incident = await service.declare(tx, Actor.system("Automation"), title="x")
        assert (incident.reporter_id, incident.reporter_name, incident.lead_id) == (None, "Automation", None)
    async with team.db.begin() as tx:
        with pytest.raises(Conflict, match="no lead"):
            await service.update_status(tx, person(team.ada), incident.id, Status.IDENTIFIED)
    async with team.db.begin() as tx:
        incident = await service.join(tx, person(team.bob), incident.id)
    assert (incident.lead_id, incident.status) == (team.bob.id, "investigating")
    assert "Bob took the role of lead" in await team.record(incident)


async def test_stakeholders_watch_only(team: Team) -> None:
    incident = await team.incident()
    who = person(team.cleo)
    async with team.db.begin() as tx:
        for attempt in (
            service.declare(tx, who, title="x"),
            service.prefill(tx, who, uuid4()),
            service.update(tx, who, incident.id, service.IncidentChanges(title="x")),
            service.update(tx, who, incident.id, service.IncidentChanges(severity=1)),
            service.update_status(tx, who, incident.id, Status.IDENTIFIED),
            service.acknowledge(tx, who, incident.id),
            service.join(tx, who, incident.id),
            service.leave(tx, who, incident.id),
            service.resolve(tx, who, incident.id, "x"),
            service.close(tx, who, incident.id, "x"),
            service.cancel(tx, who, incident.id, CancelReason.OTHER),
            service.reopen(tx, who, incident.id, "x"),
            service.comment(tx, who, incident.id, "x"),
            service.assign_roles(tx, who, incident.id, {IncidentRole.LEAD: None}),
            service.page(tx, who, incident.id, [PageTarget("user", team.bob.id)]),
            service.link_alerts(tx, who, incident.id, [uuid4()]),
            service.unlink_alert(tx, who, incident.id, uuid4()),
        ):
            with pytest.raises(Denied):
                await attempt
