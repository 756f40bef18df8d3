"""Asking for help from an incident, and what an answer to a page does to it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.use_cases.incident_team import Team, names, person
from tocsin.alerts import queries as alert_queries
from tocsin.alerts import service as alerts
from tocsin.identity.access import EVERYTHING
from tocsin.incidents import queries, service
from tocsin.kit.errors import Conflict, Denied, Invalid
from tocsin.oncall.escalation import PageTarget


async def test_people_are_paged_from_an_incident(team: Team) -> None:
    """F049, F045."""
    incident = await team.incident()
    policy_id = await team.policy(team.bob, team.ada)
    async with team.db.begin() as tx:
        targets = [PageTarget("escalation_policy", policy_id), PageTarget("user", team.ada.id)]
        asked = await service.page(tx, person(team.ada), incident.id, [*targets, targets[0]], "The disk is full")
        assert len(asked.runs) == 2
        assert [each.words for each in asked.already] == ["Ada has joined INC-1 already, and is paged all the same."]
        for wrong in ([], [PageTarget("user", uuid4())], [PageTarget("escalation_policy", uuid4())]):
            with pytest.raises(Invalid):
                await service.page(tx, person(team.ada), incident.id, wrong)
    assert await team.responders(incident) == {"Ada": ("joined", "self"), "Bob": ("paged", "paged")}
    record = await team.record(incident)
    assert "Ada paged Payments" in record and "Ada paged Ada" in record
    assert any(line.startswith("Bob was paged") for line in record)
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), incident.id, "Done.")
    async with team.db.begin() as tx:
        with pytest.raises(Conflict):
            await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)])


async def test_who_is_being_paged_already_is_not_paged_twice_and_it_is_said(team: Team) -> None:
    """F045, F049: neither a person nor a policy; once they have answered they can be asked anew."""
    incident = await team.incident()
    policy_id = await team.policy(team.bob)
    both = [PageTarget("escalation_policy", policy_id), PageTarget("user", team.bob.id)]
    async with team.db.begin() as tx:
        assert (await service.page(tx, person(team.ada), incident.id, both[:1])).already == []
    async with team.db.begin() as tx:
        again = await service.page(tx, person(team.ada), incident.id, both)
        assert again.runs == []
        assert [each.words for each in again.already] == [
            "Payments is being paged for INC-1 already, so nothing more was sent.",
            "Bob is being paged for INC-1 already, so nothing more was sent.",
        ]
        assert (await names(tx, incident.id)).count("incident.responder_paged") == 1
    async with team.db.begin() as tx:
        await service.answer_page(tx, person(team.bob), (await team.page_of(team.bob)).id)
    async with team.db.begin() as tx:
        anew = await service.page(tx, person(team.ada), incident.id, both[1:])
        assert len(anew.runs) == 1
        assert [each.words for each in anew.already] == ["Bob has joined INC-1 already, and is paged all the same."]


async def test_answering_a_page_about_an_incident_joins_and_acknowledges_it(team: Team) -> None:
    """F029, F050: other runs go on, and a second answer changes nothing."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        targets = [PageTarget("user", team.bob.id), PageTarget("user", team.ada.id)]
        await service.page(tx, person(team.ada), incident.id, targets)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        with pytest.raises(Denied, match="somebody else"):
            await service.answer_page(tx, person(team.ada), page.id)
    async with team.db.begin() as tx:
        answered = await service.answer_page(tx, person(team.bob), page.id, "email")
        assert answered.state == "acknowledged"
    async with team.db.begin() as tx:
        again = await service.answer_page(tx, person(team.bob), page.id, "email")
        assert again.answered_at == answered.answered_at
        assert (await queries.get(tx, EVERYTHING, incident.id)).status == "investigating"
        assert (await names(tx, incident.id)).count("page.acknowledged") == 1
    assert (await team.responders(incident))["Bob"] == ("joined", "paged")
    assert sorted(await team.run_states()) == ["answered", "running"]
    assert "Bob acknowledged the page by e-mail" in await team.record(incident)


