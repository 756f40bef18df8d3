"""How a batch of alerts is routed when one of them cannot be."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import pytest

from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.db.engine import Tx

Routing = Callable[[Tx, Sequence[UUID]], Awaitable[None]]


def together(severity: str) -> dict[str, object]:
    """Two alerts in one body, which are routed by one job."""
    labels = [{"alertname": name, "severity": severity} for name in ("Broken", "Sound")]
    return {"alerts": [{"status": "firing", "labels": each, "fingerprint": each["alertname"]} for each in labels]}


@pytest.mark.parametrize("anew", [False, True], ids=["new alerts", "alerts that got worse"])
async def test_an_alert_that_cannot_be_routed_does_not_hold_up_its_neighbours(
    world: World, monkeypatch: pytest.MonkeyPatch, anew: bool
) -> None:
    """F069, G04: after a few failures each alert of the batch is routed by itself."""
    ada = await world.person("ada")
    await world.route(await world.policy([ada], wait=minutes(60)), "severity == 1")
    source = await world.source("alertmanager")
    if anew:
        await world.signal(together("error"), source)
        await world.settle()
    name = "route_anew" if anew else "route"
    real: Routing = getattr(alerts, name)
    broken: list[UUID] = []

    async def route(tx: Tx, ids: Sequence[UUID]) -> None:
        if not broken:
            broken.append(await (await tx.raw()).fetchval("SELECT id FROM alert WHERE dedup_key = 'Broken'"))
        if broken[0] in ids:
            raise ValueError("this alert breaks the routing")
        await real(tx, ids)

    monkeypatch.setattr(alerts, name, route)
    await world.signal(together("critical"), source)
    for _ in range(4):
        await world.pass_time(minutes(0.2))
    assert world.mail.subjects(ada) == ["Sound"]
    # The other one is tried again, and paged once what broke it is mended.
    monkeypatch.setattr(alerts, name, real)
    await world.pass_time(minutes(5))
    assert sorted(world.mail.subjects(ada)) == ["Broken", "Sound"]
