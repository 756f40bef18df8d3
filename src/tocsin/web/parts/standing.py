"""How an alert stands with people, in a few words: who is asked or has it, since when, and who is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.model import Alert, AlertStatus
from tocsin.db.engine import Tx
from tocsin.events.facts import paged_by
from tocsin.events.reasons import said
from tocsin.identity.model import Actor
from tocsin.notifications.model import Urgency
from tocsin.oncall import list_queries
from tocsin.oncall import queries as oncall
from tocsin.oncall import service as escalations
from tocsin.oncall.list_queries import AskedInVain
from tocsin.oncall.model import EscalationRun, PagingTrouble
from tocsin.oncall.queries import BeingPaged


@dataclass(frozen=True, slots=True)
class Standing:
    """A chip and what stands below it: `Paging 3:42`, “since 14:38, then Jonas Lindqvist”.

    `people` have it or are being asked, `since` that time; `took` is how many seconds it took to answer, `why` by what
    they are asked, and `then` who is next.
    """

    kind: str
    text: str
    icon: str
    tone: str = "slate"
    is_plain: bool = False
    until: datetime | None = None
    since: datetime | None = None
    took: float | None = None
    why: str = ""
    then: str = ""
    note: str = ""
    people: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of the escalations of all alerts of a page."""

    troubles: Mapping[UUID, PagingTrouble]
    asked: Mapping[UUID, Sequence[BeingPaged]]
    runs: Mapping[UUID, EscalationRun]
    then: Mapping[UUID, str]
    in_vain: Mapping[UUID, AskedInVain]


async def standings(tx: Tx, who: Actor, shown: Sequence[Alert]) -> dict[UUID, Standing]:
    """Return how each of these alerts stands, read for all of them at once."""
    ids = [alert.id for alert in shown if alert.status == AlertStatus.TRIGGERED]
    known = await _read(tx, ids) if ids else _Known({}, {}, {}, {}, {})
    return {alert.id: _standing(who, alert, known) for alert in shown}


async def _read(tx: Tx, ids: Sequence[UUID]) -> _Known:
    troubles = await queries.troubles(tx, ids)
    runs: dict[UUID, EscalationRun] = {}
    for run in await list_queries.running_runs(tx, ids):
        if run.alert_id is not None:
            runs.setdefault(run.alert_id, run)
    unanswered = [id for id, trouble in troubles.items() if trouble is PagingTrouble.UNANSWERED]
    return _Known(
        troubles,
        await oncall.being_paged(tx, alert_ids=ids) if runs else {},
        runs,
        await _next(tx, [run for run in runs.values() if run.next_step_at is not None]),
        await list_queries.asked_in_vain(tx, unanswered),
    )


async def _next(tx: Tx, runs: Sequence[EscalationRun]) -> dict[UUID, str]:
    """Return who is paged when the wait of each run is over: names, or whoever is the last resort."""
    if not runs:
        return {}
    directory = await oncall.known_directory(tx)
    follows = await escalations.what_follow(tx, runs)
    found: dict[UUID, str] = {}
    for run in runs:
        names = [directory.names[id] for id in follows[run.id].page if id in directory.names]
        last = "the last resort" if directory.fallback is not None and not run.is_fallback else "nobody else"
        found[run.id] = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "") if names else last
    return found


def _standing(who: Actor, alert: Alert, known: _Known) -> Standing:
    if alert.status == AlertStatus.RESOLVED:
        by = (alert.resolved_by,) if alert.resolved_by else ()
        return Standing("resolved", "Resolved", "circle-check", "green", True, since=alert.resolved_at, people=by)
    if alert.status == AlertStatus.ACKNOWLEDGED:
        at = alert.acknowledged_at
        took = (at - alert.created_at).total_seconds() if at is not None else None
        has_it = (alert.acknowledged_by,) if alert.acknowledged_by else ()
        return Standing("acknowledged", "Acknowledged", "check", "green", True, since=at, took=took, people=has_it)
    asked = known.asked.get(alert.id, ())
    trouble = known.troubles.get(alert.id)
    if asked or trouble is not None or alert.id in known.runs:
        return _asking(who, alert, asked, trouble, known)
    if (until := alerts.held_until(alert)) is not None:
        return Standing("held", "Held back", "clock", until=until, note="it came again soon after its end")
    if alert.routed_at is None:
        return Standing("routing", "Being routed", "route", note="nobody is asked yet")
    if alert.route_id is None:
        return Standing("unrouted", "Not routed", "inbox", is_plain=True, note="no route took it")
    return Standing("recorded", "Pages nobody", "bell-off", is_plain=True, note="it is recorded only")


def _asking(
    who: Actor, alert: Alert, asked: Sequence[BeingPaged], trouble: PagingTrouble | None, known: _Known
) -> Standing:
    run = known.runs.get(alert.id)
    mine = next((each for each in asked if each.user_id == who.user_id), None)
    first = mine or next(iter(asked), None)
    paging = Standing(
        "paging",
        "Paging you" if mine is not None else "Paging",
        "bell-ring",
        "amber",
        until=run.next_step_at if run is not None else None,
        since=first.since if first is not None else None,
        why=_why(first) if first is not None else "",
        then=known.then.get(run.id, "") if run is not None else "",
        people=[each.name for each in asked],
    )
    match trouble:
        case PagingTrouble.UNREACHED:
            return replace(paging, kind="unreached", text="Nobody reached", icon="phone-off", tone="red", until=None)
        case PagingTrouble.UNANSWERED:
            before = known.in_vain.get(alert.id)
            note = f"{before.people} people, last" if before and before.people != 1 else "1 person,"
            ended = replace(paging, kind="unanswered", text="Nobody answered", icon="phone-off", tone="red", until=None)
            return ended if asked or before is None else replace(ended, note=note, since=before.last_at, then="")
        case None if alert.urgency == Urgency.LOW and run is not None and run.next_step_at is None:
            return replace(paging, kind="low", text="Low urgency", icon="bell-off", tone="slate", is_plain=True)
        case None:
            return paging


def _why(each: BeingPaged) -> str:
    """Say by what somebody is asked."""
    direct = not each.policy_name
    why = paged_by(each.policy_name, step=each.step, round=each.round, direct=direct, fallback=each.is_fallback)
    return said(why)
