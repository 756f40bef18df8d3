"""One alert with everything that explains it, and what is done on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from litestar import get
from litestar.params import FromPath
from markupsafe import Markup

from tocsin.alerts import queries
from tocsin.alerts import service as alerts
from tocsin.alerts.explain import Explanation
from tocsin.alerts.model import ALERT_ID, SIGNAL_ID, SOURCE_ID, Alert, AlertStatus, RawSignal
from tocsin.db.engine import Tx
from tocsin.edge.context import AppRequest, Context, Ctx, Who
from tocsin.edge.rights import Right
from tocsin.events.vocabulary import called_alert
from tocsin.identity.access import EVERYTHING, P
from tocsin.identity.model import Actor
from tocsin.incidents import queries as incident_queries
from tocsin.incidents import service as incidents
from tocsin.kit.errors import NotFound
from tocsin.oncall import queries as oncall
from tocsin.oncall.model import POLICY_ID, EscalationRun
from tocsin.web.alerts.lately import Lately, lately
from tocsin.web.base import forms, pages
from tocsin.web.base.actions import Action, Actions
from tocsin.web.base.forms import Form, Refused
from tocsin.web.base.screens import ShellScreen
from tocsin.web.parts import own_page, since
from tocsin.web.parts.dialogs import Dialog, Opened, Question
from tocsin.web.parts.paging_now import PagingNow, paging_now
from tocsin.web.parts.signals import body_text
from tocsin.web.parts.standing import Standing, standings
from tocsin.web.parts.told import Told, told

_SIGNALS = 20


@dataclass(frozen=True, slots=True)
class May:
    """What the reader may do with alerts."""

    act: bool
    declare: bool


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert in full."""

    id: str
    ref: str
    title: str
    severity: int
    native_severity: str
    urgency: str
    status: str
    # Nothing for somebody who sees no such source.
    source_id: str | None
    source_name: str
    dedup_key: str
    description_html: Markup | None
    triggered_at: datetime
    acked_at: datetime | None
    acked_by: str | None
    resolved_at: datetime | None
    resolved_by: str | None
    count: int
    last_signal_at: datetime
    standing: Standing
    policy_id: str | None
    policy_name: str | None
    no_policy: str
    incident_ref: str | None
    incident_title: str | None
    incident_severity: int | None
    labels: list[tuple[str, str]]
    links: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SignalView:
    """A request as it came."""

    id: str
    at: datetime
    kind: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertScreen(ShellScreen):
    """One alert, and the newest of what came in. `declare` says whether an incident can be declared from it.

    `place` is its page by the name that it was asked for, so that an act leads back to the very address.

    `lately` are its signals of three hours, `paging_now` its escalations that go on, `told` everybody who was asked, in
    order.
    """

    template: ClassVar = "alerts/alert.html"
    place: str
    alert: AlertView
    explained: Explanation
    lately: Lately
    signals: list[SignalView]
    paging: own_page.Paging | None
    paging_now: list[PagingNow]
    told: list[Told]
    declare: bool
    may: May


def may_of(who: Actor) -> May:
    return May(act=who.access.may_somewhere(P.ALERT_EDIT), declare=who.may(P.INCIDENT_DECLARE))


@get("/alerts/{id:str}", needs=P.ALERT_VIEW, by_link=True)
async def alert_page(request: AppRequest, context: Ctx, who: Who, id: FromPath[str]) -> pages.Page:
    """Show one alert, why it did what it did, and what came in."""
    return await show(request, context, who, id)


async def show(
    request: AppRequest, context: Context, who: Actor, id: str, refused: Refused | None = None
) -> pages.Page:
    who.must_look(P.ALERT_VIEW)
    async with context.db.begin() as tx:
        shell = await pages.shell(tx, request, context, who)
        alert = await queries.named(tx, who.access, id)
        runs = await oncall.runs_of(tx, alert_ids=[alert.id])
        is_free = alert.incident_id is None and alert.status != AlertStatus.RESOLVED
        screen = AlertScreen(
            shell,
            place=_place(id),
            alert=await _view(tx, who, alert, runs),
            explained=await incidents.explain_alert(tx, who, alert.id, shell.now.tzinfo or UTC),
            lately=(await lately(tx, [alert.id]))[alert.id],
            signals=[
                _raw(each, effect) for each, effect in await queries.signals_of_alert(tx, alert.id, limit=_SIGNALS)
            ],
            paging=await own_page.paging(
                tx, who, runs, [page for page, _ in await oncall.pages_of(tx, alert_ids=[alert.id])]
            ),
            paging_now=await paging_now(tx, who, runs),
            told=await told(tx, alert.id, runs),
            declare=is_free and who.may(P.INCIDENT_DECLARE),
            may=may_of(who),
            live=(ALERT_ID.write(alert.id),),
            refused=refused,
        )
    return pages.render(screen)


def _place(id: str) -> str:
    return f"/alerts/{id}"


