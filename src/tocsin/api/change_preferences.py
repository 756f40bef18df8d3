"""How people want to be told of changes of the incidents that they follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from litestar import Response, Router, get, put
from litestar.params import JSONBody

from tocsin.api.base.body import Body, fields_of
from tocsin.api.base.http import Id, answer
from tocsin.api.shapes.people import theirs
from tocsin.edge.context import Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity.model import USER_ID
from tocsin.incidents import inbox_queries
from tocsin.incidents.following import ChangeKind, Way
from tocsin.incidents.service import preferring
from tocsin.incidents.service.preferring import Ways


class ChangePreferencesOut(msgspec.Struct):
    """How the person is told of each kind of change. `null`: as it suits what they follow the incident by.

    `none`: not at all. All else is in the inbox: `inbox` there alone, `email` and `webhook` at once as well, `hourly`
    and `daily` in a digest by e-mail.
    """

    mentions: Way | None
    resolution: Way | None
    severity: Way | None
    status: Way | None
    roles: Way | None
    updates: Way | None
    action_items: Way | None
    comments: Way | None


class SetChangePreferences(Body, kw_only=True):
    """All of it: what is left out is as it is for somebody who has said nothing."""

    example: ClassVar[Mapping[str, Any]] = {"mentions": "email", "status": "hourly", "comments": "none"}
    mentions: Way | None = None
    resolution: Way | None = None
    severity: Way | None = None
    status: Way | None = None
    roles: Way | None = None
    updates: Way | None = None
    action_items: Way | None = None
    comments: Way | None = None


def _written(ways: Ways) -> ChangePreferencesOut:
    return ChangePreferencesOut(**{change.value: ways[change] for change in ChangeKind})


@get("/{id:str}/change_preferences", needs=Right.OWN)
async def get_change_preferences(context: Ctx, who: Who, id: Id) -> Response[ChangePreferencesOut]:
    """Show how the person is told of changes of the incidents that they follow."""
    async with context.begin() as tx:
        person = await theirs(tx, who, USER_ID.read(id))
        ways = await inbox_queries.ways_of(tx, person.id)
    return answer(_written(ways))


@put("/{id:str}/change_preferences", needs=Right.OWN)
async def set_change_preferences(
    context: Ctx, who: Who, id: Id, data: JSONBody[SetChangePreferences]
) -> Response[ChangePreferencesOut]:
    """Replace how the person is told. What waits to be sent is sent as it was to be.

    409 `user.inactive` for somebody whose account is switched off: nothing is told to them.
    """
    said = fields_of(data)
    async with context.begin() as tx:
        ways = await preferring.set_ways(
            tx, who, USER_ID.read(id), {change: said.get(change.value) for change in ChangeKind}
        )
    return answer(_written(ways))


ROUTER = Router("/users", route_handlers=[get_change_preferences, set_change_preferences], tags=["people"])
