"""Incidents: listing, declaring, reading and editing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from tocsin.api.base.body import Body, naming, writes, written
from tocsin.api.base.http import (
    Cursor,
    Id,
    IfMatch,
    Limit,
    Listing,
    answer,
    given,
    listing,
    moment,
    read_if_match,
    reference,
    searchable,
)
from tocsin.api.shapes.incidents import IncidentOut, shape, shape_all
from tocsin.api.shapes.owners import read_owners
from tocsin.api.shapes.refs import ALERT
from tocsin.api.shapes.targets import Target, read_targets
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import AwareTime, read_place
from tocsin.identity.access import P
from tocsin.identity.model import USER_ID
from tocsin.identity.service import MOST_OWNERS
from tocsin.incidents import queries, service, type_queries
from tocsin.incidents.fields import Corrected, Severity, Written
from tocsin.incidents.model import Category, Priority, Status
from tocsin.incidents.queries import Place
from tocsin.incidents.service import paging
from tocsin.incidents.service.types import MOST_FIELDS
from tocsin.kit.errors import Invalid
from tocsin.kit.search import AT_LEAST, IN_ANY_ORDER, NARROWED
from tocsin.oncall.model import PagingTrouble

_PAGING = "Help was asked for in vain: `unreached`, no message has reached anybody; `unanswered`, nobody answered."
_SEARCH = (
    f"{IN_ANY_ORDER} Searches title and summary; `INC-7` or `7` finds that incident, `ALR-31` that of the alert. "
    f"{AT_LEAST}"
)
_PERSON = "With this person in a role, asked to come, or there."
_TYPE = "The short id (`data_quality`) or the id of an incident type; without one, the default type."
_TEMPLATE = "The short id (`service_down`) or the id of a text template, which fills in what is left out."
_FIELDS = "Values of custom fields by their keys; null takes one away."
_Place = tuple[Severity | Priority, AwareTime, UUID]


@writes(Written, null_is_unset=True)
class DeclareIncident(Body, kw_only=True):
    """What is going wrong. What is left out is filled in from the template, then from the alert."""

    example: ClassVar[Mapping[str, Any]] = {
        "title": "Checkout is down",
        "summary": "Every payment is refused since 14:02.",
        "severity": 1,
    }

    type: Annotated[str, msgspec.Meta(description=_TYPE)] | None = None
    fields: Annotated[dict[str, Any], msgspec.Meta(description=_FIELDS, max_length=MOST_FIELDS)] | None = None
    template: Annotated[str, msgspec.Meta(description=_TEMPLATE)] | None = None
    alert_id: str | None = None
    page_others: bool = False
    lead_id: str | None = None
    team_ids: Annotated[list[str], msgspec.Meta(max_length=MOST_OWNERS)] | None = None
    is_private: bool | None = None
    page: Annotated[list[Target], msgspec.Meta(max_length=paging.MANY)] = msgspec.field(default_factory=list[Target])


@writes(Corrected)
class EditIncident(Body, kw_only=True):
    """A merge patch: only the fields that are there change."""

    example: ClassVar[Mapping[str, Any]] = {"title": "Checkout is slow", "severity": 2}

    type: Annotated[str, msgspec.Meta(description=_TYPE)] | msgspec.UnsetType = msgspec.UNSET
    fields: Annotated[dict[str, Any], msgspec.Meta(description=_FIELDS, max_length=MOST_FIELDS)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    team_ids: Annotated[list[str], msgspec.Meta(max_length=MOST_OWNERS)] | msgspec.UnsetType = msgspec.UNSET
    is_private: bool | msgspec.UnsetType = msgspec.UNSET


@get("/", needs=P.INCIDENT_VIEW)
async def list_incidents(
    request: AppRequest,
    context: Ctx,
    who: Who,
    status: FromQuery[list[Status] | None] = None,
    severity: FromQuery[list[Annotated[int, msgspec.Meta(ge=1, le=5)]] | None] = None,
    tag: Annotated[list[str] | None, QueryParameter(description="Only with one of these tags.")] = None,
    category: Annotated[list[Category] | None, QueryParameter(description="Only of one of these kinds.")] = None,
    priority: Annotated[list[Priority] | None, QueryParameter(description="Set or derived.")] = None,
    is_drill: Annotated[bool | None, QueryParameter(description="Only drills, or none.")] = None,
    type: Annotated[list[str] | None, QueryParameter(description="Only of these types: short ids or ids.")] = None,
    lead_id: FromQuery[list[str] | None] = None,
    commander_id: FromQuery[list[str] | None] = None,
    reporter_id: FromQuery[list[str] | None] = None,
    person_id: Annotated[str | None, QueryParameter(description=_PERSON)] = None,
    paging: Annotated[list[PagingTrouble] | None, QueryParameter(description=_PAGING)] = None,
    declared_from: Annotated[datetime | None, QueryParameter(name="declared_at[gte]")] = None,
    declared_to: Annotated[datetime | None, QueryParameter(name="declared_at[lt]")] = None,
    q: Annotated[str | None, QueryParameter(description=_SEARCH, max_length=200)] = None,
    sort: FromQuery[queries.Sort] = "-declared_at",
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[IncidentOut]]:
    """List incidents, the newest first.

    The same parameter twice means either value; different parameters must all hold.
    """
    place = read_place(cursor, _Place)
    after = None if place is None else Place(place[0], moment("cursor", place[1]) or place[1], place[2])
    if after is not None and not after.fits(sort):
        raise Invalid("cursor", "This cursor is of a list in another order. Begin at its first page.")
    async with context.db.look() as tx:
        narrowed = queries.Filters(
            type_ids=await type_queries.ids_of_types(tx, type or ()),
            statuses=status or (),
            severities=severity or (),
            tags=tag or (),
            categories=category or (),
            priorities=priority or (),
            is_drill=is_drill,
            declared_from=moment("declared_at[gte]", declared_from),
            declared_to=moment("declared_at[lt]", declared_to),
            lead_ids=USER_ID.read_all(lead_id or ()),
            commander_ids=USER_ID.read_all(commander_id or ()),
            reporter_ids=USER_ID.read_all(reporter_id or ()),
            person_id=USER_ID.read_or_none(person_id),
            troubles=paging or (),
        )
        words = searchable(q)
        rows = await queries.listed(tx, who.access, narrowed, q=words, sort=sort, after=after, limit=limit + 1)
        notice = NARROWED if await queries.is_searched_in_part(tx, who.access, narrowed, words) else ""
        shaped = await shape_all(tx, context, who, rows)
    pairs = list(zip(rows, shaped, strict=True))
    return listing(request, pairs, limit, lambda p: p[1], lambda p: astuple(Place.of(p[0], sort)), notice=notice)


@post("/", needs=P.INCIDENT_DECLARE)
async def declare_incident(context: Ctx, who: Who, data: JSONBody[DeclareIncident]) -> Response[IncidentOut]:
    """Declare an incident; whoever does becomes a joined responder and, unless `lead_id` names one, its lead.

    With `alert_id` the alert is linked and acknowledged, which ends its escalation; `page_others` lets it go on.
    `team_ids` own it, and with `is_private` it is for them only, and for whoever is asked or granted it.
    What the `type` requires to be declared stands in `fields`, or in the field of its name; 422 names what is missing.
    `page` asks people and policies for help, as the verb of that name does; `responders` says who was reached.
    """
    with naming("lead_id"):
        lead_id = USER_ID.read(data.lead_id) if data.lead_id is not None else None
    async with context.begin() as tx:
        with naming("alert_id"):
            incident = await service.declare(
                tx,
                who,
                alert_id=await ALERT.read(tx, who, data.alert_id) if data.alert_id is not None else None,
                page_others=data.page_others,
                lead_id=lead_id,
                targets=read_targets("page", data.page),
                owners=read_owners(data.team_ids, data.is_private),
                filled=service.Filled(data.type or "", data.fields or {}),
                template=data.template or "",
                **written(data, Written),
            )
        shaped = await shape(tx, context, who, incident)
    return answer(shaped, version=shaped.version, status=201)


@get("/{id:str}", needs=P.INCIDENT_VIEW)
async def get_incident(context: Ctx, who: Who, id: Id) -> Response[IncidentOut]:
    """Show one incident, by its id (`inc_…`) or its number (`INC-7`)."""
    async with context.begin() as tx:
        shaped = await shape(tx, context, who, await queries.get(tx, who.access, reference(id)))
    return answer(shaped, version=shaped.version)


@patch("/{id:str}", needs=P.INCIDENT_EDIT)
async def edit_incident(
    context: Ctx, who: Who, id: Id, data: JSONBody[EditIncident], if_match: IfMatch = None
) -> Response[IncidentOut]:
    """Change what an incident says, when it reached a stage, or who owns it (JSON merge patch).

    A `priority` of null follows from severity and urgency. `is_drill` needs the right to resolve. Of `fields` only
    those that are there change. Another `type` is taken at its newest version.

    `started_at`, `detected_at`, `identified_at` and `mitigated_at` set the record right and leave the status as it is:
    not in the future, after the start and before the end. Null takes all of them but the start away.

    `resolution_note` corrects the note of an incident that is resolved or closed; the old one stays in the record.
    """
    owners = read_owners(given(data.team_ids), given(data.is_private))
    filled = service.Filled(given(data.type) or "", given(data.fields) or {})
    changes = service.IncidentChanges(owners=owners, filled=filled, **written(data, Corrected))
    async with context.begin() as tx:
        incident = await service.update(tx, who, reference(id), changes, if_version=read_if_match(if_match))
        shaped = await shape(tx, context, who, incident)
    return answer(shaped, version=shaped.version)


ROUTER = Router(
    "/incidents", route_handlers=[list_incidents, declare_incident, get_incident, edit_incident], tags=["incidents"]
)
