"""What an incident has to say before it may move on: the requirements of its type, and those of single fields.

A requirement names a state and a field. It holds for that state and for all behind it, so that nobody goes round it by
leaving a state out; that of `cancelled` holds for that alone. It is asked when an incident moves on, never when it
moves back, is begun again, or is edited: whoever raises the severity at night is not kept from it.

A field may also be required by a condition of its own, whatever the type says; it is asked about the incident as it
would be after the move. A condition that cannot be decided requires nothing. No clock, no database, no logging.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.events import vocabulary
from tocsin.events.lines import listed
from tocsin.incidents import lifecycle
from tocsin.incidents.custom_fields import Definition, pointer
from tocsin.incidents.model import OPEN, Incident, Status
from tocsin.kit.conditions import Condition, Vocabulary
from tocsin.kit.errors import FieldError, Invalid

# What the form of every declaration has, in the order in which it is asked where a type says nothing.
ALWAYS = ("title", "severity", "summary")
ORDER = (*OPEN, Status.RESOLVED, Status.CLOSED)
# Texts of a condition's facts are no longer than the engine should look at.
_LONGEST_FACT = 4_000
CONDITIONS = Vocabulary({"severity": 3, "status": "declared", "type": "general", "fields": {}})
# How a state is entered, in words after “before it can be”.
ENTERED: Mapping[Status, str] = {
    Status.DECLARED: "declared",
    Status.INVESTIGATING: "investigated",
    Status.IDENTIFIED: "set to Identified",
    Status.MITIGATED: "set to Mitigated",
    Status.MONITORING: "set to Monitoring",
    Status.RESOLVED: "resolved",
    Status.CLOSED: "closed",
    Status.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A field that every incident has and a type may require: what it is called, and whether it says anything."""

    name: str
    is_there: Callable[[Incident], bool]


