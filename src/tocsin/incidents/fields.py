"""What people write into an incident: each field once, with its type, its limits, its check, and how a page edits it.

A body of the API takes these fields by `writes` (`api.base.body`), the page of an incident has a form for each that
says how (`form`), and declaring and editing go through `write`. A field with rules of its own, such as the status,
has a use case of its own instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict, cast

from msgspec import Meta

from tocsin.db.engine import Tx
from tocsin.events import vocabulary
from tocsin.events.base import Change
from tocsin.identity.access import P
from tocsin.incidents import checks, lifecycle, priorities, vocabularies
from tocsin.incidents.model import Category, Incident, Priority
from tocsin.incidents.vocabularies import Native
from tocsin.kit.text import clean, storable

Severity = Annotated[int, Meta(ge=1, le=5, description="1 (critical) to 5 (info).")]
# 1 to 5, “SEV2”, or a word of another product with the name of its vocabulary.
SaidSeverity = Severity | Annotated[str, Meta(max_length=vocabularies.NATIVE_LIMIT)] | Native
Region = Annotated[str, Meta(max_length=checks.REGION_LIMIT)]
Tag = Annotated[str, Meta(max_length=checks.TAG_LIMIT)]
# What a page offers: one line, a text in Markdown, words with commas between them, one of several. None for what has a
# control of its own.
FormKind = Literal["line", "text", "words", "choice"]


class Written(TypedDict, total=False):
    """What an incident is declared with, and what can be changed afterwards; what is not there is not changed."""

    title: Annotated[str, Meta(max_length=checks.TITLE_LIMIT)]
    summary: Annotated[str, Meta(max_length=checks.SUMMARY_LIMIT, description="Markdown.")]
    severity: SaidSeverity
    category: Category | None
    # None: derived from severity and urgency.
    priority: Priority | None
    is_drill: Annotated[bool, Meta(description="An exercise, which no figure counts.")]
    tags: Annotated[
        list[Tag],
        Meta(max_length=checks.MOST_TAGS, description="Words to find it by; in lower case, without commas."),
    ]
    started_at: datetime


class Impact(TypedDict, total=False):
    """What an incident does to customers; None where nobody knows."""

    affected_users: Annotated[int, Meta(ge=0, le=checks.MOST_USERS)] | None
    affected_percent: Annotated[float, Meta(ge=0, le=100)] | None
    affected_regions: Annotated[list[Region], Meta(max_length=checks.MOST_REGIONS)]
    consequence: Annotated[str, Meta(max_length=checks.CONSEQUENCE_LIMIT)]


class Corrected(Written, Impact, total=False):
    """What can be changed of an incident: also when it reached a stage, and the note of one that is resolved or closed.

    None takes a time away; without one of its own, an incident was detected by its first alert or its declaration.
    """

    detected_at: datetime | None
    identified_at: datetime | None
    mitigated_at: datetime | None
    resolution_note: Annotated[str, Meta(max_length=lifecycle.NOTE_LIMIT)]


def _always(_: Incident) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `write` checks a value and puts it into an incident; `told` is how the record shows it.

    `told` is None where an event of its own says that it changed.
    """

    name: str
    write: Callable[[Tx, Incident, Any], None]
    told: Callable[[Any], str] | None = str
    needs: P = P.INCIDENT_EDIT
    label: str = ""
    form: FormKind | None = None
    limit: int | None = None
    hint: str = ""
    is_required: bool = False
    # What a choice is made of: value and text of each, the empty value for none.
    choices: Sequence[tuple[str, str]] = ()
    # Whether it can be written as the incident stands.
    is_open_in: Callable[[Incident], bool] = _always
    # What the incident says, where that is not the attribute of this name.
    read: Callable[[Incident], Any] | None = None

    def value(self, incident: Incident) -> Any:
        """Return what the incident says."""
        return self.read(incident) if self.read is not None else getattr(incident, self.name)


def _checked(name: str, check: Callable[[Any], Any]) -> Callable[[Tx, Incident, Any], None]:
    def write(_: Tx, incident: Incident, value: Any) -> None:
        setattr(incident, name, check(value))

    return write


