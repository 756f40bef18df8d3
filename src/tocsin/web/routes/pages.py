"""Routes: which alert goes to which policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import ROUTE_ID, AlertRoute
from tocsin.alerts.service import RouteChanges, RouteDraft
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import DialogScreen, ShellScreen
from tocsin.web.parts.targets import Choice


@dataclass(frozen=True, slots=True)
class RouteView:
    """One route as the page shows and edits it."""

    id: str
    name: str
    condition: str
    is_catch_all: bool
    is_enabled: bool
    policy_id: str
    policy_name: str | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesScreen(ShellScreen):
    """The routes in the order in which they are tried, the catch-all last."""

    template: ClassVar = "routes/routes.html"
    routes: list[RouteView]
    has_catch_all: bool
    may_edit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteScreen(DialogScreen):
    """Making a route, which has no id yet, or changing one, and the policies to choose from."""

    template: ClassVar = "routes/route_edit.html"
    route: RouteView
    policies: list[Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRouteScreen(DialogScreen):
    """Deleting a route."""

    template: ClassVar = "routes/route_delete.html"
    route: RouteView


@get("/routes", needs=P.ONCALL_VIEW)
async def route_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the routes in the order in which they are tried."""
    return await _show(request, context, who, "")


async def _show(
    request: AppRequest, context: Context, who: Actor, _: str, refused: Refused | None = None
) -> pages.Page:
    """Show all of them, whichever it is about."""
    who.must(P.ONCALL_VIEW)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        rows = await queries.routes(tx)
        names = {policy.id: policy.name for policy in await oncall.policies(tx, limit=forms.MOST_CHOICES)}
    screen = RoutesScreen(
        shell,
        routes=[_view(row, names.get(row.escalation_policy_id) if row.escalation_policy_id else None) for row in rows],
        has_catch_all=any(row.is_catch_all for row in rows),
        may_edit=who.may(P.ONCALL_MANAGE),
        refused=refused,
    )
    return pages.render(screen)


def _view(row: AlertRoute, policy_name: str | None) -> RouteView:
    return RouteView(
        id=ROUTE_ID.write(row.id),
        name=row.name,
        condition=row.condition,
        is_catch_all=row.is_catch_all,
        is_enabled=row.is_enabled,
        policy_id=POLICY_ID.write(row.escalation_policy_id) if row.escalation_policy_id else "",
        policy_name=policy_name,
        version=row.version,
    )


_NEW = RouteView("", "", "", False, True, "", None, 0)


@get("/routes/new", needs=P.ONCALL_MANAGE)
async def new_route(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the form of a new route, with `?catch_all=1` of the one that takes what no other took."""
    return await _show_new(request, context, who, request.query_params.get("catch_all") == "1")


async def _show_new(
    request: AppRequest, context: Context, who: Actor, is_catch_all: bool, refused: Refused | None = None
) -> pages.Page:
    who.must(P.ONCALL_MANAGE)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        policies = await _policies(tx)
    route = replace(_NEW, is_catch_all=is_catch_all, name="Everything else" if is_catch_all else "")
    route = replace(route, policy_id=policies[0][0] if policies else "")
    return pages.render(RouteScreen(shell, route=route, policies=policies, back="/routes", refused=refused))


@get("/routes/{id:str}/edit", needs=P.ONCALL_MANAGE)
async def edit_route(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show the form that changes a route."""
    return await _show_edit(request, context, who, id)


async def _show_edit(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    who.must(P.ONCALL_MANAGE)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        row = await queries.route(tx, ROUTE_ID.read(id))
        policies = await _policies(tx)
    return pages.render(RouteScreen(shell, route=_view(row, None), policies=policies, back="/routes", refused=refused))


@get("/routes/{id:str}/delete", needs=P.ONCALL_MANAGE)
async def ask_to_delete(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Ask whether a route is to be deleted."""
    who.must(P.ONCALL_MANAGE)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        row = await queries.route(tx, ROUTE_ID.read(id))
    return pages.render(DeleteRouteScreen(shell, route=_view(row, None), back="/routes"))


async def _policies(tx: Tx) -> list[Choice]:
    return [(POLICY_ID.write(each.id), each.name) for each in await oncall.policies(tx, limit=forms.MOST_CHOICES)]


# What a use case calls a field, and what the form does.
_FIELDS = {"escalation_policy_id": "policy_id"}


def _draft(form: Form) -> RouteDraft:
    return RouteDraft(
        name=form.text("name"),
        condition=form.text("condition"),
        escalation_policy_id=form.optional_id("policy_id", POLICY_ID),
        is_catch_all=form.text("is_catch_all") == "1",
    )


@post("/routes", needs=P.ONCALL_MANAGE)
async def create(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Add a route above the catch-all. Form fields: name, condition, policy_id, is_catch_all."""
    form = await forms.read(request)
    is_catch_all = form.text("is_catch_all") == "1"
    form_id = "new-catch-all" if is_catch_all else "new-route"
    refused = await forms.attempt(context, form, form_id, partial(_create, who, form))
    if refused is not None:
        return await _show_new(request, context, who, is_catch_all, refused)
    return pages.go("/routes", "Route created.")


async def _create(who: Actor, form: Form, tx: Tx) -> None:
    if await forms.once(tx, who, form, "route"):
        with forms.naming(_FIELDS):
            await alerts.create_route(tx, who, _draft(form))


async def _update(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Change a route. Form fields: name, condition, policy_id, is_enabled, version."""
    changes = RouteChanges(
        name=form.text("name"),
        condition=form.text("condition"),
        escalation_policy_id=form.optional_id("policy_id", POLICY_ID),
        is_enabled=form.text("is_enabled") == "1",
    )
    with forms.naming(_FIELDS):
        await alerts.update_route(tx, who, id, changes, if_version=form.version())


async def _move(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Try a route earlier or later. Form field `to`: up or down."""
    await alerts.move_route(tx, who, id, up=form.text("to") == "up")


async def _delete(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Remove a route. No fields."""
    await alerts.delete_route(tx, who, id)


HANDLERS = [
    route_list,
    new_route,
    create,
    edit_route,
    ask_to_delete,
    *Actions("/routes/{id:str}", _show, needs=P.ONCALL_MANAGE, ids=ROUTE_ID, leads_to="/routes").handlers(
        Action("", _update, "Route saved.", form="edit-{id}", show=_show_edit),
        Action("move", _move, form="{to}-{id}"),
        Action("delete", _delete, "Route deleted.", form="delete-{id}"),
    ),
]
