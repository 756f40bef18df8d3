"""Alert routes: which alerts go to which escalation policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from litestar import post
from litestar.params import JSONBody

from tocsin.alerts import queries, service
from tocsin.alerts.model import ALERT_ID, ROUTE_ID, AlertRoute
from tocsin.api.base.body import Body, naming
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.base.resource import ForAll, Order, Resource, by_words, plainly
from tocsin.db.engine import Tx
from tocsin.edge.context import Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.events.vocabulary import called_alert
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Invalid
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
    """One place earlier or later, or to a place of the list: one of the two.

    `place` counts from 1, which is tried first; one beyond the end is the last before the catch-all.
    """

    example: ClassVar[Mapping[str, Any]] = {"direction": "up"}
    direction: Literal["up", "down"] | None = None
    place: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class TryCondition(Body, kw_only=True):
    """A condition, and the route whose condition it is to be; without one it is that of a new route."""

    example: ClassVar[Mapping[str, Any]] = {"condition": 'labels.team == "payments" && severity <= 2'}
    condition: Condition
    route_id: str | None = None


class TakenAlert(msgspec.Struct):
    """An alert for which the condition holds. `taken_by` is the route before it that takes it first, or null."""

    alert_id: str
    number: str
    title: str
    created_at: Time
    taken_by: str | None


class TrialOut(msgspec.Struct):
    """For how many of the newest alerts the condition holds, and how many of these the route would take itself.

    `alerts` are the newest ten of them. For `undecided` of those looked at the condition is neither true nor false;
    `why_undecided` says why, of the newest, else empty. `unknown_labels` are named by the condition and none of the
    alerts has them. `is_cut`: there was no time to look at all 200.
    """

    looked_at: int
    matched: int
    would_take: int
    alerts: list[TakenAlert]
    undecided: int
    why_undecided: str
    unknown_labels: list[str]
    is_cut: bool


def _write(route: AlertRoute) -> RouteOut:
    leads_to = POLICY_ID.write_or_none(route.escalation_policy_id)
    return copied(RouteOut, route, ROUTE_ID, escalation_policy_id=leads_to)


async def _create(tx: Tx, who: Actor, **fields: Any) -> AlertRoute:
    return await service.create_route(tx, who, service.RouteDraft(**fields))


async def _move(tx: Tx, who: Actor, id: UUID, *, direction: str | None = None, place: int | None = None) -> AlertRoute:
    if (direction is None) is (place is None):
        raise Invalid("direction", "Give a direction or a place, one of the two.", code="count")
    return await service.move_route(tx, who, id, up=direction == "up", to_place=place)


@post("/actions/test", status_code=200, needs=P.ONCALL_MANAGE)
async def test_condition(context: Ctx, who: Who, data: JSONBody[TryCondition]) -> TrialOut:
    """Try a condition on the newest 200 alerts that one sees, without saving anything.

    It is read and decided as when alerts come in; 422 for one that cannot be read.
    """
    async with context.begin() as tx:
        with naming("route_id"):
            route_id = ROUTE_ID.read(data.route_id) if data.route_id is not None else None
        trial = await service.try_condition(tx, who, data.condition, route_id=route_id)
    return TrialOut(
        looked_at=trial.looked_at,
        matched=trial.matched,
        would_take=trial.would_take,
        alerts=[
            TakenAlert(
                ALERT_ID.write(hit.alert.id),
                called_alert(hit.alert.number),
                hit.alert.title,
                stamp(hit.alert.created_at),
                hit.taken_by or None,
            )
            for hit in trial.hits
        ],
        undecided=trial.undecided,
        why_undecided=trial.why_undecided,
        unknown_labels=list(trial.unknown_labels),
        is_cut=trial.is_cut,
    )


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
    ROUTES.list(
        ForAll(queries.routes),
        "List routes in the order in which they are tried; the catch-all is last.",
        asks=by_words("name and condition"),
    ),
    ROUTES.create(CreateRoute, _create, "Add a route."),
    ROUTES.get(ForAll(queries.route), "Show one route."),
    ROUTES.edit(
        EditRoute,
        service.RouteChanges,
        service.update_route,
        "Change a route (JSON merge patch); alerts that were routed before keep their decision.",
    ),
    ROUTES.delete(service.delete_route, "Remove a route; alerts that took it keep its name in their record."),
    ROUTES.action("move", _move, "Try a route earlier or later; answers with the route in its new place.", MoveRoute),
    test_condition,
)
