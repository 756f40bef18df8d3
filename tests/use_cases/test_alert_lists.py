"""What the lists of alerts count."""

import pytest

from tests.world import World
from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.incidents import service as incidents


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (1000, {"open": 6, "triggered": 5, "needs_action": 3}),
        (5, {"open": 6, "triggered": 5, "needs_action": 3}),
        (3, {"open": 4, "triggered": 3, "needs_action": 3}),
    ],
    ids=["all of them", "just all of them", "more than are counted"],
)
async def test_what_needs_somebody_is_counted_to_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch, most: int, expected: dict[str, int]
) -> None:
    """F067: the badges of the tabs stop at their limit, each by itself."""
    ada = await world.person("ada")
    found = [await world.alert(f"Disk {number}") for number in range(6)]
    async with world.db.begin() as tx:
        incident = await incidents.declare(tx, world.actor(ada), title="Disks", severity=3)
        await incidents.link_alerts(tx, world.actor(ada), incident.id, [found[3].id, found[4].id])
        await alerts.acknowledge(tx, world.actor(ada), found[5].id)
    monkeypatch.setattr(queries, "MOST_COUNTED", most)
    async with world.db.begin() as tx:
        assert await queries.counts(tx) == expected
