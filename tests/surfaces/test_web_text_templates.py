"""F020: text templates in the settings, and in the dialog of a declaration."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.surfaces.test_web_incident_types import submit
from tests.surfaces.web_client import Browser, browser
from tests.world import World
from tocsin.identity.access import EVERYTHING
from tocsin.identity.model import User
from tocsin.incidents import queries


@pytest.fixture
async def ada(world: World) -> User:
    return await world.person("ada", role="admin")


@pytest.fixture
async def web(world: World, ada: User) -> AsyncIterator[Browser]:
    async with browser(world, ada) as web:
        yield web


async def test_a_template_is_written_on_its_page_and_shown_before_it_is_saved(web: Browser) -> None:
    """F020: list, create, preview by a button, a refusal with its line, archive, restore, delete; markup stays text."""
    listed = await web.get("/settings/text-templates")
    for name in ("Service down", "Data late or wrong", "Suspected break-in"):
        assert name in listed.html
    dialog = await web.get("/settings/text-templates/new")
    page = await submit(web, dialog, "new-template", name="<b>Link</b>", short_id="link")
    assert page.status == 200 and "&lt;b&gt;Link&lt;/b&gt;" in page.html and "<b>Link" not in page.html
    form = f"edit-{page.path.rsplit('/', 1)[1]}"

    shown = await submit(
        web, page, form, do="preview", title="{{ labels.service }} down", summary="**{{ alert.title }}**"
    )
    assert shown.status == 200
    assert "checkout down" in shown.html and "<strong>Checkout answers 500</strong>" in shown.html
    assert (await web.get(page.path)).read.forms[form]["title"] == [""]
    refused = await submit(web, shown, form, do="", summary="fine\n{{ alert.titel }}")
    assert refused.status == 422
    assert refused.html.count("Line 2: There is no field “alert.titel”.") == 2
    saved = await submit(web, refused, form, do="", summary="Fine.", severity="2", type="security", tags="Net, link")
    assert saved.status == 200
    said = saved.read.forms[form]
    assert (said["title"], said["summary"], said["tags"]) == (["{{ labels.service }} down"], ["Fine."], ["net, link"])
    assert (said["severity"], said["type"]) == (["2"], ["security"])

    archived = await submit(web, saved, "archive")
    assert "&lt;b&gt;Link" in (await web.get("/settings/text-templates?tab=archived")).html
    assert "&lt;b&gt;Link" not in (await web.get("/settings/text-templates?q=link")).html
    restored = await submit(web, archived, "unarchive")
    question = await web.get(f"{restored.path}/delete")
    gone = await submit(web, question, "delete-template-form")
    assert gone.path == "/settings/text-templates" and "&lt;b&gt;Link" not in gone.html


@pytest.mark.parametrize("role", ["responder", "communicator", "stakeholder", "guest"])
async def test_who_does_not_manage_the_organisation_sees_no_page_of_templates(world: World, role: str) -> None:
    """F020: rights of roles."""
    async with browser(world, await world.person("bob", role=role)) as web:
        for path in ("/settings/text-templates", "/settings/text-templates/new"):
            assert (await web.get(path)).status == 403


async def test_the_dialog_offers_templates_and_keeps_what_was_typed(world: World, web: Browser) -> None:
    """F020: without a script by a button; the next one replaces what the one before filled in, and no more."""
    page = await web.get("/incidents/new")
    first = await submit(web, page, "declare-form", template="service_down", do="template")
    form = first.read.forms["declare-form"]
    assert (form["title"], form["severity"], form["category"]) == (["A service is down"], ["1"], ["availability"])
    typed = await submit(web, first, "declare-form", title="Mine", template="break_in", do="template")
    form = typed.read.forms["declare-form"]
    assert (form["title"], form["severity"], form["category"]) == (["Mine"], ["2"], ["security"])
    assert form["type"] == ["security"] and "Change nothing on the machines" in form["summary"][0]
    none = await submit(web, typed, "declare-form", template="", do="template")
    assert none.read.forms["declare-form"]["summary"] == [""]
    late = await submit(web, none, "declare-form", template="data_late", do="template")
    assert late.read.forms["declare-form"]["type"] == ["data_quality"]
    unknown = await submit(web, typed, "declare-form", template="nope", do="template")
    assert unknown.status == 422 and "There is no text template “nope”." in unknown.html
    declared = await submit(web, typed, "declare-form", do="", title="{{ incident.number }} it is")
    assert declared.status == 200
    async with world.db.begin() as tx:
        made = await queries.get(tx, EVERYTHING, "INC-1")
        assert (made.title, made.tags, made.category) == ("INC-1 it is", ["security"], "security")


async def test_a_template_can_be_named_in_the_address_of_the_dialog(web: Browser) -> None:
    """F020: for a bookmark or a runbook; one that is archived or unknown is passed over."""
    named = await web.get("/incidents/new?template=service_down")
    assert named.read.forms["declare-form"]["title"] == ["A service is down"]
    assert (await web.get("/incidents/new?template=nope")).read.forms["declare-form"]["title"] == [""]
