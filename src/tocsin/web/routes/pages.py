"""Routes: which alert goes to which policy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

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
from tocsin.web.base.forms import Form, Refused


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


@get("/routes", needs=P.ONCALL_VIEW)
async def route_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the routes in the order in which they are tried."""
    return await _show(request, context, who)


async def _show(request: AppRequest, context: Context, who: Actor, refused: Refused | None = None) -> pages.Page:
    who.must(P.ONCALL_VIEW)
    async with context.db.begin() as tx:
        values = await pages.shell(tx, request, context, who)
        rows = await queries.routes(tx)
        names = {policy.id: policy.name for policy in await oncall.policies(tx, limit=forms.MOST_CHOICES)}
    values |= {
        "routes": [
            _view(row, names.get(row.escalation_policy_id) if row.escalation_policy_id else None) for row in rows
        ],
        "policies": [(POLICY_ID.write(id), name) for id, name in names.items()],
        "has_catch_all": any(row.is_catch_all for row in rows),
        "may": {"edit": who.may(P.ONCALL_MANAGE)},
        "conflict": "",
    }
    return pages.render("routes/routes.html", values, refused=refused)


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


async def _after(request: AppRequest, context: Context, who: Actor, refused: Refused | None, done: str) -> pages.Page:
    return await _show(request, context, who, refused) if refused is not None else pages.go("/routes", done)


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
    form_id = "new-catch-all" if form.text("is_catch_all") == "1" else "new-route"
    refused = await forms.attempt(context, form, form_id, partial(_create, who, form))
    return await _after(request, context, who, refused, "Route made.")


async def _create(who: Actor, form: Form, tx: Tx) -> None:
    if await forms.once(tx, who, form, "route"):
        with forms.naming(_FIELDS):
            await alerts.create_route(tx, who, _draft(form))


@post("/routes/{id:str}", needs=P.ONCALL_MANAGE)
async def update(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Change a route. Form fields: name, condition, policy_id, is_enabled, version."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, f"edit-{id}", partial(_update, who, id, form))
    return await _after(request, context, who, refused, "Route saved.")


async def _update(who: Actor, id: str, form: Form, tx: Tx) -> None:
    changes = RouteChanges(
        name=form.text("name"),
        condition=form.text("condition"),
        escalation_policy_id=form.optional_id("policy_id", POLICY_ID),
        is_enabled=form.text("is_enabled") == "1",
    )
    with forms.naming(_FIELDS):
        await alerts.update_route(tx, who, ROUTE_ID.read(id), changes, if_version=form.version())


@post("/routes/{id:str}/move", needs=P.ONCALL_MANAGE)
async def move(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Try a route earlier or later. Form field `to`: up or down."""
    form = await forms.read(request)
    refused = await forms.attempt(context, form, f"{form.text('to')}-{id}", partial(_move, who, id, form))
    return await _after(request, context, who, refused, "")


async def _move(who: Actor, id: str, form: Form, tx: Tx) -> None:
    await alerts.move_route(tx, who, ROUTE_ID.read(id), up=form.text("to") == "up")


@post("/routes/{id:str}/delete", needs=P.ONCALL_MANAGE)
async def delete(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Remove a route. No fields."""
    refused = await forms.attempt(context, Form({}), f"delete-{id}-dialog-form", partial(_delete, who, id))
    return await _after(request, context, who, refused, "Route deleted.")


async def _delete(who: Actor, id: str, tx: Tx) -> None:
    await alerts.delete_route(tx, who, ROUTE_ID.read(id))


HANDLERS = [route_list, create, update, move, delete]
