"""Following an incident from its page, and having others follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tocsin.db.engine import Tx
from tocsin.edge.rights import Right
from tocsin.identity.access import P
from tocsin.identity.model import TEAM_ID, USER_ID, Actor
from tocsin.incidents import queries
from tocsin.incidents.model import INCIDENT_ID, Incident
from tocsin.incidents.service import subscribing
from tocsin.incidents.subscribers import MOST_SUBSCRIBERS, SUBSCRIBER_ID
from tocsin.kit.errors import Invalid
from tocsin.web.base import forms
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.base.screens import DialogScreen
from tocsin.web.incidents import incident
from tocsin.web.parts.dialogs import Dialog, Opened
from tocsin.web.parts.picking import Picker


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscribeScreen(DialogScreen):
    """Having people and teams follow an incident."""

    template: ClassVar = "incidents/subscribe.html"
    incident: Incident
    holders: Picker


async def _show_subscribe(opened: Opened) -> DialogScreen:
    """Show the form by which people and teams are added."""
    incident = await queries.get(opened.tx, opened.who.access, opened.id)
    opened.who.must(P.INCIDENT_EDIT, on=incident)
    return SubscribeScreen(
        opened.shell,
        incident=incident,
        holders=await opened.picker("holders", "holder"),
        back=INCIDENT_ID.page(incident.reference),
        refused=opened.refused,
    )


_SUBSCRIBE = Dialog("/incidents/{ref:str}/subscribers/add", _show_subscribe, P.INCIDENT_EDIT)


async def _follow(tx: Tx, who: Actor, ref: str, form: Form) -> str:
    """Form field: do (follow or unfollow)."""
    match form.text("do"):
        case "follow":
            found = await subscribing.follow(tx, who, ref)
            return f"You follow {found.reference}."
        case "unfollow":
            found = await subscribing.unfollow(tx, who, ref)
            return f"You follow {found.reference} no more."
        case _:
            raise Invalid("", "Choose one of the list.")


async def _subscribe(tx: Tx, who: Actor, ref: str, form: Form) -> str:
    """Form field: holder (user:<id> or team:<id>, repeated)."""
    chosen = [each.partition(":") for each in form.chosen("holder", MOST_SUBSCRIBERS)]
    with forms.naming({"user_ids": "holder", "team_ids": "holder"}):
        await subscribing.subscribe(
            tx,
            who,
            ref,
            user_ids=[USER_ID.read(id) for kind, _, id in chosen if kind == "user"],
            team_ids=[TEAM_ID.read(id) for kind, _, id in chosen if kind == "team"],
        )
    return "One subscriber added." if len(chosen) == 1 else f"{len(chosen)} subscribers added."


async def _remove(tx: Tx, who: Actor, ref: str, form: Form) -> None:
    """Form field: subscriber_id."""
    await subscribing.remove_subscriber(tx, who, ref, form.id("subscriber_id", SUBSCRIBER_ID))


HANDLERS = [
    _SUBSCRIBE.handler,
    *Actions("/incidents/{ref:str}", incident.show, needs=P.INCIDENT_EDIT).handlers(
        Action("follow", _follow, needs=Right.SIGNED_IN),
        Action("subscribers", _subscribe, form="subscribe", show=_SUBSCRIBE.show),
        Action("subscribers/remove", _remove, "Follows no more."),
    ),
]
