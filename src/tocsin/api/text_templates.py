"""Text templates: what an incident of a usual kind begins with, with placeholders for what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import post
from litestar.params import JSONBody, QueryParameter

from tocsin.api.base.body import Body, naming, writes
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Time
from tocsin.api.base.resource import ForAll, Resource, by_words
from tocsin.api.shapes.incidents import TypeRef
from tocsin.api.shapes.owners import TeamRef
from tocsin.api.shapes.refs import ALERT
from tocsin.db.engine import Tx
from tocsin.edge.context import Context, Ctx, Who
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, Actor
from tocsin.identity.service import MOST_OWNERS
from tocsin.incidents import placeholders, text_template_queries, type_queries
from tocsin.incidents.model import Category
from tocsin.incidents.service import templating
from tocsin.incidents.text_template_model import TEMPLATE_ID, TextTemplate
from tocsin.incidents.type_model import TYPE_ID
from tocsin.kit.ids import IdKind


class TextTemplateOut(msgspec.Struct):
    """A text template. `title` and `summary` have placeholders; what is null or empty is not filled in.

    `type` is the incident type at its newest version, which may be archived since; such a template is refused until a
    declaration names another type. `teams` are those that you see.
    """

    id: str
    name: str
    short_id: str
    description: str
    title: str
    summary: str
    severity: int | None
    category: Category | None
    tags: list[str]
    type: TypeRef | None
    teams: list[TeamRef]
    archived_at: Time | None
    created_at: Time
    updated_at: Time
    version: int


_Type = Annotated[str, msgspec.Meta(max_length=60, description="The short id or the id of an incident type.")]
_Teams = Annotated[list[str], msgspec.Meta(max_length=MOST_OWNERS)]


@writes(templating.TemplateChanges, require=["name"])
class CreateTextTemplate(Body, kw_only=True):
    """A name and a short id that no other template has. The short id stays as it is."""

    refs: ClassVar[Mapping[str, IdKind]] = {"team_ids": TEAM_ID}
    example: ClassVar[Mapping[str, Any]] = {
        "name": "Payment provider down",
        "short_id": "payments_down",
        "title": "{{ labels.provider|default('A payment provider') }} is down",
        "summary": "{{ alert.title }}\n\nFailing over: see the runbook.",
        "severity": 2,
        "category": "integration",
        "tags": ["payments"],
    }
    short_id: Annotated[str, msgspec.Meta(max_length=20, description="Small letters, digits, - and _.")]
    type: _Type | msgspec.UnsetType | None = msgspec.UNSET
    team_ids: _Teams | msgspec.UnsetType = msgspec.UNSET


@writes(templating.TemplateChanges)
class EditTextTemplate(Body, kw_only=True):
    """A merge patch: only the fields that are there change; `tags` and `team_ids` are all of them."""

    refs: ClassVar[Mapping[str, IdKind]] = {"team_ids": TEAM_ID}
    example: ClassVar[Mapping[str, Any]] = {"severity": 1}
    type: _Type | msgspec.UnsetType | None = msgspec.UNSET
    team_ids: _Teams | msgspec.UnsetType = msgspec.UNSET


class PreviewTextTemplate(Body, kw_only=True):
    """The texts of a template that is being written, and the alert that it is to speak of."""

    example: ClassVar[Mapping[str, Any]] = {"title": "{{ labels.service }} is down", "summary": "{{ alert.title }}"}
    title: Annotated[str, msgspec.Meta(max_length=placeholders.TITLE_TEMPLATE_LIMIT)] = ""
    summary: Annotated[str, msgspec.Meta(max_length=placeholders.SUMMARY_TEMPLATE_LIMIT)] = ""
    alert_id: str | None = None


class TextPreview(msgspec.Struct):
    """What it makes. `is_sample`: no alert was named, so an invented one stood in for it."""

    title: str
    summary: str
    is_sample: bool


def _changes(**fields: Any) -> templating.TemplateChanges:
    if "type" in fields:
        fields["type"] = fields["type"] or ""
    return templating.TemplateChanges(**fields)


async def _create(tx: Tx, who: Actor, *, short_id: str, **fields: Any) -> TextTemplate:
    return await templating.create_template(tx, who, short_id=short_id, **_changes(**fields))


async def _write(tx: Tx, _: Context, who: Actor, rows: Sequence[TextTemplate]) -> list[TextTemplateOut]:
    types = {each.id: each for each in await type_queries.types(tx)} if any(row.type_id for row in rows) else {}
    refs = {id: TypeRef(TYPE_ID.write(id), each.short_id, each.name, each.version) for id, each in types.items()}
    teams = await identity.teams_by_id(tx, who.access, {id for row in rows for id in row.team_ids})
    return [
        copied(
            TextTemplateOut,
            row,
            TEMPLATE_ID,
            category=Category(row.category) if row.category is not None else None,
            type=refs.get(row.type_id) if row.type_id is not None else None,
            teams=[TeamRef(TEAM_ID.write(id), teams[id].name) for id in row.team_ids if id in teams],
        )
        for row in rows
    ]


@post("/actions/preview", status_code=200, needs=P.INCIDENT_DECLARE)
async def preview_text_template(context: Ctx, who: Who, data: JSONBody[PreviewTextTemplate]) -> TextPreview:
    """Show what a title and a summary with placeholders would make; nothing is stored.

    422 names the field, and the line of what it cannot say. The number of the incident is known last of all: with an
    alert its placeholder stays as it is.
    """
    async with context.begin() as tx:
        with naming("alert_id"):
            alert_id = await ALERT.read(tx, who, data.alert_id) if data.alert_id is not None else None
        made = await templating.preview_template(tx, who, title=data.title, summary=data.summary, alert_id=alert_id)
    return TextPreview(made.title, made.summary, made.is_sample)


_Archived = Annotated[bool | None, QueryParameter(description="Only archived templates, or only those in use.")]
TEMPLATES = Resource(
    "/text_templates",
    TEMPLATE_ID,
    TextTemplateOut,
    _write,
    view=P.INCIDENT_VIEW,
    manage=P.USER_MANAGE,
    tag="incidents",
)
ROUTER = TEMPLATES.router(
    TEMPLATES.list(
        ForAll(text_template_queries.text_templates),
        "List text templates in the order in which they were added.",
        asks={**by_words("name and short id"), "is_archived": (_Archived, None)},
    ),
    TEMPLATES.create(CreateTextTemplate, _create, "Add a text template; 422 names the line of a bad placeholder."),
    TEMPLATES.get(ForAll(text_template_queries.text_template), "Show one text template."),
    TEMPLATES.edit(
        EditTextTemplate,
        _changes,
        templating.update_template,
        "Change a text template (JSON merge patch); what was declared with it stays as it is.",
    ),
    TEMPLATES.action("archive", templating.archive_template, "Offer the template no more."),
    TEMPLATES.action("unarchive", templating.unarchive_template, "Offer the template again."),
    TEMPLATES.delete(templating.delete_template, "Delete a template with which no incident was declared."),
    preview_text_template,
)
