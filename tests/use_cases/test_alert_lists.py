"""What the lists of alerts count."""

import pytest

from tests.world import World
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.identity.access import EVERYTHING
from tocsin.incidents import service as incidents


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1000, {"open": 6, "needs_action": 5}),
        (5, {"open": 6, "needs_action": 5}),
        (3, {"open": 4, "needs_action": 3}),
    ],
    ids=["all of them", "just all of them", "more than are counted"],
)
async def test_what_needs_somebody_is_counted_to_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int, expected: dict[str, int]
) -> None:
    """F067, F074: what is linked needs somebody as well; the badges stop at their limit, each by itself."""
    ada = await world.person("ada")
    found = [await world.alert(f"Disk {number}") for number in range(6)]
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Disks", severity=3)
        await incidents.link_alerts(tx, world.actor(ada), incident.id, [found[3].id, found[4].id])
        await alerts.acknowledge(tx, world.actor(ada), found[5].id)
    monkeypatch.setattr(queries, "MOST_COUNTED", most)
    async with world.db.begin() as tx:
        assert await queries.counts(tx, EVERYTHING) == expected


async def test_what_is_unanswered_needs_action_whatever_it_is_linked_to(world: World) -> None:
    """F074: and what is acknowledged or resolved does not, linked or free."""
    ada = await world.person("ada")
    linked, free, taken, over = [await world.alert(title) for title in ("Linked", "Free", "Taken", "Over")]
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Disks", severity=3)
        await incidents.link_alerts(tx, world.actor(ada), incident.id, [linked.id, taken.id])
        await alerts.acknowledge(tx, world.actor(ada), taken.id)
        await alerts.resolve(tx, world.actor(ada), over.id)
    async with world.db.begin() as tx:
        found = await queries.listed(tx, EVERYTHING, queries.Filter(needs_action=True))
    assert {alert.id for alert, _, _ in found} == {linked.id, free.id}
