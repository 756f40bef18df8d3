"""What templates of an incident's title and summary can say of the incident and its alert. Pure.

The number of an incident is given last, when all else is checked, so that none is lost to a refusal. Until then the
place of the number says its own placeholder, and `numbered` puts the number there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as made_by
from datetime import UTC, datetime
from typing import Any

from tocsin.events.vocabulary import severity
from tocsin.incidents import checks
from tocsin.kit.errors import FieldError, Invalid
from tocsin.kit.templates import PLAIN_FILTERS, BadTemplate, Language, shown
from tocsin.kit.text import clean, storable, truncate

NUMBER = "{{ incident.number }}"
TITLE_TEMPLATE_LIMIT = 500
SUMMARY_TEMPLATE_LIMIT = 8_000


def _truncated(value: object, length: object = 200) -> str:
    return truncate(shown(value), max(length, 1) if isinstance(length, int) else 200)


_TEXTS = Language({"truncate": _truncated, **PLAIN_FILTERS}, most_output=3 * checks.SUMMARY_LIMIT, called="text")
FILTERS = _TEXTS.filters


@dataclass(frozen=True, slots=True)
class AlertSaid:
    """What templates can say of an alert; without one, all of it is empty."""

    number: str = ""
    title: str = ""
    description: str = ""
    severity: str = ""
    urgency: str = ""
    labels: Mapping[str, str] = made_by(default_factory=dict[str, str])


NO_ALERT = AlertSaid()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known when an incident is declared."""

    severity: int
    type: str
    reporter: str
    at: datetime
    alert: AlertSaid = NO_ALERT


# What a template is tried with before it is saved, and shown with where there is no alert to show it with.
SAMPLE = Known(
    severity=2,
    type="General",
    reporter="Ada Lovelace",
    at=datetime(2026, 3, 14, 9, 26, tzinfo=UTC),
    alert=AlertSaid(
        number="ALR-31",
        title="Checkout answers 500",
        description="Three of four probes fail since 09:24.",
        severity="SEV2",
        urgency="high",
        labels={"service": "checkout", "team": "payments", "environment": "production"},
    ),
)
_BY_HAND = Known(severity=3, type="General", reporter="", at=SAMPLE.at)


def _values(known: Known, number: str) -> dict[str, Any]:
    alert = known.alert
    return {
        "incident": {
            "number": number,
            "severity": severity(known.severity),
            "type": known.type,
            "reporter": known.reporter,
            "date": known.at.strftime("%Y-%m-%d"),
            "time": known.at.strftime("%H:%M UTC"),
        },
        "alert": {
            "number": alert.number,
            "title": alert.title,
            "description": alert.description,
            "severity": alert.severity,
            "urgency": alert.urgency,
        },
        "labels": dict(alert.labels),
    }


# What people are told that they can write.
NAMES = (
    *(f"{group}.{name}" for group, names in _values(SAMPLE, "").items() if group != "labels" for name in names),
    "labels.service",
)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a template makes. `is_sample` where there was no alert, and an invented one stood in for it."""

    title: str
    summary: str
    is_sample: bool


def title_checked(template: str) -> str:
    """Return a template of a title as it is stored, on one line; raises `Invalid`."""
    return checked("title", " ".join(template.split()), TITLE_TEMPLATE_LIMIT)


def summary_checked(template: str) -> str:
    """Return a template of a summary as it is stored; raises `Invalid`."""
    return checked("summary", template, SUMMARY_TEMPLATE_LIMIT)


def preview(title_template: str, summary_template: str, known: Known | None = None) -> Preview:
    """Return what templates make of what is known, or of an invented alert; raises `Invalid` with what is wrong."""
    about, number = (SAMPLE, "INC-7") if known is None else (known, NUMBER)
    made: list[str] = []
    wrong: list[FieldError] = []
    for field, template, check, write in (
        ("title", title_template, title_checked, title),
        ("summary", summary_template, summary_checked, summary),
    ):
        try:
            made.append(write(check(template), about, number))
        except Invalid as problem:
            wrong += problem.errors
        except BadTemplate as problem:
            wrong.append(FieldError(f"#/{field}", str(problem), "template"))
    if wrong:
        raise Invalid.of(tuple(wrong))
    return Preview(made[0], made[1], is_sample=known is None)


def checked(field: str, template: str, limit: int) -> str:
    """Return a template as it is stored; raises `Invalid` with the line of what it cannot say."""
    text = checks.text(field, template, limit, required=False)
    try:
        for known in (SAMPLE, _BY_HAND):
            open_ended, told = (_TEXTS.render(text, _values(known, number)) for number in (NUMBER, "INC-7"))
            if numbered(open_ended, "INC-7") != told:
                raise BadTemplate(f"The number comes last of all, so it can only be written as it is: {NUMBER}.")
    except BadTemplate as problem:
        raise Invalid(field, str(problem), code="template") from None
    return text


def title(template: str, known: Known, number: str = NUMBER) -> str:
    """Return the title that a template makes: one line, cut to the length of a title. Raises `BadTemplate`."""
    return truncate(" ".join(clean(_rendered(template, known, number)).split()), checks.TITLE_LIMIT)


def summary(template: str, known: Known, number: str = NUMBER) -> str:
    """Return the summary that a template makes, cut to the length of a summary. Raises `BadTemplate`."""
    return truncate(_rendered(template, known, number).strip(), checks.SUMMARY_LIMIT)


def _rendered(template: str, known: Known, number: str) -> str:
    return storable(_TEXTS.render(template, _values(known, number)))


def numbered(text: str, number: str) -> str:
    """Return a text with the number of the incident where the placeholder of it stands."""
    return text.replace(NUMBER, number)
