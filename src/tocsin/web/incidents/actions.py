"""What people do on the page of an incident. Every form answers 303 to the page, or the page again when refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from litestar import post
from litestar.params import FromPath

from tocsin.alerts.model import ALERT_ID
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.events.vocabulary import SEVERITIES
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.model import CancelReason, IncidentRole, Status
from tocsin.kit.errors import Invalid
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import PageState
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form
from tocsin.web.incidents import incident
from tocsin.web.parts import own_page
from tocsin.web.parts.targets import read_target

Action = Callable[[Tx, Actor, str, Form], Awaitable[object]]


async def _act(
    request: AppRequest, context: Context, who: Actor, ref: str, form_id: str, action: Action, done: str = ""
) -> pages.Page:
    form = await forms.read(request)
    refused = await forms.attempt(context, form, form_id, partial(_run, action, who, ref, form))
    if refused is not None:
        return await incident.show(request, context, who, ref, refused)
    return pages.go(f"/incidents/{ref}", done)


async def _run(action: Action, who: Actor, ref: str, form: Form, tx: Tx) -> None:
    await action(tx, who, ref, form)


def _not_in_the_menu() -> Invalid:
    # Menus have no place for a field's error, so it stands above them.
    return Invalid("", "Choose one of the list.")


@post("/incidents/{ref:str}/title", needs=P.INCIDENT_EDIT)
async def change_title(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: title, version."""
    return await _act(request, context, who, ref, "title-form", _change_title)


