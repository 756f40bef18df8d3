"""The list of incidents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from litestar import get

from tocsin.alerts import queries as alert_queries
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Ctx, Who
from tocsin.edge.cursors import write_place
from tocsin.events.vocabulary import SEVERITIES
from tocsin.identity import queries as identity
from tocsin.identity.access import P
from tocsin.identity.model import Actor
from tocsin.incidents import lifecycle, queries
from tocsin.incidents.model import COUNTED, OPEN, Incident, Standing, Status
from tocsin.incidents.queries import Place
from tocsin.kit.search import NARROWED
from tocsin.oncall.model import PagingTrouble
from tocsin.web.base import pages
from tocsin.web.base.screens import Shell, ShellScreen
from tocsin.web.incidents.first_steps import FirstStep, first_steps

_TABS: Mapping[str, tuple[Status, ...]] = {
    "open": OPEN,
    "resolved": (Status.RESOLVED, Status.CLOSED, Status.CANCELLED),
    "all": tuple(Status),
}


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident in the list."""

    ref: str
    title: str
    severity: int
    status: str
    is_open: bool
    started_at: datetime
    elapsed: float
    lead_name: str | None
    responders: list[str]
    responders_joined: int
    responders_asked: int
    alert_count: int
    trouble: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentsScreen(ShellScreen):
    """The incidents of one tab, and how the list is narrowed; nothing chosen is no filter.

    `narrowed` says why not all of the list was searched, if so. `in_vain` is None for whoever may not see alerts;
    `declare` says whether the reader may. `any_incident` is false while nobody has ever declared one.
    """

    template: ClassVar = "incidents/incidents.html"
    tab: str
    q: str
    tag: str
    narrowed: str
    severities: list[int]
    statuses: list[str]
    tab_statuses: list[str]
    troubles: list[str]
    in_vain: pages.InVain | None
    incidents: list[IncidentRow]
    newer: str | None
    older: str | None
    first_steps: Sequence[FirstStep]
    any_incident: bool
    declare: bool


@dataclass(frozen=True, slots=True)
class _Wanted:
    tab: str
    q: str
    severities: list[int]
    statuses: list[Status]
    troubles: list[PagingTrouble]
    tag: str
    before: str

    @classmethod
    def of(cls, request: AppRequest) -> _Wanted:
        """Read the address; what it does not know it leaves out."""
        query = request.query_params
        tab = query.get("tab", "open")
        tab = tab if tab in _TABS else "open"
        severities = [int(text) for text in query.getall("severity", []) if text in map(str, SEVERITIES)]
        statuses = [status for status in _TABS[tab] if status in query.getall("status", [])]
        asked = query.getall("paging", []) if tab == "open" else []
        troubles = [trouble for trouble in PagingTrouble if trouble in asked]
        q, tag = query.get("q", "").strip()[:200], query.get("tag", "").strip()[:200]
        return cls(tab, q, severities, statuses, troubles, tag, query.get("before", ""))

    @property
    def is_start(self) -> bool:
        """Say whether this is the list that one begins with: the open ones, not narrowed, from the first."""
        narrowed = self.q or self.severities or self.statuses or self.troubles or self.tag
        return self.tab == "open" and not (narrowed or self.before)

    def url(self, before: str = "") -> str:
        words = [status.value for status in self.statuses]
        narrowed: dict[str, Any] = {"severity": self.severities, "status": words, "paging": self.troubles}
        return pages.address("/incidents", tab=self.tab, q=self.q, tag=self.tag, **narrowed, before=before)


@get("/incidents", needs=P.INCIDENT_VIEW)
async def incident_list(request: AppRequest, context: Ctx, who: Who) -> pages.Page:
    """Show incidents, the newest first, 50 at a time."""
    who.must_look(P.INCIDENT_VIEW)
    wanted = _Wanted.of(request)
    async with context.db.look() as tx:
        shell = await pages.shell(tx, request, context, who)
        screen = await _list(tx, shell, who, wanted)
    return pages.render(screen)


async def _list(tx: Tx, shell: Shell, who: Actor, wanted: _Wanted) -> IncidentsScreen:
    place = pages.place(wanted.before)
    # All of them is no filter; the list then is in the order of an index.
    statuses = wanted.statuses or (() if wanted.tab == "all" else _TABS[wanted.tab])
    narrowed = queries.Filters(
        statuses=statuses,
        severities=wanted.severities,
        troubles=wanted.troubles,
        tags=[wanted.tag] if wanted.tag else (),
    )
    found = await queries.listed(
        tx,
        who.access,
        narrowed,
        q=wanted.q,
        after=Place(0, *place) if place else None,
        limit=pages.PAGE_SIZE + 1,
    )
    shown = found[: pages.PAGE_SIZE]
    has_more = len(found) > len(shown)
    return IncidentsScreen(
        shell,
        tab=wanted.tab,
        q=wanted.q,
        tag=wanted.tag,
        narrowed=NARROWED if await queries.is_searched_in_part(tx, who.access, narrowed, wanted.q) else "",
        severities=wanted.severities,
        statuses=[status.value for status in wanted.statuses],
        tab_statuses=[status.value for status in _TABS[wanted.tab]],
        troubles=[trouble.value for trouble in wanted.troubles],
        in_vain=await pages.in_vain(tx, who) if who.access.may_look(P.ALERT_VIEW) else None,
        incidents=await _rows(tx, who, shown),
        newer=wanted.url() if place else None,
        older=wanted.url(write_place((shown[-1].declared_at, shown[-1].id))) if has_more else None,
        first_steps=await first_steps(tx, who) if wanted.is_start and not shown else (),
        any_incident=bool(shown) or await queries.any_incident(tx),
        declare=who.may(P.INCIDENT_DECLARE),
        live=("incidents", "alerts"),
        refresh_url=wanted.url(wanted.before),
    )


async def _rows(tx: Tx, who: Actor, shown: Sequence[Incident]) -> list[IncidentRow]:
    ids = [incident.id for incident in shown]
    people: dict[UUID, list[queries.NamedResponder]] = {}
    for person in await queries.responders(tx, *ids):
        people.setdefault(person.responder.incident_id, []).append(person)
    alerts = await alert_queries.linked_counts(tx, who.access, ids)
    leads = [lead for incident in shown if (lead := lifecycle.effective_lead(incident)) is not None]
    names = {id: user.name for id, user in (await identity.users_by_id(tx, leads)).items()}
    troubles = await queries.troubles(tx, ids)
    return [
        _row(tx.now, incident, people.get(incident.id, []), alerts.get(incident.id, 0), names, troubles)
        for incident in shown
    ]


def _row(
    now: datetime,
    incident: Incident,
    people: list[queries.NamedResponder],
    alerts: int,
    names: Mapping[UUID, str],
    troubles: Mapping[UUID, PagingTrouble],
) -> IncidentRow:
    lead = lifecycle.effective_lead(incident)
    there = [person for person in people if person.standing in COUNTED]
    joined = [person.name for person in there if person.standing is Standing.JOINED]
    return IncidentRow(
        ref=incident.reference,
        title=incident.title,
        severity=incident.severity,
        status=incident.status,
        is_open=lifecycle.is_open(incident),
        started_at=incident.started_at,
        elapsed=lifecycle.lasted(incident, now).total_seconds(),
        lead_name=names.get(lead) if lead is not None else None,
        responders=joined,
        responders_joined=len(joined),
        responders_asked=len(there),
        alert_count=alerts,
        trouble=troubles.get(incident.id),
    )


HANDLERS = [incident_list]
