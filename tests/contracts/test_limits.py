"""What may be written into an incident, and how long: rules, OpenAPI document, forms and documents say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

import tocsin
from tests.world import World
from tocsin.identity.service import MOST_OWNERS
from tocsin.incidents import checks, lifecycle
from tocsin.incidents.service import comments, ending, linking, notes, paging, relating

TEMPLATES = Path(tocsin.__file__).parent / "web" / "templates"

# The schema and its property, and the limit that the use case holds to.
IN_OPENAPI = [
    ("DeclareIncident", "title", checks.TITLE_LIMIT),
    ("DeclareIncident", "summary", checks.SUMMARY_LIMIT),
    ("DeclareIncident", "page", paging.MANY),
    ("EditIncident", "title", checks.TITLE_LIMIT),
    ("EditIncident", "summary", checks.SUMMARY_LIMIT),
    ("EditIncident", "resolution_note", lifecycle.NOTE_LIMIT),
    ("ResolveIncident", "resolution_note", lifecycle.NOTE_LIMIT),
    ("CloseIncident", "resolution_note", lifecycle.NOTE_LIMIT),
    ("CancelIncident", "note", ending.REASON_LIMIT),
    ("ReopenIncident", "reason", ending.REASON_LIMIT),
    ("PageForIncident", "message", paging.REASON_LIMIT),
    ("PageForIncident", "targets", paging.MANY),
    ("AddComment", "body", comments.COMMENT_LIMIT),
    ("EditComment", "body", comments.COMMENT_LIMIT),
    ("LinkAlerts", "alert_ids", linking.MANY),
    ("DeclareIncident", "team_ids", MOST_OWNERS),
    ("EditIncident", "team_ids", MOST_OWNERS),
    ("DeclareIncident", "tags", checks.MOST_TAGS),
    ("EditIncident", "tags", checks.MOST_TAGS),
    ("EditIncident", "affected_regions", checks.MOST_REGIONS),
    ("EditIncident", "consequence", checks.CONSEQUENCE_LIMIT),
    ("MarkDuplicate", "note", ending.REASON_LIMIT),
    ("MergeIncidents", "note", ending.REASON_LIMIT),
    ("MergeIncidents", "incidents", relating.MOST_MERGED),
    ("AddNote", "title", notes.TITLE_LIMIT),
    ("AddNote", "body", notes.BODY_LIMIT),
    ("EditNote", "title", notes.TITLE_LIMIT),
    ("EditNote", "body", notes.BODY_LIMIT),
    ("AddLink", "url", relating.URL_LIMIT),
    ("AddLink", "name", relating.NAME_LIMIT),
]
# The form and its field.
IN_FORMS = [
    ("incidents/declare.html", "title", checks.TITLE_LIMIT),
    ("incidents/declare.html", "summary", checks.SUMMARY_LIMIT),
    ("incidents/resolve.html", "resolution_note", lifecycle.NOTE_LIMIT),
    ("incidents/cancel.html", "note", ending.REASON_LIMIT),
    ("incidents/reopen.html", "reason", ending.REASON_LIMIT),
    ("incidents/impact.html", "consequence", checks.CONSEQUENCE_LIMIT),
    ("incidents/add_link.html", "url", relating.URL_LIMIT),
    ("incidents/add_link.html", "name", relating.NAME_LIMIT),
    ("incidents/page.html", "message", paging.REASON_LIMIT),
    ("incidents/_composer.html", "body", comments.COMMENT_LIMIT),
    ("incidents/comment_edit.html", "body", comments.COMMENT_LIMIT),
]
# What is called something: the form, and the body of the API that names the same thing. A form that has its limits from
# the declaration (`limits_of`, as those of teams and roles) need not stand here.
NAMES = [
    ("sources/new.html", "CreateSource"),
    ("sources/rename.html", "EditSource"),
    ("routes/route_edit.html", "CreateRoute"),
    ("policies/policy_edit.html", "CreatePolicy"),
    ("people/invite.html", "CreateUser"),
    ("people/person.html", "EditUser"),
    ("account/new_token.html", "CreateToken"),
]


@pytest.fixture
async def schemas(world: World) -> dict[str, Any]:
    transport = httpx.ASGITransport(app=world.app.asgi())  # pyright: ignore
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin.example") as client:
        return (await client.get("/api/v1/openapi.json")).json()["components"]["schemas"]


async def test_the_openapi_document_names_the_limits_of_the_rules(schemas: dict[str, Any]) -> None:
    """F120: a client that keeps to the document is not refused for the length of what it sends."""
    said = {(name, field): _limit(schemas[name]["properties"][field]) for name, field, _ in IN_OPENAPI}
    assert said == {(name, field): limit for name, field, limit in IN_OPENAPI}, (
        "Give the field of the body, or of what it `writes`, a `Meta(max_length=…)` with the limit of the rules."
    )


def _limit(schema: dict[str, Any]) -> int | None:
    either = [schema, *schema.get("oneOf", []), *schema.get("anyOf", [])]
    return next((each[key] for each in either for key in ("maxLength", "maxItems") if key in each), None)


@pytest.mark.parametrize(("form", "field", "limit"), IN_FORMS)
def test_a_form_lets_people_write_what_the_rules_take(form: str, field: str, limit: int) -> None:
    """F012, F031: neither less, nor so much that it is refused afterwards."""
    assert _lengths(form, field) == {limit}, f"The field {field} of {form} needs `'maxlength': {limit}` in its `attrs`."


def _lengths(form: str, field: str) -> set[int]:
    """Read `maxlength` of the macros of this template that make an input of this name."""
    made = re.findall(rf"'{field}',(?:(?!}}}}).)*?'maxlength': (\d+)", (TEMPLATES / form).read_text(), re.DOTALL)
    return {int(each) for each in made}


async def test_a_name_may_be_as_long_on_a_page_as_through_the_api(schemas: dict[str, Any]) -> None:
    """F120: of sources, routes, policies, people and tokens."""
    for form, body in NAMES:
        limit = _limit(schemas[body]["properties"]["name"])
        assert _lengths(form, "name") == {limit}, f"The name in {form} needs `'maxlength': {limit}`, as in {body}."


async def test_every_limit_of_an_incidents_bodies_is_looked_at(schemas: dict[str, Any]) -> None:
    """F120: whoever adds a field with a limit adds it above."""
    looked_at = {(name, field) for name, field, _ in IN_OPENAPI}
    bodies = {name for name, _ in looked_at}
    found = {
        (name, field) for name in bodies for field, schema in schemas[name]["properties"].items() if _limit(schema)
    }
    assert found == looked_at, "Add it to `IN_OPENAPI`, or take from there what is gone."
