"""People as the API writes and reads them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from tocsin.db.engine import Tx
from tocsin.identity import queries
from tocsin.identity.model import Actor, User
from tocsin.identity.permission import must_manage


async def theirs(tx: Tx, who: Actor, user_id: UUID) -> User:
    """Return whose settings are asked for; addresses are shown to their person and to those who manage people."""
    must_manage(who, user_id)
    return await queries.user(tx, user_id)


RoleKey = Annotated[str, msgspec.Meta(max_length=60, description="A built-in role or the key of an own one.")]


class Person(msgspec.Struct):
    """A person in few words."""

    id: str
    name: str
