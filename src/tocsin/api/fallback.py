"""Whom escalations fall back on: one setting of the organisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import msgspec
from litestar import Response, Router, get, put
from litestar.params import JSONBody

from tocsin.api.base.body import Body, naming
from tocsin.api.base.http import IfMatch, answer, read_if_match
from tocsin.api.shapes.targets import Target, read_target
from tocsin.db.engine import Tx
from tocsin.edge.context import Context, Ctx, Who
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID
from tocsin.oncall import queries, service
from tocsin.oncall.model import POLICY_ID


class FallbackTargetOut(msgspec.Struct):
    """A person or a policy. `problem` says why it could not be reached now, and is null when it can."""

    type: Literal["user", "escalation_policy"]
    id: str
    name: str
    problem: str | None


class FallbackOut(msgspec.Struct):
    """Whom to ask when an escalation reaches nobody or ends unanswered; null for nobody. `version` begins at 0."""

    target: FallbackTargetOut | None
    version: int


class ChooseFallback(Body, kw_only=True):
    """The last resort as a whole; null for nobody."""

    example: ClassVar[Mapping[str, Any]] = {"target": Target.example}
    target: Target | None


async def _write(tx: Tx, context: Context) -> FallbackOut:
    row = await queries.fallback_target(tx)
    found = await service.describe_fallback(tx, context.channels)
    target = None
    if found is not None:
        kind = USER_ID if found.target.kind == "user" else POLICY_ID
        id = kind.write(found.target.id)
        target = FallbackTargetOut(found.target.kind, id, found.name, found.problem or None)
    return FallbackOut(target, row.version if row is not None else 0)


@get("/organisation/fallback", needs=P.ONCALL_VIEW)
async def get_fallback(context: Ctx, who: Who) -> Response[FallbackOut]:
    """Show whom escalations fall back on."""
    async with context.begin() as tx:
        shaped = await _write(tx, context)
    return answer(shaped, version=shaped.version)


@put("/organisation/fallback", needs=P.ONCALL_MANAGE)
async def choose_fallback(
    context: Ctx, who: Who, data: JSONBody[ChooseFallback], if_match: IfMatch = None
) -> Response[FallbackOut]:
    """Choose whom escalations fall back on; needs `oncall.manage`. What reaches nobody at present asks it at once."""
    async with context.begin() as tx:
        target = read_target("target", data.target) if data.target is not None else None
        with naming("target", "id"):
            await service.set_fallback(tx, who, target, if_version=read_if_match(if_match))
        shaped = await _write(tx, context)
    return answer(shaped, version=shaped.version)


ROUTER = Router("/", route_handlers=[get_fallback, choose_fallback], tags=["escalation policies"])
