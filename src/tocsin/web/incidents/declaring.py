"""Declaring an incident, by hand or from an alert: a page, which opens as a dialog where there is a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from functools import partial
from typing import ClassVar

from litestar import get, post

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import ALERT_ID, Alert
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.events.vocabulary import called_alert
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import checks, gates, queries, similar_queries, text_template_queries, type_queries
from tocsin.incidents import service as incidents
from tocsin.incidents.drafting import refilled
from tocsin.incidents.fields import FIELDS
from tocsin.incidents.gates import ALWAYS
from tocsin.incidents.model import INCIDENT_ID, Incident, Status
from tocsin.incidents.service.declaring import DEFAULT_SEVERITY
from tocsin.incidents.type_model import IncidentType
from tocsin.kit.errors import Invalid
from tocsin.oncall import queries as oncall
from tocsin.oncall import service as oncall_service
from tocsin.oncall.model import POLICY_ID
from tocsin.oncall.service import Foretold
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import DialogScreen, Screen, Shell
from tocsin.web.parts import since
from tocsin.web.parts.custom_fields import FieldInput, Known, inputs, sent
from tocsin.web.parts.picking import Option, Picker, picker
from tocsin.web.parts.targets import read_targets

_MOST_FORETOLD = 20
_PRIVATE = "Private: only its teams see it, and who is asked."


@dataclass(frozen=True, slots=True)
class DeclareAlert:
    """The alert that an incident is declared from. `paged` are those who are asked about it now."""

    id: str
    ref: str
    title: str
    severity: int
    status: str
    acked_by: str | None
    paged: Sequence[str]


@dataclass(frozen=True, slots=True)
class AskedFor:
    """A field of the form, in the order of the type: title, severity or summary, or a custom one."""

    key: str
    is_required: bool
    field: FieldInput | None = None


@dataclass(frozen=True, slots=True)
class Declare:
    """What the form of a declaration begins with and offers; `suggested` is the policy that the alert has."""

    alert: DeclareAlert | None
    title: str
    summary: str
    severity: int
    category: str
    categories: Sequence[tuple[str, str]]
    needs_category: bool
    type: str
    types: Sequence[tuple[str, str]]
    # The template that filled it in, and those that there are.
    template: str
    templates: Sequence[tuple[str, str]]
    # What the type is for.
    about: str
    asked: Sequence[AskedFor]
    people: Picker
    targets: Picker
    suggested: Option | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclareScreen(DialogScreen):
    """The form of a declaration."""

    template: ClassVar = "incidents/declare.html"
    declare: Declare
    similar: Sequence[Incident]
    # What paging whom one has chosen would do.
    foretold: Sequence[Foretold]


@dataclass(frozen=True, slots=True)
class SimilarScreen(Screen):
    """Open incidents that may be the same one."""

    template: ClassVar = "incidents/similar.html"
    shell: Shell
    similar: Sequence[Incident]


@dataclass(frozen=True, slots=True)
class ForetoldScreen(Screen):
    """What paging whom one has chosen would do."""

    template: ClassVar = "incidents/foretold.html"
    shell: Shell
    foretold: Sequence[Foretold]


@get("/incidents/new", needs=P.INCIDENT_DECLARE, by_link=True)
async def declare_page(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the form of a declaration, from an alert with `?alert=alt_…`, of a type with `?type=`, with `?template=`.

    `?seen=` says what happened to the alert since.
    """
    return await _show(request, context, who, request.query_params.get("alert", ""))


async def _show(
    request: AppRequest,
    context: Context,
    who: Actor,
    alert: str,
    refused: Refused | None = None,
    *,
    refill: bool = False,
) -> pages.Page:
    who.must(P.INCIDENT_DECLARE)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        about = await alert_queries.get(tx, who.access, ALERT_ID.read(alert)) if alert else None
        if about is not None and "seen" in request.query_params:
            return pages.render(await since.of_alert(tx, request, shell, who, about))
        if about is not None and about.incident_id is not None:
            return await _lead_to_its_incident(tx, who, about)
        if refill and refused is not None:
            refused = await _refilled(tx, who, about, refused.form)
        offered = await _form(tx, who, shell, about, _asked(request, refused), refused)
        title = refused.form.text("title") if refused is not None else offered.title
        similar = await similar_queries.similar_to(tx, who.access, title)
        chosen = refused.form.texts("page") if refused is not None else []
        foretold = await _foretold(tx, who, chosen)
    screen = DeclareScreen(
        shell,
        declare=offered,
        similar=similar,
        foretold=foretold,
        back=ALERT_ID.page(alert) if alert else "/incidents",
        seen=str(since.instant(tx.now)) if about is not None else "",
        refresh_url=pages.address("/incidents/new", alert=alert),
        refused=refused,
    )
    return pages.render(screen)


