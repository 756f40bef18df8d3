"""Credentials: API tokens for programs, and the browsers that are signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import JSONBody, QueryParameter

from tocsin.api.base.body import Body, naming
from tocsin.api.base.copying import copied
from tocsin.api.base.http import Cursor, Id, Limit, Listing, Time, answer, listing, searchable, when
from tocsin.api.base.idempotency import SECRET_FIELDS
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_moment, read_place
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.model import SESSION_ID, TOKEN_ID, USER_ID, ApiToken, Session
from tocsin.identity.permission import must_manage
from tocsin.kit.clock import stamp
from tocsin.kit.search import IN_ANY_ORDER, words_in


class TokenOut(msgspec.Struct):
    """A credential for programs. `hint` is the beginning of its secret; no scopes: all that the person may do."""

    id: str
    name: str
    hint: str
    user_id: str
    scopes: list[str]
    created_at: Time
    last_used_at: Time | None
    revoked_at: Time | None


class NewTokenOut(TokenOut):
    """A token with its secret, which is shown only now; null in the answer to a repeated request."""

    token: str | None


class CreateToken(Body, kw_only=True):
    """What the token is for and what it may do; for oneself unless a person is named."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Deploy script", "scopes": ["incident.view", "incident.declare"]}
    name: Annotated[str, msgspec.Meta(max_length=80)]
    scopes: Annotated[list[str], msgspec.Meta(max_length=50)] = msgspec.field(default_factory=list[str])
    user_id: str | None = None


class SessionOut(msgspec.Struct):
    """A browser that is signed in."""

    id: str
    is_current: bool
    is_by_link: bool
    ip: str
    user_agent: str
    created_at: Time
    last_seen_at: Time
    expires_at: Time


def _fields(token: ApiToken) -> dict[str, Any]:
    return {
        "id": TOKEN_ID.write(token.id),
        "name": token.name,
        "hint": token.hint,
        "user_id": USER_ID.write(token.user_id),
        "scopes": list(token.scopes),
        "created_at": stamp(token.created_at),
        "last_used_at": when(token.last_used_at),
        "revoked_at": when(token.revoked_at),
    }


@get("/api_tokens", needs=Right.OWN)
async def list_api_tokens(
    request: AppRequest,
    context: Ctx,
    who: Who,
    user_id: Annotated[str | None, QueryParameter(description="Whose; one's own when left out.", max_length=40)] = None,
    q: Annotated[str | None, QueryParameter(description=f"{IN_ANY_ORDER} Searches the name.", max_length=200)] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[TokenOut]]:
    """List a person's tokens that are not revoked."""
    wanted = USER_ID.read(user_id) if user_id is not None else who.must_be_someone()
    must_manage(who, wanted)
    after = read_place(cursor, UUID)
    async with context.begin() as tx:
        rows = await queries.tokens_of(tx, wanted, after=after, limit=limit + 1, words=words_in(searchable(q)))
    return listing(request, rows, limit, lambda row: TokenOut(**_fields(row)), lambda row: row.id)


@post("/api_tokens", opt={SECRET_FIELDS: ("token",)}, needs=Right.OWN)
async def create_api_token(context: Ctx, who: Who, data: JSONBody[CreateToken]) -> Response[NewTokenOut]:
    """Make a token. Its secret is in this answer and nowhere else."""
    with naming("user_id"):
        user_id = USER_ID.read(data.user_id) if data.user_id is not None else who.must_be_someone()
        async with context.begin() as tx:
            token, secret = await identity.create_token(tx, who, user_id=user_id, name=data.name, scopes=data.scopes)
    return answer(NewTokenOut(**_fields(token), token=secret), status=201)


@delete("/api_tokens/{id:str}", needs=Right.OWN)
async def revoke_api_token(context: Ctx, who: Who, id: Id) -> None:
    """End a token: one's own, or anybody's with `user.manage`. A revoked token stays revoked."""
    async with context.begin() as tx:
        await identity.revoke_token(tx, who, TOKEN_ID.read(id))


@get("/sessions", needs=Right.OWN)
async def list_sessions(
    request: AppRequest, context: Ctx, who: Who, limit: Limit = 25, cursor: Cursor = None
) -> Response[Listing[SessionOut]]:
    """List the browsers in which one is signed in, the most recently used first."""
    who.must(P.SELF_EDIT)
    before = read_moment(cursor)
    async with context.begin() as tx:
        rows = await queries.sessions_of(tx, who.must_be_someone(), before=before, limit=limit + 1)

    def write(row: Session) -> SessionOut:
        return copied(SessionOut, row, SESSION_ID, is_current=row.id == who.session_id)

    return listing(request, rows, limit, write, lambda row: (row.last_seen_at, row.id))


@delete("/sessions/{id:str}", needs=Right.OWN)
async def end_session(context: Ctx, who: Who, id: Id) -> None:
    """Sign a browser out: one's own, or anybody's with `user.manage`."""
    async with context.begin() as tx:
        await identity.revoke_session(tx, who, SESSION_ID.read(id))


ROUTER = Router(
    "/",
    route_handlers=[list_api_tokens, create_api_token, revoke_api_token, list_sessions, end_session],
    tags=["credentials"],
)