def _moment(name: str) -> Field:
    """Return the field of a time; whether it fits the others is seen when all of them are written."""

    def write(tx: Tx, incident: Incident, at: datetime | None) -> None:
        setattr(incident, name, checks.time(tx, name, at) if at is not None else None)

    return Field(name, write, told=_told)


def _told(at: datetime | None) -> str:
    return at.isoformat() if at is not None else ""


def _judge(_: Tx, incident: Incident, said: int | str | Native) -> None:
    """Take what was said as the severity, and keep the word of another product beside it."""
    incident.severity = checks.severity(vocabularies.read_severity(said))
    native = said if isinstance(said, Native) else None
    incident.native_vocabulary = native.vocabulary if native is not None else None
    incident.native_severity = clean(storable(native.value)).strip() if native is not None else None


def _number(value: float | None) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if value is not None else ""


def _kind(category: str | None) -> str:
    return vocabulary.category(category) if category else ""


def _rank(_: Tx, incident: Incident, priority: str | None) -> None:
    """Give it a priority, or none of its own; which it has then is settled once all is written."""
    chosen = checks.priority(priority)
    incident.is_priority_set = chosen is not None
    incident.priority = chosen or incident.priority


def _ranked(incident: Incident) -> str | None:
    return incident.priority if incident.is_priority_set else None


def _note(_: Tx, incident: Incident, note: str) -> None:
    lifecycle.correct_note(incident, note)


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field(
            "title",
            _checked("title", checks.title),
            label="Title",
            form="line",
            limit=checks.TITLE_LIMIT,
            is_required=True,
        ),
        Field(
            "summary",
            _checked("summary", checks.summary),
            label="Summary",
            form="text",
            limit=checks.SUMMARY_LIMIT,
            hint="What is broken, for whom, since when, and what is being done. Markdown works.",
        ),
        Field("severity", _judge, told=None),
        Field("affected_users", _checked("affected_users", checks.affected_users), told=_number),
        Field("affected_percent", _checked("affected_percent", checks.affected_percent), told=_number),
        Field("affected_regions", _checked("affected_regions", checks.affected_regions), told=", ".join),
        Field("consequence", _checked("consequence", checks.consequence)),
        Field(
            "category",
            _checked("category", checks.category),
            told=_kind,
            label="Category",
            form="choice",
            choices=[("", "None"), *((each.value, vocabulary.category(each)) for each in Category)],
        ),
        Field(
            "priority",
            _rank,
            told=lambda priority: priority or "",
            label="Priority",
            form="choice",
            hint="For sorting only: it changes nothing about who is paged.",
            choices=[("", "By severity and urgency"), *((each.value, each.value) for each in Priority)],
            read=_ranked,
        ),
        Field("is_drill", _checked("is_drill", bool), told=None, needs=P.INCIDENT_RESOLVE),
        *(_moment(name) for name in checks.TIMES),
        Field(
            "tags",
            _checked("tags", checks.tags),
            told=", ".join,
            label="Tags",
            form="words",
            hint="Words to find it by, with commas between them.",
        ),
        Field(
            "resolution_note",
            _note,
            needs=P.INCIDENT_RESOLVE,
            label="Resolution note",
            form="text",
            limit=lifecycle.NOTE_LIMIT,
            hint="The note as it was stays in the timeline. Markdown works.",
            is_required=True,
            is_open_in=lifecycle.has_note,
        ),
    )
}


def write(tx: Tx, incident: Incident, written: Written) -> None:
    """Check what was written and put it into the incident, field by field; every refusal names its field."""
    given = cast("Mapping[str, Any]", written)
    for name, field in FIELDS.items():
        if name in given:
            field.write(tx, incident, given[name])
    checks.times_in_order(incident, given.keys())
    priorities.settle(incident, priorities.USUAL)


def said(incident: Incident) -> dict[str, str]:
    """Return what the incident says, as the record shows it; what an event of its own tells of is left out."""
    return {name: field.told(field.value(incident)) for name, field in FIELDS.items() if field.told is not None}


def differing(incident: Incident, written: Corrected) -> list[Change]:
    """Return the fields in which this differs from what the incident says, as the record would show it."""
    return [
        Change(name, (FIELDS[name].told or str)(FIELDS[name].value(incident)), (FIELDS[name].told or str)(value))
        for name, value in written.items()
        if value != FIELDS[name].value(incident)
    ]
