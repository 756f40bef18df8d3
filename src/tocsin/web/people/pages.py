"""People: who has an account and can be reached, and inviting somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor, User
from tocsin.notifications import queries as contact
from tocsin.notifications.health import Condition, MethodState
from tocsin.notifications.model import Method
from tocsin.web.base import forms, pages
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts.roles import known_roles
from tocsin.web.parts.targets import Choice
from tocsin.web.people.exchanges import label_of
from tocsin.web.people.person import link_url


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One person in the list. `methods` are the ways that work, if any does; `fails` when none of them does."""

    id: str
    name: str
    email: str
    role: str
    is_active: bool
    reachable: bool
    fails: bool
    methods: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleScreen(ShellScreen):
    """Everybody who has an account, a part at a time; `invite_url` is a link that was just made, shown this once."""

    template: ClassVar = "people/people.html"
    people: list[PersonRow]
    newer: str | None
    older: str | None
    roles: list[Choice]
    may_invite: bool
    invite_url: str

    @property
    def shows_secret(self) -> bool:
        return bool(self.invite_url)


@get("/people", needs=P.USER_VIEW)
async def people_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show everybody who has an account, 50 at a time."""
    return await _show_list(request, context, who)


async def _show_list(
    request: AppRequest, context: Context, who: Actor, refused: Refused | None = None, *, invite_url: str = ""
) -> pages.Page:
    who.must(P.USER_VIEW)
    after = request.query_params.get("after", "")
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        found = await queries.users(tx, after=USER_ID.read(after) if after else None, limit=pages.PAGE_SIZE + 1)
        shown = found[: pages.PAGE_SIZE]
        methods, _ = await contact.ways_to_reach(tx, [person.id for person in shown])
        ids = [method.id for theirs in methods.values() for method in theirs]
        known = await contact.conditions(tx, ids, context.channels)
        roles = [role.choice for role in await known_roles(tx)]
    more = len(found) > len(shown)
    screen = PeopleScreen(
        shell,
        people=[_row(context, person, methods.get(person.id, []), known) for person in shown],
        newer="/people" if after else None,
        older=pages.address("/people", after=USER_ID.write(shown[-1].id)) if more else None,
        roles=roles,
        may_invite=who.may(P.USER_MANAGE),
        invite_url=invite_url,
        refused=refused,
    )
    return pages.render(screen)


def _row(context: Context, person: User, methods: Sequence[Method], known: Mapping[UUID, Condition]) -> PersonRow:
    usable = [method for method in methods if method.kind in context.channels]
    working = [method for method in usable if known[method.id].state is not MethodState.FAILING]
    labels = dict.fromkeys(label_of(context, method.kind) for method in working or usable)
    return PersonRow(
        id=USER_ID.write(person.id),
        name=person.name,
        email=person.email,
        role=person.role,
        is_active=person.is_active,
        reachable=bool(usable) and person.is_active,
        fails=bool(usable) and not working,
        methods=", ".join(labels),
    )


@post("/people", needs=P.USER_MANAGE)
async def invite(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Make an account and show the link that signs its person in, once. Form fields: name, email, role, form_id."""
    form = await forms.read(request)
    made: list[str] = []
    refused = await forms.attempt(context, form, "invite", partial(_invite, who, form, made))
    url = link_url(context, made[0]) if made else ""
    return await _show_list(request, context, who, refused, invite_url=url)


async def _invite(who: Actor, form: Form, made: list[str], tx: Tx) -> None:
    email, name, role = form.text("email"), form.text("name"), form.text("role")
    # Only the answer to the second of two equal forms is seen, and the first one's link cannot be read again.
    is_new = await forms.once(tx, who, form, "invite", email)
    made.append(await identity.invite(tx, who, email=email, name=name, role=role, again=not is_new))


HANDLERS = [people_list, invite]
