"""Whom paging somebody, or a policy, would reach if it were done now: said before it is done, by the same rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tocsin.db.engine import Tx
from tocsin.notifications.model import Urgency
from tocsin.oncall import queries
from tocsin.oncall.escalation import USUAL_WAIT, Decision, PageTarget, Place, Plan, Step, decide


@dataclass(frozen=True, slots=True)
class Foretold:
    """What comes of paging one target: `at_once` are paged, then, if nobody answers, `then` after `after`.

    `policy` is by which policy, "" for a person. Where nobody can be reached, the last resort is asked: `instead`,
    empty where there is none that can be reached.
    """

    name: str
    policy: str
    at_once: Sequence[str]
    then: Sequence[str]
    after: timedelta
    instead: Sequence[str]


async def foretell(tx: Tx, targets: Sequence[PageTarget]) -> list[Foretold]:
    """Say what paging these for an incident would do now; what there is no more is left out."""
    known = await queries.known_directory(tx)
    return [_foretold(known, plan) for target in targets if (plan := _plan(known, target)) is not None]


def _plan(known: queries.Directory, target: PageTarget) -> Plan | None:
    if target.kind == "escalation_policy":
        return known.plans.get(target.id)
    name = known.names.get(target.id)
    return Plan(name, 0, (Step((target.id,), USUAL_WAIT),), is_direct=True) if name is not None else None


def _foretold(known: queries.Directory, plan: Plan) -> Foretold:
    first = _decide(known, plan, Place())
    follows = _decide(known, plan, Place(first.step, first.round, has_reached=True)) if first.page else None
    last_resort = _plan(known, known.fallback) if known.fallback is not None else None
    instead = _decide(known, last_resort, Place()) if last_resort is not None and not first.page else None
    return Foretold(
        name=plan.name,
        policy="" if plan.is_direct else plan.name,
        at_once=_names(known, first),
        then=_names(known, follows),
        after=first.wait or timedelta(),
        instead=_names(known, instead),
    )


def _decide(known: queries.Directory, plan: Plan, place: Place) -> Decision:
    return decide(plan, place, urgency=Urgency.HIGH, reachable=known.methods.keys(), names=known.names)


def _names(known: queries.Directory, decision: Decision | None) -> list[str]:
    return [known.names.get(id, "") for id in decision.page] if decision is not None else []
