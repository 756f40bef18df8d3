"""Conditions as rows, and rows as conditions: one says what the other says, and what has no such shape stays so."""

from __future__ import annotations

import pytest

from tocsin.alerts.building import Row, labels_in, operators_of, read, unfinished, write
from tocsin.alerts.routing import facts, read_condition
from tocsin.alerts.sources import ADAPTERS

ROWS = [
    ([Row("severity", "<=", "2")], False, "severity <= 2"),
    (
        [Row("labels.team", "==", "payments"), Row("severity", "<=", "2")],
        False,
        'labels.team == "payments" && severity <= 2',
    ),
    (
        [Row("labels.team", "==", "a"), Row("title", "startsWith", "Disk")],
        True,
        '(has(labels.team) && labels.team == "a") || title.startsWith("Disk")',
    ),
    ([Row("labels.app.kubernetes.io/name", "!=", "x")], False, 'labels["app.kubernetes.io/name"] != "x"'),
    ([Row("title", "contains", 'say "hi" \\ there')], False, 'title.contains("say \\"hi\\" \\\\ there")'),
    ([Row("source_kind", "==", "pagerduty")], False, 'source_kind == "pagerduty"'),
]


@pytest.mark.parametrize(("rows", "any_of_them", "condition"), ROWS)
def test_rows_are_written_as_a_condition_and_read_from_it(rows: list[Row], any_of_them: bool, condition: str) -> None:
    assert write(rows, any_of_them=any_of_them) == condition
    read_condition(condition)
    # One row is all of them and any of them.
    assert read(condition) == (rows, any_of_them and len(rows) > 1)


@pytest.mark.parametrize(
    "condition",
    [
        'severity <= 2 || (severity == 3 && urgency == "high")',
        "!(severity <= 2)",
        'severity <= 2 && urgency == "low" || title == "x"',
        'title.matches("^a") == false',
        'labels.exists(name, name == "team")',
        "severity <= 2 &&",
        "severity <=",
        'severity == "2"',
        "title == 2",
        'title <= "a"',
        "size(labels) > 2",
        "severity <= 2 && && severity == 1",
        "(severity <= 2",
        'dedup == "x"',
    ],
)
def test_what_has_another_shape_stays_an_expression(condition: str) -> None:
    assert read(condition) is None


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("", []),
        ("  severity<=2  ", [Row("severity", "<=", "2")]),
        ("has(labels.team) && labels.team == 'core'", [Row("labels.team", "==", "core")]),
        ("(severity == 1) && (urgency != 'low')", [Row("severity", "==", "1"), Row("urgency", "!=", "low")]),
    ],
)
def test_what_people_write_by_hand_is_read_as_rows_too(condition: str, rows: list[Row]) -> None:
    assert read(condition) == (rows, False)


def test_what_is_not_filled_in_is_left_out() -> None:
    assert write([Row("severity", "<=", ""), Row("labels.team", "==", "  ")]) == ""
    assert write([Row("severity", "<=", " 2 "), Row("title", "==", "")], any_of_them=True) == "severity <= 2"


def test_of_a_severity_is_asked_what_has_an_order_and_of_texts_what_they_hold() -> None:
    assert "contains" not in operators_of("severity") and "<=" in operators_of("severity")
    assert "<=" not in operators_of("labels.team") and "matches" in operators_of("title")


def test_an_alert_without_the_label_keeps_no_other_row_from_holding() -> None:
    """What a row asks of a label that is not there is not true, and no fault of the whole."""
    condition = write([Row("labels.team", "==", "core"), Row("title", "contains", "Disk")], any_of_them=True)
    (signal,) = ADAPTERS["generic"].parse(b'{"title": "Disk is full"}', {}).signals
    assert read_condition(condition).explain(facts(signal, source="s", source_kind="generic")).matched


def test_the_labels_that_a_condition_names_are_found_in_each_spelling() -> None:
    assert labels_in("labels.team == 'a' && has(labels.env) && labels[\"k8s/app\"] != 'b' && labels.team != 'c'") == [
        "team",
        "env",
        "k8s/app",
    ]


def test_a_row_that_says_nothing_yet_is_known() -> None:
    """4: left out of what is written, it would make a condition that holds for more than was meant."""
    rows = [Row("severity", "<=", "1"), Row("labels.team", "==", ""), Row("title", "contains", " ")]
    assert unfinished(rows) == [1, 2] and write(rows) == "severity <= 1"
