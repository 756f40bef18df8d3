"""What severities, states and roles are called, and how they look: read by pages, messages, the API and the record.

A tone is a colour of the design (`static/css/base/tokens.css`), an icon one of `glyphs.svg`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Tone = Literal["slate", "blue", "violet", "teal", "green", "amber", "orange", "red"]


@dataclass(frozen=True, slots=True)
class Word:
    """One value as people read it."""

    label: str
    tone: Tone
    icon: str


# 1 is the worst. The words are those of Opsgenie and Datadog for P1 to P5 and SEV-1 to SEV-5.
SEVERITIES: Mapping[int, Word] = MappingProxyType(
    {
        1: Word("Critical", "red", "sev1"),
        2: Word("High", "orange", "sev2"),
        3: Word("Medium", "amber", "sev3"),
        4: Word("Low", "blue", "sev4"),
        5: Word("Info", "slate", "sev5"),
    }
)
# Of incidents, in the order in which they are gone through.
STATUSES: Mapping[str, Word] = MappingProxyType(
    {
        "declared": Word("Declared", "red", "st-declared"),
        "investigating": Word("Investigating", "orange", "st-investigating"),
        "identified": Word("Identified", "violet", "st-identified"),
        "mitigated": Word("Mitigated", "teal", "st-mitigated"),
        "monitoring": Word("Monitoring", "blue", "st-monitoring"),
        "resolved": Word("Resolved", "green", "st-resolved"),
        "closed": Word("Closed", "slate", "st-closed"),
        "cancelled": Word("Cancelled", "slate", "st-cancelled"),
    }
)
CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "availability": "Availability",
        "cost": "Cost",
        "performance": "Performance",
        "security": "Security",
        "technical_debt": "Technical debt",
        "compliance": "Compliance",
        "integration": "Integration",
        "reliability": "Reliability",
    }
)
# Of action items: where they stand, and what they are for. Their icons are those of pages, and not of `glyphs.svg`.
ACTION_STATUSES: Mapping[str, Word] = MappingProxyType(
    {
        "open": Word("Open", "slate", "circle"),
        "in_progress": Word("In progress", "blue", "circle-dot"),
        "done": Word("Done", "green", "circle-check"),
        "dropped": Word("Dropped", "slate", "circle-x"),
    }
)
ACTION_KINDS: Mapping[str, Word] = MappingProxyType(
    {
        "mitigate": Word("Mitigate", "teal", "shield-check"),
        "prevent": Word("Prevent", "violet", "shield"),
        "detect": Word("Detect", "blue", "radar"),
        "follow_up": Word("Follow-up", "slate", "corner-down-right"),
    }
)
ACTION_PRIORITIES = ("P1", "P2", "P3", "P4")
# Of the ways to reach a person: what they are called in a sentence, and the icon that they have.
CHANNELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "email": ("e-mail", "mail"),
        "sms": ("SMS", "message-square"),
        "voice": ("phone", "phone"),
        "webhook": ("webhook", "webhook"),
        "console": ("console", "monitor"),
    }
)
# Of people in the organisation, and whom each role is for.
BUILT_IN_ROLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "responder": ("Responder", "acts on alerts and incidents"),
        "communicator": ("Communicator", "declares and comments"),
        "stakeholder": ("Stakeholder", "reads"),
        "guest": ("Guest", "sees what they are asked about or granted"),
        "admin": ("Administrator", "changes everything"),
    }
)
# Of people on an incident.
ROLES: Mapping[str, str] = MappingProxyType({"commander": "Commander", "lead": "Lead", "communicator": "Communicator"})


def severity(number: int) -> str:
    """Return what people say for a severity: `SEV2`."""
    return f"SEV{number}"


def called_alert(number: int) -> str:
    """Return what people call an alert: `ALR-31`."""
    return f"ALR-{number}"


def channel(kind: str) -> tuple[str, str]:
    """Return the word and the icon of a channel, plain ones for one that only a newer version has."""
    return CHANNELS.get(kind) or (kind.replace("_", " "), "bell")


def category(value: str) -> str:
    """Return the word for what kind of incident it is, a plain one for a kind that only a newer version has."""
    return CATEGORIES.get(value) or value.replace("_", " ").capitalize()


def status(value: str) -> Word:
    """Return the word for the status of an incident, a plain one for a status that only a newer version has."""
    return STATUSES.get(value) or Word(value.capitalize(), "slate", "st-closed")
