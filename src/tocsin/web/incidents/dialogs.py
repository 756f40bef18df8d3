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

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.declared import declared
from tocsin.events import vocabulary
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.fields import FIELDS, Field, FormKind
from tocsin.incidents.model import Incident, IncidentRole, Status
from tocsin.kit.errors import Conflict, NotFound
from tocsin.oncall import queries as oncall
from tocsin.web.base import pages
from tocsin.web.base.forms import Refused
from tocsin.web.base.screens import DialogScreen, Screen, Shell
from tocsin.web.incidents.times import WRITTEN, written_as
from tocsin.web.parts import since
from tocsin.web.parts.picking import Option, Picker, picker


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
class _Asked:
    """What a dialog is made of, and what every screen has."""

    tx: Tx
    shell: Shell
    who: Actor
    incident: Incident
    refused: Refused | None

    @property
    def about(self) -> dict[str, Any]:
        return {
            "incident": self.incident,
            "back": f"/incidents/{self.incident.reference}",
            "seen": str(self.incident.version),
            "refused": self.refused,
        }

    async def picker(self, kind: str, name: str, chosen: Sequence[Option] = ()) -> Picker:
        in_sheet = self.shell.in_sheet
        return await picker(self.tx, self.who, kind, in_sheet=in_sheet, name=name, refused=self.refused, chosen=chosen)


Make = Callable[[_Asked], Awaitable[Screen]]
Must = Callable[[Incident], None]
Show = Callable[[AppRequest, Context, Actor, str, Refused | None], Awaitable[pages.Page]]


@dataclass(frozen=True, slots=True)
class Dialog:
    """One dialog: `GET <incident>/<place>`. `must` raises `Conflict` where the incident does not allow it any more."""

    place: str
    make: Make
    needs: P
    must: Must

    async def show(
        self, request: AppRequest, context: Context, who: Actor, ref: str, refused: Refused | None = None
    ) -> pages.Page:
        """Show the form, also one that was refused."""
        async with context.db.look() as tx:
            shell = await pages.shell(tx, request, context, who)
            incident = await queries.get(tx, who.access, ref)
            who.must(self.needs, on=incident)
            if "seen" in request.query_params:
                return pages.render(await since.of_incident(tx, request, shell, who, incident))
            if refused is None:
                try:
                    self.must(incident)
                except Conflict as problem:
                    return pages.go(f"/incidents/{incident.reference}", problem.message)
            screen = await self.make(_Asked(tx, shell, who, incident, refused))
        return pages.render(screen)

    @property
    def handler(self) -> HTTPRouteHandler:
        async def work(request: AppRequest, context: Context, who: Actor, ref: str) -> pages.Page:
            return await self.show(request, context, who, ref)

        name = f"show_{self.place.replace('/', '_')}"
        takes: dict[str, Any] = {"request": AppRequest, "context": Ctx, "who": Who, "ref": FromPath[str]}
        made = declared(work, name=name, doc="Show the form.", takes=takes, returns=pages.Page)
        return get(f"/incidents/{{ref:str}}/{self.place}", needs=self.needs)(made)


def _must_be_over(incident: Incident) -> None:
    if lifecycle.is_open(incident):
        raise Conflict(f"{incident.reference} is open already.")


def _editing(field: Field) -> Dialog:
    async def make(asked: _Asked) -> Screen:
        value = field.value(asked.incident)
        form = EditForm(
            name=field.name,
            label=field.label,
            form=field.form or "line",
            limit=field.limit,
            hint=field.hint,
            is_required=field.is_required,
            value=", ".join(value) if field.form == "words" else value,
        )
        return EditScreen(asked.shell, field=form, **asked.about)

    def must(incident: Incident) -> None:
        if not field.is_open_in(incident):
            raise Conflict(f"{incident.reference} is {incident.status}, so it has no {field.label.lower()}.")

    return Dialog(field.name, make, field.needs, must)


