"""Text templates: the list, and the editor of one with what it makes beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, Actor
from tocsin.incidents import checks, placeholders, text_template_queries, type_queries
from tocsin.incidents.fields import FIELDS
from tocsin.incidents.placeholders import Preview
from tocsin.incidents.service import templating
from tocsin.incidents.service.templating import PlainFields, TemplateChanges
from tocsin.incidents.text_template_model import TEMPLATE_ID, TextTemplate
from tocsin.kit.changes import limits_of
from tocsin.kit.errors import Invalid
from tocsin.kit.search import has_words
from tocsin.web.base import forms, lists, pages, portions
from tocsin.web.base.actions import Action, Actions, Made
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Listing, ListOf, View
from tocsin.web.base.navigation import Entry, Group
from tocsin.web.base.screens import DialogScreen, Shell, ShellScreen
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.picking import Option, Picker, picker

_PLACE = "/settings/text-templates"
TEMPLATES = ListOf(
    place=_PLACE,
    one="template",
    many="templates",
    search="Name or short id",
    columns=(Column("ttl", "Template"), Column("kind", "Type", priority=2), Column("sev", "Severity", priority=2)),
    views=(View("use", "In use"), View("archived", "Archived")),
)


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """One template in the list."""

    id: str
    name: str
    short_id: str
    description: str
    type: str
    severity: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatesScreen(ShellScreen):
    """A page of the templates that are in use, or of those that are archived."""

    template: ClassVar = "text_templates/templates.html"
    listing: Listing
    groups: list[lists.Group[TemplateRow]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateScreen(ShellScreen):
    """One template in its editor. `made` is what it makes; where it makes nothing, `wrong` says why."""

    template: ClassVar = "text_templates/template.html"
    row: TextTemplate
    id: str
    severities: Sequence[tuple[str, str]]
    categories: Sequence[tuple[str, str]]
    types: Sequence[tuple[str, str]]
    type: str
    teams: Picker
    made: Preview | None
    wrong: Sequence[str]
    names: Sequence[str]
    is_used: bool
    limits: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTemplateScreen(DialogScreen):
    """A template that is to be."""

    template: ClassVar = "text_templates/new_template.html"
    limits: Mapping[str, int]


@get(_PLACE, needs=P.USER_MANAGE)
async def template_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the templates in the order in which they were added; with `?tab=archived` the archived ones."""
    asked = Asked.by(TEMPLATES, request)
    archived = asked.view == "archived"
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        every = await text_template_queries.text_templates(tx)
        types = {each.id: each.name for each in await type_queries.types(tx)}
    rows = [each for each in every if (each.archived_at is not None) == archived]
    named = [each for each in rows if has_words(asked.words, each.name, each.short_id)]
    wanted = list(enumerate(named, start=1))
    found = await portions.read(asked, int, lambda row: row[0], portions.within(wanted, lambda row: row[0]))
    tabs = {"use": sum(each.archived_at is None for each in every)}
    tabs["archived"] = len(every) - tabs["use"]
    screen = TemplatesScreen(
        shell,
        listing=lists.listing_of(
            asked, found, tabs=lists.tabs_of(asked, tabs) if archived or tabs["archived"] else (), total=len(wanted)
        ),
        groups=lists.one_group([_row(each, types) for _, each in found.rows]),
    )
    return pages.render(screen)


def _row(row: TextTemplate, types: Mapping[UUID, str]) -> TemplateRow:
    type = types.get(row.type_id, "") if row.type_id is not None else ""
    return TemplateRow(TEMPLATE_ID.write(row.id), row.name, row.short_id, row.description, type, row.severity)


async def _new_template(opened: Opened) -> NewTemplateScreen:
    """Show the form of a template that is to be."""
    opened.who.must(P.USER_MANAGE)
    return NewTemplateScreen(opened.shell, limits=limits_of(PlainFields), back=_PLACE, refused=opened.refused)


async def _create(tx: Tx, who: Actor, _: str, form: Form) -> Made:
    """Make a template. Form fields: name, short_id, description, form_id."""
    made = await templating.create_template(
        tx, who, short_id=form.text("short_id"), name=form.text("name"), description=form.text("description")
    )
    return Made(TEMPLATE_ID.page(made.id))


