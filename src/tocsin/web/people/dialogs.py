"""What is typed into an account, and what is asked before it is done: each a page that opens as a dialog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, User
from tocsin.identity.permission import must_manage
from tocsin.incidents import service as incidents
from tocsin.notifications import queries as contact
from tocsin.notifications.model import METHOD_ID
from tocsin.oncall import service as oncall
from tocsin.web.base.screens import DialogScreen
from tocsin.web.parts.dialogs import Dialog, Opened
from tocsin.web.parts.roles import known_roles
from tocsin.web.parts.targets import Choice
from tocsin.web.people.contact_methods import FORMATS
from tocsin.web.people.exchanges import called
from tocsin.web.people.uses import listed


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteScreen(DialogScreen):
    """Somebody new, with one of `roles`."""

    template: ClassVar = "people/invite.html"
    roles: list[Choice]


@dataclass(frozen=True, slots=True)
class Named:
    """Whose account it is, and whether that is the reader."""

    id: str
    name: str
    is_me: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AddMethodScreen(DialogScreen):
    """Another way to reach somebody."""

    template: ClassVar = "people/add_method.html"
    person: Named
    kinds: list[Choice]
    formats: list[Choice]
    has_mail: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveMethodScreen(DialogScreen):
    """Taking one way away. `is_last`: they are not reached any more then, and `paged_by` page them."""

    template: ClassVar = "people/remove_method.html"
    person: Named
    id: str
    called: str
    is_last: bool
    paged_by: list[tuple[str, str]]

    @property
    def shows_secret(self) -> bool:
        # It is called by its address where it has no name of its own.
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeactivateScreen(DialogScreen):
    """Switching an account off. `needs` is what names them, `needs_seen` says which of that was shown."""

    template: ClassVar = "people/deactivate.html"
    person: Named
    needs: list[tuple[str, str]]
    needs_seen: str


async def _invite(opened: Opened) -> InviteScreen:
    """Show the form of an account that is to be."""
    opened.who.must(P.USER_MANAGE)
    roles = [role.choice for role in await known_roles(opened.tx)]
    return InviteScreen(opened.shell, roles=roles, back="/people", refused=opened.refused)


async def _add_method(opened: Opened) -> AddMethodScreen:
    """Show the form of another way to reach somebody."""
    person = await _person(opened)
    channels = opened.context.channels
    return AddMethodScreen(
        opened.shell,
        person=_named(opened, person),
        kinds=[(kind, channel.label) for kind, channel in channels.items()],
        formats=FORMATS,
        has_mail="email" in channels,
        back=USER_ID.page(person.id),
        refused=opened.refused,
    )


async def _remove_method(opened: Opened) -> RemoveMethodScreen:
    """Ask before a contact method is removed."""
    person = await _person(opened)
    method_id = METHOD_ID.read(opened.named["method_id"])
    method = await contact.contact_method(opened.tx, method_id, user_id=person.id)
    paged_by = await oncall.pages_them(opened.tx, person.id)
    is_only = len(await contact.contact_methods(opened.tx, person.id)) == 1
    return RemoveMethodScreen(
        opened.shell,
        person=_named(opened, person),
        id=METHOD_ID.write(method.id),
        called=called(opened.context, method, with_address=True),
        is_last=is_only and person.is_active and bool(paged_by),
        paged_by=listed(paged_by),
        back=USER_ID.page(person.id),
        refused=opened.refused,
    )


async def _deactivate(opened: Opened) -> DeactivateScreen:
    """Ask before an account is switched off, and say what the person is needed for."""
    opened.who.must(P.USER_MANAGE)
    person = await queries.user(opened.tx, opened.id)
    needs = await incidents.needs_of(opened.tx, opened.who, person.id)
    return DeactivateScreen(
        opened.shell,
        person=_named(opened, person),
        needs=listed(needs),
        needs_seen=incidents.mark_of(needs),
        back=USER_ID.page(person.id),
        seen=str(person.version),
        refused=opened.refused,
    )


async def _person(opened: Opened) -> User:
    must_manage(opened.who, opened.id)
    return await queries.user(opened.tx, opened.id)


def _named(opened: Opened, person: User) -> Named:
    return Named(USER_ID.write(person.id), person.name, person.id == opened.who.user_id)


INVITE = Dialog("/people/new", _invite, P.USER_MANAGE)
ADD_METHOD = Dialog("/people/{id:str}/contact-methods/new", _add_method, Right.OWN, ids=USER_ID)
REMOVE_METHOD = Dialog(
    "/people/{id:str}/contact-methods/{method_id:str}/delete", _remove_method, Right.OWN, ids=USER_ID
)
DEACTIVATE = Dialog("/people/{id:str}/deactivate", _deactivate, P.USER_MANAGE, ids=USER_ID)
HANDLERS = [dialog.handler for dialog in (INVITE, ADD_METHOD, REMOVE_METHOD, DEACTIVATE)]
