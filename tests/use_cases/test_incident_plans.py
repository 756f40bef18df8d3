"""Lists of incidents on a filled table: which index PostgreSQL takes for the statement that `queries` sends."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.plans import plan_of
from tests.world import World
from tocsin.identity.access import EVERYTHING
from tocsin.incidents import queries
from tocsin.incidents.model import OPEN

_FILL = """
INSERT INTO incident (id, number, reference, title, severity, status, reporter_name, started_at, declared_at,
                      updated_at, resolution_note, lead_id, commander_id, reporter_id)
SELECT gen_random_uuid(), n + 1000, 'INC-' || n + 1000, 'Incident ' || n, n % 5 + 1,
       CASE WHEN n % 200 = 0 THEN 'investigating' ELSE 'resolved' END, 'Ada', at, at, at, 'Done.',
       $1::uuid, $1::uuid, $1::uuid
FROM generate_series(1, 20000) n, LATERAL (SELECT now() - n / 3 * interval '1 hour' AS at)
"""


@pytest.fixture
async def ada(world: World) -> UUID:
    """Somebody who has to do with every incident of twenty thousand, beside bob, who has to do with none."""
    person = await world.person("ada")
    await world.db.pool.execute(_FILL, person.id)
    await world.db.pool.execute("ANALYZE incident")
    return person.id


@pytest.mark.own_database
@pytest.mark.parametrize("role", ["lead", "commander", "reporter"])
async def test_the_incidents_of_somebody_come_from_the_index(world: World, ada: UUID, role: str) -> None:
    """F114: also of somebody who has none, for whom the whole table was read."""
    bob = await world.person("bob")
    async with world.db.begin() as tx:
        for who in (ada, bob.id):
            filters: dict[str, Any] = {f"{role}_ids": [who]}
            plan = await plan_of(tx, queries.listed(tx, EVERYTHING, queries.Filters(**filters)))
            assert "Seq Scan" not in plan, plan
            assert "incident_declared_at_idx" in plan or f"incident_{role}_id_idx" in plan, plan
        assert f"incident_{role}_id_idx" in plan, plan


@pytest.mark.own_database
async def test_sorting_by_severity_follows_the_index(world: World, ada: UUID) -> None:
    """F113: SEV1 first and then the newest, without sorting anything."""
    async with world.db.begin() as tx:
        plan = await plan_of(tx, queries.listed(tx, EVERYTHING, sort="severity"))
        assert "incident_severity_idx" in plan, plan
        assert "Sort" not in plan, plan
        # The other way round it sorts within a severity.
        plan = await plan_of(tx, queries.listed(tx, EVERYTHING, sort="-severity"))
    assert "Seq Scan" not in plan, plan


@pytest.mark.own_database
async def test_the_open_ones_of_a_severity_come_from_their_own_index(world: World, ada: UUID) -> None:
    """F113: a hundred are open, whatever the table has grown to."""
    async with world.db.begin() as tx:
        plan = await plan_of(
            tx, queries.listed(tx, EVERYTHING, queries.Filters(statuses=list(OPEN), severities=[2]), sort="severity")
        )
        assert "incident_open_idx" in plan, plan
        plan = await plan_of(tx, queries.listed(tx, EVERYTHING, queries.Filters(statuses=list(OPEN)), sort="severity"))
    assert "incident_open_idx" in plan, plan
