"""Roles as people choose them."""

from __future__ import annotations

from tocsin.db.engine import Tx
from tocsin.identity import access_queries
from tocsin.identity.access import Role

_ROLES = (
    (Role.RESPONDER.value, "Responder: acts on alerts and incidents"),
    (Role.COMMUNICATOR.value, "Communicator: declares and comments"),
    (Role.STAKEHOLDER.value, "Stakeholder: reads"),
    (Role.GUEST.value, "Guest: sees what they are asked about or granted"),
    (Role.ADMIN.value, "Administrator: changes everything"),
)


async def role_choices(tx: Tx) -> list[tuple[str, str]]:
    """Return the roles in the organisation, each with its key and a few words: the built-in ones and its own."""
    own = await access_queries.roles(tx)
    told = ((role.key, f"{role.name}: {role.description}" if role.description else role.name) for role in own)
    return [*_ROLES, *told]
