"""The organisation: its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import Response, Router, get, patch
from litestar.params import JSONBody

from tocsin.api.body import Body
from tocsin.api.http import IfMatch, Time, answer, given, read_if_match
from tocsin.edge.context import Ctx, Who
from tocsin.identity import queries
from tocsin.identity import service as identity
from tocsin.identity.accounts import LONGEST_NAME
from tocsin.identity.model import Organisation
from tocsin.kit.clock import stamp
from tocsin.kit.errors import Conflict


class OrganisationOut(msgspec.Struct):
    """The one organisation of this installation. Numbers of incidents begin with `incident_prefix`."""

    name: str
    incident_prefix: str
    created_at: Time
    version: int


class EditOrganisation(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"name": "Harbourline"}
    name: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] | msgspec.UnsetType = msgspec.UNSET


def _there(found: Organisation | None) -> Organisation:
    if found is None:
        raise Conflict("Tocsin has not been set up yet. Open the set-up link that it printed when it started.")
    return found


def _answer(row: Organisation) -> Response[OrganisationOut]:
    shaped = OrganisationOut(row.name, row.incident_prefix, stamp(row.created_at), row.version)
    return answer(shaped, version=row.version)


@get("/organisation")
async def get_organisation(context: Ctx, who: Who) -> Response[OrganisationOut]:
    """Show the organisation."""
    who.must("user.view")
    async with context.begin() as tx:
        return _answer(_there(await queries.organisation(tx)))


@patch("/organisation")
async def edit_organisation(
    context: Ctx, who: Who, data: JSONBody[EditOrganisation], if_match: IfMatch = None
) -> Response[OrganisationOut]:
    """Rename the organisation (JSON merge patch); needs `user.manage`."""
    async with context.begin() as tx:
        return _answer(await identity.rename_organisation(tx, who, given(data.name), read_if_match(if_match)))


ROUTER = Router("/", route_handlers=[get_organisation, edit_organisation], tags=["people"])
