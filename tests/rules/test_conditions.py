"""Conditions in CEL: what they mean, how faults are told, and that none of them can hang us (F069)."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.kit.conditions import Condition, Facts, Vocabulary
from tocsin.kit.errors import Invalid

VOCABULARY = Vocabulary({"title": "x", "severity": 3, "labels": {}, "description": ""})
CONTEXT: dict[str, object] = {
    "title": "Disk is full",
    "severity": 2,
    "labels": {"team": "payments", "env": "prod"},
    "description": "",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("severity <= 2", True),
        ("severity <= 2 && labels.team == 'payments'", True),
        ("labels.team == 'search' || labels.env == 'prod'", True),
        ("!(severity == 2)", False),
        ("labels.nope == 'x'", False),
        ("labels.nope == 'x' || severity == 2", True),
        ("labels['nope'] == 'x'", False),
        ("has(labels.team)", True),
        ("has(labels.nope)", False),
        ("'team' in labels", True),
        ("title.matches('^Disk .* full$')", True),
        (r'title.matches("\\bfull\\b")', True),
        (r"title.matches(r'\bfull\b')", True),
        ("labels.exists(k, labels[k] == 'prod')", True),
        ("labels.all(k, k.startsWith('t'))", False),
        ("size(labels.filter(k, k == 'env')) == 1", True),
        ("severity in [1, 2] // the urgent ones", True),
        ("title.contains('(all(map(')", False),
        ("labels.team", False),
        ("1 / (severity - 2) == 1", False),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    condition = Condition.compile(text, VOCABULARY)
    assert condition.explain(CONTEXT).matched is holds
    assert condition.explain(Facts(CONTEXT)).matched is holds
    assert Condition.compile(text).explain(CONTEXT).matched is holds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("labels.nope == 'x'", "There is no “nope” in it."),
        ("labels.team", "The condition gives a value that is neither true nor false."),
        ("severity == 1", "The condition is false."),
        ("labels.team > 3", "Values of unlike types meet: No such overload"),
        ("1 / (severity - 2) == 1", "division by zero"),
    ],
)
def test_the_reason_says_why_it_does_not_hold(text: str, reason: str) -> None:
    outcome = Condition.compile(text, VOCABULARY).explain(CONTEXT)
    assert not outcome.matched
    assert reason in outcome.reason
    assert Condition.compile(text, VOCABULARY).explain(Facts(CONTEXT)) == outcome


def test_parentheses_cost_nothing_by_themselves() -> None:
    """Only all, exists and filter go through a list."""
    text = "(" * 20 + "severity <= 2 || size(title) > 3" + ")" * 20
    assert Condition.compile(text, VOCABULARY).explain(CONTEXT).matched


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Write a condition"),
        ("severity <= 2 &&", "line 1, column 17: it ends too early."),
        ("severity = 3", "column 10: “=” is not expected here. Write == to compare."),
        ("severity == 1 and title == 'x'", "column 15: “and” is not expected here. Write && for “and”."),
        ("severity in [1,\n 2] title", "line 2, column 5"),
        ("@", "line 1, column 1"),
        ("gravity == 1", "There is no field “gravity”. The fields are title, severity"),
        ("nonsense(title)", "There is no function “nonsense”."),
        ("severity", "must be true or false"),
        ("1 + 1", "must be true or false"),
        ("'yes'", "must be true or false"),
        ("title > 3", "unlike types"),
        ("labels.map(k, k) == []", "“map” cannot be used"),
        ("title.matches('(')", "not a valid regular expression"),
        ("title.matches(description)", "one pattern in quotes"),
        ("matches(title, 'x')", "one pattern in quotes"),
        ('"""x""" == title', "not in triple ones"),
        ("title == '\ud800'", "not valid Unicode"),
        ("a" * 2_001, "2,001 characters long"),
        ("(" * 200 + "true" + ")" * 200, "nested too deeply"),
        ("[" * 900 + "]" * 900, "nested too deeply"),
    ],
)
def test_a_broken_condition_is_refused_and_says_where(text: str, sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        Condition.compile(text, VOCABULARY)
    assert sentence in refused.value.message
    assert refused.value.errors[0].pointer == "#/condition"


_ONES = "[" + ",".join(["1"] * 100) + "]"
_MANY = "[" + ",".join(["1"] * 900) + "]"


@pytest.mark.parametrize(
    "text",
    [
        "labels.all(a, labels.all(b, labels.all(c, true)))",
        f"{_ONES}.all(a,{_ONES}.all(b,{_ONES}.all(c,true)))",
        "".join(f"[1,1].all(a{i}," for i in range(22)) + "true" + ")" * 22,
        f"{_ONES}.all(a, [a+a].all(b, true))",
        _MANY + ".filter(a,true)" * 8 + " == []",
        "description.matches('(d{100}){100}')",
        "description.matches('a{99999999999}')",
        r"labels.all(k, title.matches('d\x7b1000}\173 1000}'))",
        "||".join([r"title.matches('\\w{90}')"] * 8),
        "labels.all(k, description.matches('[a-z]{500}.*x'))",
        f"{_MANY}.all(a, title.matches('\\\\w{{100}}'))",
        "description.matches('" + "(d?){30}" * 60 + "')",
    ],
)
def test_a_condition_that_may_take_long_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Condition.compile(text, VOCABULARY)


@pytest.mark.parametrize(
    "text",
    [
        "!" * 1_990 + "true",
        "&&".join(["true"] * 330),
        "+".join(["description"] * 160) + " == 'a'",
        "labels" + ".a" * 900 + " == 'x'",
        "labels.all(a, labels.all(b, labels[a] == labels[b] || true))",
        "labels.exists(k, labels[k].matches('^a.*b$'))",
        "description.matches('(d+)+$x')",
        "||".join(["description.matches('x$')"] * 60),
    ],
)
def test_an_allowed_condition_is_quick_in_the_worst_context(text: str) -> None:
    worst: dict[str, object] = {
        "title": "x" * 1_000,
        "severity": 1,
        "labels": {f"l{i}": "v" * 2_000 for i in range(64)},
        "description": "d" * 4_000,
    }
    condition = Condition.compile(text, VOCABULARY)
    started = time.process_time()
    condition.explain(worst)
    assert time.process_time() - started < 2


def test_compiling_again_is_free() -> None:
    assert Condition.compile("severity == 1", VOCABULARY) is Condition.compile("severity == 1", VOCABULARY)


@pytest.mark.parametrize("value", ["\ud800", 2**70, [[["x"]]], None, object()])
def test_a_strange_context_does_not_raise(value: object) -> None:
    condition = Condition.compile("title == 'x'", VOCABULARY)
    assert not condition.explain({"title": value}).matched
    assert not condition.explain(Facts({"title": value})).matched


def test_a_context_of_any_depth_does_not_end_the_process() -> None:
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    condition = Condition.compile("title == 'x'", VOCABULARY)
    assert not condition.explain({"title": deep}).matched
    assert not condition.explain(Facts({"title": deep})).matched


_PIECES = st.sampled_from(
    [
        "labels",
        "title",
        "severity",
        ".",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "'a'",
        "1",
        "1u",
        "9223372036854775808",
        "1e999",
        "==",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "%",
        "?",
        "in",
        "has",
        "all",
        "exists",
        "k",
        "true",
        "null",
        "b'\\xff'",
        "'\\u0000'",
        "r'\\'",
        "size",
        "timestamp",
        "duration",
        "'9999999999h'",
        "int",
        ".team",
        "@",
        "//",
        "matches",
    ]
)


@given(st.lists(_PIECES, max_size=15).map(" ".join) | st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_no_condition_raises_anything_but_invalid(text: str) -> None:
    try:
        condition = Condition.compile(text, VOCABULARY)
    except Invalid:
        return
    assert condition.explain(CONTEXT).matched in (True, False)
