"""How incidents end and begin again: resolving, closing, cancelling, reopening."""

from __future__ import annotations

import asyncio

import pytest

from tests.postgres import until_somebody_waits
from tests.use_cases.incident_team import Team, names, person, record_of
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import queries, service
from tocsin.incidents.model import CancelReason, Incident
from tocsin.kit.errors import Conflict, Invalid
from tocsin.oncall.escalation import PageTarget


async def test_resolving_takes_the_alerts_along_and_stops_the_pages(team: Team) -> None:
    """F031, F032."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [alert_id])
        await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)], "Help")
    async with team.db.begin() as tx:
        with pytest.raises(Invalid, match="Say what was done"):
            await service.resolve(tx, person(team.ada), incident.id, " ")
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Cleaned the disk.", if_version=1)
    async with team.db.begin() as tx:
        again = await service.resolve(tx, person(team.bob), incident.id, "", if_version=1)
        assert again == await service.resolve(tx, person(team.bob), incident.id, " Cleaned the disk.")
        assert (again.resolution_note, again.version) == ("Cleaned the disk.", 2)
        alert = await alert_queries.get(tx, EVERYTHING, alert_id)
        assert (alert.status, alert.resolved_by) == ("resolved", "Ada")
        happened = await names(tx, incident.id)
    assert await team.run_states() == ["cancelled", "cancelled"]
    assert happened.count("incident.resolved") == 1
    told = "Ada resolved the incident and one alert with it; nobody had acknowledged it before"
    assert told in await team.record(incident)


async def test_two_people_resolve_at_once(team: Team) -> None:
    """F031: the first note stays, and whoever wrote the other one is told that it was not kept."""
    incident = await team.incident()

    async def resolve(user: User) -> str:
        async with team.db.begin() as tx:
            return (await service.resolve(tx, person(user), incident.id, f"By {user.name}.")).resolution_note

    results = await asyncio.gather(resolve(team.ada), resolve(team.bob), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "str"]
    async with team.db.begin() as tx:
        assert (await queries.get(tx, EVERYTHING, incident.id)).resolution_note in results


async def test_closing_an_open_incident_resolves_it_first(team: Team) -> None:
    """F034."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        with pytest.raises(Invalid):
            await service.close(tx, person(team.ada), incident.id)
    async with team.db.begin() as tx:
        closed = await service.close(tx, person(team.ada), incident.id, "Done.")
        assert closed.resolved_at == closed.closed_at == tx.now
        await service.close(tx, person(team.ada), incident.id)
        with pytest.raises(Conflict):
            await service.resolve(tx, person(team.ada), incident.id, "x")
        assert (await names(tx, incident.id))[-2:] == ["incident.resolved", "incident.closed"]


