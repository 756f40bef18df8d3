"""When an incident reached its stages, as people set it right: a page of its own, and a dialog on the incident's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import ClassVar, cast

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import queries
from tocsin.incidents import service as incidents
from tocsin.incidents.checks import TIMES
from tocsin.incidents.fields import Corrected
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.kit.changes import UNSET, UnsetType
from tocsin.kit.errors import FieldError, Invalid
from tocsin.web.base import pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts.dialogs import Dialog, Opened

# As a field of the kind `datetime-local` writes it.
WRITTEN = "%Y-%m-%dT%H:%M:%S"
_LABELS = {
    "started_at": "Impact began",
    "detected_at": "Detected",
    "identified_at": "Identified",
    "mitigated_at": "Mitigated",
}


@dataclass(frozen=True, slots=True)
class TimeField:
    """One time that can be set, as its field says it in the reader's zone."""

    name: str
    label: str
    value: str
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesScreen(DialogScreen):
    """The times of one incident that people may set right, none of them in the future: `latest`."""

    template: ClassVar = "incidents/times.html"
    ref: str
    version: int
    fields: list[TimeField]
    latest: str


async def _incident_times(opened: Opened) -> TimesScreen:
    """Show the form for the times of one incident."""
    incident = await queries.get(opened.tx, opened.who.access, opened.id)
    opened.who.must(P.INCIDENT_EDIT, on=incident)
    zone = cast("tzinfo", opened.shell.now.tzinfo)
    return TimesScreen(
        opened.shell,
        back=INCIDENT_ID.page(incident.reference),
        ref=incident.reference,
        version=incident.version,
        fields=[_field(name, incident, zone) for name in TIMES],
        latest=opened.shell.now.strftime(WRITTEN),
        refused=opened.refused,
    )


def _field(name: str, incident: Incident, zone: tzinfo) -> TimeField:
    at: datetime | None = getattr(incident, name)
    return TimeField(name, _LABELS[name], written_as(at, zone), is_required=name == "started_at")


def written_as(at: datetime | None, zone: tzinfo) -> str:
    """Write a time as its field has it, in the zone of the reader."""
    return at.astimezone(zone).strftime(WRITTEN) if at is not None else ""


async def _set_times(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Set the times right. Form fields: those of `TIMES`, in the zone of the reader (empty: not known), version.

    A time that reads as it did is left as it is, to the microsecond.
    """
    zone = await _zone_of(tx, who)
    incident = await queries.get(tx, who.access, ref)
    seen = await incidents.as_seen(tx, incident, form.version())
    wrong: list[FieldError] = []
    changes: dict[str, datetime | None] = {}
    for name in TIMES:
        text = form.text(name).strip()
        if name not in form.names or _is_same(text, getattr(incident, name), zone):
            continue
        if name in seen and _is_same(text, seen[name], zone):
            # It reads as it was shown, and somebody else has changed it since.
            changes[name] = seen[name]
            continue
        try:
            changes[name] = _read(text, zone, is_required=name == "started_at")
        except ValueError as problem:
            wrong.append(FieldError(f"#/{name}", str(problem), "invalid"))
    if wrong:
        raise Invalid.of(tuple(wrong))
    written = cast("Corrected", changes)
    await incidents.update(tx, who, ref, incidents.IncidentChanges(**written), if_version=form.version())


async def _zone_of(tx: Tx, who: Actor) -> tzinfo:
    known = await identity.users_by_id(tx, [who.must_be_someone()])
    return pages.zone(next(iter(known.values())).time_zone)


async def time_in(tx: Tx, who: Actor, form: Form, name: str, at: datetime | None) -> datetime | UnsetType | None:
    """Read an optional time of a form, `UNSET` where it reads as `at` does; raises `Invalid` for the field."""
    zone, text = await _zone_of(tx, who), form.text(name).strip()
    if name not in form.names or _is_same(text, at, zone):
        return UNSET
    try:
        return _read(text, zone, is_required=False)
    except ValueError as problem:
        raise Invalid(name, str(problem)) from None


def _is_same(text: str, at: datetime | None, zone: tzinfo) -> bool:
    """Say whether a field reads as it did; browsers leave seconds out where there are none."""
    said = written_as(at, zone)
    return text in (said, said.removesuffix(":00"))


def _read(text: str, zone: tzinfo, *, is_required: bool) -> datetime | None:
    if not text:
        if is_required:
            raise ValueError("Say when it began. If nobody knows, take the time of the first alert.")
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("Write a time such as 2031-05-01T14:30.") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


_TIMES = Dialog("/incidents/{ref:str}/times", _incident_times, P.INCIDENT_EDIT)
HANDLERS = [
    _TIMES.handler,
    *Actions("/incidents/{ref:str}", _TIMES.show, needs=P.INCIDENT_EDIT).handlers(
        Action("times", _set_times, "Times saved.", form="times-form")
    ),
]
