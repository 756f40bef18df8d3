"""What an incident has to say before it moves on (G08), and how conditions read."""

from __future__ import annotations

import pytest

from tocsin.incidents import gates
from tocsin.incidents.custom_fields import Draft
from tocsin.incidents.gates import is_forward, missing, needed, refusal, sentence
from tocsin.incidents.model import Incident, Status
from tocsin.incidents.type_model import Kind
from tocsin.kit.errors import Invalid

S = Status
REQUIREMENTS = ["declared:dataset", "mitigated:cause", "resolved:summary", "cancelled:tags"]


def incident(severity: int = 3, summary: str = "", **fields: object) -> Incident:
    return Incident(severity=severity, summary=summary, tags=[], fields=fields, status=S.DECLARED)


def asked(key: str, required_when: str = "") -> Draft:
    return Draft(key=key, name=key.title(), kind=Kind.TEXT, required_when=required_when)


@pytest.mark.parametrize(
    ("to", "keys"),
    [
        (S.DECLARED, ["dataset"]),
        (S.INVESTIGATING, ["dataset"]),
        (S.IDENTIFIED, ["dataset"]),
        (S.MITIGATED, ["dataset", "cause"]),
        (S.MONITORING, ["dataset", "cause"]),
        (S.RESOLVED, ["dataset", "cause", "summary"]),
        (S.CLOSED, ["dataset", "cause", "summary"]),
        (S.CANCELLED, ["tags"]),
    ],
)
def test_a_state_needs_what_the_states_before_it_need(to: Status, keys: list[str]) -> None:
    """G08: nobody goes round a gate by leaving a state out; to cancel needs its own alone."""
    assert needed(REQUIREMENTS, to) == keys


@pytest.mark.parametrize(
    ("status", "to", "forward"),
    [
        (S.DECLARED, S.INVESTIGATING, True),
        (S.MONITORING, S.IDENTIFIED, False),
        (S.IDENTIFIED, S.IDENTIFIED, False),
        (S.INVESTIGATING, S.CLOSED, True),
        (S.RESOLVED, S.CLOSED, True),
        (S.RESOLVED, S.INVESTIGATING, False),
        (S.CANCELLED, S.INVESTIGATING, False),
        (S.DECLARED, S.CANCELLED, True),
        (S.CANCELLED, S.CANCELLED, False),
    ],
)
def test_gates_stand_on_the_way_on_only(status: Status, to: Status, forward: bool) -> None:
    """G08."""
    assert is_forward(status, to) is forward


@pytest.mark.parametrize(
    ("it", "to", "found"),
    [
        (incident(), S.RESOLVED, ["cause", "impact", "summary"]),
        (incident(summary="Known"), S.RESOLVED, ["cause", "impact"]),
        (incident(summary="Known", cause="A bolt"), S.RESOLVED, ["impact"]),
        (incident(summary="Known", cause="A bolt", impact="All"), S.RESOLVED, []),
        (incident(), S.MITIGATED, ["cause"]),
        (incident(1), S.INVESTIGATING, []),
        # Its condition cannot be decided while nobody has said how many there are, and then requires nothing.
        (incident(1, "Known", cause="x", impact="y"), S.CLOSED, []),
        (incident(1, "Known", cause="x", impact="y", count=10), S.CLOSED, ["told"]),
        (incident(1, "Known", cause="x", impact="y", count=10), S.RESOLVED, []),
        (incident(1, "Known", cause="x", impact="y", count=9), S.CLOSED, []),
    ],
)
def test_what_is_missing_is_named(it: Incident, to: Status, found: list[str]) -> None:
    """G08, F021: what its type requires, and what a field requires by its own condition."""
    fields = [
        asked("cause"),
        asked("impact", "severity <= 3 && status == 'resolved'"),
        asked("told", "fields.count >= 10 && status == 'closed' && type == 'general'"),
    ]
    requirements = ["mitigated:cause", "resolved:summary", "resolved:gone"]
    assert [each.key for each in missing(it, requirements, fields, "general", to)] == found


def test_a_refusal_names_each_field_at_its_place() -> None:
    """G08."""
    found = missing(incident(), ["resolved:cause", "resolved:summary"], [asked("cause")], "general", S.RESOLVED)
    said = refusal(found, S.RESOLVED, "INC-7")
    assert [(each.pointer, each.code) for each in said.errors] == [
        ("#/fields/cause", "required"),
        ("#/summary", "required"),
    ]
    assert said.message == "“Cause” is missing. It is needed before INC-7 can be resolved."
    assert gates.in_words(found) == "Cause and Summary"


NAMES = {"impact": "Customer impact", "exposed": "Data exposed", "count": "Customers"}


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("severity <= 2", "the severity is SEV2 or worse"),
        ("severity == 1 && status == 'resolved'", "the severity is SEV1 and it is resolved"),
        ('status in ["resolved", "closed"]', "it is resolved or closed"),
        ("type == 'security' || severity < 2", "the type is Security or the severity is worse than SEV2"),
        ("fields.exposed == true", "“Data exposed” is yes"),
        ("fields.count > 100", "“Customers” is more than 100"),
        ("fields.impact != 'none'", "“Customer impact” is not none"),
        ("has(fields.impact) && !has(fields.count)", "“Customer impact” is filled in and “Customers” is not filled in"),
        ("severity <= 2 || (severity == 3 && true)", None),
        ("severity <= 2 || type == 'x' && status == 'closed'", None),
        ("size(fields) > 2", None),
        ("severity <= 9", None),
        ("severity in [1, 2]", "the severity is SEV1 or SEV2"),
    ],
)
def test_a_plain_condition_is_said_as_a_sentence(condition: str, words: str | None) -> None:
    """F021: any other one is shown as it is written."""
    assert sentence(condition, NAMES, {"security": "Security"}) == words


@pytest.mark.parametrize(
    "condition",
    [
        "severity",
        "severity <= 'x'",
        "priority == 1",
        "fields.nope == 1",
        "fields['nope'] == 1",
        "severity <=",
        "x" * 3000,
    ],
)
def test_a_condition_that_is_none_is_refused(condition: str) -> None:
    """F021."""
    with pytest.raises(Invalid) as refused:
        gates.check_condition(condition, {"impact"})
    assert refused.value.errors[0].pointer == "#/required_when"


def test_a_condition_that_is_one_is_kept() -> None:
    """F021."""
    assert gates.check_condition(" fields.impact == 'x' ", {"impact"}) == "fields.impact == 'x'"
    assert gates.check_condition("  ", {}) == ""
    assert gates.fields_in("fields.a == 1 && fields['b'] == 2") == {"a", "b"}
