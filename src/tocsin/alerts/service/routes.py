"""Writing routes and putting them in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tocsin.alerts import queries, routing
from tocsin.alerts.model import AlertRoute
from tocsin.db.engine import Tx
from tocsin.events.base import Change, Subject, yes_or_no
from tocsin.events.configuration import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from tocsin.events.log import emit
from tocsin.events.since import left_alone
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.changes import UNSET, Copy, UnsetType, set_or
from tocsin.kit.errors import Conflict, Invalid, NotFound
from tocsin.kit.ids import new_id
from tocsin.oncall import queries as oncall_queries


@dataclass(frozen=True, slots=True)
class RouteDraft:
    """A route as people write it. An empty condition is allowed only on the catch-all."""

    name: str
    condition: str = ""
    escalation_policy_id: UUID | None = None
    is_catch_all: bool = False
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class RouteChanges:
    """What to change about a route; without a policy, which is None, alerts are only recorded."""

    name: str | UnsetType = UNSET
    condition: str | UnsetType = UNSET
    escalation_policy_id: UUID | UnsetType | None = UNSET
    is_catch_all: bool | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET

    def applied_to(self, row: AlertRoute) -> RouteDraft:
        """Return the route as it is to be."""
        return RouteDraft(
            name=set_or(self.name, row.name),
            condition=set_or(self.condition, row.condition),
            escalation_policy_id=set_or(self.escalation_policy_id, row.escalation_policy_id),
            is_catch_all=set_or(self.is_catch_all, row.is_catch_all),
            is_enabled=set_or(self.is_enabled, row.is_enabled),
        )


async def create_route(tx: Tx, who: Actor, draft: RouteDraft) -> AlertRoute:
    """Add a route behind the others (but before the catch-all)."""
    who.must(P.ONCALL_MANAGE)
    existing = await queries.lock_routes(tx)
    await _check_route(tx, draft, existing)
    last = max((r.position for r in existing), default=0)
    row = AlertRoute(
        id=new_id(),
        name=draft.name.strip(),
        position=last + 1,
        condition=draft.condition.strip(),
        is_catch_all=draft.is_catch_all,
        is_enabled=draft.is_enabled,
        escalation_policy_id=draft.escalation_policy_id,
        created_at=tx.now,
        updated_at=tx.now,
        version=1,
    )
    tx.session.add(row)
    await emit(tx, ConfigurationCreated(actor=who.ref, kind="alert_route", id=row.id, title=row.name))
    return row


async def update_route(tx: Tx, who: Actor, id: UUID, changes: RouteChanges, *, if_version: Copy = None) -> AlertRoute:
    """Change a route; alerts that were routed before keep their decision."""
    who.must(P.ONCALL_MANAGE)
    existing = await queries.lock_routes(tx)
    row = await queries.route(tx, id)
    draft = changes.applied_to(row)
    await _check_route(tx, draft, [r for r in existing if r.id != id])
    new = {
        "name": draft.name.strip(),
        "condition": draft.condition.strip(),
        "is_catch_all": draft.is_catch_all,
        "is_enabled": draft.is_enabled,
        "escalation_policy_id": draft.escalation_policy_id,
    }
    policies = await _names(tx, row.escalation_policy_id, draft.escalation_policy_id)
    told = [
        Change(field=field, old=_in_words(getattr(row, field), policies), new=_in_words(value, policies))
        for field, value in new.items()
        if getattr(row, field) != value
    ]
    about = Subject("alert_route", row.id)
    left = await left_alone(tx, about, row.version, if_version, told, "this route")
    told = [each for each in told if each.field not in left]
    for each in told:
        setattr(row, each.field, new[each.field])
    if told:
        row.updated_at = tx.now
        row.version += 1
        said: dict[str, Any] = {"kind": about.kind, "id": id, "title": row.name, "version": row.version}
        await emit(tx, ConfigurationChanged(actor=who.ref, **said, changes=told))
    return row


async def _names(tx: Tx, *ids: UUID | None) -> dict[UUID, str]:
    """Return what policies are called, as the record says which one a route leads to."""
    plans = await oncall_queries.plans(tx, [id for id in ids if id is not None])
    return {id: plan.name for id, plan in plans.items()}


def _in_words(value: str | bool | UUID | None, policies: Mapping[UUID, str]) -> str:
    match value:
        case None:
            return "nobody"
        case bool():
            return yes_or_no(value)
        case UUID():
            return policies.get(value, str(value))
        case _:
            return value


async def lead_to(tx: Tx, who: Actor, route: AlertRoute, policy_id: UUID) -> None:
    """Let a route lead to another policy, whatever else is wrong with it. The caller has locked the routes."""
    policies = await _names(tx, route.escalation_policy_id, policy_id)
    old, new = (_in_words(id, policies) for id in (route.escalation_policy_id, policy_id))
    change = Change(field="escalation_policy_id", old=old, new=new)
    route.escalation_policy_id, route.updated_at, route.version = policy_id, tx.now, route.version + 1
    await emit(
        tx,
        ConfigurationChanged(
            actor=who.ref,
            kind="alert_route",
            id=route.id,
            title=route.name,
            version=route.version,
            changes=[change],
        ),
    )


async def move_route(
    tx: Tx, who: Actor, id: UUID, *, up: bool | None = None, to_place: int | None = None
) -> AlertRoute:
    """Try a route one place earlier or later (`up`), or as the so-manieth of all, counted from 1 (`to_place`).

    At the end of the list nothing happens; a place beyond it is the last one. The catch-all stays the last.
    """
    who.must(P.ONCALL_MANAGE)
    ordered = [r for r in await queries.lock_routes(tx) if not r.is_catch_all]
    row = await queries.route(tx, id)
    if row not in ordered:
        return row
    at = ordered.index(row)
    to = min(max(to_place, 1), len(ordered)) - 1 if to_place is not None else at - 1 if up else at + 1
    if to == at or not 0 <= to < len(ordered):
        return row
    ordered.insert(to, ordered.pop(at))
    for position, each in enumerate(ordered, start=1):
        each.position = position
    await emit(
        tx,
        ConfigurationChanged(
            actor=who.ref,
            kind="alert_route",
            id=id,
            title=row.name,
            changes=[Change(field="position", old=str(at + 1), new=str(to + 1))],
        ),
    )
    return row


async def delete_route(tx: Tx, who: Actor, id: UUID) -> None:
    """Remove a route; alerts that took it keep its name in their record."""
    who.must(P.ONCALL_MANAGE)
    await queries.lock_routes(tx)
    row = await queries.route(tx, id)
    await tx.session.delete(row)
    await emit(tx, ConfigurationDeleted(actor=who.ref, kind="alert_route", id=id, title=row.name))


async def _check_route(tx: Tx, draft: RouteDraft, others: Sequence[AlertRoute]) -> None:
    if not 1 <= len(draft.name.strip()) <= 100:
        raise Invalid("name", "Give the route a name of at most 100 characters.")
    if draft.is_catch_all:
        if any(other.is_catch_all for other in others):
            raise Conflict("There is a catch-all already. Change that one.", code="alert_route.catch_all_taken")
        if draft.condition.strip():
            raise Invalid("condition", "A catch-all takes everything, so it has no condition.")
    elif not draft.condition.strip():
        raise Invalid("condition", "Write a condition, or make this route the catch-all.")
    else:
        routing.read_condition(draft.condition)
    if draft.escalation_policy_id is not None:
        try:
            await oncall_queries.policy(tx, draft.escalation_policy_id)
        except NotFound as problem:
            raise Invalid("escalation_policy_id", problem.message, code="unknown") from None
