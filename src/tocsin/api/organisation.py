"""The organisation: its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Response, Router, get, patch
from litestar.params import JSONBody

from tocsin.api.base.body import Body
from tocsin.api.base.http import IfMatch, Time, answer, read_if_match
from tocsin.edge.context import Ctx, Who
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.access import P
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.model import Organisation
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Conflict

Hours = Annotated[int, msgspec.Meta(ge=1, le=identity.MOST_HOURS)]


class OrganisationOut(msgspec.Struct):
    """The one organisation of this installation. Numbers of incidents begin with `incident_prefix`.

    After `remind_after_hours` without progress the owner of an urgent alert is reminded of it; after
    `give_back_after_hours` an acknowledged alert is given back and routed anew. Null means never.
    """

    name: str
    incident_prefix: str
    remind_after_hours: int | None
    give_back_after_hours: int | None
    created_at: Time
    version: int


class EditOrganisation(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Harbourline"}
    name: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] | msgspec.UnsetType = msgspec.UNSET
    remind_after_hours: Hours | msgspec.UnsetType | None = msgspec.UNSET
    give_back_after_hours: Hours | msgspec.UnsetType | None = msgspec.UNSET


def _there(found: Organisation | None) -> Organisation:
    if found is None:
        raise Conflict("Tocsin has not been set up yet. Open the set-up link that it printed when it started.")
    return found


def _answer(row: Organisation) -> Response[OrganisationOut]:
    shaped = OrganisationOut(
        row.name,
        row.incident_prefix,
        row.remind_after_hours,
        row.give_back_after_hours,
        stamp(row.created_at),
        row.version,
    )
    return answer(shaped, version=row.version)


@get("/organisation", needs=P.USER_VIEW)
async def get_organisation(context: Ctx, who: Who) -> Response[OrganisationOut]:
    """Show the organisation."""
    async with context.begin() as tx:
        return _answer(_there(await queries.organisation(tx)))


@patch("/organisation", needs=P.USER_MANAGE)
async def edit_organisation(
    context: Ctx, who: Who, data: JSONBody[EditOrganisation], if_match: IfMatch = None
) -> Response[OrganisationOut]:
    """Rename the organisation, or say how long alerts may lie (JSON merge patch); needs `user.manage`."""
    changes = identity.OrganisationChanges(data.name, data.remind_after_hours, data.give_back_after_hours)
    async with context.begin() as tx:
        return _answer(await identity.update_organisation(tx, who, changes, if_version=read_if_match(if_match)))


ROUTER = Router("/", route_handlers=[get_organisation, edit_organisation], tags=["people"])
