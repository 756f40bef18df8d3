"""How a person wants to be told of changes of the incidents that they follow."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.configuration import ConfigurationChanged
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.identity.permission import must_manage
from tocsin.incidents import inbox_queries
from tocsin.incidents.following import ChangeKind, Way

# None: as `default_way` has it.
Ways = Mapping[ChangeKind, Way | None]


async def set_ways(tx: Tx, who: Actor, user_id: UUID, ways: Ways) -> dict[ChangeKind, Way | None]:
    """Say how a person is told; what is not named stays. What waits to be sent keeps to what was said before.

    Raises `Conflict` when their account is off, as nothing is told then.
    """
    must_manage(who, user_id)
    await identity.lock_active_user(tx, user_id)
    before = await inbox_queries.ways_of(tx, user_id)
    different = {change: way for change, way in ways.items() if before[change] != way}
    if different:
        await inbox_queries.store_preferences(tx, user_id, different)
        changes = [Change(field=change, old=before[change], new=way) for change, way in different.items()]
        kind = "change_preferences"
        await emit(
            tx, ConfigurationChanged(actor=who.ref, kind=kind, id=user_id, title="notifications", changes=changes)
        )
    return before | dict(ways)