async def test_a_resolved_incident_is_closed_without_another_note(team: Team) -> None:
    """F034."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
        closed = await service.close(tx, person(team.ada), incident.id)
        assert (closed.status, closed.resolution_note) == ("closed", "Done.")


async def test_a_false_alarm_takes_its_alerts_along(team: Team) -> None:
    """F035."""
    alert_id, another = await team.alert(), await team.alert()
    incident = await team.incident(alert_id=alert_id)
    async with team.db.begin() as tx:
        await service.cancel(tx, person(team.ada), incident.id, CancelReason.FALSE_ALARM, note="A test.")
        await service.cancel(tx, person(team.ada), incident.id, CancelReason.FALSE_ALARM)
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).status == "resolved"
        assert (await queries.get(tx, EVERYTHING, incident.id)).cancel_reason == "false_alarm"
        with pytest.raises(Conflict, match="Reopen it first"):
            await service.link_alerts(tx, person(team.ada), incident.id, [another])
    assert (await team.record(incident))[-1] == "Ada cancelled the incident: a false alarm"


async def test_the_alerts_of_a_duplicate_move_to_the_incident_that_goes_on(team: Team) -> None:
    """F035, F074."""
    alert_id = await team.alert(paging=team.bob)
    main, double = await team.incident(), await team.incident(alert_id=alert_id, page_others=True)
    async with team.db.begin() as tx:
        with pytest.raises(Invalid, match="which incident"):
            await service.cancel(tx, person(team.ada), double.id, CancelReason.DUPLICATE)
    async with team.db.begin() as tx:
        await service.cancel(tx, person(team.ada), double.id, CancelReason.DUPLICATE, duplicate_of="INC-1")
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).incident_id == main.id
        assert (await queries.get(tx, EVERYTHING, double.id)).duplicate_of_id == main.id
    async with team.db.begin() as tx:
        with pytest.raises(Conflict, match="is cancelled itself"):
            await service.cancel(tx, person(team.ada), main.id, CancelReason.DUPLICATE, duplicate_of="INC-2")
    assert "Bob" in await team.responders(main)
    assert await team.run_states() == ["running"]
    assert (await team.record(double))[-1] == "Ada cancelled the incident: a duplicate of INC-1"


@pytest.mark.parametrize("end", ["resolved", "closed"])
async def test_the_open_alerts_of_a_duplicate_stay_free_when_the_other_incident_is_over(team: Team, end: str) -> None:
    """F074: an open alert is never out of sight; what is resolved stays in the record of the duplicate."""
    alert_id, over = await team.alert(paging=team.bob), await team.alert("Over")
    main, double = await team.incident(), await team.incident(alert_id=alert_id, page_others=True)
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), double.id, [over])
        await alerts.resolve(tx, person(team.ada), over)
        await (service.resolve if end == "resolved" else service.close)(tx, person(team.ada), main.id, "Done.")
    async with team.db.begin() as tx:
        await service.cancel(tx, person(team.ada), double.id, CancelReason.DUPLICATE, duplicate_of="INC-1")
    async with team.db.begin() as tx:
        free, kept = await alert_queries.get(tx, EVERYTHING, alert_id), await alert_queries.get(tx, EVERYTHING, over)
        assert (free.status, free.incident_id) == ("triggered", None)
        assert kept.incident_id == double.id
        assert [
            a.id for a, _, _ in await alert_queries.listed(tx, EVERYTHING, alert_queries.Filter(needs_action=True))
        ] == [alert_id]
    assert await team.run_states() == ["running"]
    assert "Ada unlinked the alert “Disk is full”" in await team.record(double)


async def test_cancelling_for_another_reason_lets_go_of_the_open_alerts(team: Team) -> None:
    """F074: they are in no incident any more and can be declared from again; what is resolved stays."""
    alert_id, over = await team.alert(paging=team.bob), await team.alert("Over")
    incident = await team.incident(alert_id=alert_id, page_others=True)
    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.ada), incident.id, [over])
        await alerts.resolve(tx, person(team.ada), over)
        await service.cancel(tx, person(team.ada), incident.id, CancelReason.OTHER)
    async with team.db.begin() as tx:
        free, kept = await alert_queries.get(tx, EVERYTHING, alert_id), await alert_queries.get(tx, EVERYTHING, over)
        assert (free.status, free.incident_id, kept.incident_id) == ("triggered", None, incident.id)
    assert await team.run_states() == ["running"]
    again = await team.incident(alert_id=alert_id)
    assert again.id != incident.id


@pytest.mark.parametrize("end", ["resolved", "closed", "cancelled"])
async def test_nothing_is_linked_to_an_incident_that_is_over(team: Team, end: str) -> None:
    """F074: the refusal says the way out, and after reopening it goes."""
    incident, alert_id = await team.incident(), await team.alert()
    async with team.db.begin() as tx:
        match end:
            case "resolved":
                await service.resolve(tx, person(team.ada), incident.id, "Done.")
            case "closed":
                await service.close(tx, person(team.ada), incident.id, "Done.")
            case _:
                await service.cancel(tx, person(team.ada), incident.id, CancelReason.OTHER)
    async with team.db.begin() as tx:
        with pytest.raises(Conflict, match=f"is {end}.*Reopen it first, or declare a new incident") as refused:
            await service.link_alerts(tx, person(team.ada), incident.id, [alert_id])
        assert refused.value.code == "incident.not_open"
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).incident_id is None
    async with team.db.begin() as tx:
        await service.reopen(tx, person(team.ada), incident.id, "It is back")
        await service.link_alerts(tx, person(team.ada), incident.id, [alert_id])
    async with team.db.begin() as tx:
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).incident_id == incident.id


async def test_an_alert_that_is_linked_while_the_incident_is_resolved_is_refused(team: Team) -> None:
    """F074: whoever links waits for whoever resolves, and then finds the incident over."""
    incident, alert_id = await team.incident(), await team.alert()

    async def link() -> None:
        async with team.db.begin() as tx:
            await service.link_alerts(tx, person(team.bob), incident.id, [alert_id])

    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
        waiting = asyncio.create_task(link())
        await until_somebody_waits(team.db)
    with pytest.raises(Conflict, match="is resolved"):
        await waiting
    async with team.db.begin() as tx:
        alert = await alert_queries.get(tx, EVERYTHING, alert_id)
        assert (alert.status, alert.incident_id) == ("triggered", None)


async def test_an_incident_that_is_resolved_while_an_alert_is_linked_ends_that_alert(team: Team) -> None:
    """F031, F074: whoever resolves waits for whoever links, and then finds the alert."""
    incident, alert_id = await team.incident(), await team.alert()

    async def resolve() -> None:
        async with team.db.begin() as tx:
            await service.resolve(tx, person(team.ada), incident.id, "Done.")

    async with team.db.begin() as tx:
        await service.link_alerts(tx, person(team.bob), incident.id, [alert_id])
        waiting = asyncio.create_task(resolve())
        await until_somebody_waits(team.db)
    await waiting
    async with team.db.begin() as tx:
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).status == "resolved"


async def test_a_duplicate_whose_other_incident_is_resolved_meanwhile_leaves_its_alerts_free(team: Team) -> None:
    """F074: the survivor counts as it is once its lock is free."""
    alert_id = await team.alert()
    main, double = await team.incident(), await team.incident(alert_id=alert_id, page_others=True)

    async def cancel() -> None:
        async with team.db.begin() as tx:
            await service.cancel(tx, person(team.bob), double.id, CancelReason.DUPLICATE, duplicate_of=main.id)

    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), main.id, "Done.")
        waiting = asyncio.create_task(cancel())
        await until_somebody_waits(team.db)
    await waiting
    async with team.db.begin() as tx:
        alert = await alert_queries.get(tx, EVERYTHING, alert_id)
        assert (alert.status, alert.incident_id) == ("triggered", None)


async def test_two_incidents_that_call_each_other_duplicates_do_not_deadlock(team: Team) -> None:
    """F035: both are locked in the order of their ids."""
    one, two = await team.incident(), await team.incident()

    async def cancel(it: Incident, other: Incident) -> None:
        async with team.db.begin() as tx:
            await service.cancel(tx, person(team.ada), it.id, CancelReason.DUPLICATE, duplicate_of=other.id)

    results = await asyncio.gather(cancel(one, two), cancel(two, one), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]


async def test_reopening_begins_another_round_and_keeps_the_first_in_the_record(team: Team) -> None:
    """F036."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.close(tx, person(team.ada), incident.id, "Rolled back.")
    async with team.db.begin() as tx:
        with pytest.raises(Invalid) as refused:
            await service.reopen(tx, person(team.bob), incident.id, " ")
        assert refused.value.errors[0].pointer == "#/reason"
        again = await service.reopen(tx, person(team.bob), incident.id, "It is back")
        await service.reopen(tx, person(team.bob), incident.id, "It is back")
        assert (again.status, again.round, again.resolution_note) == ("investigating", 1, "")
        assert (again.resolved_at, again.closed_at) == (None, None)
        event = (await record_of(tx, incident.id, limit=1))[0]
    assert event.data["resolution_note"] == "Rolled back." and event.data["resolved_at"]
    assert event.data["round"] == 1
