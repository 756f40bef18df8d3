"""Working on an incident: fields, status, people, roles and comments."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.use_cases.incident_team import Team, names, person, record_of
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor, User
from tocsin.incidents import comment_queries, queries, service
from tocsin.incidents.model import CancelReason, IncidentRole, Status
from tocsin.kit.errors import Conflict, Invalid, Stale, Unauthenticated


async def test_fields_change_with_their_old_and_new_value(team: Team) -> None:
    """F075."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        start = tx.now - timedelta(hours=1)
        changed = await service.update(
            tx,
            person(team.bob),
            "INC-1",
            service.IncidentChanges(title="Checkout is slow", summary="", started_at=start),
            if_version=1,
        )
        assert (changed.title, changed.started_at, changed.version) == ("Checkout is slow", start, 2)
        await service.update(tx, person(team.bob), "INC-1", service.IncidentChanges(title="Checkout is slow"))
        await service.update(tx, person(team.bob), "INC-1", service.IncidentChanges(severity=1))
        same = await service.update(tx, person(team.bob), "INC-1", service.IncidentChanges(severity=1))
        assert same.version == 3
        event = (await record_of(tx, incident.id, limit=2))[1]
    assert event.data["changes"][0] == {"field": "title", "old": "Checkout is down", "new": "Checkout is slow"}
    assert (await team.record(incident))[-2:] == [
        "Bob changed the title and the start",
        "Bob raised the severity from SEV3 to SEV1",
    ]


async def test_an_old_copy_is_refused_and_nothing_is_lost(team: Team) -> None:
    """F040."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.update(
            tx, person(team.ada), incident.id, service.IncidentChanges(summary="It is the disk."), if_version=1
        )
    async with team.db.begin() as tx:
        who = person(team.bob)
        for attempt in (
            service.update(tx, who, incident.id, service.IncidentChanges(summary="x"), if_version=1),
            service.update(tx, who, incident.id, service.IncidentChanges(severity=1), if_version=1),
            service.update_status(tx, who, incident.id, Status.IDENTIFIED, if_version=1),
            service.resolve(tx, who, incident.id, "x", if_version=1),
            service.close(tx, who, incident.id, "x", if_version=1),
            service.cancel(tx, who, incident.id, CancelReason.OTHER, if_version=1),
            service.assign_roles(tx, who, incident.id, {IncidentRole.LEAD: None}, if_version=1),
            service.acknowledge(tx, who, incident.id, if_version=1),
        ):
            with pytest.raises(Stale, match="Nothing was saved"):
                await attempt
    async with team.db.begin() as tx:
        assert (await queries.get(tx, EVERYTHING, incident.id)).summary == "It is the disk."


async def test_of_two_edits_at_once_one_wins(team: Team) -> None:
    """F040."""
    incident = await team.incident()

    async def edit(user: User) -> None:
        async with team.db.begin() as tx:
            await service.update(
                tx, person(user), incident.id, service.IncidentChanges(title=f"By {user.name}"), if_version=1
            )

    results = await asyncio.gather(edit(team.ada), edit(team.bob), return_exceptions=True)
    assert sorted(str(type(result).__name__) for result in results) == ["NoneType", "Stale"]


async def test_status_moves_freely_between_open_states(team: Team) -> None:
    """F028, F030."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        for to in (Status.MITIGATED, Status.MONITORING, Status.INVESTIGATING, Status.INVESTIGATING):
            incident = await service.update_status(tx, person(team.ada), incident.id, to)
        assert incident.mitigated_at == tx.now and incident.version == 4
        for to in (Status.RESOLVED, Status.CLOSED, Status.CANCELLED):
            with pytest.raises(Invalid, match="Use “"):
                await service.update_status(tx, person(team.ada), incident.id, to)
    assert (await team.record(incident))[-1] == "Ada changed the status from monitoring to investigating"