async def _view(tx: Tx, who: Actor, alert: Alert, runs: Sequence[EscalationRun]) -> AlertView:
    # An alert says where it came from, also to somebody who sees no sources.
    source = await queries.source(tx, EVERYTHING, alert.source_id)
    linked = [alert.incident_id] if alert.incident_id is not None else []
    incident = next(iter((await incident_queries.by_id(tx, who.access, linked)).values()), None)
    policy = next((run for run in runs if run.policy_id is not None), None)
    return AlertView(
        id=ALERT_ID.write(alert.id),
        ref=called_alert(alert.number),
        title=alert.title,
        severity=alert.severity,
        native_severity=alert.native_severity,
        urgency=alert.urgency,
        status=alert.status,
        source_id=SOURCE_ID.write(source.id) if await _sees_source(tx, who, source.id) else None,
        source_name=source.name,
        dedup_key=alert.dedup_key,
        description_html=pages.prose_or_none(alert.description),
        triggered_at=alert.created_at,
        acked_at=alert.acknowledged_at,
        acked_by=alert.acknowledged_by,
        resolved_at=alert.resolved_at,
        resolved_by=alert.resolved_by,
        count=alert.count,
        last_signal_at=alert.last_seen_at,
        standing=(await standings(tx, who, [alert]))[alert.id],
        policy_id=POLICY_ID.write(policy.policy_id) if policy and policy.policy_id else None,
        policy_name=policy.policy_name if policy else None,
        no_policy=_no_policy(alert),
        incident_ref=incident.reference if incident else None,
        incident_title=incident.headline if incident else None,
        incident_severity=incident.severity if incident else None,
        labels=sorted((name, str(value)) for name, value in alert.labels.items()),
        links=links(alert),
    )


async def _sees_source(tx: Tx, who: Actor, id: UUID) -> bool:
    if not who.access.may_look(P.SOURCE_VIEW):
        return False
    try:
        await queries.source(tx, who.access, id)
    except NotFound:
        return False
    return True


def _no_policy(alert: Alert) -> str:
    """Say why no policy has paged for the alert."""
    if alert.routed_at is None:
        return "Held back" if alerts.held_until(alert) else "Not routed yet"
    return "No route matched" if alert.route_id is None else "Paged nobody"


def links(alert: Alert) -> list[tuple[str, str]]:
    """Return text and address of the links that a page may show: http and https only."""
    found: list[tuple[str, str]] = []
    for link in alert.links:
        href, text = str(link.get("href", "")), str(link.get("text", ""))
        if href.lower().startswith(("http://", "https://")):
            found.append((text or href, href))
    return found


def _raw(signal: RawSignal, effect: str) -> SignalView:
    return SignalView(SIGNAL_ID.write(signal.id), signal.received_at, effect, body_text(signal))


async def _acknowledge(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Take an alert on. No fields."""
    await alerts.acknowledge(tx, who, await queries.id_of(tx, who.access, id))


async def _resolve(tx: Tx, who: Actor, id: str, form: Form) -> str:
    """End an alert by hand; says so when its source still sees the problem. No fields."""
    alert = await alerts.resolve(tx, who, await queries.id_of(tx, who.access, id))
    return " ".join(["Alert resolved.", *(await alerts.coming_back(tx, [alert.id])).values()])


async def _resolve_alert(opened: Opened) -> Question:
    """Ask before an alert is resolved. It is not undone: what is over stays so, and its source opens a new one."""
    alert = await queries.named(opened.tx, opened.who.access, opened.id)
    opened.who.must_somewhere(P.ALERT_EDIT)
    place, called = _place(opened.id), called_alert(alert.number)
    comes_back = (await alerts.coming_back(opened.tx, [alert.id])).get(alert.id, "")
    then = comes_back or "If its source sees the problem again, it opens a new alert."
    return Question(
        opened.shell,
        title=f"Resolve {called}",
        text=f"It ends for everybody, and paging stops. This cannot be undone. {then}",
        label="Resolve alert",
        form="resolve-dialog-form",
        action=f"{place}/resolve",
        crumbs=[("/alerts", "Alerts"), (place, called)],
        tone="primary",
        back=place,
        seen=str(since.instant(opened.tx.now)),
        refused=opened.refused,
    )


async def _unacknowledge(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Give an alert back, so that somebody is paged again. No fields."""
    await alerts.unacknowledge(tx, who, await queries.id_of(tx, who.access, id))


async def _escalate(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Go on to the next step of the escalation now. Form field: step, which guards against a repeat."""
    await alerts.escalate(tx, who, await queries.id_of(tx, who.access, id), seen=forms.read_step(form.text("step")))


async def _answer(tx: Tx, who: Actor, id: str, form: Form) -> None:
    """Answer one's own page about the alert. Form fields as in `own_page.answer`."""
    await own_page.answer(tx, who, form)


async def _since(request: AppRequest, opened: Opened) -> since.SinceScreen:
    alert = await queries.named(opened.tx, opened.who.access, opened.id)
    opened.who.must_somewhere(P.ALERT_EDIT)
    found = await since.of_alert(opened.tx, request, opened.shell, opened.who, alert)
    # It can be resolved within its incident, too.
    return replace(found, is_over=False)


_RESOLVE = Dialog("/alerts/{id:str}/resolve", _resolve_alert, P.ALERT_EDIT, news=_since)
HANDLERS = [
    alert_page,
    _RESOLVE.handler,
    *Actions("/alerts/{id:str}", show, needs=P.ALERT_EDIT).handlers(
        Action("acknowledge", _acknowledge, by_link=True),
        Action("resolve", _resolve, form="resolve-dialog-form", show=_RESOLVE.show),
        Action("unacknowledge", _unacknowledge, by_link=True),
        Action("escalate", _escalate),
        Action("answer", _answer, needs=Right.SIGNED_IN, by_link=True),
    ),
]
