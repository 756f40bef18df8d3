"""Whom to ask when an escalation reached nobody or went unanswered: the last resort (F054, F136)."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Change
from tocsin.events.configuration import ConfigurationChanged
from tocsin.events.log import emit
from tocsin.identity import queries as identity
from tocsin.identity.model import Actor
from tocsin.kit.errors import Invalid, Stale
from tocsin.oncall import queries
from tocsin.oncall.escalation import PageTarget, can_reach
from tocsin.oncall.model import FallbackTarget


@dataclass(frozen=True, slots=True)
class Fallback:
    """The last resort: whom, and why it could not be reached now; empty when it can."""

    target: PageTarget
    name: str
    problem: str


async def set_fallback(
    tx: Tx, who: Actor, target: PageTarget | None, *, if_version: int | None = None
) -> FallbackTarget:
    """Choose the policy or the person to fall back on; None for nobody. Runs under way follow at their next step.

    Raises `Invalid("target", …)` for a person whose account is switched off, `NotFound` for what does not exist,
    `Stale` when `if_version` is not the stored version; before anything was chosen that is 0.
    """
    who.must("oncall.manage")
    chosen = await queries.lock_fallback(tx)
    if if_version is not None and if_version != chosen.version:
        raise Stale("Somebody chose another fallback in the meantime. Look at it again before you save.")
    before = await _in_words(tx, queries.target_of(chosen))
    after = await _in_words(tx, target)
    if target is not None and target.kind == "user" and not (await identity.user(tx, target.id)).is_active:
        raise Invalid("target", f"{after} cannot be paged: the account is switched off.")
    if target == queries.target_of(chosen):
        return chosen
    chosen.user_id = target.id if target is not None and target.kind == "user" else None
    chosen.policy_id = target.id if target is not None and target.kind == "escalation_policy" else None
    chosen.version += 1
    await tx.session.flush()
    changes = [Change(field="target", old=before, new=after)]
    changed = ConfigurationChanged(
        actor=who.ref, kind="fallback_target", id=UUID(int=1), title="Fallback", changes=changes
    )
    await emit(tx, changed)
    return chosen


async def describe_fallback(tx: Tx) -> Fallback | None:
    """Return whom an escalation falls back on, and what keeps it from being asked; None when nobody was chosen."""
    target = queries.target_of(await queries.fallback_target(tx))
    if target is None:
        return None
    known = await queries.known_directory(tx)
    if target.kind == "escalation_policy":
        why = "" if can_reach(known.plans[target.id], known.methods) else "nobody on any of its steps can be reached"
    else:
        is_active = (await identity.user(tx, target.id)).is_active
        why = "" if target.id in known.methods else _NO_METHOD if is_active else "the account is switched off"
    return Fallback(target, await _in_words(tx, target) or "", why)


_NO_METHOD = "there is no contact method"


async def _in_words(tx: Tx, target: PageTarget | None) -> str | None:
    if target is None:
        return None
    if target.kind == "user":
        return (await identity.user(tx, target.id)).name
    return (await queries.policy(tx, target.id)).name
