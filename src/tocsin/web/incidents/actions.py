"""What people do on the page of an incident. Every form answers 303 to the page, or the page again when refused."""

from __future__ import annotations

from typing import TypeVar, cast

from tocsin.alerts.model import ALERT_ID
from tocsin.db.engine import Tx
from tocsin.edge.rights import Right
from tocsin.events.vocabulary import SEVERITIES
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.fields import FIELDS, Corrected, Field
from tocsin.incidents.model import INCIDENT_ID, CancelReason, IncidentRole, Status
from tocsin.kit.errors import Invalid
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import PageState
from tocsin.web.base import forms
from tocsin.web.base.actions import Action, Actions, Made, Run
from tocsin.web.base.forms import Form
from tocsin.web.incidents import dialogs, incident
from tocsin.web.incidents.times import time_in
from tocsin.web.parts import own_page
from tocsin.web.parts.action_items import written
from tocsin.web.parts.targets import read_targets

N = TypeVar("N", int, float)


def _not_in_the_menu() -> Invalid:
    # Menus have no place for a field's error, so it stands above them.
    return Invalid("", "Choose one of the list.")


def _writing(field: Field) -> Run:
    async def write(tx: Tx, who: Actor, ref: str, form: Form) -> None:
        said = {field.name: form.words(field.name) if field.form == "words" else form.text(field.name)}
        changes = incidents.IncidentChanges(**cast("Corrected", said))
        await incidents.update(tx, who, ref, changes, if_version=form.version())

    write.__name__, write.__doc__ = f"write_{field.name}", f"Form fields: {field.name}, version."
    return write


