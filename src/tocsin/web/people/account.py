"""What is done to an account on its person’s page: changing it, its password, a link, switching it off and on."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from litestar import post
from litestar.params import FromPath

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.accounts import UserChanges
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import service as incidents
from tocsin.kit.changes import UNSET
from tocsin.kit.errors import Denied
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form
from tocsin.web.people import dialogs
from tocsin.web.people.person import link_url, show


async def _update(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Change a person. Form fields: name, time_zone, version, and where they may be changed email, role, confirm."""
    changes = UserChanges(
        email=form.text("email") if "email" in form.names else UNSET,
        name=form.text("name"),
        time_zone=form.text("time_zone"),
        role=form.text("role") or UNSET,
    )
    version, is_confirmed = form.version(), form.text("confirm") == "1"
    await incidents.update_person(tx, who, id, changes, if_version=version, confirmed=is_confirmed)


@post("/people/{id:str}/password", needs=Right.OWN)
async def change_password(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Set one's own password and end one's other sessions. Form fields: current, password."""
    form = await forms.read(request)
    if USER_ID.read(id) != who.user_id:
        raise Denied("You can change your own password only.", hint="Send the person a sign-in link instead.")
    me, new, current = who.must_be_someone(), form.text("password"), form.text("current")
    refused = await forms.attempted(form, "password-form", identity.set_password(context.db, who, me, new, current))
    if refused is not None:
        return await show(request, context, who, id, refused)
    return pages.go(USER_ID.page(id), "Password changed.")


@post("/people/{id:str}/link", needs=P.USER_MANAGE)
async def make_link(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Make a link that signs the person in and show it, once. No fields; only for those who manage people."""
    made: list[str] = []
    refused = await forms.attempt(context, Form({}), "make-link", partial(_make_link, who, id, made))
    url = link_url(context, made[0]) if made else ""
    return await show(request, context, who, id, refused, link_url=url)


async def _make_link(who: Actor, id: str, made: list[str], tx: Tx) -> None:
    made.append(await identity.make_sign_in_link(tx, who, USER_ID.read(id), identity.INVITATION_VALID_FOR))


async def _deactivate(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """End the account: sessions, tokens and pages. Form field: seen, what was said to need the person."""
    # What has come since the page was shown is asked about again.
    changes, seen = UserChanges(is_active=False), form.text("seen")
    await incidents.update_person(tx, who, id, changes, confirmed=seen)


async def _activate(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """Give the account back. No fields."""
    await incidents.update_person(tx, who, id, UserChanges(is_active=True))


HANDLERS = [
    change_password,
    make_link,
    *Actions("/people/{id:str}", show, needs=P.USER_MANAGE, ids=USER_ID).handlers(
        Action("", _update, "Saved.", form="person-form", needs=Right.OWN),
        Action("deactivate", _deactivate, "Account deactivated.", show=dialogs.DEACTIVATE.show),
        Action("activate", _activate, "Account activated."),
    ),
]
