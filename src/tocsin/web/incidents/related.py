"""What belongs to an incident elsewhere: its links and the incidents that it has to do with, shown and changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tocsin.db.engine import Tx
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents.model import LINK_ID, Incident, LinkKind, Relation
from tocsin.incidents.service import relating
from tocsin.kit.errors import Invalid
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.base.screens import DialogScreen
from tocsin.web.incidents import incident as page
from tocsin.web.incidents.dialogs import Asked, always, dialog_of
from tocsin.web.parts.picking import Picker

_KINDS = {
    LinkKind.TICKET: "Ticket",
    LinkKind.CHAT: "Chat",
    LinkKind.MEETING: "Meeting",
    LinkKind.DASHBOARD: "Dashboard",
    LinkKind.DOCUMENT: "Document",
    LinkKind.OTHER: "Something else",
}
_RELATIONS = {
    Relation.PARENT: "Is the parent of this incident",
    Relation.CHILD: "Is a child of this incident",
    Relation.RELATED: "Is related",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddLinkScreen(DialogScreen):
    """Saying where else an incident goes on."""

    template: ClassVar = "incidents/add_link.html"
    incident: Incident
    kinds: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelateScreen(DialogScreen):
    """Saying what one of the `others` is to an incident."""

    template: ClassVar = "incidents/relate.html"
    incident: Incident
    relations: Sequence[tuple[str, str]]
    others: Picker


async def _add_link(asked: Asked) -> DialogScreen:
    kinds = [("", "Choose one"), *((kind.value, word) for kind, word in _KINDS.items())]
    return AddLinkScreen(asked.shell, kinds=kinds, **asked.about)


async def _relate(asked: Asked) -> DialogScreen:
    relations = [("", "Choose one"), *((each.value, word) for each, word in _RELATIONS.items())]
    others = await asked.opened.picker("incidents", "incident")
    return RelateScreen(asked.shell, relations=relations, others=others, **asked.about)


_LINK = dialog_of("links/new", _add_link, P.INCIDENT_EDIT, always)
_RELATION = dialog_of("relations/new", _relate, P.INCIDENT_EDIT, always)


async def _change_links(tx: Tx, who: Actor, ref: str, form: Form) -> str:
    """Form fields: do (add: kind, url, name; remove: link_id)."""
    if form.text("do") == "remove":
        await relating.remove_link(tx, who, ref, form.id("link_id", LINK_ID))
        return "Link removed."
    if form.text("kind") not in set(LinkKind):
        raise Invalid("kind", "Choose one of the list.")
    await relating.add_link(
        tx, who, ref, kind=LinkKind(form.text("kind")), url=form.text("url"), name=form.text("name")
    )
    return "Link added."


async def _change_relations(tx: Tx, who: Actor, ref: str, form: Form) -> str:
    """Form fields: do (add: relation; remove), incident (INC-n)."""
    other = form.text("incident").strip()
    if form.text("do") == "remove":
        await relating.unrelate(tx, who, ref, other)
        return "Relation removed."
    if form.text("relation") not in set(Relation):
        raise Invalid("relation", "Choose one of the list.")
    if not other:
        raise Invalid("incident", "Choose an incident.", code="required")
    await relating.relate(tx, who, ref, relation=Relation(form.text("relation")), incident=other)
    return "Relation added."


HANDLERS = [
    _LINK.handler,
    _RELATION.handler,
    *Actions("/incidents/{ref:str}", page.show, needs=P.INCIDENT_EDIT).handlers(
        Action("links", _change_links, form="link-form", show=_LINK.show),
        Action("relations", _change_relations, form="relation-form", show=_RELATION.show),
    ),
]
