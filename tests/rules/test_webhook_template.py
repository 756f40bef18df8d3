"""Own templates: what they can say, what they can never do, and that none of them loses a page (F059, F060)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tocsin.kit.errors import Invalid
from tocsin.notifications.channels.base import PageMessage
from tocsin.notifications.channels.webhook import bodies, template
from tocsin.notifications.model import BodyFormat, Shape

PAGE = bodies.SAMPLES["a page"]
TEXT = "text/plain"
PARTS = "{% for name, value in labels|dictsort %}{{ name }}={{ value }}{% if not loop.last %}, {% endif %}{% endfor %}"


def shaped(text: str, content_type: str = TEXT) -> Shape:
    return Shape(BodyFormat.TEMPLATE, text, content_type)


def made(text: str, message: PageMessage = PAGE, content_type: str = TEXT) -> str:
    body = bodies.write(replace(message, shape=shaped(text, content_type)))
    assert body.note == "", body.note
    assert body.content_type == content_type
    return body.content.decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ title }}", "Checkout is down"),
        ("{{ title ~ '!' }}", "Checkout is down!"),
        ("{{ title|upper|json }}", '"CHECKOUT IS DOWN"'),
        ("{{ labels.team }}/{{ labels['team'] }}/{{ labels.nothing }}.", "payments/payments/."),
        ("{{ labels.items }}{{ labels.get }}.", "."),
        (PARTS, "service=checkout, team=payments"),
        ("{% for name in labels %}{{ loop.index }}{{ name }} {% endfor %}", "1service 2team "),
        ("{{ 'yes' if severity in ['SEV1', 'SEV2'] else 'no' }}", "yes"),
        ("{% if incident_number is none %}alert{% else %}incident{% endif %}", "alert"),
        ("[{{ incident_number }}] {{ possible_duplicate }}", "[] false"),
        ("{{ incident_number|json }} {{ possible_duplicate|json }} {{ attempt|json }}", "null false 1"),
        ("{{ labels|json }}", '{"service":"checkout","team":"payments"}'),
        ("{{ title|truncate(9) }}", "Checkout…"),
        ("{{ title|replace('Checkout', 'Shop') }}", "Shop is down"),
        ("{{ labels.nothing|default('none') }}", "none"),
        ("{{ labels|length }} {{ title|length }}", "2 16"),
        ("{{ 'a&b <c>'|xml }}", "a&amp;b &lt;c&gt;"),
        ("{{ 'a b/c'|urlencode }}", "a%20b%2Fc"),
        ("a\n", "a\n"),
    ],
)
def test_what_a_template_can_say(text: str, said: str) -> None:
    assert made(text) == said


IMPOSSIBLE = {
    "an unknown field": "{{ titel }}",
    "a call": "{{ range(10) }}",
    "a method": "{{ title.upper() }}",
    "a method of a text": "{{ ''.join(title) }}",
    "a hidden attribute": "{{ title.__class__.__mro__ }}",
    "a hidden attribute by its name": "{{ title['__class__'] }}",
    "a label by a value": "{{ labels[title] }}",
    "a part of a part": "{{ labels.team.x }}",
    "multiplying": "{{ 'a' * 1000000000 }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "formatting": "{{ '%999999999d' % 1 }}",
    "setting": "{% set a = title ~ title %}{{ a }}",
    "a loop over a text": "{% for sign in body %}x{% endfor %}",
    "a loop in a loop": "{% for a in labels %}{% for b in labels %}x{% endfor %}{% endfor %}",
    "a loop over names of the loop": "{% for labels in labels %}x{% endfor %}",
    "a loop that calls itself": "{% for a in labels recursive %}{{ loop(a) }}{% endfor %}",
    "the budget": "{{ _budget }}",
    "a macro": "{% macro a() %}x{% endmacro %}",
    "an include": "{% include 'x' %}",
    "an import": "{% import 'x' as x %}",
    "a parent": "{% extends 'x' %}",
    "a block": "{% block a %}{% endblock %}",
    "itself": "{{ self }}",
    "an unknown filter": "{{ title|pprint }}",
    "a named argument": "{{ title|truncate(length=5) }}",
    "an argument that is a field": "{{ title|replace(title, body) }}",
    "an unknown test": "{{ title is string }}",
    "half a tag": "{{ title",
    "half a condition": "{% if title %}",
    "brackets": "{{ " + "(" * 3000 + "title" + ")" * 3000 + " }}",
    "conditions in conditions": "{% if title %}" * 200 + "{% endif %}" * 200,
    "a huge number": "{{ " + "9" * 5000 + " }}",
    "too many filters": "{{ title|trim }}" * 201,
    "too long": "x" * 8001,
    "comparing what cannot be compared": "{{ title > 3 }}",
    "encoding a loop": "{% for a in labels %}{{ loop|json }}{% endfor %}",
    "nothing": "{% if false %}x{% endif %}",
}


@pytest.mark.parametrize("text", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_a_template_cannot_do_is_said_when_it_is_saved(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        bodies.checked("template", text, TEXT)
    assert refused.value.errors[0].pointer == "#/template"
    assert "(Tried with " in refused.value.message


@pytest.mark.parametrize("text", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_template_that_cannot_be_used_sends_the_plain_json_all_the_same(text: str) -> None:
    """G04: nobody is left unpaged because of what somebody wrote once."""
    if text == IMPOSSIBLE["nothing"]:
        return
    body = bodies.write(replace(PAGE, shape=shaped(text)))
    assert (body.content, body.content_type) == (bodies.body_of(PAGE), "application/json")
    assert body.note.startswith("The template could not be used, so this is plain JSON.")


GROWING = {
    "backslashes that double": "{{ body" + "|json" * 30 + " }}",
    "entities that grow": "{{ body" + "|xml" * 38 + " }}",
    "much output": "{% for n in labels %}" + "{{ body }}" * 700 + "{% endfor %}",
    "many filters in a loop": "{% for n in labels %}" + "{{ body|upper }}" * 199 + "{% endfor %}",
    "a text put in place of each sign": "{{ body|replace('&', '"
    + "&" * 100
    + "')|replace('&', '"
    + "&" * 100
    + "') }}",
}


@pytest.mark.parametrize("text", GROWING.values(), ids=GROWING)
def test_what_grows_is_stopped_and_the_page_goes_out(text: str) -> None:
    labels = {f"label{n}": "x" * 2000 for n in range(20)}
    huge = replace(PAGE, body='"\\&' * 660, labels=labels, shape=shaped(text))
    body = bodies.write(huge)
    assert body.content == bodies.body_of(huge)
    assert "more than 20,000 characters" in body.note or "longer than 32,768 characters" in body.note


@pytest.mark.parametrize("what", bodies.SAMPLES)
def test_the_example_is_json_for_every_sample(what: str) -> None:
    message = bodies.SAMPLES[what]
    said = json.loads(made(bodies.EXAMPLE, message, "application/json"))
    assert (said["title"], said["is_test"]) == (message.title, message.kind == "test")
    assert said["acknowledge"] == message.acknowledge_url and said["may_be_a_repeat"] is message.possible_duplicate


def test_a_value_that_could_break_out_of_its_json_is_refused_when_it_is_saved() -> None:
    with pytest.raises(Invalid, match="It is not JSON: write every value with the filter json") as refused:
        bodies.checked("template", '{"text": "{{ title }}"}', None)
    assert "a title with quotation marks" in refused.value.message
    assert bodies.checked("template", '{"text": {{ title|json }}}', None).content_type == "application/json"
    assert bodies.checked("template", '"{{ title }}"', TEXT).content_type == TEXT


def test_json_that_a_later_title_breaks_is_not_sent() -> None:
    shape = shaped('{"text": "{{ title }}"}', "application/vnd.example+json; v=1")
    broken = replace(PAGE, title='x", "admin": "y', shape=shape)
    assert json.loads(bodies.write(replace(broken, title="x")).content) == {"text": "x"}
    assert json.loads(bodies.write(replace(broken, title='"')).content)["title"] == '"'


@pytest.mark.parametrize(
    ("content_type", "is_good"),
    [
        ("application/json", True),
        ("text/plain; charset=utf-8", True),
        ("text/plain\r\nX-Evil: 1", False),
        ("text", False),
        ("text/plain; charset", False),
        ("a/" + "b" * 100, False),
    ],
)
def test_a_content_type_is_one(content_type: str, is_good: bool) -> None:
    if is_good:
        assert bodies.checked("template", "{{ title|json }}", content_type).content_type == content_type
    else:
        with pytest.raises(Invalid) as refused:
            bodies.checked("template", "{{ title|json }}", content_type)
        assert refused.value.errors[0].pointer == "#/content_type"


@pytest.mark.parametrize(
    ("format", "own", "content_type", "field"),
    [
        ("pigeon", None, None, "format"),
        ("slack", "{{ title }}", None, "template"),
        ("tocsin", None, TEXT, "content_type"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    format: str, own: str | None, content_type: str | None, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        bodies.checked(format, own, content_type)
    assert refused.value.errors[0].pointer == f"#/{field}"


def test_a_template_without_text_is_the_example() -> None:
    assert bodies.checked("template", None, None) == shaped(bodies.EXAMPLE, "application/json")
    assert bodies.checked("template", "", "") == shaped(bodies.EXAMPLE, "application/json")


def test_a_template_of_a_browser_is_stored_with_plain_line_breaks() -> None:
    assert bodies.checked("template", "a\r\nb", TEXT).template == "a\nb"


def test_the_note_says_nothing_of_the_template() -> None:
    """The detail of a delivery is read by more people than the template, which may hold a secret."""
    secret = "{{ 'hunter2' > 3 }} hunter2"
    body = bodies.write(replace(PAGE, shape=shaped(secret)))
    assert body.note and "hunter2" not in body.note


def test_filters_are_those_that_are_told() -> None:
    for name in template.FILTERS:
        text = "{{ title|replace('a', 'b') }}" if name == "replace" else f"{{{{ title|{name} }}}}"
        made(text)


def test_the_templates_of_the_documents_can_be_used() -> None:
    page = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
    first, second = re.findall(r"^```jinja\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert json.loads(made(bodies.checked("template", first, None).template or ""))["text"] == "SEV1 Checkout is down"
    assert "service=checkout, team=payments" in made(bodies.checked("template", second, TEXT).template or "")
