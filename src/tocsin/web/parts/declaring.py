"""The form that declares an incident, which stands on the page of an alert, too."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.alerts.model import ALERT_ID, Alert
from tocsin.db.engine import Tx
from tocsin.events.vocabulary import called_alert
from tocsin.identity.model import Actor
from tocsin.incidents import service as incidents
from tocsin.web.parts.targets import Choice, responder_choices, target_choices


@dataclass(frozen=True, slots=True)
class DeclareAlert:
    """The alert that an incident is declared from."""

    id: str
    ref: str
    title: str
    severity: int
    status: str
    acked_by: str | None


@dataclass(frozen=True, slots=True)
class Declare:
    """What the form of a declaration begins with and offers."""

    alert: DeclareAlert | None
    title: str
    summary: str
    severity: int
    people: list[Choice]
    lead_id: str
    page_people: list[Choice]
    page_policies: list[Choice]


async def declare_form(tx: Tx, alert: DeclareAlert | None, summary: str = "", *, lead_id: str = "") -> Declare:
    """Return what the form offers; from an alert it begins with what that says."""
    people = await responder_choices(tx)
    page_people, page_policies = await target_choices(tx, people)
    return Declare(
        alert=alert,
        title=alert.title if alert else "",
        summary=summary,
        severity=alert.severity if alert else 3,
        people=people,
        lead_id=lead_id,
        page_people=page_people,
        page_policies=page_policies,
    )


async def declare_from(tx: Tx, who: Actor, alert: Alert) -> Declare:
    """Return the form for an incident that this alert begins; raises `Conflict` when it belongs to one already."""
    draft = await incidents.prefill(tx, who, alert.id)
    about = DeclareAlert(
        id=ALERT_ID.write(alert.id),
        ref=called_alert(alert.number),
        title=draft.title,
        severity=draft.severity,
        status=alert.status,
        acked_by=alert.acknowledged_by,
    )
    return await declare_form(tx, about, draft.summary)
