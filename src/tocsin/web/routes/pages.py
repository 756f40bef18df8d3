"""Routes: which alert goes to which policy, in which order, and the editor of one, which works without JavaScript."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tocsin.alerts import building, queries
from tocsin.alerts import service as alerts
from tocsin.alerts.building import Row
from tocsin.alerts.model import ALERT_ID, ROUTE_ID, AlertRoute
from tocsin.alerts.service import RouteChanges, RouteDraft, Trial
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events.vocabulary import called_alert
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.errors import Invalid
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import POLICY_ID
from tocsin.web.base import forms, lists, pages, portions
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Group, Listing, ListOf
from tocsin.web.base.screens import Shell, ShellScreen
from tocsin.web.parts.picking import Option, Picker
from tocsin.web.parts.targets import Choice
from tocsin.web.routes import dialogs
from tocsin.web.routes.sketch import (
    Sketch,
    empty,
    focus_after,
    must_be_finished,
    press,
    pressed,
    read_sketch,
    to_save,
    unfinished,
)

ROUTES = ListOf(
    place="/routes",
    one="route",
    many="routes",
    search="Name, condition",
    columns=(
        Column("n", "Place", is_quiet=True),
        Column("ttl", "Route"),
        Column("to", "Leads to", priority=2),
        Column("move", "Move", is_quiet=True),
    ),
)
# For whoever may not move them.
_FIXED = replace(ROUTES, columns=ROUTES.columns[:-1])


@dataclass(frozen=True, slots=True)
class RouteView:
    """One route in the list, the so-manieth (`number`) of all."""

    id: str
    number: int
    name: str
    condition: str
    is_catch_all: bool
    is_enabled: bool
    policy_id: str
    policy_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesScreen(ShellScreen):
    """A page of the routes in the order in which they are tried, the catch-all last.

    `movable` counts all that have a place among others.
    """

    template: ClassVar = "routes/routes.html"
    listing: Listing
    groups: list[Group[RouteView]]
    movable: int
    has_catch_all: bool
    may_edit: bool


@dataclass(frozen=True, slots=True)
class RowView:
    """One row of the builder, with what can be asked of its field and values that alerts have had."""

    field: str
    operator: str
    value: str
    operators: list[Choice]
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class HitView:
    """An alert for which the condition holds, and which route before takes it, if one does."""

    id: str
    ref: str
    title: str
    severity: int
    at: datetime
    taken_by: str


@dataclass(frozen=True, slots=True)
class TrialView:
    """What the condition would have done. `problem` says why it cannot be read, and all else is empty then.

    `undecided` says why it could be decided for none of those looked at, else empty.
    """

    problem: str
    looked_at: int
    matched: int
    would_take: int
    hits: list[HitView]
    undecided: str
    unknown_labels: Sequence[str]
    is_cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteScreen(ShellScreen):
    """One route, or a new one (`id` is empty), in the editor. It is the so-manieth (`place`) of `of`.

    `can_be_rows`: the expression has a shape that the rows can show. `trial` is None while there is nothing to try.
    `is_unsaved`: what is shown is as it was typed, and `focus` is the id of what has the focus then.
    """

    template: ClassVar = "routes/route_edit.html"
    id: str
    version: int
    is_catch_all: bool
    place: int
    of: int
    sketch: Sketch
    rows: list[RowView]
    can_be_rows: bool
    fields: list[Choice]
    policies: Picker
    has_policies: bool
    is_unsaved: bool
    focus: str
    has_catch_all: bool
    trial: TrialView | None
    may_edit: bool


@get("/routes", needs=P.ONCALL_VIEW)
async def route_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the routes in the order in which they are tried."""
    return await _show_list(request, context, who)


async def _show_list(request: AppRequest, context: Context, who: Actor) -> pages.Page:
    who.must(P.ONCALL_VIEW)
    may_edit = who.may(P.ONCALL_MANAGE)
    asked = Asked.by(ROUTES if may_edit else _FIXED, request)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        rows = await queries.routes(tx)
        wanted = {row.id for row in await queries.routes(tx, words=asked.words)} if asked.words else None
        names = {policy.id: policy.name for policy in await oncall.policies(tx, limit=forms.MOST_CHOICES)}
    views = [
        _view(row, number, names.get(row.escalation_policy_id) if row.escalation_policy_id else None)
        for number, row in enumerate(rows, start=1)
        if wanted is None or row.id in wanted
    ]
    found = await portions.read(asked, int, lambda view: view.number, portions.within(views, lambda view: view.number))
    screen = RoutesScreen(
        shell,
        listing=lists.listing_of(asked, found, total=len(views)),
        groups=lists.one_group(found.rows),
        movable=sum(not row.is_catch_all for row in rows),
        has_catch_all=any(row.is_catch_all for row in rows),
        may_edit=may_edit,
    )
    return pages.render(screen)