@get(f"{_PLACE}/{{id:str}}", needs=P.USER_MANAGE)
async def template_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show the editor of one template."""
    return await _show(request, context, who, id)


async def _show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    who.must(P.USER_MANAGE)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        row = await text_template_queries.text_template(tx, TEMPLATE_ID.read(id))
        screen = await _editor(tx, shell, who, row, refused)
    return pages.render(screen)


async def _editor(tx: Tx, shell: Shell, who: Actor, row: TextTemplate, refused: Refused | None) -> TemplateScreen:
    title, summary = (
        (refused.form.text("title"), refused.form.text("summary"))
        if refused is not None and "summary" in refused.form.names
        else (row.title, row.summary)
    )
    made, wrong = _made(title, summary)
    types = [each for each in await type_queries.types(tx) if each.archived_at is None or each.id == row.type_id]
    teams = await identity.teams_by_id(tx, who.access, row.team_ids)
    return TemplateScreen(
        shell,
        row=row,
        id=TEMPLATE_ID.write(row.id),
        severities=[("", "That of the alert, or of the type"), *_SEVERITIES],
        categories=FIELDS["category"].choices,
        types=[("", "The default type"), *((each.short_id, _type_name(each.name, each.archived_at)) for each in types)],
        type=next((each.short_id for each in types if each.id == row.type_id), ""),
        teams=await picker(
            tx,
            who,
            "teams",
            chosen=[Option(TEAM_ID.write(id), team.name) for id, team in teams.items()],
            name="team_ids",
            in_sheet=False,
            refused=refused,
        ),
        made=made,
        wrong=wrong,
        names=placeholders.NAMES,
        is_used=(await text_template_queries.used_templates(tx, [row.id]))[row.id],
        limits=limits_of(PlainFields) | {"tags": checks.MOST_TAGS * (checks.TAG_LIMIT + 2)},
        refused=refused,
    )


_SEVERITIES = [(str(number), f"SEV{number}") for number in range(1, 6)]


def _type_name(name: str, archived_at: object) -> str:
    return f"{name} (archived)" if archived_at is not None else name


def _made(title: str, summary: str) -> tuple[Preview | None, list[str]]:
    try:
        return placeholders.preview(title, summary), []
    except Invalid as problem:
        return None, [each.detail for each in problem.errors]


@post(f"{_PLACE}/{{id:str}}", needs=P.USER_MANAGE)
async def update(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Save a template; with do=preview show what it would make, and save nothing.

    Form fields: name, description, title, summary, severity (empty: none), category (empty: none), tags (with commas),
    type (a short id, empty: none), team_ids (repeated), version.
    """
    form = await forms.read(request)
    if form.text("do") == "preview":
        return await _show(request, context, who, id, forms.ShownAgain.of(f"edit-{id}", form))
    refused = await forms.attempt(context, form, f"edit-{id}", partial(_update, who, id, form))
    if refused is not None:
        return await _show(request, context, who, id, refused)
    return pages.go(TEMPLATE_ID.page(id), "Template saved.")


async def _update(who: Actor, id: str, form: Form, tx: Tx) -> None:
    changes = TemplateChanges(
        name=form.text("name"),
        description=form.text("description"),
        title=form.text("title"),
        summary=form.text("summary"),
        severity=form.optional_whole("severity", least=1, most=5),
        category=checks.category(form.text("category")),
        tags=form.words("tags"),
        type=form.text("type"),
        team_ids=form.ids("team_ids", TEAM_ID) if any(form.texts("team_ids")) else [],
    )
    await templating.update_template(tx, who, TEMPLATE_ID.read(id), changes, if_version=form.version())


async def _archive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Offer it no more. No fields."""
    await templating.archive_template(tx, who, id)


async def _unarchive(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Offer it again. No fields."""
    await templating.unarchive_template(tx, who, id)


async def _delete(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Delete it. No fields."""
    await templating.delete_template(tx, who, id)


async def _ask_to_delete_template(opened: Opened) -> Question:
    """Ask before a template is deleted."""
    opened.who.must(P.USER_MANAGE)
    row = await text_template_queries.text_template(opened.tx, opened.id)
    place = TEMPLATE_ID.page(row.id)
    return Question(
        opened.shell,
        title=f"Delete {row.name}",
        text="Only a template with which no incident was declared can be deleted. Any other one is archived instead.",
        label="Delete template",
        form="delete-template-form",
        action=f"{place}/delete",
        crumbs=[(_PLACE, "Text templates"), (place, row.name)],
        back=place,
        seen=str(row.version),
        refused=opened.refused,
    )


_NEW = Dialog(f"{_PLACE}/new", _new_template, P.USER_MANAGE)
_DELETE = Dialog(f"{_PLACE}/{{id:str}}/delete", _ask_to_delete_template, P.USER_MANAGE, ids=TEMPLATE_ID)
HANDLERS = [
    template_list,
    _NEW.handler,
    *Actions(_PLACE, _NEW.show, needs=P.USER_MANAGE).handlers(
        Action("", _create, "Template created. Say what it fills in.", form="new-template", once=True)
    ),
    template_page,
    update,
    _DELETE.handler,
    *Actions(f"{_PLACE}/{{id:str}}", _show, needs=P.USER_MANAGE, ids=TEMPLATE_ID).handlers(
        Action("archive", _archive, "Template archived. It is offered no more.", form="archive"),
        Action("unarchive", _unarchive, "Template restored.", form="unarchive"),
        Action(
            "delete",
            _delete,
            "Template deleted.",
            form="delete-template-form",
            leads_to=_PLACE,
            show=_DELETE.show,
        ),
    ),
]
NAV = (
    Entry(
        _PLACE,
        "file-text",
        "Text templates",
        Group.ORGANISATION,
        62,
        P.USER_MANAGE,
        words="What an incident of a usual kind begins with, with placeholders",
    ),
)
