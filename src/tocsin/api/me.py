"""Who the caller is."""

from __future__ import annotations

import msgspec
from litestar import Router, get

from tocsin.edge.context import Ctx, Who
from tocsin.edge.rights import Right
from tocsin.identity import queries
from tocsin.identity.model import USER_ID


class Me(msgspec.Struct):
    """The person behind the credential and what they may do with it."""

    id: str
    name: str
    email: str
    role: str
    time_zone: str
    permissions: list[str]


@get("/me", needs=Right.SIGNED_IN)
async def get_me(context: Ctx, who: Who) -> Me:
    """Say who the credential belongs to."""
    async with context.begin() as tx:
        user = await queries.user(tx, who.must_be_someone())
    return Me(
        id=USER_ID.write(user.id),
        name=user.name,
        email=user.email,
        role=user.role,
        time_zone=user.time_zone,
        permissions=sorted(who.access.organisation),
    )


ROUTER = Router("/", route_handlers=[get_me], tags=["people"])
