"""Roles as people choose them."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.db.engine import Tx
from tocsin.identity import access_queries
from tocsin.identity.access import Role

# What each built-in role is for.
MEANT_FOR: Mapping[str, str] = {
    Role.RESPONDER.value: "acts on alerts and incidents",
    Role.COMMUNICATOR.value: "declares and comments",
    Role.STAKEHOLDER.value: "reads",
    Role.GUEST.value: "sees what they are asked about or granted",
    Role.ADMIN.value: "changes everything",
}
_CALLED = {Role.ADMIN.value: "Administrator"}


def called(key: str) -> str:
    """Return what a built-in role is called."""
    return _CALLED.get(key, key.capitalize())


async def role_names(tx: Tx) -> dict[str, str]:
    """Return what each role is called, by its key."""
    built_in = {key: called(key) for key in MEANT_FOR}
    return built_in | {role.key: role.name for role in await access_queries.roles(tx)}


async def role_choices(tx: Tx) -> list[tuple[str, str]]:
    """Return the roles in the organisation, each with its key and a few words: the built-in ones and its own."""
    own = await access_queries.roles(tx)
    told = ((role.key, f"{role.name}: {role.description}" if role.description else role.name) for role in own)
    return [*((key, f"{called(key)}: {words}") for key, words in MEANT_FOR.items()), *told]
