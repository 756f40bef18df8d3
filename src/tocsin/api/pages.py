"""Pages: who was asked, and what they said."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.params import QueryParameter

from tocsin.alerts import queries as alert_queries
from tocsin.api.base.http import Cursor, Limit, Listing, listing, reference
from tocsin.api.base.resource import AskedBy, Resource
from tocsin.api.shapes.pages import PageOut, write_page
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.cursors import read_place
from tocsin.edge.rights import Right
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
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
        alert_ids = await alert_queries.seen(tx, who.access, await alert_queries.ids_of(tx, who.access, alert_id or ()))
        rows = await queries.pages_of(tx, alert_ids=alert_ids, incident_id=about, before=before, limit=limit + 1)
    return listing(request, rows, limit, lambda row: write_page(*row), lambda row: row[0].id)


async def _write(tx: Tx, _context: Context, _who: Actor, pages: Sequence[Page]) -> list[PageOut]:
    people = await identity.users_by_id(tx, {page.user_id for page in pages})
    return [write_page(page, people[page.user_id].name) for page in pages]


PAGES = Resource("/pages", PAGE_ID, PageOut, _write, view=P.ALERT_VIEW, manage=Right.SIGNED_IN, tag="pages")
ROUTER = PAGES.router(
    list_pages,
    PAGES.get(AskedBy(service.read_page), "Show one page."),
    PAGES.action(
        "acknowledge",
        partial(service.answer_page, channel="api"),
        "Answer the page that one was sent, and by it the alert or the incident that it is about.",
    ),
    PAGES.action(
        "decline",
        service.decline_page,
        "Say that one cannot take it; the next step follows at once when nobody else is being asked.",
    ),
    PAGES.action("escalate", service.escalate_page, "Ask for the next step of the escalation now."),
)