async def test_two_people_acknowledge_at_once(team: Team) -> None:
    """F029: both join, the first one's time counts, and there is one acknowledgement in the record."""
    incident = await team.incident()

    async def take(user: User) -> None:
        async with team.db.begin() as tx:
            await service.acknowledge(tx, person(user), incident.id)

    await asyncio.gather(take(team.ada), take(team.bob), take(team.bob))
    async with team.db.begin() as tx:
        now = await queries.get(tx, EVERYTHING, incident.id)
        assert now.status == "investigating" and now.acknowledged_at is not None
        happened = await names(tx, incident.id)
        turnout = await queries.joined_counts(tx, [incident.id])
    assert happened.count("incident.acknowledged") == happened.count("incident.status_changed") == 1
    assert happened.count("incident.responder_joined") == 2
    assert (turnout[incident.id].joined, turnout[incident.id].asked) == (2, 2)


async def test_acknowledging_what_is_over_changes_nothing_but_joining_it_is_refused(team: Team) -> None:
    """F029, F046."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
    async with team.db.begin() as tx:
        same = await service.acknowledge(tx, person(team.bob), incident.id)
        assert (same.status, same.acknowledged_at, same.version) == ("resolved", same.resolved_at, 2)
        with pytest.raises(Conflict, match="Reopen it first"):
            await service.join(tx, person(team.bob), incident.id)


async def test_only_a_person_can_take_an_incident_on(team: Team) -> None:
    incident = await team.incident()
    async with team.db.begin() as tx:
        with pytest.raises(Unauthenticated):
            await service.join(tx, Actor.system("Automation"), incident.id)


async def test_people_join_and_leave(team: Team) -> None:
    """F045, F046."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.leave(tx, person(team.bob), incident.id)
        await service.join(tx, person(team.bob), incident.id)
        await service.join(tx, person(team.bob), incident.id)
        await service.leave(tx, person(team.bob), incident.id)
        await service.leave(tx, person(team.bob), incident.id)
        with pytest.raises(Conflict, match="You are lead of INC-1"):
            await service.leave(tx, person(team.ada), incident.id)
        turnout = await queries.joined_counts(tx, [incident.id])
    assert (turnout[incident.id].joined, turnout[incident.id].asked) == (1, 1)
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("left", "self")}
    assert (await team.record(incident)).count("Bob left") == 1


async def test_a_role_is_given_passed_on_and_given_up(team: Team) -> None:
    """F041, F042, F043: whoever gets one joins."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        for user_id in (team.bob.id, team.bob.id, team.ada.id, None):
            await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.COMMANDER: user_id})
        with pytest.raises(Invalid, match="who can sign in"):
            await service.assign_roles(tx, person(team.ada), incident.id, {IncidentRole.COMMUNICATOR: uuid4()})
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("joined", "role")}
    assert (await team.record(incident))[-4:] == [
        "Bob joined",
        "Ada made Bob commander",
        "Ada took the role of commander",
        "Ada is no longer commander",
    ]


async def test_comments_stand_in_the_timeline(team: Team) -> None:
    """F075, F076: and can be shown alone."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.comment(tx, person(team.bob), "INC-1", "  Looking at the **disk**. ")
        for wrong in ("", " \n", "x" * 10_001):
            with pytest.raises(Invalid):
                await service.comment(tx, person(team.bob), "INC-1", wrong)
        await service.comment(tx, person(team.bob), "INC-1", "x" * 10_000)
    async with team.db.begin() as tx:
        comments = await record_of(tx, incident.id, show="comments")
        written = await comment_queries.written_in(tx, comments)
        said = [written[comment_queries.comment_of(row.name, row.data)].body for row in comments]
        assert said == ["x" * 10_000, "Looking at the **disk**."]
        assert not any("disk" in str(row.data) for row in comments)
        rest = await record_of(tx, incident.id, show="events")
        assert [row.name for row in rest] == ["incident.responder_joined", "incident.declared"]
        older = await record_of(tx, incident.id, before=comments[0].position, limit=1)
        assert older[0].position == comments[1].position