async def _change_severity(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: severity (1 to 5), version."""
    if form.text("severity") not in map(str, SEVERITIES):
        raise _not_in_the_menu()
    changes = incidents.IncidentChanges(severity=int(form.text("severity")))
    await incidents.update(tx, who, ref, changes, if_version=form.version())


async def _set_impact(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: affected_users, affected_percent (empty: not known), affected_regions, consequence, version."""
    changes = incidents.IncidentChanges(
        affected_users=_number(form, "affected_users", int),
        affected_percent=_number(form, "affected_percent", float),
        affected_regions=form.words("affected_regions"),
        consequence=form.text("consequence"),
    )
    await incidents.update(tx, who, ref, changes, if_version=form.version())


def _number(form: Form, name: str, kind: type[N]) -> N | None:
    """Read a number that may be left out; spaces and commas within it are those of thousands, or of a fraction."""
    said = form.text(name).strip().replace(" ", "")
    said = said.replace(",", "" if kind is int else ".")
    try:
        return kind(said) if said else None
    except ValueError:
        raise Invalid(name, "Write a number.") from None


async def _mark_drill(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: is_drill ("1": it is one), version."""
    changes = incidents.IncidentChanges(is_drill=form.text("is_drill") == "1")
    await incidents.update(tx, who, ref, changes, if_version=form.version())


async def _change_status(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: status (an open one), version."""
    if form.text("status") not in set(Status):
        raise _not_in_the_menu()
    await incidents.update_status(tx, who, ref, Status(form.text("status")), if_version=form.version())


async def _assign_role(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: role, user_id (empty: nobody), version."""
    if form.text("role") not in set(IncidentRole):
        raise _not_in_the_menu()
    role = IncidentRole(form.text("role"))
    wanted = {role: form.optional_id("user_id", USER_ID)}
    with forms.naming({role: "user_id"}):
        await incidents.assign_roles(tx, who, ref, wanted, if_version=form.version())


async def _comment(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: body (Markdown), form_id. The same comment of the same page is written once."""
    if await forms.once(tx, who, form, "comment", ref, form.text("body")):
        await incidents.comment(tx, who, ref, form.text("body"))


async def _acknowledge(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Take the incident on, and answer every page that one has about it and its alerts. No fields."""
    await incidents.acknowledge(tx, who, ref)


async def _answer(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Answer one's own page about the incident or one of its alerts. Form fields as in `own_page.answer`."""
    await own_page.answer(tx, who, form)


async def _join(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Become a responder. No fields."""
    await incidents.join(tx, who, ref)


async def _leave(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Stop being a responder. No fields."""
    await incidents.leave(tx, who, ref)


async def _page(tx: Tx, who: Actor, ref: str, form: Form) -> str:
    """Form fields: target (`user:usr_…` or `policy:pol_…`, repeated), message, form_id. Sent twice, it pages once.

    When nobody can be reached there are no words of success; the page of the incident says it.
    """
    targets = read_targets(form, "target")
    already: list[str] = []
    if await forms.once(tx, who, form, "page", ref, *sorted(form.texts("target")), form.text("message")):
        with forms.naming({"targets": "target"}):
            asked = await incidents.page(tx, who, ref, targets, form.text("message"))
        reached = [name for _, name in asked.pages]
        already = [each.words for each in asked.already]
    else:
        incident_id = (await queries.get(tx, who.access, ref)).id
        pages = await oncall.pages_of(tx, incident_id=incident_id)
        reached = list(dict.fromkeys(name for page, name in pages if page.state == PageState.PAGING))
    told = [f"{', '.join(reached)} {'is' if len(reached) == 1 else 'are'} being paged."] if reached else []
    return " ".join([*told, *already])


async def _link(tx: Tx, who: Actor, ref: str, form: Form) -> str:
    """Form fields: do (link or unlink), alert_id (repeated to link several)."""
    match form.text("do"):
        case "link":
            alerts = form.ids("alert_id", ALERT_ID)
            with forms.naming({"alert_ids": "alert_id"}):
                await incidents.link_alerts(tx, who, ref, alerts)
            return "Alert linked." if len(alerts) == 1 else f"{len(alerts)} alerts linked."
        case "unlink":
            await incidents.unlink_alert(tx, who, ref, form.id("alert_id", ALERT_ID))
            return "Alert unlinked."
        case _:
            raise _not_in_the_menu()


async def _resolve(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: resolution_note (Markdown, required), mitigated_at (empty: not known), version."""
    incident = await queries.get(tx, who.access, ref)
    mitigated_at = await time_in(tx, who, form, "mitigated_at", incident.mitigated_at)
    note = form.text("resolution_note")
    await incidents.resolve(tx, who, ref, note, mitigated_at=mitigated_at, if_version=form.version())


async def _close(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form field: version."""
    await incidents.close(tx, who, ref, if_version=form.version())


async def _cancel(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: reason, duplicate_of (INC-n, when a duplicate), note, version."""
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


async def _reopen(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: reason (required), version."""
    await incidents.reopen(tx, who, ref, form.text("reason"), if_version=form.version())


async def _add_item(tx: Tx, who: Actor, ref: str, form: Form) -> Made:
    """Form fields: description, due_date (empty: none), form_id. The same of the same page is added once."""
    if await forms.once(tx, who, form, "action-item", ref, form.text("description"), form.text("due_date")):
        await incidents.create_action_item(tx, who, ref, **written(form))
    return Made(f"{INCIDENT_ID.page(ref)}/action-items?add=1")


HANDLERS = Actions("/incidents/{ref:str}", incident.show, needs=P.INCIDENT_EDIT).handlers(
    *(
        Action(
            field.name,
            _writing(field),
            form=f"{field.name}-form",
            needs=field.needs,
            show=dialogs.FIELD_DIALOGS[field.name].show,
        )
        for field in FIELDS.values()
        if field.form is not None
    ),
    Action("severity", _change_severity),
    Action("status", _change_status),
    Action("impact", _set_impact, "Impact saved.", form="impact-form", show=dialogs.IMPACT.show),
    Action("drill", _mark_drill, form="drill-form", needs=P.INCIDENT_RESOLVE, show=dialogs.DRILL.show),
    Action("roles", _assign_role, form="role-{role}", show=dialogs.ROLE.show),
    Action("comments", _comment, form="composer", needs=P.INCIDENT_COMMENT, by_link=True),
    Action("acknowledge", _acknowledge, needs=Right.SIGNED_IN, by_link=True),
    Action("answer", _answer, needs=Right.SIGNED_IN, by_link=True),
    Action("join", _join, "You joined the incident."),
    Action("leave", _leave, "You left the incident."),
    Action("page", _page, form="page-form", needs=P.INCIDENT_PAGE, show=dialogs.PAGE.show),
    Action("action-items", _add_item, "Action item added.", form="add-action-item", show=incident.show_action_items),
    Action("alerts", _link, form="link-alert", show=dialogs.LINK.show),
    Action(
        "resolve",
        _resolve,
        "Incident resolved.",
        form="resolve-form",
        needs=P.INCIDENT_RESOLVE,
        show=dialogs.RESOLVE.show,
    ),
    Action("close", _close, "Incident closed.", form="close-form", needs=P.INCIDENT_RESOLVE, show=dialogs.CLOSE.show),
    Action(
        "cancel", _cancel, "Incident cancelled.", form="cancel-form", needs=P.INCIDENT_RESOLVE, show=dialogs.CANCEL.show
    ),
    Action(
        "reopen", _reopen, "Incident reopened.", form="reopen-form", needs=P.INCIDENT_RESOLVE, show=dialogs.REOPEN.show
    ),
)
