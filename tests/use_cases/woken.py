"""People who were woken for an alert, and what became of the news to them."""

from __future__ import annotations

from tests.world import World, minutes
from tocsin.alerts.model import Alert
from tocsin.identity.model import User


async def two_paged(world: World, title: str = "Disk full") -> tuple[User, User, Alert]:
    """Ada and Bob are paged together and have got it."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    alert = await world.alert(title)
    assert len(world.mail.to(ada)) == len(world.mail.to(bob)) == 1
    return ada, bob, alert


async def news_deliveries(world: World) -> list[str]:
    rows = await world.db.pool.fetch("SELECT state FROM delivery WHERE kind = 'news' ORDER BY id")
    return [row["state"] for row in rows]