def _asked(request: AppRequest, refused: Refused | None) -> tuple[str, str]:
    """Return the type and the template that somebody asks for."""
    if refused is not None:
        return refused.form.text("type"), refused.form.text("template")
    return request.query_params.get("type", ""), request.query_params.get("template", "")[:40]


async def _refilled(tx: Tx, who: Actor, alert: Alert | None, form: Form) -> Refused:
    """Fill the form in with the template that was chosen; what was typed stays."""
    alert_id = alert.id if alert is not None else None
    try:
        before = await incidents.prefill(tx, who, alert_id, form.text("filled_from")[:40])
        now = await incidents.prefill(tx, who, alert_id, form.text("template")[:40])
    except Invalid as problem:
        return Refused("declare-form", form, problem)
    begins = {draft: replace(draft, severity=draft.severity or DEFAULT_SEVERITY) for draft in (before, now)}
    said = refilled(form.sent, begins[before], begins[now])
    fields = {**form.lists, **{name: [value] for name, value in said.items()}, "filled_from": [form.text("template")]}
    return forms.ShownAgain.of("declare-form", Form(fields))


async def _lead_to_its_incident(tx: Tx, who: Actor, alert: Alert) -> pages.Page:
    """Lead there: somebody was faster, and what is to be done now is done there."""
    owners = [alert.incident_id] if alert.incident_id is not None else []
    owner = next(iter((await queries.by_id(tx, who.access, owners)).values()), None)
    if owner is None:
        place = ALERT_ID.page(ALERT_ID.write(alert.id))
        return pages.go(place, "It belongs to an incident already, which you may not see.")
    words = f"{called_alert(alert.number)} belongs to {owner.reference} already. Nothing new was declared."
    return pages.go(INCIDENT_ID.page(owner.reference), words)


async def _form(
    tx: Tx, who: Actor, shell: Shell, alert: Alert | None, wanted: tuple[str, str], refused: Refused | None
) -> Declare:
    """Return what the form offers; it begins with what template and alert say, and of the type with its defaults."""
    known = await type_queries.types(tx, is_archived=False)
    templates = await text_template_queries.text_templates(tx, is_archived=False)
    called, template = wanted
    template = template if template in {each.short_id for each in templates} else ""
    draft = await incidents.prefill(tx, who, alert.id if alert is not None else None, template)
    type = next((each for each in known if each.short_id == (called or draft.type)), None) or next(
        each for each in known if each.is_default
    )
    offer = partial(picker, tx, who, in_sheet=shell.in_sheet, refused=refused)
    return Declare(
        alert=await _about(tx, alert) if alert is not None else None,
        title=draft.title,
        summary=draft.summary,
        severity=draft.severity or type.default_severity or DEFAULT_SEVERITY,
        category=draft.category or "",
        categories=FIELDS["category"].choices,
        needs_category="category" in gates.needed(type.requirements, Status.DECLARED),
        type=type.short_id,
        types=[(each.short_id, each.name) for each in known],
        template=template,
        templates=[(each.short_id, each.name) for each in templates],
        about=" ".join(part for part in (type.description, _PRIVATE if type.is_private else "") if part),
        asked=await _asked_for(tx, who, shell, type, refused),
        people=await offer("people", name="lead_id"),
        targets=await offer("targets", name="page"),
        suggested=await _policy_of(tx, alert) if alert is not None else None,
    )


async def _asked_for(tx: Tx, who: Actor, shell: Shell, type: IncidentType, refused: Refused | None) -> list[AskedFor]:
    """Return the fields in the order of the type, and say of each when it is needed."""
    known = await type_queries.fields_called(tx, type.layout)
    fields = [known[key] for key in type.layout if key in known and known[key].archived_at is None]
    needed = gates.needed(type.requirements, Status.DECLARED)
    later = {key: state for state, key in reversed([*map(gates.split, type.requirements)]) if key not in needed}
    words = await Known.read(tx)
    notes = {
        each.key: f"Needed before it can be {gates.ENTERED[Status(later[each.key])]}."
        if each.key in later
        else words.condition(each)
        for each in fields
    }
    made = await inputs(
        tx,
        who,
        fields,
        {each.key: each.default_value for each in fields},
        zone=shell.now.tzinfo or UTC,
        in_sheet=shell.in_sheet,
        refused=refused,
        required=needed,
        notes=notes,
    )
    custom = {each.key: AskedFor(each.key, each.is_required, each) for each in made}
    return [
        custom.get(key) or AskedFor(key, key == "title" or key in needed)
        for key in type.layout
        if key in ALWAYS or key in custom
    ]


