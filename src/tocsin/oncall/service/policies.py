"""Writing escalation policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from tocsin.db.engine import Tx
from tocsin.db.records import insert_record
from tocsin.events.base import Change, Subject
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.events.since import left_alone
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.changes import UNSET, Copy, UnsetType, set_or
from tocsin.kit.errors import Invalid
from tocsin.kit.ids import new_id
from tocsin.oncall import bulk_queries, queries
from tocsin.oncall.escalation import Step
from tocsin.oncall.model import (
    EscalationPolicy,
    EscalationStep,
    EscalationTarget,
    TargetKind,
)


@dataclass(frozen=True, slots=True)
class StepDraft:
    """One step of a policy as people write it."""

    user_ids: Sequence[UUID]
    wait_minutes: int


@dataclass(frozen=True, slots=True)
class PolicyChanges:
    """What to change about a policy; steps are replaced as a whole."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    steps: Sequence[StepDraft] | UnsetType = UNSET
    repeat: int | UnsetType = UNSET


async def create_policy(
    tx: Tx, who: Actor, *, name: str, description: str = "", steps: Sequence[StepDraft], repeat: int = 0
) -> EscalationPolicy:
    """Write a new policy; names are unique."""
    who.must(P.ONCALL_MANAGE)
    title = await _check_policy(tx, name, steps, repeat)
    values = {
        "id": new_id(),
        "name": title,
        "description": _description(description),
        "repeat": repeat,
        "created_at": tx.now,
        "updated_at": tx.now,
        "version": 1,
    }
    # Somebody may have taken the name since it was looked for.
    policy = await insert_record(tx, EscalationPolicy, values)
    if policy is None:
        raise _taken()
    await _write_steps(tx, policy.id, steps)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="escalation_policy", id=policy.id, title=title))
    return policy


async def update_policy(
    tx: Tx, who: Actor, id: UUID, changes: PolicyChanges, *, if_version: Copy = None
) -> EscalationPolicy:
    """Change a policy. Runs that are under way follow the new steps from their next one on (see `waking`)."""
    who.must(P.ONCALL_MANAGE)
    policy = await queries.lock_policy(tx, id)
    steps, repeat = set_or(changes.steps, None), set_or(changes.repeat, policy.repeat)
    title = await _check_policy(tx, set_or(changes.name, policy.name), steps, repeat, id=id)
    plan = (await queries.plans(tx, [id]))[id]
    wanted: dict[str, Any] = {
        "name": title,
        "description": _description(set_or(changes.description, policy.description)),
        "repeat": repeat,
        "steps": plan.steps if steps is None else tuple(_as_run(step) for step in steps),
    }
    stored = {"name": policy.name, "description": policy.description, "repeat": policy.repeat, "steps": plan.steps}
    names = await queries.people(tx, {id for step in (*plan.steps, *wanted["steps"]) for id in step.user_ids})
    told = [
        Change(field=field, old=_in_words(stored[field], names), new=_in_words(new, names))
        for field, new in wanted.items()
        if new != stored[field]
    ]
    about = Subject("escalation_policy", id)
    left = await left_alone(tx, about, policy.version, if_version, told, "this policy")
    told = [each for each in told if each.field not in left]
    if not told:
        return policy
    for each in told:
        if each.field != "steps":
            setattr(policy, each.field, wanted[each.field])
    policy.updated_at = tx.now
    policy.version += 1
    try:
        await tx.session.flush()
    except IntegrityError as error:
        # The name is the only thing that can clash; the transaction is lost and rolls back at the edge.
        raise _taken() from error
    if steps is not None and any(each.field == "steps" for each in told):
        await bulk_queries.delete_steps(tx, id)
        await _write_steps(tx, id, steps)
    said: dict[str, Any] = {"kind": about.kind, "id": id, "title": policy.name, "version": policy.version}
    await emit(tx, ConfigurationChanged(actor=who.ref, **said, changes=told))
    return policy


async def delete_policy(tx: Tx, who: Actor, policy: EscalationPolicy) -> None:
    """Remove a policy; what it did stays in the record under its name.

    Called through `alerts`, where routes are known, which has locked it (`hold_policy`) and found nothing that uses it.
    """
    who.must(P.ONCALL_MANAGE)
    await tx.session.delete(policy)
    await tx.session.flush()
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="escalation_policy", id=policy.id, title=policy.name))


async def _check_policy(
    tx: Tx, name: str, steps: Sequence[StepDraft] | None, repeat: int, id: UUID | None = None
) -> str:
    title = name.strip()
    if not 1 <= len(title) <= 100:
        raise Invalid("name", "Give the policy a name of at most 100 characters.")
    same = await queries.policy_named(tx, title)
    if same is not None and same.id != id:
        raise _taken()
    if not 0 <= repeat <= 9:
        raise Invalid("repeat", "Repeat between 0 and 9 times.")
    if steps is None:
        return title
    if not 1 <= len(steps) <= 20:
        raise Invalid("steps", "A policy has between 1 and 20 steps.")
    known = await identity.users_by_id(tx, {user_id for step in steps for user_id in step.user_ids})
    named = {user_id for step in (await queries.plans(tx, [id]))[id].steps for user_id in step.user_ids} if id else ()
    for index, step in enumerate(steps):
        if not 1 <= len(step.user_ids) <= 50:
            raise Invalid(f"steps/{index}/targets", "A step pages between 1 and 50 people.")
        if len(set(step.user_ids)) != len(step.user_ids):
            raise Invalid(f"steps/{index}/targets", "A step names each person once.")
        if any(user_id not in known for user_id in step.user_ids):
            raise Invalid(f"steps/{index}/targets", "A step names somebody who does not exist.")
        # Whoever was named before stays until somebody takes them out: the rest of the policy can be changed meanwhile.
        gone = [known[user_id].name for user_id in step.user_ids if not (known[user_id].is_active or user_id in named)]
        if gone:
            raise Invalid(
                f"steps/{index}/targets", f"{gone[0]} cannot be paged: the account is switched off.", code="inactive"
            )
        if not 1 <= step.wait_minutes <= 1440:
            raise Invalid(f"steps/{index}/wait_minutes", "Wait between 1 and 1440 minutes.")
    return title


def _taken() -> Invalid:
    return Invalid("name", "There is a policy of this name already.", code="taken")


async def _write_steps(tx: Tx, policy_id: UUID, steps: Sequence[StepDraft]) -> None:
    for position, step in enumerate(steps, start=1):
        row = EscalationStep(id=new_id(), policy_id=policy_id, position=position, wait_minutes=step.wait_minutes)
        tx.session.add(row)
        await tx.session.flush()
        tx.session.add_all(
            EscalationTarget(step_id=row.id, position=at, kind=TargetKind.USER, user_id=user_id)
            for at, user_id in enumerate(step.user_ids, start=1)
        )
    await tx.session.flush()


def _description(text: str) -> str:
    return text.strip()[:2000]


def _as_run(draft: StepDraft) -> Step:
    return Step(tuple(draft.user_ids), timedelta(minutes=draft.wait_minutes))


def _in_words(value: str | int | Sequence[Step], names: Mapping[UUID, tuple[str, bool]]) -> str:
    if isinstance(value, str | int):
        return str(value)
    return "; ".join(
        f"{', '.join(names[id][0] for id in step.user_ids)}, then {step.wait.total_seconds() / 60:.0f} min"
        for step in value
    )
