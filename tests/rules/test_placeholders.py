"""F020: what templates of an incident can say, and what they can never do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tocsin.incidents import checks, placeholders
from tocsin.incidents.placeholders import NO_ALERT, NUMBER, SAMPLE, SUMMARY_TEMPLATE_LIMIT, AlertSaid
from tocsin.kit.errors import Invalid
from tocsin.kit.templates import BadTemplate

BY_HAND = replace(SAMPLE, alert=NO_ALERT)


@pytest.mark.parametrize(
    ("template", "from_an_alert", "by_hand"),
    [
        ("{{ alert.title }}", "Checkout answers 500", ""),
        ("{{ labels.service|default('A service') }} is down", "checkout is down", "A service is down"),
        ("{{ labels['team'] }}/{{ labels.items }}", "payments/", "/"),
        ("{{ 'x: ' ~ alert.number if alert.number else 'by hand' }}", "x: ALR-31", "by hand"),
        ("{{ incident.severity }} {{ incident.type }} {{ incident.date }}", "SEV2 General 2026-03-14", None),
        ("{% for name, value in labels|dictsort %}{{ name }} {% endfor %}", "environment service team", ""),
        ("{{ alert.title|truncate(9) }}", "Checkout…", ""),
        ("{{ incident.number }}: {{ alert.urgency }}", f"{NUMBER}: high", f"{NUMBER}: "),
    ],
)
def test_what_a_template_says(template: str, from_an_alert: str, by_hand: str | None) -> None:
    """F020: placeholders of the incident, its alert and the alert's labels; what is not known is empty."""
    assert placeholders.checked("title", template, 500) == template
    assert placeholders.summary(template, SAMPLE) == from_an_alert.strip()
    assert placeholders.summary(template, BY_HAND) == (from_an_alert if by_hand is None else by_hand).strip()


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ nothing }}", "Line 1: There is no field “nothing”"),
        ("fine\nfine\n{{ alert.titel }}", "Line 3: There is no field “alert.titel”"),
        ("{{ alert }}", "There is no field “alert”"),
        ("{{ incident['__class__'] }}", "There is no field “incident.__class__”"),
        ("{{ alert.title.__class__.__mro__ }}", "Only labels have parts"),
        ("{{ ''.__class__ }}", "Only labels have parts"),
        ("{{ labels.__class__.__init__ }}", "Only labels have parts"),
        ("{{ labels[alert.title] }}", "Only labels have parts"),
        ("{{ range(10 ** 9) }}", "Nothing can be called"),
        ("{{ cycler }}", "There is no field “cycler”"),
        ("{{ self }}", "There is no field “self”"),
        ("{{ 'a' * 10 ** 9 }}", "There is no arithmetic"),
        ("{% set a = 1 %}", "Nothing can be set"),
        ("{% for alert in labels %}{{ alert }}{% endfor %}", "Give the loop names of its own"),
        ("{% for a in labels %}{% for b in labels %}x{% endfor %}{% endfor %}", "A loop cannot stand within another"),
        ("{% for a in alert.title %}x{% endfor %}", "A loop goes over “labels|dictsort”"),
        ("{% include '/etc/passwd' %}", "“include” is not possible in a template of a text"),
        ("{{ alert.title|attr('x') }}", "There is no filter “attr”"),
        ("{{ alert.title", "Line 1:"),
        ("{{ incident.number|upper }}", "The number comes last of all"),
        ("{% if incident.number == 'INC-7' %}x{% endif %}", "The number comes last of all"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deeply"),
        ("x" * 8001, "longer than 8,000 characters"),
    ],
)
def test_what_a_template_cannot_do_is_said_with_its_line(template: str, why: str) -> None:
    """F020: nothing inside is reached, nothing runs for long, and whoever writes it is told where it is wrong."""
    with pytest.raises(Invalid) as refused:
        placeholders.checked("summary", template, SUMMARY_TEMPLATE_LIMIT)
    assert why in refused.value.message
    assert [each.pointer for each in refused.value.errors] == ["#/summary"]


def test_what_alerts_say_is_cut_to_what_an_incident_holds_and_never_rendered_again() -> None:
    """F020: a word of 10,000 letters, marks that turn the direction of text, and braces in an alert's own words."""
    hostile = replace(SAMPLE, alert=AlertSaid(title="x" * 10_000, description="{{ labels }}\u202e<script>"))
    title = placeholders.title("{{ alert.title }}\n{{ alert.description }}", hostile)
    assert len(title) == checks.TITLE_LIMIT and title.endswith("…")
    turned = placeholders.title("{{ alert.description }}", hostile)
    assert turned == "{{ labels }}<script>"
    assert len(placeholders.summary("{{ alert.title }}" * 3, hostile)) == checks.SUMMARY_LIMIT
    with pytest.raises(BadTemplate, match="longer than 60,000 characters"):
        placeholders.summary("{{ alert.title }}" * 7, hostile)


def test_only_the_number_of_the_incident_is_put_in_afterwards() -> None:
    """F020: the number is known last of all."""
    assert placeholders.numbered(placeholders.title(f"Bridge of {NUMBER}", SAMPLE), "INC-9") == "Bridge of INC-9"
