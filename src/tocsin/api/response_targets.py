"""Response targets: how fast incidents of each severity are to be worked on, and how one stands to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Response, Router, get, patch
from litestar.params import FromPath, JSONBody

from tocsin.api.base.body import Body, fields_of
from tocsin.api.base.http import Id, IfMatch, Time, answer, read_if_match, reference, when
from tocsin.edge.context import Ctx, Who
from tocsin.identity.access import P
from tocsin.incidents import queries, target_queries
from tocsin.incidents.model import ResponseTarget
from tocsin.incidents.service import targeting
from tocsin.incidents.targets import LONGEST, Clock, ClockState, Goal
from tocsin.kit.clock import stamp
from tocsin.kit.errors import NotFound

Minutes = Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] | msgspec.UnsetType | None


class ResponseTargetOut(msgspec.Struct):
    """Minutes from the declaration (or the reopening) until each stage, and from one update to the next.

    Null is no target. Missed is what was reached later; it is said in the timeline, once.
    """

    severity: int
    acknowledge_minutes: int | None
    update_minutes: int | None
    mitigate_minutes: int | None
    resolve_minutes: int | None
    version: int


class EditResponseTarget(Body, kw_only=True):
    """A merge patch: null takes a target away. Open incidents are measured by it from now on."""

    example: ClassVar[Mapping[str, Any]] = {"acknowledge_minutes": 5, "update_minutes": 30}
    acknowledge_minutes: Minutes = msgspec.UNSET
    update_minutes: Minutes = msgspec.UNSET
    mitigate_minutes: Minutes = msgspec.UNSET
    resolve_minutes: Minutes = msgspec.UNSET


class ClockOut(msgspec.Struct):
    """One target of an incident: due when, reached when, and how it stands. `near`: a fifth of the time is left."""

    goal: Goal
    minutes: int
    due_at: Time
    met_at: Time | None
    state: ClockState


class ResponseTargetsOut(msgspec.Struct):
    """The targets of the five severities, the worst first."""

    severities: list[ResponseTargetOut]


class IncidentTargetsOut(msgspec.Struct):
    """How an incident stands to the targets of its severity."""

    targets: list[ClockOut]


def _target(row: ResponseTarget) -> ResponseTargetOut:
    return ResponseTargetOut(
        row.severity,
        row.acknowledge_minutes,
        row.update_minutes,
        row.mitigate_minutes,
        row.resolve_minutes,
        row.version,
    )


def _severity(text: str) -> int:
    if text not in ("1", "2", "3", "4", "5"):
        raise NotFound("There is no such severity.")
    return int(text)


def _clock(clock: Clock) -> ClockOut:
    return ClockOut(clock.goal, clock.minutes, stamp(clock.due_at), when(clock.met_at), clock.state)


@get("/response_targets", needs=P.INCIDENT_VIEW)
async def get_response_targets(context: Ctx, who: Who) -> ResponseTargetsOut:
    """Show the targets of the five severities, the worst first."""
    async with context.begin() as tx:
        return ResponseTargetsOut([_target(row) for row in await target_queries.of_each_severity(tx)])


@patch("/response_targets/{severity:str}", needs=P.USER_MANAGE)
async def edit_response_target(
    context: Ctx, who: Who, severity: FromPath[str], data: JSONBody[EditResponseTarget], if_match: IfMatch = None
) -> Response[ResponseTargetOut]:
    """Say how fast incidents of a severity are to be worked on (JSON merge patch); needs `user.manage`."""
    changes = targeting.TargetChanges(**fields_of(data))
    async with context.begin() as tx:
        row = await targeting.update_targets(tx, who, _severity(severity), changes, if_version=read_if_match(if_match))
    return answer(_target(row), version=row.version)


@get("/incidents/{id:str}/targets", needs=P.INCIDENT_VIEW)
async def get_incident_targets(context: Ctx, who: Who, id: Id) -> IncidentTargetsOut:
    """Show how an incident stands to the response targets of its severity; empty where it has none."""
    async with context.begin() as tx:
        incident = await queries.get(tx, who.access, reference(id))
        return IncidentTargetsOut([_clock(clock) for clock in await target_queries.clocks_of(tx, incident)])


ROUTER = Router(
    "/", route_handlers=[get_response_targets, edit_response_target, get_incident_targets], tags=["incidents"]
)