BUILT_IN: Mapping[str, BuiltIn] = {
    "summary": BuiltIn("Summary", lambda incident: bool(incident.summary)),
    "category": BuiltIn("Category", lambda incident: incident.category is not None),
    "tags": BuiltIn("Tags", lambda incident: bool(incident.tags)),
    "teams": BuiltIn("Team", lambda incident: bool(incident.team_ids)),
    "lead": BuiltIn("Lead", lambda incident: lifecycle.effective_lead(incident) is not None),
    "commander": BuiltIn("Commander", lambda incident: incident.commander_id is not None),
    "communicator": BuiltIn("Communicator", lambda incident: incident.communicator_id is not None),
    "detected_at": BuiltIn("Time of detection", lambda incident: incident.detected_at is not None),
    "identified_at": BuiltIn("Time of identification", lambda incident: incident.identified_at is not None),
    "mitigated_at": BuiltIn("Time of mitigation", lambda incident: incident.mitigated_at is not None),
    "resolution_note": BuiltIn("Resolution note", lambda incident: bool(incident.resolution_note)),
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A field that has to be filled in first."""

    key: str
    name: str
    is_custom: bool

    @property
    def pointer(self) -> str:
        return pointer(self.key) if self.is_custom else self.key


def is_forward(status: Status, to: Status) -> bool:
    """Say whether a move leads on, and so through gates."""
    if to is Status.CANCELLED:
        return status is not to
    return status in ORDER and ORDER.index(to) > ORDER.index(status)


def needed(requirements: Iterable[str], to: Status) -> list[str]:
    """Return the keys that a type requires for a state, in their order."""
    return [key for state, key in map(split, requirements) if _holds_for(Status(state), to)]


def split(requirement: str) -> tuple[str, str]:
    """Take `state:key` apart."""
    state, _, key = requirement.partition(":")
    return state, key


def _holds_for(state: Status, to: Status) -> bool:
    if Status.CANCELLED in (state, to):
        return state is to
    return ORDER.index(to) >= ORDER.index(state)


def facts(incident: Incident, short_id: str, values: Mapping[str, Any], status: Status) -> dict[str, object]:
    """Lay out what a condition may ask."""
    return {
        "severity": incident.severity,
        "status": status.value,
        "type": short_id,
        "fields": {key: value[:_LONGEST_FACT] if isinstance(value, str) else value for key, value in values.items()},
    }


def is_required(field: Definition, known: Mapping[str, object]) -> bool:
    """Say whether the condition of the field itself requires it."""
    return bool(field.required_when) and read_condition(field.required_when).explain(known).matched


def missing(
    incident: Incident,
    requirements: Iterable[str],
    fields: Sequence[Definition],
    short_id: str,
    to: Status,
) -> list[Missing]:
    """Return what the incident does not say yet and has to for this state, in the order of the fields.

    `fields` are the custom ones that its type asks for; one that is required and not among them is archived by now.
    """
    wanted = needed(requirements, to)
    known = facts(incident, short_id, incident.fields, to)
    built_in = [
        Missing(key, BUILT_IN[key].name, is_custom=False)
        for key in wanted
        if key in BUILT_IN and not BUILT_IN[key].is_there(incident)
    ]
    custom = [
        Missing(field.key, field.name, is_custom=True)
        for field in fields
        if field.key not in incident.fields and (field.key in wanted or is_required(field, known))
    ]
    return [*custom, *built_in]


def refusal(found: Sequence[Missing], to: Status, reference: str) -> Invalid:
    """Return what is said of what is missing: a sentence for each field."""
    what = reference or "the incident"
    return Invalid.of(
        tuple(
            FieldError(
                f"#/{each.pointer}",
                f"“{each.name}” is missing. It is needed before {what} can be {ENTERED[to]}.",
                "required",
            )
            for each in found
        )
    )


def in_words(found: Sequence[Missing]) -> str:
    """Name what is missing: `Root cause and Summary`."""
    return listed([each.name for each in found])


def read_condition(text: str) -> Condition:
    """Compile the condition of a field; raises `Invalid("condition", …)`."""
    return Condition.compile(text, CONDITIONS)


_NAMES_FIELD = re.compile(r"\bfields\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*[\"']([^\"']*)[\"']\s*\])", re.ASCII)


def check_condition(text: str, keys: Collection[str]) -> str:
    """Return a condition if it is one and asks for no field that there is not; raises `Invalid`."""
    text = text.strip()
    if not text:
        return ""
    try:
        read_condition(text)
    except Invalid as problem:
        raise Invalid("required_when", problem.errors[0].detail, code="condition.invalid") from None
    for dotted, quoted in _NAMES_FIELD.findall(text):
        if (dotted or quoted) not in keys:
            raise Invalid("required_when", f"There is no field “{(dotted or quoted)[:60]}”.", code="condition.invalid")
    return text


def fields_in(condition: str) -> set[str]:
    """Return the keys of the fields that a condition asks for."""
    return {dotted or quoted for dotted, quoted in _NAMES_FIELD.findall(condition)}


# Comparisons that are joined by only && or only || are said as a sentence; any other condition is shown as it is.
_LITERAL = r"(?:\"[^\"\\]*\"|'[^'\\]*'|-?\d+(?:\.\d+)?|true|false)"
_COMPARED = re.compile(
    rf"\s*(severity|status|type|fields\.\w+)\s*(==|!=|<=|>=|<|>|in)\s*({_LITERAL}|\[\s*{_LITERAL}(?:\s*,\s*{_LITERAL})*\s*\])\s*",
    re.ASCII,
)
_HAS = re.compile(r"\s*(!?)\s*has\(\s*fields\.(\w+)\s*\)\s*", re.ASCII)
_OF_SEVERITY = {"<=": "{} or worse", ">=": "{} or milder", "<": "worse than {}", ">": "milder than {}"}
_OF_NUMBER = {"<=": "at most {}", ">=": "at least {}", "<": "less than {}", ">": "more than {}"}


def sentence(condition: str, names: Mapping[str, str], types: Mapping[str, str]) -> str | None:
    """Say a condition as people would, after “needed when”; None for one that is not that plain.

    `names` are those of fields by their keys, `types` those of types by their short ids.
    """
    joint = " || " if "||" in condition else " && "
    if "||" in condition and "&&" in condition:
        return None
    parts = [_comparison(part, names, types) for part in condition.split(joint.strip())]
    said = [part for part in parts if part is not None]
    if len(said) < len(parts):
        return None
    return (" or " if joint == " || " else " and ").join(said)


def _comparison(text: str, names: Mapping[str, str], types: Mapping[str, str]) -> str | None:
    if given := _HAS.fullmatch(text):
        return f"“{names.get(given[2], given[2])}” is {'not ' if given[1] else ''}filled in"
    found = _COMPARED.fullmatch(text)
    if found is None:
        return None
    what, sign, value = found[1], found[2], found[3]
    is_not = "not " if sign == "!=" else ""
    literals: list[str] = re.findall(_LITERAL, value)
    values = [each.strip("\"'") for each in literals]
    if sign in _OF_NUMBER and what in ("status", "type"):
        return None
    if what == "severity":
        if not all(each.isdecimal() and 1 <= int(each) <= 5 for each in values):
            return None
        words = _either([vocabulary.severity(int(each)) for each in values])
        return f"the severity is {is_not}{_OF_SEVERITY.get(sign, '{}').format(words)}"
    if what == "status":
        return f"it is {is_not}{_either(values)}"
    if what == "type":
        return f"the type is {is_not}{_either([types.get(each, each) for each in values])}"
    name = names.get(what.removeprefix("fields."), what)
    told = _either([{"true": "yes", "false": "no"}.get(each, each) for each in values])
    return f"“{name}” is {is_not}{_OF_NUMBER.get(sign, '{}').format(told)}"


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
