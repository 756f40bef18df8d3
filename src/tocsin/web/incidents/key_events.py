"""Key events: writing one where it happened in the timeline, and letting an entry lead or lead no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tocsin.db.engine import Tx
from tocsin.events.base import EVENT_ID
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.incidents.model import Incident
from tocsin.incidents.service.comments import KEY_EVENT_LIMIT
from tocsin.kit.changes import UnsetType
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.base.screens import DialogScreen
from tocsin.web.incidents import incident
from tocsin.web.incidents.dialogs import Asked, dialog_of
from tocsin.web.incidents.times import WRITTEN, time_in


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEventScreen(DialogScreen):
    """Writing a milestone into the timeline of an incident; `latest` is now, as a field of a time says it."""

    template: ClassVar = "incidents/key_event.html"
    incident: Incident
    limit: int
    latest: str


async def _make(asked: Asked) -> KeyEventScreen:
    latest = asked.shell.now.strftime(WRITTEN)
    return KeyEventScreen(asked.shell, limit=KEY_EVENT_LIMIT, latest=latest, **asked.about)


def _always(_: Incident) -> None:
    """What happened is also written when it is over."""


DIALOG = dialog_of("key_events/new", _make, P.INCIDENT_EDIT, _always)


async def _add_key_event(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form fields: text (Markdown), occurred_at (in the zone of the reader; empty: now), form_id."""
    at = await time_in(tx, who, form, "occurred_at", None)
    at = None if isinstance(at, UnsetType) else at
    await incidents.add_key_event(tx, who, ref, form.text("text"), occurred_at=at)


async def _mark_entry(tx: Tx, who: Actor, ref: str, form: Form) -> str:
    """Form fields: key or not: the id of the entry that leads from now on, or leads no more."""
    is_key = bool(form.text("key"))
    await incidents.mark_entry(tx, who, ref, form.id("key" if is_key else "not", EVENT_ID), is_key=is_key)
    return "It is a key event now." if is_key else "It is no key event any more."


HANDLERS = [
    DIALOG.handler,
    *Actions("/incidents/{ref:str}", incident.show, needs=P.INCIDENT_EDIT).handlers(
        Action("key_events", _add_key_event, "Key event added.", form="key-event-form", show=DIALOG.show, once=True),
        Action("marks", _mark_entry),
    ),
]
