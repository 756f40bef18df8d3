"""Alert routes: which alerts go to which escalation policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec

from tocsin.alerts import queries, service
from tocsin.alerts.model import ROUTE_ID, AlertRoute
from tocsin.api.base.body import Body
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.base.resource import ForAll, Order, Resource, plainly
from tocsin.db.engine import Tx
from tocsin.edge.cursors import read_place
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.ids import IdKind
from tocsin.oncall.model import POLICY_ID

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Position = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
Condition = Annotated[str, msgspec.Meta(max_length=2000, description="CEL over the fields of an alert.")]


class RouteOut(msgspec.Struct):
    """A condition and where alerts go when it is the first that holds. Without a policy they are only recorded."""

    id: str
    name: str
    position: int
    condition: str
    is_catch_all: bool
    is_enabled: bool
    escalation_policy_id: str | None
    created_at: Time
    updated_at: Time
    version: int


class CreateRoute(Body, kw_only=True):
    """A new route is tried after the others, but before the catch-all, which has no condition."""

    example: ClassVar[Mapping[str, Any]] = {
        "name": "Payments",
        "condition": 'labels.team == "payments" && severity <= 2',
        "escalation_policy_id": "pol_06b6fyrfa9xsgs9xe3vxkm3j3m",
    }
    refs: ClassVar[Mapping[str, IdKind]] = {"escalation_policy_id": POLICY_ID}
    name: Name
    condition: Condition = ""
    escalation_policy_id: str | None = None
    is_catch_all: bool = False
    is_enabled: bool = True


class EditRoute(Body, kw_only=True):
    """A merge patch: only the fields that are there change; a null policy records alerts without paging."""

    example: ClassVar[Mapping[str, Any]] = {"is_enabled": False}
    refs: ClassVar[Mapping[str, IdKind]] = {"escalation_policy_id": POLICY_ID}
    name: Name | msgspec.UnsetType = msgspec.UNSET
    condition: Condition | msgspec.UnsetType = msgspec.UNSET
    escalation_policy_id: str | msgspec.UnsetType | None = msgspec.UNSET
    is_catch_all: bool | msgspec.UnsetType = msgspec.UNSET
    is_enabled: bool | msgspec.UnsetType = msgspec.UNSET


class MoveRoute(Body, kw_only=True):
    """One place earlier or later."""

    example: ClassVar[Mapping[str, Any]] = {"direction": "up"}
    direction: Literal["up", "down"]


def _write(route: AlertRoute) -> RouteOut:
    leads_to = POLICY_ID.write_or_none(route.escalation_policy_id)
    return copied(RouteOut, route, ROUTE_ID, escalation_policy_id=leads_to)


async def _create(tx: Tx, who: Actor, **fields: Any) -> AlertRoute:
    return await service.create_route(tx, who, service.RouteDraft(**fields))


async def _move(tx: Tx, who: Actor, id: UUID, *, direction: str) -> AlertRoute:
    return await service.move_route(tx, who, id, up=direction == "up")


_AS_TRIED = Order(
    lambda row: (row.is_catch_all, row.position, row.id),
    lambda cursor: read_place(cursor, tuple[bool, Position, UUID]),
)
ROUTES = Resource(
    "/alert_routes",
    ROUTE_ID,
    RouteOut,
    plainly(_write),
    view=P.ONCALL_VIEW,
    manage=P.ONCALL_MANAGE,
    tag="alert routes",
    order=_AS_TRIED,
)
ROUTER = ROUTES.router(
    ROUTES.list(ForAll(queries.routes), "List routes in the order in which they are tried; the catch-all is last."),
    ROUTES.create(CreateRoute, _create, "Add a route."),
    ROUTES.get(ForAll(queries.route), "Show one route."),
    ROUTES.edit(
        EditRoute,
        service.RouteChanges,
        service.update_route,
        "Change a route (JSON merge patch); alerts that were routed before keep their decision.",
    ),
    ROUTES.delete(service.delete_route, "Remove a route; alerts that took it keep its name in their record."),
    ROUTES.action(
        "move", _move, "Try a route one place earlier or later; answers with the route in its new place.", MoveRoute
    ),
)
