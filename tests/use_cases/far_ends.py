"""How the other side may fail, and what people want to be reached on."""

from __future__ import annotations

from datetime import timedelta

from tests.world import World
from tocsin.identity.model import User
from tocsin.kit.errors import Patience, Refused, Transient
from tocsin.notifications import queries as notification_queries
from tocsin.notifications import service as notifications
from tocsin.notifications.model import Urgency

AWAY = Transient("The connection to the mail server failed.")
BAD = Transient("503", answered=True, may_have_arrived=True)
SILENT = Transient("No answer within 15 seconds.", may_have_arrived=True)
NO = Refused("550 no such user", answered=True)
GONE = Refused("410", patience=Patience.SHORT, answered=True)
IMPOSSIBLE = Refused("This is no address.", patience=Patience.NONE)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


async def add_hook(world: World, person: User) -> None:
    async with world.db.begin() as tx:
        await notifications.add_contact_method(
            tx, world.root, world.app.channels, user_id=person.id, kind="webhook", address=person.email
        )


async def set_rules(world: World, person: User, *rules: tuple[str, int]) -> None:
    """For pages of high urgency: which channel, after how many minutes."""
    async with world.db.begin() as tx:
        methods = {method.kind: method.id for method in await notification_queries.contact_methods(tx, person.id)}
        drafts = [notifications.RuleDraft(Urgency.HIGH, delay, methods[kind]) for kind, delay in rules]
        await notifications.set_rules(tx, world.actor(person), user_id=person.id, rules=drafts)