def _view(row: AlertRoute, number: int, policy_name: str | None) -> RouteView:
    return RouteView(
        id=ROUTE_ID.write(row.id),
        number=number,
        name=row.name,
        condition=row.condition,
        is_catch_all=row.is_catch_all,
        is_enabled=row.is_enabled,
        policy_id=POLICY_ID.write(row.escalation_policy_id) if row.escalation_policy_id else "",
        policy_name=policy_name,
    )


@get("/routes/new", needs=P.ONCALL_MANAGE)
async def new_route(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the editor with one empty row."""
    return await _edit(request, context, who, "", None)


@get("/routes/{id:str}", needs=P.ONCALL_VIEW)
async def route_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show the editor, or the route for those who may not change it."""
    return await _edit(request, context, who, id, None)


async def _show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    return await _edit(request, context, who, id, None, refused)


async def _edit(
    request: AppRequest,
    context: Context,
    who: Actor,
    id: str,
    sketch: Sketch | None,
    refused: Refused | None = None,
    *,
    focus: str = "",
) -> pages.Page:
    who.must(P.ONCALL_VIEW)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        screen = await _editor(tx, shell, who, ROUTE_ID.read(id) if id else None, sketch, refused)
    return pages.render(replace(screen, focus=focus))


async def _editor(
    tx: Tx, shell: Shell, who: Actor, id: UUID | None, sketch: Sketch | None, refused: Refused | None
) -> RouteScreen:
    route = await queries.route(tx, id) if id is not None else None
    routes = await queries.routes(tx)
    ordered = [row.id for row in routes if not row.is_catch_all]
    known = [Option(POLICY_ID.write(p.id), p.name) for p in await oncall.policies(tx, limit=forms.MOST_CHOICES)]
    first = known[0].value if known else ""
    shown = sketch or (_sketch_of(route) if route is not None else Sketch(policy_id=first, rows=(empty(),)))
    may_edit = who.may(P.ONCALL_MANAGE)
    labels: Mapping[str, Sequence[str]] = await alerts.known_labels(tx, who) if may_edit else {}
    is_catch_all = route is not None and route.is_catch_all
    return RouteScreen(
        shell,
        id=ROUTE_ID.write(route.id) if route is not None else "",
        version=route.version if route is not None else 0,
        is_catch_all=is_catch_all,
        place=ordered.index(route.id) + 1 if route is not None and route.id in ordered else len(ordered) + 1,
        of=len(ordered),
        sketch=shown,
        rows=[_row(row, labels.get(row.field.removeprefix("labels."), ())) for row in shown.rows],
        can_be_rows=building.read(shown.condition) is not None,
        fields=_fields(labels, shown.rows),
        policies=Picker(known, [option for option in known if option.value == shown.policy_id]),
        has_policies=bool(known),
        is_unsaved=sketch is not None,
        focus="",
        has_catch_all=any(row.is_catch_all and row.is_enabled for row in routes),
        trial=None if is_catch_all or not may_edit else await _trial(tx, who, shown.condition, id),
        may_edit=may_edit,
        refused=refused,
    )


def _sketch_of(route: AlertRoute) -> Sketch:
    read = building.read(route.condition)
    rows, any_of_them = read if read is not None else ([], False)
    return Sketch(
        name=route.name,
        policy_id=POLICY_ID.write(route.escalation_policy_id) if route.escalation_policy_id else "",
        is_enabled=route.is_enabled,
        by_rows=read is not None,
        any_of_them=any_of_them,
        rows=tuple(rows),
        expression=route.condition,
    )


def _row(row: Row, values: Sequence[str]) -> RowView:
    operators = [(each, building.OPERATORS[each]) for each in building.operators_of(row.field)]
    return RowView(row.field, row.operator, row.value, operators, values if row.field.startswith("labels.") else ())


def _fields(labels: Iterable[str], rows: Sequence[Row]) -> list[Choice]:
    names = dict.fromkeys(
        [f"labels.{name}" for name in labels] + [r.field for r in rows if r.field.startswith("labels.")]
    )
    return [*building.FIELDS.items(), *((name, f"Label {name.removeprefix('labels.')}") for name in names)]


async def _trial(tx: Tx, who: Actor, condition: str, id: UUID | None) -> TrialView | None:
    if not condition.strip():
        return None
    try:
        trial = await alerts.try_condition(tx, who, condition, route_id=id)
    except Invalid as problem:
        return TrialView(problem.message, 0, 0, 0, [], "", (), is_cut=False)
    return _told(trial)


def _told(trial: Trial) -> TrialView:
    hits = [
        HitView(
            ALERT_ID.write(hit.alert.id),
            called_alert(hit.alert.number),
            hit.alert.title,
            hit.alert.severity,
            hit.alert.created_at,
            hit.taken_by,
        )
        for hit in trial.hits
    ]
    undecided = trial.why_undecided if trial.undecided == trial.looked_at else ""
    return TrialView(
        "",
        trial.looked_at,
        trial.matched,
        trial.would_take,
        hits,
        undecided,
        trial.unknown_labels,
        is_cut=trial.is_cut,
    )


# What a use case calls a field, and what the form does.
_FIELDS = {"escalation_policy_id": "policy_id"}


async def _press(request: AppRequest, context: Context, who: Actor, id: str, form: Form, do: str) -> pages.Page:
    """Show the editor again as a button of it says; nothing is saved."""
    sketch = press(read_sketch(form), do, form)
    return await _edit(request, context, who, id, sketch, focus=focus_after(sketch, do, form))


def _draft(sketch: Sketch, form: Form) -> RouteDraft:
    must_be_finished(sketch)
    return RouteDraft(
        name=sketch.name,
        condition=sketch.condition,
        escalation_policy_id=form.optional_id("policy_id", POLICY_ID),
        is_catch_all=form.text("is_catch_all") == "1",
    )


@post("/routes", needs=P.ONCALL_MANAGE)
async def create(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Add a route above the catch-all, or apply a button of the editor and show it again.

    Form fields: name, policy_id, is_catch_all; by ("rows" or ""), any, row-count, row-n-field, -operator, -value,
    condition, new-label; do (nothing or "save" saves, "enter" as well where no new label is typed).
    """
    form = await forms.read(request)
    if do := pressed(form):
        return await _press(request, context, who, "", form, do)
    sketch, form = to_save(form)
    form_id = "new-catch-all" if form.text("is_catch_all") == "1" else "new-route"
    refused = await forms.attempt(context, form, form_id, partial(_create, who, sketch, form))
    if refused is None:
        return pages.go("/routes", "Route created.")
    if form_id == "new-catch-all":
        return await dialogs.CATCH_ALL.show(request, context, who, "", refused)
    return await _edit(request, context, who, "", sketch, refused, focus=next(iter(unfinished(sketch)), ""))


async def _create(who: Actor, sketch: Sketch, form: Form, tx: Tx) -> None:
    if await forms.once(tx, who, form, "route", repr(sorted(form.lists.items()))):
        with forms.naming(_FIELDS):
            await alerts.create_route(tx, who, _draft(sketch, form))


@post("/routes/{id:str}", needs=P.ONCALL_MANAGE)
async def update(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Save a route, or apply a button of the editor and show it again. Form fields as above, is_enabled, version."""
    form = await forms.read(request)
    if do := pressed(form):
        return await _press(request, context, who, id, form, do)
    sketch, form = to_save(form)
    refused = await forms.attempt(context, form, f"edit-{id}", partial(_update, who, id, sketch, form))
    if refused is not None:
        return await _edit(request, context, who, id, sketch, refused, focus=next(iter(unfinished(sketch)), ""))
    return pages.go("/routes", "Route saved.")


async def _update(who: Actor, id: str, sketch: Sketch, form: Form, tx: Tx) -> None:
    must_be_finished(sketch)
    changes = RouteChanges(
        name=sketch.name,
        condition=sketch.condition,
        escalation_policy_id=form.optional_id("policy_id", POLICY_ID),
        is_enabled=sketch.is_enabled,
    )
    with forms.naming(_FIELDS):
        await alerts.update_route(tx, who, ROUTE_ID.read(id), changes, if_version=form.version())


async def _move(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Try a route earlier or later. Form fields: to (up or down), or place, counted from 1."""
    if form.text("to") in ("up", "down"):
        await alerts.move_route(tx, who, id, up=form.text("to") == "up")
    else:
        await alerts.move_route(tx, who, id, to_place=form.whole("place", least=1, most=10_000))


async def _delete(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Remove a route. No fields."""
    await alerts.delete_route(tx, who, id)


HANDLERS = [
    route_list,
    new_route,
    route_page,
    *dialogs.HANDLERS,
    create,
    update,
    *Actions("/routes/{id:str}", _show, needs=P.ONCALL_MANAGE, ids=ROUTE_ID, leads_to="/routes").handlers(
        Action("move", _move, "Route moved.", form="move-{id}"),
        Action("delete", _delete, "Route deleted.", form="delete-dialog-form", show=dialogs.DELETE.show),
    ),
]
