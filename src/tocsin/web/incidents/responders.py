"""Who was asked to come to an incident and who came, as its page shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tocsin.alerts.model import Alert
from tocsin.db.engine import Tx
from tocsin.incidents.model import (
    COUNTED,
    Incident,
    ResponderSource,
    ResponderState,
    Standing,
)
from tocsin.incidents.queries import NamedResponder
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import EscalationRun, Page, PageState, RunState
from tocsin.oncall.reasons import why_them
from tocsin.web.parts.told import OF_PAGE


@dataclass(frozen=True, slots=True)
class ResponderView:
    """Somebody who was asked or came. `is_counted`: they are one of those of whom so many have joined."""

    name: str
    reason: str
    state: str
    took: float | None
    until: datetime | None
    is_counted: bool


@dataclass(frozen=True, slots=True)
class Calls:
    """The pages about the incident and its alerts, the newest of each person, and the runs that they belong to."""

    latest: Mapping[UUID, Page]
    waiting: Sequence[Page]
    runs: Mapping[UUID, EscalationRun]
    # Those that paged nobody, because nobody could be reached.
    in_vain: Sequence[EscalationRun]

    @classmethod
    async def read(cls, tx: Tx, incident: Incident, linked: Sequence[Alert]) -> Calls:
        ids = [alert.id for alert in linked]
        found = [page for page, _ in await oncall.pages_of(tx, alert_ids=ids, incident_id=incident.id)]
        runs = {run.id: run for run in await oncall.runs_of(tx, alert_ids=ids, incident_id=incident.id)}
        latest: dict[UUID, Page] = {}
        for page in found:
            latest.setdefault(page.user_id, page)
        paged = {page.run_id for page in found}
        # One that goes on until somebody can be reached has paged nobody so far either.
        fruitless = (RunState.EXHAUSTED, RunState.RUNNING)
        in_vain = [run for run in runs.values() if run.state in fruitless and run.id not in paged]
        return cls(latest, [page for page in found if page.state == PageState.PAGING], runs, in_vain)

    def missed(self, user_id: UUID) -> bool:
        """Say whether the last try to page this person sent nothing."""
        page = self.latest.get(user_id)
        return any(
            run.direct_user_id == user_id and (page is None or run.started_at > page.paged_at) for run in self.in_vain
        )


_OF_RESPONDER: Mapping[str, str] = {
    Standing.JOINED: "joined",
    Standing.DECLINED: "declined",
    Standing.LEFT: "left",
    Standing.RELEASED: "not_needed",
    Standing.UNREACHABLE: "failed",
}
_CAME: Mapping[str, str] = {
    ResponderSource.SELF: "Came without being paged",
    ResponderSource.ROLE: "Through a role",
    ResponderSource.PAGED: "Paged",
    ResponderSource.LINKED_ALERT: "Paged for a linked alert",
}


def responder_view(incident: Incident, person: NamedResponder, calls: Calls) -> ResponderView:
    """Say how somebody stands to the incident: their state and, where they were paged, what became of it."""
    is_counted = person.standing in COUNTED
    if person.responder.state == ResponderState.PAGED and calls.missed(person.responder.user_id):
        return ResponderView(person.name, "Has no contact method", "failed", None, None, is_counted)
    page = calls.latest.get(person.responder.user_id)
    of_page = OF_PAGE[page.state] if page is not None else "no_answer"
    state = _OF_RESPONDER.get(person.standing, of_page)
    if state == "joined" and of_page == "acknowledged":
        state = of_page
    run = calls.runs.get(page.run_id) if page is not None else None
    took = (page.answered_at - page.paged_at).total_seconds() if page is not None and page.answered_at else None
    return ResponderView(
        name=person.name,
        reason=_reason(incident, person, page, run),
        state=state,
        took=took if state == "acknowledged" else None,
        until=run.next_step_at if run is not None and state == "paging" and run.state == RunState.RUNNING else None,
        is_counted=is_counted,
    )


def nobody_paged(incident: Incident, responders: Sequence[NamedResponder], calls: Calls) -> str:
    """Say who was asked last when that reached nobody; "" once somebody else was asked, or the person has come."""
    asked = [run for run in calls.runs.values() if run.incident_id == incident.id and not run.is_fallback]
    last = max((run.started_at for run in asked), default=None)
    batch = [run for run in asked if run.started_at == last]
    here = {person.responder.user_id for person in responders if person.responder.state == ResponderState.JOINED}
    if any(run not in calls.in_vain or run.direct_user_id in here for run in batch):
        return ""
    people = [run.policy_name for run in batch if run.direct_user_id is not None]
    parts = [f"{' and '.join(people)} cannot be reached"] if people else []
    parts += [f"nobody on {run.policy_name} can be reached" for run in batch if run.direct_user_id is None]
    return f"{', '.join(parts)}." if parts else ""


def _reason(incident: Incident, person: NamedResponder, page: Page | None, run: EscalationRun | None) -> str:
    if page is None or run is None:
        declared = person.responder.source == ResponderSource.SELF and person.responder.user_id == incident.reporter_id
        return "Declared it" if declared else _CAME.get(person.responder.source, "")
    return why_them(page, run)
