"""The pages that wait for the reader: they stand around every page, so that nobody overlooks that they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from tocsin.alerts.model import ALERT_ID, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.vocabulary import called_alert
from tocsin.incidents.model import INCIDENT_ID
from tocsin.oncall import queries as oncall
from tocsin.oncall import service as escalations
from tocsin.oncall.model import PAGE_ID, RunState
from tocsin.oncall.reasons import why_them
from tocsin.web.base import queries
from tocsin.web.base.queries import Waiting
from tocsin.web.base.screens import Paged

# Of so many one reads what happens next; in a storm the rest stands in the inbox.
_IN_FULL = 3


async def waiting_for(tx: Tx, user_id: UUID) -> list[Paged]:
    """Return the pages that wait for this person, the gravest first and of these the oldest."""
    found = await queries.waiting_for(tx, user_id)
    names: dict[UUID, str] = {}
    shown: list[Paged] = []
    for number, each in enumerate(found):
        follows, may_escalate = (), False
        is_running = each.run.state == RunState.RUNNING
        if number < _IN_FULL and is_running:
            decision = await escalations.what_follows(tx, each.run)
            at_once = await escalations.what_follows(tx, each.run, at_once=True)
            names = names or dict((await oncall.known_directory(tx)).names)
            follows, may_escalate = decision.page, bool(at_once.page)
        shown.append(
            _shown(
                each,
                each.run.next_step_at if is_running else None,
                ["you again" if id == user_id else names[id] for id in follows if id in names],
                may_escalate=may_escalate,
            )
        )
    return shown


def _shown(each: Waiting, until: datetime | None, next_names: Sequence[str], *, may_escalate: bool) -> Paged:
    page, run, alert, incident = each.page, each.run, each.alert, each.incident
    about = alert or incident
    place = ALERT_ID.page(alert.id) if alert else INCIDENT_ID.page(incident.reference) if incident else "/"
    return Paged(
        id=PAGE_ID.write(page.id),
        place=place,
        ref=called_alert(alert.number) if alert else incident.reference if incident else "",
        title=incident.headline
        if alert is None and incident
        else about.title
        if about
        else str(run.content.get("title", "")),
        severity=about.severity if about else 3,
        since=page.paged_at,
        why=why_them(page, run),
        request=str(run.content.get("request", "")),
        until=until,
        next_names=next_names,
        step=f"{run.round}-{run.step}",
        may_escalate=may_escalate,
        is_reminder=alert is not None and alert.status == AlertStatus.ACKNOWLEDGED,
    )
