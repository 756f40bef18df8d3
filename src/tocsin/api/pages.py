"""Pages: who was asked, and what they said."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.params import JSONBody, QueryParameter

from tocsin.alerts import queries as alert_queries
from tocsin.alerts.model import ALERT_ID
from tocsin.api.base.body import NoBody
from tocsin.api.base.http import Cursor, Id, Limit, Listing, listing, reference
from tocsin.api.shapes.pages import PageOut, write_page
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.edge.rights import Right
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service
from tocsin.kit.errors import Invalid
from tocsin.oncall import queries
from tocsin.oncall.model import PAGE_ID, Page


@get("/", needs=P.ALERT_VIEW)
async def list_pages(
    request: AppRequest,
    context: Ctx,
    who: Who,
    alert_id: Annotated[list[str] | None, QueryParameter(description="Pages about these alerts.")] = None,
    incident: Annotated[
        str | None, QueryParameter(description="Pages about this incident (`INC-7` or `inc_…`).")
    ] = None,
    limit: Limit = 25,
    cursor: Cursor = None,
) -> Response[Listing[PageOut]]:
    """List the pages about alerts or about an incident, the newest first. One of the two has to be named."""
    if not alert_id and incident is None:
        raise Invalid("alert_id", "Say which alert or incident the pages are about.", code="required")
    before = read_place(cursor, UUID)
    async with context.begin() as tx:
        about = (await incident_queries.get(tx, who.access, reference(incident))).id if incident is not None else None
        alert_ids = await alert_queries.seen(tx, who.access, [ALERT_ID.read(id) for id in alert_id or ()])
        rows = await queries.pages_of(tx, alert_ids=alert_ids, incident_id=about, before=before, limit=limit + 1)
    return listing(request, rows, limit, lambda row: write_page(*row), lambda row: row[0].id)


@get("/{id:str}", needs=P.ALERT_VIEW)
async def get_page(context: Ctx, who: Who, id: Id) -> PageOut:
    """Show one page."""
    async with context.begin() as tx:
        return await _named(tx, await service.read_page(tx, who, PAGE_ID.read(id)))


@post("/{id:str}/actions/acknowledge", status_code=200, needs=Right.SIGNED_IN)
async def acknowledge_page(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> PageOut:
    """Answer the page that one was sent, and by it the alert or the incident that it is about."""
    async with context.begin() as tx:
        return await _named(tx, await service.answer_page(tx, who, PAGE_ID.read(id), "api"))


@post("/{id:str}/actions/decline", status_code=200, needs=Right.SIGNED_IN)
async def decline_page(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> PageOut:
    """Say that one cannot take it; the next step follows at once when nobody else is being asked."""
    async with context.begin() as tx:
        return await _named(tx, await service.decline_page(tx, who, PAGE_ID.read(id)))


@post("/{id:str}/actions/escalate", status_code=200, needs=Right.SIGNED_IN)
async def escalate_page(context: Ctx, who: Who, id: Id, data: JSONBody[NoBody]) -> PageOut:
    """Ask for the next step of the escalation now."""
    async with context.begin() as tx:
        return await _named(tx, await service.escalate_page(tx, who, PAGE_ID.read(id)))


async def _named(tx: Tx, page: Page) -> PageOut:
    return write_page(page, (await identity.user(tx, page.user_id)).name)


ROUTER = Router(
    "/pages", route_handlers=[list_pages, get_page, acknowledge_page, decline_page, escalate_page], tags=["pages"]
)