async def test_a_double_click_answers_once(team: Team) -> None:
    """F029."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("user", team.bob.id)])
    page = await team.page_of(team.bob)

    async def click() -> str:
        async with team.db.begin() as tx:
            return (await service.answer_page(tx, person(team.bob), page.id, "email")).state

    assert await asyncio.gather(click(), click(), click()) == ["acknowledged"] * 3
    async with team.db.begin() as tx:
        happened = await names(tx, incident.id)
    assert happened.count("page.acknowledged") == happened.count("incident.acknowledged") == 1


async def test_acknowledging_an_incident_answers_ones_own_pages(team: Team) -> None:
    """F029, F050."""
    incident = await team.incident()
    async with team.db.begin() as tx:
        targets = [PageTarget("user", team.bob.id), PageTarget("user", team.ada.id)]
        await service.page(tx, person(team.ada), incident.id, targets)
    async with team.db.begin() as tx:
        await service.acknowledge(tx, person(team.bob), incident.id)
    assert (await team.page_of(team.bob)).state == "acknowledged"
    assert (await team.page_of(team.ada)).state == "paging"


async def test_answering_a_page_about_an_alert_takes_the_alert_on(team: Team) -> None:
    """F029."""
    alert_id = await team.alert(paging=team.bob)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        answered = await service.answer_page(tx, person(team.bob), page.id, "email")
        alert = await alert_queries.get(tx, EVERYTHING, alert_id)
        assert (answered.state, alert.status, alert.acknowledged_by) == ("acknowledged", "acknowledged", "Bob")
    async with team.db.begin() as tx:
        await alerts.resolve(tx, person(team.ada), alert_id)
    async with team.db.begin() as tx:
        again = await service.answer_page(tx, person(team.bob), page.id, "email")
        assert (again.state, again.answered_at) == ("acknowledged", answered.answered_at)
    assert await team.run_states() == ["answered"]


async def test_answering_a_page_about_a_linked_alert_joins_its_incident(team: Team) -> None:
    """F045."""
    alert_id = await team.alert(paging=team.bob)
    incident = await team.incident(alert_id=alert_id, page_others=True)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        await service.answer_page(tx, person(team.bob), page.id)
    assert (await team.responders(incident))["Bob"] == ("joined", "linked_alert")


async def test_a_page_that_somebody_else_answered_stays_as_it_is(team: Team) -> None:
    """F029."""
    alert_id = await team.alert(paging=team.bob)
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        await alerts.acknowledge(tx, person(team.ada), alert_id)
    async with team.db.begin() as tx:
        late = await service.answer_page(tx, person(team.bob), page.id)
        assert late.state == "cancelled"
        assert (await alert_queries.get(tx, EVERYTHING, alert_id)).acknowledged_by == "Ada"


async def test_a_page_is_declined(team: Team) -> None:
    """F045: the escalation goes on."""
    incident = await team.incident()
    policy_id = await team.policy(team.bob, team.ada)
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("escalation_policy", policy_id)])
    page = await team.page_of(team.bob)
    async with team.db.begin() as tx:
        assert (await service.decline_page(tx, person(team.bob), page.id)).state == "declined"
        assert (await service.decline_page(tx, person(team.bob), page.id)).state == "declined"
    assert (await team.responders(incident))["Bob"] == ("declined", "paged")
    assert (await team.page_of(team.ada)).state == "paging"
    record = await team.record(incident)
    assert record.count("Bob declined the page") == record.count("Bob cannot help with this") == 1


async def test_a_page_is_passed_on_by_hand_and_later_steps_make_responders(team: Team) -> None:
    """F049, F045: the reaction to a page may run twice and late."""
    incident = await team.incident()
    policy_id = await team.policy(team.ada, team.bob)
    async with team.db.begin() as tx:
        await service.page(tx, person(team.ada), incident.id, [PageTarget("escalation_policy", policy_id)])
    first = await team.page_of(team.ada)
    async with team.db.begin() as tx:
        with pytest.raises(Denied):
            await service.escalate_page(tx, person(team.cleo), first.id)
    async with team.db.begin() as tx:
        assert (await service.escalate_page(tx, person(team.ada), first.id)).state == "no_answer"
    second = await team.page_of(team.bob)
    for _ in range(2):
        async with team.db.begin() as tx:
            await service.note_page(tx, second.id)
    assert (await team.responders(incident))["Bob"] == ("paged", "paged")
    async with team.db.begin() as tx:
        await service.decline_page(tx, person(team.bob), second.id)
    async with team.db.begin() as tx:
        await service.note_page(tx, second.id)
    assert (await team.responders(incident))["Bob"] == ("declined", "paged")