async def _about(tx: Tx, alert: Alert) -> DeclareAlert:
    paged = (await oncall.being_paged(tx, alert_ids=[alert.id])).get(alert.id, [])
    return DeclareAlert(
        id=ALERT_ID.write(alert.id),
        ref=called_alert(alert.number),
        title=alert.title,
        severity=alert.severity,
        status=alert.status,
        acked_by=alert.acknowledged_by,
        paged=sorted({each.name for each in paged}),
    )


async def _policy_of(tx: Tx, alert: Alert) -> Option | None:
    """Return the policy that the alert was routed to."""
    runs = await oncall.runs_of(tx, alert_ids=[alert.id])
    run = next((run for run in runs if run.policy_id is not None), None)
    if run is None or run.policy_id is None:
        return None
    return Option(f"policy:{POLICY_ID.write(run.policy_id)}", run.policy_name)


@get("/incidents/similar", needs=P.INCIDENT_DECLARE)
async def similar(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show open incidents that share words with `?title=`, while somebody types it."""
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        found = await similar_queries.similar_to(tx, who.access, request.query_params.get("title", "")[:200])
    return pages.render(SimilarScreen(shell, similar=found))


@get("/incidents/foretold", needs=P.INCIDENT_DECLARE)
async def foretold(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show what paging `?page=` (repeated: `user:usr_…`, `policy:pol_…`) for an incident would do now."""
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        found = await _foretold(tx, who, request.query_params.getall("page", []))
    return pages.render(ForetoldScreen(shell, foretold=found))


async def _foretold(tx: Tx, who: Actor, chosen: Sequence[str]) -> list[Foretold]:
    """Return what is said of those that were chosen, to whoever may see the policies."""
    if not who.may(P.ONCALL_VIEW) or not any(chosen):
        return []
    return await oncall_service.foretell(tx, read_targets(Form({"page": list(chosen)[:_MOST_FORETOLD]}), "page"))


@post("/incidents", needs=P.INCIDENT_DECLARE, by_link=True)
async def declare(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Declare an incident, give it its lead and page for it. A form that was sent twice declares one incident.

    With do=fields nothing is done: the form is shown again, with the fields of the type that was chosen; so it is with
    do=template, filled in by the template.
    """
    form = await forms.read(request)
    if form.text("do") in ("fields", "template"):
        again = forms.ShownAgain.of("declare-form", form)
        return await _show(request, context, who, form.text("alert_id"), again, refill=form.text("do") == "template")
    made: list[str] = []
    refused = await forms.attempt(context, form, "declare-form", partial(_declare, who, form, made))
    if refused is not None:
        return await _show(request, context, who, form.text("alert_id"), refused)
    return pages.go(INCIDENT_ID.page(made[0]) if made else "/incidents", "Incident declared." if made else "")


async def _declare(who: Actor, form: Form, made: list[str], tx: Tx) -> None:
    if not await forms.once(tx, who, form, "declare", repr(sorted(form.lists.items()))):
        made += [incident.reference for incident in await _declared_before(tx, who)]
        return
    with forms.naming({"targets": "page"}):
        incident = await incidents.declare(
            tx,
            who,
            title=form.text("title"),
            summary=form.text("summary"),
            severity=form.whole("severity", least=1, most=5),
            category=checks.category(form.text("category")),
            is_drill=form.text("is_drill") == "1",
            alert_id=form.optional_id("alert_id", ALERT_ID),
            lead_id=form.optional_id("lead_id", USER_ID),
            targets=read_targets(form, "page") if any(form.texts("page")) else [],
            filled=incidents.Filled(form.text("type"), await _sent(tx, who, form)),
            template=form.text("template")[:40],
        )
    made.append(incident.reference)


async def _sent(tx: Tx, who: Actor, form: Form) -> dict[str, object]:
    """Read the custom fields. One that the type asks for no more, as it has changed since, is refused as unknown."""
    fields = await type_queries.custom_fields(tx)
    values = sent(form, fields, {}, await identity.zone_of(tx, who.user_id))
    asked = {each.short_id: each.layout for each in await type_queries.types(tx)}.get(form.text("type"), [])
    return {key: value for key, value in values.items() if key in asked or value is not None}


async def _declared_before(tx: Tx, who: Actor) -> list[Incident]:
    """Return what this person declared last: where the first of two equal forms has led."""
    return await queries.listed(tx, who.access, queries.Filters(reporter_ids=[who.must_be_someone()]), limit=1)


HANDLERS = [declare_page, similar, foretold, declare]
