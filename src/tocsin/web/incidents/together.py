"""What is done to several incidents of the list at once, the dialogs that ask for more, and what is said of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from litestar import get, post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events import vocabulary
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident, IncidentRole, Status
from tocsin.incidents.service import MOST_TOGETHER, Change, Changed
from tocsin.kit.errors import Invalid, NotFound, Problem
from tocsin.web.base import became, forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked
from tocsin.web.base.screens import DialogScreen, Shell
from tocsin.web.incidents import dialogs
from tocsin.web.incidents.incident_list import INCIDENTS, show_list
from tocsin.web.parts.picking import Picker, picker
from tocsin.web.parts.targets import Choice


@dataclass(frozen=True, slots=True)
class About:
    """What a dialog is about: those that were chosen, and of them those that are over; `query` is their list."""

    chosen: Sequence[Incident]
    over: Sequence[Incident]
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRoleScreen(DialogScreen):
    """Giving a role in several incidents to one person."""

    template: ClassVar = "incidents/bulk_role.html"
    about: About
    roles: Sequence[Choice]
    people: Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResolveScreen(DialogScreen):
    """Resolving several incidents with one note; `effects` says what happens to what and to whom."""

    template: ClassVar = "incidents/bulk_resolve.html"
    about: About
    effects: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Asks:
    """What a dialog is made of."""

    tx: Tx
    shell: Shell
    who: Actor
    about: About
    asked: Asked
    refused: Refused | None


async def _role(asks: _Asks) -> BulkRoleScreen:
    in_sheet = asks.shell.in_sheet
    people = await picker(asks.tx, asks.who, "people", in_sheet=in_sheet, name="user_id", refused=asks.refused)
    return BulkRoleScreen(
        asks.shell,
        about=asks.about,
        roles=list(vocabulary.ROLES.items()),
        people=people,
        back=asks.asked.url(),
        refused=asks.refused,
    )


async def _resolve(asks: _Asks) -> BulkResolveScreen:
    tx, ids = asks.tx, [incident.id for incident in asks.about.chosen]
    alerts = await queries.open_alert_ids(tx, ids, asks.who.access)
    return BulkResolveScreen(
        asks.shell,
        about=asks.about,
        effects=dialogs.effects(
            len(alerts), await dialogs.being_paged(tx, ids, alerts), await dialogs.left_open(tx, asks.who, ids)
        ),
        back=asks.asked.url(),
        refused=asks.refused,
    )


def _given(form: Form) -> Change:
    if form.text("role") not in set(IncidentRole):
        raise Invalid("role", "Choose one of the list.")
    return incidents.GiveRole(IncidentRole(form.text("role")), form.id("user_id", USER_ID))


def _ended(form: Form) -> Change:
    return incidents.Resolve(form.text("resolution_note"))


@dataclass(frozen=True, slots=True)
class _Dialog:
    """An act that asks for more: its page, and what its form says."""

    make: Callable[[_Asks], Awaitable[BulkRoleScreen | BulkResolveScreen]]
    read: Callable[[Form], Change]
    needs: P


_DIALOGS: Mapping[str, _Dialog] = {
    "role": _Dialog(_role, _given, P.INCIDENT_EDIT),
    "resolve": _Dialog(_resolve, _ended, P.INCIDENT_RESOLVE),
}


@post("/incidents/bulk", needs=P.INCIDENT_EDIT)
async def change_incidents(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Do the same to all incidents that are selected, and say what happened to which.

    Form fields: act (lead, severity:<1 to 5>, status:<an open one>; role and resolve lead to their dialogs), id
    (repeated), list (the query of the list).
    """
    form = await forms.read(request)
    asked = Asked.again(INCIDENTS, form.text("list"))
    if form.text("act") in _DIALOGS and form.texts("id"):
        place = f"/incidents/bulk/{form.text('act')}"
        return pages.go(pages.address(place, id=_shown(form), list=asked.query))
    told: list[str] = []

    async def work(tx: Tx) -> None:
        told.append(await _do(tx, who, _chosen(who, form), form.chosen("id", MOST_TOGETHER)))

    refused = await forms.attempt(context, form, "bulk", work)
    return pages.go(asked.url(), told[0]) if refused is None else await show_list(request, context, who, asked, refused)


