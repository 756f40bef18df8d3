"""Escalation policies: whom to page, in which order, and how long to wait in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from tocsin.alerts import service as alerts
from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import Time
from tocsin.api.base.resource import ForAll, Order, Resource, by_words
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.edge.cursors import read_place
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID, Actor
from tocsin.kit.clock import stamp
from tocsin.oncall import queries, service
from tocsin.oncall.model import POLICY_ID, EscalationPolicy


class StepTarget(Body, kw_only=True):
    """One person that a step pages."""

    example: ClassVar[Mapping[str, Any]] = {"type": "user", "id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m"}
    type: Literal["user"] = "user"
    id: str


class PolicyStep(Body, kw_only=True):
    """Page these people, then wait so long for an answer."""

    example: ClassVar[Mapping[str, Any]] = {
        "targets": [{"type": "user", "id": "usr_06b6fyrfa9xsgs9xe3vxkm3j3m"}],
        "wait_minutes": 5,
    }
    targets: Annotated[list[StepTarget], msgspec.Meta(min_length=1, max_length=50)]
    wait_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 5


Steps = Annotated[list[PolicyStep], msgspec.Meta(min_length=1, max_length=20)]
Repeat = Annotated[int, msgspec.Meta(ge=0, le=9, description="How often it starts again after its last step.")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


ReplaceBy = Annotated[str | None, QueryParameter(description="The policy that takes its place.")]


class CreatePolicy(Body, kw_only=True):
    """A policy with a name of its own and at least one step."""

    example: ClassVar[Mapping[str, Any]] = {
        "name": "Payments primary",
        "steps": [PolicyStep.example],
        "repeat": 1,
    }
    name: Name
    description: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    steps: Steps
    repeat: Repeat = 0


class EditPolicy(Body, kw_only=True):
    """A merge patch: only the fields that are there change; steps are replaced as a whole."""

    example: ClassVar[Mapping[str, Any]] = {"repeat": 2}
    name: Name | msgspec.UnsetType = msgspec.UNSET
    description: Annotated[str, msgspec.Meta(max_length=2000)] | msgspec.UnsetType = msgspec.UNSET
    steps: Steps | msgspec.UnsetType = msgspec.UNSET
    repeat: Repeat | msgspec.UnsetType = msgspec.UNSET


class StepTargetOut(msgspec.Struct):
    """One person that a step pages."""

    type: Literal["user"]
    id: str
    name: str


class PolicyStepOut(msgspec.Struct):
    """One step; positions count from 1."""

    position: int
    targets: list[StepTargetOut]
    wait_minutes: int


class PolicyWarning(msgspec.Struct):
    """What is wrong with a step: it names somebody who cannot be asked, or reaches nobody.

    `failing_*`: there are contact methods, but the last attempts on all of them failed. The step is not passed over.
    """

    step: int
    code: Literal["inactive", "unreachable_person", "failing_person", "unreachable_step", "failing_step"]
    detail: str
    user_id: str | None


class PolicyOut(msgspec.Struct):
    """Whom to page, in which order, and in `warnings` what is wrong with that at present."""

    id: str
    name: str
    description: str
    steps: list[PolicyStepOut]
    repeat: int
    warnings: list[PolicyWarning]
    created_at: Time
    updated_at: Time
    version: int


async def _write(tx: Tx, context: Context, _who: Actor, policies: Sequence[EscalationPolicy]) -> list[PolicyOut]:
    plans = await queries.plans(tx, [policy.id for policy in policies])
    wrong = await queries.weaknesses_of(tx, plans, context.channels)
    people = await queries.people(tx, {id for plan in plans.values() for step in plan.steps for id in step.user_ids})
    return [
        PolicyOut(
            id=POLICY_ID.write(policy.id),
            name=policy.name,
            description=policy.description,
            steps=[
                PolicyStepOut(
                    position=position,
                    targets=[StepTargetOut("user", USER_ID.write(id), people[id][0]) for id in step.user_ids],
                    wait_minutes=int(step.wait.total_seconds() // 60),
                )
                for position, step in enumerate(plans[policy.id].steps, start=1)
            ],
            repeat=policy.repeat,
            warnings=[
                PolicyWarning(one.step, one.code, one.words, USER_ID.write_or_none(one.user_id))
                for one in wrong[policy.id]
            ],
            created_at=stamp(policy.created_at),
            updated_at=stamp(policy.updated_at),
            version=policy.version,
        )
        for policy in policies
    ]


def _drafts(steps: Sequence[PolicyStep]) -> list[service.StepDraft]:
    return [
        service.StepDraft([_target(at, place, target) for place, target in enumerate(step.targets)], step.wait_minutes)
        for at, step in enumerate(steps)
    ]


def _target(step: int, place: int, target: StepTarget) -> UUID:
    with naming("steps", step, "targets", place, "id"):
        return USER_ID.read(target.id)


async def _create(tx: Tx, who: Actor, *, steps: Sequence[PolicyStep], **fields: Any) -> EscalationPolicy:
    return await service.create_policy(tx, who, steps=_drafts(steps), **fields)


def _changes(**fields: Any) -> service.PolicyChanges:
    if "steps" in fields:
        fields["steps"] = _drafts(fields["steps"])
    return service.PolicyChanges(**fields)


async def _delete(tx: Tx, who: Actor, id: UUID, *, replace_by: str | None) -> None:
    with naming("replace_by"):
        other = POLICY_ID.read_or_none(replace_by)
    await alerts.delete_policy(tx, who, id, replace_by=other)


POLICIES = Resource(
    "/escalation_policies",
    POLICY_ID,
    PolicyOut,
    _write,
    view=P.ONCALL_VIEW,
    manage=P.ONCALL_MANAGE,
    tag="escalation policies",
    order=Order(attrgetter("name"), lambda cursor: read_place(cursor, str) or ""),
)
ROUTER = POLICIES.router(
    POLICIES.list(ForAll(queries.policies), "List policies by name.", asks=by_words("the name")),
    POLICIES.create(CreatePolicy, _create, "Write a new policy."),
    POLICIES.get(ForAll(queries.policy), "Show one policy with its steps."),
    POLICIES.edit(
        EditPolicy,
        _changes,
        service.update_policy,
        "Change a policy (JSON merge patch). Escalations under way follow the new steps from their next one on.",
    ),
    POLICIES.delete(
        _delete,
        """Remove a policy that nothing uses; else 409, with what uses it in `uses`.

        With `replace_by`, the routes and the fallback lead to that policy from now on. While the policy pages somebody
        it stays (409). What it did before stays in the record under its name.
        """,
        asks={"replace_by": (ReplaceBy, None)},
    ),
)