async def _resolve(asked: _Asked) -> Screen:
    tx, who, incident = asked.tx, asked.who, asked.incident
    linked = await alert_queries.of_incident(tx, who.access, incident.id)
    still = [alert for alert in linked if alert.status != AlertStatus.RESOLVED]
    paged = await being_paged(tx, [incident.id], [alert.id for alert in still])
    return ResolveScreen(
        asked.shell,
        effects=effects(len(still), paged),
        still=_still(still),
        may_monitor=lifecycle.is_open(incident) and incident.status != Status.MONITORING,
        ended=written_as(incident.mitigated_at, asked.shell.now.tzinfo or UTC),
        latest=asked.shell.now.strftime(WRITTEN),
        **asked.about,
    )


async def being_paged(tx: Tx, incident_ids: Sequence[UUID], alert_ids: Sequence[UUID]) -> list[str]:
    """Return who is asked now for help with these incidents, or about these alerts of theirs."""
    of_incident = await oncall.being_paged(tx, incident_ids=incident_ids) if incident_ids else {}
    of_alerts = await oncall.being_paged(tx, alert_ids=alert_ids) if alert_ids else {}
    return sorted({each.name for found in (*of_incident.values(), *of_alerts.values()) for each in found})


def effects(alerts: int, paged: Sequence[str]) -> list[str]:
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
    return found


def _still(linked: Sequence[Alert]) -> str:
    if not linked:
        return ""
    return f"{len(linked)} linked alert{' is' if len(linked) == 1 else 's are'} still firing."


async def _cancel(asked: _Asked) -> Screen:
    return CancelScreen(asked.shell, others=await asked.picker("incidents", "duplicate_of"), **asked.about)


async def _reopen(asked: _Asked) -> Screen:
    return ReopenScreen(asked.shell, **asked.about)


async def _page(asked: _Asked) -> Screen:
    return PageScreen(asked.shell, targets=await asked.picker("targets", "target"), **asked.about)


async def _link(asked: _Asked) -> Screen:
    return LinkScreen(asked.shell, linkable=await asked.picker("alerts", "alert_id"), **asked.about)


def _giving(role: IncidentRole) -> Dialog:
    async def make(asked: _Asked) -> Screen:
        holder = lifecycle.holder(asked.incident, role)
        known = await identity.users_by_id(asked.tx, [holder] if holder is not None else [])
        chosen = [Option(USER_ID.write(person.id), person.name) for person in known.values()]
        people = await asked.picker("people", "user_id", chosen)
        named = RoleHeld(role, vocabulary.ROLES[role])
        return RoleScreen(asked.shell, role=named, people=people, **asked.about)

    return Dialog(f"roles/{role}", make, P.INCIDENT_EDIT, lifecycle.must_be_open)


FIELD_DIALOGS = {field.name: _editing(field) for field in FIELDS.values() if field.form is not None}
ROLE_DIALOGS = {role.value: _giving(role) for role in IncidentRole}
RESOLVE = Dialog("resolve", _resolve, P.INCIDENT_RESOLVE, lifecycle.must_be_open)
CANCEL = Dialog("cancel", _cancel, P.INCIDENT_RESOLVE, lifecycle.must_be_open)
REOPEN = Dialog("reopen", _reopen, P.INCIDENT_RESOLVE, _must_be_over)
PAGE = Dialog("page", _page, P.INCIDENT_PAGE, lifecycle.must_be_open)
LINK = Dialog("alerts/link", _link, P.INCIDENT_EDIT, lifecycle.must_be_open)


async def show_role(
    request: AppRequest, context: Context, who: Actor, ref: str, refused: Refused | None = None
) -> pages.Page:
    """Show the form of the role that was given again."""
    found = ROLE_DIALOGS.get(refused.form.text("role") if refused is not None else "")
    if found is None:
        raise NotFound("There is no such role.")
    return await found.show(request, context, who, ref, refused)


HANDLERS = [
    dialog.handler for dialog in (*FIELD_DIALOGS.values(), *ROLE_DIALOGS.values(), RESOLVE, CANCEL, REOPEN, PAGE, LINK)
]
