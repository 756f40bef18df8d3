"""Severities in the words of other products, and what an incident does to customers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world import World
from tocsin.events import log, words
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.incidents.service import IncidentChanges
from tocsin.incidents.vocabularies import Native
from tocsin.kit.changes import Seen
from tocsin.kit.errors import Denied, Invalid, Stale


async def test_the_word_of_another_product_is_kept_until_somebody_judges(world: World) -> None:
    """F016."""
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.root, title="Slow", severity=Native("flanksource", "high"))
        assert (incident.severity, incident.native_severity, incident.priority) == (2, "high", "P2")
        await incidents.update(tx, world.root, incident.id, IncidentChanges(severity=Native("harness", "unheard of")))
        assert (incident.severity, incident.native_severity) == (5, "unheard of")
        await incidents.update(tx, world.root, incident.id, IncidentChanges(severity="SEV1"))
        assert (incident.severity, incident.native_severity, incident.native_vocabulary) == (1, None, None)
        with pytest.raises(Invalid):
            await incidents.update(tx, world.root, incident.id, IncidentChanges(severity="high"))


async def test_what_it_does_to_customers_is_said_and_its_history_is_kept(world: World) -> None:
    """F129."""
    ada = Actor.person(await world.person("ada"))
    cleo = Actor.person(await world.person("cleo", role="stakeholder"))
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, ada, title="Slow")
        seen = Seen(incident.version)
        changes = IncidentChanges(
            affected_users=2300, affected_percent=38.5, affected_regions=["EU", "eu", "EU"], consequence="Cannot pay."
        )
        await incidents.update(tx, ada, incident.id, changes, if_version=seen)
        assert incident.affected_regions == ["EU", "eu"]
        with pytest.raises(Stale) as refused:
            await incidents.update(tx, ada, incident.id, IncidentChanges(affected_users=1), if_version=seen)
        assert refused.value.theirs[0].fields == {"affected_users": "2,300"}
        await incidents.update(tx, ada, incident.id, IncidentChanges(affected_users=None))
        with pytest.raises(Denied):
            await incidents.update(tx, cleo, incident.id, IncidentChanges(consequence="None."))
    async with world.db.begin() as tx:
        events = await log.newest_first(tx, incident_id=incident.id)
    told = [words.describe(event.name, event.actor_name, event.data) for event in events]
    assert "2,300" in told[0].detail and "38.5" in told[1].detail and "Cannot pay." in told[1].detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("affected_users", -1),
        ("affected_users", 10**12 + 1),
        ("affected_percent", -0.1),
        ("affected_percent", 100.1),
        ("affected_regions", ["x" * 61]),
        ("affected_regions", ["a, b"]),
        ("affected_regions", [f"r{n}" for n in range(31)]),
        ("consequence", "x" * 2001),
    ],
)
async def test_what_no_impact_can_be_is_refused(world: World, field: str, value: Any) -> None:
    """F129."""
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.root, title="Slow")
        changes: Any = {field: value}
        with pytest.raises(Invalid) as refused:
            await incidents.update(tx, world.root, incident.id, IncidentChanges(**changes))
    assert refused.value.errors[0].pointer == f"#/{field}"
