"""What kind of incident it is, what to turn to first, and which of them are exercises."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.use_cases.incident_team import record_of
from tests.world import World
from tocsin.events import words
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import Actor
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Category, Priority
from tocsin.incidents.queries import Filters
from tocsin.incidents.service import IncidentChanges
from tocsin.kit.changes import Seen
from tocsin.kit.errors import Denied, Invalid, Stale
from tocsin.notifications.model import Urgency
from tocsin.oncall.escalation import PageTarget
from tocsin.web.base.queries import surroundings


async def lines(world: World, incident_id: UUID) -> list[tuple[str, str]]:
    async with world.db.begin() as tx:
        found = await record_of(tx, incident_id)
    told = [words.describe(event.name, event.actor_name, event.data) for event in reversed(found)]
    return [(line.text, line.detail) for line in told]


async def test_a_category_is_one_of_eight_and_its_changes_are_told(world: World) -> None:
    """F018."""
    ada = Actor.person(await world.person("ada"))
    assert len(Category) == 8
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, ada, title="Slow", category=Category.PERFORMANCE)
        await incidents.update(tx, ada, incident.id, IncidentChanges(category=Category.TECHNICAL_DEBT))
        await incidents.update(tx, ada, incident.id, IncidentChanges(category=None))
        plain = await incidents.declare(tx, ada, title="Plain")
    assert (incident.category, plain.category) == (None, None)
    told = [line for line in await lines(world, incident.id) if "category" in line[0]]
    assert [text for text, _ in told] == ["Ada changed the category"] * 2
    assert "Performance" in told[0][1] and "Technical debt" in told[0][1] and "Technical debt" in told[1][1]


async def test_what_is_no_category_and_no_priority_is_refused(world: World) -> None:
    """F017, F018: also hostile text."""
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.root, title="Slow")
        for field in ("category", "priority"):
            for value in ("<script>", "\u202eP1", "P5", "x" * 10_000):
                with pytest.raises(Invalid) as refused:
                    await incidents.update(tx, world.root, incident.id, IncidentChanges(**{field: value}))  # pyright: ignore
                assert refused.value.errors[0].pointer == f"#/{field}"


async def test_a_priority_follows_the_severity_until_somebody_sets_it(world: World) -> None:
    """F017."""
    ada = Actor.person(await world.person("ada"))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, ada, title="Slow")
        assert incident.priority == "P3"
        await incidents.update(tx, ada, incident.id, IncidentChanges(severity=1))
        assert incident.priority == "P1"
        await incidents.update(tx, ada, incident.id, IncidentChanges(priority=Priority.P4))
        await incidents.update(tx, ada, incident.id, IncidentChanges(severity=2))
        assert (incident.priority, incident.is_priority_set) == ("P4", True)
        await incidents.update(tx, ada, incident.id, IncidentChanges(priority=None))
        assert (incident.priority, incident.is_priority_set) == ("P2", False)
        chosen = await incidents.declare(tx, ada, title="Chosen", severity=5, priority=Priority.P1)
        assert chosen.priority == "P1"
    assert ("Ada changed the priority", "P4") in [
        (text, detail.rpartition(" ")[2]) for text, detail in await lines(world, incident.id)
    ]


async def test_an_incident_is_as_urgent_as_the_most_urgent_of_its_alerts(world: World) -> None:
    """F017: and has the priority of that; of a priority that was set this changes nothing."""
    ada = Actor.person(await world.person("ada"))
    mild, loud = await world.alert("Mild", severity=4), await world.alert("Loud", severity=1)
    assert (mild.urgency, loud.urgency) == (Urgency.LOW, Urgency.HIGH)
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, ada, alert_id=mild.id)
        assert (incident.urgency, incident.priority) == ("low", "P4")
        version = incident.version
        await incidents.link_alerts(tx, ada, incident.id, [loud.id])
        assert (incident.urgency, incident.priority, incident.version) == ("high", "P3", version + 1)
    assert "Ada changed the urgency" in [text for text, _ in await lines(world, incident.id)]


async def test_a_drill_says_so_in_messages_and_is_in_no_count(world: World) -> None:
    """F010."""
    ada, bob = await world.people("ada", "bob")
    who = Actor.person(ada)
    async with world.db.begin() as tx:
        await incidents.declare(tx, who, title="Real")
        drill = await incidents.declare(tx, who, title="Region lost", is_drill=True)
        await incidents.page(tx, who, drill.id, [PageTarget("user", bob.id)])
        around = await surroundings(tx, EVERYTHING, ada.id)
        assert around.badges["open_incidents"] == 1
        assert [each.title for each in await queries.listed(tx, EVERYTHING, Filters(is_drill=True))] == ["Region lost"]
        assert [each.title for each in await queries.listed(tx, EVERYTHING, Filters(is_drill=False))] == ["Real"]
    await world.settle()
    assert world.mail.subjects(bob) == ["Drill: Region lost"]
    assert (await lines(world, drill.id))[0][0] == f"Ada declared {drill.reference} as SEV3, a drill"


async def test_a_drill_becomes_real_by_an_act_of_its_own(world: World) -> None:
    """F010: with an entry; who may not resolve may not take an incident out of the figures, or put it back."""
    ada, cleo = Actor.person(await world.person("ada")), Actor.person(await world.person("cleo", role="stakeholder"))
    async with world.db.begin() as tx:
        drill = await incidents.declare(tx, ada, title="Region lost", is_drill=True)
        with pytest.raises(Denied):
            await incidents.update(tx, cleo, drill.id, IncidentChanges(is_drill=False))
        seen = Seen(drill.version)
        await incidents.update(tx, ada, drill.id, IncidentChanges(is_drill=False), if_version=seen)
        assert not drill.is_drill
        await incidents.update(tx, ada, drill.id, IncidentChanges(is_drill=False), if_version=seen)
        version = drill.version
        await incidents.update(tx, ada, drill.id, IncidentChanges(is_drill=True))
        assert drill.version == version + 1
    told = [text for text, _ in await lines(world, drill.id) if "drill" in text]
    assert told[1:] == ["Ada said that this is no drill", "Ada marked the incident as a drill"]


async def test_two_who_change_the_same_field_get_a_conflict_and_others_do_not(world: World) -> None:
    """F017, F018: by field."""
    ada, bob = Actor.person(await world.person("ada")), Actor.person(await world.person("bob"))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, ada, title="Slow")
        seen = Seen(incident.version)
        await incidents.update(tx, ada, incident.id, IncidentChanges(category=Category.COST), if_version=seen)
        with pytest.raises(Stale) as refused:
            await incidents.update(tx, bob, incident.id, IncidentChanges(category=Category.SECURITY), if_version=seen)
        assert refused.value.theirs[0].fields == {"category": "Cost"}
        await incidents.update(tx, bob, incident.id, IncidentChanges(priority=Priority.P1), if_version=seen)
    assert (incident.category, incident.priority) == ("cost", "P1")
