"""What moves an incident: `POST /incidents/{id}/actions/<verb>`. Every verb may be repeated without harm."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from litestar import post
from litestar.params import JSONBody

from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import Id, reference
from tocsin.api.base.resource import IF_MATCH
from tocsin.api.shapes.failures import Failure, failures
from tocsin.api.shapes.incident import INCIDENTS
from tocsin.api.shapes.incidents import IncidentOut, shape_all
from tocsin.api.shapes.pages import PageOut, write_page
from tocsin.api.shapes.targets import Target, read_targets
from tocsin.db.engine import Tx
from tocsin.edge.context import Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import lifecycle, service
from tocsin.incidents.fields import SaidSeverity, Severity
from tocsin.incidents.model import CancelReason, Incident, IncidentRole, Status
from tocsin.incidents.service import ending, paging
from tocsin.kit.errors import Invalid, NotFound
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import POLICY_ID

T = TypeVar("T")
Note = Annotated[str, msgspec.Meta(max_length=lifecycle.NOTE_LIMIT, description="Markdown.")]


class UpdateStatus(Body, kw_only=True):
    """Where an open incident stands now."""

    example: ClassVar[Mapping[str, Any]] = {"status": "mitigated"}
    status: Status


class ChangeSeverity(Body, kw_only=True):
    """How bad it is."""

    example: ClassVar[Mapping[str, Any]] = {"severity": 2}
    severity: SaidSeverity


class MarkDrill(Body, kw_only=True):
    """Whether it is an exercise."""

    example: ClassVar[Mapping[str, Any]] = {"is_drill": True}
    is_drill: bool


class ResolveIncident(Body, kw_only=True):
    """What was done. Must not be empty. `mitigated_at` is when the impact ended, if that is said with it."""

    example: ClassVar[Mapping[str, Any]] = {"resolution_note": "Rolled back release 4.2."}
    resolution_note: Note = ""
    mitigated_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


class CloseIncident(Body, kw_only=True):
    """The note is needed only for an incident that is not resolved yet."""

    example: ClassVar[Mapping[str, Any]] = {}
    resolution_note: Note = ""


class CancelIncident(Body, kw_only=True):
    """Why it was none. A duplicate names the incident that goes on."""

    example: ClassVar[Mapping[str, Any]] = {"reason": "duplicate", "duplicate_of": "INC-6"}
    reason: CancelReason
    note: Annotated[str, msgspec.Meta(max_length=ending.REASON_LIMIT)] = ""
    duplicate_of: str | None = None


class ReopenIncident(Body, kw_only=True):
    """Why it was not over."""

    example: ClassVar[Mapping[str, Any]] = {"reason": "The errors came back."}
    reason: Annotated[str, msgspec.Meta(max_length=ending.REASON_LIMIT)]


class ChangeIncidents(Body, kw_only=True):
    """One action for several incidents, with what it needs: `role` and `user_id`, or the field of the same name."""

    example: ClassVar[Mapping[str, Any]] = {"action": "change_severity", "ids": ["INC-7", "INC-8"], "severity": 2}
    action: Literal["assign_role", "change_severity", "update_status", "resolve"]
    ids: Annotated[list[str], msgspec.Meta(min_length=1, max_length=service.MOST_TOGETHER)]
    role: IncidentRole | None = None
    user_id: str | None = None
    severity: Severity | None = None
    status: Status | None = None
    resolution_note: Note = ""


class ChangedIncidents(msgspec.Struct):
    """What became of each incident, in the order of the request; `unchanged` were so before."""

    data: list[IncidentOut]
    unchanged: list[str]
    failed: list[Failure]


class PageForIncident(Body, kw_only=True):
    """Whom to ask for help, and what for."""

    example: ClassVar[Mapping[str, Any]] = {
        "targets": [{"type": "user", "id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m"}],
        "message": "We need somebody who knows the database.",
    }
    targets: Annotated[list[Target], msgspec.Meta(min_length=1, max_length=paging.MANY)]
    message: Annotated[str, msgspec.Meta(max_length=paging.REASON_LIMIT)] = ""


class NotReached(msgspec.Struct):
    """Somebody who was to be paged, and what is to be said of that."""

    type: Literal["user", "escalation_policy"]
    id: str
    name: str
    reason: str


class PagesSent(msgspec.Struct):
    """The pages that went out, and whom none went out for. `not_reached` is empty when all went well.

    `already` names who had joined before, and is paged all the same, and who is being paged for it already, and is not
    paged twice; the reason says which.
    """

    data: list[PageOut]
    not_reached: list[NotReached]
    already: list[NotReached]
    next_cursor: str | None = None


def _status(*, status: Status) -> Status:
    return status


def _note(*, resolution_note: str) -> str:
    return resolution_note


async def _resolve(tx: Tx, who: Actor, ref: str, *, resolution_note: str, **fields: Any) -> Incident:
    return await service.resolve(tx, who, ref, resolution_note, **fields)


async def _cancel(tx: Tx, who: Actor, ref: str, *, duplicate_of: str | None, **fields: Any) -> Incident:
    with naming("duplicate_of"):
        other = reference(duplicate_of) if duplicate_of is not None else None
    return await service.cancel(tx, who, ref, duplicate_of=other, **fields)


def _needed(name: str, value: T | None) -> T:
    if value is None:
        raise Invalid(name, "This action needs it.", code="required")
    return value


def _change(data: ChangeIncidents) -> service.Change:
    match data.action:
        case "assign_role":
            with naming("user_id"):
                return service.GiveRole(_needed("role", data.role), USER_ID.read(_needed("user_id", data.user_id)))
        case "change_severity":
            return service.ChangeSeverity(_needed("severity", data.severity))
        case "update_status":
            return service.MoveTo(_needed("status", data.status))
        case "resolve":
            return service.Resolve(data.resolution_note)


@post("/actions/bulk", status_code=200, needs=P.INCIDENT_EDIT)
async def change_incidents(context: Ctx, who: Who, data: JSONBody[ChangeIncidents]) -> ChangedIncidents:
    """Do the same to up to 50 incidents. Each is a change of its own: one that cannot be done does not stop the rest.

    `resolve` gives all of them the same note, and needs `incident.resolve`.
    """
    change = _change(data)
    async with context.begin() as tx:
        became = await service.change_all(tx, who, change, data.ids)
        for at, each in enumerate(became):
            with naming("ids", at):
                if isinstance(each, NotFound):
                    raise each
        done = [each for each in became if isinstance(each, service.Changed)]
        return ChangedIncidents(
            data=list(await shape_all(tx, context, who, [each.incident for each in done])),
            unchanged=[each.incident.reference for each in done if not each.is_new],
            failed=failures(data.ids, became),
        )


@post("/{id:str}/actions/page", status_code=200, needs=P.INCIDENT_PAGE)
async def page_for_incident(context: Ctx, who: Who, id: Id, data: JSONBody[PageForIncident]) -> PagesSent:
    """Ask people or policies for help; answers with the pages that went out at once.

    That somebody was asked is in the record either way. Whoever has no contact method, and a policy with nobody on it
    who has one, stands in `not_reached` with the reason; when that is all of them, `data` is empty and nobody comes.
    """
    targets = read_targets("targets", data.targets)
    async with context.begin() as tx:
        asked = await service.page(tx, who, reference(id), targets, data.message)
    missed = [_not_reached(each.target, each.name, each.why) for each in asked.missed]
    already = [_not_reached(each.target, each.name, each.words) for each in asked.already]
    return PagesSent([write_page(page, name) for page, name in asked.pages], missed, already)


def _not_reached(target: PageTarget, name: str, reason: str) -> NotReached:
    kind = USER_ID if target.kind == "user" else POLICY_ID
    return NotReached(target.kind, kind.write(target.id), name, reason)


ROUTER = INCIDENTS.router(
    INCIDENTS.action(
        "acknowledge",
        service.acknowledge,
        """Take the incident on: join it, answer one's own pages about it and its alerts, begin to investigate.

        Whoever is being paged for it may do it, whatever their role.
        """,
        needs=Right.SIGNED_IN,
        asks=IF_MATCH,
    ),
    INCIDENTS.action(
        "update_status",
        service.update_status,
        "Move between open states; the states at the end have verbs of their own.",
        UpdateStatus,
        into=_status,
        name="update_incident_status",
        asks=IF_MATCH,
    ),
    INCIDENTS.action(
        "change_severity",
        service.update,
        "Judge the incident to be worse or better; also afterwards, to set the record right.",
        ChangeSeverity,
        into=service.IncidentChanges,
        name="change_incident_severity",
        asks=IF_MATCH,
    ),
    INCIDENTS.action(
        "mark_drill",
        service.update,
        "Say that the incident is a drill after all, or that it is none; no figure counts a drill.",
        MarkDrill,
        into=service.IncidentChanges,
        needs=P.INCIDENT_RESOLVE,
        name="mark_incident_as_drill",
        asks=IF_MATCH,
    ),
    INCIDENTS.action(
        "resolve",
        _resolve,
        """Resolve the incident with a note on what was done; its linked alerts resolve with it.

        What a source still sees, it opens anew.
        """,
        ResolveIncident,
        needs=P.INCIDENT_RESOLVE,
        asks=IF_MATCH,
    ),
    INCIDENTS.action(
        "close",
        service.close,
        "Say that nothing more is to be done; an open incident is resolved on the way and needs the note.",
        CloseIncident,
        into=_note,
        needs=P.INCIDENT_RESOLVE,
        asks=IF_MATCH,
    ),
    INCIDENTS.action(
        "cancel",
        _cancel,
        "Say that it was no incident: a false alarm, a duplicate or something else.",
        CancelIncident,
        needs=P.INCIDENT_RESOLVE,
        asks=IF_MATCH,
    ),
    INCIDENTS.action(
        "reopen",
        service.reopen,
        "Begin another round of an incident that was not over after all.",
        ReopenIncident,
        needs=P.INCIDENT_RESOLVE,
        asks=IF_MATCH,
    ),
    page_for_incident,
    change_incidents,
)
