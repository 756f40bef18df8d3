"""Alert routes: which alerts go to which escalation policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from tocsin.alerts import queries, service
from tocsin.alerts.model import ROUTE_ID, AlertRoute
from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import (
    Cursor,
    Id,
    IfMatch,
    Limit,
    Listing,
    Time,
    answer,
    listing,
    read_if_match,
)
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.identity.access import P
from tocsin.kit.clock import stamp
from tocsin.oncall.model import POLICY_ID

T = TypeVar("T")
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
    name: Name
    condition: Condition = ""
    escalation_policy_id: str | None = None
    is_catch_all: bool = False
    is_enabled: bool = True


class EditRoute(Body, kw_only=True):
    """A merge patch: only the fields that are there change; a null policy records alerts without paging."""

    example: ClassVar[Mapping[str, Any]] = {"is_enabled": False}
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
    return RouteOut(
        id=ROUTE_ID.write(route.id),
        name=route.name,
        position=route.position,
        condition=route.condition,
        is_catch_all=route.is_catch_all,
        is_enabled=route.is_enabled,
        escalation_policy_id=POLICY_ID.write_or_none(route.escalation_policy_id),
        created_at=stamp(route.created_at),
        updated_at=stamp(route.updated_at),
        version=route.version,
    )


@get("/", needs=P.ONCALL_VIEW)
async def list_alert_routes(
    request: AppRequest, context: Ctx, who: Who, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[RouteOut]]:
    """List routes in the order in which they are tried; the catch-all is last."""
    after = read_place(cursor, tuple[bool, Position, UUID])
    async with context.begin() as tx:
        rows = await queries.routes(tx, after=after, limit=limit + 1)
    return listing(request, rows, limit, _write, lambda row: (row.is_catch_all, row.position, row.id))


@post("/", needs=P.ONCALL_MANAGE)
async def create_alert_route(context: Ctx, who: Who, data: JSONBody[CreateRoute]) -> Response[RouteOut]:
    """Add a route."""
    draft = service.RouteDraft(
        name=data.name,
        condition=data.condition,
        escalation_policy_id=_policy(data.escalation_policy_id),
        is_catch_all=data.is_catch_all,
        is_enabled=data.is_enabled,
    )
    async with context.begin() as tx:
        route = await service.create_route(tx, who, draft)
    return answer(_write(route), version=route.version, status=201)


@get("/{id:str}", needs=P.ONCALL_VIEW)
async def get_alert_route(context: Ctx, who: Who, id: Id) -> Response[RouteOut]:
    """Show one route."""
    async with context.begin() as tx:
        route = await queries.route(tx, ROUTE_ID.read(id))
    return answer(_write(route), version=route.version)


@patch("/{id:str}", needs=P.ONCALL_MANAGE)
async def edit_alert_route(
    context: Ctx, who: Who, id: Id, data: JSONBody[EditRoute], if_match: IfMatch = None
) -> Response[RouteOut]:
    """Change a route (JSON merge patch); alerts that were routed before keep their decision."""
    changes = service.RouteChanges(
        name=data.name,
        condition=data.condition,
        escalation_policy_id=_policy(data.escalation_policy_id),
        is_catch_all=data.is_catch_all,
        is_enabled=data.is_enabled,
    )
    async with context.begin() as tx:
        route = await service.update_route(tx, who, ROUTE_ID.read(id), changes, if_version=read_if_match(if_match))
    return answer(_write(route), version=route.version)


@delete("/{id:str}", needs=P.ONCALL_MANAGE)
async def delete_alert_route(context: Ctx, who: Who, id: Id) -> None:
    """Remove a route; alerts that took it keep its name in their record."""
    async with context.begin() as tx:
        await service.delete_route(tx, who, ROUTE_ID.read(id))


@post("/{id:str}/actions/move", status_code=200, needs=P.ONCALL_MANAGE)
async def move_alert_route(context: Ctx, who: Who, id: Id, data: JSONBody[MoveRoute]) -> Response[RouteOut]:
    """Try a route one place earlier or later; answers with the route in its new place."""
    async with context.begin() as tx:
        route = await service.move_route(tx, who, ROUTE_ID.read(id), up=data.direction == "up")
    return answer(_write(route), version=route.version)


def _policy(id: str | T) -> UUID | T:
    with naming("escalation_policy_id"):
        return POLICY_ID.read(id) if isinstance(id, str) else id


ROUTER = Router(
    "/alert_routes",
    route_handlers=[
        list_alert_routes,
        create_alert_route,
        get_alert_route,
        edit_alert_route,
        delete_alert_route,
        move_alert_route,
    ],
    tags=["alert routes"],
)
