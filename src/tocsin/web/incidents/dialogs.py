"""What is typed into an incident: each form with a page of its own, which opens as a dialog where there is a script.

A page that is asked for with `?seen=` (the version that it was shown for) answers what has happened since; see
`web.parts.since`. A form that cannot be sent any more, as the incident stands, leads to the incident; one that was
refused is shown again whatever has become of it, with all that was typed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, ClassVar
from uuid import UUID

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest
from tocsin.events import vocabulary
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import action_item_queries, lifecycle, queries
from tocsin.incidents.action_item_queries import Listed
from tocsin.incidents.fields import FIELDS, Field, FormKind
from tocsin.incidents.model import INCIDENT_ID, Incident, IncidentRole, Status
from tocsin.kit.errors import Conflict, NotFound
from tocsin.kit.text import one_line
from tocsin.oncall import queries as oncall
from tocsin.web.base.screens import DialogScreen, Shell
from tocsin.web.incidents.custom_fields import needed_to
from tocsin.web.incidents.times import WRITTEN, written_as
from tocsin.web.parts import since
from tocsin.web.parts.action_items import ItemRow, item_rows
from tocsin.web.parts.dialogs import Dialog, NotAnyMore, Opened, Question
from tocsin.web.parts.picking import Option, Picker


@dataclass(frozen=True, slots=True)
class EditForm:
    """The form for one of the fields that the reader may write, and what it says now."""

    name: str
    label: str
    form: FormKind
    limit: int | None
    hint: str
    is_required: bool
    value: str
    choices: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditScreen(DialogScreen):
    """One field of an incident."""

    template: ClassVar = "incidents/edit.html"
    incident: Incident
    field: EditForm


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveScreen(DialogScreen):
    """Resolving an incident: `effects` says what happens to what and to whom, `still` what speaks against it."""

    template: ClassVar = "incidents/resolve.html"
    incident: Incident
    effects: Sequence[str]
    still: str
    may_monitor: bool
    # When the impact ended, as its field says it, and the latest that it can say.
    ended: str
    latest: str
    # What its type requires before, in words.
    needs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpactScreen(DialogScreen):
    """Saying what an incident does to customers; `regions` as its field has them."""

    template: ClassVar = "incidents/impact.html"
    incident: Incident
    regions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseScreen(DialogScreen):
    """Closing an incident: what is still `to_do` because of it stays open, and is listed."""

    template: ClassVar = "incidents/close.html"
    incident: Incident
    to_do: Sequence[ItemRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelScreen(DialogScreen):
    """Saying that it was no incident; of `others` one may go on."""

    template: ClassVar = "incidents/cancel.html"
    incident: Incident
    others: Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenScreen(DialogScreen):
    """Beginning another round."""

    template: ClassVar = "incidents/reopen.html"
    incident: Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class PageScreen(DialogScreen):
    """Asking for help."""

    template: ClassVar = "incidents/page.html"
    incident: Incident
    targets: Picker


@dataclass(frozen=True, slots=True)
class RoleHeld:
    """A role and who has it."""

    key: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleScreen(DialogScreen):
    """Giving a role to one of `people`, or to nobody."""

    template: ClassVar = "incidents/role.html"
    incident: Incident
    role: RoleHeld
    people: Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkScreen(DialogScreen):
    """Linking alerts that belong to no incident."""

    template: ClassVar = "incidents/link.html"
    incident: Incident
    linkable: Picker


@dataclass(frozen=True, slots=True)
class Asked:
    """What a dialog about an incident is made of, and what every screen of it has."""

    opened: Opened
    incident: Incident

    @property
    def tx(self) -> Tx:
        return self.opened.tx

    @property
    def shell(self) -> Shell:
        return self.opened.shell

    @property
    def about(self) -> dict[str, Any]:
        return {
            "incident": self.incident,
            "back": INCIDENT_ID.page(self.incident.reference),
            "seen": str(self.incident.version),
            "refused": self.opened.refused,
        }


Make = Callable[[Asked], Awaitable[DialogScreen]]
Must = Callable[[Incident], None]


def dialog_of(place: str, make: Make, needs: P, must: Must) -> Dialog:
    """Return the dialog at `GET <incident>/<place>`. `must` raises `Conflict` where the incident does not allow it."""

    async def read(opened: Opened) -> Incident:
        incident = await queries.get(opened.tx, opened.who.access, opened.id)
        opened.who.must(needs, on=incident)
        return incident

    async def show(opened: Opened) -> DialogScreen:
        """Show the form."""
        incident = await read(opened)
        if opened.refused is None:
            try:
                must(incident)
            except Conflict as problem:
                raise NotAnyMore(INCIDENT_ID.page(incident.reference), problem.message) from None
        return await make(Asked(opened, incident))

    async def news(request: AppRequest, opened: Opened) -> since.SinceScreen:
        return await since.of_incident(opened.tx, request, opened.shell, opened.who, await read(opened))

    show.__name__ = place.partition("/{")[0].replace("/", "_")
    return Dialog(f"/incidents/{{ref:str}}/{place}", show, needs, news=news)


def always(_: Incident) -> None:
    """Allow it however the incident stands."""


def _must_be_over(incident: Incident) -> None:
    if lifecycle.is_open(incident):
        raise Conflict(f"{incident.reference} is open already.")


def _editing(field: Field) -> Dialog:
    async def make(asked: Asked) -> DialogScreen:
        value = field.value(asked.incident)
        form = EditForm(
            name=field.name,
            label=field.label,
            form=field.form or "line",
            limit=field.limit,
            hint=field.hint,
            is_required=field.is_required,
            value=", ".join(value) if field.form == "words" else value or "",
            choices=field.choices,
        )
        return EditScreen(asked.shell, field=form, **asked.about)

    def must(incident: Incident) -> None:
        if not field.is_open_in(incident):
            raise Conflict(f"{incident.reference} is {incident.status}, so it has no {field.label.lower()}.")

    return dialog_of(field.name, make, field.needs, must)


async def _resolve(asked: Asked) -> DialogScreen:
    tx, who, incident = asked.tx, asked.opened.who, asked.incident
    linked = await alert_queries.of_incident(tx, who.access, incident.id)
    still = [alert for alert in linked if alert.status != AlertStatus.RESOLVED]
    paged = await being_paged(tx, [incident.id], [alert.id for alert in still])
    return ResolveScreen(
        asked.shell,
        effects=effects(len(still), paged, await left_open(tx, who, [incident.id])),
        still=_still(still),
        may_monitor=lifecycle.is_open(incident) and incident.status != Status.MONITORING,
        ended=written_as(incident.mitigated_at, asked.shell.now.tzinfo or UTC),
        latest=asked.shell.now.strftime(WRITTEN),
        needs=await needed_to(tx, incident, Status.RESOLVED),
        **asked.about,
    )


async def being_paged(tx: Tx, incident_ids: Sequence[UUID], alert_ids: Sequence[UUID]) -> list[str]:
    """Return who is asked now for help with these incidents, or about these alerts of theirs."""
    of_incident = await oncall.being_paged(tx, incident_ids=incident_ids) if incident_ids else {}
    of_alerts = await oncall.being_paged(tx, alert_ids=alert_ids) if alert_ids else {}
    return sorted({each.name for found in (*of_incident.values(), *of_alerts.values()) for each in found})


async def left_open(tx: Tx, who: Actor, incident_ids: Sequence[UUID]) -> list[str]:
    """Return what is still to be done because of these incidents, whatever becomes of them."""
    found = await action_item_queries.open_in(tx, who.access, incident_ids)
    return [item.description for items in found.values() for item in items]


def effects(alerts: int, paged: Sequence[str], to_do: Sequence[str]) -> list[str]:
    """Say what resolving does, to what and to whom."""
    found: list[str] = []
    if alerts:
        found.append(
            f"Resolves {alerts} linked alert{'' if alerts == 1 else 's'}; what a source still sees, it opens anew"
        )
    if paged:
        more = f" and {len(paged) - 3} more" if len(paged) > 3 else ""
        found.append(f"Stops paging {', '.join(paged[:3])}{more}")
    else:
        found.append("Nobody is being paged for it now, and nobody will be")
    if to_do:
        number = f"{len(to_do)} action item{'' if len(to_do) == 1 else 's'}"
        more = f" and {len(to_do) - 3} more" if len(to_do) > 3 else ""
        found.append(f"Leaves {number} open: {', '.join(f'“{one_line(each, 80)}”' for each in to_do[:3])}{more}")
    return found


def _still(linked: Sequence[Alert]) -> str:
    if not linked:
        return ""
    return f"{len(linked)} linked alert{' is' if len(linked) == 1 else 's are'} still firing."


def _must_be_resolved(incident: Incident) -> None:
    if incident.status != Status.RESOLVED:
        raise Conflict(f"{incident.reference} is {incident.status}.")


async def _close(asked: Asked) -> DialogScreen:
    found = await action_item_queries.open_in(asked.tx, asked.opened.who.access, [asked.incident.id])
    listed = [Listed(item, asked.incident) for item in found.get(asked.incident.id, [])]
    to_do = await item_rows(asked.tx, listed, asked.shell.now.date())
    return CloseScreen(asked.shell, to_do=to_do, **asked.about)


async def _cancel(asked: Asked) -> DialogScreen:
    return CancelScreen(asked.shell, others=await asked.opened.picker("incidents", "duplicate_of"), **asked.about)


async def _impact(asked: Asked) -> DialogScreen:
    return ImpactScreen(asked.shell, regions=", ".join(asked.incident.affected_regions), **asked.about)


async def _drill(asked: Asked) -> DialogScreen:
    incident = asked.incident
    text = (
        "It then counts as a real incident in every figure. Those who were asked to it are not told."
        if incident.is_drill
        else "It is then marked as a drill everywhere, and no figure counts it."
    )
    place = INCIDENT_ID.page(incident.reference)
    return Question(
        asked.shell,
        title=f"{incident.reference} is {'no' if incident.is_drill else 'a'} drill",
        text=text,
        form="drill-form",
        action=f"{place}/drill",
        label="It is real" if incident.is_drill else "It is a drill",
        fields={"is_drill": "" if incident.is_drill else "1", "version": incident.version},
        crumbs=[("/incidents", "Incidents"), (place, incident.reference)],
        tone="primary",
        back=place,
        seen=str(incident.version),
        refused=asked.opened.refused,
    )


async def _reopen(asked: Asked) -> DialogScreen:
    return ReopenScreen(asked.shell, **asked.about)


async def _page(asked: Asked) -> DialogScreen:
    return PageScreen(asked.shell, targets=await asked.opened.picker("targets", "target"), **asked.about)


async def _link(asked: Asked) -> DialogScreen:
    return LinkScreen(asked.shell, linkable=await asked.opened.picker("alerts", "alert_id"), **asked.about)


async def _role(asked: Asked) -> DialogScreen:
    if asked.opened.named["role"] not in set(IncidentRole):
        raise NotFound("There is no such role.")
    role = IncidentRole(asked.opened.named["role"])
    holder = lifecycle.holder(asked.incident, role)
    known = await identity.users_by_id(asked.tx, [holder] if holder is not None else [])
    chosen = [Option(USER_ID.write(person.id), person.name) for person in known.values()]
    people = await asked.opened.picker("people", "user_id", chosen)
    return RoleScreen(asked.shell, role=RoleHeld(role, vocabulary.ROLES[role]), people=people, **asked.about)


FIELD_DIALOGS = {field.name: _editing(field) for field in FIELDS.values() if field.form is not None}
ROLE = dialog_of("roles/{role:str}", _role, P.INCIDENT_EDIT, lifecycle.must_be_open)
RESOLVE = dialog_of("resolve", _resolve, P.INCIDENT_RESOLVE, lifecycle.must_be_open)
CLOSE = dialog_of("close", _close, P.INCIDENT_RESOLVE, _must_be_resolved)
CANCEL = dialog_of("cancel", _cancel, P.INCIDENT_RESOLVE, lifecycle.must_be_open)
REOPEN = dialog_of("reopen", _reopen, P.INCIDENT_RESOLVE, _must_be_over)
PAGE = dialog_of("page", _page, P.INCIDENT_PAGE, lifecycle.must_be_open)
IMPACT = dialog_of("impact", _impact, P.INCIDENT_EDIT, always)
DRILL = dialog_of("drill", _drill, P.INCIDENT_RESOLVE, always)
LINK = dialog_of("alerts/link", _link, P.INCIDENT_EDIT, lifecycle.must_be_open)
HANDLERS = [
    dialog.handler
    for dialog in (*FIELD_DIALOGS.values(), ROLE, RESOLVE, CLOSE, CANCEL, REOPEN, PAGE, LINK, DRILL, IMPACT)
]
