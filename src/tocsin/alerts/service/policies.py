"""Removing an escalation policy, which only here is known to be used: routes lead to it, alerts climb it."""

from __future__ import annotations

from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts.model import ALERT_ID, ROUTE_ID, AlertRoute
from tocsin.alerts.service.routes import lead_to
from tocsin.db.engine import Tx
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.kit.errors import InUse, Invalid, NotFound, Use
from tocsin.kit.ids import ids_of
from tocsin.oncall import queries as oncall_queries
from tocsin.oncall import service as oncall
from tocsin.oncall.escalation import PageTarget


async def uses_of_policy(tx: Tx, who: Actor, id: UUID) -> list[Use]:
    """Return what needs the policy: the routes that lead to it, the fallback, and the runs that climb it now.

    What may be private is named to those only who see it, or all that is private.
    """
    found = [Use("alert_route", ROUTE_ID.write(route.id), route.name, "route") for route in await _leading_to(tx, id)]
    fallback = await oncall_queries.fallback_target(tx)
    if fallback is not None and fallback.policy_id == id:
        found.append(Use("fallback", "", "The fallback", "asked when nobody else answers"))
    for run in await oncall_queries.running_runs_of(tx, id):
        kind, about = ("alert", ALERT_ID.write(run.alert_id)) if run.alert_id else ("incident", "")
        if run.incident_id is not None:
            about = ids_of("incident").write(run.incident_id)
        is_told = P.PRIVATE_VIEW in who.access.organisation
        if not is_told and run.alert_id is not None:
            is_told = bool(await queries.seen(tx, who.access, [run.alert_id]))
        title = str(run.content.get("title", "")) if is_told else f"An {kind}"
        found.append(Use(kind, about if is_told else "", title, "being paged now"))
    return found


async def _leading_to(tx: Tx, policy_id: UUID) -> list[AlertRoute]:
    return [route for route in await queries.routes(tx) if route.escalation_policy_id == policy_id]


async def delete_policy(tx: Tx, who: Actor, id: UUID, *, replace_by: UUID | None = None) -> None:
    """Remove a policy that nothing uses; with `replace_by`, routes and the fallback lead to that one from now on.

    Raises `InUse` with what uses it. Runs that climb it now are waited for in any case: they would end in the middle.
    """
    who.must(P.ONCALL_MANAGE)
    await queries.lock_routes(tx)
    policy = await oncall_queries.hold_policy(tx, id)
    if replace_by is not None:
        await _replace(tx, who, id, replace_by)
    if uses := await uses_of_policy(tx, who, id):
        is_replaceable = any(use.as_what != "being paged now" for use in uses)
        hint = (
            "Say which policy takes its place (`replace_by`), or let them lead somewhere else first."
            if is_replaceable
            else "Acknowledge or resolve these first."
        )
        raise InUse(f"“{policy.name}” is in use", uses, code="escalation_policy.in_use", hint=hint)
    await oncall.delete_policy(tx, who, policy)


async def _replace(tx: Tx, who: Actor, id: UUID, replace_by: UUID) -> None:
    if replace_by == id:
        raise Invalid("replace_by", "Choose another policy than the one that goes.")
    try:
        await oncall_queries.policy(tx, replace_by)
    except NotFound as problem:
        raise Invalid("replace_by", problem.message, code="unknown") from None
    for route in await _leading_to(tx, id):
        await lead_to(tx, who, route, replace_by)
    fallback = await oncall_queries.fallback_target(tx)
    if fallback is not None and fallback.policy_id == id:
        await oncall.set_fallback(tx, who, PageTarget("escalation_policy", replace_by))
    await tx.flush()
