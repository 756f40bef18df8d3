"""The list of escalation policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from litestar import get

from tocsin.alerts import queries as alerts
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.identity.access import P
from tocsin.oncall import list_queries, queries
from tocsin.oncall.escalation import Plan, Weakness
from tocsin.oncall.model import POLICY_ID, EscalationPolicy
from tocsin.web.base import lists, pages, portions
from tocsin.web.base.lists import Asked, Column, Group, Listing, ListOf
from tocsin.web.base.screens import ShellScreen
from tocsin.web.policies.pages import listed_as, steps_in_time

POLICIES = ListOf(
    place="/policies",
    one="policy",
    many="policies",
    search="Name",
    columns=(
        Column("ttl", "Name"),
        Column("first", "First", priority=2),
        Column("steps", "Steps", priority=3),
        Column("last", "Last step after", priority=3),
        Column("routes", "Routes", priority=3),
    ),
)


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy in the list. `first` says whom it pages first, `worst_case` after how many seconds its last step is.

    `warning` is what is wrong with its people.
    """

    id: str
    name: str
    step_count: int
    repeat: int
    first: str
    route_count: int
    worst_case: float
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoliciesScreen(ShellScreen):
    """A page of the policies, by name."""

    template: ClassVar = "policies/policies.html"
    listing: Listing
    groups: list[Group[PolicyRow]]
    may_edit: bool


@get("/policies", needs=P.ONCALL_VIEW)
async def policy_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show the policies by name, 50 at a time."""
    who.must(P.ONCALL_VIEW)
    asked = Asked.by(POLICIES, request)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)

        async def read(place: str | None, backwards: bool, limit: int) -> list[EscalationPolicy]:
            return await queries.policies(tx, after=place or "", backwards=backwards, limit=limit, words=asked.words)

        found = await portions.read(asked, str, lambda row: row.name, read)
        rows = found.rows
        total = await list_queries.count_policies(tx, asked.words, most=lists.MOST_COUNTED)
        plans = await queries.plans(tx, [row.id for row in rows])
        people = await queries.people(
            tx, {id for plan in plans.values() for step in plan.steps for id in step.user_ids}
        )
        routes = [route.escalation_policy_id for route in await alerts.routes(tx)]
        wrong = await queries.weaknesses_of(tx, plans, context.channels)
    names = {id: listed_as(name, is_active=is_active) for id, (name, is_active) in people.items()}
    shown = [_row(row.id, plans[row.id], names, routes.count(row.id), wrong[row.id]) for row in rows]
    screen = PoliciesScreen(
        shell,
        listing=lists.listing_of(asked, found, total=total),
        groups=lists.one_group(shown),
        may_edit=who.may(P.ONCALL_MANAGE),
    )
    return pages.render(screen)


def _row(id: UUID, plan: Plan, names: Mapping[UUID, str], route_count: int, wrong: Sequence[Weakness]) -> PolicyRow:
    return PolicyRow(
        id=POLICY_ID.write(id),
        name=plan.name,
        step_count=len(plan.steps),
        repeat=plan.repeat,
        first=", ".join(names.get(id, "") for id in plan.steps[0].user_ids) if plan.steps else "Nobody",
        route_count=route_count,
        worst_case=steps_in_time(plan, names, ())[-2].after if plan.steps else 0,
        warning=wrong[0].words + (f" And {len(wrong) - 1} more." if len(wrong) > 1 else "") if wrong else "",
    )


HANDLERS = [policy_list]
