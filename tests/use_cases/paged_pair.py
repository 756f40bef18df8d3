"""Two who were paged for an alert, and what is done to it; what is told of it is asked of the world."""

from __future__ import annotations

from datetime import timedelta

from tests.world import World, minutes
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert
from tocsin.identity.model import User
from tocsin.notifications import telling
from tocsin.notifications.news import Wish

MOMENT = timedelta(seconds=10)


async def two_paged(world: World, title: str = "Disk full") -> tuple[User, User, Alert]:
    """Ada and Bob are paged together and have got it."""
    ada, bob = await world.people("ada", "bob")
    await world.route(await world.policy([[ada, bob]], wait=minutes(30)))
    alert = await world.alert(title)
    assert len(world.mail.to(ada)) == len(world.mail.to(bob)) == 1
    return ada, bob, alert


async def take(world: World, who: User, alert: Alert) -> None:
    async with world.db.begin() as tx:
        await alerts.acknowledge(tx, world.actor(who), alert.id)
    await world.settle()


async def give_back(world: World, who: User, alert: Alert) -> None:
    async with world.db.begin() as tx:
        await alerts.unacknowledge(tx, world.actor(who), alert.id)
    await world.settle()


async def end(world: World, alert: Alert) -> None:
    await world.signal({"title": alert.title, "status": "resolved", "key": alert.title})
    await world.settle()


async def wish(world: World, person: User, wanted: Wish) -> None:
    async with world.db.begin() as tx:
        await telling.set_preference(tx, world.actor(person), user_id=person.id, wish=wanted)


async def news_deliveries(world: World) -> list[str]:
    rows = await world.db.pool.fetch("SELECT state FROM delivery WHERE kind = 'news' ORDER BY id")
    return [row["state"] for row in rows]
