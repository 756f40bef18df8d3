"""Finding incidents again: by name, in lists, by filters and words."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.plans import plan_of
from tests.use_cases.incident_team import Team, person
from tocsin.db.engine import Database
from tocsin.identity.access import EVERYTHING
from tocsin.incidents import queries, service
from tocsin.incidents.model import INCIDENT_ID, Incident, IncidentRole, Status
from tocsin.incidents.queries import Place
from tocsin.kit.errors import NotFound


async def test_an_incident_is_found_by_number_public_id_and_id(team: Team) -> None:
    incident = await team.incident()
    async with team.db.begin() as tx:
        for ref in ("INC-1", "inc-1", INCIDENT_ID.write(incident.id), incident.id):
            assert (await queries.get(tx, EVERYTHING, ref)).id == incident.id
        for ref in ("INC-2", "", "inc_x", "1", "\0", uuid4()):
            with pytest.raises(NotFound):
                await queries.get(tx, EVERYTHING, ref)
            with pytest.raises(NotFound):
                await queries.lock(tx, EVERYTHING, ref)


async def _many(db: Database, count: int) -> None:
    await db.pool.execute(
        """
        INSERT INTO incident (id, number, reference, title, severity, status, reporter_name, started_at, declared_at,
                              updated_at, resolution_note, priority)
        SELECT gen_random_uuid(), n + 1000, 'INC-' || n + 1000, 'Incident ' || n, n % 5 + 1,
               CASE WHEN n % 10 = 0 THEN 'investigating' ELSE 'resolved' END, 'Ada', at, at, at, 'Done.',
               'P' || n % 4 + 1
        FROM generate_series(1, $1::int) n, LATERAL (SELECT now() - n / 3 * interval '1 hour' AS at)
        """,
        count,
    )


@pytest.mark.parametrize("sort", ["-declared_at", "declared_at", "severity", "-severity", "priority", "-priority"])
async def test_the_list_pages_without_gaps_or_repeats(db: Database, sort: queries.Sort) -> None:
    """F113, F114: also where several have the same time and severity."""
    await _many(db, 50)
    seen: list[Incident] = []
    async with db.begin() as tx:
        whole = await queries.listed(tx, EVERYTHING, sort=sort, limit=100)
        while page := await queries.listed(
            tx, EVERYTHING, sort=sort, after=Place.of(seen[-1], sort) if seen else None, limit=7
        ):
            seen += page
    assert [row.id for row in seen] == [row.id for row in whole]
    assert len(seen) == 50
    first, last = whole[0], whole[-1]
    match sort:
        case "-declared_at":
            assert first.declared_at > last.declared_at
        case "declared_at":
            assert first.declared_at < last.declared_at
        case "severity":
            assert (first.severity, last.severity) == (1, 5)
        case "-severity":
            assert (first.severity, last.severity) == (5, 1)
        case "priority":
            assert (first.priority, last.priority) == ("P1", "P4")
        case "-priority":
            assert (first.priority, last.priority) == ("P4", "P1")


async def test_the_list_is_filtered_and_searched(team: Team) -> None:
    """F114."""
    one = await team.incident(title="Disk 100% full", severity=1)
    two = await team.incident(team.bob, title="Search is slow", summary="Since the disk_move")
    async with team.db.begin() as tx:
        await service.resolve(tx, person(team.ada), one.id, "Done.")
        await service.assign_roles(tx, person(team.ada), two.id, {IncidentRole.COMMANDER: team.ada.id})

    async def found(**filters: object) -> list[str]:
        async with team.db.begin() as tx:
            q = str(filters.pop("q", ""))
            narrowed = queries.Filters(**filters)  # pyright: ignore[reportArgumentType]
            rows = await queries.listed(tx, EVERYTHING, narrowed, q=q)
            return [row.reference for row in rows]

    assert await found() == ["INC-2", "INC-1"]
    assert await found(statuses=[Status.RESOLVED]) == ["INC-1"]
    assert await found(statuses=[Status.RESOLVED, Status.DECLARED]) == ["INC-2", "INC-1"]
    assert await found(severities=[1, 2]) == ["INC-1"]
    assert await found(lead_ids=[team.bob.id]) == ["INC-2"]
    assert await found(commander_ids=[team.ada.id]) == ["INC-2"]
    assert await found(reporter_ids=[team.ada.id]) == ["INC-1"]
    assert await found(q="DISK") == ["INC-2", "INC-1"]
    assert await found(q="disk_m") == ["INC-2"]
    assert await found(q="0%") == ["INC-1"]
    assert await found(q="inc-2") == await found(q="#2") == await found(q="2") == ["INC-2"]
    assert await found(q="9" * 30) == await found(q="²") == await found(q="a\0b") == []
    assert await found(declared_from=two.declared_at) == ["INC-2"]
    assert await found(declared_to=two.declared_at) == ["INC-1"]
    assert await found(q="disk", severities=[5]) == []


@pytest.mark.own_database
@pytest.mark.parametrize(("sort", "turn"), [("-declared_at", "Scan using"), ("declared_at", "Scan Backward using")])
async def test_twenty_thousand_incidents_are_listed_from_the_index(db: Database, sort: queries.Sort, turn: str) -> None:
    """F113: the plan of the very list, not the clock, so that the test says the same on every machine."""
    await _many(db, 20_000)
    await db.pool.execute("ANALYZE incident")
    async with db.begin() as tx:
        open_ones = await queries.listed(
            tx, EVERYTHING, queries.Filters(statuses=[Status.INVESTIGATING]), sort=sort, limit=25
        )
        assert len(open_ones) == 25
        place = Place.of(open_ones[-1])
        plan = await plan_of(tx, queries.listed(tx, EVERYTHING, sort=sort, after=place, limit=25))
        assert f"Index {turn} incident_declared_at_idx" in plan, plan
        assert "Sort" not in plan, plan
        plan = await plan_of(
            tx, queries.listed(tx, EVERYTHING, queries.Filters(statuses=[Status.INVESTIGATING]), sort=sort, limit=25)
        )
    assert "Sort" not in plan, plan
