"""How the reader wants to be told of changes of the incidents that they follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from litestar import get

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import inbox_queries
from tocsin.incidents.following import ChangeKind, Follows, Way, default_way
from tocsin.incidents.service import preferring
from tocsin.kit.errors import Invalid
from tocsin.notifications import queries as contact
from tocsin.notifications.model import WEBHOOK
from tocsin.web.base import pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import ShellScreen

PLACE = "/settings/notifications"
_LABELS: Mapping[ChangeKind, str] = {
    ChangeKind.MENTIONS: "Somebody mentions you",
    ChangeKind.RESOLUTION: "It is resolved, closed, cancelled or reopened",
    ChangeKind.SEVERITY: "Severity",
    ChangeKind.STATUS: "Status",
    ChangeKind.ROLES: "Roles and responders",
    ChangeKind.UPDATES: "Title, summary, alerts and other facts",
    ChangeKind.ACTION_ITEMS: "Action items",
    ChangeKind.COMMENTS: "Comments",
}
# What the field says for who has said nothing.
_AS_SUITS = "default"
_WAYS: Sequence[tuple[str, str]] = (
    (_AS_SUITS, "As suits how I follow it"),
    (Way.INBOX, "Inbox"),
    (Way.EMAIL, "Inbox and e-mail at once"),
    (Way.HOURLY, "Inbox and hourly digest"),
    (Way.DAILY, "Inbox and daily digest"),
    (Way.WEBHOOK, "Inbox and webhook"),
    (Way.NONE, "Nothing"),
)
_IN_SHORT: Mapping[Way, str] = {Way.EMAIL: "by e-mail", Way.INBOX: "in the inbox", Way.NONE: "not told"}
_FOLLOWS: Mapping[Follows, str] = {
    Follows.ROLE: "with a role",
    Follows.RESPONDER: "as a responder",
    Follows.SUBSCRIBER: "as a subscriber",
    Follows.MENTIONED: "mentioned",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One kind of change: its field, what it is called, what was chosen, and how it is without a choice."""

    name: str
    label: str
    value: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsScreen(ShellScreen):
    """A choice for each kind of change. `lacks` says which contact method is missing for what was chosen."""

    template: ClassVar = "inbox/preferences.html"
    choices: Sequence[Choice]
    ways: Sequence[tuple[str, str]]
    lacks: str
    profile: str


@get(PLACE, needs=Right.SIGNED_IN)
async def notifications(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show how the reader is told."""
    return await _show(request, context, who, "", None)


async def _show(request: AppRequest, context: Context, who: Actor, _: str, refused: Refused | None) -> pages.Page:
    me = who.must_be_someone()
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        ways = await inbox_queries.ways_of(tx, me)
        kinds = {method.kind for method in await contact.contact_methods(tx, me)}
    screen = NotificationsScreen(
        shell,
        choices=[
            Choice(change.value, label, ways[change] or _AS_SUITS, _without_a_choice(change))
            for change, label in _LABELS.items()
        ],
        ways=_WAYS,
        lacks=_lacks({way for way in ways.values() if way is not None}, kinds),
        profile=USER_ID.page(me),
        refused=refused,
    )
    return pages.render(screen)


def _without_a_choice(change: ChangeKind) -> str:
    """Say what `default_way` does: “By e-mail as a subscriber, in the inbox with a role or as a responder.”"""
    found: dict[Way, list[str]] = {}
    for follows, words in _FOLLOWS.items():
        found.setdefault(default_way(change, follows), []).append(words)
    if len(found) == 1:
        said = _IN_SHORT[next(iter(found))]
    else:
        said = "; ".join(f"{' or '.join(words)} {_IN_SHORT[way]}" for way, words in found.items())
    return f"Without a choice: {said}."


def _lacks(ways: set[Way], kinds: set[str]) -> str:
    if "email" not in kinds and (not ways or ways & {Way.EMAIL, Way.HOURLY, Way.DAILY}):
        return "You have no e-mail among your contact methods, so nothing of this leaves the inbox by e-mail."
    if WEBHOOK not in kinds and Way.WEBHOOK in ways:
        return "You have no webhook among your contact methods, so nothing of this leaves the inbox by one."
    return ""


async def _save(tx: Tx, who: Actor, _: str, form: Form) -> None:
    """Form fields: one for each kind of change, a way, or `default`."""
    ways: dict[ChangeKind, Way | None] = {}
    for change in ChangeKind:
        said = form.text(change.value)
        if said not in {_AS_SUITS, *Way}:
            raise Invalid(change.value, "Choose one of the list.")
        ways[change] = None if said == _AS_SUITS else Way(said)
    await preferring.set_ways(tx, who, who.must_be_someone(), ways)


HANDLERS = [
    notifications,
    *Actions(PLACE, _show, needs=Right.SIGNED_IN).handlers(Action("", _save, "Saved.", form="notifications")),
]