async def _change_title(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    changes = incidents.IncidentChanges(title=form.text("title"))
    await incidents.update(tx, who, ref, changes, if_version=form.version())


@post("/incidents/{ref:str}/summary", needs=P.INCIDENT_EDIT)
async def change_summary(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: summary (Markdown), version."""
    return await _act(request, context, who, ref, "summary-form", _change_summary)


async def _change_summary(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    changes = incidents.IncidentChanges(summary=form.text("summary"))
    await incidents.update(tx, who, ref, changes, if_version=form.version())


@post("/incidents/{ref:str}/severity", needs=P.INCIDENT_EDIT)
async def change_severity(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: severity (1 to 5), version."""
    return await _act(request, context, who, ref, "severity", _change_severity)


async def _change_severity(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    if form.text("severity") not in map(str, SEVERITIES):
        raise _not_in_the_menu()
    changes = incidents.IncidentChanges(severity=int(form.text("severity")))
    await incidents.update(tx, who, ref, changes, if_version=form.version())


@post("/incidents/{ref:str}/status", needs=P.INCIDENT_EDIT)
async def change_status(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: status (an open one), version."""
    return await _act(request, context, who, ref, "status", _change_status)


async def _change_status(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    if form.text("status") not in set(Status):
        raise _not_in_the_menu()
    await incidents.update_status(tx, who, ref, Status(form.text("status")), if_version=form.version())


@post("/incidents/{ref:str}/roles", needs=P.INCIDENT_EDIT)
async def assign_role(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: role, user_id (empty: nobody), version."""
    role = (await forms.read(request)).text("role")
    return await _act(request, context, who, ref, f"role-{role}", _assign_role)


async def _assign_role(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    if form.text("role") not in set(IncidentRole):
        raise _not_in_the_menu()
    role = IncidentRole(form.text("role"))
    wanted = {role: form.optional_id("user_id", USER_ID)}
    with forms.naming({role: "user_id"}):
        await incidents.assign_roles(tx, who, ref, wanted, if_version=form.version())


@post("/incidents/{ref:str}/comments", needs=P.INCIDENT_COMMENT)
async def comment(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: body (Markdown), form_id. The same comment of the same page is written once."""
    return await _act(request, context, who, ref, "composer", _comment)


async def _comment(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    if await forms.once(tx, who, form, "comment", ref, form.text("body")):
        await incidents.comment(tx, who, ref, form.text("body"))


@post("/incidents/{ref:str}/acknowledge", needs=Right.SIGNED_IN)
async def acknowledge(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Take the incident on, and answer every page that one has about it and its alerts. No fields."""
    return await _act(request, context, who, ref, "acknowledge", _acknowledge)


async def _acknowledge(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    await incidents.acknowledge(tx, who, ref)


@post("/incidents/{ref:str}/answer", needs=Right.SIGNED_IN)
async def answer(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Answer one's own page about the incident or one of its alerts. Form fields as in `own_page.answer`."""
    return await _act(request, context, who, ref, "answer", _answer)


async def _answer(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    await own_page.answer(tx, who, form)


@post("/incidents/{ref:str}/join", needs=P.INCIDENT_EDIT)
async def join(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Become a responder. No fields."""
    return await _act(request, context, who, ref, "join", _join)


async def _join(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    await incidents.join(tx, who, ref)


@post("/incidents/{ref:str}/leave", needs=P.INCIDENT_EDIT)
async def leave(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Stop being a responder. No fields."""
    return await _act(request, context, who, ref, "leave", _leave)


async def _leave(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    await incidents.leave(tx, who, ref)


@post("/incidents/{ref:str}/page", needs=P.INCIDENT_PAGE)
async def page(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: target (`user:usr_…` or `policy:pol_…`), message, form_id. Sent twice, it pages once.

    When nobody can be reached there are no words of success; the page of the incident says it.
    """
    form = await forms.read(request)
    reached: list[str] = []
    already: list[str] = []
    refused = await forms.attempt(context, form, "page-form", partial(_page, who, ref, form, reached, already))
    if refused is not None:
        return await incident.show(request, context, who, ref, refused)
    is_or_are = "is" if len(reached) == 1 else "are"
    told = [f"{', '.join(reached)} {is_or_are} being paged."] if reached else []
    return pages.go(f"/incidents/{ref}", " ".join([*told, *already]))


async def _page(who: Actor, ref: str, form: Form, reached: list[str], already: list[str], tx: Tx) -> None:
    target = read_target(form, "target")
    if await forms.once(tx, who, form, "page", ref, form.text("target"), form.text("message")):
        asked = await incidents.page(tx, who, ref, [target], form.text("message"))
        reached += [name for _, name in asked.pages]
        already += [each.words for each in asked.already]
    else:
        incident_id = (await queries.get(tx, who.access, ref)).id
        asked = await oncall.pages_of(tx, incident_id=incident_id)
        reached += dict.fromkeys(name for page, name in asked if page.state == PageState.PAGING)


@post("/incidents/{ref:str}/alerts", needs=P.INCIDENT_EDIT)
async def link(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: do (link or unlink), alert_id."""
    return await _act(request, context, who, ref, "link-alert", _link)


async def _link(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    alert_id = form.id("alert_id", ALERT_ID)
    match form.text("do"):
        case "link":
            await incidents.link_alerts(tx, who, ref, [alert_id])
        case "unlink":
            await incidents.unlink_alert(tx, who, ref, alert_id)
        case _:
            raise _not_in_the_menu()


@post("/incidents/{ref:str}/resolve", needs=P.INCIDENT_RESOLVE)
async def resolve(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: resolution_note (Markdown, required), version."""
    return await _act(request, context, who, ref, "resolve-form", _resolve, "Incident resolved.")


async def _resolve(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    await incidents.resolve(tx, who, ref, form.text("resolution_note"), if_version=form.version())


@post("/incidents/{ref:str}/note", needs=P.INCIDENT_RESOLVE)
async def correct_note(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: resolution_note (Markdown, required), version."""
    return await _act(request, context, who, ref, "note-form", _correct_note)


async def _correct_note(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    changes = incidents.IncidentChanges(resolution_note=form.text("resolution_note"))
    await incidents.update(tx, who, ref, changes, if_version=form.version())


@post("/incidents/{ref:str}/close", needs=P.INCIDENT_RESOLVE)
async def close(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form field: version."""
    return await _act(request, context, who, ref, "close", _close, "Incident closed.")


async def _close(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    await incidents.close(tx, who, ref, if_version=form.version())


@post("/incidents/{ref:str}/cancel", needs=P.INCIDENT_RESOLVE)
async def cancel(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: reason, duplicate_of (INC-n, when a duplicate), note, version."""
    return await _act(request, context, who, ref, "cancel-form", _cancel, "Incident cancelled.")


async def _cancel(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    if form.text("reason") not in set(CancelReason):
        raise Invalid("reason", "Choose one of the list.")
    await incidents.cancel(
        tx,
        who,
        ref,
        CancelReason(form.text("reason")),
        note=form.text("note"),
        duplicate_of=form.text("duplicate_of").strip() or None,
        if_version=form.version(),
    )


@post("/incidents/{ref:str}/reopen", needs=P.INCIDENT_RESOLVE)
async def reopen(request: AppRequest, context: Ctx, who: Who, ref: FromPath[str]) -> pages.Page:
    """Form fields: reason (required), version."""
    return await _act(request, context, who, ref, "reopen-form", _reopen, "Incident reopened.")


async def _reopen(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    await incidents.reopen(tx, who, ref, form.text("reason"), if_version=form.version())


HANDLERS = [
    change_title,
    change_summary,
    change_severity,
    change_status,
    assign_role,
    comment,
    acknowledge,
    answer,
    join,
    leave,
    page,
    link,
    resolve,
    correct_note,
    close,
    cancel,
    reopen,
]
