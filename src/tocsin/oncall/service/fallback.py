"""Whom to ask when an escalation reached nobody or went unanswered: the last resort (F054, F136)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from tocsin.db.engine import Tx
from tocsin.events.base import Change, Subject
from tocsin.events.configuration import ConfigurationChanged
from tocsin.events.log import emit
from tocsin.events.since import must_be_unchanged
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.changes import Copy
from tocsin.kit.errors import Invalid
from tocsin.notifications import queries as contact
from tocsin.notifications.health import Reach
from tocsin.oncall import queries
from tocsin.oncall.escalation import USUAL_WAIT, PageTarget, Step, outlook
from tocsin.oncall.model import FallbackTarget


@dataclass(frozen=True, slots=True)
class Fallback:
    """The last resort: whom, and why it could not be reached now; empty when it can."""

    target: PageTarget
    name: str
    problem: str


async def set_fallback(tx: Tx, who: Actor, target: PageTarget | None, *, if_version: Copy = None) -> FallbackTarget:
    """Choose the policy or the person to fall back on; None for nobody. Runs that reach nobody ask it at once.

    Raises `Invalid("target", …)` for a person whose account is switched off, `NotFound` for what does not exist,
    `Stale` when `if_version` is not the stored version; before anything was chosen that is 0.
    """
    who.must(P.ONCALL_MANAGE)
    chosen = await queries.lock_fallback(tx)
    wanted = ["target"] if target != queries.target_of(chosen) else []
    about = Subject("fallback_target", UUID(int=1))
    await must_be_unchanged(tx, about, chosen.version, if_version, wanted, "the fallback")
    before = await _in_words(tx, queries.target_of(chosen))
    after = await _in_words(tx, target)
    if target is not None and target.kind == "user" and not (await identity.user(tx, target.id)).is_active:
        raise Invalid("target", f"{after} cannot be paged: the account is switched off.")
    if not wanted:
        return chosen
    chosen.user_id = target.id if target is not None and target.kind == "user" else None
    chosen.policy_id = target.id if target is not None and target.kind == "escalation_policy" else None
    chosen.version += 1
    await tx.session.flush()
    changes = [Change(field="target", old=before, new=after)]
    changed = ConfigurationChanged(
        actor=who.ref,
        kind="fallback_target",
        id=UUID(int=1),
        title="Fallback",
        version=chosen.version,
        changes=changes,
    )
    await emit(tx, changed)
    return chosen


async def describe_fallback(tx: Tx, channels: Collection[str]) -> Fallback | None:
    """Return whom an escalation falls back on, and what keeps it from being asked; None when nobody was chosen.

    `channels` are those that this installation has.
    """
    target = queries.target_of(await queries.fallback_target(tx))
    if target is None:
        return None
    return Fallback(target, await _in_words(tx, target) or "", await _problem(tx, target, channels))


async def _problem(tx: Tx, target: PageTarget, channels: Collection[str]) -> str:
    is_policy = target.kind == "escalation_policy"
    steps = (await queries.plans(tx, [target.id]))[target.id].steps if is_policy else (Step((target.id,), USUAL_WAIT),)
    reach = await contact.reaches(tx, {id for step in steps for id in step.user_ids}, channels)
    match outlook(steps, reach):
        case Reach.WELL:
            return ""
        case Reach.FAILING:
            return "the contact methods of everybody on it fail" if is_policy else "all contact methods fail"
        case _ if is_policy:
            return "nobody on any of its steps can be reached"
        case _:
            return "there is no contact method that works here" if reach else "the account is switched off"


async def _in_words(tx: Tx, target: PageTarget | None) -> str | None:
    if target is None:
        return None
    if target.kind == "user":
        return (await identity.user(tx, target.id)).name
    return (await queries.policy(tx, target.id)).name