@get("/incidents/bulk/{act:str}", needs=P.INCIDENT_EDIT)
async def ask_for_more(request: AppRequest, context: Ctx, who: Who, act: FromPath[str]) -> pages.Page:
    """Show the dialog of an act for several: for each `id`, out of the list that `list` is the query of."""
    refs = [str(ref) for ref in request.query_params.getall("id", [])][:MOST_TOGETHER]
    return await _show(request, context, who, act, refs, str(request.query_params.get("list", "")))


@post("/incidents/bulk/{act:str}", needs=P.INCIDENT_EDIT)
async def do_what_was_asked(request: AppRequest, context: Ctx, who: Who, act: FromPath[str]) -> pages.Page:
    """Do it. Form fields: id (repeated), list; for a role: role, user_id; to resolve: resolution_note (Markdown)."""
    form = await forms.read(request)
    dialog = _dialog(act)
    told: list[str] = []

    async def work(tx: Tx) -> None:
        told.append(await _do(tx, who, dialog.read(form), form.chosen("id", MOST_TOGETHER)))

    refused = await forms.attempt(context, form, f"bulk-{act}", work)
    if refused is not None:
        return await _show(request, context, who, act, _shown(form), form.text("list"), refused)
    return pages.go(Asked.again(INCIDENTS, form.text("list")).url(), told[0])


async def _show(
    request: AppRequest,
    context: Context,
    who: Actor,
    act: str,
    refs: Sequence[str],
    query: str,
    refused: Refused | None = None,
) -> pages.Page:
    dialog, asked = _dialog(act), Asked.again(INCIDENTS, query)
    who.must_somewhere(dialog.needs)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        ids = await queries.ids_called(tx, who.access, refs)
        known = await queries.by_id(tx, who.access, ids.values())
        found = [known[ids[ref]] for ref in refs if ref in ids]
        chosen = [incident for incident in found if lifecycle.is_open(incident)]
        over = [incident for incident in found if not lifecycle.is_open(incident)]
        if not chosen:
            return pages.go(asked.url(), "All of these are over." if over else "Choose at least one.")
        screen = await dialog.make(_Asks(tx, shell, who, About(chosen, over, asked.query), asked, refused))
    return pages.render(screen)


def _dialog(act: str) -> _Dialog:
    found = _DIALOGS.get(act)
    if found is None:
        raise NotFound("There is no such act.")
    return found


def _shown(form: Form) -> list[str]:
    """Return of what was selected as much as a dialog is shown for; what it does is judged when it is sent."""
    return list(dict.fromkeys(form.texts("id")))[:MOST_TOGETHER]


def _chosen(who: Actor, form: Form) -> Change:
    """Read an act that needs no dialog."""
    verb, _, value = form.text("act").partition(":")
    if verb == "lead":
        return incidents.GiveRole(IncidentRole.LEAD, who.must_be_someone())
    if verb == "severity" and value in map(str, vocabulary.SEVERITIES):
        return incidents.ChangeSeverity(int(value))
    if verb == "status" and value in set(Status):
        return incidents.MoveTo(Status(value))
    raise Invalid("act", "Choose what to do.")


async def _do(tx: Tx, who: Actor, change: Change, refs: Sequence[str]) -> str:
    """Do it, and say what became of which."""
    found = await incidents.change_all(tx, who, change, refs)
    done = [each for each in found if isinstance(each, Changed)]
    new = [each.incident.reference for each in done if each.is_new]
    same = [each.incident.reference for each in done if not each.is_new]
    parts = [f"{await _words(tx, change)}: {became.listed(new)}."] if new else []
    parts += [f"As it was before: {became.listed(same)}."] if same else []
    not_done = [(ref, each) for ref, each in zip(refs, found, strict=True) if isinstance(each, Problem)]
    return " ".join([*parts, *became.refused(not_done)])


async def _words(tx: Tx, change: Change) -> str:
    match change:
        case incidents.GiveRole(role, user_id):
            (person,) = (await identity.users_by_id(tx, [user_id])).values()
            return f"{person.name} is {vocabulary.ROLES[role].lower()} of"
        case incidents.ChangeSeverity(severity):
            return f"{vocabulary.severity(severity)} now"
        case incidents.MoveTo(status):
            return f"{vocabulary.status(status).label} now"
        case incidents.Resolve():
            return "Resolved"


HANDLERS = [change_incidents, ask_for_more, do_what_was_asked]
