"""Taking contact methods away, which only here is known to silence somebody whom policies page."""

from __future__ import annotations

from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.identity.permission import must_manage
from tocsin.kit.errors import InUse, Use
from tocsin.notifications import queries as contact
from tocsin.notifications import service as notifications
from tocsin.oncall import queries
from tocsin.oncall.model import POLICY_ID


async def remove_contact_method(tx: Tx, who: Actor, *, user_id: UUID, method_id: UUID, confirmed: bool = False) -> None:
    """Take a contact method away, with the rules that use it; the last one of somebody who is paged when confirmed.

    Raises `InUse` with the policies, or the fallback, that page the person.
    """
    must_manage(who, user_id)
    person = await identity.lock_user(tx, user_id)
    method = await contact.contact_method(tx, method_id, user_id=user_id)
    is_last = len(await contact.contact_methods(tx, user_id, limit=2)) == 1
    uses = await pages_them(tx, user_id) if is_last and person.is_active else []
    if uses and not confirmed:
        message = f"This is the last way to reach {person.name}, whom others count on"
        hint = "Add another one first, or confirm that they are not reached any more."
        raise InUse(message, uses, code="contact_method.last", hint=hint)
    await notifications.remove_contact_method(tx, who, user_id=user_id, method_id=method.id)


async def pages_them(tx: Tx, user_id: UUID) -> list[Use]:
    """Return what pages this person: the steps of policies, and the fallback."""
    found = [
        Use("escalation_policy", POLICY_ID.write(id), name, f"step {position}")
        for id, name, position in await queries.policies_naming(tx, user_id)
    ]
    fallback = await queries.fallback_target(tx)
    if fallback is not None and fallback.user_id == user_id:
        found.append(Use("fallback", "", "The fallback", "asked when nobody else answers"))
    return found
