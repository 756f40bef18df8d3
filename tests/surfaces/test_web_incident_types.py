"""Incident types and custom fields in the browser: declaring, filling in, what is missing, and the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.surfaces.web_client import Browser, Page, browser
from tests.world import World
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import queries, type_queries
from tocsin.incidents.model import Incident
from tocsin.incidents.type_model import FIELD_ID, TYPE_ID


@pytest.fixture
async def ada(world: World) -> User:
    return await world.person("ada", role="admin")


@pytest.fixture
async def web(world: World, ada: User) -> AsyncIterator[Browser]:
    async with browser(world, ada) as web:
        yield web


async def submit(web: Browser, page: Page, form: str, **changes: str | list[str]) -> Page:
    """Send a form, and follow it where it is accepted."""
    answer = await web.submit(page, form, changes)
    return await web.get(answer.location) if answer.status == 303 else answer


async def incident(world: World) -> Incident:
    async with world.db.begin() as tx:
        return await queries.get(tx, EVERYTHING, "INC-1")


async def test_another_type_is_asked_for_its_fields_without_a_script(world: World, web: Browser) -> None:
    """F019, F021: what was typed stays, nothing is declared; what is missing is said at its field."""
    page = await web.get("/incidents/new")
    assert "fields/dataset" not in page.read.forms["declare-form"]
    again = await submit(web, page, "declare-form", title="Orders are late", type="data_quality", do="fields")
    assert again.status == 200
    form = again.read.forms["declare-form"]
    assert (form["title"], form["type"]) == (["Orders are late"], ["data_quality"])
    assert "fields/dataset" in form
    refused = await submit(web, again, "declare-form", do="")
    assert refused.status == 422
    assert "“Dataset” is missing. It is needed before the incident can be declared." in refused.html
    fields = {"fields/dataset": "orders", "fields/rows_affected": "1200,5", "fields/wrong_since": "2026-01-05T10:00"}
    declared = await submit(web, refused, "declare-form", do="", **fields)
    assert declared.status == 200
    said = (await incident(world)).fields
    assert said == {"dataset": "orders", "rows_affected": 1200.5, "wrong_since": "2026-01-05T10:00:00.000Z"}


async def test_the_page_says_what_is_missing_before_one_tries(world: World, web: Browser) -> None:
    """G08: in the menu and in the dialog, which leads to the fields; then it can be resolved."""
    page = await web.get("/incidents/new?type=security")
    await submit(web, page, "declare-form", title="A key has leaked")
    page = await web.get("/incidents/INC-1")
    assert "needs Way in and Data exposed" in page.html
    assert "Needed first:</strong> Way in and Data exposed" in (await web.get("/incidents/INC-1/resolve")).html
    dialog = await web.get("/incidents/INC-1/fields/for-resolved")
    asked = {name for name in dialog.read.forms["fields-form"] if name.startswith("fields/")}
    assert asked == {"fields/attack_vector", "fields/data_exposed"}
    filled = {"fields/attack_vector": "Phishing", "fields/data_exposed": "yes"}
    await submit(web, dialog, "fields-form", **filled)
    assert (await incident(world)).fields == {"attack_vector": "Phishing", "data_exposed": True}
    # Its own condition asks for more now.
    assert "Needed first:</strong> Kinds of data" in (await web.get("/incidents/INC-1/resolve")).html
    one = await web.get("/incidents/INC-1/fields/data_categories")
    await submit(web, one, "fields-form", **{"fields/data_categories": ["", "Passwords"]})
    assert "Passwords" in (await web.get("/incidents/INC-1/facts")).html
    dialog = await web.get("/incidents/INC-1/resolve")
    assert "Needed first" not in dialog.html
    await submit(web, dialog, "resolve-form", resolution_note="Revoked.")
    assert (await incident(world)).status == "resolved"


async def test_a_type_is_changed_by_buttons_and_saved(world: World, web: Browser) -> None:
    """F019: order, requirements and defaults; the editor works without a script, and saves nothing until it is told."""
    made = await submit(
        web, await web.get("/organisation/types/new"), "new-type", name="Network", short_id="net", description="Lines."
    )
    async with world.db.begin() as tx:
        kind = next(each for each in await type_queries.types(tx) if each.short_id == "net")
    form = f"edit-{TYPE_ID.write(kind.id)}"
    page = await submit(web, made, form, do="add", **{"new-field": "dataset"})
    assert page.read.forms[form]["layout"] == ["title", "severity", "summary", "dataset"]
    page = await submit(web, page, form, do="up:dataset")
    assert page.read.forms[form]["layout"] == ["title", "severity", "dataset", "summary"]
    needed = {"needed/dataset": "resolved", "needed/lead": "identified", "auto_close_days": "7"}
    await submit(web, page, form, do="save", **needed)
    async with world.db.begin() as tx:
        kind = await type_queries.incident_type(tx, kind.id)
    assert (kind.layout, kind.auto_close_days, kind.version) == (["title", "severity", "dataset", "summary"], 7, 2)
    assert kind.requirements == ["identified:lead", "resolved:dataset"]


async def test_a_field_is_made_and_changed(world: World, web: Browser) -> None:
    """F021: what is wrong is said at its field; its condition is said as a sentence."""
    dialog = await web.get("/organisation/fields/new")
    refused = await submit(web, dialog, "new-field", name="Region", key="region", kind="select")
    assert "Give at least one option to choose from." in refused.html
    page = await submit(web, refused, "new-field", options="EU\nUS")
    async with world.db.begin() as tx:
        field = (await type_queries.fields_called(tx, ["region"]))["region"]
    form = f"edit-{FIELD_ID.write(field.id)}"
    condition = "severity <= 2 && status == 'resolved'"
    page = await submit(web, page, form, required_when=condition, default_value="EU")
    assert "Needed when the severity is SEV2 or worse and it is resolved." in page.html
    refused = await submit(web, page, form, required_when="fields.nope == 1")
    assert (refused.status, "There is no field “nope”." in refused.html) == (422, True)
    async with world.db.begin() as tx:
        field = (await type_queries.fields_called(tx, ["region"]))["region"]
    assert (field.options, field.default_value, field.required_when) == (["EU", "US"], "EU", condition)


async def test_whoever_may_not_manage_types_is_not_let_into_the_settings(world: World) -> None:
    """C8."""
    async with browser(world, await world.person("bob")) as web:
        for place in ("/organisation/types", "/organisation/fields"):
            assert (await web.get(place)).status == 403
