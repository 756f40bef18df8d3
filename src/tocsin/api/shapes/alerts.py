"""How an alert looks in answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import msgspec

from tocsin.alerts import queries, service
from tocsin.alerts.model import ALERT_ID, ROUTE_ID, SOURCE_ID, Alert, AlertStatus
from tocsin.api.base.http import Time, when
from tocsin.db.engine import Tx
from tocsin.edge.context import Context
from tocsin.events import vocabulary
from tocsin.identity.model import USER_ID, Actor
from tocsin.incidents import queries as incidents
from tocsin.incidents.model import INCIDENT_ID
from tocsin.kit.addresses import at
from tocsin.kit.clock import stamp
from tocsin.kit.text import clean
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import PagingTrouble
from tocsin.oncall.queries import BeingPaged


class LinkOut(msgspec.Struct):
    """A web address and the words to show for it."""

    href: str
    text: str


class BeingPagedOut(msgspec.Struct):
    """Somebody who is asked now and has not answered: since when, and by which step of which policy.

    `policy_name` is null for a page to the person alone; `is_fallback` when nobody else answered or could be reached.
    """

    user_id: str
    user_name: str
    since: Time
    policy_name: str | None
    step: int
    round: int
    is_fallback: bool


class AlertWarning(msgspec.Struct):
    """What whoever changed the alert should know. `alert.comes_back`: its source has not said that it is over."""

    code: str
    detail: str


class AlertOut(msgspec.Struct):
    """One problem as one source sees it. `severity` is 1 (critical) to 5 (info); `count` is its signals so far.

    An incident that one may not see is not named.

    `title` reads as it looks: what is not seen in it, such as marks that turn the direction of text, is left out.
    `native_title` is the text as the source sent it.

    Until `held_until` nobody is paged, as it came again soon after its end and its source holds that back; null when
    it is not held back now. `warnings` has something in it in the answer to resolving, and is empty otherwise.

    `paging` says that a triggered alert is in nobody's hands: `unreached` when no message has reached anybody so far,
    `unanswered` when the escalation ended without an answer; null when there is nothing to worry about.
    """

    id: str
    number: int
    title: str
    native_title: str
    description: str
    status: AlertStatus
    severity: int
    severity_label: str
    native_severity: str
    urgency: Literal["high", "low"]
    count: int
    dedup_key: str
    source_id: str
    source_name: str
    source_kind: str
    labels: dict[str, str]
    links: list[LinkOut]
    incident_id: str | None
    incident_number: str | None
    route_id: str | None
    routed_at: Time | None
    held_until: Time | None
    first_seen_at: Time
    last_seen_at: Time
    updated_at: Time
    acknowledged_at: Time | None
    acknowledged_by: str | None
    resolved_at: Time | None
    resolved_by: str | None
    paging: PagingTrouble | None
    being_paged: list[BeingPagedOut]
    warnings: list[AlertWarning]
    url: str


@dataclass(frozen=True, slots=True)
class Pagings:
    """How paging stands for several alerts or incidents."""

    troubles: Mapping[UUID, PagingTrouble]
    asked: Mapping[UUID, Sequence[BeingPaged]]

    def of(self, id: UUID) -> tuple[PagingTrouble | None, list[BeingPagedOut]]:
        """Return the trouble of one of them and who is being paged."""
        return self.troubles.get(id), [_write_paged(each) for each in self.asked.get(id, ())]


async def pagings(tx: Tx, alerts: Sequence[Alert]) -> Pagings:
    """Read how paging stands for those of these alerts that nobody has taken."""
    ids = [alert.id for alert in alerts if alert.status == AlertStatus.TRIGGERED]
    return Pagings(await queries.troubles(tx, ids), await oncall.being_paged(tx, alert_ids=ids))


def _write_paged(each: BeingPaged) -> BeingPagedOut:
    return BeingPagedOut(
        user_id=USER_ID.write(each.user_id),
        user_name=each.name,
        since=stamp(each.since),
        policy_name=each.policy_name or None,
        step=each.step,
        round=each.round,
        is_fallback=each.is_fallback,
    )


def write_alert(
    alert: Alert, source_name: str, source_kind: str, incident_number: str | None, base_url: str, paging: Pagings
) -> AlertOut:
    """Write an alert with what belongs to it."""
    trouble, asked = paging.of(alert.id)
    id = ALERT_ID.write(alert.id)
    return AlertOut(
        id=id,
        number=alert.number,
        title=clean(alert.title),
        native_title=alert.title,
        description=alert.description,
        status=AlertStatus(alert.status),
        severity=alert.severity,
        severity_label=vocabulary.severity(alert.severity),
        native_severity=alert.native_severity,
        urgency="high" if alert.urgency == "high" else "low",
        count=alert.count,
        dedup_key=alert.dedup_key,
        source_id=SOURCE_ID.write(alert.source_id),
        source_name=source_name,
        source_kind=source_kind,
        labels={str(name): str(value) for name, value in alert.labels.items()},
        links=[LinkOut(str(link.get("href", "")), str(link.get("text", ""))) for link in alert.links],
        incident_id=INCIDENT_ID.write_or_none(alert.incident_id) if incident_number is not None else None,
        incident_number=incident_number,
        route_id=ROUTE_ID.write_or_none(alert.route_id),
        routed_at=when(alert.routed_at),
        held_until=when(service.held_until(alert)),
        first_seen_at=stamp(alert.created_at),
        last_seen_at=stamp(alert.last_seen_at),
        updated_at=stamp(max(alert.updated_at, alert.worded_at)),
        acknowledged_at=when(alert.acknowledged_at),
        acknowledged_by=alert.acknowledged_by,
        resolved_at=when(alert.resolved_at),
        resolved_by=alert.resolved_by,
        paging=trouble,
        being_paged=asked,
        warnings=[],
        url=at(base_url, ALERT_ID.page(id)),
    )


async def shape(tx: Tx, context: Context, who: Actor, alert: Alert) -> AlertOut:
    """Write one alert."""
    sources = await queries.source_names(tx, [alert.source_id])
    found = await incidents.by_id(tx, who.access, [alert.incident_id] if alert.incident_id is not None else [])
    number = next((incident.reference for incident in found.values()), None)
    return write_alert(alert, *sources[alert.source_id], number, context.settings.base_url, await pagings(tx, [alert]))


async def shape_all(tx: Tx, context: Context, who: Actor, alerts: Sequence[Alert]) -> list[AlertOut]:
    """Write alerts that somebody has just got or changed; lists read what belongs to theirs at once."""
    return [await shape(tx, context, who, alert) for alert in alerts]


async def shape_ended(tx: Tx, context: Context, who: Actor, ended: Sequence[Alert]) -> list[AlertOut]:
    """Write alerts that somebody has just resolved, with a warning for those that may come back."""
    back = await service.coming_back(tx, [alert.id for alert in ended])
    shaped = await shape_all(tx, context, who, ended)
    for alert, one in zip(ended, shaped, strict=True):
        one.warnings = [AlertWarning(service.COMES_BACK, back[alert.id])] if alert.id in back else []
    return shaped
