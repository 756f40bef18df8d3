"""People as the API writes and reads them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from tocsin.identity.model import USER_ID, Actor
from tocsin.identity.permission import must_manage


def theirs(who: Actor, id: str) -> UUID:
    """Read whose settings are asked for; addresses are shown to their person and to those who manage people."""
    user_id = USER_ID.read(id)
    must_manage(who, user_id)
    return user_id


RoleKey = Annotated[str, msgspec.Meta(max_length=60, description="A built-in role or the key of an own one.")]


class Person(msgspec.Struct):
    """A person in few words."""

    id: str
    name: str
