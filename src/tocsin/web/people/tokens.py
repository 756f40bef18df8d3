"""Tokens: credentials for scripts and tools."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar
from uuid import UUID

from litestar import get, post

from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.model import TOKEN_ID, Actor, ApiToken
from tocsin.identity.permission import only_looks, to_look
from tocsin.kit.errors import Invalid
from tocsin.web.base import forms, lists, pages, portions
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.lists import Asked, Column, Group, Listing, ListOf
from tocsin.web.base.screens import DialogScreen, ShellScreen
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.targets import Choice

_ALL, _READ = "all", "read"
_SCOPES: list[Choice] = [(_ALL, "Everything I may do"), (_READ, "Read only")]
TOKENS = ListOf(
    place="/tokens",
    one="token",
    many="tokens",
    search="Name, whose",
    columns=(
        Column("ttl", "Name"),
        Column("hint", "Starts with", priority=3),
        Column("may", "May", priority=2),
        Column("made", "Created", priority=4),
        Column("used", "Last used", priority=2),
        Column("do", "Revoke", is_quiet=True),
    ),
    opens=False,
)


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token. `prefix` is all that can be read of it."""

    id: str
    name: str
    prefix: str
    scope_name: str
    owner_name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensScreen(ShellScreen):
    """A page of the tokens; `new_token` is one that was just made, and is shown this once."""

    template: ClassVar = "account/tokens.html"
    listing: Listing
    groups: list[Group[TokenRow]]
    new_token: str

    @property
    def shows_secret(self) -> bool:
        return bool(self.new_token)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTokenScreen(DialogScreen):
    """A token that is to be."""

    template: ClassVar = "account/new_token.html"
    scopes: list[Choice]


@get("/tokens", needs=Right.OWN)
async def token_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show one's tokens; who manages people sees everybody's."""
    return await _show(request, context, who, "")


async def _show(
    request: AppRequest, context: Context, who: Actor, _: str, refused: Refused | None = None, *, new_token: str = ""
) -> pages.Page:
    owner = None if who.may(P.USER_MANAGE) else who.must_be_someone()
    asked = Asked.by(TOKENS, request)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)

        async def read(place: UUID | None, backwards: bool, limit: int) -> list[ApiToken]:
            return await queries.tokens_of(tx, owner, after=place, backwards=backwards, limit=limit, words=asked.words)

        found = await portions.read(asked, UUID, lambda token: token.id, read)
        owners = await queries.users_by_id(tx, {token.user_id for token in found.rows})
        total = await queries.count_tokens(tx, owner, asked.words, most=lists.MOST_COUNTED)
    screen = TokensScreen(
        shell,
        listing=lists.listing_of(asked, found, total=total),
        groups=lists.one_group([_row(token, owners[token.user_id].name) for token in found.rows]),
        new_token=new_token,
        refused=refused,
    )
    return pages.render(screen)


def _row(token: ApiToken, owner_name: str) -> TokenRow:
    return TokenRow(
        id=TOKEN_ID.write(token.id),
        name=token.name,
        prefix=token.hint,
        scope_name=_scope_name(token.scopes),
        owner_name=owner_name,
        created_at=token.created_at,
        last_used_at=token.last_used_at,
    )


def _scope_name(scopes: list[str]) -> str:
    if not scopes:
        return "Everything the person may do"
    return "Read only" if only_looks(scopes) else ", ".join(scopes)


async def _new_token(opened: Opened) -> NewTokenScreen:
    """Show the form of a token that is to be."""
    return NewTokenScreen(opened.shell, scopes=_SCOPES, back="/tokens", refused=opened.refused)


async def _revoke_token(opened: Opened) -> Question:
    """Ask before a token is revoked."""
    owner = None if opened.who.may(P.USER_MANAGE) else opened.who.must_be_someone()
    token = await queries.token(opened.tx, opened.id, owner)
    id = TOKEN_ID.write(token.id)
    return Question(
        opened.shell,
        title=f"Revoke {token.name}",
        text="Whatever uses it is refused from now on.",
        label="Revoke token",
        form=f"revoke-{id}",
        action=f"/tokens/{id}/revoke",
        crumbs=[("/tokens", "Tokens")],
        back="/tokens",
        refused=opened.refused,
    )


_NEW = Dialog("/tokens/new", _new_token, Right.OWN)
_REVOKE = Dialog("/tokens/{id:str}/revoke", _revoke_token, Right.OWN, ids=TOKEN_ID)


@post("/tokens", needs=Right.OWN)
async def create(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Make a token and show it, once. Form fields: name, scope, form_id."""
    form = await forms.read(request)
    made: list[str] = []
    refused = await forms.attempt(context, form, "new-token", partial(_create, who, form, made))
    if refused is not None:
        return await _NEW.show(request, context, who, "", refused)
    return await _show(request, context, who, "", new_token=made[0]) if made else pages.go("/tokens")


async def _create(who: Actor, form: Form, made: list[str], tx: Tx) -> None:
    if form.text("scope") not in (_ALL, _READ):
        raise Invalid("scope", "Choose one of the list.")
    scopes = to_look(who) if form.text("scope") == _READ else []
    if await forms.once(tx, who, form, "token", repr(sorted(form.lists.items()))):
        _, secret = await identity.create_token(
            tx, who, user_id=who.must_be_someone(), name=form.text("name"), scopes=scopes
        )
        made.append(secret)


async def _revoke(tx: Tx, who: Actor, id: UUID, form: Form) -> None:
    """End a token; one that has ended stays so. No fields."""
    await identity.revoke_token(tx, who, id)


HANDLERS = [
    token_list,
    create,
    _NEW.handler,
    _REVOKE.handler,
    *Actions("/tokens/{id:str}", _REVOKE.show, needs=Right.OWN, ids=TOKEN_ID, leads_to="/tokens").handlers(
        Action("revoke", _revoke, "Token revoked.", form="revoke-{id}"),
    ),
]
