"""Whom to ask when an escalation reached nobody or went unanswered: the last resort (F054, F136)."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import delete

from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.configuration import ConfigurationChanged
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.kit.errors import Invalid
from tocsin.oncall import queries
from tocsin.oncall.escalation import PageTarget
from tocsin.oncall.model import FallbackTarget


async def set_fallback(tx: Tx, who: Actor, target: PageTarget | None) -> None:
    """Choose the policy or the person to fall back on; None for nobody. Runs under way follow at their next step.

    Raises `Invalid("target", …)` for a person whose account is switched off, `NotFound` for what does not exist.
    """
    who.must("oncall.manage")
    before = await _in_words(tx, queries.target_of(await queries.fallback_target(tx)))
    after = await _in_words(tx, target)
    if target is not None and target.kind == "user" and not (await identity.user(tx, target.id)).is_active:
        raise Invalid("target", f"{after} cannot be paged: the account is switched off.")
    await tx.session.execute(delete(FallbackTarget).execution_options(synchronize_session="fetch"))
    if target is not None:
        column = "user_id" if target.kind == "user" else "policy_id"
        tx.session.add(FallbackTarget(id=1, **{column: target.id}))
    await tx.session.flush()
    if before != after:
        changes = [Change(field="target", old=before, new=after)]
        await emit(
            tx,
            ConfigurationChanged(
                actor=who.ref, kind="fallback_target", id=UUID(int=1), title="Fallback", changes=changes
            ),
        )


async def _in_words(tx: Tx, target: PageTarget | None) -> str | None:
    if target is None:
        return None
    if target.kind == "user":
        return (await identity.user(tx, target.id)).name
    return (await queries.policy(tx, target.id)).name
